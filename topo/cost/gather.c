/* The cost of each kind of gather order, and which is taken. */
#include "topo/cost/gather.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "topo/log.h"
#include "topo/ring/ring_fabric.h"

/* How much cheaper than what comes before it in the list a kind must be. The model is within 5%
 * of a simulator, mostly within 1%; an all-gather holds every block at once, which is what
 * sequence parallelism is there to avoid. */
static double needed_gain(span_order_kind kind)
{
	return kind == SPAN_ORDER_ALL_GATHER ? 0.10 : 0.02;
}

/* In the order in which they are preferred: 2, 4, 2 and P - 1 buffers; a pairwise order has
 * every rank speak to every other. */
static const span_order_kind kinds[] = { SPAN_ORDER_RING, SPAN_ORDER_NODE_FIRST,
	                                 SPAN_ORDER_PAIRWISE, SPAN_ORDER_ALL_GATHER };

enum { KINDS = sizeof(kinds) / sizeof(*kinds) };

/* --- costs -------------------------------------------------------------------------------- */

static void add(span_gather_choice *choice, span_order_kind kind, int32_t rings, span_cost cost)
{
	assert(choice->n < SPAN_GATHER_CANDIDATES);
	choice->candidate[choice->n++] = (span_gather_candidate){ kind, rings, rings == 1, cost };
}

/* One group has nothing that could go first. */
static bool applies(span_order_kind kind, int32_t groups)
{
	return kind != SPAN_ORDER_NODE_FIRST || groups > 1;
}

static span_status cost_closed(const span_cost_cluster *cluster, const span_cost_work *work,
                               span_gather_choice *choice)
{
	for (int i = 0; i < KINDS; i++) {
		span_cost cost;
		span_status status = span_cost_closed(kinds[i], cluster, work, &cost);

		if (status)
			return status;
		if (applies(kinds[i], cluster->nodes))
			add(choice, kinds[i], 1, cost);
	}
	return SPAN_OK;
}

/* A ring for each NIC. */
static span_status cost_rings(const span_cost_cluster *cluster, int32_t rings,
                              const span_cost_work *work, span_gather_choice *choice)
{
	span_cost cost;
	span_status status;

	if (rings < 2)
		return SPAN_OK;
	status = span_cost_rings(rings, cluster, work, &cost);
	if (!status)
		add(choice, SPAN_ORDER_RING, rings, cost);
	return status;
}

/* --- the choice ----------------------------------------------------------------------------- */

static const span_gather_candidate *choose(const span_gather_choice *choice)
{
	const span_gather_candidate *best = NULL;

	for (int32_t i = 0; i < choice->n; i++) {
		const span_gather_candidate *candidate = &choice->candidate[i];

		if (!candidate->offered)
			continue;
		if (!best || candidate->cost.seconds <
		                     best->cost.seconds * (1 - needed_gain(candidate->kind)))
			best = candidate;
	}
	return best;
}

/* Whether node-first would be the choice over ring for blocks of so many bytes. */
static bool node_first_gains(const span_cost_cluster *cluster, span_cost_work work, double bytes)
{
	span_cost ring, node_first;

	work.block_bytes = bytes;
	span_cost_closed(SPAN_ORDER_RING, cluster, &work, &ring);
	span_cost_closed(SPAN_ORDER_NODE_FIRST, cluster, &work, &node_first);
	return node_first.seconds < ring.seconds * (1 - needed_gain(SPAN_ORDER_NODE_FIRST));
}

/* The least size from 1 byte to 1 TiB at which it gains: first by powers of two. */
static double find_crossover(const span_cost_cluster *cluster, const span_cost_work *work)
{
	double low = 0, high = 1;

	if (cluster->nodes < 2)
		return INFINITY;
	while (high <= 0x1p40 && !node_first_gains(cluster, *work, high)) {
		low = high;
		high *= 2;
	}
	if (high > 0x1p40)
		return INFINITY;
	while (low > 0 && high - low > 1e-3 * high) {
		double middle = low + (high - low) / 2;

		if (node_first_gains(cluster, *work, middle))
			high = middle;
		else
			low = middle;
	}
	return low > 0 ? high : 0;
}

static void decide(const span_cost_cluster *cluster, const span_cost_work *work,
                   const char *device, span_gather_choice *choice)
{
	const span_gather_candidate *best = choose(choice);

	choice->kind = best->kind;
	choice->seconds = best->cost.seconds;
	choice->crossover = find_crossover(cluster, work);
	gather_reason(cluster, work, choice, best, device);
}

