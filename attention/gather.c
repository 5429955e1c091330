/* The way out of keys and values: blocks received, checked, and passed on. */
#include <string.h>
#include "attention/copy.h"
#include "attention/pass.h"

/* Where a block lies as it travels. */
static char *block_data(const span_attention *op, int32_t block)
{
	const span_memory *memory = &op->memory;

	if (block == op->rank)
		return op->workspace + memory->own_block;
	return op->workspace + memory->kv_buffer +
	       (size_t)op->block_buffer[block] * memory->kv_buffer_bytes;
}

/* One tile of a block as it travels: its table of digests and the rows behind it. */
static char *tile_data(const span_attention *op, int32_t block, int64_t slot)
{
	return block_data(op, block) + (size_t)slot * span_memory_tile_bytes(op);
}

/* A chunk: K and V of one head in a tile. */
typedef struct {
	char *data[2];
	int64_t index[2]; /* of its digests in the table */
	size_t bytes;     /* of each */
} block_chunk;

static block_chunk find_chunk(const span_attention *op, int32_t block, int64_t batch,
                              int32_t kv_head, int64_t slot)
{
	int64_t tile = span_layout_tile_at(op->layout, block, slot);
	int64_t planes = op->options.batch * op->options.kv_heads;
	int64_t plane = batch * op->options.kv_heads + kv_head;
	char *rows = tile_data(op, block, slot) + span_memory_table_bytes(op);
	block_chunk chunk = {
		.bytes = (size_t)span_layout_tile_tokens(op->layout, tile) *
		         (size_t)op->options.head_size * span_dtype_bytes(op->options.dtype),
		.index = { plane, planes + plane },
	};

	for (int i = 0; i < 2; i++)
		chunk.data[i] = rows + (size_t)chunk.index[i] * chunk.bytes;
	return chunk;
}

span_tile_view span_gather_tile(const span_attention *op, const span_tensor *k,
                                const span_tensor *v, int32_t block, int64_t batch,
                                int32_t kv_head, int64_t slot)
{
	int64_t token = slot * op->options.tile;
	size_t element = span_dtype_bytes(op->options.dtype);
	block_chunk chunk;

	if (op->ranks == 1)
		return (span_tile_view){
			(const char *)k->data + (size_t)(batch * k->batch_stride + kv_head *
				k->head_stride + token * k->token_stride) * element,
			(const char *)v->data + (size_t)(batch * v->batch_stride + kv_head *
				v->head_stride + token * v->token_stride) * element,
			k->token_stride, v->token_stride
		};
	chunk = find_chunk(op, block, batch, kv_head, slot);
	return (span_tile_view){ chunk.data[0], chunk.data[1], op->options.head_size,
	                         op->options.head_size };
}

/* Digests of a tile. */
static int64_t table_length(const span_attention *op)
{
	return 2 * op->options.batch * op->options.kv_heads;
}

/* The digest that a message with the leading tiles of a block carries: that of their tables. So
 * a rank that passes fewer tiles on than it got can still say what its owner said of them. */
static uint64_t tables_digest(const span_attention *op, int32_t block, int32_t tiles)
{
	size_t bytes = (size_t)table_length(op) * sizeof(*op->table);

	for (int32_t slot = 0; slot < tiles; slot++)
		memcpy(op->table + slot * table_length(op), tile_data(op, block, slot), bytes);
	return op->kernels->digest(op->table, (size_t)tiles * bytes);
}

/* A digest says in which call, block and tile its chunk belongs: what a buffer held before has
 * digests that are right for it, and a rank that passed that on would else go unnoticed. */
static void digest_chunk(const span_attention *op, const block_chunk *chunk, int32_t block,
                         int64_t slot, uint64_t *table)
{
	const uint64_t place[] = { op->epoch, (uint64_t)block, (uint64_t)slot };
	uint64_t mark = span_digest(place, sizeof(place));

	for (int i = 0; i < 2; i++)
		table[chunk->index[i]] = op->kernels->digest(chunk->data[i], chunk->bytes) ^ mark;
}

void span_gather_digest(span_attention *op, int32_t block, int64_t batch, int32_t kv_head,
                        int64_t slot)
{
	block_chunk chunk;

	if (block == op->rank)
		return;
	chunk = find_chunk(op, block, batch, kv_head, slot);
	digest_chunk(op, &chunk, block, slot, op->chunk_digest + slot * table_length(op));
}

