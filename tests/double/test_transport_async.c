/* The asynchronous double itself: that it is late, out of order and hostile, and that each of
 * its faults arrives. What it has in common with span_local stands in
 * tests/attention/test_transport.c. */
#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "tests/attention/messages.h"
#include "tests/double/transport_async.h"

static const double long_time = 60;

/* With this seed the first message from rank 0 to rank 1 takes 0.83 of the longest delay. */
static const span_async_options slow_pair = { .ranks = 2, .seed = 1, .delay = 0.3 };

static span_async *async_of(const span_async_options *options)
{
	span_async *async = NULL;

	cr_assert_eq(span_async_create(options, &async), SPAN_OK);
	return async;
}

static span_token post_send(span_async *async, int32_t from, int32_t to, uint32_t step,
                            const uint32_t *data, size_t words)
{
	span_transport *transport = span_async_transport(async, from);
	span_message message = { .channel = 0, .step = step, .owner = (uint32_t)from,
	                         .origin = (uint32_t)from, .epoch = 50,
	                         .bytes = words * sizeof *data,
	                         .digest = span_digest(data, words * sizeof *data) };
	span_token token = { 0 };

	cr_assert_eq(transport->post_send(transport, to, &message, data, &token), SPAN_OK);
	return token;
}

static span_token post_receive(span_async *async, int32_t from, int32_t to, uint32_t *data,
                               size_t words)
{
	span_transport *transport = span_async_transport(async, to);
	span_token token = { 0 };

	cr_assert_eq(transport->post_receive(transport, from, 0, data, words * sizeof *data,
	                                     &token), SPAN_OK);
	return token;
}

static span_status wait_for(span_async *async, int32_t rank, span_token token,
                            span_message *message)
{
	span_transport *transport = span_async_transport(async, rank);

	return transport->wait(transport, token, long_time, message);
}

static int is_done(span_async *async, int32_t rank, span_token token)
{
	span_transport *transport = span_async_transport(async, rank);
	int done = 0;

	cr_assert_eq(transport->test(transport, token, &done), SPAN_OK);
	return done;
}

static void wait_until_done(span_async *async, int32_t rank, span_token token)
{
	const struct timespec nap = { .tv_nsec = 100000 };

	while (!is_done(async, rank, token))
		nanosleep(&nap, NULL);
}

Test(async, a_receive_buffer_is_poison_until_wait_although_the_data_is_here)
{
	span_async *async = async_of(&(span_async_options){ .ranks = 2 });
	uint32_t value[2] = { 1, 2 }, got[2] = { 0, 0 };
	span_token send = post_send(async, 0, 1, 0, value, 2);
	span_token receive = post_receive(async, 0, 1, got, 2);

	cr_assert_eq(got[0], SPAN_ASYNC_POISON);
	wait_until_done(async, 1, receive);
	cr_assert_eq(got[0], SPAN_ASYNC_POISON);
	cr_assert_eq(got[1], SPAN_ASYNC_POISON);
	cr_assert_eq(wait_for(async, 1, receive, NULL), SPAN_OK);
	cr_assert_eq(got[0], 1);
	cr_assert_eq(got[1], 2);
	cr_assert_eq(wait_for(async, 0, send, NULL), SPAN_OK);
	span_async_free(async);
}

Test(async, a_message_is_not_done_when_both_sides_are_posted)
{
	enum { N = 8 };
	span_async *async = async_of(&(span_async_options){ .ranks = 2, .seed = 1, .delay = 0.5 });
	uint32_t value = 1, got[N];
	span_token sends[N], receives[N];
	int i, done = 0;

	for (i = 0; i < N; i++) {
		sends[i] = post_send(async, 0, 1, 0, &value, 1);
		receives[i] = post_receive(async, 0, 1, &got[i], 1);
	}
	for (i = 0; i < N; i++)
		done += is_done(async, 1, receives[i]);
	cr_assert_lt(done, N / 2);
	for (i = 0; i < N; i++) {
		cr_assert_eq(wait_for(async, 1, receives[i], NULL), SPAN_OK);
		cr_assert_eq(wait_for(async, 0, sends[i], NULL), SPAN_OK);
	}
	span_async_free(async);
}

