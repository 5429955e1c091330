/* Paths against those of the released NCCL: every pair of every topology, class and links exactly,
 * bandwidth as 32-bit float within 1 ulp; and again after writing and reading each topology. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/topo/nccl_paths.h"
#include "topo/write/write.h"

static long pairs;

static void judge_paths(const char *xml, json_t *golden)
{
	span_topo *topo = nccl_paths_load(xml, 1);

	pairs += nccl_paths_compare(xml, golden, topo);
	span_topo_free(topo);
}

/* All places of a machine are written together, so host 0 stands for them. */
static span_topo *write_and_read(const span_topo *topo, int as_nccl)
{
	span_topo_options options = { .size = sizeof(options), .as_nccl = as_nccl };
	span_topo *again = NULL;
	char *text = NULL;
	size_t bytes = 0;
	FILE *file = open_memstream(&text, &bytes);

	cr_assert(file);
	cr_assert_eq(topo_write_nccl(topo, 0, file), SPAN_OK);
	fclose(file);
	cr_assert_eq(span_topo_parse(text, bytes, "written", &options, &again), SPAN_OK, "%s", text);
	free(text);
	return again;
}

static void judge_written(const char *xml, json_t *golden)
{
	span_topo *topo = nccl_paths_load(xml, 1), *again = write_and_read(topo, 1);

	pairs += nccl_paths_compare(xml, golden, again);
	span_topo_free(again);
	span_topo_free(topo);
}

/* Corrected paths have no golden values, but writing must keep them, and the picture with them. */
static void judge_written_corrected(const char *xml, json_t *golden)
{
	span_topo *topo = nccl_paths_load(xml, 0), *again = write_and_read(topo, 0);
	const struct machine *a = topo->machines[0], *b = again->machines[0];
	int32_t i, n = a->n_devices * a->n_devices;

	(void)golden;
	cr_assert_eq(a->n_devices, b->n_devices, "%s", xml);
	cr_assert_eq(a->n_nodes, b->n_nodes, "%s", xml);
	cr_assert_eq(a->n_links, b->n_links, "%s", xml);
	for (i = 0; i < n; i++) {
		cr_assert_eq(a->paths[i].path_class, b->paths[i].path_class, "%s: %d", xml, i);
		cr_assert_float_eq(a->paths[i].bandwidth, b->paths[i].bandwidth,
		                   1e-12 * a->paths[i].bandwidth, "%s: path %d: %g and %g", xml, i,
		                   a->paths[i].bandwidth, b->paths[i].bandwidth);
		pairs++;
	}
	span_topo_free(again);
	span_topo_free(topo);
}

Test(paths_golden, every_pair_is_as_the_released_nccl_has_it)
{
	int files = nccl_paths_each(SPAN_TEST_DATA, judge_paths);

	printf("paths_golden: %ld pairs of %d topologies equal NCCL's\n", pairs, files);
	cr_assert_geq(files, 46);
	cr_assert_geq(pairs, 6000);
}

Test(paths_golden, every_pair_of_machines_nobody_builds)
{
	cr_assert_geq(nccl_paths_each(SPAN_TEST_DATA "/nccl-random", judge_paths), 10);
	cr_assert_geq(nccl_paths_each(SPAN_TEST_DATA "/nccl-random", judge_written), 10);
}

Test(paths_golden, every_pair_of_machines_as_people_build_them)
{
	cr_assert_geq(nccl_paths_each(SPAN_TEST_DATA "/nccl-made", judge_paths), 20);
	cr_assert_geq(nccl_paths_each(SPAN_TEST_DATA "/nccl-made", judge_written), 20);
}

Test(paths_golden, every_pair_of_files_that_may_not_be_copied)
{
	const char *extra = getenv("SPAN_EXTRA_DATA");
	int files;

	if (!extra)
		cr_skip_test("SPAN_EXTRA_DATA is not set");
	files = nccl_paths_each(extra, judge_paths);
	printf("paths_golden: %ld pairs of %d topologies of SPAN_EXTRA_DATA equal NCCL's\n", pairs,
	       files);
	cr_assert_geq(files, 52);
}

Test(paths_golden, a_topology_that_was_written_reads_back_to_the_same_pairs)
{
	cr_assert_geq(nccl_paths_each(SPAN_TEST_DATA, judge_written), 46);
}

Test(paths_golden, a_corrected_topology_that_was_written_keeps_its_paths)
{
	cr_assert_geq(nccl_paths_each(SPAN_TEST_DATA, judge_written_corrected), 46);
}

Test(paths_golden, writing_keeps_the_files_that_may_not_be_copied)
{
	const char *extra = getenv("SPAN_EXTRA_DATA");

	if (!extra)
		cr_skip_test("SPAN_EXTRA_DATA is not set");
	cr_assert_geq(nccl_paths_each(extra, judge_written), 52);
	cr_assert_geq(nccl_paths_each(extra, judge_written_corrected), 52);
}
