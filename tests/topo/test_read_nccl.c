/* Reading NCCL's topology XML: what every odd file becomes, in NCCL's view and corrected, and what
 * is refused in one line. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/topo/log_capture.h"
#include "tests/topo/nccl_paths.h"
#include "topo/read/reader.h"

#define CPU \
	"<cpu numaid='0' affinity='ff' arch='x86_64' vendor='GenuineIntel' familyid='6' " \
	"modelid='207'>"
#define GEN5 "link_speed='32.0 GT/s PCIe' link_width='16'"

static span_topo *read_text(const char *text, int as_nccl)
{
	span_topo_options options = { .size = sizeof(options), .as_nccl = as_nccl };
	span_topo *topo = NULL;

	log_capture();
	cr_assert_eq(span_topo_parse(text, strlen(text), "file", &options, &topo), SPAN_OK, "%s",
	             log_captured());
	return topo;
}

/* <system> with one <cpu> of these children. */
static span_topo *read_below(const char *children, int as_nccl)
{
	char text[8192];

	snprintf(text, sizeof(text), "<system version='1'>" CPU "%s</cpu></system>", children);
	return read_text(text, as_nccl);
}

static int32_t count(const span_topo *topo, span_node_kind kind)
{
	return span_topo_devices(topo, kind, -1, NULL, 0);
}

/* The link of a class between two nodes; bandwidth 0: there is none. */
static span_topo_link find_link(const span_topo *topo, const char *from, const char *to,
                                span_link_class class)
{
	int32_t a = span_topo_find(topo, from), b = span_topo_find(topo, to), i;
	span_topo_link link;

	cr_assert(a >= 0 && b >= 0, "%s, %s: not in the topology", from, to);
	for (i = 0; i < span_topo_links(topo); i++) {
		span_topo_link_at(topo, i, &link);
		if (link.from == a && link.to == b && link.link_class == class)
			return link;
	}
	return (span_topo_link){ 0 };
}

static void expect_link(const span_topo *topo, const char *from, const char *to,
                        span_link_class class, double bandwidth, span_confidence confidence)
{
	span_topo_link link = find_link(topo, from, to, class);

	cr_assert_float_eq(link.bandwidth, bandwidth, 1, "%s to %s: %g", from, to, link.bandwidth);
	cr_assert_eq(link.confidence, confidence, "%s to %s: %s", from, to,
	             span_confidence_name(link.confidence));
	cr_assert(*link.provenance);
}

/* The note with these words, or NULL. */
static const char *find_note(const span_topo *topo, const char *words, int *corrected)
{
	span_topo_note note;
	int32_t i;

	for (i = 0; i < span_topo_notes(topo); i++) {
		span_topo_note_at(topo, i, &note);
		if (!strstr(note.text, words))
			continue;
		*corrected = note.corrected;
		return note.place;
	}
	return NULL;
}

static void expect_note(const span_topo *topo, const char *words, const char *place,
                        int corrected)
{
	int is_corrected = -1;
	const char *found = find_note(topo, words, &is_corrected);

	cr_assert(found, "no note says \"%s\"", words);
	cr_assert_str_eq(found, place);
	cr_assert_eq(is_corrected, corrected, "%s", words);
}

static void expect_no_note(const span_topo *topo, const char *words)
{
	int corrected;

	cr_assert_null(find_note(topo, words, &corrected), "a note says \"%s\"", words);
}

/* --- PCIe ------------------------------------------------------------------------------ */

static double gpu_link(const char *attributes, int as_nccl)
{
	char text[512];
	span_topo *topo;
	double bandwidth;

	snprintf(text, sizeof(text), "<pci busid='0000:01:00.0' class='0x030200' %s>"
	         "<gpu dev='0' sm='90' rank='0' gdr='1'/></pci>", attributes);
	topo = read_below(text, as_nccl);
	bandwidth = find_link(topo, "gpu0", "cpu0", SPAN_LINK_PCI).bandwidth;
	span_topo_free(topo);
	return bandwidth / 1e9;
}

