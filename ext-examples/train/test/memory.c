/* The memory of a rank is what its shard needs: the counter of memory.h and the library's
 * sizes against a formula from the shape of the model alone, in a case of well over 64 MiB. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "../rank.h"

enum { RANKS = 4,
       SEQ = 16384,
       TILE = 256,
       S = SEQ / RANKS,
       LAYERS = 2 };

static const struct options options = {
	.settings = { .seq = SEQ, .tile = TILE, .layers = LAYERS, .width = 128, .heads = 2,
			.kv_heads = 1, .batch = 1, .dtype = SPAN_F32,
					.numerics = SPAN_NUMERICS_CANONICAL,
							.layout = SPAN_LAYOUT_ZIGZAG },
	.ranks = RANKS,
	.order = SPAN_ORDER_RING,
};

/* What a token costs: its place, angles, and per layer what backward will want again. */
static double activations(const struct shape *shape)
{
	double place = 8 + 1 + 1 + 2 * 4.0 * shape->head_size / 2;
	double layer = 4.0 * (3 * shape->width + shape->qkv + shape->heads + 2 * shape->hidden);
	double ends = 4.0 * (3 * shape->width + shape->qkv);
	double wide = shape->qkv > 2 * shape->hidden ? shape->qkv : 2 * shape->hidden;
	double tile = 4.0 * TILE * (shape->width + wide + shape->hidden + 256);

	return S * (place + LAYERS * layer + ends) + tile;
}

/* Attention in the canonical order, four ranks in a ring, one thread: the bench's formula
 * (attention/README.md, "Memory of a rank") for query heads in groups. Planes are f32 [S][D]. */
static double workspace(const struct shape *shape)
{
	enum { WAITING = 2 };
	double plane = 4.0 * S * shape->head_size, row = 4.0 * S * shape->heads;
	double blocks = 3.0 * 2 * shape->kv_heads * plane;
	double waiting = WAITING * (shape->heads * plane + 2 * row);
	double prepared = 2 * shape->heads * plane + 2 * row;
	double returns = (WAITING + 2 + 2) * 2.0 * shape->kv_heads * plane;
	double group = (double)shape->heads / shape->kv_heads;
	double scratch = (1 + 2 + group + 2 + 1 + group) * plane;

	return blocks + waiting + prepared + returns + scratch;
}

/* Weights, two moments, gradient and the flags of the decay; what is left of the sums of
 * gradients is checked by the library's own query. */
static double weights(const struct shape *shape)
{
	return 17.0 * (double)model_size(shape);
}

static int expect(const char *what, double found, double formula)
{
	printf("%-12s %7.2f MiB, formula %7.2f, ratio %.3f\n", what, found / (1 << 20),
	       formula / (1 << 20), found / formula);
	return fabs(found / formula - 1) > 0.05;
}

static int compare(const struct rank *rank)
{
	const struct footprint *is = &rank->footprint;
	double shard = activations(&rank->shape), attention = workspace(&rank->shape);
	double state = weights(&rank->shape);
	int wrong = expect("weights", (double)is->weights, state) +
	            expect("activations", (double)is->activations, shard) +
	            expect("workspace", (double)is->workspace, attention);

	/* The counter has everything but what the library's sums of gradients took. */
	wrong += expect("all taken", (double)rank->memory.bytes,
	                state + shard + attention + 4.0 * (double)mix_size(&rank->shape));
	if (rank->memory.bytes < 64u << 20)
		wrong += printf("only %zu bytes: too small a case\n", rank->memory.bytes) > 0;
	return wrong;
}

static span_status body(span_transport *transport, void *argument)
{
	int *wrong = argument;
	const struct text *text = NULL;
	struct rank rank;
	struct state start = { 0 };
	struct shape shape = model_shape(LAYERS, 128, 2, 1);
	span_status status;

	start.size = model_size(&shape);
	start.weights = start.moment = start.variance = calloc(start.size, sizeof(float));
	status = rank_create(&rank, &options, 1, text, &start, transport);
	free(start.weights);
	if (status != SPAN_OK)
		return status;
	if (transport->rank == 0)
		*wrong = compare(&rank);
	rank_free(&rank);
	return SPAN_OK;
}

int main(void)
{
	span_local *local = NULL;
	int wrong = 1;

	if (span_local_create(RANKS, NULL, &local) != SPAN_OK ||
	    span_local_run(local, body, &wrong) != SPAN_OK)
		wrong = 1;
	span_local_free(local);
	return wrong != 0;
}
