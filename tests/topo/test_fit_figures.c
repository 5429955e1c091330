/* The figures that fitting has to reach, on published logs.
 *
 * Held-out sizes: of the sorted sizes of a machine and collective 8 at even ranks are fitted
 * (out of place, median over repeats), the others predicted. Log-log interpolation of the same
 * 8 is the rival, the scatter of repeats the floor.
 * Choices: where several algorithms were measured, odd repeats are fitted, even ones judge. */
#include "topo/nccl/fit.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/topo/log_capture.h"

#define LOGS SPAN_TEST_DATA "/nccl-tests/"

static void append_log(const char *file, const span_nccl_log_options *options,
                       span_nccl_sample **samples, size_t *n)
{
	char path[4096];
	span_nccl_log log;
	FILE *opened;

	snprintf(path, sizeof(path), LOGS "%s", file);
	opened = fopen(path, "r");
	cr_assert(opened, "%s", path);
	log_capture();
	cr_assert_eq(span_nccl_log_read(opened, path, options, &log), SPAN_OK, "%s", log_captured());
	fclose(opened);
	*samples = realloc(*samples, (*n + log.n) * sizeof(**samples));
	memcpy(*samples + *n, log.samples, log.n * sizeof(**samples));
	*n += log.n;
	span_nccl_log_free(&log);
}

/* --- sizes held out ----------------------------------------------------------------------- */

#define FITTED    8
#define MAX_SIZES 64

struct errors {
	double ours[1024], rival[1024], noise[8192];
	size_t n, n_noise;
};

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *values, size_t n)
{
	qsort(values, n, sizeof(*values), by_value);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static int by_bytes(const void *a, const void *b)
{
	uint64_t x = ((const span_nccl_sample *)a)->bytes, y = ((const span_nccl_sample *)b)->bytes;

	return x < y ? -1 : x > y;
}

/* Sizes and medians; the scatter of each repeat around its median goes to the floor. */
static int32_t take_medians(span_nccl_sample *samples, size_t n, span_knot *sizes,
                            struct errors *errors)
{
	int32_t n_sizes = 0;

	qsort(samples, n, sizeof(*samples), by_bytes);
	for (size_t i = 0, k; i < n; i = k) {
		double times[64];

		for (k = i; k < n && samples[k].bytes == samples[i].bytes; k++) {
			cr_assert_lt(k - i, 64);
			times[k - i] = samples[k].us;
		}
		cr_assert_lt(n_sizes, MAX_SIZES);
		sizes[n_sizes].bytes = (double)samples[i].bytes;
		sizes[n_sizes].us = median(times, k - i);
		for (size_t r = 0; k - i > 1 && r < k - i; r++)
			errors->noise[errors->n_noise++] =
				fabs(times[r] / sizes[n_sizes].us - 1);
		n_sizes++;
	}
	return n_sizes;
}

static int is_fitted(int32_t i, int32_t n)
{
	for (int k = 0; k < FITTED; k++) {
		if (i == (int32_t)floor(k * (n - 1) / (FITTED - 1.0) + 0.5))
			return 1;
	}
	return 0;
}

static double log_log(const span_knot *knots, int32_t n, double bytes)
{
	int32_t i = 0;
	double share;

	while (i + 2 < n && bytes > knots[i + 1].bytes)
		i++;
	share = log(bytes / knots[i].bytes) / log(knots[i + 1].bytes / knots[i].bytes);
	return knots[i].us * pow(knots[i + 1].us / knots[i].us, share);
}

static span_profile *fit_knots(const span_knot *knots, int32_t n)
{
	span_nccl_sample samples[FITTED];
	span_fit_report report;
	span_profile *profile;
	int32_t source;

	for (int32_t i = 0; i < n; i++)
		samples[i] = (span_nccl_sample){ .coll = SPAN_COLL_ALL_REDUCE,
			                         .algo = -1,
			                         .proto = -1,
			                         .ranks = 8,
			                         .nodes = 1,
			                         .bytes = (uint64_t)knots[i].bytes,
			                         .us = knots[i].us };
	cr_assert_eq(span_profile_create("figures", &profile), SPAN_OK);
	cr_assert_eq(span_profile_add_source(profile, "a log", &source), SPAN_OK);
	cr_assert_eq(span_fit(samples, (size_t)n, source, profile, &report), SPAN_OK, "%s",
	             log_captured());
	span_fit_report_free(&report);
	return profile;
}

/* One machine and collective, whose log may come in two files. */
static void judge_log(const char *file, const char *more, struct errors *errors)
{
	const span_nccl_log_options options = { -1, -1, -1, 0, 0 };
	span_nccl_sample *samples = NULL;
	span_knot sizes[MAX_SIZES], fitted[FITTED];
	int32_t n_sizes, n_fitted = 0;
	span_profile *profile;
	size_t n = 0;

	append_log(file, &options, &samples, &n);
	if (more)
		append_log(more, &options, &samples, &n);
	n_sizes = take_medians(samples, n, sizes, errors);
	free(samples);
	for (int32_t i = 0; i < n_sizes; i++) {
		if (is_fitted(i, n_sizes))
			fitted[n_fitted++] = sizes[i];
	}
	cr_assert_eq(n_fitted, FITTED);
	profile = fit_knots(fitted, n_fitted);
	for (int32_t i = 0; i < n_sizes; i++) {
		double ours = span_curve_us(span_profile_curve_at(profile, 0), sizes[i].bytes);

		if (is_fitted(i, n_sizes))
			continue;
		errors->ours[errors->n] = fabs(ours / sizes[i].us - 1);
		errors->rival[errors->n++] =
			fabs(log_log(fitted, n_fitted, sizes[i].bytes) / sizes[i].us - 1);
	}
	span_profile_free(profile);
}

static void judge_family(const char *name, struct errors *errors)
{
	double ours = median(errors->ours, errors->n), rival = median(errors->rival, errors->n);

	fprintf(stderr, "fit: %s: %zu sizes held out, median error %.2f%%, of log-log %.2f%%", name,
	        errors->n, 100 * ours, 100 * rival);
	if (errors->n_noise)
		fprintf(stderr, ", scatter of repeats %.2f%%\n",
		        100 * median(errors->noise, errors->n_noise));
	else
		fprintf(stderr, ", no repeats\n");
	cr_assert_leq(ours, 0.05, "%s", name);
	cr_assert_lt(ours, rival, "%s", name);
}

Test(fit_figures, superbench_sizes_held_out_are_predicted_within_5_percent)
{
	const char *const colls[] = { "allgather", "allreduce", "alltoall",
		                      "broadcast", "reduce", "reducescatter" };
	static struct errors errors;
	char file[128];

	for (int i = 0; i < 6; i++) {
		snprintf(file, sizeof(file), "superbench_a100x8_%s.txt", colls[i]);
		judge_log(file, NULL, &errors);
	}
	judge_family("superbench", &errors);
}

Test(fit_figures, abci2_sizes_held_out_are_predicted_within_5_percent)
{
	const char *const files[] = {
		"allreduce_inter_vnode_job02.7194532",
		"allreduce_inter_vnode_job04.7194533",
		"allreduce_inter_vnode_job08.7194534",
		"allreduce_inter_vnode_job16.7194535",
		"allreduce_inter_vnode_job32.7194536",
		"allreduce_intra_vnode_job04.7280532",
		"bcast_inter_vnode_job02.7194895",
		"bcast_inter_vnode_job04.7194910",
		"bcast_inter_vnode_job08.7194913",
		"bcast_inter_vnode_job16.7194914",
		"bcast_inter_vnode_job32.7194916",
		"bcast_intra_vnode_job04.7280568",
	};
	static struct errors errors;
	char file[128];

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		snprintf(file, sizeof(file), "abci2_%s.txt", files[i]);
		judge_log(file, NULL, &errors);
	}
	judge_family("abci2", &errors);
}

