/* Gather orders: options, places, the way back, queries. The steps come from order_route.c
 * and order_steps.c. */
#include "topo/order/order.h"

#include <stdlib.h>
#include <string.h>

#include "topo/log.h"

static const char *const kind_names[] = {
	[SPAN_ORDER_AUTO] = "auto",
	[SPAN_ORDER_RING] = "ring",
	[SPAN_ORDER_NODE_FIRST] = "node-first",
	[SPAN_ORDER_PAIRWISE] = "pairwise",
	[SPAN_ORDER_ALL_GATHER] = "all-gather",
};

#define KINDS ((int)(sizeof(kind_names) / sizeof(kind_names[0])))

const char *span_order_kind_name(span_order_kind kind)
{
	int k = (int)kind;

	return k >= 0 && k < KINDS ? kind_names[k] : "unknown";
}

span_status span_order_kind_parse(const char *name, span_order_kind *kind)
{
	if (!name || !kind)
		return span_fail(SPAN_EINVAL, "span_order_kind_parse: %s is NULL",
		                 name ? "kind" : "name");
	for (int k = 0; k < KINDS; k++) {
		if (!strcmp(name, kind_names[k])) {
			*kind = (span_order_kind)k;
			return SPAN_OK;
		}
	}
	return span_fail(SPAN_EINVAL,
	                 "span_order_kind_parse: name is \"%.64s\"; known are auto, ring, "
	                 "node-first, pairwise and all-gather",
	                 name);
}

static const char *const way_back_names[] = {
	[SPAN_RETURN_AUTO] = "auto",
	[SPAN_RETURN_DIRECT] = "direct",
	[SPAN_RETURN_GROUP_FIRST] = "group-first",
};

const char *span_order_way_back_name(span_return_kind way_back)
{
	return way_back_names[way_back];
}

static span_status check_options(const span_order_options *options)
{
	int kind, way_back;

	if (!options)
		return span_fail(SPAN_EINVAL, "span_order_create: options is NULL");
	if (options->size != sizeof(*options))
		return span_fail(SPAN_EINVAL,
		                 "span_order_create: size is %zu; this library knows "
		                 "span_order_options of %zu bytes",
		                 options->size, sizeof(*options));
	kind = (int)options->kind;
	if (kind < 0 || kind >= KINDS)
		return span_fail(SPAN_EINVAL,
		                 "span_order_create: kind is %d; a span_order_kind is from 0 "
		                 "to %d",
		                 kind, KINDS - 1);
	way_back = (int)options->way_back;
	if (way_back < SPAN_RETURN_AUTO || way_back > SPAN_RETURN_GROUP_FIRST)
		return span_fail(SPAN_EINVAL,
		                 "span_order_create: way_back is %d; a span_return_kind is "
		                 "from 0 to %d",
		                 way_back, SPAN_RETURN_GROUP_FIRST);
	if (options->ranks < 1 || options->ranks > SPAN_ORDER_MAX_RANKS)
		return span_fail(SPAN_EINVAL, "span_order_create: ranks is %d; it is from 1 to %d",
		                 options->ranks, SPAN_ORDER_MAX_RANKS);
	return SPAN_OK;
}

static int32_t *new_numbers(size_t n)
{
	return calloc(n, sizeof(int32_t));
}

/* What does not depend on the number of groups. */
static span_status allocate(span_order *order)
{
	size_t ranks = (size_t)order->ranks;

	order->group_id = new_numbers(ranks);
	order->need = malloc(ranks * ranks);
	order->rank_at = new_numbers(ranks);
	order->place_of = new_numbers(ranks);
	order->group_of = new_numbers(ranks);
	order->group_first = new_numbers(ranks + 1);
	order->buffers = new_numbers(ranks);
	order->step_first = calloc(ranks + 1, sizeof(*order->step_first));
	if (!order->group_id || !order->need || !order->rank_at || !order->place_of ||
	    !order->group_of || !order->group_first || !order->buffers || !order->step_first)
		return SPAN_ENOMEM;
	return SPAN_OK;
}

static void copy_need(span_order *order, const uint8_t *need)
{
	size_t n = (size_t)order->ranks * (size_t)order->ranks;

	for (size_t i = 0; i < n; i++)
		order->need[i] = need ? need[i] != 0 : 1;
}

struct member {
	int32_t group;
	int32_t rank;
};

static int compare_members(const void *left, const void *right)
{
	const struct member *a = left, *b = right;

	if (a->group != b->group)
		return a->group < b->group ? -1 : 1;
	return a->rank < b->rank ? -1 : a->rank > b->rank;
}

/* Give every rank its place, and every group its first. */
static span_status place_ranks(span_order *order)
{
	struct member *members = malloc((size_t)order->ranks * sizeof(*members));

	if (!members)
		return SPAN_ENOMEM;
	for (int32_t rank = 0; rank < order->ranks; rank++)
		members[rank] = (struct member){ order->group_id[rank], rank };
	qsort(members, (size_t)order->ranks, sizeof(*members), compare_members);
	for (int32_t place = 0; place < order->ranks; place++) {
		int32_t rank = members[place].rank;

		if (!place || members[place].group != members[place - 1].group)
			order->group_first[order->groups++] = place;
		order->rank_at[place] = rank;
		order->place_of[rank] = place;
		order->group_of[rank] = order->groups - 1;
	}
	order->group_first[order->groups] = order->ranks;
	free(members);
	return SPAN_OK;
}