/* The header that a block must come with, but for step and digest. */
static span_message due_message(const span_attention *op, int32_t block)
{
	return (span_message){ .channel = SPAN_CHANNEL_GATHER, .owner = (uint32_t)block,
	                       .origin = (uint32_t)op->block_origin[block],
	                       .bytes = span_memory_block_bytes(op, block,
	                                                        op->block_tiles[block]) };
}

/* Hold the digests of tiles that were read against those that came with them. */
static span_status verify_tiles(span_attention *op, int32_t block, int32_t tiles)
{
	size_t bytes = (size_t)table_length(op) * sizeof(*op->table);
	const span_message *got = &op->block_message[block];
	span_message due = due_message(op, block);
	int differs = 0;

	op->block_state[block] = SPAN_BLOCK_CHECKED;
	for (int32_t slot = 0; slot < tiles; slot++)
		differs |= memcmp(op->chunk_digest + slot * table_length(op),
		                  tile_data(op, block, slot), bytes);
	return span_pass_check(op, got, &due, differs ? ~got->digest : got->digest,
	                       "keys and values");
}

span_status span_gather_verify(span_attention *op, int32_t block)
{
	return block == op->rank ? SPAN_OK : verify_tiles(op, block, op->program->read[block]);
}

/* Copy the tile of one head of this rank's K and V into its dense form. */
static void pack_chunk(const span_attention *op, const span_tensor *from[2], int64_t batch,
                       int32_t kv_head, int64_t slot)
{
	size_t element = span_dtype_bytes(op->options.dtype);
	size_t row = (size_t)op->options.head_size * element;
	block_chunk chunk = find_chunk(op, op->rank, batch, kv_head, slot);

	for (int i = 0; i < 2; i++) {
		const span_tensor *tensor = from[i];
		int64_t at = batch * tensor->batch_stride + kv_head * tensor->head_stride +
		             slot * op->options.tile * tensor->token_stride;

		span_copy_rows(chunk.data[i], (const char *)tensor->data + (size_t)at * element,
		               row, (size_t)tensor->token_stride * element, chunk.bytes / row);
	}
	digest_chunk(op, &chunk, op->rank, slot, (uint64_t *)tile_data(op, op->rank, slot));
}

/* Behind the digests of a tile, up to its rows: what travels must not be just any bytes. */
static void clear_behind_table(const span_attention *op, int64_t slot)
{
	size_t used = (size_t)table_length(op) * sizeof(*op->table);

	memset(tile_data(op, op->rank, slot) + used, 0, span_memory_table_bytes(op) - used);
}

void span_gather_begin(span_attention *op, const span_tensor *k, const span_tensor *v,
                       void *workspace)
{
	const span_tensor *from[2] = { k, v };

	op->workspace = workspace;
	op->epoch++;
	op->sends = 0;
	if (op->ranks == 1)
		return;
	for (int32_t block = 0; block < op->ranks; block++)
		op->block_state[block] = SPAN_BLOCK_AWAY;
	for (int32_t i = 0; i < op->program->kv_buffers; i++)
		op->buffer_block[i] = -1;
	for (int32_t slot = 0; slot < op->program->tiles; slot++)
		clear_behind_table(op, slot);
	for (int64_t b = 0; b < op->options.batch; b++)
		for (int32_t h = 0; h < op->options.kv_heads; h++)
			for (int32_t slot = 0; slot < op->program->tiles; slot++)
				pack_chunk(op, from, b, h, slot);
}

/* Have a block in its buffer. */
static span_status have_block(span_attention *op, int32_t block)
{
	span_message *got = &op->block_message[block];
	span_message due = due_message(op, block);
	span_status status;

	if (block == op->rank || op->block_state[block] != SPAN_BLOCK_ARRIVING)
		return SPAN_OK;
	op->block_state[block] = SPAN_BLOCK_AWAY;
	status = span_pass_wait(op, op->receive_token[block], got, "keys and values");
	if (status == SPAN_OK) /* a message of another size may hold no tables */
		status = span_pass_check(op, got, &due, got->digest, "keys and values");
	/* The tables are checked now, the tiles where they are read: span_gather_verify. */
	if (status == SPAN_OK)
		status = span_pass_check(op, got, &due,
		                         tables_digest(op, block, op->block_tiles[block]),
		                         "keys and values");
	if (status == SPAN_OK)
		op->block_state[block] = SPAN_BLOCK_UNREAD;
	return status;
}

