/* The numbers of NCCL's cost model that a fit may move. Private.
 *
 * They are the constants, the plateau of rings, and what trees lack of their correction. The last
 * moves by addition from almost none, the others by factors; x holds the sum or the logarithm.
 * Only numbers that some residual depends on move. */
#ifndef SPAN_FIT_NUMBERS_H
#define SPAN_FIT_NUMBERS_H

#include "topo/nccl/least_squares.h"
#include "topo/nccl/nccl_model.h"

enum {
	SPAN_FIT_PLATEAU = sizeof(span_nccl_constants) / sizeof(double),
	SPAN_FIT_UNCORRECTED,
	SPAN_FIT_NUMBERS
};

typedef struct {
	span_nccl_constants start;
	double plateau; /* of the machine, at first */
	double uncorrected;
	int index[SPAN_FIT_NUMBERS]; /* of those that move */
	int moving;
} span_fit_numbers;

/* Start from constants and from what `comm` says. */
void span_fit_numbers_start(span_fit_numbers *numbers, const span_nccl_constants *constants,
                            const span_nccl_comm *comm);

/* A cap that does not bind has no slope: those of some scales (0 one node, 1 two, 2 more) start
 * where they just bind for this machine, unless they bind already. */
void span_fit_numbers_bind(span_fit_numbers *numbers, const span_nccl_comm *comm, int first_scale,
                           int end_scale);

/* Constants and machine with numbers moved by x; of *comm plateau and uncorrected are set. */
void span_fit_numbers_move(const span_fit_numbers *numbers, const double *x, span_nccl_comm *comm,
                           span_nccl_constants *constants);

/* Have those move that some residual of `squares` depends on; squares->problem reads *numbers.
 * before, after: room for n doubles each. False where there are no residuals. */
bool span_fit_numbers_find(span_fit_numbers *numbers, const span_least_squares *squares,
                           double *before, double *after);

#endif
