/* Sums of weight gradients against a recursion of the tree, for every number of ranks. */
#include <criterion/criterion.h>
#include <fenv.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "attention/span_gradient.h"
#include "tests/attention/caller_mode.h"
#include "tests/attention/messages.h"
#include "tests/double/transport_async.h"

enum { TILE = 16 };

/* A contribution of a tile: sums of these depend on their order in every element. */
static float contribution(int64_t tile, size_t i)
{
	uint64_t x = ((uint64_t)tile * 1000003 + i + 1) * 0x9e3779b97f4a7c15;

	x = (x ^ x >> 29) * 0xbf58476d1ce4e5b9;
	x ^= x >> 32;
	return ldexpf((float)(int32_t)x, (int)(x >> 40 & 15) - 38);
}

static int64_t tokens_of(int64_t tile)
{
	return 5 + tile % 7;
}

/* The tile at a position, as span_layout.h describes it. */
static int64_t tile_at(span_layout_family family, int64_t n, int64_t position)
{
	if (family == SPAN_LAYOUT_CONTIGUOUS)
		return position;
	return position % 2 ? n - 1 - position / 2 : position / 2;
}

/* The sum over positions [a, b), as attention/README.md defines it. */
static float tree_sum(span_layout_family family, int64_t n, int64_t a, int64_t b, size_t i)
{
	int64_t middle = a + (b - a + 1) / 2;

	if (b - a == 1)
		return contribution(tile_at(family, n, a), i);
	return tree_sum(family, n, a, middle, i) + tree_sum(family, n, middle, b, i);
}

/* In which order a rank adds its slots. */
enum { AS_POSITIONS, AS_SLOTS, BACKWARDS, SCATTERED };

struct problem {
	span_layout_family family;
	int64_t tiles;
	int32_t ranks;
	size_t n;
	int order;
	const float *expected; /* [n] */
	const span_layout *layout;
	float *sums;           /* [ranks][n] */
	int64_t *tokens;       /* [ranks] */
	int grew;              /* some rank needed more memory than it took at create */
};

static int64_t slot_in_order(const struct problem *problem, const span_gradient *gradient,
                             int64_t count, int64_t i)
{
	switch (problem->order) {
	case AS_POSITIONS:
		return span_gradient_order(gradient, i);
	case AS_SLOTS:
		return i;
	case BACKWARDS:
		return count - 1 - i;
	default:
		return i % 2 ? count - 1 - i / 2 : i / 2;
	}
}

static span_status add_all(const struct problem *problem, span_gradient *gradient, int32_t rank)
{
	int64_t count = span_layout_rank_tiles(problem->layout, rank), i;
	span_status status = SPAN_OK;
	size_t j;

	for (i = 0; i < count && !status; i++) {
		int64_t slot = slot_in_order(problem, gradient, count, i);
		int64_t tile = span_layout_tile_at(problem->layout, rank, slot);
		float *value = span_gradient_slot(gradient, slot);

		for (j = 0; j < problem->n; j++)
			value[j] = contribution(tile, j);
		status = span_gradient_add(gradient, slot, tokens_of(tile));
	}
	return status;
}

/* Sum twice, so that the second has what the first left behind. */
static span_status sum_on_rank(span_transport *transport, void *argument)
{
	struct problem *problem = argument;
	int32_t rank = transport->rank;
	span_gradient *gradient;
	span_status status;
	size_t bytes;
	int round;

	status = span_gradient_create(problem->layout, transport, problem->n, 60, &gradient);
	if (status)
		return status;
	bytes = span_gradient_bytes(gradient);
	for (round = 0; round < 2 && !status; round++) {
		status = add_all(problem, gradient, rank);
		if (!status)
			status = span_gradient_sum(gradient, problem->sums + rank * problem->n,
			                           &problem->tokens[rank]);
	}
	if (span_gradient_bytes(gradient) != bytes)
		__atomic_store_n(&problem->grew, 1, __ATOMIC_RELAXED);
	span_gradient_free(gradient);
	return status;
}

