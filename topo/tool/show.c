/* span-topo show: what there is, how it is connected, how fast, and what was assumed. */
#include <string.h>

#include "topo/graph/graph.h"
#include "topo/json/json.h"
#include "topo/log.h"
#include "topo/picture/svg.h"
#include "topo/span_ring.h"
#include "topo/tool/text.h"
#include "topo/tool/tool.h"

enum { NOTES_MOST = 24 };

/* --- the first line ----------------------------------------------------------------------- */

static int64_t count_kind(const struct machine *machine, span_node_kind kind)
{
	int64_t count = 0;

	for (int32_t i = 0; i < machine->n_nodes; i++)
		count += machine->nodes[i].kind == kind;
	return count;
}

/* "2 NUMA nodes, 8 GPUs, 8 NIC ports, NVSwitch" of one machine. */
static void print_parts(const struct machine *machine, char *text, size_t bytes)
{
	static const struct {
		span_node_kind kind;
		const char *one, *many;
	} parts[] = { { SPAN_NODE_CPU, "NUMA node", "NUMA nodes" },
		      { SPAN_NODE_GPU, "GPU", "GPUs" },
		      { SPAN_NODE_NIC, "NIC port", "NIC ports" } };
	size_t used = 0;

	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		int64_t n = count_kind(machine, parts[i].kind);

		if (n && used < bytes)
			used += (size_t)snprintf(text + used, bytes - used, "%s%s", used ? ", " : "",
			                         text_count(n, parts[i].one, parts[i].many).text);
	}
	if (count_kind(machine, SPAN_NODE_NVSWITCH) && used < bytes)
		used += (size_t)snprintf(text + used, bytes - used, "%sNVSwitch", used ? ", " : "");
	if (!used)
		snprintf(text, bytes, "no devices");
}

static void print_title(const span_topo *topo, FILE *out)
{
	int32_t hosts = span_topo_hosts(topo);
	char parts[128];

	print_parts(topo->machines[0], parts, sizeof(parts));
	fprintf(out, "%s (%s)\n%s", topo->source_name, topo->source_kind,
	        text_count(hosts, "host", "hosts").text);
	if (topo->n_machines == 1)
		fprintf(out, "%s with %s\n", topo->n_places > 1 ? ", each" : "", parts);
	else
		fprintf(out, " of %d kinds\n", topo->n_machines);
	if (topo->as_nccl)
		fprintf(out, "as NCCL would believe: nothing corrected, xgmi left out\n");
}

/* --- kinds of hosts ----------------------------------------------------------------------- */

static void print_kind(const span_topo *topo, int32_t machine, int32_t places, int32_t first,
                       FILE *out)
{
	char parts[128];
	const struct place *place = &topo->places[first];

	print_parts(topo->machines[machine], parts, sizeof(parts));
	fprintf(out, "\n");
	if (topo->n_machines > 1)
		fprintf(out, "Kind %d, ", machine + 1);
	fprintf(out, "%s like h%d: %s\n", text_count(places, "place", "places").text,
	        place->first_host, parts);
}

static span_status show_machines(const span_topo *topo, FILE *out)
{
	span_status status = SPAN_OK;

	for (int32_t i = 0; !status && i < topo->n_machines; i++) {
		int32_t first = 0, places = text_places(topo, i, &first);

		if (!places)
			continue;
		if (topo->n_places > 1)
			print_kind(topo, i, places, first, out);
		fprintf(out, "\n");
		status = text_plan(topo, first, out);
		if (!status)
			text_matrices(topo, first, out);
	}
	return status;
}

/* --- notes -------------------------------------------------------------------------------- */

static bool same_note(const struct note *a, const struct note *b)
{
	return a->corrected == b->corrected && strcmp(a->text, b->text) == 0;
}

/* A place that begins with the source's name, without the folders. */
static const char *short_place(const span_topo *topo, const char *place)
{
	const char *slash = strrchr(topo->source_name, '/');
	size_t folders = slash ? (size_t)(slash - topo->source_name) + 1 : 0;

	return strncmp(place, topo->source_name, strlen(topo->source_name)) == 0 ? place + folders
	                                                                         : place;
}

