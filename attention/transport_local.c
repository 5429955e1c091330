/* Ranks as threads of one process; messages travel by memcpy.
 *
 * A post that finds its partner in the queue of its (from, to, channel) takes the partner out and
 * joins the two; one that finds none joins the queue. Either returns at once. The data is copied,
 * outside of any lock, by whichever rank first waits for it or tests it: as a rule the receiver,
 * which reads it next and then has it in cache. A post copies only where its partner sleeps.
 * A receiver that waits in place is lent the sender's data instead, if nobody copied it before.
 *
 * Locks. The state of a transfer is guarded by the lock of the rank that receives the message,
 * whoever posted it. A rank sleeps on its own condition under the lock of the transfer it waits
 * for; one thread at a time uses a rank, so a condition never meets two locks at once. No
 * thread holds two locks. Everything else in a port belongs to the thread that uses it.
 *
 * Nothing is allocated after span_local_create. Pools and queues come from two large callocs,
 * whose pages the kernel supplies when they are first touched; a pool hands out the slots used
 * before first, so 64 ranks that exchange rings touch a fraction of what 64 all-gathers do. */
#include "attention/span_transport.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attention/copy.h"
#include "attention/crew.h"
#include "topo/log.h"

/* Threads of one process beyond this are a mistake. */
enum { MAX_RANKS = 512 };

/* A token is rank, slot and generation of a transfer. */
enum { SLOT_BITS = 20, RANK_BITS = 12 };

enum state {
	QUEUED,    /* waits for its partner */
	MATCHED,   /* has its partner; who first waits for one of them copies, or borrows */
	COPYING,
	LENT,      /* the receiver reads it where the sender has it */
	DONE,
	WITHDRAWN  /* given up before a partner came */
};

/* What the rank of a transfer wants of it. It may sleep until it has that. */
enum awaited {
	NOT_AWAITED,
	AWAITED,
	AWAITED_IN_PLACE /* no copy; stays so while the rank holds what it received */
};

/* A posted send or receive. */
struct transfer {
	struct transfer *next; /* in its queue, or among the spare ones */
	uint32_t generation;   /* odd while in use; so each use has tokens of its own */
	enum state state;
	struct transfer *partner; /* once matched */
	enum awaited awaited;  /* written by its rank alone */
	int is_send;
	int32_t from;
	int32_t to;
	uint32_t channel;
	const void *source;    /* of a send */
	void *target;          /* of a receive */
	size_t capacity;       /* of a receive */
	span_message message;  /* of a send; of a receive once it is done or lent */
};

/* Transfers without a partner: all sends or all receives. */
struct queue {
	struct transfer *first;
	struct transfer *last;
};

/* One rank. */
struct port {
	span_transport transport; /* first, so that a transport is its port */
	span_local *local;
	pthread_mutex_t lock;     /* guards the messages to this rank */
	pthread_cond_t progress;  /* a transfer of this rank is done, or matched where it waits in
	                           * place, or all is aborted */
	struct queue *queues;     /* [ranks][SPAN_CHANNELS] by sender */
	uint64_t inside;          /* bytes received */
	uint64_t between;
	struct transfer *pool;
	uint32_t pool_used;       /* slots from here on were never used */
	struct transfer *spare;
	int told;                 /* the abort was reported to this rank */
	int quiet;                /* no transfer of this rank will be touched any more */
};

struct span_local {
	int32_t ranks;
	uint32_t outstanding;     /* slots of a pool */
	int32_t *group;
	struct port *ports;
	struct queue *queues;
	struct transfer *transfers;
	pthread_mutex_t abort_lock; /* guards the two below until aborted is set */
	int32_t aborter;
	span_status why;
	atomic_int aborted;
};

static int is_aborted(span_local *local)
{
	return atomic_load_explicit(&local->aborted, memory_order_acquire);
}

/* Queues; the caller holds the lock of the receiver. */

static struct queue *queue_of(const struct transfer *transfer, span_local *local)
{
	size_t place = (size_t)transfer->from * SPAN_CHANNELS + transfer->channel;

	return &local->ports[transfer->to].queues[place];
}

static void queue_append(struct queue *queue, struct transfer *transfer)
{
	transfer->next = NULL;
	if (queue->first)
		queue->last->next = transfer;
	else
		queue->first = transfer;
	queue->last = transfer;
}

