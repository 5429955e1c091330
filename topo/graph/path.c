/* Paths inside a machine, as NCCL finds them (2.28.9, src/graph/paths.cc).
 *
 * From each device a breadth-first search goes outwards. Of the paths with the fewest links the
 * widest counts; one that is found later counts only if it is wider and not longer. A GPU passes
 * on nothing but one NVLink hop to another GPU. Then some paths are led elsewhere (path_nccl.c). */
#include "topo/graph/path.h"

#include <stdlib.h>
#include <string.h>

#include "topo/graph/link_speed.h"
#include "topo/log.h"
#include "topo/read/read_nccl.h"

/* --- devices ------------------------------------------------------------------------------ */

static int32_t list_kind(struct machine *machine, span_node_kind kind, int32_t *n)
{
	int32_t before = *n, i;

	for (i = 0; i < machine->n_nodes; i++)
		if (machine->nodes[i].kind == kind) {
			machine->device_of[i] = *n;
			machine->devices[(*n)++] = i;
		}
	return *n - before;
}

static span_status allocate(struct path_work *work)
{
	struct machine *machine = work->machine;
	size_t n = (size_t)machine->n_devices;

	machine->paths = calloc(n * n + 1, sizeof(*machine->paths));
	machine->route_next = malloc((n * (size_t)machine->n_nodes + 1) *
	                             sizeof(*machine->route_next));
	machine->route_via = malloc((n * n + 1) * sizeof(*machine->route_via));
	work->alias = calloc(n + 1, sizeof(*work->alias));
	if (!machine->paths || !machine->route_next || !machine->route_via || !work->alias)
		return span_fail(SPAN_ENOMEM, "topology: no memory for paths of %d devices",
		                 machine->n_devices);
	memset(machine->route_next, -1, n * (size_t)machine->n_nodes *
	                                        sizeof(*machine->route_next));
	memset(machine->route_via, -1, n * n * sizeof(*machine->route_via));
	return SPAN_OK;
}

static span_status list_devices(struct path_work *work)
{
	struct machine *machine = work->machine;
	int32_t n = 0, i;

	for (i = 0; i < machine->n_nodes; i++)
		n += machine->nodes[i].kind == SPAN_NODE_GPU ||
		     machine->nodes[i].kind == SPAN_NODE_NIC ||
		     machine->nodes[i].kind == SPAN_NODE_CPU;
	if (n > GRAPH_MAX_DEVICES)
		return span_fail(SPAN_EPARSE, "topology: %d GPUs, ports and NUMA nodes in one machine; "
		                              "at most %d are read", n, GRAPH_MAX_DEVICES);
	machine->devices = calloc((size_t)n + 1, sizeof(*machine->devices));
	machine->device_of = malloc(((size_t)machine->n_nodes + 1) * sizeof(*machine->device_of));
	if (!machine->devices || !machine->device_of)
		return span_fail(SPAN_ENOMEM, "topology: no memory for %d devices", n);
	memset(machine->device_of, -1, ((size_t)machine->n_nodes + 1) *
	                                       sizeof(*machine->device_of));
	machine->n_devices = n;
	n = 0;
	work->n_gpus = list_kind(machine, SPAN_NODE_GPU, &n);
	work->n_nics = list_kind(machine, SPAN_NODE_NIC, &n);
	work->n_cpus = list_kind(machine, SPAN_NODE_CPU, &n);
	return allocate(work);
}

/* What NCCL knows a device by, within its host and kind: GPUs by address, ports by dev, NUMA nodes
 * by number. false: by nothing. */
static bool identity(const struct graph_node *node, uint64_t *id)
{
	int32_t number = node->kind == SPAN_NODE_NIC ? node->dev : node->numa;

	if (node->kind == SPAN_NODE_GPU)
		return nccl_bus(node->bus, id);
	*id = (uint64_t)number;
	return number >= 0;
}

/* NCCL finds the slot for a path by the device's identity, so of several alike the first gets
 * them all. Only its view shows that. */
