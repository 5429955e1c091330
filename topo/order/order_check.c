/* The proof of an order. It knows nothing of how orders are built: it reads the steps through
 * the public queries, pairs every send with its receive, and then lets the ranks run.
 *
 * One run proves all: starting a step or completing a message never takes from another rank
 * what it needs, so what the ranks reach does not depend on who goes first. Where the model
 * has a choice it is the hard one: a rank posts nothing of a step before it has all that the
 * step uses and a buffer for all that it receives. */
#include "topo/span_order.h"

#include <stdlib.h>

#include "topo/log.h"

struct message {
	int32_t block;
	int32_t step; /* of the sender */
	int offered;
	int accepted;
};

struct checker {
	const span_order *order;
	int32_t ranks;

	/* One rank at a time, by block. */
	int32_t *received; /* the step that receives it, or -1 */
	int32_t *used;     /* the last step that computes on it or sends it, or -1 */
	uint8_t *computed;

	/* Messages, ordered by sender, receiver, and the sender's posting. */
	struct message *messages;
	int32_t *first;   /* [P * P + 1] by sender * P + receiver */
	int32_t *offers;  /* [P * P] sends posted so far */
	int32_t *accepts; /* [P * P] receives posted so far */

	/* The run, by rank, or by rank * P + block. */
	int32_t *step; /* the next to start */
	int32_t *free; /* buffers */
	int32_t *uses; /* what is still to be done with a received block */
	uint8_t *here;
	uint8_t *queued;
	int32_t *queue; /* ring of ranks that may be able to go on */
	int32_t head;
	int32_t waiting;
};

static span_status violation(int32_t rank, int32_t step, int32_t block, const char *what)
{
	return span_fail(SPAN_EINVAL, "span_order_check: rank %d, step %d: block %d %s",
	                 rank, step, block, what);
}

static size_t pair(const struct checker *checker, int32_t a, int32_t b)
{
	return (size_t)a * (size_t)checker->ranks + (size_t)b;
}

/* --- what one rank does, taken by itself ---------------------------------------------- */

static span_status check_transfer(const struct checker *checker, int32_t rank, int32_t step,
                                  const span_order_transfer *transfer)
{
	if (transfer->block < 0 || transfer->block >= checker->ranks)
		return violation(rank, step, transfer->block, "does not exist");
	if (transfer->peer < 0 || transfer->peer >= checker->ranks || transfer->peer == rank)
		return span_fail(SPAN_EINVAL,
		                 "span_order_check: rank %d, step %d: block %d has rank %d at "
		                 "its other end",
		                 rank, step, transfer->block, transfer->peer);
	return SPAN_OK;
}

/* The rank has the block before this step begins, and now uses it. */
static span_status check_use(struct checker *checker, int32_t rank, int32_t step, int32_t block)
{
	if (block != rank && checker->received[block] < 0)
		return violation(rank, step, block, "is used and was not received");
	if (block != rank && checker->received[block] == step)
		return violation(rank, step, block, "is used in the step that receives it");
	checker->used[block] = step;
	return SPAN_OK;
}

static span_status check_receives(struct checker *checker, int32_t rank, int32_t s,
                                  const span_order_step *step)
{
	for (int32_t i = 0; i < step->n_receives; i++) {
		int32_t block = step->receives[i].block;
		span_status status = check_transfer(checker, rank, s, &step->receives[i]);

		if (status)
			return status;
		if (block == rank)
			return violation(rank, s, block, "is received by its owner");
		if (checker->received[block] >= 0)
			return violation(rank, s, block, "is received twice");
		checker->received[block] = s;
	}
	return SPAN_OK;
}

static span_status check_sends(struct checker *checker, int32_t rank, int32_t s,
                               const span_order_step *step)
{
	for (int32_t i = 0; i < step->n_sends; i++) {
		span_status status = check_transfer(checker, rank, s, &step->sends[i]);

		if (!status)
			status = check_use(checker, rank, s, step->sends[i].block);
		if (status)
			return status;
	}
	return SPAN_OK;
}

static span_status check_compute(struct checker *checker, int32_t rank, int32_t s, int32_t block)
{
	if (block == -1)
		return SPAN_OK;
	if (block < 0 || block >= checker->ranks)
		return violation(rank, s, block, "does not exist");
	if (!span_order_needs(checker->order, rank, block))
		return violation(rank, s, block, "is computed and not needed");
	if (checker->computed[block])
		return violation(rank, s, block, "is computed twice");
	checker->computed[block] = 1;
	return check_use(checker, rank, s, block);
}

