/* Ring orders of a matrix: arguments, figures, which method. */
#include "topo/ring/ring.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"

/* Bandwidths that are taken for such: sums of their inverses stay finite and exact enough. */
#define LEAST 1e-6
#define MOST 1e18

static int compare_levels(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return a < b ? -1 : a > b;
}

span_status ring_levels_create(const struct ring_problem *problem, struct ring_levels *levels)
{
	int32_t n = problem->n, count = 0, kept = 0;
	double *level = malloc((size_t)n * (size_t)n * sizeof(*level));

	if (!level)
		return span_fail(SPAN_ENOMEM, "ring: no memory for %d devices", n);
	for (int32_t from = 0; from < n; from++)
		for (int32_t to = 0; to < n; to++)
			if (from != to && problem->bandwidth[(size_t)from * n + to] > 0)
				level[count++] = problem->bandwidth[(size_t)from * n + to];
	qsort(level, (size_t)count, sizeof(*level), compare_levels);
	for (int32_t i = 0; i < count; i++)
		if (!kept || level[kept - 1] < level[i])
			level[kept++] = level[i];
	*levels = (struct ring_levels){ level, kept };
	return SPAN_OK;
}

void ring_levels_free(struct ring_levels *levels)
{
	free(levels->level);
}

void ring_fill_costs(const double *bandwidth, int32_t n, double *cost)
{
	size_t links = (size_t)n * (size_t)n;
	double most = 0;

	for (size_t i = 0; i < links; i++) {
		cost[i] = bandwidth[i] > 0 ? 1 / bandwidth[i] : 0;
		if (i % ((size_t)n + 1) != 0 && most < cost[i])
			most = cost[i];
	}
	/* The missing ones: one costs more than a ring of the most expensive links. */
	for (size_t i = 0; i < links; i++)
		if (!(bandwidth[i] > 0))
			cost[i] = most > 0 ? 2 * n * most : 1;
}

span_status ring_solve(const struct ring_problem *problem, int32_t *order, double *bound,
                       bool *exact)
{
	struct ring_levels levels = { 0 };
	span_status status;

	*exact = problem->n <= RING_EXACT_MOST;
	*bound = 0;
	order[0] = 0;
	if (problem->n == 1)
		return SPAN_OK;
	status = ring_levels_create(problem, &levels);
	if (!status && !*exact)
		status = ring_bound(problem, &levels, bound);
	if (!status)
		status = *exact ? ring_exact(problem, &levels, order)
		                : ring_large(problem, &levels, *bound, order);
	ring_levels_free(&levels);
	return status;
}

/* --- the public side -------------------------------------------------------------------- */

static span_status check_matrix(const char *caller, const double *bandwidth, int32_t n)
{
	if (!bandwidth)
		return span_fail(SPAN_EINVAL, "%s: bandwidth is NULL", caller);
	if (n < 1 || n > SPAN_RING_DEVICES)
		return span_fail(SPAN_EINVAL, "%s: n is %d; it is from 1 to %d devices", caller, n,
		                 SPAN_RING_DEVICES);
	for (int32_t from = 0; from < n; from++) {
		for (int32_t to = 0; to < n; to++) {
			double value = bandwidth[(size_t)from * n + to];

			if (from != to && value != 0 && !(value >= LEAST && value <= MOST))
				return span_fail(SPAN_EINVAL,
				                 "%s: bandwidth from %d to %d is %g; it is 0 for no "
				                 "link, or from %g to %g bytes a second",
				                 caller, from, to, value, LEAST, MOST);
		}
	}
	return SPAN_OK;
}

static span_status check_order(int32_t n, const int32_t *order)
{
	uint64_t seen[SPAN_RING_DEVICES / 64] = { 0 };

	for (int32_t i = 0; order && i < n; i++) {
		if (order[i] < 0 || order[i] >= n)
			return span_fail(SPAN_EINVAL, "span_ring_measure: order[%d] is %d; devices "
			                 "are from 0 to %d", i, order[i], n - 1);
		if (seen[order[i] / 64] >> order[i] % 64 & 1)
			return span_fail(SPAN_EINVAL, "span_ring_measure: device %d is twice in the "
			                 "order", order[i]);
		seen[order[i] / 64] |= (uint64_t)1 << order[i] % 64;
	}
	return SPAN_OK;
}

static void measure(const double *bandwidth, int32_t n, const int32_t *order,
                    span_ring_figures *figures)
{
	double narrowest = INFINITY;

	*figures = (span_ring_figures){ 0 };
	for (int32_t i = 0; n > 1 && i < n; i++) {
		int32_t j = i + 1 < n ? i + 1 : 0;
		int32_t from = order ? order[i] : i, to = order ? order[j] : j;
		double value = bandwidth[(size_t)from * n + to];

		if (value > 0)
			figures->sum_inverse += 1 / value;
		else
			figures->missing++;
		if (value < narrowest)
			narrowest = value;
	}
	figures->bottleneck = n > 1 ? narrowest : 0;
}

span_status span_ring_measure(const double *bandwidth, int32_t n, const int32_t *order,
                              span_ring_figures *figures)
{
	span_status status = check_matrix("span_ring_measure", bandwidth, n);

	if (status)
		return status;
	if (!figures)
		return span_fail(SPAN_EINVAL, "span_ring_measure: figures is NULL");
	status = check_order(n, order);
	if (!status)
		measure(bandwidth, n, order, figures);
	return status;
}

/* Whether the first is the better ring. */
static bool is_better(const span_ring_figures *a, const span_ring_figures *b)
{
	if (a->missing != b->missing)
		return a->missing < b->missing;
	if (a->bottleneck != b->bottleneck)
		return a->bottleneck > b->bottleneck;
	return a->sum_inverse < b->sum_inverse;
}

static void count_up(int32_t n, int32_t *order)
{
	for (int32_t i = 0; i < n; i++)
		order[i] = i;
}

span_status span_ring_solve(const double *bandwidth, int32_t n, int32_t *order,
                            span_ring_report *report)
{
	span_status status = check_matrix("span_ring_solve", bandwidth, n);
	span_ring_report found = { 0 };
	double *cost;
	bool exact;

	if (status)
		return status;
	if (!order)
		return span_fail(SPAN_EINVAL, "span_ring_solve: order is NULL");
	cost = malloc((size_t)n * (size_t)n * sizeof(*cost));
	if (!cost)
		return span_fail(SPAN_ENOMEM, "span_ring_solve: no memory for %d devices", n);
	ring_fill_costs(bandwidth, n, cost);
	status = ring_solve(&(struct ring_problem){ n, bandwidth, cost }, order, &found.bound,
	                    &exact);
	free(cost);
	if (status)
		return status;
	measure(bandwidth, n, NULL, &found.given);
	measure(bandwidth, n, order, &found.best);
	/* Sums of as many numbers in another order may differ in their last bits. */
	if (is_better(&found.given, &found.best)) {
		count_up(n, order);
		found.best = found.given;
	}
	found.exact = exact;
	if (exact)
		found.bound = found.best.bottleneck;
	if (report)
		*report = found;
	return SPAN_OK;
}
