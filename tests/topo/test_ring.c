#include "topo/span_ring.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/topo/log_capture.h"
#include "topo/ring/ring.h"

#define MOST 128

/* A matrix and what is told of it. */
struct machine_case {
	int32_t n;
	double bandwidth[MOST * MOST];
	int32_t order[MOST];
	span_ring_report report;
};

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

static void set(struct machine_case *c, int32_t from, int32_t to, double bandwidth)
{
	c->bandwidth[(size_t)from * c->n + to] = bandwidth;
}

static double get(const struct machine_case *c, int32_t from, int32_t to)
{
	return c->bandwidth[(size_t)from * c->n + to];
}

static void solve(struct machine_case *c)
{
	cr_assert_eq(span_ring_solve(c->bandwidth, c->n, c->order, &c->report), SPAN_OK);
}

/* What the order comes to, counted here. */
static span_ring_figures count(const struct machine_case *c, const int32_t *order)
{
	span_ring_figures figures = { .bottleneck = INFINITY };

	for (int32_t i = 0; i < c->n; i++) {
		double b = get(c, order[i], order[(i + 1) % c->n]);

		figures.missing += b == 0;
		figures.sum_inverse += b > 0 ? 1 / b : 0;
		figures.bottleneck = fmin(figures.bottleneck, b);
	}
	return figures;
}

static bool better(const span_ring_figures *a, const span_ring_figures *b)
{
	if (a->missing != b->missing)
		return a->missing < b->missing;
	if (!a->missing && a->bottleneck != b->bottleneck)
		return a->bottleneck > b->bottleneck;
	return a->sum_inverse < b->sum_inverse * (1 - 1e-12);
}

/* The best of all orders that begin with 0, by trying every one. */
static void try_all(const struct machine_case *c, int32_t *order, int32_t place,
                    span_ring_figures *best)
{
	if (place == c->n) {
		span_ring_figures figures = count(c, order);

		if (better(&figures, best))
			*best = figures;
		return;
	}
	for (int32_t i = place; i < c->n; i++) {
		int32_t kept = order[place];

		order[place] = order[i];
		order[i] = kept;
		try_all(c, order, place + 1, best);
		order[i] = order[place];
		order[place] = kept;
	}
}

static span_ring_figures brute_force(const struct machine_case *c)
{
	span_ring_figures best = { .missing = c->n + 1 };
	int32_t order[MOST];

	for (int32_t i = 0; i < c->n; i++)
		order[i] = i;
	try_all(c, order, 1, &best);
	return best;
}

/* Kinds of matrices: few levels make ties, zeros make gaps, and some are not symmetric. */
static void fill_random(struct machine_case *c, uint32_t *random, int kind)
{
	static const uint32_t levels[] = { 3, 1000000, 3, 5, 2 };
	uint32_t zeros = kind < 2 ? 0 : kind == 4 ? 60 : 30; /* per cent */

	for (int32_t a = 0; a < c->n; a++) {
		for (int32_t b = 0; b < c->n; b++) {
			double value = 1 + next_random(random) % levels[kind];

			if (next_random(random) % 100 < zeros)
				value = 0;
			set(c, a, b, value);
			if (kind % 2 && b < a)
				set(c, a, b, get(c, b, a));
		}
	}
}

static void assert_is_order(const struct machine_case *c)
{
	bool seen[MOST] = { false };

	cr_assert_eq(c->order[0], 0);
	for (int32_t i = 0; i < c->n; i++) {
		cr_assert(c->order[i] >= 0 && c->order[i] < c->n && !seen[c->order[i]]);
		seen[c->order[i]] = true;
	}
}

static void assert_equal_figures(const span_ring_figures *a, const span_ring_figures *b,
                                 const char *what, int round)
{
	cr_assert_eq(a->missing, b->missing, "%s, round %d: %d and %d missing", what, round,
	             a->missing, b->missing);
	if (!a->missing)
		cr_assert_eq(a->bottleneck, b->bottleneck, "%s, round %d: %g and %g", what, round,
		             a->bottleneck, b->bottleneck);
	cr_assert_float_eq(a->sum_inverse, b->sum_inverse, 1e-12 * b->sum_inverse,
	                   "%s, round %d: sums %.17g and %.17g", what, round, a->sum_inverse,
	                   b->sum_inverse);
}

