#include "attention/span_mask.h"
#include <criterion/criterion.h>
#include "attention/visible.h"

/* The definition, pair by pair. */
static int sees(span_mask_kind kind, int64_t query, int64_t key, int64_t queries, int64_t keys)
{
	return kind == SPAN_MASK_FULL || key <= query + keys - queries;
}

static span_mask mask_of(int kind)
{
	return (span_mask){ .size = sizeof(span_mask), .kind = (span_mask_kind)kind };
}

Test(mask, interval_and_pairs_are_the_definition_counted)
{
	for (int kind = 0; kind < 2; kind++)
		for (int64_t queries = 1; queries <= 9; queries++)
			for (int64_t keys = 1; keys <= 9; keys++) {
				span_mask mask = mask_of(kind);
				int64_t pairs = 0, first, end;

				for (int64_t i = 0; i < queries; i++) {
					span_mask_interval(&mask, i, queries, keys, &first, &end);
					cr_assert(0 <= first && first <= end && end <= keys);
					for (int64_t j = 0; j < keys; j++) {
						int seen = sees(mask.kind, i, j, queries, keys);

						cr_assert_eq(first <= j && j < end, seen);
						pairs += seen;
					}
				}
				cr_assert_eq(span_mask_pairs(&mask, queries, keys), pairs);
			}
}

Test(mask, pairs_of_a_million_tokens_do_not_overflow)
{
	span_mask full = mask_of(0), causal = mask_of(1);
	int64_t s = (int64_t)1 << 30;

	cr_assert_eq(span_mask_pairs(&full, s, s), s * s);
	cr_assert_eq(span_mask_pairs(&causal, s, s), s * (s + 1) / 2);
}

Test(mask, names_its_kinds)
{
	cr_assert_str_eq(span_mask_name(SPAN_MASK_FULL), "full");
	cr_assert_str_eq(span_mask_name(SPAN_MASK_CAUSAL), "causal");
	cr_assert_str_eq(span_mask_name((span_mask_kind)9), "unknown");
}

/* ---- the mask seen through the tiles of a layout ---- */

static void expect_tile_pair(const span_visible *v, int64_t query_tile, int64_t key_tile)
{
	int64_t tokens = v->layout->tokens, tile = v->layout->tile;
	int64_t rows = span_layout_tile_tokens(v->layout, query_tile);
	int64_t keys = span_layout_tile_tokens(v->layout, key_tile);
	int64_t shift = span_visible_shift(v, query_tile, key_tile);
	int64_t first, end, pairs = 0;

	for (int64_t r = 0; r < rows; r++)
		for (int64_t j = 0; j < keys; j++) {
			int seen = sees(v->mask.kind, query_tile * tile + r, key_tile * tile + j,
			                tokens, tokens);

			cr_assert_eq(j <= r + shift, seen);
			pairs += seen;
		}
	cr_assert_eq(span_visible_pairs(rows, keys, shift), pairs);
	cr_assert_eq(span_visible_tile(v, query_tile, key_tile), pairs > 0);
	span_visible_keys(v, query_tile, &first, &end);
	cr_assert(pairs > 0 ? first <= key_tile && key_tile < end
	                    : first > key_tile || key_tile >= end);
	span_visible_queries(v, key_tile, &first, &end);
	cr_assert(pairs > 0 ? first <= query_tile && query_tile < end
	                    : first > query_tile || query_tile >= end);
}

Test(mask, tiles_see_each_other_as_their_tokens_do)
{
	for (int kind = 0; kind < 2; kind++)
		for (int64_t tokens = 1; tokens < 100; tokens += 9) {
			span_layout *layout = NULL;
			span_visible visible = { .mask = mask_of(kind) };

			span_layout_create(tokens, 16, SPAN_LAYOUT_CONTIGUOUS, 1, &layout);
			visible.layout = layout;
			for (int64_t q = 0; q < span_layout_tiles(layout); q++)
				for (int64_t k = 0; k < span_layout_tiles(layout); k++)
					expect_tile_pair(&visible, q, k);
			span_layout_free(layout);
		}
}

/* Rows of a task begin anywhere in a tile, so shifts do too. */
Test(mask, pairs_at_any_shift_are_the_pairs_counted)
{
	for (int64_t rows = 1; rows <= 6; rows++)
		for (int64_t keys = 1; keys <= 6; keys++)
			for (int64_t shift = -9; shift <= 9; shift++) {
				int64_t pairs = 0;

				for (int64_t r = 0; r < rows; r++)
					for (int64_t j = 0; j < keys; j++)
						pairs += j <= r + shift;
				cr_assert_eq(span_visible_pairs(rows, keys, shift), pairs);
			}
}

Test(mask, the_pairs_of_all_ranks_are_its_area)
{
	for (int kind = 0; kind < 2; kind++)
		for (int32_t ranks = 1; ranks <= 9; ranks++)
			for (int family = 0; family < 2; family++) {
				span_layout *layout = NULL;
				span_visible visible = { .mask = mask_of(kind) };
				int64_t pairs = 0;

				span_layout_create(213, 16, (span_layout_family)family, ranks,
				                   &layout);
				visible.layout = layout;
				for (int32_t r = 0; r < ranks; r++)
					pairs += span_visible_rank_pairs(&visible, r);
				cr_assert_eq(pairs, span_mask_pairs(&visible.mask, 213, 213));
				span_layout_free(layout);
			}
}
