/* The output of nccl-tests: the lines around its rows, and what the rows leave unsaid. */
#include "topo/nccl/nccl_log.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"
#include "topo/nccl/profile.h"

#define LINE_BYTES 4096
#define ESCAPE     0x1b
#define MAX_HOSTS  4096 /* distinct hosts are counted up to here */
#define HOST_BYTES 64

struct reader {
	const char *name;
	const span_nccl_log_options *options;
	span_nccl_log *log;
	size_t room;
	int line;

	int perf;        /* collective of the last X_perf; -2: none yet */
	int root;        /* is there a column of that name; -1: no heading yet */
	int iterations;  /* are there columns of them; -1: no heading yet */
	int cputime;     /* instead of time */
	int wrong;       /* is there a column of "#wrong", not of an "error" in the last digits */
	int grouped;     /* operations that share a launch and a time */
	struct log_prefix prefix; /* of the last row */
	struct log_cells cells;
	int ranks, gpus; /* by "# Rank" lines; by "nThread", "GPUS=" or "-g" */
	int nodes;       /* by "# span:" lines */
	int comm_ranks, comm_nodes; /* by NCCL's own word */
	int group, in_group; /* of the first "# Rank", and how many are of it */
	int split;           /* others are not: NCCL_TESTS_SPLIT made several communicators */
	int n_hosts;
	char (*hosts)[HOST_BYTES];
	int rows; /* since the run began */

	int torn; /* the last sample still misses its times */
	int torn_redop;
	double ratio; /* bus over algorithm bandwidth of the run's largest row */
	uint64_t ratio_bytes;
	int redop;
	size_t first; /* sample of the run */
};

/* --- context ------------------------------------------------------------------------------ */

/* The number after a word of a line; 0 if the word is not there. */
static int number_after(const char *line, const char *word)
{
	const char *c = strstr(line, word);
	long number;

	if (!c)
		return 0;
	number = strtol(c + strlen(word), NULL, 10);
	return number > 0 && number <= SPAN_PROFILE_MAX_RANKS ? (int)number : 0;
}

static void read_host(struct reader *reader, const char *host)
{
	char word[HOST_BYTES];
	size_t n;

	host += strspn(host, " \t");
	n = strcspn(host, " \t\r\n;\"'");
	n = n < sizeof(word) - 1 ? n : sizeof(word) - 1;
	memcpy(word, host, n);
	word[n] = '\0';
	for (int i = reader->n_hosts - 1; i >= 0; i--) {
		if (!strcmp(reader->hosts[i], word))
			return;
	}
	if (reader->n_hosts < MAX_HOSTS)
		memcpy(reader->hosts[reader->n_hosts++], word, sizeof(word));
}

/* Whether a rank belongs to the communicator that is measured: that of the first. */
static int is_of_group(struct reader *reader, const char *rank)
{
	const char *word = strstr(rank, "Group ");
	int group = word ? (int)strtol(word + strlen("Group "), NULL, 10) : 0;

	if (!reader->in_group)
		reader->group = group;
	reader->split |= group != reader->group;
	reader->in_group += group == reader->group;
	return group == reader->group;
}

/* "#   Rank  0 Group  0 Pid  123 on host device  0 [0x4f] NVIDIA A100" */
static void read_rank(struct reader *reader, char *line)
{
	char *rank = strstr(line, "Rank "), *host = strstr(line, " on "), *gpu;
	int number;

	if (!rank || !host || !strstr(host, " device ") || !is_of_group(reader, rank))
		return;
	number = (int)strtol(rank + strlen("Rank "), NULL, 10);
	if (number >= 0 && number < SPAN_PROFILE_MAX_RANKS && number + 1 > reader->ranks)
		reader->ranks = number + 1;
	read_host(reader, host + strlen(" on "));
	gpu = strchr(host, ']');
	if (gpu && !*reader->log->gpu) {
		gpu += 1 + strspn(gpu + 1, " ");
		gpu[strcspn(gpu, "\r\n")] = '\0';
		snprintf(reader->log->gpu, sizeof(reader->log->gpu), "%.63s", gpu);
	}
}

/* --- runs --------------------------------------------------------------------------------- */

/* Ranks from the ratio of bandwidths: (n - 1) / n of a gather, twice that of all-reduce. Two
 * decimals tell up to some 30 ranks apart; more are not guessed. */
static int ranks_of_ratio(int coll, double ratio)
{
	double part = coll == SPAN_COLL_ALL_REDUCE ? ratio / 2 : ratio;
	double n = 1 / (1 - part);

	if (coll != SPAN_COLL_ALL_REDUCE && coll != SPAN_COLL_ALL_GATHER &&
	    coll != SPAN_COLL_REDUCE_SCATTER)
		return 0;
	return part > 0.4 && n < 33 && fabs(n - round(n)) < 0.02 * n ? (int)round(n) : 0;
}

