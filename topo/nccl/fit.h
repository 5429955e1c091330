/* From measurements to the curves of a profile. Private.
 *
 * Samples of one collective, ranks, nodes, algorithm and protocol make one curve. Repeats of a
 * size become their median; how much they scatter is the noise. Of the sizes, knots are kept
 * until the curve through them (span_curve_us) is within half the noise of every median, or
 * within 0.2% where the noise is less or unknown: sizes that say nothing new are dropped,
 * borders and bends stay. */
#ifndef SPAN_FIT_H
#define SPAN_FIT_H

#include "topo/nccl/nccl_log.h"
#include "topo/span_profile.h"

/* How well one curve fits. Shares are relative: 0.01 is 1%. */
typedef struct {
	int32_t coll, algo, proto, ranks, nodes;
	int32_t samples, sizes, knots;
	double noise;    /* of one measurement: median over sizes of the deviation of repeats */
	double residual; /* median deviation of the curve from the medians it was fitted to */
	double held_out; /* median error at sizes left out one at a time; 0 below 4 sizes */
} span_fit_curve;

typedef struct {
	span_fit_curve *curves;
	int32_t n;
	size_t other;    /* samples passed over: collectives that NCCL does not tune, */
	size_t unplaced; /* ranks or nodes unknown */
} span_fit_report;

/* Fit and add a curve for each group of samples. The samples are sorted in place. `source` is
 * the index of a source of the profile. A spread of SPAN_FIT_UNKNOWN_NOISE is assumed where
 * neither repeats nor in-place times tell the noise.
 * Returns SPAN_EINVAL for a curve that is already in the profile or no usable sample;
 * SPAN_ENOMEM. */
span_status span_fit(span_nccl_sample *samples, size_t n, int32_t source, span_profile *profile,
                     span_fit_report *report);

void span_fit_report_free(span_fit_report *report);

#define SPAN_FIT_UNKNOWN_NOISE 0.05

/* --- choosing between what was measured --------------------------------------------------- */

/* The fastest of the curves of a collective, ranks and nodes that names its algorithm, against
 * the time of a default: an algorithm and protocol (the index of a curve, -1 to say none is
 * known). A curve takes over only where it was measured and beats the default by more than
 * twice their spreads together; else the default stays. Returns the index of a curve, or
 * `standing`. */
int32_t span_fit_choose(const span_profile *profile, int32_t coll, int32_t ranks, int32_t nodes,
                        double bytes, int32_t standing);

#endif
