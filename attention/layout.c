#include "attention/span_layout.h"

#include <stdlib.h>
#include <string.h>
#include "attention/layout.h"
#include "topo/log.h"
#include "topo/span_order.h"

/* As small as speed allows, so that short sequences are even over many ranks (figures:
 * attention/README.md). Part of the numerics, hence never a function of P. */
static int32_t default_tile(int64_t tokens)
{
	if (tokens < 8192)
		return 128;
	return tokens < 131072 ? 256 : 512;
}

static span_status check_arguments(int64_t tokens, int32_t tile, span_layout_family family,
                                   int32_t ranks)
{
	if (tokens < 1)
		return span_fail(SPAN_EINVAL, "layout: tokens is %lld; at least 1 is needed",
		                 (long long)tokens);
	if (tile < 16 || tile > 4096 || (tile & (tile - 1)) != 0)
		return span_fail(SPAN_EINVAL,
		                 "layout: tile is %d; a power of two from 16 to 4096, or 0, is "
		                 "needed", tile);
	if ((tokens - 1) / tile + 1 > (int64_t)1 << 30)
		return span_fail(SPAN_EUNSUPPORTED,
		                 "layout: tokens is %lld, more than 2^30 tiles of %d",
		                 (long long)tokens, tile);
	if (family != SPAN_LAYOUT_CONTIGUOUS && family != SPAN_LAYOUT_ZIGZAG)
		return span_fail(SPAN_EINVAL,
		                 "layout: family is %d; contiguous (0) or zigzag (1) is needed",
		                 (int)family);
	if (ranks < 1 || ranks > SPAN_ORDER_MAX_RANKS)
		return span_fail(SPAN_EINVAL, "layout: ranks is %d; 1 to %d are possible", ranks,
		                 SPAN_ORDER_MAX_RANKS);
	return SPAN_OK;
}

span_status span_layout_create(int64_t tokens, int32_t tile, span_layout_family family,
                               int32_t ranks, span_layout **layout)
{
	span_status status;
	span_layout *made;

	if (layout == NULL)
		return span_fail(SPAN_EINVAL, "layout: layout is NULL");
	if (tile == 0)
		tile = default_tile(tokens);
	status = check_arguments(tokens, tile, family, ranks);
	if (status != SPAN_OK)
		return status;
	made = malloc(sizeof(*made));
	if (made == NULL)
		return span_fail(SPAN_ENOMEM, "layout: no memory");
	made->tokens = tokens;
	made->tile = tile;
	made->ranks = ranks;
	made->tree = span_tree_make((tokens - 1) / tile + 1, family);
	*layout = made;
	return SPAN_OK;
}

void span_layout_free(span_layout *layout)
{
	free(layout);
}

int64_t span_layout_tokens(const span_layout *layout)
{
	return layout->tokens;
}

int32_t span_layout_tile(const span_layout *layout)
{
	return layout->tile;
}

int64_t span_layout_tiles(const span_layout *layout)
{
	return layout->tree.n;
}

int32_t span_layout_ranks(const span_layout *layout)
{
	return layout->ranks;
}

span_layout_family span_layout_family_of(const span_layout *layout)
{
	return layout->tree.family;
}

const char *span_layout_family_name(span_layout_family family)
{
	return family == SPAN_LAYOUT_CONTIGUOUS ? "contiguous"
	     : family == SPAN_LAYOUT_ZIGZAG     ? "zigzag" : "unknown";
}

int64_t span_layout_rank_tiles(const span_layout *layout, int32_t rank)
{
	int64_t first, end;

	span_tree_shard(&layout->tree, layout->ranks, rank, &first, &end);
	return end - first;
}

int32_t span_layout_tile_tokens(const span_layout *layout, int64_t tile)
{
	int64_t left = layout->tokens - tile * layout->tile;

	return left < layout->tile ? (int32_t)left : layout->tile;
}

int64_t span_layout_rank_tokens(const span_layout *layout, int32_t rank)
{
	int64_t tiles = span_layout_rank_tiles(layout, rank);
	int64_t last;

	if (tiles == 0)
		return 0;
	/* Only the last tile of the sequence may be short, and slots ascend. */
	last = span_layout_tile_at(layout, rank, tiles - 1);
	return (tiles - 1) * layout->tile + span_layout_tile_tokens(layout, last);
}

int64_t span_layout_tile_at(const span_layout *layout, int32_t rank, int64_t slot)
{
	int64_t first, end, evens;

	span_tree_shard(&layout->tree, layout->ranks, rank, &first, &end);
	if (layout->tree.family == SPAN_LAYOUT_CONTIGUOUS)
		return first + slot;
	/* Even positions hold ascending tiles; odd ones, from the last, continue upwards. */
	evens = (end + 1) / 2 - (first + 1) / 2;
	if (slot < evens)
		return (first + 1) / 2 + slot;
	return layout->tree.n - end / 2 + (slot - evens);
}