Test(read_nccl, pcie_bandwidth_is_width_times_rate_as_nccl_counts)
{
	cr_assert_eq(gpu_link("link_speed='16.0 GT/s PCIe' link_width='16'", 1), 24);
	cr_assert_eq(gpu_link("link_speed='16 GT/s' link_width='8'", 1), 12);
	cr_assert_eq(gpu_link("link_speed='64.0 GT/s PCIe' link_width='16'", 1), 96);
	cr_assert_eq(gpu_link("link_speed='2.5 GT/s PCIe' link_width='1'", 1), 0.1875);
	cr_assert_eq(gpu_link("link_speed='32 GT/s PCIe/s' link_width='16'", 1), 48);
	cr_assert_eq(gpu_link("link_speed='32.0 GT/s PCIe' link_width='0x8'", 1), 24);
}

Test(read_nccl, nccl_takes_what_it_does_not_understand_as_gen3_x16)
{
	cr_assert_eq(gpu_link("link_speed='' link_width='0'", 1), 12);
	cr_assert_eq(gpu_link("", 1), 12);
	cr_assert_eq(gpu_link("link_speed='Unknown' link_width='16'", 1), 12);
	cr_assert_eq(gpu_link("link_speed='16.0 GT/s' link_width='16'", 1), 12);
}

Test(read_nccl, an_unknown_link_is_assumed_from_the_device_when_corrected)
{
	cr_assert_eq(gpu_link("link_speed='' link_width='0'", 0), 48);
	cr_assert_eq(gpu_link("link_speed='16.0 GT/s' link_width='16'", 0), 24);
	cr_assert_eq(gpu_link("link_speed='2.5 GT/s PCIe' link_width='16'", 0), 48);
	cr_assert_eq(gpu_link("link_speed='16.0 GT/s PCIe' link_width='255'", 0), 24);
	cr_assert_eq(gpu_link("link_speed='8.0 GT/s PCIe' link_width='4'", 0), 3);
}

#define IDLE_BRIDGE \
	"<pci busid='0000:01:00.0' class='0x060400' link_speed='2.5 GT/s PCIe' link_width='1'>" \
	"<pci busid='0000:02:00.0' class='0x030200' " GEN5 ">" \
	"<gpu dev='0' sm='90' rank='0' gdr='1'>%s</gpu></pci></pci>"

static void idle_bridge(const char *inside, int as_nccl, double bandwidth,
                        span_confidence confidence)
{
	char text[1024];
	span_topo *topo;

	snprintf(text, sizeof(text), IDLE_BRIDGE, inside);
	topo = read_below(text, as_nccl);
	expect_link(topo, "pci0", "cpu0", SPAN_LINK_PCI, bandwidth, confidence);
	expect_link(topo, "cpu0", "pci0", SPAN_LINK_PCI, bandwidth, confidence);
	if (confidence == SPAN_CONFIDENCE_ASSUMED)
		expect_note(topo, "a bridge claims Gen1 or one lane", "file:1", 1);
	else
		expect_no_note(topo, "a bridge claims");
	span_topo_free(topo);
}

Test(read_nccl, an_idle_uplink_is_as_fast_as_the_device_below)
{
	idle_bridge("", 1, 0.1875e9, SPAN_CONFIDENCE_DECLARED);
	idle_bridge("", 0, 48e9, SPAN_CONFIDENCE_ASSUMED);
}

Test(read_nccl, beside_c2c_a_slow_uplink_is_believed)
{
	idle_bridge("<c2c bw='44712' count='5'/>", 0, 0.1875e9, SPAN_CONFIDENCE_DECLARED);
}

Test(read_nccl, a_slow_port_needs_no_more_than_gen1)
{
	span_topo *topo = read_below(
		"<pci busid='0000:01:00.0' class='0x020000' link_speed='2.5 GT/s' link_width='4'>"
		"<nic><net name='e' dev='0' speed='1000' gdr='0'/></nic></pci>"
		"<pci busid='0000:02:00.0' class='0x020000' link_speed='2.5 GT/s' link_width='16'>"
		"<nic><net name='f' dev='1' speed='400000' gdr='1'/></nic></pci>", 0);

	expect_link(topo, "card0", "cpu0", SPAN_LINK_PCI, 0.75e9, SPAN_CONFIDENCE_DECLARED);
	expect_link(topo, "card1", "cpu0", SPAN_LINK_PCI, 48e9, SPAN_CONFIDENCE_ASSUMED);
	span_topo_free(topo);
}