static void check_sums(const struct problem *problem)
{
	int64_t tokens = 0, i;
	int32_t rank;

	for (i = 0; i < problem->tiles; i++)
		tokens += tokens_of(i);
	for (rank = 0; rank < problem->ranks; rank++) {
		cr_assert_eq(problem->tokens[rank], tokens);
		cr_assert_eq(memcmp(problem->sums + rank * problem->n, problem->expected,
		                    problem->n * sizeof(float)), 0,
		             "family %d, %lld tiles, %d ranks, n %zu, order %d: rank %d differs",
		             problem->family, (long long)problem->tiles, problem->ranks, problem->n,
		             problem->order, rank);
	}
}

static void run_problem(struct problem problem, int asynchronous)
{
	span_layout *layout;
	span_local *local;
	span_async *async;

	cr_assert_eq(span_layout_create(problem.tiles * TILE - 3, TILE, problem.family,
	                                problem.ranks, &layout), SPAN_OK);
	problem.layout = layout;
	problem.sums = calloc((size_t)problem.ranks * problem.n, sizeof(float));
	problem.tokens = calloc((size_t)problem.ranks, sizeof(int64_t));
	if (asynchronous) {
		span_async_create(&(span_async_options){ .ranks = problem.ranks, .seed = 3 },
		                  &async);
		cr_assert_eq(span_async_run(async, sum_on_rank, &problem), SPAN_OK);
		cr_assert_eq(span_async_outstanding(async), 0);
		span_async_free(async);
	} else {
		cr_assert_eq(span_local_create(problem.ranks, NULL, &local), SPAN_OK);
		cr_assert_eq(span_local_run(local, sum_on_rank, &problem), SPAN_OK);
		span_local_free(local);
	}
	check_sums(&problem);
	if (problem.order == AS_POSITIONS)
		cr_assert_eq(problem.grew, 0);
	free(problem.tokens);
	free(problem.sums);
	span_layout_free(layout);
}

static const int32_t rank_counts[] = { 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 32, 64 };
static const int64_t tile_counts[] = { 1, 2, 3, 7, 16, 37, 100 };

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Every number of ranks, for one family and one number of tiles. */
static void run_ranks(span_layout_family family, int64_t tiles, size_t n, int order)
{
	struct problem problem = { .family = family, .tiles = tiles, .n = n, .order = order };
	float *expected = malloc(n * sizeof *expected);
	size_t i;

	for (i = 0; i < n; i++)
		expected[i] = tree_sum(family, tiles, 0, tiles, i);
	problem.expected = expected;
	for (i = 0; i < COUNT(rank_counts); i++) {
		problem.ranks = rank_counts[i];
		run_problem(problem, 0);
	}
	free(expected);
}

Test(gradient, the_recursion_depends_on_its_order)
{
	size_t i, differ = 0;

	for (i = 0; i < 100; i++)
		differ += tree_sum(SPAN_LAYOUT_CONTIGUOUS, 37, 0, 37, i) !=
		          tree_sum(SPAN_LAYOUT_ZIGZAG, 37, 0, 37, i);
	cr_assert_gt(differ, 50);
}

Test(gradient, every_number_of_ranks_gives_the_bits_of_the_tree_contiguous)
{
	size_t i;

	for (i = 0; i < COUNT(tile_counts); i++)
		run_ranks(SPAN_LAYOUT_CONTIGUOUS, tile_counts[i], 19, AS_POSITIONS);
}

Test(gradient, every_number_of_ranks_gives_the_bits_of_the_tree_zigzag)
{
	size_t i;

	for (i = 0; i < COUNT(tile_counts); i++)
		run_ranks(SPAN_LAYOUT_ZIGZAG, tile_counts[i], 19, AS_POSITIONS);
}

Test(gradient, slots_may_come_in_any_order)
{
	int order;

	for (order = AS_SLOTS; order <= SCATTERED; order++) {
		run_ranks(SPAN_LAYOUT_CONTIGUOUS, 37, 6, order);
		run_ranks(SPAN_LAYOUT_ZIGZAG, 37, 6, order);
	}
}

