/* Which partials merge when: the bookkeeping of one row of tiles as parts of its tree arrive.
 * Private. No data is touched here; the same walk plans memory at create, tells the peers
 * what a message holds, and yields the merges that forward and backward carry out. */
#ifndef SPAN_REDUCE_H
#define SPAN_REDUCE_H

#include "attention/tree.h"

/* Most partials of one row that may wait. Rings need 2 log2 P; an order made by hand that
 * needs more than this is refused. */
enum { SPAN_REDUCE_PENDING = 64 };

/* What merging does with one arrival, in order: each merge joins the arriving partial with the
 * one waiting in `slot`, which is the left (earlier) or right sibling. */
typedef struct {
	int16_t slot;
	int16_t waiting_is_left;
} span_merge;

typedef struct {
	int32_t merges;
	span_merge merge[SPAN_REDUCE_PENDING];
	int32_t store;    /* the slot that keeps the result, or -1: the row is complete */
} span_arrival;

/* A row: the tiles [tile_first, tile_end) that it sees take part in its tree; the others are
 * absent and cost no merge. */
typedef struct {
	const span_tree *tree;
	int64_t tile_first;
	int64_t tile_end;
	int32_t schedule;  /* 1: no tree, everything joins slot 0 as it comes */
	int32_t expected;  /* arrivals that make the row complete; -1: it is never complete here */
	int32_t arrived;
	int32_t pending;   /* partials that wait */
	int32_t slots;     /* slots ever used at once */
	span_node node[SPAN_REDUCE_PENDING];  /* [slot] */
	uint8_t used[SPAN_REDUCE_PENDING];    /* [slot] */
} span_reduce;

void span_reduce_start(span_reduce *reduce, const span_tree *tree, int64_t tile_first,
                       int64_t tile_end, int32_t schedule, int32_t expected);

/* The partial of `node` arrives. Returns SPAN_EUNSUPPORTED when too many would wait. */
span_status span_reduce_arrive(span_reduce *reduce, span_node node, span_arrival *arrival);

#endif