static span_status find_aliases(struct path_work *work)
{
	const struct machine *machine = work->machine;
	uint64_t *ids = calloc((size_t)machine->n_devices + 1, sizeof(*ids));
	int32_t i, j;

	if (!ids)
		return span_fail(SPAN_ENOMEM, "topology: no memory for %d devices",
		                 machine->n_devices);
	for (i = 0; i < machine->n_devices; i++) {
		const struct graph_node *node = &machine->nodes[machine->devices[i]];
		bool known = work->as_nccl && identity(node, &ids[i]);

		work->alias[i] = i;
		for (j = 0; known && j < i && work->alias[i] == i; j++) {
			const struct graph_node *other = &machine->nodes[machine->devices[j]];

			if (ids[j] == ids[i] && other->kind == node->kind &&
			    other->host == node->host && identity(other, &ids[j]))
				work->alias[i] = j;
		}
	}
	free(ids);
	return SPAN_OK;
}

/* --- the search --------------------------------------------------------------------------- */

/* The best path known from a node to the device that is searched from. */
struct reach {
	struct graph_path path;
	int32_t next;            /* node after this one on the way, or -1 */
	int32_t round;           /* in which it was last put on the list */
};

struct search {
	const struct path_work *work;
	int32_t base;            /* node that is searched from */
	struct reach *reach;     /* [n_nodes] */
	int32_t *list, *next_list, n_list, n_next, round;
};

/* NCCL's class of a link, before its ends are looked at. NETWORK joins a card and its ports. */
static span_path_class class_of_link(span_link_class link_class)
{
	switch (link_class) {
	case SPAN_LINK_NVLINK:
	case SPAN_LINK_XGMI:
		return SPAN_PATH_NVL;
	case SPAN_LINK_C2C:
		return SPAN_PATH_C2C;
	case SPAN_LINK_PCI:
		return SPAN_PATH_PIX;
	case SPAN_LINK_SOCKET:
		return SPAN_PATH_SYS;
	default:
		return SPAN_PATH_LOC;
	}
}

/* The class of the path from the far end of `edge` over `node`. */
static span_path_class class_over(const struct search *search, int32_t node,
                                  const struct path_edge *edge)
{
	const struct graph_node *nodes = search->work->machine->nodes;
	const struct graph_path *path = &search->reach[node].path;
	span_node_kind near = nodes[node].kind, far = nodes[edge->to].kind;
	span_path_class class = class_of_link(edge->link_class);

	if (near == SPAN_NODE_PCI && far == SPAN_NODE_PCI)
		class = SPAN_PATH_PXB;
	if (edge->link_class == SPAN_LINK_PCI && (near == SPAN_NODE_CPU || far == SPAN_NODE_CPU))
		class = SPAN_PATH_PHB;
	if (near == SPAN_NODE_GPU && path->path_class == SPAN_PATH_NVL &&
	    class == SPAN_PATH_NVL && path->hops > 0)
		class = SPAN_PATH_NVB;
	return class > path->path_class ? class : path->path_class;
}

/* NCCL keeps a path by the link that leads back, and looks for one of the same class. It gives up a
 * machine where it finds none, unless a path is already known that the link only widens. */
static bool widens(const struct search *search, const struct path_edge *edge)
{
	return search->work->as_nccl && search->reach[edge->to].path.bandwidth != 0;
}

/* A GPU hands on only from one NVLink to another. */
static bool passes(const struct search *search, int32_t node, const struct path_edge *edge)
{
	const struct graph_node *nodes = search->work->machine->nodes;

	if (!edge->usable || (edge->one_way && !widens(search, edge)))
		return false;
	if (node == search->base || nodes[node].kind != SPAN_NODE_GPU)
		return true;
	return class_of_link(edge->link_class) == SPAN_PATH_NVL &&
	       nodes[edge->to].kind == SPAN_NODE_GPU && search->reach[node].path.hops <= 1;
}

static void try_edge(struct search *search, int32_t node, const struct path_edge *edge)
{
	const struct graph_path *path = &search->reach[node].path;
	struct reach *far = &search->reach[edge->to];
	double bandwidth = edge->bandwidth < path->bandwidth ? edge->bandwidth : path->bandwidth;

	if (!passes(search, node, edge))
		return;
	if ((far->path.bandwidth != 0 && far->path.hops <= path->hops) ||
	    far->path.bandwidth >= bandwidth)
		return;
	far->path = (struct graph_path){
		.path_class = class_over(search, node, edge),
		.hops = path->hops + 1,
		.bandwidth = bandwidth,
		.latency = path->latency + edge->latency,
		.confidence = edge->confidence < path->confidence ? edge->confidence
		                                                   : path->confidence
	};
	far->next = node;
	if (far->round != search->round) {
		far->round = search->round;
		search->next_list[search->n_next++] = edge->to;
	}
}