/* Two levels of one Broadcom switch (generation 4, then 5) become one node; others stay two. */
Test(read_nccl, the_levels_of_a_broadcom_switch_are_joined)
{
	static const char *const ids[][2] = {
		{ "device='0xc010' subsystem_vendor='0x1000' subsystem_device='0xa096'",
		  "device='0xc010' subsystem_vendor='0x1000' subsystem_device='0xa001'" },
		{ "device='0xc030' subsystem_vendor='0x1000' subsystem_device='0x0004'",
		  "device='0xc030' subsystem_vendor='0x1000' subsystem_device='0x1004'" },
		{ "device='0xc030' subsystem_vendor='0x1000' subsystem_device='0x0004'",
		  "device='0xc030' subsystem_vendor='0x1000' subsystem_device='0x0004'" },
	};
	static const int32_t switches[] = { 1, 1, 2 };
	int i;

	for (i = 0; i < 3; i++) {
		char text[1024];
		span_topo *topo;

		snprintf(text, sizeof(text), "<pci busid='0000:01:00.0' class='0x060400' "
		         "vendor='0x1000' %s " GEN5 "><pci busid='0000:02:00.0' class='0x060400' "
		         "vendor='0x1000' %s " GEN5 "><pci busid='0000:03:00.0' class='0x030200' "
		         GEN5 "><gpu dev='0' sm='90' rank='0' gdr='1'/></pci></pci></pci>",
		         ids[i][0], ids[i][1]);
		topo = read_below(text, 1);
		cr_assert_eq(count(topo, SPAN_NODE_PCI), switches[i], "%d", i);
		span_topo_free(topo);
	}
}

/* --- GPUs ------------------------------------------------------------------------------ */

#define GPU(bus, attributes, links) \
	"<pci busid='0000:" bus ":00.0' class='0x030200' " GEN5 "><gpu " attributes ">" links \
	"</gpu></pci>"

Test(read_nccl, nvlinks_lead_to_gpus_switches_and_power_bridges)
{
	span_topo *topo = read_below(
		GPU("01", "dev='0' sm='90' rank='0' gdr='1'",
		    "<nvlink target='0000:02:00.0' count='2' tclass='0x030200'/>"
		    "<nvlink target='0000:02:00.0' count='1' tclass='0x030200'/>"
		    "<nvlink target='fffffff:ffff:ff' count='6' tclass='0x068000'/>"
		    "<nvlink target='0004:00:00.0' count='3' tclass='0x068001'/>")
		GPU("02", "dev='1' sm='100' rank='1' gdr='1'",
		    "<nvlink target='0000:f3:00.0' count='18' tclass='0x068000'/>"), 1);

	expect_link(topo, "gpu0", "gpu1", SPAN_LINK_NVLINK, 3 * 20.6e9, SPAN_CONFIDENCE_ASSUMED);
	expect_link(topo, "gpu0", "nvswitch0", SPAN_LINK_NVLINK, 6 * 20.6e9, SPAN_CONFIDENCE_ASSUMED);
	expect_link(topo, "nvswitch0", "gpu0", SPAN_LINK_NVLINK, 6 * 20.6e9, SPAN_CONFIDENCE_ASSUMED);
	expect_link(topo, "gpu1", "nvswitch0", SPAN_LINK_NVLINK, 18 * 40.1e9, SPAN_CONFIDENCE_ASSUMED);
	expect_link(topo, "gpu0", "cpu0", SPAN_LINK_NVLINK, 3 * 20.6e9, SPAN_CONFIDENCE_ASSUMED);
	cr_assert_eq(find_link(topo, "gpu1", "gpu0", SPAN_LINK_NVLINK).bandwidth, 0);
	cr_assert_eq(count(topo, SPAN_NODE_NVSWITCH), 1);
	span_topo_free(topo);
}

Test(read_nccl, c2c_leads_to_the_processor)
{
	span_topo *topo = read_below(GPU("01", "dev='0x1' sm='103' rank='0' gdr='1'",
	                                 "<c2c bw='44712' count='5'/>"), 1);
	span_topo_node node;
	int32_t number = span_topo_find(topo, "gpu0");

	expect_link(topo, "gpu0", "cpu0", SPAN_LINK_C2C, 223.56e9, SPAN_CONFIDENCE_DECLARED);
	span_topo_node_at(topo, number, &node);
	cr_assert_eq(node.dev, 1);
	span_topo_free(topo);
}

