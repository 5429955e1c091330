/* Measurements out of the output of nccl-tests. Private.
 *
 * The output is read as people keep it: any version's columns (with and without redop and root,
 * out of place alone or both, "#wrong" or "error", N/A, with those of iterations), behind the
 * prefixes of mpirun ("[1,0]<stdout>:"), srun ("0: ") and logging systems (time stamps), cut into
 * pieces by lines of "NCCL INFO", several runs in one file, and rows kept without their heading;
 * also as the plugin's profiler writes samples, with "# span:" lines between the rows. What a
 * row does not say is taken, in this order, from
 *   - the caller's options;
 *   - the lines before it: "X_perf", "# Rank ..." with its hosts, "nThread", "ALGO=", "PROTO=",
 *     and NCCL's own "N Bytes -> Algo A proto P" and "nRanks N nNodes N", which goes before the
 *     number of hosts: hosts of one NVLink domain are one node to NCCL and its tuners;
 *   - the name of the file (the collective);
 *   - the ratio of bus to algorithm bandwidth (the collective and the ranks).
 * Colours of terminals are taken out. No line is trusted: lines are cut at 4,096 bytes and rows
 * are bounded. Newer versions write the same as JSON too (-J FILE). With -C the times are what
 * launching took on the processor: such rows count as rows without a time. */
#ifndef SPAN_NCCL_LOG_H
#define SPAN_NCCL_LOG_H

#include "topo/span_profile.h"

#define SPAN_LOG_MAX_SAMPLES 1000000

typedef struct {
	int32_t coll;  /* span_coll; -1: a collective that NCCL does not tune, as alltoall */
	int32_t algo;  /* SPAN_ALGO_ANY: nobody said */
	int32_t proto; /* SPAN_PROTO_ANY */
	int32_t ranks; /* 0: nobody said */
	int32_t nodes; /* 0: nobody said */
	int32_t line;  /* of the text; of JSON the result, from 1 */
	uint64_t bytes; /* of the larger buffer, as the size column has it */
	double us;          /* out of place */
	double us_in_place; /* 0: not measured */
} span_nccl_sample;

/* What the log may leave unsaid; -1 (coll, algo, proto) and 0 (ranks, nodes) leave it to the log. */
typedef struct {
	int32_t coll, algo, proto, ranks, nodes;
} span_nccl_log_options;

typedef struct {
	span_nccl_sample *samples; /* in the order of the file */
	size_t n;
	size_t without_time; /* rows that had sizes, but no times ("XXXXX") */
	size_t wrong;        /* rows passed over because results were wrong ("#wrong") */
	size_t grouped;      /* rows passed over because a time was shared by several operations (-m) */
	char gpu[64];        /* of the first rank; "" if nobody said */
} span_nccl_log;

/* Read a log. `name` is for messages and, as said above, for the collective. On success there
 * is at least one sample, and each has a time; which collective is known for each.
 * Returns SPAN_EPARSE with one line that says what is missing; SPAN_EINVAL, SPAN_EIO,
 * SPAN_ENOMEM. */
span_status span_nccl_log_read(FILE *file, const char *name, const span_nccl_log_options *options,
                               span_nccl_log *log);

/* The same from the JSON of nccl-tests (topo/json/json_nccl_tests.c). What it says goes before
 * the name of the file; there is always one run.
 * Returns SPAN_EUNSUPPORTED, without a message, for JSON that has no results of nccl-tests. */
span_status span_nccl_log_read_json(const char *text, size_t bytes, const char *name,
                                    const span_nccl_log_options *options, span_nccl_log *log);

void span_nccl_log_free(span_nccl_log *log);

/* SPAN_EPARSE, with one line that tells why no sample came out of a log. */
span_status log_is_empty(const char *name, const span_nccl_log *log);

/* --- the pieces, for tests and for each other --------------------------------------------- */

/* A row of the table, as far as a line has it. */
struct log_row {
	uint64_t bytes;
	int has_redop; /* a reduction is named, other than "none" */
	int has_head;  /* size, count and type are there */
	int n_times;   /* 0: torn before the times, 1: out of place, 2: both */
	double us[2];
	double algbw, busbw; /* out of place */
	double wrong;        /* behind the bandwidths: results that were wrong; 0 if not checked */
	int masked;          /* words where times should be */
};

/* What stands before a row, of launchers and loggers: how many words, and their shape, in which
 * "#" is a number ("#:", "[#-#-#T#:#:#]"), since time stamps differ from line to line. */
struct log_prefix {
	int words;
	char shape[160];
};

/* Read a line as a row; 0 if it is none. `root` tells whether there is a column of that name, and
 * `iterations` whether there are columns of iterations (-I): 1, 0, or -1 if no heading was seen.
 * A line of numbers alone continues a torn row: has_head is 0. A row with a head sets *prefix, and
 * what continues it has the same one, or none. */
int log_row_read(char *line, int root, int iterations, struct log_prefix *prefix,
                 struct log_row *row);

/* The single name that a value of NCCL_ALGO or NCCL_PROTO gives; -1 where it is a real list. */
int log_single(const char *text, int (*number)(const char *));

/* What is forced, by whom it is said and for how long it holds: a line between the runs of a sweep
 * ("ALGO=Ring", "export NCCL_PROTO=LL") until the next, a command until it ended, what NCCL logs
 * that the environment sets for the run. A variable that a later run does not have is so not
 * taken for set. */
struct log_forced {
	int algo, proto;
};

#define LOG_MAX_TOLD 256 /* sizes whose algorithm NCCL told in one run */

struct log_told {
	uint64_t bytes;
	int algo, proto;
};

struct log_cells {
	struct log_forced sweep, command, nccl;
	int n_told;
	struct log_told told[LOG_MAX_TOLD];
};

/* Nothing is said yet. */
void log_cells_begin(struct log_cells *cells);

void log_cells_read(struct log_cells *cells, const char *line);

/* Another run begins; `had_rows` tells whether the one before it had any. */
void log_cells_begin_run(struct log_cells *cells, int had_rows);

/* Algorithm and protocol of a row; -1 where nobody said. */
void log_cells_of(const struct log_cells *cells, uint64_t bytes, int32_t *algo, int32_t *proto);

/* The collective that a text names, such as "all_reduce_perf" or "run2_allreduce.txt": its
 * number, -1 for one that NCCL does not tune, -2 for none. The last name counts. */
int log_collective_in(const char *text);

#endif