/* Who collects the gradient of a block in a group: the rank on the owner's rail, which in its
 * own group is the owner, when two or more ranks need the block. A single one sends to the
 * owner itself. */
static int32_t choose_collector(const span_order *order, int32_t group, int32_t block)
{
	int32_t first = order->group_first[group], size = span_order_group_size(order, group);
	int32_t needing = 0;

	if (order->way_back == SPAN_RETURN_DIRECT)
		return -1;
	for (int32_t i = 0; i < size; i++)
		needing += span_order_needs(order, order->rank_at[first + i], block);
	if (needing < 2)
		return -1;
	return order->rank_at[first + span_order_local_index(order, block) % size];
}

static span_status choose_collectors(span_order *order)
{
	order->collector = new_numbers((size_t)order->groups * (size_t)order->ranks);
	if (!order->collector)
		return SPAN_ENOMEM;
	for (int32_t group = 0; group < order->groups; group++)
		for (int32_t block = 0; block < order->ranks; block++)
			order->collector[(size_t)group * order->ranks + block] =
				choose_collector(order, group, block);
	return SPAN_OK;
}

static void resolve_auto(span_order *order)
{
	if (order->kind == SPAN_ORDER_AUTO)
		order->kind = order->groups > 1 ? SPAN_ORDER_NODE_FIRST : SPAN_ORDER_RING;
	if (order->way_back == SPAN_RETURN_AUTO)
		order->way_back = order->groups > 1 ? SPAN_RETURN_GROUP_FIRST
		                                    : SPAN_RETURN_DIRECT;
}

static span_status begin(span_order *order, const span_order_options *options)
{
	span_status status;

	order->kind = options->kind;
	order->way_back = options->way_back;
	order->ranks = options->ranks;
	status = allocate(order);
	if (status)
		return status;
	if (options->group)
		memcpy(order->group_id, options->group,
		       (size_t)order->ranks * sizeof(*order->group_id));
	copy_need(order, options->need);
	status = place_ranks(order);
	if (status)
		return status;
	resolve_auto(order);
	return choose_collectors(order);
}

span_status span_order_begin(const span_order_options *options, span_order **result)
{
	span_status status = check_options(options);
	span_order *order;

	if (status)
		return status;
	order = calloc(1, sizeof(*order));
	status = order ? begin(order, options) : SPAN_ENOMEM;
	if (status) {
		span_order_free(order);
		return span_fail(status, "span_order_create: no memory for the order of %d ranks",
		                 options->ranks);
	}
	*result = order;
	return SPAN_OK;
}

span_status span_order_create(const span_order_options *options, span_order **result)
{
	span_order *order;
	span_status status;

	if (!result)
		return span_fail(SPAN_EINVAL, "span_order_create: order is NULL");
	status = span_order_begin(options, &order);
	if (status)
		return status;
	status = span_order_build_steps(order);
	if (!status)
		status = span_order_count_buffers(order);
	if (status) {
		span_order_free(order);
		return span_fail(status, "span_order_create: no memory for the steps of %d ranks",
		                 options->ranks);
	}
	*result = order;
	return SPAN_OK;
}

void span_order_free(span_order *order)
{
	if (!order)
		return;
	free(order->group_id);
	free(order->need);
	free(order->rank_at);
	free(order->place_of);
	free(order->group_of);
	free(order->group_first);
	free(order->collector);
	free(order->buffers);
	free(order->step_first);
	free(order->steps);
	free(order->receives);
	free(order->sends);
	free(order);
}

span_order_kind span_order_kind_of(const span_order *order)
{
	return order->kind;
}

span_return_kind span_order_way_back(const span_order *order)
{
	return order->way_back;
}

int32_t span_order_ranks(const span_order *order)
{
	return order->ranks;
}

int32_t span_order_group(const span_order *order, int32_t rank)
{
	return order->group_id[rank];
}

int32_t span_order_groups(const span_order *order)
{
	return order->groups;
}

int span_order_needs(const span_order *order, int32_t rank, int32_t block)
{
	return order->need[(size_t)rank * order->ranks + block];
}

int32_t span_order_steps(const span_order *order, int32_t rank)
{
	return (int32_t)(order->step_first[rank + 1] - order->step_first[rank]);
}

const span_order_step *span_order_step_at(const span_order *order, int32_t rank, int32_t step)
{
	return &order->steps[order->step_first[rank] + step];
}

int32_t span_order_buffers(const span_order *order, int32_t rank)
{
	return order->buffers[rank];
}

int32_t span_order_return_hop(const span_order *order, int32_t block, int32_t rank)
{
	int32_t collector;

	if (rank == block)
		return -1;
	collector = order->collector[(size_t)order->group_of[rank] * order->ranks + block];
	if (rank == collector)
		return block;
	if (!span_order_needs(order, rank, block))
		return -1;
	return collector < 0 ? block : collector;
}
