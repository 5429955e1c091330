/* One ring through a whole topology: machines one after another as the fabric's tree has
 * them. */
#include "topo/ring/ring_fabric.h"

#include <math.h>
#include <stdlib.h>

#include "topo/log.h"
#include "topo/ring/ring.h"

/* --- the walk through the fabric ------------------------------------------------------------ */

/* Number switches as a walk in depth meets them: a switch, then what is below its first child,
 * and so on. A parent has a lower number than its children. */
static span_status number_switches(const span_topo *topo, int32_t *visit)
{
	int32_t n = topo->n_switches, *size = calloc((size_t)n + 1, sizeof(*size));
	int32_t *used = calloc((size_t)n + 1, sizeof(*used)), roots = 0;

	if (!size || !used) {
		free(size);
		free(used);
		return span_fail(SPAN_ENOMEM, "ring: no memory for %d switches", n);
	}
	for (int32_t i = n - 1; i >= 0; i--) {
		size[i]++;
		if (topo->switches[i].parent >= 0)
			size[topo->switches[i].parent] += size[i];
	}
	for (int32_t i = 0; i < n; i++) {
		int32_t parent = topo->switches[i].parent;

		visit[i] = parent < 0 ? roots : visit[parent] + 1 + used[parent];
		if (parent < 0)
			roots += size[i];
		else
			used[parent] += size[i];
	}
	free(size);
	free(used);
	return SPAN_OK;
}

struct stop {
	int32_t visit, place;
};

static int compare_stops(const void *left, const void *right)
{
	const struct stop *a = left, *b = right;

	if (a->visit != b->visit)
		return a->visit < b->visit ? -1 : 1;
	return a->place < b->place ? -1 : a->place > b->place;
}

/* The places in the order of the walk. */
static span_status order_places(const span_topo *topo, int32_t *places)
{
	struct stop *stops = malloc(((size_t)topo->n_places + 1) * sizeof(*stops));
	int32_t *visit = malloc(((size_t)topo->n_switches + 1) * sizeof(*visit));
	span_status status = SPAN_ENOMEM;

	if (stops && visit)
		status = number_switches(topo, visit);
	else
		span_fail(status, "ring: no memory for %d hosts", topo->n_places);
	for (int32_t i = 0; !status && i < topo->n_places; i++)
		stops[i] = (struct stop){ topo->places[i].leaf < 0
			                          ? -1
			                          : visit[topo->places[i].leaf],
			                  i };
	if (!status) {
		qsort(stops, (size_t)topo->n_places, sizeof(*stops), compare_stops);
		for (int32_t i = 0; i < topo->n_places; i++)
			places[i] = stops[i].place;
	}
	free(stops);
	free(visit);
	return status;
}

/* --- all together --------------------------------------------------------------------------- */

static void free_stretches(struct ring_stretch *stretches, int32_t n)
{
	for (int32_t i = 0; stretches && i < n; i++)
		free(stretches[i].nodes);
	free(stretches);
}

static bool has_kind(const span_topo *topo, span_node_kind kind)
{
	for (int32_t i = 0; i < topo->n_machines; i++)
		if (ring_list_devices(topo->machines[i], kind, NULL))
			return true;
	return false;
}

static span_status join_stretches(struct span_ring *ring, const int32_t *places,
                                  const struct ring_stretch *stretches)
{
	const span_topo *topo = ring->topo;
	int64_t total = 0;

	for (int32_t i = 0; i < topo->n_places; i++)
		total += stretches[topo->places[i].machine].n;
	ring->nodes = malloc(((size_t)total + 1) * sizeof(*ring->nodes));
	if (!ring->nodes)
		return span_fail(SPAN_ENOMEM, "ring: no memory for the order");
	for (int32_t i = 0; i < topo->n_places; i++) {
		const struct place *place = &topo->places[places[i]];
		const struct ring_stretch *stretch = &stretches[place->machine];

		for (int32_t d = 0; d < stretch->n; d++)
			ring->nodes[ring->n++] = place->first_node + stretch->nodes[d];
	}
	return SPAN_OK;
}

static span_status build(struct span_ring *ring)
{
	const span_topo *topo = ring->topo;
	struct ring_stretch *stretches = calloc((size_t)topo->n_machines + 1, sizeof(*stretches));
	int32_t *places = malloc(((size_t)topo->n_places + 1) * sizeof(*places));
	span_status status = SPAN_ENOMEM;

	if (stretches && places)
		status = order_places(topo, places);
	else
		span_fail(status, "ring: no memory for %d hosts", topo->n_places);
	for (int32_t i = 0; !status && i < topo->n_machines; i++)
		status = ring_go_through(topo->machines[i], ring->kind, topo->n_places > 1,
		                    &stretches[i]);
	if (!status)
		status = join_stretches(ring, places, stretches);
	if (!status && topo->n_places == 1)
		ring->report.bound = stretches[topo->places[0].machine].bound;
	free_stretches(stretches, topo->n_machines);
	free(places);
	return status;
}

/* The uplinks that some neighbours have to use: those with hosts on both of their sides. */
static double bound_of_fabric(const span_topo *topo)
{
	int32_t *below = calloc((size_t)topo->n_switches + 1, sizeof(*below));
	double bound = INFINITY;

	for (int32_t i = 0; below && i < topo->n_places; i++)
		if (topo->places[i].leaf >= 0)
			below[topo->places[i].leaf]++;
	for (int32_t i = topo->n_switches - 1; below && i >= 0; i--) {
		const struct fabric_switch *fabric = &topo->switches[i];

		if (fabric->parent >= 0)
			below[fabric->parent] += below[i];
		if (below[i] && below[i] < topo->n_places && fabric->up_bandwidth > 0)
			bound = fmin(bound, fabric->up_bandwidth / fabric->rails);
	}
	free(below);
	return bound;
}

static void find_bound(struct span_ring *ring)
{
	const span_topo *topo = ring->topo;
	double bound = bound_of_fabric(topo);

	for (int32_t i = 0; i < topo->n_machines; i++)
		bound = fmin(bound, ring_bound_of_machine(topo->machines[i], ring->kind));
	ring->report.bound = bound < INFINITY ? bound : 0;
}

span_status span_ring_create(const span_topo *topo, span_ring **result)
{
	struct span_ring *ring;
	span_status status;

	if (!topo || !result)
		return span_fail(SPAN_EINVAL, "span_ring_create: %s is NULL",
		                 topo ? "ring" : "topo");
	ring = calloc(1, sizeof(*ring));
	if (!ring)
		return span_fail(SPAN_ENOMEM, "span_ring_create: no memory");
	ring->topo = topo;
	ring->kind = has_kind(topo, SPAN_NODE_GPU) ? SPAN_NODE_GPU : SPAN_NODE_CPU;
	status = build(ring);
	if (!status && !ring->n)
		status = span_fail(SPAN_EUNSUPPORTED, "%s: no GPU and no NUMA node in it, so there "
		                   "is nothing to order", span_topo_source_name(topo));
	if (!status)
		status = ring_measure_all(ring);
	if (status) {
		span_ring_free(ring);
		return status;
	}
	if (topo->n_places > 1)
		find_bound(ring);
	ring->report.exact = topo->n_places == 1 && ring->n <= RING_EXACT_MOST;
	if (ring->report.exact)
		ring->report.bound = ring->report.best.bottleneck;
	*result = ring;
	return SPAN_OK;
}

void span_ring_free(span_ring *ring)
{
	if (!ring)
		return;
	free(ring->nodes);
	free(ring->sorted);
	free(ring);
}
