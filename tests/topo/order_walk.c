/* Execute an order with no kernel and no transport, under a random schedule. */
#include "tests/topo/order_walk.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_RANKS 64

/* Messages posted between one pair of ranks. */
struct wire {
	int sent;
	int received;
	int8_t sends[MAX_RANKS];
	int8_t receives[MAX_RANKS];
};

struct flight {
	int from;
	int to;
	int block;
};

enum { ABSENT, RECEIVING, ARRIVED };

struct rank_state {
	int step;
	int held;                  /* buffers in use */
	int8_t block[MAX_RANKS];   /* ABSENT, RECEIVING, ARRIVED */
	int8_t leaving[MAX_RANKS]; /* sends of a block that are not complete */
	int8_t computed[MAX_RANKS];
	int16_t last_use[MAX_RANKS];
};

struct walk {
	const span_order *order;
	int ranks;
	uint64_t random;
	char *why;
	struct wire wires[MAX_RANKS * MAX_RANKS];
	struct rank_state state[MAX_RANKS];
	struct flight flights[MAX_RANKS * MAX_RANKS];
	int n_flights;
};

static int wrong(struct walk *walk, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int wrong(struct walk *walk, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(walk->why, 160, format, arguments);
	va_end(arguments);
	return 0;
}

/* Xorshift: Marsaglia 2003, Journal of Statistical Software 8(14). */
static int below(struct walk *walk, int n)
{
	walk->random ^= walk->random << 13;
	walk->random ^= walk->random >> 7;
	walk->random ^= walk->random << 17;
	return (int)((walk->random >> 11) % (uint64_t)n);
}

static void prepare(struct walk *walk)
{
	for (int i = 0; i < walk->ranks * walk->ranks; i++)
		walk->wires[i].sent = walk->wires[i].received = 0;
	walk->n_flights = 0;
	memset(walk->state, 0, sizeof(walk->state));
	for (int rank = 0; rank < walk->ranks; rank++) {
		struct rank_state *state = &walk->state[rank];

		state->block[rank] = ARRIVED;
		for (int s = 0; s < span_order_steps(walk->order, rank); s++) {
			const span_order_step *step = span_order_step_at(walk->order, rank, s);

			if (step->compute >= 0)
				state->last_use[step->compute] = (int16_t)s;
			for (int i = 0; i < step->n_sends; i++)
				state->last_use[step->sends[i].block] = (int16_t)s;
		}
	}
}

/* Give up the buffers of blocks that this step and later ones do not use. */
static void reclaim(struct walk *walk, int rank)
{
	struct rank_state *state = &walk->state[rank];

	for (int block = 0; block < walk->ranks && state->held; block++) {
		if (block == rank || state->block[block] != ARRIVED || state->leaving[block] ||
		    state->last_use[block] >= state->step)
			continue;
		state->block[block] = ABSENT;
		state->held--;
	}
}

static int is_ready(const struct walk *walk, int rank, const span_order_step *step)
{
	const struct rank_state *state = &walk->state[rank];

	if (state->held + step->n_receives > span_order_buffers(walk->order, rank))
		return 0;
	if (step->compute >= 0 && state->block[step->compute] != ARRIVED)
		return 0;
	for (int i = 0; i < step->n_sends; i++)
		if (state->block[step->sends[i].block] != ARRIVED)
			return 0;
	return 1;
}

/* A pair that has the n-th message at both ends sets it off. */
static int match(struct walk *walk, int from, int to, int n)
{
	struct wire *wire = &walk->wires[from * walk->ranks + to];

	if (n >= wire->sent || n >= wire->received)
		return 1;
	if (wire->sends[n] != wire->receives[n])
		return wrong(walk, "rank %d sends block %d to rank %d, which expects block %d", from,
		             wire->sends[n], to, wire->receives[n]);
	walk->flights[walk->n_flights++] = (struct flight){ from, to, wire->sends[n] };
	return 1;
}

static int post_receive(struct walk *walk, int rank, const span_order_transfer *transfer)
{
	struct wire *wire = &walk->wires[transfer->peer * walk->ranks + rank];
	struct rank_state *state = &walk->state[rank];

	if (state->block[transfer->block] != ABSENT)
		return wrong(walk, "rank %d receives block %d, which it has", rank, transfer->block);
	if (wire->received == MAX_RANKS)
		return wrong(walk, "rank %d receives too much from rank %d", rank, transfer->peer);
	state->block[transfer->block] = RECEIVING;
	state->held++;
	wire->receives[wire->received++] = (int8_t)transfer->block;
	return match(walk, transfer->peer, rank, wire->received - 1);
}

static int post_send(struct walk *walk, int rank, const span_order_transfer *transfer)
{
	struct wire *wire = &walk->wires[rank * walk->ranks + transfer->peer];

	if (wire->sent == MAX_RANKS)
		return wrong(walk, "rank %d sends too much to rank %d", rank, transfer->peer);
	walk->state[rank].leaving[transfer->block]++;
	wire->sends[wire->sent++] = (int8_t)transfer->block;
	return match(walk, rank, transfer->peer, wire->sent - 1);
}

/* Start the next step of a rank if it can be. *moved tells whether it did. */
static int turn(struct walk *walk, int rank, int *moved)
{
	struct rank_state *state = &walk->state[rank];
	const span_order_step *step;

	*moved = 0;
	if (state->step == span_order_steps(walk->order, rank))
		return 1;
	step = span_order_step_at(walk->order, rank, state->step);
	reclaim(walk, rank);
	if (!is_ready(walk, rank, step))
		return 1;
	for (int i = 0; i < step->n_receives; i++)
		if (!post_receive(walk, rank, &step->receives[i]))
			return 0;
	for (int i = 0; i < step->n_sends; i++)
		if (!post_send(walk, rank, &step->sends[i]))
			return 0;
	if (step->compute >= 0)
		state->computed[step->compute]++;
	state->step++;
	*moved = 1;
	return 1;
}

static void land(struct walk *walk, int i)
{
	struct flight flight = walk->flights[i];

	walk->flights[i] = walk->flights[--walk->n_flights];
	walk->state[flight.from].leaving[flight.block]--;
	walk->state[flight.to].block[flight.block] = ARRIVED;
}

/* One try of every rank, and nothing under way: if none moves, none ever will. */
static int sweep(struct walk *walk, int *moved)
{
	*moved = 0;
	while (walk->n_flights)
		land(walk, walk->n_flights - 1);
	for (int rank = 0; rank < walk->ranks && !*moved; rank++)
		if (!turn(walk, rank, moved))
			return 0;
	return 1;
}

static int unfinished(const struct walk *walk)
{
	for (int rank = 0; rank < walk->ranks; rank++)
		if (walk->state[rank].step < span_order_steps(walk->order, rank))
			return rank;
	return -1;
}

static int run(struct walk *walk)
{
	int failed = 0, moved;

	for (;;) {
		if (walk->n_flights && below(walk, 3) == 0)
			land(walk, below(walk, walk->n_flights));
		if (!turn(walk, below(walk, walk->ranks), &moved))
			return 0;
		failed = moved ? 0 : failed + 1;
		if (failed < 2 * walk->ranks)
			continue;
		if (!sweep(walk, &moved))
			return 0;
		failed = 0;
		if (!moved)
			return 1;
	}
}

static int judge(struct walk *walk, const uint8_t *need)
{
	int stuck = unfinished(walk);

	if (stuck >= 0)
		return wrong(walk, "rank %d never starts step %d", stuck, walk->state[stuck].step);
	for (int a = 0; a < walk->ranks; a++) {
		for (int b = 0; b < walk->ranks; b++) {
			const struct wire *wire = &walk->wires[a * walk->ranks + b];

			if (walk->state[a].computed[b] != (need[a * walk->ranks + b] != 0))
				return wrong(walk, "rank %d computes block %d %d times", a, b,
				             walk->state[a].computed[b]);
			if (wire->sent != wire->received)
				return wrong(walk, "rank %d sends %d blocks to rank %d, not %d", a,
				             wire->sent, b, wire->received);
		}
	}
	return 1;
}

int order_walk(const span_order *order, const uint8_t *need, uint64_t seed, char why[160])
{
	struct walk *walk = malloc(sizeof(*walk));
	int right;

	if (!walk)
		return 0;
	walk->order = order;
	walk->ranks = span_order_ranks(order);
	walk->random = seed * 2 + 1;
	walk->why = why;
	prepare(walk);
	right = run(walk) && judge(walk, need);
	free(walk);
	return right;
}
