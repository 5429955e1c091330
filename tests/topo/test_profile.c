/* Profiles in memory, their curves and digests. */
#include "topo/span_profile.h"

#include <criterion/criterion.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/topo/log_capture.h"
#include "tests/topo/profile_case.h"
#include "topo/nccl/profile.h"

/* --- decimals ----------------------------------------------------------------------------- */

static uint64_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 11 ^ *state << 21;
}

Test(profile, doubles_come_back_to_the_bit)
{
	uint64_t state = 1, bits;
	char text[PROFILE_DOUBLE_BYTES];
	const char *end;
	double value, again;

	for (int i = 0; i < 200000; i++) {
		bits = next_random(&state);
		memcpy(&value, &bits, sizeof(value));
		if (i % 2)
			value = (double)(bits % 100000000) / 1000;
		if (!isfinite(value))
			continue;
		profile_write_double(value, text);
		again = profile_read_double(text, &end);
		cr_assert(!*end && again == value, "%s read back as %.17g", text, again);
	}
}

Test(profile, decimals_are_read_as_the_c_library_reads_them)
{
	const char *const texts[] = { "0", "-0.5", "+1.25", "000123.4500", "9007199254740993",
		                      "123456789012345", "1234567890123456", "0.1", "1e22", "1e23",
		                      "1E-7", ".5", "5.", "0.000000000000000000000001",
		                      "179769313486231570000000000000000000000000000000000" };
	const char *end;

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		cr_assert_eq(profile_read_double(texts[i], &end), strtod(texts[i], NULL), "%s",
		             texts[i]);
	profile_read_double("x", &end);
	cr_assert_eq(*end, 'x');
	profile_read_double("-", &end);
	cr_assert_eq(*end, '-');
	profile_read_double("nan", &end);
	cr_assert_eq(*end, 'n');
}

/* --- curves ------------------------------------------------------------------------------- */

Test(profile, a_curve_meets_its_knots_and_lies_between_them)
{
	const span_knot knots[] = { { 8, 10 }, { 1024, 12 }, { 65536, 40 }, { 1048576, 30 } };
	const span_curve curve = { .n_knots = 4, .knots = knots };

	for (int i = 0; i < 4; i++)
		cr_assert_eq(span_curve_us(&curve, knots[i].bytes), knots[i].us);
	for (int i = 0; i < 3; i++) {
		for (double bytes = knots[i].bytes; bytes < knots[i + 1].bytes; bytes *= 1.3) {
			double us = span_curve_us(&curve, bytes);

			cr_assert_geq(us, fmin(knots[i].us, knots[i + 1].us) * (1 - 1e-12));
			cr_assert_leq(us, fmax(knots[i].us, knots[i + 1].us) * (1 + 1e-12));
		}
	}
}

/* Half way in bytes the line says 50.5; in logarithms, the power law says 100^(...). */
Test(profile, between_knots_it_is_two_parts_line_and_one_part_power_law)
{
	const span_knot knots[] = { { 1, 1 }, { 10000, 100 } };
	const span_curve curve = { .n_knots = 2, .knots = knots };
	double line = 1 + 99 * (100.0 - 1) / 9999, power = 10;

	cr_assert_float_eq(span_curve_us(&curve, 100), cbrt(line * line * power), 1e-12);
}

Test(profile, beyond_the_last_knot_the_last_bandwidth_goes_on)
{
	const span_knot knots[] = { { 1000, 20 }, { 2000, 30 } };
	const span_curve curve = { .n_knots = 2, .knots = knots };

	cr_assert_float_eq(span_curve_us(&curve, 12000), 130, 1e-9);
	cr_assert_float_eq(span_curve_us(&curve, 500), 15, 1e-9);
	cr_assert_float_eq(span_curve_us(&curve, 0), 10, 1e-9);
}