static span_status check_step(struct checker *checker, int32_t rank, int32_t s)
{
	const span_order_step *step = span_order_step_at(checker->order, rank, s);
	span_status status = check_receives(checker, rank, s, step);

	if (!status)
		status = check_sends(checker, rank, s, step);
	if (!status)
		status = check_compute(checker, rank, s, step->compute);
	return status;
}

static span_status check_rank(struct checker *checker, int32_t rank)
{
	int32_t steps = span_order_steps(checker->order, rank);

	for (int32_t block = 0; block < checker->ranks; block++) {
		checker->received[block] = checker->used[block] = -1;
		checker->computed[block] = 0;
	}
	for (int32_t s = 0; s < steps; s++) {
		span_status status = check_step(checker, rank, s);

		if (status)
			return status;
	}
	for (int32_t block = 0; block < checker->ranks; block++) {
		if (span_order_needs(checker->order, rank, block) && !checker->computed[block])
			return violation(rank, steps, block, "is needed and never computed");
		if (checker->received[block] >= 0 && checker->used[block] < 0)
			return violation(rank, checker->received[block], block,
			                 "is received and never used");
	}
	return SPAN_OK;
}

static span_status check_ranks(struct checker *checker)
{
	span_status status = SPAN_OK;

	for (int32_t rank = 0; rank < checker->ranks && !status; rank++)
		status = check_rank(checker, rank);
	return status;
}

/* --- sends and receives, pair by pair ------------------------------------------------- */

typedef span_status each_step(struct checker *checker, int32_t rank, int32_t s,
                              const span_order_step *step);

static span_status for_each_step(struct checker *checker, each_step *visit)
{
	for (int32_t rank = 0; rank < checker->ranks; rank++) {
		for (int32_t s = 0; s < span_order_steps(checker->order, rank); s++) {
			span_status status = visit(checker, rank, s,
			                           span_order_step_at(checker->order, rank, s));

			if (status)
				return status;
		}
	}
	return SPAN_OK;
}

static span_status count_sends(struct checker *checker, int32_t rank, int32_t s,
                               const span_order_step *step)
{
	(void)s;
	for (int32_t i = 0; i < step->n_sends; i++)
		checker->first[pair(checker, rank, step->sends[i].peer) + 1]++;
	return SPAN_OK;
}

static span_status collect_sends(struct checker *checker, int32_t rank, int32_t s,
                                 const span_order_step *step)
{
	for (int32_t i = 0; i < step->n_sends; i++) {
		size_t p = pair(checker, rank, step->sends[i].peer);
		struct message *message = &checker->messages[checker->first[p] + checker->offers[p]++];

		*message = (struct message){ .block = step->sends[i].block, .step = s };
	}
	return SPAN_OK;
}

static span_status match_receives(struct checker *checker, int32_t rank, int32_t s,
                                  const span_order_step *step)
{
	for (int32_t i = 0; i < step->n_receives; i++) {
		int32_t peer = step->receives[i].peer, block = step->receives[i].block;
		size_t p = pair(checker, peer, rank);
		int32_t m = checker->first[p] + checker->accepts[p]++;

		if (m >= checker->first[p + 1])
			return span_fail(SPAN_EINVAL,
			                 "span_order_check: rank %d, step %d: block %d is "
			                 "received from rank %d, which does not send it",
			                 rank, s, block, peer);
		if (checker->messages[m].block != block)
			return span_fail(SPAN_EINVAL,
			                 "span_order_check: rank %d, step %d: the receive of "
			                 "block %d from rank %d meets its send of block %d",
			                 rank, s, block, peer,
			                 checker->messages[m].block);
	}
	return SPAN_OK;
}

static span_status find_unmatched(const struct checker *checker)
{
	for (int32_t from = 0; from < checker->ranks; from++) {
		for (int32_t to = 0; to < checker->ranks; to++) {
			size_t p = pair(checker, from, to);
			int32_t m = checker->first[p] + checker->accepts[p];

			if (m < checker->first[p + 1])
				return span_fail(SPAN_EINVAL,
				                 "span_order_check: rank %d, step %d: block "
				                 "%d is sent to rank %d, which does not "
				                 "receive it",
				                 from, checker->messages[m].step,
				                 checker->messages[m].block, to);
		}
	}
	return SPAN_OK;
}

