/* Wrong files in hwloc's XML: one line each, with file and line, and nothing unbounded. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/topo/hwloc_text.h"
#include "tests/topo/log_capture.h"

static void expect_refusal(const char *file, const char *words)
{
	span_topo *topo = NULL;

	log_capture();
	cr_assert_eq(span_topo_parse(file, strlen(file), "bad.xml", NULL, &topo), SPAN_EPARSE,
	             "accepted, or for another reason: %s\n%s", log_captured(), file);
	cr_assert(strstr(log_captured(), words), "%s", log_captured());
	cr_assert_eq(log_captured_count(), 1);
	cr_assert_eq(strncmp(log_captured(), "bad.xml:", 8), 0, "%s", log_captured());
	cr_assert(!strchr(log_captured(), '\n'));
	cr_assert(!topo);
}

static void refuse_text(struct hwloc_text text, const char *words)
{
	char *file = hwloc_text_write(&text);

	expect_refusal(file, words);
	free(file);
}

Test(hwloc_bad, the_line_is_the_line_of_the_fault)
{
	expect_refusal("<topology>\n<object type=\"Machine\" cpuset=\"0x1\">\n\n"
	               "<object type=\"PCIDev\" pci_busid=\"nonsense\"/>\n</object></topology>",
	               "bad.xml:4: pci_busid is \"nonsense\"; an address such as");
}

Test(hwloc_bad, what_is_no_machine_is_refused)
{
	expect_refusal("<topology version=\"2.0\"></topology>", "no <object>");
	expect_refusal("<topology><object/></topology>", "without a type");
	expect_refusal("<topology><object type=\"System\"><object type=\"Machine\"/></object>"
	               "</topology>", "the outermost object is a System");
	expect_refusal("<topology><object type=\"Machine\" cpuset=\"0x1\"/>"
	               "<object type=\"Machine\" cpuset=\"0x1\"/></topology>", "a second machine");
}

#define MANY "99999999999999999999" /* more than 64 bits */

Test(hwloc_bad, wrong_values_are_refused_by_name)
{
	refuse_text((struct hwloc_text){ .first = "<object type=\"PCIDev\"/>" },
	            "a PCIDev without pci_busid");
	refuse_text((struct hwloc_text){ .first = DEVICE("0000:01:00.0", "gpu", "1", "") },
	            "pci_type is \"gpu\"");
	refuse_text((struct hwloc_text){ .first = "<object type=\"PU\" os_index=\"1x\"/>" },
	            "os_index is \"1x\"; a whole number");
	refuse_text((struct hwloc_text){ .first = "<object type=\"PU\" gp_index=\"1e99\"/>" },
	            "gp_index is");
	refuse_text((struct hwloc_text){ .first = "<object type=\"PU\" os_index=\"" MANY "\"/>" },
	            "os_index is");
	refuse_text((struct hwloc_text){ .first = OSDEV("1", "x", "many", "") }, "osdev_type");
	refuse_text((struct hwloc_text){ .first = "<object type=\"NUMANode\" cpuset=\"0xg\"/>" },
	            "cpuset is \"0xg\"; a set such as");
	refuse_text((struct hwloc_text){ .first = "<object type=\"NUMANode\" cpuset=\"0x" MANY "\"/>" },
	            "cpuset is");
	refuse_text((struct hwloc_text){ .first = "<object type=\"NUMANode\" cpuset=\"-1\"/>" },
	            "cpuset is");
}

/* A set that names a processor above the limit, by the number of its words. */
Test(hwloc_bad, more_processors_than_there_are_is_refused)
{
	char set[1200] = "0x1", io[1400];

	for (int i = 0; i < 256; i++)
		strcat(set, ",0x0");
	snprintf(io, sizeof(io), "<object type=\"NUMANode\" cpuset=\"%s\"/>", set);
	refuse_text((struct hwloc_text){ .first = io }, "below 8192");
	strcpy(set, "0xf...f");
	snprintf(io, sizeof(io), "<object type=\"NUMANode\" cpuset=\"%s\"/>", set);
	span_topo_free(hwloc_text_load(&(struct hwloc_text){ .machine = io }));
}

