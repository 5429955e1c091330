/* span-topo explain: the way from one device to another, link by link, and who says so. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "topo/json/json.h"
#include "topo/log.h"
#include "topo/picture/plan.h"
#include "topo/tool/text.h"
#include "topo/tool/tool.h"

enum { ROUTE_MOST = 256 };

/* What is told about a pair. */
struct story {
	const span_topo *topo;
	int32_t from, to;
	span_topo_path path;
	int32_t n;                        /* nodes of the route */
	int32_t route[ROUTE_MOST];
	span_topo_link links[ROUTE_MOST]; /* links[i] leads from route[i] to route[i + 1] */
	int32_t narrowest;                /* of the links, -1: none */
	bool has_nccl;                    /* what --as-nccl says is known, and is this: */
	span_topo_path nccl;
};

/* --- finding out -------------------------------------------------------------------------- */

static span_status find_device(const span_topo *topo, const char *id, int32_t *node)
{
	span_topo_node found;

	*node = span_topo_find(topo, id);
	if (*node < 0)
		return span_fail(SPAN_EINVAL, "explain: \"%.40s\" is not in %.200s; devices are named "
		                 "as show names them, such as gpu0 or h1/nic0", id,
		                 span_topo_source_name(topo));
	span_topo_node_at(topo, *node, &found);
	if (found.kind != SPAN_NODE_GPU && found.kind != SPAN_NODE_NIC &&
	    found.kind != SPAN_NODE_CPU)
		return span_fail(SPAN_EINVAL, "explain: %.40s is a %s; paths are between GPUs, NIC "
		                 "ports and NUMA nodes (gpu0, nic0, cpu0)", id,
		                 span_node_kind_name(found.kind));
	return SPAN_OK;
}

/* A link of one node number to another, looked for where links of that node can be. */
static bool find_link(const span_topo *topo, int32_t from, int32_t to, span_topo_link *link)
{
	int32_t place, local, place_to, local_to, first, last;
	const struct machine *machine = topo_locate(topo, from, &place, &local);
	const struct machine *other = topo_locate(topo, to, &place_to, &local_to);
	const struct place *end = topo->n_places ? &topo->places[topo->n_places - 1] : NULL;

	if (machine && other && place == place_to) {
		const struct graph_link *found = plan_link(machine, local, local_to);

		if (!found)
			return false;
		span_topo_link_at(topo, topo->places[place].first_link +
		                        (int32_t)(found - machine->links), link);
		return true;
	}
	first = machine || other ? topo->places[machine ? place : place_to].first_link
	                         : end->first_link;
	last = span_topo_links(topo);
	for (int32_t i = first; i < last; i++) {
		span_topo_link_at(topo, i, link);
		if (link->from == from && link->to == to)
			return true;
	}
	return false;
}

static void find_links(struct story *story)
{
	story->narrowest = -1;
	for (int32_t i = 0; i + 1 < story->n; i++) {
		span_topo_link *link = &story->links[i];

		if (!find_link(story->topo, story->route[i], story->route[i + 1], link))
			*link = (span_topo_link){ .from = story->route[i], .to = story->route[i + 1],
				                  .link_class = SPAN_LINK_NETWORK,
				                  .provenance = "not described" };
		if (link->bandwidth > 0 &&
		    (story->narrowest < 0 ||
		     link->bandwidth < story->links[story->narrowest].bandwidth))
			story->narrowest = i;
	}
}

static span_status find_out(const span_topo *topo, char **ids, struct story *story)
{
	span_status status = find_device(topo, ids[0], &story->from);

	story->topo = topo;
	if (!status)
		status = find_device(topo, ids[1], &story->to);
	if (!status)
		status = span_topo_path_between(topo, story->from, story->to, &story->path);
	if (status)
		return status;
	story->n = span_topo_route(topo, story->from, story->to, story->route, ROUTE_MOST);
	if (story->n > ROUTE_MOST)
		return span_fail(SPAN_EUNSUPPORTED, "explain: a route over %d devices is too long to "
		                 "be told", story->n);
	find_links(story);
	return SPAN_OK;
}

/* What the same source is as NCCL would believe it, and its word on the same pair. */
static void ask_nccl(struct tool *tool, struct story *story)
{
	span_topo *nccl = tool_load_nccl(tool, 2, story->topo);
	span_topo_node from, to, there;
	int32_t a, b;

	if (!nccl)
		return;
	span_topo_node_at(story->topo, story->from, &from);
	span_topo_node_at(story->topo, story->to, &to);
	a = span_topo_find(nccl, from.id);
	b = span_topo_find(nccl, to.id);
	if (a >= 0 && b >= 0) {
		span_topo_node_at(nccl, a, &there);
		story->has_nccl = strcmp(there.bus, from.bus) == 0 &&
		                  !span_topo_path_between(nccl, a, b, &story->nccl);
	}
	span_topo_free(nccl);
}

/* --- other people's words ----------------------------------------------------------------- */

