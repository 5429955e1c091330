/* What the walk of a dense order over a cluster of equal nodes comes to, from the view of one
 * rank: one function for each kind of order. */
#include "topo/cost/cost_view.h"

#include <math.h>

#include "topo/log.h"

static void finish(const span_cost_cluster *cluster, const span_cost_work *work, double seconds,
                   span_cost *cost)
{
	double compute = (double)cost_ranks(cluster) * work->compute;

	*cost = (span_cost){ .compute = compute };
	cost->seconds = work->gather_first ? seconds + compute : seconds;
	cost->exposed = fmax(0, cost->seconds - compute);
}

/* The compute of a step, as far as it is not all left to the end. */
static double step_compute(const span_cost_work *work)
{
	return work->gather_first ? 0 : work->compute;
}

/* A step in which one message a rank travels and is used in the next. */
static double step(const span_cost_work *work, double transfer)
{
	double compute = step_compute(work);

	return work->stalls ? compute + transfer : fmax(compute, transfer);
}

/* --- the kinds --------------------------------------------------------------------------------- */

/* One message of a kind alone. */
static double alone(const struct cost_view *view, int kind, double bytes)
{
	double limit = INFINITY;

	for (int l = 0; l < LIMITS; l++)
		if (view->takes[kind][l])
			limit = fmin(limit, view->limit[l]);
	return view->latency[kind] + (limit < INFINITY ? bytes / limit : 0);
}

/* The slowest hop of a ring: one message leaves each node, and each leaf. */
static double ring_hop(const span_cost_cluster *cluster, double bytes)
{
	struct cost_view view = cost_view_of(cluster, 1, 1);
	double slowest = 0;

	if (cluster->ranks_per_node > 1)
		slowest = alone(&view, INSIDE, bytes);
	if (cluster->nodes > 1)
		slowest = fmax(slowest, alone(&view, cost_has_leaves(cluster) ? FAR : NEAR, bytes));
	return slowest;
}

static double ring(const span_cost_cluster *cluster, const span_cost_work *work)
{
	return (double)(cost_ranks(cluster) - 1) * step(work, ring_hop(cluster, work->block_bytes)) +
	       step_compute(work);
}

/* A phase: G blocks go round inside the node while the next G come from the node before, one
 * for each rank. Seconds; `next` says whether there are any. */
static double phase(const struct cost_view *view, const span_cost_work *work, bool next)
{
	int kind = cost_has_leaves(view->cluster) ? FAR : NEAR;
	int32_t steps = view->cluster->ranks_per_node;
	struct cost_load load = { { 0 }, { 0 } };
	double now = 0, arrival = 0;

	load.count[kind] = next;
	load.left[kind] = next ? work->block_bytes : 0;
	for (int32_t s = 0; s < steps; s++) {
		double computed = now + step_compute(work), inside = 0;

		load.count[INSIDE] = s < steps - 1;
		load.left[INSIDE] = s < steps - 1 ? work->block_bytes : 0;
		if (work->stalls)
			now = computed;
		while (load.left[INSIDE] > 0 || (s == steps - 1 && load.left[kind] > 0) ||
		       (now < computed && load.left[kind] > 0)) {
			bool waits = load.left[INSIDE] > 0 || s == steps - 1;
			bool inside_before = load.left[INSIDE] > 0, next_before = load.left[kind] > 0;

			now += cost_view_pass(view, &load, waits ? INFINITY : computed - now);
			if (inside_before && load.left[INSIDE] <= 0)
				inside = now + view->latency[INSIDE];
			if (next_before && load.left[kind] <= 0)
				arrival = now + view->latency[kind];
		}
		/* The other kind goes on while the latency of the first passes. */
		computed = fmax(computed, s == steps - 1 ? arrival : inside);
		while (now < computed && load.left[kind] > 0) {
			now += cost_view_pass(view, &load, computed - now);
			if (load.left[kind] <= 0)
				arrival = now + view->latency[kind];
		}
		now = fmax(now, computed);
	}
	return now;
}

