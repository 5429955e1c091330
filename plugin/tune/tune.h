/* The program span-tune: what its commands share. Private.
 *
 * A command is a table entry (main.c has the list) and a function in a file of its name. All
 * options are parsed once, in options.c; each command says which of them it takes. The cause of
 * a failure reaches the user through the library's log hook. */
#ifndef SPAN_TUNE_H
#define SPAN_TUNE_H

#include <stdbool.h>
#include <stdio.h>

#include "plugin/rules.h"
#include "plugin/table.h"
#include "topo/nccl/nccl_log.h"
#include "topo/nccl/nccl_model.h"
#include "topo/span_profile.h"

/* What the program exits with. */
enum {
	EXIT_FINE = 0,
	EXIT_FINDINGS = 1, /* check has findings, compare has differences, fit refused a log */
	EXIT_BAD = 2       /* bad options, bad input, or output that could not be written */
};

enum { TUNE_MAX_BYTES = 256 };

struct tune;

struct tune_command {
	const char *name;
	const char *words; /* for --help, such as "LOG..." */
	const char *summary;
	const char *options; /* the letters of options.c that it takes */
	int least_words, most_words;
	const char *help;
	int (*run)(struct tune *tune); /* returns an exit code from above */
};

/* One run of the program. */
struct tune {
	const struct tune_command *command;
	int n_words;
	char **words;
	span_nccl_log_options said; /* coll, algo, proto, ranks, nodes; -1 and 0 where not given */
	double bytes[TUNE_MAX_BYTES];
	int n_bytes;
	double from, to; /* sizes of table and plot; 0: those of the profile */
	double margin;
	const char *output, *name, *base, *rules, *profile, *topology;
	FILE *out;
};

extern const struct tune_command command_fit, command_predict, command_table, command_explain,
	command_check, command_compare, command_plot;

/* Options and words of a command. True: go on and run it; false: *code is what to exit with. */
bool tune_options(struct tune *tune, int argc, char **argv, int *code);
void tune_help(const struct tune_command *command, FILE *out);

/* Where results go, opened by the first call; NULL when it cannot be, which has been told. */
FILE *tune_out(struct tune *tune);

/* A size such as "64M" or "1048576" (2^10 and so on); -1 for what is none. */
double tune_size(const char *text);

/* A whole number of ranks or nodes, from 1 on; false for what is none. */
bool tune_whole(const char *text, int32_t *number);

/* A size in words, such as "64M"; `room` holds 32 bytes. */
const char *tune_size_text(double bytes, char *room);

/* "Ring/LL"; `room` holds 32 bytes. */
const char *tune_cell_text(int algo, int proto, char *room);

/* A file's, or, by its name, a shipped one. */
span_status tune_load_profile(const char *path, span_profile **profile);

/* The rules of --rules; none without. */
span_status tune_load_rules(const struct tune *tune, struct span_rules *rules);

/* The profile that a command works on: that of `path`, with the graphs of --topology where it has
 * none; with no path those of the machine alone. */
span_status tune_open_profile(const struct tune *tune, const char *path, span_profile **profile);

/* What a source tells of a machine and the profile does not: the numbers of NCCL's model. */
span_status tune_add_machine(const char *source, span_profile *profile);

/* Options a command cannot do without; false when one is missing, which has been told. */
bool tune_need(const struct tune *tune, const char *letters);

/* --- decisions (decision.c) ---------------------------------------------------------------- */

enum tune_origin { TUNE_NOTHING, TUNE_MEASURED, TUNE_MODELLED };

/* Of algorithms and protocols the last stands for one that no log told. */
enum { TUNE_ALGOS = SPAN_ALGOS + 1, TUNE_PROTOS = SPAN_PROTOS + 1 };

/* All that is known of one collective at given ranks and nodes. */
struct tune_decision {
	const span_profile *profile;
	int coll, ranks, nodes;
	span_table *table; /* what the plugin compiles from the same files */
	bool has_model;
	span_nccl_model model;
	const span_curve *curves[TUNE_ALGOS][TUNE_PROTOS];
};

struct tune_row {
	double bytes;
	double us[TUNE_ALGOS][TUNE_PROTOS];
	enum tune_origin origin[TUNE_ALGOS][TUNE_PROTOS];
	int default_algo, default_proto;   /* what NCCL takes by itself; -1: not known */
	int algo, proto;                   /* what is taken; -1: what NCCL takes, unnamed */
	const struct span_choice *because; /* NULL: NCCL's own choice */
};

/* Prepare; the profile and rules must outlive it. Fails, with a message, where the profile knows
 * nothing of these ranks and nodes and there are no rules either. */
span_status tune_decision_create(const struct tune *tune, const span_profile *profile,
                                 const struct span_rules *rules, struct tune_decision *decision);
void tune_decision_free(struct tune_decision *decision);

struct tune_row tune_decide(const struct tune_decision *decision, double bytes);

/* The time of a cell in a row, -1 for what was not told; 0 where nothing tells. */
double tune_row_us(const struct tune_row *row, int algo, int proto);

/* The number of place `i`, below TUNE_ALGOS or TUNE_PROTOS: -1 for the last. */
static inline int tune_algo(int i)
{
	return i < SPAN_ALGOS ? i : -1;
}

static inline int tune_proto(int i)
{
	return i < SPAN_PROTOS ? i : -1;
}

/* Sizes to show: from option or profile, in powers of two; at most TUNE_MAX_BYTES of them. */
int tune_sizes(const struct tune *tune, const struct tune_decision *decision, double *bytes);

/* --- what fit reads ------------------------------------------------------------------------ */

/* Read a log, "-" for standard input, of whatever kind (read.c): measurements of nccl-tests, as
 * text or JSON, into *log, and nvbandwidth's JSON into the profile, which leaves *log empty. */
span_status tune_read_log(const char *path, const span_nccl_log_options *said, span_nccl_log *log,
                          span_profile *profile);

/* Machine numbers out of nvbandwidth's JSON, for a profile (nvbandwidth.c). */
span_status tune_read_nvbandwidth(const char *text, size_t bytes, const char *path,
                                  span_profile *profile);

#endif
