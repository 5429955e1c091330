/* Backward on one block: gradients of the rank's queries and of the block's keys, and what
 * becomes of them. */
#include "attention/backward.h"

#include <string.h>
#include "attention/copy.h"
#include "attention/quadrant.h"

/* One task: one batch and KV head. */
typedef struct {
	const span_backward_call *call;
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
	const float **keys;     /* [tiles of a block] K of each, in k or where it came */
} backward_scratch;

enum {
	PART_K,
	PART_PACKED_K,
	PART_PACKED_V,
	PART_VALUE,
	PART_DQ,
	PART_DKV,
	PART_DQ_WRITTEN,
	PART_DKV_WRITTEN,
	PART_TEMPORARIES,
	PART_LEAF,
	PART_KEYS,
	SCRATCH_PARTS
};

static int64_t tile_floats(const span_attention *op)
{
	return (int64_t)op->options.tile * op->width;
}

/* The parts of the scratch, in the order of backward_scratch; returns their sum. */
static size_t part_sizes(const span_attention *op, size_t bytes[SCRATCH_PARTS])
{
	size_t tile = (size_t)tile_floats(op) * sizeof(float);
	size_t packed = (size_t)span_packed_tile_floats(op) * sizeof(float);
	size_t block = (size_t)span_memory_most_tiles(op);
	size_t own = (size_t)op->program->tiles;
	size_t total = 0;

	bytes[PART_K] = block * tile;
	bytes[PART_PACKED_K] = bytes[PART_PACKED_V] = block * packed;
	bytes[PART_VALUE] = tile;
	bytes[PART_DQ] = (size_t)op->heads_per_kv * own * tile;
	bytes[PART_DKV] = 2 * block * tile;
	bytes[PART_DQ_WRITTEN] = own;
	bytes[PART_DKV_WRITTEN] = block;
	bytes[PART_TEMPORARIES] = op->program->schedule ? 0
		: (size_t)span_quadrant_floats((int64_t)own, (int64_t)block, op->heads_per_kv,
		                               tile_floats(op)) * sizeof(float);
	bytes[PART_LEAF] = op->kernels->leaf_scratch(op->options.tile, op->width, op->heads_per_kv);
	bytes[PART_KEYS] = block * sizeof(const float *);
	for (int i = 0; i < SCRATCH_PARTS; i++) {
		bytes[i] = span_align(bytes[i]);
		total += bytes[i];
	}
	return total;
}

size_t span_backward_scratch_bytes(const span_attention *op)
{
	size_t bytes[SCRATCH_PARTS];

	return part_sizes(op, bytes);
}

static backward_scratch scratch_of(const span_attention *op, int thread)
{
	size_t bytes[SCRATCH_PARTS];
	char *part[SCRATCH_PARTS];
	char *at = op->workspace + op->memory.scratch + (size_t)thread * op->memory.scratch_bytes;

	part_sizes(op, bytes);
	for (int i = 0; i < SCRATCH_PARTS; i++) {
		part[i] = at;
		at += bytes[i];
	}
	return (backward_scratch){
		.k = (float *)part[PART_K],
		.packed_k = (float *)part[PART_PACKED_K],
		.packed_v = (float *)part[PART_PACKED_V],
		.value = (float *)part[PART_VALUE],
		.dq = (float *)part[PART_DQ],
		.dkv = (float *)part[PART_DKV],
		.dq_written = (uint8_t *)part[PART_DQ_WRITTEN],
		.dkv_written = (uint8_t *)part[PART_DKV_WRITTEN],
		.temporaries = (float *)part[PART_TEMPORARIES],
		.leaf = part[PART_LEAF],
		.keys = (const float **)part[PART_KEYS],
	};
}

/* Add what waits, in slots `stride` floats apart, to what arrived, n floats each, and keep the
 * sum in its slot if it is to wait. Sums on their way there are made in `room`, which may be
 * where they arrived. Returns where the last one is. */
static const float *merge_sums(const span_attention *op, const span_row_arrival *arrival,
                               const float *arrived, float *room, float *slots, int64_t stride,
                               size_t n)
{
	const span_merge *merge = &op->program->merge[arrival->merge.first];
	float *kept = arrival->store < 0 ? NULL : slots + arrival->store * stride;
	int32_t last = arrival->merge.count - 1;
	const float *sum = arrived;

	for (int32_t i = 0; i <= last; i++) {
		float *to = kept != NULL && i == last ? kept : room;

		op->kernels->add(to, sum, slots + merge[i].slot * stride, n);
		sum = to;
	}
	if (kept != NULL && last < 0)
		span_copy_cold(kept, sum, n * sizeof(float));
	return sum;
}

/* ---- dQ ---- */

