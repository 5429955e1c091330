/* The way out of keys and values: what the rank receives and sends when, how much of it, where.
 *
 * Of a block only its leading tiles travel: slots ascend in token index, and where a query sees a
 * key of a block it may see all before it. A rank gets what its own queries see, or more where
 * one that it passes the block on to sees more. */
#include "attention/program.h"

#include <stdlib.h>
#include "topo/log.h"

/* Tiles of each block that reach each rank, [rank][block]. */
typedef struct {
	int32_t ranks;
	int32_t *tiles;
} reach_table;

static int32_t tiles_of(const reach_table *reach, int32_t rank, int32_t block)
{
	return reach->tiles[(size_t)rank * (size_t)reach->ranks + (size_t)block];
}

/* Whether some query of a rank sees some key of a tile. */
static int sees_tile(const span_visible *visible, int32_t rank, int64_t tile)
{
	const span_layout *layout = visible->layout;
	int64_t position, end, first, last;

	span_tree_shard(&layout->tree, layout->ranks, rank, &position, &end);
	span_visible_queries(visible, tile, &first, &last);
	return span_tree_count(&layout->tree, position, end, first, last) > 0;
}

/* Tiles of a block from slot 0 to the last one that the queries of a rank see. */
static int32_t tiles_read(const span_visible *visible, int32_t rank, int32_t block)
{
	int32_t tiles = (int32_t)span_layout_rank_tiles(visible->layout, block);

	while (tiles > 0 &&
	       !sees_tile(visible, rank, span_layout_tile_at(visible->layout, block, tiles - 1)))
		tiles--;
	return tiles;
}

/* What a rank sends in a step reaches it as well. */
static void widen(const reach_table *reach, const span_order *order, int32_t rank, int32_t t)
{
	const span_order_step *step = span_order_step_at(order, rank, t);

	for (int32_t i = 0; i < step->n_sends; i++) {
		int32_t block = step->sends[i].block;
		int32_t on = tiles_of(reach, step->sends[i].peer, block);

		if (on > tiles_of(reach, rank, block))
			reach->tiles[(size_t)rank * (size_t)reach->ranks + (size_t)block] = on;
	}
}

/* Whoever passes a block on has it before the step in which its receiver uses it, so from the
 * last step to the first all that lies behind a send is known. */
static void find_reach(const reach_table *reach, const span_program *program)
{
	int32_t steps = 0;

	for (int32_t r = 0; r < reach->ranks; r++) {
		int32_t own = span_order_steps(program->order, r);

		for (int32_t b = 0; b < reach->ranks; b++)
			reach->tiles[(size_t)r * (size_t)reach->ranks + (size_t)b] =
				tiles_read(&program->visible, r, b);
		steps = own > steps ? own : steps;
	}
	for (int32_t t = steps - 1; t >= 0; t--)
		for (int32_t r = 0; r < reach->ranks; r++)
			if (t < span_order_steps(program->order, r))
				widen(reach, program->order, r, t);
}

/* The first step in which a rank computes on a block or passes it on. */
static int32_t first_use(const span_order *order, int32_t rank, int32_t block)
{
	int32_t steps = span_order_steps(order, rank);

	for (int32_t t = 0; t < steps; t++) {
		const span_order_step *step = span_order_step_at(order, rank, t);

		if (step->compute == block)
			return t;
		for (int32_t i = 0; i < step->n_sends; i++)
			if (step->sends[i].block == block)
				return t;
	}
	return steps;
}

/* The last step in which the rank must keep a received block: it computes on it, or its
 * receiver may still be copying (span_order.h). */
static int32_t last_hold(const span_program *program, int32_t block, int32_t from_step)
{
	int32_t hold = from_step;

	for (int32_t t = from_step; t < program->gather_steps; t++) {
		const span_order_step *step = span_order_step_at(program->order, program->rank, t);

		if (step->compute == block && t > hold)
			hold = t;
		for (int32_t i = 0; i < step->n_sends; i++) {
			int32_t until;

			if (step->sends[i].block != block)
				continue;
			until = first_use(program->order, step->sends[i].peer, block) - 1;
			hold = until > hold ? until : hold;
			hold = t > hold ? t : hold;
		}
	}
	return hold;
}

static span_status append_transfer(span_program *program, span_order_transfer transfer,
                                   int32_t tiles, int32_t buffer)
{
	span_status status = span_program_grow(&program->transfer, program->transfers,
	                                       sizeof(*program->transfer));

	if (status == SPAN_OK)
		program->transfer[program->transfers++] = (span_gather_transfer){
			transfer.peer, transfer.block, tiles, buffer };
	return status;
}

