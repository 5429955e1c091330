#include "attention/reduce.h"

#include <assert.h>
#include <string.h>
#include "topo/log.h"

void span_reduce_start(span_reduce *reduce, const span_tree *tree, int64_t tile_first,
                       int64_t tile_end, int32_t schedule, int32_t expected)
{
	memset(reduce, 0, sizeof(*reduce));
	reduce->tree = tree;
	reduce->tile_first = tile_first;
	reduce->tile_end = tile_end;
	reduce->schedule = schedule;
	reduce->expected = expected;
}

static int is_absent(const span_reduce *reduce, span_node node)
{
	int64_t first, end;

	span_tree_range(reduce->tree, node, &first, &end);
	return span_tree_count(reduce->tree, first, end, reduce->tile_first,
	                       reduce->tile_end) == 0;
}

static int find(const span_reduce *reduce, span_node node)
{
	for (int slot = 0; slot < reduce->slots; slot++)
		if (reduce->used[slot] && reduce->node[slot].height == node.height &&
		    reduce->node[slot].index == node.index)
			return slot;
	return -1;
}

static void take(span_reduce *reduce, span_arrival *arrival, int slot, int waiting_is_left)
{
	arrival->merge[arrival->merges++] = (span_merge){ (int16_t)slot, (int16_t)waiting_is_left };
	reduce->used[slot] = 0;
	reduce->pending--;
}

/* Climb: merge with the sibling where it waits, pass it by where it is absent. */
static span_node climb(span_reduce *reduce, span_node node, span_arrival *arrival)
{
	while (node.height < reduce->tree->height) {
		span_node sibling = { node.height, node.index ^ 1 };
		int slot = find(reduce, sibling);

		if (slot >= 0)
			take(reduce, arrival, slot, node.index & 1);
		else if (!is_absent(reduce, sibling))
			break;
		node.height++;
		node.index >>= 1;
	}
	return node;
}

static int lowest_free(const span_reduce *reduce)
{
	int slot = 0;

	while (slot < SPAN_REDUCE_PENDING && reduce->used[slot])
		slot++;
	return slot;
}

span_status span_reduce_arrive(span_reduce *reduce, span_node node, span_arrival *arrival)
{
	arrival->merges = 0;
	reduce->arrived++;
	if (reduce->schedule) {
		if (reduce->pending > 0)
			take(reduce, arrival, 0, 1);
	} else {
		node = climb(reduce, node, arrival);
	}
	if (reduce->arrived == reduce->expected) {
		assert(reduce->pending == 0);
		arrival->store = -1;
		return SPAN_OK;
	}
	arrival->store = lowest_free(reduce);
	if (arrival->store == SPAN_REDUCE_PENDING)
		return span_fail(SPAN_EUNSUPPORTED,
		                 "span_attention_create: order makes more than %d partials wait; "
		                 "choose ring or node-first, or schedule numerics",
		                 SPAN_REDUCE_PENDING);
	reduce->used[arrival->store] = 1;
	reduce->node[arrival->store] = node;
	reduce->pending++;
	if (arrival->store + 1 > reduce->slots)
		reduce->slots = arrival->store + 1;
	return SPAN_OK;
}
