/* The network of a topology: its links, and the links that a route takes. */
#include "topo/cost/cost.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "topo/graph/graph.h"
#include "topo/log.h"

/* Links by their ends, in open addressing. Of several between the same two nodes it is the
 * widest, which a route takes. */
struct cost_topo_links {
	uint32_t size;        /* a power of two, more than twice as many as there are links */
	int32_t *from, *to;   /* [size] from: -1: free */
	double *bandwidth;    /* [size] INFINITY: unknown, no limit; given to the network */
};

/* On a flat network, which has no switches to go through, a NIC's port stands for the link:
 * one out and one in, to and from no node. */
#define FLAT (-2)

void cost_topo_links_free(struct cost_topo_links *links)
{
	if (!links)
		return;
	free(links->from);
	free(links->to);
	free(links->bandwidth);
	free(links);
}

static uint32_t slot_of(const struct cost_topo_links *links, int32_t from, int32_t to)
{
	uint64_t key = (uint64_t)(uint32_t)from << 32 | (uint32_t)to;
	uint32_t slot = (uint32_t)(key * 0x9e3779b97f4a7c15u >> 33) & (links->size - 1);

	while (links->from[slot] != -1 && (links->from[slot] != from || links->to[slot] != to))
		slot = (slot + 1) & (links->size - 1);
	return slot;
}

static void put(struct cost_topo_links *links, int32_t from, int32_t to, double bandwidth)
{
	uint32_t slot = slot_of(links, from, to);
	bool known = links->from[slot] != -1;

	if (!(bandwidth > 0))
		bandwidth = INFINITY;
	links->bandwidth[slot] = known ? fmax(links->bandwidth[slot], bandwidth) : bandwidth;
	links->from[slot] = from;
	links->to[slot] = to;
}

/* A leaf that stands for several has uplinks of each: to and from an end of this number. */
static int32_t rail_end(int32_t leaf, int32_t rail)
{
	return FLAT - 1 - (leaf * GRAPH_MAX_RAILS + rail);
}

static double line_rate(const span_topo *topo, int32_t node)
{
	int32_t place, local;
	const struct machine *machine = topo_locate(topo, node, &place, &local);

	return machine->nodes[local].speed;
}

static void fill_rails(const span_topo *topo, struct cost_topo_links *links)
{
	int32_t first = span_topo_nodes(topo) - topo->n_switches;

	for (int32_t i = 0; i < topo->n_switches; i++) {
		const struct fabric_switch *leaf = &topo->switches[i];

		for (int32_t k = 0; leaf->parent >= 0 && leaf->rails > 1 && k < leaf->rails; k++) {
			put(links, rail_end(i, k), first + leaf->parent,
			    leaf->up_bandwidth / leaf->rails);
			put(links, first + leaf->parent, rail_end(i, k),
			    leaf->up_bandwidth / leaf->rails);
		}
	}
}

static int64_t count_rails(const span_topo *topo)
{
	int64_t rails = 0;

	for (int32_t i = 0; i < topo->n_switches; i++)
		rails += topo->switches[i].rails;
	return rails;
}

static void fill_links(const span_topo *topo, int32_t nics, const int32_t *nic,
                       struct cost_topo_links *links)
{
	int32_t n = span_topo_links(topo);

	for (int32_t i = 0; i < n; i++) {
		span_topo_link link;

		span_topo_link_at(topo, i, &link);
		put(links, link.from, link.to, link.bandwidth);
	}
	fill_rails(topo, links);
	for (int32_t i = 0; i < nics; i++) {
		put(links, nic[i], FLAT, line_rate(topo, nic[i]));
		put(links, FLAT, nic[i], line_rate(topo, nic[i]));
	}
}

static span_status create_links(const span_topo *topo, struct cost_topo_links **result)
{
	struct cost_topo_links *links = calloc(1, sizeof(*links));
	int32_t nics = span_topo_devices(topo, SPAN_NODE_NIC, -1, NULL, 0);
	int32_t *nic = malloc(((size_t)nics + 1) * sizeof(*nic));
	size_t wanted = 2 * ((size_t)span_topo_links(topo) + 2 * (size_t)nics) +
	                4 * (size_t)count_rails(topo) + 16;
	size_t size = 16;

	while (size < wanted)
		size *= 2;
	if (links && nic && size <= INT32_MAX) {
		links->size = (uint32_t)size;
		links->from = malloc(size * sizeof(int32_t));
		links->to = malloc(size * sizeof(int32_t));
		links->bandwidth = malloc(size * sizeof(double));
	}
	if (!links || !links->from || !links->to || !links->bandwidth) {
		cost_topo_links_free(links);
		free(nic);
		return span_fail(SPAN_ENOMEM, "span_cost_topo_network: no memory for the links of "
		                 "%s", span_topo_source_name(topo));
	}
	memset(links->from, 0xff, size * sizeof(int32_t));
	span_topo_devices(topo, SPAN_NODE_NIC, -1, nic, nics);
	fill_links(topo, nics, nic, links);
	free(nic);
	*result = links;
	return SPAN_OK;
}