span_status span_gather_choose(const span_cost_cluster *cluster, const span_cost_work *work,
                               span_gather_choice *result)
{
	span_gather_choice choice = { 0 };
	span_status status;

	if (!result)
		return span_fail(SPAN_EINVAL, "span_gather_choose: choice is NULL");
	status = cost_closed(cluster, work, &choice);
	if (!status)
		status = cost_rings(cluster, cluster->nics, work, &choice);
	if (status)
		return status;
	decide(cluster, work, "rank", &choice);
	*result = choice;
	return SPAN_OK;
}

/* --- a topology ------------------------------------------------------------------------------ */

static span_status walk_kind(const span_ring *ring, const int32_t *group,
                             const span_cost_network *network, span_order_kind kind,
                             const span_cost_work *work, span_cost *cost)
{
	span_order_options options = { .size = sizeof(options), .kind = kind, .ranks = ring->n,
		                       .group = group };
	span_order *order;
	span_status status = span_order_create(&options, &order);

	if (status)
		return status;
	status = span_cost_walk(order, network, work, cost);
	span_order_free(order);
	return status;
}

static span_status cost_walks(const span_ring *ring, const span_cost_work *work,
                              span_gather_choice *choice)
{
	int32_t *group = malloc((size_t)ring->n * sizeof(*group)), groups;
	span_cost_network *network = NULL;
	span_status status = SPAN_OK;

	if (!group)
		return span_fail(SPAN_ENOMEM, "span_gather_choose_ring: no memory");
	groups = span_ring_groups(ring, group);
	status = span_cost_topo_network(ring->topo, ring->nodes, ring->n, &network);
	for (int i = 0; !status && i < KINDS; i++) {
		span_cost cost;

		if (!applies(kinds[i], groups))
			continue;
		status = walk_kind(ring, group, network, kinds[i], work, &cost);
		if (!status)
			add(choice, kinds[i], 1, cost);
	}
	span_cost_network_free(network);
	free(group);
	return status;
}

/* Rings side by side: over the lanes of one machine, where they are wider together than the
 * best single one; over the NICs of several. */
static span_status cost_several(const span_ring *ring, const span_cost_cluster *cluster,
                                const span_cost_work *work, span_gather_choice *choice)
{
	enum { MOST = 16 };
	span_cost_cluster wider = *cluster;
	int32_t *nodes, found = 0;
	double bandwidth = 0;
	span_status status;

	if (cluster->nodes > 1)
		return cost_rings(cluster, cluster->nics, work, choice);
	nodes = malloc((size_t)MOST * (size_t)ring->n * sizeof(*nodes));
	if (!nodes)
		return span_fail(SPAN_ENOMEM, "span_gather_choose_ring: no memory");
	status = span_ring_lanes(ring, MOST, nodes, &found, &bandwidth);
	free(nodes);
	if (status || found * bandwidth <= cluster->intra_bandwidth)
		return status;
	wider.intra_bandwidth = found * bandwidth;
	return cost_rings(&wider, found < ring->n ? found : ring->n, work, choice);
}

span_status span_gather_choose_ring(const span_ring *ring, const span_cost_work *work,
                                    span_gather_choice *result)
{
	span_gather_choice choice = { 0 };
	span_cost_cluster cluster;
	span_status status;

	if (!ring || !result)
		return span_fail(SPAN_EINVAL, "span_gather_choose_ring: %s is NULL",
		                 ring ? "choice" : "ring");
	status = cost_check_work("span_gather_choose_ring", work);
	if (!status && ring->report.best.missing > 0) {
		choice.kind = SPAN_ORDER_RING;
		choice.crossover = INFINITY;
		gather_reason_unknown(ring->report.best.missing, &choice);
		*result = choice;
		return SPAN_OK;
	}
	if (!status)
		status = span_gather_cluster(ring, &cluster);
	if (!status)
		status = ring->n <= SPAN_GATHER_WALKED ? cost_walks(ring, work, &choice)
		                           : cost_closed(&cluster, work, &choice);
	if (!status)
		status = cost_several(ring, &cluster, work, &choice);
	if (status)
		return status;
	decide(&cluster, work, ring->kind == SPAN_NODE_GPU ? "GPU" : "NUMA node", &choice);
	*result = choice;
	return SPAN_OK;
}
