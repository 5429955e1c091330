#include "topo/nccl/least_squares.h"

#include <math.h>
#include <string.h>

#define ROUNDS 80
#define STEP   1e-3 /* for derivatives */

static double cost(const span_least_squares *squares, double pull, const double *x,
                   const double *residuals)
{
	double sum = 0;

	for (int32_t i = 0; i < squares->n; i++)
		sum += residuals[i] * residuals[i];
	for (int k = 0; k < squares->moving; k++)
		sum += pull * pull * x[k] * x[k];
	return sum;
}

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
	double *normal, *gradient;   /* [moving][moving]; [moving], or [n] for a while */
	double pull;                 /* as it is now */
};

static int fill_jacobian(const span_least_squares *squares, struct work *work)
{
	for (int k = 0; k < squares->moving; k++) {
		double *up = work->shifted, *down = work->gradient; /* n numbers each */

		memcpy(work->moved, work->x, (size_t)squares->moving * sizeof(double));
		work->moved[k] = work->x[k] + STEP;
		if (!squares->residuals(squares->problem, work->moved, up))
			return 0;
		work->moved[k] = work->x[k] - STEP;
		if (!squares->residuals(squares->problem, work->moved, down))
			return 0;
		for (int32_t i = 0; i < squares->n; i++)
			work->jacobian[i * squares->moving + k] = (up[i] - down[i]) / (2 * STEP);
	}
	return 1;
}

/* One step with damping; x moved into work->moved. */
static int step(const span_least_squares *squares, struct work *work, double damping)
{
	int m = squares->moving;
	double pull = work->pull * work->pull;

	memset(work->normal, 0, (size_t)m * (size_t)m * sizeof(double));
	for (int k = 0; k < m; k++)
		work->gradient[k] = -pull * work->x[k];
	for (int32_t i = 0; i < squares->n; i++) {
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
		work->moved[k] = fmax(-squares->most_move,
		                      fmin(squares->most_move, work->x[k] + work->gradient[k]));
	return 1;
}

static void iterate(const span_least_squares *squares, struct work *work)
{
	double damping = 0.1, now, then;

	if (!squares->residuals(squares->problem, work->x, work->residuals))
		return;
	now = cost(squares, work->pull, work->x, work->residuals);
	for (int round = 0; round < ROUNDS && damping < 1e6; round++) {
		if (!fill_jacobian(squares, work))
			return;
		for (then = HUGE_VAL; damping < 1e6; damping *= 4) {
			if (!step(squares, work, damping) ||
			    !squares->residuals(squares->problem, work->moved, work->shifted))
				continue;
			then = cost(squares, work->pull, work->moved, work->shifted);
			if (then < now)
				break;
		}
		if (!(then < now))
			return;
		memcpy(work->x, work->moved, (size_t)squares->moving * sizeof(double));
		memcpy(work->residuals, work->shifted, (size_t)squares->n * sizeof(double));
		if (now - then < 1e-9 * now)
			return;
		now = then;
		damping /= 8;
	}
}

static double *take(double **room, size_t n)
{
	double *taken = *room;

	*room += n;
	return taken;
}

size_t span_least_squares_room(int32_t n, int moving)
{
	size_t residuals = (size_t)n, numbers = (size_t)moving;

	return numbers * (residuals + numbers) + 2 * numbers + 2 * residuals;
}

void span_least_squares_solve(const span_least_squares *squares, double *x, double *residuals,
                              double *room)
{
	size_t n = (size_t)squares->n, m = (size_t)squares->moving;
	struct work work = { .x = x, .residuals = residuals };

	work.moved = take(&room, m);
	work.shifted = take(&room, n);
	work.jacobian = take(&room, n * m);
	work.normal = take(&room, m * m);
	work.gradient = take(&room, n > m ? n : m);
	memset(x, 0, m * sizeof(double));
	for (work.pull = squares->first_pull; work.pull > 0.99 * squares->pull; work.pull /= 2)
		iterate(squares, &work);
	squares->residuals(squares->problem, x, residuals);
}
