#include "topo/json/json.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/topo/log_capture.h"
#include "tests/topo/source_files.h"

/* A topology as text; belongs to the caller. */
static char *write_json(const span_topo *topo, size_t *bytes)
{
	char *text = NULL;
	FILE *file = open_memstream(&text, bytes);

	cr_assert_eq(topo_write_json(topo, file), SPAN_OK);
	fclose(file);
	return text;
}

static span_status parse(const char *text, size_t bytes, span_topo **topo)
{
	return span_topo_parse(text, bytes, "mine.json", NULL, topo);
}

/* --- there and back ----------------------------------------------------------------------- */

static void assert_same_nodes(const span_topo *a, const span_topo *b, const char *path)
{
	cr_assert_eq(span_topo_nodes(a), span_topo_nodes(b), "%s", path);
	cr_assert_eq(span_topo_hosts(a), span_topo_hosts(b), "%s", path);
	for (int32_t i = 0; i < span_topo_nodes(a); i++) {
		span_topo_node x, y;

		span_topo_node_at(a, i, &x);
		span_topo_node_at(b, i, &y);
		cr_assert(x.kind == y.kind && x.host == y.host && x.parent == y.parent &&
		          x.dev == y.dev && x.rank == y.rank, "%s: node %s", path, x.id);
		cr_assert_str_eq(x.id, y.id, "%s", path);
		cr_assert_str_eq(x.name, y.name, "%s: name of %s", path, x.id);
		cr_assert_str_eq(x.bus, y.bus, "%s: bus of %s", path, x.id);
	}
}

static void assert_same_links(const span_topo *a, const span_topo *b, const char *path)
{
	cr_assert_eq(span_topo_links(a), span_topo_links(b), "%s", path);
	for (int32_t i = 0; i < span_topo_links(a); i++) {
		span_topo_link x, y;

		span_topo_link_at(a, i, &x);
		span_topo_link_at(b, i, &y);
		cr_assert(x.link_class == y.link_class && x.from == y.from && x.to == y.to &&
		          x.bandwidth == y.bandwidth && x.latency == y.latency &&
		          x.confidence == y.confidence, "%s: link %d", path, i);
		cr_assert_str_eq(x.provenance, y.provenance, "%s: link %d", path, i);
	}
}

static int is_device(span_node_kind kind)
{
	return kind == SPAN_NODE_GPU || kind == SPAN_NODE_NIC || kind == SPAN_NODE_CPU;
}

static void assert_same_paths(const span_topo *a, const span_topo *b, const char *path)
{
	int32_t n = span_topo_nodes(a) < 2000 ? span_topo_nodes(a) : 2000;

	for (int32_t from = 0; from < n; from++)
		for (int32_t to = 0; to < n; to++) {
			span_topo_node f, t;
			span_topo_path x, y;

			span_topo_node_at(a, from, &f);
			span_topo_node_at(a, to, &t);
			if (!is_device(f.kind) || !is_device(t.kind))
				continue;
			cr_assert_eq(span_topo_path_between(a, from, to, &x), SPAN_OK);
			cr_assert_eq(span_topo_path_between(b, from, to, &y), SPAN_OK);
			cr_assert(x.path_class == y.path_class && x.bandwidth == y.bandwidth &&
			          x.latency == y.latency && x.hops == y.hops &&
			          x.confidence == y.confidence, "%s: %s to %s", path, f.id, t.id);
		}
}

static void assert_same_notes(const span_topo *a, const span_topo *b, const char *path)
{
	cr_assert_eq(span_topo_notes(a), span_topo_notes(b), "%s", path);
	for (int32_t i = 0; i < span_topo_notes(a); i++) {
		span_topo_note x, y;

		span_topo_note_at(a, i, &x);
		span_topo_note_at(b, i, &y);
		cr_assert_str_eq(x.text, y.text, "%s: note %d", path, i);
		cr_assert_str_eq(x.place, y.place, "%s: note %d", path, i);
		cr_assert_eq(!x.corrected, !y.corrected, "%s: note %d", path, i);
	}
}

