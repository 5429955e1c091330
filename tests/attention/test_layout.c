#include "attention/span_layout.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "attention/span_attention.h"
#include "tests/topo/log_capture.h"

static const int32_t ranks_of[] = { 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 32, 64 };

#define COUNT(array) (int)(sizeof(array) / sizeof(*(array)))

static span_layout *make(int64_t tokens, int32_t tile, span_layout_family family, int32_t ranks)
{
	span_layout *layout = NULL;

	cr_assert_eq(span_layout_create(tokens, tile, family, ranks, &layout), SPAN_OK);
	return layout;
}

/* Call `check` for many layouts; the last tile is whole, short, or of one token. */
static void for_layouts(void (*check)(const span_layout *layout))
{
	static const int32_t missing[] = { 0, 5, 15 };

	for (int64_t tiles = 1; tiles <= 70; tiles += tiles < 20 ? 1 : 7)
		for (int p = 0; p < COUNT(ranks_of); p++)
			for (int family = 0; family < 2; family++) {
				int64_t tokens = 16 * tiles - missing[(tiles + p) % 3];
				span_layout *layout = make(tokens, 16, (span_layout_family)family,
				                           ranks_of[p]);

				check(layout);
				span_layout_free(layout);
			}
}

/* ---- who holds what ---- */

static void expect_every_token_once(const span_layout *layout)
{
	int64_t tokens = span_layout_tokens(layout);
	uint8_t *seen = calloc((size_t)tokens, 1);
	int64_t *index = malloc(sizeof(*index) * (size_t)tokens);

	for (int32_t r = 0; r < span_layout_ranks(layout); r++) {
		int64_t s = span_layout_rank_tokens(layout, r);

		cr_assert_eq(span_layout_indices(layout, r, index), SPAN_OK);
		for (int64_t i = 0; i < s; i++) {
			cr_assert(index[i] >= 0 && index[i] < tokens);
			cr_assert(i == 0 || index[i] > index[i - 1], "slots ascend");
			cr_assert_eq(seen[index[i]]++, 0);
		}
	}
	for (int64_t i = 0; i < tokens; i++)
		cr_assert_eq(seen[i], 1, "token %lld", (long long)i);
	free(index);
	free(seen);
}

Test(layout, every_token_has_one_place_and_slots_ascend)
{
	for_layouts(expect_every_token_once);
}

static void expect_inverse(const span_layout *layout)
{
	int64_t tiles = 0;

	for (int32_t r = 0; r < span_layout_ranks(layout); r++)
		for (int64_t slot = 0; slot < span_layout_rank_tiles(layout, r); slot++, tiles++) {
			int64_t tile = span_layout_tile_at(layout, r, slot);

			cr_assert_eq(span_layout_owner(layout, tile), r);
			cr_assert_eq(span_layout_slot(layout, tile), slot);
		}
	cr_assert_eq(tiles, span_layout_tiles(layout));
}

Test(layout, owner_and_slot_find_the_tile_that_tile_at_gives)
{
	for_layouts(expect_inverse);
}

static void expect_even(const span_layout *layout)
{
	int64_t least = INT64_MAX, most = 0;

	for (int32_t r = 0; r < span_layout_ranks(layout); r++) {
		int64_t tiles = span_layout_rank_tiles(layout, r);

		least = tiles < least ? tiles : least;
		most = tiles > most ? tiles : most;
	}
	cr_assert_leq(most - least, 1);
}

Test(layout, shards_differ_by_one_tile_at_most)
{
	for_layouts(expect_even);
}

static void expect_runs(const span_layout *layout)
{
	int64_t next = 0;

	if (span_layout_family_of(layout) != SPAN_LAYOUT_CONTIGUOUS)
		return;
	for (int32_t r = 0; r < span_layout_ranks(layout); r++)
		for (int64_t slot = 0; slot < span_layout_rank_tiles(layout, r); slot++)
			cr_assert_eq(span_layout_tile_at(layout, r, slot), next++);
}

Test(layout, contiguous_ranks_hold_consecutive_tiles)
{
	for_layouts(expect_runs);
}

/* The usual zigzag: of 2P equal chunks, rank r holds chunks r and 2P-1-r. */
Test(layout, zigzag_is_the_usual_pair_of_chunks)
{
	for (int p = 0; p < COUNT(ranks_of); p++)
		for (int64_t chunk = 1; chunk <= 3; chunk++) {
			int32_t ranks = ranks_of[p];
			span_layout *layout = make(16 * chunk * 2 * ranks, 16,
			                           SPAN_LAYOUT_ZIGZAG, ranks);

			for (int32_t r = 0; r < ranks; r++) {
				cr_assert_eq(span_layout_rank_tiles(layout, r), 2 * chunk);
				for (int64_t i = 0; i < chunk; i++) {
					cr_assert_eq(span_layout_tile_at(layout, r, i),
					             r * chunk + i);
					cr_assert_eq(span_layout_tile_at(layout, r, chunk + i),
					             (2 * ranks - 1 - r) * chunk + i);
				}
			}
			span_layout_free(layout);
		}
}

