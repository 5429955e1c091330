#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/topo/log_capture.h"
#include "tests/topo/text_cases.h"

static int32_t count(const span_topo *topo, span_node_kind kind, int32_t host)
{
	return span_topo_devices(topo, kind, host, NULL, 0);
}

Test(read_synthetic, nothing_said_is_a_common_machine)
{
	span_topo *topo = text_parse("synthetic:", "synthetic:");

	cr_assert_eq(span_topo_hosts(topo), 1);
	cr_assert_eq(count(topo, SPAN_NODE_GPU, -1), 8);
	cr_assert_eq(count(topo, SPAN_NODE_NIC, -1), 8);
	cr_assert_eq(count(topo, SPAN_NODE_CPU, -1), 2);
	cr_assert_eq(count(topo, SPAN_NODE_PCI, -1), 4);
	cr_assert_float_eq(text_gbps(topo, "gpu0", "gpu7"), 450, 1e-9);
	cr_assert_str_eq(text_class(topo, "gpu0", "gpu7"), "NVL");
	cr_assert_str_eq(text_class(topo, "gpu0", "nic1"), "PIX");
	cr_assert(text_note(topo, "gpus:8 nvlink:450GB/s nvswitch:yes sockets:2 socket:22GB/s "
	                          "switches:4 pcie:gen5 nics:8 nic:50GB/s"));
	span_topo_free(topo);
}

Test(read_synthetic, what_is_said_is_declared_and_the_rest_assumed)
{
	span_topo *topo = text_parse("synthetic:nvlink:300GB/s gpus:2 sockets:1 switches:1 nics:1 "
	                             "nvswitch:yes", "s");

	cr_assert_eq(span_topo_notes(topo), 1);
	cr_assert(text_note(topo, "common machine: pcie:gen5 nic:50GB/s"));
	for (int32_t i = 0; i < span_topo_links(topo); i++) {
		span_topo_link link;

		span_topo_link_at(topo, i, &link);
		cr_assert_eq(link.confidence,
		             link.link_class == SPAN_LINK_NVLINK ? SPAN_CONFIDENCE_DECLARED
		                                                 : SPAN_CONFIDENCE_ASSUMED);
	}
	span_topo_free(topo);
}

Test(read_synthetic, every_word_counts)
{
	span_topo *topo = text_parse("synthetic:nodes:3 gpus:4 nvlink:none sockets:4 socket:7GB/s "
	                             "switches:4 pcie:gen4x8 nics:2 nic:200Gb/s latency:3us", "s");

	cr_assert_eq(span_topo_hosts(topo), 3);
	cr_assert_eq(count(topo, SPAN_NODE_GPU, 2), 4);
	cr_assert_eq(count(topo, SPAN_NODE_NIC, 1), 2);
	cr_assert_str_eq(text_class(topo, "h0/gpu0", "h0/gpu1"), "SYS");
	cr_assert_float_eq(text_gbps(topo, "h0/gpu0", "h0/gpu1"), 7, 1e-9);
	cr_assert_float_eq(text_gbps(topo, "h0/gpu0", "h0/cpu0"), 12, 1e-9);
	cr_assert_str_eq(text_class(topo, "h0/nic0", "h1/nic0"), "NET");
	cr_assert_float_eq(text_gbps(topo, "h0/nic0", "h1/nic0"), 25, 1e-9);
	span_topo_free(topo);
}

Test(read_synthetic, a_mesh_shares_the_links_of_a_gpu)
{
	span_topo *topo = text_parse("synthetic:gpus:4 nvlink:300GB/s nvswitch:mesh", "s");

	cr_assert_float_eq(text_gbps(topo, "gpu0", "gpu3"), 100, 1e-9);
	cr_assert_lt(span_topo_find(topo, "nvswitch0"), 0);
	span_topo_free(topo);
	topo = text_parse("synthetic:gpus:3 xgmi:100GB/s", "s");
	cr_assert_float_eq(text_gbps(topo, "gpu0", "gpu2"), 50, 1e-9);
	span_topo_free(topo);
}

