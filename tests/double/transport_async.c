/* One lock guards everything; a clock thread lands messages when they are due. */
#include "tests/double/transport_async.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attention/crew.h"
#include "topo/log.h"

static const double default_delay = 200e-6;

enum state {
	WAITING, /* for its partner */
	FLYING,  /* matched, not yet due */
	LOST,    /* will never complete */
	LANDED
};

/* A posted send or receive. */
struct transfer {
	struct transfer *next;     /* in the queue of its way, or among the flying sends */
	struct transfer *next_own; /* among the transfers of its rank */
	uint64_t id;
	enum state state;
	int is_send;
	int32_t from;
	int32_t to;
	uint32_t channel;
	const void *source;        /* of a send */
	uint64_t source_digest;    /* when it was posted */
	span_async_fault fault;
	struct transfer *partner;  /* of a flying send; NULL when the receiver gave up */
	double due;
	void *target;              /* of a receive */
	size_t capacity;
	void *hidden;              /* what landed, until wait or release */
	int held;                  /* in place */
	uint64_t hidden_digest;    /* when that began */
	span_message message;
};

/* What goes from one rank to another on one channel. */
struct way {
	struct transfer *first;  /* without a partner: all sends or all receives */
	uint64_t matched;
	void *last;              /* for DUPLICATE: data and header of what landed last */
	span_message last_message;
};

/* What was held in place and is poison now. */
struct released {
	struct released *next;
	void *data;
};

struct seat {
	span_transport transport; /* first, so that a transport is its seat */
	span_async *async;
	pthread_cond_t progress;
	struct transfer *own;
	struct released *released;
	int64_t sends;
	int told;
};

struct span_async {
	span_async_options options;
	int32_t *group;
	struct seat *seats;
	struct way *ways;          /* [from][to][channel] */
	pthread_mutex_t lock;
	pthread_cond_t tick;
	pthread_t clock;
	struct transfer *flying;   /* sends, the earliest due first */
	uint64_t next_id;
	int64_t outstanding;
	int faults;
	int stop;
	int aborted;
	int32_t aborter;
	span_status why;
};

/* Time and chance. */

static double now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return (double)at.tv_sec + 1e-9 * (double)at.tv_nsec;
}

static struct timespec timespec_of(double seconds)
{
	double whole = floor(seconds);

	return (struct timespec){ .tv_sec = (time_t)whole,
	                          .tv_nsec = (long)((seconds - whole) * 1e9) };
}

/* Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators", section 4. */
static uint64_t splitmix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

/* The delay of a message depends on the seed and on which message it is, not on timing. */
static double delay_of(const span_async *async, size_t way, uint64_t number)
{
	uint64_t chance = splitmix(splitmix(splitmix(async->options.seed) ^ way) ^ number);

	return async->options.delay * (double)(chance >> 11) * 0x1p-53;
}

/* Transfers. */

static struct way *way_of(span_async *async, const struct transfer *transfer)
{
	int64_t pair = (int64_t)transfer->from * async->options.ranks + transfer->to;

	return &async->ways[pair * SPAN_CHANNELS + transfer->channel];
}

static struct seat *owner_of(span_async *async, const struct transfer *transfer)
{
	return &async->seats[transfer->is_send ? transfer->from : transfer->to];
}

static void list_append(struct transfer **link, struct transfer *transfer)
{
	while (*link)
		link = &(*link)->next;
	transfer->next = NULL;
	*link = transfer;
}

static void list_remove(struct transfer **link, struct transfer *transfer)
{
	while (*link != transfer)
		link = &(*link)->next;
	*link = transfer->next;
}

static struct transfer *find(struct seat *seat, span_token token)
{
	struct transfer *transfer = seat->own;

	while (transfer && transfer->id != token.id)
		transfer = transfer->next_own;
	return transfer;
}

static void forget(struct seat *seat, struct transfer *transfer)
{
	struct transfer **link = &seat->own;

	while (*link != transfer)
		link = &(*link)->next_own;
	*link = transfer->next_own;
	seat->async->outstanding--;
	free(transfer->hidden);
	free(transfer);
}

/* Flight. */

/* Put a matched send among the flying, by the time it is due. */
static void take_off(span_async *async, struct transfer *send, struct transfer *receive)
{
	struct way *way = way_of(async, send);
	struct transfer **link = &async->flying;

	send->partner = receive;
	send->state = FLYING;
	receive->state = FLYING;
	send->due = now() + delay_of(async, (size_t)(way - async->ways), way->matched++);
	while (*link && (*link)->due <= send->due)
		link = &(*link)->next;
	send->next = *link;
	*link = send;
	pthread_cond_signal(&async->tick);
}

