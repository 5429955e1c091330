/* Rules of lint: which NIC is nearest to which GPU. */
#include "topo/lint/lint.h"

#include <stdlib.h>
#include <string.h>

/* --- nic-order ------------------------------------------------------------------------------ */

/* The devices of a host that people number when they pair GPUs with NICs. */
struct numbered {
	int32_t n;
	int32_t *nodes;
	const struct machine *machine;
	bool by_name;  /* what they are numbered by, where names end in a number */
};

/* The number people know a device by: NCCL's files tell it. Elsewhere it is the end of a port's
 * name (old nvidia-smi lists mlx5_2 before mlx5_1), or the place in the source. */
static int64_t number_of(const struct numbered *list, int32_t node)
{
	const struct graph_node *found = &list->machine->nodes[node];
	size_t end = strlen(found->name), start = end;

	if (list->by_name)
		while (start > 0 && found->name[start - 1] >= '0' && found->name[start - 1] <= '9')
			start--;
	return start < end ? strtoll(found->name + start, NULL, 10) : found->dev;
}

/* Those of one number stay in the order of the source. */
static void sort_by_number(struct numbered *list)
{
	for (int32_t i = 1; i < list->n; i++) {
		int32_t moving = list->nodes[i], to = i;
		int64_t number = number_of(list, moving);

		for (; to > 0 && number_of(list, list->nodes[to - 1]) > number; to--)
			list->nodes[to] = list->nodes[to - 1];
		list->nodes[to] = moving;
	}
}

static double fastest_port(const struct machine *machine, int32_t host)
{
	double fastest = 0;

	for (int32_t i = -1; (i = lint_next(machine, i, SPAN_NODE_NIC, host)) >= 0;)
		if (machine->nodes[i].speed > fastest)
			fastest = machine->nodes[i].speed;
	return fastest;
}

/* GPUs, or the ports that carry the job: those of the highest line rate. */
static void collect(struct numbered *list, span_node_kind kind, int32_t host)
{
	double speed = kind == SPAN_NODE_NIC ? fastest_port(list->machine, host) : 0;

	list->n = 0;
	for (int32_t i = -1; (i = lint_next(list->machine, i, kind, host)) >= 0;)
		if (kind == SPAN_NODE_GPU || list->machine->nodes[i].speed == speed)
			list->nodes[list->n++] = i;
	sort_by_number(list);
}

/* The two pairings by number that scripts use: one by one, and in blocks. */
static int32_t one_by_one(int32_t gpu, int32_t gpus, int32_t nics)
{
	(void)gpus;
	return gpu % nics;
}

static int32_t in_blocks(int32_t gpu, int32_t gpus, int32_t nics)
{
	return (int32_t)((int64_t)gpu * nics / gpus);
}

/* That of these NICs which has the best class of path from a GPU. */
static int32_t nearest_of(const struct numbered *nics, int32_t gpu)
{
	int32_t nearest = nics->nodes[0];

	for (int32_t i = 1; i < nics->n; i++)
		if (lint_path(nics->machine, gpu, nics->nodes[i])->path_class <
		    lint_path(nics->machine, gpu, nearest)->path_class)
			nearest = nics->nodes[i];
	return nearest;
}

/* How many GPUs get a NIC that is farther than their nearest; *example is the first. */
static int32_t wrong_pairs(const struct numbered *gpus, const struct numbered *nics,
                           int32_t (*pairing)(int32_t gpu, int32_t gpus, int32_t nics),
                           int32_t *example)
{
	int32_t wrong = 0;

	for (int32_t i = gpus->n - 1; i >= 0; i--) {
		int32_t gpu = gpus->nodes[i], nearest = nearest_of(nics, gpu);
		int32_t paired = nics->nodes[pairing(i, gpus->n, nics->n)];

		if (lint_path(gpus->machine, gpu, paired)->path_class <=
		    lint_path(gpus->machine, gpu, nearest)->path_class)
			continue;
		wrong++;
		*example = i;
	}
	return wrong;
}

static void tell_order(struct lint *lint, const struct numbered *gpus,
                       const struct numbered *nics, int32_t wrong, int32_t i, bool blocks)
{
	const struct machine *machine = lint->machine;
	int32_t gpu = gpus->nodes[i], nearest = nearest_of(nics, gpu), paired;

	paired = nics->nodes[blocks ? in_blocks(i, gpus->n, nics->n)
	                            : one_by_one(i, gpus->n, nics->n)];
	lint_tell(lint, gpu,
	          "paired by number, %d of %d GPUs get a farther NIC: this one %s over %s, its "
	          "nearest is %s over %s", wrong, gpus->n, lint_name(machine, paired).text,
	          span_path_class_name(lint_path(machine, gpu, paired)->path_class),
	          lint_name(machine, nearest).text,
	          span_path_class_name(lint_path(machine, gpu, nearest)->path_class));
}

