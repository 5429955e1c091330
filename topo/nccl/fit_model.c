/* Constants from borders: fit_model.h says how. */
#include "topo/nccl/fit_model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"

#define PULL       0.1 /* octaves that a constant moved by a factor of e may cost, at last, */
#define FIRST_PULL 1.6 /* and at first */
#define ROUNDS     80
#define STEP       1e-3 /* of a logarithm, for derivatives */
#define LEAST_RISE 0.02 /* of the ratio of times in an octave: flatter borders are this flat */
#define BOUND_RISE 0.2  /* what a bound takes for that rise, so that it is worth octaves too */
#define FAR        6.0  /* octaves: a border farther off pulls no harder */
#define MOST_MOVE  3.0  /* of a logarithm, from the default */

/* What moves: the constants that any border depends on. */
struct fit {
	const span_nccl_comm *comm;
	const span_border *borders; /* by ranks, then nodes */
	int32_t n;
	span_nccl_constants start;
	int index[sizeof(span_nccl_constants) / sizeof(double) + 2];
	int moving;
	double pull; /* towards the start: falls from FIRST_PULL to PULL */
};

/* Numbers that may move: the constants, then the plateau of rings and what trees lack of their
 * correction. The latter moves by addition from none, the others by factors. */
enum {
	CONSTANTS = sizeof(span_nccl_constants) / sizeof(double),
	PLATEAU = CONSTANTS,
	UNCORRECTED,
	NUMBERS
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

/* --- residuals ---------------------------------------------------------------------------- */

/* Constants and machine with numbers moved by x. */
static void move(const struct fit *fit, const double *x, span_nccl_comm *comm,
                 span_nccl_constants *constants)
{
	*constants = fit->start;
	for (int k = 0; k < fit->moving; k++) {
		int i = fit->index[k];

		if (i == PLATEAU)
			comm->plateau = fit->comm->plateau * exp(x[k]);
		else if (i == UNCORRECTED)
			comm->uncorrected = fmax(0, fmin(1, fit->comm->uncorrected + x[k]));
		else
			((double *)constants)[i] *= exp(x[k]);
	}
}

/* Misses of all borders with constants moved by x (logarithms). */
static int misses(const struct fit *fit, const double *x, double *residuals)
{
	span_nccl_constants constants;
	span_nccl_comm comm = *fit->comm;
	span_nccl_model model;

	move(fit, x, &comm, &constants);
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

static double cost(const struct fit *fit, const double *x, const double *residuals)
{
	double sum = 0;

	for (int32_t i = 0; i < fit->n; i++)
		sum += residuals[i] * residuals[i];
	for (int k = 0; k < fit->moving; k++)
		sum += fit->pull * fit->pull * x[k] * x[k];
	return sum;
}

/* A cap that does not bind has no slope: caps start where they just bind for this machine. */
static void start_caps(const span_nccl_comm *comm, span_nccl_constants *constants)
{
	double *caps[] = { &constants->ring_ll128_max[0][0], &constants->tree_ll128_max[0][0],
		           &constants->tree_max[0][0], &constants->nvls_tree_max[0][0] };
	const double binds[] = { 0.92 * comm->ring.bw_inter, 0.92 * 0.9375 * comm->tree.bw_inter,
		                 0.92 * comm->tree.bw_inter, comm->nvls_graph.bw_inter };

	for (int table = 0; table < 4; table++) {
		for (int i = 0; i < SPAN_GPUS * SPAN_SCALES; i++)
			caps[table][i] = fmin(caps[table][i], 0.99 * binds[table]);
	}
}

/* Find the constants that some border depends on. */
static int find_moving(struct fit *fit, double *before, double *after)
{
	double x = 10 * STEP, nothing = 0;
	struct fit one = *fit;

	one.moving = 1;
	for (int c = 0; c < NUMBERS; c++) {
		int changes = 0;

		one.index[0] = c;
		if (!misses(&one, &nothing, before) || !misses(&one, &x, after))
			return 0;
		for (int32_t i = 0; i < fit->n; i++)
			changes |= before[i] != after[i];
		x = -x;
		if (!misses(&one, &x, after))
			return 0;
		for (int32_t i = 0; i < fit->n; i++)
			changes |= before[i] != after[i];
		if (changes)
			fit->index[fit->moving++] = c;
	}
	return 1;
}

/* --- least squares ------------------------------------------------------------------------ */

/* Solve a x = b in place, a symmetric and positive definite, [n][n]. 0 if it is not. */
static int solve(double *a, double *b, int n)
{
	for (int j = 0; j < n; j++) {
		for (int i = j; i < n; i++) {
			double sum = a[i * n + j];

			for (int k = 0; k < j; k++)
				sum -= a[i * n + k] * a[j * n + k];
			if (i == j && sum <= 0)
				return 0;
			a[i * n + j] = i == j ? sqrt(sum) : sum / a[j * n + j];
		}
	}
	for (int i = 0; i < n; i++) {
		for (int k = 0; k < i; k++)
			b[i] -= a[i * n + k] * b[k];
		b[i] /= a[i * n + i];
	}
	for (int i = n - 1; i >= 0; i--) {
		for (int k = i + 1; k < n; k++)
			b[i] -= a[k * n + i] * b[k];
		b[i] /= a[i * n + i];
	}
	return 1;
}

/* Room of the iteration. */
struct work {
	double *x, *moved;           /* [moving] */
	double *residuals, *shifted; /* [n] */
	double *jacobian;            /* [n][moving] */
	double *normal, *gradient;   /* [moving][moving], [moving] */
};

static int fill_jacobian(const struct fit *fit, struct work *work)
{
	for (int k = 0; k < fit->moving; k++) {
		double *up = work->shifted, *down = work->gradient; /* n numbers each */

		memcpy(work->moved, work->x, (size_t)fit->moving * sizeof(double));
		work->moved[k] = work->x[k] + STEP;
		if (!misses(fit, work->moved, up))
			return 0;
		work->moved[k] = work->x[k] - STEP;
		if (!misses(fit, work->moved, down))
			return 0;
		for (int32_t i = 0; i < fit->n; i++)
			work->jacobian[i * fit->moving + k] = (up[i] - down[i]) / (2 * STEP);
	}
	return 1;
}

/* One step with damping; x moved into work->moved. */
static int step(const struct fit *fit, struct work *work, double damping)
{
	int m = fit->moving;
	double pull = fit->pull * fit->pull;

	memset(work->normal, 0, (size_t)m * (size_t)m * sizeof(double));
	for (int k = 0; k < m; k++)
		work->gradient[k] = -pull * work->x[k];
	for (int32_t i = 0; i < fit->n; i++) {
		const double *row = work->jacobian + i * m;

		for (int k = 0; k < m; k++) {
			work->gradient[k] -= row[k] * work->residuals[i];
			for (int l = 0; l < m; l++)
				work->normal[k * m + l] += row[k] * row[l];
		}
	}
	for (int k = 0; k < m; k++)
		work->normal[k * m + k] += pull + damping * (work->normal[k * m + k] + 1e-6);
	if (!solve(work->normal, work->gradient, m))
		return 0;
	for (int k = 0; k < m; k++)
		work->moved[k] = fmax(-MOST_MOVE, fmin(MOST_MOVE, work->x[k] + work->gradient[k]));
	return 1;
}

static void iterate(const struct fit *fit, struct work *work)
{
	double damping = 0.1, now, then;

	if (!misses(fit, work->x, work->residuals))
		return;
	now = cost(fit, work->x, work->residuals);
	for (int round = 0; round < ROUNDS && damping < 1e6; round++) {
		if (!fill_jacobian(fit, work))
			return;
		for (then = HUGE_VAL; damping < 1e6; damping *= 4) {
			if (!step(fit, work, damping) || !misses(fit, work->moved, work->shifted))
				continue;
			then = cost(fit, work->moved, work->shifted);
			if (then < now)
				break;
		}
		if (!(then < now))
			return;
		memcpy(work->x, work->moved, (size_t)fit->moving * sizeof(double));
		memcpy(work->residuals, work->shifted, (size_t)fit->n * sizeof(double));
		if (now - then < 1e-9 * now)
			return;
		now = then;
		damping /= 8;
	}
}

/* Borders have many local minima. A strong pull leaves few; as it halves, the iteration follows
 * the minimum nearest to the defaults instead of any that the first steps run into. */
static void loosen(struct fit *fit, struct work *work)
{
	for (fit->pull = FIRST_PULL; fit->pull > 0.99 * PULL; fit->pull /= 2)
		iterate(fit, work);
}

static double *take(double **room, size_t n)
{
	double *taken = *room;

	*room += n;
	return taken;
}

static void run(struct fit *fit, double *room, span_nccl_comm *comm,
                span_nccl_constants *constants, double *octaves)
{
	size_t n = (size_t)fit->n, m = (size_t)fit->moving, most = n > m ? n : m;
	struct work work;
	double sum = 0;
	int borders = 0;

	work.x = take(&room, m);
	work.moved = take(&room, m);
	work.residuals = take(&room, n);
	work.shifted = take(&room, n);
	work.jacobian = take(&room, n * m);
	work.normal = take(&room, m * m);
	work.gradient = take(&room, most);
	memset(work.x, 0, m * sizeof(double));
	loosen(fit, &work);
	misses(fit, work.x, work.residuals);
	for (size_t i = 0; i < n; i++) {
		if (fit->borders[i].bound)
			continue;
		sum += work.residuals[i] * work.residuals[i];
		borders++;
	}
	*octaves = borders ? sqrt(sum / borders) : 0;
	move(fit, work.x, comm, constants);
}

static int by_ranks(const void *a, const void *b)
{
	const span_border *x = a, *y = b;

	return x->ranks != y->ranks ? (x->ranks < y->ranks ? -1 : 1) : x->nodes - y->nodes;
}

span_status span_fit_borders(span_nccl_comm *comm, span_border *borders, int32_t n,
                             span_nccl_constants *constants, double *octaves)
{
	span_nccl_comm start;
	struct fit fit = { .comm = &start, .borders = borders, .n = n };
	size_t most = (size_t)(n > 0 ? n : 0) + NUMBERS;
	double *room;
	span_status status = SPAN_OK;

	if (!comm || !borders || n < 1 || n > 100000 || !constants || !octaves)
		return span_fail(SPAN_EINVAL,
		                 "span_fit_borders: %d borders, or an argument is NULL", n);
	qsort(borders, (size_t)n, sizeof(*borders), by_ranks);
	start = *comm;
	if (start.plateau <= 0)
		start.plateau = start.cc_min < 80 ? 1.9 : 1.4;
	start.uncorrected = fmax(start.uncorrected, 0.02); /* off its end, to move either way */
	room = calloc(NUMBERS * ((size_t)n + NUMBERS) + 6 * most, sizeof(*room));
	if (!room)
		return span_fail(SPAN_ENOMEM, "span_fit_borders: no memory for %d borders", n);
	fit.start = span_nccl_defaults;
	start_caps(comm, &fit.start);
	if (find_moving(&fit, room, room + n))
		run(&fit, room, comm, constants, octaves);
	else
		status = span_fail(SPAN_EINVAL, "span_fit_borders: a border is between cells that the "
		                                "machine does not have");
	free(room);
	return status;
}