/* Keep what landed on a way, or put it in the place of what lands now. */
static void repeat(span_async *async, struct transfer *send, struct transfer *receive)
{
	struct way *way = way_of(async, send);
	size_t bytes = way->last_message.bytes;

	if (send->fault == SPAN_ASYNC_DUPLICATE && way->last) {
		free(receive->hidden);
		receive->hidden = malloc(bytes + 1);
		memcpy(receive->hidden, way->last, bytes);
		receive->message = way->last_message;
		async->faults++;
		return;
	}
	free(way->last);
	way->last = malloc(receive->message.bytes + 1);
	memcpy(way->last, receive->hidden, receive->message.bytes);
	way->last_message = receive->message;
}

static void shorten(struct transfer *receive)
{
	receive->message.bytes /= 2;
	receive->hidden = realloc(receive->hidden, receive->message.bytes + 1);
}

static void damage(span_async *async, const struct transfer *send, struct transfer *receive)
{
	uint64_t bits = 8 * receive->message.bytes;
	uint64_t bit = bits ? async->options.fault_bit % bits : 0;
	unsigned char *data = receive->hidden;

	if (send->fault == SPAN_ASYNC_FLIP && bits)
		data[bit / 8] ^= (unsigned char)(1u << bit % 8);
	else if (send->fault == SPAN_ASYNC_STALE)
		receive->message.epoch--;
	else if (send->fault == SPAN_ASYNC_OWNER)
		receive->message.owner++;
	else if (send->fault == SPAN_ASYNC_SHORT)
		shorten(receive);
	else
		return;
	async->faults++;
}

/* Read the data, late, and complete both sides. */
static void land(span_async *async, struct transfer *send)
{
	struct transfer *receive = send->partner;
	size_t bytes = send->message.bytes;

	send->state = LANDED;
	pthread_cond_signal(&owner_of(async, send)->progress);
	if (send->fault == SPAN_ASYNC_DROP) {
		async->faults++;
		if (receive)
			receive->state = LOST;
		return;
	}
	if (!receive)
		return;
	receive->hidden = malloc(bytes + 1);
	if (bytes)
		memcpy(receive->hidden, send->source, bytes);
	receive->message = send->message;
	if (async->options.fault == SPAN_ASYNC_DUPLICATE)
		repeat(async, send, receive);
	damage(async, send, receive);
	receive->state = LANDED;
	pthread_cond_signal(&owner_of(async, receive)->progress);
}

static void *run_clock(void *of)
{
	span_async *async = of;
	struct transfer *first;
	struct timespec due;

	pthread_mutex_lock(&async->lock);
	while (!async->stop) {
		first = async->flying;
		if (!first || async->aborted) {
			pthread_cond_wait(&async->tick, &async->lock);
		} else if (first->due > now()) {
			due = timespec_of(first->due);
			pthread_cond_timedwait(&async->tick, &async->lock, &due);
		} else {
			async->flying = first->next;
			land(async, first);
		}
	}
	pthread_mutex_unlock(&async->lock);
	return NULL;
}

/* Aborting; the caller holds the lock. */

static span_status tell_abort(struct seat *seat)
{
	span_async *async = seat->async;

	if (seat->told)
		return SPAN_ECOMM;
	seat->told = 1;
	return span_fail(SPAN_ECOMM, "async transport: rank %d stops, because rank %d gave up: %s",
	                 seat->transport.rank, async->aborter, span_strerror(async->why));
}

static void give_up(struct seat *seat, span_status why)
{
	span_async *async = seat->async;
	int32_t rank;

	if (async->aborted)
		return;
	async->aborted = 1;
	async->aborter = seat->transport.rank;
	async->why = why ? why : SPAN_ECOMM;
	seat->told = 1;
	for (rank = 0; rank < async->options.ranks; rank++)
		pthread_cond_signal(&async->seats[rank].progress);
}

static void async_abort(span_transport *self, span_status why)
{
	struct seat *seat = (struct seat *)self;

	pthread_mutex_lock(&seat->async->lock);
	give_up(seat, why);
	pthread_mutex_unlock(&seat->async->lock);
}

/* Posting. */

