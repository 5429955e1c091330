/* Where things stand in the workspace. */
#include <stdint.h>
#include "attention/op.h"
#include "topo/log.h"

/* Up to here a double counts bytes exactly. */
static const double MOST_BYTES = 9e15;

static span_status too_large(double bytes)
{
	return span_fail(SPAN_EUNSUPPORTED,
	                 "span_attention_create: the shapes need %.3g bytes of workspace", bytes);
}

/* Sizes are multiplied and added in double as well: what would overflow is refused. */
typedef struct {
	size_t at;
	double exact;
} planner;

static size_t reserve(planner *plan, double bytes)
{
	size_t start = plan->at;

	plan->exact += bytes + 64;
	if (plan->exact < MOST_BYTES)
		plan->at += span_align((size_t)bytes);
	return start;
}

/* K and V of one token. */
static size_t token_bytes(const span_attention *op)
{
	return 2 * (size_t)op->options.batch * (size_t)op->options.kv_heads *
	       (size_t)op->options.head_size * span_dtype_bytes(op->options.dtype);
}

size_t span_memory_table_bytes(const span_attention *op)
{
	return span_align(2 * (size_t)op->options.batch * (size_t)op->options.kv_heads *
	                  sizeof(uint64_t));
}

size_t span_memory_tile_bytes(const span_attention *op)
{
	return span_align(span_memory_table_bytes(op) +
	                  (size_t)op->options.tile * token_bytes(op));
}

size_t span_memory_block_bytes(const span_attention *op, int32_t rank, int64_t tiles)
{
	int64_t last = tiles - 1;

	if (tiles == 0)
		return 0;
	last = span_layout_tile_tokens(op->layout, span_layout_tile_at(op->layout, rank, last));
	return (size_t)(tiles - 1) * span_memory_tile_bytes(op) + span_memory_table_bytes(op) +
	       (size_t)last * token_bytes(op);
}

int64_t span_memory_most_tiles(const span_attention *op)
{
	int64_t most = 0;

	for (int32_t r = 0; r < op->ranks; r++) {
		int64_t tiles = span_layout_rank_tiles(op->layout, r);

		most = tiles > most ? tiles : most;
	}
	return most;
}

int64_t span_packed_tile_floats(const span_attention *op)
{
	size_t floats = op->kernels->packed_floats(op->options.tile, op->width);

	return (int64_t)(span_align(floats * sizeof(float)) / sizeof(float));
}

int64_t span_prepared_tile_floats(const span_attention *op)
{
	return span_packed_tile_floats(op) + (int64_t)op->options.tile * op->width;
}

/* Parts in all buffers of a list. */
static double sum(const int32_t *parts, int32_t buffers)
{
	double total = 0;

	for (int32_t i = 0; i < buffers; i++)
		total += parts[i];
	return total;
}

static size_t largest_block(const span_attention *op)
{
	size_t most = 0;

	for (int32_t r = 0; r < op->ranks; r++) {
		size_t bytes = span_memory_block_bytes(op, r,
		                                       span_layout_rank_tiles(op->layout, r));

		most = bytes > most ? bytes : most;
	}
	return most;
}

/* What travels: the rank's own block, receive buffers. */
static void plan_blocks(span_attention *op, planner *plan)
{
	span_memory *memory = &op->memory;

	memory->kv_buffer_bytes = span_align(largest_block(op));
	memory->own_block = reserve(plan, op->ranks > 1
	                            ? (double)span_memory_block_bytes(op, op->rank,
	                                                              op->program->tiles) : 0);
	memory->kv_buffer = reserve(plan, (double)memory->kv_buffer_bytes *
	                            op->program->kv_buffers);
}

/* What forward needs beside scratch: pending partials. */
static void plan_forward(span_attention *op, planner *plan, double plane)
{
	span_memory *memory = &op->memory;
	double pending = op->program->pending_slots * plane * sizeof(float);

	memory->pending_o = reserve(plan, pending * op->width);
	memory->pending_m = reserve(plan, pending);
	memory->pending_l = reserve(plan, pending);
}

/* What backward needs beside scratch; it shares pending_o. Returns the bytes of gradients
 * that wait. */
static size_t plan_backward(span_attention *op, planner *plan, double plane)
{
	const span_program *program = op->program;
	span_memory *memory = &op->memory;
	double part = memory->part_bytes;
	size_t start;

	memory->query = reserve(plan, plane * op->width * sizeof(float));
	memory->dout = reserve(plan, plane * op->width * sizeof(float));
	memory->lse2 = reserve(plan, plane * sizeof(float));
	memory->delta = reserve(plan, plane * sizeof(float));
	start = plan->at;
	memory->store = reserve(plan, program->own_account < 0 ? 0
		: part * program->account[program->own_account].slots *
		  program->account[program->own_account].tiles);
	memory->return_buffer = reserve(plan, part * sum(program->return_parts,
	                                                 program->return_buffers));
	memory->delivery_buffer = reserve(plan, part * sum(program->delivery_parts,
	                                                   program->delivery_buffers));
	return plan->at - start;
}

/* Forward keeps the block it computes on prepared where backward has its own arrays. */
static void plan_prepared(span_attention *op, planner *plan, size_t backward_start)
{
	size_t behind = plan->at - backward_start;
	double prepared = (double)span_forward_planes(op) *
	                  (double)span_memory_most_tiles(op) *
	                  (double)span_prepared_tile_floats(op) * sizeof(float);

	op->memory.prepared = backward_start;
	if (prepared > (double)behind)
		reserve(plan, prepared - (double)behind);
}

span_status span_memory_plan(span_attention *op)
{
	double plane = (double)op->options.batch * op->options.query_heads * (double)op->tokens;
	size_t forward = span_forward_scratch_bytes(op);
	size_t backward = span_backward_scratch_bytes(op);
	span_memory *memory = &op->memory;
	double largest = 2.0 * (double)op->options.batch * op->options.kv_heads *
	                 op->options.tile * op->width * sizeof(float);
	planner plan = { 0, 0 };
	size_t pending, start;

	/* A rank without a tile has these alone: more would be multiplied in size_t below. */
	if (largest * (double)span_memory_most_tiles(op) >= MOST_BYTES)
		return too_large(largest * (double)span_memory_most_tiles(op));
	memory->part_bytes = (size_t)op->options.batch * (size_t)op->options.kv_heads * 2 *
	                     (size_t)op->options.tile * (size_t)op->width * sizeof(float);
	plan_blocks(op, &plan);
	memory->block_total = plan.at;
	plan_forward(op, &plan, plane);
	pending = plan.at - memory->block_total;
	start = plan.at;
	memory->pending_total = pending + plan_backward(op, &plan, plane);
	plan_prepared(op, &plan, start);
	memory->scratch_bytes = forward > backward ? forward : backward;
	memory->scratch = reserve(&plan, (double)memory->scratch_bytes * op->options.threads);
	memory->total = plan.at;
	return plan.exact >= MOST_BYTES ? too_large(plan.exact) : SPAN_OK;
}