Test(layout, the_tile_is_chosen_from_the_length_alone)
{
	static const struct {
		int64_t tokens;
		int32_t tile;
	} sizes[] = { { 1, 128 }, { 8191, 128 }, { 8192, 256 }, { 131071, 256 },
		      { 131072, 512 }, { (int64_t)1 << 33, 512 } };

	for (int i = 0; i < COUNT(sizes); i++)
		for (int32_t ranks = 1; ranks <= 64; ranks *= 8) {
			span_layout *layout = make(sizes[i].tokens, 0, SPAN_LAYOUT_ZIGZAG, ranks);

			cr_assert_eq(span_layout_tile(layout), sizes[i].tile);
			span_layout_free(layout);
		}
}

Test(layout, names_its_families)
{
	cr_assert_str_eq(span_layout_family_name(SPAN_LAYOUT_CONTIGUOUS), "contiguous");
	cr_assert_str_eq(span_layout_family_name(SPAN_LAYOUT_ZIGZAG), "zigzag");
	cr_assert_str_eq(span_layout_family_name((span_layout_family)2), "unknown");
}

/* ---- dealing out ---- */

static void expect_round_trip(const span_layout *layout)
{
	enum { OUTER = 3, ROW = 6 };
	int64_t tokens = span_layout_tokens(layout);
	size_t bytes = (size_t)(OUTER * tokens * ROW);
	char *whole = malloc(bytes), *back = calloc(bytes, 1), *shard = malloc(bytes);
	int64_t *index = malloc(sizeof(*index) * (size_t)tokens);

	for (size_t i = 0; i < bytes; i++)
		whole[i] = (char)(i * 37 >> 3);
	for (int32_t r = 0; r < span_layout_ranks(layout); r++) {
		int64_t s = span_layout_rank_tokens(layout, r);

		memset(shard, 0x5a, bytes);
		cr_assert_eq(span_layout_shard(layout, r, OUTER, ROW, whole, shard), SPAN_OK);
		cr_assert_eq(span_layout_indices(layout, r, index), SPAN_OK);
		for (int64_t o = 0; o < OUTER; o++)
			for (int64_t i = 0; i < s; i++)
				cr_assert_eq(memcmp(shard + (o * s + i) * ROW,
				                    whole + (o * tokens + index[i]) * ROW, ROW), 0);
		for (size_t i = (size_t)(OUTER * s * ROW); i < bytes; i++)
			cr_assert_eq(shard[i], 0x5a);
		cr_assert_eq(span_layout_unshard(layout, r, OUTER, ROW, shard, back), SPAN_OK);
	}
	cr_assert_eq(memcmp(whole, back, bytes), 0);
	free(index);
	free(shard);
	free(back);
	free(whole);
}

Test(layout, what_is_dealt_out_comes_together_again)
{
	for_layouts(expect_round_trip);
}

/* ---- the balance of causal work ---- */

static span_attention_statistics statistics_of(int64_t tokens, int32_t tile, int32_t ranks,
                                               span_layout_family family, span_mask_kind mask)
{
	span_attention_statistics statistics = { .size = sizeof(statistics) };
	span_attention_options options = {
		.size = sizeof(options), .batch = 1, .query_tokens = tokens, .key_tokens = tokens,
		.query_heads = 1, .kv_heads = 1, .head_size = 8, .dtype = SPAN_F32, .tile = tile,
		.layout = family, .mask = { .size = sizeof(span_mask), .kind = mask },
	};
	span_local *local = NULL;
	span_attention *op = NULL;

	cr_assert_eq(span_local_create(ranks, NULL, &local), SPAN_OK);
	options.transport = span_local_transport(local, ranks - 1);
	cr_assert_eq(span_attention_create(&options, &op), SPAN_OK);
	cr_assert_eq(span_attention_get_statistics(op, &statistics), SPAN_OK);
	span_attention_free(op);
	span_local_free(local);
	return statistics;
}

/* The same by counting what each token sees. */
static double imbalance_of(int64_t tokens, int32_t tile, int32_t ranks, span_layout_family family)
{
	span_layout *layout = make(tokens, tile, family, ranks);
	int64_t *index = malloc(sizeof(*index) * (size_t)tokens);
	double most = 0, sum = 0;

	for (int32_t r = 0; r < ranks; r++) {
		double pairs = 0;

		span_layout_indices(layout, r, index);
		for (int64_t i = 0; i < span_layout_rank_tokens(layout, r); i++)
			pairs += (double)(index[i] + 1);
		sum += pairs;
		most = pairs > most ? pairs : most;
	}
	free(index);
	span_layout_free(layout);
	return most * ranks / sum;
}

