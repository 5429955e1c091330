/* Constants from times: fit_times.h says how. */
#include "topo/nccl/fit_times.h"

#include <math.h>
#include <stdlib.h>

#include "topo/log.h"
#include "topo/nccl/fit_numbers.h"

#define PULL       0.01 /* of a logarithm of time that a constant moved by a factor of e may cost, */
#define FIRST_PULL 0.32 /* and at first */
#define MOST_MOVE  3.0  /* of a logarithm, from the start */
#define LEAST      4    /* knots: fewer say nothing of a model */

/* A count of ranks and nodes. */
struct count {
	span_nccl_comm comm;
	int32_t knots;
};

struct knot {
	int32_t count; /* index */
	int32_t coll, algo, proto;
	double bytes;
	double log_us;
};

struct fit {
	struct count *counts;
	int32_t n_counts;
	struct knot *knots; /* by count */
	int32_t n_knots;
	int32_t left_out; /* a count, -1: none */
	bool only;        /* that count alone, not the others */
	span_fit_numbers numbers;
	double *room; /* residuals, x and what least squares take */
};

/* --- knots -------------------------------------------------------------------------------- */

/* The graphs of a profile are those of whole nodes. */
static bool is_described(const span_profile *profile, const span_curve *curve,
                         span_nccl_comm *comm, span_nccl_constants *constants,
                         span_status *status)
{
	const span_number *gpus = span_profile_number(profile, "machine.gpus");

	if (curve->algo < 0 || curve->proto < 0 || curve->ranks < 2 ||
	    (gpus && gpus->value * curve->nodes != curve->ranks))
		return false;
	*status = span_nccl_from_profile(profile, curve->ranks, curve->nodes, comm, constants);
	if (*status == SPAN_EUNSUPPORTED)
		*status = SPAN_OK;
	else if (!*status)
		return true;
	return false;
}

static int32_t find_count(struct fit *fit, const span_nccl_comm *comm)
{
	int32_t i = 0;

	while (i < fit->n_counts && (fit->counts[i].comm.ranks != comm->ranks ||
	                             fit->counts[i].comm.nodes != comm->nodes))
		i++;
	if (i == fit->n_counts)
		fit->counts[fit->n_counts++] = (struct count){ .comm = *comm };
	return i;
}

static int scale_of(const span_nccl_comm *comm)
{
	return comm->nodes > 2 ? 2 : comm->nodes - 1;
}

/* Knots of one curve; the model must have its cell. */
static void add_knots(struct fit *fit, const span_curve *curve, int32_t count,
                      const span_nccl_model *model)
{
	for (int32_t i = 0; i < curve->n_knots; i++) {
		const span_knot *knot = curve->knots + i;

		if (span_nccl_model_us(model, curve->coll, curve->algo, curve->proto,
		                       (uint64_t)knot->bytes, 1) <= 0)
			continue;
		fit->knots[fit->n_knots++] = (struct knot){
			.count = count, .coll = curve->coll, .algo = curve->algo,
			.proto = curve->proto, .bytes = knot->bytes, .log_us = log(knot->us),
		};
		fit->counts[count].knots++;
	}
}

static span_status add_curves(struct fit *fit, const span_profile *profile)
{
	span_status status = SPAN_OK;
	span_nccl_constants constants;
	span_nccl_model model;
	span_nccl_comm comm;

	for (int32_t i = 0; i < span_profile_curves(profile) && !status; i++) {
		const span_curve *curve = span_profile_curve_at(profile, i);

		if (!is_described(profile, curve, &comm, &constants, &status))
			continue;
		if (!fit->n_counts)
			span_fit_numbers_start(&fit->numbers, &constants, &comm);
		status = span_nccl_model_build(&comm, &constants, &model);
		if (!status)
			add_knots(fit, curve, find_count(fit, &comm), &model);
	}
	return status;
}

static int by_count(const void *a, const void *b)
{
	const struct knot *x = a, *y = b;

	return (x->count > y->count) - (x->count < y->count);
}

/* --- residuals ---------------------------------------------------------------------------- */

static bool takes_part(const struct fit *fit, int32_t count)
{
	return fit->left_out < 0 || (count == fit->left_out) == fit->only;
}

/* How far the model's times are off, in logarithms. */
static int deviations(const void *problem, const double *x, double *residuals)
{
	const struct fit *fit = problem;
	span_nccl_constants constants;
	span_nccl_model model;
	int32_t built = -1, n = 0;

	for (int32_t i = 0; i < fit->n_knots; i++) {
		const struct knot *knot = fit->knots + i;
		span_nccl_comm comm = fit->counts[knot->count].comm;

		if (!takes_part(fit, knot->count))
			continue;
		if (knot->count != built) {
			span_fit_numbers_move(&fit->numbers, x, &comm, &constants);
			if (span_nccl_model_build(&comm, &constants, &model))
				return 0;
			built = knot->count;
		}
		residuals[n++] = log(span_nccl_model_us(&model, knot->coll, knot->algo, knot->proto,
		                                        (uint64_t)knot->bytes, 1)) -
		                 knot->log_us;
	}
	return 1;
}

static int32_t count_knots(const struct fit *fit)
{
	int32_t n = 0;

	for (int32_t i = 0; i < fit->n_counts; i++)
		n += takes_part(fit, i) ? fit->counts[i].knots : 0;
	return n;
}

static double square_sum(const double *residuals, int32_t n)
{
	double sum = 0;

	for (int32_t i = 0; i < n; i++)
		sum += residuals[i] * residuals[i];
	return sum;
}