/* What the queries do not tell, but the readers, the lint and the writers use. */
static void assert_same_machines(const span_topo *a, const span_topo *b, const char *path)
{
	cr_assert_eq(a->n_machines, b->n_machines, "%s", path);
	for (int32_t m = 0; m < a->n_machines; m++) {
		cr_assert_eq(a->machines[m]->n_nodes, b->machines[m]->n_nodes, "%s", path);
		for (int32_t i = 0; i < a->machines[m]->n_nodes; i++) {
			const struct graph_node *x = &a->machines[m]->nodes[i];
			const struct graph_node *y = &b->machines[m]->nodes[i];

			cr_assert(x->index == y->index && x->numa == y->numa && x->sm == y->sm &&
			          x->gdr == y->gdr && x->port == y->port && x->rail == y->rail &&
			          x->arch == y->arch && x->vendor == y->vendor &&
			          x->model == y->model && x->family == y->family &&
			          x->speed == y->speed && x->latency == y->latency &&
			          x->memory == y->memory && x->guid == y->guid &&
			          x->pci_class == y->pci_class && x->pci_vendor == y->pci_vendor &&
			          x->pci_device == y->pci_device &&
			          x->pci_subsystem == y->pci_subsystem,
			          "%s: machine %d, node %d", path, m, i);
			cr_assert_str_eq(x->affinity, y->affinity, "%s", path);
		}
		for (int32_t i = 0; i < a->machines[m]->n_links; i++)
			cr_assert_eq(a->machines[m]->links[i].count, b->machines[m]->links[i].count,
			             "%s: machine %d, link %d", path, m, i);
	}
}

static int loaded;

static void judge_round(const char *path)
{
	span_topo *topo = NULL, *again = NULL, *third = NULL;
	char *text, *second;
	size_t bytes, second_bytes;

	log_capture();
	if (span_topo_load(path, NULL, &topo))
		return; /* a negative; other tests judge what is said of it */
	text = write_json(topo, &bytes);
	cr_assert_eq(parse(text, bytes, &again), SPAN_OK, "%s: %s", path, log_captured());
	assert_same_nodes(topo, again, path);
	assert_same_links(topo, again, path);
	assert_same_paths(topo, again, path);
	assert_same_notes(topo, again, path);
	assert_same_machines(topo, again, path);
	second = write_json(again, &second_bytes);
	cr_assert_eq(parse(second, second_bytes, &third), SPAN_OK);
	free(text);
	text = write_json(third, &bytes);
	cr_assert(bytes == second_bytes && memcmp(text, second, bytes) == 0,
	          "%s: the same topology has other bytes", path);
	span_topo_free(topo);
	span_topo_free(again);
	span_topo_free(third);
	free(text);
	free(second);
	loaded++;
}

Test(json, a_topology_reads_back_equal)
{
	source_files_each(0, judge_round);
	cr_assert_gt(loaded, 60, "only %d sources were there", loaded);
}

Test(json, a_topology_of_the_extra_data_reads_back_equal, .timeout = 60)
{
	if (!getenv("SPAN_EXTRA_DATA"))
		cr_skip_test("SPAN_EXTRA_DATA is not set");
	source_files_each(1, judge_round);
	cr_assert_gt(loaded, 60, "only %d sources were there", loaded);
}

Test(json, what_nccl_would_believe_stays_that)
{
	span_topo_options nccl = { .size = sizeof(nccl), .as_nccl = 1 };
	const char *source = SPAN_TEST_DATA "/topologies/nccl/rccl/topo_8p_940.xml";
	span_topo *topo = NULL, *again = NULL;
	char *text;
	size_t bytes;

	cr_assert_eq(span_topo_load(source, &nccl, &topo), SPAN_OK);
	text = write_json(topo, &bytes);
	cr_assert_eq(parse(text, bytes, &again), SPAN_OK);
	assert_same_paths(topo, again, source);
	span_topo_free(topo);
	span_topo_free(again);
	free(text);

	cr_assert_eq(span_topo_load(source, NULL, &topo), SPAN_OK);
	text = write_json(topo, &bytes);
	log_capture();
	cr_assert_eq(span_topo_parse(text, bytes, "mine.json", &nccl, &again),
	             SPAN_EUNSUPPORTED);
	cr_assert(strstr(log_captured(), "--as-nccl"), "%s", log_captured());
	span_topo_free(topo);
	free(text);
}

/* Where nothing was corrected, the same text is both views. */
Test(json, what_was_not_corrected_is_what_nccl_would_believe)
{
	span_topo_options nccl = { .size = sizeof(nccl), .as_nccl = 1 };
	span_topo *topo = NULL, *again = NULL;
	char *text;
	size_t bytes;

	cr_assert_eq(span_topo_load("synthetic:gpus:4", NULL, &topo), SPAN_OK);
	text = write_json(topo, &bytes);
	cr_assert_eq(span_topo_parse(text, bytes, "mine.json", &nccl, &again), SPAN_OK);
	cr_assert(again->as_nccl && !topo->as_nccl);
	span_topo_free(topo);
	span_topo_free(again);
	free(text);
}