Test(gradient, vectors_of_any_length)
{
	const size_t lengths[] = { 1, 2, 3, 15, 16, 17, 1000 };
	size_t i;

	for (i = 0; i < COUNT(lengths); i++)
		run_ranks(SPAN_LAYOUT_ZIGZAG, 7, lengths[i], AS_POSITIONS);
}

Test(gradient, a_late_and_hostile_transport_changes_nothing)
{
	const int32_t ranks[] = { 2, 3, 5, 8, 12 };
	struct problem problem = { .family = SPAN_LAYOUT_ZIGZAG, .tiles = 23, .n = 33 };
	float expected[33];
	size_t i;

	for (i = 0; i < problem.n; i++)
		expected[i] = tree_sum(problem.family, problem.tiles, 0, problem.tiles, i);
	problem.expected = expected;
	for (i = 0; i < COUNT(ranks); i++) {
		problem.ranks = ranks[i];
		run_problem(problem, 1);
	}
}

/* One rank, without a transport. */

static span_layout *layout_of(int64_t tiles, int32_t ranks)
{
	span_layout *layout = NULL;

	cr_assert_eq(span_layout_create(tiles * TILE, TILE, SPAN_LAYOUT_CONTIGUOUS, ranks,
	                                &layout), SPAN_OK);
	return layout;
}

static span_gradient *gradient_of(const span_layout *layout, size_t n)
{
	span_gradient *gradient = NULL;

	cr_assert_eq(span_gradient_create(layout, NULL, n, 0, &gradient), SPAN_OK);
	return gradient;
}

static void add_value(span_gradient *gradient, int64_t slot, float value)
{
	float *to = span_gradient_slot(gradient, slot);

	cr_assert_not_null(to);
	*to = value;
	cr_assert_eq(span_gradient_add(gradient, slot, 1), SPAN_OK);
}

Test(gradient, begin_drops_what_was_added)
{
	span_layout *layout = layout_of(3, 1);
	span_gradient *gradient = gradient_of(layout, 1);
	int64_t tokens;
	float sum;
	int i;

	add_value(gradient, 0, 1000);
	add_value(gradient, 2, 1000);
	cr_assert_not_null(span_gradient_slot(gradient, 1));
	span_gradient_begin(gradient);
	for (i = 0; i < 3; i++)
		add_value(gradient, i, (float)(1 << i));
	cr_assert_eq(span_gradient_sum(gradient, &sum, &tokens), SPAN_OK);
	cr_assert_eq(sum, 7);
	cr_assert_eq(tokens, 3);
	span_gradient_free(gradient);
	span_layout_free(layout);
}

static uint32_t bits_of(float x)
{
	uint32_t bits;

	memcpy(&bits, &x, sizeof bits);
	return bits;
}

static float float_of(uint32_t bits)
{
	float x;

	memcpy(&x, &bits, sizeof x);
	return x;
}

Test(gradient, every_nan_becomes_the_same_and_zeros_keep_their_sign)
{
	const uint32_t given[3][2] = { { 0xffc12345, 0x7fc00007 }, { 0x7f800000, 0xff800000 },
	                               { 0x80000000, 0x80000000 } };
	const uint32_t expected[3] = { 0x7fc00000, 0x7fc00000, 0x80000000 };
	span_layout *layout = layout_of(2, 1);
	span_gradient *gradient = gradient_of(layout, 1);
	int64_t tokens;
	float sum;
	int i;

	for (i = 0; i < 3; i++) {
		add_value(gradient, 0, float_of(given[i][0]));
		add_value(gradient, 1, float_of(given[i][1]));
		cr_assert_eq(span_gradient_sum(gradient, &sum, &tokens), SPAN_OK);
		cr_assert_eq(bits_of(sum), expected[i]);
	}
	span_gradient_free(gradient);
	span_layout_free(layout);
}

/* The caller's floating-point mode. */

enum { MODE_TILES = 4 };

/* A sum in a mode of the caller, and what came of it on each rank. */
struct in_mode {
	const caller_mode *mode;
	const span_layout *layout;
	const float *value;  /* [MODE_TILES] */
	const char *lost[2]; /* the function after which the caller was in another mode */
	float sum[2];
};

