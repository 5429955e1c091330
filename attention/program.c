#include "attention/program.h"

#include <stdlib.h>
#include <string.h>
#include "topo/log.h"

span_status span_program_grow(void *array, int32_t count, size_t element_bytes)
{
	void **place = array;
	void *grown;

	/* Capacities are powers of two: full exactly when count is one, or 0. */
	if (count != 0 && (count & (count - 1)) != 0)
		return SPAN_OK;
	grown = realloc(*place, (count == 0 ? 1 : 2 * (size_t)count) * element_bytes);
	if (grown == NULL)
		return span_fail(SPAN_ENOMEM, "span_attention_create: no memory for the program");
	*place = grown;
	return SPAN_OK;
}

int32_t span_program_colour(int32_t **buffer_end, int32_t *buffers, int32_t begin, int32_t end)
{
	int32_t b = 0;

	while (b < *buffers && (*buffer_end)[b] >= begin)
		b++;
	if (b == *buffers) {
		if (span_program_grow(buffer_end, *buffers, sizeof(**buffer_end)) != SPAN_OK)
			return -1;
		(*buffers)++;
	}
	(*buffer_end)[b] = end;
	return b;
}

int span_program_cover(const span_program *program, int32_t rank,
                       span_node nodes[SPAN_TREE_COVER])
{
	const span_layout *layout = program->visible.layout;
	int64_t first, end;

	span_tree_shard(&layout->tree, layout->ranks, rank, &first, &end);
	if (!program->schedule)
		return span_tree_cover(&layout->tree, first, end, nodes);
	nodes[0] = (span_node){ layout->tree.height, 0 };
	return first < end;
}

int span_program_meets(const span_program *program, int32_t rank, span_node node,
                       int64_t tile_first, int64_t tile_end)
{
	const span_layout *layout = program->visible.layout;
	int64_t first, end;

	if (program->schedule)
		span_tree_shard(&layout->tree, layout->ranks, rank, &first, &end);
	else
		span_tree_range(&layout->tree, node, &first, &end);
	return span_tree_count(&layout->tree, first, end, tile_first, tile_end) > 0;
}

span_status span_program_append(span_program *program, int32_t row, span_node node,
                                int32_t part, const span_arrival *arrival)
{
	span_row_arrival made = { .row = row, .node = node, .part = part,
	                          .merge = { program->merges, arrival->merges },
	                          .store = arrival->store };
	span_status status = span_program_grow(&program->arrival, program->arrivals,
	                                       sizeof(*program->arrival));

	for (int i = 0; i < arrival->merges && status == SPAN_OK; i++) {
		status = span_program_grow(&program->merge, program->merges,
		                           sizeof(*program->merge));
		if (status == SPAN_OK)
			program->merge[program->merges++] = arrival->merge[i];
	}
	if (status == SPAN_OK)
		program->arrival[program->arrivals++] = made;
	return status;
}

/* How many partials a query tile will receive: one for each node of each block it sees. */
static int32_t expected_arrivals(const span_program *program, int64_t first, int64_t end)
{
	int32_t count = 0;

	for (int32_t t = 0; t < program->gather_steps; t++) {
		int32_t block = program->step[t].compute;
		span_node nodes[SPAN_TREE_COVER];
		int n = block < 0 ? 0 : span_program_cover(program, block, nodes);

		for (int z = 0; z < n; z++)
			count += span_program_meets(program, block, nodes[z], first, end);
	}
	return count;
}

