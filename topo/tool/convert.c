/* span-topo convert: the same topology in another format. */
#include <string.h>

#include "topo/json.h"
#include "topo/log.h"
#include "topo/tool/tool.h"

struct target {
	const char *name;
	span_status (*write)(const span_topo *topo, FILE *out);
};

static const struct target targets[] = {
	{ "json", topo_write_json },
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
		status = target->write(topo, tool->out);
	span_topo_free(topo);
	return status ? EXIT_BAD : EXIT_FINE;
}

static const struct tool_option options[] = {
	{ "to", "FORMAT", "json: everything, for span-topo to read again" },
	{ 0 },
};

const struct tool_command command_convert = {
	.name = "convert",
	.words = "--to FORMAT [SOURCE]",
	.summary = "the same in another format",
	.most_words = 1,
	.options = options,
	.help = "Examples:\n"
	        "  span-topo convert --to json -o today.json\n",
	.run = run_convert,
};