Test(ring, is_the_best_of_all_orders, .timeout = 120)
{
	static struct machine_case c;
	uint32_t random = 1;
	int impossible = 0;

	for (int round = 0; round < 4000; round++) {
		span_ring_figures best, own;

		c.n = 2 + round % (round % 20 ? 6 : 7);
		fill_random(&c, &random, round % 5);
		solve(&c);
		assert_is_order(&c);
		best = brute_force(&c);
		own = count(&c, c.order);
		assert_equal_figures(&own, &best, "order", round);
		assert_equal_figures(&c.report.best, &own, "report", round);
		cr_assert(c.report.exact);
		cr_assert_eq(c.report.bound, c.report.best.bottleneck);
		impossible += best.missing > 0;
	}
	cr_assert(impossible > 100 && impossible < 3000, "%d", impossible);
}

/* Of the two paths from 0 through 1 and 2 to 3, that of 4, 4, 4 is wider and that of 3, 20, 4
 * is shorter. The rest of the ring has only 2: so the shorter one is right, and a single pass
 * that keeps the best (bottleneck, sum) of each set and end has thrown it away. */
Test(ring, finds_what_a_single_pass_misses)
{
	static struct machine_case c = { .n = 5 };
	const double bandwidth[5][5] = {
		{ 0, 4, 3, 0, 0 },
		{ 0, 0, 4, 4, 0 },
		{ 0, 20, 0, 4, 0 },
		{ 0, 0, 0, 0, 2 },
		{ 2, 0, 0, 0, 0 },
	};
	const int32_t wide[5] = { 0, 1, 2, 3, 4 }, best[5] = { 0, 2, 1, 3, 4 };
	span_ring_figures a, b;

	memcpy(c.bandwidth, bandwidth, sizeof(bandwidth));
	solve(&c);
	cr_assert_eq(memcmp(c.order, best, sizeof(best)), 0);
	cr_assert_eq(span_ring_measure(c.bandwidth, 5, wide, &a), SPAN_OK);
	cr_assert_eq(span_ring_measure(c.bandwidth, 5, best, &b), SPAN_OK);
	cr_assert_eq(a.bottleneck, b.bottleneck);
	cr_assert_lt(b.sum_inverse, a.sum_inverse);
}

/* Two sockets of four: every ring that crosses twice is as good, and their sums are the same
 * numbers in another order. The first in the alphabet is taken, not that of the last bit. */
Test(ring, of_equals_is_the_first_in_the_alphabet)
{
	static struct machine_case c = { .n = 8 };

	for (int wide = 3; wide < 40; wide++) {
		for (int32_t a = 0; a < 8; a++)
			for (int32_t b = 0; b < 8; b++)
				set(&c, a, b, a / 4 == b / 4 ? wide : 0.7 * wide - 1);
		solve(&c);
		for (int32_t i = 0; i < 8; i++)
			cr_assert_eq(c.order[i], i, "%d", wide);
	}
}

/* DGX-1 with eight V100: pairs of NVLinks at 20 GB/s each, else PCIe. */
static const int32_t dgx1_links[8][8] = {
	{ 0, 1, 1, 2, 2, 0, 0, 0 }, { 1, 0, 2, 1, 0, 2, 0, 0 }, { 1, 2, 0, 2, 0, 0, 1, 0 },
	{ 2, 1, 2, 0, 0, 0, 0, 1 }, { 2, 0, 0, 0, 0, 1, 1, 2 }, { 0, 2, 0, 0, 1, 0, 2, 1 },
	{ 0, 0, 1, 0, 1, 2, 0, 2 }, { 0, 0, 0, 1, 2, 1, 2, 0 },
};

Test(ring, of_a_dgx1_is_all_double_links)
{
	static struct machine_case c = { .n = 8 };
	const int32_t expected[8] = { 0, 3, 2, 1, 5, 6, 7, 4 };

	for (int32_t a = 0; a < 8; a++)
		for (int32_t b = 0; b < 8; b++)
			set(&c, a, b, dgx1_links[a][b] ? 20e9 * dgx1_links[a][b] : 9e9);
	solve(&c);
	cr_assert_eq(memcmp(c.order, expected, sizeof(expected)), 0);
	cr_assert_eq(c.report.best.bottleneck, 40e9);
	cr_assert_eq(c.report.given.bottleneck, 9e9);
	cr_assert_float_eq(c.report.best.sum_inverse, 8 / 40e9, 1e-22);
}

