/* Moving blocks between ranks: the interface a transport implements, and the local one.
 *
 * A transport is a struct of function pointers, one object a rank. Everything is
 * asynchronous: post returns a token, wait completes it. Between one pair of ranks, messages
 * of one channel match in the order of posting, as NCCL's do; the receiver checks the header
 * of what arrived against what it expected. A token is waited for exactly once; after an abort
 * it may be left.
 *
 * Rules for the data of a message: from post_send to the end of its wait the sender does not
 * write it; from post_receive to the end of its wait the receiver neither reads nor writes it.
 *
 * A transport that passes calls on to another one sets every function itself; what it has none for,
 * of the optional ones, is NULL. */
#ifndef SPAN_TRANSPORT_H
#define SPAN_TRANSPORT_H

#include "topo/span_status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Channels, matched independently of each other. */
enum {
	SPAN_CHANNEL_GATHER = 0, /* keys and values on their way out */
	SPAN_CHANNEL_RETURN = 1, /* gradients on their way back */
	SPAN_CHANNEL_SUM = 2,    /* weight gradients (span_gradient.h) */
	SPAN_CHANNELS = 3
};

/* What travels with every message. */
typedef struct {
	uint32_t channel;
	uint32_t step;   /* the sender's step */
	uint32_t owner;  /* the rank that owns the block, or the tree node of a sum */
	uint32_t origin; /* the rank that posted the send */
	uint64_t epoch;  /* the call a message belongs to: the upper half is made of the options that
	                  * all ranks of an op share, the lower half counts its calls */
	uint64_t bytes;  /* of the data */
	uint64_t digest; /* of the data, by whoever made it; for whoever reads it, not for a
	                  * transport: how it is formed is between the two */
} span_message;

/* What post returns; the meaning of id is the transport's. */
typedef struct {
	uint64_t id;
} span_token;

typedef struct span_transport span_transport;

/* How many messages a rank may have posted and not waited for, or not released: a transport takes as
 * many, and an op whose order needs more is refused at create. All-gathers on all channels at once
 * hold 2 * SPAN_CHANNELS * (ranks - 1). */
#define SPAN_TRANSPORT_OUTSTANDING(ranks) (8 * (int64_t)(ranks) + 64)

struct span_transport {
	size_t size;          /* sizeof(span_transport) */
	const char *name;     /* for messages and statistics, such as "local" */
	int32_t rank;
	int32_t ranks;
	const int32_t *group; /* [ranks] the group (machine) of each rank, the same on all ranks */

	/* Offer message->bytes bytes of data to rank `to`. Must not block for the peer. The
	 * header is copied. data may be NULL when bytes is 0. */
	span_status (*post_send)(span_transport *self, int32_t to, const span_message *message,
	                         const void *data, span_token *token);

	/* Accept the next message of a channel from rank `from`, of at most capacity bytes. Must
	 * not block for the peer. */
	span_status (*post_receive)(span_transport *self, int32_t from, uint32_t channel,
	                            void *data, size_t capacity, span_token *token);

	/* Whether wait would return at once; never blocks, drives progress. The op does not call it:
	 * it posts, computes and waits. What should travel while a rank computes, a transport moves
	 * without it. */
	span_status (*test)(span_transport *self, span_token token, int *done);

	/* Complete a token within `seconds`. For a receive *message becomes the header that
	 * arrived; for a send message may be NULL. Returns SPAN_ETIMEOUT, SPAN_ECOMM after an
	 * abort, SPAN_EINTEGRITY when more bytes came than fit. After a failure the token is spent
	 * and the transport no longer touches its data. */
	span_status (*wait)(span_transport *self, span_token token, double seconds,
	                    span_message *message);

	/* Give up: every rank's posts and waits, now and later, return SPAN_ECOMM, and no data
	 * is touched after that return, nor this rank's after the return of abort. `why` and
	 * this rank are named in their messages, once a rank. */
	void (*abort)(span_transport *self, span_status why);

	/* Optional, both or neither NULL: data that is read once need not be moved first.
	 * wait_in_place completes a receive as wait does, but *data is where the bytes are, such as
	 * the sender's memory or the buffer of the post, aligned as memory of malloc is. They may be
	 * read there, not written, until release, which spends the token, or this rank's own abort;
	 * after it the buffer of the post is undefined. Until then the sender's wait does not
	 * return, whatever its deadline, nor after an abort any of its posts, waits or its abort. So
	 * a rank that holds data in place computes with it and releases it, and neither posts nor
	 * waits in between: two that hold what the other sent would wait for each other. After a
	 * failure there is nothing to release. */
	span_status (*wait_in_place)(span_transport *self, span_token token, double seconds,
	                             span_message *message, const void **data);
	void (*release)(span_transport *self, span_token token);
};

/* Check a transport a caller hands in: size, ranks, functions. Returns SPAN_EINVAL. */
SPAN_API span_status span_transport_check(const span_transport *transport);

/* A 64-bit digest of n bytes, CRC-64/GO-ISO: any change of up to 8 neighbouring bytes changes
 * it, others are missed once in 2^64. Not for adversaries. data may be NULL when n is 0. The
 * same on every machine of one byte order. */
SPAN_API uint64_t span_digest(const void *data, size_t n);

/* The local transport: ranks are threads of one process, and blocks really travel by copy.
 * A message is copied by whichever side first waits for it or tests it once both have posted, or
 * by a post whose partner sleeps; to a receiver that waits in place it is lent, if nobody has
 * copied it before. Waits sleep, they do not spin, so 64 ranks run on 2 cores. */
typedef struct span_local span_local;

/* ranks 1 to 512; group [ranks], or NULL for one group; copied. A rank may have
 * SPAN_TRANSPORT_OUTSTANDING messages posted and not waited for; one more is SPAN_EINVAL. Nothing
 * is allocated later. Returns SPAN_EINVAL or SPAN_ENOMEM. */
SPAN_API span_status span_local_create(int32_t ranks, const int32_t *group, span_local **local);
SPAN_API void span_local_free(span_local *local);

/* The transport of a rank; belongs to local. One thread at a time may use it. */
SPAN_API span_transport *span_local_transport(span_local *local, int32_t rank);

/* Bytes received so far by all ranks, inside a group and between groups; of NULL none. */
SPAN_API void span_local_bytes(const span_local *local, uint64_t *inside, uint64_t *between);

/* Run body(transport, argument) on one thread a rank, and wait for all. Several ranks are bound to
 * a core each when there are enough (span_host.h): give processes that share a machine cores of
 * their own (taskset, cpusets), or they take the same. A thread has a stack of 2 MiB. A body that
 * fails aborts the others, after which local can only be freed. Returns the first failure, in
 * time; SPAN_ENOMEM when a thread cannot start; SPAN_EINVAL when local or body is NULL and
 * SPAN_ECOMM when local was aborted before, in both cases without a call of body. */
typedef span_status span_local_body(span_transport *transport, void *argument);
SPAN_API span_status span_local_run(span_local *local, span_local_body *body, void *argument);

#ifdef __cplusplus
}
#endif
#endif
