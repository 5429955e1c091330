/* The digest, the check of transports, and what the local and the asynchronous transport must
 * have in common. Posts never block, so one thread can play several ranks. */
#include <criterion/criterion.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attention/span_transport.h"
#include "tests/attention/messages.h"
#include "tests/attention/transport_crew.h"
#include "topo/span_order.h"

static double seconds_of(clockid_t clock)
{
	struct timespec at;

	clock_gettime(clock, &at);
	return (double)at.tv_sec + 1e-9 * (double)at.tv_nsec;
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void fill_random(unsigned char *data, size_t n, uint64_t state)
{
	size_t i;

	for (i = 0; i < n; i++)
		data[i] = (unsigned char)(next_random(&state) >> 32);
}

/* The digest. */

/* CRC-64/GO-ISO by long division, a bit at a time. */
static uint64_t digest_by_division(const unsigned char *data, size_t n)
{
	uint64_t rest = ~(uint64_t)0;
	int bit;

	while (n--) {
		rest ^= *data++;
		for (bit = 0; bit < 8; bit++)
			rest = rest >> 1 ^ (rest & 1 ? 0xd800000000000000 : 0);
	}
	return ~rest;
}

Test(digest, has_the_published_check_value)
{
	cr_assert_eq(span_digest("123456789", 9), 0xb90956c775a41001);
	cr_assert_eq(span_digest(NULL, 0), 0);
}

Test(digest, is_a_long_division_at_every_length_and_alignment)
{
	unsigned char data[700];
	size_t n, start;

	fill_random(data, sizeof data, 1);
	for (start = 0; start < 9; start++)
		for (n = 0; n < sizeof data - 9; n++)
			cr_assert_eq(span_digest(data + start, n), digest_by_division(data + start, n));
}

Test(digest, sees_every_single_bit)
{
	static unsigned char data[4096];
	uint64_t whole;
	size_t bit;

	fill_random(data, sizeof data, 2);
	whole = span_digest(data, sizeof data);
	for (bit = 0; bit < 8 * sizeof data; bit++) {
		data[bit / 8] ^= (unsigned char)(1u << bit % 8);
		cr_assert_neq(span_digest(data, sizeof data), whole, "bit %zu", bit);
		data[bit / 8] ^= (unsigned char)(1u << bit % 8);
	}
}

/* Add a vector of GF(2)^64 to a basis; whether it was independent of it. */
static int add_to_basis(uint64_t basis[64], uint64_t vector)
{
	int bit;

	for (bit = 63; bit >= 0; bit--) {
		if (!(vector >> bit & 1))
			continue;
		if (!basis[bit]) {
			basis[bit] = vector;
			return 1;
		}
		vector ^= basis[bit];
	}
	return 0;
}

/* A division leaves a remainder linear in the data. So if the 64 bits of a window change it in
 * linearly independent ways, no change of the window, of the 2^64 there are, goes unseen. */
Test(digest, sees_every_change_of_eight_neighbouring_bytes)
{
	unsigned char data[300] = { 0 };
	uint64_t zero = span_digest(data, sizeof data);
	size_t first, bit;

	for (first = 0; first + 8 <= sizeof data; first++) {
		uint64_t basis[64] = { 0 };

		for (bit = 8 * first; bit < 8 * first + 64; bit++) {
			data[bit / 8] = (unsigned char)(1u << bit % 8);
			cr_assert(add_to_basis(basis, span_digest(data, sizeof data) ^ zero),
			          "bytes %zu to %zu", first, first + 7);
			data[bit / 8] = 0;
		}
	}
}

Test(digest, sees_two_words_change_places)
{
	uint64_t word[96];
	uint64_t whole, swap;
	size_t i, j;

	fill_random((unsigned char *)word, sizeof word, 3);
	whole = span_digest(word, sizeof word);
	for (i = 0; i < 96; i++) {
		for (j = i + 1; j < 96; j++) {
			swap = word[i], word[i] = word[j], word[j] = swap;
			cr_assert_neq(span_digest(word, sizeof word), whole, "words %zu, %zu", i, j);
			swap = word[i], word[i] = word[j], word[j] = swap;
		}
	}
}

Test(digest, sees_how_long_a_run_of_zeros_is)
{
	static const unsigned char zeros[512];
	uint64_t seen[512];
	size_t n, m;

	for (n = 0; n < 512; n++) {
		seen[n] = span_digest(zeros, n);
		for (m = 0; m < n; m++)
			cr_assert_neq(seen[m], seen[n]);
	}
}

/* a * b modulo G, bit b the coefficient of x^b. */
static uint64_t field_times(uint64_t a, uint64_t b)
{
	uint64_t product = 0;

	for (; b; b >>= 1) {
		if (b & 1)
			product ^= a;
		a = a << 1 ^ (a >> 63 ? 0x1b : 0);
	}
	return product;
}

static uint64_t power_of_x(uint64_t exponent)
{
	uint64_t power = 1, square = 2;

	for (; exponent; exponent >>= 1) {
		if (exponent & 1)
			power = field_times(power, square);
		square = field_times(square, square);
	}
	return power;
}

/* What the comment in transport.c claims of G: x has the order 2^64 - 1 modulo G. */
Test(digest, has_a_primitive_generator)
{
	const uint64_t primes[] = { 3, 5, 17, 257, 641, 65537, 6700417 };
	uint64_t product = 1;
	size_t i;

	cr_assert_eq(power_of_x(UINT64_MAX), 1);
	for (i = 0; i < sizeof primes / sizeof *primes; i++) {
		product *= primes[i];
		cr_assert_neq(power_of_x(UINT64_MAX / primes[i]), 1);
	}
	cr_assert_eq(product, UINT64_MAX);
}

/* The check of a transport. */

static void expect_refused(const span_transport *transport, const char *part)
{
	messages_collect();
	cr_assert_eq(span_transport_check(transport), SPAN_EINVAL, "%s", part);
	cr_assert_eq(messages_with(part), 1, "no message about %s", part);
	cr_assert_eq(messages_with(""), 1);
}

Test(transport_check, names_what_is_wrong)
{
	span_local *local = local_of(2, NULL);
	const span_transport good = *span_local_transport(local, 1);
	span_transport bad;

#define EXPECT_REFUSED(change, part)         \
	do {                                 \
		bad = good;                  \
		bad.change;                  \
		expect_refused(&bad, part);  \
	} while (0)

	cr_assert_eq(span_transport_check(&good), SPAN_OK);
	expect_refused(NULL, "transport is NULL");
	EXPECT_REFUSED(size = sizeof good - 1, "size is");
	EXPECT_REFUSED(name = NULL, "name is NULL");
	EXPECT_REFUSED(ranks = 0, "ranks is 0");
	EXPECT_REFUSED(ranks = SPAN_ORDER_MAX_RANKS + 1, "ranks is 4097");
	EXPECT_REFUSED(rank = -1, "rank is -1");
	EXPECT_REFUSED(rank = 2, "rank is 2");
	EXPECT_REFUSED(group = NULL, "group is NULL");
	EXPECT_REFUSED(post_send = NULL, "is NULL");
	EXPECT_REFUSED(post_receive = NULL, "is NULL");
	EXPECT_REFUSED(test = NULL, "is NULL");
	EXPECT_REFUSED(wait = NULL, "is NULL");
	EXPECT_REFUSED(abort = NULL, "is NULL");
	EXPECT_REFUSED(wait_in_place = NULL, "wait_in_place");
	EXPECT_REFUSED(release = NULL, "release");
	span_local_free(local);
}

/* What both transports promise. */

BOTH(transport, header_and_data_arrive_whoever_posts_first)
{
	struct crew crew = crew_of(asynchronous, 2);
	span_transport *a = rank_of(&crew, 0), *b = rank_of(&crew, 1);
	int first = 123, got = 0, sender_first;
	span_message message;
	span_token send = { 0 }, receive;

	for (sender_first = 0; sender_first < 2; sender_first++) {
		if (sender_first)
			send = send_value(a, 1, SPAN_CHANNEL_RETURN, 4, &first);
		receive = receive_value(b, 0, SPAN_CHANNEL_RETURN, &got);
		if (!sender_first)
			send = send_value(a, 1, SPAN_CHANNEL_RETURN, 4, &first);
		cr_assert_eq(b->wait(b, receive, long_time, &message), SPAN_OK);
		cr_assert_eq(a->wait(a, send, long_time, NULL), SPAN_OK);
		cr_assert_eq(got, 123);
		cr_assert_eq(message.channel, SPAN_CHANNEL_RETURN);
		cr_assert_eq(message.step, 4);
		cr_assert_eq(message.owner, 77);
		cr_assert_eq(message.origin, 88);
		cr_assert_eq(message.epoch, 99);
		cr_assert_eq(message.bytes, sizeof got);
		cr_assert_eq(message.digest, 111);
	}
	crew_free(&crew);
}

BOTH(transport, messages_of_a_pair_match_in_the_order_of_posting)
{
	enum { N = 20 };
	struct crew crew = crew_of(asynchronous, 2);
	span_transport *a = rank_of(&crew, 0), *b = rank_of(&crew, 1);
	span_token sends[N], receives[N];
	int values[N], got[N], i;

	for (i = 0; i < N; i++) {
		values[i] = 1000 + i;
		if (i < N / 2)
			sends[i] = send_value(a, 1, 0, (uint32_t)i, &values[i]);
	}
	for (i = 0; i < N; i++)
		receives[i] = receive_value(b, 0, 0, &got[i]);
	for (i = N / 2; i < N; i++)
		sends[i] = send_value(a, 1, 0, (uint32_t)i, &values[i]);
	for (i = N - 1; i >= 0; i--) {
		cr_assert_eq(wait_for(b, receives[i]), SPAN_OK);
		cr_assert_eq(wait_for(a, sends[i]), SPAN_OK);
		cr_assert_eq(got[i], 1000 + i);
	}
	crew_free(&crew);
}

BOTH(transport, channels_and_pairs_match_apart)
{
	struct crew crew = crew_of(asynchronous, 3);
	span_token sends[SPAN_CHANNELS][2], receives[SPAN_CHANNELS][2];
	int values[SPAN_CHANNELS][2], got[SPAN_CHANNELS][2], from, channel;

	for (channel = 0; channel < SPAN_CHANNELS; channel++) {
		for (from = 0; from < 2; from++) {
			values[channel][from] = 10 * channel + from;
			sends[channel][from] = send_value(rank_of(&crew, from), 2, (uint32_t)channel,
			                                  0, &values[channel][from]);
		}
	}
	for (channel = SPAN_CHANNELS - 1; channel >= 0; channel--)
		for (from = 1; from >= 0; from--)
			receives[channel][from] = receive_value(rank_of(&crew, 2), from,
			                                        (uint32_t)channel,
			                                        &got[channel][from]);
	for (channel = 0; channel < SPAN_CHANNELS; channel++) {
		for (from = 0; from < 2; from++) {
			cr_assert_eq(wait_for(rank_of(&crew, 2), receives[channel][from]), SPAN_OK);
			cr_assert_eq(wait_for(rank_of(&crew, from), sends[channel][from]), SPAN_OK);
			cr_assert_eq(got[channel][from], 10 * channel + from);
		}
	}
	crew_free(&crew);
}

BOTH(transport, a_rank_may_send_to_itself_and_nothing_at_all)
{
	struct crew crew = crew_of(asynchronous, 1);
	span_transport *a = rank_of(&crew, 0);
	span_message message = { .channel = 0, .step = 3 };
	span_token send, receive;

	cr_assert_eq(a->post_receive(a, 0, 0, NULL, 0, &receive), SPAN_OK);
	cr_assert_eq(a->post_send(a, 0, &message, NULL, &send), SPAN_OK);
	cr_assert_eq(a->wait(a, receive, long_time, &message), SPAN_OK);
	cr_assert_eq(a->wait(a, send, long_time, NULL), SPAN_OK);
	cr_assert_eq(message.step, 3);
	crew_free(&crew);
}

BOTH(transport, a_message_that_is_too_large_is_an_integrity_error_of_the_receiver)
{
	struct crew crew = crew_of(asynchronous, 2);
	span_transport *a = rank_of(&crew, 0), *b = rank_of(&crew, 1);
	unsigned char sent[64] = { 1 }, got[64];
	span_message message = { .channel = 0, .bytes = 33 };
	span_token send, receive;
	int i;

	for (i = 0; i < 64; i++)
		got[i] = 200;
	messages_collect();
	cr_assert_eq(b->post_receive(b, 0, 0, got, 32, &receive), SPAN_OK);
	cr_assert_eq(a->post_send(a, 1, &message, sent, &send), SPAN_OK);
	cr_assert_eq(b->wait(b, receive, long_time, &message), SPAN_EINTEGRITY);
	cr_assert_eq(a->wait(a, send, long_time, NULL), SPAN_OK);
	cr_assert_eq(messages_with("33 bytes came from rank 0"), 1);
	for (i = 32; i < 64; i++)
		cr_assert_eq(got[i], 200);
	crew_free(&crew);
}

BOTH(transport, a_wait_gives_up_at_its_deadline_and_leaves_the_data_alone)
{
	struct crew crew = crew_of(asynchronous, 2);
	span_transport *a = rank_of(&crew, 0), *b = rank_of(&crew, 1);
	int value = 5, lost = 0, got = 0;
	double start = seconds_of(CLOCK_MONOTONIC), took;
	span_token send, receive;
	span_message message;

	messages_collect();
	receive = receive_value(b, 0, 0, &lost);
	cr_assert_eq(b->wait(b, receive, 0.1, &message), SPAN_ETIMEOUT);
	took = seconds_of(CLOCK_MONOTONIC) - start;
	cr_assert(took >= 0.1 && took < 10, "gave up after %g s", took);
	cr_assert_eq(messages_with("within 0.1 s"), 1);
	lost = 17;
	send = send_value(a, 1, 0, 0, &value);
	receive = receive_value(b, 0, 0, &got);
	cr_assert_eq(wait_for(b, receive), SPAN_OK);
	cr_assert_eq(wait_for(a, send), SPAN_OK);
	cr_assert_eq(got, 5);
	cr_assert_eq(lost, 17);
	crew_free(&crew);
}

BOTH(transport, a_send_that_gave_up_is_not_received)
{
	struct crew crew = crew_of(asynchronous, 2);
	span_transport *a = rank_of(&crew, 0), *b = rank_of(&crew, 1);
	int values[3] = { 1, 2, 3 }, got[2];
	span_token sends[3], receives[2];
	int i;

	for (i = 0; i < 3; i++)
		sends[i] = send_value(a, 1, 0, 0, &values[i]);
	cr_assert_eq(a->wait(a, sends[1], 0, NULL), SPAN_ETIMEOUT);
	for (i = 0; i < 2; i++)
		receives[i] = receive_value(b, 0, 0, &got[i]);
	for (i = 0; i < 2; i++) {
		cr_assert_eq(wait_for(b, receives[i]), SPAN_OK);
		cr_assert_eq(wait_for(a, sends[2 * i]), SPAN_OK);
		cr_assert_eq(got[i], values[2 * i]);
	}
	crew_free(&crew);
}

BOTH(transport, the_last_in_a_queue_may_give_up_and_others_follow)
{
	struct crew crew = crew_of(asynchronous, 2);
	span_transport *a = rank_of(&crew, 0), *b = rank_of(&crew, 1);
	int values[3] = { 1, 2, 3 }, got[3];
	span_token sends[2], receives[3];

	receives[0] = receive_value(b, 0, 0, &got[0]);
	receives[1] = receive_value(b, 0, 0, &got[1]);
	cr_assert_eq(b->wait(b, receives[1], 0, NULL), SPAN_ETIMEOUT);
	receives[2] = receive_value(b, 0, 0, &got[2]);
	sends[0] = send_value(a, 1, 0, 0, &values[0]);
	sends[1] = send_value(a, 1, 0, 0, &values[2]);
	cr_assert_eq(wait_for(b, receives[0]), SPAN_OK);
	cr_assert_eq(wait_for(b, receives[2]), SPAN_OK);
	cr_assert_eq(wait_for(a, sends[0]), SPAN_OK);
	cr_assert_eq(wait_for(a, sends[1]), SPAN_OK);
	cr_assert_eq(got[0], 1);
	cr_assert_eq(got[2], 3);
	crew_free(&crew);
}

BOTH(transport, a_token_is_waited_for_once_by_its_rank)
{
	struct crew crew = crew_of(asynchronous, 2);
	span_transport *a = rank_of(&crew, 0), *b = rank_of(&crew, 1);
	int value = 5, got, done = -1;
	span_token send, receive;

	messages_collect();
	cr_assert_eq(a->wait(a, (span_token){ 0 }, 0, NULL), SPAN_EINVAL);
	send = send_value(a, 1, 0, 0, &value);
	receive = receive_value(b, 0, 0, &got);
	cr_assert_eq(b->wait(b, send, 0, NULL), SPAN_EINVAL);
	cr_assert_eq(a->test(a, receive, &done), SPAN_EINVAL);
	cr_assert_eq(wait_for(b, receive), SPAN_OK);
	cr_assert_eq(wait_for(a, send), SPAN_OK);
	cr_assert_eq(b->wait(b, receive, 0, NULL), SPAN_EINVAL);
	cr_assert_eq(a->wait(a, send, 0, NULL), SPAN_EINVAL);
	cr_assert_eq(a->test(a, send, &done), SPAN_EINVAL);
	cr_assert_eq(done, -1);
	cr_assert_eq(messages_with("token"), 6);
	/* The same storage serves the next message; the old token still is refused. */
	send = send_value(a, 1, 0, 0, &value);
	cr_assert_eq(b->wait(b, receive, 0, NULL), SPAN_EINVAL);
	receive = receive_value(b, 0, 0, &got);
	cr_assert_eq(wait_for(b, receive), SPAN_OK);
	cr_assert_eq(wait_for(a, send), SPAN_OK);
	crew_free(&crew);
}

BOTH(transport, test_says_whether_wait_would_return)
{
	struct crew crew = crew_of(asynchronous, 2);
	span_transport *a = rank_of(&crew, 0), *b = rank_of(&crew, 1);
	const struct timespec nap = { .tv_nsec = 100000 };
	int value = 5, got, done = 1;
	span_token send, receive;

	receive = receive_value(b, 0, 0, &got);
	cr_assert_eq(b->test(b, receive, &done), SPAN_OK);
	cr_assert_eq(done, 0);
	send = send_value(a, 1, 0, 0, &value);
	while (!done) {
		cr_assert_eq(b->test(b, receive, &done), SPAN_OK);
		nanosleep(&nap, NULL);
	}
	cr_assert_eq(b->wait(b, receive, 0, NULL), SPAN_OK);
	cr_assert_eq(wait_for(a, send), SPAN_OK);
	cr_assert_eq(got, 5);
	crew_free(&crew);
}

BOTH(transport, an_abort_ends_posts_and_waits_and_is_told_once_a_rank)
{
	struct crew crew = crew_of(asynchronous, 3);
	span_transport *a = rank_of(&crew, 0), *b = rank_of(&crew, 1), *c = rank_of(&crew, 2);
	int value = 5, got[2], done = 0;
	span_token send, receives[2], none;
	span_message message = { .channel = 0 };

	messages_collect();
	receives[0] = receive_value(b, 0, 0, &got[0]);
	receives[1] = receive_value(b, 2, 1, &got[1]);
	send = send_value(a, 1, 2, 0, &value);
	c->abort(c, SPAN_ETIMEOUT);
	cr_assert_eq(b->test(b, receives[0], &done), SPAN_OK);
	cr_assert_eq(done, 1);
	cr_assert_eq(wait_for(b, receives[0]), SPAN_ECOMM);
	cr_assert_eq(wait_for(b, receives[1]), SPAN_ECOMM);
	cr_assert_eq(wait_for(a, send), SPAN_ECOMM);
	cr_assert_eq(a->post_send(a, 1, &message, NULL, &none), SPAN_ECOMM);
	cr_assert_eq(b->post_receive(b, 0, 0, NULL, 0, &none), SPAN_ECOMM);
	cr_assert_eq(c->post_receive(c, 0, 0, NULL, 0, &none), SPAN_ECOMM);
	cr_assert_eq(messages_with("because rank 2 gave up"), 2);
	cr_assert_eq(messages_with(span_strerror(SPAN_ETIMEOUT)), 2);
	cr_assert_eq(messages_with(""), 2);
	crew_free(&crew);
}

/* Everyone waits for rank 3, which fails after a while. */
static span_status fail_third(span_transport *transport, void *argument)
{
	const struct timespec while_ = { .tv_nsec = 50 * 1000000 };
	span_token token;
	int got;

	(void)argument;
	if (transport->rank == 3) {
		nanosleep(&while_, NULL);
		return SPAN_EPARSE;
	}
	if (transport->post_receive(transport, 3, 0, &got, sizeof got, &token))
		return SPAN_ECOMM;
	return transport->wait(transport, token, long_time, NULL);
}

BOTH(transport, a_body_that_fails_wakes_all_and_is_what_run_returns)
{
	struct crew crew = crew_of(asynchronous, 8);
	double start = seconds_of(CLOCK_MONOTONIC);

	messages_collect();
	cr_assert_eq(run(&crew, fail_third, NULL), SPAN_EPARSE);
	cr_assert_lt(seconds_of(CLOCK_MONOTONIC) - start, long_time / 2);
	cr_assert_eq(messages_with("because rank 3 gave up"), 7);
	crew_free(&crew);
}

/* Rank 1 waits in vain, gives up as an op would, and is slow to return. */
static span_status time_out_first(span_transport *transport, void *argument)
{
	const struct timespec while_ = { .tv_nsec = 50 * 1000000 };
	span_status status;
	span_token token;
	int got;

	(void)argument;
	if (transport->post_receive(transport, 2, 0, &got, sizeof got, &token))
		return SPAN_ECOMM;
	status = transport->wait(transport, token, transport->rank == 1 ? 0.05 : long_time, NULL);
	if (transport->rank == 1) {
		transport->abort(transport, status);
		nanosleep(&while_, NULL);
	}
	return status;
}

BOTH(transport, run_returns_the_first_failure_in_time)
{
	struct crew crew = crew_of(asynchronous, 4);

	cr_assert_eq(run(&crew, time_out_first, NULL), SPAN_ETIMEOUT);
	crew_free(&crew);
}

enum { WORDS = 300, ROUNDS = 6 };

static int word_of(int from, int to, int round, int i)
{
	return ((from * 64 + to) * 64 + round) * 512 + i;
}

struct exchange {
	int ranks;
	int (*out)[WORDS];
	int (*in)[WORDS];
	span_token *sends;
	span_token *receives;
};

static span_status post_round(span_transport *self, struct exchange *exchange, int round)
{
	uint32_t channel = (uint32_t)round % SPAN_CHANNELS;
	span_message message = { .channel = channel, .step = (uint32_t)round,
	                         .bytes = sizeof exchange->out[0] };
	span_status status = SPAN_OK;
	int peer, i;

	for (peer = 0; peer < exchange->ranks && !status; peer++) {
		for (i = 0; i < WORDS; i++)
			exchange->out[peer][i] = word_of(self->rank, peer, round, i);
		status = self->post_send(self, peer, &message, exchange->out[peer],
		                         &exchange->sends[peer]);
		if (!status)
			status = self->post_receive(self, peer, channel, exchange->in[peer],
			                            sizeof exchange->in[0],
			                            &exchange->receives[peer]);
	}
	return status;
}

static span_status finish_round(span_transport *self, struct exchange *exchange, int round)
{
	span_message message;
	int peer, i;

	for (peer = exchange->ranks - 1; peer >= 0; peer--) {
		if (self->wait(self, exchange->receives[peer], long_time, &message) ||
		    self->wait(self, exchange->sends[peer], long_time, NULL))
			return SPAN_ECOMM;
		for (i = 0; i < WORDS; i++)
			if (exchange->in[peer][i] != word_of(peer, self->rank, round, i))
				return SPAN_EINTEGRITY;
		if (message.step != (uint32_t)round)
			return SPAN_EINTEGRITY;
	}
	return SPAN_OK;
}

static span_status exchange_all(span_transport *self, void *argument)
{
	size_t n = (size_t)self->ranks;
	struct exchange exchange = { self->ranks, malloc(n * sizeof *exchange.out),
	                             malloc(n * sizeof *exchange.in),
	                             malloc(n * sizeof(span_token)),
	                             malloc(n * sizeof(span_token)) };
	span_status status = SPAN_OK;
	int round;

	(void)argument;
	for (round = 0; round < ROUNDS && !status; round++) {
		status = post_round(self, &exchange, round);
		if (!status)
			status = finish_round(self, &exchange, round);
	}
	free(exchange.out);
	free(exchange.in);
	free(exchange.sends);
	free(exchange.receives);
	return status;
}

BOTH(transport, sixty_four_ranks_exchange_all_with_all)
{
	struct crew crew = crew_of(asynchronous, asynchronous ? 16 : 64);

	messages_collect();
	cr_assert_eq(run(&crew, exchange_all, NULL), SPAN_OK);
	cr_assert_eq(messages_with("rank"), 0);
	crew_free(&crew);
}

/* What only the local transport promises. */

struct idle {
	pthread_barrier_t barrier;
	double used;
};

/* All ranks wait 0.3 s for what nobody sends; rank 0 reads the processor time meanwhile. */
static span_status wait_in_vain(span_transport *transport, void *argument)
{
	struct idle *idle = argument;
	double before = 0;
	span_status status;
	span_token token;
	int got;

	if (transport->post_receive(transport, transport->rank, 0, &got, sizeof got, &token))
		return SPAN_ECOMM;
	pthread_barrier_wait(&idle->barrier);
	if (transport->rank == 0)
		before = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
	status = transport->wait(transport, token, 0.3, NULL);
	if (transport->rank == 0)
		idle->used = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - before;
	return status == SPAN_ETIMEOUT ? SPAN_OK : SPAN_ECOMM;
}

/* Not how fast it is, but that nothing spins: 64 spinning ranks would use 0.6 s on 2 cores. */
Test(local, ranks_that_wait_use_no_processor)
{
	span_local *local = local_of(64, NULL);
	struct idle idle = { .used = -1 };

	messages_collect();
	pthread_barrier_init(&idle.barrier, NULL, 64);
	cr_assert_eq(span_local_run(local, wait_in_vain, &idle), SPAN_OK);
	cr_assert(idle.used >= 0 && idle.used < 0.05, "%g s of processor time", idle.used);
	pthread_barrier_destroy(&idle.barrier);
	span_local_free(local);
}

Test(local, bytes_are_counted_inside_and_between_groups)
{
	const int32_t group[] = { 7, 7, 9 };
	span_local *local = local_of(3, group);
	uint64_t inside, between;

	messages_collect();
	cr_assert_eq(span_local_run(local, exchange_all, NULL), SPAN_OK);
	span_local_bytes(local, &inside, &between);
	cr_assert_eq(inside, 5 * ROUNDS * WORDS * sizeof(int));
	cr_assert_eq(between, 4 * ROUNDS * WORDS * sizeof(int));
	cr_assert_eq(span_local_transport(local, 1)->group[2], 9);
	span_local_free(local);
}

/* An all-gather on every channel at once, as the header promises. */
static void gather_on_all_channels(span_local *local, int ranks, span_token *tokens)
{
	span_transport *self = span_local_transport(local, 0);
	span_message message = { .bytes = 0 };
	int i, n = 0;

	for (i = 0; i < (ranks - 1) * SPAN_CHANNELS; i++) {
		message.channel = (uint32_t)(i % SPAN_CHANNELS);
		cr_assert_eq(self->post_send(self, 1 + i / SPAN_CHANNELS, &message, NULL,
		                             &tokens[n++]), SPAN_OK);
		cr_assert_eq(self->post_receive(self, 1 + i / SPAN_CHANNELS, message.channel, NULL,
		                                0, &tokens[n++]), SPAN_OK);
	}
	while (n--)
		cr_assert_eq(self->wait(self, tokens[n], 0, NULL), SPAN_ETIMEOUT);
}

Test(local, a_rank_may_have_many_messages_outstanding_but_not_without_end)
{
	enum { RANKS = 256, LIMIT = 8 * RANKS + 64 };
	static span_token tokens[LIMIT + 1];
	span_local *local = local_of(RANKS, NULL);
	span_transport *self = span_local_transport(local, 0);
	int i;

	messages_collect();
	gather_on_all_channels(local, RANKS, tokens);
	for (i = 0; i < LIMIT; i++)
		cr_assert_eq(self->post_receive(self, 1, 0, NULL, 0, &tokens[i]), SPAN_OK);
	messages_collect();
	cr_assert_eq(self->post_receive(self, 1, 0, NULL, 0, &tokens[LIMIT]), SPAN_EINVAL);
	cr_assert_eq(messages_with("2112 messages posted"), 1);
	cr_assert_eq(self->wait(self, tokens[7], 0, NULL), SPAN_ETIMEOUT);
	cr_assert_eq(self->post_receive(self, 1, 0, NULL, 0, &tokens[7]), SPAN_OK);
	span_local_free(local);
}

Test(local, nothing_is_allocated_after_create)
{
	span_local *local = local_of(2, NULL);
	span_transport *a = span_local_transport(local, 0), *b = span_local_transport(local, 1);
	struct mallinfo2 before, after;
	int values[40], got[40], i;
	span_token sends[40], receives[40];

	before = mallinfo2();
	for (i = 0; i < 40; i++) {
		sends[i] = send_value(a, 1, 0, 0, &values[i]);
		receives[i] = receive_value(b, 0, 0, &got[i]);
	}
	for (i = 0; i < 40; i++) {
		cr_assert_eq(wait_for(a, sends[i]), SPAN_OK);
		cr_assert_eq(wait_for(b, receives[i]), SPAN_OK);
	}
	after = mallinfo2();
	cr_assert_eq(before.uordblks, after.uordblks);
	cr_assert_eq(before.hblkhd, after.hblkhd);
	span_local_free(local);
}

static span_status succeed(span_transport *transport, void *argument)
{
	(void)transport;
	atomic_fetch_add((atomic_int *)argument, 1);
	return SPAN_OK;
}

Test(local, run_runs_every_rank_and_can_run_again)
{
	span_local *local = local_of(5, NULL);
	atomic_int count = 0;

	cr_assert_eq(span_local_run(local, succeed, &count), SPAN_OK);
	cr_assert_eq(span_local_run(local, succeed, &count), SPAN_OK);
	cr_assert_eq(count, 10);
	span_local_free(local);
}

Test(local, what_was_aborted_does_not_run_again)
{
	span_local *local = local_of(2, NULL);
	atomic_int count = 0;

	messages_collect();
	span_local_transport(local, 1)->abort(NULL, SPAN_EIO);
	span_local_transport(local, 1)->abort(span_local_transport(local, 1), SPAN_EIO);
	cr_assert_eq(span_local_run(local, succeed, &count), SPAN_ECOMM);
	cr_assert_eq(count, 0);
	cr_assert_eq(messages_with("rank 1 aborted"), 1);
	span_local_free(local);
}

#define EXPECT_SAID(call, part)                                          \
	do {                                                             \
		messages_collect();                                      \
		cr_assert_eq(call, SPAN_EINVAL);                         \
		cr_assert_eq(messages_with(part), 1, "about %s", part);  \
	} while (0)

Test(local, arguments_that_are_wrong_are_named)
{
	span_local *local = local_of(2, NULL), *none = NULL;
	span_transport *a = span_local_transport(local, 0);
	span_message message = { .channel = 0, .bytes = 4 };
	span_message channel = { .channel = SPAN_CHANNELS };
	uint64_t inside = 7, between = 7;
	atomic_int count = 0;
	span_token token;
	int value = 0;

	EXPECT_SAID(span_local_create(0, NULL, &none), "ranks is 0");
	EXPECT_SAID(span_local_create(513, NULL, &none), "ranks is 513");
	EXPECT_SAID(span_local_create(2, NULL, NULL), "local is NULL");
	cr_assert_null(none);
	span_local_bytes(NULL, &inside, &between);
	cr_assert(inside == 0 && between == 0);
	EXPECT_SAID(span_local_run(NULL, succeed, &count), "local is NULL");
	EXPECT_SAID(span_local_run(local, NULL, &count), "body is NULL");
	EXPECT_SAID(a->post_send(NULL, 1, &message, &value, &token), "self");
	EXPECT_SAID(a->post_send(a, -1, &message, &value, &token), "rank -1");
	EXPECT_SAID(a->post_send(a, 2, &message, &value, &token), "rank 2");
	EXPECT_SAID(a->post_send(a, 1, NULL, &value, &token), "message");
	EXPECT_SAID(a->post_send(a, 1, &channel, &value, &token), "channel is 3");
	EXPECT_SAID(a->post_send(a, 1, &message, NULL, &token), "data is NULL");
	EXPECT_SAID(a->post_send(a, 1, &message, &value, NULL), "token");
	EXPECT_SAID(a->post_receive(NULL, 1, 0, &value, 4, &token), "self");
	EXPECT_SAID(a->post_receive(a, -1, 0, &value, 4, &token), "rank -1");
	EXPECT_SAID(a->post_receive(a, 2, 0, &value, 4, &token), "rank 2");
	EXPECT_SAID(a->post_receive(a, 1, 3, &value, 4, &token), "channel is 3");
	EXPECT_SAID(a->post_receive(a, 1, 0, NULL, 4, &token), "data is NULL");
	EXPECT_SAID(a->post_receive(a, 1, 0, &value, 4, NULL), "token");
	EXPECT_SAID(a->wait(NULL, token, 0, &message), "self");
	EXPECT_SAID(a->test(NULL, token, &value), "self");
	token = receive_value(a, 1, 0, &value);
	EXPECT_SAID(a->test(a, token, NULL), "done");
	messages_collect();
	cr_assert_null(span_local_transport(local, 2));
	cr_assert_null(span_local_transport(local, -1));
	cr_assert_null(span_local_transport(NULL, 0));
	cr_assert_eq(messages_with("span_local_transport"), 3);
	span_local_free(local);
	span_local_free(NULL);
}
