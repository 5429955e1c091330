#include "topo/write/anonymise.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/topo/log_capture.h"
#include "tests/topo/text_cases.h"
#include "topo/json/json.h"

static const char cluster[] = "hosts secret[1-3] like \"synthetic:gpus:1 nics:2\"\n"
			      "leaf rack-of-bob secret[1-2]\n";

/* Texts before and after; what has no second text stays as it is. */
static const struct {
	const char *before, *after;
} texts[] = {
	{ "NVIDIA H100 80GB HBM3", NULL },
	{ "mlx5_0", NULL },
	{ "0000:65:00.0", NULL },
	{ "00000000:65:00.0", NULL },
	{ "link_speed 16.0 GT/s x16", NULL },
	{ "h0/gpu3 and h1/nic0", NULL },
	{ "class 0x030200, 200000 Mb/s", NULL },
	{ "GPU-1b4e28ba-2fa1-11d2-883f-0016d3cca427", "GPU-uuid" },
	{ "serial 1320921012345, next", "serial serial, next" },
	{ "GUID b8ce:f603:0094:2c1a.", "GUID guid." },
	{ "guid 0xb8cef60300942c1a", "guid serial" },
	{ "b8cef60300942c1a", "serial" },
	{ "at 9c:dc:71:4a:10:f0", "at mac" },
	{ "at 9c-dc-71-4a-10-f0", "at mac" },
	{ "eth0 10.12.0.255", "eth0 ip" },
	{ "fe80:0000:0000:0000:9edc:71ff:fe4a:10f0", "guid" },
	{ "secret1 is slower than secret2.", "name is slower than name." },
	{ "secret12 and unsecret1 and secret1x", NULL },
	{ "under rack-of-bob", "under name" },
	{ "read from /home/bob/h100.xml", "read from name" },
	{ "a / b", NULL },
	{ "hwloc 2.9.0", NULL },
	{ "", NULL },
};

/* Give a topology the texts as names of nodes, as notes and as where a link comes from. */
static void fill(span_topo *topo)
{
	struct machine *machine = topo->machines[0];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		int32_t node;

		cr_assert_eq(machine_add_node(machine, SPAN_NODE_PCI, 0, 0, &node), SPAN_OK);
		cr_assert_eq(machine_set_text(&machine->nodes[node].name, texts[i].before), SPAN_OK);
		cr_assert_eq(machine_add_link(machine, SPAN_LINK_LOCAL, 0, node, 1, 1,
		                              SPAN_CONFIDENCE_UNKNOWN, "%s", texts[i].before),
		             SPAN_OK);
		cr_assert_eq(topo_note(topo, "h0/gpu0", false, "%s", texts[i].before), SPAN_OK);
	}
}

Test(anonymise, texts_lose_what_tells_whose_they_are)
{
	size_t n = sizeof(texts) / sizeof(texts[0]);
	span_topo *topo = text_parse(cluster, "/home/bob/big.txt");
	struct machine *machine = topo->machines[0];
	int32_t node = machine->n_nodes, link = machine->n_links, note = topo->n_notes;

	fill(topo);
	cr_assert_eq(topo_anonymise(topo), SPAN_OK);
	for (size_t i = 0; i < n; i++) {
		const char *after = texts[i].after ? texts[i].after : texts[i].before;

		cr_assert_str_eq(machine->nodes[node + (int32_t)i].name, after);
		cr_assert_str_eq(machine->links[link + (int32_t)i].provenance, after);
		cr_assert_str_eq(topo->notes[note + (int32_t)i].text, after);
	}
	span_topo_free(topo);
}

Test(anonymise, hosts_and_switches_are_numbered)
{
	span_topo *topo = text_parse(cluster, "/home/bob/big.txt");
	static const char *const ids[] = { "h0", "h1", "h2" }, *const names[] = { "host0", "host1",
		                                                                  "host2" };

	cr_assert_eq(topo_anonymise(topo), SPAN_OK);
	cr_assert_str_eq(span_topo_source_name(topo), "cluster");
	for (int i = 0; i < 3; i++) {
		span_topo_node node;

		span_topo_node_at(topo, text_node(topo, ids[i]), &node);
		cr_assert_str_eq(node.name, names[i]);
	}
	text_node(topo, "switch0");
	text_node(topo, "switch1");
	span_topo_free(topo);
}

/* Equal GUIDs make ports one card: they stay equal. */
Test(anonymise, guids_are_numbered_and_stay_equal)
{
	span_topo *topo = text_parse("synthetic:gpus:1 nics:3", "s");
	static const uint64_t before[] = { 0xb8cef60300942c1a, 5, 0xb8cef60300942c1a };
	static const uint64_t after[] = { 2, 1, 2 };
	int32_t nics[3];

	cr_assert_eq(span_topo_devices(topo, SPAN_NODE_NIC, -1, nics, 3), 3);
	for (int i = 0; i < 3; i++)
		topo->machines[0]->nodes[nics[i]].guid = before[i];
	cr_assert_eq(topo_anonymise(topo), SPAN_OK);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(topo->machines[0]->nodes[nics[i]].guid, after[i]);
	cr_assert_eq(topo->machines[0]->nodes[0].guid, 0);
	span_topo_free(topo);
}

/* Nothing of what was secret is in what a topology is written as, and no figure is lost. */
Test(anonymise, no_secret_is_written)
{
	static const char *const secrets[] = { "secret", "bob", "9c:dc", "b8ce", "1b4e28ba" };
	span_topo *topo = text_parse(cluster, "/home/bob/big.txt"), *again = NULL;
	int32_t nodes = span_topo_nodes(topo);
	char *json = NULL;
	size_t bytes;
	FILE *file;

	cr_assert_eq(topo_note(topo, "/home/bob/big.txt:1", false, "of /home/bob/big.txt"), SPAN_OK);
	cr_assert_eq(machine_host_name(topo->machines[0], 0, "secret1"), SPAN_OK);
	cr_assert_eq(topo_anonymise(topo), SPAN_OK);
	file = open_memstream(&json, &bytes);
	cr_assert_eq(topo_write_json(topo, file), SPAN_OK);
	fclose(file);
	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
		cr_assert_null(strstr(json, secrets[i]), "%s in %s", secrets[i], json);
	cr_assert_eq(span_topo_parse(json, bytes, "j", NULL, &again), SPAN_OK, "%s", log_captured());
	cr_assert_eq(span_topo_nodes(again), nodes);
	cr_assert_float_eq(text_gbps(again, "h0/nic0", "h2/nic1"), 50, 1e-6);
	free(json);
	span_topo_free(again);
	span_topo_free(topo);
}

Test(anonymise, twice_is_as_good_as_once)
{
	span_topo *topo = text_parse(cluster, "c");
	span_topo_node node;

	cr_assert_eq(topo_anonymise(topo), SPAN_OK);
	cr_assert_eq(topo_anonymise(topo), SPAN_OK);
	span_topo_node_at(topo, text_node(topo, "h2"), &node);
	cr_assert_str_eq(node.name, "host2");
	span_topo_free(topo);
}
