/* What the plugin costs a job: getCollInfo, called as NCCL 2.28 and later call it, and init with
 * a profile of 1 MB.
 *
 * Calls are timed in batches of 100 by the wall clock, which is read without a system call: one
 * would cost as much as 20 calls and empty the caches that it measures. Init is timed by the CPU
 * time of the thread. Sizes of any magnitude, collectives and cost tables differ from call to
 * call. "steady" repeats one batch, as a training repeats its steps; "random" never repeats, so
 * that no branch can be foreseen. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "plugin/nccl_abi.h"
#include "tests/bench/report.h"
#include "topo/span_profile.h"

enum {
	RANKS = 8, BATCH = 100, BATCHES = 20000, CELLS = SPAN_ALGOS * SPAN_PROTOS, INITS = 41,
	PROFILE_BYTES = 1 << 20
};

static char profile_path[] = "/tmp/span-bench-XXXXXX";

static void die(const char *what)
{
	fprintf(stderr, "bench_plugin: %s failed\n", what);
	exit(1);
}

static double seconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static uint32_t random_number(void)
{
	static uint64_t state = 1;

	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(state >> 32);
}

/* --- a profile of 1 MB -------------------------------------------------------------------- */

/* What NCCL offers for a collective on one node with an NVSwitch. */
static int exists(int coll, int cell)
{
	int algo = cell / SPAN_PROTOS, proto = cell % SPAN_PROTOS;

	if (algo == SPAN_ALGO_RING)
		return 1;
	if (algo == SPAN_ALGO_NVLS)
		return proto == SPAN_PROTO_SIMPLE && coll >= SPAN_COLL_ALL_GATHER;
	return algo == SPAN_ALGO_TREE && coll == SPAN_COLL_ALL_REDUCE;
}

/* Latency and bandwidth of a cell: protocols cross, and so do rings, trees and NVLS. */
static double time_of(int cell, double bytes)
{
	int algo = cell / SPAN_PROTOS, proto = cell % SPAN_PROTOS;

	return 8 + 6 * proto + 3 * algo + bytes / (4e4 * (1 + 2 * proto) * (1 + 0.1 * algo));
}

static void add_curve(span_profile *profile, int coll, int cell, int32_t ranks, int32_t source)
{
	span_knot knots[24];
	span_curve curve = { .coll = coll, .algo = cell / SPAN_PROTOS, .proto = cell % SPAN_PROTOS };

	for (int i = 0; i < 24; i++) {
		knots[i].bytes = (double)(UINT64_C(256) << i);
		knots[i].us = time_of(cell, knots[i].bytes) * (1 + 1e-3 * (random_number() % 100));
		knots[i].us = floor(100 * knots[i].us) / 100; /* as nccl-tests prints it */
	}
	curve.ranks = ranks;
	curve.nodes = ranks / RANKS;
	curve.spread = 0.0123456789;
	curve.samples = 20;
	curve.source = source;
	curve.n_knots = 24;
	curve.knots = knots;
	if (span_profile_add_curve(profile, &curve))
		die("a curve");
}

/* Writes the profile, and returns its bytes. */
static long make_profile(void)
{
	int handle = mkstemp(profile_path);
	FILE *file = handle < 0 ? NULL : fdopen(handle, "w");
	span_profile *profile;
	int32_t source;
	long bytes;

	if (!file || span_profile_create("bench", &profile) ||
	    span_profile_add_source(profile, "made up", &source))
		die("a profile");
	/* The cells of 5 collectives take about 11 kB a count of ranks. */
	for (int32_t ranks = RANKS; ranks <= 100 * RANKS; ranks += RANKS)
		for (int coll = 0; coll < SPAN_COLLS; coll++)
			for (int cell = 0; cell < CELLS; cell++)
				if (exists(coll, cell))
					add_curve(profile, coll, cell, ranks, source);
	if (span_profile_save(profile, file))
		die("saving");
	bytes = ftell(file);
	fclose(file);
	span_profile_free(profile);
	return bytes;
}

/* --- figures ------------------------------------------------------------------------------ */