Test(profile, every_curve_is_positive_and_finite_everywhere)
{
	const span_knot falling[] = { { 1000, 20 }, { 2000, 1 } };
	const span_knot steep[] = { { 1, SPAN_PROFILE_MIN_US },
	                            { SPAN_PROFILE_MAX_BYTES, SPAN_PROFILE_MAX_US } };
	const span_curve curves[] = { { .n_knots = 1, .knots = falling },
		                      { .n_knots = 2, .knots = falling },
		                      { .n_knots = 2, .knots = steep } };

	for (size_t i = 0; i < 3; i++) {
		for (double bytes = 0; bytes <= SPAN_PROFILE_MAX_BYTES; bytes = 2 * bytes + 1) {
			double us = span_curve_us(curves + i, bytes);

			cr_assert(us > 0 && isfinite(us), "curve %zu at %g: %g", i, bytes, us);
		}
	}
}

/* --- filling ------------------------------------------------------------------------------ */

Test(profile, items_are_found_by_what_they_are_of)
{
	span_profile *profile = profile_case();
	const span_curve *curve;

	cr_assert_eq(span_profile_number(profile, "nccl.base.ring.ll")->value, 6.6);
	cr_assert_null(span_profile_number(profile, "nccl.base.ring"));
	curve = span_profile_curve(profile, SPAN_COLL_ALL_REDUCE, SPAN_ALGO_RING, SPAN_PROTO_LL, 8, 1);
	cr_assert(curve && curve->n_knots == 3);
	cr_assert_null(span_profile_curve(profile, SPAN_COLL_ALL_REDUCE, SPAN_ALGO_RING,
	                                  SPAN_PROTO_LL, 8, 2));
	cr_assert_null(span_profile_curve(profile, SPAN_COLL_ALL_REDUCE, SPAN_ALGO_RING,
	                                  SPAN_ALGO_ANY, 8, 1));
	for (int32_t i = 1; i < span_profile_numbers(profile); i++)
		cr_assert_lt(strcmp(span_profile_number_at(profile, i - 1)->name,
		                    span_profile_number_at(profile, i)->name),
		             0);
	cr_assert_null(span_profile_number_at(profile, span_profile_numbers(profile)));
	cr_assert_null(span_profile_curve_at(profile, -1));
	span_profile_free(profile);
}

Test(profile, a_number_is_replaced_and_a_curve_is_not)
{
	span_profile *profile = profile_case();
	span_number number = *span_profile_number(profile, "nccl.base.ring.ll");
	int32_t n = span_profile_numbers(profile);

	log_capture();
	number.value = 7;
	cr_assert_eq(span_profile_set_number(profile, &number), SPAN_OK);
	cr_assert_eq(span_profile_numbers(profile), n);
	cr_assert_eq(span_profile_number(profile, "nccl.base.ring.ll")->value, 7);
	cr_assert_eq(span_profile_add_curve(profile, span_profile_curve_at(profile, 0)),
	             SPAN_EINVAL);
	cr_assert(strstr(log_captured(), "a second curve"), "%s", log_captured());
	span_profile_free(profile);
}

static void refused(span_profile *profile, span_number number, const char *why)
{
	int32_t n = span_profile_numbers(profile);

	log_capture();
	cr_assert_eq(span_profile_set_number(profile, &number), SPAN_EINVAL);
	cr_assert(strstr(log_captured(), why), "%s", log_captured());
	cr_assert_eq(span_profile_numbers(profile), n);
}

Test(profile, what_cannot_be_a_number_is_refused)
{
	span_profile *profile = profile_case();
	const span_number good = { .name = "a", .value = 1 };
	const char *const names[] = { "", ".", "a.", ".a", "a..b", "A", "a b", "a_b" };
	span_number bad;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		bad = good;
		bad.name = names[i];
		refused(profile, bad, "a name that is not words");
	}
	bad = good;
	bad.value = NAN;
	refused(profile, bad, "not finite");
	bad = good;
	bad.spread = -1;
	refused(profile, bad, "spread");
	bad = good;
	bad.source = 99;
	refused(profile, bad, "a source that is none");
	bad = good;
	bad.samples = -1;
	refused(profile, bad, "samples");
	span_profile_free(profile);
}

