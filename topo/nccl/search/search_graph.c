/* The search for one graph: try after try, first with less and less asked until something is
 * found, then with more. */
#include "topo/nccl/search/search_work.h"

#include <stdlib.h>
#include <string.h>

#include "topo/log.h"
#include "topo/graph/path.h"

/* --- speeds ------------------------------------------------------------------------------- */

/* Bandwidths of a channel that are tried, 1e9 B/s (v2.28.9-1, src/graph/search.cc): chosen by
 * NVIDIA for each generation so that some number of channels fills its links. */
struct speeds {
	const float *list;
	int32_t n;
};

static const float inside_ampere[] = { 40, 30, 20, 18, 15, 12, 10, 9, 7, 6, 5, 4, 3 };
static const float inside_hopper[] = { 60, 50, 40, 30, 24, 20, 15, 12, 11, 6, 3 };
static const float inside_blackwell[] = { 90, 80, 70, 60, 50, 40, 30, 24, 20, 19, 18 };

static const float between_ampere[] = { 48, 30, 28, 24, 20, 18, 15,   12,   10,    9,
	                                7,  6,  5,  4,  3,  2.4f, 1.2f, 0.24f, 0.12f };
static const float between_hopper[] = { 48, 45, 42, 40, 30,   24,   22,    20,   17.5f,
	                                15, 12, 6,  3,  2.4f, 1.2f, 0.24f, 0.12f };
static const float between_blackwell[] = { 96,    48, 45.1f, 42, 40, 30,   24,   22,    20,
	                                   17.5f, 15, 12,    6,  3,  2.4f, 1.2f, 0.24f, 0.12f };

#define COUNT(list) ((int32_t)(sizeof(list) / sizeof(*(list))))

enum { UP_TO_AMPERE, HOPPER, BLACKWELL, GENERATIONS };

static const struct speeds inside[GENERATIONS] = {
	{ inside_ampere, COUNT(inside_ampere) },
	{ inside_hopper, COUNT(inside_hopper) },
	{ inside_blackwell, COUNT(inside_blackwell) },
};
static const struct speeds between[GENERATIONS] = {
	{ between_ampere, COUNT(between_ampere) },
	{ between_hopper, COUNT(between_hopper) },
	{ between_blackwell, COUNT(between_blackwell) },
};

static struct speeds speeds_of(const struct search_system *system)
{
	int32_t generation = system->cc_min >= 100 ? BLACKWELL
	                   : system->cc_min >= 90  ? HOPPER
	                                           : UP_TO_AMPERE;

	return system->inter ? between[generation] : inside[generation];
}

/* --- the state of a search ----------------------------------------------------------------- */

/* Steps of a try with equal channels and with any, and of all tries together before the first
 * solution is good enough. */
enum { STEPS_SAME = 1 << 8, STEPS_ANY = 1 << 14, STEPS_ALL = 1 << 19 };

struct finding {
	struct search_system *system;
	struct search_walk walk;
	struct search_graph now;  /* the next try */
	struct search_graph *best;
	struct speeds speeds;
	int32_t speed;            /* index of the speed that is tried */
	int32_t nearest_intra, nearest_inter, farthest_intra, farthest_inter;
	bool may_cross;           /* rings and trees may use two NICs a channel */
	bool may_be_same;
	int32_t left;             /* of the steps of a try: -1: nothing better is possible */
	int64_t all_left;         /* of those of all tries */
};

static void set_speed(struct finding *finding, int32_t speed)
{
	finding->speed = speed;
	finding->now.bw_intra = finding->now.bw_inter = finding->speeds.list[speed];
}

static void attempt(struct finding *finding)
{
	finding->left = finding->now.same_channels ? STEPS_SAME : STEPS_ANY;
	finding->all_left -= finding->left;
	finding->walk.budget = &finding->left;
	search_walk_all(&finding->walk);
}

