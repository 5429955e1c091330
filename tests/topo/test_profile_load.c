/* Profiles as text: there and back, and whatever may stand in a file. */
#include "topo/span_profile.h"

#include <criterion/criterion.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/topo/log_capture.h"
#include "tests/topo/profile_case.h"

static void there_and_back(span_profile *profile)
{
	char *text = profile_case_text(profile), *again_text;
	span_profile *again;

	log_capture();
	cr_assert_eq(profile_case_load(text, strlen(text), &again), SPAN_OK, "%s", log_captured());
	cr_assert_eq(span_profile_digest(again), span_profile_digest(profile));
	again_text = profile_case_text(again);
	cr_assert_str_eq(text, again_text);
	free(text);
	free(again_text);
	span_profile_free(again);
	span_profile_free(profile);
}

Test(profile_load, a_profile_comes_back_as_it_was)
{
	span_profile *empty;

	there_and_back(profile_case());
	cr_assert_eq(span_profile_create("nothing in it", &empty), SPAN_OK);
	there_and_back(empty);
	there_and_back(profile_case_large(100000));
}

#define HEAD "span-profile 1\nname m\nsource 0 s\n"

static uint64_t digest_of(const char *text)
{
	span_profile *profile;
	uint64_t digest;

	log_capture();
	cr_assert_eq(profile_case_load(text, strlen(text), &profile), SPAN_OK, "%s",
	             log_captured());
	digest = span_profile_digest(profile);
	span_profile_free(profile);
	return digest;
}

Test(profile_load, comments_blanks_line_ends_and_order_do_not_count)
{
	const char *plain = HEAD "number a 1 spread 0 samples 0 source 0\n"
				 "number b 2.5 spread 0 samples 1 source 0\nend\n";
	const char *other = "# who\r\n\r\n  span-profile\t1 \r\nname m\r\nsource 0 \ts  \r\n"
			    "number b 2.50 spread 0.0 samples 1 source 0\r\n # more\r\n"
			    "number  a 1e0 spread 0 samples 0 source 0\r\nend";

	cr_assert_eq(digest_of(plain), digest_of(other));
}

/* A message says file, line and column, and what was expected. */
static void refused(const char *text, int line, int column, const char *why)
{
	span_profile *profile = NULL;
	char where[64];

	log_capture();
	cr_assert_eq(profile_case_load(text, strlen(text), &profile), SPAN_EPARSE, "%s", text);
	cr_assert_null(profile);
	cr_assert_eq(log_captured_count(), 1);
	snprintf(where, sizeof(where), "profiles/mine:%d:%d: ", line, column);
	cr_assert(!strncmp(log_captured(), where, strlen(where)), "%s, not %s", log_captured(),
	          where);
	cr_assert(strstr(log_captured(), why), "%s, not %s", log_captured(), why);
}

#define CURVE "curve AllReduce Ring/LL ranks 8 nodes 1 spread 0 samples 1 source 0\n"

