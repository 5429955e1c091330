/* The way back of dK and dV: accounts, what merges into them when, and what they send on. */
#include "attention/program.h"

#include <stdlib.h>
#include <string.h>
#include "topo/log.h"

/* What is left of a block's gradient at a rank once all it waits for has been merged. */
typedef struct {
	int32_t row;
	int32_t store;
	span_node node;
} left_part;

typedef struct {
	int32_t rank;      /* whose */
	int32_t send_step; /* complete at the end of this step */
	int32_t parts;
	left_part *part;
} remainder;

/* Something that adds to an account: the rank's own computing (child NULL) or a message. */
typedef struct {
	int32_t step;
	const remainder *child;
} account_event;

/* A walk over one account of one rank. */
typedef struct {
	const span_program *program;
	int32_t rank;
	int32_t block;
	int32_t tiles;         /* of the block */
	span_reduce *row;      /* [tiles] */
	account_event *event;
	int32_t events;
	remainder *child;
	int32_t children;
} account_walk;

static span_status no_memory(void)
{
	return span_fail(SPAN_ENOMEM, "span_attention_create: no memory for the program");
}

static int32_t compute_step(const span_order *order, int32_t rank, int32_t block)
{
	int32_t steps = span_order_steps(order, rank);
	int32_t t = 0;

	while (t < steps && span_order_step_at(order, rank, t)->compute != block)
		t++;
	return t < steps ? t : -1;
}

static void close_walk(account_walk *walk)
{
	for (int32_t i = 0; i < walk->children; i++)
		free(walk->child[i].part);
	free(walk->child);
	free(walk->event);
	free(walk->row);
}

/* Own computing comes before messages of the same step, these by rank. */
static int compare_events(const void *a, const void *b)
{
	const account_event *x = a, *y = b;

	if (x->step != y->step)
		return x->step < y->step ? -1 : 1;
	if (x->child == NULL || y->child == NULL)
		return (x->child != NULL) - (y->child != NULL);
	return x->child->rank < y->child->rank ? -1 : 1;
}

static span_status walk_to_remainder(const span_program *program, int32_t rank, int32_t block,
                                     remainder *left);

/* The remainders of the ranks that send to this one. */
static span_status find_children(account_walk *walk)
{
	const span_order *order = walk->program->order;
	int32_t ranks = span_order_ranks(order);
	span_status status = SPAN_OK;

	for (int32_t q = 0; q < ranks && status == SPAN_OK; q++) {
		if (q == walk->rank || span_order_return_hop(order, walk->block, q) != walk->rank)
			continue;
		status = span_program_grow(&walk->child, walk->children, sizeof(*walk->child));
		if (status != SPAN_OK)
			break;
		walk->child[walk->children] = (remainder){ .rank = q };
		status = walk_to_remainder(walk->program, q, walk->block,
		                           &walk->child[walk->children]);
		/* One of no parts is no message: there is nothing to allocate for it either. */
		walk->children += walk->child[walk->children].parts > 0;
	}
	return status;
}

static span_status find_events(account_walk *walk)
{
	int32_t own = compute_step(walk->program->order, walk->rank, walk->block);

	walk->event = malloc(((size_t)walk->children + 1) * sizeof(*walk->event));
	if (walk->event == NULL)
		return no_memory();
	if (own >= 0)
		walk->event[walk->events++] = (account_event){ own, NULL };
	for (int32_t i = 0; i < walk->children; i++)
		walk->event[walk->events++] =
			(account_event){ walk->child[i].send_step + 1, &walk->child[i] };
	qsort(walk->event, (size_t)walk->events, sizeof(*walk->event), compare_events);
	return SPAN_OK;
}

/* The query tiles that see a row of the block. */
static void row_tiles(const account_walk *walk, int32_t row, int64_t *first, int64_t *end)
{
	const span_visible *visible = &walk->program->visible;

	span_visible_queries(visible, span_layout_tile_at(visible->layout, walk->block, row),
	                     first, end);
}

/* How many parts of a row an event brings. */
static int32_t count_parts(const account_walk *walk, const account_event *event, int32_t row)
{
	int32_t count = 0;

	if (event->child == NULL) {
		span_node nodes[SPAN_TREE_COVER];
		int n = span_program_cover(walk->program, walk->rank, nodes);
		int64_t first, end;

		row_tiles(walk, row, &first, &end);
		for (int y = 0; y < n; y++)
			count += span_program_meets(walk->program, walk->rank, nodes[y], first, end);
		return count;
	}
	for (int32_t i = 0; i < event->child->parts; i++)
		count += event->child->part[i].row == row;
	return count;
}