/* Every ring found, in lanes that may each be used once. */
static void assert_disjoint(const int32_t *lanes, int32_t n, const int32_t *rings, int32_t found)
{
	int32_t *left = malloc((size_t)n * n * sizeof(*left));

	memcpy(left, lanes, (size_t)n * n * sizeof(*left));
	for (int32_t r = 0; r < found; r++) {
		uint64_t seen = 0;

		for (int32_t i = 0; i < n; i++) {
			int32_t a = rings[r * n + i], b = rings[r * n + (i + 1) % n];

			seen |= (uint64_t)1 << a;
			left[a * n + b]--;
			if (n > 2)
				left[b * n + a]--;
			cr_assert_geq(left[a * n + b], 0, "ring %d uses %d-%d again", r, a, b);
		}
		cr_assert_eq(seen, ((uint64_t)1 << n) - 1);
	}
	free(left);
}

Test(ring_disjoint, uses_every_lane_of_a_dgx1)
{
	int32_t rings[6 * 8], found;

	cr_assert_eq(span_ring_disjoint(dgx1_links[0], 8, 6, rings, &found), SPAN_OK);
	cr_assert_eq(found, 3);
	assert_disjoint(dgx1_links[0], 8, rings, found);
	cr_assert_eq(span_ring_disjoint(dgx1_links[0], 8, 2, rings, &found), SPAN_OK);
	cr_assert_eq(found, 2);
}

/* A complete graph of odd n falls into (n - 1) / 2 rings, of even n into (n - 2) / 2 and a
 * matching (Walecki; Lucas 1883). */
Test(ring_disjoint, takes_a_complete_graph_apart)
{
	for (int32_t n = 3; n <= 9; n++) {
		int32_t lanes[81], rings[81], found;

		for (int32_t i = 0; i < n * n; i++)
			lanes[i] = 1;
		cr_assert_eq(span_ring_disjoint(lanes, n, 9, rings, &found), SPAN_OK);
		cr_assert_eq(found, (n - 1) / 2, "n = %d: %d", n, found);
		assert_disjoint(lanes, n, rings, found);
	}
}

Test(ring_disjoint, counts_lanes_of_two_devices_once_and_the_smaller_direction)
{
	const int32_t two[4] = { 0, 4, 3, 0 }, one_way[9] = { 0, 1, 0, 0, 0, 1, 1, 0, 0 };
	const int32_t twice[9] = { 0, 2, 0, 0, 0, 2, 2, 0, 0 };
	int32_t rings[64 * 3], found;

	cr_assert_eq(span_ring_disjoint(two, 2, 64, rings, &found), SPAN_OK);
	cr_assert_eq(found, 3);
	cr_assert_eq(span_ring_disjoint(one_way, 3, 4, rings, &found), SPAN_OK);
	cr_assert_eq(found, 0);
	cr_assert_eq(span_ring_disjoint(twice, 3, 4, rings, &found), SPAN_OK);
	cr_assert_eq(found, 0);
}

/* --- many devices ------------------------------------------------------------------------- */

/* Random levels, and a ring of a known width hidden in them. */
static void hide_ring(struct machine_case *c, uint32_t *random, double width)
{
	int32_t order[MOST];

	for (int32_t i = 0; i < c->n; i++)
		order[i] = i;
	for (int32_t i = c->n - 1; i > 0; i--) {
		int32_t j = (int32_t)(next_random(random) % (uint32_t)(i + 1)), kept = order[i];

		order[i] = order[j];
		order[j] = kept;
	}
	for (int32_t i = 0; i < c->n; i++) {
		set(c, order[i], order[(i + 1) % c->n], width);
		set(c, order[(i + 1) % c->n], order[i], width);
	}
}