Test(profile_load, a_malformed_file_is_refused_by_line_and_column)
{
	refused("", 1, 1, "ends before");
	refused("bytes us\n", 1, 1, "this is no profile");
	refused("span-profile 2\n", 1, 14, "from 1 to 1");
	refused("span-profile 1 x\n", 1, 16, "after the end");
	refused("span-profile 1\nsource 0 s\n", 2, 1, "expected \"name\"");
	refused("span-profile 1\nname \nend\n", 2, 6, "the name is empty");
	refused(HEAD "source 2 s\n", 4, 8, "from 1 to 1");
	refused(HEAD "number a x spread 0 samples 0 source 0\n", 4, 10, "a decimal number");
	refused(HEAD "number a 1 spread 0 samples 0 source 1\n", 4, 38, "from 0 to 0");
	refused(HEAD "number a 1 spread 0 samples 0\n", 4, 30, "expected \"source\"");
	refused(HEAD "number a 1e999 spread 0 samples 0 source 0\n", 4, 8, "not finite");
	refused(HEAD "number a 1 spread -1 samples 0 source 0\n", 4, 8, "spread");
	refused(HEAD "number A 1 spread 0 samples 0 source 0\n", 4, 8, "words of a-z");
	refused("span-profile 1\nname m\nnumber a 1 spread 0 samples 0 source 0\n", 3, 37,
	        "no \"source 0 TEXT\"");
	refused(HEAD "knot 1 2\n", 4, 1, "expected \"source\"");
	refused(HEAD "curve AllReduces Ring/LL ranks 8\n", 4, 7, "no collective");
	refused(HEAD "curve AllReduce Ring ranks 8\n", 4, 17, "ALGORITHM/PROTOCOL");
	refused(HEAD "curve AllReduce Ring/LL ranks 8 nodes 9 spread\n", 4, 39, "from 1 to 8");
	refused(HEAD CURVE "end\n", 5, 1, "curve of line 4: no knots");
	refused(HEAD CURVE "knot 2 1\nknot 1 1\nend\n", 7, 1, "do not ascend");
	refused(HEAD CURVE "knot 2 0\nend\n", 6, 1, "not from 1e-6");
	refused(HEAD CURVE "knot 2\n", 5, 7, "the time of a knot");
	refused(HEAD CURVE "knot 2 1\n", 6, 1, "ends before");
	refused(HEAD CURVE "knot 2 1\n" CURVE "knot 2 1\nend\n", 6, 1, "a second time");
	refused(HEAD "number a 1 spread 0 samples 0 source 0\n"
	             "number a 2 spread 0 samples 0 source 0\nend\n",
	        5, 1, "a second time; line 4");
}

/* A prefix is no profile, whatever it ends in; and no prefix does harm (sanitizers watch). */
Test(profile_load, no_prefix_of_a_profile_is_a_profile)
{
	span_profile *whole = profile_case(), *profile;
	char *text = profile_case_text(whole);
	size_t bytes = strlen(text);

	log_capture();
	for (size_t n = 0; n + 2 <= bytes; n++) {
		cr_assert_eq(profile_case_load(text, n, &profile), SPAN_EPARSE, "%zu bytes", n);
	}
	free(text);
	span_profile_free(whole);
}

/* One byte changed anywhere: read as something or refused, never harmful. */
Test(profile_load, a_changed_byte_does_no_harm)
{
	span_profile *whole = profile_case(), *profile;
	char *text = profile_case_text(whole);
	const char bytes[] = { '\0', '\n', ' ', '9', '-', 'e', '/', '#', (char)0xff };
	size_t n = strlen(text);

	log_capture();
	for (size_t i = 0; i < n; i++) {
		char before = text[i];

		for (size_t k = 0; k < sizeof(bytes); k++) {
			text[i] = bytes[k];
			if (!profile_case_load(text, n, &profile))
				span_profile_free(profile);
		}
		text[i] = before;
	}
	free(text);
	span_profile_free(whole);
}

Test(profile_load, a_comma_for_a_point_in_the_locale_changes_nothing)
{
	const char *const locales[] = { "de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "fr_FR.utf8" };
	span_profile *profile = profile_case();
	char *plain = profile_case_text(profile), *text;
	int found = 0;

	for (size_t i = 0; i < sizeof(locales) / sizeof(*locales) && !found; i++)
		found = setlocale(LC_ALL, locales[i]) != NULL;
	if (!found)
		cr_skip_test("no locale with a decimal comma is installed");
	text = profile_case_text(profile);
	cr_assert_str_eq(text, plain);
	free(text);
	free(plain);
	there_and_back(profile);
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* The bound is a tenth of what a job would notice; the figure is in tests/bench. */
Test(profile_load, a_megabyte_is_read_while_nobody_notices)
{
	span_profile *large = profile_case_large(1 << 20), *profile;
	char *text = profile_case_text(large);
	size_t bytes = strlen(text);
	double best = 1;

	cr_assert_geq(bytes, 1u << 20);
	for (int i = 0; i < 5; i++) {
		double start = now();

		cr_assert_eq(profile_case_load(text, bytes, &profile), SPAN_OK);
		cr_assert_eq(span_profile_digest(profile), span_profile_digest(large));
		best = now() - start < best ? now() - start : best;
		span_profile_free(profile);
	}
	fprintf(stderr, "profile: %zu bytes loaded and digested in %.2f ms\n", bytes, 1e3 * best);
	cr_assert_lt(best, 0.05);
	free(text);
	span_profile_free(large);
}
