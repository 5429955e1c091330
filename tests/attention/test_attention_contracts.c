/* What a rank says and returns when messages are damaged, late, lost, or a peer dies: the right
 * status on every rank, the cause by rank and tensor, and never a hang. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "attention/op.h"
#include "tests/attention/attention_case.h"
#include "tests/attention/messages.h"
#include "tests/topo/order_cases.h"

enum { MOST_RANKS = 8, CALLS = 2 };

/* Far more than any deadline here; a hang would be the default of 600 s. */
static const double long_ago = 60;

struct trial {
	attention_case c;
	double timeout;
	int64_t bit;     /* that a fault flips: of V */
	int32_t sleeper; /* -1, or a rank that comes `sleeps` seconds late */
	double sleeps;
	const span_order *order; /* NULL, or instead of that of the case */
	int32_t liar;    /* -1, or a rank that is given other options */
	void (*lie)(span_attention_options *options);
	int32_t stale;   /* -1, or a rank that passes on what it passed on before */
	int32_t copies_only; /* 1: over a transport that lends nothing */
	int32_t miscounter; /* -1, or a rank for which the mask has a pair more */
	span_status status[MOST_RANKS]; /* of forward and backward */
	span_status after[MOST_RANKS];  /* of a forward after that */
	double seconds;  /* of it all */
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void sleep_for(double seconds)
{
	struct timespec t = { .tv_sec = (time_t)seconds,
		              .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9) };

	nanosleep(&t, NULL);
}

/* Eight zero tensors of the shape and a workspace, in one piece. */
struct buffers {
	span_tensor q, kv, out, dq, dk, dv;
	float *lse;
	void *workspace;
	char *memory;
};

static struct buffers make_buffers(const attention_case *c, const span_attention *op, int32_t rank)
{
	int64_t s = span_layout_rank_tokens(span_attention_layout(op), rank);
	size_t bytes = (size_t)(s * c->query_heads * c->head_size) * sizeof(float);
	size_t workspace = span_attention_workspace_bytes(op);
	struct buffers x = { .memory = calloc(8 * bytes + 64, 1) };
	span_tensor *query[] = { &x.q, &x.out, &x.dq }, *key[] = { &x.kv, &x.dk, &x.dv };

	for (size_t i = 0; i < 3; i++) {
		*query[i] = span_tensor_bshd(x.memory + i * bytes, c->dtype, s, c->query_heads,
		                             c->head_size);
		*key[i] = span_tensor_bshd(x.memory + (3 + i) * bytes, c->dtype, s, c->kv_heads,
		                           c->head_size);
	}
	x.lse = (float *)(x.memory + 6 * bytes);
	x.workspace = aligned_alloc(64, (workspace + 127) / 64 * 64);
	return x;
}

static span_status call_both(span_attention *op, const struct buffers *x)
{
	span_status status = span_attention_forward(op, &x->q, &x->kv, &x->kv, &x->out, x->lse,
	                                            x->workspace);

	if (status)
		return status;
	return span_attention_backward(op, &x->q, &x->kv, &x->kv, &x->out, &x->out, x->lse,
	                               &x->dq, &x->dk, &x->dv, x->workspace);
}

/* ---- a rank whose buffer holds what it held before ---- */

enum { RELAYED = 1, RELAYED_NEXT = 2, BLOCK_BYTES = 1 << 16 };

struct stale_transport {
	span_transport transport; /* first, so that a transport is this */
	span_transport *inner;
	int sends;
	span_message before;
	char data[BLOCK_BYTES];
};

/* The data of a block that was passed on before, under the header of the next one. */
static span_status send_stale(span_transport *self, int32_t to, const span_message *message,
                              const void *data, span_token *token)
{
	struct stale_transport *stale = (struct stale_transport *)self;
	span_message header = *message;
	int number = stale->sends++;

	if (number == RELAYED && message->bytes <= BLOCK_BYTES) {
		stale->before = *message;
		memcpy(stale->data, data, message->bytes);
	} else if (number == RELAYED_NEXT) {
		header.digest = stale->before.digest;
		data = stale->data;
	}
	return stale->inner->post_send(stale->inner, to, &header, data, token);
}

static span_status receive_on(span_transport *self, int32_t from, uint32_t channel, void *data,
                              size_t capacity, span_token *token)
{
	span_transport *inner = ((struct stale_transport *)self)->inner;

	return inner->post_receive(inner, from, channel, data, capacity, token);
}