/* What node `at` of a route is to its link with the switch `next` there: itself, or one of the
 * leaves that it stands for, that of the NIC on its other side. */
static int32_t end_towards(const span_topo *topo, const int32_t *nodes, int32_t n, int32_t at,
                           int32_t next)
{
	int32_t first = span_topo_nodes(topo) - topo->n_switches, nic = 2 * at - next, place, local;
	const struct machine *machine = NULL;
	const struct fabric_switch *leaf;

	if (nodes[at] < first || nodes[next] < first || nic < 0 || nic >= n)
		return nodes[at];
	leaf = &topo->switches[nodes[at] - first];
	if (leaf->rails == 1 || leaf->parent != nodes[next] - first)
		return nodes[at];
	machine = topo_locate(topo, nodes[nic], &place, &local);
	return rail_end(nodes[at] - first,
	                machine ? graph_rail(leaf, &machine->nodes[local]) : 0);
}

/* Add the link between two nodes of a route; where there is none it is the flat network. */
static void add_hop(const struct cost_topo_links *links, int32_t from, int32_t to,
                    struct cost_route *route)
{
	const int32_t flat[2][2] = { { from, FLAT }, { FLAT, to } };
	uint32_t slot = slot_of(links, from, to);

	if (links->from[slot] != -1) {
		route->links[route->n++] = (int32_t)slot;
		return;
	}
	for (int i = 0; i < 2; i++) {
		slot = slot_of(links, flat[i][0], flat[i][1]);
		if (links->from[slot] != -1)
			route->links[route->n++] = (int32_t)slot;
	}
}

span_status cost_topo_route(const struct span_cost_network *network, int32_t from, int32_t to,
                            struct cost_route *route)
{
	int32_t a = network->device[from], b = network->device[to];
	int32_t nodes[COST_HOPS], n;
	span_topo_path path = { 0 };

	*route = (struct cost_route){ 0 };
	if (a == b)
		return SPAN_OK;
	n = span_topo_route(network->topo, a, b, nodes, COST_HOPS);
	if (n == 0 || n >= COST_HOPS) {
		span_topo_node here, there;

		span_topo_node_at(network->topo, a, &here);
		span_topo_node_at(network->topo, b, &there);
		return span_fail(SPAN_EUNSUPPORTED, "span_cost_walk: %s from %s to %s",
		                 n ? "too many links" : "no path", here.id, there.id);
	}
	span_topo_path_between(network->topo, a, b, &path);
	route->latency = path.latency;
	for (int32_t i = 0; i + 1 < n; i++)
		add_hop(network->topo_links, end_towards(network->topo, nodes, n, i, i + 1),
		        end_towards(network->topo, nodes, n, i + 1, i), route);
	return SPAN_OK;
}

static span_status check(const span_topo *topo, const int32_t *device, int32_t ranks)
{
	for (int32_t i = 0; i < ranks; i++) {
		span_topo_node node = { .kind = SPAN_NODE_FABRIC };

		if (device[i] >= 0 && device[i] < span_topo_nodes(topo))
			span_topo_node_at(topo, device[i], &node);
		if (node.kind != SPAN_NODE_GPU && node.kind != SPAN_NODE_CPU)
			return span_fail(SPAN_EINVAL, "span_cost_topo_network: device[%d] is %d, which "
			                 "is neither a GPU nor a CPU of %s", i, device[i],
			                 span_topo_source_name(topo));
	}
	return SPAN_OK;
}

span_status cost_topo_network(const span_topo *topo, const int32_t *device, int32_t ranks,
                              span_cost_network **result)
{
	span_cost_network *network = calloc(1, sizeof(*network));
	span_status status;

	if (!network)
		return span_fail(SPAN_ENOMEM, "span_cost_topo_network: no memory");
	network->topo = topo;
	network->ranks = ranks;
	network->device = malloc((size_t)ranks * sizeof(int32_t));
	status = network->device ? create_links(topo, &network->topo_links)
	                         : span_fail(SPAN_ENOMEM, "span_cost_topo_network: no memory");
	if (status) {
		span_cost_network_free(network);
		return status;
	}
	memcpy(network->device, device, (size_t)ranks * sizeof(int32_t));
	network->n_links = (int32_t)network->topo_links->size;
	network->bandwidth = network->topo_links->bandwidth;
	network->topo_links->bandwidth = NULL;
	*result = network;
	return SPAN_OK;
}

span_status span_cost_topo_network(const span_topo *topo, const int32_t *device, int32_t ranks,
                                   span_cost_network **result)
{
	span_status status;

	if (!topo || !device || !result)
		return span_fail(SPAN_EINVAL, "span_cost_topo_network: %s is NULL",
		                 !topo ? "topo" : !device ? "device" : "network");
	if (ranks < 1 || ranks > SPAN_ORDER_MAX_RANKS)
		return span_fail(SPAN_EINVAL, "span_cost_topo_network: ranks is %d; it is from 1 to "
		                 "%d", ranks, SPAN_ORDER_MAX_RANKS);
	status = check(topo, device, ranks);
	return status ? status : cost_topo_network(topo, device, ranks, result);
}