/* The oldest transfer of the other direction, taken out; NULL when there is none. */
static struct transfer *queue_match(struct queue *queue, const struct transfer *transfer)
{
	struct transfer *first = queue->first;

	if (!first || first->is_send == transfer->is_send)
		return NULL;
	queue->first = first->next;
	return first;
}

static void queue_remove(struct queue *queue, struct transfer *transfer)
{
	struct transfer *before = NULL;
	struct transfer **link = &queue->first;

	while (*link != transfer) {
		before = *link;
		link = &before->next;
	}
	*link = transfer->next;
	if (queue->last == transfer)
		queue->last = before;
}

/* Pools; used by the thread of their rank only. */

static int in_use(const struct transfer *transfer)
{
	return transfer->generation & 1;
}

static struct transfer *pool_take(struct port *port)
{
	struct transfer *transfer = port->spare;

	if (transfer)
		port->spare = transfer->next;
	else if (port->pool_used < port->local->outstanding)
		transfer = &port->pool[port->pool_used++];
	else
		return NULL;
	transfer->generation++;
	return transfer;
}

static void pool_give(struct port *port, struct transfer *transfer)
{
	transfer->generation++;
	transfer->next = port->spare;
	port->spare = transfer;
}

static span_token token_of(const struct port *port, const struct transfer *transfer)
{
	uint64_t slot = (uint64_t)(transfer - port->pool);
	uint64_t rank = (uint64_t)port->transport.rank;

	return (span_token){ ((uint64_t)transfer->generation << (SLOT_BITS + RANK_BITS)) |
	                     rank << SLOT_BITS | slot };
}

/* The transfer of a token, which this rank holds until it has waited for it or released it. */
static span_status find_transfer(const struct port *port, span_token token,
                                 struct transfer **found)
{
	uint64_t slot = token.id & ((1u << SLOT_BITS) - 1);
	struct transfer *transfer;

	if (!port)
		return span_fail(SPAN_EINVAL, "local transport: self is NULL");
	if (slot < port->pool_used) {
		transfer = &port->pool[slot];
		if (in_use(transfer) && token_of(port, transfer).id == token.id) {
			*found = transfer;
			return SPAN_OK;
		}
	}
	return span_fail(SPAN_EINVAL, "local transport: rank %d does not hold this token, or has "
	                 "waited for it before", port->transport.rank);
}

/* Giving up. */

/* Withdraw a transfer that found no partner, or with its partner one that nobody copies; one that
 * is being copied, or a send that is lent, finishes first. The caller holds the lock of its
 * receiver. */
static void withdraw(struct port *port, struct transfer *transfer)
{
	span_local *local = port->local;

	if (transfer->state == QUEUED) {
		queue_remove(queue_of(transfer, local), transfer);
		transfer->state = WITHDRAWN;
	} else if (transfer->state == MATCHED) {
		transfer->state = transfer->partner->state = WITHDRAWN;
	}
	while (transfer->state == COPYING || (transfer->state == LENT && transfer->is_send))
		pthread_cond_wait(&port->progress, &local->ports[transfer->to].lock);
}

/* After an abort: see to it that no data of this rank is touched any more. Tokens stay valid,
 * so that each can still be waited for. */
static void quiesce(struct port *port)
{
	uint32_t i;

	if (port->quiet)
		return;
	for (i = 0; i < port->pool_used; i++) {
		struct transfer *transfer = &port->pool[i];
		pthread_mutex_t *lock = &port->local->ports[transfer->to].lock;

		if (!in_use(transfer))
			continue;
		pthread_mutex_lock(lock);
		withdraw(port, transfer);
		pthread_mutex_unlock(lock);
	}
	port->quiet = 1;
}

/* What a post or a wait of this rank returns after an abort: its data is its own again, and the
 * cause is reported, the first time. */
static span_status stop(struct port *port)
{
	span_local *local = port->local;

	quiesce(port);
	if (port->told)
		return SPAN_ECOMM;
	port->told = 1;
	return span_fail(SPAN_ECOMM, "local transport: rank %d stops, because rank %d gave up: %s",
	                 port->transport.rank, local->aborter, span_strerror(local->why));
}

/* Posting. */

static void count_bytes(struct port *receiver, int32_t from, uint64_t bytes)
{
	const int32_t *group = receiver->local->group;

	if (group[from] == group[receiver->transport.rank])
		receiver->inside += bytes;
	else
		receiver->between += bytes;
}

