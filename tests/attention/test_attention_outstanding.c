/* How many messages a rank has posted and not waited for: never more than planned, and an order
 * that needs more than a transport takes is refused. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "attention/op.h"
#include "tests/attention/attention_case.h"
#include "tests/topo/log_capture.h"
#include "tests/topo/order_cases.h"

/* A transport that counts what passes through it to another. */
struct counting {
	span_transport transport; /* first, so that a transport is its counter */
	span_transport *inner;
	int64_t now, most;
};

static struct counting *counter_of(span_transport *self)
{
	return (struct counting *)self;
}

static span_status count_post(struct counting *c, span_status status)
{
	c->now += status == SPAN_OK;
	c->most = c->now > c->most ? c->now : c->most;
	return status;
}

static span_status post_send(span_transport *self, int32_t to, const span_message *message,
                             const void *data, span_token *token)
{
	struct counting *c = counter_of(self);

	return count_post(c, c->inner->post_send(c->inner, to, message, data, token));
}

static span_status post_receive(span_transport *self, int32_t from, uint32_t channel, void *data,
                                size_t capacity, span_token *token)
{
	struct counting *c = counter_of(self);

	return count_post(c, c->inner->post_receive(c->inner, from, channel, data, capacity,
	                                            token));
}

static span_status wait_for(span_transport *self, span_token token, double seconds,
                            span_message *message)
{
	struct counting *c = counter_of(self);

	c->now--;
	return c->inner->wait(c->inner, token, seconds, message);
}

static span_status hold(span_transport *self, span_token token, double seconds,
                        span_message *message, const void **data)
{
	struct counting *c = counter_of(self);

	return c->inner->wait_in_place(c->inner, token, seconds, message, data);
}

static void release(span_transport *self, span_token token)
{
	struct counting *c = counter_of(self);

	c->now--;
	c->inner->release(c->inner, token);
}

static void give_up(span_transport *self, span_status why)
{
	struct counting *c = counter_of(self);

	c->inner->abort(c->inner, why);
}

static struct counting count_on(span_transport *inner)
{
	struct counting c = { .transport = *inner, .inner = inner };

	c.transport.post_send = post_send;
	c.transport.post_receive = post_receive;
	c.transport.wait = wait_for;
	c.transport.abort = give_up;
	c.transport.wait_in_place = hold;
	c.transport.release = release;
	return c;
}

/* ---- running ---- */

struct run {
	attention_case c;
	const span_order *order; /* NULL, or instead of that of the case */
	int64_t forward[CASE_MAX_RANKS]; /* most outstanding */
	int64_t both[CASE_MAX_RANKS];
	int64_t planned[CASE_MAX_RANKS];
};

static span_status call(span_attention *op, struct run *run, struct counting *counting)
{
	const span_layout *layout = span_attention_layout(op);
	int32_t rank = counting->transport.rank;
	int64_t s = span_layout_rank_tokens(layout, rank);
	size_t each = (size_t)(s * run->c.query_heads * run->c.head_size + 16);
	float *memory = calloc(6 * each, sizeof(float));
	void *workspace = aligned_alloc(64, span_attention_workspace_bytes(op));
	span_tensor t[5];
	span_status status;

	for (int i = 0; i < 5; i++)
		t[i] = span_tensor_bshd(memory + (size_t)i * each, SPAN_F32, s, run->c.query_heads,
		                        run->c.head_size);
	status = span_attention_forward(op, &t[0], &t[0], &t[0], &t[1], memory + 5 * each, workspace);
	run->forward[rank] = counting->most;
	if (status == SPAN_OK)
		status = span_attention_backward(op, &t[0], &t[0], &t[0], &t[1], &t[1],
		                                 memory + 5 * each, &t[2], &t[3], &t[4], workspace);
	run->both[rank] = counting->most;
	run->planned[rank] = op->program->outstanding;
	free(workspace);
	free(memory);
	return status;
}

static span_status run_rank(span_transport *transport, void *argument)
{
	struct run *run = argument;
	struct counting counting = count_on(transport);
	span_attention_options options = case_options(&run->c, &counting.transport);
	span_attention *op = NULL;
	span_status status;

	options.custom_order = run->order;
	status = span_attention_create(&options, &op);
	if (status == SPAN_OK)
		status = call(op, run, &counting);
	span_attention_free(op);
	return status;
}

static span_status run_all(struct run *run)
{
	int32_t group[CASE_MAX_RANKS];
	span_local *local;
	span_status status;

	order_case_group(run->c.grouping, run->c.ranks, group);
	cr_assert_eq(span_local_create(run->c.ranks, group, &local), SPAN_OK);
	status = span_local_run(local, run_rank, run);
	span_local_free(local);
	return status;
}

