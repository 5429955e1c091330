/* span-topo diff: what two topologies do not have in common. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "topo/graph/graph.h"
#include "topo/json/json.h"
#include "topo/log.h"
#include "topo/tool/compare.h"
#include "topo/tool/text.h"
#include "topo/tool/tool.h"

enum { DEVICES_MOST = 40, GROUPS_MOST = 24, EXAMPLES = 4 };

/* --- text --------------------------------------------------------------------------------- */

static const char *switch_name(const span_topo *topo, int32_t number)
{
	return number < 0 ? "none" : topo->switches[number].name;
}

/* What a field says; of "uplinks", "rails" and "switch above" the switch does. */
static void tell_value(const span_topo *topo, int32_t number, const char *field, char *text,
                       size_t bytes)
{
	const struct machine *machine;
	int32_t place, local;
	span_topo_node node;

	span_topo_node_at(topo, number, &node);
	machine = topo_locate(topo, number, &place, &local);
	if (strcmp(field, "bus") == 0 || strcmp(field, "name") == 0)
		snprintf(text, bytes, "%s", *field == 'b' ? node.bus : node.name);
	else if (strcmp(field, "uplinks") == 0)
		snprintf(text, bytes, "%s GB/s",
		         text_gbps(topo->switches[local].up_bandwidth, 4).text);
	else if (strcmp(field, "rails") == 0)
		snprintf(text, bytes, "%d", topo->switches[local].rails);
	else if (strcmp(field, "switch above") == 0)
		snprintf(text, bytes, "%s", switch_name(topo, machine ? topo->places[place].leaf
		                                                      : topo->switches[local].parent));
	else
		snprintf(text, bytes, "%d", (int)(*field == 'd' ? node.dev : node.rank));
}

static void tell_device(const struct comparison *comparison,
                        const struct device_difference *difference, FILE *out)
{
	bool only_y = difference->x < 0;
	const span_topo *topo = only_y ? comparison->y : comparison->x;
	int32_t number = only_y ? difference->y : difference->x;
	char before[64], after[64];
	span_topo_node a;

	span_topo_node_at(topo, number, &a);
	fprintf(out, "%s %s", difference->field ? "~" : only_y ? "+"
	                                                       : "-",
	        text_id(topo, number).text);
	if (!difference->field) {
		fprintf(out, "%s%s%s%.60s: only in %s\n", *a.bus ? " " : "", a.bus, *a.name ? " " : "",
		        a.name, only_y ? "Y" : "X");
		return;
	}
	tell_value(topo, number, difference->field, before, sizeof(before));
	tell_value(comparison->y, difference->y, difference->field, after, sizeof(after));
	fprintf(out, ": %s %s in X, %s in Y\n", difference->field, before, after);
}

static bool same_change(const struct path_difference *a, const struct path_difference *b)
{
	return a->x_class == b->x_class && a->y_class == b->y_class &&
	       a->x_bandwidth == b->x_bandwidth && a->y_bandwidth == b->y_bandwidth;
}

static int by_change(const void *left, const void *right)
{
	const struct path_difference *a = left, *b = right;

	if (a->x_class != b->x_class)
		return a->x_class < b->x_class ? -1 : 1;
	if (a->y_class != b->y_class)
		return a->y_class < b->y_class ? -1 : 1;
	if (a->x_bandwidth != b->x_bandwidth)
		return a->x_bandwidth < b->x_bandwidth ? -1 : 1;
	if (a->y_bandwidth != b->y_bandwidth)
		return a->y_bandwidth < b->y_bandwidth ? -1 : 1;
	if (a->from != b->from)
		return a->from < b->from ? -1 : 1;
	return a->to < b->to ? -1 : a->to > b->to;
}

/* Paths that changed in the same way, on one line; returns how many they are. */
static int32_t tell_change(const struct comparison *comparison, int32_t first, FILE *out)
{
	const struct path_difference *change = &comparison->paths[first];
	char head[128], list[256] = "";
	int32_t n = 0;

	while (first + n < comparison->n_paths && same_change(change, change + n)) {
		if (n < EXAMPLES)
			snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s to ",
			         n ? ", " : "", text_id(comparison->x, change[n].from).text);
		if (n < EXAMPLES)
			snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s",
			         text_id(comparison->x, change[n].to).text);
		n++;
	}
	if (n > EXAMPLES)
		strncat(list, ", ...", sizeof(list) - strlen(list) - 1);
	snprintf(head, sizeof(head), "~ %s: %s %s GB/s in X, ",
	         text_count(n, "path", "paths").text, span_path_class_name(change->x_class),
	         text_gbps(change->x_bandwidth, 4).text);
	snprintf(head + strlen(head), sizeof(head) - strlen(head), "%s %s in Y: ",
	         span_path_class_name(change->y_class), text_gbps(change->y_bandwidth, 4).text);
	tool_wrap(out, 4, head, list);
	return n;
}

