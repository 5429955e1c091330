/* Receives that are read where the transport has them: wait_in_place and release. */
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "tests/attention/messages.h"
#include "tests/attention/transport_crew.h"

static void nap(long milliseconds)
{
	const struct timespec time = { .tv_nsec = 1000000 * milliseconds };

	nanosleep(&time, NULL);
}

/* Hold a value in place. */
static const int *hold(span_transport *rank, span_token token, span_message *message)
{
	const void *data = NULL;

	cr_assert_eq(rank->wait_in_place(rank, token, long_time, message, &data), SPAN_OK);
	return data;
}

BOTH(in_place, header_and_data_are_there_until_the_release)
{
	struct crew crew = crew_of(asynchronous, 2);
	span_transport *a = rank_of(&crew, 0), *b = rank_of(&crew, 1);
	int value = 123, got, sender_first;
	span_token send = { 0 }, receive;
	span_message message;

	for (sender_first = 0; sender_first < 2; sender_first++) {
		if (sender_first)
			send = send_value(a, 1, SPAN_CHANNEL_RETURN, 4, &value);
		receive = receive_value(b, 0, SPAN_CHANNEL_RETURN, &got);
		if (!sender_first)
			send = send_value(a, 1, SPAN_CHANNEL_RETURN, 4, &value);
		message = (span_message){ 0 };
		cr_assert_eq(*hold(b, receive, &message), 123);
		cr_assert(message.step == 4 && message.owner == 77 && message.origin == 88 &&
		          message.epoch == 99 && message.bytes == sizeof(int) &&
		          message.digest == 111);
		b->release(b, receive);
		cr_assert_eq(wait_for(a, send), SPAN_OK);
	}
	crew_free(&crew);
}

BOTH(in_place, what_came_before_it_and_after_it_is_matched_in_order)
{
	struct crew crew = crew_of(asynchronous, 2);
	span_transport *a = rank_of(&crew, 0), *b = rank_of(&crew, 1);
	int values[3] = { 1, 2, 3 }, got[3], i;
	span_token sends[3], receives[3];
	span_message message;

	for (i = 0; i < 3; i++) {
		receives[i] = receive_value(b, 0, 0, &got[i]);
		sends[i] = send_value(a, 1, 0, 0, &values[i]);
	}
	cr_assert_eq(wait_for(b, receives[2]), SPAN_OK);
	cr_assert_eq(*hold(b, receives[1], &message), 2);
	b->release(b, receives[1]);
	cr_assert_eq(wait_for(b, receives[0]), SPAN_OK);
	cr_assert_eq(got[0], 1);
	cr_assert_eq(got[2], 3);
	for (i = 0; i < 3; i++)
		cr_assert_eq(wait_for(a, sends[i]), SPAN_OK);
	crew_free(&crew);
}

BOTH(in_place, a_message_of_no_bytes_arrives)
{
	struct crew crew = crew_of(asynchronous, 2);
	span_transport *a = rank_of(&crew, 0), *b = rank_of(&crew, 1);
	span_message message = { .channel = 0, .step = 3 };
	span_token send, receive;

	cr_assert_eq(a->post_send(a, 1, &message, NULL, &send), SPAN_OK);
	cr_assert_eq(b->post_receive(b, 0, 0, NULL, 0, &receive), SPAN_OK);
	message.step = 0;
	hold(b, receive, &message);
	cr_assert_eq(message.step, 3);
	b->release(b, receive);
	cr_assert_eq(wait_for(a, send), SPAN_OK);
	crew_free(&crew);
}

BOTH(in_place, more_bytes_than_fit_are_refused_and_nothing_is_left_to_release)
{
	struct crew crew = crew_of(asynchronous, 2);
	span_transport *a = rank_of(&crew, 0), *b = rank_of(&crew, 1);
	unsigned char sent[64] = { 1 }, got[32];
	span_message message = { .channel = 0, .bytes = 33 };
	const void *data = NULL;
	span_token send, receive;

	messages_collect();
	cr_assert_eq(b->post_receive(b, 0, 0, got, 32, &receive), SPAN_OK);
	cr_assert_eq(a->post_send(a, 1, &message, sent, &send), SPAN_OK);
	cr_assert_eq(b->wait_in_place(b, receive, long_time, &message, &data), SPAN_EINTEGRITY);
	cr_assert_eq(a->wait(a, send, long_time, NULL), SPAN_OK);
	cr_assert_eq(messages_with("33 bytes came from rank 0"), 1);
	cr_assert_eq(b->wait(b, receive, 0, &message), SPAN_EINVAL);
	crew_free(&crew);
}

