/* The table and bench.json of the benches. The file is read whole at open and written whole,
 * under another name and then renamed, at close: it is a valid array at every moment. */
#include "tests/bench/report.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct report {
	char *path;
	char *text; /* the array without its closing bracket */
	size_t length;
	int failed;
};

static void fail(report *figures, const char *what, const char *why)
{
	fprintf(stderr, "report: %s: %s\n", what, why);
	figures->failed = 1;
}

static void *must(void *memory)
{
	if (!memory) {
		fputs("report: out of memory\n", stderr);
		exit(1);
	}
	return memory;
}

static void append(report *figures, const char *text)
{
	size_t n = strlen(text);

	figures->text = must(realloc(figures->text, figures->length + n + 1));
	memcpy(figures->text + figures->length, text, n + 1);
	figures->length += n;
}

/* A JSON string; control characters, which notes have no use for, become spaces. */
static void append_string(report *figures, const char *text)
{
	append(figures, "\"");
	for (; *text; text++) {
		char piece[3] = { *text, 0, 0 };

		if (*text == '"' || *text == '\\') {
			piece[0] = '\\';
			piece[1] = *text;
		} else if (iscntrl((unsigned char)*text)) {
			piece[0] = ' ';
		}
		append(figures, piece);
	}
	append(figures, "\"");
}

/* Take over what earlier benches wrote, less the bracket that closes it. */
static void read_earlier(report *figures)
{
	FILE *file = fopen(figures->path, "r");
	char piece[4096];
	size_t n;

	if (!file)
		return;
	while ((n = fread(piece, 1, sizeof piece - 1, file)) > 0) {
		piece[n] = 0;
		append(figures, piece);
	}
	if (ferror(file))
		fail(figures, figures->path, strerror(errno));
	fclose(file);
	if (figures->length < 3 || strcmp(figures->text + figures->length - 3, "\n]\n") != 0) {
		fail(figures, figures->path, "is not an array written by a bench; starting anew");
		figures->length = 0;
		return;
	}
	figures->length -= 3;
	figures->text[figures->length] = 0;
}

report *report_open(const char *path, const char *title)
{
	report *figures = must(calloc(1, sizeof *figures));

	if (path) {
		figures->path = must(strdup(path));
		read_earlier(figures);
	}
	if (figures->length == 0)
		append(figures, "[");
	printf("\n%s\n%-68s %12s %-8s %s\n", title, "name", "value", "unit", "note");
	return figures;
}

static int is_known(const report *figures, const char *name)
{
	size_t n = strlen(name);

	for (const char *at = figures->text; (at = strstr(at, "{\"name\": \"")); at++)
		if (strncmp(at + 10, name, n) == 0 && at[10 + n] == '"')
			return 1;
	return 0;
}

void report_add(report *figures, const char *name, double value, const char *unit,
                const char *note, ...)
{
	char line[512], number[64];
	va_list arguments;

	va_start(arguments, note);
	vsnprintf(line, sizeof line, note, arguments);
	va_end(arguments);
	printf("%-68s %12.6g %-8s %s\n", name, value, unit, line);
	fflush(stdout);
	if (is_known(figures, name)) {
		fail(figures, name, "is reported twice");
		return;
	}
	if (!isfinite(value)) {
		fail(figures, name, "is not a finite number");
		return;
	}
	append(figures, figures->length > 1 ? ",\n  {\"name\": " : "\n  {\"name\": ");
	append_string(figures, name);
	snprintf(number, sizeof number, ", \"value\": %.9g, \"unit\": ", value);
	append(figures, number);
	append_string(figures, unit);
	append(figures, ", \"note\": ");
	append_string(figures, line);
	append(figures, "}");
}

static void write_all(report *figures)
{
	char *scratch = must(malloc(strlen(figures->path) + 5));
	FILE *file;
	int written;

	sprintf(scratch, "%s.new", figures->path);
	file = fopen(scratch, "w");
	if (!file) {
		fail(figures, scratch, strerror(errno));
		free(scratch);
		return;
	}
	written = fprintf(file, "%s\n]\n", figures->text) > 0;
	if (fclose(file) != 0 || !written || rename(scratch, figures->path) != 0)
		fail(figures, figures->path, strerror(errno));
	free(scratch);
}

int report_close(report *figures)
{
	int failed;

	if (figures->path)
		write_all(figures);
	failed = figures->failed;
	free(figures->path);
	free(figures->text);
	free(figures);
	return failed;
}
