/* One try: a walk over the GPUs, channel after channel, that turns back when a link has no
 * bandwidth left and keeps the best graph it has seen.
 *
 * The functions below call each other in a circle. Each call but those for a NIC or a channel is a
 * step and takes one from the budget; the depth is at most the steps of all channels, each of
 * which has as many as there are GPUs, and two. */
#include "topo/nccl/search/search_work.h"

#include <string.h>

/* What the rest of a channel has to do. */
enum order { ORDER_FREE, ORDER_BY_NUMBER, ORDER_AS_BEFORE };

struct rest {
	int32_t step;       /* GPUs it has gone through before this one */
	int32_t to_nic;     /* the step at which it goes to a NIC; -1: never, or not again */
	int32_t to_first;   /* the step at which it returns to its first GPU, or -1 */
	enum order order;
};

/* Steps of the first attempt, by number, which is there to compare with. */
enum { TRIAL_STEPS = 1 << 10 };

static void walk_channel(struct search_walk *walk);
static void walk_from(struct search_walk *walk, int32_t gpu, struct rest rest);

/* Go to a GPU, from an end of a path or (-1) from nowhere, and on from there. */
static void walk_to(struct search_walk *walk, int32_t from, int32_t gpu, struct rest rest)
{
	uint64_t bit = (uint64_t)1 << walk->graph->channels;

	if (from >= 0 && !search_take(walk, from, gpu, 1))
		return;
	walk->system->gpus[gpu].used ^= bit;
	walk_from(walk, gpu, rest);
	walk->system->gpus[gpu].used ^= bit;
	if (from >= 0)
		search_give(walk, from, gpu, 1);
}

/* --- the end of a channel ------------------------------------------------------------------ */

static bool is_better(const struct search_walk *walk)
{
	const struct search_graph *graph = walk->graph, *best = walk->best;
	float all = (float)graph->channels * graph->bw_intra;
	float all_best = (float)best->channels * best->bw_intra;

	if (graph->channels < graph->least_channels)
		return false;
	/* A channel of an NVSwitch is a GPU that reduces: the more, the better. */
	if (graph->pattern == SEARCH_NVLS)
		return (graph->channels > best->channels &&
		        graph->channels <= walk->system->n_gpus) ||
		       (float)graph->channels * graph->bw_inter >
		               (float)best->channels * best->bw_inter;
	if (all != all_best)
		return all > all_best;
	return graph->pattern == best->pattern && graph->cross_nic == best->cross_nic &&
	       graph->hops < best->hops;
}

static void end_channel(struct search_walk *walk)
{
	struct search_graph *graph = walk->graph;

	graph->channels++;
	if (is_better(walk)) {
		memcpy(walk->best, graph, sizeof(*graph));
		if (graph->channels == graph->most_channels)
			*walk->budget = -1;
	}
	if (graph->channels < graph->most_channels)
		walk_channel(walk);
	graph->channels--;
}

/* --- from GPU to GPU ----------------------------------------------------------------------- */

/* The GPU of the channel before at a step. */
static int32_t gpu_before(const struct search_walk *walk, int32_t step)
{
	return walk->graph->gpus[walk->graph->channels - 1][step];
}

static void walk_on(struct search_walk *walk, int32_t gpu, struct rest rest)
{
	int32_t gpus = walk->system->n_gpus, n = 1, i;
	int32_t row = walk->graph->channels * gpus + rest.step;
	int16_t *next = walk->next + (size_t)row * (size_t)gpus;
	int by_nic = rest.to_nic == -1 ? 0 : rest.to_nic == rest.step + 1 ? 1 : -1;

	rest.step++;
	if (rest.order == ORDER_BY_NUMBER)
		next[0] = (int16_t)rest.step;
	else if (rest.order == ORDER_AS_BEFORE)
		next[0] = (int16_t)gpu_before(walk, rest.step);
	else
		n = search_next_gpus(walk, gpu, by_nic, next);
	for (i = 0; i < n; i++)
		walk_to(walk, gpu, next[i], rest);
}

static void return_to_first(struct search_walk *walk, int32_t gpu, struct rest rest)
{
	int32_t first = walk->graph->gpus[walk->graph->channels][0];

	if (!search_take(walk, gpu, first, 1))
		return;
	rest.step++;
	rest.to_first = -1;
	walk_from(walk, first, rest);
	search_give(walk, gpu, first, 1);
}

/* --- to a NIC ------------------------------------------------------------------------------ */

/* Whether a channel that came by one NIC may leave by another. */
static bool may_leave_by(const struct search_walk *walk, int32_t nic, int32_t step)
{
	const struct search_graph *graph = walk->graph;
	int32_t channel = graph->channels, came_by = graph->nics[channel][0];

	if (graph->pattern == SEARCH_TREE && nic != came_by)
		return false;
	if (graph->pattern == SEARCH_RING && graph->cross_nic == 2) {
		if ((channel & 1) && nic != graph->nics[channel - 1][0])
			return false;
	} else if (graph->cross_nic == 0 && !search_nics_same_port(walk->system, nic, came_by)) {
		return false;
	}
	return graph->pattern != SEARCH_BALANCED_TREE || step == 0 || nic == graph->nics[channel][1];
}

