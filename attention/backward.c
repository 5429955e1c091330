/* Backward: dQ settles at this rank as forward partials do; dK and dV go back to the owners of
 * their blocks, merged on the way wherever the tree allows. */
#include <math.h>
#include <string.h>
#include "attention/pass.h"
#include "attention/quadrant.h"
#include "topo/log.h"

/* lse is a natural logarithm, the kernels think in base 2: log2(e) and ln(2) in f32. */
#define LOG2_E 1.44269502f
#define LN_2 0.693147182f

/* What the tasks of a call share. */
typedef struct {
	span_attention *op;
	const span_tensor *q;
	const span_tensor *k;
	const span_tensor *v;
	const span_tensor *out;
	const span_tensor *dout;
	const float *lse;
	const span_tensor *dq;
	const span_tensor *dk;
	const span_tensor *dv;
	int32_t t;                  /* the step */
	const span_delivery *delivery; /* being merged */
	const float *delivered;
} backward_call;

/* One task: one batch and KV head. */
typedef struct {
	const backward_call *call;
	span_attention *op;
	int64_t batch;
	int32_t kv_head;
	int counts; /* whether this task counts for all */
	int thread;
} backward_task;

/* The scratch of a thread. */
typedef struct {
	float *k;               /* [tiles of a block][T][width], when the block is not so itself */
	float *packed_k;        /* [tiles of a block] packed tiles */
	float *packed_v;
	float *value;           /* [T][width] of v, on its way to being packed */
	float *dq;              /* [heads][tiles of a query node][T][width] */
	float *dkv;             /* [2][tiles of a key node][T][width] */
	uint8_t *dq_written;    /* [tiles of a query node] */
	uint8_t *dkv_written;   /* [tiles of a key node] */
	float *temporaries;
	char *leaf;
} backward_scratch;

static int64_t tile_floats(const span_attention *op)
{
	return (int64_t)op->options.tile * op->width;
}

static int64_t packed_tile(const span_attention *op)
{
	return (int64_t)(span_align(op->kernels->packed_floats(op->options.tile, op->width) *
	                          sizeof(float)) / sizeof(float));
}

/* Lay the scratch out from `base`, which may be 0 to learn the size; returns its end. */
static char *lay_out(const span_attention *op, char *base, backward_scratch *scratch)
{
	size_t tile = (size_t)tile_floats(op) * sizeof(float);
	size_t packed = (size_t)packed_tile(op) * sizeof(float);
	size_t block = (size_t)span_memory_most_tiles(op);
	size_t own = (size_t)op->program->tiles;
	char *at = base;

	scratch->k = (float *)at;
	at += block * tile;
	scratch->packed_k = (float *)at;
	at += block * packed;
	scratch->packed_v = (float *)at;
	at += block * packed;
	scratch->value = (float *)at;
	at += tile;
	scratch->dq = (float *)at;
	at += (size_t)op->group * own * tile;
	scratch->dkv = (float *)at;
	at += 2 * block * tile;
	scratch->dq_written = (uint8_t *)at;
	at += span_align(own);
	scratch->dkv_written = (uint8_t *)at;
	at += span_align(block);
	scratch->temporaries = (float *)at;
	if (!op->program->schedule)
		at += span_align((size_t)span_quadrant_floats((int64_t)own, (int64_t)block,
		                                            op->group, tile_floats(op)) *
		               sizeof(float));
	scratch->leaf = at;
	at += span_align(op->kernels->leaf_scratch(op->options.tile, op->width, op->group));
	return at;
}

size_t span_backward_scratch_bytes(const span_attention *op)
{
	backward_scratch scratch;

	return (size_t)(lay_out(op, (char *)0 + 64, &scratch) - ((char *)0 + 64));
}

static backward_scratch scratch_of(const span_attention *op, int thread)
{
	backward_scratch scratch;

	lay_out(op, op->workspace + op->memory.scratch +
	        (size_t)thread * op->memory.scratch_bytes, &scratch);
	return scratch;
}

/* The row of a tensor where tile `slot` of one head begins. */
static char *tensor_row(const span_attention *op, const span_tensor *tensor, int64_t batch,
                        int32_t head, int64_t slot)
{
	int64_t at = batch * tensor->batch_stride + head * tensor->head_stride +
	             slot * op->options.tile * tensor->token_stride;

	return (char *)tensor->data + at * (int64_t)span_dtype_bytes(op->options.dtype);
}

