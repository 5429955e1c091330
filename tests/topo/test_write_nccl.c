/* Writing NCCL's topology XML from machines that came from elsewhere: what they do not say is
 * filled in so that NCCL reads it, and numbers go to the nearest that it can express. That nothing
 * is lost of NCCL's own files is shown by test_paths_golden.c. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/topo/log_capture.h"
#include "topo/graph/graph.h"
#include "topo/write/write.h"

struct built {
	span_topo *topo;
	struct machine *machine;
	int32_t cpu;
};

static struct built build(void)
{
	struct built b;
	int32_t host;

	cr_assert_eq(topo_create("test", "test", false, &b.topo), SPAN_OK);
	cr_assert_eq(topo_add_machine(b.topo, &b.machine), SPAN_OK);
	cr_assert_eq(machine_add_node(b.machine, SPAN_NODE_HOST, 0, -1, &host), SPAN_OK);
	cr_assert_eq(machine_add_node(b.machine, SPAN_NODE_CPU, 0, host, &b.cpu), SPAN_OK);
	cr_assert_eq(topo_add_place(b.topo, 0, -1, NULL), SPAN_OK);
	return b;
}

static void join(struct built b, span_link_class class, int32_t a, int32_t c, double bandwidth)
{
	cr_assert_eq(machine_add_link(b.machine, class, a, c, bandwidth, 1,
	                              SPAN_CONFIDENCE_DECLARED, "test"), SPAN_OK);
	cr_assert_eq(machine_add_link(b.machine, class, c, a, bandwidth, 1,
	                              SPAN_CONFIDENCE_DECLARED, "test"), SPAN_OK);
}

static int32_t hang(struct built b, span_node_kind kind, int32_t parent, double bandwidth)
{
	int32_t number;

	cr_assert_eq(machine_add_node(b.machine, kind, 0, parent, &number), SPAN_OK);
	join(b, kind == SPAN_NODE_NIC ? SPAN_LINK_NETWORK : SPAN_LINK_PCI, number, parent,
	     bandwidth);
	return number;
}

/* The written text, to be freed. */
static char *write_text(struct built b)
{
	char *text = NULL;
	size_t bytes;
	FILE *file;

	cr_assert_eq(topo_finish(b.topo), SPAN_OK);
	file = open_memstream(&text, &bytes);
	cr_assert(file);
	cr_assert_eq(topo_write_nccl(b.topo, 0, file), SPAN_OK);
	fclose(file);
	span_topo_free(b.topo);
	return text;
}

static void expect_words(const char *text, const char *words)
{
	cr_assert(strstr(text, words), "not in what was written: %s\n%s", words, text);
}

Test(write_nccl, what_a_source_does_not_say_is_filled_in)
{
	struct built b = build();
	int32_t gpu = hang(b, SPAN_NODE_GPU, b.cpu, 24e9), card = hang(b, SPAN_NODE_CARD, b.cpu, 48e9);
	int32_t nic = hang(b, SPAN_NODE_NIC, card, 25e9);
	char *text;

	(void)gpu;
	cr_assert_eq(machine_set_text(&b.machine->nodes[nic].name, "a<b&\"c\"\n"), SPAN_OK);
	text = write_text(b);
	expect_words(text, "<system version=\"1\">\n  <cpu numaid=\"0\" arch=\"unknown\">\n");
	expect_words(text, "<pci busid=\"ffff:00:02.0\" class=\"0x030200\"");
	expect_words(text, "link_speed=\"16.0 GT/s PCIe\" link_width=\"16\"");
	expect_words(text, "<gpu dev=\"0\" sm=\"80\" rank=\"0\" gdr=\"1\">");
	expect_words(text, "<pci busid=\"ffff:00:03.0\" class=\"0x020000\"");
	expect_words(text, "link_speed=\"32.0 GT/s PCIe\" link_width=\"16\"");
	expect_words(text, "<net name=\"a&lt;b&amp;&quot;c&quot; \" dev=\"0\" latency=\"0.000000\" "
	                   "speed=\"200000\"");
	expect_words(text, "rail=\"-1\" plane=\"-1\"");
	free(text);
}

/* 7 GB/s is nearest to Gen3 x8 (6), 26 to Gen4 x16 (24), 100 to Gen6 x16 (96); Gen1 and one lane
 * are not chosen where another pair gives the same. */
Test(write_nccl, pcie_goes_to_the_nearest_generation_and_width)
{
	static const struct {
		double gbps;
		const char *words;
	} cases[] = {
		{ 7, "\"8.0 GT/s PCIe\" link_width=\"8\"" },
		{ 26, "\"16.0 GT/s PCIe\" link_width=\"16\"" },
		{ 100, "\"64.0 GT/s PCIe\" link_width=\"16\"" },
		{ 12, "\"8.0 GT/s PCIe\" link_width=\"16\"" },
		{ 3, "\"8.0 GT/s PCIe\" link_width=\"4\"" },
		{ 0.1875, "\"2.5 GT/s PCIe\" link_width=\"1\"" },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct built b = build();
		char *text;

		hang(b, SPAN_NODE_GPU, b.cpu, cases[i].gbps * 1e9);
		text = write_text(b);
		expect_words(text, cases[i].words);
		free(text);
	}
}

