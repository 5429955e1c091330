/* The options of the plugin, in one table: name, meaning, default, what is accepted.
 *
 * They come from the environment, or from the file that SPAN_CONFIG names (lines NAME = VALUE,
 * "#" begins a comment); the environment wins. options.c is the only file of the plugin that
 * reads the environment. README.md shows this table; a test compares. */
#ifndef SPAN_PLUGIN_OPTIONS_H
#define SPAN_PLUGIN_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "topo/span_status.h"

enum span_option_index {
	SPAN_OPTION_CONFIG, SPAN_OPTION_ENABLE, SPAN_OPTION_EXPLAIN, SPAN_OPTION_MARGIN,
	SPAN_OPTION_PROFILE, SPAN_OPTION_RULES, SPAN_OPTION_TRACE, SPAN_OPTION_TRACE_EVENTS,
	SPAN_OPTION_UNIFORM,
	SPAN_OPTIONS
};

struct span_option {
	const char *name;
	const char *meaning;
	const char *fallback; /* the default, as it would be written */
	const char *accepted;
};

extern const struct span_option span_option_table[SPAN_OPTIONS];

#define SPAN_OPTION_BYTES 4096 /* of a value, with its end */

struct span_options {
	bool enable;
	bool explain;
	bool uniform;
	bool pinned; /* NCCL_ALGO or NCCL_PROTO is set */
	double margin;
	char profile[SPAN_OPTION_BYTES]; /* "" for none */
	char rules[SPAN_OPTION_BYTES];
	char trace[SPAN_OPTION_BYTES];
	uint32_t trace_events;
};

/* The value of a variable, NULL if it is not set. */
typedef const char *span_option_source(const char *name);

/* Read all options. get: NULL for the environment of the process; tests pass their own.
 * Returns SPAN_EINVAL, SPAN_EPARSE or SPAN_EIO; the message says which variable, or file, line
 * and column. */
span_status span_options_read(span_option_source *get, struct span_options *options);

#endif
