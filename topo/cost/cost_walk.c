/* Walking a gather order by the common clock of its ranks. */
#include "topo/cost/cost.h"

#include <math.h>
#include <stdlib.h>

#include "topo/log.h"

struct walk {
	const span_order *order;
	const span_cost_work *work;
	struct cost_flows flows;
	int32_t ranks, steps;
	int32_t *first_use;  /* [P] of one rank: the step that first uses each block */
	double *arrival;     /* [steps + 1] when the last message that the step uses is there */
	int32_t *missing;    /* [steps + 1] how many of those are under way */
	double now;
};

static int32_t most_steps(const span_order *order)
{
	int32_t most = 0;

	for (int32_t rank = 0; rank < span_order_ranks(order); rank++)
		if (most < span_order_steps(order, rank))
			most = span_order_steps(order, rank);
	return most;
}

static int32_t blocks_of(const span_order *order, int32_t rank)
{
	int32_t count = 0;

	for (int32_t s = 0; s < span_order_steps(order, rank); s++)
		count += span_order_step_at(order, rank, s)->compute >= 0;
	return count;
}

/* --- the message list: by step, what each brings and when it is used ------------------------- */

/* A message as the walk needs it. */
struct message {
	int32_t from, to, due;
};

struct schedule {
	struct message *messages;
	size_t *first;       /* [steps + 1] messages posted in each step */
	bool *computes;      /* [steps] whether any rank computes */
};

static void find_first_uses(const struct walk *walk, int32_t rank)
{
	for (int32_t block = 0; block < walk->ranks; block++)
		walk->first_use[block] = walk->steps;
	for (int32_t s = span_order_steps(walk->order, rank) - 1; s >= 0; s--) {
		const span_order_step *step = span_order_step_at(walk->order, rank, s);

		if (step->compute >= 0)
			walk->first_use[step->compute] = s;
		for (int32_t i = 0; i < step->n_sends; i++)
			walk->first_use[step->sends[i].block] = s;
	}
}

static void count_messages(const struct walk *walk, struct schedule *schedule)
{
	for (int32_t rank = 0; rank < walk->ranks; rank++) {
		for (int32_t s = 0; s < span_order_steps(walk->order, rank); s++) {
			const span_order_step *step = span_order_step_at(walk->order, rank, s);

			schedule->first[s + 1] += (size_t)step->n_receives;
			schedule->computes[s] |= step->compute >= 0;
		}
	}
	for (int32_t s = 0; s < walk->steps; s++)
		schedule->first[s + 1] += schedule->first[s];
}

/* Leaves first[s] at the end of step s, which is the beginning of the next: it is moved back. */
static void list_messages(const struct walk *walk, struct schedule *schedule)
{
	for (int32_t rank = 0; rank < walk->ranks; rank++) {
		find_first_uses(walk, rank);
		for (int32_t s = 0; s < span_order_steps(walk->order, rank); s++) {
			const span_order_step *step = span_order_step_at(walk->order, rank, s);

			for (int32_t i = 0; i < step->n_receives; i++)
				schedule->messages[schedule->first[s]++] = (struct message){
					step->receives[i].peer, rank,
					walk->first_use[step->receives[i].block]
				};
		}
	}
	for (int32_t s = walk->steps; s > 0; s--)
		schedule->first[s] = schedule->first[s - 1];
	schedule->first[0] = 0;
}

static void free_schedule(struct schedule *schedule)
{
	free(schedule->messages);
	free(schedule->first);
	free(schedule->computes);
}

static span_status make_schedule(const struct walk *walk, struct schedule *schedule)
{
	size_t steps = (size_t)walk->steps;

	*schedule = (struct schedule){ .first = calloc(steps + 2, sizeof(size_t)),
		                       .computes = calloc(steps + 1, sizeof(bool)) };
	if (schedule->first && schedule->computes) {
		count_messages(walk, schedule);
		schedule->messages = malloc((schedule->first[steps] + 1) *
		                            sizeof(*schedule->messages));
	}
	if (!schedule->messages) {
		free_schedule(schedule);
		return span_fail(SPAN_ENOMEM, "span_cost_walk: no memory for %d ranks",
		                 walk->ranks);
	}
	list_messages(walk, schedule);
	return SPAN_OK;
}

/* --- the clock ---------------------------------------------------------------------------------- */

