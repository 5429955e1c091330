/* The two ends of the model: the embedding, and the head with the loss. */
#include <string.h>
#include "blas.h"
#include "layers.h"
#include "passes.h"

void embedding_pass(struct rank *rank)
{
	int width = rank->shape.width;

	for (int64_t slot = 0; slot < rank->tiles; slot++) {
		struct tile tile = rank_tile(rank, slot);

		embedding_forward(tile.rows, width, rank->token + tile.row, rank->state.weights,
		                  rank->layer[0].input + tile.row * width);
	}
}

static void embedding_tile(struct rank *rank, int layer, struct tile tile,
                           float *contribution)
{
	int width = rank->shape.width;

	(void)layer;
	embedding_backward(tile.rows, width, rank->token + tile.row,
	                   rank->dx + tile.row * width, contribution);
}

span_status embedding_gradient(struct rank *rank)
{
	return sum_tiles(rank, rank->embedding_sum, embedding_tile, 0,
	                 embedding_size(&rank->shape), rank->gradient);
}

/* Forward and backward at once, so that the logits of one tile are all that is kept. */
static void head_tile(struct rank *rank, int layer, struct tile tile, float *contribution)
{
	const struct shape *shape = &rank->shape;
	struct head weights = head_view(shape, rank->state.weights + head_start(shape));
	struct head gradient = head_view(shape, contribution);
	int rows = tile.rows, width = shape->width;
	float *last = rank->last + tile.row * width, *dx = rank->dx + tile.row * width;
	float *narrow = rank->scratch.narrow, *logits = rank->scratch.logits;

	(void)layer;
	norm_forward(rows, width, last, weights.norm, narrow);
	product(rows, width, VOCABULARY, narrow, weights.vocabulary, logits);
	*gradient.loss = loss_and_gradient(rows, rank->label + tile.row, logits);
	product_weight(rows, width, VOCABULARY, logits, narrow, gradient.vocabulary);
	product_back(rows, width, VOCABULARY, logits, weights.vocabulary, narrow);
	memset(dx, 0, (size_t)rows * width * sizeof *dx);
	norm_backward(rows, width, last, weights.norm, narrow, dx, gradient.norm);
}

span_status head_pass(struct rank *rank)
{
	return sum_tiles(rank, rank->head_sum, head_tile, 0, head_size(&rank->shape) + 1,
	                 rank->gradient + head_start(&rank->shape));
}