/* --- fits --------------------------------------------------------------------------------- */

/* Fit to the knots that take part: x, and the sum of squares left. False where it cannot be. */
static bool solve(struct fit *fit, double *x, double *left)
{
	double *residuals = fit->room, *after = residuals + fit->n_knots;
	span_least_squares squares = { .residuals = deviations, .problem = fit,
		                       .n = count_knots(fit), .first_pull = FIRST_PULL,
		                       .pull = PULL, .most_move = MOST_MOVE };

	if (!span_fit_numbers_find(&fit->numbers, &squares, residuals, after))
		return false;
	squares.moving = fit->numbers.moving;
	span_least_squares_solve(&squares, x, residuals, after + fit->n_knots);
	*left = square_sum(residuals, squares.n);
	return true;
}

/* Predict each count from the others; the sum of squares of all. */
static bool leave_out(struct fit *fit, double *x, double *left)
{
	double some;

	*left = 0;
	for (fit->left_out = 0; fit->left_out < fit->n_counts; fit->left_out++) {
		fit->only = false;
		if (!solve(fit, x, &some))
			return false;
		fit->only = true;
		if (!deviations(fit, x, fit->room))
			return false;
		*left += square_sum(fit->room, count_knots(fit));
	}
	fit->left_out = -1;
	return true;
}

static double share(double squares, int32_t n)
{
	return expm1(sqrt(squares / n));
}

/* --- into the profile --------------------------------------------------------------------- */

static span_status set(span_profile *profile, const char *name, double value, int32_t source,
                       const span_fit_times_report *report)
{
	return span_profile_set_number(profile, &(span_number){ .name = name, .value = value,
	                                                        .spread = report->residual,
	                                                        .samples = report->knots,
	                                                        .source = source });
}

static span_status set_numbers(const struct fit *fit, const double *x, span_profile *profile,
                               int32_t source, const span_fit_times_report *report)
{
	double spread = report->counts > 1 ? fmax(report->residual, report->held_out) : 1;
	span_nccl_constants constants;
	span_nccl_comm comm = fit->counts[0].comm;
	span_status status = set(profile, "model.spread", spread, source, report);

	span_fit_numbers_move(&fit->numbers, x, &comm, &constants);
	for (int k = 0; k < fit->numbers.moving && !status; k++) {
		int i = fit->numbers.index[k];
		char name[64];

		if (i == SPAN_FIT_PLATEAU) {
			status = set(profile, "model.ring-plateau", comm.plateau, source, report);
		} else if (i == SPAN_FIT_UNCORRECTED) {
			status = set(profile, "model.tree-correction", 1 - comm.uncorrected, source,
			             report);
		} else {
			span_nccl_constant_name(i, name, sizeof(name));
			status = set(profile, name, ((double *)&constants)[i], source, report);
		}
	}
	return status;
}

/* Fit, judge, and say so in the profile. */
static span_status run(struct fit *fit, span_profile *profile, int32_t source,
                       span_fit_times_report *report)
{
	double x[SPAN_FIT_NUMBERS], none[SPAN_FIT_NUMBERS] = { 0 }, left = 0;

	report->knots = fit->n_knots;
	report->counts = fit->n_counts;
	qsort(fit->knots, (size_t)fit->n_knots, sizeof(*fit->knots), by_count);
	fit->left_out = -1;
	if (!deviations(fit, none, fit->room))
		return span_fail(SPAN_EINVAL, "span_fit_times: NCCL's model is not to be had");
	report->before = share(square_sum(fit->room, fit->n_knots), fit->n_knots);
	for (int32_t i = 0; i < fit->n_counts; i++)
		span_fit_numbers_bind(&fit->numbers, &fit->counts[i].comm,
		                      scale_of(&fit->counts[i].comm),
		                      scale_of(&fit->counts[i].comm) + 1);
	if (fit->n_counts > 1 && leave_out(fit, x, &left))
		report->held_out = share(left, fit->n_knots);
	if (!solve(fit, x, &left))
		return span_fail(SPAN_EINVAL, "span_fit_times: NCCL's model is not to be had");
	report->residual = share(left, fit->n_knots);
	report->moved = fit->numbers.moving;
	return set_numbers(fit, x, profile, source, report);
}

span_status span_fit_times(span_profile *profile, int32_t source, span_fit_times_report *report)
{
	struct fit fit = { 0 };
	size_t knots = 0, curves;
	span_status status;

	if (!profile || !report)
		return span_fail(SPAN_EINVAL, "span_fit_times: an argument is NULL");
	*report = (span_fit_times_report){ 0 };
	curves = (size_t)span_profile_curves(profile);
	for (size_t i = 0; i < curves; i++)
		knots += (size_t)span_profile_curve_at(profile, (int32_t)i)->n_knots;
	fit.counts = calloc(curves + 1, sizeof(*fit.counts));
	fit.knots = calloc(knots + 1, sizeof(*fit.knots));
	fit.room = fit.counts && fit.knots
	                   ? calloc(2 * knots + span_least_squares_room((int32_t)knots,
	                                                                SPAN_FIT_NUMBERS),
	                            sizeof(*fit.room))
	                   : NULL;
	status = fit.room ? add_curves(&fit, profile)
	                  : span_fail(SPAN_ENOMEM, "span_fit_times: no memory for %zu knots", knots);
	if (!status && fit.n_knots >= LEAST)
		status = run(&fit, profile, source, report);
	free(fit.counts);
	free(fit.knots);
	free(fit.room);
	return status;
}
