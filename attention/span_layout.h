/* Which rank holds which tokens.
 *
 * The sequence is cut into tiles of T consecutive tokens (the last may be short). A layout
 * family puts the tiles into positions 0 .. n-1; ranks hold consecutive positions:
 *   contiguous  position = tile
 *   zigzag      tile i and its mirror n-1-i are neighbours, so that causal work is even
 * Positions are cut into shards by the splits of the canonical tree (attention/README.md), as
 * evenly as whole tiles allow; with more ranks than tiles some ranks hold none. Inside a
 * rank tiles stand in slots, ascending in token index. */
#ifndef SPAN_LAYOUT_H
#define SPAN_LAYOUT_H

#include "topo/span_status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct span_layout span_layout;

typedef enum {
	SPAN_LAYOUT_CONTIGUOUS = 0,
	SPAN_LAYOUT_ZIGZAG = 1
} span_layout_family;

/* T = 0 chooses 128 below 8,192 tokens, 256 below 131,072, else 512; else T is a power of two
 * from 16 to 4096. The tile size and the family are part of the numerics: results are equal
 * to the bit only among runs that share both. The number of ranks is not.
 *   tokens S >= 1, ranks P >= 1 and at most SPAN_ORDER_MAX_RANKS
 * The layout is constant; any number of threads may read it. Returns SPAN_EINVAL naming the
 * argument, SPAN_EUNSUPPORTED for more than 2^30 tiles, SPAN_ENOMEM. */
SPAN_API span_status span_layout_create(int64_t tokens, int32_t tile, span_layout_family family,
                                        int32_t ranks, span_layout **layout);
SPAN_API void span_layout_free(span_layout *layout);

/* Plain queries; `layout` must not be NULL, indices must be in range. */
SPAN_API int64_t span_layout_tokens(const span_layout *layout);      /* S */
SPAN_API int32_t span_layout_tile(const span_layout *layout);        /* T */
SPAN_API int64_t span_layout_tiles(const span_layout *layout);       /* n = ceil(S / T) */
SPAN_API int32_t span_layout_ranks(const span_layout *layout);       /* P */
SPAN_API span_layout_family span_layout_family_of(const span_layout *layout);
SPAN_API const char *span_layout_family_name(span_layout_family family);

/* Of one rank: its tiles, its tokens s, the tile in a slot; and the owner and slot of a tile. */
SPAN_API int64_t span_layout_rank_tiles(const span_layout *layout, int32_t rank);
SPAN_API int64_t span_layout_rank_tokens(const span_layout *layout, int32_t rank);
SPAN_API int64_t span_layout_tile_at(const span_layout *layout, int32_t rank, int64_t slot);
SPAN_API int32_t span_layout_owner(const span_layout *layout, int64_t tile);
SPAN_API int64_t span_layout_slot(const span_layout *layout, int64_t tile);

/* The tokens of a rank, ascending, by global index: position ids, and where labels are read.
 *   indices [s] out  may be NULL when s is 0
 * Returns SPAN_EINVAL. */
SPAN_API span_status span_layout_indices(const span_layout *layout, int32_t rank,
                                         int64_t *indices);

/* Copy the rows of a rank out of a whole tensor, or back into it.
 *   whole  [outer][S][row_bytes]
 *   shard  [outer][s][row_bytes]
 * For [B,S,H,D] outer is B and row_bytes H*D*element; for [B,H,S,D] outer is B*H. Both return
 * SPAN_EINVAL, also where the whole tensor would be larger than all memory. */
SPAN_API span_status span_layout_shard(const span_layout *layout, int32_t rank, int64_t outer,
                                       size_t row_bytes, const void *whole, void *shard);
SPAN_API span_status span_layout_unshard(const span_layout *layout, int32_t rank, int64_t outer,
                                         size_t row_bytes, const void *shard, void *whole);

#ifdef __cplusplus
}
#endif
#endif