static attention_case case_of(int32_t ranks, int order)
{
	return (attention_case){ .batch = 1, .tokens = 32 * ranks, .tile = 16, .query_heads = 1,
		                 .kv_heads = 1, .head_size = 8, .dtype = SPAN_F32, .ranks = ranks,
		                 .order = order, .threads = 1 };
}

/* In every kind of order, and less than half of what a transport takes. */
Test(outstanding, messages_are_never_more_than_planned)
{
	for (int i = 0; i < 2 * GROUP_CASES * SPAN_ORDER_ALL_GATHER; i++) {
		struct run run = { .c = case_of(i % 2 ? 8 : 7, 1 + i / 2 % SPAN_ORDER_ALL_GATHER) };

		run.c.grouping = i / 2 / SPAN_ORDER_ALL_GATHER;
		run.c.way_back = i % 3;
		run.c.mask = i / 3 % 2;
		cr_assert_eq(run_all(&run), SPAN_OK);
		for (int32_t r = 0; r < run.c.ranks; r++) {
			cr_assert_leq(run.both[r], run.planned[r], "case %d rank %d", i, r);
			cr_assert_lt(2 * run.planned[r], SPAN_TRANSPORT_OUTSTANDING(run.c.ranks));
		}
	}
}

/* ---- one rank serves all ---- */

/* All blocks go to rank 0, which then sends each of them to everyone. */
static void write_hub(FILE *text, int32_t ranks)
{
	fprintf(text, "span-order 1\nkind ring\nway-back direct\nranks %d\n", ranks);
	for (int32_t r = 0; r < ranks; r++)
		fprintf(text, "need %d 0 %d\n", r, ranks - 1);
	for (int32_t r = 0; r < ranks; r++) {
		fprintf(text, "rank %d\nstep 0\n", r);
		for (int32_t b = 1; b < ranks && r == 0; b++)
			fprintf(text, "receive %d from %d\n", b, b);
		fprintf(text, r == 0 ? "" : "send %d to 0\n", r);
		fprintf(text, "step 1\n");
		for (int32_t b = 0; b < ranks; b++)
			for (int32_t q = 1; q < ranks; q++)
				if (r == 0 && q != b)
					fprintf(text, "send %d to %d\n", b, q);
				else if (r == q && q != b)
					fprintf(text, "receive %d from 0\n", b);
		for (int32_t b = 0; b < ranks; b++)
			fprintf(text, "step %d\ncompute %d\n", 2 + b, b);
	}
	fprintf(text, "end\n");
}

static span_order *make_hub(int32_t ranks)
{
	FILE *text = tmpfile();
	span_order *order = NULL;

	write_hub(text, ranks);
	rewind(text);
	cr_assert_eq(span_order_load(text, "hub", &order), SPAN_OK, "%s", log_captured());
	fclose(text);
	return order;
}

Test(outstanding, a_rank_that_serves_all_sends_everything_at_once)
{
	struct run run = { .c = case_of(6, SPAN_ORDER_AUTO) };
	span_order *hub;

	log_capture();
	hub = make_hub(6);
	run.order = hub;
	cr_assert_eq(run_all(&run), SPAN_OK, "%s", log_captured());
	cr_assert_eq(run.forward[0], 5 * 5);
	cr_assert_eq(run.forward[1], 5 + 1);
	for (int32_t r = 0; r < 6; r++)
		cr_assert_leq(run.both[r], run.planned[r], "rank %d", r);
	span_order_free(hub);
}

/* 15 blocks to 15 ranks are 225 messages; a transport of 16 ranks takes 192. */
Test(outstanding, an_order_that_needs_more_than_a_transport_takes_is_refused)
{
	attention_case c = case_of(16, SPAN_ORDER_AUTO);
	span_attention_options options = case_options(&c, NULL);
	span_attention *op = NULL;
	span_local *local;
	span_order *hub;

	log_capture();
	hub = make_hub(16);
	cr_assert_eq(span_local_create(16, NULL, &local), SPAN_OK);
	options.transport = span_local_transport(local, 0);
	options.custom_order = hub;
	cr_assert_eq(span_attention_create(&options, &op), SPAN_EUNSUPPORTED);
	cr_assert(strstr(log_captured(), "custom_order has rank 0 post 2"), "%s", log_captured());
	cr_assert(strstr(log_captured(), "takes 192"), "%s", log_captured());
	span_local_free(local);
	span_order_free(hub);
}
