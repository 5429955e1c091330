/* NVLink, xGMI and Xe Link in hwloc's XML, and what each version of hwloc gets wrong there. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/topo/hwloc_text.h"

#define GPU(bus, ids, gp, name, model)                                        \
	DEVICE(bus, ids, "31.507692",                                         \
	       OSDEV(gp, name, "1", INFO("Backend", "NVML") INFO("GPUModel", model)))

#define PAIR(ids, model)                                                      \
	GPU("0000:01:00.0", ids, "31", "nvml0", model)                        \
	GPU("0000:02:00.0", ids, "32", "nvml1", model)

#define MATRIX(name, values)                                                                   \
	"<distances2 type=\"OSDev\" nbobjs=\"2\" kind=\"9\" name=\"" name "\" indexing=\"gp\">" \
	"<indexes length=\"6\">31 32 </indexes><u64values length=\"20\">" values                \
	"</u64values></distances2>"

#define NVLINKS(between) MATRIX("NVLinkBandwidth", "1000000 " between " " between " 1000000 ")
#define A100_SXM "NVIDIA A100-SXM4-80GB"

/* --- NVLink ------------------------------------------------------------------------------- */

/* Loads a pair of A100 and says how many links they have; the note about doubling is *told. */
static int32_t links_of_a100(const char *version, const char *matrix, int as_nccl, int *told)
{
	struct hwloc_text text = { .infos = version, .tail = matrix, .as_nccl = as_nccl,
	                           .first = PAIR(A100, A100_SXM) };
	span_topo *topo = hwloc_text_load(&text);
	const struct graph_link *link = hwloc_text_link(topo, "gpu0", "gpu1");
	const struct note *note = hwloc_text_note(topo, "A100");
	int32_t count = link->count;

	cr_assert_eq(link->link_class, SPAN_LINK_NVLINK);
	cr_assert_float_eq(link->bandwidth, count * 20e9, 1);
	cr_assert_eq(hwloc_text_link(topo, "gpu1", "gpu0")->count, count);
	cr_assert(!note || note->corrected == !as_nccl);
	*told = note != NULL;
	span_topo_free(topo);
	return count;
}

Test(hwloc_link, doubled_links_of_an_a100_are_halved_by_the_version)
{
	int told;

	cr_assert_eq(links_of_a100(WRITTEN_BY("2.9.0"), NVLINKS("200000"), 0, &told), 4);
	cr_assert(told);
	cr_assert_eq(links_of_a100(WRITTEN_BY("2.9.0"), NVLINKS("200000"), 1, &told), 8);
	cr_assert(told);
	cr_assert_eq(links_of_a100(WRITTEN_BY("2.9.1"), NVLINKS("200000"), 0, &told), 8);
	cr_assert(!told);
}

Test(hwloc_link, more_links_than_an_a100_has_are_doubled_whoever_wrote_them)
{
	int told;

	cr_assert_eq(links_of_a100("", NVLINKS("600000"), 0, &told), 12);
	cr_assert(told);
	cr_assert_eq(links_of_a100("", NVLINKS("300000"), 0, &told), 12);
	cr_assert(!told);
	cr_assert_eq(links_of_a100(WRITTEN_BY("2.12.2"), NVLINKS("300000"), 0, &told), 12);
	cr_assert(!told);
}

static void expect_pair(const char *ids, const char *model, const char *between, int32_t count,
                        double bandwidth)
{
	char io[1024], matrix[512];
	struct hwloc_text text = { .infos = WRITTEN_BY("2.12.0"), .first = io, .tail = matrix };
	const struct graph_link *link;
	span_topo *topo;

	snprintf(io, sizeof(io), GPU("0000:01:00.0", "%s", "31", "nvml0", "%s")
	                                 GPU("0000:02:00.0", "%s", "32", "nvml1", "%s"),
	         ids, model, ids, model);
	snprintf(matrix, sizeof(matrix), NVLINKS("%s"), between, between);
	topo = hwloc_text_load(&text);
	link = hwloc_text_link(topo, "gpu0", "gpu1");
	cr_assert_eq(link->count, count, "%s: %d links", model, link->count);
	cr_assert_float_eq(link->bandwidth, bandwidth, 1, "%s: %g", model, link->bandwidth);
	cr_assert_eq(link->confidence, SPAN_CONFIDENCE_ASSUMED);
	span_topo_free(topo);
}

/* Links are counted by the wire's rate of the generation, and have NCCL's bandwidth. */
Test(hwloc_link, every_generation_has_its_links)
{
	expect_pair("0302 [10de:15f9] [10de:1] a1", "Tesla P100-SXM2-16GB", "40000", 2, 36e9);
	expect_pair("0302 [10de:1db1] [10de:1] a1", "Tesla V100-SXM2-16GB", "50000", 2, 40e9);
	expect_pair(H100, "NVIDIA H100 80GB HBM3", "150000", 6, 6 * 20.6e9);
	expect_pair("0302 [10de:2901] [10de:1] a1", "NVIDIA B200", "900000", 18, 18 * 40.1e9);
}