Test(json, names_that_are_no_utf8_are_made_so)
{
	char text[] = "caf\xc3\xa9 \xff\xc3 \xed\xa0\x80 \xf0\x9f\x98\x80";

	json_clean_utf8(text);
	cr_assert_str_eq(text, "caf\xc3\xa9 ?? ??? \xf0\x9f\x98\x80");
}

/* --- bad input ---------------------------------------------------------------------------- */

/* A whole document, in pieces that the cases below exchange. */
#define HEAD "{\"span-topo\": 1, \"as_nccl\": false,"
#define HOSTS "\"hosts\": [\"a\"]"
#define NODES "\"nodes\": [{\"kind\": \"host\"}, {\"kind\": \"cpu\", \"parent\": 0},"               \
	      "{\"kind\": \"gpu\", \"parent\": 1, \"guid\": \"0x1f\"}]"
#define LINKS "\"links\": [{\"class\": \"pci\", \"from\": 2, \"to\": 1, \"bandwidth\": 24e9,"      \
	      "\"latency\": 1.5e-6, \"count\": 2, \"confidence\": \"measured\"}]"
#define MACHINE "\"machines\": [{" HOSTS "," NODES "," LINKS "}],"
#define TAIL "\"places\": [{\"machine\": 0}], \"switches\": [], \"notes\": []}"

static const struct {
	const char *text, *message;
} cases[] = {
	{ "[1]", "span-topo" },
	{ "{\"span-topo\": 2}", "mine.json:1: \"span-topo\" is to be 1" },
	{ "{\"span-topo\": 1", "mine.json:1: " },
	{ "{\"span-topo\": 1, \"span-topo\": 1}", "duplicate" },
	{ HEAD TAIL, "\"machines\" is to be a list" },
	{ HEAD "\"machines\": [{" HOSTS "," NODES "}]," TAIL,
	  "\"machines[0].links\" is to be a list" },
	{ HEAD "\"machines\": [{\"hosts\": [3]," NODES "," LINKS "}]," TAIL,
	  "machines[0].hosts[0]: the name of a host is to be a text" },
	{ HEAD "\"machines\": [{\"hosts\": []," NODES "," LINKS "}]," TAIL,
	  "machines[0].nodes[0]: a node, but no host" },
	{ HEAD "\"machines\": [{" HOSTS ", \"nodes\": [{\"kind\": \"fabric\"}]," LINKS "}]," TAIL,
	  "machines[0].nodes[0]: \"kind\" is \"fabric\"" },
	{ HEAD "\"machines\": [{" HOSTS ", \"nodes\": [{}]," LINKS "}]," TAIL,
	  "machines[0].nodes[0]: \"kind\" is missing" },
	{ HEAD "\"machines\": [{" HOSTS ", \"nodes\": [7]," LINKS "}]," TAIL,
	  "machines[0].nodes[0]: \"kind\" is missing" },
	{ HEAD "\"machines\": [{" HOSTS ", \"nodes\": [{\"kind\": \"cpu\", \"parent\": 0}]," LINKS
	  "}]," TAIL, "\"parent\" is to be a whole number from -1 to -1" },
	{ HEAD "\"machines\": [{" HOSTS ", \"nodes\": [{\"kind\": \"cpu\", \"host\": 1}]," LINKS
	  "}]," TAIL, "\"host\" is to be a whole number from 0 to 0" },
	{ HEAD "\"machines\": [{" HOSTS ", \"nodes\": [{\"kind\": \"cpu\", \"gdr\": 2}]," LINKS
	  "}]," TAIL, "\"gdr\" is to be a whole number from -1 to 1" },
	{ HEAD "\"machines\": [{" HOSTS ", \"nodes\": [{\"kind\": \"cpu\", \"guid\": \"12\"}],"
	  LINKS "}]," TAIL, "\"guid\" is to be a text such as" },
	{ HEAD "\"machines\": [{" HOSTS ", \"nodes\": [{\"kind\": \"cpu\", \"pci_class\": "
	  "\"0x100000000\"}]," LINKS "}]," TAIL, "\"pci_class\" is to be a text such as" },
	{ HEAD "\"machines\": [{" HOSTS ", \"nodes\": [{\"kind\": \"cpu\", \"arch\": \"z80\"}],"
	  LINKS "}]," TAIL, "\"arch\" is \"z80\", which is no such word" },
	{ HEAD "\"machines\": [{" HOSTS ", \"nodes\": [{\"kind\": \"cpu\", \"speed\": -1}]," LINKS
	  "}]," TAIL, "\"speed\" is to be a number from 0 on" },
	{ HEAD "\"machines\": [{" HOSTS ", \"nodes\": [{\"kind\": \"cpu\", \"name\": 1}]," LINKS
	  "}]," TAIL, "\"name\" is something else; it is to be a text" },
	{ HEAD "\"machines\": [{" HOSTS "," NODES ", \"links\": [{\"class\": \"pci\", \"from\": 1,"
	  "\"to\": 3}]}]," TAIL, "machines[0].links[0]: \"to\" is to be a whole number from 0 to 2" },
	{ HEAD "\"machines\": [{" HOSTS "," NODES ", \"links\": [{\"class\": \"pci\", \"to\": 1}]}],"
	  TAIL, "\"from\" and \"to\" are to be numbers of nodes" },
	{ HEAD "\"machines\": [{" HOSTS "," NODES ", \"links\": [{\"class\": \"pci\", \"from\": 1,"
	  "\"to\": 2}, {\"class\": \"pci\", \"from\": 1, \"to\": 2}]}]," TAIL,
	  "links[1]: a second link of one class from node 1 to 2" },
	{ HEAD MACHINE "\"places\": [{\"machine\": 1}], \"switches\": [], \"notes\": []}",
	  "places[0]: \"machine\" is to be a whole number from 0 to 0" },
	{ HEAD MACHINE "\"places\": [{\"machine\": 0, \"leaf\": 0}], \"switches\": [],"
	  "\"notes\": []}", "places[0]: \"leaf\" is to be a whole number from -1 to -1" },
	{ HEAD MACHINE "\"places\": [], \"switches\": [{\"name\": \"s\", \"parent\": 0}],"
	  "\"notes\": []}", "switches[0]: \"parent\" is to be a whole number from -1 to -1" },
	{ HEAD MACHINE "\"places\": [], \"switches\": [], \"notes\": []}", "no machine in it" },
	{ HEAD "\"machines\": [], \"switches\": [], \"places\": [{\"machine\": 0}],"
	  "\"notes\": []}", "a place, but no machine" },
	{ HEAD MACHINE "\"places\": [{\"machine\": 0}], \"switches\": [], \"notes\": [{}]}",
	  "notes[0]: \"place\" is missing" },
};

