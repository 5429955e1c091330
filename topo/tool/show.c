/* span-topo show: what there is, how it is connected, how fast, and what was assumed. */
#include <string.h>

#include "topo/graph.h"
#include "topo/tool/tool.h"

static void print_notes(const span_topo *topo, FILE *out)
{
	if (span_topo_notes(topo))
		fprintf(out, "\nNotes of the reader (* the model differs from the source here)\n");
	for (int32_t i = 0; i < span_topo_notes(topo); i++) {
		span_topo_note note;
		char first[48];

		span_topo_note_at(topo, i, &note);
		snprintf(first, sizeof(first), "%c %s: ", note.corrected ? '*' : ' ', note.place);
		tool_wrap(out, 4, first, note.text);
	}
}

static int run_show(struct tool *tool)
{
	span_topo *topo = NULL;
	int code = EXIT_BAD;

	if (!tool_load(tool, 0, &topo) && tool_out(tool)) {
		fprintf(tool->out, "%s (%s)\n", span_topo_source_name(topo),
		        span_topo_source_kind(topo));
		print_notes(topo, tool->out);
		code = EXIT_FINE;
	}
	span_topo_free(topo);
	return code;
}

const struct tool_command command_show = {
	.name = "show",
	.words = "[SOURCE]",
	.summary = "The machine or cluster: floor plan, matrices, what was assumed",
	.formats = "text",
	.most_words = 1,
	.run = run_show,
};