/* As many channels as can be had, or as much bandwidth as a GPU has. */
static bool is_enough(const struct finding *finding)
{
	return finding->left == -1 ||
	       (float)finding->best->channels * finding->best->bw_inter >=
	               finding->system->total_bw;
}

/* --- asking for less ----------------------------------------------------------------------- */

/* Over the link between AMD's processors NCCL does not look for channels that differ. */
static bool may_differ(const struct finding *finding)
{
	const struct search_system *system = finding->system;

	return finding->now.same_channels &&
	       !(system->cpu_arch == ARCH_X86 && system->cpu_vendor == VENDOR_AMD &&
	         finding->now.type_intra == SPAN_PATH_SYS);
}

/* Farther classes are worth a try while nothing is found, or what is found is as far already. */
static bool try_farther(struct finding *finding)
{
	struct search_graph *now = &finding->now;
	const struct search_graph *best = finding->best;
	int32_t most = finding->system->inter ? now->type_inter : finding->farthest_intra;

	if (now->type_intra < most && (!best->channels || now->type_intra < best->type_intra) &&
	    ++now->type_intra < SPAN_PATH_DIS)
		return true;
	now->type_intra = finding->nearest_intra;
	if (finding->system->inter && now->type_inter < finding->farthest_inter &&
	    (!best->channels || now->type_inter < best->type_inter ||
	     now->type_inter < SPAN_PATH_PXN) &&
	    ++now->type_inter < SPAN_PATH_DIS)
		return true;
	now->type_inter = finding->nearest_inter;
	return false;
}

static bool try_slower(struct finding *finding)
{
	float next;

	if (finding->speed >= finding->speeds.n - 1)
		return false;
	next = finding->speeds.list[finding->speed + 1];
	if (finding->best->channels && !((double)(next / finding->best->bw_inter) > 0.49))
		return false;
	set_speed(finding, finding->speed + 1);
	return true;
}

/* The next try; false: there is none. */
static bool ask_for_less(struct finding *finding)
{
	struct search_graph *now = &finding->now;

	if (may_differ(finding)) {
		now->same_channels = false;
		return true;
	}
	now->same_channels = finding->may_be_same;
	finding->all_left += finding->left;
	if (finding->all_left < 0 && finding->best->channels)
		return false;
	if (finding->system->cc_min >= 90 && now->pattern == SEARCH_BALANCED_TREE) {
		now->pattern = SEARCH_TREE;
		return true;
	}
	now->pattern = finding->best->pattern;
	if (try_farther(finding))
		return true;
	if (finding->may_cross && !now->cross_nic &&
	    (now->pattern == SEARCH_RING || now->pattern == SEARCH_BALANCED_TREE)) {
		now->cross_nic = 2;
		return true;
	}
	now->cross_nic = 0;
	return try_slower(finding);
}

/* --- asking for more ----------------------------------------------------------------------- */

/* One channel at twice the bandwidth is slower than two: GPUs copy with many threads. */
static void duplicate(struct finding *finding)
{
	struct search_graph *best = finding->best;
	int32_t all = 2 * best->channels, times, i;

	if (!best->channels || best->pattern == SEARCH_NVLS || best->bw_intra < 25 ||
	    (finding->system->cc_min > 80 && best->bw_intra < 50 && best->channels > 4))
		return;
	if (all > best->most_channels)
		all = best->most_channels;
	for (i = best->channels; i < all; i++) {
		memcpy(best->gpus[i], best->gpus[i - best->channels], sizeof(best->gpus[i]));
		memcpy(best->nics[i], best->nics[i - best->channels], sizeof(best->nics[i]));
	}
	times = (all + best->channels - 1) / best->channels;
	best->bw_intra /= (float)times;
	best->bw_inter /= (float)times;
	best->channels = all;
}

static void begin_with_best(struct finding *finding)
{
	int32_t speed = 0;

	duplicate(finding);
	memcpy(&finding->now, finding->best, sizeof(finding->now));
	while (speed < finding->speeds.n - 1 &&
	       finding->speeds.list[speed] > finding->best->bw_inter)
		speed++;
	set_speed(finding, speed);
	finding->now.least_channels = finding->best->channels;
	finding->left = -1;
}

