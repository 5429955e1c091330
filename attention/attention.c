/* The op: created from options, planned once, queried. */
#include "attention/span_attention.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "attention/op.h"
#include "topo/log.h"

static void fill_defaults(span_attention_options *options)
{
	if (options->value_head_size == 0)
		options->value_head_size = options->head_size;
	if (options->scale == 0)
		options->scale = (float)(1 / sqrt((double)options->head_size));
	if (options->mask.size == 0)
		options->mask = (span_mask){ .size = sizeof(span_mask), .kind = SPAN_MASK_FULL };
	if (options->threads == 0)
		options->threads = 1;
	if (options->timeout == 0)
		options->timeout = 600;
}

static span_visible visible_of(const span_attention *op)
{
	return (span_visible){ .layout = op->layout, .mask = op->options.mask };
}

/* Whether some query of one rank sees some key of another. */
static int needs_block(const span_visible *visible, int32_t rank, int32_t block)
{
	int64_t tiles = span_layout_rank_tiles(visible->layout, rank);
	int64_t first, end;

	span_tree_shard(&visible->layout->tree, visible->layout->ranks, block, &first, &end);
	for (int64_t slot = 0; slot < tiles; slot++) {
		int64_t low, high;

		span_visible_keys(visible, span_layout_tile_at(visible->layout, rank, slot), &low,
		                  &high);
		if (span_tree_count(&visible->layout->tree, first, end, low, high) > 0)
			return 1;
	}
	return 0;
}

/* need [P][P]; the caller frees it. */
static uint8_t *make_need(const span_attention *op)
{
	size_t ranks = (size_t)op->ranks;
	span_visible visible = visible_of(op);
	uint8_t *need = malloc(ranks * ranks);

	for (size_t i = 0; need != NULL && i < ranks * ranks; i++)
		need[i] = (uint8_t)needs_block(&visible, (int32_t)(i / ranks),
		                               (int32_t)(i % ranks));
	return need;
}

static int sends_in_step(const span_order *order, int32_t rank, int32_t t, int32_t to, int32_t block)
{
	const span_order_step *step;

	if (t >= span_order_steps(order, rank))
		return 0;
	step = span_order_step_at(order, rank, t);
	for (int32_t i = 0; i < step->n_sends; i++)
		if (step->sends[i].peer == to && step->sends[i].block == block)
			return 1;
	return 0;
}

/* How much of a block travels, and when gradients are waited for, is worked out by one clock: a
 * message belongs to the same step on both sides. The proof of an order does without. */
static span_status check_clock(const span_order *order)
{
	for (int32_t r = 0; r < span_order_ranks(order); r++) {
		for (int32_t t = 0; t < span_order_steps(order, r); t++) {
			const span_order_step *step = span_order_step_at(order, r, t);

			for (int32_t i = 0; i < step->n_receives; i++) {
				span_order_transfer from = step->receives[i];

				if (sends_in_step(order, from.peer, t, r, from.block))
					continue;
				return span_fail(SPAN_EINVAL,
				                 "span_attention_create: custom_order has rank %d "
				                 "receive block %d in step %d and rank %d send it in "
				                 "another; both must be one", r, from.block, t,
				                 from.peer);
			}
		}
	}
	return SPAN_OK;
}

/* A caller's order must serve every need; what it computes beyond is harmless. */
static span_status check_custom_order(const span_order *order, const uint8_t *need)
{
	int32_t ranks = span_order_ranks(order);
	span_status status = span_order_check(order);

	if (status == SPAN_OK)
		status = check_clock(order);
	if (status != SPAN_OK)
		return status;
	for (int32_t r = 0; r < ranks; r++)
		for (int32_t b = 0; b < ranks; b++)
			if (need[(size_t)r * (size_t)ranks + (size_t)b] &&
			    !span_order_needs(order, r, b))
				return span_fail(SPAN_EINVAL,
				                 "span_attention_create: custom_order gives rank %d no "
				                 "block %d, which its queries see", r, b);
	return SPAN_OK;
}

static span_status make_order(span_attention *op)
{
	const span_order *custom = op->options.custom_order;
	uint8_t *need = make_need(op);
	span_status status;

	if (need == NULL)
		return span_fail(SPAN_ENOMEM, "span_attention_create: no memory for the order");
	if (custom != NULL) {
		status = check_custom_order(custom, need);
		op->order = custom;
	} else {
		span_order_options options = {
			.size = sizeof(options),
			.kind = op->options.order,
			.way_back = op->options.way_back,
			.ranks = op->ranks,
			.group = op->transport != NULL ? op->transport->group : NULL,
			.need = need,
		};

		status = span_order_create(&options, &op->made_order);
		op->order = op->made_order;
	}
	free(need);
	return status;
}

