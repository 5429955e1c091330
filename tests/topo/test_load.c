/* Loading a topology: options of another size, and a process with a locale of its own. */
#include <criterion/criterion.h>
#include <locale.h>
#include <string.h>

#include "tests/topo/log_capture.h"
#include "topo/span_topo.h"

static void take_a_comma(void)
{
	const char *const locales[] = { "de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "fr_FR.utf8" };

	for (size_t i = 0; i < sizeof(locales) / sizeof(*locales); i++) {
		if (setlocale(LC_ALL, locales[i]))
			return;
	}
	cr_skip_test("no locale with a decimal comma is installed");
}

static double sum_of_links(const span_topo *topo)
{
	span_topo_link link;
	double sum = 0;

	for (int32_t i = 0; i < span_topo_links(topo); i++) {
		span_topo_link_at(topo, i, &link);
		sum += link.bandwidth;
	}
	return sum;
}

static double sum_of(const char *source)
{
	span_topo *topo = NULL;
	double sum;

	cr_assert_eq(span_topo_load(source, NULL, &topo), SPAN_OK, "%s", source);
	sum = sum_of_links(topo);
	span_topo_free(topo);
	return sum;
}

Test(load, a_comma_for_a_point_in_the_locale_changes_nothing)
{
	static const char *const sources[] = {
		"synthetic:gpus:4 nvlink:20.6GB/s",
		SPAN_TEST_DATA "/topologies/hwloc/hwloc3-xml/power8gpudistances.xml",
		SPAN_TEST_DATA "/topologies/hwloc/hwloc3-xml/nvidiaDGX2.xml",
		SPAN_TEST_DATA "/topologies/nccl/oci/H100-topology.xml",
	};
	const char *line = sources[0];
	double sums[sizeof(sources) / sizeof(*sources)];
	span_topo *topo = NULL;

	for (size_t i = 0; i < sizeof(sources) / sizeof(*sources); i++)
		sums[i] = sum_of(sources[i]);
	take_a_comma();
	for (size_t i = 0; i < sizeof(sources) / sizeof(*sources); i++)
		cr_expect_eq(sum_of(sources[i]), sums[i], "%s", sources[i]);
	cr_assert_eq(span_topo_parse(line, strlen(line), "line", NULL, &topo), SPAN_OK);
	cr_expect_eq(sum_of_links(topo), sums[0]);
	span_topo_free(topo);
	cr_assert_neq(span_topo_load("nowhere", NULL, &topo), SPAN_OK);
	cr_assert_str_eq(localeconv()->decimal_point, ",", "the caller's locale was changed");
}

/* Left out, or of another version of the library: what it asks for cannot be known. */
Test(load, options_of_another_size_are_refused)
{
	static const char line[] = "synthetic:gpus:2";
	span_topo_options options = { .as_nccl = 1 };
	const size_t sizes[] = { 0, sizeof(size_t), sizeof(options) + 8 };
	span_topo *topo = NULL;

	log_capture();
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		options.size = sizes[i];
		cr_expect_eq(span_topo_load(line, &options, &topo), SPAN_EINVAL);
		cr_expect_eq(span_topo_load(NULL, &options, &topo), SPAN_EINVAL);
		cr_expect_eq(span_topo_parse(line, strlen(line), "line", &options, &topo), SPAN_EINVAL);
		cr_expect(strstr(log_captured(), "options->size is"), "%s", log_captured());
		cr_expect_null(topo);
	}
}
