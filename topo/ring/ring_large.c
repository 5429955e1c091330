/* A good ring of many devices: from the given order and from a greedy one, by exchanges, with
 * restarts, under one level after another until no ring is found any more. Everything is
 * counted, nothing is timed or random, so every run finds the same. */
#include "topo/ring/ring.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"

/* Exchanges that are looked at for one level: some 20 ns each; and more for many devices, so
 * that each exchange there is can be looked at once. */
#define EXCHANGES 2000000
#define EXCHANGES_OF_SQUARE 4
#define KICKS 200    /* restarts of one level */
#define SEGMENT 3    /* devices that move together at most; Or 1976 */

struct search {
	const struct ring_problem *problem;
	int32_t n;
	double level;
	double heavy;      /* added to the cost of a link that is below the level */
	int64_t left;      /* exchanges */
	uint32_t random;
	int32_t *tour;     /* [n] the order that is being improved */
	int32_t *spare;    /* [n] */
	double *forward;   /* [n + 1] cost of the links before each place, and */
	double *backward;  /* [n + 1] of the same links the other way */
};

static double weight(const struct search *search, int32_t from, int32_t to)
{
	size_t link = (size_t)from * search->n + to;

	return search->problem->cost[link] +
	       (search->problem->bandwidth[link] < search->level ? search->heavy : 0);
}

static double link_at(const struct search *search, int32_t i, int32_t j)
{
	return weight(search, search->tour[i % search->n], search->tour[j % search->n]);
}

static void add_up(struct search *search)
{
	search->forward[0] = search->backward[0] = 0;
	for (int32_t i = 0; i < search->n; i++) {
		search->forward[i + 1] = search->forward[i] + link_at(search, i, i + 1);
		search->backward[i + 1] = search->backward[i] + link_at(search, i + 1, i);
	}
}

static double total(const struct search *search)
{
	return search->forward[search->n];
}

static void reverse(int32_t *tour, int32_t first, int32_t last)
{
	for (; first < last; first++, last--) {
		int32_t kept = tour[first];

		tour[first] = tour[last];
		tour[last] = kept;
	}
}

/* What turning the places i to j round gains; 1 <= i < j < n. */
static double gain_of_turn(const struct search *search, int32_t i, int32_t j)
{
	double before = link_at(search, i - 1, i) + link_at(search, j, j + 1) +
	                search->forward[j] - search->forward[i];
	double after = link_at(search, i - 1, j) + link_at(search, i, j + 1) +
	               search->backward[j] - search->backward[i];

	return before - after;
}

/* What moving the places i to j behind place k gains, which is outside of them. */
static double gain_of_move(const struct search *search, int32_t i, int32_t j, int32_t k)
{
	double before = link_at(search, i - 1, i) + link_at(search, j, j + 1) +
	                link_at(search, k, k + 1);
	double after = link_at(search, i - 1, j + 1) + link_at(search, k, i) +
	               link_at(search, j, k + 1);

	return before - after;
}

static void move(struct search *search, int32_t i, int32_t j, int32_t k)
{
	int32_t m = j - i + 1, *tour = search->tour;

	memcpy(search->spare, tour + i, (size_t)m * sizeof(*tour));
	if (k < i) {
		memmove(tour + k + 1 + m, tour + k + 1, (size_t)(i - k - 1) * sizeof(*tour));
		memcpy(tour + k + 1, search->spare, (size_t)m * sizeof(*tour));
	} else {
		memmove(tour + i, tour + j + 1, (size_t)(k - j) * sizeof(*tour));
		memcpy(tour + k - m + 1, search->spare, (size_t)m * sizeof(*tour));
	}
}

/* Try every turn that begins at place i; the first that gains is made. */
static bool turn_from(struct search *search, int32_t i, double least)
{
	for (int32_t j = i + 1; j < search->n; j++) {
		search->left--;
		if (gain_of_turn(search, i, j) > least) {
			reverse(search->tour, i, j);
			return true;
		}
	}
	return false;
}

/* The same with moves of the segment that begins there. */
static bool move_from(struct search *search, int32_t i, double least)
{
	for (int32_t j = i; j < i + SEGMENT && j < search->n; j++) {
		for (int32_t k = 0; k < search->n; k++) {
			if (k >= i - 1 && k <= j)
				continue;
			search->left--;
			if (gain_of_move(search, i, j, k) > least) {
				move(search, i, j, k);
				return true;
			}
		}
	}
	return false;
}

/* Exchange until nothing gains any more, or too much was tried. Place 0 stays. */
static void improve(struct search *search)
{
	int32_t quiet = 0, i = 1;

	add_up(search);
	while (quiet < search->n - 1 && search->left > 0) {
		/* Below it is rounding of the sums, of which that of the way back may be larger. */
		double before = total(search), back = search->backward[search->n];
		double least = 1e-11 * fmax(before, back);

		if (turn_from(search, i, least) || move_from(search, i, least)) {
			add_up(search);
			assert(total(search) <= before + least);
			quiet = 0;
		} else {
			quiet++;
			i = i + 1 < search->n ? i + 1 : 1;
		}
	}
}

static int32_t draw(struct search *search, int32_t below)
{
	search->random = search->random * 1664525u + 1013904223u;
	return (int32_t)((search->random >> 8) % (uint32_t)below);
}

