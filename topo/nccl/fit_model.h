/* Calibrating the constants of NCCL's cost model to observed borders. Private.
 *
 * Where a platform's owner has swept algorithms and published which is best at which size, the
 * times are unknown but the borders are known: sizes at which two cells take equally long. The
 * constants are moved from NCCL's defaults, as little as it takes, until the model's times are
 * equal there: least squares of the distance in octaves, with a pull towards the defaults that
 * is loosened step by step, by Levenberg and Marquardt's method over the logarithms of the
 * constants. The model keeps its form, so that a fit to few ranks says something of many.
 * Source: Marquardt 1963, SIAM J. Appl. Math. 11(2), 431-441. */
#ifndef SPAN_FIT_MODEL_H
#define SPAN_FIT_MODEL_H

#include "topo/nccl/nccl_model.h"

/* Below `bytes` the cell before is faster, above it the cell after. A bound says less: at
 * `bytes` the cell before is the faster one. */
typedef struct {
	int32_t coll, ranks, nodes;
	int32_t before[2]; /* algorithm, protocol */
	int32_t after[2];
	double bytes;
	bool bound;
} span_border;

/* Move constants to the borders, and the machine's plateau and correction (comm->plateau,
 * comm->uncorrected). `comm` describes the machine; ranks and nodes come from the borders, which
 * are sorted in place. On return *octaves is the root mean square distance of the borders that
 * are no bounds.
 * Returns SPAN_EINVAL for no borders or cells that the machine does not have; SPAN_ENOMEM. */
span_status span_fit_borders(span_nccl_comm *comm, span_border *borders, int32_t n,
                             span_nccl_constants *constants, double *octaves);

/* Where the model has a border: the size at which the cell after becomes the faster one, from
 * SPAN_BORDER_LOW to SPAN_BORDER_HIGH; -1 if it never does. */
double span_border_of_model(const span_nccl_comm *comm, const span_nccl_constants *constants,
                            const span_border *border);

#define SPAN_BORDER_LOW  256.0
#define SPAN_BORDER_HIGH 274877906944.0 /* 2^38 */

#endif
