/* Rules of lint: links between GPUs (NVLink, NVSwitch, xGMI). */
#include <stdlib.h>

#include "topo/lint/lint.h"

static double links_of(const struct machine *machine, int32_t gpu)
{
	return lint_gpu_links(machine, gpu);
}

static bool is_gpu_link(const struct graph_link *link)
{
	return link->link_class == SPAN_LINK_NVLINK || link->link_class == SPAN_LINK_XGMI;
}

/* "NVLink" or "xGMI link", after what the machine has. */
static const char *link_word(const struct machine *machine)
{
	for (int32_t i = 0; i < machine->n_links; i++)
		if (machine->links[i].link_class == SPAN_LINK_XGMI)
			return "xGMI link";
	return "NVLink";
}

/* --- nvlink-lost ---------------------------------------------------------------------------- */

/* Whether GPUs of this machine can be expected to be linked to each other, all of them: they
 * are on an NVSwitch, or at least three form one whole. Pairs may be joined by bridges that
 * not every card has. */
static bool all_should_have_links(const struct machine *machine, const struct lint_group *gpus,
                                  const int32_t *group)
{
	for (int32_t i = 0; i < gpus->n; i++) {
		const struct graph_link *link;
		int32_t members = 0;

		for (int32_t l = machine->nodes[gpus->nodes[i]].last_link; l >= 0; l = link->earlier) {
			link = &machine->links[l];
			if (machine->nodes[link->to].kind == SPAN_NODE_NVSWITCH)
				return true;
		}
		for (int32_t j = 0; j < gpus->n && gpus->values[i] > 0; j++)
			members += group[gpus->nodes[i]] == group[gpus->nodes[j]];
		if (members >= 3)
			return true;
	}
	return false;
}

static double largest_of(const struct lint_group *group)
{
	double largest = 0;

	for (int32_t i = 0; i < group->n; i++)
		if (group->values[i] > largest)
			largest = group->values[i];
	return largest;
}

static int32_t count_of(const struct lint_group *group, double value)
{
	int32_t count = 0;

	for (int32_t i = 0; i < group->n; i++)
		count += group->values[i] == value;
	return count;
}

/* The best way that NCCL has from a GPU to another one of its host, DIS when it has none. */
static struct graph_path best_to_others(const struct machine *machine, int32_t gpu)
{
	struct graph_path best = { .path_class = SPAN_PATH_DIS };
	int32_t host = machine->nodes[gpu].host;

	for (int32_t i = -1; (i = lint_next(machine, i, SPAN_NODE_GPU, host)) >= 0;)
		if (i != gpu && lint_path(machine, gpu, i)->path_class < best.path_class)
			best = *lint_path(machine, gpu, i);
	return best;
}

static void tell_lost(struct lint *lint, const struct lint_group *group, int32_t gpu, double most)
{
	struct graph_path best = best_to_others(lint->nccl, gpu);

	lint_tell(lint, gpu,
	          "no %s at all, while %d of the %d GPUs of its model have %.0f; NCCL reaches "
	          "it over %s at %.4g GB/s", link_word(lint->machine), count_of(group, most),
	          group->n, most, span_path_class_name(best.path_class), best.bandwidth / 1e9);
}

static void look_for_lost(struct lint *lint, const struct lint_group *gpus)
{
	int32_t *group = malloc(((size_t)lint->machine->n_nodes + 1) * sizeof(*group));
	double most = largest_of(gpus);

	if (!group || lint_islands(lint->machine, group) < 0)
		lint_no_memory(lint);
	else if (most > 0 && all_should_have_links(lint->machine, gpus, group))
		for (int32_t i = 0; i < gpus->n; i++)
			if (gpus->values[i] == 0)
				tell_lost(lint, gpus, gpus->nodes[i], most);
	free(group);
}

static void nvlink_lost(struct lint *lint)
{
	lint_each_model(lint, SPAN_NODE_GPU, links_of, look_for_lost);
}

/* --- nvlink-fewer, nvlink-none -------------------------------------------------------------- */

/* Judged by the machine's own symmetry: half of the GPUs of an MI250X machine have 6 links and
 * half 7, which is how it is built; one that differs from more than half is another matter. */
static void look_for_fewer(struct lint *lint, const struct lint_group *gpus)
{
	for (int32_t i = 0; i < gpus->n && gpus->n_usual; i++)
		if (gpus->values[i] > 0 && gpus->values[i] < gpus->usual)
			lint_tell(lint, gpus->nodes[i],
			          "%.0f %ss, while %d of the %d GPUs of its model have %.0f",
			          gpus->values[i], link_word(lint->machine), gpus->n_usual,
			          gpus->n, gpus->usual);
}

static void nvlink_fewer(struct lint *lint)
{
	lint_each_model(lint, SPAN_NODE_GPU, links_of, look_for_fewer);
}

/* Templates of NCCL's format leave links to the running machine. */
static void look_for_none(struct lint *lint, const struct lint_group *gpus)
{
	const struct lint_model *model = lint_model_of(lint, gpus->nodes[0]);
	bool template = lint_from_nccl(lint) && !lint->machine->nodes[gpus->nodes[0]].sm;

	if (!template && model && model->nvlinks && gpus->n > 1 && largest_of(gpus) == 0)
		lint_tell(lint, gpus->nodes[0],
		          "%d GPUs of model %s without any NVLink; each has %d of them", gpus->n,
		          model->name, model->nvlinks);
}

static void nvlink_none(struct lint *lint)
{
	lint_each_model(lint, SPAN_NODE_GPU, links_of, look_for_none);
}

