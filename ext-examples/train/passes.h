/* The parts of a step, each over all tiles of a rank. Collective where the comment says so:
 * all ranks call the same ones in the same order. */
#ifndef TRAIN_PASSES_H
#define TRAIN_PASSES_H

#include "rank.h"

/* The contribution that one tile makes to the gradient of one group of weights. */
typedef void tile_gradient(struct rank *rank, int layer, struct tile tile,
                           float *contribution);

/* Compute the contributions of all tiles, sum them over all ranks, collectively, and add
 * the sum to gradient [n]. */
span_status sum_tiles(struct rank *rank, span_gradient *sum, tile_gradient *contribute,
                      int layer, size_t n, float *gradient);

/* From layer->input to the input of the next layer, and back: dx is the gradient of what
 * the layer gave and becomes that of its input. Collective, both. */
span_status layer_forward(struct rank *rank, int layer);
span_status layer_backward(struct rank *rank, int layer);

/* Tokens to the input of the first layer; and dx, the gradient of that, to the gradient of
 * the embedding, collectively. */
void embedding_pass(struct rank *rank);
span_status embedding_gradient(struct rank *rank);

/* The loss, and dx, its gradient by what the last layer gave. Collective. */
span_status head_pass(struct rank *rank);

#endif
