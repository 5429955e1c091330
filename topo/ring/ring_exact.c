/* The best ring of a few devices, by dynamic programming over sets of them.
 *
 * Two passes are needed. A single one that keeps, for each set and last device, the path with
 * the best (bottleneck, sum) is wrong: a wider bottleneck early in the path may not matter in
 * the end, because a later link is narrow anyway, while the path with the lesser sum was
 * thrown away. So the first pass finds the bottleneck alone, and the second the least sum
 * over links that are wide enough. Source: Held & Karp 1962, section 2. */
#include "topo/ring/ring.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "topo/log.h"

/* Device 0 begins the ring; sets hold the others, device d as bit d - 1. */
static uint32_t bit(int32_t device)
{
	return 1u << (device - 1);
}

/* For each device, which others lead to it by links of at least this level. Bit 0 is device 0
 * here, so that the start can be asked for too. */
static void find_sources(const struct ring_problem *problem, double level, uint32_t *sources)
{
	int32_t n = problem->n;

	for (int32_t to = 0; to < n; to++) {
		sources[to] = 0;
		for (int32_t from = 0; from < n; from++)
			if (from != to && problem->bandwidth[(size_t)from * n + to] >= level)
				sources[to] |= 1u << from;
	}
}

/* Whether there is a ring of links of at least this level. last[set]: at which devices a path
 * from 0 through all of the set can end, as bits. */
static bool exists(const struct ring_problem *problem, double level, uint32_t *last)
{
	uint32_t sources[RING_EXACT_MOST], sets = 1u << (problem->n - 1);

	find_sources(problem, level, sources);
	for (uint32_t set = 1; set < sets; set++) {
		uint32_t ends = 0;

		for (int32_t device = 1; device < problem->n; device++) {
			uint32_t before = set & ~bit(device);
			uint32_t from = before ? last[before] << 1 : 1;

			if (before != set && (from & sources[device]))
				ends |= bit(device);
		}
		last[set] = ends;
	}
	return (last[sets - 1] << 1 & sources[0]) != 0;
}

/* The highest level that has a ring; 0 when none has. */
static span_status find_bottleneck(const struct ring_problem *problem,
                                   const struct ring_levels *levels, double *bottleneck)
{
	uint32_t *last = malloc(((size_t)1 << (problem->n - 1)) * sizeof(*last));
	int32_t low = -1, high = levels->count;

	if (!last)
		return span_fail(SPAN_ENOMEM, "ring: no memory for the sets of %d devices",
		                 problem->n);
	while (high - low > 1) {
		int32_t middle = low + (high - low) / 2;

		if (exists(problem, levels->level[middle], last))
			low = middle;
		else
			high = middle;
	}
	*bottleneck = low < 0 ? 0 : levels->level[low];
	free(last);
	return SPAN_OK;
}

/* The costs of the links that may be used, infinite for the others: in whole units of which the
 * largest has 2^48, so that sums of 17 are exact and equal rings are equal in whatever order
 * their links are added up. */
static void keep_wide(const struct ring_problem *problem, double bottleneck, double *cost)
{
	size_t links = (size_t)problem->n * (size_t)problem->n;
	double most = 0;

	for (size_t i = 0; i < links; i++) {
		cost[i] = problem->bandwidth[i] >= bottleneck ? problem->cost[i] : INFINITY;
		if (i % ((size_t)problem->n + 1) != 0 && cost[i] < INFINITY)
			most = fmax(most, cost[i]);
	}
	for (size_t i = 0; i < links; i++)
		cost[i] = round(cost[i] / most * 0x1p48);
}

/* rest[set][device]: the least cost from the device, the last of the set, through all others
 * and back to 0. */
static void fill_rest(int32_t n, const double *cost, double *rest)
{
	uint32_t sets = 1u << (n - 1);
	size_t row = (size_t)n - 1;

	for (int32_t device = 1; device < n; device++)
		rest[(sets - 1) * row + device - 1] = cost[(size_t)device * n];
	for (uint32_t set = sets - 2; set > 0; set--) {
		for (int32_t device = 1; device < n; device++) {
			double least = INFINITY;

			if (!(set & bit(device)))
				continue;
			for (int32_t next = 1; next < n; next++) {
				double total;

				if (set & bit(next))
					continue;
				total = cost[(size_t)device * n + next] +
				        rest[(set | bit(next)) * row + next - 1];
				if (total < least)
					least = total;
			}
			rest[set * row + device - 1] = least;
		}
	}
}

/* Of the ways from `device` the one of least cost; of equals the lowest number, which makes
 * the order the first of its equals. */
static int32_t best_next(int32_t n, const double *cost, const double *rest, uint32_t set,
                         int32_t device)
{
	double least = INFINITY;
	int32_t best = 0;

	for (int32_t next = 1; next < n; next++) {
		double total;

		if (set & bit(next))
			continue;
		total = cost[(size_t)device * n + next] +
		        rest[(set | bit(next)) * ((size_t)n - 1) + next - 1];
		if (total < least) {
			least = total;
			best = next;
		}
	}
	return best;
}

static span_status least_cost(const struct ring_problem *problem, double bottleneck,
                              int32_t *order)
{
	int32_t n = problem->n;
	double *cost = malloc((size_t)n * (size_t)n * sizeof(*cost));
	double *rest = malloc(((size_t)1 << (n - 1)) * (size_t)(n - 1) * sizeof(*rest));
	span_status status = SPAN_ENOMEM;
	uint32_t set = 0;

	if (cost && rest) {
		keep_wide(problem, bottleneck, cost);
		fill_rest(n, cost, rest);
		order[0] = 0;
		for (int32_t i = 1; i < n; i++) {
			order[i] = best_next(n, cost, rest, set, order[i - 1]);
			assert(order[i] > 0);
			set |= bit(order[i]);
		}
		status = SPAN_OK;
	}
	free(cost);
	free(rest);
	return status ? span_fail(status, "ring: no memory for the paths of %d devices", n)
	              : SPAN_OK;
}

span_status ring_exact(const struct ring_problem *problem, const struct ring_levels *levels,
                       int32_t *order)
{
	double bottleneck = 0;
	span_status status;

	assert(problem->n >= 2 && problem->n <= RING_EXACT_MOST);
	status = find_bottleneck(problem, levels, &bottleneck);
	return status ? status : least_cost(problem, bottleneck, order);
}
