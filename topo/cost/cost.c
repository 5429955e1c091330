/* The network of a cluster, arguments, and the way of a message. */
#include "topo/cost/cost.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"

/* --- arguments ------------------------------------------------------------------------------ */

static bool is_positive(double value)
{
	return value > 0 && value < INFINITY;
}

static bool is_time(double value)
{
	return value >= 0 && value < INFINITY;
}

static span_status check_numbers(const char *caller, const span_cost_cluster *cluster)
{
	if (cluster->nodes < 1 || cluster->nodes > 1 << 20)
		return span_fail(SPAN_EINVAL, "%s: nodes is %d; it is from 1 to 2^20", caller,
		                 cluster->nodes);
	if (cluster->ranks_per_node < 1 || cluster->ranks_per_node > 1024)
		return span_fail(SPAN_EINVAL, "%s: ranks_per_node is %d; it is from 1 to 1024",
		                 caller, cluster->ranks_per_node);
	if (cluster->nodes > 1 &&
	    (cluster->nics < 1 || cluster->nics > cluster->ranks_per_node))
		return span_fail(SPAN_EINVAL, "%s: nics is %d; with several nodes it is from 1 to "
		                 "ranks_per_node, which is %d", caller, cluster->nics,
		                 cluster->ranks_per_node);
	if (cluster->leaf_nodes < 0)
		return span_fail(SPAN_EINVAL, "%s: leaf_nodes is %d; it is positive, or 0 for one "
		                 "switch above all", caller, cluster->leaf_nodes);
	return SPAN_OK;
}

span_status cost_check_cluster(const char *caller, const span_cost_cluster *cluster)
{
	span_status status;

	if (!cluster)
		return span_fail(SPAN_EINVAL, "%s: cluster is NULL", caller);
	if (cluster->size != sizeof(*cluster))
		return span_fail(SPAN_EINVAL, "%s: size is %zu; this library knows "
		                 "span_cost_cluster of %zu bytes", caller, cluster->size,
		                 sizeof(*cluster));
	status = check_numbers(caller, cluster);
	if (status)
		return status;
	if (!is_positive(cluster->intra_bandwidth) && cluster->ranks_per_node > 1)
		return span_fail(SPAN_EINVAL, "%s: intra_bandwidth is %g; it is positive bytes a "
		                 "second", caller, cluster->intra_bandwidth);
	if (!is_positive(cluster->nic_bandwidth) && cluster->nodes > 1)
		return span_fail(SPAN_EINVAL, "%s: nic_bandwidth is %g; it is positive bytes a "
		                 "second", caller, cluster->nic_bandwidth);
	if (!is_time(cluster->intra_latency) || !is_time(cluster->nic_latency))
		return span_fail(SPAN_EINVAL, "%s: latencies are %g and %g; they are seconds from 0 "
		                 "on", caller, cluster->intra_latency, cluster->nic_latency);
	if (cluster->oversubscription != 0 && !(cluster->oversubscription >= 1 &&
	                                        cluster->oversubscription < INFINITY))
		return span_fail(SPAN_EINVAL, "%s: oversubscription is %g; it is at least 1, or 0 "
		                 "for 1", caller, cluster->oversubscription);
	return SPAN_OK;
}

span_status cost_check_work(const char *caller, const span_cost_work *work)
{
	if (!work)
		return span_fail(SPAN_EINVAL, "%s: work is NULL", caller);
	if (work->size != sizeof(*work))
		return span_fail(SPAN_EINVAL, "%s: size is %zu; this library knows span_cost_work "
		                 "of %zu bytes", caller, work->size, sizeof(*work));
	if (!is_positive(work->block_bytes))
		return span_fail(SPAN_EINVAL, "%s: block_bytes is %g; a message has some bytes",
		                 caller, work->block_bytes);
	if (!is_time(work->compute))
		return span_fail(SPAN_EINVAL, "%s: compute is %g; it is seconds from 0 on", caller,
		                 work->compute);
	return SPAN_OK;
}

/* --- a cluster as links ---------------------------------------------------------------------- */

static int32_t leaves(const span_cost_cluster *cluster)
{
	int32_t nodes = cost_leaf_nodes(cluster);

	return (cluster->nodes + nodes - 1) / nodes;
}

/* Put each rank on its node, and count it there. */
static span_status place_ranks(struct span_cost_network *network, const int32_t *node)
{
	int32_t most = network->cluster.ranks_per_node;
	int32_t *used = calloc((size_t)network->cluster.nodes, sizeof(*used));
	span_status status = SPAN_OK;

	if (!used)
		return span_fail(SPAN_ENOMEM, "span_cost: no memory for %d nodes",
		                 network->cluster.nodes);
	for (int32_t rank = 0; !status && rank < network->ranks; rank++) {
		int32_t at = node ? node[rank] : rank / most;

		if (at < 0 || at >= network->cluster.nodes)
			status = span_fail(SPAN_EINVAL, "span_cost_cluster_network: node[%d] is %d; "
			                   "nodes are from 0 to %d", rank, at,
			                   network->cluster.nodes - 1);
		else if (used[at] == most)
			status = span_fail(SPAN_EINVAL, "span_cost_cluster_network: more than %d "
			                   "ranks on node %d", most, at);
		else
			network->local[rank] = used[at]++;
		network->node[rank] = at;
	}
	free(used);
	return status;
}