Test(fit_figures, panlichen_sizes_held_out_are_predicted_within_5_percent)
{
	const char *const machines[] = { "4090_2card_para", "4090_8card_lc", "4090_8card_para",
		                         "a100_8card" };
	const char *const colls[] = { "all_gather", "all_reduce", "broadcast", "reduce",
		                      "reduce_scatter" };
	static struct errors errors;
	char file[128], more[128];

	for (int m = 0; m < 4; m++) {
		for (int i = 0; i < 5; i++) {
			snprintf(file, sizeof(file), "panlichen_%s_%s.txt", machines[m], colls[i]);
			snprintf(more, sizeof(more), "panlichen_%s_2G4G_%s.txt", machines[m],
			         colls[i]);
			judge_log(file, m == 3 ? more : NULL, &errors);
		}
	}
	judge_family("panlichen", &errors);
}

/* --- choices ------------------------------------------------------------------------------ */

/* The k-th measurement of the same ranks, size, algorithm and protocol, counted from 1. */
static int repeat_of(const span_nccl_sample *samples, size_t i)
{
	int repeat = 1;

	for (size_t k = 0; k < i; k++)
		repeat += samples[k].ranks == samples[i].ranks &&
		          samples[k].bytes == samples[i].bytes &&
		          samples[k].algo == samples[i].algo && samples[k].proto == samples[i].proto;
	return repeat;
}

/* The median time of a curve's cell at a size, of repeats of one parity where there are any of
 * it, else of all. */
static double judged_us(const span_nccl_sample *samples, const int *repeats, size_t n,
                        const span_curve *curve, uint64_t bytes)
{
	double even[64], all[64];
	size_t n_even = 0, n_all = 0;

	for (size_t i = 0; i < n; i++) {
		if (samples[i].ranks != curve->ranks || samples[i].bytes != bytes ||
		    samples[i].algo != curve->algo || samples[i].proto != curve->proto)
			continue;
		all[n_all++] = samples[i].us;
		if (repeats[i] % 2 == 0)
			even[n_even++] = samples[i].us;
	}
	cr_assert(n_all > 0 && n_all < 64);
	return n_even ? median(even, n_even) : median(all, n_all);
}

#define MOST_SAMPLES 512

struct choices {
	span_nccl_sample samples[MOST_SAMPLES];
	int repeats[MOST_SAMPLES];
	size_t n;
	span_profile *profile;
	int points, better;
	double worst, gained;
};

