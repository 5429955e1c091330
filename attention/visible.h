/* Which tiles see which: the mask seen through the layout. Private. */
#ifndef SPAN_VISIBLE_H
#define SPAN_VISIBLE_H

#include "attention/layout.h"
#include "attention/span_mask.h"

typedef struct {
	const span_layout *layout;
	span_mask mask;
} span_visible;

/* The key tiles [*first, *end) of which a query tile sees at least one key, and the query
 * tiles that see at least one key of a key tile. */
void span_visible_keys(const span_visible *visible, int64_t query_tile, int64_t *first,
                       int64_t *end);
void span_visible_queries(const span_visible *visible, int64_t key_tile, int64_t *first,
                          int64_t *end);
int span_visible_tile(const span_visible *visible, int64_t query_tile, int64_t key_tile);

/* Row r of the query tile sees keys 0 .. r + shift of the key tile (kernels/kernel.h). */
int64_t span_visible_shift(const span_visible *visible, int64_t query_tile, int64_t key_tile);

/* Pairs a kernel computes for rows against keys at a shift. */
int64_t span_visible_pairs(int64_t rows, int64_t keys, int64_t shift);

/* Pairs that the mask gives the queries of a rank. */
int64_t span_visible_rank_pairs(const span_visible *visible, int32_t rank);

#endif
