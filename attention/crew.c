/* Ranks of one process as threads. */
#include "attention/crew.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
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
	pthread_t thread;
	int started;
};

/* A thread that cannot be bound runs anyway; span_host_bind has said why. */
static void *work(void *of)
{
	struct member *member = of;
	span_transport *transport = member->transport;
	span_status status;

	if (member->host)
		(void)span_host_bind(member->host, transport->rank, transport->ranks);
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

/* The machine to bind to. With more ranks than processors nothing would be bound, so it need
 * not be discovered; where it cannot be, ranks run unbound. */
static span_host *find_host(int32_t ranks)
{
	span_host *host = NULL;

	if (ranks > sysconf(_SC_NPROCESSORS_ONLN) || span_host_create(&host))
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
		                                 .argument = argument, .host = host };
		start(&members[rank], &attributes);
	}
	for (rank = 0; rank < ranks; rank++)
		if (members[rank].started)
			pthread_join(members[rank].thread, NULL);
	pthread_attr_destroy(&attributes);
	span_host_free(host);
	free(members);
}
