/* The floor plan of a machine: who hangs below whom, as people draw it. Left out is what
 * leads to no device, and what leads to one only: bridges, which are counted, and cards of one
 * port. The text and the picture of a machine are made from it. Private. */
#ifndef SPAN_PLAN_H
#define SPAN_PLAN_H

#include "topo/graph/graph.h"

struct plan_item {
	int32_t node;           /* local number in the machine */
	int32_t parent;         /* items, -1: none */
	int32_t first, next;    /* its first child, the next child of its parent */
	int32_t depth;
	int32_t bridges;        /* left out between it and its parent */
	span_link_class up_class; /* of the narrowest link on the way to the parent */
	double up;              /* its bandwidth, 0: no link, or not known */
	span_confidence confidence;
};

/* Items in the order of reading: a parent before its children, children in the source's
 * order. The machine must outlive the plan. */
struct plan {
	const struct machine *machine;
	int32_t n;
	struct plan_item *items;
	int32_t *item_of;       /* [n_nodes] or -1 */
};

span_status plan_create(const struct machine *machine, struct plan *plan);
void plan_free(struct plan *plan);

/* The widest link from a node to another, or NULL. */
const struct graph_link *plan_link(const struct machine *machine, int32_t from, int32_t to);

/* NVLink or xgmi that leaves a node: count and bandwidth of all links together. */
struct plan_bundle {
	span_link_class link_class;
	int32_t count;
	double bandwidth;
	span_confidence confidence;
};

struct plan_bundle plan_bundle(const struct machine *machine, int32_t node);

#endif