static span_status open_walk(account_walk *walk, const span_program *program, int32_t rank,
                             int32_t block)
{
	const span_layout *layout = program->visible.layout;
	int owner = rank == block;
	span_status status;

	*walk = (account_walk){ .program = program, .rank = rank, .block = block };
	walk->tiles = (int32_t)span_layout_rank_tiles(layout, block);
	status = find_children(walk);
	if (status == SPAN_OK)
		status = find_events(walk);
	if (status != SPAN_OK)
		return status;
	walk->row = malloc(((size_t)walk->tiles + 1) * sizeof(*walk->row));
	if (walk->row == NULL)
		return no_memory();
	for (int32_t row = 0; row < walk->tiles; row++) {
		int32_t expected = 0;
		int64_t first, end;

		row_tiles(walk, row, &first, &end);
		for (int32_t e = 0; e < walk->events && owner; e++)
			expected += count_parts(walk, &walk->event[e], row);
		span_reduce_start(&walk->row[row], &layout->tree, first, end, program->schedule,
		                  owner ? expected : -1);
	}
	return SPAN_OK;
}

/* Merge one part; when `record` is given, append what became of it. */
static span_status merge_part(account_walk *walk, int32_t row, span_node node, int32_t part,
                              span_program *record)
{
	span_arrival arrival;
	span_status status = span_reduce_arrive(&walk->row[row], node, &arrival);

	if (status == SPAN_OK && record != NULL)
		status = span_program_append(record, row, node, part, &arrival);
	return status;
}

static span_status merge_own(account_walk *walk, span_program *record)
{
	span_node nodes[SPAN_TREE_COVER];
	int n = span_program_cover(walk->program, walk->rank, nodes);
	span_status status = SPAN_OK;

	for (int32_t row = 0; row < walk->tiles; row++) {
		int64_t first, end;

		row_tiles(walk, row, &first, &end);
		for (int y = 0; y < n && status == SPAN_OK; y++)
			if (span_program_meets(walk->program, walk->rank, nodes[y], first, end))
				status = merge_part(walk, row, nodes[y], -1, record);
	}
	return status;
}

static span_status merge_child(account_walk *walk, const remainder *child, span_program *record)
{
	span_status status = SPAN_OK;

	for (int32_t i = 0; i < child->parts && status == SPAN_OK; i++)
		status = merge_part(walk, child->part[i].row, child->part[i].node, i, record);
	return status;
}

/* Most parts of one row that ever were in the account at once. */
static int32_t account_slots(const account_walk *walk)
{
	int32_t slots = 0;

	for (int32_t row = 0; row < walk->tiles; row++)
		if (walk->row[row].slots > slots)
			slots = walk->row[row].slots;
	return slots;
}

/* What the account holds at its end, by slot, then by row: the order of its message. */
static span_status collect_parts(const account_walk *walk, remainder *left)
{
	int32_t slots = account_slots(walk);

	for (int32_t store = 0; store < slots; store++) {
		for (int32_t row = 0; row < walk->tiles; row++) {
			const span_reduce *reduce = &walk->row[row];

			if (!reduce->used[store])
				continue;
			if (span_program_grow(&left->part, left->parts, sizeof(*left->part)) != SPAN_OK)
				return SPAN_ENOMEM;
			left->part[left->parts++] =
				(left_part){ row, store, reduce->node[store] };
		}
	}
	return SPAN_OK;
}

static span_status walk_to_remainder(const span_program *program, int32_t rank, int32_t block,
                                     remainder *left)
{
	account_walk walk;
	span_status status = open_walk(&walk, program, rank, block);

	for (int32_t e = 0; e < walk.events && status == SPAN_OK; e++) {
		const account_event *event = &walk.event[e];

		status = event->child == NULL ? merge_own(&walk, NULL)
		                              : merge_child(&walk, event->child, NULL);
		left->send_step = event->step;
	}
	if (status == SPAN_OK)
		status = collect_parts(&walk, left);
	close_walk(&walk);
	return status;
}

/* Make sure steps 0 .. last exist; new ones compute nothing. */
static span_status extend_steps(span_program *program, int32_t last)
{
	span_program_step *grown;

	if (last < program->steps)
		return SPAN_OK;
	grown = realloc(program->step, ((size_t)last + 1) * sizeof(*grown));
	if (grown == NULL)
		return no_memory();
	memset(grown + program->steps, 0, (size_t)(last + 1 - program->steps) * sizeof(*grown));
	for (int32_t t = program->steps; t <= last; t++) {
		grown[t].compute = -1;
		grown[t].account = -1;
	}
	program->step = grown;
	program->steps = last + 1;
	return SPAN_OK;
}

/* Record what an event adds to this rank's account number `account`. */
static span_status record_event(span_program *program, account_walk *walk, int32_t account,
                                const account_event *event, int completes)
{
	int32_t first = program->arrivals;
	span_delivery delivery;
	span_status status;

	if (event->child == NULL) {
		span_program_step *step = &program->step[event->step];

		status = merge_own(walk, program);
		step->account = account;
		step->completes = completes;
		step->returned = (span_range){ first, program->arrivals - first };
		return status;
	}
	status = merge_child(walk, event->child, program);
	delivery = (span_delivery){ .from = event->child->rank, .account = account,
	                            .step = event->step - 1, .parts = event->child->parts,
	                            .completes = completes,
	                            .arrival = { first, program->arrivals - first } };
	if (status == SPAN_OK)
		status = span_program_grow(&program->delivery, program->deliveries,
		                           sizeof(*program->delivery));
	if (status == SPAN_OK)
		program->delivery[program->deliveries++] = delivery;
	return status;
}