static int32_t rows_of_slot(const span_attention *op, int32_t rank, int64_t slot)
{
	return span_layout_tile_tokens(op->layout,
	                               span_layout_tile_at(op->layout, rank, slot));
}

/* ---- Before the first step: q scaled, dout, lse and delta as the kernels want them. ---- */

static void prepare_task(void *context, int64_t task, int thread)
{
	const backward_call *call = context;
	const span_attention *op = call->op;
	int32_t heads = op->options.query_heads;
	int64_t slot = task / (op->options.batch * heads);
	int64_t plane = task % (op->options.batch * heads);
	int64_t batch = plane / heads;
	int32_t head = (int32_t)(plane % heads);
	int64_t row = plane * op->tokens + slot * op->options.tile;
	int32_t rows = rows_of_slot(op, op->rank, slot);
	float *lse2 = (float *)(op->workspace + op->memory.lse2) + row;
	span_dtype dtype = op->options.dtype;
	const char *dout = tensor_row(op, call->dout, batch, head, slot);

	(void)thread;
	op->kernels->load_rows(dtype, tensor_row(op, call->q, batch, head, slot),
	                       call->q->token_stride, rows, op->options.head_size,
	                       op->scale_log2,
	                       (float *)(op->workspace + op->memory.query) + row * op->width);
	op->kernels->load_rows(dtype, dout, call->dout->token_stride, rows,
	                       op->options.head_size, 1,
	                       (float *)(op->workspace + op->memory.dout) + row * op->width);
	op->kernels->dot_rows(dtype, tensor_row(op, call->out, batch, head, slot),
	                      call->out->token_stride, dout, call->dout->token_stride, rows,
	                      op->options.head_size,
	                      (float *)(op->workspace + op->memory.delta) + row);
	for (int32_t r = 0; r < rows; r++) {
		float lse = call->lse[row + r];

		lse2[r] = lse == -INFINITY ? INFINITY : lse * LOG2_E;
	}
}

/* ---- dQ ---- */

/* Where dQ of a query tile waits, for one query head. */
static float *waiting_dq(const backward_task *task, int32_t store, int32_t head, int32_t slot)
{
	const span_attention *op = task->op;
	int64_t plane = (store * op->options.batch + task->batch) * op->options.query_heads +
	                task->kv_head * op->group + head;

	return (float *)(op->workspace + op->memory.pending_o) +
	       (plane * op->tokens + (int64_t)slot * op->options.tile) * op->width;
}

/* dQ of one query tile, [heads] planes in scratch, meets what waits. */
static void settle_dq(const backward_task *task, const span_row_arrival *arrival, float *dq,
                      int64_t plane)
{
	const span_attention *op = task->op;
	const span_merge *merge = &op->program->merge[arrival->merge.first];
	int32_t rows = rows_of_slot(op, op->rank, arrival->row);
	size_t n = (size_t)rows * (size_t)op->width;

	for (int32_t g = 0; g < op->group; g++, dq += plane) {
		int32_t head = task->kv_head * op->group + g;

		for (int32_t i = 0; i < arrival->merge.count; i++)
			op->kernels->add(dq, waiting_dq(task, merge[i].slot, g, arrival->row), n);
		if (arrival->store >= 0)
			memcpy(waiting_dq(task, arrival->store, g, arrival->row), dq,
			       n * sizeof(float));
		else
			op->kernels->store_rows(dq, rows, op->options.head_size, op->options.scale,
			                        op->options.dtype,
			                        tensor_row(op, task->call->dq, task->batch, head,
			                                   arrival->row),
			                        task->call->dq->token_stride);
	}
}

/* ---- dK, dV ---- */

/* dK of a part of an account for the task's head; dV follows T rows later. */
static float *part_of(const backward_task *task, float *account, int64_t part)
{
	const span_attention *op = task->op;

	return account + (size_t)part * (op->memory.part_bytes / sizeof(float)) +
	       (task->batch * op->options.kv_heads + task->kv_head) * 2 * tile_floats(op);
}

