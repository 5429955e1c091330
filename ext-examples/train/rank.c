#include <string.h>
#include "complain.h"
#include "layers.h"
#include "rank.h"

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

struct tile rank_tile(const struct rank *rank, int64_t slot)
{
	int64_t row = slot * rank->tile, left = rank->tokens - row;

	return (struct tile){ row, (int)(left < rank->tile ? left : rank->tile) };
}

static span_status create_attention(struct rank *rank, const struct options *options,
                                    int threads, span_transport *transport)
{
	const struct settings *settings = &options->settings;
	span_attention_options wanted = {
		.size = sizeof wanted,
		.batch = 1,
		.query_tokens = settings->seq,
		.key_tokens = settings->seq,
		.query_heads = rank->shape.heads,
		.kv_heads = rank->shape.kv_heads,
		.head_size = rank->shape.head_size,
		.dtype = (span_dtype)settings->dtype,
		.mask = { .size = sizeof(span_mask), .kind = SPAN_MASK_CAUSAL },
		.layout = (span_layout_family)settings->layout,
		.numerics = (span_numerics)settings->numerics,
		.tile = (int32_t)settings->tile,
		.threads = threads,
		.transport = transport,
		.order = (span_order_kind)options->order,
	};

	return span_attention_create(&wanted, &rank->attention);
}

static span_status create_sums(struct rank *rank, span_transport *transport)
{
	const span_layout *layout = span_attention_layout(rank->attention);
	const struct shape *shape = &rank->shape;
	const struct {
		size_t size;
		span_gradient **sum;
	} group[] = {
		{ embedding_size(shape), &rank->embedding_sum },
		{ project_size(shape), &rank->project_sum },
		{ mix_size(shape), &rank->mix_sum },
		{ head_size(shape) + 1, &rank->head_sum },
	};
	size_t longest = 0;

	for (size_t i = 0; i < sizeof group / sizeof *group; i++) {
		span_status status = span_gradient_create(layout, transport, group[i].size, 0,
		                                          group[i].sum);

		if (status != SPAN_OK)
			return status;
		rank->footprint.sums += span_gradient_bytes(*group[i].sum);
		longest = larger(longest, group[i].size);
	}
	rank->group_sum = memory_take(&rank->memory, longest, sizeof(float));
	rank->footprint.sums += longest * sizeof(float);
	return SPAN_OK;
}

static void take_layer(struct rank *rank, struct activations *layer)
{
	const struct shape *shape = &rank->shape;
	size_t s = rank->tokens, width = shape->width;
	size_t element = span_dtype_bytes((span_dtype)rank->settings->dtype);
	struct memory *memory = &rank->memory;

	layer->input = memory_take(memory, s * width, sizeof(float));
	layer->qkv = memory_take(memory, s * shape->qkv, element);
	layer->out = memory_take(memory, s * width, element);
	layer->lse = memory_take(memory, s * shape->heads, sizeof(float));
	layer->middle = memory_take(memory, s * width, sizeof(float));
	layer->gate_up = memory_take(memory, s * 2 * shape->hidden, sizeof(float));
}

static void take_scratch(struct rank *rank)
{
	const struct shape *shape = &rank->shape;
	size_t rows = rank->tile, wide = larger(shape->qkv, 2 * (size_t)shape->hidden);
	struct memory *memory = &rank->memory;

	rank->scratch.narrow = memory_take(memory, rows * shape->width, sizeof(float));
	rank->scratch.wide = memory_take(memory, rows * wide, sizeof(float));
	rank->scratch.hidden = memory_take(memory, rows * shape->hidden, sizeof(float));
	rank->scratch.logits = memory_take(memory, rows * VOCABULARY, sizeof(float));
}

