/* Measurements to curves: fit.h says how. */
#include "topo/nccl/fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"

/* Knots are kept until the curve is within this share of the noise of every size; below the
 * least noise, differences are those of the clock's digits. */
#define NOISE_SHARE 0.5
#define LEAST_NOISE 0.004
#define MOST_SIZES  1024 /* of a curve, before thinning */

/* One group of samples on its way to a curve. */
struct group {
	const span_nccl_sample *samples; /* by bytes */
	size_t n;
	span_knot *sizes; /* bytes and median of each */
	int32_t n_sizes;
	double *scratch; /* room for n_samples numbers */
	double noise;
	int noise_known;
};

/* --- statistics --------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Sorts the values. */
static double median(double *values, size_t n)
{
	if (!n)
		return 0;
	qsort(values, n, sizeof(*values), by_value);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* Deviation of repeats around their mean, relative to it; 0 for a single one. */
static double deviation(const double *values, size_t n)
{
	double sum = 0, squares = 0, mean;

	for (size_t i = 0; i < n; i++)
		sum += values[i];
	mean = sum / (double)n;
	for (size_t i = 0; i < n; i++)
		squares += (values[i] - mean) * (values[i] - mean);
	return n > 1 ? sqrt(squares / (double)(n - 1)) / mean : 0;
}

/* --- sizes -------------------------------------------------------------------------------- */

static int by_group(const void *a, const void *b)
{
	const span_nccl_sample *x = a, *y = b;
	const int32_t keys[][2] = { { x->coll, y->coll },
		                    { x->ranks, y->ranks },
		                    { x->nodes, y->nodes },
		                    { x->algo, y->algo },
		                    { x->proto, y->proto } };

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		if (keys[i][0] != keys[i][1])
			return keys[i][0] < keys[i][1] ? -1 : 1;
	}
	return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

static int same_group(const span_nccl_sample *a, const span_nccl_sample *b)
{
	return a->coll == b->coll && a->ranks == b->ranks && a->nodes == b->nodes &&
	       a->algo == b->algo && a->proto == b->proto;
}

/* The next run of samples of equal size from *i on: their times into scratch, how many. */
static size_t next_size(const struct group *group, size_t *i)
{
	uint64_t bytes = group->samples[*i].bytes;
	size_t n = 0;

	for (; *i < group->n && group->samples[*i].bytes == bytes; ++*i)
		group->scratch[n++] = group->samples[*i].us;
	return n;
}

/* Medians of each size, and deviations of those with repeats into `deviations`. */
static size_t take_sizes(struct group *group, double *deviations)
{
	size_t repeated = 0;

	for (size_t i = 0; i < group->n;) {
		span_knot *size = group->sizes + group->n_sizes++;
		size_t n;

		size->bytes = (double)group->samples[i].bytes;
		n = next_size(group, &i);
		if (n > 1)
			deviations[repeated++] = deviation(group->scratch, n);
		size->us = median(group->scratch, n);
	}
	return repeated;
}

/* Without repeats the in-place time is the second measurement of each size. */
static size_t take_in_place(const struct group *group, double *deviations)
{
	size_t n = 0;

	for (size_t i = 0; i < group->n; i++) {
		const double both[] = { group->samples[i].us, group->samples[i].us_in_place };

		if (both[1] > 0)
			deviations[n++] = deviation(both, 2);
	}
	return n;
}

static double noise_of(struct group *group, double *deviations)
{
	size_t n = take_sizes(group, deviations);

	if (!n)
		n = take_in_place(group, deviations);
	group->noise_known = n > 0;
	return n ? median(deviations, n) : SPAN_FIT_UNKNOWN_NOISE;
}

/* --- knots -------------------------------------------------------------------------------- */

/* The largest deviation, between two kept sizes, of the curve through them. Curves know no more
 * than two neighbours. */
static double deviation_between(const span_knot *sizes, int32_t a, int32_t b)
{
	const span_knot ends[] = { sizes[a], sizes[b] };
	const span_curve curve = { .n_knots = 2, .knots = ends };
	double worst = 0;

	for (int32_t i = a + 1; i < b; i++)
		worst = fmax(worst, fabs(span_curve_us(&curve, sizes[i].bytes) / sizes[i].us - 1));
	return worst;
}

/* The farthest size that one piece reaches from size a within tolerance. */
static int32_t reach(const span_knot *sizes, int32_t n, int32_t a, double tolerance)
{
	int32_t b = a + 1;

	while (b + 1 < n && deviation_between(sizes, a, b + 1) <= tolerance)
		b++;
	return b;
}

/* Keep as few sizes as the tolerance allows, first and last included. Returns how many. */
static int32_t thin(const span_knot *sizes, int32_t n, double tolerance, span_knot *knots)
{
	int32_t kept = 0;

	for (int32_t i = 0; i < n; i = reach(sizes, n, i, tolerance)) {
		if (kept == SPAN_PROFILE_MAX_KNOTS)
			return kept + 1;
		knots[kept++] = sizes[i];
		if (i == n - 1)
			break;
	}
	return kept;
}

/* Of very many sizes every second, third, ... is enough to thin further, at bounded cost. */
static void decimate(struct group *group)
{
	int32_t step = (group->n_sizes + MOST_SIZES - 1) / MOST_SIZES, kept = 0;

	for (int32_t i = 0; i < group->n_sizes - 1; i += step)
		group->sizes[kept++] = group->sizes[i];
	group->sizes[kept++] = group->sizes[group->n_sizes - 1];
	group->n_sizes = kept;
}

/* Thin until a profile can hold it: with more tolerance where a log swings more than its noise. */
static int32_t choose_knots(struct group *group, span_knot *knots)
{
	double noise = group->noise_known ? fmax(group->noise, LEAST_NOISE) : LEAST_NOISE;
	double tolerance = NOISE_SHARE * noise;
	int32_t n;

	if (group->n_sizes > MOST_SIZES)
		decimate(group);
	for (;;) {
		n = thin(group->sizes, group->n_sizes, tolerance, knots);
		if (n <= SPAN_PROFILE_MAX_KNOTS)
			return n;
		tolerance *= 2;
	}
}

/* --- how good it is ----------------------------------------------------------------------- */

static double residual_of(const struct group *group, const span_curve *curve)
{
	for (int32_t i = 0; i < group->n_sizes; i++)
		group->scratch[i] = fabs(span_curve_us(curve, group->sizes[i].bytes) /
		                                 group->sizes[i].us -
		                         1);
	return median(group->scratch, (size_t)group->n_sizes);
}

/* What the curve says at a size that it was not shown. */
static double held_out_of(const struct group *group)
{
	const span_knot *sizes = group->sizes;
	int32_t n = group->n_sizes;

	if (n < 4)
		return 0;
	for (int32_t i = 1; i + 1 < n; i++) {
		const span_knot ends[] = { sizes[i - 1], sizes[i + 1] };
		const span_curve curve = { .n_knots = 2, .knots = ends };

		group->scratch[i - 1] = fabs(span_curve_us(&curve, sizes[i].bytes) / sizes[i].us - 1);
	}
	return median(group->scratch, (size_t)n - 2);
}

static span_status fit_group(struct group *group, int32_t source, span_profile *profile,
                             span_fit_curve *report)
{
	const span_nccl_sample *first = group->samples;
	double *deviations = calloc(group->n, sizeof(*deviations));
	span_knot knots[SPAN_PROFILE_MAX_KNOTS];
	span_curve curve = { .coll = first->coll,
		             .algo = first->algo,
		             .proto = first->proto,
		             .ranks = first->ranks,
		             .nodes = first->nodes,
		             .samples = (int32_t)group->n,
		             .source = source,
		             .knots = knots };

	if (!deviations)
		return span_fail(SPAN_ENOMEM, "span_fit: no memory for %zu samples", group->n);
	group->noise = noise_of(group, deviations);
	free(deviations);
	curve.n_knots = choose_knots(group, knots);
	*report = (span_fit_curve){ .coll = first->coll,
		                    .algo = first->algo,
		                    .proto = first->proto,
		                    .ranks = first->ranks,
		                    .nodes = first->nodes,
		                    .samples = (int32_t)group->n,
		                    .sizes = group->n_sizes,
		                    .knots = curve.n_knots,
		                    .noise = group->noise,
		                    .residual = residual_of(group, &curve),
		                    .held_out = held_out_of(group) };
	curve.spread = hypot(report->noise, report->residual);
	return span_profile_add_curve(profile, &curve);
}

/* --- all groups --------------------------------------------------------------------------- */

static int usable(const span_nccl_sample *sample)
{
	return sample->coll >= 0 && sample->ranks > 0 && sample->nodes > 0;
}

/* Algorithms of one protocol have it, whether or not the log says so. */
static int only_simple(int algo)
{
	return algo >= SPAN_ALGO_COLLNET_DIRECT;
}

/* Move the usable samples to the front; how many. */
static size_t sift(span_nccl_sample *samples, size_t n, span_fit_report *report)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		if (only_simple(samples[i].algo))
			samples[i].proto = SPAN_PROTO_SIMPLE;
		if (usable(samples + i))
			samples[kept++] = samples[i];
		else if (samples[i].coll < 0)
			report->other++;
		else
			report->unplaced++;
	}
	return kept;
}