/* The parts that an account sends on, by index. */
static span_status record_parts(span_program *program, const account_walk *walk,
                                span_account *account)
{
	remainder left = { .rank = walk->rank };
	span_status status = collect_parts(walk, &left);

	account->part = (span_range){ program->parts, left.parts };
	for (int32_t i = 0; i < left.parts && status == SPAN_OK; i++) {
		status = span_program_grow(&program->part, program->parts, sizeof(*program->part));
		if (status == SPAN_OK)
			program->part[program->parts++] =
				left.part[i].store * walk->tiles + left.part[i].row;
	}
	free(left.part);
	return status;
}

/* Open the account of one block at this rank and record all that happens to it. */
static span_status plan_account(span_program *program, int32_t block)
{
	account_walk walk;
	span_status status = open_walk(&walk, program, program->rank, block);
	int32_t number = program->accounts;
	span_account account = { .block = block, .tiles = walk.tiles, .buffer = -1,
	                         .hop = span_order_return_hop(program->order, block,
	                                                      program->rank) };

	if (status == SPAN_OK && walk.events > 0) {
		account.begin_step = walk.event[0].step;
		account.send_step = walk.event[walk.events - 1].step;
		status = extend_steps(program, account.send_step);
	}
	for (int32_t e = 0; e < walk.events && status == SPAN_OK; e++)
		status = record_event(program, &walk, number, &walk.event[e], e == walk.events - 1);
	if (status == SPAN_OK)
		account.slots = account_slots(&walk);
	if (status == SPAN_OK)
		status = record_parts(program, &walk, &account);
	close_walk(&walk);
	if (status == SPAN_OK)
		status = span_program_grow(&program->account, number, sizeof(account));
	if (status != SPAN_OK)
		return status;
	program->account[number] = account;
	program->accounts++;
	if (block == program->rank)
		program->own_account = number;
	return SPAN_OK;
}

static int compare_deliveries(const void *a, const void *b)
{
	const span_delivery *x = a, *y = b;

	if (x->step != y->step)
		return x->step < y->step ? -1 : 1;
	return x->from < y->from ? -1 : x->from > y->from;
}

/* Make buffer number b, which may be a new one, hold `need` parts. */
static span_status ensure_parts(int32_t **parts, int32_t count, int32_t b, int32_t need)
{
	if (b == count) {
		span_status status = span_program_grow(parts, count, sizeof(**parts));

		if (status != SPAN_OK)
			return status;
		(*parts)[b] = 0;
	}
	if (need > (*parts)[b])
		(*parts)[b] = need;
	return SPAN_OK;
}

/* Receives, in the order in which they are posted; each is held through the step after. */
static span_status plan_deliveries(span_program *program)
{
	int32_t *buffer_end = NULL;
	span_status status = SPAN_OK;

	if (program->deliveries > 0)
		qsort(program->delivery, (size_t)program->deliveries, sizeof(*program->delivery),
		      compare_deliveries);
	for (int32_t i = 0; i < program->deliveries && status == SPAN_OK; i++) {
		span_delivery *delivery = &program->delivery[i];
		int32_t known = program->delivery_buffers;
		span_range *post = &program->step[delivery->step].post;

		if (post->count++ == 0)
			post->first = i;
		delivery->buffer = span_program_colour(&buffer_end, &program->delivery_buffers,
		                                       delivery->step, delivery->step + 1);
		status = delivery->buffer < 0 ? SPAN_ENOMEM
		       : ensure_parts(&program->delivery_parts, known, delivery->buffer,
		                      delivery->parts);
	}
	free(buffer_end);
	return status;
}

/* Buffers for the accounts sent on, held from their first merge until the step after they
 * are sent, in the order in which they begin. */
static span_status plan_return_buffers(span_program *program)
{
	int32_t *buffer_end = NULL;
	span_status status = SPAN_OK;

	for (int32_t t = 0; t < program->steps; t++) {
		for (int32_t i = 0; i < program->accounts && status == SPAN_OK; i++) {
			span_account *account = &program->account[i];
			int32_t known = program->return_buffers;

			if (account->hop < 0 || account->begin_step != t)
				continue;
			account->buffer = span_program_colour(&buffer_end, &program->return_buffers,
			                                      t, account->send_step + 1);
			status = account->buffer < 0 ? SPAN_ENOMEM
			       : ensure_parts(&program->return_parts, known, account->buffer,
			               account->slots * account->tiles);
		}
	}
	free(buffer_end);
	return status;
}

span_status span_program_add_returns(span_program *program)
{
	int32_t ranks = span_order_ranks(program->order);
	span_status status = SPAN_OK;

	program->own_account = -1;
	for (int32_t t = 0; t < program->steps; t++)
		program->step[t].account = -1;
	for (int32_t block = 0; block < ranks && status == SPAN_OK; block++) {
		int own = block == program->rank && program->tiles > 0;

		if (own || span_order_return_hop(program->order, block, program->rank) >= 0)
			status = plan_account(program, block);
	}
	if (status == SPAN_OK)
		status = plan_deliveries(program);
	if (status == SPAN_OK)
		status = plan_return_buffers(program);
	return status;
}