Test(read_nccl, a_target_that_is_not_there_is_told)
{
	span_topo *topo = read_below(
		GPU("01", "dev='0' sm='90' rank='0' gdr='1'",
		    "<nvlink target='0000:07:00.0' count='2' tclass='0x030200'/>"
		    "<nvlink target='0000:01:00.0' count='2' tclass='0x030200'/>"), 0);

	expect_note(topo, "not in the file", "file:1", 0);
	cr_assert_eq(find_link(topo, "gpu0", "gpu0", SPAN_LINK_NVLINK).bandwidth, 0);
	span_topo_free(topo);
}

Test(read_nccl, a_gpu_without_rank_is_left_out_by_nccl_and_shown_here)
{
	const char *text = GPU("01", "dev='0' sm='90' gdr='1'", "")
		GPU("02", "dev='1' sm='90' rank='0' gdr='1'", "");
	span_topo *topo = read_below(text, 1), *shown = read_below(text, 0);

	cr_assert_eq(count(topo, SPAN_NODE_GPU), 1);
	cr_assert_eq(count(shown, SPAN_NODE_GPU), 2);
	expect_note(topo, "NCCL leaves it out", "file:1", 0);
	expect_note(shown, "it is no part of the job", "file:1", 0);
	span_topo_free(topo);
	span_topo_free(shown);
}

Test(read_nccl, ranks_are_counted_when_no_gpu_has_one)
{
	const char *text = GPU("01", "dev='0' sm='90'", "") GPU("02", "dev='1' sm='90'", "");
	span_topo *topo = read_below(text, 1), *shown = read_below(text, 0);
	span_topo_node node;

	span_topo_node_at(topo, span_topo_find(topo, "gpu1"), &node);
	cr_assert_eq(node.rank, 1);
	span_topo_node_at(shown, span_topo_find(shown, "gpu1"), &node);
	cr_assert_eq(node.rank, -1);
	span_topo_free(topo);
	span_topo_free(shown);
}

/* --- AMD ------------------------------------------------------------------------------- */

#define AMD(bus, dev, gcn, target) \
	"<pci busid='0000:" bus ":00.0' class='0x120000' " GEN5 "><gpu dev='" dev "' sm='304' " \
	"gcn='" gcn "' rank='" dev "' gdr='1'><xgmi target='0000:" target ":00.0' count='2' " \
	"tclass='0x120000'/></gpu></pci>"

Test(read_nccl, xgmi_counts_when_corrected_and_not_for_nccl)
{
	const char *text = AMD("01", "0", "gfx942", "02") AMD("02", "1", "gfx942", "01");
	span_topo *topo = read_below(text, 1), *shown = read_below(text, 0);
	int32_t a = span_topo_find(topo, "gpu0"), b = span_topo_find(topo, "gpu1");
	span_topo_path path;

	cr_assert_str_eq(span_topo_source_kind(shown), "rccl-xml");
	expect_link(shown, "gpu0", "gpu1", SPAN_LINK_XGMI, 96e9, SPAN_CONFIDENCE_ASSUMED);
	cr_assert_eq(span_topo_path_between(shown, a, b, &path), SPAN_OK);
	cr_assert_eq(path.path_class, SPAN_PATH_NVL);
	cr_assert_float_eq(path.bandwidth, 96e9, 1);
	cr_assert_eq(path.confidence, SPAN_CONFIDENCE_ASSUMED);
	expect_note(shown, "bandwidth of xGMI links", "file:1", 1);
	cr_assert_eq(span_topo_path_between(topo, a, b, &path), SPAN_OK);
	cr_assert_eq(path.path_class, SPAN_PATH_PHB);
	expect_note(topo, "NCCL does not know them", "file:1", 0);
	span_topo_free(topo);
	span_topo_free(shown);
}

