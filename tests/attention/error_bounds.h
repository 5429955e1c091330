/* How far f32 attention may be from attention as mathematics: bounds derived from the arithmetic
 * the kernels promise, element by element, to first order in u = 2^-24. Not tuned. */
#ifndef SPAN_TESTS_ERROR_BOUNDS_H
#define SPAN_TESTS_ERROR_BOUNDS_H

#include "tests/attention/attention_case.h"
#include "tests/attention/reference_f64.h"

/* A problem in double, its exact results, and what each f32 result may be off by. Shapes as in
 * reference_f64.h. */
typedef struct {
	reference_shape shape;
	double *q, *k, *v, *dout;
	double *value[CASE_RESULTS]; /* by CASE_OUT ... */
	double *bound[CASE_RESULTS];
	int64_t n[CASE_RESULTS];
	double *lse, *lse_bound;
	int64_t n_lse;
} error_bounds;

error_bounds *error_bounds_make(const attention_case *c, const case_inputs *inputs);
void error_bounds_free(error_bounds *bounds);

/* The worst error of a result as a share of its bound (at most 1 when all is right; infinite for
 * a NaN), and of the logarithms. */
double error_bounds_share(const error_bounds *bounds, const attention_case *c,
                          const case_results *results, int which);
double error_bounds_lse_share(const error_bounds *bounds, const case_results *results);

/* The largest bound of a result over its largest value: whether the bound says anything. */
double error_bounds_relative(const error_bounds *bounds, int which);

#endif