/* Whether the ratio of bandwidths tells that more ranks took part: two decimals of times and
 * bandwidths leave less than a hundredth open. */
static int other_ranks(int coll, double ratio, int ranks)
{
	double part = coll == SPAN_COLL_ALL_REDUCE ? ratio / 2 : ratio;

	if (coll != SPAN_COLL_ALL_REDUCE && coll != SPAN_COLL_ALL_GATHER &&
	    coll != SPAN_COLL_REDUCE_SCATTER)
		return 0;
	return part < 1 && part - (ranks - 1.0) / ranks > 0.01;
}

/* The collective, where only the ratio tells. With two ranks an all-reduce looks like a reduce. */
static int collective_of_ratio(double ratio, int redop)
{
	if (ratio > 1.01 && ratio < 2 && redop)
		return SPAN_COLL_ALL_REDUCE;
	if (ratio > 0.4 && ratio < 0.99)
		return redop ? SPAN_COLL_REDUCE_SCATTER : SPAN_COLL_ALL_GATHER;
	return -2;
}

static int collective_of(const struct reader *reader)
{
	const char *slash = strrchr(reader->name, '/');
	int coll = reader->options->coll >= 0 ? reader->options->coll : reader->perf;

	if (coll == -2)
		coll = log_collective_in(slash ? slash + 1 : reader->name);
	return coll == -2 ? collective_of_ratio(reader->ratio, reader->redop) : coll;
}

/* The samples of the run that ends get what holds for all of them. */
static void end_run(struct reader *reader)
{
	int coll, ranks = reader->options->ranks, nodes = reader->options->nodes;
	span_nccl_log *log = reader->log;

	if (reader->torn)
		log->n--;
	reader->torn = 0;
	if (reader->first == log->n)
		return;
	coll = collective_of(reader);
	if (reader->split)
		reader->ranks = reader->in_group;
	/* One GPU a process is one of many under mpirun; several are all there are, unless the
	 * bandwidths tell of more processes. */
	if (reader->gpus > 1 && other_ranks(coll, reader->ratio, reader->gpus))
		reader->gpus = 0;
	if (!ranks)
		ranks = reader->ranks ? reader->ranks : reader->comm_ranks;
	if (!ranks && reader->gpus > 1)
		ranks = reader->gpus;
	if (!nodes)
		nodes = reader->nodes;
	/* A tuner is told nodes as NCCL counts them: an NVLink domain of several hosts is one. */
	if (!nodes && reader->comm_ranks == ranks)
		nodes = reader->comm_nodes;
	if (!nodes)
		nodes = reader->n_hosts ? reader->n_hosts : reader->gpus > 1;
	if (!ranks)
		ranks = ranks_of_ratio(coll, reader->ratio);
	for (size_t i = reader->first; i < log->n; i++) {
		log->samples[i].coll = coll;
		log->samples[i].ranks = ranks;
		log->samples[i].nodes = nodes;
	}
	reader->first = log->n;
	reader->ratio = 0;
	reader->ratio_bytes = 0;
}

/* A run that does not tell its collective is of the one that every other run of the log tells:
 * the all-reduce of two ranks in a sweep over ranks. */
static span_status agree_on_collective(const struct reader *reader)
{
	span_nccl_log *log = reader->log;
	int coll = -2, differ = 0;

	for (size_t i = 0; i < log->n; i++) {
		if (log->samples[i].coll == -2)
			continue;
		differ |= coll != -2 && coll != log->samples[i].coll;
		coll = log->samples[i].coll;
	}
	for (size_t i = 0; i < log->n; i++) {
		if (log->samples[i].coll != -2)
			continue;
		if (coll == -2 || differ)
			return span_fail(SPAN_EPARSE,
			                 "%.256s:%d: which collective was measured is said "
			                 "nowhere; name it",
			                 reader->name, log->samples[i].line);
		log->samples[i].coll = coll;
	}
	return SPAN_OK;
}

/* A line that opens a run forgets what was said of the ranks of the one before. */
static void begin_run(struct reader *reader)
{
	end_run(reader);
	reader->ranks = reader->gpus = reader->n_hosts = reader->nodes = 0;
	reader->comm_ranks = reader->comm_nodes = 0;
	reader->in_group = reader->split = 0;
	log_cells_begin_run(&reader->cells, reader->rows > 0);
	reader->rows = 0;
}

/* --- rows --------------------------------------------------------------------------------- */

