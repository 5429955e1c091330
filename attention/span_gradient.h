/* Summing weight gradients over the ranks so that the sum does not depend on their number.
 *
 * Every rank contributes one vector a tile; the vectors are added along the same canonical
 * tree that attention uses (attention/README.md), inside a rank as they come, across ranks
 * once. The result has the same bits on every rank and for every P.
 *
 * Contract: the result is the SUM of all contributions, and beside it the sum of all token
 * counts; nothing is divided. A trainer that wants the gradient of the mean loss divides by
 * the returned count, once. */
#ifndef SPAN_GRADIENT_H
#define SPAN_GRADIENT_H

#include "attention/span_layout.h"
#include "attention/span_transport.h"
#include "topo/span_status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct span_gradient span_gradient;

/* A sum of vectors of n >= 1 floats over the tiles of a layout. transport NULL: one rank; else
 * its ranks must be the layout's. layout and transport are borrowed until span_gradient_free.
 * timeout in seconds for one message, 0: 600. Returns SPAN_EINVAL naming the argument, or
 * SPAN_ENOMEM. */
SPAN_API span_status span_gradient_create(const span_layout *layout, span_transport *transport,
                                          size_t n, double timeout, span_gradient **gradient);
SPAN_API void span_gradient_free(span_gradient *gradient);

/* Bytes this object holds; 0 for NULL. */
SPAN_API size_t span_gradient_bytes(const span_gradient *gradient);

/* Start a new sum; what was added and not summed is dropped. Nothing happens to NULL. */
SPAN_API void span_gradient_begin(span_gradient *gradient);

/* Where the contribution of the tile in `slot` of this rank is to be written, [n] f32, with
 * undefined contents: the caller fills it and calls span_gradient_add. Belongs to gradient;
 * valid until the next call. NULL when span_gradient_add would refuse the slot, or when slots
 * come in another order than that of the tree positions and memory is out. */
SPAN_API float *span_gradient_slot(span_gradient *gradient, int64_t slot);

/* Take the contribution just written for `slot`, of a tile with `tokens` counted tokens. Slots
 * come in any order, each once; the order of the tree positions (span_gradient_order) needs no
 * more memory than span_gradient_create took. Returns SPAN_EINVAL for a slot that is out of
 * range, was already added, or is not the one span_gradient_slot was asked for last, and for
 * tokens below 0 or above 2^32. */
SPAN_API span_status span_gradient_add(span_gradient *gradient, int64_t slot, int64_t tokens);

/* The slots of this rank in the order of their tree positions: the i-th of them, -1 when there
 * is none. */
SPAN_API int64_t span_gradient_order(const span_gradient *gradient, int64_t i);

/* Sum over all ranks, collectively, once every slot was added; then a new sum begins.
 *   sum    [n] f32 out  the same bits on every rank
 *   tokens out          sum of all counts
 * Every NaN becomes one quiet NaN. Returns SPAN_EINVAL when a slot is missing, and nothing has
 * happened; SPAN_ENOMEM, SPAN_ECOMM, SPAN_ETIMEOUT, SPAN_EINTEGRITY, after which the transport has
 * been aborted. */
SPAN_API span_status span_gradient_sum(span_gradient *gradient, float *sum, int64_t *tokens);

#ifdef __cplusplus
}
#endif
#endif
