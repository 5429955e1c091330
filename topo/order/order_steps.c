/* From legs to steps, and from steps to buffers. */
#include "topo/order/order.h"

#include <stdlib.h>

static span_order_step *step_of(const span_order *order, int32_t rank, int32_t step)
{
	return &order->steps[order->step_first[rank] + step];
}

static void at_least(size_t *length, int32_t n)
{
	if (*length < (size_t)n)
		*length = (size_t)n;
}

/* The first of three passes: how many steps each rank has, at step_first[rank + 1]. */
static void measure_leg(void *argument, const struct span_order_leg *leg)
{
	span_order *order = argument;

	at_least(&order->step_first[leg->to + 1], leg->use + 1);
	if (leg->from >= 0)
		at_least(&order->step_first[leg->from + 1], leg->post + 1);
}

/* The second: what each step has. */
static void count_leg(void *argument, const struct span_order_leg *leg)
{
	span_order *order = argument;

	step_of(order, leg->to, leg->use)->compute = leg->block;
	if (leg->from < 0)
		return;
	step_of(order, leg->to, leg->post)->n_receives++;
	step_of(order, leg->from, leg->post)->n_sends++;
}

static void append(span_order_transfer *all, const span_order_transfer *first, int32_t *n,
                   int32_t peer, int32_t block)
{
	all[first - all + (*n)++] = (span_order_transfer){ peer, block };
}

/* The third: the transfers. Legs come by block, so that messages of one step between one
 * pair of ranks stand in the same order at both ends. */
static void place_leg(void *argument, const struct span_order_leg *leg)
{
	span_order *order = argument;
	span_order_step *to, *from;

	if (leg->from < 0)
		return;
	to = step_of(order, leg->to, leg->post);
	append(order->receives, to->receives, &to->n_receives, leg->from, leg->block);
	from = step_of(order, leg->from, leg->post);
	append(order->sends, from->sends, &from->n_sends, leg->to, leg->block);
}

/* Give each step its part of the transfers, and empty it for place_leg. */
static span_status allocate_transfers(span_order *order)
{
	size_t n = order->step_first[order->ranks], receives = 0, sends = 0;

	for (size_t i = 0; i < n; i++) {
		receives += (size_t)order->steps[i].n_receives;
		sends += (size_t)order->steps[i].n_sends;
	}
	order->receives = malloc((receives + 1) * sizeof(*order->receives));
	order->sends = malloc((sends + 1) * sizeof(*order->sends));
	if (!order->receives || !order->sends)
		return SPAN_ENOMEM;
	receives = sends = 0;
	for (size_t i = 0; i < n; i++) {
		span_order_step *step = &order->steps[i];

		step->receives = order->receives + receives;
		step->sends = order->sends + sends;
		receives += (size_t)step->n_receives;
		sends += (size_t)step->n_sends;
		step->n_receives = step->n_sends = 0;
	}
	return SPAN_OK;
}

static span_status allocate_steps(span_order *order)
{
	size_t n;

	for (int32_t rank = 0; rank < order->ranks; rank++)
		order->step_first[rank + 1] += order->step_first[rank];
	n = order->step_first[order->ranks];
	order->steps = calloc(n + 1, sizeof(*order->steps));
	if (!order->steps)
		return SPAN_ENOMEM;
	for (size_t i = 0; i < n; i++)
		order->steps[i].compute = -1;
	return SPAN_OK;
}

span_status span_order_build_steps(span_order *order)
{
	span_status status;

	span_order_route(order, measure_leg, order);
	status = allocate_steps(order);
	if (status)
		return status;
	span_order_route(order, count_leg, order);
	status = allocate_transfers(order);
	if (status)
		return status;
	span_order_route(order, place_leg, order);
	return SPAN_OK;
}

/* Where a rank's received blocks are, step by step. */
struct shelf {
	int32_t *taken; /* [P] the step that receives each block, or -1 */
	int32_t *until; /* [P] the last step that holds it */
	int32_t *delta; /* [steps + 1] blocks taken less blocks given up */
};

