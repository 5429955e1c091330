/* What the files ring*.c share. Private. */
#ifndef SPAN_RING_PRIVATE_H
#define SPAN_RING_PRIVATE_H

#include <stdbool.h>
#include "topo/span_ring.h"

/* The network of a host counts as one more device. */
#define RING_EXACT_MOST (SPAN_RING_EXACT + 1)

/* A ring is looked for in two matrices [n][n]: the least bandwidth over its links is made as
 * large as it can be, then the sum of their costs as small as it can be. All costs are finite;
 * a link that is missing (bandwidth 0) costs more than any ring without it. */
struct ring_problem {
	int32_t n;
	const double *bandwidth;
	const double *cost;
};

/* The bandwidths of the problem, each once, ascending, without 0. */
struct ring_levels {
	double *level;
	int32_t count;
};

span_status ring_levels_create(const struct ring_problem *problem, struct ring_levels *levels);
void ring_levels_free(struct ring_levels *levels);

/* The widest bottleneck and then the least cost there is; n from 2 to RING_EXACT_MOST. */
span_status ring_exact(const struct ring_problem *problem, const struct ring_levels *levels,
                       int32_t *order);

/* A good order; n at least 3. `bound` is a level that no ring exceeds, or 0. */
span_status ring_large(const struct ring_problem *problem, const struct ring_levels *levels,
                       double bound, int32_t *order);

/* The highest level above which no ring can be, by conditions that every ring meets; 0 when
 * even the whole graph fails them. */
span_status ring_bound(const struct ring_problem *problem, const struct ring_levels *levels,
                       double *bound);

/* Solve a problem of any size, n = 1 included; *exact and *bound as in span_ring_report. */
span_status ring_solve(const struct ring_problem *problem, int32_t *order, double *bound,
                       bool *exact);

/* Costs that stand for 1 / bandwidth: [n][n]. */
void ring_fill_costs(const double *bandwidth, int32_t n, double *cost);

#endif
