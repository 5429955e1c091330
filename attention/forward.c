/* Forward: every query tile against every block as it comes, partials merged along the tree. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "attention/pass.h"
#include "topo/log.h"

/* KV heads are prepared together until each thread has so many tasks. */
enum { TASKS_A_THREAD = 4 };

/* What the tasks of a call share. */
typedef struct {
	span_attention *op;
	const span_tensor *q;
	const span_tensor *k;
	const span_tensor *v;
	const span_tensor *out;
	float *lse;
	const span_program_step *step;
	int64_t first_plane;  /* the KV heads, counted over batches, that are prepared */
	int64_t planes;
} forward_call;

/* The rows of one task: of one head, within one query tile. */
typedef struct {
	int64_t batch;
	int32_t head;
	int32_t slot;   /* of the query tile */
	int64_t tile;
	int32_t offset; /* of the first row in the tile */
	int32_t rows;
} forward_rows;

/* One partial of the task's rows. */
typedef struct {
	float *m;
	float *l;
	float *o;
} row_partial;

/* The scratch of a thread: kernel scratch, the arriving partial, the list of key tiles. */
typedef struct {
	row_partial partial;
	span_key_tile *tiles;
	void *kernel;
} forward_scratch;

static int32_t levels_of(const span_attention *op)
{
	return op->layout->tree.height + 2;
}

static size_t kernel_scratch_bytes(const span_attention *op)
{
	return span_align(op->kernels->forward_scratch(op->options.tile, op->width,
	                                             levels_of(op)));
}

size_t span_forward_scratch_bytes(const span_attention *op)
{
	size_t rows = SPAN_KERNEL_ROWS;

	return kernel_scratch_bytes(op) + 2 * span_align(rows * sizeof(float)) +
	       span_align(rows * (size_t)op->width * sizeof(float)) +
	       span_align((size_t)span_memory_most_tiles(op) * sizeof(span_key_tile));
}

static forward_scratch scratch_of(const span_attention *op, int thread)
{
	char *at = op->workspace + op->memory.scratch + (size_t)thread * op->memory.scratch_bytes;
	size_t rows = SPAN_KERNEL_ROWS;
	forward_scratch scratch;

	scratch.kernel = at;
	at += kernel_scratch_bytes(op);
	scratch.partial.m = (float *)at;
	at += span_align(rows * sizeof(float));
	scratch.partial.l = (float *)at;
	at += span_align(rows * sizeof(float));
	scratch.partial.o = (float *)at;
	at += span_align(rows * (size_t)op->width * sizeof(float));
	scratch.tiles = (span_key_tile *)at;
	return scratch;
}

/* A key tile as the kernels want it. */
typedef struct {
	float *packed;
	const float *values;
} prepared_tile;

/* Values that are f32 rows of whole vectors, one behind the other, need no copy. */
static int values_in_place(const span_attention *op, const span_tile_view *view)
{
	return op->options.dtype == SPAN_F32 && op->options.head_size == op->width &&
	       view->v_stride == op->width;
}

/* Where a key tile of the block computed on is prepared; its values may be where they lie. */
static prepared_tile find_prepared(const forward_call *call, const span_tile_view *view,
                                   int64_t plane, int64_t slot)
{
	const span_attention *op = call->op;
	int64_t number = (plane - call->first_plane) * span_memory_most_tiles(op) + slot;
	float *packed = (float *)(op->workspace + op->memory.prepared) +
	                number * span_prepared_tile_floats(op);
	prepared_tile tile = { packed, packed + span_packed_tile_floats(op) };

	if (values_in_place(op, view))
		tile.values = (const float *)view->v;
	return tile;
}

/* Prepare one key tile of one KV head, for all the query tiles and heads that will see it. */
static void prepare_task(void *context, int64_t task, int thread)
{
	const forward_call *call = context;
	span_attention *op = call->op;
	int32_t block = call->step->compute;
	int64_t tiles = op->program->read[block];
	int64_t slot = task % tiles, plane = call->first_plane + task / tiles;
	span_tile_view view = span_gather_tile(op, call->k, call->v, block,
	                                       plane / op->options.kv_heads,
	                                       (int32_t)(plane % op->options.kv_heads), slot);
	prepared_tile tile = find_prepared(call, &view, plane, slot);
	int32_t keys = span_layout_tile_tokens(op->layout,
	                                       span_layout_tile_at(op->layout, block, slot));
	float *values = tile.packed + span_packed_tile_floats(op);

	(void)thread;
	span_gather_digest(op, block, plane / op->options.kv_heads,
	                   (int32_t)(plane % op->options.kv_heads), slot);
	if (op->options.dtype == SPAN_F32 && op->options.head_size == op->width) {
		op->kernels->pack_keys((const float *)view.k, view.k_stride, keys, op->width,
		                       tile.packed);
	} else { /* by way of the place of the values */
		op->kernels->load_rows(op->options.dtype, view.k, view.k_stride, keys,
		                       op->options.head_size, 1, values);
		op->kernels->pack_keys(values, op->width, keys, op->width, tile.packed);
	}
	if (tile.values == values)
		op->kernels->load_rows(op->options.dtype, view.v, view.v_stride, keys,
		                       op->options.head_size, 1, values);
}