static int tells_missing(const char *io, const char *infos, const char *matrix)
{
	span_topo *topo = hwloc_text_load(&(struct hwloc_text){
		.first = io, .infos = infos, .tail = matrix });
	const struct note *note = hwloc_text_note(topo, "nvidia-smi topo -m");

	cr_assert(!note || !note->corrected);
	span_topo_free(topo);
	return note != NULL;
}

Test(hwloc_link, an_h100_without_nvlink_is_told_with_the_remedy)
{
	static const char sxm[] = PAIR(H100, "NVIDIA H100 80GB HBM3");
	static const char card[] = PAIR("0302 [10de:2331] [10de:1626] a1", "NVIDIA H100 PCIe");
	static const char unnamed[] = DEVICE("0000:01:00.0", "0302 [10de:1db1] [10de:1212] a1",
	                                     "15.753846", "");

	cr_assert(tells_missing(sxm, WRITTEN_BY("2.9.0"), ""));
	cr_assert(tells_missing(unnamed, WRITTEN_BY("1.11.8"), ""));
	cr_assert(!tells_missing(sxm, WRITTEN_BY("2.12.0"), NVLINKS("150000")));
	cr_assert(!tells_missing(card, WRITTEN_BY("2.9.0"), ""));
}

#define HETERO(objects, n, values)                                                           \
	"<distances2hetero nbobjs=\"" n "\" kind=\"25\" name=\"NVLinkBandwidth\"><indexes>" objects \
	"</indexes><u64values>" values "</u64values></distances2hetero>"

Test(hwloc_link, nvswitches_are_one_node_that_no_closure_removes)
{
	span_topo *topo = hwloc_text_load(&(struct hwloc_text){
		.infos = WRITTEN_BY("2.12.0"),
		.first = PAIR(H100, "NVIDIA H100 80GB HBM3")
			"<object type=\"PCIDev\" gp_index=\"41\" pci_busid=\"0000:05:00.0\" "
			"pci_type=\"0680 [10de:22a3] [10de:1796] a1\"/>"
			"<object type=\"PCIDev\" gp_index=\"42\" pci_busid=\"0000:06:00.0\" "
			"subtype=\"NVSwitch\"/>",
		.tail = HETERO("OSDev:31 OSDev:32 PCIDev:41 PCIDev:42", "4",
		               "0 0 100000 125000  0 0 100000 125000 "
		               "100000 100000 0 0  125000 125000 0 0") });

	cr_assert_eq(hwloc_text_link(topo, "gpu0", "nvswitch0")->count, 9);
	cr_assert_eq(hwloc_text_link(topo, "nvswitch0", "gpu1")->count, 9);
	cr_assert_float_eq(hwloc_text_link(topo, "gpu1", "nvswitch0")->bandwidth, 9 * 20.6e9, 1);
	cr_assert(!hwloc_text_linked(topo, "gpu0", "gpu1"));
	cr_assert_eq(span_topo_find(topo, "nvswitch1"), -1);
	span_topo_free(topo);
}

Test(hwloc_link, nvlink_to_a_package_is_nvlink_to_its_processors)
{
	span_topo *topo = hwloc_text_load(&(struct hwloc_text){
		.infos = WRITTEN_BY("2.5.0"),
		.second = GPU("0000:81:00.0", "0302 [10de:15f9] [10de:1] a1", "31", "nvml0",
		              "Tesla P100-SXM2-16GB"),
		.tail = HETERO("OSDev:31 Package:11", "2", "0 40000 40000 0") });

	cr_assert_eq(hwloc_text_link(topo, "cpu1", "gpu0")->link_class, SPAN_LINK_PCI);
	cr_assert_eq(topo->machines[0]->n_links, 6);
	for (int32_t i = 4; i < 6; i++) {
		const struct graph_link *link = &topo->machines[0]->links[i];

		cr_assert_eq(link->link_class, SPAN_LINK_NVLINK);
		cr_assert_eq(link->count, 2);
		cr_assert_eq(link->from + link->to,
		             span_topo_find(topo, "gpu0") + span_topo_find(topo, "cpu1"));
	}
	span_topo_free(topo);
}

Test(hwloc_link, nvlink_c2c_is_told_to_be_missing)
{
	span_topo *topo = hwloc_text_load(&(struct hwloc_text){
		.first = PAIR("0302 [10de:2342] [10de:16eb] a1", "NVIDIA GH200 480GB") });

	cr_assert(hwloc_text_note(topo, "C2C"));
	span_topo_free(topo);
}

