#include "topo/nccl/fit_numbers.h"

#include <math.h>
#include <string.h>

#define PROBE 1e-2 /* of a logarithm: how far a number is moved to see what depends on it */

void span_fit_numbers_start(span_fit_numbers *numbers, const span_nccl_constants *constants,
                            const span_nccl_comm *comm)
{
	numbers->start = *constants;
	numbers->plateau = comm->plateau > 0 ? comm->plateau : comm->cc_min < 80 ? 1.9 : 1.4;
	numbers->uncorrected = fmax(comm->uncorrected, 0.02); /* off its end, to move either way */
	numbers->moving = 0;
}

void span_fit_numbers_bind(span_fit_numbers *numbers, const span_nccl_comm *comm, int first_scale,
                           int end_scale)
{
	span_nccl_constants *constants = &numbers->start;
	double(*caps[])[SPAN_SCALES] = { constants->ring_ll128_max, constants->tree_ll128_max,
		                         constants->tree_max, constants->nvls_tree_max };
	const double binds[] = { 0.92 * comm->ring.bw_inter, 0.92 * 0.9375 * comm->tree.bw_inter,
		                 0.92 * comm->tree.bw_inter, comm->nvls_graph.bw_inter };

	for (int table = 0; table < 4; table++)
		for (int gpu = 0; gpu < SPAN_GPUS; gpu++)
			for (int scale = first_scale; scale < end_scale; scale++)
				caps[table][gpu][scale] = fmin(caps[table][gpu][scale],
				                               0.99 * binds[table]);
}

void span_fit_numbers_move(const span_fit_numbers *numbers, const double *x, span_nccl_comm *comm,
                           span_nccl_constants *constants)
{
	*constants = numbers->start;
	comm->plateau = numbers->plateau;
	comm->uncorrected = numbers->uncorrected;
	for (int k = 0; k < numbers->moving; k++) {
		int i = numbers->index[k];

		if (i == SPAN_FIT_PLATEAU)
			comm->plateau *= exp(x[k]);
		else if (i == SPAN_FIT_UNCORRECTED)
			comm->uncorrected = fmax(0, fmin(1, comm->uncorrected + x[k]));
		else
			((double *)constants)[i] *= exp(x[k]);
	}
}

/* Whether moving the only number by x changes a residual; -1 where there are none. */
static int changes(const span_least_squares *squares, double x, const double *before,
                   double *after)
{
	int32_t i = 0;

	if (!squares->residuals(squares->problem, &x, after))
		return -1;
	while (i < squares->n && before[i] == after[i])
		i++;
	return i < squares->n;
}

bool span_fit_numbers_find(span_fit_numbers *numbers, const span_least_squares *squares,
                           double *before, double *after)
{
	int found[SPAN_FIT_NUMBERS] = { 0 }, n = 0;
	double nothing = 0;

	numbers->moving = 1;
	for (int i = 0; i < SPAN_FIT_NUMBERS; i++) {
		int up, down;

		numbers->index[0] = i;
		if (!squares->residuals(squares->problem, &nothing, before))
			return false;
		up = changes(squares, PROBE, before, after);
		down = changes(squares, -PROBE, before, after);
		if (up < 0 || down < 0)
			return false;
		if (up || down)
			found[n++] = i;
	}
	memcpy(numbers->index, found, (size_t)n * sizeof(*found));
	numbers->moving = n;
	return true;
}