static span_status wait_on(span_transport *self, span_token token, double seconds,
                           span_message *message)
{
	span_transport *inner = ((struct stale_transport *)self)->inner;

	return inner->wait(inner, token, seconds, message);
}

static void abort_on(span_transport *self, span_status why)
{
	span_transport *inner = ((struct stale_transport *)self)->inner;

	inner->abort(inner, why);
}

static span_transport *make_stale(struct stale_transport *stale, span_transport *inner)
{
	*stale = (struct stale_transport){ .transport = *inner, .inner = inner };
	stale->transport.post_send = send_stale;
	stale->transport.post_receive = receive_on;
	stale->transport.wait = wait_on;
	stale->transport.abort = abort_on;
	stale->transport.wait_in_place = NULL;
	stale->transport.release = NULL;
	return &stale->transport;
}

static span_status run_rank(span_transport *transport, void *argument)
{
	static struct stale_transport stale; /* of one rank */
	struct trial *trial = argument;
	attention_case c = trial->c;
	span_attention_options options;
	span_attention *op;
	span_status status = SPAN_OK;
	struct buffers x;

	if (transport->rank == trial->stale)
		transport = make_stale(&stale, transport);
	options = case_options(&c, transport);
	options.timeout = trial->timeout;
	if (transport->rank == trial->liar)
		trial->lie(&options);
	c.dtype = options.dtype;
	c.head_size = options.head_size;
	if (trial->order)
		options.custom_order = trial->order;
	status = span_attention_create(&options, &op);
	if (status)
		return status;
	x = make_buffers(&c, op, transport->rank);
	if (transport->rank == trial->miscounter)
		op->statistics.forward.pairs_planned++;
	if (transport->rank == trial->sleeper)
		sleep_for(trial->sleeps);
	for (int i = 0; i < CALLS && !status; i++)
		status = call_both(op, &x);
	trial->status[transport->rank] = status;
	if (status)
		trial->after[transport->rank] = span_attention_forward(op, &x.q, &x.kv, &x.kv,
		                                                       &x.out, x.lse, x.workspace);
	free(x.workspace);
	free(x.memory);
	span_attention_free(op);
	return status;
}

static struct trial trial_of(int32_t ranks, int order)
{
	return (struct trial){
		.c = { .batch = 1, .tokens = 16 * ranks, .tile = 16, .query_heads = 2,
		       .kv_heads = 1, .head_size = 16, .dtype = SPAN_F32, .ranks = ranks,
		       .order = order, .grouping = GROUP_TWO_EVEN, .threads = 1,
		       .way_back = SPAN_RETURN_DIRECT },
		.timeout = 60, .bit = 12345, .sleeper = -1, .liar = -1,
		.stale = -1, .miscounter = -1,
	};
}

/* Run over the double with one fault; returns how often it struck. */
static int run_late(struct trial *trial, span_async_fault fault, int32_t rank, int64_t message)
{
	int32_t group[MOST_RANKS];
	span_async_options options = { .ranks = trial->c.ranks, .group = group, .fault = fault,
		                       .fault_rank = rank, .fault_message = message,
		                       .fault_bit = trial->bit, .seed = (uint64_t)message,
		                       .copies_only = trial->copies_only };
	double start = now();
	span_async *async;
	int faults;

	order_case_group(trial->c.grouping, trial->c.ranks, group);
	messages_collect();
	cr_assert_eq(span_async_create(&options, &async), SPAN_OK);
	span_async_run(async, run_rank, trial);
	faults = span_async_faults(async);
	span_async_free(async);
	trial->seconds = now() - start;
	return faults;
}

static void run_local(struct trial *trial)
{
	double start = now();
	span_local *local;

	messages_collect();
	cr_assert_eq(span_local_create(trial->c.ranks, NULL, &local), SPAN_OK);
	span_local_run(local, run_rank, trial);
	span_local_free(local);
	trial->seconds = now() - start;
}

/* How many ranks returned a status; *which is the last of them. */
static int count_status(const struct trial *trial, span_status status, int32_t *which)
{
	int count = 0;

	for (int32_t r = 0; r < trial->c.ranks; r++)
		if (trial->status[r] == status) {
			*which = r;
			count++;
		}
	return count;
}

static const char flipped[] = "its digest is wrong";

/* The first rank that had the damage found it and named it. All others stopped; only those that
 * it was passed on to before may have found it too, and say who passed it on. */