/* --- xGMI, Xe Link --------------------------------------------------------------------------- */

#define XGMI_PAIR                                                                    \
	DEVICE("0000:c1:00.0", MI250X, "31.0", OSDEV("31", "rsmi0", "1", ""))        \
	DEVICE("0000:c6:00.0", MI250X, "31.0", OSDEV("32", "rsmi1", "1", ""))

Test(hwloc_link, the_constant_of_xgmi_is_no_fact)
{
	span_topo *topo = hwloc_text_load(&(struct hwloc_text){
		.first = XGMI_PAIR,
		.tail = MATRIX("XGMIBandwidth", "1000000 100000 100000 1000000") });
	const struct graph_link *link = hwloc_text_link(topo, "gpu0", "gpu1");

	cr_assert_eq(link->link_class, SPAN_LINK_XGMI);
	cr_assert_eq(link->confidence, SPAN_CONFIDENCE_UNKNOWN);
	cr_assert_eq(link->bandwidth, 36e9);
	cr_assert(hwloc_text_note(topo, "rocm-smi --showtopo"));
	span_topo_free(topo);
}

Test(hwloc_link, a_measured_xgmi_is_a_fact)
{
	span_topo *topo = hwloc_text_load(&(struct hwloc_text){
		.first = XGMI_PAIR,
		.tail = MATRIX("XGMIBandwidth", "1000000 200000 200000 1000000") });
	const struct graph_link *link = hwloc_text_link(topo, "gpu0", "gpu1");

	cr_assert_eq(link->confidence, SPAN_CONFIDENCE_DECLARED);
	cr_assert_eq(link->bandwidth, 200e9);
	cr_assert(!hwloc_text_note(topo, "rocm-smi"));
	span_topo_free(topo);
}

Test(hwloc_link, xgmi_over_other_gpus_is_no_link)
{
	span_topo *topo = hwloc_text_load(&(struct hwloc_text){
		.first = XGMI_PAIR,
		.tail = MATRIX("XGMIBandwidth", "1000000 100000 100000 1000000")
			MATRIX("XGMIHops", "0 2 2 0") });

	cr_assert(!hwloc_text_linked(topo, "gpu0", "gpu1"));
	span_topo_free(topo);
}

Test(hwloc_link, partitions_of_a_gpu_are_one_and_linked_once)
{
	span_topo *topo = hwloc_text_load(&(struct hwloc_text){
		.first = DEVICE("0000:01:00.0", "1200 [1002:74a0] [1002:74a0] 00", "63.015385",
		                OSDEV("31", "rsmi0", "1", "") OSDEV("32", "rsmi1", "1", ""))
		         DEVICE("0000:02:00.0", "1200 [1002:74a0] [1002:74a0] 00", "63.015385",
		                OSDEV("33", "rsmi2", "1", "") OSDEV("34", "rsmi3", "1", "")),
		.tail = "<distances2 type=\"OSDev\" nbobjs=\"4\" name=\"XGMIBandwidth\" "
		        "indexing=\"gp\"><indexes>31 32 33 34</indexes><u64values>"
		        "0 100000 100000 100000 100000 0 100000 100000 "
		        "100000 100000 0 100000 100000 100000 100000 0</u64values></distances2>" });

	cr_assert_eq(hwloc_text_link(topo, "gpu0", "gpu1")->count, 1);
	cr_assert_eq(hwloc_text_link(topo, "gpu0", "gpu1")->bandwidth, 48e9);
	cr_assert_eq(hwloc_text_node(topo, "gpu1")->dev, 2);
	cr_assert_eq(span_topo_find(topo, "gpu2"), -1);
	cr_assert(hwloc_text_note(topo, "partitions"));
	span_topo_free(topo);
}

Test(hwloc_link, xe_link_is_read)
{
	span_topo *topo = hwloc_text_load(&(struct hwloc_text){
		.first = DEVICE("0000:18:00.0", "0380 [8086:0bd6] [8086:0] 2f", "63.0",
		                OSDEV("31", "ze0", "5", ""))
		         DEVICE("0000:42:00.0", "0380 [8086:0bd6] [8086:0] 2f", "63.0",
		                OSDEV("32", "ze1", "5", "")),
		.tail = MATRIX("XeLinkBandwidth", "0 53000 53000 0") });
	const struct graph_link *link = hwloc_text_link(topo, "gpu0", "gpu1");

	cr_assert_eq(link->link_class, SPAN_LINK_XGMI);
	cr_assert_eq(link->bandwidth, 53e9);
	cr_assert(strstr(link->provenance, "XeLinkBandwidth"));
	span_topo_free(topo);
}
