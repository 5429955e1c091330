/* A ring through a topology, as ring_passage.c and ring_fabric.c make it and ring_compare.c measures
 * it. Private. */
#ifndef SPAN_RING_FABRIC_H
#define SPAN_RING_FABRIC_H

#include "topo/graph/graph.h"
#include "topo/span_ring.h"

/* The way through one machine. */
struct ring_stretch {
	int32_t n;
	int32_t *nodes;   /* [n] local numbers */
	double bound;
};

struct span_ring {
	const span_topo *topo;
	span_node_kind kind;  /* of its devices */
	int32_t n;
	int32_t *nodes;       /* [n] in ring order */
	int32_t *sorted;      /* [n] ascending: the topology's own order */
	span_ring_report report;
};

/* The devices of one kind: fills `list`, when it is not NULL, with device numbers. */
int32_t ring_list_devices(const struct machine *machine, span_node_kind kind, int32_t *list);

/* The devices of a machine in the order in which the ring goes through it; `network` when it
 * comes from other places. stretch->nodes is the caller's to free, also after a failure. */
span_status ring_go_through(const struct machine *machine, span_node_kind kind, bool network,
                            struct ring_stretch *stretch);

/* What the bottleneck of no ring through several machines can exceed because of this one. */
double ring_bound_of_machine(const struct machine *machine, span_node_kind kind);

/* Fill `sorted` and the figures of the report. */
span_status ring_measure_all(struct span_ring *ring);

#endif
