/* What the files order*.c share. Private. */
#ifndef SPAN_ORDER_PRIVATE_H
#define SPAN_ORDER_PRIVATE_H

#include "topo/span_order.h"

/* Ranks stand in places, sorted by group and, within a group, by rank: the neighbours of a
 * ring. Groups are counted from 0 in that order, whatever numbers the caller gave them. */
struct span_order {
	span_order_kind kind;
	span_return_kind way_back;
	int32_t ranks;
	int32_t groups;
	int32_t *group_id;    /* [P] the group of each rank as the caller numbers it */
	uint8_t *need;        /* [P][P] 0 or 1: rank, block */
	int32_t *rank_at;     /* [P] by place */
	int32_t *place_of;    /* [P] by rank */
	int32_t *group_of;    /* [P] by rank, from 0 */
	int32_t *group_first; /* [groups + 1] the first place of each group, and P */
	int32_t *collector;   /* [groups][P] who collects a block's gradient there, or -1 */
	int32_t *buffers;     /* [P] */
	size_t *step_first;   /* [P + 1] where the steps of each rank begin */
	span_order_step *steps;
	span_order_transfer *receives; /* of all steps, in their order */
	span_order_transfer *sends;
};

/* One rank's part in the journey of a block: `to` computes on it in step `use`, and receives
 * it from `from` in step `post`, in which `from` sends it. An owner has from = -1. */
struct span_order_leg {
	int32_t block;
	int32_t from;
	int32_t to;
	int32_t post;
	int32_t use;
};

/* The first line of a file. */
#define SPAN_ORDER_FORMAT 1

const char *span_order_way_back_name(span_return_kind way_back);

typedef void span_order_visit(void *argument, const struct span_order_leg *leg);

/* Everything of an order but its steps: checked options, places, the way back. */
span_status span_order_begin(const span_order_options *options, span_order **order);

/* Visit every leg of the order's kind, block by block (order_route.c). */
void span_order_route(const span_order *order, span_order_visit *visit, void *argument);

/* Turn the legs into steps; count the buffers of steps made or read (order_steps.c). */
span_status span_order_build_steps(span_order *order);
span_status span_order_count_buffers(span_order *order);

static inline int32_t span_order_local_index(const span_order *order, int32_t rank)
{
	return order->place_of[rank] - order->group_first[order->group_of[rank]];
}

static inline int32_t span_order_group_size(const span_order *order, int32_t group)
{
	return order->group_first[group + 1] - order->group_first[group];
}

#endif