/* Parts of the largest message on the way back; at least 1. */
static size_t most_parts(const span_attention *op)
{
	const span_program *program = op->program;
	int32_t most = 1;

	for (int32_t i = 0; i < program->accounts; i++)
		if (program->account[i].part.count > most)
			most = program->account[i].part.count;
	for (int32_t i = 0; i < program->deliveries; i++)
		if (program->delivery[i].parts > most)
			most = program->delivery[i].parts;
	return (size_t)most;
}

/* The state of a running pass, sized by the program. */
static span_status make_state(span_attention *op)
{
	size_t ranks = (size_t)op->ranks;
	size_t sends = 1, deliveries = (size_t)op->program->deliveries + 1;
	size_t buffers = (size_t)op->program->return_buffers + 1;
	size_t tiles = (size_t)op->program->tiles + 1;
	size_t digests = 2 * (size_t)(op->options.batch * op->options.kv_heads) *
	                 (size_t)span_memory_most_tiles(op);
	size_t returned = (size_t)(op->options.batch * op->options.kv_heads) * most_parts(op);

	for (int32_t t = 0; t < op->program->gather_steps; t++)
		sends += (size_t)op->program->step[t].send.count;
	op->receive_token = calloc(ranks, sizeof(*op->receive_token));
	op->block_state = calloc(ranks, sizeof(*op->block_state));
	op->block_buffer = calloc(ranks, sizeof(*op->block_buffer));
	op->block_tiles = calloc(ranks, sizeof(*op->block_tiles));
	op->buffer_block = calloc((size_t)op->program->kv_buffers + 1, sizeof(*op->buffer_block));
	op->block_origin = calloc(ranks, sizeof(*op->block_origin));
	op->block_message = calloc(ranks, sizeof(*op->block_message));
	op->chunk_digest = calloc(digests, sizeof(*op->chunk_digest));
	op->table = calloc(digests, sizeof(*op->table));
	op->part_digest = calloc(returned, sizeof(*op->part_digest));
	op->came_digest = calloc(returned, sizeof(*op->came_digest));
	op->send_token = calloc(sends, sizeof(*op->send_token));
	op->send_buffer = calloc(sends, sizeof(*op->send_buffer));
	op->delivery_token = calloc(deliveries, sizeof(*op->delivery_token));
	op->return_token = calloc(buffers, sizeof(*op->return_token));
	op->return_posted = calloc(buffers, sizeof(*op->return_posted));
	op->count = aligned_alloc(64, (size_t)op->options.threads * sizeof(*op->count));
	op->waiting = calloc(tiles, sizeof(*op->waiting));
	op->returns_waiting = calloc(tiles, sizeof(*op->returns_waiting));
	if (!op->receive_token || !op->block_state || !op->block_buffer || !op->block_tiles ||
	    !op->buffer_block || !op->block_origin || !op->block_message || !op->chunk_digest ||
	    !op->table || !op->part_digest || !op->came_digest || !op->send_token ||
	    !op->send_buffer || !op->delivery_token || !op->return_token || !op->return_posted ||
	    !op->count || !op->waiting || !op->returns_waiting)
		return span_fail(SPAN_ENOMEM, "span_attention_create: no memory");
	return SPAN_OK;
}

/* Bytes this rank sends in a pass, by tier. */
static void plan_bytes(const span_attention *op, int backward, span_pass_statistics *pass)
{
	const span_program *program = op->program;
	const int32_t *group = op->transport != NULL ? op->transport->group : NULL;

	for (int32_t t = 0; t < program->gather_steps; t++) {
		span_range send = program->step[t].send;

		for (int32_t i = send.first; i < send.first + send.count; i++) {
			const span_gather_transfer *transfer = &program->transfer[i];
			uint64_t bytes = span_memory_block_bytes(op, transfer->block,
			                                         transfer->tiles);

			if (group[transfer->peer] == group[op->rank])
				pass->bytes_inside_planned += bytes;
			else
				pass->bytes_between_planned += bytes;
		}
	}
	for (int32_t i = 0; i < program->accounts && backward; i++) {
		const span_account *account = &program->account[i];
		uint64_t bytes = (uint64_t)account->part.count * op->memory.part_bytes;

		if (account->hop < 0)
			continue;
		if (group[account->hop] == group[op->rank])
			pass->bytes_inside_planned += bytes;
		else
			pass->bytes_between_planned += bytes;
	}
}