Test(ring_large, is_between_the_given_order_and_the_bound, .timeout = 120)
{
	static struct machine_case c;
	uint32_t random = 7;

	for (int round = 0; round < 5; round++) {
		span_ring_figures own;
		int32_t again[MOST];

		c.n = 18 + round * 7;
		fill_random(&c, &random, round % 5);
		hide_ring(&c, &random, 1);
		solve(&c);
		assert_is_order(&c);
		own = count(&c, c.order);
		assert_equal_figures(&c.report.best, &own, "report", round);
		cr_assert(!better(&c.report.given, &own));
		cr_assert_leq(own.bottleneck, c.report.bound);
		cr_assert_not(c.report.exact);
		memcpy(again, c.order, sizeof(again));
		solve(&c);
		cr_assert_eq(memcmp(again, c.order, (size_t)c.n * sizeof(*again)), 0);
	}
}

/* As wide as the bound on a mesh of 4 x 8 with wrap-around, and on 72 devices of one switch. */
Test(ring_large, is_the_best_where_it_is_known)
{
	static struct machine_case c = { .n = 32 };

	for (int32_t a = 0; a < 32; a++) {
		int32_t right = a / 8 * 8 + (a + 1) % 8, down = (a + 8) % 32;

		for (int32_t b = 0; b < 32; b++)
			set(&c, a, b, get(&c, a, b) > 0 ? get(&c, a, b) : 10);
		set(&c, a, right, 50);
		set(&c, right, a, 50);
		set(&c, a, down, 50);
		set(&c, down, a, 50);
	}
	solve(&c);
	cr_assert_eq(c.report.best.bottleneck, 50);
	cr_assert_eq(c.report.bound, 50);
	c.n = 72;
	for (int32_t i = 0; i < 72 * 72; i++)
		c.bandwidth[i] = 720e9;
	solve(&c);
	cr_assert_eq(c.report.best.bottleneck, 720e9);
	cr_assert_eq(c.order[1], 1);
}

/* At up to 9 devices the heuristic is asked for what the exact method finds. */
Test(ring_large, is_seldom_off_where_the_best_is_known, .timeout = 120)
{
	static struct machine_case c;
	uint32_t random = 3;
	int worse = 0, rounds = 60;

	for (int round = 0; round < rounds; round++) {
		double cost[81], bound;
		struct ring_problem problem;
		struct ring_levels levels;
		span_ring_figures large;

		c.n = 5 + round % 5;
		fill_random(&c, &random, round % 2);
		solve(&c);
		ring_fill_costs(c.bandwidth, c.n, cost);
		problem = (struct ring_problem){ c.n, c.bandwidth, cost };
		cr_assert_eq(ring_levels_create(&problem, &levels), SPAN_OK);
		cr_assert_eq(ring_bound(&problem, &levels, &bound), SPAN_OK);
		cr_assert_geq(bound, c.report.best.bottleneck);
		cr_assert_eq(ring_large(&problem, &levels, bound, c.order), SPAN_OK);
		large = count(&c, c.order);
		ring_levels_free(&levels);
		cr_assert(!better(&large, &c.report.best));
		worse += better(&c.report.best, &large);
	}
	cr_assert_leq(worse, rounds / 20, "%d of %d", worse, rounds);
}

/* --- the bound ---------------------------------------------------------------------------- */

static double bound_of(const struct machine_case *c)
{
	double cost[MOST], bound = -1;
	struct ring_problem problem = { c->n, c->bandwidth, cost };
	struct ring_levels levels;

	cr_assert_eq(ring_levels_create(&problem, &levels), SPAN_OK);
	cr_assert_eq(ring_bound(&problem, &levels, &bound), SPAN_OK);
	ring_levels_free(&levels);
	return bound;
}