static void fit_odd(struct choices *choices)
{
	span_nccl_sample *odd = malloc(choices->n * sizeof(*odd));
	span_fit_report report;
	int32_t source;
	size_t n = 0;

	for (size_t i = 0; i < choices->n; i++) {
		choices->repeats[i] = repeat_of(choices->samples, i);
		if (choices->repeats[i] % 2)
			odd[n++] = choices->samples[i];
	}
	cr_assert_eq(span_profile_create("choices", &choices->profile), SPAN_OK);
	cr_assert_eq(span_profile_add_source(choices->profile, "logs", &source), SPAN_OK);
	cr_assert_eq(span_fit(odd, n, source, choices->profile, &report), SPAN_OK);
	for (int32_t i = 0; i < report.n; i++)
		fprintf(stderr, "fit: choices: %d ranks %s/%s: noise %.2f%%, %d of %d sizes kept\n",
		        report.curves[i].ranks, span_algo_name(report.curves[i].algo),
		        span_proto_name(report.curves[i].proto), 100 * report.curves[i].noise,
		        report.curves[i].knots, report.curves[i].sizes);
	span_fit_report_free(&report);
	free(odd);
}

/* The curve of what NCCL chooses by itself: Ring/Simple at these sizes, as its own lines of the
 * "auto" logs say. */
static int32_t standing_of(const span_profile *profile, int32_t ranks)
{
	for (int32_t i = 0; i < span_profile_curves(profile); i++) {
		const span_curve *curve = span_profile_curve_at(profile, i);

		if (curve->ranks == ranks && curve->algo == SPAN_ALGO_RING &&
		    curve->proto == SPAN_PROTO_SIMPLE)
			return i;
	}
	cr_assert_fail("no curve of the default");
	return -1;
}

static void judge_choice(struct choices *choices, int32_t ranks, uint64_t bytes)
{
	int32_t standing = standing_of(choices->profile, ranks);
	int32_t chosen = span_fit_choose(choices->profile, SPAN_COLL_ALL_REDUCE, ranks, 1,
	                                 (double)bytes, standing);
	const span_curve *ours = span_profile_curve_at(choices->profile, chosen);
	const span_curve *theirs = span_profile_curve_at(choices->profile, standing);
	double us = judged_us(choices->samples, choices->repeats, choices->n, ours, bytes);
	double default_us = judged_us(choices->samples, choices->repeats, choices->n, theirs, bytes);
	double loss = us / default_us - 1, noise = hypot(ours->spread, theirs->spread);

	choices->points++;
	choices->better += chosen != standing;
	choices->worst = fmax(choices->worst, loss);
	choices->gained = fmax(choices->gained, -loss);
	cr_assert_leq(loss, noise, "%d ranks, %llu bytes: %s/%s loses %.2f%%", ranks,
	              (unsigned long long)bytes, span_algo_name(ours->algo),
	              span_proto_name(ours->proto), 100 * loss);
	if (ranks == 4)
		cr_assert(ours->algo == SPAN_ALGO_NVLS && loss < -0.02,
		          "4 ranks, %llu bytes: %s/%s, %.2f%%", (unsigned long long)bytes,
		          span_algo_name(ours->algo), span_proto_name(ours->proto), 100 * loss);
}

Test(fit_figures, choices_are_never_slower_than_nccl_and_take_nvls_on_four_h100)
{
	const char *const files[] = { "g2_NVLS", "g2_Ring", "g2_auto",
		                      "g4_NVLS", "g4_Ring", "g4_auto" };
	const span_nccl_log_options sweep = { SPAN_COLL_ALL_REDUCE, -1, -1, 4, 1 };
	const span_nccl_log_options nothing = { -1, -1, -1, 0, 0 };
	static struct choices choices;
	span_nccl_sample *samples = NULL;
	char file[128];

	for (int i = 0; i < 6; i++) {
		snprintf(file, sizeof(file), "wayne_h100_scaling_attributed_%s.txt", files[i]);
		append_log(file, &nothing, &samples, &choices.n);
	}
	append_log("wayne_h100_algo_sweep.txt", &sweep, &samples, &choices.n);
	cr_assert_leq(choices.n, MOST_SAMPLES);
	for (size_t i = 0; i < choices.n; i++) {
		if (samples[i].algo == SPAN_ALGO_NVLS)
			samples[i].proto = SPAN_PROTO_SIMPLE;
		choices.samples[i] = samples[i];
	}
	free(samples);
	fit_odd(&choices);
	for (uint64_t bytes = 1ull << 28; bytes <= 1ull << 33; bytes *= 2) {
		judge_choice(&choices, 2, bytes);
		judge_choice(&choices, 4, bytes);
	}
	fprintf(stderr,
	        "fit: choices: %d measured points, another algorithm at %d; at worst %+.2f%%, at "
	        "best -%.2f%% of NCCL's default\n",
	        choices.points, choices.better, 100 * choices.worst, 100 * choices.gained);
	cr_assert_eq(choices.better, 6);
	span_profile_free(choices.profile);
}
