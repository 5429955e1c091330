/* Options of the plugin: the table, the environment, the file. */
#include "plugin/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/file.h"
#include "topo/log.h"

/* No file of options comes near. */
#define MAX_LINES 1000

const struct span_option span_option_table[SPAN_OPTIONS] = {
	[SPAN_OPTION_CONFIG] = { "SPAN_CONFIG",
	                         "a file with the options below, one NAME = VALUE a line",
	                         "", "a path" },
	[SPAN_OPTION_ENABLE] = { "SPAN_ENABLE",
	                         "0 turns the plugin off: it loads and changes nothing",
	                         "1", "0 or 1" },
	[SPAN_OPTION_EXPLAIN] = { "SPAN_EXPLAIN",
	                          "1 logs, at init, what it will choose and why",
	                          "0", "0 or 1" },
	[SPAN_OPTION_MARGIN] = { "SPAN_MARGIN",
	                         "the least share of time a measurement or the model must promise",
	                         "0.03", "a number from 0 to 1" },
	[SPAN_OPTION_PROFILE] = { "SPAN_PROFILE",
	                          "what this machine was measured to do",
	                          "",
	                          "a path (with a / or .profile), or the name of a shipped profile" },
	[SPAN_OPTION_RULES] = { "SPAN_RULES",
	                        "explicit rules, which come before everything else",
	                        "", "a path" },
	[SPAN_OPTION_TRACE] = { "SPAN_TRACE",
	                        "a folder for what the profiler saw; without it nothing is recorded",
	                        "", "a path" },
	[SPAN_OPTION_TRACE_EVENTS] = { "SPAN_TRACE_EVENTS",
	                               "how many events of a communicator are kept, the latest",
	                               "16384", "a number from 1 to 16777216" },
	[SPAN_OPTION_UNIFORM] = { "SPAN_UNIFORM",
	                          "1: all nodes are alike, so the GPUs of this one may pick a profile",
	                          "0", "0 or 1" },
};

/* --- one value ------------------------------------------------------------------------------ */

static span_status refuse(int option, const char *where, const char *value)
{
	return span_fail(SPAN_EINVAL, "%.200s: %s is \"%.64s\"; expected %s", where,
	                 span_option_table[option].name, value,
	                 span_option_table[option].accepted);
}

static span_status set_switch(int option, const char *where, const char *value, bool *flag)
{
	if (strcmp(value, "0") && strcmp(value, "1"))
		return refuse(option, where, value);
	*flag = *value == '1';
	return SPAN_OK;
}

/* A decimal from 0 to 1, read digit by digit: strtod would obey the locale of the process. */
static span_status set_share(int option, const char *where, const char *value, double *share)
{
	double number = 0, unit = 1;
	const char *c = value;
	int digits = 0;

	for (; isdigit((unsigned char)*c); c++, digits++)
		number = 10 * number + (*c - '0');
	if (*c == '.')
		for (c++; isdigit((unsigned char)*c); c++, digits++)
			number += (*c - '0') * (unit /= 10);
	if (*c || !digits || digits > 12 || !(number <= 1))
		return refuse(option, where, value);
	*share = number;
	return SPAN_OK;
}

static span_status set_count(int option, const char *where, const char *value, uint32_t most,
                             uint32_t *count)
{
	uint32_t number = 0;
	const char *c = value;

	for (; isdigit((unsigned char)*c) && number <= most; c++)
		number = 10 * number + (uint32_t)(*c - '0');
	if (*c || c == value || !number || number > most)
		return refuse(option, where, value);
	*count = number;
	return SPAN_OK;
}

static span_status set_path(int option, const char *where, const char *value, char *path)
{
	if (strlen(value) >= SPAN_OPTION_BYTES)
		return refuse(option, where, value);
	strcpy(path, value);
	return SPAN_OK;
}