BOTH(in_place, a_deadline_and_an_abort_end_the_wait)
{
	struct crew crew = crew_of(asynchronous, 3);
	span_transport *b = rank_of(&crew, 1), *c = rank_of(&crew, 2);
	const void *data = NULL;
	span_token receive;
	int got;

	receive = receive_value(b, 0, 0, &got);
	cr_assert_eq(b->wait_in_place(b, receive, 0.05, NULL, &data), SPAN_ETIMEOUT);
	cr_assert_eq(b->wait(b, receive, 0, NULL), SPAN_EINVAL);
	receive = receive_value(b, 0, 0, &got);
	c->abort(c, SPAN_EPARSE);
	cr_assert_eq(b->wait_in_place(b, receive, long_time, NULL, &data), SPAN_ECOMM);
	crew_free(&crew);
}

BOTH(in_place, what_is_not_right_is_named)
{
	struct crew crew = crew_of(asynchronous, 2);
	span_transport *a = rank_of(&crew, 0), *b = rank_of(&crew, 1);
	int value = 5, got;
	const void *data = NULL;
	span_token send, receive;

	send = send_value(a, 1, 0, 0, &value);
	receive = receive_value(b, 0, 0, &got);
	messages_collect();
	cr_assert_eq(a->wait_in_place(a, send, 0, NULL, &data), SPAN_EINVAL);
	cr_assert_eq(b->wait_in_place(b, receive, 0, NULL, NULL), SPAN_EINVAL);
	cr_assert_eq(messages_with("of a receive"), 2);
	b->release(b, receive);
	cr_assert_eq(messages_with("does not hold in place"), 1);
	cr_assert_eq(*hold(b, receive, NULL), 5);
	messages_collect();
	cr_assert_eq(b->wait(b, receive, 0, NULL), SPAN_EINVAL);
	cr_assert_eq(b->wait_in_place(b, receive, 0, NULL, &data), SPAN_EINVAL);
	b->release(b, receive);
	b->release(b, receive); /* spent */
	cr_assert_eq(messages_with("hold"), 3);
	cr_assert_eq(messages_with(""), 3);
	cr_assert_eq(wait_for(a, send), SPAN_OK);
	crew_free(&crew);
}

/* The local transport lends what the sender has, and the sender has it back with the release. */

Test(in_place, local_lends_the_sender_s_memory_and_counts_its_bytes)
{
	span_local *local = local_of(2, NULL);
	span_transport *a = span_local_transport(local, 0), *b = span_local_transport(local, 1);
	uint64_t inside = 0, between = 0;
	int value = 5, got = 6, done = 1;
	span_token send, receive;

	send = send_value(a, 1, 0, 0, &value);
	receive = receive_value(b, 0, 0, &got);
	cr_assert_eq(hold(b, receive, NULL), &value);
	span_local_bytes(local, &inside, &between);
	cr_assert_eq(inside, sizeof value);
	cr_assert_eq(a->test(a, send, &done), SPAN_OK);
	cr_assert_eq(done, 0, "the sender has its data back too early");
	b->release(b, receive);
	cr_assert_eq(a->test(a, send, &done), SPAN_OK);
	cr_assert_eq(done, 1);
	cr_assert_eq(wait_for(a, send), SPAN_OK);
	cr_assert_eq(got, 6, "it was copied as well");
	span_local_free(local);
}

Test(in_place, local_leaves_in_the_buffer_what_a_sender_that_waits_has_copied)
{
	span_local *local = local_of(2, NULL);
	span_transport *a = span_local_transport(local, 0), *b = span_local_transport(local, 1);
	int value = 5, got = 6;
	span_token send, receive;

	send = send_value(a, 1, 0, 0, &value);
	receive = receive_value(b, 0, 0, &got);
	cr_assert_eq(wait_for(a, send), SPAN_OK);
	value = 7;
	cr_assert_eq(hold(b, receive, NULL), &got);
	cr_assert_eq(got, 5);
	b->release(b, receive);
	span_local_free(local);
}

/* Rank 0 sends, rank 1 holds for a while, rank 2 gives up meanwhile. */
struct loan {
	int value;
	int seen;
	int aborts; /* whether rank 2 does */
	atomic_int held;
	span_status sender;
};

static span_status lend_and_wait(span_transport *self, struct loan *loan)
{
	span_token token = send_value(self, 1, 0, 0, &loan->value);

	while (!loan->held)
		nap(1);
	loan->sender = self->wait(self, token, loan->aborts ? long_time : 0, NULL);
	loan->value = 0; /* it is this rank's again */
	return loan->sender;
}

static span_status hold_for_a_while(span_transport *self, struct loan *loan)
{
	int buffer;
	span_token token = receive_value(self, 0, 0, &buffer);
	const int *data = hold(self, token, NULL);

	loan->held = 1;
	nap(100);
	loan->seen = *data;
	self->release(self, token);
	return SPAN_OK;
}

