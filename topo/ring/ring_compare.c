/* What an order of a topology's devices comes to, and the orders that people use else. */
#include "topo/ring/ring_fabric.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "topo/graph/path.h"
#include "topo/log.h"

int32_t span_ring_length(const span_ring *ring)
{
	return ring->n;
}

const int32_t *span_ring_nodes(const span_ring *ring)
{
	return ring->nodes;
}

const span_ring_report *span_ring_report_of(const span_ring *ring)
{
	return &ring->report;
}

static int compare_numbers(const void *left, const void *right)
{
	int32_t a = *(const int32_t *)left, b = *(const int32_t *)right;

	return a < b ? -1 : a > b;
}

/* --- figures ------------------------------------------------------------------------------ */

static void measure(const struct span_ring *ring, const int32_t *nodes,
                    span_ring_figures *figures)
{
	double narrowest = INFINITY;

	*figures = (span_ring_figures){ 0 };
	for (int32_t i = 0; ring->n > 1 && i < ring->n; i++) {
		span_topo_path path = { 0 };

		span_topo_path_between(ring->topo, nodes[i], nodes[i + 1 < ring->n ? i + 1 : 0],
		                       &path);
		if (path.bandwidth > 0)
			figures->sum_inverse += 1 / path.bandwidth;
		else
			figures->missing++;
		narrowest = fmin(narrowest, path.bandwidth);
	}
	figures->bottleneck = ring->n > 1 ? narrowest : 0;
}

span_status ring_measure_all(struct span_ring *ring)
{
	ring->sorted = malloc((size_t)ring->n * sizeof(*ring->sorted));
	if (!ring->sorted)
		return span_fail(SPAN_ENOMEM, "ring: no memory for %d devices", ring->n);
	memcpy(ring->sorted, ring->nodes, (size_t)ring->n * sizeof(*ring->sorted));
	qsort(ring->sorted, (size_t)ring->n, sizeof(*ring->sorted), compare_numbers);
	measure(ring, ring->nodes, &ring->report.best);
	measure(ring, ring->sorted, &ring->report.given);
	return SPAN_OK;
}

/* Whether `nodes` are the ring's devices, each once. */
static span_status check_nodes(const char *caller, const struct span_ring *ring,
                               const int32_t *nodes)
{
	int32_t *sorted = malloc((size_t)ring->n * sizeof(*sorted)), i;
	span_status status = SPAN_OK;

	if (!sorted)
		return span_fail(SPAN_ENOMEM, "%s: no memory for %d devices", caller, ring->n);
	memcpy(sorted, nodes, (size_t)ring->n * sizeof(*sorted));
	qsort(sorted, (size_t)ring->n, sizeof(*sorted), compare_numbers);
	for (i = 0; i < ring->n && sorted[i] == ring->sorted[i]; i++)
		;
	if (i < ring->n)
		status = span_fail(SPAN_EINVAL, "%s: node %d is %s; an order has each of the %d "
		                   "devices once", caller,
		                   sorted[i] < ring->sorted[i] ? sorted[i] : ring->sorted[i],
		                   sorted[i] < ring->sorted[i] ? "too many" : "missing", ring->n);
	free(sorted);
	return status;
}

span_status span_ring_measure_nodes(const span_ring *ring, const int32_t *nodes,
                                    span_ring_figures *figures)
{
	span_status status;

	if (!ring || !nodes || !figures)
		return span_fail(SPAN_EINVAL, "span_ring_measure_nodes: %s is NULL",
		                 !ring ? "ring" : !nodes ? "nodes" : "figures");
	status = check_nodes("span_ring_measure_nodes", ring, nodes);
	if (!status)
		measure(ring, nodes, figures);
	return status;
}

/* --- crossings ---------------------------------------------------------------------------- */

static int32_t height(const span_topo *topo, int32_t number)
{
	int32_t n = 0;

	for (; number >= 0; number = topo->switches[number].parent)
		n++;
	return n;
}

/* Count a flow on every uplink between two leaves: up on its way up, down on its way down. */
static void count_flow(const span_topo *topo, int32_t from, int32_t to, int32_t *up,
                       int32_t *down)
{
	int32_t rise = height(topo, from), fall = height(topo, to);

	while (from != to) {
		if (rise >= fall) {
			up[from]++;
			from = topo->switches[from].parent;
			rise--;
		} else {
			down[to]++;
			to = topo->switches[to].parent;
			fall--;
		}
	}
}

static bool changes_rail(const span_topo *topo, int32_t from_place, int32_t from, int32_t to_place,
                         int32_t to)
{
	const int32_t place[2] = { from_place, to_place }, device[2] = { from, to };
	int32_t nic[2];

	path_pick_nics(topo, place, device, nic);
	return path_changes_rail(topo, place, nic);
}