/* Where the partial of these rows waits in a slot. */
static row_partial waiting_partial(const span_attention *op, const forward_rows *rows,
                                   int32_t store)
{
	int64_t plane = op->options.batch * op->options.query_heads;
	int64_t row = ((int64_t)store * plane + rows->batch * op->options.query_heads +
	               rows->head) * op->tokens +
	              (int64_t)rows->slot * op->options.tile + rows->offset;

	return (row_partial){
		.m = (float *)(op->workspace + op->memory.pending_m) + row,
		.l = (float *)(op->workspace + op->memory.pending_l) + row,
		.o = (float *)(op->workspace + op->memory.pending_o) + row * op->width,
	};
}

/* List the key tiles of a node that the rows see, in tree order. */
static int32_t list_tiles(const forward_call *call, const forward_rows *rows, span_node node,
                          span_key_tile *tiles)
{
	const span_attention *op = call->op;
	const span_layout *layout = op->layout;
	int32_t block = call->step->compute;
	int32_t kv_head = rows->head / op->heads_per_kv;
	int64_t first, end, position, last;
	int32_t count = 0;

	span_visible_keys(&op->program->visible, rows->tile, &first, &end);
	if (op->program->schedule)
		span_tree_shard(&layout->tree, op->ranks, block, &position, &last);
	else
		span_tree_range(&layout->tree, node, &position, &last);
	for (; position < last; position++) {
		int64_t tile = span_tree_tile(&layout->tree, position);
		int64_t shift = span_visible_shift(&op->program->visible, rows->tile, tile) +
		                rows->offset;
		prepared_tile prepared;
		span_tile_view view;
		int64_t slot;

		/* A tile may be visible to the query tile and not to these of its rows. */
		if (tile < first || tile >= end || shift + rows->rows <= 0)
			continue;
		slot = span_layout_slot(layout, tile);
		view = span_gather_tile(op, call->k, call->v, block, rows->batch, kv_head, slot);
		prepared = find_prepared(call, &view,
		                         rows->batch * op->options.kv_heads + kv_head, slot);
		tiles[count] = (span_key_tile){
			.packed = prepared.packed,
			.values = prepared.values,
			.k = view.k,
			.v = view.v,
			.k_stride = view.k_stride,
			.v_stride = view.v_stride,
			.keys = span_layout_tile_tokens(layout, tile),
			.address = span_tree_address(&layout->tree, position),
			.shift = shift,
		};
		count++;
	}
	return count;
}

/* Run the kernel on the tiles that were listed. Returns the pairs that they hold. */
static int64_t run_kernel(const forward_call *call, const forward_rows *rows,
                          const forward_scratch *scratch, int32_t n_tiles, int32_t running,
                          row_partial into)
{
	const span_attention *op = call->op;
	int64_t token = (int64_t)rows->slot * op->options.tile + rows->offset;
	int64_t at = rows->batch * call->q->batch_stride + token * call->q->token_stride +
	             rows->head * call->q->head_stride;
	span_forward_task task = {
		.dtype = op->options.dtype,
		.head_size = op->options.head_size,
		.rows = rows->rows,
		.q = (const char *)call->q->data + at * (int64_t)span_dtype_bytes(op->options.dtype),
		.q_stride = call->q->token_stride,
		.scale = op->scale_log2,
		.tiles = scratch->tiles,
		.n_tiles = n_tiles,
		.tile = op->options.tile,
		.levels = levels_of(op),
		.running = running,
		.m = into.m,
		.l = into.l,
		.o = into.o,
		.scratch = scratch->kernel,
	};
	int64_t pairs = 0;

	op->kernels->forward(&task);
	for (int32_t i = 0; i < n_tiles; i++)
		pairs += span_visible_pairs(rows->rows, scratch->tiles[i].keys,
		                            scratch->tiles[i].shift);
	return pairs;
}

/* Rows that have seen nothing. */
static void clear_partial(const span_attention *op, int32_t rows, row_partial partial)
{
	for (int32_t r = 0; r < rows; r++) {
		partial.m[r] = -INFINITY;
		partial.l[r] = 0;
	}
	memset(partial.o, 0, (size_t)rows * (size_t)op->width * sizeof(float));
}