static void search_from(struct search *search, int32_t base)
{
	const struct path_work *work = search->work;
	int32_t i, e;

	search->base = base;
	search->reach[base].path = (struct graph_path){ .path_class = SPAN_PATH_LOC,
	                                                .bandwidth = LINK_SPEED_LOCAL,
	                                                .confidence = SPAN_CONFIDENCE_DECLARED };
	search->reach[base].next = -1;
	search->list[0] = base;
	search->n_list = 1;
	while (search->n_list) {
		int32_t *swap = search->list;

		search->n_next = 0;
		search->round++;
		for (i = 0; i < search->n_list; i++) {
			int32_t node = search->list[i];

			for (e = work->edge_start[node]; e < work->edge_start[node + 1]; e++)
				try_edge(search, node, &work->edges[e]);
		}
		search->list = search->next_list;
		search->next_list = swap;
		search->n_list = search->n_next;
	}
}

/* Keep the paths from all devices to device `to`, and how every node gets there. */
static void keep(const struct search *search, int32_t to)
{
	struct machine *machine = search->work->machine;
	int16_t *next = machine->route_next + (size_t)to * (size_t)machine->n_nodes;
	int32_t i;

	for (i = 0; i < machine->n_devices; i++)
		*path_at(machine, i, to) = search->reach[machine->devices[i]].path;
	for (i = 0; i < machine->n_nodes; i++)
		next[i] = (int16_t)search->reach[i].next;
}

static void search_all(struct search *search)
{
	const struct path_work *work = search->work;
	const struct machine *machine = work->machine;
	int32_t i, j;

	for (i = 0; i < machine->n_devices; i++) {
		for (j = 0; j < machine->n_nodes; j++)
			search->reach[j] = (struct reach){
				.path.path_class = SPAN_PATH_DIS, .next = -1, .round = -1
			};
		if (work->alias[i] == i) {
			search_from(search, machine->devices[i]);
			for (j = i + 1; j < machine->n_devices; j++)
				if (work->alias[j] == i)
					search_from(search, machine->devices[j]);
		}
		keep(search, i);
	}
}

static span_status search_paths(const struct path_work *work)
{
	size_t n = (size_t)work->machine->n_nodes + 1;
	struct search search = { .work = work };
	int32_t *lists = calloc(2 * n, sizeof(*lists));
	span_status status = SPAN_OK;

	search.reach = calloc(n, sizeof(*search.reach));
	if (lists && search.reach) {
		search.list = lists;
		search.next_list = lists + n;
		search_all(&search);
	} else {
		status = span_fail(SPAN_ENOMEM, "topology: no memory to search %d nodes",
		                   work->machine->n_nodes);
	}
	free(search.reach);
	free(lists);
	return status;
}

/* --- all of it ---------------------------------------------------------------------------- */

/* A path of which no link is known has no bandwidth to tell. */
static void forget_unknown(struct machine *machine)
{
	size_t n = (size_t)machine->n_devices * (size_t)machine->n_devices, i;

	for (i = 0; i < n; i++)
		if (machine->paths[i].bandwidth == PATH_UNKNOWN_BANDWIDTH)
			machine->paths[i].bandwidth = 0;
}

span_status machine_paths(struct machine *machine, bool as_nccl)
{
	struct path_work work = { .machine = machine, .as_nccl = as_nccl };
	span_status status = list_devices(&work);

	if (!status)
		status = find_aliases(&work);
	if (!status)
		status = path_make_edges(&work);
	if (!status)
		status = search_paths(&work);
	if (!status)
		status = path_reroute(&work);
	if (!status && !as_nccl)
		status = path_over_network(&work);
	if (!status)
		forget_unknown(machine);
	free(work.alias);
	free(work.edges);
	free(work.edge_start);
	return status;
}
