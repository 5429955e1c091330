/* The specification of the bits: plain loops over scalars. It ships, and it is what runs where
 * no vector unit is known; every other set of kernels is tested for equality with it.
 *
 * The order of operations is the contract, so read the loops literally: a product element is
 * one chain of fused multiply-adds in index order, starting from +0. */
#include <string.h>
#include "attention/kernels/arithmetic.h"
#include "attention/kernels/kernel.h"
#include "attention/span_transport.h"

static float load(span_dtype dtype, const void *data, int64_t i)
{
	if (dtype == SPAN_BF16)
		return span_bf16_to_f32(((const uint16_t *)data)[i]);
	if (dtype == SPAN_F16)
		return span_f16_to_f32(((const uint16_t *)data)[i]);
	return ((const float *)data)[i];
}

static void store(span_dtype dtype, void *data, int64_t i, float x)
{
	if (dtype == SPAN_BF16)
		((uint16_t *)data)[i] = span_bf16_from_f32(x);
	else if (dtype == SPAN_F16)
		((uint16_t *)data)[i] = span_f16_from_f32(x);
	else
		((float *)data)[i] = x;
}

/* target becomes the chain over a * b continued from it, for n target elements of one step. */
static void chain(float a, const float *b, float *target, int n)
{
	for (int i = 0; i < n; i++)
		target[i] = fmaf(a, b[i], target[i]);
}

static float dot(const float *a, const float *b, int n)
{
	float sum = 0.0f;

	for (int i = 0; i < n; i++)
		sum = fmaf(a[i], b[i], sum);
	return sum;
}

/* ---- forward ---- */

/* The scratch of one row: its query scaled, one row of keys or values in f32, its scores, and
 * the partials that wait for their siblings. */
typedef struct {
	float *query;  /* [width] */
	float *other;  /* [width] */
	float *scores; /* [tile] */
	int depth;
	struct {
		float m;
		float l;
		float *o; /* [width] */
		uint32_t address;
	} stack[SPAN_KERNEL_LEVELS];
} row_state;

static size_t forward_scratch(int32_t tile, int32_t width, int32_t levels)
{
	return sizeof(float) * ((size_t)tile + (size_t)width * (size_t)(levels + 2));
}

static void row_open(row_state *row, const span_forward_task *task, int r)
{
	int width = span_width(task->head_size);

	row->query = task->scratch;
	row->other = row->query + width;
	row->scores = row->other + width;
	for (int i = 0; i < task->levels; i++)
		row->stack[i].o = row->scores + task->tile + i * width;
	row->depth = 0;
	for (int d = 0; d < task->head_size; d++)
		row->query[d] = load(task->dtype, task->q, r * task->q_stride + d) * task->scale;
}

/* Scores of the first `seen` keys; returns their maximum. */
static float row_scores(row_state *row, const span_forward_task *task,
                        const span_key_tile *tile, int seen)
{
	float largest = -INFINITY;

	for (int j = 0; j < seen; j++) {
		for (int d = 0; d < task->head_size; d++)
			row->other[d] = load(task->dtype, tile->k, j * tile->k_stride + d);
		row->scores[j] = dot(row->query, row->other, task->head_size);
		if (row->scores[j] > largest)
			largest = row->scores[j];
	}
	return largest;
}

/* scores become probabilities relative to m; returns their sum. */
static float row_probabilities(row_state *row, int seen, float m)
{
	float lane[SPAN_LANES] = { 0 };
	float base = m == -INFINITY ? 0.0f : m; /* every score is -inf, or NaN */

	for (int j = 0; j < seen; j++) {
		row->scores[j] = span_exp2(row->scores[j] - base);
		lane[j % SPAN_LANES] += row->scores[j];
	}
	return span_sum_lanes(lane);
}

/* o continues its chains over the keys seen. */
static void row_values(row_state *row, const span_forward_task *task,
                       const span_key_tile *tile, int seen, float *o)
{
	for (int j = 0; j < seen; j++) {
		for (int d = 0; d < task->head_size; d++)
			row->other[d] = load(task->dtype, tile->v, j * tile->v_stride + d);
		chain(row->scores[j], row->other, o, task->head_size);
	}
}

static void merge_row(int width, const float *left_m, const float *left_l, const float *left_o,
                      const float *right_m, const float *right_l, const float *right_o,
                      float *to_m, float *to_l, float *to_o)
{
	float merged = *left_m > *right_m ? *left_m : *right_m;
	float left = span_weight(*left_m, merged);
	float right = span_weight(*right_m, merged);

	*to_m = merged;
	*to_l = fmaf(*right_l, right, *left_l * left);
	for (int d = 0; d < width; d++)
		to_o[d] = fmaf(right_o[d], right, left_o[d] * left);
}