Test(read_synthetic, without_switches_devices_hang_from_numa_nodes)
{
	span_topo *topo = text_parse("synthetic:gpus:2 switches:0 nvlink:none nics:2", "s");

	cr_assert_str_eq(text_class(topo, "gpu0", "nic0"), "PHB");
	cr_assert_str_eq(text_class(topo, "gpu0", "gpu1"), "SYS");
	span_topo_free(topo);
}

static const char *const same[] = {
	"synthetic:gpus:2 nics:1 nic:400Gb/s",
	"synthetic:nic:50GB/s gpus:2 nics:1",
	"synthetic: gpus:2 nics:1 nic:50000MB/s",
	"# a comment\nsynthetic:gpus:2\n nics:1 # and\nnic:0.05TB/s",
	"synthetic:gpus:2 nics:1 nic:400000Mb/s",
	"synthetic:gpus:2 nics:1 nic:400Gbit/s",
	"synthetic:gpus:2 nics:1 nic:0.4Tb/s",
};

Test(read_synthetic, order_lines_and_units_do_not_matter)
{
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		span_topo *topo = text_parse(same[i], "s");
		span_topo_link link;

		for (int32_t l = 0; l < span_topo_links(topo); l++) {
			span_topo_link_at(topo, l, &link);
			if (link.link_class == SPAN_LINK_NETWORK)
				cr_assert_float_eq(link.bandwidth, 50e9, 1, "%s", same[i]);
		}
		cr_assert_eq(span_topo_links(topo), 16);
		span_topo_free(topo);
	}
}

/* --- fabric ----------------------------------------------------------------------------------- */

Test(read_synthetic, leaves_pods_and_their_uplinks)
{
	span_topo *topo = text_parse("synthetic:nodes:16 nics:4 leaf:2 oversubscription:4:1 pod:4 "
	                             "pod-oversubscription:2:1", "s");
	span_topo_node host, leaf, spine, core;

	span_topo_node_at(topo, text_node(topo, "h15"), &host);
	span_topo_node_at(topo, host.parent, &leaf);
	span_topo_node_at(topo, leaf.parent, &spine);
	span_topo_node_at(topo, spine.parent, &core);
	cr_assert_str_eq(leaf.name, "leaf7");
	cr_assert_str_eq(spine.name, "spine1");
	cr_assert_str_eq(core.name, "core");
	cr_assert_eq(core.parent, -1);
	for (int32_t i = 0; i < span_topo_links(topo); i++) {
		span_topo_link link;

		span_topo_link_at(topo, i, &link);
		if (link.from == host.parent && link.to == leaf.parent)
			cr_assert_float_eq(link.bandwidth, 2 * 4 * 50e9 / 4, 1);
		if (link.from == leaf.parent && link.to == spine.parent)
			cr_assert_float_eq(link.bandwidth, 4 * (2 * 4 * 50e9 / 4) / 2, 1);
	}
	span_topo_free(topo);
}

Test(read_synthetic, one_leaf_needs_no_spine)
{
	span_topo *topo = text_parse("synthetic:nodes:4 leaf:4 pod:2", "s");

	cr_assert_geq(span_topo_find(topo, "leaf0"), 0);
	cr_assert_lt(span_topo_find(topo, "fabric1"), 0);
	span_topo_free(topo);
}

Test(read_synthetic, large_clusters_are_one_machine)
{
	clock_t begin = clock();
	span_topo *topo = text_parse("synthetic:nodes:2048 leaf:32 pod:8", "s");

	cr_assert_eq(span_topo_hosts(topo), 2048);
	cr_assert_eq(count(topo, SPAN_NODE_GPU, -1), 16384);
	cr_assert_lt((double)(clock() - begin) / CLOCKS_PER_SEC, 1.0);
	span_topo_free(topo);
}

/* --- malformed -------------------------------------------------------------------------------- */