static span_status check_matching(struct checker *checker)
{
	size_t pairs = pair(checker, checker->ranks, 0);
	span_status status;

	for_each_step(checker, count_sends);
	for (size_t p = 0; p < pairs; p++)
		checker->first[p + 1] += checker->first[p];
	checker->messages = malloc(((size_t)checker->first[pairs] + 1) * sizeof(*checker->messages));
	if (!checker->messages)
		return span_fail(SPAN_ENOMEM, "span_order_check: no memory for %d messages",
		                 checker->first[pairs]);
	for_each_step(checker, collect_sends);
	status = for_each_step(checker, match_receives);
	if (!status)
		status = find_unmatched(checker);
	for (size_t p = 0; p < pairs; p++)
		checker->offers[p] = checker->accepts[p] = 0;
	return status;
}

/* --- the run -------------------------------------------------------------------------- */

static void enqueue(struct checker *checker, int32_t rank)
{
	if (checker->queued[rank])
		return;
	checker->queued[rank] = 1;
	checker->queue[(checker->head + checker->waiting++) % checker->ranks] = rank;
}

static int32_t dequeue(struct checker *checker)
{
	int32_t rank = checker->queue[checker->head];

	checker->head = (checker->head + 1) % checker->ranks;
	checker->waiting--;
	checker->queued[rank] = 0;
	return rank;
}

/* One thing less to do with a block; after the last one its buffer is free. */
static void release(struct checker *checker, int32_t rank, int32_t block)
{
	if (block != rank && --checker->uses[pair(checker, rank, block)] == 0)
		checker->free[rank]++;
}

static void complete(struct checker *checker, int32_t from, int32_t to, int32_t block)
{
	checker->here[pair(checker, to, block)] = 1;
	release(checker, from, block);
	enqueue(checker, from);
	enqueue(checker, to);
}

static void offer(struct checker *checker, int32_t from, int32_t to)
{
	size_t p = pair(checker, from, to);
	struct message *message = &checker->messages[checker->first[p] + checker->offers[p]++];

	message->offered = 1;
	if (message->accepted)
		complete(checker, from, to, message->block);
}

static void accept(struct checker *checker, int32_t from, int32_t to)
{
	size_t p = pair(checker, from, to);
	struct message *message = &checker->messages[checker->first[p] + checker->accepts[p]++];

	message->accepted = 1;
	checker->free[to]--;
	if (message->offered)
		complete(checker, from, to, message->block);
}

/* The block that keeps a rank from starting its step, or -1. */
static int32_t missing_block(const struct checker *checker, int32_t rank,
                             const span_order_step *step)
{
	if (step->compute >= 0 && !checker->here[pair(checker, rank, step->compute)])
		return step->compute;
	for (int32_t i = 0; i < step->n_sends; i++)
		if (!checker->here[pair(checker, rank, step->sends[i].block)])
			return step->sends[i].block;
	return -1;
}

static int start_next_step(struct checker *checker, int32_t rank)
{
	const span_order_step *step;

	if (checker->step[rank] == span_order_steps(checker->order, rank))
		return 0;
	step = span_order_step_at(checker->order, rank, checker->step[rank]);
	if (step->n_receives > checker->free[rank] || missing_block(checker, rank, step) >= 0)
		return 0;
	for (int32_t i = 0; i < step->n_receives; i++)
		accept(checker, step->receives[i].peer, rank);
	for (int32_t i = 0; i < step->n_sends; i++)
		offer(checker, rank, step->sends[i].peer);
	if (step->compute >= 0)
		release(checker, rank, step->compute);
	checker->step[rank]++;
	return 1;
}

static span_status count_uses(struct checker *checker, int32_t rank, int32_t s,
                              const span_order_step *step)
{
	(void)s;
	if (step->compute >= 0)
		checker->uses[pair(checker, rank, step->compute)]++;
	for (int32_t i = 0; i < step->n_sends; i++)
		checker->uses[pair(checker, rank, step->sends[i].block)]++;
	return SPAN_OK;
}

static span_status find_stalled(const struct checker *checker)
{
	for (int32_t rank = 0; rank < checker->ranks; rank++) {
		int32_t s = checker->step[rank], block;
		const span_order_step *step;

		if (s == span_order_steps(checker->order, rank))
			continue;
		step = span_order_step_at(checker->order, rank, s);
		block = missing_block(checker, rank, step);
		if (block >= 0)
			return violation(rank, s, block, "is waited for without end");
		return violation(rank, s, step->receives[checker->free[rank]].block,
		                 "waits without end for a free buffer");
	}
	return SPAN_OK;
}