/* Both sides of a matched transfer are being copied from now on. The caller holds the lock of the
 * receiver. */
static void claim(struct transfer *transfer)
{
	transfer->state = transfer->partner->state = COPYING;
}

static int fits(const struct transfer *send)
{
	return send->message.bytes <= send->partner->capacity;
}

/* Copy a message that was claimed through `mine`, mark both sides done and wake the other rank.
 * What is too large is not copied; the receiver learns it from the header. */
static void deliver(span_local *local, struct transfer *mine)
{
	struct transfer *send = mine->is_send ? mine : mine->partner;
	struct transfer *receive = send->partner;
	struct port *receiver = &local->ports[send->to];
	struct port *other = &local->ports[mine->is_send ? mine->to : mine->from];
	uint64_t bytes = send->message.bytes;

	if (fits(send) && bytes)
		span_copy_cold(receive->target, send->source, bytes);
	pthread_mutex_lock(&receiver->lock);
	receive->message = send->message;
	receive->state = DONE;
	send->state = DONE;
	if (fits(send))
		count_bytes(receiver, send->from, bytes);
	pthread_mutex_unlock(&receiver->lock);
	pthread_cond_signal(&other->progress);
}

/* Lend a matched message that fits to its receiver. The caller holds the lock of the receiver. */
static void lend(span_local *local, struct transfer *receive)
{
	struct transfer *send = receive->partner;

	receive->message = send->message;
	receive->state = send->state = LENT;
	count_bytes(&local->ports[receive->to], send->from, send->message.bytes);
}

/* The receiver is through with what was lent to it. */
static void give_back(span_local *local, struct transfer *receive)
{
	struct port *receiver = &local->ports[receive->to];
	struct port *sender = &local->ports[receive->from];

	pthread_mutex_lock(&receiver->lock);
	receive->state = receive->partner->state = DONE;
	pthread_mutex_unlock(&receiver->lock);
	pthread_cond_signal(&sender->progress);
}

/* Match a transfer, or queue it. Returns whether its partner sleeps until it is copied: then it is
 * claimed. */
static int match(span_local *local, struct transfer *mine)
{
	struct queue *queue = queue_of(mine, local);
	struct port *receiver = &local->ports[mine->to];
	struct transfer *partner;
	int asleep = 0, in_place = 0;

	pthread_mutex_lock(&receiver->lock);
	partner = queue_match(queue, mine);
	if (partner) {
		mine->partner = partner;
		partner->partner = mine;
		mine->state = partner->state = MATCHED;
		asleep = partner->awaited == AWAITED;
		in_place = partner->awaited == AWAITED_IN_PLACE;
		if (asleep)
			claim(mine);
	} else {
		mine->state = QUEUED;
		queue_append(queue, mine);
	}
	pthread_mutex_unlock(&receiver->lock);
	if (in_place)
		pthread_cond_signal(&receiver->progress);
	return asleep;
}

static span_status post(struct port *port, const struct transfer *what, span_token *token)
{
	span_local *local = port->local;
	struct transfer *mine;
	uint32_t generation;

	if (is_aborted(local))
		return stop(port);
	mine = pool_take(port);
	if (!mine)
		return span_fail(SPAN_EINVAL, "local transport: rank %d has %u messages posted and "
		                 "not waited for; no more are possible", port->transport.rank,
		                 local->outstanding);
	generation = mine->generation;
	*mine = *what;
	mine->generation = generation;
	*token = token_of(port, mine);
	if (match(local, mine))
		deliver(local, mine);
	return SPAN_OK;
}

static span_status check_peer(const span_transport *self, const char *what, int32_t peer,
                              uint32_t channel)
{
	if (peer < 0 || peer >= self->ranks)
		return span_fail(SPAN_EINVAL, "local transport: %s %d; ranks are 0 to %d", what,
		                 peer, self->ranks - 1);
	if (channel >= SPAN_CHANNELS)
		return span_fail(SPAN_EINVAL, "local transport: channel is %u; channels are 0 to %d",
		                 channel, SPAN_CHANNELS - 1);
	return SPAN_OK;
}