/* All links 9 but for what a case makes 1: only one of the conditions sees each. */
Test(ring_bound, sees_each_cause_alone)
{
	static struct machine_case c = { .n = 7 };

	/* Two triangles that share device 3: strongly connected, in one piece only with 3. */
	for (int32_t i = 0; i < 49; i++)
		c.bandwidth[i] = 9;
	for (int32_t a = 0; a < 3; a++)
		for (int32_t b = 4; b < 7; b++)
			c.bandwidth[a * 7 + b] = c.bandwidth[b * 7 + a] = 1;
	cr_assert_eq(bound_of(&c), 1, "one device holds it together");
	/* One way only between 0..3 and 4..6. */
	for (int32_t i = 0; i < 49; i++)
		c.bandwidth[i] = 9;
	for (int32_t a = 0; a < 4; a++)
		for (int32_t b = 4; b < 7; b++)
			c.bandwidth[a * 7 + b] = 1;
	cr_assert_eq(bound_of(&c), 1, "a one-way street");
	for (int32_t a = 0; a < 7; a++)
		for (int32_t b = 0; b < a; b++) {
			double there = get(&c, a, b);

			set(&c, a, b, get(&c, b, a));
			set(&c, b, a, there);
		}
	cr_assert_eq(bound_of(&c), 1, "the other way");
	/* 0..3 lead only to 4..6: four devices for three. */
	for (int32_t i = 0; i < 49; i++)
		c.bandwidth[i] = 9;
	for (int32_t a = 0; a < 4; a++)
		for (int32_t b = 0; b < 4; b++)
			c.bandwidth[a * 7 + b] = 1;
	cr_assert_eq(bound_of(&c), 1, "too few to lead to");
	for (int32_t i = 0; i < 49; i++)
		c.bandwidth[i] = 9;
	cr_assert_eq(bound_of(&c), 9);
}

/* --- time and arguments --------------------------------------------------------------------- */

static double cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

Test(ring, of_sixteen_devices_takes_no_time)
{
	static struct machine_case c = { .n = 16 };
	uint32_t random = 5;
	double least = INFINITY;

	fill_random(&c, &random, 0);
	for (int i = 0; i < 5; i++) {
		double start = cpu_seconds();

		solve(&c);
		least = fmin(least, cpu_seconds() - start);
	}
	cr_log_info("n = 16: %.1f ms", 1e3 * least);
	/* Sanitizers and -O0 may take ten times as long. */
	cr_assert_lt(least, 1.0, "%g s", least);
}

Test(ring, of_one_and_of_two)
{
	static struct machine_case c = { .n = 1 };

	solve(&c);
	cr_assert_eq(c.order[0], 0);
	cr_assert_eq(c.report.best.bottleneck, 0);
	cr_assert_eq(c.report.best.missing, 0);
	c.n = 2;
	set(&c, 0, 1, 5);
	set(&c, 1, 0, 3);
	solve(&c);
	cr_assert_eq(c.order[1], 1);
	cr_assert_eq(c.report.best.bottleneck, 3);
	cr_assert_float_eq(c.report.best.sum_inverse, 1.0 / 5 + 1.0 / 3, 1e-15);
}

Test(ring, names_the_argument_that_is_wrong)
{
	double bandwidth[9] = { 0, 1, 1, 1, 0, -1, 1, 1, 0 };
	const int32_t twice[3] = { 0, 1, 1 }, outside[3] = { 0, 1, 3 };
	int32_t order[3], found;
	span_ring_figures figures;

	log_capture();
	cr_assert_eq(span_ring_solve(NULL, 3, order, NULL), SPAN_EINVAL);
	cr_assert_str_eq(log_captured(), "span_ring_solve: bandwidth is NULL");
	cr_assert_eq(span_ring_solve(bandwidth, 1025, order, NULL), SPAN_EINVAL);
	cr_assert_str_eq(log_captured(), "span_ring_solve: n is 1025; it is from 1 to 1024 devices");
	cr_assert_eq(span_ring_solve(bandwidth, 3, order, NULL), SPAN_EINVAL);
	cr_assert_str_eq(log_captured(), "span_ring_solve: bandwidth from 1 to 2 is -1; it is 0 for "
	                 "no link, or from 1e-06 to 1e+18 bytes a second");
	bandwidth[5] = NAN;
	cr_assert_eq(span_ring_solve(bandwidth, 3, order, NULL), SPAN_EINVAL);
	bandwidth[5] = 1;
	cr_assert_eq(span_ring_measure(bandwidth, 3, twice, &figures), SPAN_EINVAL);
	cr_assert_str_eq(log_captured(), "span_ring_measure: device 1 is twice in the order");
	cr_assert_eq(span_ring_measure(bandwidth, 3, outside, &figures), SPAN_EINVAL);
	cr_assert_str_eq(log_captured(), "span_ring_measure: order[2] is 3; devices are from 0 to 2");
	cr_assert_eq(span_ring_disjoint(twice, 1, 1, order, &found), SPAN_EINVAL);
	cr_assert_str_eq(log_captured(), "span_ring_disjoint: n is 1; it is from 2 to 1024 devices");
}