static const struct {
	const char *text, *message;
} malformed[] = {
	{ "synthetic:gpu:8", "\"gpu:8\"; expected KEY:VALUE with one of the keys nodes, gpus, nvlink" },
	{ "synthetic:gpus", "\"gpus\"; expected KEY:VALUE" },
	{ "synthetic:gpus:", "\"gpus:\"; expected a number from 0 to 64" },
	{ "synthetic:gpus:65", "\"gpus:65\"; expected a number from 0 to 64" },
	{ "synthetic:gpus:-1", "\"gpus:-1\"; expected a number from 0 to 64" },
	{ "synthetic:gpus:8x", "\"gpus:8x\"; expected a number from 0 to 64" },
	{ "synthetic:nodes:0", "\"nodes:0\"; expected a number from 1 to 65536" },
	{ "synthetic:nodes:99999999999999999999", "expected a number from 1 to 65536" },
	{ "synthetic:sockets:17", "\"sockets:17\"; expected a number from 1 to 16" },
	{ "synthetic:switches:65", "\"switches:65\"; expected a number from 0 to 64" },
	{ "synthetic:nics:65", "\"nics:65\"; expected a number from 0 to 64" },
	{ "synthetic:nic:50", "\"nic:50\"; expected a bandwidth such as 450GB/s or 400Gb/s" },
	{ "synthetic:nic:0GB/s", "\"nic:0GB/s\"; expected a bandwidth" },
	{ "synthetic:nic:-1GB/s", "\"nic:-1GB/s\"; expected a bandwidth" },
	{ "synthetic:nic:nanGB/s", "\"nic:nanGB/s\"; expected a bandwidth" },
	{ "synthetic:nic:0x9GB/s", "\"nic:0x9GB/s\"; expected a bandwidth" },
	{ "synthetic:nic:9999999999TB/s", "expected a bandwidth" },
	{ "synthetic:nic:none", "\"nic:none\"; expected a bandwidth" },
	{ "synthetic:nvlink:no", "\"nvlink:no\"; expected a bandwidth such as 450GB/s or 400Gb/s, "
	                        "or none" },
	{ "synthetic:nvswitch:no", "\"nvswitch:no\"; expected yes or mesh" },
	{ "synthetic:pcie:gen7", "\"pcie:gen7\"; expected gen1 to gen6" },
	{ "synthetic:pcie:gen4x3", "\"pcie:gen4x3\"; expected gen1 to gen6" },
	{ "synthetic:pcie:gen4x32", "\"pcie:gen4x32\"; expected gen1 to gen6" },
	{ "synthetic:latency:2s", "\"latency:2s\"; expected a time below a second" },
	{ "synthetic:latency:9999999us", "expected a time below a second" },
	{ "synthetic:leaf:2 oversubscription:1:4", NULL },
	{ "synthetic:leaf:2 oversubscription:4", "\"oversubscription:4\"; expected down to up" },
	{ "synthetic:leaf:2 oversubscription:0:1", "expected down to up, such as 4:1" },
	{ "synthetic:gpus:8 gpus:8", "\"gpus:8\"; \"gpus\" was said before" },
	{ "synthetic:nvlink:9GB/s xgmi:9GB/s", "both nvlink and xgmi" },
	{ "synthetic:oversubscription:4:1", "oversubscription without leaf" },
	{ "synthetic:pod:4", "pod without leaf" },
	{ "synthetic:nodes:65536 leaf:1 pod:1", "131072 leaf switches and spines; at most 65535" },
	{ "synthetic:leaf:4 pod-oversubscription:4:1", "pod-oversubscription without pod" },
};

Test(read_synthetic, names_the_word_and_what_is_accepted)
{
	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
		const char *text = malformed[i].text;

		if (malformed[i].message)
			cr_assert(strstr(text_refused(text, strlen(text), "s"), malformed[i].message),
			          "%s: %s", text, log_captured());
		else
			span_topo_free(text_parse(text, "s"));
	}
}

Test(read_synthetic, names_the_line_of_a_file)
{
	static const char text[] = "# mine\nsynthetic:\ngpus:8\nnic:x\n";

	cr_assert_eq(strncmp(text_refused(text, sizeof(text) - 1, "s"), "s:4: \"nic:x\"", 12), 0);
}

Test(read_synthetic, most_of_everything_is_still_read)
{
	span_topo *topo = text_parse("synthetic:nodes:65536 gpus:64 nics:64 switches:64 sockets:16 "
	                             "nvswitch:mesh leaf:2 pod:2", "s");

	cr_assert_eq(span_topo_hosts(topo), 65536);
	span_topo_free(topo);
}
