/* What moving blocks costs: a flow-level model of the links between ranks, walked step by step
 * with a gather order.
 *
 * The messages that are under way share every link fairly (max-min), so a step takes the
 * maximum over links of flows x bytes / bandwidth, and the latency; it ends when its compute
 * and every message that the next step uses have ended. Messages that a later step uses go
 * on meanwhile. What is not hidden under compute is called exposed.
 *
 * Seconds, bytes, bytes a second. Links are full duplex: each direction is one of its own. */
#ifndef SPAN_COST_H
#define SPAN_COST_H

#include "topo/span_order.h"
#include "topo/span_topo.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- a cluster of equal nodes ----------------------------------------------------------- */

typedef struct {
	size_t size;              /* sizeof(span_cost_cluster) */
	int32_t nodes;            /* N */
	int32_t ranks_per_node;   /* G */
	int32_t nics;             /* of a node; its k-th rank uses NIC k * nics / G. 0 when N = 1 */
	int32_t leaf_nodes;       /* nodes below one leaf switch; 0: one switch has them all */
	double intra_bandwidth;   /* of a rank's port inside its node */
	double intra_latency;     /* of a message that stays there */
	double nic_bandwidth;     /* of one NIC */
	double nic_latency;       /* of a message between nodes */
	double oversubscription;  /* what a leaf's NICs bring, over what its uplinks carry; 0 is 1.
	                           * Between leaves there is no other limit */
	int shared_port;          /* nonzero: messages between nodes take the rank's port too, as
	                           * where GPUs and NICs are on the same PCIe links */
} span_cost_cluster;

/* --- the links of a network --------------------------------------------------------------- */

typedef struct span_cost_network span_cost_network;

/* The network of a cluster.
 *
 *   node  [P]  where each rank stands, from 0 to N - 1, at most G a node; NULL: rank / G
 *
 * Returns SPAN_EINVAL naming the field, or SPAN_ENOMEM. */
SPAN_API span_status span_cost_cluster_network(const span_cost_cluster *cluster,
                                               const int32_t *node, span_cost_network **network);

/* The network of a topology: `device[rank]` is the node number of the GPU (or CPU) a rank runs
 * on, [ranks]. Messages take span_topo_route. Links of unknown bandwidth do not limit. The
 * topology must outlive the network. Returns SPAN_EINVAL naming the argument, or SPAN_ENOMEM. */
SPAN_API span_status span_cost_topo_network(const span_topo *topo, const int32_t *device,
                                            int32_t ranks, span_cost_network **network);

SPAN_API void span_cost_network_free(span_cost_network *network); /* NULL is allowed */

/* --- walking an order ---------------------------------------------------------------------- */

typedef struct {
	size_t size;              /* sizeof(span_cost_work) */
	double block_bytes;       /* of one message */
	double compute;           /* seconds one rank computes on one block */
	int stalls;               /* nonzero: nothing moves while ranks compute, as with a
	                           * transport that nobody drives meanwhile */
	int gather_first;         /* nonzero: nothing is computed before everything arrived, as
	                           * with a library's all-gather */
} span_cost_work;

typedef struct {
	double seconds;           /* from the first message to the end of the last compute */
	double compute;           /* of the rank that computes most */
	double exposed;           /* seconds - compute */
	double busiest;           /* the largest share of `seconds` that a link was full, 0 to 1 */
} span_cost;

/* Walk `order` over a network of as many ranks. Memory: 12 bytes for each message of the order,
 * and about 100 for each of those that are under way at once. Safe to call at once on one
 * network. Returns SPAN_EINVAL, SPAN_ENOMEM, or SPAN_EUNSUPPORTED when two ranks that exchange
 * a block have no path. */
SPAN_API span_status span_cost_walk(const span_order *order, const span_cost_network *network,
                                    const span_cost_work *work, span_cost *cost);

/* --- closed forms -------------------------------------------------------------------------- */

/* What the walk of a dense order (every rank needs every block) over a cluster comes to, ranks
 * in the order of nodes, from one rank's view: no order is made, and any number of ranks will
 * do. Equal to the walk where leaves and the NICs' ranks are even (within a hundredth with
 * leaves and shared ports together); else an upper bound. Not for AUTO. `busiest` is 0. No
 * allocation. Returns SPAN_EINVAL naming the field. */
SPAN_API span_status span_cost_closed(span_order_kind kind, const span_cost_cluster *cluster,
                                      const span_cost_work *work, span_cost *cost);

/* The same for `rings` flat rings side by side, each of which carries its part of every block
 * and crosses nodes at another rank. Inside a node the links must carry them all: where one
 * ring has `intra_bandwidth`, so have they together. `rings` is from 1 to ranks_per_node. No
 * allocation. Returns SPAN_EINVAL naming the field. */
SPAN_API span_status span_cost_rings(int32_t rings, const span_cost_cluster *cluster,
                                     const span_cost_work *work, span_cost *cost);

#ifdef __cplusplus
}
#endif
#endif