/* A balanced tree goes to its NIC from the first two GPUs, with half the bandwidth each. */
static void leave_by(struct search_walk *walk, int32_t gpu, int32_t nic, struct rest rest)
{
	struct search_graph *graph = walk->graph;
	int32_t end = search_nic_end(walk->system, nic);
	bool halved = graph->pattern == SEARCH_BALANCED_TREE, taken;
	float whole = graph->bw_inter;

	rest.to_nic = halved && rest.step == 0 ? 1 : -1;
	graph->bw_inter = halved ? whole / 2 : whole;
	taken = search_take(walk, gpu, end, 1);
	graph->bw_inter = whole;
	if (!taken)
		return;
	graph->nics[graph->channels][1] = (int16_t)nic;
	walk_from(walk, gpu, rest);
	graph->bw_inter = halved ? whole / 2 : whole;
	search_give(walk, gpu, end, 1);
	graph->bw_inter = whole;
}

static void leave(struct search_walk *walk, int32_t gpu, struct rest rest)
{
	const int16_t *nics = walk->nic_order + (size_t)gpu * (size_t)walk->system->n_nics;
	int32_t i;

	for (i = 0; i < walk->n_nic_order[gpu]; i++)
		if (may_leave_by(walk, nics[i], rest.step))
			leave_by(walk, gpu, nics[i], rest);
}

/* --- over the NVSwitch --------------------------------------------------------------------- */

/* The head takes its link twice: it reduces what it gets from all, and sends it to all. */
static float share(int32_t gpu, int32_t head)
{
	return gpu == head ? 2 : 1;
}

static int32_t take_switch(struct search_walk *walk, int32_t head, bool to_switch)
{
	int32_t nvswitch = search_switch_end(walk->system), i;

	for (i = 0; i < walk->system->n_gpus; i++)
		if (!search_take(walk, to_switch ? i : nvswitch, to_switch ? nvswitch : i,
		                 share(i, head)))
			break;
	return i;
}

static void give_switch(struct search_walk *walk, int32_t head, bool to_switch, int32_t taken)
{
	int32_t nvswitch = search_switch_end(walk->system);

	while (taken-- > 0)
		search_give(walk, to_switch ? taken : nvswitch, to_switch ? nvswitch : taken,
		            share(taken, head));
}

static void walk_over_switch(struct search_walk *walk, int32_t head, struct rest rest)
{
	int32_t gpus = walk->system->n_gpus, out = 0, in = take_switch(walk, head, false);

	if (in == gpus) {
		out = take_switch(walk, head, true);
		rest.step = gpus;
		rest.to_nic = rest.to_first = -1;
		if (out == gpus)
			walk_from(walk, head, rest);
	}
	give_switch(walk, head, true, out);
	give_switch(walk, head, false, in);
}

/* --- one step ------------------------------------------------------------------------------ */

static void walk_from(struct search_walk *walk, int32_t gpu, struct rest rest)
{
	int32_t gpus = walk->system->n_gpus;

	if (*walk->budget <= 0)
		return;
	--*walk->budget;
	if (rest.step == gpus) {
		end_channel(walk);
		return;
	}
	walk->graph->gpus[walk->graph->channels][rest.step] = (int16_t)gpu;
	if (rest.step == rest.to_nic) {
		leave(walk, gpu, rest);
	} else if (walk->graph->pattern == SEARCH_NVLS) {
		walk_over_switch(walk, gpu, rest);
	} else if (rest.step < gpus - 1) {
		walk_on(walk, gpu, rest);
	} else if (rest.step == rest.to_first) {
		return_to_first(walk, gpu, rest);
	} else {
		rest.step = gpus;
		rest.to_nic = rest.to_first = -1;
		walk_from(walk, gpu, rest);
	}
}

/* --- channels that begin at a NIC ----------------------------------------------------------- */

/* NICs count whole GB/s, and a port's count is that of all NICs on it. */
static void charge_port(struct search_system *system, int32_t nic, int32_t bandwidth)
{
	int32_t i;

	for (i = 0; i < system->n_nics; i++)
		if (search_nics_same_port(system, i, nic))
			system->nics[i].left -= (float)bandwidth;
}

static bool is_head_before(const struct search_graph *graph, int32_t gpu)
{
	int32_t i;

	for (i = 0; i < graph->channels; i++)
		if (graph->gpus[i][0] == gpu)
			return true;
	return false;
}

/* An NVSwitch graph only looks for heads; true: one was tried. */
static bool try_head(struct search_walk *walk, int32_t nic, struct rest rest)
{
	int32_t gpu = walk->system->nics[nic].local_gpu;

	if (walk->graph->channels >= walk->n_nic_order[walk->system->n_gpus] || gpu < 0 ||
	    is_head_before(walk->graph, gpu))
		return false;
	walk_to(walk, search_nic_end(walk->system, nic), gpu, rest);
	return true;
}