/* Receives and sends of every step, with a buffer for each block received. */
static span_status plan_transfers(span_program *program, const reach_table *reach)
{
	int32_t *buffer_end = NULL;
	span_status status = SPAN_OK;

	for (int32_t t = 0; t < program->gather_steps && status == SPAN_OK; t++) {
		const span_order_step *from = span_order_step_at(program->order, program->rank, t);
		span_program_step *step = &program->step[t];

		step->compute = from->compute;
		step->receive = (span_range){ program->transfers, from->n_receives };
		for (int32_t i = 0; i < from->n_receives && status == SPAN_OK; i++) {
			int32_t hold = last_hold(program, from->receives[i].block, t);
			int32_t buffer = span_program_colour(&buffer_end, &program->kv_buffers,
			                                     t, hold);

			status = buffer < 0 ? SPAN_ENOMEM
			       : append_transfer(program, from->receives[i],
			                         tiles_of(reach, program->rank,
			                                  from->receives[i].block),
			                         buffer);
		}
		step->send = (span_range){ program->transfers, from->n_sends };
		for (int32_t i = 0; i < from->n_sends && status == SPAN_OK; i++)
			status = append_transfer(program, from->sends[i],
			                         tiles_of(reach, from->sends[i].peer,
			                                  from->sends[i].block), -1);
	}
	free(buffer_end);
	return status;
}

/* What is under way while the gather runs. */
typedef struct {
	int64_t now;
	int64_t most;
	uint8_t *arrives;  /* [P] whether the receive of a block was posted and not waited for */
	int32_t *buffer;   /* [P] of a block */
	int32_t *sends;    /* [kv_buffers] that still read a buffer */
} under_way;

static void add_messages(under_way *way, int32_t more)
{
	way->now += more;
	if (way->now > way->most)
		way->most = way->now;
}

/* A block is waited for before it is used. */
static void use_block(under_way *way, int32_t block)
{
	if (block < 0)
		return;
	way->now -= way->arrives[block];
	way->arrives[block] = 0;
}

/* One step as span_gather_step carries it out. */
static void count_step(const span_program *program, const span_program_step *step, under_way *way)
{
	const span_gather_transfer *receive = &program->transfer[step->receive.first];
	const span_gather_transfer *send = &program->transfer[step->send.first];

	use_block(way, step->compute);
	for (int32_t i = 0; i < step->send.count; i++)
		use_block(way, send[i].block);
	for (int32_t i = 0; i < step->receive.count; i++) {
		add_messages(way, 1 - way->sends[receive[i].buffer]);
		way->sends[receive[i].buffer] = 0;
		way->buffer[receive[i].block] = receive[i].buffer;
		way->arrives[receive[i].block] = 1;
	}
	for (int32_t i = 0; i < step->send.count; i++) {
		add_messages(way, 1);
		if (send[i].block != program->rank)
			way->sends[way->buffer[send[i].block]]++;
	}
}

/* Deliveries are posted in one step and waited for in the next. */
static int64_t count_deliveries(const span_program *program)
{
	int64_t most = 0;

	for (int32_t t = 0; t < program->steps; t++) {
		int64_t now = program->step[t].post.count;

		now += t > 0 ? program->step[t - 1].post.count : 0;
		most = now > most ? now : most;
	}
	return most;
}

span_status span_program_count_outstanding(span_program *program)
{
	size_t ranks = (size_t)span_order_ranks(program->order);
	under_way way = { .arrives = calloc(ranks, sizeof(*way.arrives)),
		          .buffer = calloc(ranks, sizeof(*way.buffer)),
		          .sends = calloc((size_t)program->kv_buffers + 1, sizeof(*way.sends)) };
	int failed = !way.arrives || !way.buffer || !way.sends;

	for (int32_t t = 0; t < program->gather_steps && !failed; t++)
		count_step(program, &program->step[t], &way);
	program->outstanding = way.most + count_deliveries(program) + program->return_buffers;
	free(way.arrives);
	free(way.buffer);
	free(way.sends);
	if (failed)
		return span_fail(SPAN_ENOMEM, "span_attention_create: no memory for the program");
	return SPAN_OK;
}

span_status span_program_add_gather(span_program *program)
{
	size_t ranks = (size_t)span_order_ranks(program->order);
	reach_table reach = { (int32_t)ranks, malloc(ranks * ranks * sizeof(*reach.tiles)) };
	span_status status;

	program->read = malloc(ranks * sizeof(*program->read));
	if (reach.tiles == NULL || program->read == NULL) {
		free(reach.tiles);
		return span_fail(SPAN_ENOMEM, "span_attention_create: no memory for the program");
	}
	for (int32_t b = 0; b < reach.ranks; b++)
		program->read[b] = tiles_read(&program->visible, program->rank, b);
	find_reach(&reach, program);
	status = plan_transfers(program, &reach);
	free(reach.tiles);
	return status;
}