static span_status add_sample(struct reader *reader, const struct log_row *row)
{
	span_nccl_log *log = reader->log;
	span_nccl_sample *sample;
	size_t room = reader->room ? 2 * reader->room : 256;

	if (log->n == SPAN_LOG_MAX_SAMPLES)
		return span_fail(SPAN_EPARSE, "%.256s:%d: more than %d rows", reader->name,
		                 reader->line, SPAN_LOG_MAX_SAMPLES);
	if (log->n == reader->room) {
		sample = realloc(log->samples, room * sizeof(*sample));
		if (!sample)
			return span_fail(SPAN_ENOMEM, "span_nccl_log_read: no memory for %zu rows",
			                 room);
		log->samples = sample;
		reader->room = room;
	}
	sample = log->samples + log->n++;
	*sample = (span_nccl_sample){ .bytes = row->bytes, .line = reader->line };
	return SPAN_OK;
}

static void attribute(const struct reader *reader, span_nccl_sample *sample)
{
	log_cells_of(&reader->cells, sample->bytes, &sample->algo, &sample->proto);
	if (reader->options->algo >= 0)
		sample->algo = reader->options->algo;
	if (reader->options->proto >= 0)
		sample->proto = reader->options->proto;
}

/* Times for the last sample. */
static void set_times(struct reader *reader, const struct log_row *row)
{
	span_nccl_sample *sample = reader->log->samples + reader->log->n - 1;

	sample->us = row->us[0];
	sample->us_in_place = row->n_times > 1 ? row->us[1] : 0;
	attribute(reader, sample);
	reader->torn = 0;
	if (sample->bytes >= reader->ratio_bytes && row->algbw > 1) {
		reader->ratio_bytes = sample->bytes;
		reader->ratio = row->busbw / row->algbw;
	}
}

/* Times of a row whose head came before. A row with wrong results goes. */
static void take_rest(struct reader *reader, const struct log_row *row)
{
	span_nccl_log *log = reader->log;
	int open = log->n > reader->first && !log->samples[log->n - 1].us_in_place;

	if (reader->wrong && row->wrong > 0 && open) {
		log->n--;
		log->wrong++;
		reader->torn = 0;
	} else if (reader->torn) {
		set_times(reader, row);
	} else if (open) {
		log->samples[log->n - 1].us_in_place = row->us[0];
	}
}

/* Rows that are counted and passed over. */
static int is_no_measurement(struct reader *reader, const struct log_row *row)
{
	span_nccl_log *log = reader->log;
	int timeless = row->masked || reader->cputime, wrong = reader->wrong && row->wrong > 0;

	log->without_time += timeless;
	log->wrong += !timeless && wrong;
	log->grouped += !timeless && !wrong && reader->grouped;
	return timeless || wrong || reader->grouped;
}

static span_status take_row(struct reader *reader, const struct log_row *row)
{
	span_nccl_log *log = reader->log;
	span_status status;

	if (!row->has_head) {
		take_rest(reader, row);
		return SPAN_OK;
	}
	if (reader->torn)
		log->n--;
	reader->torn = 0;
	if (!row->bytes || is_no_measurement(reader, row))
		return SPAN_OK;
	status = add_sample(reader, row);
	if (status)
		return status;
	reader->rows++;
	reader->redop = row->has_redop;
	reader->torn = 1;
	if (row->n_times)
		set_times(reader, row);
	return SPAN_OK;
}

/* --- lines -------------------------------------------------------------------------------- */

static void read_perf(struct reader *reader, const char *line)
{
	const char *perf = strstr(line, "_perf");
	char before[64];
	size_t n;
	int coll;

	if (!perf)
		return;
	n = (size_t)(perf - line) < sizeof(before) - 1 ? (size_t)(perf - line) : sizeof(before) - 1;
	memcpy(before, perf - n, n);
	before[n] = '\0';
	coll = log_collective_in(before);
	if (coll != -2)
		reader->perf = coll;
}

static void read_counts(struct reader *reader, const char *line)
{
	int threads = number_after(line, "nThread "), gpus = number_after(line, "nGpus ");

	if (threads)
		reader->grouped = number_after(line, "agg iters: ") > 1;
	if (threads && gpus && threads <= SPAN_PROFILE_MAX_RANKS / gpus)
		reader->gpus = threads * gpus;
	if (number_after(line, "GPUS="))
		reader->gpus = number_after(line, "GPUS=");
	if (strstr(line, "_perf") && number_after(line, " -g ") > 1)
		reader->gpus = number_after(line, " -g ");
}

/* "NCCL INFO comm 0x55e0 rank 0 nRanks 72 nNodes 1 localRanks 72 localRank 0 MNNVL 1" */
static void read_comm(struct reader *reader, const char *line)
{
	const char *comm = strstr(line, "NCCL INFO comm ");

	if (!comm || !strstr(comm, " nRanks ") || !strstr(comm, " nNodes "))
		return;
	reader->comm_ranks = number_after(comm, " nRanks ");
	reader->comm_nodes = number_after(comm, " nNodes ");
}