static span_status fit_all(span_nccl_sample *samples, size_t n, int32_t source,
                           span_profile *profile, span_fit_report *report)
{
	struct group group = { .sizes = malloc(n * sizeof(*group.sizes)),
		               .scratch = malloc(n * sizeof(*group.scratch)) };
	span_status status = SPAN_OK;
	int32_t room = 0;

	for (size_t i = 0; i < n; i++)
		room += !i || !same_group(samples + i - 1, samples + i);
	report->curves = calloc((size_t)room, sizeof(*report->curves));
	if (!group.sizes || !group.scratch || !report->curves)
		status = span_fail(SPAN_ENOMEM, "span_fit: no memory for %zu samples", n);
	for (size_t i = 0; i < n && !status; i += group.n) {
		group.samples = samples + i;
		group.n_sizes = 0;
		for (group.n = 1; i + group.n < n && same_group(samples + i, samples + i + group.n);)
			group.n++;
		status = fit_group(&group, source, profile, report->curves + report->n++);
	}
	free(group.sizes);
	free(group.scratch);
	return status;
}

span_status span_fit(span_nccl_sample *samples, size_t n, int32_t source, span_profile *profile,
                     span_fit_report *report)
{
	span_status status;

	if (!samples || !profile || !report)
		return span_fail(SPAN_EINVAL, "span_fit: an argument is NULL");
	memset(report, 0, sizeof(*report));
	n = sift(samples, n, report);
	if (!n)
		return span_fail(SPAN_EINVAL,
		                 "span_fit: no usable sample: %zu of collectives that NCCL does not "
		                 "tune, %zu of unknown ranks or nodes",
		                 report->other, report->unplaced);
	qsort(samples, n, sizeof(*samples), by_group);
	status = fit_all(samples, n, source, profile, report);
	if (status)
		span_fit_report_free(report);
	return status;
}