/* Append what becomes of one query tile, step by step; *step_of gets the step of each. */
static span_status plan_row(span_program *program, int32_t row, int32_t **step_of)
{
	const span_layout *layout = program->visible.layout;
	int64_t tile = span_layout_tile_at(layout, program->rank, row);
	span_status status = SPAN_OK;
	span_reduce reduce;
	int64_t first, end;

	span_visible_keys(&program->visible, tile, &first, &end);
	span_reduce_start(&reduce, &layout->tree, first, end, program->schedule,
	                  expected_arrivals(program, first, end));
	for (int32_t t = 0; t < program->gather_steps; t++) {
		int32_t block = program->step[t].compute;
		span_node nodes[SPAN_TREE_COVER];
		int n = block < 0 ? 0 : span_program_cover(program, block, nodes);

		for (int z = 0; z < n && status == SPAN_OK; z++) {
			span_arrival arrival;

			if (!span_program_meets(program, block, nodes[z], first, end))
				continue;
			status = span_reduce_arrive(&reduce, nodes[z], &arrival);
			if (status == SPAN_OK)
				status = span_program_grow(step_of, program->arrivals,
				                           sizeof(**step_of));
			if (status != SPAN_OK)
				break;
			(*step_of)[program->arrivals] = t;
			status = span_program_append(program, row, nodes[z], -1, &arrival);
		}
	}
	if (reduce.slots > program->pending_slots)
		program->pending_slots = reduce.slots;
	return status;
}

/* Put the arrivals, which stand row by row, into the order of steps; rows stay ascending. */
static span_status sort_into_steps(span_program *program, const int32_t *step_of)
{
	int32_t count = program->arrivals;
	span_row_arrival *rows = program->arrival;
	int32_t first = 0;

	program->arrival = NULL;
	program->arrivals = 0;
	for (int32_t i = 0; i < count; i++)
		program->step[step_of[i]].arrival.count++;
	for (int32_t t = 0; t < program->gather_steps; t++) {
		program->step[t].arrival.first = first;
		first += program->step[t].arrival.count;
		program->step[t].arrival.count = 0;
	}
	for (int32_t i = 0; i < count; i++) {
		if (span_program_grow(&program->arrival, i, sizeof(*rows)) != SPAN_OK) {
			free(rows);
			return SPAN_ENOMEM;
		}
	}
	program->arrivals = count;
	for (int32_t i = 0; i < count; i++) {
		span_range *range = &program->step[step_of[i]].arrival;

		program->arrival[range->first + range->count++] = rows[i];
	}
	free(rows);
	return SPAN_OK;
}

static span_status plan_arrivals(span_program *program)
{
	int32_t *step_of = NULL;
	span_status status = SPAN_OK;

	for (int32_t row = 0; row < program->tiles && status == SPAN_OK; row++)
		status = plan_row(program, row, &step_of);
	if (status == SPAN_OK)
		status = sort_into_steps(program, step_of);
	free(step_of);
	return status;
}

/* Steps the rank takes part in; backward adds more to drain. */
static span_status plan_steps(span_program *program)
{
	program->gather_steps = span_order_steps(program->order, program->rank);
	program->steps = program->gather_steps;
	program->step = calloc((size_t)program->steps + 1, sizeof(*program->step));
	if (program->step == NULL)
		return span_fail(SPAN_ENOMEM, "span_attention_create: no memory for the program");
	return SPAN_OK;
}

span_status span_program_create(const span_visible *visible, const span_order *order,
                                int32_t rank, int32_t schedule, span_program **program)
{
	span_program *made = calloc(1, sizeof(*made));
	span_status status;

	if (made == NULL)
		return span_fail(SPAN_ENOMEM, "span_attention_create: no memory for the program");
	made->visible = *visible;
	made->order = order;
	made->rank = rank;
	made->schedule = schedule;
	made->tiles = (int32_t)span_layout_rank_tiles(visible->layout, rank);
	made->nodes = span_program_cover(made, rank, made->node);
	status = plan_steps(made);
	if (status == SPAN_OK)
		status = span_program_add_gather(made);
	if (status == SPAN_OK)
		status = plan_arrivals(made);
	if (status == SPAN_OK)
		status = span_program_add_returns(made);
	if (status == SPAN_OK)
		status = span_program_count_outstanding(made);
	if (status != SPAN_OK) {
		span_program_free(made);
		return status;
	}
	*program = made;
	return SPAN_OK;
}

void span_program_free(span_program *program)
{
	if (program == NULL)
		return;
	free(program->step);
	free(program->read);
	free(program->return_parts);
	free(program->delivery_parts);
	free(program->transfer);
	free(program->arrival);
	free(program->merge);
	free(program->account);
	free(program->delivery);
	free(program->part);
	free(program);
}
