/* The journeys of the blocks: for each kind of order, which rank gets a block from whom, and
 * when. All ranks count steps by one clock, and a message is posted in the same step at both
 * its ends; so step n of every rank waits only for earlier steps of others, and no order can
 * deadlock.
 *
 * A ring is one circle of all places; node-first has a circle for each group. In a circle of
 * n ranks, n blocks stand in n slots and move one rank a step: a rank meets each of them once
 * in n steps, and never two in one step.
 *
 * Blocks move to lower places, and round from the first to the last. Under a causal mask with a
 * zigzag layout the ranks below a block's own see all of it, those above only its earlier
 * half: so the ranks that need less stand at the end of each journey, and what they do not
 * need is left behind (attention/program_gather.c). */
#include "topo/order/order.h"

#include <assert.h>

struct circles {
	int32_t count;
	const int32_t *first; /* [count + 1] the first place of each, and P */
};

/* A block on its way through the circles. */
struct journey {
	const span_order *order;
	span_order_visit *visit;
	void *argument;
	int32_t block;
	int32_t carrier; /* who passes it to the next circle: where it entered the last one */
	int32_t ready;   /* the first step in which the carrier can send it */
};

static int32_t max(int32_t a, int32_t b)
{
	return a > b ? a : b;
}

static void emit(const struct journey *journey, int32_t from, int32_t to, int32_t post,
                 int32_t use)
{
	struct span_order_leg leg = {
		.block = journey->block,
		.from = from,
		.to = to,
		.post = post,
		.use = use,
	};

	if (to == journey->block) {
		assert(use == 0);
		leg.from = -1;
	} else {
		assert(0 <= post && post < use);
	}
	journey->visit(journey->argument, &leg);
}

/* Lead the block through one circle of n ranks from place `first`, which it enters at `slot`
 * in step `start`: from each rank that needs it straight to the next that does. The way in
 * from another circle has the n steps before `start` for its message, as far as the carrier
 * has the block then. */
static void go_round(struct journey *journey, int32_t first, int32_t n, int32_t slot,
                     int32_t start, int inside)
{
	const span_order *order = journey->order;
	int32_t previous = journey->carrier;

	for (int32_t i = 0; i < n; i++) {
		int32_t rank = order->rank_at[first + (slot - i + n) % n];
		int32_t post = start + i - 1;

		if (!span_order_needs(order, rank, journey->block))
			continue;
		if (!inside) {
			post = max(journey->ready, start - n);
			journey->carrier = rank;
			journey->ready = start;
			inside = 1;
		}
		emit(journey, previous, rank, post, start + i);
		previous = rank;
	}
}

/* Circle g takes the blocks of the circles after it, nearest circle first, n at a time: the
 * m-th of them stands in slot m mod n from step n (1 + floor(m / n)) on. In even circles that
 * is the owner's local index, so a block stays on one rail.
 *
 * The circle after g, of k ranks, has begun with that block in step k floor(m / k) <= m,
 * which is before n (1 + floor(m / n)) > m: the block is always there in time. */
static void route_circles(struct journey *journey, const struct circles *circles, int32_t home)
{
	int32_t place = journey->order->place_of[journey->block];
	int32_t local = place - circles->first[home];
	int32_t m = local;

	journey->carrier = journey->block;
	journey->ready = 0;
	go_round(journey, circles->first[home], circles->first[home + 1] - circles->first[home],
	         local, 0, 1);
	for (int32_t d = 1; d < circles->count; d++) {
		int32_t g = (home - d + circles->count) % circles->count;
		int32_t n = circles->first[g + 1] - circles->first[g];

		go_round(journey, circles->first[g], n, m % n, n * (1 + m / n), 0);
		m += n;
	}
}

/* Every block straight from its owner. With a power of two of ranks, two ranks exchange their
 * blocks in each step. */
static void route_direct(const struct journey *journey, int at_once)
{
	const span_order *order = journey->order;
	int32_t ranks = order->ranks, home = order->place_of[journey->block];
	int exchange = (ranks & (ranks - 1)) == 0;

	for (int32_t place = 0; place < ranks; place++) {
		int32_t rank = order->rank_at[place];
		int32_t use = exchange ? (place ^ home) : (place - home + ranks) % ranks;

		if (span_order_needs(order, rank, journey->block))
			emit(journey, journey->block, rank, at_once ? 0 : use - 1, use);
	}
}

void span_order_route(const span_order *order, span_order_visit *visit, void *argument)
{
	const int32_t all[2] = { 0, order->ranks };
	const struct circles ring = { 1, all };
	const struct circles groups = { order->groups, order->group_first };
	struct journey journey = { .order = order, .visit = visit, .argument = argument };

	for (int32_t block = 0; block < order->ranks; block++) {
		journey.block = block;
		switch (order->kind) {
		case SPAN_ORDER_AUTO:
			assert(!"resolved at create");
			break;
		case SPAN_ORDER_RING:
			route_circles(&journey, &ring, 0);
			break;
		case SPAN_ORDER_NODE_FIRST:
			route_circles(&journey, &groups, order->group_of[block]);
			break;
		case SPAN_ORDER_PAIRWISE:
			route_direct(&journey, 0);
			break;
		case SPAN_ORDER_ALL_GATHER:
			route_direct(&journey, 1);
			break;
		}
	}
}