Test(json, what_is_wrong_is_told_in_one_line_with_its_place)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		span_topo *topo = NULL;

		log_capture();
		cr_assert_neq(parse(cases[i].text, strlen(cases[i].text), &topo), SPAN_OK,
		              "case %zu was read", i);
		cr_assert_eq(log_captured_count(), 1, "case %zu: %d messages", i,
		             log_captured_count());
		cr_assert(strstr(log_captured(), cases[i].message), "case %zu: \"%s\"", i,
		          log_captured());
		cr_assert_null(topo);
	}
}

Test(json, the_whole_document_is_read_and_no_part_of_it)
{
	static const char whole[] = HEAD MACHINE TAIL;
	span_topo *topo = NULL;
	span_topo_link link;

	cr_assert_eq(parse(whole, sizeof(whole) - 1, &topo), SPAN_OK);
	cr_assert_eq(span_topo_find(topo, "gpu0"), 2);
	span_topo_link_at(topo, 0, &link);
	cr_assert_eq(link.bandwidth, 24e9);
	cr_assert_eq(link.latency, 1.5e-6);
	cr_assert_eq(link.confidence, SPAN_CONFIDENCE_MEASURED);
	cr_assert_eq(topo->machines[0]->links[0].count, 2);
	span_topo_free(topo);
	for (size_t bytes = 0; bytes + 1 < sizeof(whole) - 1; bytes++) {
		log_capture();
		topo = NULL;
		cr_assert_neq(parse(whole, bytes, &topo), SPAN_OK, "%zu bytes were enough", bytes);
		cr_assert_eq(log_captured_count(), 1, "%zu bytes: %d messages", bytes,
		             log_captured_count());
		cr_assert_null(topo);
	}
}