/* --- nvlink-one-way ------------------------------------------------------------------------- */

static void nvlink_one_way(struct lint *lint)
{
	const struct machine *machine = lint->machine;

	for (int32_t i = 0; i < machine->n_links; i++) {
		const struct graph_link *link = &machine->links[i], *back;

		if (!is_gpu_link(link))
			continue;
		back = lint_link(machine, link->link_class, link->to, link->from);
		if (back && (back->count == link->count || link->from > link->to))
			continue;
		lint_tell(lint, link->from, "%d %s%s to %s, but %d back", link->count,
		          link_word(machine), link->count == 1 ? "" : "s",
		          lint_name(machine, link->to).text, back ? back->count : 0);
	}
}

/* --- nvlink-islands, gpu-links-uneven ------------------------------------------------------- */

static int32_t smallest_island(const struct machine *machine, const int32_t *group, int32_t groups)
{
	int32_t smallest = machine->n_nodes;

	for (int32_t g = 0; g < groups; g++) {
		int32_t members = 0;

		for (int32_t i = 0; i < machine->n_nodes; i++)
			members += group[i] == g;
		if (members < smallest)
			smallest = members;
	}
	return smallest;
}

/* The narrowest path from the first GPU to one of another island. */
static const struct graph_path *path_between(const struct machine *machine, const int32_t *group)
{
	int32_t first = lint_next(machine, -1, SPAN_NODE_GPU, -1), other = first;

	while (group[other] == group[first])
		other = lint_next(machine, other, SPAN_NODE_GPU, -1);
	return lint_path(machine, first, other);
}

static void nvlink_islands(struct lint *lint)
{
	const struct machine *machine = lint->machine;
	int32_t *group = malloc(((size_t)machine->n_nodes + 1) * sizeof(*group)), groups;

	groups = group ? lint_islands(machine, group) : -1;
	if (groups < 0) {
		lint_no_memory(lint);
	} else if (groups > 1 && smallest_island(machine, group, groups) > 1) {
		const struct graph_path *path = path_between(machine, group);

		lint_tell(lint, lint_next(machine, -1, SPAN_NODE_GPU, -1),
		          "%ss join the GPUs in %d groups; between those it is %s at %.4g GB/s",
		          link_word(machine), groups, span_path_class_name(path->path_class),
		          path->bandwidth / 1e9);
	}
	free(group);
}

static void gpu_links_uneven(struct lint *lint)
{
	const struct machine *machine = lint->machine;
	int32_t least = INT32_MAX, most = 0, joined = 0;
	int32_t gpus = lint_count(machine, SPAN_NODE_GPU, -1);

	for (int32_t i = 0; i < machine->n_links; i++) {
		const struct graph_link *link = &machine->links[i];

		if (!is_gpu_link(link) || machine->nodes[link->from].kind != SPAN_NODE_GPU ||
		    machine->nodes[link->to].kind != SPAN_NODE_GPU)
			continue;
		joined++;
		least = link->count < least ? link->count : least;
		most = link->count > most ? link->count : most;
	}
	if (joined && most > least)
		lint_tell(lint, lint_next(machine, -1, SPAN_NODE_GPU, -1),
		          "of %d pairs of GPUs %d are linked directly, by %d to %d %ss",
		          gpus * (gpus - 1) / 2, joined / 2, least, most, link_word(machine));
}

const struct lint_rule lint_rules_nvlink[] = {
	{ .id = "nvlink-lost", .severity = LINT_ERROR,
	  .title = "a GPU without NVLinks among GPUs that have them",
	  .why = "every ring through it falls back to PCIe, and NCCL says nothing",
	  .remedy = "reset the GPU or the fabric manager, or take the host out (nvidia-smi nvlink -s)",
	  .machine = nvlink_lost },
	{ .id = "nvlink-fewer", .severity = LINT_WARNING,
	  .title = "a GPU with fewer NVLinks than most GPUs of its model",
	  .why = "collectives run at the speed of the slowest GPU",
	  .remedy = "look for inactive links (nvidia-smi nvlink -s, nvidia-smi -q -d ECC)",
	  .machine = nvlink_fewer },
	{ .id = "nvlink-none", .severity = LINT_WARNING,
	  .title = "no NVLink on GPUs of a model that has them",
	  .why = "GPUs talk over PCIe, or the picture is wrong and the order with it",
	  .remedy = "start the fabric manager; with hwloc older than 2.12, take nvidia-smi topo -m",
	  .machine = nvlink_none },
	{ .id = "nvlink-one-way", .severity = LINT_ERROR,
	  .title = "GPU links from one GPU to another, but not as many back",
	  .why = "links are pairs of lanes: the source is wrong, or a link is half down",
	  .remedy = "look at both ends (nvidia-smi nvlink -s); write the topology file anew",
	  .machine = nvlink_one_way },
	{ .id = "nvlink-islands", .severity = LINT_INFO,
	  .title = "groups of GPUs with no NVLink between the groups",
	  .why = "a ring over all GPUs is as slow as the path between groups",
	  .remedy = "keep the ranks that talk most in one group; span-topo order does",
	  .machine = nvlink_islands },
	{ .id = "gpu-links-uneven", .severity = LINT_INFO,
	  .title = "pairs of GPUs joined by different numbers of links",
	  .why = "rings in rank order may take the thin links",
	  .remedy = "take the order of span-topo order",
	  .machine = gpu_links_uneven },
	{ .id = NULL },
};
