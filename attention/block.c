/* The steps of attention one by one: thin walks over batches and heads around the kernels. */
#include "attention/span_block.h"

#include <math.h>
#include <stdio.h>
#include "attention/align.h"
#include "attention/check.h"
#include "attention/kernels/kernel.h"
#include "topo/log.h"

int32_t span_block_width(int32_t head_size)
{
	return head_size < 1 || head_size > 256 ? 0 : span_width(head_size);
}

/* The tile that a block's scratch is sized for: a power of two that holds its keys and rows. */
static int32_t tile_of(const span_block *block)
{
	int32_t tile = 16;

	while (tile < block->keys || tile < block->queries)
		tile *= 2;
	return tile;
}

static span_status check_block(const span_block *block, const char *function)
{
	if (block == NULL)
		return span_fail(SPAN_EINVAL, "%s: block is NULL", function);
	if (block->size != sizeof(*block))
		return span_fail(SPAN_EINVAL,
		                 "%s: block->size is %zu; this library knows blocks of %zu bytes",
		                 function, block->size, sizeof(*block));
	if (block->batch < 1 || block->batch > INT32_MAX)
		return span_fail(SPAN_EINVAL, "%s: batch is %lld; 1 to 2^31 - 1 are possible",
		                 function, (long long)block->batch);
	if (block->queries < 1 || block->queries > 4096)
		return span_fail(SPAN_EINVAL, "%s: queries is %lld; 1 to 4096 are possible",
		                 function, (long long)block->queries);
	if (block->keys < 1 || block->keys > 4096)
		return span_fail(SPAN_EINVAL, "%s: keys is %lld; 1 to 4096 are possible", function,
		                 (long long)block->keys);
	if (block->first_query < 0 || block->first_query > INT64_MAX / 2)
		return span_fail(SPAN_EINVAL, "%s: first_query is %lld; a token index is needed",
		                 function, (long long)block->first_query);
	if (block->first_key < 0 || block->first_key > INT64_MAX / 2)
		return span_fail(SPAN_EINVAL, "%s: first_key is %lld; a token index is needed",
		                 function, (long long)block->first_key);
	if (block->kv_heads < 1 || block->kv_heads > 65536)
		return span_fail(SPAN_EINVAL, "%s: kv_heads is %d; 1 to 65536 are possible",
		                 function, block->kv_heads);
	if (block->query_heads < 1 || block->query_heads > 65536 ||
	    block->query_heads % block->kv_heads != 0)
		return span_fail(SPAN_EINVAL,
		                 "%s: query_heads is %d; a multiple of kv_heads (%d) up to 65536 is "
		                 "needed", function, block->query_heads, block->kv_heads);
	if (block->head_size < 8 || block->head_size > 256 || block->head_size % 8 != 0)
		return span_fail(SPAN_EUNSUPPORTED,
		                 "%s: head_size is %d; multiples of 8 from 8 to 256 are possible",
		                 function, block->head_size);
	if (span_dtype_bytes(block->dtype) == 0)
		return span_fail(SPAN_EINVAL, "%s: dtype is %d; f32, bf16 and f16 are possible",
		                 function, (int)block->dtype);
	if (!(isfinite(span_scale_log2(block->scale)) && block->scale >= 0))
		return span_fail(SPAN_EINVAL,
		                 "%s: scale is %g; a positive number up to 2e38, or 0, is needed",
		                 function, (double)block->scale);
	return SPAN_OK;
}

static span_status check_partial(const char *function, const char *name,
                                 const span_partial *partial)
{
	const float *arrays[3];
	span_status status = SPAN_OK;
	char member[64];

	if (partial == NULL)
		return span_fail(SPAN_EINVAL, "%s: %s is NULL", function, name);
	arrays[0] = partial->o;
	arrays[1] = partial->m;
	arrays[2] = partial->l;
	for (int i = 0; i < 3 && status == SPAN_OK; i++) {
		snprintf(member, sizeof(member), "%s->%c", name, "oml"[i]);
		status = span_check_floats(function, member, arrays[i]);
	}
	return status;
}

/* One argument of a function here, and what it must be. */
typedef struct {
	enum { QUERIES, KEYS, QUERIES_OUT, KEYS_OUT, PARTIAL, ARRAY, WORKSPACE } kind;
	const char *name;
	const void *value;
} argument;