static void expect_found(const struct trial *trial, int32_t finder, const char *what, const char *why)
{
	char text[256];

	snprintf(text, sizeof(text), "rank %d: %s", finder, what);
	cr_assert_eq(messages_with(text), 1, "\"%s\" is not \"%s\"", messages_first(), text);
	cr_assert_geq(messages_with(why), 1, "\"%s\" does not say: %s", messages_first(), why);
	for (int32_t r = 0; r < trial->c.ranks; r++) {
		cr_assert_eq(trial->after[r], SPAN_ECOMM, "rank %d goes on", r);
		if (r == finder) {
			cr_assert_eq(trial->status[r], SPAN_EINTEGRITY);
		} else if (trial->status[r] == SPAN_EINTEGRITY) {
			snprintf(text, sizeof(text), "rank %d: keys and values of rank", r);
			cr_assert_eq(messages_with(text), 1);
			cr_assert_str_eq(why, flipped, "only data is passed on unread");
			cr_assert_eq(messages_with("passed on by"), messages_with(why) -
			             (strstr(what, "passed on by") == NULL));
		} else {
			cr_assert_eq(trial->status[r], SPAN_ECOMM);
		}
	}
	cr_assert_lt(trial->seconds, long_ago);
}

/* In a ring of 4 each rank sends 3 blocks in forward; in backward blocks again, and from the
 * second step on the gradients of the block computed on: messages 0 1 2, 3 4 (5) 6 (7 8). */
enum { RING = 4, FIRST_GRADIENTS = 5, SENDS_OF_A_CALL = 9 };

static const struct damage {
	span_async_fault fault;
	const char *why;
} damages[] = {
	{ SPAN_ASYNC_FLIP, flipped },
	{ SPAN_ASYNC_STALE, "it belongs to another call" },
	{ SPAN_ASYNC_OWNER, "another block came" },
	{ SPAN_ASYNC_SHORT, "its size is wrong" },
};

enum { DAMAGES = sizeof(damages) / sizeof(*damages) };

Test(contracts, damaged_keys_and_values_are_found)
{
	for (int i = 0; i < DAMAGES; i++)
		for (int32_t rank = 0; rank < RING; rank++) {
			struct trial trial = trial_of(RING, SPAN_ORDER_RING);
			char what[128];

			snprintf(what, sizeof(what),
			         "keys and values of rank %d, received from rank %d", rank, rank);
			cr_assert_eq(run_late(&trial, damages[i].fault, rank, 0), 1);
			expect_found(&trial, (rank + RING - 1) % RING, what, damages[i].why);
		}
}

/* A block that was passed on names who sent it, not only whose it is. */
Test(contracts, damage_on_the_second_hop_names_both_ranks)
{
	struct trial trial = trial_of(RING, SPAN_ORDER_RING);

	cr_assert_eq(run_late(&trial, SPAN_ASYNC_FLIP, 2, 1), 1);
	expect_found(&trial, 1, "keys and values of rank 3, passed on by rank 2", flipped);
}

/* Rank 1 passes block 0 on in step 1 and reads it in step 5, behind a block that rank 2 sends when
 * it has read block 0. */
static const char late_reader[] =
	"span-order 1\nkind ring\nway-back direct\nranks 3\n"
	"need 0 0 2\nneed 1 0 2\nneed 2 0 2\n"
	"rank 0\n"
	"step 0\ncompute 0\nreceive 1 from 1\nsend 0 to 1\n"
	"step 1\ncompute 1\nstep 2\nstep 3\nreceive 2 from 2\nstep 4\ncompute 2\n"
	"rank 1\n"
	"step 0\ncompute 1\nreceive 0 from 0\nsend 1 to 0\n"
	"step 1\nsend 0 to 2\nsend 1 to 2\nstep 2\n"
	"step 3\nreceive 2 from 2\nstep 4\ncompute 2\nstep 5\ncompute 0\n"
	"rank 2\n"
	"step 0\ncompute 2\n"
	"step 1\nreceive 0 from 1\nreceive 1 from 1\n"
	"step 2\ncompute 0\nstep 3\ncompute 1\nsend 2 to 1\nsend 2 to 0\n"
	"end\n";

/* Damage block 0 on its way from rank 0 to rank 1. */
static void run_late_reader(struct trial *trial)
{
	FILE *text = fmemopen((char *)late_reader, sizeof(late_reader) - 1, "r");
	span_order *order;

	messages_collect();
	cr_assert_eq(span_order_load(text, "late reader", &order), SPAN_OK, "%s", messages_first());
	fclose(text);
	trial->order = order;
	cr_assert_eq(run_late(trial, SPAN_ASYNC_FLIP, 0, 0), 1);
	span_order_free(order);
}

