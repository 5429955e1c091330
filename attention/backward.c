/* Backward: dQ settles at this rank as forward partials do; dK and dV go back to the owners of
 * their blocks, merged on the way wherever the tree allows. This file is the pass; what is
 * computed on one block stands in backward_block.c. */
#include "attention/backward.h"

#include <math.h>
#include "topo/log.h"

/* Whether the leaves can read dout where the caller has it: f32 rows of whole vectors without
 * gaps, heads as far apart as those of the scaled q. */
static int dout_in_place(const span_attention *op, const span_tensor *dout)
{
	return op->options.dtype == SPAN_F32 && op->options.head_size == op->width &&
	       dout->token_stride == op->width && dout->head_stride == op->tokens * op->width;
}

/* One query tile of one head, before the first step: q scaled, dout, lse and delta as the
 * kernels want them. */
static void prepare_task(void *context, int64_t task, int thread)
{
	const span_backward_call *call = context;
	const span_attention *op = call->op;
	int32_t heads = op->options.query_heads;
	int64_t slot = task / (op->options.batch * heads);
	int64_t plane = task % (op->options.batch * heads);
	int64_t batch = plane / heads;
	int32_t head = (int32_t)(plane % heads);
	int64_t row = plane * op->tokens + slot * op->options.tile;
	int32_t rows = span_slot_rows(op, op->rank, slot);
	float *lse2 = (float *)(op->workspace + op->memory.lse2) + row;
	span_dtype dtype = op->options.dtype;
	const char *dout = span_tensor_row(op, call->dout, batch, head, slot);

	(void)thread;
	op->kernels->load_rows(dtype, span_tensor_row(op, call->q, batch, head, slot),
	                       call->q->token_stride, rows, op->options.head_size,
	                       op->scale_log2,
	                       (float *)(op->workspace + op->memory.query) + row * op->width);
	if (!call->dout_in_place)
		op->kernels->load_rows(dtype, dout, call->dout->token_stride, rows,
		                       op->options.head_size, 1,
		                       (float *)(op->workspace + op->memory.dout) +
		                               row * op->width);
	op->kernels->dot_rows(dtype, span_tensor_row(op, call->out, batch, head, slot),
	                      call->out->token_stride, dout, call->dout->token_stride, rows,
	                      op->options.head_size,
	                      (float *)(op->workspace + op->memory.delta) + row);
	for (int32_t r = 0; r < rows; r++)
		lse2[r] = span_lse_log2(call->lse[row + r]);
}

/* Merge the deliveries that were posted in step t - 1. */
static span_status deliver(span_backward_call *call, int32_t t)
{
	span_attention *op = call->op;
	span_range post = op->program->step[t - 1].post;
	span_status status = SPAN_OK;

	for (int32_t i = post.first; i < post.first + post.count && status == SPAN_OK; i++) {
		const span_delivery *delivery = &op->program->delivery[i];

		status = span_returns_receive(op, i, &call->delivered);
		if (status != SPAN_OK)
			return status;
		call->delivery = i;
		span_pool_run(op->pool, op->options.batch * op->options.kv_heads, span_backward_merge,
		              call);
		span_returns_release(op, i);
		status = span_returns_verify(op, i);
		if (status == SPAN_OK && delivery->completes &&
		    op->program->account[delivery->account].hop >= 0)
			status = span_returns_send(op, delivery->account, t);
	}
	return status;
}

static span_status backward_step(span_backward_call *call, int32_t t)
{
	span_attention *op = call->op;
	const span_program_step *step = &op->program->step[t];
	span_status status = SPAN_OK;

	call->t = t;
	if (t < op->program->gather_steps)
		status = span_gather_step(op, t);
	if (status == SPAN_OK)
		status = span_returns_step(op, t);
	if (status == SPAN_OK && step->account >= 0) {
		span_pool_run(op->pool, op->options.batch * op->options.kv_heads,
		              span_backward_compute, call);
		status = span_gather_verify(op, step->compute);
		if (status == SPAN_OK && step->completes &&
		    op->program->account[step->account].hop >= 0)
			status = span_returns_send(op, step->account, t);
	}
	if (status == SPAN_OK && t > 0)
		status = deliver(call, t);
	return status;
}

