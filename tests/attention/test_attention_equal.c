/* The property everything leans on: any number of ranks, order, grouping, thread count,
 * instruction set and tensor layout gives the bits of one rank. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "tests/attention/attention_case.h"
#include "tests/attention/covering.h"
#include "tests/attention/messages.h"
#include "tests/topo/order_cases.h"

static const int32_t ranks_of[] = { 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 32, 64 };
static const int32_t heads_of[][2] = { { 1, 1 }, { 4, 1 }, { 4, 2 }, { 3, 3 }, { 6, 2 } };
static const int32_t head_size_of[] = { 8, 24, 64, 80, 128 };
static const int32_t tile_of[] = { 16, 32, 64, 512 };
/* Short last tiles, one tile, one token, fewer tiles than ranks, tiles a multiple of 2P. */
static const int64_t tokens_of[] = { 1, 16, 71, 131, 208, 300 };
/* Subnormal numbers are slow; test_attention_mode.c has them. Huge ones leave weights of 0 and 1,
 * which hide much. */
static const case_fill fill_of[] = { FILL_PLAIN, FILL_PLAIN, FILL_PLAIN, FILL_HUGE, FILL_SPECIAL };

/* Parameters of a case, each with how many values it has. */
enum { RANKS, ORDER, GROUPING, WAY_BACK, MASK, HEADS, DTYPE, THREADS, LAYOUT, ISA, HEAD_SIZE,
       TILE, TOKENS, BATCH, STRIDES, TRANSPORT, REPEATS, FILL, PARAMETERS };

#define COUNT(array) (int)(sizeof(array) / sizeof(*(array)))

static const int values[PARAMETERS] = {
	[RANKS] = COUNT(ranks_of), [ORDER] = CASE_ORDERS, [GROUPING] = GROUP_CASES,
	[WAY_BACK] = 3, [MASK] = 2, [HEADS] = COUNT(heads_of), [DTYPE] = 3, [THREADS] = 3,
	[LAYOUT] = 2, [ISA] = 3, [HEAD_SIZE] = COUNT(head_size_of), [TILE] = COUNT(tile_of),
	[TOKENS] = COUNT(tokens_of), [BATCH] = 2, [STRIDES] = CASE_STRIDES,
	[TRANSPORT] = CASE_TRANSPORTS, [REPEATS] = 2, [FILL] = COUNT(fill_of),
};

static attention_case case_of(const int *x, uint64_t seed)
{
	return (attention_case){
		.batch = 1 + x[BATCH], .tokens = tokens_of[x[TOKENS]], .tile = tile_of[x[TILE]],
		.query_heads = heads_of[x[HEADS]][0], .kv_heads = heads_of[x[HEADS]][1],
		.head_size = head_size_of[x[HEAD_SIZE]], .dtype = (span_dtype)(SPAN_F32 + x[DTYPE]),
		.mask = (span_mask_kind)x[MASK], .layout = (span_layout_family)x[LAYOUT],
		.fill = fill_of[x[FILL]], .ranks = ranks_of[x[RANKS]], .order = x[ORDER],
		.grouping = x[GROUPING], .way_back = (span_return_kind)x[WAY_BACK],
		.threads = 1 + x[THREADS], .isa = x[ISA], .strides = (case_strides)x[STRIDES],
		.transport = (case_transport)x[TRANSPORT], .repeats = 1 + x[REPEATS], .seed = seed,
	};
}

/* The same with a tile or two on every rank, or just not: as many tiles as decide who meets whom,
 * small ones, and less of all that multiplies the work. */
static attention_case spread_case_of(const int *x, uint64_t seed)
{
	attention_case c = case_of(x, seed);
	int64_t ranks = c.ranks;
	const int64_t tiles_of[] = { ranks > 1 ? ranks - 1 : 1, ranks, ranks + 1, 2 * ranks,
		                     2 * ranks + 1, 3 * ranks };

	c.tile = 16;
	c.tokens = 16 * tiles_of[x[TOKENS]] - (int64_t)(seed % 16);
	c.head_size = 8 * (1 + x[HEAD_SIZE] % 3);
	c.fill = c.fill == FILL_HUGE ? FILL_PLAIN : c.fill;
	if (ranks > 8) {
		c.batch = 1;
		c.query_heads = 1 + x[HEADS] % 2;
		c.kv_heads = 1;
	}
	return c;
}

/* Whether more than half of an array of results are numbers other than 0. */
static int tells(span_dtype dtype, const void *data, size_t bytes)
{
	size_t n = bytes / span_dtype_bytes(dtype), numbers = 0;

	for (size_t i = 0; i < n; i++) {
		float x;

		span_convert_to_f32(dtype, (const char *)data + i * span_dtype_bytes(dtype), &x, 1);
		numbers += isfinite(x) && x != 0;
	}
	return 2 * numbers > n;
}