static void post(struct seat *seat, struct transfer *mine, span_token *token)
{
	span_async *async = seat->async;
	struct way *way = way_of(async, mine);
	struct transfer *other = way->first;

	mine->id = ++async->next_id;
	mine->next_own = seat->own;
	seat->own = mine;
	async->outstanding++;
	token->id = mine->id;
	if (!other || other->is_send == mine->is_send) {
		list_append(&way->first, mine);
		return;
	}
	way->first = other->next;
	if (mine->is_send)
		take_off(async, mine, other);
	else
		take_off(async, other, mine);
}

/* Whether this send is the one to be hit. */
static span_async_fault fault_of(struct seat *seat)
{
	const span_async_options *options = &seat->async->options;

	if (options->fault_rank != seat->transport.rank ||
	    options->fault_message != seat->sends++)
		return SPAN_ASYNC_NO_FAULT;
	return options->fault;
}

/* Post under the lock, unless all is over. */
static span_status post_checked(struct seat *seat, const struct transfer *what,
                                span_token *token)
{
	span_async *async = seat->async;
	struct transfer *mine = malloc(sizeof *mine);
	span_status status = SPAN_OK;

	*mine = *what;
	pthread_mutex_lock(&async->lock);
	if (mine->is_send)
		mine->fault = fault_of(seat);
	if (mine->fault == SPAN_ASYNC_KILL) {
		async->faults++;
		give_up(seat, SPAN_ECOMM);
		status = span_fail(SPAN_ECOMM, "async transport: rank %d dies",
		                   seat->transport.rank);
	} else if (async->aborted) {
		status = tell_abort(seat);
	}
	if (status)
		free(mine);
	else
		post(seat, mine, token);
	pthread_mutex_unlock(&async->lock);
	return status;
}

static span_status check_peer(const span_transport *self, int32_t peer, uint32_t channel)
{
	if (peer >= 0 && peer < self->ranks && channel < SPAN_CHANNELS)
		return SPAN_OK;
	return span_fail(SPAN_EINVAL, "async transport: rank %d posts to rank %d on channel %u",
	                 self->rank, peer, channel);
}

static span_status async_post_send(span_transport *self, int32_t to,
                                   const span_message *message, const void *data,
                                   span_token *token)
{
	span_status status = check_peer(self, to, message->channel);

	if (status)
		return status;
	return post_checked((struct seat *)self,
	                    &(struct transfer){ .is_send = 1, .from = self->rank, .to = to,
	                                        .channel = message->channel, .source = data,
	                                        .source_digest = span_digest(data, message->bytes),
	                                        .message = *message },
	                    token);
}

static void poison(unsigned char *data, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		data[i] = (unsigned char)(SPAN_ASYNC_POISON >> 8 * (i % 4));
}

static int is_poison(const unsigned char *data, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (data[i] != (unsigned char)(SPAN_ASYNC_POISON >> 8 * (i % 4)))
			return 0;
	return 1;
}

static span_status async_post_receive(span_transport *self, int32_t from, uint32_t channel,
                                      void *data, size_t capacity, span_token *token)
{
	span_status status = check_peer(self, from, channel);

	if (status)
		return status;
	poison(data, capacity);
	return post_checked((struct seat *)self,
	                    &(struct transfer){ .from = from, .to = self->rank,
	                                        .channel = channel, .target = data,
	                                        .capacity = capacity },
	                    token);
}

/* Waiting. */

/* Take back a transfer that did not complete, so that its data is left alone. */
static void withdraw(span_async *async, struct transfer *mine)
{
	struct transfer *send;

	if (mine->state == WAITING) {
		list_remove(&way_of(async, mine)->first, mine);
	} else if (mine->state == FLYING && mine->is_send) {
		list_remove(&async->flying, mine);
		if (mine->partner)
			mine->partner->state = LOST;
	} else if (mine->state == FLYING) {
		for (send = async->flying; send->partner != mine; send = send->next)
			continue;
		send->partner = NULL;
	}
}

static span_status settle(struct seat *seat, struct transfer *mine, double seconds)
{
	span_async *async = seat->async;
	struct timespec deadline = timespec_of(now() + (seconds > 0 ? fmin(seconds, 1e9) : 0));
	int late = 0;

	while (mine->state != LANDED && !late && !async->aborted)
		late = pthread_cond_timedwait(&seat->progress, &async->lock, &deadline) == ETIMEDOUT;
	if (async->aborted)
		return tell_abort(seat);
	if (mine->state == LANDED)
		return SPAN_OK;
	return span_fail(SPAN_ETIMEOUT, "async transport: rank %d: nothing from rank %d to rank %d "
	                 "on channel %u within %g s", seat->transport.rank, mine->from, mine->to,
	                 mine->channel, seconds);
}