static span_status local_post_send(span_transport *self, int32_t to,
                                   const span_message *message, const void *data,
                                   span_token *token)
{
	span_status status;

	if (!self || !message || !token)
		return span_fail(SPAN_EINVAL, "local transport: post_send needs self, message and "
		                 "token; one is NULL");
	status = check_peer(self, "send to rank", to, message->channel);
	if (status)
		return status;
	if (message->bytes && !data)
		return span_fail(SPAN_EINVAL, "local transport: data is NULL in a send of %llu bytes",
		                 (unsigned long long)message->bytes);
	return post((struct port *)self,
	            &(struct transfer){ .is_send = 1, .from = self->rank, .to = to,
	                                .channel = message->channel, .source = data,
	                                .message = *message },
	            token);
}

static span_status local_post_receive(span_transport *self, int32_t from, uint32_t channel,
                                      void *data, size_t capacity, span_token *token)
{
	span_status status;

	if (!self || !token)
		return span_fail(SPAN_EINVAL, "local transport: post_receive needs self and token; "
		                 "one is NULL");
	status = check_peer(self, "receive from rank", from, channel);
	if (status)
		return status;
	if (capacity && !data)
		return span_fail(SPAN_EINVAL, "local transport: data is NULL in a receive of %zu "
		                 "bytes", capacity);
	return post((struct port *)self,
	            &(struct transfer){ .from = from, .to = self->rank, .channel = channel,
	                                .target = data, .capacity = capacity },
	            token);
}

/* Waiting. */

/* The monotonic time `seconds` from now; what is not a number counts as 0. */
static struct timespec deadline_after(double seconds)
{
	struct timespec at;
	double whole;

	if (!(seconds > 0))
		seconds = 0;
	seconds = fmin(seconds, 1e9);
	whole = floor(seconds);
	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += (time_t)whole;
	at.tv_nsec += (long)((seconds - whole) * 1e9);
	if (at.tv_nsec >= 1000000000) {
		at.tv_nsec -= 1000000000;
		at.tv_sec++;
	}
	return at;
}

/* Sleep until a transfer is done or lent to this rank, the time is over or all is aborted. Returns
 * whether it is; if not, it is withdrawn. */
static int settle(struct port *port, struct transfer *mine, enum awaited how, double seconds)
{
	span_local *local = port->local;
	pthread_mutex_t *lock = &local->ports[mine->to].lock;
	struct timespec deadline = deadline_after(seconds);
	int late = 0, done;

	pthread_mutex_lock(lock);
	mine->awaited = how;
	while (mine->state == QUEUED && !late && !is_aborted(local))
		late = pthread_cond_timedwait(&port->progress, lock, &deadline) == ETIMEDOUT;
	if (mine->state == MATCHED && !is_aborted(local) && how == AWAITED_IN_PLACE &&
	    fits(mine->partner)) {
		lend(local, mine);
	} else if (mine->state == MATCHED && !is_aborted(local)) {
		claim(mine);
		pthread_mutex_unlock(lock);
		deliver(local, mine);
		pthread_mutex_lock(lock);
	}
	withdraw(port, mine);
	done = mine->state == DONE || mine->state == LENT;
	pthread_mutex_unlock(lock);
	return done;
}

static span_status fail_late(const struct transfer *mine, double seconds)
{
	if (mine->is_send)
		return span_fail(SPAN_ETIMEOUT, "local transport: rank %d: rank %d took no message "
		                 "on channel %u within %g s", mine->from, mine->to, mine->channel,
		                 seconds);
	return span_fail(SPAN_ETIMEOUT, "local transport: rank %d: no message from rank %d on "
	                 "channel %u within %g s", mine->to, mine->from, mine->channel, seconds);
}

static span_status fail_large(const struct transfer *mine)
{
	return span_fail(SPAN_EINTEGRITY, "local transport: rank %d: %llu bytes came from rank %d "
	                 "on channel %u, %zu were expected at most", mine->to,
	                 (unsigned long long)mine->message.bytes, mine->from, mine->channel,
	                 mine->capacity);
}

/* Settle a transfer and say what became of it. */
static span_status finish(struct port *port, struct transfer *mine, enum awaited how,
                          double seconds, span_message *message)
{
	int done = settle(port, mine, how, seconds);

	if (is_aborted(port->local) && mine->state != LENT)
		return stop(port);
	if (!done)
		return fail_late(mine, seconds);
	if (!mine->is_send && mine->message.bytes > mine->capacity)
		return fail_large(mine);
	if (message)
		*message = mine->message;
	return SPAN_OK;
}