static void look_at_host(struct lint *lint, struct numbered *gpus, struct numbered *nics,
                         int32_t host)
{
	int32_t single, block, of_single = 0, of_block = 0;

	collect(gpus, SPAN_NODE_GPU, host);
	collect(nics, SPAN_NODE_NIC, host);
	if (!gpus->n || !nics->n)
		return;
	single = wrong_pairs(gpus, nics, one_by_one, &of_single);
	block = wrong_pairs(gpus, nics, in_blocks, &of_block);
	if (single && block)
		tell_order(lint, gpus, nics, block < single ? block : single,
		           block < single ? of_block : of_single, block < single);
}

static void nic_order(struct lint *lint)
{
	size_t n = (size_t)lint->machine->n_nodes + 1;
	struct numbered gpus = { .nodes = malloc(n * sizeof(int32_t)), .machine = lint->machine };
	struct numbered nics = { .nodes = malloc(n * sizeof(int32_t)), .machine = lint->machine };

	nics.by_name = !lint_from_nccl(lint);
	if (!gpus.nodes || !nics.nodes)
		lint_no_memory(lint);
	for (int32_t host = 0; !lint->status && host < lint->machine->n_hosts; host++)
		look_at_host(lint, &gpus, &nics, host);
	free(gpus.nodes);
	free(nics.nodes);
}

/* --- nic-far, nic-through-c2c --------------------------------------------------------------- */

/* GPUs of a host whose best way to a NIC is of this class; *example is the first. */
static int32_t gpus_of_class(const struct machine *machine, int32_t host, span_path_class wanted,
                             int32_t *example)
{
	int32_t count = 0;

	for (int32_t i = -1; (i = lint_next(machine, i, SPAN_NODE_GPU, host)) >= 0;) {
		int32_t nic = lint_nearest_nic(machine, i);

		if (nic < 0 || lint_path(machine, i, nic)->path_class != wanted)
			continue;
		if (!count++)
			*example = i;
	}
	return count;
}

static void nic_far(struct lint *lint)
{
	const struct machine *machine = lint->machine;
	int32_t example = 0, count;

	for (int32_t host = 0; host < machine->n_hosts; host++) {
		const struct graph_path *path;

		count = gpus_of_class(machine, host, SPAN_PATH_SYS, &example);
		if (!count)
			continue;
		path = lint_path(machine, example, lint_nearest_nic(machine, example));
		lint_tell(lint, example, "%d of %d GPUs have no NIC on their own NUMA node; from here "
		          "it is SYS at %.4g GB/s", count, lint_count(machine, SPAN_NODE_GPU, host),
		          path->bandwidth / 1e9);
	}
}

static void nic_through_c2c(struct lint *lint)
{
	const struct machine *machine = lint->machine;
	int32_t example = 0, count;

	for (int32_t host = 0; host < machine->n_hosts; host++) {
		count = gpus_of_class(machine, host, SPAN_PATH_P2C, &example);
		if (count)
			lint_tell(lint, example, "%d of %d GPUs reach their nearest NIC through C2C "
			          "and the CPU's PCIe", count,
			          lint_count(machine, SPAN_NODE_GPU, host));
	}
}

const struct lint_rule lint_rules_nearest[] = {
	{ .id = "nic-order", .severity = LINT_WARNING,
	  .title = "GPU i paired with NIC i, or by blocks, is not the nearest pairing",
	  .why = "traffic crosses sockets or switches without need, and meets other traffic there",
	  .remedy = "pair by the table of span-topo paths; NCCL itself does when left alone",
	  .machine = nic_order },
	{ .id = "nic-far", .severity = LINT_INFO,
	  .title = "GPUs whose nearest NIC is on another NUMA node",
	  .why = "what they send to other hosts crosses the link between sockets",
	  .remedy = "let the GPUs near a NIC be the ends of the ring (span-topo order does)",
	  .machine = nic_far },
	{ .id = "nic-through-c2c", .severity = LINT_INFO,
	  .title = "GPUs that reach their NIC through NVLink-C2C and the CPU",
	  .why = "nvidia-smi calls it SYS, though it is fast; GPU and host traffic share C2C",
	  .remedy = "nothing; judge by the GB/s of span-topo paths, not by the word",
	  .machine = nic_through_c2c },
	{ .id = NULL },
};