static span_status set(struct span_options *options, int option, const char *where,
                       const char *value)
{
	switch (option) {
	case SPAN_OPTION_ENABLE:
		return set_switch(option, where, value, &options->enable);
	case SPAN_OPTION_EXPLAIN:
		return set_switch(option, where, value, &options->explain);
	case SPAN_OPTION_UNIFORM:
		return set_switch(option, where, value, &options->uniform);
	case SPAN_OPTION_MARGIN:
		return set_share(option, where, value, &options->margin);
	case SPAN_OPTION_PROFILE:
		return set_path(option, where, value, options->profile);
	case SPAN_OPTION_RULES:
		return set_path(option, where, value, options->rules);
	case SPAN_OPTION_TRACE:
		return set_path(option, where, value, options->trace);
	case SPAN_OPTION_TRACE_EVENTS:
		return set_count(option, where, value, 16777216, &options->trace_events);
	}
	return SPAN_OK; /* SPAN_CONFIG has been followed already */
}

/* --- the file ------------------------------------------------------------------------------- */

static int find_option(const char *name, size_t bytes)
{
	for (int i = 0; i < SPAN_OPTIONS; i++)
		if (strlen(span_option_table[i].name) == bytes &&
		    !strncmp(span_option_table[i].name, name, bytes))
			return i;
	return -1;
}

static char *trim(char *text)
{
	char *end;

	text += strspn(text, " \t");
	for (end = text + strlen(text); end > text && strchr(" \t\r\n", end[-1]); end--)
		;
	*end = '\0';
	return text;
}

/* NAME = VALUE; a name that is none is refused, for a misspelt option would not be missed. */
static span_status read_line(struct span_options *options, const char *path, int line,
                             char *text)
{
	char where[256], *name = trim(text), *value = strchr(name, '=');
	int column = (int)(name - text) + 1, option;
	size_t bytes = strcspn(name, "= \t");

	if (!*name || *name == '#')
		return SPAN_OK;
	option = find_option(name, bytes);
	if (option < 0 || option == SPAN_OPTION_CONFIG)
		return span_fail(SPAN_EPARSE, "%.200s:%d:%d: \"%.*s\" is no option for a file", path,
		                 line, column, (int)(bytes > 64 ? 64 : bytes), name);
	if (!value || strspn(name + bytes, " \t") != (size_t)(value - name) - bytes)
		return span_fail(SPAN_EPARSE, "%.200s:%d:%d: expected %s = VALUE", path, line,
		                 column + (int)bytes, span_option_table[option].name);
	value = trim(value + 1);
	snprintf(where, sizeof(where), "%.200s:%d:%d", path, line, (int)(value - text) + 1);
	return set(options, option, where, value);
}

static span_status read_file(struct span_options *options, const char *path)
{
	char text[SPAN_OPTION_BYTES + 64];
	FILE *file;
	span_status status = span_file_open("SPAN_CONFIG: ", path, &file);
	int line = 0;

	if (status)
		return status;
	while (!status && fgets(text, sizeof(text), file)) {
		if (++line > MAX_LINES)
			status = span_fail(SPAN_EPARSE, "%.200s:%d:1: more than %d lines", path,
			                   line, MAX_LINES);
		else if (!strchr(text, '\n') && !feof(file))
			status = span_fail(SPAN_EPARSE, "%.200s:%d:%d: a line without an end, or a 0",
			                   path, line, (int)strlen(text) + 1);
		else
			status = read_line(options, path, line, text);
	}
	if (!status && ferror(file))
		status = span_fail(SPAN_EIO, "%.200s:%d: %s", path, line, strerror(errno));
	fclose(file);
	return status;
}

/* --- all of them ---------------------------------------------------------------------------- */

static const char *environment(const char *name)
{
	return getenv(name);
}

static bool is_set(span_option_source *get, const char *name)
{
	const char *value = get(name);

	return value && *value;
}

span_status span_options_read(span_option_source *get, struct span_options *options)
{
	span_status status = SPAN_OK;
	const char *value;

	memset(options, 0, sizeof(*options));
	if (!get)
		get = environment;
	for (int i = 0; i < SPAN_OPTIONS; i++)
		set(options, i, "the defaults", span_option_table[i].fallback);
	options->pinned = is_set(get, "NCCL_ALGO") || is_set(get, "NCCL_PROTO");
	if (is_set(get, span_option_table[SPAN_OPTION_CONFIG].name))
		status = read_file(options, get(span_option_table[SPAN_OPTION_CONFIG].name));
	for (int i = 0; i < SPAN_OPTIONS && !status; i++) {
		value = get(span_option_table[i].name);
		if (value && *value)
			status = set(options, i, "the environment", value);
	}
	return status;
}
