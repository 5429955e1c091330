/* A cluster of equal nodes from the view of one rank: what its messages share. Private.
 *
 * All ranks do the same at the same time, so three kinds of messages and three limits are
 * enough: messages stay in the node, go to another node, or to one below another leaf; they
 * take the rank's port, its part of a NIC, its part of the leaf's uplinks. */
#ifndef SPAN_COST_VIEW_H
#define SPAN_COST_VIEW_H

#include "topo/cost/cost.h"

/* How far a message goes; FAR: to another leaf. */
enum { INSIDE, NEAR, FAR, KINDS };
/* What limits it. */
enum { PORT, NIC, UPLINK, LIMITS };

struct cost_view {
	const span_cost_cluster *cluster;
	double limit[LIMITS];
	double latency[KINDS];
	bool takes[KINDS][LIMITS];
};

/* Messages of each kind, as many as one rank receives at once, and what is left of one. */
struct cost_load {
	double count[KINDS];
	double left[KINDS];
};

/* P */
int64_t cost_ranks(const span_cost_cluster *cluster);

/* Ranks that share the fullest NIC. */
int32_t cost_ranks_of_nic(const span_cost_cluster *cluster);

bool cost_has_leaves(const span_cost_cluster *cluster);

/* Nodes of the smallest leaf, which is the slowest: it has the least uplinks, and the most to
 * hear from others. */
int32_t cost_least_leaf(const span_cost_cluster *cluster);

/* The view when so many ranks send at once; and when all do. */
struct cost_view cost_view_of(const span_cost_cluster *cluster, double ranks_a_nic,
                              double ranks_a_leaf);
struct cost_view cost_full_view(const span_cost_cluster *cluster);

/* Let time pass until a kind is through, at most `most` seconds; returns how many passed. */
double cost_view_pass(const struct cost_view *view, struct cost_load *load, double most);

#endif