/* Store finished dK and dV of one of the rank's own key tiles. */
static void finish_dkv(const backward_task *task, int32_t row, const float *dk, const float *dv)
{
	const span_attention *op = task->op;
	int32_t rows = rows_of_slot(op, op->rank, row);

	op->kernels->store_rows(dk, rows, op->options.head_size, LN_2, op->options.dtype,
	                        tensor_row(op, task->call->dk, task->batch, task->kv_head, row),
	                        task->call->dk->token_stride);
	op->kernels->store_rows(dv, rows, op->options.head_size, 1, op->options.dtype,
	                        tensor_row(op, task->call->dv, task->batch, task->kv_head, row),
	                        task->call->dv->token_stride);
}

/* dK and dV of one key tile, dv_offset apart, meet what the account holds. */
static void settle_dkv(const backward_task *task, const span_account *account, float *parts,
                       const span_row_arrival *arrival, float *dk, int64_t dv_offset)
{
	const span_attention *op = task->op;
	const span_merge *merge = &op->program->merge[arrival->merge.first];
	int32_t rows = rows_of_slot(op, account->block, arrival->row);
	size_t n = (size_t)rows * (size_t)op->width;
	float *dv = dk + dv_offset;

	for (int32_t i = 0; i < arrival->merge.count; i++) {
		const float *other = part_of(task, parts, (int64_t)merge[i].slot * account->tiles +
		                                          arrival->row);

		op->kernels->add(dk, other, n);
		op->kernels->add(dv, other + tile_floats(op), n);
	}
	if (arrival->store >= 0) {
		float *to = part_of(task, parts, (int64_t)arrival->store * account->tiles +
		                                 arrival->row);

		memcpy(to, dk, n * sizeof(float));
		memcpy(to + tile_floats(op), dv, n * sizeof(float));
	} else {
		finish_dkv(task, arrival->row, dk, dv);
	}
	if (task->counts && account->hop < 0)
		span_pass_count(&task->op->returns_waiting[arrival->row],
		                &task->op->count[task->thread].returns_most, arrival);
}

/* ---- One block ---- */

/* Bring K and V of the block into the forms the leaves want; returns K in f32. */
static const float *load_block(const backward_task *task, const backward_scratch *scratch,
                               int32_t block)
{
	const span_attention *op = task->op;
	span_block_view view = span_gather_view(op, task->call->k, task->call->v, block,
	                                        task->batch, task->kv_head);
	int64_t tiles = span_layout_rank_tiles(op->layout, block);
	size_t element = span_dtype_bytes(op->options.dtype);
	int in_place = op->options.dtype == SPAN_F32 && view.k_stride == op->width &&
	               op->options.head_size == op->width;
	const float *k = in_place ? (const float *)view.k : scratch->k;

	for (int64_t slot = 0; slot < tiles; slot++) {
		int32_t keys = rows_of_slot(op, block, slot);
		int64_t token = slot * op->options.tile;
		const char *v_rows = view.v + (size_t)(token * view.v_stride) * element;

		if (!in_place)
			op->kernels->load_rows(op->options.dtype,
			                       view.k + (size_t)(token * view.k_stride) * element,
			                       view.k_stride, keys, op->options.head_size, 1,
			                       scratch->k + token * op->width);
		op->kernels->load_rows(op->options.dtype, v_rows, view.v_stride, keys,
		                       op->options.head_size, 1, scratch->value);
		op->kernels->pack_keys(k + token * op->width, op->width, keys, op->width,
		                       scratch->packed_k + slot * packed_tile(op));
		op->kernels->pack_keys(scratch->value, op->width, keys, op->width,
		                       scratch->packed_v + slot * packed_tile(op));
	}
	return k;
}

static span_quadrant make_quadrant(const backward_task *task, const backward_scratch *scratch,
                                   const float *k)
{
	const span_attention *op = task->op;
	int64_t row = (task->batch * op->options.query_heads + task->kv_head * op->group) *
	              op->tokens;

	return (span_quadrant){
		.kernels = op->kernels,
		.visible = &op->program->visible,
		.packed_tile = packed_tile(op),
		.temporaries = scratch->temporaries,
		.leaf = {
			.head_size = op->options.head_size,
			.heads = op->group,
			.tile = op->options.tile,
			.q = (const float *)(op->workspace + op->memory.query) + row * op->width,
			.dout = (const float *)(op->workspace + op->memory.dout) + row * op->width,
			.q_head = op->tokens * op->width,
			.lse2 = (const float *)(op->workspace + op->memory.lse2) + row,
			.delta = (const float *)(op->workspace + op->memory.delta) + row,
			.row_head = op->tokens,
			.k = k,
			.k_packed = scratch->packed_k,
			.v_packed = scratch->packed_v,
			.scratch = scratch->leaf,
		},
	};
}

