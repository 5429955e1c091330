/* Calibrating the constants of NCCL's cost model to measured times. Private.
 *
 * A profile with the graphs of its machine (span-tune's --topology) and curves of known algorithm
 * and protocol says how far NCCL's model is off. Its constants are moved, as little as it takes,
 * until the model's times are those of the curves: least squares of logarithms, so that a
 * percent is a percent at every size. What is not measured follows from the model's form: other
 * ranks, nodes and sizes.
 *
 * How far that carries is judged by leaving ranks out: each count of ranks and nodes is predicted
 * from the others. That deviation becomes model.spread; with curves of one count alone nothing
 * shows how far the model carries, and model.spread becomes 1: its times are told, and nothing is
 * chosen by them. */
#ifndef SPAN_FIT_TIMES_H
#define SPAN_FIT_TIMES_H

#include "topo/span_profile.h"

typedef struct {
	int32_t knots;   /* used; 0: nothing was fitted */
	int32_t counts;  /* of ranks and nodes */
	int32_t moved;   /* numbers */
	double before;   /* root mean square deviation of the model, as a share of time: as it was, */
	double residual; /* fitted, */
	double held_out; /* and on counts left out, one at a time; 0 where there is one alone */
} span_fit_times_report;

/* Fit to the curves of `profile` and set its numbers; `source` is the index of a source. Curves
 * that tell no algorithm or protocol, and ranks and nodes that the profile has no graph of, are
 * passed over. Returns SPAN_EINVAL for NULL or a profile with numbers that cannot be;
 * SPAN_ENOMEM. */
span_status span_fit_times(span_profile *profile, int32_t source, span_fit_times_report *report);

#endif
