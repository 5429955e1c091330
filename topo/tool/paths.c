/* span-topo paths: class and GB/s from every device to every device. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "topo/json/json.h"
#include "topo/log.h"
#include "topo/tool/text.h"
#include "topo/tool/tool.h"

/* More devices than that are 10^8 pairs: nobody reads those. */
enum { DEVICES_MOST = 10000 };

/* --- JSON --------------------------------------------------------------------------------- */

static span_status put_device(const span_topo *topo, int32_t number, FILE *out)
{
	span_topo_node node;
	char *name, *bus;
	json_t *object = NULL;
	span_status status = SPAN_OK;

	span_topo_node_at(topo, number, &node);
	name = strdup(node.name);
	bus = strdup(node.bus);
	if (name && bus) {
		json_clean_utf8(name);
		json_clean_utf8(bus);
		object = json_pack("{ss ss si ss ss si si}", "id", node.id, "kind",
		                   span_node_kind_name(node.kind), "host", (int)node.host, "bus",
		                   bus, "name", name, "dev", (int)node.dev, "rank",
		                   (int)node.rank);
	}
	if (!object)
		status = span_fail(SPAN_ENOMEM, "paths: no memory for a device");
	else if (json_dumpf(object, out, 0))
		status = span_fail(SPAN_EIO, "paths: not everything could be written");
	json_decref(object);
	free(name);
	free(bus);
	return status;
}

static span_status put_devices(const span_topo *topo, const int32_t *nodes, int32_t n, FILE *out)
{
	span_status status = SPAN_OK;

	fputs("{\"devices\": [\n", out);
	for (int32_t i = 0; !status && i < n; i++) {
		status = put_device(topo, nodes[i], out);
		fputs(i + 1 < n ? ",\n" : "\n", out);
	}
	return status;
}

/* Ids need no escapes: letters, digits and "/". */
static span_status put_path(const span_topo *topo, int32_t from, int32_t to, FILE *out)
{
	span_topo_node a, b;
	span_topo_path path;
	span_status status = span_topo_path_between(topo, from, to, &path);

	if (status)
		return status;
	span_topo_node_at(topo, from, &a);
	span_topo_node_at(topo, to, &b);
	fprintf(out, "{\"from\": \"%s\", \"to\": \"%s\", \"class\": \"%s\", \"GBps\": %.9g}", a.id,
	        b.id, span_path_class_name(path.path_class), path.bandwidth / 1e9);
	return ferror(out) ? span_fail(SPAN_EIO, "paths: not everything could be written")
	                   : SPAN_OK;
}

static span_status put_paths(const span_topo *topo, const int32_t *nodes, int32_t n, FILE *out)
{
	span_status status = SPAN_OK;

	fputs("], \"paths\": [\n", out);
	for (int32_t i = 0; !status && i < n; i++)
		for (int32_t k = 0; !status && k < n; k++) {
			status = put_path(topo, nodes[i], nodes[k], out);
			fputs(i + 1 < n || k + 1 < n ? ",\n" : "\n", out);
		}
	fputs("]}\n", out);
	return status;
}

/* --- the devices in the source's order ---------------------------------------------------- */

static bool is_device(span_node_kind kind)
{
	return kind == SPAN_NODE_GPU || kind == SPAN_NODE_NIC || kind == SPAN_NODE_CPU;
}

/* Node numbers of all devices; with NULL only how many there are. */
static int32_t list_devices(const span_topo *topo, int32_t *nodes)
{
	int32_t n = 0;

	for (int32_t p = 0; p < topo->n_places; p++) {
		const struct place *place = &topo->places[p];
		const struct machine *machine = topo->machines[place->machine];

		for (int32_t i = 0; i < machine->n_nodes; i++) {
			if (!is_device(machine->nodes[i].kind))
				continue;
			if (nodes)
				nodes[n] = place->first_node + i;
			n++;
		}
	}
	return n;
}

static span_status paths_json(const span_topo *topo, FILE *out)
{
	int32_t n = list_devices(topo, NULL), *nodes;
	span_status status;

	if (n > DEVICES_MOST)
		return span_fail(SPAN_EUNSUPPORTED, "paths: %d devices have %lld paths; at most %d "
		                 "devices are listed: give a smaller cluster, or one host", n,
		                 (long long)n * n, DEVICES_MOST);
	nodes = malloc(((size_t)n + 1) * sizeof(*nodes));
	if (!nodes)
		return span_fail(SPAN_ENOMEM, "paths: no memory for %d devices", n);
	list_devices(topo, nodes);
	status = put_devices(topo, nodes, n, out);
	if (!status)
		status = put_paths(topo, nodes, n, out);
	free(nodes);
	return status;
}

/* --- text --------------------------------------------------------------------------------- */

static span_status paths_text(const span_topo *topo, FILE *out)
{
	static const span_node_kind kinds[] = { SPAN_NODE_GPU, SPAN_NODE_NIC, SPAN_NODE_CPU };

	fprintf(out, "%s (%s)\n", topo->source_name, topo->source_kind);
	for (int32_t i = 0; i < topo->n_machines; i++) {
		int32_t place = 0, places = text_places(topo, i, &place);

		if (!places)
			continue;
		if (topo->n_places > 1)
			fprintf(out, "\nh%d, one of %s\n", topo->places[place].first_host,
			        text_count(places, "such place", "such places").text);
		for (int row = 0; row < 3; row++)
			for (int column = 0; column < 3; column++)
				text_matrix(topo, place, kinds[row], kinds[column], out);
	}
	return SPAN_OK;
}

static int run_paths(struct tool *tool)
{
	span_topo *topo = NULL;
	span_status status = tool_load(tool, 0, &topo);

	if (!status && !tool_out(tool))
		status = SPAN_EIO;
	if (!status)
		status = tool_format_is(tool, "json") ? paths_json(topo, tool->out)
		                                      : paths_text(topo, tool->out);
	span_topo_free(topo);
	return status ? EXIT_BAD : EXIT_FINE;
}

const struct tool_command command_paths = {
	.name = "paths",
	.words = "[SOURCE]",
	.summary = "class and GB/s from every device to every device",
	.formats = "text json",
	.most_words = 1,
	.help = "Examples:\n"
		"  span-topo paths topo.xml\n"
		"  span-topo paths --as-nccl topo.xml\n"
		"  span-topo paths --format json topo.xml | jq '.paths[].class' | sort | uniq -c\n",
	.run = run_paths,
};
