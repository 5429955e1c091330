#include <string.h>
#include "blas.h"
#include "layers.h"
#include "passes.h"

/* Row `row` of a matrix of f32, and of one of the attention's dtype. */
static float *at(float *matrix, int64_t row, int width)
{
	return matrix + row * width;
}

static span_dtype dtype_of(const struct rank *rank)
{
	return (span_dtype)rank->settings->dtype;
}

static void *stored_at(const struct rank *rank, void *matrix, int64_t row, int width)
{
	return (char *)matrix + (size_t)(row * width) * span_dtype_bytes(dtype_of(rank));
}

/* Heads from `first` on in rows of queries, keys and values side by side. */
static span_tensor heads_of(const struct rank *rank, void *qkv, int first)
{
	const struct shape *shape = &rank->shape;

	return (span_tensor){
		.data = stored_at(rank, qkv, 1, first * shape->head_size),
		.dtype = dtype_of(rank),
		.batch_stride = rank->tokens * shape->qkv,
		.token_stride = shape->qkv,
		.head_stride = shape->head_size,
	};
}

static span_tensor out_of(const struct rank *rank, void *out)
{
	const struct shape *shape = &rank->shape;

	return span_tensor_bshd(out, dtype_of(rank), rank->tokens, shape->heads,
	                        shape->head_size);
}

/* What the next layer, or the head, reads. */
static float *output_of(struct rank *rank, int layer)
{
	return layer + 1 < rank->shape.layers ? rank->layer[layer + 1].input : rank->last;
}

static void count(struct rank *rank, const span_pass_statistics *pass)
{
	rank->traffic.inside += pass->bytes_inside;
	rank->traffic.between += pass->bytes_between;
	rank->traffic.exposed += pass->exposed_seconds;
}

/* qkv = rope(norm(input) W^T) */
static void project_forward(struct rank *rank, int layer, struct tile tile)
{
	const struct shape *shape = &rank->shape;
	struct project weights = project_view(shape, rank->state.weights +
	                                             project_start(shape, layer));
	struct activations *kept = &rank->layer[layer];
	float *normed = rank->scratch.narrow, *qkv = rank->scratch.wide;
	int half = shape->head_size / 2;

	norm_forward(tile.rows, shape->width, at(kept->input, tile.row, shape->width),
	             weights.norm, normed);
	product(tile.rows, shape->width, shape->qkv, normed, weights.qkv, qkv);
	rope_forward(tile.rows, shape->heads + shape->kv_heads, shape->head_size, shape->qkv,
	             at(rank->cosine, tile.row, half), at(rank->sine, tile.row, half), qkv);
	span_convert_from_f32(dtype_of(rank), qkv,
	                      stored_at(rank, kept->qkv, tile.row, shape->qkv),
	                      (size_t)tile.rows * shape->qkv);
}

static span_status attention_forward(struct rank *rank, int layer)
{
	struct activations *kept = &rank->layer[layer];
	span_tensor q = heads_of(rank, kept->qkv, 0);
	span_tensor k = heads_of(rank, kept->qkv, rank->shape.heads);
	span_tensor v = heads_of(rank, kept->qkv, rank->shape.heads + rank->shape.kv_heads);
	span_tensor out = out_of(rank, kept->out);
	span_attention_statistics statistics = { .size = sizeof statistics };
	span_status status;

	status = span_attention_forward(rank->attention, &q, &k, &v, &out, kept->lse,
	                                rank->workspace);
	if (status == SPAN_OK)
		status = span_attention_get_statistics(rank->attention, &statistics);
	count(rank, &statistics.forward);
	return status;
}

/* middle = input + out W^T;  output = middle + swiglu(norm(middle) W^T) W^T */
static void mix_forward(struct rank *rank, int layer, struct tile tile)
{
	const struct shape *shape = &rank->shape;
	struct mix weights = mix_view(shape, rank->state.weights + mix_start(shape, layer));
	struct activations *kept = &rank->layer[layer];
	int rows = tile.rows, width = shape->width;
	size_t bytes = (size_t)rows * width * sizeof(float);
	float *middle = at(kept->middle, tile.row, width);
	float *gate_up = at(kept->gate_up, tile.row, 2 * shape->hidden);
	float *output = at(output_of(rank, layer), tile.row, width);
	float *narrow = rank->scratch.narrow, *hidden = rank->scratch.hidden;

	span_convert_to_f32(dtype_of(rank), stored_at(rank, kept->out, tile.row, width),
	                    narrow, (size_t)rows * width);
	memcpy(middle, at(kept->input, tile.row, width), bytes);
	product_add(rows, width, width, narrow, weights.out, middle);
	norm_forward(rows, width, middle, weights.norm, narrow);
	product(rows, width, 2 * shape->hidden, narrow, weights.gate_up, gate_up);
	swiglu_forward(rows, shape->hidden, gate_up, hidden);
	memcpy(output, middle, bytes);
	product_add(rows, shape->hidden, width, hidden, weights.down, output);
}

span_status layer_forward(struct rank *rank, int layer)
{
	span_status status;

	for (int64_t slot = 0; slot < rank->tiles; slot++)
		project_forward(rank, layer, rank_tile(rank, slot));
	status = attention_forward(rank, layer);
	if (status != SPAN_OK)
		return status;
	for (int64_t slot = 0; slot < rank->tiles; slot++)
		mix_forward(rank, layer, rank_tile(rank, slot));
	return SPAN_OK;
}