static double node_first(const span_cost_cluster *cluster, const span_cost_work *work)
{
	/* Of a leaf's nodes the last alone sends to another leaf. */
	struct cost_view view = cost_view_of(cluster, cost_ranks_of_nic(cluster),
	                                     cluster->ranks_per_node);

	return (double)(cluster->nodes - 1) * phase(&view, work, true) + phase(&view, work, false);
}

static bool is_power_of_two(int64_t n)
{
	return (n & (n - 1)) == 0;
}

/* How far the k-th block of a rank comes: with a power of two of ranks all of them exchange
 * with the same distance; else some rank's block crosses whatever it can. */
static int kind_of_block(const span_cost_cluster *cluster, int64_t k)
{
	int32_t leaf = cost_leaf_nodes(cluster);
	bool exchange = is_power_of_two(cost_ranks(cluster));

	if (exchange && k < cluster->ranks_per_node)
		return INSIDE;
	if (exchange && is_power_of_two(leaf) && k / cluster->ranks_per_node < leaf)
		return NEAR;
	if (cost_has_leaves(cluster))
		return FAR;
	return cluster->nodes > 1 ? NEAR : INSIDE;
}

/* In step k - 1 every rank receives the block of the one k places away. */
static double pairwise_hop(const span_cost_cluster *cluster, double bytes, int64_t k)
{
	int64_t ranks = cost_ranks(cluster), near = k < ranks - k ? k : ranks - k;
	int32_t leaf = cost_least_leaf(cluster) * cluster->ranks_per_node;
	struct cost_view view;
	double slowest = 0;

	if (is_power_of_two(ranks)) {
		view = cost_full_view(cluster);
		return alone(&view, kind_of_block(cluster, k), bytes);
	}
	/* As many leave a node as its neighbour at that distance lies outside. */
	view = cost_view_of(cluster, (double)(near < cost_ranks_of_nic(cluster) ? near
	                                                              : cost_ranks_of_nic(cluster)),
	               (double)(near < leaf ? near : leaf));
	if (near < cluster->ranks_per_node)
		slowest = alone(&view, INSIDE, bytes);
	if (cluster->nodes > 1)
		slowest = fmax(slowest, alone(&view, cost_has_leaves(cluster) ? FAR : NEAR, bytes));
	return slowest;
}

static double pairwise(const span_cost_cluster *cluster, const span_cost_work *work)
{
	double seconds = step_compute(work);

	for (int64_t k = 1; k < cost_ranks(cluster); k++)
		seconds += step(work, pairwise_hop(cluster, work->block_bytes, k));
	return seconds;
}

/* Everything has set out at once. The clock of the messages, `moved`, stands still while ranks
 * compute if they stall; `now` is the rank's. */
struct gathering {
	double through[KINDS]; /* by the clock of messages: when the last byte is through */
	double real[KINDS];    /* by the rank's */
	double moved, now;
};

/* By the clock of the messages. */
static void find_through(const struct cost_view *view, double bytes, double *through)
{
	const span_cost_cluster *cluster = view->cluster;
	int32_t leaf = cost_least_leaf(cluster), g = cluster->ranks_per_node;
	struct cost_load load = {
		{ g - 1, (double)(leaf - 1) * g, (double)(cluster->nodes - leaf) * g },
		{ bytes, bytes, bytes },
	};
	double now = 0;
	int left = 0;

	for (int kind = 0; kind < KINDS; kind++) {
		if (load.count[kind] <= 0)
			load.left[kind] = 0;
		left += load.left[kind] > 0;
		through[kind] = 0;
	}
	while (left > 0) {
		bool before[KINDS];

		for (int kind = 0; kind < KINDS; kind++)
			before[kind] = load.left[kind] > 0;
		now += cost_view_pass(view, &load, INFINITY);
		for (int kind = 0; kind < KINDS; kind++) {
			if (!before[kind] || load.left[kind] > 0)
				continue;
			through[kind] = now;
			left--;
		}
	}
}