int32_t span_layout_owner(const span_layout *layout, int64_t tile)
{
	int64_t position = span_tree_position(&layout->tree, tile);
	int32_t low = 0, high = layout->ranks - 1;

	while (low < high) {
		int32_t middle = low + (high - low) / 2;
		int64_t first, end;

		span_tree_shard(&layout->tree, layout->ranks, middle, &first, &end);
		if (position >= end)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int64_t span_layout_slot(const span_layout *layout, int64_t tile)
{
	int32_t owner = span_layout_owner(layout, tile);
	int64_t position = span_tree_position(&layout->tree, tile);
	int64_t first, end, evens;

	span_tree_shard(&layout->tree, layout->ranks, owner, &first, &end);
	if (layout->tree.family == SPAN_LAYOUT_CONTIGUOUS)
		return position - first;
	evens = (end + 1) / 2 - (first + 1) / 2;
	if (position % 2 == 0)
		return position / 2 - (first + 1) / 2;
	return evens + tile - (layout->tree.n - end / 2);
}

/* Whether rank may be asked about; names the function that was called. */
static span_status check_rank(const span_layout *layout, int32_t rank, const char *function)
{
	if (layout == NULL)
		return span_fail(SPAN_EINVAL, "%s: layout is NULL", function);
	if (rank < 0 || rank >= layout->ranks)
		return span_fail(SPAN_EINVAL, "%s: rank is %d; the layout has ranks 0 to %d",
		                 function, rank, layout->ranks - 1);
	return SPAN_OK;
}

span_status span_layout_indices(const span_layout *layout, int32_t rank, int64_t *indices)
{
	span_status status = check_rank(layout, rank, "span_layout_indices");
	int64_t tiles, count = 0;

	if (status != SPAN_OK)
		return status;
	tiles = span_layout_rank_tiles(layout, rank);
	if (indices == NULL && tiles > 0)
		return span_fail(SPAN_EINVAL, "span_layout_indices: indices is NULL");
	for (int64_t slot = 0; slot < tiles; slot++) {
		int64_t tile = span_layout_tile_at(layout, rank, slot);
		int32_t tokens = span_layout_tile_tokens(layout, tile);

		for (int32_t i = 0; i < tokens; i++)
			indices[count++] = tile * layout->tile + i;
	}
	return SPAN_OK;
}

static int is_beyond_memory(int64_t tokens, int64_t outer, size_t row_bytes)
{
	int64_t rows, bytes;

	return __builtin_mul_overflow(tokens, outer, &rows) ||
	       __builtin_mul_overflow(rows, row_bytes, &bytes) || bytes > PTRDIFF_MAX;
}

/* Copy every tile of a rank between its places in the whole tensor and in the shard. */
static span_status copy_tiles(const span_layout *layout, int32_t rank, int64_t outer,
                              size_t row_bytes, const char *from, char *to, int gather,
                              const char *function)
{
	span_status status = check_rank(layout, rank, function);
	int64_t tiles, shard_rows;

	if (status != SPAN_OK)
		return status;
	if (outer < 1)
		return span_fail(SPAN_EINVAL, "%s: outer is %lld; at least 1 is needed", function,
		                 (long long)outer);
	if (row_bytes < 1)
		return span_fail(SPAN_EINVAL, "%s: row_bytes is 0", function);
	if (is_beyond_memory(layout->tokens, outer, row_bytes))
		return span_fail(SPAN_EINVAL, "%s: outer is %lld and row_bytes %zu; a tensor of %lld "
		                 "tokens cannot be that large", function, (long long)outer, row_bytes,
		                 (long long)layout->tokens);
	tiles = span_layout_rank_tiles(layout, rank);
	shard_rows = span_layout_rank_tokens(layout, rank);
	if (tiles > 0 && (from == NULL || to == NULL))
		return span_fail(SPAN_EINVAL, "%s: %s is NULL", function,
		                 (from == NULL) == (gather != 0) ? "whole" : "shard");
	for (int64_t o = 0; o < outer; o++) {
		for (int64_t slot = 0; slot < tiles; slot++) {
			int64_t tile = span_layout_tile_at(layout, rank, slot);
			size_t n = (size_t)span_layout_tile_tokens(layout, tile) * row_bytes;
			size_t whole = (size_t)(o * layout->tokens + tile * layout->tile) * row_bytes;
			size_t shard = (size_t)(o * shard_rows + slot * layout->tile) * row_bytes;

			memcpy(to + (gather ? shard : whole), from + (gather ? whole : shard), n);
		}
	}
	return SPAN_OK;
}

span_status span_layout_shard(const span_layout *layout, int32_t rank, int64_t outer,
                              size_t row_bytes, const void *whole, void *shard)
{
	return copy_tiles(layout, rank, outer, row_bytes, whole, shard, 1, "span_layout_shard");
}

span_status span_layout_unshard(const span_layout *layout, int32_t rank, int64_t outer,
                                size_t row_bytes, const void *shard, void *whole)
{
	return copy_tiles(layout, rank, outer, row_bytes, shard, whole, 0,
	                  "span_layout_unshard");
}