/* First the steps in which each rank first uses each block, -1 for never. */
static void find_first_uses(const span_order *order, int32_t *first)
{
	size_t ranks = (size_t)order->ranks;

	for (size_t i = 0; i < ranks * ranks; i++)
		first[i] = -1;
	for (int32_t rank = 0; rank < order->ranks; rank++) {
		int32_t *use = first + rank * ranks;

		for (int32_t s = span_order_steps(order, rank) - 1; s >= 0; s--) {
			const span_order_step *step = step_of(order, rank, s);

			if (step->compute >= 0)
				use[step->compute] = s;
			for (int32_t i = 0; i < step->n_sends; i++)
				use[step->sends[i].block] = s;
		}
	}
}

static void hold(struct shelf *shelf, int32_t block, int32_t step)
{
	if (shelf->until[block] < step)
		shelf->until[block] = step;
}

/* Fill the shelf from one step. A block sent on is held to the step before its receiver uses
 * it, which is when a message that is as slow as it may be has left. */
static void shelve_step(const span_order *order, const int32_t *first,
                        const span_order_step *step, int32_t s, struct shelf *shelf)
{
	for (int32_t i = 0; i < step->n_receives; i++) {
		shelf->taken[step->receives[i].block] = s;
		hold(shelf, step->receives[i].block, s);
	}
	if (step->compute >= 0)
		hold(shelf, step->compute, s);
	for (int32_t i = 0; i < step->n_sends; i++) {
		int32_t peer = step->sends[i].peer, block = step->sends[i].block;

		hold(shelf, block, s);
		hold(shelf, block, first[(size_t)peer * order->ranks + block] - 1);
	}
}

static int32_t count_rank(const span_order *order, const int32_t *first, int32_t rank,
                          struct shelf *shelf)
{
	int32_t steps = span_order_steps(order, rank), held = 0, most = 0;

	for (int32_t block = 0; block < order->ranks; block++)
		shelf->taken[block] = shelf->until[block] = -1;
	for (int32_t s = 0; s <= steps; s++)
		shelf->delta[s] = 0;
	for (int32_t s = 0; s < steps; s++)
		shelve_step(order, first, step_of(order, rank, s), s, shelf);
	for (int32_t block = 0; block < order->ranks; block++) {
		if (shelf->taken[block] < 0)
			continue;
		shelf->delta[shelf->taken[block]]++;
		if (shelf->until[block] < steps)
			shelf->delta[shelf->until[block] + 1]--;
	}
	for (int32_t s = 0; s < steps; s++) {
		held += shelf->delta[s];
		if (most < held)
			most = held;
	}
	return most;
}

static int32_t most_steps(const span_order *order)
{
	int32_t most = 0;

	for (int32_t rank = 0; rank < order->ranks; rank++)
		if (most < span_order_steps(order, rank))
			most = span_order_steps(order, rank);
	return most;
}

span_status span_order_count_buffers(span_order *order)
{
	size_t ranks = (size_t)order->ranks;
	int32_t *first = malloc(ranks * ranks * sizeof(*first));
	struct shelf shelf = {
		.taken = malloc(ranks * sizeof(*shelf.taken)),
		.until = malloc(ranks * sizeof(*shelf.until)),
		.delta = malloc(((size_t)most_steps(order) + 1) * sizeof(*shelf.delta)),
	};
	span_status status = SPAN_ENOMEM;

	if (first && shelf.taken && shelf.until && shelf.delta) {
		find_first_uses(order, first);
		for (int32_t rank = 0; rank < order->ranks; rank++)
			order->buffers[rank] = count_rank(order, first, rank, &shelf);
		status = SPAN_OK;
	}
	free(first);
	free(shelf.taken);
	free(shelf.until);
	free(shelf.delta);
	return status;
}