/* The next try; false: there is none. Rings get more of everything; of the others one of the two
 * bandwidths may be up to the next above twice the other. */
static bool ask_for_more(struct finding *finding)
{
	struct search_graph *now = &finding->now;
	const struct search_graph *best = finding->best;

	if (!finding->left || !finding->speed)
		return false;
	if (best->pattern == SEARCH_RING) {
		set_speed(finding, finding->speed - 1);
		return true;
	}
	if (best->pattern == SEARCH_NVLS && now->bw_inter == best->bw_inter &&
	    now->bw_inter < now->bw_intra * 2) {
		now->least_channels = now->most_channels = best->channels;
		now->bw_inter = finding->speeds.list[--finding->speed];
		return true;
	}
	if (now->bw_intra == best->bw_intra && now->bw_intra < now->bw_inter * 2) {
		now->bw_intra = finding->speeds.list[--finding->speed];
		return true;
	}
	return false;
}

/* --- beginning ----------------------------------------------------------------------------- */

/* The nearest and the farthest class from any GPU to another, or to NICs. */
static void find_classes(const struct search_system *system, bool to_nics, int32_t *nearest,
                         int32_t *farthest)
{
	int32_t first = to_nics ? system->n_gpus : 0;
	int32_t n = to_nics ? system->n_nics : system->n_gpus, gpu, i;

	*nearest = SPAN_PATH_SYS;
	*farthest = SPAN_PATH_LOC;
	for (gpu = 0; gpu < system->n_gpus; gpu++)
		for (i = first; i < first + n; i++) {
			int32_t found = (int32_t)search_path_at(system, gpu, i)->path_class;

			if (i == gpu)
				continue;
			*nearest = found < *nearest ? found : *nearest;
			*farthest = found > *farthest ? found : *farthest;
		}
}

static void set_classes(struct finding *finding)
{
	finding->nearest_intra = SPAN_PATH_LOC;
	finding->nearest_inter = SPAN_PATH_PIX;
	finding->farthest_intra = finding->farthest_inter = SPAN_PATH_SYS;
	if (finding->system->n_gpus > 1)
		find_classes(finding->system, false, &finding->nearest_intra,
		             &finding->farthest_intra);
	if (finding->system->inter)
		find_classes(finding->system, true, &finding->nearest_inter,
		             &finding->farthest_inter);
}

/* Two groups of GPUs, each joined by NVLink, and none from one to the other. */
static bool is_split(const struct search_system *system)
{
	int32_t group[SEARCH_MOST_GPUS] = { 0 }, size[SEARCH_MOST_GPUS] = { 0 }, groups = 0, i, j;

	for (i = 0; i < system->n_gpus; i++)
		group[i] = i;
	for (i = 0; i < system->n_gpus; i++)
		for (j = i + 1; j < system->n_gpus; j++)
			if (search_path_at(system, i, j)->path_class == SPAN_PATH_NVL)
				group[j] = group[i];
	for (i = 0; i < system->n_gpus; i++)
		size[group[i]]++;
	for (i = 0; i < system->n_gpus; i++)
		groups += size[i] > 1;
	return groups == 2;
}

static void set_counts(const struct search_system *system, struct search_graph *graph)
{
	if (graph->pattern == SEARCH_NVLS) {
		graph->most_channels = system->n_gpus < SEARCH_MOST_CHANNELS ? system->n_gpus
		                                                             : SEARCH_MOST_CHANNELS;
		if (!system->inter)
			graph->least_channels = graph->most_channels;
	}
	/* Trees suit two groups better, but need two channels, and as many as rings have. */
	if (graph->pattern == SEARCH_RING && is_split(system) && graph->least_channels == 1 &&
	    graph->most_channels >= 2)
		graph->least_channels = 2;
}