Test(read_nccl, generations_of_amd_differ_by_their_name)
{
	static const struct {
		const char *gcn, *name;
		double each;
	} cases[] = { { "906", "gfx906", 24e9 }, { "910", "gfx90a", 36e9 },
		      { "gfx90a", "gfx90a", 36e9 }, { "940", "gfx940", 48e9 },
		      { "gfx950", "gfx950", 48e9 } };
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[1024];
		span_topo *topo;
		span_topo_node node;

		snprintf(text, sizeof(text), AMD("01", "0", "%s", "02") AMD("02", "1", "%s", "01"),
		         cases[i].gcn, cases[i].gcn);
		topo = read_below(text, 0);
		expect_link(topo, "gpu0", "gpu1", SPAN_LINK_XGMI, 2 * cases[i].each,
		            SPAN_CONFIDENCE_ASSUMED);
		span_topo_node_at(topo, span_topo_find(topo, "gpu0"), &node);
		cr_assert_str_eq(node.name, cases[i].name);
		span_topo_free(topo);
	}
}

/* --- ports ----------------------------------------------------------------------------- */

static double port_link(const char *attributes, int as_nccl)
{
	char text[512];
	span_topo *topo;
	double bandwidth;

	snprintf(text, sizeof(text), "<pci busid='0000:01:00.0' class='0x020000' " GEN5 "><nic>"
	         "<net name='mlx5_0' dev='0' %s/></nic></pci>", attributes);
	topo = read_below(text, as_nccl);
	bandwidth = find_link(topo, "card0", "nic0", SPAN_LINK_NETWORK).bandwidth;
	cr_assert_eq(bandwidth, find_link(topo, "nic0", "card0", SPAN_LINK_NETWORK).bandwidth);
	span_topo_free(topo);
	return bandwidth / 1e9;
}

Test(read_nccl, the_speed_of_a_port_is_in_megabits)
{
	cr_assert_eq(port_link("speed='400000'", 1), 50);
	cr_assert_eq(port_link("speed='0x30d40'", 1), 25);
	cr_assert_eq(port_link("speed='-1'", 1), 1.25);
	cr_assert_eq(port_link("", 1), 1.25);
	cr_assert_eq(port_link("speed='200000000'", 1), 25000);
	cr_assert_eq(port_link("speed='200000000'", 0), 25);
	cr_assert_eq(port_link("speed='-1'", 0), 48);
}

/* NCCL takes a port that does not speak of GPUDirect for one that has none. */
Test(read_nccl, gpudirect_that_is_not_spoken_of_is_unknown)
{
	const char *text = "<pci busid='0000:08:00.0' class='0x060400' " GEN5 ">"
		GPU("01", "dev='0' sm='90' rank='0'", "")
		"<pci busid='0000:02:00.0' class='0x020000' " GEN5 "><nic>"
		"<net dev='0' speed='100000'/></nic></pci></pci>";
	int as_nccl;

	for (as_nccl = 0; as_nccl < 2; as_nccl++) {
		span_topo *topo = read_below(text, as_nccl);
		span_topo_path path;

		cr_assert_eq(span_topo_path_between(topo, span_topo_find(topo, "gpu0"),
		                                    span_topo_find(topo, "nic0"), &path), SPAN_OK);
		cr_assert_eq(path.path_class, as_nccl ? SPAN_PATH_PHB : SPAN_PATH_PIX);
		span_topo_free(topo);
	}
}

Test(read_nccl, several_ports_and_cards_of_one_address)
{
	const char *text =
		"<pci busid='0000:01:00.0' class='0x020000' " GEN5 "><nic>"
		"<net name='a' dev='0' speed='100000'/><net name='b' dev='1' speed='100000'/>"
		"<net name='idle' speed='100000'/></nic></pci>"
		"<pci busid='0000:01:00.0' class='0x020000' " GEN5 "><nic>"
		"<net name='c' dev='2' speed='100000'/></nic></pci>"
		"<nic><net name='eth0' dev='3' speed='10000'/></nic>";
	span_topo *topo = read_below(text, 1);

	cr_assert_eq(count(topo, SPAN_NODE_CARD), 2);
	cr_assert_eq(count(topo, SPAN_NODE_NIC), 4);
	expect_link(topo, "card1", "cpu0", SPAN_LINK_PCI, 5000e9, SPAN_CONFIDENCE_UNKNOWN);
	expect_note(topo, "a port has no dev", "file:1", 0);
	span_topo_free(topo);
}

/* --- hosts and processors ---------------------------------------------------------------- */

