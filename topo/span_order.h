/* Gather orders as data: who passes which block to whom, in which step, and computes on it
 * when; and by which route the gradients of a block travel back to its owner.
 *
 * An order knows ranks, groups and blocks, no tokens: block b is what rank b owns, and the
 * caller says which rank needs which block. The executor walks an order with kernels and a
 * transport, a cost model walks it with link speeds, a test walks it with nothing at all.
 *
 * How a step is executed. At its start a rank posts the receives and sends of the step, then
 * computes on `compute`. A block that is received must have arrived before the first step that
 * computes on it or sends it; it never is used in the step that receives it. A send may
 * complete only once its receive is posted (rendezvous); its buffer may be reused then.
 * Between one pair of ranks messages match in the order of posting. */
#ifndef SPAN_ORDER_H
#define SPAN_ORDER_H

#include <stdio.h>
#include "topo/span_status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct span_order span_order;

/* The largest group of ranks an order can describe. */
#define SPAN_ORDER_MAX_RANKS 4096

typedef enum {
	SPAN_ORDER_AUTO = 0,   /* node-first when there are several groups, else ring */
	SPAN_ORDER_RING,       /* every block goes round one ring of all ranks */
	SPAN_ORDER_NODE_FIRST, /* a ring inside each group, groups exchanged along rails */
	SPAN_ORDER_PAIRWISE,   /* every block straight from its owner, one a step */
	SPAN_ORDER_ALL_GATHER  /* every block straight from its owner, all in step 0 */
} span_order_kind;

typedef enum {
	SPAN_RETURN_AUTO = 0,    /* group-first when there are several groups, else direct */
	SPAN_RETURN_DIRECT,      /* each rank sends to the owner */
	SPAN_RETURN_GROUP_FIRST  /* one rank of each group collects and sends on */
} span_return_kind;

/* One message of a step: the block, and the rank at the other end. */
typedef struct {
	int32_t peer;
	int32_t block;
} span_order_transfer;

/* One step of one rank. `compute` is a block, or -1 when the rank only passes blocks on. */
typedef struct {
	int32_t compute;
	int32_t n_receives;
	int32_t n_sends;
	const span_order_transfer *receives;
	const span_order_transfer *sends;
} span_order_step;

typedef struct {
	size_t size;             /* sizeof(span_order_options) */
	span_order_kind kind;
	span_return_kind way_back;
	int32_t ranks;           /* P, from 1 to SPAN_ORDER_MAX_RANKS */
	const int32_t *group;    /* [P] the group of each rank, any numbers; NULL: one group */
	const uint8_t *need;     /* [P][P] need[rank * P + block] != 0; NULL: every rank needs
	                          * every block. A rank's own block needs no entry of its own:
	                          * it is computed exactly when need says so */
} span_order_options;

/* Build an order. Everything is copied; the result belongs to the caller and is constant.
 * Returns SPAN_EINVAL naming the option, or SPAN_ENOMEM. */
SPAN_API span_status span_order_create(const span_order_options *options, span_order **order);

/* Free an order; NULL is allowed. */
SPAN_API void span_order_free(span_order *order);

/* Plain queries; `order` must not be NULL, indices must be in range. */
SPAN_API span_order_kind span_order_kind_of(const span_order *order); /* never AUTO */
SPAN_API span_return_kind span_order_way_back(const span_order *order); /* never AUTO */
SPAN_API int32_t span_order_ranks(const span_order *order);
SPAN_API int32_t span_order_group(const span_order *order, int32_t rank);
SPAN_API int32_t span_order_groups(const span_order *order); /* number of distinct groups */
SPAN_API int span_order_needs(const span_order *order, int32_t rank, int32_t block);
SPAN_API int32_t span_order_steps(const span_order *order, int32_t rank);
SPAN_API const span_order_step *span_order_step_at(const span_order *order, int32_t rank,
                                                   int32_t step);

/* How many received blocks rank must be able to hold at once. A buffer is taken in the step
 * that posts the receive and held through the last step that computes on the block or sends
 * it; a block sent on is held until the step before its receiver first uses it. A ring
 * needs 2. */
SPAN_API int32_t span_order_buffers(const span_order *order, int32_t rank);

/* The way back: the rank to which `rank` passes what it has of the gradient of `block` (its
 * own contribution and those it collects), or -1 when it passes nothing: the owner itself,
 * and ranks that neither need the block nor collect it. Hops lead to the owner in at most
 * two messages. */
SPAN_API int32_t span_order_return_hop(const span_order *order, int32_t block, int32_t rank);

/* Prove an order: each rank computes each block it needs exactly once and no other; it has
 * what it sends and computes on; sends match receives pair by pair, in order; all ranks
 * finish when each holds at most span_order_buffers() received blocks and sends are
 * rendezvous; the way back reaches the owner. Returns SPAN_EINVAL and names the rank, step
 * and block of the first violation, or SPAN_ENOMEM. */
SPAN_API span_status span_order_check(const span_order *order);

/* Write an order as text (format: topo/order/README.md). Returns SPAN_EIO when writing fails,
 * SPAN_EINVAL (NULL). */
SPAN_API span_status span_order_save(const span_order *order, FILE *file);

/* Read an order written by span_order_save, or by hand, and check it. `name` is used in
 * messages. Returns SPAN_EPARSE naming the line, SPAN_EIO, SPAN_EINVAL (NULL), SPAN_ENOMEM, or what
 * span_order_check returns. */
SPAN_API span_status span_order_load(FILE *file, const char *name, span_order **order);

/* "auto", "ring", "node-first", "pairwise", "all-gather", and back; the second returns
 * SPAN_EINVAL and lists the names. */
SPAN_API const char *span_order_kind_name(span_order_kind kind);
SPAN_API span_status span_order_kind_parse(const char *name, span_order_kind *kind);

#ifdef __cplusplus
}
#endif
#endif