/* See whether the rules were kept for what landed. */
static span_status check(const struct transfer *mine)
{
	if (mine->is_send) {
		if (span_digest(mine->source, mine->message.bytes) == mine->source_digest)
			return SPAN_OK;
		return span_fail(SPAN_EINTEGRITY, "async transport: rank %d wrote what it sends to "
		                 "rank %d before the send was waited for", mine->from, mine->to);
	}
	if (!is_poison(mine->target, mine->capacity))
		return span_fail(SPAN_EINTEGRITY, "async transport: rank %d wrote where it receives "
		                 "from rank %d before the receive was waited for", mine->to,
		                 mine->from);
	if (mine->held && span_digest(mine->hidden, mine->message.bytes) != mine->hidden_digest)
		return span_fail(SPAN_EINTEGRITY, "async transport: rank %d wrote what it held in "
		                 "place of rank %d", mine->to, mine->from);
	if (mine->message.bytes > mine->capacity)
		return span_fail(SPAN_EINTEGRITY, "async transport: rank %d: %llu bytes came from "
		                 "rank %d, %zu were expected at most", mine->to,
		                 (unsigned long long)mine->message.bytes, mine->from, mine->capacity);
	return SPAN_OK;
}

/* Have a transfer landed and checked; its header becomes *message. The caller holds the lock. */
static span_status finish(struct seat *seat, struct transfer *mine, double seconds,
                          span_message *message)
{
	span_status status = settle(seat, mine, seconds);

	if (status)
		withdraw(seat->async, mine);
	else
		status = check(mine);
	if (!status && message)
		*message = mine->message;
	return status;
}

/* The transfer of a token that can be waited for, else NULL. */
static struct transfer *find_waiting(struct seat *seat, span_token token)
{
	struct transfer *mine = find(seat, token);

	if (mine && !mine->held)
		return mine;
	span_fail(SPAN_EINVAL, "async transport: rank %d waits for a token that it does not hold or "
	          "has waited for before", seat->transport.rank);
	return NULL;
}

static span_status async_wait(span_transport *self, span_token token, double seconds,
                              span_message *message)
{
	struct seat *seat = (struct seat *)self;
	span_async *async = seat->async;
	struct transfer *mine;
	span_status status = SPAN_EINVAL;

	pthread_mutex_lock(&async->lock);
	mine = find_waiting(seat, token);
	if (mine) {
		status = finish(seat, mine, seconds, message);
		if (!status && !mine->is_send && mine->message.bytes)
			memcpy(mine->target, mine->hidden, mine->message.bytes);
		forget(seat, mine);
	}
	pthread_mutex_unlock(&async->lock);
	return status;
}

static span_status async_wait_in_place(span_transport *self, span_token token, double seconds,
                                       span_message *message, const void **data)
{
	struct seat *seat = (struct seat *)self;
	span_async *async = seat->async;
	struct transfer *mine;
	span_status status = SPAN_EINVAL;

	pthread_mutex_lock(&async->lock);
	mine = find_waiting(seat, token);
	if (mine && (mine->is_send || !data)) {
		span_fail(status, "async transport: rank %d: wait_in_place needs the token of a "
		          "receive, and data", self->rank);
	} else if (mine) {
		status = finish(seat, mine, seconds, message);
		if (status) {
			forget(seat, mine);
		} else {
			mine->held = 1;
			mine->hidden_digest = span_digest(mine->hidden, mine->message.bytes);
			*data = mine->hidden;
		}
	}
	pthread_mutex_unlock(&async->lock);
	return status;
}

/* Poison what was held, and keep it until the end, so that who reads it later finds that. */
static void keep_poisoned(struct seat *seat, struct transfer *mine)
{
	struct released *released = malloc(sizeof *released);

	poison(mine->hidden, mine->message.bytes);
	*released = (struct released){ .next = seat->released, .data = mine->hidden };
	seat->released = released;
	mine->hidden = NULL;
}

static void async_release(span_transport *self, span_token token)
{
	struct seat *seat = (struct seat *)self;
	span_async *async = seat->async;
	struct transfer *mine;

	pthread_mutex_lock(&async->lock);
	mine = find(seat, token);
	if (mine && mine->held) {
		if (check(mine))
			give_up(seat, SPAN_EINTEGRITY);
		keep_poisoned(seat, mine);
		forget(seat, mine);
	} else {
		span_fail(SPAN_EINVAL, "async transport: rank %d releases a token that it does not "
		          "hold in place", self->rank);
	}
	pthread_mutex_unlock(&async->lock);
}

