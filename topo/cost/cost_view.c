/* What one rank's messages share, by max-min fairness. */
#include "topo/cost/cost_view.h"

#include <math.h>

static int32_t ceil_div(int32_t a, int32_t b)
{
	return (a + b - 1) / b;
}

int64_t cost_ranks(const span_cost_cluster *cluster)
{
	return (int64_t)cluster->nodes * cluster->ranks_per_node;
}

int32_t cost_ranks_of_nic(const span_cost_cluster *cluster)
{
	return cluster->nics > 0 ? ceil_div(cluster->ranks_per_node, cluster->nics) : 1;
}

bool cost_has_leaves(const span_cost_cluster *cluster)
{
	return cost_leaf_nodes(cluster) < cluster->nodes;
}

int32_t cost_least_leaf(const span_cost_cluster *cluster)
{
	int32_t nodes = cost_leaf_nodes(cluster), rest = cluster->nodes % nodes;

	return rest ? rest : nodes;
}

struct cost_view cost_view_of(const span_cost_cluster *cluster, double ranks_a_nic,
                           double ranks_a_leaf)
{
	double port = cluster->intra_bandwidth > 0 ? cluster->intra_bandwidth : INFINITY;
	struct cost_view view = {
		.cluster = cluster,
		.limit = { port, INFINITY, INFINITY },
		.latency = { cluster->intra_latency, cluster->nic_latency, cluster->nic_latency },
		.takes = { { true, false, false }, { false, true, false }, { false, true, true } },
	};

	if (cluster->nodes > 1)
		view.limit[NIC] = cluster->nic_bandwidth / ranks_a_nic;
	if (cost_has_leaves(cluster))
		view.limit[UPLINK] = cost_leaf_bandwidth(cluster, cost_least_leaf(cluster)) /
		                     ranks_a_leaf;
	view.takes[NEAR][PORT] = view.takes[FAR][PORT] = cluster->shared_port != 0;
	return view;
}

struct cost_view cost_full_view(const span_cost_cluster *cluster)
{
	return cost_view_of(cluster, cost_ranks_of_nic(cluster),
	               (double)cost_least_leaf(cluster) * cluster->ranks_per_node);
}

/* The share that each message of a limit's unfixed kinds could have. */
static double share_of(const struct cost_view *view, const struct cost_load *load, int limit,
                       const double *rate)
{
	double left = view->limit[limit], takers = 0;

	for (int kind = 0; kind < KINDS; kind++) {
		if (!view->takes[kind][limit] || load->left[kind] <= 0)
			continue;
		if (rate[kind] >= 0)
			left -= load->count[kind] * rate[kind];
		else
			takers += load->count[kind];
	}
	return takers > 0 ? fmax(0, left) / takers : INFINITY;
}

/* Max-min rates of one message of each kind: the tightest limit first. */
static void find_rates(const struct cost_view *view, const struct cost_load *load, double *rate)
{
	for (int kind = 0; kind < KINDS; kind++)
		rate[kind] = load->count[kind] > 0 && load->left[kind] > 0 ? -1 : 0;
	for (int round = 0; round < LIMITS; round++) {
		double least = INFINITY;
		int tightest = -1;

		for (int limit = 0; limit < LIMITS; limit++) {
			double share = share_of(view, load, limit, rate);

			if (share < least) {
				least = share;
				tightest = limit;
			}
		}
		for (int kind = 0; tightest >= 0 && kind < KINDS; kind++)
			if (rate[kind] < 0 && view->takes[kind][tightest])
				rate[kind] = least;
	}
	for (int kind = 0; kind < KINDS; kind++)
		if (rate[kind] < 0)
			rate[kind] = INFINITY;
}

double cost_view_pass(const struct cost_view *view, struct cost_load *load, double most)
{
	double rate[KINDS], seconds = most;
	bool active[KINDS];

	find_rates(view, load, rate);
	for (int kind = 0; kind < KINDS; kind++) {
		active[kind] = load->count[kind] > 0 && load->left[kind] > 0;
		if (active[kind])
			seconds = fmin(seconds, load->left[kind] / rate[kind]);
	}
	for (int kind = 0; kind < KINDS; kind++) {
		if (!active[kind])
			continue;
		if (load->left[kind] <= rate[kind] * seconds * (1 + 1e-11))
			load->left[kind] = 0;
		else
			load->left[kind] -= rate[kind] * seconds;
	}
	return seconds;
}