static int every_result_tells(const attention_case *c)
{
	attention_case one = case_on_one_rank(c);
	case_inputs inputs = case_make_inputs(c);
	case_results results;
	char fault[256];
	int all;

	cr_assert_eq(case_run(&one, &inputs, &results, fault), SPAN_OK);
	all = tells(SPAN_F32, results.lse, results.lse_bytes);
	for (int i = 0; i < CASE_RESULTS; i++)
		all = all && tells(c->dtype, results.tensor[i], results.bytes[i]);
	case_free_results(&results);
	case_free_inputs(&inputs);
	return all;
}

/* Ranks of a case that hold a tile. */
static int32_t holders(const attention_case *c)
{
	span_layout *layout;
	int32_t n = 0;

	cr_assert_eq(span_layout_create(c->tokens, c->tile, c->layout, c->ranks, &layout), SPAN_OK);
	for (int32_t r = 0; r < c->ranks; r++)
		n += span_layout_rank_tiles(layout, r) > 0;
	span_layout_free(layout);
	return n;
}

static void expect_bits_of_one_rank(const attention_case *c)
{
	attention_case one = case_on_one_rank(c);
	case_inputs inputs = case_make_inputs(c);
	case_results expected, actual;
	char text[512], fault[256];
	const char *differs;

	messages_collect();
	cr_assert_eq(case_run(&one, &inputs, &expected, fault), SPAN_OK, "one rank: %s",
	             case_describe(&one, text));
	cr_assert_str_empty(fault, "one rank: %s: %s", case_describe(&one, text), fault);
	cr_assert_eq(case_run(c, &inputs, &actual, fault), SPAN_OK, "%s: %s",
	             case_describe(c, text), messages_first());
	cr_assert_str_empty(fault, "%s: %s", case_describe(c, text), fault);
	differs = case_results_differ(&expected, &actual);
	cr_assert_null(differs, "%s: %s differs", case_describe(c, text), differs);
	cr_assert_eq(messages_with(""), 0, "%s: %s", case_describe(c, text), messages_first());
	case_free_results(&expected);
	case_free_results(&actual);
	case_free_inputs(&inputs);
}

/* Slices of the work, which Criterion runs at the same time. */
enum { SLICES = 4 };

/* ---- all pairs of values ---- */

static int rows[COVERING_ROWS][COVERING_PARAMETERS];

Test(covering, every_pair_of_values_has_a_row)
{
	int n = covering_array(PARAMETERS, values, rows);

	cr_assert_eq(covering_missing(PARAMETERS, values, n, rows), 0);
	cr_assert_geq(n, 12 * 7, "the two largest parameters alone need this many");
	cr_assert_leq(n, 200, "%d rows", n);
	cr_assert_gt(covering_missing(PARAMETERS, values, n - 1, rows), 0);
}

/* Equal bits say nothing where all are 0 or NaN, or where one rank does all the work. */
Test(covering, enough_of_the_rows_can_tell)
{
	int n = covering_array(PARAMETERS, values, rows);
	int small = 0, full[COUNT(ranks_of)] = { 0 };

	for (int i = 0; i < n; i++) {
		attention_case c = case_of(rows[i], (uint64_t)i);
		attention_case spread = spread_case_of(rows[i], (uint64_t)i);

		small += holders(&c) > 1 && every_result_tells(&c);
		full[rows[i][RANKS]] += holders(&spread) == spread.ranks &&
		                        every_result_tells(&spread);
	}
	cr_expect_geq(3 * small, n, "%d of %d rows", small, n);
	for (int i = 0; i < COUNT(ranks_of); i++)
		cr_expect_geq(full[i], 5, "%d rows with %d ranks that hold tiles", full[i],
		              ranks_of[i]);
}

static struct criterion_test_params slices(void)
{
	static int slice[SLICES] = { 0, 1, 2, 3 };

	return cr_make_param_array(int, slice, SLICES);
}

ParameterizedTestParameters(attention, any_ranks_give_the_bits_of_one_rank)
{
	return slices();
}

ParameterizedTest(int *slice, attention, any_ranks_give_the_bits_of_one_rank)
{
	int n = covering_array(PARAMETERS, values, rows);

	for (int i = *slice; i < n; i += SLICES) {
		attention_case c = case_of(rows[i], (uint64_t)i);

		expect_bits_of_one_rank(&c);
	}
}

ParameterizedTestParameters(attention, ranks_that_all_hold_tiles_give_the_bits_of_one_rank)
{
	return slices();
}

