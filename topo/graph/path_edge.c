/* The links of each node in the order in which NCCL tries them. Of paths that are equally long and
 * wide it keeps the first, so this order decides classes. */
#include <stdlib.h>
#include <string.h>

#include "topo/graph/path.h"
#include "topo/log.h"

/* xGMI is to AMD's GPUs what NVLink is to NVIDIA's; NVIDIA's NCCL does not know it. */
static bool counts(const struct path_work *work, const struct graph_link *link)
{
	return !(work->as_nccl && link->link_class == SPAN_LINK_XGMI);
}

/* NCCL's search goes from a device outwards, and back along links in the other direction. */
static bool has_way_back(const struct machine *machine, const struct graph_link *link)
{
	int32_t i;

	for (i = machine->nodes[link->to].last_link; i >= 0; i = machine->links[i].earlier)
		if (machine->links[i].to == link->from &&
		    machine->links[i].link_class == link->link_class)
			return true;
	return false;
}

/* Widest first; of equal ones the one that was there first. */
static int compare_edges(const void *first, const void *second)
{
	const struct path_edge *a = first, *b = second;

	if (a->bandwidth != b->bandwidth)
		return a->bandwidth > b->bandwidth ? -1 : 1;
	return a->order < b->order ? -1 : 1;
}

/* The link towards the processor comes last. */
static void move_up_link(struct path_edge *edges, int32_t n, int32_t parent)
{
	struct path_edge up;
	int32_t i;

	for (i = 0; i < n && edges[i].to != parent; i++)
		;
	if (i == n)
		return;
	up = edges[i];
	memmove(&edges[i], &edges[i + 1], (size_t)(n - i - 1) * sizeof(*edges));
	edges[n - 1] = up;
}

static bool below_cpu(const struct graph_node *node)
{
	return node->kind == SPAN_NODE_PCI || node->kind == SPAN_NODE_GPU ||
	       node->kind == SPAN_NODE_CARD;
}

static void fill(struct path_work *work)
{
	const struct machine *machine = work->machine;
	int32_t *next = work->edge_start, i;

	for (i = 0; i < machine->n_links; i++) {
		const struct graph_link *link = &machine->links[i];
		double bandwidth = link->bandwidth > 0 ? link->bandwidth : PATH_UNKNOWN_BANDWIDTH;

		work->edges[next[link->from]++] = (struct path_edge){
			.to = link->to, .order = i, .link_class = link->link_class,
			.bandwidth = bandwidth, .latency = link->latency,
			.confidence = link->bandwidth > 0 ? link->confidence : SPAN_CONFIDENCE_UNKNOWN,
			.usable = counts(work, link),
			.one_way = !has_way_back(machine, link)
		};
	}
	/* Each start has moved to the next one's place. */
	memmove(next + 1, next, (size_t)machine->n_nodes * sizeof(*next));
	next[0] = 0;
}

span_status path_make_edges(struct path_work *work)
{
	const struct machine *machine = work->machine;
	int32_t i, sum = 0, n;

	work->edges = calloc((size_t)machine->n_links + 1, sizeof(*work->edges));
	work->edge_start = calloc((size_t)machine->n_nodes + 1, sizeof(*work->edge_start));
	if (!work->edges || !work->edge_start)
		return span_fail(SPAN_ENOMEM, "topology: no memory for %d links", machine->n_links);
	for (i = 0; i < machine->n_links; i++)
		work->edge_start[machine->links[i].from]++;
	for (i = 0; i <= machine->n_nodes; i++) {
		n = work->edge_start[i];
		work->edge_start[i] = sum;
		sum += n;
	}
	fill(work);
	for (i = 0; i < machine->n_nodes; i++) {
		struct path_edge *edges = work->edges + work->edge_start[i];

		n = work->edge_start[i + 1] - work->edge_start[i];
		if (n)
			qsort(edges, (size_t)n, sizeof(*edges), compare_edges);
		if (below_cpu(&machine->nodes[i]))
			move_up_link(edges, n, machine->nodes[i].parent);
	}
	return SPAN_OK;
}