/* The largest share of pairs over the mean, with tiles of a given size. */
static double imbalance(const span_attention *op, int32_t tile)
{
	span_layout *layout;
	span_visible visible = { .mask = op->options.mask };
	double most = 0, sum = 0;

	if (span_layout_create(op->options.query_tokens, tile,
	                       span_layout_family_of(op->layout), op->ranks, &layout) != SPAN_OK)
		return INFINITY;
	visible.layout = layout;
	for (int32_t r = 0; r < op->ranks; r++) {
		double pairs = (double)span_visible_rank_pairs(&visible, r);

		sum += pairs;
		most = pairs > most ? pairs : most;
	}
	span_layout_free(layout);
	return most * op->ranks / sum;
}

/* The largest tile that makes work even enough; 0 when it is, or when none does. */
static int32_t balanced_tile(const span_attention *op, double now)
{
	int32_t tile = 4096;

	if (now <= 1.1)
		return 0;
	while (tile >= 16 && imbalance(op, tile) > 1.1)
		tile /= 2;
	return tile >= 16 ? tile : 0;
}

static void fill_statistics(span_attention *op)
{
	span_attention_statistics *statistics = &op->statistics;
	span_visible visible = visible_of(op);
	int64_t pairs = span_visible_rank_pairs(&visible, op->rank);

	statistics->size = sizeof(*statistics);
	statistics->isa = op->kernels->name;
	statistics->numerics = op->options.numerics;
	statistics->order = span_order_kind_of(op->order);
	statistics->way_back = span_order_way_back(op->order);
	statistics->ranks = op->ranks;
	statistics->tile = op->options.tile;
	statistics->causal_imbalance = imbalance(op, op->options.tile);
	statistics->balanced_tile = balanced_tile(op, statistics->causal_imbalance);
	statistics->workspace_bytes = op->memory.total;
	statistics->block_bytes = op->memory.block_total;
	statistics->pending_bytes = op->memory.pending_total;
	statistics->query_bytes = op->memory.scratch - op->memory.block_total -
	                          op->memory.pending_total;
	statistics->scratch_bytes = op->memory.total - op->memory.scratch;
	statistics->forward.pairs_planned = statistics->backward.pairs_planned = pairs;
	statistics->forward.pending_planned = op->program->pending_slots;
	statistics->backward.pending_planned = op->program->pending_slots;
	if (op->program->own_account >= 0)
		statistics->backward.returns_planned =
			op->program->account[op->program->own_account].slots;
	plan_bytes(op, 0, &statistics->forward);
	plan_bytes(op, 1, &statistics->backward);
}

/* Built-in orders stay far below; one made by hand may have a rank serve all others. */
static span_status check_outstanding(const span_attention *op)
{
	int64_t most = SPAN_TRANSPORT_OUTSTANDING(op->ranks);

	if (op->program->outstanding <= most)
		return SPAN_OK;
	return span_fail(SPAN_EUNSUPPORTED,
	                 "span_attention_create: custom_order has rank %d post %lld messages before "
	                 "it waits for them; a transport takes %lld", op->rank,
	                 (long long)op->program->outstanding, (long long)most);
}

/* The epoch before the first call. Its upper half is a digest of the options that must be the same
 * on all ranks: most differences would give a wrong result in messages of the right size. */
static uint64_t first_epoch(const span_attention *op)
{
	const span_attention_options *options = &op->options;
	const int32_t *group = op->transport != NULL ? op->transport->group : NULL;
	const uint64_t shared[] = {
		(uint64_t)options->batch, (uint64_t)options->query_tokens,
		(uint64_t)options->query_heads, (uint64_t)options->kv_heads,
		(uint64_t)options->head_size, (uint64_t)options->dtype,
		span_digest(&options->scale, sizeof(options->scale)),
		(uint64_t)options->mask.kind, (uint64_t)options->layout,
		(uint64_t)options->numerics, (uint64_t)options->tile, (uint64_t)op->ranks,
		(uint64_t)span_order_kind_of(op->order), (uint64_t)span_order_way_back(op->order),
		span_digest(group, group != NULL ? (size_t)op->ranks * sizeof(*group) : 0),
	};

	return span_digest(shared, sizeof(shared)) & ~(uint64_t)UINT32_MAX;
}