static span_status local_wait(span_transport *self, span_token token, double seconds,
                              span_message *message)
{
	struct port *port = (struct port *)self;
	struct transfer *mine;
	span_status status = find_transfer(port, token, &mine);

	if (status)
		return status;
	if (mine->awaited == AWAITED_IN_PLACE)
		return span_fail(SPAN_EINVAL, "local transport: rank %d waits for a message that it "
		                 "holds in place; release it", self->rank);
	status = finish(port, mine, AWAITED, seconds, message);
	pool_give(port, mine);
	return status;
}

static span_status local_wait_in_place(span_transport *self, span_token token, double seconds,
                                       span_message *message, const void **data)
{
	struct port *port = (struct port *)self;
	struct transfer *mine;
	span_status status = find_transfer(port, token, &mine);

	if (status)
		return status;
	if (!data || mine->is_send || mine->awaited == AWAITED_IN_PLACE)
		return span_fail(SPAN_EINVAL, "local transport: rank %d: wait_in_place needs the "
		                 "token of a receive that it does not hold yet, and data", self->rank);
	status = finish(port, mine, AWAITED_IN_PLACE, seconds, message);
	if (status == SPAN_OK)
		*data = mine->state == LENT ? mine->partner->source : mine->target;
	else
		pool_give(port, mine);
	return status;
}

static void local_release(span_transport *self, span_token token)
{
	struct port *port = (struct port *)self;
	struct transfer *mine = NULL;

	if (find_transfer(port, token, &mine) != SPAN_OK)
		return;
	if (mine->awaited != AWAITED_IN_PLACE) {
		span_fail(SPAN_EINVAL, "local transport: rank %d releases a message that it does not "
		          "hold in place", self->rank);
		return;
	}
	if (mine->state == LENT)
		give_back(port->local, mine);
	pool_give(port, mine);
}

static span_status local_test(span_transport *self, span_token token, int *done)
{
	struct port *port = (struct port *)self;
	struct transfer *mine;
	span_status status = find_transfer(port, token, &mine);
	pthread_mutex_t *lock;
	int matched;

	if (status)
		return status;
	if (!done)
		return span_fail(SPAN_EINVAL, "local transport: test needs done; it is NULL");
	lock = &port->local->ports[mine->to].lock;
	pthread_mutex_lock(lock);
	matched = mine->state == MATCHED && !is_aborted(port->local);
	if (matched)
		claim(mine);
	*done = matched || mine->state >= DONE ||
	        (is_aborted(port->local) && mine->state != LENT);
	pthread_mutex_unlock(lock);
	if (matched)
		deliver(port->local, mine);
	return SPAN_OK;
}

/* End the loans of a rank that gives up. What it holds nobody else changes, so no lock is needed to
 * find it. */
static void give_all_back(struct port *port)
{
	uint32_t i;

	for (i = 0; i < port->pool_used; i++) {
		struct transfer *transfer = &port->pool[i];

		if (in_use(transfer) && transfer->awaited == AWAITED_IN_PLACE &&
		    transfer->state == LENT)
			give_back(port->local, transfer);
	}
}

/* Wake every rank. A rank that checked `aborted` before it was set sleeps by the time its
 * lock can be had here, so it does not miss the signal. */
static void wake_all(span_local *local)
{
	int32_t rank;

	for (rank = 0; rank < local->ranks; rank++) {
		pthread_mutex_lock(&local->ports[rank].lock);
		pthread_mutex_unlock(&local->ports[rank].lock);
	}
	for (rank = 0; rank < local->ranks; rank++)
		pthread_cond_signal(&local->ports[rank].progress);
}

static void local_abort(span_transport *self, span_status why)
{
	struct port *port = (struct port *)self;
	span_local *local;

	if (!self)
		return;
	local = port->local;
	pthread_mutex_lock(&local->abort_lock);
	if (!is_aborted(local)) {
		local->aborter = self->rank;
		local->why = why ? why : SPAN_ECOMM;
		port->told = 1;
		atomic_store_explicit(&local->aborted, 1, memory_order_release);
	}
	pthread_mutex_unlock(&local->abort_lock);
	wake_all(local);
	give_all_back(port);
	quiesce(port);
}

/* Creation. */