static void finish_rows(const forward_call *call, const forward_rows *rows, row_partial partial)
{
	const span_attention *op = call->op;
	int64_t token = (int64_t)rows->slot * op->options.tile + rows->offset;
	int64_t at = rows->batch * call->out->batch_stride + token * call->out->token_stride +
	             rows->head * call->out->head_stride;
	float *lse = call->lse +
	             (rows->batch * op->options.query_heads + rows->head) * op->tokens + token;

	op->kernels->finish(rows->rows, op->options.head_size, partial.m, partial.l, partial.o,
	                    op->options.dtype,
	                    (char *)call->out->data +
	                    at * (int64_t)span_dtype_bytes(op->options.dtype),
	                    call->out->token_stride, lse);
}

/* Merge what arrived with what waits; the last merge writes where the result stays. */
static void merge_waiting(const forward_call *call, const forward_rows *rows,
                          const span_row_arrival *arrival, row_partial arrived,
                          row_partial result)
{
	const span_attention *op = call->op;
	const span_merge *merge = &op->program->merge[arrival->merge.first];

	for (int32_t i = 0; i < arrival->merge.count; i++) {
		row_partial other = waiting_partial(op, rows, merge[i].slot);
		row_partial left = merge[i].waiting_is_left ? other : arrived;
		row_partial right = merge[i].waiting_is_left ? arrived : other;
		row_partial to = i + 1 < arrival->merge.count ? arrived : result;

		op->kernels->merge(rows->rows, op->width, left.m, left.l, left.o, right.m,
		                   right.l, right.o, to.m, to.l, to.o);
	}
}

/* Canonical: the node's partial is made in scratch, or where it will wait if it meets nothing
 * now. Returns the pairs computed, as arrive_running does. */
static int64_t arrive_canonical(const forward_call *call, const forward_rows *rows,
                                const span_row_arrival *arrival, const forward_scratch *scratch)
{
	const span_attention *op = call->op;
	int32_t n = list_tiles(call, rows, arrival->node, scratch->tiles);
	row_partial result = arrival->store < 0 ? scratch->partial
	                                        : waiting_partial(op, rows, arrival->store);
	row_partial arrived = arrival->merge.count > 0 ? scratch->partial : result;
	int64_t pairs = 0;

	if (n > 0)
		pairs = run_kernel(call, rows, scratch, n, 0, arrived);
	else
		clear_partial(op, rows->rows, arrived);
	merge_waiting(call, rows, arrival, arrived, result);
	if (arrival->store < 0)
		finish_rows(call, rows, result);
	return pairs;
}

/* Schedule order: the running partial waits in slot 0, or in scratch when one block is all. */
static int64_t arrive_running(const forward_call *call, const forward_rows *rows,
                              const span_row_arrival *arrival, const forward_scratch *scratch)
{
	const span_attention *op = call->op;
	row_partial running = op->program->pending_slots > 0 ? waiting_partial(op, rows, 0)
	                                                     : scratch->partial;
	int32_t n = list_tiles(call, rows, arrival->node, scratch->tiles);
	int64_t pairs = 0;

	if (arrival->merge.count == 0)
		clear_partial(op, rows->rows, running);
	if (n > 0)
		pairs = run_kernel(call, rows, scratch, n, 1, running);
	if (arrival->store < 0)
		finish_rows(call, rows, running);
	return pairs;
}

/* Row blocks of a tile: tasks are made small enough for the kernels. */
static int32_t row_blocks(const span_attention *op)
{
	return (op->options.tile + SPAN_KERNEL_ROWS - 1) / SPAN_KERNEL_ROWS;
}

/* The rows of a task; tasks are counted by tile, from the last (in causal masks the heaviest),
 * then row block, prepared KV head and query head of it. */
static forward_rows rows_of(const forward_call *call, int64_t task)
{
	const span_attention *op = call->op;
	int32_t blocks = row_blocks(op);
	int64_t plane = call->first_plane + task / op->heads_per_kv % call->planes;
	int32_t left;
	forward_rows rows;

	rows.batch = plane / op->options.kv_heads;
	rows.head = (int32_t)(plane % op->options.kv_heads * op->heads_per_kv +
	                      task % op->heads_per_kv);
	task /= op->heads_per_kv * call->planes;
	rows.offset = (int32_t)(task % blocks) * SPAN_KERNEL_ROWS;
	rows.slot = op->program->tiles - 1 - (int32_t)(task / blocks);
	rows.tile = span_layout_tile_at(op->layout, op->rank, rows.slot);
	left = span_layout_tile_tokens(op->layout, rows.tile) - rows.offset;
	rows.rows = left < SPAN_KERNEL_ROWS ? left : SPAN_KERNEL_ROWS;
	return rows;
}