static int compare(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

static void *start(void)
{
	void *context;

	if (ncclTunerPlugin_v5.init(&context, 1, RANKS, 1, NULL, NULL, NULL) || !context)
		die("init");
	return context;
}

static void bench_init(report *figures, long bytes)
{
	double times[INITS], begin;
	void *context;

	for (int i = 0; i < INITS; i++) {
		begin = seconds(CLOCK_THREAD_CPUTIME_ID);
		context = start();
		times[i] = seconds(CLOCK_THREAD_CPUTIME_ID) - begin;
		ncclTunerPlugin_v5.finalize(context);
	}
	qsort(times, INITS, sizeof(times[0]), compare);
	report_add(figures, "plugin.init.profile_1mb", 1e3 * times[INITS / 2], "ms",
	           "median of %d, profile of %ld bytes", INITS, bytes);
}

struct question {
	int coll, pipe_ops;
	size_t bytes;
	float costs[CELLS];
};

/* A size of any magnitude, and the table of NCCL's own model, which is up to a fifth off. */
static void fill(struct question *question)
{
	question->coll = (int)(random_number() % SPAN_COLLS);
	question->bytes = (size_t)random_number() >> random_number() % 24;
	question->pipe_ops = 1;
	for (int i = 0; i < CELLS; i++) {
		double us = time_of(i, (double)question->bytes) * (0.8 + 0.4 * (i * 7 % 10) / 10);

		question->costs[i] = exists(question->coll, i) ? (float)us : -1;
	}
}

/* Nanoseconds a call, of each batch: the same questions in each, as the steps of a training ask
 * them, or always new ones. */
static void time_batches(void *context, int steady, double *times)
{
	static struct question questions[BATCH], asked[BATCH];
	double begin;
	int channels = 0;

	for (int batch = 0; batch < BATCHES; batch++) {
		for (int i = 0; i < BATCH && !(steady && batch); i++)
			fill(&asked[i]);
		memcpy(questions, asked, sizeof(questions));
		begin = seconds(CLOCK_MONOTONIC);
		for (int i = 0; i < BATCH; i++)
			ncclTunerPlugin_v5.get_coll_info(context, questions[i].coll,
			                                 questions[i].bytes, questions[i].pipe_ops,
			                                 (float **)questions[i].costs, SPAN_ALGOS,
			                                 SPAN_PROTOS, 0, &channels);
		times[batch] = 1e9 * (seconds(CLOCK_MONOTONIC) - begin) / BATCH;
	}
	qsort(times, BATCHES, sizeof(*times), compare);
}

static void bench_calls(report *figures, const char *what, int steady)
{
	double *times = malloc(BATCHES * sizeof(*times));
	void *context = start();
	char name[64];

	if (!times)
		die("malloc");
	time_batches(context, steady, times);
	snprintf(name, sizeof(name), "plugin.get_coll_info.%s.median", what);
	report_add(figures, name, times[BATCHES / 2], "ns", "%d batches of %d", BATCHES, BATCH);
	snprintf(name, sizeof(name), "plugin.get_coll_info.%s.p99", what);
	report_add(figures, name, times[BATCHES / 100 * 99], "ns", "of batches of %d", BATCH);
	ncclTunerPlugin_v5.finalize(context);
	free(times);
}

static void bench_rules(report *figures)
{
	char path[] = "/tmp/span-bench-XXXXXX";
	int handle = mkstemp(path);
	FILE *file = handle < 0 ? NULL : fdopen(handle, "w");

	if (!file)
		die("a file of rules");
	for (int i = 0; i < 100; i++)
		fprintf(file, "%s,%lld,%lld,%s,%s,-1,-1,-1\n", i % 2 ? "allreduce" : "allgather",
		        (1LL << i / 4) + i, (2LL << i / 4) + i, i % 3 ? "ring" : "tree",
		        i % 5 ? "ll" : "simple");
	fclose(file);
	setenv("SPAN_RULES", path, 1);
	unsetenv("SPAN_PROFILE");
	bench_calls(figures, "rules_100.steady", 1);
	bench_calls(figures, "rules_100.random", 0);
	unlink(path);
}

int main(int argc, char **argv)
{
	report *figures = report_open(argc > 1 ? argv[1] : NULL, "the plugin in a job");
	long bytes = make_profile();

	setenv("SPAN_PROFILE", profile_path, 1);
	if (bytes < PROFILE_BYTES)
		die("a profile of 1 MB");
	bench_init(figures, bytes);
	bench_calls(figures, "profile_1mb.steady", 1);
	bench_calls(figures, "profile_1mb.random", 0);
	unlink(profile_path);
	bench_rules(figures);
	return report_close(figures);
}