void span_fit_report_free(span_fit_report *report)
{
	if (!report)
		return;
	free(report->curves);
	memset(report, 0, sizeof(*report));
}

/* --- choosing ----------------------------------------------------------------------------- */

static int covers(const span_curve *curve, double bytes)
{
	return bytes >= curve->knots[0].bytes && bytes <= curve->knots[curve->n_knots - 1].bytes;
}

/* How much faster a curve must be than another to be taken for it. */
#define CERTAIN 2.0

static int beats(const span_curve *curve, const span_curve *standing, double bytes)
{
	double margin = 1 + CERTAIN * hypot(curve->spread, standing->spread);

	return span_curve_us(curve, bytes) * margin < span_curve_us(standing, bytes);
}

int32_t span_fit_choose(const span_profile *profile, int32_t coll, int32_t ranks, int32_t nodes,
                        double bytes, int32_t standing)
{
	const span_curve *there = span_profile_curve_at(profile, standing);
	int32_t best = standing;
	double fastest = HUGE_VAL;

	for (int32_t i = 0; i < span_profile_curves(profile); i++) {
		const span_curve *curve = span_profile_curve_at(profile, i);
		double us;

		if (curve->coll != coll || curve->ranks != ranks || curve->nodes != nodes ||
		    curve->algo == SPAN_ALGO_ANY || !covers(curve, bytes) || i == standing)
			continue;
		us = span_curve_us(curve, bytes);
		if (us < fastest && (!there || beats(curve, there, bytes))) {
			fastest = us;
			best = i;
		}
	}
	return best;
}