/* Let messages move for some time. */
static void run(struct gathering *gathering, double seconds)
{
	for (int kind = 0; kind < KINDS; kind++) {
		double ahead = gathering->through[kind] - gathering->moved;

		if (ahead > 0 && ahead <= seconds)
			gathering->real[kind] = gathering->now + ahead;
	}
	gathering->moved += seconds;
	gathering->now += seconds;
}

static void wait_for(const struct cost_view *view, struct gathering *gathering, int kind)
{
	double arrival;

	if (gathering->through[kind] > gathering->moved)
		run(gathering, gathering->through[kind] - gathering->moved);
	arrival = gathering->real[kind] + view->latency[kind];
	if (arrival > gathering->now)
		run(gathering, arrival - gathering->now);
}

/* Blocks are used in the order of pairwise, each when it has arrived. */
static double all_gather(const span_cost_cluster *cluster, const span_cost_work *work)
{
	struct cost_view view = cost_full_view(cluster);
	struct gathering gathering = { { 0 }, { 0 }, 0, 0 };
	double compute = step_compute(work);

	find_through(&view, work->block_bytes, gathering.through);
	for (int64_t k = 0; k < cost_ranks(cluster); k++) {
		if (k > 0)
			wait_for(&view, &gathering, kind_of_block(cluster, k));
		if (work->stalls)
			gathering.now += compute;
		else
			run(&gathering, compute);
	}
	return gathering.now;
}

/* --- the public side ----------------------------------------------------------------------------- */

span_status span_cost_closed(span_order_kind kind, const span_cost_cluster *cluster,
                             const span_cost_work *work, span_cost *cost)
{
	span_status status = cost_check_cluster("span_cost_closed", cluster);

	if (!status)
		status = cost_check_work("span_cost_closed", work);
	if (status)
		return status;
	if (!cost)
		return span_fail(SPAN_EINVAL, "span_cost_closed: cost is NULL");
	switch (kind) {
	case SPAN_ORDER_RING:
		finish(cluster, work, ring(cluster, work), cost);
		return SPAN_OK;
	case SPAN_ORDER_NODE_FIRST:
		finish(cluster, work, node_first(cluster, work), cost);
		return SPAN_OK;
	case SPAN_ORDER_PAIRWISE:
		finish(cluster, work, pairwise(cluster, work), cost);
		return SPAN_OK;
	case SPAN_ORDER_ALL_GATHER:
		finish(cluster, work, all_gather(cluster, work), cost);
		return SPAN_OK;
	case SPAN_ORDER_AUTO:
		break;
	}
	return span_fail(SPAN_EINVAL, "span_cost_closed: kind is %d; it is ring, node-first, "
	                 "pairwise or all-gather", (int)kind);
}

span_status span_cost_rings(int32_t rings, const span_cost_cluster *cluster,
                            const span_cost_work *work, span_cost *cost)
{
	span_status status = cost_check_cluster("span_cost_rings", cluster);
	double inside, between, part;
	int32_t a_nic;
	struct cost_view view;

	if (!status)
		status = cost_check_work("span_cost_rings", work);
	if (status)
		return status;
	if (!cost || rings < 1 || rings > cluster->ranks_per_node)
		return span_fail(SPAN_EINVAL, "span_cost_rings: rings is %d; it is from 1 to "
		                 "ranks_per_node, which is %d, and cost is not NULL", rings,
		                 cluster->ranks_per_node);
	/* Inside a node the parts share the rank's port; between nodes each has a rank of its
	 * own, and a NIC where there are as many. */
	part = work->block_bytes / rings;
	a_nic = cluster->nics > 0 ? (rings + cluster->nics - 1) / cluster->nics : 1;
	view = cost_view_of(cluster, a_nic, rings);
	inside = cluster->ranks_per_node > 1 ? alone(&view, INSIDE, work->block_bytes) : 0;
	between = cluster->nodes > 1 ? alone(&view, cost_has_leaves(cluster) ? FAR : NEAR, part) : 0;
	finish(cluster, work,
	       (double)(cost_ranks(cluster) - 1) * step(work, fmax(inside, between)) +
	               step_compute(work),
	       cost);
	return SPAN_OK;
}