/* How many of 12 messages were done before one that was posted earlier. */
static int overtakings(uint64_t seed)
{
	enum { N = 12 };
	span_async *async = async_of(&(span_async_options){ .ranks = N, .seed = seed,
	                                                    .delay = 0.05 });
	const struct timespec nap = { .tv_nsec = 100000 };
	uint32_t value = 1, got[N];
	span_token sends[N], receives[N];
	int place[N] = { 0 }, i, j, count = 0, found = 0;

	for (i = 0; i < N; i++) {
		sends[i] = post_send(async, i, (i + 1) % N, 0, &value, 1);
		receives[i] = post_receive(async, i, (i + 1) % N, &got[i], 1);
	}
	while (count < N) {
		nanosleep(&nap, NULL);
		for (i = 0; i < N; i++)
			if (!place[i] && is_done(async, (i + 1) % N, receives[i]))
				place[i] = ++count;
	}
	for (i = 0; i < N; i++) {
		cr_assert_eq(wait_for(async, i, sends[i], NULL), SPAN_OK);
		cr_assert_eq(wait_for(async, (i + 1) % N, receives[i], NULL), SPAN_OK);
		for (j = i + 1; j < N; j++)
			found += place[j] < place[i];
	}
	span_async_free(async);
	return found;
}

Test(async, messages_overtake_each_other)
{
	cr_assert_gt(overtakings(1) + overtakings(2), 10);
}

Test(async, a_sender_that_writes_too_early_is_caught)
{
	span_async *async = async_of(&slow_pair);
	uint32_t value = 1, got;
	span_token send = post_send(async, 0, 1, 0, &value, 1);
	span_token receive = post_receive(async, 0, 1, &got, 1);

	messages_collect();
	value = 2;
	cr_assert_eq(wait_for(async, 1, receive, NULL), SPAN_OK);
	cr_assert_eq(got, 2, "what is sent is read late");
	cr_assert_eq(wait_for(async, 0, send, NULL), SPAN_EINTEGRITY);
	cr_assert_eq(messages_with("rank 0 wrote what it sends to rank 1"), 1);
	span_async_free(async);
}

Test(async, a_receiver_that_writes_too_early_is_caught)
{
	span_async *async = async_of(&(span_async_options){ .ranks = 2 });
	uint32_t value = 1, got;
	span_token send = post_send(async, 0, 1, 0, &value, 1);
	span_token receive = post_receive(async, 0, 1, &got, 1);

	messages_collect();
	got = 0;
	cr_assert_eq(wait_for(async, 1, receive, NULL), SPAN_EINTEGRITY);
	cr_assert_eq(messages_with("rank 1 wrote where it receives from rank 0"), 1);
	cr_assert_eq(wait_for(async, 0, send, NULL), SPAN_OK);
	span_async_free(async);
}

/* Give up one side in flight, and come back for the other when it would have landed. */
static span_status give_up_in_flight(int receiver_gives_up, uint32_t *got)
{
	const struct timespec until_landed = { .tv_nsec = 350 * 1000000 };
	span_async *async = async_of(&slow_pair);
	uint32_t value = 1;
	span_token tokens[2] = { post_send(async, 0, 1, 0, &value, 1),
	                         post_receive(async, 0, 1, got, 1) };
	span_transport *quitter = span_async_transport(async, receiver_gives_up);
	span_transport *other = span_async_transport(async, !receiver_gives_up);
	span_status status;

	cr_assert_eq(quitter->wait(quitter, tokens[receiver_gives_up], 0, NULL), SPAN_ETIMEOUT);
	nanosleep(&until_landed, NULL);
	status = other->wait(other, tokens[!receiver_gives_up], 0, NULL);
	span_async_free(async);
	return status;
}

