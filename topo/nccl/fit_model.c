/* Constants from borders: fit_model.h says how. */
#include "topo/nccl/fit_model.h"

#include <math.h>
#include <stdlib.h>

#include "topo/log.h"
#include "topo/nccl/fit_numbers.h"

#define PULL       0.1 /* octaves that a constant moved by a factor of e may cost, at last, */
#define FIRST_PULL 1.6 /* and at first */
#define LEAST_RISE 0.02 /* of the ratio of times in an octave: flatter borders are this flat */
#define BOUND_RISE 0.2  /* what a bound takes for that rise, so that it is worth octaves too */
#define FAR        6.0  /* octaves: a border farther off pulls no harder */
#define MOST_MOVE  3.0  /* of a logarithm, from the default */

struct fit {
	const span_nccl_comm *comm;
	const span_border *borders; /* by ranks, then nodes */
	int32_t n;
	span_fit_numbers numbers;
};

/* --- the model at a border ---------------------------------------------------------------- */

static span_status build(const span_nccl_comm *comm, const span_nccl_constants *constants,
                         const span_border *border, span_nccl_model *model)
{
	span_nccl_comm here = *comm;

	here.ranks = border->ranks;
	here.nodes = border->nodes;
	here.most_local_ranks = (border->ranks + border->nodes - 1) / border->nodes;
	return span_nccl_model_build(&here, constants, model);
}

/* The logarithm of time before over time after: it rises through 0 at the border. NaN where a
 * cell is not there. */
static double log_ratio(const span_nccl_model *model, const span_border *border, double bytes)
{
	double us[2];

	for (int side = 0; side < 2; side++) {
		const int32_t *cell = side ? border->after : border->before;

		us[side] = span_nccl_model_us(model, border->coll, cell[0], cell[1],
		                              (uint64_t)bytes, 1);
		if (us[side] <= 0)
			return NAN;
	}
	return log(us[0] / us[1]);
}

/* How far the model's border is off, in octaves, by the slope of the ratio around. */
static double miss(const span_nccl_model *model, const span_border *border)
{
	double here = log_ratio(model, border, border->bytes), low, high, rise;

	if (isnan(here))
		return here;
	if (border->bound)
		return fmax(0, fmin(FAR, here / BOUND_RISE));
	low = log_ratio(model, border, border->bytes / 2);
	high = log_ratio(model, border, border->bytes * 2);
	rise = fmax((high - low) / 2, LEAST_RISE);
	return fmax(-FAR, fmin(FAR, here / rise));
}

double span_border_of_model(const span_nccl_comm *comm, const span_nccl_constants *constants,
                            const span_border *border)
{
	const double fine = exp2(1.0 / 32);
	span_nccl_model model;
	double before = -1;

	if (build(comm, constants, border, &model))
		return -1;
	for (double bytes = SPAN_BORDER_LOW; bytes <= SPAN_BORDER_HIGH; bytes *= fine) {
		double ratio = log_ratio(&model, border, bytes);

		if (ratio >= 0 && before < 0)
			return bytes == SPAN_BORDER_LOW ? -1 : bytes / sqrt(fine);
		before = ratio;
	}
	return -1;
}

/* Misses of all borders with constants moved by x (logarithms). */
static int misses(const void *problem, const double *x, double *residuals)
{
	const struct fit *fit = problem;
	span_nccl_constants constants;
	span_nccl_comm comm = *fit->comm;
	span_nccl_model model;

	span_fit_numbers_move(&fit->numbers, x, &comm, &constants);
	for (int32_t i = 0; i < fit->n; i++) {
		int same = i && fit->borders[i].ranks == fit->borders[i - 1].ranks &&
		           fit->borders[i].nodes == fit->borders[i - 1].nodes;

		if (!same && build(&comm, &constants, fit->borders + i, &model))
			return 0;
		residuals[i] = miss(&model, fit->borders + i);
		if (isnan(residuals[i]))
			return 0;
	}
	return 1;
}

/* --- the fit ------------------------------------------------------------------------------ */

static double deviation(const struct fit *fit, const double *residuals)
{
	double sum = 0;
	int borders = 0;

	for (int32_t i = 0; i < fit->n; i++) {
		if (fit->borders[i].bound)
			continue;
		sum += residuals[i] * residuals[i];
		borders++;
	}
	return borders ? sqrt(sum / borders) : 0;
}

static int by_ranks(const void *a, const void *b)
{
	const span_border *x = a, *y = b;

	return x->ranks != y->ranks ? (x->ranks < y->ranks ? -1 : 1) : x->nodes - y->nodes;
}

span_status span_fit_borders(span_nccl_comm *comm, span_border *borders, int32_t n,
                             span_nccl_constants *constants, double *octaves)
{
	struct fit fit = { .comm = comm, .borders = borders, .n = n };
	span_least_squares squares = { .residuals = misses, .problem = &fit, .n = n,
		                       .moving = SPAN_FIT_NUMBERS, .first_pull = FIRST_PULL,
		                       .pull = PULL, .most_move = MOST_MOVE };
	double *residuals, *x;
	span_status status = SPAN_OK;

	if (!comm || !borders || n < 1 || n > 100000 || !constants || !octaves)
		return span_fail(SPAN_EINVAL,
		                 "span_fit_borders: %d borders, or an argument is NULL", n);
	qsort(borders, (size_t)n, sizeof(*borders), by_ranks);
	residuals = calloc(2 * (size_t)n + SPAN_FIT_NUMBERS +
	                           span_least_squares_room(n, SPAN_FIT_NUMBERS),
	                   sizeof(*residuals));
	if (!residuals)
		return span_fail(SPAN_ENOMEM, "span_fit_borders: no memory for %d borders", n);
	x = residuals + 2 * n;
	span_fit_numbers_start(&fit.numbers, &span_nccl_defaults, comm);
	span_fit_numbers_bind(&fit.numbers, comm, 0, SPAN_SCALES);
	if (span_fit_numbers_find(&fit.numbers, &squares, residuals, residuals + n)) {
		squares.moving = fit.numbers.moving;
		span_least_squares_solve(&squares, x, residuals, x + SPAN_FIT_NUMBERS);
		*octaves = deviation(&fit, residuals);
		span_fit_numbers_move(&fit.numbers, x, comm, constants);
	} else {
		status = span_fail(SPAN_EINVAL, "span_fit_borders: a border is between cells that the "
		                                "machine does not have");
	}
	free(residuals);
	return status;
}