static double socket_link(const char *processor)
{
	char text[512];
	span_topo *topo;
	double bandwidth;

	snprintf(text, sizeof(text), "<system version='1'><cpu numaid='0' %s/><cpu numaid='1' %s/>"
	         "</system>", processor, processor);
	topo = read_text(text, 1);
	bandwidth = find_link(topo, "cpu0", "cpu1", SPAN_LINK_SOCKET).bandwidth;
	span_topo_free(topo);
	return bandwidth / 1e9;
}

#define INTEL(model) "arch='x86_64' vendor='GenuineIntel' familyid='6' modelid='" model "'"

Test(read_nccl, links_between_processors_follow_their_kind)
{
	cr_assert_eq(socket_link(INTEL("79")), 6);
	cr_assert_eq(socket_link(INTEL("85")), 10);
	cr_assert_eq(socket_link(INTEL("0x8f")), 22);
	cr_assert_eq(socket_link(INTEL("207")), 40);
	cr_assert_eq(socket_link("arch='x86_64' vendor='AuthenticAMD'"), 16);
	cr_assert_eq(socket_link("arch='x86_64' vendor='CentaurHauls' familyid='7' modelid='91'"), 9);
	cr_assert_eq(socket_link("arch='x86_64' vendor='CentaurHauls' familyid='7' modelid='90'"), 6);
	cr_assert_eq(socket_link("arch='arm64'"), 6);
	cr_assert_eq(socket_link("arch='ppc64'"), 32);
	cr_assert_eq(socket_link("arch='riscv'"), 5000);
	cr_assert_eq(socket_link(""), 5000);
}

/* Fused dumps repeat addresses from host to host; masked hashes are words that differ. */
Test(read_nccl, hosts_are_told_apart_by_their_hash)
{
	span_topo *topo = read_text(
		"<system version='1'>\n"
		"<cpu host_hash='0xHOST_B' numaid='0' arch='arm64'>"
		GPU("01", "dev='0' sm='103' rank='1' gdr='1'",
		    "<nvlink target='fffffff:ff:ff.0' count='18' tclass='0x068000'/>") "</cpu>\n"
		"<cpu host_hash='0xHOST_A' numaid='0' arch='arm64'>"
		GPU("01", "dev='0' sm='103' rank='0' gdr='1'",
		    "<nvlink target='fffffff:ff:ff.0' count='18' tclass='0x068000'/>") "</cpu>\n"
		"</system>", 1);
	span_topo_path path;

	cr_assert_eq(span_topo_hosts(topo), 2);
	cr_assert_eq(find_link(topo, "h0/cpu0", "h1/cpu0", SPAN_LINK_SOCKET).bandwidth, 0);
	expect_no_note(topo, "has the PCI address of another");
	cr_assert_eq(span_topo_path_between(topo, span_topo_find(topo, "h0/gpu0"),
	                                    span_topo_find(topo, "h1/gpu0"), &path), SPAN_OK);
	cr_assert_eq(path.path_class, SPAN_PATH_NVL);
	span_topo_free(topo);
}

Test(read_nccl, a_repeated_address_is_told)
{
	const char *text = GPU("01", "dev='0' sm='90' rank='0'", "")
		GPU("01", "dev='1' sm='90' rank='1'", "");
	span_topo *topo = read_below(text, 0);

	cr_assert_eq(count(topo, SPAN_NODE_GPU), 2);
	expect_note(topo, "has the PCI address of another", "file:1", 0);
	span_topo_free(topo);
}

/* --- templates ---------------------------------------------------------------------------- */

Test(read_nccl, a_template_is_completed_by_classes)
{
	span_topo *topo = read_below(
		"<pci busid='0000:08:00.0' class='0x060400' " GEN5 ">"
		"<pci busid='0000:0b:00.0' class='0x030200' " GEN5 "/>"
		"<pci busid='0000:0a:00.0' class='0x030200' " GEN5 "/>"
		"<pci busid='0000:0c:00.0' class='0x020000' " GEN5 "/>"
		"<pci busid='0000:0d:00.0'/></pci>", 1);
	span_topo_node node;

	cr_assert_eq(count(topo, SPAN_NODE_GPU), 2);
	cr_assert_eq(count(topo, SPAN_NODE_NIC), 1);
	cr_assert_eq(count(topo, SPAN_NODE_PCI), 2);
	span_topo_node_at(topo, span_topo_find(topo, "gpu0"), &node);
	cr_assert_str_eq(node.bus, "0000:0b:00.0");
	cr_assert_eq(node.dev, 1);
	cr_assert_eq(find_link(topo, "card0", "nic0", SPAN_LINK_NETWORK).confidence,
	             SPAN_CONFIDENCE_UNKNOWN);
	expect_note(topo, "devices of class 0x03 were taken for GPUs", "file:1", 0);
	expect_note(topo, "devices of class 0x02 were taken for network cards", "file:1", 0);
	expect_note(topo, "does not say what its devices are", "file:1", 0);
	span_topo_free(topo);
}