static span_status sum_in_mode(span_transport *transport, void *argument)
{
	struct in_mode *run = argument;
	int32_t rank = transport->rank;
	int64_t tiles = span_layout_rank_tiles(run->layout, rank), tokens, i;
	span_gradient *gradient;
	span_status status;
	fenv_t before;

	status = span_gradient_create(run->layout, transport, 1, 60, &gradient);
	if (status)
		return status;
	fegetenv(&before);
	run->mode->set();
	for (i = 0; i < tiles && !status; i++) {
		*span_gradient_slot(gradient, i) = run->value[span_layout_tile_at(run->layout, rank,
		                                                                  i)];
		status = span_gradient_add(gradient, i, 1);
		if (!run->mode->is_set())
			run->lost[rank] = "span_gradient_add";
	}
	if (!status)
		status = span_gradient_sum(gradient, &run->sum[rank], &tokens);
	if (!run->lost[rank] && !run->mode->is_set())
		run->lost[rank] = "span_gradient_sum";
	fesetenv(&before);
	span_gradient_free(gradient);
	return status;
}

/* Two ranks of two tiles: 0 and 1 meet in span_gradient_add, 0 and 2 in span_gradient_sum. */
static void expect_sum_in_mode(const caller_mode *mode, const float value[MODE_TILES], float sum)
{
	span_layout *layout = layout_of(MODE_TILES, 2);
	struct in_mode run = { .mode = mode, .layout = layout, .value = value };
	span_local *local;
	int rank;

	cr_assert_eq(span_local_create(2, NULL, &local), SPAN_OK);
	cr_assert_eq(span_local_run(local, sum_in_mode, &run), SPAN_OK);
	for (rank = 0; rank < 2; rank++) {
		cr_assert_null(run.lost[rank], "%s is not the caller's mode any more after %s",
		               mode->name, run.lost[rank]);
		cr_assert_eq(bits_of(run.sum[rank]), bits_of(sum), "%s: %a, not %a", mode->name,
		             (double)run.sum[rank], (double)sum);
	}
	span_local_free(local);
	span_layout_free(layout);
}

Test(gradient, rounding_of_the_caller_changes_no_bit_and_is_kept)
{
	const float up[2][MODE_TILES] = { { 1, 0x1p-30f, 0, 0 }, { 1, 0, 0x1p-30f, 0 } };
	const float most_of_an_ulp = 0x1.8p-24f;
	const float zero[2][MODE_TILES] = { { 1, most_of_an_ulp, 0, 0 },
		                            { 1, 0, most_of_an_ulp, 0 } };
	int i;

	for (i = 0; i < 2; i++) {
		expect_sum_in_mode(&caller_round_up, up[i], 1);
		expect_sum_in_mode(&caller_round_to_zero, zero[i], 1 + 0x1p-23f);
	}
}

#if defined(__x86_64__)
Test(gradient, flush_to_zero_of_the_caller_changes_no_bit_and_is_kept)
{
	const float value[2][MODE_TILES] = { { 0x1p-130f, 0x1p-140f, 0, 0 },
		                             { 0x1p-126f, 0, -0x1.8p-126f, 0 } };

	expect_sum_in_mode(&caller_flush, value[0], 0x1p-130f + 0x1p-140f);
	expect_sum_in_mode(&caller_flush, value[1], -0x1p-127f);
}
#endif

/* Wrong arguments. */

#define EXPECT_SAID(call, part)                                          \
	do {                                                             \
		messages_collect();                                      \
		cr_assert_eq(call, SPAN_EINVAL, "%s", part);             \
		cr_assert_eq(messages_with(part), 1, "about %s", part);  \
		cr_assert_eq(messages_with(""), 1);                      \
	} while (0)