/* dQ of one query tile, [heads] planes in scratch, meets what waits. */
static void settle_dq(const backward_task *task, const span_row_arrival *arrival, float *dq,
                      int64_t plane)
{
	const span_attention *op = task->op;
	int32_t rows = span_slot_rows(op, op->rank, arrival->row);
	int64_t planes = op->options.batch * op->options.query_heads;
	float *waiting = (float *)(op->workspace + op->memory.pending_o);

	for (int32_t g = 0; g < op->heads_per_kv; g++, dq += plane) {
		int32_t head = task->kv_head * op->heads_per_kv + g;
		int64_t row = (task->batch * op->options.query_heads + head) * op->tokens +
		              (int64_t)arrival->row * op->options.tile;
		const float *sum = merge_sums(op, arrival, dq, dq, waiting + row * op->width,
		                              planes * op->tokens * op->width,
		                              (size_t)rows * (size_t)op->width);

		if (arrival->store < 0)
			op->kernels->store_rows(sum, rows, op->options.head_size,
			                        op->options.scale, op->options.dtype,
			                        span_tensor_row(op, task->call->dq, task->batch,
			                                        head, arrival->row),
			                        task->call->dq->token_stride);
	}
}

/* ---- dK, dV ---- */

/* Where dK of a part begins for the task's head, in floats; dV follows T rows later. */
static int64_t part_start(const backward_task *task, int64_t part)
{
	const span_attention *op = task->op;

	return part * (int64_t)(op->memory.part_bytes / sizeof(float)) +
	       (task->batch * op->options.kv_heads + task->kv_head) * 2 * tile_floats(op);
}

/* Store finished dK and dV of one of the rank's own key tiles. */
static void finish_dkv(const backward_task *task, int32_t row, const float *dk, const float *dv)
{
	const span_attention *op = task->op;
	int32_t rows = span_slot_rows(op, op->rank, row);

	op->kernels->store_rows(dk, rows, op->options.head_size, SPAN_LN2, op->options.dtype,
	                        span_tensor_row(op, task->call->dk, task->batch, task->kv_head, row),
	                        task->call->dk->token_stride);
	op->kernels->store_rows(dv, rows, op->options.head_size, 1, op->options.dtype,
	                        span_tensor_row(op, task->call->dv, task->batch, task->kv_head, row),
	                        task->call->dv->token_stride);
}

/* dK and dV of one key tile, dv_offset apart, meet what the account holds; `room` for both, as
 * far apart, may be where they are. */
static void settle_dkv(const backward_task *task, const span_account *account, float *parts,
                       const span_row_arrival *arrival, const float *dk, float *room,
                       int64_t dv_offset)
{
	const span_attention *op = task->op;
	size_t n = (size_t)span_slot_rows(op, account->block, arrival->row) * (size_t)op->width;
	float *slots = parts + part_start(task, arrival->row);
	int64_t stride = account->tiles * (int64_t)(op->memory.part_bytes / sizeof(float));
	const float *dk_sum = merge_sums(op, arrival, dk, room, slots, stride, n);
	const float *dv_sum = merge_sums(op, arrival, dk + dv_offset, room + dv_offset,
	                                 slots + tile_floats(op), stride, n);

	if (arrival->store < 0)
		finish_dkv(task, arrival->row, dk_sum, dv_sum);
	if (task->counts && account->hop < 0)
		span_pass_count(&task->op->returns_waiting[arrival->row],
		                &task->op->count[task->thread].returns_most, arrival);
}

/* An account got its last sums for the task's head: they go on, unless the rank owns them. */
static void complete_account(const backward_task *task, int32_t account)
{
	if (task->op->program->account[account].hop >= 0)
		span_returns_digest_account(task->op, account, task->batch, task->kv_head);
}

/* ---- One block ---- */

/* Pack the values of a tile: f32 rows of whole vectors as they lie, others through scratch. */
static void pack_values(const span_attention *op, const backward_scratch *scratch,
                        const char *rows, int64_t stride, int32_t keys, float *packed)
{
	const float *values = (const float *)rows;

	if (op->options.dtype != SPAN_F32 || op->options.head_size != op->width) {
		op->kernels->load_rows(op->options.dtype, rows, stride, keys, op->options.head_size,
		                       1, scratch->value);
		values = scratch->value;
		stride = op->width;
	}
	op->kernels->pack_keys(values, stride, keys, op->width, packed);
}

/* Bring one tile of a block into the forms the leaves want; returns its K in f32. */
static const float *load_tile(const backward_task *task, const backward_scratch *scratch,
                              int32_t block, int64_t slot)
{
	const span_attention *op = task->op;
	span_tile_view view = span_gather_tile(op, task->call->k, task->call->v, block,
	                                       task->batch, task->kv_head, slot);
	int in_place = op->options.dtype == SPAN_F32 && view.k_stride == op->width &&
	               op->options.head_size == op->width;
	int32_t keys = span_slot_rows(op, block, slot);
	int64_t packed = slot * span_packed_tile_floats(op);
	const float *k = (const float *)view.k;

	if (!in_place) {
		float *loaded = scratch->k + slot * tile_floats(op);

		op->kernels->load_rows(op->options.dtype, view.k, view.k_stride, keys,
		                       op->options.head_size, 1, loaded);
		k = loaded;
	}
	op->kernels->pack_keys(k, op->width, keys, op->width, scratch->packed_k + packed);
	pack_values(op, scratch, view.v, view.v_stride, keys, scratch->packed_v + packed);
	return k;
}