static void tell(const struct comparison *comparison, FILE *out)
{
	int32_t i, groups = 0;

	fprintf(out, "X: %s\nY: %s\n", span_topo_source_name(comparison->x),
	        span_topo_source_name(comparison->y));
	if (span_topo_hosts(comparison->x) != span_topo_hosts(comparison->y))
		fprintf(out, "~ %s in X, %d in Y\n",
		        text_count(span_topo_hosts(comparison->x), "host", "hosts").text,
		        span_topo_hosts(comparison->y));
	for (i = 0; i < comparison->n_devices && i < DEVICES_MOST; i++)
		tell_device(comparison, &comparison->devices[i], out);
	if (i < comparison->n_devices)
		fprintf(out, "  and %d more devices; --format json has them\n",
		        comparison->n_devices - i);
	for (i = 0; i < comparison->n_paths && groups < GROUPS_MOST; groups++)
		i += tell_change(comparison, i, out);
	if (i < comparison->n_paths)
		fprintf(out, "  and %d more paths; --format json has them\n",
		        comparison->n_paths - i);
	if (comparison->hosts_alike)
		fprintf(out, "%s: as others above\n",
		        text_count(comparison->hosts_alike, "more host", "more hosts").text);
	if (comparison->dropped)
		fprintf(out, "%lld differences more\n", (long long)comparison->dropped);
}

/* --- JSON --------------------------------------------------------------------------------- */

static json_t *node_id(const span_topo *topo, int32_t number)
{
	span_topo_node node;

	if (number < 0)
		return json_null();
	span_topo_node_at(topo, number, &node);
	return json_string(node.id);
}

static void put_devices(const struct comparison *comparison, FILE *out)
{
	fputs("{\"devices\": [", out);
	for (int32_t i = 0; i < comparison->n_devices; i++) {
		const struct device_difference *difference = &comparison->devices[i];
		json_t *object = json_pack("{so so ss}", "x", node_id(comparison->x, difference->x),
		                           "y", node_id(comparison->y, difference->y), "field",
		                           difference->field ? difference->field : "");

		fputs(i ? ",\n" : "\n", out);
		json_dumpf(object, out, 0);
		json_decref(object);
	}
}

static void put_paths(const struct comparison *comparison, FILE *out)
{
	fputs("],\n\"paths\": [", out);
	for (int32_t i = 0; i < comparison->n_paths; i++) {
		const struct path_difference *difference = &comparison->paths[i];
		json_t *object = json_pack("{so so s{ss sf} s{ss sf}}", "from",
		                           node_id(comparison->x, difference->from), "to",
		                           node_id(comparison->x, difference->to), "x", "class",
		                           span_path_class_name(difference->x_class), "GBps",
		                           difference->x_bandwidth / 1e9, "y", "class",
		                           span_path_class_name(difference->y_class), "GBps",
		                           difference->y_bandwidth / 1e9);

		fputs(i ? ",\n" : "\n", out);
		json_dumpf(object, out, JSON_REAL_PRECISION(9));
		json_decref(object);
	}
	fprintf(out, "],\n\"hosts\": {\"x\": %d, \"y\": %d}, \"dropped\": %lld}\n",
	        span_topo_hosts(comparison->x), span_topo_hosts(comparison->y),
	        (long long)comparison->dropped);
}

/* --- the command -------------------------------------------------------------------------- */

static int report(const struct tool *tool, struct comparison *comparison)
{
	bool differ = comparison->n_devices || comparison->n_paths || comparison->dropped ||
	              span_topo_hosts(comparison->x) != span_topo_hosts(comparison->y);

	if (comparison->n_paths)
		qsort(comparison->paths, (size_t)comparison->n_paths, sizeof(*comparison->paths),
		      by_change);
	if (tool_format_is(tool, "json")) {
		put_devices(comparison, tool->out);
		put_paths(comparison, tool->out);
	} else if (differ) {
		tell(comparison, tool->out);
	}
	return differ ? EXIT_FINDINGS : EXIT_FINE;
}

static int run_diff(struct tool *tool)
{
	span_topo *x = NULL, *y = NULL;
	struct comparison comparison = { 0 };
	span_status status = tool_load(tool, 0, &x);
	int code = EXIT_BAD;

	if (!status)
		status = tool_load(tool, 1, &y);
	if (!status)
		status = compare_topologies(x, y, &comparison);
	if (!status && tool_out(tool))
		code = report(tool, &comparison);
	comparison_free(&comparison);
	span_topo_free(x);
	span_topo_free(y);
	return code;
}

const struct tool_command command_diff = {
	.name = "diff",
	.words = "X Y",
	.summary = "devices and paths in which two sources differ",
	.formats = "text json",
	.least_words = 2,
	.most_words = 2,
	.help = "Devices are the same when host, kind, PCI address and name are; else by number.\n"
	        "What one side does not know is no difference. In text - marks what only X has,\n"
	        "+ what only Y has, ~ what both have otherwise.\n"
	        "\n"
	        "Examples:\n"
	        "  span-topo diff yesterday.json host\n"
	        "  span-topo diff good-tray.xml bad-tray.xml\n",
	.run = run_diff,
};