Test(contracts, what_a_rank_passed_on_unread_is_found_there)
{
	struct trial trial = trial_of(3, SPAN_ORDER_RING);

	run_late_reader(&trial);
	expect_found(&trial, 1, "keys and values of rank 0, received from rank 0", flipped);
	cr_assert_eq(messages_with("rank 2: keys and values of rank 0, passed on by rank 1"), 1);
}

/* The digests of its tiles travel in front of each. They are looked at before a block is passed
 * on, so nobody else hears of it. */
Test(contracts, a_damaged_digest_is_found_where_it_came)
{
	struct trial trial = trial_of(3, SPAN_ORDER_RING);
	int32_t finder;

	trial.bit = 70;
	run_late_reader(&trial);
	expect_found(&trial, 1, "keys and values of rank 0, received from rank 0", flipped);
	cr_assert_eq(count_status(&trial, SPAN_EINTEGRITY, &finder), 1);
}

Test(contracts, damaged_gradients_are_found)
{
	for (int i = 0; i < 2 * DAMAGES; i++) {
		struct trial trial = trial_of(RING, SPAN_ORDER_RING);
		const struct damage *damage = &damages[i / 2];

		trial.copies_only = i % 2;
		cr_assert_eq(run_late(&trial, damage->fault, 3, FIRST_GRADIENTS), 1);
		expect_found(&trial, 0, "dK and dV of rank 0, received from rank 3", damage->why);
	}
}

/* The same message once more, a call later: right in all but its epoch. */
Test(contracts, what_belongs_to_the_call_before_is_found)
{
	struct trial trial = trial_of(RING, SPAN_ORDER_RING);

	cr_assert_eq(run_late(&trial, SPAN_ASYNC_DUPLICATE, 1,
	                      FIRST_GRADIENTS + SENDS_OF_A_CALL), 1);
	expect_found(&trial, 2, "dK and dV of rank 2, received from rank 1",
	             "it belongs to another call");
}

/* The block before comes instead of the next one. */
Test(contracts, one_block_twice_is_found)
{
	struct trial trial = trial_of(RING, SPAN_ORDER_RING);

	cr_assert_eq(run_late(&trial, SPAN_ASYNC_DUPLICATE, 1, 1), 1);
	expect_found(&trial, 0, "keys and values of rank 2, passed on by rank 1",
	             "another block came");
}

Test(contracts, a_lost_message_is_a_timeout_and_stops_all)
{
	static const int64_t lost[] = { 0, 2, FIRST_GRADIENTS };

	for (int i = 0; i < 3; i++) {
		struct trial trial = trial_of(RING, SPAN_ORDER_RING);
		int32_t waiter, unused;
		int late;

		trial.timeout = 0.7;
		cr_assert_eq(run_late(&trial, SPAN_ASYNC_DROP, 1, lost[i]), 1);
		late = count_status(&trial, SPAN_ETIMEOUT, &waiter);
		cr_assert_geq(late, 1);
		cr_assert_eq(late + count_status(&trial, SPAN_ECOMM, &unused), RING);
		cr_assert_gt(messages_with(i < 2 ? "waiting for keys and values"
		                                 : "waiting for gradients"), 0, "%s",
		             messages_first());
		cr_assert_geq(trial.seconds, 0.7);
		cr_assert_lt(trial.seconds, long_ago);
		for (int32_t r = 0; r < RING; r++)
			cr_assert_eq(trial.after[r], SPAN_ECOMM, "rank %d goes on", r);
	}
}

/* At every message of two calls of both, on two orders and ways back. A rank that has finished
 * by then needs nobody; in the first call none has. */
Test(contracts, a_rank_that_dies_stops_all_wherever_it_is)
{
	for (int64_t message = 0;; message++) {
		struct trial trial = trial_of(6, message % 2 ? SPAN_ORDER_NODE_FIRST
		                                             : SPAN_ORDER_PAIRWISE);
		int32_t unused;
		int finished;

		trial.c.way_back = message % 2 ? SPAN_RETURN_GROUP_FIRST : SPAN_RETURN_DIRECT;

		if (!run_late(&trial, SPAN_ASYNC_KILL, 2, message)) {
			cr_assert_eq(count_status(&trial, SPAN_OK, &unused), 6);
			cr_assert_geq(message, 2 * 2 * 5, "two calls send more than that");
			break;
		}
		finished = count_status(&trial, SPAN_OK, &unused);
		cr_assert_eq(finished + count_status(&trial, SPAN_ECOMM, &unused), 6);
		cr_assert_eq(trial.status[2], SPAN_ECOMM);
		cr_assert(finished == 0 || message >= 2 * 5, "message %lld", (long long)message);
		cr_assert_eq(messages_with("rank 2 dies"), 1);
		cr_assert_lt(trial.seconds, long_ago);
	}
}

