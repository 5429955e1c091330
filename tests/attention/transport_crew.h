/* For tests of what all transports promise: some ranks of the local or of the asynchronous
 * transport. Posts never block, so one thread can play several ranks. */
#ifndef TESTS_TRANSPORT_CREW_H
#define TESTS_TRANSPORT_CREW_H

#include <criterion/criterion.h>

#include "attention/span_transport.h"
#include "tests/double/transport_async.h"

static inline span_local *local_of(int32_t ranks, const int32_t *group)
{
	span_local *local = NULL;

	cr_assert_eq(span_local_create(ranks, group, &local), SPAN_OK);
	return local;
}

struct crew {
	span_local *local;
	span_async *async;
};

static inline struct crew crew_of(int asynchronous, int32_t ranks)
{
	struct crew crew = { NULL, NULL };

	if (asynchronous)
		span_async_create(&(span_async_options){ .ranks = ranks, .seed = 5 }, &crew.async);
	else
		crew.local = local_of(ranks, NULL);
	return crew;
}

static inline span_transport *rank_of(const struct crew *crew, int32_t rank)
{
	return crew->async ? span_async_transport(crew->async, rank)
	                   : span_local_transport(crew->local, rank);
}

static inline void crew_free(struct crew *crew)
{
	if (crew->async)
		cr_expect_eq(span_async_outstanding(crew->async), 0);
	span_async_free(crew->async);
	span_local_free(crew->local);
}

/* A test that runs once with each transport. */
#define BOTH(suite, name)                                     \
	static void name(int asynchronous);                   \
	Test(suite, local_##name)                             \
	{                                                     \
		name(0);                                      \
	}                                                     \
	Test(suite, async_##name)                             \
	{                                                     \
		name(1);                                      \
	}                                                     \
	static void name(int asynchronous)

static const double long_time = 60;

static inline span_token send_value(span_transport *from, int32_t to, uint32_t channel,
                                    uint32_t step, const int *value)
{
	span_message message = { .channel = channel, .step = step, .owner = 77, .origin = 88,
	                         .epoch = 99, .bytes = sizeof *value, .digest = 111 };
	span_token token;

	cr_assert_eq(from->post_send(from, to, &message, value, &token), SPAN_OK);
	return token;
}

static inline span_token receive_value(span_transport *to, int32_t from, uint32_t channel,
                                       int *value)
{
	span_token token;

	cr_assert_eq(to->post_receive(to, from, channel, value, sizeof *value, &token), SPAN_OK);
	return token;
}

static inline span_status wait_for(span_transport *rank, span_token token)
{
	span_message message;

	return rank->wait(rank, token, long_time, &message);
}

static inline span_status run(struct crew *crew, span_local_body *body, void *argument)
{
	return crew->async ? span_async_run(crew->async, body, argument)
	                   : span_local_run(crew->local, body, argument);
}

#endif
