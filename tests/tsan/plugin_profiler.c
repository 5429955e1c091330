/* The profiler from several threads at once: collectives begin on one, their channels end on
 * others, communicators come and go. Counts must add up. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <string.h>

#include "tests/plugin/profiler_run.h"
#include "plugin/profiler.h"

enum { THREADS = 4, EVENTS = 2000 };

static void *drive(void *context)
{
	for (size_t i = 1; i <= EVENTS; i++)
		profiler_run_all_reduce(context, i, 2, 1000 * i, 1000 * i + 500);
	return NULL;
}

static int run_communicator(const char *folder)
{
	pthread_t threads[THREADS];
	int mask, wrong;
	span_profiler *profiler = profiler_run_open(folder, "256", &mask);

	if (!profiler)
		return 1;
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, drive, profiler);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	wrong = profiler->next != THREADS * EVENTS ||
	        profiler->overwritten + profiler->dropped + profiler->capacity !=
	                THREADS * EVENTS;
	ncclProfiler_v5.finalize(profiler);
	return wrong;
}

int main(void)
{
	char folder[] = "/tmp/span-profiler-XXXXXX", command[64];
	int wrong = !mkdtemp(folder);

	for (int i = 0; i < 3 && !wrong; i++)
		wrong = run_communicator(folder);
	snprintf(command, sizeof(command), "rm -r '%s'", folder);
	return system(command) || wrong;
}