/* The two last partials become their parent. */
static void row_meet(row_state *row, int width)
{
	int top = --row->depth;

	merge_row(width, &row->stack[top - 1].m, &row->stack[top - 1].l, row->stack[top - 1].o,
	          &row->stack[top].m, &row->stack[top].l, row->stack[top].o,
	          &row->stack[top - 1].m, &row->stack[top - 1].l, row->stack[top - 1].o);
}

/* Whether the two last partials meet below the node in which the last meets `address`. */
static int row_meets_before(const row_state *row, uint32_t address)
{
	int top = row->depth - 1;

	return top >= 1 && span_meet(row->stack[top - 1].address, row->stack[top].address) <
	                           span_meet(row->stack[top].address, address);
}

static void row_canonical(row_state *row, const span_forward_task *task, int r)
{
	int width = span_width(task->head_size);

	for (int t = 0; t < task->n_tiles; t++) {
		const span_key_tile *tile = &task->tiles[t];
		int seen = span_visible(r, tile->shift, tile->keys);

		if (!seen)
			continue;
		while (row_meets_before(row, tile->address))
			row_meet(row, width);
		memset(row->stack[row->depth].o, 0, sizeof(float) * (size_t)width);
		row->stack[row->depth].address = tile->address;
		row->stack[row->depth].m = span_ceil(row_scores(row, task, tile, seen));
		row->stack[row->depth].l =
		        row_probabilities(row, seen, row->stack[row->depth].m);
		row_values(row, task, tile, seen, row->stack[row->depth].o);
		row->depth++;
	}
	while (row->depth > 1)
		row_meet(row, width);
	task->m[r] = row->depth ? row->stack[0].m : -INFINITY;
	task->l[r] = row->depth ? row->stack[0].l : 0.0f;
	for (int d = 0; d < width; d++)
		task->o[(int64_t)r * width + d] = row->depth ? row->stack[0].o[d] : 0.0f;
}

static void row_running(row_state *row, const span_forward_task *task, int r)
{
	float *o = task->o + (int64_t)r * span_width(task->head_size);

	for (int t = 0; t < task->n_tiles; t++) {
		const span_key_tile *tile = &task->tiles[t];
		int seen = span_visible(r, tile->shift, tile->keys);
		float largest;

		if (!seen)
			continue;
		largest = row_scores(row, task, tile, seen) + 0.0f;
		if (largest > task->m[r]) {
			float scale = span_exp2(task->m[r] - largest);

			task->m[r] = largest;
			task->l[r] *= scale;
			for (int d = 0; d < task->head_size; d++)
				o[d] *= scale;
		}
		task->l[r] += row_probabilities(row, seen, task->m[r]);
		row_values(row, task, tile, seen, o);
	}
}

static void forward(const span_forward_task *task)
{
	row_state row;

	for (int r = 0; r < task->rows; r++) {
		row_open(&row, task, r);
		if (task->running)
			row_running(&row, task, r);
		else
			row_canonical(&row, task, r);
	}
}

static void merge(int32_t rows, int32_t width, const float *left_m, const float *left_l,
                  const float *left_o, const float *right_m, const float *right_l,
                  const float *right_o, float *to_m, float *to_l, float *to_o)
{
	for (int64_t r = 0; r < rows; r++)
		merge_row(width, left_m + r, left_l + r, left_o + r * width, right_m + r,
		          right_l + r, right_o + r * width, to_m + r, to_l + r,
		          to_o + r * width);
}

static void finish(int32_t rows, int32_t head_size, const float *m, const float *l,
                   const float *o, span_dtype dtype, void *out, int64_t out_stride, float *lse)
{
	int width = span_width(head_size);

	for (int64_t r = 0; r < rows; r++) {
		int empty = m[r] == -INFINITY && l[r] == 0.0f;
		float inverse = 1.0f / l[r];

		for (int d = 0; d < head_size; d++)
			store(dtype, out, r * out_stride + d,
			      empty ? 0.0f : span_canonical(o[r * width + d] * inverse));
		lse[r] = empty ? -INFINITY
		               : span_canonical((m[r] + span_log2(l[r])) * SPAN_LN2);
	}
}

/* ---- rows ---- */

static void load_rows(span_dtype dtype, const void *source, int64_t stride, int32_t rows,
                      int32_t head_size, float scale, float *target)
{
	int width = span_width(head_size);

	for (int64_t r = 0; r < rows; r++)
		for (int d = 0; d < width; d++)
			target[r * width + d] =
			        d < head_size ? load(dtype, source, r * stride + d) * scale : 0.0f;
}

static void store_rows(const float *source, int32_t rows, int32_t head_size, float scale,
                       span_dtype dtype, void *target, int64_t stride)
{
	int width = span_width(head_size);

	for (int64_t r = 0; r < rows; r++)
		for (int d = 0; d < head_size; d++)
			store(dtype, target, r * stride + d,
			      span_canonical(source[r * width + d] * scale));
}