/* The first arrival of a query tile in a step; rows ascend. */
static int32_t find_arrival(const span_program *program, span_range range, int32_t row)
{
	int32_t low = range.first, high = range.first + range.count;

	while (low < high) {
		int32_t middle = low + (high - low) / 2;

		if (program->arrival[middle].row < row)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void forward_task(void *context, int64_t task, int thread)
{
	const forward_call *call = context;
	span_attention *op = call->op;
	const span_program *program = op->program;
	forward_rows rows = rows_of(call, task);
	forward_scratch scratch = scratch_of(op, thread);
	span_range range = call->step->arrival;
	int32_t i = find_arrival(program, range, rows.slot);
	int64_t pairs = 0;

	if (rows.rows <= 0)
		return;
	for (; i < range.first + range.count && program->arrival[i].row == rows.slot; i++) {
		const span_row_arrival *arrival = &program->arrival[i];

		pairs += program->schedule ? arrive_running(call, &rows, arrival, &scratch)
		                           : arrive_canonical(call, &rows, arrival, &scratch);
		if (rows.head == 0 && rows.batch == 0 && rows.offset == 0)
			span_pass_count(&op->waiting[arrival->row],
			                &op->count[thread].pending_most, arrival);
	}
	op->count[thread].pairs += pairs;
}

int64_t span_forward_planes(const span_attention *op)
{
	int64_t all = op->options.batch * op->options.kv_heads;
	int64_t tasks = (int64_t)op->program->tiles * row_blocks(op) * op->heads_per_kv;
	int64_t planes = tasks == 0 ? 1 : (TASKS_A_THREAD * op->options.threads - 1) / tasks + 1;

	if (op->options.threads == 1)
		planes = 1;
	return planes < all ? planes : all;
}

/* Compute on the block of a step, some KV heads at a time, so that what is prepared of them is
 * still in cache. */
static void compute_step(forward_call *call)
{
	const span_attention *op = call->op;
	int64_t all = op->options.batch * op->options.kv_heads;
	int64_t key_tiles = op->program->read[call->step->compute];
	int64_t query_tasks = (int64_t)op->program->tiles * row_blocks(op) * op->heads_per_kv;
	int64_t most = span_forward_planes(op);

	for (call->first_plane = 0; call->first_plane < all; call->first_plane += most) {
		int64_t left = all - call->first_plane;

		call->planes = left < most ? left : most;
		span_pool_run(op->pool, call->planes * key_tiles, prepare_task, call);
		span_pool_run(op->pool, call->planes * query_tasks, forward_task, call);
	}
}

static span_status run_forward(forward_call *call, void *workspace)
{
	span_attention *op = call->op;
	span_status status = SPAN_OK;

	span_gather_begin(op, call->k, call->v, workspace);
	for (int32_t t = 0; t < op->program->gather_steps && status == SPAN_OK; t++) {
		call->step = &op->program->step[t];
		status = span_gather_step(op, t);
		if (status != SPAN_OK || call->step->arrival.count == 0)
			continue;
		compute_step(call);
		status = span_gather_verify(op, call->step->compute);
	}
	if (status == SPAN_OK)
		status = span_gather_end(op);
	return status == SPAN_OK ? SPAN_OK : span_gather_stopped(op, status);
}

static const char name[] = "span_attention_forward";

static span_status check_apart(const forward_call *call, const void *workspace)
{
	const span_attention *op = call->op;
	const span_area areas[] = {
		span_tensor_area(op, "q", call->q, 0),
		span_tensor_area(op, "k", call->k, 0),
		span_tensor_area(op, "v", call->v, 0),
		span_tensor_area(op, "out", call->out, 1),
		span_lse_area(op, call->lse, 1),
		span_workspace_area(op, workspace),
	};

	return span_check_apart(name, areas, sizeof(areas) / sizeof(areas[0]));
}

static span_status check_arguments(const forward_call *call, const void *workspace)
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
		status = span_check_tensor(name, "out", call->out, op, query_heads, 1);
	if (status == SPAN_OK)
		status = span_check_lse(name, op, call->lse);
	if (status == SPAN_OK)
		status = span_check_workspace(name, workspace);
	return status == SPAN_OK ? check_apart(call, workspace) : status;
}

span_status span_attention_forward(span_attention *op, const span_tensor *q,
                                   const span_tensor *k, const span_tensor *v,
                                   const span_tensor *out, float *lse, void *workspace)
{
	forward_call call = { .op = op, .q = q, .k = k, .v = v, .out = out, .lse = lse };
	span_status status = check_arguments(&call, workspace);
	span_fp_mode mode;

	if (status != SPAN_OK)
		return status;
	span_pass_begin(op, &op->statistics.forward, &mode);
	status = run_forward(&call, workspace);
	return span_pass_end(op, &mode, name, status);
}