static void port_open(span_local *local, int32_t rank, const pthread_condattr_t *monotonic)
{
	struct port *port = &local->ports[rank];

	port->transport = (span_transport){
		.size = sizeof(span_transport), .name = "local", .rank = rank,
		.ranks = local->ranks, .group = local->group, .post_send = local_post_send,
		.post_receive = local_post_receive, .test = local_test, .wait = local_wait,
		.abort = local_abort, .wait_in_place = local_wait_in_place,
		.release = local_release,
	};
	port->local = local;
	port->queues = local->queues + (size_t)rank * (size_t)local->ranks * SPAN_CHANNELS;
	port->pool = local->transfers + (size_t)rank * local->outstanding;
	pthread_mutex_init(&port->lock, NULL);
	pthread_cond_init(&port->progress, monotonic);
}

static void open_ports(span_local *local, const int32_t *group)
{
	pthread_condattr_t monotonic;
	int32_t rank;

	pthread_mutex_init(&local->abort_lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	for (rank = 0; rank < local->ranks; rank++) {
		local->group[rank] = group ? group[rank] : 0;
		port_open(local, rank, &monotonic);
	}
	pthread_condattr_destroy(&monotonic);
}

static void release(span_local *local)
{
	free(local->transfers);
	free(local->queues);
	free(local->ports);
	free(local->group);
	free(local);
}

span_status span_local_create(int32_t ranks, const int32_t *group, span_local **local)
{
	size_t n = (size_t)ranks;
	span_local *made;

	if (ranks < 1 || ranks > MAX_RANKS)
		return span_fail(SPAN_EINVAL, "span_local_create: ranks is %d; 1 to %d are possible",
		                 ranks, MAX_RANKS);
	if (!local)
		return span_fail(SPAN_EINVAL, "span_local_create: local is NULL");
	made = calloc(1, sizeof *made);
	if (!made)
		return span_fail(SPAN_ENOMEM, "span_local_create: no memory");
	made->ranks = ranks;
	made->outstanding = (uint32_t)SPAN_TRANSPORT_OUTSTANDING(ranks);
	made->group = calloc(n, sizeof *made->group);
	made->ports = calloc(n, sizeof *made->ports);
	made->queues = calloc(n * n * SPAN_CHANNELS, sizeof *made->queues);
	made->transfers = calloc(n * made->outstanding, sizeof *made->transfers);
	if (!made->group || !made->ports || !made->queues || !made->transfers) {
		release(made);
		return span_fail(SPAN_ENOMEM, "span_local_create: no memory for %d ranks", ranks);
	}
	open_ports(made, group);
	*local = made;
	return SPAN_OK;
}

void span_local_free(span_local *local)
{
	int32_t rank;

	if (!local)
		return;
	for (rank = 0; rank < local->ranks; rank++) {
		pthread_cond_destroy(&local->ports[rank].progress);
		pthread_mutex_destroy(&local->ports[rank].lock);
	}
	pthread_mutex_destroy(&local->abort_lock);
	release(local);
}

span_transport *span_local_transport(span_local *local, int32_t rank)
{
	if (!local || rank < 0 || rank >= local->ranks) {
		span_fail(SPAN_EINVAL, "span_local_transport: rank is %d of %d", rank,
		          local ? local->ranks : 0);
		return NULL;
	}
	return &local->ports[rank].transport;
}

void span_local_bytes(const span_local *local, uint64_t *inside, uint64_t *between)
{
	uint64_t in = 0, out = 0;
	int32_t rank;

	for (rank = 0; local && rank < local->ranks; rank++) {
		struct port *port = &local->ports[rank];

		pthread_mutex_lock(&port->lock);
		in += port->inside;
		out += port->between;
		pthread_mutex_unlock(&port->lock);
	}
	if (inside)
		*inside = in;
	if (between)
		*between = out;
}

static span_transport *transport_of(void *of, int32_t rank)
{
	return span_local_transport(of, rank);
}

/* Whoever fails first, in its body or in a wait inside, aborts first; so the reason of the
 * abort is the first failure in time. */
span_status span_local_run(span_local *local, span_local_body *body, void *argument)
{
	if (!local || !body)
		return span_fail(SPAN_EINVAL, "span_local_run: %s is NULL", local ? "body" : "local");
	if (is_aborted(local))
		return span_fail(SPAN_ECOMM, "span_local_run: rank %d aborted this transport before",
		                 local->aborter);
	span_crew_run(local->ranks, transport_of, local, body, argument, 1);
	return is_aborted(local) ? local->why : SPAN_OK;
}