static const char *meaning(span_path_class path_class)
{
	static const char *const meanings[] = {
		"the device itself",
		"over NVLink or xGMI, directly or through an NVSwitch",
		"over NVLink through one other GPU",
		"over NVLink-C2C",
		"over PCIe through at most one switch",
		"over PCIe through several switches, not the CPU",
		"over C2C to the CPU, over PCIe from there",
		"over NVLink to a GPU nearer to the NIC, over PCIe from there",
		"over PCIe through a CPU",
		"between CPUs, over what connects the sockets",
		"over the network",
		"not at all",
	};

	return meanings[path_class];
}

/* The nearest node that both are below of, by parents alone; -1: none. */
static int32_t common_parent(const struct machine *machine, int32_t a, int32_t b,
                             int32_t *switches)
{
	*switches = 0;
	for (int32_t up = a; up >= 0; up = machine->nodes[up].parent) {
		int32_t passed = 0;

		*switches += machine->nodes[up].kind == SPAN_NODE_PCI;
		for (int32_t down = b; down >= 0; down = machine->nodes[down].parent) {
			if (down == up) {
				*switches += passed;
				return up;
			}
			passed += machine->nodes[down].kind == SPAN_NODE_PCI;
		}
	}
	return -1;
}

/* The word in the matrix of `nvidia-smi topo -m`, "" where it has none. It knows NVLinks
 * between two GPUs and the PCI tree, no routes. */
static void smi_word(const struct story *story, char *word, size_t bytes)
{
	int32_t place_a, place_b, a, b, common, switches;
	const struct machine *machine = topo_locate(story->topo, story->from, &place_a, &a);
	const struct graph_link *link;
	const char *text = "SYS";

	topo_locate(story->topo, story->to, &place_b, &b);
	if (place_a != place_b || machine->nodes[a].host != machine->nodes[b].host ||
	    machine->nodes[a].kind == SPAN_NODE_CPU || machine->nodes[b].kind == SPAN_NODE_CPU) {
		snprintf(word, bytes, "%s", "");
		return;
	}
	link = plan_link(machine, a, b);
	if (story->path.path_class == SPAN_PATH_NVL) {
		int32_t count = link ? link->count : plan_bundle(machine, a).count;

		snprintf(word, bytes, "NV%d", count);
		return;
	}
	common = common_parent(machine, a, b, &switches);
	if (a == b)
		text = "X";
	else if (common >= 0 && (machine->nodes[common].kind == SPAN_NODE_PCI ||
	                         machine->nodes[common].kind == SPAN_NODE_CARD))
		text = switches > 1 ? "PXB" : "PIX";
	else if (common >= 0 && machine->nodes[common].kind == SPAN_NODE_CPU)
		text = "PHB, or NODE if they hang from two host bridges";
	snprintf(word, bytes, "%s", text);
}

/* --- text --------------------------------------------------------------------------------- */

static void tell_node(const struct story *story, int32_t number, FILE *out)
{
	span_topo_node node;

	span_topo_node_at(story->topo, number, &node);
	fprintf(out, "  %s", text_id(story->topo, number).text);
	if (*node.bus)
		fprintf(out, "  %s", node.bus);
	if (*node.name)
		fprintf(out, "  %s", node.name);
	fputc('\n', out);
}

static void tell_link(const struct story *story, int32_t i, FILE *out)
{
	const span_topo_link *link = &story->links[i];
	char first[80];

	snprintf(first, sizeof(first), "    | %-8s%6s GB/s  %s ",
	         span_link_class_name(link->link_class), text_gbps(link->bandwidth, 4).text,
	         i == story->narrowest ? "<- narrowest," : "");
	if (link->latency > 0)
		snprintf(first + strlen(first), sizeof(first) - strlen(first), "%.3g us, ",
		         link->latency * 1e6);
	strncat(first, span_confidence_name(link->confidence), sizeof(first) - strlen(first) - 3);
	strcat(first, ": ");
	tool_wrap(out, 26, first, link->provenance);
}

static void tell_bottleneck(const struct story *story, FILE *out)
{
	const span_topo_link *link;

	if (story->narrowest < 0 || story->from == story->to)
		return;
	link = &story->links[story->narrowest];
	fprintf(out, "Bottleneck: %s to ", text_id(story->topo, link->from).text);
	fprintf(out, "%s, %s GB/s.\n", text_id(story->topo, link->to).text,
	        text_gbps(link->bandwidth, 4).text);
	if (story->path.bandwidth < link->bandwidth * 0.9999)
		fprintf(out, "The path is narrower than its links, %s GB/s: NCCL counts an overhead "
		        "for such a way.\n", text_gbps(story->path.bandwidth, 4).text);
}

static void tell_nccl(const struct story *story, FILE *out)
{
	const span_topo_path *path = &story->nccl;

	if (!story->has_nccl)
		return;
	if (path->path_class == story->path.path_class && path->bandwidth == story->path.bandwidth) {
		fprintf(out, "With --as-nccl: the same.\n");
		return;
	}
	fprintf(out, "With --as-nccl: %s, %s GB/s; the notes of show say what was corrected, and "
	        "xgmi counts\nonly here.\n", span_path_class_name(path->path_class),
	        text_gbps(path->bandwidth, 4).text);
}