Test(hwloc_bad, a_machine_without_processors_is_refused)
{
	expect_refusal("<topology><object type=\"Machine\"><object type=\"NUMANode\" "
	               "cpuset=\"0x0\"/></object></topology>", "0 NUMA nodes with processors");
}

Test(hwloc_bad, more_numa_nodes_than_can_be_linked_are_refused)
{
	char *file = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&file, &bytes);

	fprintf(out, "<topology><object type=\"Machine\" cpuset=\"0xf...f\">");
	for (int i = 0; i < 257; i++) {
		fprintf(out, "<object type=\"NUMANode\" cpuset=\"0x%x", 1u << (i % 32));
		for (int word = 0; word < i / 32; word++)
			fprintf(out, ",0x0");
		fprintf(out, "\"/>\n");
	}
	fprintf(out, "</object></topology>");
	fclose(out);
	expect_refusal(file, "257 NUMA nodes with processors; from 1 to 256");
	free(file);
}

#define MATRIX(n, indexes, values)                                                          \
	"<distances2 type=\"OSDev\" nbobjs=\"" n "\" name=\"NVLinkBandwidth\" indexing=\"gp\">" \
	"<indexes>" indexes "</indexes><u64values>" values "</u64values></distances2>"

Test(hwloc_bad, wrong_matrices_are_refused)
{
	static const struct {
		const char *matrix, *words;
	} cases[] = {
		{ MATRIX("0", "", ""), "nbobjs is 0; from 1 to 2048" },
		{ MATRIX("2049", "", ""), "nbobjs is 2049" },
		{ MATRIX("x", "", ""), "nbobjs is 0" },
		{ MATRIX("2", "31", "0 1 1 0"), "fewer indexes" },
		{ MATRIX("2", "31 32 33", "0 1 1 0"), "more indexes" },
		{ MATRIX("2", "31 OSDev:", "0 1 1 0"), "an index such as" },
		{ MATRIX("2", "31 32", "0 1 1"), "fewer values" },
		{ MATRIX("2", "31 32", "0 1 1 0 1"), "more values" },
		{ MATRIX("2", "31 32", "0 1 -1 0"), "a whole number" },
		{ MATRIX("2", "31 32", "0 1 99999999999999999999 0"), "a whole number" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		refuse_text((struct hwloc_text){ .tail = cases[i].matrix }, cases[i].words);
}

Test(hwloc_bad, more_nvlink_than_there_can_be_is_refused)
{
	struct hwloc_text text = {
		.first = DEVICE("0000:01:00.0", H100, "63.0", OSDEV("31", "nvml0", "1", ""))
		         DEVICE("0000:02:00.0", H100, "63.0", OSDEV("32", "nvml1", "1", "")),
		.tail = MATRIX("2", "31 32", "0 1000000000000 1000000000000 0") };
	char *file = hwloc_text_write(&text);
	span_topo *topo = NULL;

	log_capture();
	cr_assert_eq(span_topo_parse(file, strlen(file), "bad.xml", NULL, &topo), SPAN_EPARSE);
	cr_assert(strstr(log_captured(), "no GPU has that much"), "%s", log_captured());
	free(file);
}

/* Objects the matrix names and the file lacks are nobody. */
Test(hwloc_bad, a_matrix_of_unknown_objects_is_empty)
{
	span_topo *topo = hwloc_text_load(&(struct hwloc_text){
		.tail = MATRIX("2", "31 32", "0 1 1 0") });

	cr_assert_eq(topo->machines[0]->n_links, 2);
	span_topo_free(topo);
}

/* Every beginning of a file: refused in one line, or, at its very end, read. */
Test(hwloc_bad, a_file_cut_anywhere_gives_one_line)
{
	struct hwloc_text text = {
		.first = PORT("0000:00:01.0", "31.5", DEVICE("0000:01:00.0", H100, "63.0", "")),
		.tail = MATRIX("2", "31 32", "0 1 1 0") };
	char *file = hwloc_text_write(&text);
	size_t bytes = strlen(file), i;

	for (i = 0; i + 2 < bytes; i++) {
		span_topo *topo = NULL;

		log_capture();
		cr_assert_neq(span_topo_parse(file, i, "cut.xml", NULL, &topo), SPAN_OK, "%zu", i);
		cr_assert_eq(log_captured_count(), 1, "%zu: %s", i, log_captured());
	}
	free(file);
}
