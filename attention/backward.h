/* The inside of a backward: what its tasks share. Private to backward.c and
 * backward_block.c. */
#ifndef SPAN_BACKWARD_H
#define SPAN_BACKWARD_H

#include "attention/pass.h"

/* What the tasks of a call share. */
typedef struct {
	span_attention *op;
	const span_tensor *q;
	const span_tensor *k;
	const span_tensor *v;
	const span_tensor *out;
	const span_tensor *dout;
	const float *lse;
	int dout_in_place;          /* its rows are what the kernels want */
	const span_tensor *dq;
	const span_tensor *dk;
	const span_tensor *dv;
	int32_t t;                  /* the step */
	int32_t delivery;           /* being merged */
	const float *delivered;     /* its parts */
} span_backward_call;

/* The row of a tensor where tile `slot` of one head begins. */
static inline char *span_tensor_row(const span_attention *op, const span_tensor *tensor,
                                    int64_t batch, int32_t head, int64_t slot)
{
	int64_t at = batch * tensor->batch_stride + head * tensor->head_stride +
	             slot * op->options.tile * tensor->token_stride;

	return (char *)tensor->data + at * (int64_t)span_dtype_bytes(op->options.dtype);
}

/* Tokens of the tile in a slot of a rank. */
static inline int32_t span_slot_rows(const span_attention *op, int32_t rank, int64_t slot)
{
	return span_layout_tile_tokens(op->layout,
	                               span_layout_tile_at(op->layout, rank, slot));
}

/* Tasks for the pool, one a batch and KV head; the context is a span_backward_call. Compute on
 * the block of step call->t; merge call->delivered into the account it belongs to. */
span_pool_body span_backward_compute;
span_pool_body span_backward_merge;

#endif