static span_status check_argument(const span_block *block, const char *function,
                                  const argument *a)
{
	int keys = a->kind == KEYS || a->kind == KEYS_OUT;
	span_rows rows = { .dtype = block->dtype, .batch = block->batch,
		           .tokens = keys ? block->keys : block->queries,
		           .heads = keys ? block->kv_heads : block->query_heads,
		           .head_size = block->head_size,
		           .is_output = a->kind == QUERIES_OUT || a->kind == KEYS_OUT };

	switch (a->kind) {
	case PARTIAL:
		return check_partial(function, a->name, a->value);
	case ARRAY:
		return span_check_floats(function, a->name, a->value);
	case WORKSPACE:
		return span_check_workspace(function, a->value);
	default:
		return span_check_rows(function, a->name, a->value, &rows);
	}
}

/* Check the block, then n arguments in order; choose the kernels; enter the default
 * floating-point mode. */
static span_status begin(const span_block *block, const char *function, int n,
                         const argument *arguments, const span_kernels **kernels,
                         span_fp_mode *mode)
{
	span_status status = check_block(block, function);

	for (int i = 0; i < n && status == SPAN_OK; i++)
		status = check_argument(block, function, &arguments[i]);
	if (status == SPAN_OK)
		status = span_kernels_select(kernels);
	if (status == SPAN_OK)
		span_fp_enter(mode);
	return status;
}

static float scale_of(const span_block *block)
{
	return block->scale != 0 ? block->scale
	                         : (float)(1 / sqrt((double)block->head_size));
}

static float scale_log2(const span_block *block)
{
	return span_scale_log2(scale_of(block));
}

/* Row r of the queries sees keys 0 .. r + shift. */
static int64_t shift_of(const span_block *block)
{
	return block->causal ? block->first_query - block->first_key : block->keys;
}

static char *row_at(const span_tensor *tensor, int64_t batch, int64_t token, int32_t head)
{
	int64_t at = batch * tensor->batch_stride + token * tensor->token_stride +
	             head * tensor->head_stride;

	return (char *)tensor->data + at * (int64_t)span_dtype_bytes(tensor->dtype);
}

/* The first f32 row of a head of [B][heads][rows]. */
static int64_t plane_row(int64_t batch, int32_t heads, int32_t head, int64_t rows)
{
	return (batch * heads + head) * rows;
}

/* ---- Scratch of backward, one KV head at a time ---- */

typedef struct {
	float *q;        /* [group][queries][width] */
	float *dout;
	float *lse2;     /* [group][queries] */
	float *k;        /* [keys][width] */
	float *v;
	float *packed_k;
	float *packed_v;
	char *leaf;
} block_scratch;

enum {
	PART_Q,
	PART_DOUT,
	PART_LSE2,
	PART_K,
	PART_V,
	PART_PACKED_K,
	PART_PACKED_V,
	PART_LEAF,
	SCRATCH_PARTS
};

/* Bytes of each part; returns their sum. */
static size_t part_sizes(const span_block *block, const span_kernels *kernels,
                         size_t bytes[SCRATCH_PARTS])
{
	int32_t width = span_width(block->head_size), group = block->query_heads / block->kv_heads;
	size_t rows = (size_t)group * (size_t)block->queries;
	size_t packed = kernels->packed_floats((int32_t)block->keys, width);
	size_t total = 0;

	bytes[PART_Q] = bytes[PART_DOUT] = rows * (size_t)width * sizeof(float);
	bytes[PART_LSE2] = rows * sizeof(float);
	bytes[PART_K] = bytes[PART_V] = (size_t)block->keys * (size_t)width * sizeof(float);
	bytes[PART_PACKED_K] = bytes[PART_PACKED_V] = packed * sizeof(float);
	bytes[PART_LEAF] = kernels->leaf_scratch(tile_of(block), width, group);
	for (int i = 0; i < SCRATCH_PARTS; i++) {
		bytes[i] = span_align(bytes[i]);
		total += bytes[i];
	}
	return total;
}

static block_scratch lay_out(const span_block *block, const span_kernels *kernels,
                             void *workspace)
{
	size_t bytes[SCRATCH_PARTS];
	char *part[SCRATCH_PARTS];
	char *at = workspace;

	part_sizes(block, kernels, bytes);
	for (int i = 0; i < SCRATCH_PARTS; i++) {
		part[i] = at;
		at += bytes[i];
	}
	return (block_scratch){
		.q = (float *)part[PART_Q],
		.dout = (float *)part[PART_DOUT],
		.lse2 = (float *)part[PART_LSE2],
		.k = (float *)part[PART_K],
		.v = (float *)part[PART_V],
		.packed_k = (float *)part[PART_PACKED_K],
		.packed_v = (float *)part[PART_PACKED_V],
		.leaf = part[PART_LEAF],
	};
}