static void take_activations(struct rank *rank)
{
	const struct shape *shape = &rank->shape;
	size_t s = rank->tokens, before = rank->memory.bytes, half = shape->head_size / 2;
	size_t element = span_dtype_bytes((span_dtype)rank->settings->dtype);
	struct memory *memory = &rank->memory;

	rank->position = memory_take(memory, s, sizeof *rank->position);
	rank->token = memory_take(memory, s, 1);
	rank->label = memory_take(memory, s, 1);
	rank->cosine = memory_take(memory, s * half, sizeof(float));
	rank->sine = memory_take(memory, s * half, sizeof(float));
	rank->layer = memory_take(memory, shape->layers, sizeof *rank->layer);
	for (int i = 0; i < shape->layers && !memory->failed; i++)
		take_layer(rank, &rank->layer[i]);
	rank->last = memory_take(memory, s * shape->width, sizeof(float));
	rank->dx = memory_take(memory, s * shape->width, sizeof(float));
	rank->dqkv = memory_take(memory, s * shape->qkv, element);
	rank->dout = memory_take(memory, s * shape->width, element);
	take_scratch(rank);
	rank->footprint.activations = memory->bytes - before;
}

static void take_state(struct rank *rank, const struct state *start)
{
	size_t n = start->size, before = rank->memory.bytes;
	struct memory *memory = &rank->memory;

	rank->state = (struct state){
		.step = start->step,
		.size = n,
		.weights = memory_take(memory, n, sizeof(float)),
		.moment = memory_take(memory, n, sizeof(float)),
		.variance = memory_take(memory, n, sizeof(float)),
	};
	rank->gradient = memory_take(memory, n + 1, sizeof(float));
	rank->decays = memory_take(memory, n, 1);
	rank->footprint.weights = memory->bytes - before;
}

static void fill_state(struct rank *rank, const struct state *start)
{
	size_t bytes = start->size * sizeof(float);

	memcpy(rank->state.weights, start->weights, bytes);
	memcpy(rank->state.moment, start->moment, bytes);
	memcpy(rank->state.variance, start->variance, bytes);
	model_decays(&rank->shape, rank->decays);
}

/* Where this rank's tokens stand in the sequence: what rotary positions are made of. */
static span_status fill_positions(struct rank *rank)
{
	size_t half = rank->shape.head_size / 2;
	span_status status;

	status = span_layout_indices(span_attention_layout(rank->attention), rank->index,
	                             rank->position);
	if (status != SPAN_OK)
		return status;
	for (int64_t i = 0; i < rank->tokens; i++)
		rope_angles(rank->shape.head_size, rank->position[i], rank->cosine + i * half,
		            rank->sine + i * half);
	return SPAN_OK;
}

static span_status take_memory(struct rank *rank, const struct state *start)
{
	size_t workspace = span_attention_workspace_bytes(rank->attention);

	take_state(rank, start);
	take_activations(rank);
	rank->workspace = memory_take(&rank->memory, workspace, 1);
	rank->footprint.workspace = workspace;
	if (!rank->memory.failed)
		return SPAN_OK;
	complain("rank %d: out of memory after %zu bytes", (int)rank->index,
	         rank->memory.bytes);
	return SPAN_ENOMEM;
}

static void read_layout(struct rank *rank)
{
	const span_layout *layout = span_attention_layout(rank->attention);

	rank->tile = span_layout_tile(layout);
	rank->tiles = span_layout_rank_tiles(layout, rank->index);
	rank->tokens = span_layout_rank_tokens(layout, rank->index);
}

span_status rank_create(struct rank *rank, const struct options *options, int threads,
                        const struct text *text, const struct state *start,
                        span_transport *transport)
{
	const struct settings *set = &options->settings;
	span_status status;

	*rank = (struct rank){
		.settings = set,
		.text = text,
		.shape = model_shape((int)set->layers, (int)set->width, (int)set->heads,
		                     (int)set->kv_heads),
		.index = transport->rank,
	};
	status = create_attention(rank, options, threads, transport);
	if (status != SPAN_OK)
		return status;
	read_layout(rank);
	status = create_sums(rank, transport);
	if (status == SPAN_OK)
		status = take_memory(rank, start);
	if (status == SPAN_OK)
		status = fill_positions(rank);
	if (status == SPAN_OK)
		fill_state(rank, start);
	else
		rank_free(rank);
	return status;
}

void rank_free(struct rank *rank)
{
	span_gradient_free(rank->embedding_sum);
	span_gradient_free(rank->project_sum);
	span_gradient_free(rank->mix_sum);
	span_gradient_free(rank->head_sum);
	span_attention_free(rank->attention);
	memory_release(&rank->memory);
}
