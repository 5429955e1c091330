/* What the files cost*.c share. Private. */
#ifndef SPAN_COST_PRIVATE_H
#define SPAN_COST_PRIVATE_H

#include <stdbool.h>
#include "topo/span_cost.h"

/* The longest way of a message, in links. */
#define COST_HOPS 64

/* The links that a message takes. */
struct cost_route {
	int32_t n;
	int32_t links[COST_HOPS];
	double latency;
};

struct cost_topo_links;

struct span_cost_network {
	int32_t ranks;
	int32_t n_links;
	double *bandwidth;          /* [n_links], INFINITY where there is no limit */
	/* Of a cluster: links are ports out, ports in, NICs out, NICs in, leaves up, leaves down. */
	span_cost_cluster cluster;
	int32_t *node, *local;      /* [ranks] */
	/* Of a topology, else NULL. */
	const span_topo *topo;
	int32_t *device;            /* [ranks] */
	struct cost_topo_links *topo_links;
};

/* The way from rank to rank. SPAN_EUNSUPPORTED when there is none. */
span_status cost_find_route(const struct span_cost_network *network, int32_t from, int32_t to,
                            struct cost_route *route);
span_status cost_topo_route(const struct span_cost_network *network, int32_t from, int32_t to,
                            struct cost_route *route);
void cost_topo_links_free(struct cost_topo_links *links);

/* span_cost_topo_network for any number of ranks, each of which has been checked. */
span_status cost_topo_network(const span_topo *topo, const int32_t *device, int32_t ranks,
                              span_cost_network **network);

/* A flat ring of the ranks of a network as they are numbered, of any length: what its walk
 * comes to (cost_hop.c). `busiest` is 0. */
span_status cost_ring_by_hop(const struct span_cost_network *network, const span_cost_work *work,
                             span_cost *cost);

/* Arguments of both sides. */
span_status cost_check_cluster(const char *caller, const span_cost_cluster *cluster);
span_status cost_check_work(const char *caller, const span_cost_work *work);

/* Nodes below a leaf, and leaves; a leaf's uplinks. */
static inline int32_t cost_leaf_nodes(const span_cost_cluster *cluster)
{
	return cluster->leaf_nodes > 0 && cluster->leaf_nodes < cluster->nodes
	               ? cluster->leaf_nodes
	               : cluster->nodes;
}

static inline double cost_leaf_bandwidth(const span_cost_cluster *cluster, int32_t nodes)
{
	double over = cluster->oversubscription > 0 ? cluster->oversubscription : 1;

	return nodes * cluster->nics * cluster->nic_bandwidth / over;
}

/* --- sharing (cost_share.c) ----------------------------------------------------------------- */

/* Messages that are under way. Routes are kept once for each pair of ranks. */
struct cost_flow {
	int32_t route;       /* into routes, below */
	int32_t due;         /* the step that uses what it brings */
	double left;         /* bytes */
	double rate;
};

struct cost_flows {
	const struct span_cost_network *network;
	struct cost_flow *flow;
	int32_t n, room;
	struct cost_kept_route *routes;
	int32_t n_routes, route_room;
	int32_t *route_links;
	size_t n_route_links, route_link_room;
	int32_t *route_table;   /* [table_size] open addressing by (from, to), -1: free */
	int32_t table_size;
	double *free_share;     /* [n_links] scratch: what is left of a link, */
	int32_t *takers;        /* [n_links] and who still shares it */
	int32_t *touched;       /* [n_links] links that any flow takes */
	double *full_seconds;   /* [n_links] for how long each was full */
	uint8_t *is_full;       /* [n_links] under the present rates */
	int32_t n_touched;
	bool stale;             /* the rates are not those of the flows */
};

struct cost_kept_route {
	int32_t from, to, n;
	size_t first;
	double latency;
};

/* cost_flows_free() is due also after a failure. */
span_status cost_flows_create(const struct span_cost_network *network, struct cost_flows *flows);
void cost_flows_free(struct cost_flows *flows);

/* A message sets out. */
span_status cost_flows_add(struct cost_flows *flows, int32_t from, int32_t to, double bytes,
                           int32_t due);

/* Let time pass until the next message is through, at most `most` seconds; returns how many
 * passed. What is through has left = 0. */
double cost_flows_pass(struct cost_flows *flows, double most);

#endif