static void load_block(const backward_task *task, const backward_scratch *scratch, int32_t block)
{
	for (int32_t slot = 0; slot < task->op->program->read[block]; slot++) {
		span_gather_digest(task->op, block, task->batch, task->kv_head, slot);
		scratch->keys[slot] = load_tile(task, scratch, block, slot);
	}
}

/* dout of the task's first query head, as the leaves want it. */
static const float *dout_rows(const backward_task *task, int64_t row)
{
	const span_attention *op = task->op;

	if (task->call->dout_in_place)
		return (const float *)span_tensor_row(op, task->call->dout, task->batch,
		                                      task->kv_head * op->heads_per_kv, 0);
	return (const float *)(op->workspace + op->memory.dout) + row * op->width;
}

static span_quadrant make_quadrant(const backward_task *task, const backward_scratch *scratch)
{
	const span_attention *op = task->op;
	int64_t row = (task->batch * op->options.query_heads + task->kv_head * op->heads_per_kv) *
	              op->tokens;

	return (span_quadrant){
		.kernels = op->kernels,
		.visible = &op->program->visible,
		.keys = scratch->keys,
		.packed_tile = span_packed_tile_floats(op),
		.temporaries = scratch->temporaries,
		.leaf = {
			.head_size = op->options.head_size,
			.heads = op->heads_per_kv,
			.tile = op->options.tile,
			.q = (const float *)(op->workspace + op->memory.query) + row * op->width,
			.dout = dout_rows(task, row),
			.q_head = op->tokens * op->width,
			.lse2 = (const float *)(op->workspace + op->memory.lse2) + row,
			.delta = (const float *)(op->workspace + op->memory.delta) + row,
			.row_head = op->tokens,
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
		           dkv.data + p * tile_floats(op), dkv.plane);
	}
}

static void compute_pair(const backward_task *task, const backward_scratch *scratch,
                         span_quadrant *quadrant, int32_t block, span_node query_node,
                         span_node key_node)
{
	const span_attention *op = task->op;
	int64_t q_first, q_end, k_first, k_end;
	span_gradient_rows dq = { .data = scratch->dq, .planes = op->heads_per_kv,
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
	task->op->count[task->thread].pairs += quadrant->pairs * op->heads_per_kv;
	if (quadrant->pairs > 0)
		settle_pair(task, query_node, key_node, dq, q_first, dkv, k_first);
}

static backward_task make_task(const span_backward_call *call, int64_t task, int thread)
{
	int32_t heads = call->op->options.kv_heads;

	return (backward_task){ .call = call, .op = call->op, .batch = task / heads,
	                        .kv_head = (int32_t)(task % heads), .counts = task == 0,
	                        .thread = thread };
}

void span_backward_compute(void *context, int64_t number, int thread)
{
	const span_backward_call *call = context;
	backward_task task = make_task(call, number, thread);
	const span_program *program = call->op->program;
	backward_scratch scratch = scratch_of(call->op, thread);
	int32_t block = program->step[call->t].compute;
	span_node nodes[SPAN_TREE_COVER];
	int n = span_program_cover(program, block, nodes);
	span_quadrant quadrant = make_quadrant(&task, &scratch);

	load_block(&task, &scratch, block);
	for (int z = 0; z < n; z++)
		for (int y = 0; y < program->nodes; y++)
			compute_pair(&task, &scratch, &quadrant, block, program->node[y], nodes[z]);
	if (program->step[call->t].completes)
		complete_account(&task, program->step[call->t].account);
}

/* ---- What arrives ---- */

void span_backward_merge(void *context, int64_t number, int thread)
{
	const span_backward_call *call = context;
	backward_task task = make_task(call, number, thread);
	const span_program *program = call->op->program;
	const span_delivery *delivery = &program->delivery[call->delivery];
	const span_account *account = &program->account[delivery->account];
	float *parts = span_returns_account(call->op, delivery->account);
	float *room = scratch_of(call->op, thread).dkv;

	for (int32_t i = 0; i < delivery->arrival.count; i++) {
		const span_row_arrival *arrival = &program->arrival[delivery->arrival.first + i];
		const float *dk = call->delivered + part_start(&task, arrival->part);

		span_returns_digest_delivery(call->op, call->delivered, task.batch, task.kv_head,
		                             arrival->part);
		settle_dkv(&task, account, parts, arrival, dk, room, tile_floats(call->op));
	}
	if (delivery->completes)
		complete_account(&task, delivery->account);
}