static void fill(double *bandwidth, int32_t n, double value)
{
	for (int32_t i = 0; i < n; i++)
		bandwidth[i] = value;
}

static void fill_bandwidths(struct span_cost_network *network)
{
	const span_cost_cluster *cluster = &network->cluster;
	int32_t ports = 2 * network->ranks, nics = 2 * cluster->nodes * cluster->nics;
	int32_t n = leaves(cluster), nodes = cost_leaf_nodes(cluster);
	double *bandwidth = network->bandwidth;

	/* A node of one rank need not say what its port has. */
	fill(bandwidth, ports, cluster->intra_bandwidth > 0 ? cluster->intra_bandwidth : INFINITY);
	fill(bandwidth + ports, nics, cluster->nic_bandwidth);
	for (int32_t leaf = 0; leaf < n; leaf++) {
		int32_t below = leaf < n - 1 ? nodes : cluster->nodes - leaf * nodes;
		double up = n > 1 ? cost_leaf_bandwidth(cluster, below) : INFINITY;

		bandwidth[ports + nics + leaf] = bandwidth[ports + nics + n + leaf] = up;
	}
}

span_status span_cost_cluster_network(const span_cost_cluster *cluster, const int32_t *node,
                                      span_cost_network **result)
{
	const char *me = "span_cost_cluster_network";
	span_status status = cost_check_cluster(me, cluster);
	span_cost_network *network;
	int64_t ranks;

	if (status)
		return status;
	if (!result)
		return span_fail(SPAN_EINVAL, "%s: network is NULL", me);
	ranks = (int64_t)cluster->nodes * cluster->ranks_per_node;
	if (ranks > SPAN_ORDER_MAX_RANKS)
		return span_fail(SPAN_EINVAL, "%s: %lld ranks; an order has up to %d, closed forms "
		                 "any number", me, (long long)ranks, SPAN_ORDER_MAX_RANKS);
	network = calloc(1, sizeof(*network));
	if (!network)
		return span_fail(SPAN_ENOMEM, "%s: no memory", me);
	network->cluster = *cluster;
	network->ranks = (int32_t)ranks;
	network->n_links = 2 * (network->ranks + cluster->nodes * cluster->nics + leaves(cluster));
	network->bandwidth = malloc((size_t)network->n_links * sizeof(double));
	network->node = malloc((size_t)ranks * sizeof(int32_t));
	network->local = malloc((size_t)ranks * sizeof(int32_t));
	status = SPAN_ENOMEM;
	if (network->bandwidth && network->node && network->local)
		status = place_ranks(network, node);
	else
		span_fail(status, "%s: no memory for %d ranks", me, network->ranks);
	if (status) {
		span_cost_network_free(network);
		return status;
	}
	fill_bandwidths(network);
	*result = network;
	return SPAN_OK;
}

void span_cost_network_free(span_cost_network *network)
{
	if (!network)
		return;
	free(network->bandwidth);
	free(network->node);
	free(network->local);
	free(network->device);
	cost_topo_links_free(network->topo_links);
	free(network);
}

/* --- ways ------------------------------------------------------------------------------------- */

static void add_link(struct cost_route *route, int32_t link)
{
	route->links[route->n++] = link;
}

static int32_t nic_of(const struct span_cost_network *network, int32_t rank)
{
	const span_cost_cluster *cluster = &network->cluster;

	return network->node[rank] * cluster->nics +
	       network->local[rank] * cluster->nics / cluster->ranks_per_node;
}

static void find_cluster_route(const struct span_cost_network *network, int32_t from, int32_t to,
                               struct cost_route *route)
{
	const span_cost_cluster *cluster = &network->cluster;
	int32_t nics = 2 * network->ranks, up = nics + 2 * cluster->nodes * cluster->nics;
	int32_t here = network->node[from], there = network->node[to];
	int32_t per_leaf = cost_leaf_nodes(cluster);
	bool inside = here == there;

	route->n = 0;
	route->latency = inside ? cluster->intra_latency : cluster->nic_latency;
	if (inside || cluster->shared_port) {
		add_link(route, from);
		add_link(route, network->ranks + to);
	}
	if (inside)
		return;
	add_link(route, nics + nic_of(network, from));
	add_link(route, nics + cluster->nodes * cluster->nics + nic_of(network, to));
	if (here / per_leaf != there / per_leaf) {
		add_link(route, up + here / per_leaf);
		add_link(route, up + leaves(cluster) + there / per_leaf);
	}
}

span_status cost_find_route(const struct span_cost_network *network, int32_t from, int32_t to,
                            struct cost_route *route)
{
	if (network->topo)
		return cost_topo_route(network, from, to, route);
	find_cluster_route(network, from, to, route);
	return SPAN_OK;
}