static void refused_curve(span_profile *profile, span_curve curve, const char *why)
{
	log_capture();
	cr_assert_eq(span_profile_add_curve(profile, &curve), SPAN_EINVAL);
	cr_assert(strstr(log_captured(), why), "%s", log_captured());
}

Test(profile, what_cannot_be_a_curve_is_refused)
{
	span_profile *profile = profile_case();
	const span_knot up[] = { { 1, 1 }, { 2, 2 } }, down[] = { { 2, 1 }, { 1, 2 } };
	const span_knot zero[] = { { 1, 0 } }, big[] = { { 2 * SPAN_PROFILE_MAX_BYTES, 1 } };
	const span_curve good = { .coll = SPAN_COLL_REDUCE,
		                  .ranks = 4,
		                  .nodes = 2,
		                  .n_knots = 2,
		                  .knots = up };
	span_curve bad = good;

	bad.knots = down;
	refused_curve(profile, bad, "do not ascend");
	bad.knots = big;
	bad.n_knots = 1;
	refused_curve(profile, bad, "2^50");
	bad.knots = zero;
	refused_curve(profile, bad, "not from 1e-6");
	bad.n_knots = 0;
	refused_curve(profile, bad, "no knots");
	bad = good;
	bad.coll = SPAN_COLLS;
	refused_curve(profile, bad, "is none");
	bad = good;
	bad.nodes = 5;
	refused_curve(profile, bad, "ranks or nodes");
	span_profile_free(profile);
}

/* --- digest ------------------------------------------------------------------------------- */

Test(profile, the_digest_changes_with_every_part)
{
	span_profile *profile = profile_case(), *other;
	uint64_t digest = span_profile_digest(profile), others[5];
	span_number number = *span_profile_number_at(profile, 0);
	span_curve curve = *span_profile_curve_at(profile, 0);

	other = profile_case();
	cr_assert_eq(span_profile_digest(other), digest);
	number.value = nextafter(number.value, DBL_MAX);
	cr_assert_eq(span_profile_set_number(other, &number), SPAN_OK);
	others[0] = span_profile_digest(other);
	number.spread += 0.001;
	cr_assert_eq(span_profile_set_number(other, &number), SPAN_OK);
	others[1] = span_profile_digest(other);
	number.source = 1 - number.source;
	cr_assert_eq(span_profile_set_number(other, &number), SPAN_OK);
	others[2] = span_profile_digest(other);
	curve.ranks++;
	cr_assert_eq(span_profile_add_curve(other, &curve), SPAN_OK);
	others[3] = span_profile_digest(other);
	((span_knot *)span_profile_curve_at(other, 0)->knots)[1].us *= 1 + DBL_EPSILON;
	others[4] = span_profile_digest(other);
	for (int i = 0; i < 5; i++) {
		cr_assert_neq(others[i], digest);
		for (int j = 0; j < i; j++)
			cr_assert_neq(others[i], others[j]);
	}
	span_profile_free(other);
	span_profile_free(profile);
}

Test(profile, names_are_those_of_nccl)
{
	for (int coll = 0; coll < SPAN_COLLS; coll++)
		cr_assert_eq(span_coll_number(span_coll_name(coll)), coll);
	for (int algo = -1; algo < SPAN_ALGOS; algo++)
		cr_assert_eq(span_algo_number(span_algo_name(algo)), algo);
	for (int proto = -1; proto < SPAN_PROTOS; proto++)
		cr_assert_eq(span_proto_number(span_proto_name(proto)), proto);
	cr_assert_eq(span_algo_number("NVLS_TREE"), SPAN_ALGO_NVLS_TREE);
	cr_assert_eq(span_coll_number("all_reduce"), SPAN_COLL_ALL_REDUCE);
	cr_assert_eq(span_coll_number("allreduces"), -2);
	cr_assert_eq(span_algo_number("ring "), -2);
	cr_assert_null(span_coll_name(-1));
	cr_assert_null(span_algo_name(SPAN_ALGOS));
}
