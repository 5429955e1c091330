/* With which algorithm and protocol the rows of nccl-tests' table were measured. */
#include "topo/nccl/nccl_log.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "topo/nccl/profile.h"

#define UNSAID (-2) /* beside -1: said, but no single one */

static const struct log_forced nothing = { UNSAID, UNSAID };

/* Copy the word at c. */
static void copy_word(const char *c, char *word, size_t bytes)
{
	size_t n;

	c += strspn(c, " \t");
	n = strcspn(c, " \t\r\n;\"'");
	n = n < bytes - 1 ? n : bytes - 1;
	memcpy(word, c, n);
	word[n] = '\0';
}

int log_single(const char *text, int (*number)(const char *))
{
	char word[32];
	int found;

	copy_word(text, word, sizeof(word));
	word[strcspn(word, ".")] = '\0'; /* the end of a sentence */
	found = number(word);
	return found >= 0 ? found : -1;
}

/* --- what the environment forces ---------------------------------------------------------- */

static int value_after(const char *line, const char *word, int (*number)(const char *))
{
	const char *value = strstr(line, word);

	return value ? log_single(value + strlen(word), number) : UNSAID;
}

static struct log_forced values_after(const char *line, const char *algo, const char *proto)
{
	return (struct log_forced){ value_after(line, algo, span_algo_number),
		                    value_after(line, proto, span_proto_number) };
}

static int is_said(struct log_forced forced)
{
	return forced.algo != UNSAID || forced.proto != UNSAID;
}

/* A program with its options, as a shell shows what it runs. */
static int is_command(const char *line)
{
	const char *perf = strstr(line, "_perf");

	return perf && strstr(perf, " -");
}

/* "NCCL_ALGO set by environment to RING": each variable has a line of its own. */
static void read_nccl(struct log_cells *cells, const char *line)
{
	struct log_forced said = values_after(line, "ALGO set by environment to ",
	                                      "PROTO set by environment to ");

	if (said.algo != UNSAID)
		cells->nccl.algo = said.algo;
	if (said.proto != UNSAID)
		cells->nccl.proto = said.proto;
}

/* "ALGO=Ring", "export NCCL_PROTO=LL", "unset NCCL_ALGO". A line that sets one frees the other:
 * sweeps print both, or set but one. */
static void read_sweep(struct log_cells *cells, const char *line, struct log_forced said)
{
	const char *unset = strstr(line, "unset ");

	if (is_said(said)) {
		cells->sweep.algo = said.algo == UNSAID ? -1 : said.algo;
		cells->sweep.proto = said.proto == UNSAID ? -1 : said.proto;
		cells->command = cells->nccl = nothing;
	}
	if (unset && strstr(unset, "NCCL_ALGO"))
		cells->sweep.algo = -1;
	if (unset && strstr(unset, "NCCL_PROTO"))
		cells->sweep.proto = -1;
}

static void read_environment(struct log_cells *cells, const char *line)
{
	struct log_forced said = values_after(line, "ALGO=", "PROTO=");

	if (is_command(line) || (strstr(line, "_perf") && is_said(said)))
		cells->command = said;
	else
		read_sweep(cells, line, said);
	read_nccl(cells, line);
}

/* --- what NCCL tells ---------------------------------------------------------------------- */

/* Releases before 2.24 print numbers for names. */
static int told_number(const char *word, int (*number)(const char *), int n)
{
	if (isdigit((unsigned char)*word))
		return atoi(word) < n ? atoi(word) : -1;
	return log_single(word, number);
}

/* "AllReduce: 1024 Bytes -> Algo RING proto SIMPLE ..." */
static void read_told(struct log_cells *cells, const char *line)
{
	const char *arrow = strstr(line, " Bytes -> Algo "), *proto, *c;
	struct log_told told;

	if (!arrow)
		return;
	for (c = arrow; c > line && isdigit((unsigned char)c[-1]);)
		c--;
	proto = strstr(arrow, " proto ");
	if (c == arrow || !proto)
		return;
	told.bytes = strtoull(c, NULL, 10);
	told.algo = told_number(arrow + strlen(" Bytes -> Algo "), span_algo_number, SPAN_ALGOS);
	told.proto = told_number(proto + strlen(" proto "), span_proto_number, SPAN_PROTOS);
	for (int i = 0; i < cells->n_told; i++) {
		if (cells->told[i].bytes == told.bytes) {
			cells->told[i] = told;
			return;
		}
	}
	if (cells->n_told < LOG_MAX_TOLD)
		cells->told[cells->n_told++] = told;
}

/* --- for the reader ----------------------------------------------------------------------- */

void log_cells_begin(struct log_cells *cells)
{
	cells->sweep = cells->command = cells->nccl = nothing;
	cells->n_told = 0;
}

void log_cells_read(struct log_cells *cells, const char *line)
{
	read_environment(cells, line);
	read_told(cells, line);
}

void log_cells_begin_run(struct log_cells *cells, int had_rows)
{
	cells->nccl = nothing;
	if (had_rows)
		cells->command = nothing;
	cells->n_told = 0;
}

static int first_said(int nccl, int command, int sweep)
{
	int said = nccl != UNSAID ? nccl : command != UNSAID ? command : sweep;

	return said == UNSAID ? -1 : said;
}

void log_cells_of(const struct log_cells *cells, uint64_t bytes, int32_t *algo, int32_t *proto)
{
	*algo = first_said(cells->nccl.algo, cells->command.algo, cells->sweep.algo);
	*proto = first_said(cells->nccl.proto, cells->command.proto, cells->sweep.proto);
	for (int i = 0; i < cells->n_told; i++) {
		if (cells->told[i].bytes == bytes) {
			*algo = cells->told[i].algo;
			*proto = cells->told[i].proto;
		}
	}
}