/* Wait for the sends that still read a buffer. */
static span_status drain_buffer(span_attention *op, int32_t buffer)
{
	span_status status = SPAN_OK;
	int32_t kept = 0;

	for (int32_t i = 0; i < op->sends; i++) {
		if (op->send_buffer[i] == buffer && status == SPAN_OK) {
			status = span_pass_wait(op, op->send_token[i], NULL, "a receiver of a block");
			continue;
		}
		op->send_token[kept] = op->send_token[i];
		op->send_buffer[kept++] = op->send_buffer[i];
	}
	op->sends = kept;
	return status;
}

static span_status post_receive(span_attention *op, const span_gather_transfer *transfer)
{
	span_status status = drain_buffer(op, transfer->buffer);
	int32_t block = transfer->block;

	if (status != SPAN_OK)
		return status;
	op->block_buffer[block] = transfer->buffer;
	op->buffer_block[transfer->buffer] = block;
	op->block_origin[block] = transfer->peer;
	op->block_tiles[block] = transfer->tiles;
	status = op->transport->post_receive(op->transport, transfer->peer, SPAN_CHANNEL_GATHER,
	                                     block_data(op, block),
	                                     span_memory_block_bytes(op, block,
	                                                             transfer->tiles),
	                                     &op->receive_token[block]);
	if (status != SPAN_OK)
		return span_pass_give_up(op, status);
	op->block_state[block] = SPAN_BLOCK_ARRIVING;
	return SPAN_OK;
}

static span_status post_send(span_attention *op, const span_gather_transfer *transfer, int32_t t)
{
	int32_t block = transfer->block;
	span_message message = { .channel = SPAN_CHANNEL_GATHER, .step = (uint32_t)t,
	                         .owner = (uint32_t)block,
	                         .bytes = span_memory_block_bytes(op, block,
	                                                          transfer->tiles),
	                         .digest = tables_digest(op, block, transfer->tiles) };

	op->send_buffer[op->sends] = block == op->rank ? -1 : op->block_buffer[block];
	return span_pass_send(op, transfer->peer, &message, block_data(op, block),
	                 &op->send_token[op->sends++]);
}

span_status span_gather_step(span_attention *op, int32_t t)
{
	const span_program_step *step = &op->program->step[t];
	const span_gather_transfer *receive = &op->program->transfer[step->receive.first];
	const span_gather_transfer *send = &op->program->transfer[step->send.first];
	span_status status = step->compute >= 0 ? have_block(op, step->compute) : SPAN_OK;

	for (int32_t i = 0; i < step->send.count && status == SPAN_OK; i++)
		status = have_block(op, send[i].block);
	for (int32_t i = 0; i < step->receive.count && status == SPAN_OK; i++)
		status = post_receive(op, &receive[i]);
	for (int32_t i = 0; i < step->send.count && status == SPAN_OK; i++)
		status = post_send(op, &send[i], t);
	return status;
}

span_status span_gather_end(span_attention *op)
{
	span_status status = SPAN_OK;

	for (int32_t i = 0; i < op->sends && status == SPAN_OK; i++)
		status = span_pass_wait(op, op->send_token[i], NULL, "a receiver of a block");
	op->sends = 0;
	return status;
}

/* Digest a whole block, outside of the computing that does it otherwise. */
static span_status check_unread(span_attention *op, int32_t block)
{
	for (int64_t b = 0; b < op->options.batch; b++)
		for (int32_t h = 0; h < op->options.kv_heads; h++)
			for (int32_t slot = 0; slot < op->block_tiles[block]; slot++)
				span_gather_digest(op, block, b, h, slot);
	return verify_tiles(op, block, op->block_tiles[block]);
}

span_status span_gather_stopped(span_attention *op, span_status status)
{
	for (int32_t i = 0; op->ranks > 1 && i < op->program->kv_buffers; i++) {
		int32_t block = op->buffer_block[i];

		if (block >= 0 && op->block_state[block] == SPAN_BLOCK_UNREAD &&
		    check_unread(op, block) != SPAN_OK)
			status = SPAN_EINTEGRITY;
	}
	return status;
}
