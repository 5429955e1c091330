#include "attention/span_mask.h"

#include "attention/visible.h"

void span_mask_interval(const span_mask *mask, int64_t query, int64_t queries, int64_t keys,
                        int64_t *first, int64_t *end)
{
	*first = 0;
	*end = keys;
	if (mask->kind == SPAN_MASK_CAUSAL) {
		int64_t last = query + keys - queries;

		*end = last < 0 ? 0 : last + 1 < keys ? last + 1 : keys;
	}
}

int64_t span_mask_pairs(const span_mask *mask, int64_t queries, int64_t keys)
{
	int64_t seeing, short_of;

	if (mask->kind != SPAN_MASK_CAUSAL)
		return queries * keys;
	/* The last query sees all keys, each earlier one fewer, until none is left. */
	seeing = queries < keys ? queries : keys;
	short_of = seeing * (seeing - 1) / 2;
	return seeing * keys - short_of;
}

const char *span_mask_name(span_mask_kind kind)
{
	return kind == SPAN_MASK_FULL ? "full" : kind == SPAN_MASK_CAUSAL ? "causal" : "unknown";
}

void span_visible_keys(const span_visible *visible, int64_t query_tile, int64_t *first,
                       int64_t *end)
{
	int64_t tokens = visible->layout->tokens;
	int32_t tile = visible->layout->tile;
	int64_t last = query_tile * tile +
	               span_layout_tile_tokens(visible->layout, query_tile) - 1;
	int64_t low, high, unused;

	/* Intervals move forward with the query: the tile's hull runs from its first query's
	 * first key to its last query's last key. */
	span_mask_interval(&visible->mask, query_tile * tile, tokens, tokens, &low, &unused);
	span_mask_interval(&visible->mask, last, tokens, tokens, &unused, &high);
	*first = low / tile;
	*end = (high + tile - 1) / tile;
}

void span_visible_queries(const span_visible *visible, int64_t key_tile, int64_t *first,
                          int64_t *end)
{
	*first = visible->mask.kind == SPAN_MASK_CAUSAL ? key_tile : 0;
	*end = visible->layout->tree.n;
}

int span_visible_tile(const span_visible *visible, int64_t query_tile, int64_t key_tile)
{
	int64_t first, end;

	span_visible_keys(visible, query_tile, &first, &end);
	return first <= key_tile && key_tile < end;
}

int64_t span_visible_shift(const span_visible *visible, int64_t query_tile, int64_t key_tile)
{
	int32_t tile = visible->layout->tile;

	return visible->mask.kind == SPAN_MASK_CAUSAL ? (query_tile - key_tile) * tile : tile;
}

int64_t span_visible_pairs(int64_t rows, int64_t keys, int64_t shift)
{
	int64_t none = shift < 0 ? -shift : 0;      /* rows before the first that sees a key */
	int64_t all = keys - 1 - shift;             /* the first row that sees every key */
	int64_t partial;

	if (none > rows)
		none = rows;
	if (all < none)
		all = none;
	if (all > rows)
		all = rows;
	partial = all - none;
	/* Row r of the partial ones sees r + shift + 1 keys. */
	return partial * (none + shift + 1) + partial * (partial - 1) / 2 + (rows - all) * keys;
}

int64_t span_visible_rank_pairs(const span_visible *visible, int32_t rank)
{
	const span_layout *layout = visible->layout;
	int64_t tiles = span_layout_rank_tiles(layout, rank);
	int64_t pairs = 0;

	for (int64_t slot = 0; slot < tiles; slot++) {
		int64_t tile = span_layout_tile_at(layout, rank, slot);
		int64_t begin = tile * layout->tile;
		int64_t end = begin + span_layout_tile_tokens(layout, tile);

		if (visible->mask.kind == SPAN_MASK_FULL)
			pairs += (end - begin) * layout->tokens;
		else /* the area above row `end` less that above row `begin` */
			pairs += span_mask_pairs(&visible->mask, end, end) -
			         span_mask_pairs(&visible->mask, begin, begin);
	}
	return pairs;
}