/* ---- the local transport ---- */

Test(contracts, a_rank_that_stalls_is_a_timeout_on_the_others)
{
	struct trial trial = trial_of(RING, SPAN_ORDER_RING);
	int32_t waiter, unused;
	int late;

	trial.timeout = 0.4;
	trial.sleeper = 2;
	trial.sleeps = 3;
	run_local(&trial);
	late = count_status(&trial, SPAN_ETIMEOUT, &waiter);
	cr_assert_geq(late, 1);
	cr_assert_eq(late + count_status(&trial, SPAN_ECOMM, &unused), RING);
	cr_assert_eq(trial.status[2], SPAN_ECOMM);
	cr_assert_lt(trial.seconds, long_ago);
}

static void half_the_head_size(span_attention_options *options)
{
	options->head_size /= 2;
}

static void another_dtype(span_attention_options *options)
{
	options->dtype = SPAN_F16;
}

static void another_scale(span_attention_options *options)
{
	options->scale = 0.125f;
}

static void another_class(span_attention_options *options)
{
	options->numerics = SPAN_NUMERICS_SCHEDULE;
}

/* One rank of a ring is given other options. */
static void run_with_liar(struct trial *trial, void (*lie)(span_attention_options *options))
{
	int32_t finder;

	trial->liar = 1;
	trial->lie = lie;
	run_local(trial);
	cr_assert_geq(count_status(trial, SPAN_EINTEGRITY, &finder), 1);
	for (int32_t r = 0; r < RING; r++)
		cr_assert(trial->status[r] == SPAN_EINTEGRITY || trial->status[r] == SPAN_ECOMM);
	cr_assert_lt(trial->seconds, long_ago);
}

Test(contracts, ranks_that_disagree_about_the_shape_are_found)
{
	struct trial trial = trial_of(RING, SPAN_ORDER_RING);

	run_with_liar(&trial, half_the_head_size);
}

/* Their messages have the right size. */
Test(contracts, ranks_that_disagree_about_what_sizes_do_not_show_are_found)
{
	static void (*const lies[])(span_attention_options *) = { another_dtype, another_scale,
		                                                  another_class };

	for (int i = 0; i < 3; i++) {
		struct trial trial = trial_of(RING, SPAN_ORDER_RING);

		trial.c.dtype = SPAN_BF16;
		run_with_liar(&trial, lies[i]);
		cr_assert_geq(messages_with("its rank was given other options"), 1, "%s",
		              messages_first());
	}
}

/* All is consistent in what comes, but that it is another block: the same data, as it happens. */
Test(contracts, what_a_buffer_held_before_is_not_taken_for_the_next_block)
{
	struct trial trial = trial_of(RING, SPAN_ORDER_RING);

	trial.stale = 2;
	run_local(&trial);
	expect_found(&trial, 1, "keys and values of rank 0, passed on by rank 2", flipped);
}

/* It computed what it had to send as well, so nobody else would notice in this call. */
Test(contracts, a_rank_whose_pairs_are_not_those_of_the_mask_stops_all)
{
	struct trial trial = trial_of(RING, SPAN_ORDER_RING);

	trial.timeout = 2;
	trial.miscounter = 1;
	run_local(&trial);
	cr_assert_eq(messages_with("rank 1 computed 2048 (query, key) pairs of all heads; the mask "
	                           "has 2050"), 1);
	for (int32_t r = 0; r < RING; r++) {
		cr_assert_eq(trial.status[r], r == 1 ? SPAN_EINTEGRITY : SPAN_ECOMM);
		cr_assert_eq(trial.after[r], SPAN_ECOMM, "rank %d goes on", r);
	}
}

Test(contracts, nothing_is_said_when_nothing_is_wrong)
{
	struct trial trial = trial_of(RING, SPAN_ORDER_RING);
	int32_t unused;

	cr_assert_eq(run_late(&trial, SPAN_ASYNC_NO_FAULT, 0, 0), 0);
	cr_assert_eq(count_status(&trial, SPAN_OK, &unused), RING);
	cr_assert_eq(messages_with(""), 0, "%s", messages_first());
}