size_t span_block_workspace_bytes(const span_block *block)
{
	const span_kernels *kernels;
	size_t forward, backward, bytes[SCRATCH_PARTS];

	if (check_block(block, "span_block_workspace_bytes") != SPAN_OK ||
	    span_kernels_select(&kernels) != SPAN_OK)
		return 0;
	forward = span_align(kernels->forward_scratch(tile_of(block),
	                                            span_width(block->head_size), 2));
	backward = part_sizes(block, kernels, bytes);
	return forward > backward ? forward : backward;
}

/* ---- Forward ---- */

static void forward_head(const span_block *block, const span_kernels *kernels,
                         const span_tensor *q, const span_tensor *k, const span_tensor *v,
                         const span_partial *partial, void *workspace, int64_t batch,
                         int32_t head)
{
	int32_t kv_head = head / (block->query_heads / block->kv_heads);
	int32_t width = span_width(block->head_size);
	span_key_tile tile = { .k = row_at(k, batch, 0, kv_head),
	                       .v = row_at(v, batch, 0, kv_head), .k_stride = k->token_stride,
	                       .v_stride = v->token_stride, .keys = (int32_t)block->keys };

	for (int64_t row = 0; row < block->queries; row += SPAN_KERNEL_ROWS) {
		int64_t at = plane_row(batch, block->query_heads, head, block->queries) + row;
		int64_t left = block->queries - row;
		span_forward_task task = {
			.dtype = block->dtype,
			.head_size = block->head_size,
			.rows = (int32_t)(left < SPAN_KERNEL_ROWS ? left : SPAN_KERNEL_ROWS),
			.q = row_at(q, batch, row, head),
			.q_stride = q->token_stride,
			.scale = scale_log2(block),
			.tiles = &tile,
			.n_tiles = 1,
			.tile = tile_of(block),
			.levels = 2,
			.m = partial->m + at,
			.l = partial->l + at,
			.o = partial->o + at * width,
			.scratch = workspace,
		};

		tile.shift = shift_of(block) + row;
		if (tile.shift + task.rows > 0) {
			kernels->forward(&task);
			continue;
		}
		for (int64_t i = 0; i < task.rows; i++) {
			task.m[i] = -INFINITY;
			task.l[i] = 0;
		}
		for (int64_t i = 0; i < (int64_t)task.rows * width; i++)
			task.o[i] = 0;
	}
}

span_status span_block_forward(const span_block *block, const span_tensor *q,
                               const span_tensor *k, const span_tensor *v,
                               const span_partial *partial, void *workspace)
{
	const argument arguments[] = {
		{ QUERIES, "q", q },
		{ KEYS, "k", k },
		{ KEYS, "v", v },
		{ PARTIAL, "partial", partial },
		{ WORKSPACE, "workspace", workspace },
	};
	const span_kernels *kernels;
	span_fp_mode mode;
	span_status status = begin(block, "span_block_forward", 5, arguments, &kernels, &mode);

	if (status != SPAN_OK)
		return status;
	for (int64_t b = 0; b < block->batch; b++)
		for (int32_t h = 0; h < block->query_heads; h++)
			forward_head(block, kernels, q, k, v, partial, workspace, b, h);
	span_fp_leave(&mode);
	return SPAN_OK;
}

span_status span_block_merge(const span_block *block, const span_partial *left,
                             const span_partial *right)
{
	const argument arguments[] = {
		{ PARTIAL, "left", left },
		{ PARTIAL, "right", right },
	};
	const span_kernels *kernels;
	int32_t width;
	span_fp_mode mode;
	span_status status = begin(block, "span_block_merge", 2, arguments, &kernels, &mode);

	if (status != SPAN_OK)
		return status;
	width = span_width(block->head_size);
	for (int64_t p = 0; p < block->batch * block->query_heads; p++) {
		int64_t at = p * block->queries;

		kernels->merge((int32_t)block->queries, width, left->m + at, left->l + at,
		               left->o + at * width, right->m + at, right->l + at,
		               right->o + at * width, left->m + at, left->l + at,
		               left->o + at * width);
	}
	span_fp_leave(&mode);
	return SPAN_OK;
}