static int same_node(span_node a, span_node b)
{
	return a.height == b.height && a.index == b.index;
}

/* The positions of a node of a rank's shard; schedule order has one node, the shard. */
static void node_positions(const span_attention *op, int32_t rank, span_node node,
                           int64_t *first, int64_t *end)
{
	if (op->program->schedule)
		span_tree_shard(&op->layout->tree, op->ranks, rank, first, end);
	else
		span_tree_range(&op->layout->tree, node, first, end);
}

/* Hand on what a pair of nodes gave. dq and dkv stand in position order. */
static void settle_pair(const backward_task *task, span_node query_node, span_node key_node,
                        span_gradient_rows dq, int64_t q_first, span_gradient_rows dkv,
                        int64_t k_first)
{
	const span_attention *op = task->op;
	const span_program *program = op->program;
	const span_program_step *step = &program->step[task->call->t];
	const span_tree *tree = &op->layout->tree;
	const span_account *account = &program->account[step->account];
	float *parts = span_returns_account(op, step->account);

	for (int32_t i = step->arrival.first; i < step->arrival.first + step->arrival.count; i++) {
		const span_row_arrival *arrival = &program->arrival[i];
		int64_t tile = span_layout_tile_at(op->layout, op->rank, arrival->row);
		int64_t p = span_tree_position(tree, tile) - q_first;

		if (!same_node(arrival->node, key_node) || p < 0 || p >= dq.plane / tile_floats(op))
			continue;
		settle_dq(task, arrival, dq.data + p * tile_floats(op), dq.plane);
		if (task->counts)
			span_pass_count(&task->op->waiting[arrival->row],
			                &task->op->count[task->thread].pending_most, arrival);
	}
	for (int32_t i = step->returned.first; i < step->returned.first + step->returned.count;
	     i++) {
		const span_row_arrival *arrival = &program->arrival[i];
		int64_t tile = span_layout_tile_at(op->layout, account->block, arrival->row);
		int64_t p = span_tree_position(tree, tile) - k_first;

		if (!same_node(arrival->node, query_node) || p < 0 ||
		    p >= dkv.plane / tile_floats(op))
			continue;
		settle_dkv(task, account, parts, arrival, dkv.data + p * tile_floats(op),
		           dkv.plane);
	}
}

static void compute_pair(const backward_task *task, const backward_scratch *scratch,
                         span_quadrant *quadrant, int32_t block, span_node query_node,
                         span_node key_node)
{
	const span_attention *op = task->op;
	int64_t q_first, q_end, k_first, k_end;
	span_gradient_rows dq = { .data = scratch->dq, .planes = op->group,
	                          .written = scratch->dq_written };
	span_gradient_rows dkv = { .data = scratch->dkv, .planes = 2,
	                           .written = scratch->dkv_written };

	node_positions(op, op->rank, query_node, &q_first, &q_end);
	node_positions(op, block, key_node, &k_first, &k_end);
	dq.plane = (q_end - q_first) * tile_floats(op);
	dkv.plane = (k_end - k_first) * tile_floats(op);
	memset(dq.written, 0, (size_t)(q_end - q_first));
	memset(dkv.written, 0, (size_t)(k_end - k_first));
	span_quadrant_run(quadrant, q_first, q_end, k_first, k_end, dq, dkv,
	                  op->program->schedule);
	if (task->counts)
		task->op->count[task->thread].pairs += quadrant->pairs;
	if (quadrant->pairs > 0)
		settle_pair(task, query_node, key_node, dq, q_first, dkv, k_first);
}

static backward_task make_task(const backward_call *call, int64_t task, int thread)
{
	int32_t heads = call->op->options.kv_heads;

	return (backward_task){ .call = call, .op = call->op, .batch = task / heads,
	                        .kv_head = (int32_t)(task % heads), .counts = task == 0,
	                        .thread = thread };
}

static void compute_task(void *context, int64_t number, int thread)
{
	const backward_call *call = context;
	backward_task task = make_task(call, number, thread);
	const span_program *program = call->op->program;
	backward_scratch scratch = scratch_of(call->op, thread);
	int32_t block = program->step[call->t].compute;
	span_node nodes[SPAN_TREE_COVER];
	int n = span_program_cover(program, block, nodes);
	span_quadrant quadrant = make_quadrant(&task, &scratch, load_block(&task, &scratch, block));

	for (int z = 0; z < n; z++)
		for (int y = 0; y < program->nodes; y++)
			compute_pair(&task, &scratch, &quadrant, block, program->node[y], nodes[z]);
}