/* "# span: ranks 8 nodes 1 all_reduce_perf ALGO=RING PROTO=LL", of the plugin's profiler. */
static void read_span(struct reader *reader, const char *line)
{
	if (!strstr(line, "# span: "))
		return;
	begin_run(reader);
	reader->ranks = number_after(line, "ranks ");
	reader->nodes = number_after(line, "nodes ");
}

static int is_heading(const char *line)
{
	return strstr(line, "size") && strstr(line, "count") && strstr(line, "type") &&
	       strstr(line, "time");
}

static span_status read_line(struct reader *reader, char *line)
{
	struct log_row row;
	char copy[LINE_BYTES];
	int found;

	if (strstr(line, "nThread ") || strstr(line, "# nccl-tests version") ||
	    strstr(line, "Collective test starting") || strstr(line, "GPUS="))
		begin_run(reader);
	if (strstr(line, "_perf") && reader->rows) {
		end_run(reader);
		log_cells_begin_run(&reader->cells, 1);
		reader->rows = 0;
	}
	read_span(reader, line);
	read_perf(reader, line);
	read_counts(reader, line);
	log_cells_read(&reader->cells, line);
	read_rank(reader, line);
	read_comm(reader, line);
	if (is_heading(line)) {
		reader->root = strstr(line, "root") != NULL;
		reader->iterations = strstr(line, "i_min") != NULL;
		reader->cputime = strstr(line, "cputime") != NULL;
		reader->wrong = strstr(line, "#wrong") != NULL;
		end_run(reader);
		return SPAN_OK;
	}
	memcpy(copy, line, strlen(line) + 1);
	found = log_row_read(copy, reader->root, reader->iterations, &reader->prefix, &row);
	return found ? take_row(reader, &row) : SPAN_OK;
}

/* Pass over what follows an escape: a letter, or "[", parameters and a letter. */
static void skip_escape(FILE *file)
{
	int c = getc(file);

	if (c == '[') {
		do
			c = getc(file);
		while (c >= ' ' && c < '@');
	}
	if (c == '\n')
		ungetc(c, file);
}

/* Lines cut at LINE_BYTES; what is longer is passed over. Bytes of value 0 become blanks. */
static int get_line(FILE *file, char *line)
{
	int n = 0, c;

	while ((c = getc(file)) != EOF && c != '\n') {
		if (c == ESCAPE)
			skip_escape(file);
		else if (n < LINE_BYTES - 1)
			line[n++] = c ? (char)c : ' ';
	}
	line[n] = '\0';
	return n > 0 || c != EOF;
}

span_status log_is_empty(const char *name, const span_nccl_log *log)
{
	if (log->wrong || log->grouped)
		return span_fail(SPAN_EPARSE,
		                 "%.256s: no row of nccl-tests that is a measurement: of %zu "
		                 "results were wrong, %zu are of aggregated iterations (-m), %zu "
		                 "without a time",
		                 name, log->wrong, log->grouped, log->without_time);
	if (log->without_time)
		return span_fail(SPAN_EPARSE, "%.256s: %zu rows of nccl-tests, but none with a time",
		                 name, log->without_time);
	return span_fail(SPAN_EPARSE,
	                 "%.256s: no row of nccl-tests (size, count, type, ..., time, algbw, busbw)",
	                 name);
}

static span_status read_all(struct reader *reader, FILE *file)
{
	char line[LINE_BYTES];
	span_status status = SPAN_OK;

	while (!status && get_line(file, line)) {
		reader->line++;
		status = read_line(reader, line);
	}
	if (ferror(file))
		return span_fail(SPAN_EIO, "%.256s: reading failed: %s", reader->name,
		                 strerror(errno));
	if (status)
		return status;
	end_run(reader);
	if (reader->log->n)
		return agree_on_collective(reader);
	return log_is_empty(reader->name, reader->log);
}

span_status span_nccl_log_read(FILE *file, const char *name, const span_nccl_log_options *options,
                               span_nccl_log *log)
{
	struct reader reader = { .name = name, .options = options, .log = log };
	span_status status;

	if (!file || !name || !options || !log)
		return span_fail(SPAN_EINVAL, "span_nccl_log_read: an argument is NULL");
	memset(log, 0, sizeof(*log));
	reader.perf = -2;
	reader.root = reader.iterations = -1;
	log_cells_begin(&reader.cells);
	reader.hosts = calloc(MAX_HOSTS, sizeof(*reader.hosts));
	if (!reader.hosts)
		return span_fail(SPAN_ENOMEM, "span_nccl_log_read: no memory");
	status = read_all(&reader, file);
	free(reader.hosts);
	if (status)
		span_nccl_log_free(log);
	return status;
}

void span_nccl_log_free(span_nccl_log *log)
{
	if (!log)
		return;
	free(log->samples);
	memset(log, 0, sizeof(*log));
}
