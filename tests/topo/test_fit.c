/* Fitting: what becomes of repeats, noise, sizes and groups. */
#include "topo/nccl/fit.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/topo/log_capture.h"

static span_profile *empty(void)
{
	span_profile *profile;
	int32_t source;

	log_capture();
	cr_assert_eq(span_profile_create("fit", &profile), SPAN_OK);
	cr_assert_eq(span_profile_add_source(profile, "made up", &source), SPAN_OK);
	return profile;
}

static span_nccl_sample sample(int algo, int proto, uint64_t bytes, double us)
{
	return (span_nccl_sample){ .coll = SPAN_COLL_ALL_REDUCE,
		                   .algo = algo,
		                   .proto = proto,
		                   .ranks = 8,
		                   .nodes = 2,
		                   .bytes = bytes,
		                   .us = us };
}

static span_status fit(span_nccl_sample *samples, size_t n, span_profile *profile,
                       span_fit_curve *first)
{
	span_fit_report report;
	span_status status = span_fit(samples, n, 0, profile, &report);

	if (!status) {
		*first = report.curves[0];
		span_fit_report_free(&report);
	}
	return status;
}

Test(fit, repeats_become_their_median_and_their_scatter_is_the_noise)
{
	span_nccl_sample samples[] = {
		sample(-1, -1, 1024, 9),
		sample(-1, -1, 4096, 22),
		sample(-1, -1, 1024, 10),
		sample(-1, -1, 4096, 20),
		sample(-1, -1, 1024, 14),
	};
	span_profile *profile = empty();
	span_fit_curve report;
	const span_curve *curve;

	cr_assert_eq(fit(samples, 5, profile, &report), SPAN_OK);
	curve = span_profile_curve(profile, SPAN_COLL_ALL_REDUCE, -1, -1, 8, 2);
	cr_assert(curve && curve->n_knots == 2 && curve->samples == 5);
	cr_assert_eq(curve->knots[0].us, 10);
	cr_assert_eq(curve->knots[1].us, 21);
	/* Deviations: of 9, 10, 14 around 11 sqrt(7), of 20, 22 around 21 sqrt(2). */
	cr_assert_float_eq(report.noise, (sqrt(7) / 11 + sqrt(2) / 21) / 2, 1e-12);
	span_profile_free(profile);
}

/* A line is three knots less than it has sizes: none but its ends. */
Test(fit, sizes_that_say_nothing_new_are_dropped_and_bends_stay)
{
	span_nccl_sample samples[20];
	span_profile *profile = empty();
	const span_curve *curve;
	span_fit_curve report;
	int bend = 0;

	for (int i = 0; i < 20; i++) {
		uint64_t bytes = 1ull << (i + 4);

		samples[i] = sample(SPAN_ALGO_RING, SPAN_PROTO_LL, bytes,
		                    i < 10 ? 5 : 5.0 + (i - 9) * 20);
	}
	cr_assert_eq(fit(samples, 20, profile, &report), SPAN_OK);
	curve = span_profile_curve_at(profile, 0);
	cr_assert_lt(curve->n_knots, 13);
	for (int32_t i = 0; i < curve->n_knots; i++)
		bend |= curve->knots[i].bytes == 1 << 13;
	cr_assert(bend, "the end of the flat part is no knot");
	cr_assert_eq(curve->knots[0].bytes, 16);
	cr_assert_eq(curve->knots[curve->n_knots - 1].bytes, 1 << 23);
	cr_assert_leq(report.residual, 0.002);
	span_profile_free(profile);
}

/* Of one measurement a size nobody knows the noise: then a bump of 2% is no noise. */
Test(fit, what_may_be_no_noise_is_kept)
{
	span_nccl_sample samples[] = { sample(-1, -1, 1024, 100), sample(-1, -1, 2048, 102),
		                       sample(-1, -1, 4096, 100) };
	span_profile *profile = empty();
	span_fit_curve report;

	cr_assert_eq(fit(samples, 3, profile, &report), SPAN_OK);
	cr_assert_eq(report.knots, 3);
	span_profile_free(profile);
}

Test(fit, without_repeats_in_place_times_tell_the_noise)
{
	span_nccl_sample samples[] = { sample(-1, -1, 1024, 100), sample(-1, -1, 2048, 200) };
	span_profile *profile = empty();
	span_fit_curve report;

	cr_assert_eq(fit(samples, 2, profile, &report), SPAN_OK);
	cr_assert_eq(report.noise, SPAN_FIT_UNKNOWN_NOISE);
	span_profile_free(profile);
	profile = empty();
	samples[0].us_in_place = 102;
	samples[1].us_in_place = 204;
	cr_assert_eq(fit(samples, 2, profile, &report), SPAN_OK);
	cr_assert_float_eq(report.noise, sqrt(2) / 101, 1e-12);
	span_profile_free(profile);
}