/* The same in whole tiles: query tile t meets t + 1 key tiles. */
static double tile_imbalance_of(const span_layout *layout)
{
	double most = 0, sum = 0;

	for (int32_t r = 0; r < span_layout_ranks(layout); r++) {
		double pairs = 0;

		for (int64_t slot = 0; slot < span_layout_rank_tiles(layout, r); slot++)
			pairs += (double)(span_layout_tile_at(layout, r, slot) + 1);
		sum += pairs;
		most = pairs > most ? pairs : most;
	}
	return most * span_layout_ranks(layout) / sum;
}

/* Cases worked out by hand: zigzag of 18 tiles gives rank 2 of 4 tiles 5 6 11 12 13; counted in
 * tiles that is 52 of 171. Of 20 tiles rank 2 of 8 has 3 16 17, of 16 tiles rank 1 of 16 has the
 * last one alone. The op counts tokens, in tiles of 16. */
Test(layout, tells_the_imbalance_of_causal_work)
{
	static const struct {
		int64_t tiles;
		int32_t ranks;
		double in_tiles;
		double in_tokens;
	} known[] = { { 18, 4, 52. * 4 / 171, 1.2218 }, { 20, 8, 39. * 8 / 210, 1.4991 },
		      { 16, 16, 16. * 16 / 136, 1.9339 }, { 16, 8, 1, 1 } };

	for (int i = 0; i < COUNT(known); i++) {
		span_layout *layout = make(16 * known[i].tiles, 16, SPAN_LAYOUT_ZIGZAG,
		                           known[i].ranks);

		cr_assert_float_eq(tile_imbalance_of(layout), known[i].in_tiles, 1e-12);
		cr_assert_float_eq(statistics_of(16 * known[i].tiles, 16, known[i].ranks,
		                                 SPAN_LAYOUT_ZIGZAG, SPAN_MASK_CAUSAL)
		                           .causal_imbalance,
		                   known[i].in_tokens, 5e-5);
		span_layout_free(layout);
	}
	for (int i = 0; i < 4 * 4 * 2; i++) {
		int64_t tokens = 100 + 333 * (i % 4);
		int32_t ranks = 1 + 5 * (i / 4 % 4);
		span_layout_family family = (span_layout_family)(i / 16);
		double told = statistics_of(tokens, 32, ranks, family, SPAN_MASK_CAUSAL)
		                      .causal_imbalance;

		cr_assert_float_eq(told, imbalance_of(tokens, 32, ranks, family), 1e-12);
	}
}

Test(layout, names_the_largest_tile_that_makes_causal_work_even)
{
	static const int64_t tokens_of[] = { 700, 4096 * 18, 4096 * 20, 1024 * 16 };

	for (int i = 0; i < COUNT(tokens_of); i++)
		for (int32_t ranks = 2; ranks <= 16; ranks *= 2)
			for (int family = 0; family < 2; family++) {
				span_layout_family f = (span_layout_family)family;
				span_attention_statistics s = statistics_of(
					tokens_of[i], 1024, ranks, f, SPAN_MASK_CAUSAL);
				int32_t best = 4096;

				while (best >= 16 &&
				       imbalance_of(tokens_of[i], best, ranks, f) > 1.1)
					best /= 2;
				if (s.causal_imbalance <= 1.1 || best < 16)
					best = 0;
				cr_assert_eq(s.balanced_tile, best, "S %lld P %d family %d",
				             (long long)tokens_of[i], ranks, family);
			}
}

/* ---- wrong arguments ---- */

static void expect_refused(span_status actual, span_status expected, const char *name)
{
	cr_assert_eq(actual, expected, "%s: %d, \"%s\"", name, (int)actual, log_captured());
	cr_assert(strstr(log_captured(), name), "\"%s\" does not name %s", log_captured(), name);
	cr_assert_eq(log_captured_count(), 1, "%s", name);
	log_capture();
}

