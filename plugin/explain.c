/* A table in words. */
#include "plugin/explain.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LINE_BYTES 768
#define MOST_LINES 200 /* of one log; a table of rules may have thousands */

struct line {
	char *text;
	size_t bytes, used;
};

__attribute__((format(printf, 2, 3))) static void add(struct line *line, const char *format, ...)
{
	va_list arguments;
	int n;

	if (line->used + 1 >= line->bytes)
		return;
	va_start(arguments, format);
	n = vsnprintf(line->text + line->used, line->bytes - line->used, format, arguments);
	va_end(arguments);
	line->used += n > 0 ? (size_t)n : 0;
	if (line->used >= line->bytes)
		line->used = line->bytes - 1;
}

static void add_cells(struct line *line, uint32_t cells)
{
	const char *comma = "";

	for (int cell = 0; cell < SPAN_CELLS; cell++) {
		if (!(cells >> cell & 1))
			continue;
		add(line, "%s%s/%s", comma, span_algo_name(cell / SPAN_PROTOS),
		    span_proto_name(cell % SPAN_PROTOS));
		comma = ", ";
	}
}

static void add_choice(struct line *line, const struct span_choice *choice)
{
	add(line, "%s/%s", span_algo_name(choice->algo), span_proto_name(choice->proto));
	if (choice->channels)
		add(line, " on %d channels", choice->channels);
	if (choice->chunk)
		add(line, " in chunks of %llu B", (unsigned long long)choice->chunk);
	if (choice->reason == SPAN_BY_RULE) {
		add(line, " (rule of line %d", choice->line);
	} else {
		add(line, " (%s, %.0f%% or more below ",
		    choice->reason == SPAN_BY_MEASUREMENT ? "measured" : "model",
		    100.0 * (double)choice->gain);
		add_cells(line, choice->beats);
	}
	if (choice->pipe_ops >= 0)
		add(line, ", for %d operation%s a launch", choice->pipe_ops,
		    choice->pipe_ops == 1 ? "" : "s");
	add(line, ")");
}

void span_explain_segment(const span_table *table, int coll, int32_t segment, char *text,
                          size_t bytes)
{
	struct line line = { text, bytes, 0 };
	const struct span_choice *choices;
	uint64_t first;
	int n;

	if (!bytes)
		return;
	*text = '\0';
	choices = span_table_segment(table, coll, segment, &first, &n);
	add(&line, "%s from %llu B: ", span_coll_name(coll), (unsigned long long)first);
	for (int i = 0; i < n; i++) {
		add(&line, i ? ", else " : "");
		add_choice(&line, &choices[i]);
	}
	add(&line, n ? ", else NCCL's own choice" : "NCCL's own choice");
}

void span_explain(const span_table *table, nccl_logger *logger)
{
	char text[LINE_BYTES];
	int lines = 0;

	if (!logger)
		return;
	for (int coll = 0; coll < SPAN_COLLS; coll++)
		for (int32_t i = 0; i < span_table_segments(table, coll); i++) {
			if (lines++ == MOST_LINES) {
				logger(NCCL_LOG_INFO, NCCL_LOG_TUNING, __FILE__, __LINE__,
				       "SPAN: and more; span-tune table shows all");
				return;
			}
			span_explain_segment(table, coll, i, text, sizeof(text));
			logger(NCCL_LOG_INFO, NCCL_LOG_TUNING, __FILE__, __LINE__,
			       "SPAN: %s", text);
		}
}