Test(fit, groups_are_kept_apart_and_what_nccl_does_not_tune_is_counted)
{
	span_nccl_sample samples[] = {
		sample(SPAN_ALGO_RING, SPAN_PROTO_LL, 1024, 5),
		sample(SPAN_ALGO_RING, SPAN_PROTO_SIMPLE, 1024, 9),
		sample(SPAN_ALGO_NVLS, -1, 1024, 7),
		sample(-1, -1, 1024, 5),
		sample(-1, -1, 1024, 5),
		sample(-1, -1, 1024, 5),
	};
	span_profile *profile = empty();
	span_fit_report report;

	samples[3].coll = -1;
	samples[4].ranks = 0;
	samples[5].nodes = 0;
	cr_assert_eq(span_fit(samples, 6, 0, profile, &report), SPAN_OK);
	cr_assert_eq(report.n, 3);
	cr_assert_eq(report.other, 1);
	cr_assert_eq(report.unplaced, 2);
	cr_assert(span_profile_curve(profile, SPAN_COLL_ALL_REDUCE, SPAN_ALGO_NVLS,
	                             SPAN_PROTO_SIMPLE, 8, 2));
	span_fit_report_free(&report);
	cr_assert_eq(span_fit(samples, 1, 0, profile, &report), SPAN_EINVAL);
	cr_assert(strstr(log_captured(), "a second curve"), "%s", log_captured());
	samples[0].ranks = 0;
	cr_assert_eq(span_fit(samples, 1, 0, profile, &report), SPAN_EINVAL);
	cr_assert(strstr(log_captured(), "no usable sample"), "%s", log_captured());
	span_profile_free(profile);
}

/* 5,000 sizes that no few knots describe still make a curve, within the bound of a profile. */
Test(fit, a_log_of_very_many_sizes_is_bounded)
{
	span_nccl_sample *samples = malloc(5000 * sizeof(*samples));
	span_profile *profile = empty();
	span_fit_curve report;

	for (int i = 0; i < 5000; i++)
		samples[i] = sample(-1, -1, 1000 + (uint64_t)i, i % 2 ? 5 : 50);
	cr_assert_eq(fit(samples, 5000, profile, &report), SPAN_OK);
	cr_assert_leq(report.knots, SPAN_PROFILE_MAX_KNOTS);
	free(samples);
	span_profile_free(profile);
}

/* --- choosing ----------------------------------------------------------------------------- */

static void add(span_profile *profile, int algo, int proto, double low, double high, double us,
                double spread)
{
	const span_knot knots[] = { { low, us }, { high, us } };
	const span_curve curve = { .coll = SPAN_COLL_ALL_REDUCE,
		                   .algo = algo,
		                   .proto = proto,
		                   .ranks = 8,
		                   .nodes = 2,
		                   .spread = spread,
		                   .n_knots = 2,
		                   .knots = knots };

	cr_assert_eq(span_profile_add_curve(profile, &curve), SPAN_OK);
}

/* Curves stand in the order of their algorithms: Any 0, Tree 1, Ring 2, NVLS 3. */
Test(fit, another_algorithm_must_win_by_more_than_the_noise_where_it_was_measured)
{
	span_profile *profile = empty();

	add(profile, -1, -1, 1, 1e6, 1, 0.01);
	add(profile, SPAN_ALGO_TREE, SPAN_PROTO_LL, 1, 1e3, 50, 0.01);
	add(profile, SPAN_ALGO_RING, SPAN_PROTO_LL, 1, 1e6, 100, 0.01);
	add(profile, SPAN_ALGO_NVLS, SPAN_PROTO_SIMPLE, 1, 1e6, 98, 0.01);
	cr_assert_eq(span_fit_choose(profile, SPAN_COLL_ALL_REDUCE, 8, 2, 100, 2), 1);
	cr_assert_eq(span_fit_choose(profile, SPAN_COLL_ALL_REDUCE, 8, 2, 1001, 2), 2);
	cr_assert_eq(span_fit_choose(profile, SPAN_COLL_ALL_REDUCE, 8, 2, 1e4, 2), 2);
	cr_assert_eq(span_fit_choose(profile, SPAN_COLL_ALL_REDUCE, 8, 2, 1e4, -1), 3);
	cr_assert_eq(span_fit_choose(profile, SPAN_COLL_ALL_REDUCE, 8, 2, 1e7, 2), 2);
	cr_assert_eq(span_fit_choose(profile, SPAN_COLL_ALL_REDUCE, 8, 1, 100, 2), 2);
	cr_assert_eq(span_fit_choose(profile, SPAN_COLL_REDUCE, 8, 2, 100, -1), -1);
	span_profile_free(profile);
}
