/* A transport for tests that does everything a transport may do and a kind one does not.
 *
 * P ranks in one process, as span_local. A message completes late, after a random delay of its
 * own, so in another order than posted across pairs and channels, on a thread that belongs to
 * no rank. A receive buffer is poison from post_receive until wait returns; the data waits in
 * storage of the transport's own. A send buffer is read when the message completes, not when
 * it is posted. A receiver that waits in place is given that storage, which is poison once it is
 * released.
 *
 * Breaches of the rules for the data of a message (span_transport.h) are found at wait, which
 * then returns SPAN_EINTEGRITY and says so: a sender that wrote its data, a receiver that wrote
 * its buffer. A receiver that read it has read poison. Who wrote either while holding it in place is
 * found at release, which aborts everything.
 *
 * One fault can be injected into one message, or one rank made to die. */
#ifndef SPAN_TRANSPORT_ASYNC_H
#define SPAN_TRANSPORT_ASYNC_H

#include "attention/span_transport.h"

/* What a receive buffer is filled with: a signalling NaN as f32, large numbers otherwise. */
#define SPAN_ASYNC_POISON 0x7fa5a5a5u

typedef enum {
	SPAN_ASYNC_NO_FAULT = 0,
	SPAN_ASYNC_FLIP,      /* a bit of the data arrives inverted */
	SPAN_ASYNC_DROP,      /* the data never arrives; the sender is told that it did */
	SPAN_ASYNC_STALE,     /* the header arrives with the epoch before */
	SPAN_ASYNC_OWNER,     /* the header arrives with the next owner */
	SPAN_ASYNC_SHORT,     /* the first half of the data arrives, and its header says so */
	SPAN_ASYNC_DUPLICATE, /* what came before it from the same rank on the same channel comes
	                       * again in its place; the first message has nothing before it */
	SPAN_ASYNC_KILL       /* the rank dies: the post fails and all is aborted */
} span_async_fault;

typedef struct {
	int32_t ranks;
	const int32_t *group;   /* [ranks]; NULL: one group */
	uint64_t seed;          /* of the delays */
	double delay;           /* longest, in seconds; 0: 200 microseconds */
	int32_t copies_only;    /* 1: wait_in_place is not offered */
	span_async_fault fault;
	int32_t fault_rank;     /* the rank whose send is hit */
	int64_t fault_message;  /* which of its sends, in the order of posting, from 0 */
	uint64_t fault_bit;     /* FLIP: which bit, modulo those there are */
} span_async_options;

typedef struct span_async span_async;

span_status span_async_create(const span_async_options *options, span_async **async);
void span_async_free(span_async *async);
span_transport *span_async_transport(span_async *async, int32_t rank);

/* As span_local_run, without binding. */
span_status span_async_run(span_async *async, span_local_body *body, void *argument);

/* How many faults happened: a test of a fault makes sure that it is not 0. */
int span_async_faults(span_async *async);

/* Messages posted and not waited for. */
int64_t span_async_outstanding(span_async *async);

#endif