Test(gradient, create_names_what_is_wrong)
{
	span_layout *layout = layout_of(4, 2), *alone = layout_of(4, 1);
	span_gradient *gradient = NULL;
	span_local *local;
	span_transport *transport, broken;

	cr_assert_eq(span_local_create(2, NULL, &local), SPAN_OK);
	transport = span_local_transport(local, 0);
	broken = *transport;
	broken.wait = NULL;
	EXPECT_SAID(span_gradient_create(NULL, transport, 1, 0, &gradient), "layout is NULL");
	EXPECT_SAID(span_gradient_create(layout, transport, 1, 0, NULL), "gradient is NULL");
	EXPECT_SAID(span_gradient_create(layout, &broken, 1, 0, &gradient), "wait");
	EXPECT_SAID(span_gradient_create(alone, transport, 1, 0, &gradient),
	            "transport has 2 ranks, the layout 1");
	EXPECT_SAID(span_gradient_create(layout, NULL, 1, 0, &gradient),
	            "transport has 1 ranks, the layout 2");
	EXPECT_SAID(span_gradient_create(layout, transport, 0, 0, &gradient), "n is 0");
	EXPECT_SAID(span_gradient_create(layout, transport, SIZE_MAX / 4, 0, &gradient), "n is");
	EXPECT_SAID(span_gradient_create(layout, transport, 1, -1, &gradient), "timeout is -1");
	EXPECT_SAID(span_gradient_create(layout, transport, 1, NAN, &gradient), "timeout is nan");
	cr_assert_null(gradient);
	span_gradient_free(NULL);
	span_local_free(local);
	span_layout_free(alone);
	span_layout_free(layout);
}

Test(gradient, add_and_sum_name_what_is_wrong)
{
	span_layout *layout = layout_of(3, 1);
	span_gradient *gradient = gradient_of(layout, 1);
	int64_t tokens = -5;
	float sum = 77;

	EXPECT_SAID(span_gradient_add(NULL, 0, 0), "gradient is NULL");
	EXPECT_SAID(span_gradient_add(gradient, 0, 1), "slot is 0; span_gradient_slot was not");
	cr_assert_not_null(span_gradient_slot(gradient, 1));
	EXPECT_SAID(span_gradient_add(gradient, -1, 1), "slot is -1");
	EXPECT_SAID(span_gradient_add(gradient, 3, 1), "slot is 3; rank 0 has 3");
	EXPECT_SAID(span_gradient_add(gradient, 0, 1), "slot is 0; span_gradient_slot was not");
	EXPECT_SAID(span_gradient_add(gradient, 1, -1), "tokens is -1");
	EXPECT_SAID(span_gradient_add(gradient, 1, ((int64_t)1 << 32) + 1), "tokens is 4294967297");
	add_value(gradient, 1, 1);
	EXPECT_SAID(span_gradient_add(gradient, 1, 1), "slot 1 of rank 0 was already added");
	add_value(gradient, 2, 1);
	messages_collect();
	cr_assert_null(span_gradient_slot(NULL, 0));
	span_gradient_begin(NULL);
	cr_assert_eq(span_gradient_bytes(NULL), 0);
	cr_assert_eq(span_gradient_order(NULL, 0), -1);
	cr_assert_eq(span_gradient_order(gradient, -1), -1);
	cr_assert_eq(span_gradient_order(gradient, 3), -1);
	cr_assert_eq(span_gradient_order(gradient, 2), 2);
	cr_assert_null(span_gradient_slot(gradient, 3));
	cr_assert_null(span_gradient_slot(gradient, 1));
	cr_assert_eq(messages_with(""), 3);
	EXPECT_SAID(span_gradient_sum(NULL, &sum, &tokens), "gradient is NULL");
	EXPECT_SAID(span_gradient_sum(gradient, NULL, &tokens), "sum is NULL");
	EXPECT_SAID(span_gradient_sum(gradient, &sum, NULL), "tokens is NULL");
	EXPECT_SAID(span_gradient_sum(gradient, &sum, &tokens), "slot 0 of rank 0 was not added");
	cr_assert_eq(sum, 77);
	cr_assert_eq(tokens, -5);
	add_value(gradient, 0, 1);
	cr_assert_eq(span_gradient_sum(gradient, &sum, &tokens), SPAN_OK);
	cr_assert_eq(sum, 3);
	span_gradient_free(gradient);
	span_layout_free(layout);
}

/* Faults on the way. */