static void tell(const struct story *story, FILE *out)
{
	char word[80];

	fprintf(out, "%s to ", text_id(story->topo, story->from).text);
	fprintf(out, "%s: %s, %s GB/s, %s, %s\n\n", text_id(story->topo, story->to).text,
	        span_path_class_name(story->path.path_class),
	        text_gbps(story->path.bandwidth, 4).text,
	        text_count(story->path.hops, "link", "links").text,
	        span_confidence_name(story->path.confidence));
	for (int32_t i = 0; i < story->n; i++) {
		tell_node(story, story->route[i], out);
		if (i + 1 < story->n)
			tell_link(story, i, out);
	}
	fprintf(out, "%s", story->n ? "\n" : "");
	tell_bottleneck(story, out);
	fprintf(out, "NCCL calls it %s: %s.\n", span_path_class_name(story->path.path_class),
	        meaning(story->path.path_class));
	smi_word(story, word, sizeof(word));
	if (*word)
		fprintf(out, "nvidia-smi topo -m calls it %s.\n", word);
	else
		fprintf(out, "nvidia-smi topo -m has no word for it: its matrix has the GPUs and "
		        "NICs of one host.\n");
	tell_nccl(story, out);
}

/* --- JSON --------------------------------------------------------------------------------- */

static json_t *id_value(const span_topo *topo, int32_t number)
{
	span_topo_node node;

	span_topo_node_at(topo, number, &node);
	return json_string(node.id);
}

static json_t *link_value(const struct story *story, const span_topo_link *link)
{
	char *provenance = strdup(link->provenance);
	json_t *value = NULL;

	if (provenance) {
		json_clean_utf8(provenance);
		value = json_pack("{so so ss sf ss ss}", "from", id_value(story->topo, link->from),
		                  "to", id_value(story->topo, link->to), "class",
		                  span_link_class_name(link->link_class), "GBps",
		                  link->bandwidth / 1e9, "confidence",
		                  span_confidence_name(link->confidence), "provenance", provenance);
	}
	free(provenance);
	return value;
}

static span_status tell_json(const struct story *story, FILE *out)
{
	json_t *route = json_array(), *root;
	int failed = 0;
	char word[80];

	for (int32_t i = 0; i + 1 < story->n; i++)
		failed |= json_array_append_new(route, link_value(story, &story->links[i]));
	smi_word(story, word, sizeof(word));
	root = json_pack("{so so ss sf ss so si ss}", "from", id_value(story->topo, story->from),
	                 "to", id_value(story->topo, story->to), "class",
	                 span_path_class_name(story->path.path_class), "GBps",
	                 story->path.bandwidth / 1e9, "confidence",
	                 span_confidence_name(story->path.confidence), "route", route,
	                 "narrowest", (int)story->narrowest, "nvidia_smi", word);
	if (root && story->has_nccl)
		failed |= json_object_set_new(root, "as_nccl",
		                              json_pack("{ss sf}", "class",
		                                        span_path_class_name(story->nccl.path_class),
		                                        "GBps", story->nccl.bandwidth / 1e9));
	failed |= !root || json_dumpf(root, out, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
	json_decref(root);
	fputc('\n', out);
	return failed ? span_fail(SPAN_EIO, "explain: no memory, or the output failed") : SPAN_OK;
}

/* --- the command -------------------------------------------------------------------------- */

/* Two words, of which the second is a file: one device is missing. */
static span_status check_words(const struct tool *tool)
{
	if (tool->n_words == 2 && access(tool->words[1], F_OK) == 0)
		return span_fail(SPAN_EINVAL, "explain: \"%.60s\" is a file; expected \"span-topo "
		                 "explain A B [SOURCE]\"", tool->words[1]);
	return SPAN_OK;
}

static int run_explain(struct tool *tool)
{
	struct story story = { 0 };
	span_topo *topo = NULL;
	span_status status = check_words(tool);

	if (!status)
		status = tool_load(tool, 2, &topo);
	if (!status)
		status = find_out(topo, tool->words, &story);
	if (!status)
		ask_nccl(tool, &story);
	if (!status && !tool_out(tool))
		status = SPAN_EIO;
	if (!status && tool_format_is(tool, "json"))
		status = tell_json(&story, tool->out);
	else if (!status)
		tell(&story, tool->out);
	span_topo_free(topo);
	return status ? EXIT_BAD : EXIT_FINE;
}

const struct tool_command command_explain = {
	.name = "explain",
	.words = "A B [SOURCE]",
	.summary = "the path between two devices, link by link, and who says so",
	.formats = "text json",
	.least_words = 2,
	.most_words = 3,
	.help = "A and B are named as show names them: gpu0, nic1, cpu0; in a cluster h3/gpu0.\n"
	        "\n"
	        "Examples:\n"
	        "  span-topo explain gpu0 nic1 topo.xml\n"
	        "  span-topo explain h0/gpu0 h9/gpu0 cluster.txt\n",
	.run = run_explain,
};