/* Where the compute capability is unknown, it is that whose NVLinks come nearest. */
Test(write_nccl, nvlinks_are_counted_by_their_bandwidth)
{
	static const struct {
		double gbps;
		int32_t sm;
		const char *gpu, *nvlink;
	} cases[] = {
		{ 370.8, 0, "sm=\"90\"", "count=\"18\" tclass=\"0x068000\"" },
		{ 721.8, 0, "sm=\"100\"", "count=\"18\"" },
		{ 240, 0, "sm=\"80\"", "count=\"12\"" },
		{ 370.8, 70, "sm=\"70\"", "count=\"19\"" },
		{ 1, 90, "sm=\"90\"", "count=\"1\"" },
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct built b = build();
		int32_t gpu = hang(b, SPAN_NODE_GPU, b.cpu, 24e9), nvs;
		char *text;

		b.machine->nodes[gpu].sm = cases[i].sm;
		cr_assert_eq(machine_add_node(b.machine, SPAN_NODE_NVSWITCH, 0, 0, &nvs), SPAN_OK);
		join(b, SPAN_LINK_NVLINK, gpu, nvs, cases[i].gbps * 1e9);
		text = write_text(b);
		expect_words(text, cases[i].gpu);
		expect_words(text, cases[i].nvlink);
		free(text);
	}
}

/* A class that would make NCCL drop a switch is replaced; pcilinks are written at their end. */
Test(write_nccl, switches_stay_switches)
{
	struct built b = build();
	int32_t one = hang(b, SPAN_NODE_PCI, b.cpu, 24e9), two = hang(b, SPAN_NODE_PCI, b.cpu, 24e9);
	char *text;

	b.machine->nodes[one].pci_class = 0x068000;
	b.machine->nodes[two].pci_class = 0x060000;
	hang(b, SPAN_NODE_GPU, one, 24e9);
	join(b, SPAN_LINK_LOCAL, one, two, 5000e9);
	text = write_text(b);
	expect_words(text, "<pci busid=\"ffff:00:02.0\" class=\"0x060400\"");
	expect_words(text, "<pci busid=\"ffff:00:03.0\" class=\"0x060000\"");
	expect_words(text, "<pcilink target=\"ffff:00:03.0\"/>");
	expect_words(text, "<pcilink target=\"ffff:00:02.0\"/>");
	free(text);
}

/* NCCL keeps links in the order of the file, and of equal ones the first: it must not change. Hosts
 * are told apart by host_hash. */
Test(write_nccl, hosts_and_the_order_of_links_are_kept)
{
	static const char text[] =
		"<system version='1'><cpu host_hash='0xb' numaid='0' arch='arm64'>"
		"<pci busid='1' class='0x030200'><gpu dev='0' sm='90' rank='0' gdr='1'>"
		"<nvlink target='3' count='2' tclass='0x030200'/>"
		"<nvlink target='2' count='2' tclass='0x030200'/></gpu></pci>"
		"<pci busid='2' class='0x030200'><gpu dev='1' sm='90' rank='1' gdr='1'/></pci>"
		"<pci busid='3' class='0x030200'><gpu dev='2' sm='90' rank='2' gdr='1'/></pci></cpu>"
		"<cpu host_hash='0xa' numaid='0' arch='arm64'/></system>";
	span_topo *topo = NULL;
	char *written = NULL;
	size_t bytes;
	FILE *file = open_memstream(&written, &bytes);

	cr_assert(file);
	cr_assert_eq(span_topo_parse(text, strlen(text), "text", NULL, &topo), SPAN_OK);
	cr_assert_eq(topo_write_nccl(topo, 1, file), SPAN_OK);
	fclose(file);
	expect_words(written, "<cpu host_hash=\"0x1\" numaid=\"0\" arch=\"arm64\">");
	expect_words(written, "<cpu host_hash=\"0x2\" numaid=\"0\" arch=\"arm64\">");
	cr_assert_lt(strstr(written, "target=\"3\""), strstr(written, "target=\"2\""), "%s",
	             written);
	free(written);
	span_topo_free(topo);
}

Test(write_nccl, a_host_that_is_not_there_is_an_error)
{
	struct built b = build();

	cr_assert_eq(topo_finish(b.topo), SPAN_OK);
	log_capture();
	cr_assert_eq(topo_write_nccl(b.topo, 1, stdout), SPAN_EINVAL);
	cr_assert_str_eq(log_captured(), "convert: host 1; there are 0 to 0");
	span_topo_free(b.topo);
}

Test(write_nccl, devices_nested_too_deep_are_an_error)
{
	struct built b = build();
	int32_t parent = b.cpu, i;
	FILE *file = fopen("/dev/null", "w");

	cr_assert(file);
	for (i = 0; i < 200; i++)
		parent = hang(b, SPAN_NODE_PCI, parent, 24e9);
	cr_assert_eq(topo_finish(b.topo), SPAN_OK);
	log_capture();
	cr_assert_eq(topo_write_nccl(b.topo, 0, file), SPAN_EUNSUPPORTED);
	cr_assert(strstr(log_captured(), "nested deeper"), "%s", log_captured());
	fclose(file);
	span_topo_free(b.topo);
}

Test(write_nccl, a_full_disk_is_an_error)
{
	struct built b = build();
	FILE *file = fopen("/dev/full", "w");

	cr_assert(file);
	setvbuf(file, NULL, _IONBF, 0);
	cr_assert_eq(topo_finish(b.topo), SPAN_OK);
	log_capture();
	cr_assert_eq(topo_write_nccl(b.topo, 0, file), SPAN_EIO);
	fclose(file);
	span_topo_free(b.topo);
}