static void count_neighbours(const struct span_ring *ring, int32_t from, int32_t to, int32_t *up,
                             int32_t *down, span_ring_crossings *crossings)
{
	const span_topo *topo = ring->topo;
	int32_t from_place, to_place, from_local, to_local;
	const struct machine *a = topo_locate(topo, from, &from_place, &from_local);
	const struct machine *b = topo_locate(topo, to, &to_place, &to_local);
	int32_t from_leaf = topo->places[from_place].leaf, to_leaf = topo->places[to_place].leaf;

	if (from_place == to_place) {
		crossings->between_hosts += a->nodes[from_local].host != b->nodes[to_local].host;
		return;
	}
	crossings->between_hosts++;
	if (changes_rail(topo, from_place, a->device_of[from_local], to_place,
	                 b->device_of[to_local])) {
		up[from_leaf]++;
		down[to_leaf]++;
		crossings->up_flows++;
		return;
	}
	count_flow(topo, from_leaf, to_leaf, up, down);
	crossings->up_flows += from_leaf != to_leaf;
}

span_status span_ring_count_crossings(const span_ring *ring, const int32_t *nodes,
                                      span_ring_crossings *crossings)
{
	span_ring_crossings counted = { 0 };
	span_status status;
	int32_t *up;
	size_t n;

	if (!ring || !nodes || !crossings)
		return span_fail(SPAN_EINVAL, "span_ring_count_crossings: %s is NULL",
		                 !ring ? "ring" : !nodes ? "nodes" : "crossings");
	status = check_nodes("span_ring_count_crossings", ring, nodes);
	if (status)
		return status;
	n = (size_t)ring->topo->n_switches;
	up = calloc(2 * n + 1, sizeof(*up));
	if (!up)
		return span_fail(SPAN_ENOMEM, "span_ring_count_crossings: no memory");
	for (int32_t i = 0; ring->n > 1 && i < ring->n; i++)
		count_neighbours(ring, nodes[i], nodes[i + 1 < ring->n ? i + 1 : 0], up, up + n,
		                 &counted);
	for (size_t i = 0; i < 2 * n; i++)
		if (counted.most_up_flows < up[i])
			counted.most_up_flows = up[i];
	*crossings = counted;
	free(up);
	return SPAN_OK;
}

/* --- other orders --------------------------------------------------------------------------- */

struct device {
	int32_t node, host, rank;
	char id[32];
	const char *name; /* of its host, NULL: it has none */
};

static int compare_ranks(const void *left, const void *right)
{
	const struct device *a = left, *b = right;

	return a->rank < b->rank ? -1 : a->rank > b->rank;
}

static int compare_names(const void *left, const void *right)
{
	const struct device *a = left, *b = right;
	int names = strcmp(a->name ? a->name : a->id, b->name ? b->name : b->id);

	if (names)
		return names;
	if (a->host != b->host)
		return a->host < b->host ? -1 : 1;
	return a->node < b->node ? -1 : a->node > b->node;
}

/* The name of each host, [hosts]. */
static void name_hosts(const span_topo *topo, const char **names)
{
	for (int32_t p = 0; p < topo->n_places; p++) {
		const struct place *place = &topo->places[p];
		const struct machine *machine = topo->machines[place->machine];

		for (int32_t h = 0; h < machine->n_hosts; h++) {
			const char *name = place->name ? place->name : machine->host_names[h];

			names[place->first_host + h] = *name ? name : NULL;
		}
	}
}

static void fill_devices(const struct span_ring *ring, const char *const *names,
                         struct device *devices)
{
	for (int32_t i = 0; i < ring->n; i++) {
		span_topo_node node;

		span_topo_node_at(ring->topo, ring->sorted[i], &node);
		devices[i] = (struct device){ .node = ring->sorted[i], .host = node.host,
			                      .rank = node.rank, .name = names[node.host] };
		snprintf(devices[i].id, sizeof(devices[i].id), "h%d", node.host);
	}
}

/* Whether each has a rank of its own; sorted by rank. */
static bool ranks_are_known(const struct device *devices, int32_t n)
{
	for (int32_t i = 0; i < n; i++)
		if (devices[i].rank < 0 || (i && devices[i].rank == devices[i - 1].rank))
			return false;
	return true;
}

span_status span_ring_other(const span_ring *ring, span_ring_given given, int32_t *nodes)
{
	struct device *devices;
	const char **names;
	bool sorted = given != SPAN_RING_BY_NUMBER;

	if (!ring || !nodes)
		return span_fail(SPAN_EINVAL, "span_ring_other: %s is NULL", ring ? "nodes" : "ring");
	if (given < SPAN_RING_BY_NUMBER || given > SPAN_RING_BY_NAME)
		return span_fail(SPAN_EINVAL, "span_ring_other: given is %d; it is from 0 to %d",
		                 (int)given, SPAN_RING_BY_NAME);
	devices = malloc((size_t)ring->n * sizeof(*devices));
	names = calloc((size_t)span_topo_hosts(ring->topo), sizeof(*names));
	if (!devices || !names) {
		free(devices);
		free(names);
		return span_fail(SPAN_ENOMEM, "span_ring_other: no memory for %d devices", ring->n);
	}
	name_hosts(ring->topo, names);
	fill_devices(ring, names, devices);
	if (sorted)
		qsort(devices, (size_t)ring->n, sizeof(*devices),
		      given == SPAN_RING_BY_NAME ? compare_names : compare_ranks);
	if (given == SPAN_RING_BY_RANK && !ranks_are_known(devices, ring->n))
		sorted = false;
	for (int32_t i = 0; i < ring->n; i++)
		nodes[i] = sorted ? devices[i].node : ring->sorted[i];
	free(devices);
	free(names);
	return SPAN_OK;
}