static span_status check_completion(struct checker *checker)
{
	for_each_step(checker, count_uses);
	for (int32_t rank = 0; rank < checker->ranks; rank++) {
		checker->free[rank] = span_order_buffers(checker->order, rank);
		checker->here[pair(checker, rank, rank)] = 1;
		enqueue(checker, rank);
	}
	while (checker->waiting) {
		int32_t rank = dequeue(checker);

		while (start_next_step(checker, rank))
			;
	}
	return find_stalled(checker);
}

/* --- the way back --------------------------------------------------------------------- */

static span_status check_hop(const span_order *order, int32_t rank, int32_t block)
{
	int32_t hop = span_order_return_hop(order, block, rank);
	int needs = span_order_needs(order, rank, block);

	if (hop == -1 && (rank == block || !needs))
		return SPAN_OK;
	if (hop >= 0 && hop < span_order_ranks(order) && rank != block && hop != rank &&
	    (hop == block || span_order_return_hop(order, block, hop) == block))
		return SPAN_OK;
	return span_fail(SPAN_EINVAL,
	                 "span_order_check: rank %d passes the gradient of block %d to rank "
	                 "%d, which does not lead to its owner",
	                 rank, block, hop);
}

/* Whether a rank has anything to pass: its own contribution, or one that comes to it. */
static int contributes(const span_order *order, int32_t rank, int32_t block)
{
	if (span_order_needs(order, rank, block))
		return 1;
	for (int32_t other = 0; other < span_order_ranks(order); other++)
		if (span_order_return_hop(order, block, other) == rank)
			return 1;
	return 0;
}

static span_status check_way_back(const struct checker *checker)
{
	for (int32_t block = 0; block < checker->ranks; block++) {
		for (int32_t rank = 0; rank < checker->ranks; rank++) {
			span_status status = check_hop(checker->order, rank, block);

			if (status)
				return status;
			if (span_order_return_hop(checker->order, block, rank) >= 0 &&
			    !contributes(checker->order, rank, block))
				return span_fail(SPAN_EINVAL,
				                 "span_order_check: rank %d passes a gradient "
				                 "of block %d and has none",
				                 rank, block);
		}
	}
	return SPAN_OK;
}

/* --- all together --------------------------------------------------------------------- */

static void free_checker(struct checker *checker)
{
	free(checker->received);
	free(checker->used);
	free(checker->computed);
	free(checker->messages);
	free(checker->first);
	free(checker->offers);
	free(checker->accepts);
	free(checker->step);
	free(checker->free);
	free(checker->uses);
	free(checker->here);
	free(checker->queued);
	free(checker->queue);
}

static span_status allocate(struct checker *checker)
{
	size_t ranks = (size_t)checker->ranks, pairs = ranks * ranks;

	checker->received = calloc(ranks, sizeof(*checker->received));
	checker->used = calloc(ranks, sizeof(*checker->used));
	checker->computed = calloc(ranks, sizeof(*checker->computed));
	checker->first = calloc(pairs + 1, sizeof(*checker->first));
	checker->offers = calloc(pairs, sizeof(*checker->offers));
	checker->accepts = calloc(pairs, sizeof(*checker->accepts));
	checker->step = calloc(ranks, sizeof(*checker->step));
	checker->free = calloc(ranks, sizeof(*checker->free));
	checker->uses = calloc(pairs, sizeof(*checker->uses));
	checker->here = calloc(pairs, sizeof(*checker->here));
	checker->queued = calloc(ranks, sizeof(*checker->queued));
	checker->queue = calloc(ranks, sizeof(*checker->queue));
	if (checker->received && checker->used && checker->computed && checker->first &&
	    checker->offers && checker->accepts && checker->step && checker->free &&
	    checker->uses && checker->here && checker->queued && checker->queue)
		return SPAN_OK;
	return span_fail(SPAN_ENOMEM, "span_order_check: no memory for %d ranks",
	                 checker->ranks);
}

span_status span_order_check(const span_order *order)
{
	struct checker checker = { .order = order };
	span_status status;

	if (!order)
		return span_fail(SPAN_EINVAL, "span_order_check: order is NULL");
	checker.ranks = span_order_ranks(order);
	status = allocate(&checker);
	if (!status)
		status = check_ranks(&checker);
	if (!status)
		status = check_matching(&checker);
	if (!status)
		status = check_completion(&checker);
	if (!status)
		status = check_way_back(&checker);
	free_checker(&checker);
	return status;
}
