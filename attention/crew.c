/* Ranks of one process as threads. */
#include "attention/crew.h"

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "topo/log.h"
#include "topo/span_host.h"

/* Address space of a rank's stack. A body keeps tensors on the heap; glibc's default of 8 MiB
 * would cost 64 ranks 512 MiB of address space, which `ulimit -v` counts. */
enum { STACK_BYTES = 2 << 20 };

struct member {
	span_transport *transport;
	span_local_body *body;
	void *argument;
	const span_host *host; /* NULL: do not bind */
	int shares;            /* there are more ranks than processors */
	pthread_t thread;
	int started;
};

/* Ranks that share a processor run for long at a time, for each turn finds the caches full of what
 * others left. Linux has it from 6.12 on, for threads of the usual policy; elsewhere slices stay
 * what they are. Source: sched(7), sched_setattr(2), "sched_runtime". */
static void ask_for_long_slices(void)
{
	enum { SLICE_NANOSECONDS = 100 * 1000 * 1000 };
	struct {
		uint32_t size;
		uint32_t policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime;
		uint64_t deadline;
		uint64_t period;
	} attributes = { .size = 0 };

	if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) ||
	    attributes.policy != SCHED_OTHER)
		return;
	attributes.runtime = SLICE_NANOSECONDS;
	(void)syscall(SYS_sched_setattr, 0, &attributes, 0);
}

/* A thread that cannot be bound runs anyway; span_host_bind has said why. */
static void *work(void *of)
{
	struct member *member = of;
	span_transport *transport = member->transport;
	span_status status;

	if (member->host)
		(void)span_host_bind(member->host, transport->rank, transport->ranks);
	if (member->shares)
		ask_for_long_slices();
	status = member->body(transport, member->argument);
	if (status)
		transport->abort(transport, status);
	return NULL;
}

static void start(struct member *member, const pthread_attr_t *attributes)
{
	span_transport *transport = member->transport;
	int error = pthread_create(&member->thread, attributes, work, member);

	member->started = !error;
	if (!error)
		return;
	span_fail(SPAN_ENOMEM, "the thread of rank %d cannot start: %s", transport->rank,
	          strerror(error));
	transport->abort(transport, SPAN_ENOMEM);
}

static int exceeds_processors(int32_t ranks)
{
	return ranks > sysconf(_SC_NPROCESSORS_ONLN);
}

/* The machine to bind to. One rank is not bound, nor are more than there are processors: then it
 * need not be discovered. Where it cannot be, ranks run unbound. */
static span_host *find_host(int32_t ranks)
{
	span_host *host = NULL;

	if (ranks == 1 || exceeds_processors(ranks) || span_host_create(&host))
		return NULL;
	return host;
}

void span_crew_run(int32_t ranks, span_crew_transport *transport, void *of,
                   span_local_body *body, void *argument, int bind)
{
	struct member *members = calloc((size_t)ranks, sizeof *members);
	span_host *host = bind && members ? find_host(ranks) : NULL;
	pthread_attr_t attributes;
	int32_t rank;

	if (!members) {
		span_fail(SPAN_ENOMEM, "no memory for the threads of %d ranks", ranks);
		transport(of, 0)->abort(transport(of, 0), SPAN_ENOMEM);
		return;
	}
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	for (rank = 0; rank < ranks; rank++) {
		members[rank] = (struct member){ .transport = transport(of, rank), .body = body,
		                                 .argument = argument, .host = host,
		                                 .shares = exceeds_processors(ranks) };
		start(&members[rank], &attributes);
	}
	for (rank = 0; rank < ranks; rank++)
		if (members[rank].started)
			pthread_join(members[rank].thread, NULL);
	pthread_attr_destroy(&attributes);
	span_host_free(host);
	free(members);
}