ParameterizedTest(int *slice, attention, ranks_that_all_hold_tiles_give_the_bits_of_one_rank)
{
	int n = covering_array(PARAMETERS, values, rows);

	for (int i = *slice; i < n; i += SLICES) {
		attention_case c = spread_case_of(rows[i], (uint64_t)i);

		expect_bits_of_one_rank(&c);
	}
}

/* ---- every order on every grouping ---- */

ParameterizedTestParameters(attention, every_order_gives_the_bits_of_one_rank)
{
	return slices();
}

ParameterizedTest(int *slice, attention, every_order_gives_the_bits_of_one_rank)
{
	attention_case c = { .batch = 1, .tile = 16, .query_heads = 2,
		             .kv_heads = 1, .head_size = 8, .dtype = SPAN_F32, .threads = 1,
		             .isa = 2, .repeats = 1 };

	c.mask = (span_mask_kind)(*slice % 2);
	c.layout = (span_layout_family)(*slice / 2);
	for (int i = 0; i < COUNT(ranks_of); i++) {
		c.ranks = ranks_of[i];
		for (c.order = 0; c.order < CASE_ORDERS; c.order++)
			for (c.grouping = 0; c.grouping < GROUP_CASES; c.grouping++) {
				c.way_back = (span_return_kind)(c.seed % 3);
				c.tokens = c.seed / 2 % 2 ? 213 : 16 * c.ranks + 5;
				if (c.seed++ % 2 == (uint64_t)*slice % 2)
					expect_bits_of_one_rank(&c);
			}
	}
}

/* Tiles of more rows than a task of the kernels has, the last one short. */
Test(attention, large_tiles_give_the_bits_of_one_rank)
{
	attention_case c = { .batch = 1, .tokens = 1300, .tile = 512, .query_heads = 2,
		             .kv_heads = 1, .head_size = 8, .dtype = SPAN_F32,
		             .mask = SPAN_MASK_CAUSAL, .layout = SPAN_LAYOUT_ZIGZAG, .ranks = 2,
		             .threads = 2, .isa = 1, .repeats = 1 };

	expect_bits_of_one_rank(&c);
}

/* ---- all combinations ---- */

/* Every combination of the first nine parameters; of the others, which decide what a kernel
 * sees and not who talks to whom, each combination draws its values at random. What takes most of
 * the time where it is drawn is drawn seldom: the specification's kernels, index 0, which `make
 * test` has in a third of its cases, and tiles on all ranks, as many as 64. */
enum { COMBINED = LAYOUT + 1, SELDOM = 8, SPREAD = 8 };

static void draw_the_others(case_random *random, int *x)
{
	static const int small[] = { 0, 1, 2, 3 }; /* of tokens_of */

	for (int p = COMBINED; p < PARAMETERS; p++)
		x[p] = case_between(random, 0, values[p] - 1);
	x[TOKENS] = small[case_between(random, 0, COUNT(small) - 1)];
	if (case_between(random, 0, SELDOM - 1) > 0)
		x[ISA] = case_between(random, 1, values[ISA] - 1);
}

static int advance(int *x)
{
	int p = 0;

	while (p < COMBINED && ++x[p] == values[p])
		x[p++] = 0;
	return p < COMBINED;
}

ParameterizedTestParameters(attention, all_combinations_give_the_bits_of_one_rank)
{
	return slices();
}

ParameterizedTest(int *slice, attention, all_combinations_give_the_bits_of_one_rank)
{
	case_random random = { (uint64_t)*slice };
	int x[PARAMETERS] = { 0 };
	int64_t all = 1, number = 0, done = 0;

	if (!getenv("SPAN_TEST_FULL") || !*getenv("SPAN_TEST_FULL"))
		return;
	for (int p = 0; p < COMBINED; p++)
		all *= values[p];
	do {
		attention_case c;

		/* Few ranks are quick and many are slow: a slice has all numbers of ranks. */
		if (number++ / values[RANKS] % SLICES != *slice)
			continue;
		draw_the_others(&random, x);
		if (case_between(&random, 0, SPREAD - 1) == 0) {
			x[TOKENS] = case_between(&random, 0, COUNT(tokens_of) - 1);
			c = spread_case_of(x, (uint64_t)number);
		} else {
			c = case_of(x, (uint64_t)number);
		}
		expect_bits_of_one_rank(&c);
		if (++done % 1000 == 0)
			fprintf(stderr, "slice %d of %d: %lld of %lld combinations\n", *slice + 1,
			        (int)SLICES, (long long)done, (long long)all / SLICES);
	} while (advance(x));
	cr_assert_eq(number, all);
	cr_assert_eq(done, all / SLICES);
}