span_status span_block_finish(const span_block *block, const span_partial *partial,
                              const span_tensor *out, float *lse)
{
	const argument arguments[] = {
		{ PARTIAL, "partial", partial },
		{ QUERIES_OUT, "out", out },
		{ ARRAY, "lse", lse },
	};
	const span_kernels *kernels;
	span_fp_mode mode;
	span_status status = begin(block, "span_block_finish", 3, arguments, &kernels, &mode);

	if (status != SPAN_OK)
		return status;
	for (int64_t b = 0; b < block->batch; b++) {
		for (int32_t h = 0; h < block->query_heads; h++) {
			int64_t at = plane_row(b, block->query_heads, h, block->queries);

			kernels->finish((int32_t)block->queries, block->head_size, partial->m + at,
			                partial->l + at,
			                partial->o + at * span_width(block->head_size),
			                block->dtype, row_at(out, b, 0, h), out->token_stride,
			                lse + at);
		}
	}
	span_fp_leave(&mode);
	return SPAN_OK;
}

/* ---- Backward ---- */

span_status span_block_delta(const span_block *block, const span_tensor *out,
                             const span_tensor *dout, float *delta)
{
	const argument arguments[] = {
		{ QUERIES, "out", out },
		{ QUERIES, "dout", dout },
		{ ARRAY, "delta", delta },
	};
	const span_kernels *kernels;
	span_fp_mode mode;
	span_status status = begin(block, "span_block_delta", 3, arguments, &kernels, &mode);

	if (status != SPAN_OK)
		return status;
	for (int64_t b = 0; b < block->batch; b++)
		for (int32_t h = 0; h < block->query_heads; h++)
			kernels->dot_rows(block->dtype, row_at(out, b, 0, h), out->token_stride,
			                  row_at(dout, b, 0, h), dout->token_stride,
			                  (int32_t)block->queries, block->head_size,
			                  delta + plane_row(b, block->query_heads, h,
			                                    block->queries));
	span_fp_leave(&mode);
	return SPAN_OK;
}

/* Bring what one KV head and its query heads need into the forms of the kernels. */
static void load_head(const span_block *block, const span_kernels *kernels,
                      const block_scratch *scratch, const span_tensor *q, const span_tensor *k,
                      const span_tensor *v, const span_tensor *dout, const float *lse,
                      int64_t batch, int32_t kv_head)
{
	int32_t group = block->query_heads / block->kv_heads;
	int32_t width = span_width(block->head_size);
	int32_t rows = (int32_t)block->queries, keys = (int32_t)block->keys;

	for (int32_t g = 0; g < group; g++) {
		int32_t head = kv_head * group + g;
		int64_t at = (int64_t)g * rows;

		kernels->load_rows(block->dtype, row_at(q, batch, 0, head), q->token_stride, rows,
		                   block->head_size, scale_log2(block), scratch->q + at * width);
		kernels->load_rows(block->dtype, row_at(dout, batch, 0, head), dout->token_stride,
		                   rows, block->head_size, 1, scratch->dout + at * width);
		for (int32_t r = 0; r < rows; r++)
			scratch->lse2[at + r] = span_lse_log2(
				lse[plane_row(batch, block->query_heads, head, rows) + r]);
	}
	kernels->load_rows(block->dtype, row_at(k, batch, 0, kv_head), k->token_stride, keys,
	                   block->head_size, 1, scratch->k);
	kernels->load_rows(block->dtype, row_at(v, batch, 0, kv_head), v->token_stride, keys,
	                   block->head_size, 1, scratch->v);
	kernels->pack_keys(scratch->k, width, keys, width, scratch->packed_k);
	kernels->pack_keys(scratch->v, width, keys, width, scratch->packed_v);
}