/* Swap two neighbouring stretches: a change that no single exchange takes back. */
static void kick(struct search *search)
{
	int32_t n = search->n, a = 1 + draw(search, n - 2), b = 1 + draw(search, n - 2);
	int32_t c = 1 + draw(search, n - 1);
	int32_t low = a < b ? a : b, high = a < b ? b : a, m;

	if (c < low) {
		int32_t kept = low;

		low = c;
		c = high;
		high = kept;
	} else if (c < high) {
		int32_t kept = high;

		high = c;
		c = kept;
	}
	m = high - low;
	memcpy(search->spare, search->tour + low, (size_t)m * sizeof(*search->tour));
	memmove(search->tour + low, search->tour + high,
	        (size_t)(c - high) * sizeof(*search->tour));
	memcpy(search->tour + c - m, search->spare, (size_t)m * sizeof(*search->tour));
}

/* How many links of the tour are below the level. */
static int32_t count_narrow(const struct search *search, const int32_t *tour)
{
	int32_t n = search->n, count = 0;

	for (int32_t i = 0; i < n; i++)
		count += search->problem->bandwidth[(size_t)tour[i] * n + tour[(i + 1) % n]] <
		         search->level;
	return count;
}

/* Improve `best` under the level, with restarts; `goal` ends them early: a ring of the level
 * is enough. */
static void search_level(struct search *search, double level, int32_t *best, bool goal)
{
	size_t bytes = (size_t)search->n * sizeof(*best);
	double least;

	search->level = level;
	search->left = EXCHANGES + (int64_t)EXCHANGES_OF_SQUARE * search->n * search->n;
	search->random = 1; /* the same whatever was looked for before */
	memcpy(search->tour, best, bytes);
	improve(search);
	least = total(search);
	memcpy(best, search->tour, bytes);
	for (int32_t i = 0; i < KICKS && search->left > 0; i++) {
		if (goal && count_narrow(search, best) == 0)
			return;
		kick(search);
		improve(search);
		if (total(search) < least) {
			least = total(search);
			memcpy(best, search->tour, bytes);
		} else {
			memcpy(search->tour, best, bytes);
		}
	}
}

/* From device to the cheapest next one. */
static void greedy(const struct search *search, int32_t *tour)
{
	for (int32_t i = 0; i < search->n; i++)
		tour[i] = i;
	for (int32_t i = 1; i < search->n - 1; i++) {
		int32_t best = i, kept;

		for (int32_t j = i + 1; j < search->n; j++)
			if (weight(search, tour[i - 1], tour[j]) <
			    weight(search, tour[i - 1], tour[best]))
				best = j;
		kept = tour[best];
		memmove(tour + i + 1, tour + i, (size_t)(best - i) * sizeof(*tour));
		tour[i] = kept;
	}
}

/* The better of two starts under a level: the fewest narrow links, then the least cost. */
static void try_level(struct search *search, double level, bool goal, int32_t *best,
                      int32_t *other)
{
	double first, second;

	search->level = level;
	for (int32_t i = 0; i < search->n; i++)
		best[i] = i;
	greedy(search, other);
	search_level(search, level, other, goal);
	if (goal && count_narrow(search, other) == 0) {
		memcpy(best, other, (size_t)search->n * sizeof(*best));
		return;
	}
	search_level(search, level, best, goal);
	memcpy(search->tour, other, (size_t)search->n * sizeof(*best));
	add_up(search);
	second = total(search);
	memcpy(search->tour, best, (size_t)search->n * sizeof(*best));
	add_up(search);
	first = total(search);
	if (second < first)
		memcpy(best, other, (size_t)search->n * sizeof(*best));
}

/* The highest level at which a ring is found, the bound first: it often is one. */
static double find_level(struct search *search, const struct ring_levels *levels, double bound,
                         int32_t *best, int32_t *other)
{
	int32_t low = -1, high = levels->count;

	while (high > 0 && levels->level[high - 1] > bound)
		high--;
	for (int32_t middle = high - 1; high - low > 1; middle = low + (high - low) / 2) {
		try_level(search, levels->level[middle], true, best, other);
		if (count_narrow(search, best) == 0)
			low = middle;
		else
			high = middle;
	}
	return low < 0 ? 0 : levels->level[low];
}

span_status ring_large(const struct ring_problem *problem, const struct ring_levels *levels,
                       double bound, int32_t *order)
{
	size_t n = (size_t)problem->n;
	double *sums = malloc(2 * (n + 1) * sizeof(*sums)), most = 0, level;
	int32_t *tours = malloc(3 * n * sizeof(*tours));
	struct search search = { .problem = problem, .n = problem->n };

	if (!sums || !tours) {
		free(sums);
		free(tours);
		return span_fail(SPAN_ENOMEM, "ring: no memory for the order of %zu devices", n);
	}
	search.tour = tours;
	search.spare = tours + n;
	search.forward = sums;
	search.backward = sums + n + 1;
	for (size_t i = 0; i < n * n; i++)
		if (most < problem->cost[i])
			most = problem->cost[i];
	search.heavy = 2 * (double)n * most;
	level = find_level(&search, levels, bound, order, tours + 2 * n);
	try_level(&search, level, false, order, tours + 2 * n);
	free(sums);
	free(tours);
	return SPAN_OK;
}
