/* For ThreadSanitizer: ranks of both transports exchange blocks all with all, and sum weight
 * gradients. Exits 0 when every block and every sum is right. */
#include <stdio.h>
#include <stdlib.h>

#include "attention/span_gradient.h"
#include "attention/span_transport.h"
#include "tests/double/transport_async.h"

enum { RANKS = 6, WORDS = 2000, ROUNDS = 5, TILES = 11, LENGTH = 50 };

struct block {
	int32_t word[WORDS];
};

static void fill(struct block *block, int value)
{
	int i;

	for (i = 0; i < WORDS; i++)
		block->word[i] = value + i;
}

static int is_filled(const struct block *block, int value)
{
	int i;

	for (i = 0; i < WORDS; i++)
		if (block->word[i] != value + i)
			return 0;
	return 1;
}

/* Have what was received, in place or not, and compare it. */
static span_status take(span_transport *self, span_token token, int in_place,
                        const struct block *in, int value)
{
	const void *data = in;
	span_status status = in_place ? self->wait_in_place(self, token, 60, NULL, &data)
	                              : self->wait(self, token, 60, NULL);

	if (status)
		return status;
	if (!is_filled(data, value))
		status = SPAN_EINTEGRITY;
	if (in_place)
		self->release(self, token);
	return status;
}

static span_status exchange_round(span_transport *self, int round, struct block *out,
                                  struct block *in)
{
	span_message message = { .channel = (uint32_t)round % SPAN_CHANNELS,
	                         .bytes = sizeof *out };
	span_token sends[RANKS], receives[RANKS];
	span_status status = SPAN_OK;
	int peer;

	for (peer = 0; peer < RANKS; peer++) {
		fill(&out[peer], 1000 * self->rank + 100 * peer + round);
		if (self->post_receive(self, peer, message.channel, &in[peer], sizeof in[peer],
		                       &receives[peer]) ||
		    self->post_send(self, peer, &message, &out[peer], &sends[peer]))
			return SPAN_ECOMM;
	}
	for (peer = 0; peer < RANKS && !status; peer++) {
		status = take(self, receives[peer], (peer + round) % 2, &in[peer],
		              1000 * peer + 100 * self->rank + round);
		if (!status)
			status = self->wait(self, sends[peer], 60, NULL);
	}
	return status;
}

static span_status exchange(span_transport *self, void *argument)
{
	struct block *blocks = malloc(2 * RANKS * sizeof *blocks);
	span_status status = SPAN_OK;
	int round;

	(void)argument;
	for (round = 0; round < ROUNDS && !status; round++)
		status = exchange_round(self, round, blocks, blocks + RANKS);
	free(blocks);
	return status;
}

/* Tile t contributes t + i; small whole numbers add up without rounding. */
static span_status add_tiles(span_gradient *gradient, const span_layout *layout, int32_t rank)
{
	int64_t slot, count = span_layout_rank_tiles(layout, rank);
	span_status status = SPAN_OK;
	float *value;
	int i;

	for (slot = 0; slot < count && !status; slot++) {
		value = span_gradient_slot(gradient, slot);
		for (i = 0; i < LENGTH; i++)
			value[i] = (float)(span_layout_tile_at(layout, rank, slot) + i);
		status = span_gradient_add(gradient, slot, 1);
	}
	return status;
}

static span_status sum(span_transport *self, void *layout)
{
	span_gradient *gradient;
	float total[LENGTH];
	int64_t tokens = 0;
	span_status status;
	int i;

	status = span_gradient_create(layout, self, LENGTH, 60, &gradient);
	if (status)
		return status;
	status = add_tiles(gradient, layout, self->rank);
	if (!status)
		status = span_gradient_sum(gradient, total, &tokens);
	for (i = 0; i < LENGTH && !status; i++)
		if (total[i] != TILES * (TILES - 1) / 2 + TILES * i || tokens != TILES)
			status = SPAN_EINTEGRITY;
	span_gradient_free(gradient);
	return status;
}

static int failures;

static void expect(const char *what, span_status status)
{
	if (!status)
		return;
	printf("%s: %s\n", what, span_strerror(status));
	failures++;
}

int main(void)
{
	const int32_t group[RANKS] = { 0, 0, 0, 0, 1, 1 };
	const span_async_options options = { .ranks = RANKS, .seed = 11 };
	span_layout *layout;
	span_local *local;
	span_async *async;

	if (span_layout_create(TILES * 16, 16, SPAN_LAYOUT_ZIGZAG, RANKS, &layout) ||
	    span_local_create(RANKS, group, &local) || span_async_create(&options, &async))
		return 1;
	expect("local exchange", span_local_run(local, exchange, NULL));
	expect("local sum", span_local_run(local, sum, layout));
	expect("async exchange", span_async_run(async, exchange, NULL));
	expect("async sum", span_async_run(async, sum, layout));
	span_async_free(async);
	span_local_free(local);
	span_layout_free(layout);
	return failures != 0;
}