static void backward_head(const span_block *block, const span_kernels *kernels,
                          const block_scratch *scratch, const float *delta, float *dq,
                          float *dk, float *dv, int64_t batch, int32_t kv_head)
{
	int32_t group = block->query_heads / block->kv_heads;
	int32_t width = span_width(block->head_size);
	int64_t query = plane_row(batch, block->query_heads, kv_head * group, block->queries);
	int64_t key = plane_row(batch, block->kv_heads, kv_head, block->keys);
	span_backward_leaf leaf = {
		.head_size = block->head_size,
		.heads = group,
		.rows = (int32_t)block->queries,
		.keys = (int32_t)block->keys,
		.shift = shift_of(block),
		.q = scratch->q,
		.dout = scratch->dout,
		.q_head = block->queries * width,
		.lse2 = scratch->lse2,
		.delta = delta + query,
		.row_head = block->queries,
		.k = scratch->k,
		.k_packed = scratch->packed_k,
		.v_packed = scratch->packed_v,
		.dq = dq + query * width,
		.dq_head = block->queries * width,
		.dk = dk + key * width,
		.dv = dv + key * width,
		.tile = tile_of(block),
		.scratch = scratch->leaf,
	};

	kernels->leaf(&leaf);
}

span_status span_block_backward(const span_block *block, const span_tensor *q,
                                const span_tensor *k, const span_tensor *v,
                                const span_tensor *dout, const float *lse, const float *delta,
                                float *dq, float *dk, float *dv, void *workspace)
{
	const argument arguments[] = {
		{ QUERIES, "q", q },
		{ KEYS, "k", k },
		{ KEYS, "v", v },
		{ QUERIES, "dout", dout },
		{ ARRAY, "lse", lse },
		{ ARRAY, "delta", delta },
		{ ARRAY, "dq", dq },
		{ ARRAY, "dk", dk },
		{ ARRAY, "dv", dv },
		{ WORKSPACE, "workspace", workspace },
	};
	const span_kernels *kernels;
	block_scratch scratch;
	span_fp_mode mode;
	span_status status = begin(block, "span_block_backward", 10, arguments, &kernels, &mode);

	if (status != SPAN_OK)
		return status;
	scratch = lay_out(block, kernels, workspace);
	for (int64_t b = 0; b < block->batch; b++) {
		for (int32_t h = 0; h < block->kv_heads; h++) {
			load_head(block, kernels, &scratch, q, k, v, dout, lse, b, h);
			backward_head(block, kernels, &scratch, delta, dq, dk, dv, b, h);
		}
	}
	span_fp_leave(&mode);
	return SPAN_OK;
}

/* Store one summed gradient, [B][heads][rows][width], scaled. */
static void store_gradient(const span_block *block, const span_kernels *kernels,
                           const float *sum, int64_t rows, int32_t heads, float scale,
                           const span_tensor *out)
{
	for (int64_t b = 0; b < block->batch; b++)
		for (int32_t h = 0; h < heads; h++)
			kernels->store_rows(sum + plane_row(b, heads, h, rows) *
			                    span_width(block->head_size), (int32_t)rows,
			                    block->head_size, scale, block->dtype,
			                    row_at(out, b, 0, h), out->token_stride);
}

span_status span_block_finish_gradients(const span_block *block, const float *dq_sum,
                                        const float *dk_sum, const float *dv_sum,
                                        const span_tensor *dq, const span_tensor *dk,
                                        const span_tensor *dv)
{
	const float *sums[3] = { dq_sum, dk_sum, dv_sum };
	const span_tensor *tensors[3] = { dq, dk, dv };
	static const char *const sum_names[3] = { "dq_sum", "dk_sum", "dv_sum" };
	static const char *const names[3] = { "dq", "dk", "dv" };
	argument arguments[6];
	const span_kernels *kernels;
	span_fp_mode mode;
	span_status status;
	int n = 0;

	for (int i = 0; i < 3; i++) {
		if (sums[i] == NULL && tensors[i] == NULL)
			continue;
		arguments[n++] = (argument){ ARRAY, sum_names[i], sums[i] };
		arguments[n++] = (argument){ i == 0 ? QUERIES_OUT : KEYS_OUT, names[i],
			                     tensors[i] };
	}
	status = begin(block, "span_block_finish_gradients", n, arguments, &kernels, &mode);
	if (status != SPAN_OK)
		return status;
	if (dq_sum != NULL)
		store_gradient(block, kernels, dq_sum, block->queries, block->query_heads,
		               scale_of(block), dq);
	if (dk_sum != NULL)
		store_gradient(block, kernels, dk_sum, block->keys, block->kv_heads, SPAN_LN2, dk);
	if (dv_sum != NULL)
		store_gradient(block, kernels, dv_sum, block->keys, block->kv_heads, 1, dv);
	span_fp_leave(&mode);
	return SPAN_OK;
}