/* Take out the messages that are through, and note when they are there. */
static void collect(struct walk *walk)
{
	struct cost_flows *flows = &walk->flows;
	int32_t kept = 0;

	for (int32_t i = 0; i < flows->n; i++) {
		const struct cost_flow *flow = &flows->flow[i];

		if (flow->left > 0) {
			flows->flow[kept++] = *flow;
			continue;
		}
		walk->missing[flow->due]--;
		walk->arrival[flow->due] =
			fmax(walk->arrival[flow->due],
		             walk->now + flows->routes[flow->route].latency);
	}
	flows->stale |= kept < flows->n;
	flows->n = kept;
}

/* Let time pass until everything that step `due` uses is through, and at least until `until`. */
static void pass(struct walk *walk, int32_t due, double until)
{
	while (walk->flows.n > 0 && (walk->missing[due] > 0 || walk->now < until)) {
		double most = walk->missing[due] > 0 ? INFINITY : until - walk->now;

		walk->now += cost_flows_pass(&walk->flows, most);
		collect(walk);
	}
	walk->now = fmax(walk->now, until);
}

static span_status post(struct walk *walk, const struct schedule *schedule, int32_t step)
{
	for (size_t i = schedule->first[step]; i < schedule->first[step + 1]; i++) {
		const struct message *message = &schedule->messages[i];
		span_status status = cost_flows_add(&walk->flows, message->from, message->to,
		                                    walk->work->block_bytes, message->due);

		if (status)
			return status;
		walk->missing[message->due]++;
	}
	return SPAN_OK;
}

static span_status walk_steps(struct walk *walk, const struct schedule *schedule)
{
	for (int32_t s = 0; s < walk->steps; s++) {
		double compute = schedule->computes[s] && !walk->work->gather_first
		                         ? walk->work->compute
		                         : 0;
		double computed = walk->now + compute;
		span_status status = post(walk, schedule, s);

		if (status)
			return status;
		if (walk->work->stalls)
			walk->now = computed;
		pass(walk, s + 1, walk->now);
		pass(walk, s + 1, fmax(computed, walk->arrival[s + 1]));
	}
	return SPAN_OK;
}

static void report(const struct walk *walk, span_cost *cost)
{
	int32_t most = 0;

	*cost = (span_cost){ .seconds = walk->now };
	for (int32_t rank = 0; rank < walk->ranks; rank++) {
		int32_t blocks = blocks_of(walk->order, rank);

		most = most > blocks ? most : blocks;
	}
	cost->compute = most * walk->work->compute;
	if (walk->work->gather_first)
		cost->seconds += cost->compute;
	cost->exposed = fmax(0, cost->seconds - cost->compute);
	for (int32_t i = 0; i < walk->flows.network->n_links && cost->seconds > 0; i++)
		cost->busiest = fmax(cost->busiest, walk->flows.full_seconds[i] / cost->seconds);
}

static span_status check(const span_order *order, const span_cost_network *network,
                         const span_cost_work *work, const span_cost *cost)
{
	span_status status;

	if (!order || !network || !cost)
		return span_fail(SPAN_EINVAL, "span_cost_walk: %s is NULL",
		                 !order ? "order" : !network ? "network" : "cost");
	status = cost_check_work("span_cost_walk", work);
	if (!status && span_order_ranks(order) != network->ranks)
		return span_fail(SPAN_EINVAL, "span_cost_walk: the order has %d ranks, the network "
		                 "%d; they must be equal", span_order_ranks(order), network->ranks);
	return status;
}

span_status span_cost_walk(const span_order *order, const span_cost_network *network,
                           const span_cost_work *work, span_cost *cost)
{
	struct walk walk = { .order = order, .work = work };
	struct schedule schedule = { 0 };
	span_status status = check(order, network, work, cost);

	if (status)
		return status;
	walk.ranks = network->ranks;
	walk.steps = most_steps(order);
	walk.first_use = malloc((size_t)walk.ranks * sizeof(*walk.first_use));
	walk.arrival = calloc((size_t)walk.steps + 1, sizeof(*walk.arrival));
	walk.missing = calloc((size_t)walk.steps + 1, sizeof(*walk.missing));
	status = SPAN_ENOMEM;
	if (walk.first_use && walk.arrival && walk.missing)
		status = make_schedule(&walk, &schedule);
	else
		span_fail(status, "span_cost_walk: no memory for %d ranks", walk.ranks);
	if (!status) {
		status = cost_flows_create(network, &walk.flows);
		if (!status)
			status = walk_steps(&walk, &schedule);
		if (!status)
			report(&walk, cost);
		cost_flows_free(&walk.flows);
		free_schedule(&schedule);
	}
	free(walk.first_use);
	free(walk.arrival);
	free(walk.missing);
	return status;
}
