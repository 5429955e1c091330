/* span-topo convert: the same topology in another format. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "topo/json/json.h"
#include "topo/log.h"
#include "topo/tool/tool.h"
#include "topo/write/write.h"

struct target {
	const char *name;
	span_status (*write)(const struct tool *tool, const span_topo *topo);
};

static span_status write_json(const struct tool *tool, const span_topo *topo)
{
	return topo_write_json(topo, tool->out);
}

/* NCCL finds the GPUs of a process in the file by their address; one with other addresses is read
 * without complaint and describes nothing that is there. */
static void write_warning(const span_topo *topo, int32_t host, FILE *out)
{
	span_topo_node node;
	int32_t gpu;

	if (span_topo_devices(topo, SPAN_NODE_GPU, host, &gpu, 1) < 1)
		return;
	span_topo_node_at(topo, gpu, &node);
	if (!*node.bus)
		fputs("<!-- The source has no PCI addresses; those below are made up. NCCL finds\n"
		      "     GPUs and NICs by address: put those of the machine in (lspci). -->\n",
		      out);
}

/* NCCL describes one host; --host says which. */
static span_status write_nccl(const struct tool *tool, const span_topo *topo)
{
	const char *word = tool_value(tool, "host");
	long host = 0;
	char *end;

	if (word) {
		errno = 0;
		host = strtol(word, &end, 10);
		if (end == word || *end || errno || host < 0 || host >= span_topo_hosts(topo))
			return span_fail(SPAN_EINVAL, "convert: --host \"%.40s\"; it is a number from "
			                 "0 to %d", word, span_topo_hosts(topo) - 1);
	}
	write_warning(topo, (int32_t)host, tool->out);
	return topo_write_nccl(topo, (int32_t)host, tool->out);
}

static span_status write_synthetic(const struct tool *tool, const span_topo *topo)
{
	return topo_write_synthetic(topo, tool->out);
}

static const struct target targets[] = {
	{ "json", write_json },
	{ "nccl", write_nccl },
	{ "synthetic", write_synthetic },
};

enum { TARGETS = sizeof(targets) / sizeof(*targets) };

static span_status find_target(const struct tool *tool, const struct target **target)
{
	const char *to = tool_value(tool, "to");
	char list[64] = "";

	for (int i = 0; i < TARGETS; i++) {
		if (to && strcmp(to, targets[i].name) == 0) {
			*target = &targets[i];
			return SPAN_OK;
		}
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s", i ? ", " : "",
		         targets[i].name);
	}
	if (!to)
		return span_fail(SPAN_EINVAL, "convert: --to is missing; it is one of: %s", list);
	return span_fail(SPAN_EINVAL, "convert: --to \"%.40s\"; it is one of: %s", to, list);
}

static int run_convert(struct tool *tool)
{
	const struct target *target = NULL;
	span_topo *topo = NULL;
	span_status status = find_target(tool, &target);

	if (!status)
		status = tool_load(tool, 0, &topo);
	if (!status && !tool_out(tool))
		status = SPAN_EIO;
	if (!status)
		status = target->write(tool, topo);
	span_topo_free(topo);
	return status ? EXIT_BAD : EXIT_FINE;
}

static const struct tool_option options[] = {
	{ "to", "FORMAT", "json, nccl or synthetic" },
	{ "host", "NUMBER", "which host of a cluster NCCL's file describes (0)" },
	{ 0 },
};

const struct tool_command command_convert = {
	.name = "convert",
	.words = "--to FORMAT [SOURCE]",
	.summary = "the same in another format",
	.most_words = 1,
	.options = options,
	.help = "json is everything, for span-topo to read again; nccl is XML for NCCL_TOPO_FILE;\n"
	        "synthetic is the line of words that comes nearest, and says what it loses.\n"
	        "NCCL finds GPUs by PCI address: where the source has none, as synthetic ones and\n"
	        "the text of nvidia-smi, put the machine's in place of those that are made up.\n"
	        "\n"
	        "Examples:\n"
	        "  span-topo convert --to json -o today.json\n"
	        "  span-topo convert --to nccl -o topo.xml \"synthetic:gpus:8 nics:8\"\n"
	        "  NCCL_TOPO_FILE=topo.xml mpirun ...\n",
	.run = run_convert,
};