static void dot_rows(span_dtype dtype, const void *a, int64_t a_stride, const void *b,
                     int64_t b_stride, int32_t rows, int32_t head_size, float *delta)
{
	for (int64_t r = 0; r < rows; r++) {
		float lane[SPAN_LANES] = { 0 };

		for (int d = 0; d < head_size; d++)
			lane[d % SPAN_LANES] = fmaf(load(dtype, a, r * a_stride + d),
			                            load(dtype, b, r * b_stride + d),
			                            lane[d % SPAN_LANES]);
		delta[r] = span_canonical(span_sum_lanes(lane));
	}
}

static size_t packed_floats(int32_t keys, int32_t width)
{
	return (size_t)keys * (size_t)width;
}

static void pack_keys(const float *source, int64_t stride, int32_t keys, int32_t width,
                      float *target)
{
	for (int64_t j = 0; j < keys; j++)
		memcpy(target + j * width, source + j * stride, sizeof(float) * (size_t)width);
}

/* ---- backward ---- */

/* The chains of dk and dv of a leaf, before they are written: [keys][width] each. */
static size_t leaf_scratch(int32_t tile, int32_t width, int32_t heads)
{
	(void)heads;
	return sizeof(float) * (size_t)width * (2 * (size_t)tile + 1);
}

static void begin(float *chains, const float *target, span_write write, int n)
{
	for (int i = 0; i < n; i++)
		chains[i] = write == SPAN_WRITE_CONTINUE ? target[i] : 0.0f;
}

static void end(float *target, const float *chains, span_write write, int n)
{
	for (int i = 0; i < n; i++)
		target[i] = write == SPAN_WRITE_ADD ? target[i] + chains[i] : chains[i];
}

/* One query row against the keys it sees: its dq, and its step in the chains of dk and dv. */
static void leaf_row(const span_backward_leaf *leaf, int head, int r, int seen, float *dq,
                     float *dk, float *dv)
{
	int width = span_width(leaf->head_size);
	const float *q = leaf->q + head * leaf->q_head + (int64_t)r * width;
	const float *dout = leaf->dout + head * leaf->q_head + (int64_t)r * width;
	float lse2 = leaf->lse2[head * leaf->row_head + r];
	float delta = leaf->delta[head * leaf->row_head + r];

	for (int64_t j = 0; j < seen; j++) {
		float s = dot(q, leaf->k_packed + j * width, width);
		float p = span_exp2(s - lse2);
		float dp = dot(dout, leaf->v_packed + j * width, width);
		float e = p * (dp - delta);

		chain(p, dout, dv + j * width, width);
		chain(e, q, dk + j * width, width);
		chain(e, leaf->k + j * width, dq, width);
	}
}

static void leaf(const span_backward_leaf *leaf)
{
	int width = span_width(leaf->head_size);
	int seen_by_any = span_visible(leaf->rows - 1, leaf->shift, leaf->keys);
	int written = leaf->write_dkv == SPAN_WRITE_SET ? leaf->keys : seen_by_any;
	float *dq_chain = leaf->scratch;
	float *dk_chain = dq_chain + width;
	float *dv_chain = dk_chain + (int64_t)leaf->tile * width;

	begin(dk_chain, leaf->dk, leaf->write_dkv, written * width);
	begin(dv_chain, leaf->dv, leaf->write_dkv, written * width);
	for (int h = 0; h < leaf->heads; h++)
		for (int r = 0; r < leaf->rows; r++) {
			float *dq = leaf->dq + h * leaf->dq_head + (int64_t)r * width;
			int seen = span_visible(r, leaf->shift, leaf->keys);

			if (!seen && leaf->write_dq != SPAN_WRITE_SET)
				continue;
			begin(dq_chain, dq, leaf->write_dq, width);
			leaf_row(leaf, h, r, seen, dq_chain, dk_chain, dv_chain);
			end(dq, dq_chain, leaf->write_dq, width);
		}
	end(leaf->dk, dk_chain, leaf->write_dkv, written * width);
	end(leaf->dv, dv_chain, leaf->write_dkv, written * width);
}

static void add(float *target, const float *a, const float *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		target[i] = a[i] + b[i];
}

const span_kernels span_kernels_ref = {
	.name = "ref",
	.forward_scratch = forward_scratch,
	.leaf_scratch = leaf_scratch,
	.forward = forward,
	.merge = merge,
	.finish = finish,
	.load_rows = load_rows,
	.store_rows = store_rows,
	.dot_rows = dot_rows,
	.packed_floats = packed_floats,
	.pack_keys = pack_keys,
	.leaf = leaf,
	.add = add,
	.digest = span_digest,
	.to_f32 = span_convert_to_f32,
	.from_f32 = span_convert_from_f32,
};