/* By number, for something to compare with, on a budget of its own. */
static void try_by_number(struct search_walk *walk, int32_t nic, struct rest rest)
{
	int32_t *budget = walk->budget, steps = TRIAL_STEPS;

	rest.order = ORDER_BY_NUMBER;
	walk->budget = &steps;
	walk_to(walk, search_nic_end(walk->system, nic), 0, rest);
	walk->budget = budget;
	if (steps == -1)
		*budget = -1;
}

/* Returns false where no GPU has a path to the NIC. */
static bool try_first_gpus(struct search_walk *walk, int32_t nic, struct rest rest)
{
	struct search_system *system = walk->system;
	int32_t gpus[SEARCH_MOST_GPUS], local = system->nics[nic].local_gpu, n, i;
	int32_t end = search_nic_end(system, nic);

	if (walk->graph->channels && walk->graph->same_channels) {
		rest.order = ORDER_AS_BEFORE;
		walk_to(walk, end, gpu_before(walk, 0), rest);
		return true;
	}
	if (!walk->graph->channels && system->nvswitch < 0)
		try_by_number(walk, nic, rest);
	if (local >= 0)
		walk_to(walk, end, local, rest);
	n = search_nics_gpus(system, nic, gpus);
	for (i = 0; i < n; i++)
		if (gpus[i] != local)
			walk_to(walk, end, gpus[i], rest);
	return n > 0;
}

static bool may_enter_by(const struct search_walk *walk, int32_t nic, int32_t bandwidth)
{
	const struct search_graph *graph = walk->graph;

	if (walk->system->nics[nic].left < (float)bandwidth)
		return false;
	return graph->pattern != SEARCH_RING || graph->cross_nic != 2 || !(graph->channels & 1) ||
	       nic == graph->nics[graph->channels - 1][1];
}

static void walk_from_nics(struct search_walk *walk, struct rest rest)
{
	struct search_system *system = walk->system;
	struct search_graph *graph = walk->graph;
	const int16_t *nics = walk->nic_order + (size_t)system->n_gpus * (size_t)system->n_nics;
	int32_t n = walk->n_nic_order[system->n_gpus], bandwidth = (int32_t)graph->bw_inter, i;
	bool found = false;

	for (i = 0; i < n && !found; i++) {
		int32_t nic = nics[(graph->channels + i) % n];

		if (!may_enter_by(walk, nic, bandwidth))
			continue;
		graph->nics[graph->channels][0] = (int16_t)nic;
		graph->latency_inter = system->nics[nic].latency;
		charge_port(system, nic, bandwidth);
		if (graph->pattern == SEARCH_NVLS)
			found = try_head(walk, nic, rest);
		else if (!try_first_gpus(walk, nic, rest))
			continue; /* and the port stays charged: NCCL forgets */
		charge_port(system, nic, -bandwidth);
	}
}

/* --- channels inside a node ----------------------------------------------------------------- */

static void walk_inside(struct search_walk *walk, struct rest rest)
{
	struct search_graph *graph = walk->graph;
	int32_t gpu;

	if (graph->pattern == SEARCH_NVLS) {
		walk_to(walk, -1, graph->channels, rest);
		return;
	}
	rest.order = graph->channels ? ORDER_AS_BEFORE : ORDER_BY_NUMBER;
	walk_to(walk, -1, graph->channels ? gpu_before(walk, 0) : 0, rest);
	if (graph->same_channels && graph->channels)
		return;
	rest.order = ORDER_FREE;
	for (gpu = 0; gpu < walk->system->n_gpus; gpu++)
		walk_to(walk, -1, gpu, rest);
}

/* --- a channel ------------------------------------------------------------------------------ */

static void walk_channel(struct search_walk *walk)
{
	struct rest rest = { .to_nic = -1, .to_first = -1, .order = ORDER_FREE };
	bool ring = walk->graph->pattern == SEARCH_RING;

	if (walk->system->inter) {
		rest.to_nic = ring ? walk->system->n_gpus - 1 : 0;
		walk_from_nics(walk, rest);
	} else {
		rest.to_first = ring ? walk->system->n_gpus - 1 : -1;
		walk_inside(walk, rest);
	}
}

/* Which NICs are tried depends on the farthest class that this try allows. */
static void order_nics(struct search_walk *walk)
{
	const struct search_system *system = walk->system;
	int32_t row;

	for (row = 0; row <= system->n_gpus; row++)
		walk->n_nic_order[row] = search_nics_order(
			system, row < system->n_gpus ? row : -1,
			(span_path_class)walk->graph->type_inter,
			walk->nic_order + (size_t)row * (size_t)system->n_nics);
}

void search_walk_all(struct search_walk *walk)
{
	walk->graph->channels = 0;
	order_nics(walk);
	walk_channel(walk);
}