static span_status async_test(span_transport *self, span_token token, int *done)
{
	struct seat *seat = (struct seat *)self;
	struct transfer *mine;
	span_status status = SPAN_OK;

	pthread_mutex_lock(&seat->async->lock);
	mine = find(seat, token);
	if (mine)
		*done = mine->state == LANDED || seat->async->aborted;
	else
		status = span_fail(SPAN_EINVAL, "async transport: rank %d tests a token that it does "
		                   "not hold or has waited for before", self->rank);
	pthread_mutex_unlock(&seat->async->lock);
	return status;
}

/* Creation. */

static void seat_open(span_async *async, int32_t rank, const pthread_condattr_t *monotonic)
{
	struct seat *seat = &async->seats[rank];

	seat->transport = (span_transport){
		.size = sizeof(span_transport), .name = "async", .rank = rank,
		.ranks = async->options.ranks, .group = async->group,
		.post_send = async_post_send, .post_receive = async_post_receive,
		.test = async_test, .wait = async_wait, .abort = async_abort,
	};
	if (!async->options.copies_only) {
		seat->transport.wait_in_place = async_wait_in_place;
		seat->transport.release = async_release;
	}
	seat->async = async;
	pthread_cond_init(&seat->progress, monotonic);
}

span_status span_async_create(const span_async_options *options, span_async **async)
{
	size_t n = (size_t)options->ranks;
	span_async *made = calloc(1, sizeof *made);
	pthread_condattr_t monotonic;
	int32_t rank;

	made->options = *options;
	if (options->delay == 0)
		made->options.delay = default_delay;
	made->group = calloc(n, sizeof *made->group);
	if (options->group)
		memcpy(made->group, options->group, n * sizeof *made->group);
	made->options.group = made->group;
	made->seats = calloc(n, sizeof *made->seats);
	made->ways = calloc(n * n * SPAN_CHANNELS, sizeof *made->ways);
	pthread_mutex_init(&made->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&made->tick, &monotonic);
	for (rank = 0; rank < options->ranks; rank++)
		seat_open(made, rank, &monotonic);
	pthread_condattr_destroy(&monotonic);
	if (pthread_create(&made->clock, NULL, run_clock, made))
		abort();
	*async = made;
	return SPAN_OK;
}

static void stop_clock(span_async *async)
{
	pthread_mutex_lock(&async->lock);
	async->stop = 1;
	pthread_cond_signal(&async->tick);
	pthread_mutex_unlock(&async->lock);
	pthread_join(async->clock, NULL);
}

static void free_released(struct released *released)
{
	while (released) {
		struct released *next = released->next;

		free(released->data);
		free(released);
		released = next;
	}
}

void span_async_free(span_async *async)
{
	size_t n, i;

	if (!async)
		return;
	n = (size_t)async->options.ranks;
	stop_clock(async);
	for (i = 0; i < n; i++) {
		while (async->seats[i].own)
			forget(&async->seats[i], async->seats[i].own);
		free_released(async->seats[i].released);
		pthread_cond_destroy(&async->seats[i].progress);
	}
	for (i = 0; i < n * n * SPAN_CHANNELS; i++)
		free(async->ways[i].last);
	pthread_cond_destroy(&async->tick);
	pthread_mutex_destroy(&async->lock);
	free(async->ways);
	free(async->seats);
	free(async->group);
	free(async);
}

span_transport *span_async_transport(span_async *async, int32_t rank)
{
	return &async->seats[rank].transport;
}

static span_transport *transport_of(void *of, int32_t rank)
{
	return span_async_transport(of, rank);
}

span_status span_async_run(span_async *async, span_local_body *body, void *argument)
{
	span_crew_run(async->options.ranks, transport_of, async, body, argument, 0);
	return async->aborted ? async->why : SPAN_OK;
}

int span_async_faults(span_async *async)
{
	int faults;

	pthread_mutex_lock(&async->lock);
	faults = async->faults;
	pthread_mutex_unlock(&async->lock);
	return faults;
}

int64_t span_async_outstanding(span_async *async)
{
	int64_t outstanding;

	pthread_mutex_lock(&async->lock);
	outstanding = async->outstanding;
	pthread_mutex_unlock(&async->lock);
	return outstanding;
}