/* Backward of the SwiGLU block: dx becomes the gradient of middle. */
static void swiglu_block_backward(struct rank *rank, int layer, struct tile tile,
                                  struct mix gradient)
{
	const struct shape *shape = &rank->shape;
	struct mix weights = mix_view(shape, rank->state.weights + mix_start(shape, layer));
	struct activations *kept = &rank->layer[layer];
	int rows = tile.rows, width = shape->width, twice = 2 * shape->hidden;
	float *gate_up = at(kept->gate_up, tile.row, twice);
	float *middle = at(kept->middle, tile.row, width), *dx = at(rank->dx, tile.row, width);
	float *narrow = rank->scratch.narrow, *hidden = rank->scratch.hidden;
	float *dgate_up = rank->scratch.wide;

	swiglu_forward(rows, shape->hidden, gate_up, hidden);
	product_weight(rows, shape->hidden, width, dx, hidden, gradient.down);
	product_back(rows, shape->hidden, width, dx, weights.down, hidden);
	swiglu_backward(rows, shape->hidden, gate_up, hidden, dgate_up);
	norm_forward(rows, width, middle, weights.norm, narrow);
	product_weight(rows, width, twice, dgate_up, narrow, gradient.gate_up);
	product_back(rows, width, twice, dgate_up, weights.gate_up, narrow);
	norm_backward(rows, width, middle, weights.norm, narrow, dx, gradient.norm);
}

/* Backward of the product behind attention: from dx to dout. */
static void out_backward(struct rank *rank, int layer, struct tile tile,
                         struct mix gradient)
{
	const struct shape *shape = &rank->shape;
	struct mix weights = mix_view(shape, rank->state.weights + mix_start(shape, layer));
	int rows = tile.rows, width = shape->width;
	float *narrow = rank->scratch.narrow, *dx = at(rank->dx, tile.row, width);

	span_convert_to_f32(dtype_of(rank),
	                    stored_at(rank, rank->layer[layer].out, tile.row, width), narrow,
	                    (size_t)rows * width);
	product_weight(rows, width, width, dx, narrow, gradient.out);
	product_back(rows, width, width, dx, weights.out, narrow);
	span_convert_from_f32(dtype_of(rank), narrow,
	                      stored_at(rank, rank->dout, tile.row, width),
	                      (size_t)rows * width);
}

static void mix_backward(struct rank *rank, int layer, struct tile tile,
                         float *contribution)
{
	struct mix gradient = mix_view(&rank->shape, contribution);

	swiglu_block_backward(rank, layer, tile, gradient);
	out_backward(rank, layer, tile, gradient);
}

static span_status attention_backward(struct rank *rank, int layer)
{
	int keys = rank->shape.heads, values = keys + rank->shape.kv_heads;
	struct activations *kept = &rank->layer[layer];
	span_tensor q = heads_of(rank, kept->qkv, 0), dq = heads_of(rank, rank->dqkv, 0);
	span_tensor k = heads_of(rank, kept->qkv, keys), dk = heads_of(rank, rank->dqkv, keys);
	span_tensor v = heads_of(rank, kept->qkv, values);
	span_tensor dv = heads_of(rank, rank->dqkv, values);
	span_tensor out = out_of(rank, kept->out), dout = out_of(rank, rank->dout);
	span_attention_statistics statistics = { .size = sizeof statistics };
	span_status status;

	status = span_attention_backward(rank->attention, &q, &k, &v, &out, &dout, kept->lse,
	                                 &dq, &dk, &dv, rank->workspace);
	if (status == SPAN_OK)
		status = span_attention_get_statistics(rank->attention, &statistics);
	count(rank, &statistics.backward);
	return status;
}

/* From dqkv to dx, which already holds the gradient of the residual path. */
static void project_backward(struct rank *rank, int layer, struct tile tile,
                             float *contribution)
{
	const struct shape *shape = &rank->shape;
	struct project weights = project_view(shape, rank->state.weights +
	                                             project_start(shape, layer));
	struct project gradient = project_view(shape, contribution);
	float *input = at(rank->layer[layer].input, tile.row, shape->width);
	float *narrow = rank->scratch.narrow, *dqkv = rank->scratch.wide;
	int rows = tile.rows, width = shape->width, half = shape->head_size / 2;

	span_convert_to_f32(dtype_of(rank), stored_at(rank, rank->dqkv, tile.row, shape->qkv),
	                    dqkv, (size_t)rows * shape->qkv);
	rope_backward(rows, shape->heads + shape->kv_heads, shape->head_size, shape->qkv,
	              at(rank->cosine, tile.row, half), at(rank->sine, tile.row, half), dqkv);
	norm_forward(rows, width, input, weights.norm, narrow);
	product_weight(rows, width, shape->qkv, dqkv, narrow, gradient.qkv);
	product_back(rows, width, shape->qkv, dqkv, weights.qkv, narrow);
	norm_backward(rows, width, input, weights.norm, narrow,
	              at(rank->dx, tile.row, width), gradient.norm);
}

span_status layer_backward(struct rank *rank, int layer)
{
	const struct shape *shape = &rank->shape;
	span_status status;

	status = sum_tiles(rank, rank->mix_sum, mix_backward, layer, mix_size(shape),
	                   rank->gradient + mix_start(shape, layer));
	if (status == SPAN_OK)
		status = attention_backward(rank, layer);
	if (status == SPAN_OK)
		status = sum_tiles(rank, rank->project_sum, project_backward, layer,
		                   project_size(shape),
		                   rank->gradient + project_start(shape, layer));
	return status;
}
