/* Groups of devices, and the rings that their direct links hold side by side. */
#include "topo/ring/ring_fabric.h"

#include <math.h>
#include <stdlib.h>

#include "topo/log.h"

/* --- groups ------------------------------------------------------------------------------- */

static bool are_close(const span_topo *topo, int32_t a, int32_t b)
{
	span_topo_path path = { .path_class = SPAN_PATH_DIS };

	span_topo_path_between(topo, a, b, &path);
	return path.path_class < SPAN_PATH_NET;
}

/* Devices of one place stand together in the ring, so a group is looked for in its own place
 * only; its first member stands for it. */
int32_t span_ring_groups(const span_ring *ring, int32_t *group)
{
	int32_t groups = 0, begin = 0, place = -1;

	for (int32_t i = 0; i < ring->n; i++) {
		int32_t here, local, j;

		topo_locate(ring->topo, ring->nodes[i], &here, &local);
		if (here != place)
			begin = i;
		place = here;
		for (j = begin; j < i && !are_close(ring->topo, ring->nodes[j], ring->nodes[i]); j++)
			;
		group[i] = j < i ? group[j] : groups++;
	}
	return groups;
}

/* --- lanes -------------------------------------------------------------------------------- */

struct lanes {
	int32_t *count;   /* [n][n] */
	double narrowest; /* bandwidth of a lane */
};

static bool joins_gpus(const struct machine *machine, const struct graph_link *link)
{
	return (link->link_class == SPAN_LINK_NVLINK || link->link_class == SPAN_LINK_XGMI) &&
	       machine->nodes[link->from].kind == SPAN_NODE_GPU &&
	       machine->nodes[link->to].kind == SPAN_NODE_GPU;
}

/* Count the links between the devices; place_of: where a node stands in the ring. */
static void count_lanes(const struct span_ring *ring, const int32_t *place_of,
                        struct lanes *lanes)
{
	const struct machine *machine = ring->topo->machines[ring->topo->places[0].machine];

	for (int32_t i = 0; i < machine->n_links; i++) {
		const struct graph_link *link = &machine->links[i];
		double width;

		if (!joins_gpus(machine, link) || link->count < 1 || link->bandwidth <= 0)
			continue;
		width = link->bandwidth / link->count;
		lanes->narrowest = fmin(lanes->narrowest, width);
		lanes->count[(size_t)place_of[link->from] * ring->n + place_of[link->to]] +=
			link->count;
	}
}

static span_status find(const struct span_ring *ring, int32_t most, struct lanes *lanes,
                        int32_t *place_of, int32_t *nodes, int32_t *found)
{
	span_status status;

	for (int32_t i = 0; i < ring->n; i++)
		place_of[ring->nodes[i]] = i; /* one place: node numbers are the machine's */
	count_lanes(ring, place_of, lanes);
	status = span_ring_disjoint(lanes->count, ring->n, most, nodes, found);
	for (int32_t i = 0; !status && i < *found * ring->n; i++)
		nodes[i] = ring->nodes[nodes[i]];
	return status;
}

span_status span_ring_lanes(const span_ring *ring, int32_t most, int32_t *nodes, int32_t *found,
                            double *bandwidth)
{
	struct lanes lanes = { .narrowest = INFINITY };
	span_status status = SPAN_ENOMEM;
	int32_t *place_of;

	if (!ring || !nodes || !found || !bandwidth)
		return span_fail(SPAN_EINVAL, "span_ring_lanes: an argument is NULL");
	*found = 0;
	*bandwidth = 0;
	if (ring->topo->n_places != 1 || ring->n < 2 || ring->kind != SPAN_NODE_GPU)
		return SPAN_OK;
	lanes.count = calloc((size_t)ring->n * (size_t)ring->n, sizeof(*lanes.count));
	place_of = malloc((size_t)span_topo_nodes(ring->topo) * sizeof(*place_of));
	if (lanes.count && place_of)
		status = find(ring, most, &lanes, place_of, nodes, found);
	else
		span_fail(status, "span_ring_lanes: no memory for %d devices", ring->n);
	if (!status && *found)
		*bandwidth = lanes.narrowest;
	free(lanes.count);
	free(place_of);
	return status;
}