static void begin(struct finding *finding)
{
	const struct search_system *system = finding->system;
	struct search_graph *best = finding->best;
	float total = system->total_bw;
	int32_t speed = 0;

	finding->speeds = speeds_of(system);
	finding->may_cross = system->n_nics > 1 && (best->pattern == SEARCH_RING ||
	                                            best->pattern == SEARCH_BALANCED_TREE);
	finding->may_be_same = best->pattern != SEARCH_NVLS;
	set_classes(finding);
	best->type_intra = finding->nearest_intra;
	best->type_inter = finding->nearest_inter;
	best->same_channels = finding->may_be_same;
	set_counts(system, best);
	if (system->n_gpus == 1 && best->pattern != SEARCH_RING)
		best->pattern = SEARCH_TREE;
	memcpy(&finding->now, best, sizeof(finding->now));
	if (system->n_gpus > 1 && best->pattern != SEARCH_RING)
		total = (float)((double)total *
		                ((double)system->n_gpus / (double)(system->n_gpus - 1)));
	while (speed < finding->speeds.n - 1 &&
	       (finding->speeds.list[speed] > system->max_bw ||
	        finding->speeds.list[speed] * (float)best->least_channels > total))
		speed++;
	set_speed(finding, speed);
	finding->all_left = STEPS_ALL;
}

/* --- the whole ----------------------------------------------------------------------------- */

static void settle_without(const struct search_system *system, struct search_graph *graph)
{
	int32_t i;

	if (graph->channels || graph->pattern == SEARCH_NVLS)
		return;
	for (i = 0; i < system->n_gpus; i++)
		graph->gpus[0][i] = (int16_t)i;
	graph->nics[0][0] = graph->nics[0][1] = 0;
	graph->bw_intra = graph->bw_inter = 0.1f;
	graph->type_intra = graph->type_inter = SPAN_PATH_SYS;
	graph->channels = 1;
}

static void find(struct finding *finding)
{
	begin(finding);
	do
		attempt(finding);
	while (!is_enough(finding) && ask_for_less(finding));
	begin_with_best(finding);
	while (ask_for_more(finding))
		attempt(finding);
	settle_without(finding->system, finding->best);
}

static span_status find_in(struct finding *finding)
{
	size_t gpus = (size_t)finding->system->n_gpus, nics = (size_t)finding->system->n_nics;
	struct search_walk *walk = &finding->walk;
	span_status status = SPAN_OK;

	walk->system = finding->system;
	walk->graph = &finding->now;
	walk->best = finding->best;
	walk->next = calloc(SEARCH_MOST_CHANNELS * gpus * gpus, sizeof(*walk->next));
	walk->nic_order = calloc((gpus + 1) * nics + 1, sizeof(*walk->nic_order));
	walk->n_nic_order = calloc(gpus + 1, sizeof(*walk->n_nic_order));
	if (walk->next && walk->nic_order && walk->n_nic_order)
		find(finding);
	else
		status = span_fail(SPAN_ENOMEM, "graph search: no memory for %d GPUs",
		                   finding->system->n_gpus);
	free(walk->next);
	free(walk->nic_order);
	free(walk->n_nic_order);
	return status;
}

span_status search_graph_find(struct search_system *system, enum search_pattern pattern,
                              int32_t least_channels, int32_t most_channels,
                              struct search_graph *graph)
{
	struct finding *finding;
	span_status status;

	memset(graph, 0, sizeof(*graph));
	graph->pattern = pattern;
	graph->least_channels = least_channels;
	graph->most_channels = most_channels;
	if (pattern == SEARCH_NVLS && (system->nvswitch < 0 || system->cc_min < 90))
		return SPAN_OK;
	finding = calloc(1, sizeof(*finding));
	if (!finding)
		return span_fail(SPAN_ENOMEM, "graph search: no memory");
	finding->system = system;
	finding->best = graph;
	status = find_in(finding);
	free(finding);
	return status;
}
