/* Communicators of all interfaces made, asked and ended by several threads at once, as in a job
 * with many groups, profiled into a folder that is not there: no data race, no leak, and every answer
 * is the rule's. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "plugin/nccl_profiler_abi.h"
#include "tests/plugin/cost_tables.h"
#include "tests/plugin/releases.h"

enum { THREADS = 6, ROUNDS = 40, CALLS = 50, RING_SIMPLE = SPAN_ALGO_RING * 3 + SPAN_PROTO_SIMPLE };

struct work {
	pthread_t thread;
	int version;
	int wrong;
};

static void one_communicator(struct work *work, int round)
{
	float costs[CELLS];
	struct call call = { .coll = SPAN_COLL_ALL_REDUCE, .pipe_ops = 1, .costs = costs };
	size_t nodes = 1 + (size_t)round % 2;
	struct outcome outcome;
	void *context, *profiler;
	int mask;

	rising_costs(costs, CELLS);
	call.algos = SPAN_ALGOS;
	work->wrong += release_init(work->version, 8 * nodes, nodes, NULL, &context) != 0;
	work->wrong += ncclProfiler_v5.init(&profiler, 1, &mask, NULL, 1, 8, 0, NULL) != 0 || !profiler;
	for (int i = 0; i < CALLS; i++) {
		call.bytes = (size_t)1 << i % 30;
		outcome = release_ask(work->version, context, &call);
		work->wrong += outcome.status != 0 || outcome.cell != RING_SIMPLE;
	}
	work->wrong += ncclProfiler_v5.finalize(profiler) != 0;
	work->wrong += release_end(work->version, context) != 0;
}

static void *run(void *argument)
{
	struct work *work = argument;

	for (int round = 0; round < ROUNDS; round++)
		one_communicator(work, round);
	return NULL;
}

int main(void)
{
	const char *path = write_file("rules.csv", "allreduce,0,-1,ring,simple,-1,-1,-1\n");
	struct work work[2 * THREADS];
	int wrong = 0;

	setenv("SPAN_RULES", path, 1);
	setenv("SPAN_TRACE", "/nowhere/at/all", 1);
	setenv("SPAN_TRACE_EVENTS", "4", 1);
	for (int i = 0; i < 2 * THREADS; i++) {
		work[i] = (struct work){ .version = 1 + i % THREADS };
		if (pthread_create(&work[i].thread, NULL, run, &work[i]))
			return 1;
	}
	for (int i = 0; i < 2 * THREADS; i++) {
		pthread_join(work[i].thread, NULL);
		wrong += work[i].wrong;
	}
	unlink(path);
	if (wrong)
		fprintf(stderr, "plugin_communicators: %d wrong answers\n", wrong);
	return wrong != 0;
}