/* In a dump, a GPU that is no part of the job has no <gpu>: it is not invented. */
Test(read_nccl, a_dump_is_not_completed)
{
	span_topo *topo = read_below(GPU("01", "dev='0' sm='90' rank='0'", "")
		"<pci busid='0000:0b:00.0' class='0x030200' " GEN5 "/>", 1);

	cr_assert_eq(count(topo, SPAN_NODE_GPU), 1);
	span_topo_free(topo);
}

/* --- files ---------------------------------------------------------------------------------- */

static void refuse(const char *text, const char *message)
{
	struct source source = { .name = "file", .text = text, .bytes = strlen(text) };
	span_topo *topo = NULL;

	log_capture();
	cr_assert_eq(read_nccl_xml(&source, &topo), SPAN_EPARSE, "%s", message);
	cr_assert_null(topo);
	cr_assert_eq(log_captured_count(), 1);
	cr_assert(strstr(log_captured(), message), "%s: not \"%s\"", log_captured(), message);
}

Test(read_nccl, what_is_no_topology_is_refused_in_one_line)
{
	refuse("<graphs version='1'/>", "file:1: NCCL's search results");
	refuse("\n<list/>", "file:2: the root element is <list>");
	refuse("<system version='3'><cpu/></system>", "file:1: version 3 of the format");
	refuse("<system version='1'/>", "file:1: no <cpu>");
	refuse("<system version='1'>\n<cpu numaid='0'>\n<pci class='0x030200'/></cpu></system>",
	       "file:3: <pci> without a busid");
	refuse("<system version='1'><cpu><pci busid='?'/></cpu></system>", "without a busid");
	refuse("<system version='1'><cpu>", "file:1: XML expected");
}

Test(read_nccl, both_versions_of_the_format_are_read)
{
	span_topo_free(read_text("<system version='1'><cpu numaid='0'/></system>", 0));
	span_topo_free(read_text("<system version='2'><cpu numaid='0'/></system>", 0));
	span_topo_free(read_text("<system><cpu numaid='-1'/><cpu numaid='-1'/></system>", 1));
}

/* More devices than a machine may have: refused, in time and memory that depend on the limits. */
Test(read_nccl, a_machine_of_too_many_devices_is_refused)
{
	size_t bytes = 4u << 20;
	char *text = malloc(bytes), *at = text;
	struct source source = { .name = "file" };
	span_topo *topo = NULL;
	int i;

	cr_assert(text);
	at = stpcpy(at, "<system version='1'><cpu numaid='0'>");
	for (i = 0; i < 20000; i++)
		at += sprintf(at, "<pci busid='%x' class='0x030200'><gpu dev='%d' sm='90' rank='%d'/>"
		              "</pci>", i + 1, i, i);
	at = stpcpy(at, "</cpu></system>");
	source.text = text;
	source.bytes = (size_t)(at - text);
	log_capture();
	cr_assert_eq(read_nccl_xml(&source, &topo), SPAN_EPARSE);
	cr_assert(strstr(log_captured(), "devices in a machine"), "%s", log_captured());
	free(text);
}

static double cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* The largest recorded one. */
Test(read_nccl, the_largest_file_loads_in_a_tenth_of_a_second)
{
	double start = cpu_seconds(), seconds;

	span_topo_free(nccl_paths_load(SPAN_TEST_DATA "/topologies/nccl/rccl/topo_16p1h.xml", 1));
	seconds = cpu_seconds() - start;
	printf("read_nccl: topo_16p1h.xml takes %.4f s\n", seconds);
	cr_assert_lt(seconds, 0.1);
}
