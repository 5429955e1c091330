/* What the commands of span-topo share: loading, output, text in columns. */
#include "topo/tool/tool.h"

#include <errno.h>
#include <string.h>

#include "topo/graph/graph.h"
#include "topo/log.h"
#include "topo/read/reader.h"
#include "topo/write/anonymise.h"

static span_status load_input(struct tool *tool, const span_topo_options *options,
                              span_topo **topo)
{
	static const char name[] = "standard input";
	span_status status = SPAN_OK;

	if (!tool->input)
		status = source_slurp(stdin, name, &tool->input, &tool->input_bytes);
	if (status)
		return status;
	return span_topo_parse(tool->input, tool->input_bytes, name, options, topo);
}

span_status tool_load(struct tool *tool, int word, span_topo **topo)
{
	span_topo_options options = { .size = sizeof(options), .as_nccl = tool->as_nccl };
	const char *source = word < tool->n_words ? tool->words[word] : NULL;
	span_status status;

	if (source && strcmp(source, "-") == 0)
		status = load_input(tool, &options, topo);
	else
		status = span_topo_load(source, &options, topo);
	return !status && tool->anonymise ? topo_anonymise(*topo) : status;
}

span_topo *tool_load_nccl(struct tool *tool, int word, const span_topo *topo)
{
	span_topo *nccl = NULL;

	if (topo->as_nccl)
		return NULL;
	span_set_log(NULL, NULL);
	tool->as_nccl = true;
	if (tool_load(tool, word, &nccl)) {
		span_topo_free(nccl);
		nccl = NULL;
	}
	tool->as_nccl = false;
	span_set_log(tool_message, NULL);
	return nccl;
}

void tool_message(void *user, span_status status, const char *message)
{
	(void)user;
	(void)status;
	fprintf(stderr, "span-topo: %s\n", message);
}

FILE *tool_out(struct tool *tool)
{
	if (!tool->out && !tool->output)
		tool->out = stdout;
	if (!tool->out) {
		tool->out = fopen(tool->output, "we");
		if (!tool->out)
			span_fail(SPAN_EIO, "%s: --output %s: %s", tool->command->name,
			          tool->output, strerror(errno));
	}
	return tool->out;
}

void tool_wrap(FILE *out, int indent, const char *first, const char *text)
{
	int column = fprintf(out, "%s", first);
	bool begin = true;

	while (*text) {
		int n = (int)strcspn(text, " ");

		if (!begin && column + 1 + n > TOOL_COLUMNS) {
			column = fprintf(out, "\n%*s", indent, "") - 1;
			begin = true;
		}
		column += fprintf(out, "%s%.*s", begin ? "" : " ", n, text);
		begin = false;
		text += n;
		text += strspn(text, " ");
	}
	fputc('\n', out);
}