static span_status run_backward(span_backward_call *call, void *workspace)
{
	span_attention *op = call->op;
	span_status status = SPAN_OK;

	span_gather_begin(op, call->k, call->v, workspace);
	span_returns_begin(op);
	span_pool_run(op->pool, (int64_t)op->program->tiles * op->options.batch *
	              op->options.query_heads, prepare_task, call);
	for (int32_t t = 0; t < op->program->steps && status == SPAN_OK; t++)
		status = backward_step(call, t);
	if (status == SPAN_OK)
		status = span_gather_end(op);
	if (status == SPAN_OK)
		status = span_returns_end(op);
	return status == SPAN_OK ? SPAN_OK : span_gather_stopped(op, status);
}

static const char name[] = "span_attention_backward";

static span_status check_apart(const span_backward_call *call, const void *workspace)
{
	const span_attention *op = call->op;
	const span_area areas[] = {
		span_tensor_area(op, "q", call->q, 0),
		span_tensor_area(op, "k", call->k, 0),
		span_tensor_area(op, "v", call->v, 0),
		span_tensor_area(op, "out", call->out, 0),
		span_tensor_area(op, "dout", call->dout, 0),
		span_lse_area(op, call->lse, 0),
		span_tensor_area(op, "dq", call->dq, 1),
		span_tensor_area(op, "dk", call->dk, 1),
		span_tensor_area(op, "dv", call->dv, 1),
		span_workspace_area(op, workspace),
	};

	return span_check_apart(name, areas, sizeof(areas) / sizeof(areas[0]));
}

static span_status check_arguments(const span_backward_call *call, const void *workspace)
{
	const span_attention *op = call->op;
	int32_t query_heads, kv_heads;
	span_status status;

	if (op == NULL)
		return span_fail(SPAN_EINVAL, "%s: op is NULL", name);
	query_heads = op->options.query_heads;
	kv_heads = op->options.kv_heads;
	status = span_check_tensor(name, "q", call->q, op, query_heads, 0);
	if (status == SPAN_OK)
		status = span_check_tensor(name, "k", call->k, op, kv_heads, 0);
	if (status == SPAN_OK)
		status = span_check_tensor(name, "v", call->v, op, kv_heads, 0);
	if (status == SPAN_OK)
		status = span_check_tensor(name, "out", call->out, op, query_heads, 0);
	if (status == SPAN_OK)
		status = span_check_tensor(name, "dout", call->dout, op, query_heads, 0);
	if (status == SPAN_OK)
		status = span_check_lse(name, op, call->lse);
	if (status == SPAN_OK)
		status = span_check_tensor(name, "dq", call->dq, op, query_heads, 1);
	if (status == SPAN_OK)
		status = span_check_tensor(name, "dk", call->dk, op, kv_heads, 1);
	if (status == SPAN_OK)
		status = span_check_tensor(name, "dv", call->dv, op, kv_heads, 1);
	if (status == SPAN_OK)
		status = span_check_workspace(name, workspace);
	return status == SPAN_OK ? check_apart(call, workspace) : status;
}

span_status span_attention_backward(span_attention *op, const span_tensor *q,
                                    const span_tensor *k, const span_tensor *v,
                                    const span_tensor *out, const span_tensor *dout,
                                    const float *lse, const span_tensor *dq,
                                    const span_tensor *dk, const span_tensor *dv,
                                    void *workspace)
{
	span_backward_call call = { .op = op, .q = q, .k = k, .v = v, .out = out, .dout = dout,
	                       .lse = lse, .dq = dq, .dk = dk, .dv = dv };
	span_status status = check_arguments(&call, workspace);
	span_fp_mode mode;

	if (status != SPAN_OK)
		return status;
	call.dout_in_place = dout_in_place(op, dout);
	span_pass_begin(op, &op->statistics.backward, &mode);
	status = run_backward(&call, workspace);
	return span_pass_end(op, &mode, name, status);
}