Test(async, who_gives_up_in_flight_is_left_alone)
{
	uint32_t got;

	cr_assert_eq(give_up_in_flight(1, &got), SPAN_OK);
	cr_assert_eq(got, SPAN_ASYNC_POISON);
	cr_assert_eq(give_up_in_flight(0, &got), SPAN_ETIMEOUT);
	cr_assert_eq(got, SPAN_ASYNC_POISON);
}

Test(async, tokens_that_nobody_waits_for_are_counted)
{
	span_async *async = async_of(&(span_async_options){ .ranks = 2 });
	uint32_t value = 1, got;
	span_token receive;

	post_send(async, 0, 1, 0, &value, 1);
	receive = post_receive(async, 0, 1, &got, 1);
	cr_assert_eq(span_async_outstanding(async), 2);
	cr_assert_eq(wait_for(async, 1, receive, NULL), SPAN_OK);
	cr_assert_eq(span_async_outstanding(async), 1);
	span_async_free(async);
}

/* Rank 0 sends three messages of 100 words to rank 1; the second is hit. */
enum { WORDS = 100, MESSAGES = 3 };

struct outcome {
	uint32_t sent[MESSAGES][WORDS];
	uint32_t got[MESSAGES][WORDS];
	span_message came[MESSAGES];
	span_status status[MESSAGES];
};

static void send_three(span_async_fault fault, struct outcome *outcome)
{
	span_async *async = async_of(&(span_async_options){ .ranks = 2, .fault = fault,
	                                                    .fault_message = 1,
	                                                    .fault_bit = 32 * 200 + 37 });
	span_transport *receiver = span_async_transport(async, 1);
	span_token sends[MESSAGES], receives[MESSAGES];
	int i, j;

	for (i = 0; i < MESSAGES; i++) {
		for (j = 0; j < WORDS; j++)
			outcome->sent[i][j] = (uint32_t)(1000 * i + j);
		receives[i] = post_receive(async, 0, 1, outcome->got[i], WORDS);
		sends[i] = post_send(async, 0, 1, (uint32_t)i, outcome->sent[i], WORDS);
	}
	for (i = 0; i < MESSAGES; i++)
		cr_assert_eq(wait_for(async, 0, sends[i], NULL), SPAN_OK);
	/* What was sent has landed, unless it was lost. */
	for (i = 0; i < MESSAGES; i++)
		outcome->status[i] = receiver->wait(receiver, receives[i], 0, &outcome->came[i]);
	cr_assert_eq(span_async_faults(async), fault != SPAN_ASYNC_NO_FAULT);
	span_async_free(async);
}

/* Whether message i came as it was sent: 0 no, 1 yes. */
static int came_whole(const struct outcome *outcome, int i)
{
	return outcome->status[i] == SPAN_OK && outcome->came[i].step == (uint32_t)i &&
	       outcome->came[i].owner == 0 && outcome->came[i].epoch == 50 &&
	       memcmp(outcome->got[i], outcome->sent[i], sizeof outcome->sent[i]) == 0;
}

/* Only the second message may be hit. */
static void inject(span_async_fault fault, struct outcome *outcome)
{
	memset(outcome, 0, sizeof *outcome);
	send_three(fault, outcome);
	cr_assert(came_whole(outcome, 0));
	cr_assert_eq(came_whole(outcome, 1), fault == SPAN_ASYNC_NO_FAULT);
	cr_assert(came_whole(outcome, 2));
}

Test(async, without_a_fault_all_is_well)
{
	struct outcome outcome;

	inject(SPAN_ASYNC_NO_FAULT, &outcome);
}

Test(async, a_flipped_bit_is_one_bit_and_the_digest_tells)
{
	struct outcome outcome;

	inject(SPAN_ASYNC_FLIP, &outcome);
	cr_assert_eq(outcome.status[1], SPAN_OK);
	outcome.got[1][1] ^= 1u << 5;
	cr_assert_arr_eq(outcome.got[1], outcome.sent[1], sizeof outcome.sent[1]);
	outcome.got[1][1] ^= 1u << 5;
	cr_assert_neq(span_digest(outcome.got[1], sizeof outcome.got[1]), outcome.came[1].digest);
}

