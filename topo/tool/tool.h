/* The program span-topo: what its commands share. Private.
 *
 * A command is a table entry (main.c has the list) and a function. Options that every command
 * understands are parsed once, in options.c; a command may add some of its own. The cause of a
 * failure reaches the user through the library's log hook, so a command only passes statuses
 * up; what the program itself finds wrong it tells through span_fail() too. */
#ifndef SPAN_TOOL_H
#define SPAN_TOOL_H

#include <stdbool.h>
#include <stdio.h>
#include "topo/span_topo.h"

/* What the program exits with. */
enum {
	EXIT_FINE = 0,
	EXIT_FINDINGS = 1, /* lint has findings, diff has differences */
	EXIT_BAD = 2       /* bad options, bad input, or output that could not be written */
};

enum { TOOL_WORDS = 3, TOOL_OPTIONS = 16, TOOL_COLUMNS = 100 };

/* One option of a command's own. */
struct tool_option {
	const char *name;     /* without the dashes */
	const char *argument; /* such as "SIZE"; NULL: the option is a flag */
	const char *meaning;  /* for --help: a line of at most 60 bytes */
};

struct tool;

struct tool_command {
	const char *name;
	const char *words;    /* for --help, such as "[SOURCE]" or "A B [SOURCE]" */
	const char *summary;  /* one line */
	const char *formats;  /* that --format takes, such as "text json svg"; the first is
	                       * the default. NULL: the command has no --format */
	int least_words, most_words;
	const struct tool_option *options; /* ends with a NULL name; NULL: none */
	const char *help;     /* what follows the options in --help: notes, examples */
	int (*run)(struct tool *tool);     /* returns an exit code from above */
};

/* One run of the program. */
struct tool {
	const struct tool_command *command;
	const char *format;          /* one of the command's formats */
	bool as_nccl, anonymise;
	const char *output;          /* -o FILE, or NULL: standard output */
	int n_words;
	char *words[TOOL_WORDS + 1]; /* those of the command line that are no options */
	const char *values[TOOL_OPTIONS]; /* of the command's own options; "" for a flag */
	FILE *out;                   /* see tool_out */
	char *input;                 /* standard input once it was read: it may be loaded twice */
	size_t input_bytes;
};

/* The argument of the command's own option, "" for a flag that was given, NULL when not. */
const char *tool_value(const struct tool *tool, const char *name);

bool tool_format_is(const struct tool *tool, const char *format);

/* The log hook: a message as one line on standard error. */
span_log_function tool_message;

/* Load word number `word` as a source, or this host when there is no such word, as --as-nccl
 * and --anonymise ask. */
span_status tool_load(struct tool *tool, int word, span_topo **topo);

/* The same source as NCCL would believe it, for commands that compare; NULL when `topo`, which
 * was loaded from it, is that already, or when it cannot be had (a description that was
 * corrected when it was written). That is no failure, so nothing is said. */
span_topo *tool_load_nccl(struct tool *tool, int word, const span_topo *topo);

/* Where results go; opened by the first call, so that a run that fails before it has anything
 * to say leaves -o FILE as it was. NULL when it cannot be opened, which has been told. */
FILE *tool_out(struct tool *tool);

/* Options and words of a command from its argv (argv[0] is its name). True: go on and run it;
 * false: *code is what to exit with. */
bool tool_options(struct tool *tool, int argc, char **argv, int *code);

void tool_help(const struct tool_command *command, FILE *out);

/* Write the words of `text` after `first`, broken at TOOL_COLUMNS, later lines indented. */
void tool_wrap(FILE *out, int indent, const char *first, const char *text);

extern const struct tool_command command_show, command_paths, command_order, command_lint,
	command_explain, command_diff, command_convert;

#endif
