/* Which gather order suits a machine: the cost of each kind for a block of some bytes and the
 * time that is computed on it, and the reason for the choice in words.
 *
 * Every order brings every block to every rank; they differ in the links that are busy at the
 * same time, and in how many messages one waits for. The cheapest is taken; kinds that need
 * more buffers must be cheaper by more than the model is sure of. */
#ifndef SPAN_GATHER_H
#define SPAN_GATHER_H

#include "topo/span_cost.h"
#include "topo/span_ring.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SPAN_GATHER_CANDIDATES 5
#define SPAN_GATHER_REASON 400
#define SPAN_GATHER_WALKED 256 /* ranks; above, the messages of an all-gather are too many */

typedef struct {
	span_order_kind kind;
	int32_t rings;        /* flat rings side by side; 1 but for one candidate */
	int offered;          /* nonzero: span_order_create builds it. Several rings are listed to
	                       * show what they would bring */
	span_cost cost;
} span_gather_candidate;

typedef struct {
	span_order_kind kind; /* the choice, for span_order_create */
	double seconds;       /* and what it takes */
	int32_t n;            /* candidates: */
	span_gather_candidate candidate[SPAN_GATHER_CANDIDATES]; /* ring first */
	double crossover;     /* bytes of a block from which node-first is the choice over ring,
	                       * with the same compute; 0: from the first byte; INFINITY: never,
	                       * or there is one group */
	char reason[SPAN_GATHER_REASON]; /* one sentence, without its full stop */
} span_gather_choice;

/* Choose for a cluster of equal nodes. No allocation. SPAN_EINVAL. */
SPAN_API span_status span_gather_choose(const span_cost_cluster *cluster,
                                        const span_cost_work *work, span_gather_choice *choice);

/* Choose for a topology, one rank on each device of the ring, in its order; groups are those of
 * span_ring_groups. Up to SPAN_GATHER_WALKED ranks every order is walked over the topology's own
 * links; above, the closed forms of what span_gather_cluster says take their place. Where neighbours
 * have no path (span_ring_report: missing) the ring is taken without candidates.
 * SPAN_EINVAL, SPAN_ENOMEM, SPAN_EUNSUPPORTED when others have none. */
SPAN_API span_status span_gather_choose_ring(const span_ring *ring, const span_cost_work *work,
                                             span_gather_choice *choice);

/* What a gather costs on the topology's own links when the ranks stand in another order: rank i on
 * nodes[i], which are the ring's devices, each once (span_ring_other). A flat ring then leads from
 * nodes[i + 1] to nodes[i]; node-first goes from group to group as `nodes` meets them.
 * SPAN_EINVAL, SPAN_ENOMEM; SPAN_EUNSUPPORTED when neighbours have no path, and above
 * SPAN_GATHER_WALKED ranks for all kinds but the ring. */
SPAN_API span_status span_gather_cost_nodes(const span_ring *ring, const int32_t *nodes,
                                            span_order_kind kind, const span_cost_work *work,
                                            span_cost *cost);

/* A topology as a cluster of equal nodes: as many as there are groups, each like the largest,
 * with the slowest links. Latencies that the source does not state are 0. SPAN_EINVAL, SPAN_ENOMEM;
 * SPAN_EUNSUPPORTED when there are several groups and one has no NIC. */
SPAN_API span_status span_gather_cluster(const span_ring *ring, span_cost_cluster *cluster);

#ifdef __cplusplus
}
#endif
#endif