/* One sentence, and the places it was said of. Returns how many notes that were. */
static int32_t print_note(const span_topo *topo, int32_t first, FILE *out)
{
	const struct note *note = &topo->notes[first];
	char text[1024];
	int32_t n = 1;

	while (first + n < topo->n_notes && same_note(note, &topo->notes[first + n]))
		n++;
	if (n > 1)
		snprintf(text, sizeof(text), "%s to %s (%d): %s", short_place(topo, note->place),
		         short_place(topo, note[n - 1].place), n,
		         note->text);
	else
		snprintf(text, sizeof(text), "%s: %s", short_place(topo, note->place),
		         note->text);
	tool_wrap(out, 6, note->corrected ? "  * " : "    ", text);
	return n;
}

static void print_notes(const span_topo *topo, FILE *out)
{
	int32_t i = 0, lines = 0;

	if (topo->n_notes)
		fprintf(out, "\nWhat the reader noticed (*: corrected, the source says otherwise)\n");
	for (; i < topo->n_notes && lines < NOTES_MOST; lines++)
		i += print_note(topo, i, out);
	if (i < topo->n_notes)
		fprintf(out, "    and %d more: --format json has them all\n", topo->n_notes - i);
}

/* --- the command -------------------------------------------------------------------------- */

static bool has_assumed(const span_topo *topo)
{
	for (int32_t m = 0; m < topo->n_machines; m++)
		for (int32_t i = 0; i < topo->machines[m]->n_links; i++)
			if (topo->machines[m]->links[i].confidence < SPAN_CONFIDENCE_DECLARED &&
			    topo->machines[m]->links[i].link_class != SPAN_LINK_LOCAL)
				return true;
	return false;
}

static span_status show_text(const span_topo *topo, FILE *out)
{
	span_status status;

	print_title(topo, out);
	status = text_fabric(topo, out);
	if (!status)
		status = show_machines(topo, out);
	if (status)
		return status;
	if (has_assumed(topo))
		fprintf(out, "\n~ usual for such a device, not stated by the source\n");
	print_notes(topo, out);
	return SPAN_OK;
}

/* The picture, with the ring order laid over it when that is asked for. */
static span_status show_picture(const struct tool *tool, const span_topo *topo)
{
	span_ring *ring = NULL;
	span_status status = SPAN_OK;

	if (!tool_value(tool, "ring"))
		return topo_write_svg(topo, NULL, 0, tool->out);
	status = span_ring_create(topo, &ring);
	if (!status)
		status = topo_write_svg(topo, span_ring_nodes(ring), span_ring_length(ring),
		                        tool->out);
	span_ring_free(ring);
	return status;
}

static int run_show(struct tool *tool)
{
	span_topo *topo = NULL;
	span_status status = SPAN_OK;

	if (tool_value(tool, "ring") && !tool_format_is(tool, "svg"))
		status = span_fail(SPAN_EINVAL, "show: --ring is for --format svg; span-topo order "
		                   "tells the ring as text");
	if (!status)
		status = tool_load(tool, 0, &topo);
	if (!status && !tool_out(tool))
		status = SPAN_EIO;
	if (!status && tool_format_is(tool, "json"))
		status = topo_write_json(topo, tool->out);
	else if (!status && tool_format_is(tool, "svg"))
		status = show_picture(tool, topo);
	else if (!status)
		status = show_text(topo, tool->out);
	span_topo_free(topo);
	return status ? EXIT_BAD : EXIT_FINE;
}

static const struct tool_option options[] = {
	{ "ring", NULL, "with --format svg: lay the ring order over the picture" },
	{ 0 },
};

const struct tool_command command_show = {
	.name = "show",
	.words = "[SOURCE]",
	.summary = "the machine or cluster: floor plan, matrices, what was assumed",
	.formats = "text json svg",
	.most_words = 1,
	.options = options,
	.help = "Examples:\n"
	        "  span-topo show topo.xml\n"
	        "  span-topo show --format svg --ring -o box.svg topo.xml\n"
	        "  span-topo show --format json | jq '.machines[0].links | length'\n",
	.run = run_show,
};