Test(async, a_dropped_message_never_arrives)
{
	struct outcome outcome;

	inject(SPAN_ASYNC_DROP, &outcome);
	cr_assert_eq(outcome.status[1], SPAN_ETIMEOUT);
	cr_assert_eq(outcome.got[1][0], SPAN_ASYNC_POISON);
}

Test(async, a_stale_header_has_the_epoch_before)
{
	struct outcome outcome;

	inject(SPAN_ASYNC_STALE, &outcome);
	cr_assert_eq(outcome.came[1].epoch, 49);
	cr_assert_arr_eq(outcome.got[1], outcome.sent[1], sizeof outcome.sent[1]);
}

Test(async, a_wrong_owner_is_the_next_one)
{
	struct outcome outcome;

	inject(SPAN_ASYNC_OWNER, &outcome);
	cr_assert_eq(outcome.came[1].owner, 1);
	cr_assert_arr_eq(outcome.got[1], outcome.sent[1], sizeof outcome.sent[1]);
}

Test(async, a_short_message_is_the_first_half)
{
	struct outcome outcome;

	inject(SPAN_ASYNC_SHORT, &outcome);
	cr_assert_eq(outcome.came[1].bytes, sizeof outcome.sent[1] / 2);
	cr_assert_arr_eq(outcome.got[1], outcome.sent[1], sizeof outcome.sent[1] / 2);
	cr_assert_eq(outcome.got[1][WORDS - 1], SPAN_ASYNC_POISON);
}

static span_status say_nothing(span_transport *transport, void *argument)
{
	(void)transport;
	(void)argument;
	return SPAN_OK;
}

Test(async, a_rank_that_dies_takes_all_down)
{
	span_async *async = async_of(&(span_async_options){ .ranks = 3, .fault = SPAN_ASYNC_KILL,
	                                                    .fault_rank = 2, .fault_message = 1 });
	span_transport *dying = span_async_transport(async, 2);
	span_message message = { .channel = 0 };
	uint32_t value = 1, got;
	span_token receive, none;

	messages_collect();
	post_send(async, 2, 0, 0, &value, 1);
	receive = post_receive(async, 1, 0, &got, 1);
	cr_assert_eq(dying->post_send(dying, 0, &message, NULL, &none), SPAN_ECOMM);
	cr_assert_eq(wait_for(async, 0, receive, NULL), SPAN_ECOMM);
	cr_assert_eq(messages_with("rank 2 dies"), 1);
	cr_assert_eq(messages_with("rank 0 stops, because rank 2 gave up"), 1);
	cr_assert_eq(span_async_run(async, say_nothing, NULL), SPAN_ECOMM);
	cr_assert_eq(span_async_faults(async), 1);
	span_async_free(async);
}

/* Messages of one pair overtake each other in flight, so the first is waited for before the
 * second is posted: then it is what came before. */
Test(async, a_duplicate_is_what_came_before)
{
	span_async *async = async_of(&(span_async_options){ .ranks = 2, .fault_message = 1,
	                                                    .fault = SPAN_ASYNC_DUPLICATE });
	uint32_t sent[2] = { 10, 11 }, got[2];
	span_message came[2];
	int i;

	for (i = 0; i < 2; i++) {
		span_token send = post_send(async, 0, 1, (uint32_t)i, &sent[i], 1);
		span_token receive = post_receive(async, 0, 1, &got[i], 1);

		cr_assert_eq(wait_for(async, 0, send, NULL), SPAN_OK);
		cr_assert_eq(wait_for(async, 1, receive, &came[i]), SPAN_OK);
	}
	cr_assert_eq(got[1], 10);
	cr_assert_eq(came[1].step, 0);
	cr_assert_eq(span_async_faults(async), 1);
	span_async_free(async);
}