Test(layout, refuses_what_no_layout_has)
{
	span_layout *layout = (span_layout *)&layout, *untouched = layout;
	static const int32_t tiles[] = { -1, 1, 8, 15, 17, 48, 4095, 8192, INT32_MIN };

	log_capture();
	expect_refused(span_layout_create(0, 16, 0, 1, &layout), SPAN_EINVAL, "tokens");
	expect_refused(span_layout_create(INT64_MIN, 0, 0, 1, &layout), SPAN_EINVAL, "tokens");
	expect_refused(span_layout_create(((int64_t)1 << 34) + 1, 16, 0, 1, &layout),
	               SPAN_EUNSUPPORTED, "tokens");
	expect_refused(span_layout_create(INT64_MAX, 16, 0, 1, &layout), SPAN_EUNSUPPORTED,
	               "tokens");
	for (int i = 0; i < COUNT(tiles); i++)
		expect_refused(span_layout_create(100, tiles[i], 0, 1, &layout), SPAN_EINVAL,
		               "tile");
	expect_refused(span_layout_create(100, 16, (span_layout_family)2, 1, &layout),
	               SPAN_EINVAL, "family");
	expect_refused(span_layout_create(100, 16, (span_layout_family)-1, 1, &layout),
	               SPAN_EINVAL, "family");
	expect_refused(span_layout_create(100, 16, 0, 0, &layout), SPAN_EINVAL, "ranks");
	expect_refused(span_layout_create(100, 16, 0, -3, &layout), SPAN_EINVAL, "ranks");
	expect_refused(span_layout_create(100, 16, 0, SPAN_ORDER_MAX_RANKS + 1, &layout),
	               SPAN_EINVAL, "ranks");
	expect_refused(span_layout_create(100, 16, 0, 1, NULL), SPAN_EINVAL, "layout is NULL");
	cr_assert_eq(layout, untouched);
	span_layout_free(NULL);
}

Test(layout, refuses_wrong_questions_and_leaves_outputs_alone)
{
	span_layout *layout = make(100, 16, SPAN_LAYOUT_ZIGZAG, 4);
	int64_t index[100] = { 42 };
	char whole[400] = { 1 }, shard[400] = { 2 };

	log_capture();
	expect_refused(span_layout_indices(NULL, 0, index), SPAN_EINVAL, "layout is NULL");
	expect_refused(span_layout_indices(layout, -1, index), SPAN_EINVAL, "rank");
	expect_refused(span_layout_indices(layout, 4, index), SPAN_EINVAL, "rank");
	expect_refused(span_layout_indices(layout, 0, NULL), SPAN_EINVAL, "indices");
	expect_refused(span_layout_shard(NULL, 0, 1, 4, whole, shard), SPAN_EINVAL, "layout");
	expect_refused(span_layout_shard(layout, 4, 1, 4, whole, shard), SPAN_EINVAL, "rank");
	expect_refused(span_layout_shard(layout, 0, 0, 4, whole, shard), SPAN_EINVAL, "outer");
	expect_refused(span_layout_shard(layout, 0, 1, 0, whole, shard), SPAN_EINVAL, "row_bytes");
	expect_refused(span_layout_shard(layout, 0, INT64_MAX, 4, whole, shard), SPAN_EINVAL,
	               "outer is");
	expect_refused(span_layout_shard(layout, 0, 1, SIZE_MAX / 200 + 1, whole, shard),
	               SPAN_EINVAL, "row_bytes");
	expect_refused(span_layout_shard(layout, 0, 1, 4, NULL, shard), SPAN_EINVAL,
	               "whole is NULL");
	expect_refused(span_layout_shard(layout, 0, 1, 4, whole, NULL), SPAN_EINVAL,
	               "shard is NULL");
	expect_refused(span_layout_unshard(NULL, 0, 1, 4, shard, whole), SPAN_EINVAL, "layout");
	expect_refused(span_layout_unshard(layout, -1, 1, 4, shard, whole), SPAN_EINVAL, "rank");
	expect_refused(span_layout_unshard(layout, 0, -1, 4, shard, whole), SPAN_EINVAL, "outer");
	expect_refused(span_layout_unshard(layout, 0, 1, 0, shard, whole), SPAN_EINVAL,
	               "row_bytes");
	expect_refused(span_layout_unshard(layout, 0, 1, 4, NULL, whole), SPAN_EINVAL,
	               "shard is NULL");
	expect_refused(span_layout_unshard(layout, 0, 1, 4, shard, NULL), SPAN_EINVAL,
	               "whole is NULL");
	cr_assert_eq(index[0], 42);
	cr_assert_eq(whole[0], 1);
	cr_assert_eq(shard[0], 2);
	span_layout_free(layout);
}

/* A rank without a tile has no arrays to give. */
Test(layout, a_rank_without_tiles_needs_no_arrays)
{
	span_layout *layout = make(16, 16, SPAN_LAYOUT_CONTIGUOUS, 4);

	log_capture();
	cr_assert_eq(span_layout_rank_tokens(layout, 3), 0);
	cr_assert_eq(span_layout_indices(layout, 3, NULL), SPAN_OK);
	cr_assert_eq(span_layout_shard(layout, 3, 1, 4, NULL, NULL), SPAN_OK);
	cr_assert_eq(span_layout_unshard(layout, 3, 1, 4, NULL, NULL), SPAN_OK);
	cr_assert_eq(log_captured_count(), 0);
	span_layout_free(layout);
}
