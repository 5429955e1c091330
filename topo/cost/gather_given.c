/* What a gather costs when the ranks stand in another order than ours. */
#include "topo/cost/gather.h"

#include <stdlib.h>

#include "topo/log.h"
#include "topo/ring/ring_fabric.h"

/* The group of each rank of another order, numbered as that order meets them: node-first goes
 * from group to group by number. */
static span_status group_nodes(const span_ring *ring, const int32_t *nodes, int32_t *group)
{
	size_t n = (size_t)ring->n, all = (size_t)span_topo_nodes(ring->topo);
	int32_t *of = malloc((all + 1) * sizeof(*of)), *number = malloc(n * sizeof(*number)), met = 0;

	if (!of || !number) {
		free(of);
		free(number);
		return span_fail(SPAN_ENOMEM, "span_gather_cost_nodes: no memory");
	}
	span_ring_groups(ring, group);
	for (int32_t i = 0; i < ring->n; i++) {
		of[ring->nodes[i]] = group[i];
		number[i] = -1;
	}
	for (int32_t i = 0; i < ring->n; i++) {
		int32_t *given = &number[of[nodes[i]]];

		if (*given < 0)
			*given = met++;
		group[i] = *given;
	}
	free(of);
	free(number);
	return SPAN_OK;
}

/* A flat ring goes round exactly as the nodes stand, so it has no groups. */
static span_status walk(const span_ring *ring, const int32_t *nodes, span_order_kind kind,
                        const span_cost_network *network, const span_cost_work *work,
                        span_cost *cost)
{
	int32_t *group = malloc((size_t)ring->n * sizeof(*group));
	span_order_options options = { .size = sizeof(options), .kind = kind, .ranks = ring->n };
	span_order *order = NULL;
	span_status status = group ? group_nodes(ring, nodes, group)
	                           : span_fail(SPAN_ENOMEM, "span_gather_cost_nodes: no memory");

	if (kind != SPAN_ORDER_RING)
		options.group = group;
	if (!status)
		status = span_order_create(&options, &order);
	if (!status)
		status = span_cost_walk(order, network, work, cost);
	span_order_free(order);
	free(group);
	return status;
}

static span_status check(const span_ring *ring, const int32_t *nodes, span_order_kind kind,
                         const span_cost_work *work, const span_cost *cost)
{
	span_ring_figures figures;
	span_status status;

	if (!ring || !nodes || !cost)
		return span_fail(SPAN_EINVAL, "span_gather_cost_nodes: %s is NULL",
		                 !ring ? "ring" : !nodes ? "nodes" : "cost");
	status = cost_check_work("span_gather_cost_nodes", work);
	if (!status)
		status = span_ring_measure_nodes(ring, nodes, &figures);
	if (!status && kind != SPAN_ORDER_RING && ring->n > SPAN_GATHER_WALKED)
		return span_fail(SPAN_EUNSUPPORTED, "span_gather_cost_nodes: %s of %d ranks; up to "
		                 "%d are walked, and above that only a ring has a cost",
		                 span_order_kind_name(kind), ring->n, SPAN_GATHER_WALKED);
	return status;
}

span_status span_gather_cost_nodes(const span_ring *ring, const int32_t *nodes,
                                   span_order_kind kind, const span_cost_work *work,
                                   span_cost *cost)
{
	span_cost_network *network = NULL;
	span_status status = check(ring, nodes, kind, work, cost);

	if (status)
		return status;
	status = cost_topo_network(ring->topo, nodes, ring->n, &network);
	if (!status)
		status = ring->n <= SPAN_GATHER_WALKED
		                 ? walk(ring, nodes, kind, network, work, cost)
		                 : cost_ring_by_hop(network, work, cost);
	span_cost_network_free(network);
	return status;
}