static span_status play_loan(span_transport *self, void *argument)
{
	struct loan *loan = argument;

	if (self->rank == 0)
		return lend_and_wait(self, loan);
	if (self->rank == 1)
		return hold_for_a_while(self, loan);
	while (loan->aborts && !loan->held)
		nap(1);
	return loan->aborts ? SPAN_EPARSE : SPAN_OK;
}

Test(in_place, local_senders_wait_for_the_release_past_their_deadline)
{
	struct loan loan = { .value = 5 };
	span_local *local = local_of(3, NULL);

	cr_assert_eq(span_local_run(local, play_loan, &loan), SPAN_OK);
	cr_assert_eq(loan.sender, SPAN_OK);
	cr_assert_eq(loan.seen, 5);
	span_local_free(local);
}

Test(in_place, local_senders_that_are_stopped_wait_for_the_release)
{
	struct loan loan = { .value = 5, .aborts = 1 };
	span_local *local = local_of(3, NULL);

	messages_collect();
	cr_assert_eq(span_local_run(local, play_loan, &loan), SPAN_EPARSE);
	cr_assert_eq(loan.sender, SPAN_ECOMM);
	cr_assert_eq(loan.seen, 5);
	span_local_free(local);
}

/* Rank 1 fails while it holds what rank 0 sent, and never releases it. */
static span_status fail_while_holding(span_transport *self, void *argument)
{
	struct loan *loan = argument;
	int buffer;

	if (self->rank == 0)
		return lend_and_wait(self, loan);
	hold(self, receive_value(self, 0, 0, &buffer), NULL);
	loan->held = 1;
	nap(20);
	return SPAN_EPARSE;
}

Test(in_place, local_ends_the_loans_of_a_rank_that_fails)
{
	struct loan loan = { .value = 5, .aborts = 1 };
	span_local *local = local_of(2, NULL);

	messages_collect();
	cr_assert_eq(span_local_run(local, fail_while_holding, &loan), SPAN_EPARSE);
	cr_assert_eq(loan.sender, SPAN_ECOMM);
	span_local_free(local);
}

/* A receiver that sleeps when the message is posted. */
static span_status sleep_until_lent(span_transport *self, void *argument)
{
	static int value = 5;
	struct loan *loan = argument;
	int buffer = 6;
	span_token token;
	const int *data;

	if (self->rank == 0) {
		nap(50);
		token = send_value(self, 1, 0, 0, &value);
		while (!loan->held)
			nap(1);
		return wait_for(self, token);
	}
	token = receive_value(self, 0, 0, &buffer);
	data = hold(self, token, NULL);
	loan->seen = data == &value;
	loan->held = 1;
	self->release(self, token);
	return SPAN_OK;
}

Test(in_place, local_wakes_a_receiver_that_sleeps_and_lends_to_it)
{
	struct loan loan = { 0 };
	span_local *local = local_of(2, NULL);

	cr_assert_eq(span_local_run(local, sleep_until_lent, &loan), SPAN_OK);
	cr_assert_eq(loan.seen, 1);
	span_local_free(local);
}

/* The double's storage, once released, is poison; writing it, or the buffer of the post, while it is
 * held is found out. */

Test(in_place, async_has_poison_where_something_was_held)
{
	struct crew crew = crew_of(1, 2);
	span_transport *a = rank_of(&crew, 0), *b = rank_of(&crew, 1);
	int value = 5, got;
	span_token send, receive;
	const int *data;

	send = send_value(a, 1, 0, 0, &value);
	receive = receive_value(b, 0, 0, &got);
	data = hold(b, receive, NULL);
	b->release(b, receive);
	cr_assert_eq((uint32_t)*data, SPAN_ASYNC_POISON);
	cr_assert_eq(wait_for(a, send), SPAN_OK);
	crew_free(&crew);
}

/* Rank 1 writes what it holds, or where it receives. */
static void expect_write_noticed(int in_place, const char *what)
{
	struct crew crew = crew_of(1, 2);
	span_transport *a = rank_of(&crew, 0), *b = rank_of(&crew, 1);
	int value = 5, got;
	span_token send, receive;
	const int *data;

	messages_collect();
	send = send_value(a, 1, 0, 0, &value);
	receive = receive_value(b, 0, 0, &got);
	data = hold(b, receive, NULL);
	if (in_place)
		memset((void *)(uintptr_t)data, 0, sizeof *data);
	else
		got = 0;
	b->release(b, receive);
	cr_assert_eq(messages_with(what), 1);
	cr_assert_eq(wait_for(a, send), SPAN_ECOMM);
	crew_free(&crew);
}

Test(in_place, async_finds_out_who_writes_what_it_holds)
{
	expect_write_noticed(1, "wrote what it held in place of rank 0");
	expect_write_noticed(0, "wrote where it receives from rank 0");
}
