/* Ring orders: in which order the devices of a machine or a cluster stand in one ring, so that
 * its narrowest link is as wide as the machine allows.
 *
 * A ring carries blocks one way: from order[i] to order[i + 1], and from the last to the
 * first. Only the links it uses count, in the direction in which it uses them; so a matrix of
 * bandwidths need not be symmetric. Of all rings the one with the widest bottleneck is best,
 * and among those the one with the least sum of 1 / bandwidth.
 *
 * Bandwidths are bytes a second, 0 where there is no link. */
#ifndef SPAN_RING_H
#define SPAN_RING_H

#include "topo/span_topo.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The most devices of one host that a ring is searched for; up to SPAN_RING_EXACT of them it is the
 * best there is. */
#define SPAN_RING_DEVICES 1024
#define SPAN_RING_EXACT 16

/* --- a matrix of bandwidths ------------------------------------------------------------- */

typedef struct {
	double bottleneck;  /* of the narrowest link; 0 when one is missing, or when there is
	                     * one device and nothing travels */
	double sum_inverse; /* of its links' 1 / bandwidth, missing ones left out: seconds that
	                     * one byte takes to go round */
	int32_t missing;    /* neighbours without a link between them */
} span_ring_figures;

typedef struct {
	span_ring_figures best;  /* of the order that was found */
	span_ring_figures given; /* of 0, 1, 2, ... */
	double bound;            /* no ring has a wider bottleneck */
	int exact;               /* nonzero: no order is better, in either figure */
} span_ring_report;

/* What an order of n devices comes to.
 *
 *   bandwidth  [n][n]  from row to column; the diagonal is not read
 *   order      [n]     every number from 0 to n - 1 once; NULL: 0, 1, 2, ...
 *
 * No allocation. Returns SPAN_EINVAL naming the entry that is negative, not finite, or twice
 * in the order. */
SPAN_API span_status span_ring_measure(const double *bandwidth, int32_t n,
                                       const int32_t *order, span_ring_figures *figures);

/* Find an order of n devices, from 1 to SPAN_RING_DEVICES.
 *
 *   bandwidth  [n][n]  in
 *   order      [n]     out  begins with 0
 *   report             out  may be NULL
 *
 * Up to SPAN_RING_EXACT devices the order is the best one; of equals, the lexicographically
 * smallest. Above, it is good, never worse than 0, 1, 2, ..., and
 * the same in every run; report->bound says what may be missing. Where no ring exists, the
 * order has as few missing links as was found. The search is bounded: 72 devices whose links
 * all differ take about a second, 1,024 take 16; where links are of few kinds, a tenth of that.
 *
 * Returns SPAN_EINVAL or SPAN_ENOMEM. Source: Held & Karp 1962, section 2 (exact); Croes 1958
 * and Or 1976 (exchanges), Lourenco, Martin & Stuetzle 2003 (restarts). */
SPAN_API span_status span_ring_solve(const double *bandwidth, int32_t n, int32_t *order,
                                     span_ring_report *report);

/* Find several rings that share no lane.
 *
 *   lanes      [n][n]     in   links side by side; between two devices the smaller of both
 *                              directions counts, since every ring may be used both ways
 *   most                  in   how many rings are wanted
 *   rings      [most][n]  out  the first *found are filled
 *
 * With three devices or more a ring takes two lanes of each, so there are at most half as
 * many rings as the poorest device has lanes; *found is less than that, or than `most` (from
 * 1 to 64), where no more exist or the search, which is bounded, saw none. Returns SPAN_EINVAL or
 * SPAN_ENOMEM. */
SPAN_API span_status span_ring_disjoint(const int32_t *lanes, int32_t n, int32_t most,
                                        int32_t *rings, int32_t *found);

/* --- a topology ------------------------------------------------------------------------- */

typedef struct span_ring span_ring;

/* Order all GPUs of a topology in one ring; where there is none, its NUMA nodes.
 *
 * Hosts follow each other as in a walk through the tree of fabric switches, which crosses
 * every switch's uplink once in each direction: no ring can do less. Within a host the ring
 * comes in at a GPU next to a NIC, and leaves from one. Hosts that were described as one
 * machine, because NVLink joins them, are ordered as one.
 *
 * Returns SPAN_EINVAL, SPAN_ENOMEM, or SPAN_EUNSUPPORTED when a host has more than
 * SPAN_RING_DEVICES devices. Constant once made: any number of threads may use it; the topology
 * must outlive it. */
SPAN_API span_status span_ring_create(const span_topo *topo, span_ring **ring);
SPAN_API void span_ring_free(span_ring *ring); /* NULL is allowed */

SPAN_API int32_t span_ring_length(const span_ring *ring);

/* The node numbers, in ring order: [span_ring_length]. */
SPAN_API const int32_t *span_ring_nodes(const span_ring *ring);

/* Which of them stand close together: fill group [span_ring_length], in ring order, with numbers
 * from 0 on. Devices of a group reach each other without the network. Returns how many groups
 * there are. */
SPAN_API int32_t span_ring_groups(const span_ring *ring, int32_t *group);

/* What it comes to; `given` is the order of the topology's own numbers. With several hosts
 * a link between two of them is the whole path from GPU to GPU. */
SPAN_API const span_ring_report *span_ring_report_of(const span_ring *ring);

/* Rings that share no lane, where GPUs of one machine are joined by NVLink or xgmi without a
 * switch: each is narrower than the best single ring may be, but together they can be wider.
 *
 *   nodes      [most][length]  out  node numbers of the first *found
 *   bandwidth                  out  of the narrowest lane of them all: that of each ring
 *
 * *found is 0 in all other topologies: where a switch joins the GPUs, or PCIe, every ring takes
 * the same port. Returns what span_ring_disjoint returns. */
SPAN_API span_status span_ring_lanes(const span_ring *ring, int32_t most, int32_t *nodes,
                                     int32_t *found, double *bandwidth);

/* Other orders that people use, to compare with. */
typedef enum {
	SPAN_RING_BY_NUMBER = 0, /* the topology's own numbers: ranks in the order of a file */
	SPAN_RING_BY_RANK,       /* the ranks that the source names, else by number */
	SPAN_RING_BY_NAME        /* hosts sorted as strings, which is what torchrun does */
} span_ring_given;

/* Fill `nodes` [span_ring_length] with another order of the same devices. SPAN_EINVAL,
 * SPAN_ENOMEM. */
SPAN_API span_status span_ring_other(const span_ring *ring, span_ring_given given,
                                     int32_t *nodes);

/* What any order of the same devices comes to. SPAN_EINVAL when one is missing or twice;
 * SPAN_ENOMEM. */
SPAN_API span_status span_ring_measure_nodes(const span_ring *ring, const int32_t *nodes,
                                             span_ring_figures *figures);

/* How often an order crosses something: neighbours in different hosts; and the most flows
 * that any fabric switch's uplink carries at once in one direction. */
typedef struct {
	int32_t between_hosts;
	int32_t up_flows;     /* of all switches together: neighbours that meet above them */
	int32_t most_up_flows;
} span_ring_crossings;

/* Fill crossings; `nodes` [span_ring_length] are the ring's devices, each once, in any order.
 * SPAN_EINVAL, SPAN_ENOMEM. */
SPAN_API span_status span_ring_count_crossings(const span_ring *ring, const int32_t *nodes,
                                               span_ring_crossings *crossings);

#ifdef __cplusplus
}
#endif
#endif
