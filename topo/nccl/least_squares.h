/* Nonlinear least squares with a pull. Private.
 *
 * Numbers x, all 0 at first, are moved until the residuals are small: the sum of the squares of
 * residuals and of pull * x. Such problems have many local minima. A strong pull leaves few; as
 * it halves, the iteration follows the minimum nearest to the start instead of any that the first
 * steps run into.
 * Source: Marquardt 1963, SIAM J. Appl. Math. 11(2), 431-441. */
#ifndef SPAN_LEAST_SQUARES_H
#define SPAN_LEAST_SQUARES_H

#include <stddef.h>
#include <stdint.h>

/* Residuals at x; 0 where there are none. */
typedef int span_residuals(const void *problem, const double *x, double *residuals);

typedef struct {
	span_residuals *residuals;
	const void *problem;
	int32_t n;         /* residuals */
	int moving;        /* numbers */
	double first_pull; /* halved down to pull */
	double pull;
	double most_move;  /* of a number, either way */
} span_least_squares;

/* Doubles that solving needs beside x and residuals. */
size_t span_least_squares_room(int32_t n, int moving);

/* Fill in x and the residuals there. */
void span_least_squares_solve(const span_least_squares *squares, double *x, double *residuals,
                              double *room);

#endif