/* Everything that depends on the options alone, in order. */
static span_status plan(span_attention *op)
{
	span_attention_options *options = &op->options;
	int32_t schedule = options->numerics == SPAN_NUMERICS_SCHEDULE;
	span_visible visible;
	span_status status = span_kernels_select(&op->kernels);

	if (status == SPAN_OK)
		status = span_layout_create(options->query_tokens, options->tile, options->layout,
		                            op->ranks, &op->layout);
	if (status != SPAN_OK)
		return status;
	options->tile = span_layout_tile(op->layout);
	op->tokens = span_layout_rank_tokens(op->layout, op->rank);
	op->width = span_width(options->head_size);
	op->heads_per_kv = options->query_heads / options->kv_heads;
	op->scale_log2 = span_scale_log2(options->scale);
	status = make_order(op);
	visible = visible_of(op);
	if (status == SPAN_OK)
		status = span_program_create(&visible, op->order, op->rank, schedule,
		                             &op->program);
	if (status == SPAN_OK)
		status = check_outstanding(op);
	if (status == SPAN_OK)
		status = span_memory_plan(op);
	if (status == SPAN_OK)
		status = make_state(op);
	if (status == SPAN_OK)
		status = span_pool_create(options->threads, &op->pool);
	if (status == SPAN_OK)
		op->epoch = first_epoch(op);
	return status;
}

span_status span_attention_create(const span_attention_options *options, span_attention **op)
{
	span_status status = span_check_options(options);
	span_attention *made;
	span_fp_mode mode;

	if (status != SPAN_OK)
		return status;
	if (op == NULL)
		return span_fail(SPAN_EINVAL, "span_attention_create: op is NULL");
	made = calloc(1, sizeof(*made));
	if (made == NULL)
		return span_fail(SPAN_ENOMEM, "span_attention_create: no memory");
	made->options = *options;
	made->transport = options->transport;
	made->ranks = options->transport != NULL ? options->transport->ranks : 1;
	made->rank = options->transport != NULL ? options->transport->rank : 0;
	span_fp_enter(&mode); /* the scale is rounded here, once for all calls */
	fill_defaults(&made->options);
	status = plan(made);
	if (status == SPAN_OK)
		fill_statistics(made);
	span_fp_leave(&mode);
	if (status != SPAN_OK) {
		span_attention_free(made);
		return status;
	}
	*op = made;
	return SPAN_OK;
}

void span_attention_free(span_attention *op)
{
	if (op == NULL)
		return;
	span_pool_free(op->pool);
	span_program_free(op->program);
	span_order_free(op->made_order);
	span_layout_free(op->layout);
	free(op->receive_token);
	free(op->block_state);
	free(op->block_buffer);
	free(op->block_tiles);
	free(op->buffer_block);
	free(op->block_origin);
	free(op->block_message);
	free(op->chunk_digest);
	free(op->table);
	free(op->part_digest);
	free(op->came_digest);
	free(op->send_token);
	free(op->send_buffer);
	free(op->delivery_token);
	free(op->return_token);
	free(op->return_posted);
	free(op->count);
	free(op->waiting);
	free(op->returns_waiting);
	free(op);
}

size_t span_attention_workspace_bytes(const span_attention *op)
{
	return op == NULL ? 0 : op->memory.total;
}

const span_layout *span_attention_layout(const span_attention *op)
{
	return op == NULL ? NULL : op->layout;
}

const span_order *span_attention_order(const span_attention *op)
{
	return op == NULL ? NULL : op->order;
}

span_status span_attention_get_statistics(const span_attention *op,
                                          span_attention_statistics *statistics)
{
	static const char *name = "span_attention_get_statistics";

	if (op == NULL)
		return span_fail(SPAN_EINVAL, "%s: op is NULL", name);
	if (statistics == NULL)
		return span_fail(SPAN_EINVAL, "%s: statistics is NULL", name);
	if (statistics->size < sizeof(*statistics))
		return span_fail(SPAN_EINVAL,
		                 "%s: statistics->size is %zu; sizeof(span_attention_statistics) is "
		                 "%zu", name, statistics->size, sizeof(*statistics));
	*statistics = op->statistics;
	return SPAN_OK;
}