static span_status sum_short(span_transport *transport, void *argument)
{
	const struct problem *problem = argument;
	span_gradient *gradient;
	span_status status;
	int64_t tokens;
	float *sum = malloc(problem->n * sizeof *sum);
	int round;

	status = span_gradient_create(problem->layout, transport, problem->n, 0.5, &gradient);
	for (round = 0; round < 2 && !status; round++) {
		status = add_all(problem, gradient, transport->rank);
		if (!status)
			status = span_gradient_sum(gradient, sum, &tokens);
	}
	span_gradient_free(gradient);
	free(sum);
	return status;
}

/* One run with a fault; whether it happened, and then was noticed as it must be. */
static int is_hit(const span_async_options *options, struct problem *problem,
                  span_status expected, const char *part)
{
	span_async *async;
	span_status status;
	int hit;

	span_async_create(options, &async);
	messages_collect();
	status = span_async_run(async, sum_short, problem);
	hit = span_async_faults(async) > 0;
	cr_assert_eq(status, hit ? expected : SPAN_OK, "send %d of rank %d",
	             (int)options->fault_message, options->fault_rank);
	cr_assert_eq(messages_with(part) > 0, hit, "about %s", part);
	span_async_free(async);
	return hit;
}

/* Hit one send of one rank; whichever it is, someone must notice and say `part`. */
static void expect_noticed(int32_t ranks, span_async_fault fault, span_status expected,
                           const char *part)
{
	span_layout *layout = layout_of(12, ranks);
	struct problem problem = { .layout = layout, .n = 9, .order = AS_POSITIONS };
	span_async_options options = { .ranks = ranks, .fault = fault };
	int hits = 0;

	for (; options.fault_rank < ranks; options.fault_rank++) {
		for (options.fault_message = 0; options.fault_message < 4;
		     options.fault_message++) {
			options.fault_bit = 31 * (uint64_t)options.fault_message;
			hits += is_hit(&options, &problem, expected, part);
		}
	}
	cr_assert_geq(hits, ranks);
	span_layout_free(layout);
}

Test(gradient, a_flipped_bit_is_noticed)
{
	expect_noticed(6, SPAN_ASYNC_FLIP, SPAN_EINTEGRITY, "the digest is wrong");
}

Test(gradient, a_vector_of_the_sum_before_is_noticed)
{
	expect_noticed(6, SPAN_ASYNC_STALE, SPAN_EINTEGRITY, "the epoch is wrong");
}

Test(gradient, a_vector_of_another_node_is_noticed)
{
	expect_noticed(6, SPAN_ASYNC_OWNER, SPAN_EINTEGRITY, "the node is wrong");
}

Test(gradient, a_vector_that_comes_twice_is_noticed)
{
	expect_noticed(6, SPAN_ASYNC_DUPLICATE, SPAN_EINTEGRITY, "is wrong");
}

Test(gradient, a_rank_that_dies_is_noticed)
{
	expect_noticed(6, SPAN_ASYNC_KILL, SPAN_ECOMM, "dies");
}

Test(gradient, a_lost_vector_is_noticed_within_the_deadline)
{
	expect_noticed(3, SPAN_ASYNC_DROP, SPAN_ETIMEOUT, "within 0.5 s");
}

/* So that nobody waits for a rank that has given up, whatever its caller does then. */
Test(gradient, a_sum_that_fails_aborts_the_transport)
{
	span_layout *layout = layout_of(2, 2);
	span_gradient *gradient;
	span_transport *other;
	span_local *local;
	span_token token;
	int64_t tokens;
	float sum;

	cr_assert_eq(span_local_create(2, NULL, &local), SPAN_OK);
	other = span_local_transport(local, 1);
	cr_assert_eq(span_gradient_create(layout, span_local_transport(local, 0), 1, 0.01,
	                                  &gradient), SPAN_OK);
	add_value(gradient, 0, 1);
	messages_collect();
	cr_assert_eq(span_gradient_sum(gradient, &sum, &tokens), SPAN_ETIMEOUT);
	cr_assert_eq(other->post_receive(other, 0, 0, NULL, 0, &token), SPAN_ECOMM);
	cr_assert_eq(messages_with("because rank 0 gave up"), 1);
	span_gradient_free(gradient);
	span_local_free(local);
	span_layout_free(layout);
}