/* ---- What arrives ---- */

static void deliver_task(void *context, int64_t number, int thread)
{
	const backward_call *call = context;
	backward_task task = make_task(call, number, thread);
	const span_program *program = call->op->program;
	const span_delivery *delivery = call->delivery;
	const span_account *account = &program->account[delivery->account];
	float *parts = span_returns_account(call->op, delivery->account);

	for (int32_t i = 0; i < delivery->arrival.count; i++) {
		const span_row_arrival *arrival = &program->arrival[delivery->arrival.first + i];
		float *dk = part_of(&task, (float *)call->delivered, arrival->part);

		settle_dkv(&task, account, parts, arrival, dk, tile_floats(call->op));
	}
}

/* Merge the deliveries that were posted in step t - 1. */
static span_status deliver(backward_call *call, int32_t t)
{
	span_attention *op = call->op;
	span_range post = op->program->step[t - 1].post;
	span_status status = SPAN_OK;

	for (int32_t i = post.first; i < post.first + post.count && status == SPAN_OK; i++) {
		const span_delivery *delivery = &op->program->delivery[i];

		status = span_returns_receive(op, i, &call->delivered);
		if (status != SPAN_OK)
			return status;
		call->delivery = delivery;
		span_pool_run(op->pool, op->options.batch * op->options.kv_heads, deliver_task,
		              call);
		if (delivery->completes && op->program->account[delivery->account].hop >= 0)
			status = span_returns_send(op, delivery->account, t);
	}
	return status;
}

/* ---- The pass ---- */

static span_status backward_step(backward_call *call, int32_t t)
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
		span_pool_run(op->pool, op->options.batch * op->options.kv_heads, compute_task,
		              call);
		if (step->completes && op->program->account[step->account].hop >= 0)
			status = span_returns_send(op, step->account, t);
	}
	if (status == SPAN_OK && t > 0)
		status = deliver(call, t);
	return status;
}

static span_status run_backward(backward_call *call, void *workspace)
{
	span_attention *op = call->op;
	span_status status = span_gather_begin(op, call->k, call->v, workspace);

	if (status == SPAN_OK)
		status = span_returns_begin(op);
	if (status == SPAN_OK)
		span_pool_run(op->pool, (int64_t)op->program->tiles * op->options.batch *
		              op->options.query_heads, prepare_task, call);
	for (int32_t t = 0; t < op->program->steps && status == SPAN_OK; t++)
		status = backward_step(call, t);
	if (status == SPAN_OK)
		status = span_gather_end(op);
	if (status == SPAN_OK)
		status = span_returns_end(op);
	return status;
}

static const char name[] = "span_attention_backward";

static span_status check_arguments(const backward_call *call, const void *workspace)
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
	if (status == SPAN_OK && call->lse == NULL && op->tokens > 0)
		status = span_fail(SPAN_EINVAL, "%s: lse is NULL", name);
	if (status == SPAN_OK)
		status = span_check_tensor(name, "dq", call->dq, op, query_heads, 1);
	if (status == SPAN_OK)
		status = span_check_tensor(name, "dk", call->dk, op, kv_heads, 1);
	if (status == SPAN_OK)
		status = span_check_tensor(name, "dv", call->dv, op, kv_heads, 1);
	return status == SPAN_OK ? span_check_workspace(name, workspace) : status;
}

span_status span_attention_backward(span_attention *op, const span_tensor *q,
                                    const span_tensor *k, const span_tensor *v,
                                    const span_tensor *out, const span_tensor *dout,
                                    const float *lse, const span_tensor *dq,
                                    const span_tensor *dk, const span_tensor *dv,
                                    void *workspace)
{
	backward_call call = { .op = op, .q = q, .k = k, .v = v, .out = out, .dout = dout,
	                       .lse = lse, .dq = dq, .dk = dk, .dv = dv };
	span_status status = check_arguments(&call, workspace);
	span_fp_mode mode;

	if (status != SPAN_OK)
		return status;
	span_pass_begin(op, &op->statistics.backward, &mode);
	status = run_backward(&call, workspace);
	return span_pass_end(op, &mode, name, status);
}
