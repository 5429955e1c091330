/* For ThreadSanitizer: after a wait or a post has failed, and after abort, no data of that rank
 * is touched any more; nor is what a rank holds in place before it releases it. Ranks exchange
 * large blocks until one gives up at a moment that varies; each then writes its buffers and frees
 * them, which would race with a copy still under way. Without the sanitizer a copy that comes late
 * is seen as a changed byte. Exits 0 when none was. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attention/span_transport.h"
#include "tests/double/transport_async.h"

enum { RANKS = 4, BYTES = 100000, REPEATS = 20, MARK = 0xee };

static void nap(long microseconds)
{
	const struct timespec time = { .tv_nsec = 1000 * microseconds };

	nanosleep(&time, NULL);
}

/* Hold a block in place and read it, while others may stop: what it has must stay as it is. */
static span_status read_in_place(span_transport *self, span_token token)
{
	const void *data = NULL;
	span_status status = self->wait_in_place(self, token, 60, NULL, &data);
	const unsigned char *bytes = data;
	size_t i;

	if (status)
		return status;
	nap(20);
	for (i = 0; i < BYTES && !status; i++)
		if (bytes[i])
			status = SPAN_EINTEGRITY;
	self->release(self, token);
	return status;
}

/* Post a block to and from everyone and wait, until something fails. */
static span_status exchange(span_transport *self, unsigned char *out, unsigned char *in)
{
	span_message message = { .channel = 0, .bytes = BYTES };
	span_token sends[RANKS], receives[RANKS];
	span_status status = SPAN_OK;
	int peer;

	for (peer = 0; peer < RANKS && !status; peer++) {
		status = self->post_send(self, peer, &message, out, &sends[peer]);
		if (!status)
			status = self->post_receive(self, peer, 0, in + peer * BYTES, BYTES,
			                            &receives[peer]);
	}
	for (peer = 0; peer < RANKS && !status; peer++) {
		status = peer % 2 ? read_in_place(self, receives[peer])
		                  : self->wait(self, receives[peer], 60, NULL);
		if (!status)
			status = self->wait(self, sends[peer], 60, NULL);
	}
	return status;
}

/* The buffers belong to this rank again: write them, and see that nobody else does. */
static span_status own_again(unsigned char *data, size_t n)
{
	size_t i;

	memset(data, MARK, n);
	nap(200);
	for (i = 0; i < n; i++)
		if (data[i] != MARK)
			return SPAN_EINTEGRITY;
	return SPAN_OK;
}

struct plan {
	int quitter;
	int quits_after; /* rounds */
	long quits_at;   /* microseconds into the next round */
	int touched;
};

static span_status body(span_transport *self, void *argument)
{
	struct plan *plan = argument;
	unsigned char *data = calloc(RANKS + 1, BYTES);
	span_status status = SPAN_OK;
	int round;

	for (round = 0; !status; round++) {
		if (self->rank == plan->quitter && round == plan->quits_after) {
			nap(plan->quits_at);
			self->abort(self, SPAN_EIO);
			status = SPAN_EIO;
		} else {
			status = exchange(self, data, data + BYTES);
		}
	}
	if (status == SPAN_EINTEGRITY || own_again(data, (RANKS + 1) * BYTES))
		__atomic_store_n(&plan->touched, 1, __ATOMIC_RELAXED);
	free(data);
	return status;
}

/* Whether a run failed as planned and nobody's data was touched afterwards. */
static int is_good(struct plan *plan, int asynchronous)
{
	const span_async_options options = { .ranks = RANKS, .seed = (uint64_t)plan->quits_at };
	span_local *local;
	span_async *async;
	span_status status;

	if (asynchronous) {
		span_async_create(&options, &async);
		status = span_async_run(async, body, plan);
		span_async_free(async);
	} else {
		if (span_local_create(RANKS, NULL, &local))
			return 0;
		status = span_local_run(local, body, plan);
		span_local_free(local);
	}
	return status == SPAN_EIO && !plan->touched;
}

int main(void)
{
	int i, failures = 0;

	for (i = 0; i < REPEATS; i++) {
		struct plan plan = { .quitter = i % RANKS, .quits_after = i % 3,
		                     .quits_at = 40 * (i % 7) };

		failures += !is_good(&plan, 0);
		failures += !is_good(&plan, 1);
	}
	if (failures)
		printf("%d runs left data to be touched\n", failures);
	return failures != 0;
}
