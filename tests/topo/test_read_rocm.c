#include <criterion/criterion.h>
#include <string.h>

#include "tests/topo/log_capture.h"
#include "tests/topo/text_cases.h"

#define MATRICES SPAN_TEST_DATA "/topologies/matrices/"

static span_topo *load(const char *path)
{
	span_topo *topo = NULL;

	log_capture();
	cr_assert_eq(span_topo_load(path, NULL, &topo), SPAN_OK, "%s", log_captured());
	cr_assert_str_eq(span_topo_source_kind(topo), "rocm-smi");
	return topo;
}

/* The text and the JSON are of one machine: GPUs 0 and 1, 2 and 3 are joined by XGMI. */
static void two_hives(const char *path)
{
	span_topo *topo = load(path);
	int32_t nodes[8];

	cr_assert_eq(span_topo_devices(topo, SPAN_NODE_GPU, -1, nodes, 8), 4);
	cr_assert_eq(span_topo_devices(topo, SPAN_NODE_CPU, -1, nodes, 8), 2);
	cr_assert_str_eq(text_class(topo, "gpu0", "gpu1"), "NVL");
	cr_assert_str_eq(text_class(topo, "gpu3", "gpu2"), "NVL");
	cr_assert_str_eq(text_class(topo, "gpu0", "gpu2"), "SYS");
	cr_assert_str_eq(text_class(topo, "gpu1", "cpu0"), "PHB");
	cr_assert_str_eq(text_class(topo, "gpu1", "cpu1"), "SYS");
	cr_assert(text_note(topo, "no speeds"));
	span_topo_free(topo);
}

Test(read_rocm, text)
{
	two_hives(MATRICES "rocm-two-hives.txt");
}

Test(read_rocm, json)
{
	two_hives(MATRICES "rocm-two-hives.json");
}

Test(read_rocm, a_pair_of_two_hops_has_no_link_of_its_own)
{
	span_topo *topo = load(MATRICES "rocm-ring.txt");
	int links = 0;

	cr_assert_str_eq(text_class(topo, "gpu0", "gpu1"), "NVL");
	cr_assert_str_eq(text_class(topo, "gpu0", "gpu2"), "NVB");
	for (int32_t i = 0; i < span_topo_links(topo); i++) {
		span_topo_link link;

		span_topo_link_at(topo, i, &link);
		links += link.link_class == SPAN_LINK_XGMI;
	}
	cr_assert_eq(links, 8);
	span_topo_free(topo);
}

Test(read_rocm, nccl_sees_no_xgmi)
{
	const span_topo_options options = { .size = sizeof(options), .as_nccl = 1 };
	span_topo *topo = NULL;

	log_capture();
	cr_assert_eq(span_topo_load(MATRICES "rocm-two-hives.txt", &options, &topo), SPAN_OK);
	cr_assert_str_eq(text_class(topo, "gpu0", "gpu1"), "PHB");
	span_topo_free(topo);
}

#define TITLE "=== Link Type between two GPUs ===\n"

static const struct {
	const char *text, *message;
} malformed[] = {
	{ TITLE, "f:1: the table of line 1 ends after 0 of 0 rows" },
	{ TITLE " GPU0 GPU1\nGPU0 0 XGMI\n", "f:3: the table of line 1 ends after 1 of 2 rows" },
	{ TITLE " GPU0 GPU1\nGPU0 0 XGMI\n=== Hops between two GPUs ===\n",
	  "f:4: the table of line 1 ends after 1 of 2 rows" },
	{ TITLE " GPU0 GPU1\nGPU0 0\n", "f:3: 1 values in the row of GPU0; there are 2 columns" },
	{ TITLE " GPU0 GPU1\nGPU1 0 XGMI\n", "f:3: a row of GPU1; rows are as the columns" },
	{ TITLE " GPU0\nGPU0 0\nGPU1 0\n", "f:4: a row of GPU1; the table has its rows already" },
	{ TITLE " GPU0 GPU0\n", "f:2: a second column GPU0" },
	{ TITLE " GPU0 CPU\n", "f:2: column \"CPU\"; expected GPU0" },
	{ TITLE " GPU0 GPU1\n GPU0 GPU1\n", "f:3: a second header in the table of line 1" },
	{ "=== Hops between two GPUs ===\n GPU0\nGPU0 0\n", "f:3: no table \"Link Type" },
	{ "=== Hops between two GPUs ===\n GPU0 GPU1\nGPU0 0 one\n",
	  "f:3: \"one\" hops from GPU0 to GPU1; expected a number" },
	{ TITLE " GPU0\nGPU0 0\nGPU[0] : (Topology) Numa Node: x\n",
	  "f:4: the NUMA node of GPU0 is \"x\"" },
	{ TITLE " GPU0\nGPU0 0\nGPU[] : (Topology) Numa Node: 0\n", "f:4: the NUMA node of \"GPU[]\"" },
	{ "{\"card0\": {\"(Topology) Numa Node\": \"0\"}, \"card1\": {}}",
	  "f: no cards with links between them" },
	{ "{\"card0\": {\"(Topology) Numa Node\": \"zero\"}}",
	  "f: the NUMA node of card0 is \"zero\"; expected a number" },
	{ "{\"card0\": {\"(Topology) Numa Node\": \"0\"}", "f:1: " },
	{ "{\"card0\": {\"(Topology) x\": 0}, \"card1\": {}, \"system\": {\"(Topology) Hops between "
	  "DRM devices 0 and 1\": \"few\"}}", "f: \"(Topology) Hops between DRM devices 0 and 1\" is" },
};

Test(read_rocm, names_the_line_of_what_is_malformed)
{
	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
		const char *text = malformed[i].text, *line = text_refused(text, strlen(text), "f");

		cr_assert_eq(strncmp(line, malformed[i].message, strlen(malformed[i].message)), 0,
		             "%s", line);
	}
}

Test(read_rocm, judges_whatever_is_cut_off_or_shuffled, .timeout = 120)
{
	static const char *const files[] = { MATRICES "rocm-two-hives.txt",
		                             MATRICES "rocm-ring.txt",
		                             MATRICES "rocm-two-hives.json" };

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		cr_assert_gt(text_cut_everywhere(files[i]), 300);
		text_shuffled(files[i], 300);
	}
}
