/* The way back of dK and dV: accounts sent on, deliveries received and checked. */
#include <string.h>
#include "attention/pass.h"

/* The start of buffer number `buffer` among buffers of parts[] parts each. */
static char *buffer_at(const span_attention *op, size_t base, const int32_t *parts,
                       int32_t buffer)
{
	size_t before = 0;

	for (int32_t i = 0; i < buffer; i++)
		before += (size_t)parts[i];
	return op->workspace + base + before * op->memory.part_bytes;
}

/* Heads, counted over batches: as many digests a part. */
static int64_t planes_of(const span_attention *op)
{
	return op->options.batch * op->options.kv_heads;
}

/* Digest dK and dV of one head in a part. */
static uint64_t digest_plane(const span_attention *op, const char *part, int64_t plane)
{
	size_t bytes = op->memory.part_bytes / (size_t)planes_of(op);

	return op->kernels->digest(part + (size_t)plane * bytes, bytes);
}

/* The digest of a message: that of the digests of its parts. */
static uint64_t digest_parts(const span_attention *op, const uint64_t *digests, int32_t parts)
{
	return op->kernels->digest(digests, (size_t)(parts * planes_of(op)) * sizeof(*digests));
}

float *span_returns_account(const span_attention *op, int32_t account)
{
	int32_t buffer = op->program->account[account].buffer;

	if (buffer < 0)
		return (float *)(op->workspace + op->memory.store);
	return (float *)buffer_at(op, op->memory.return_buffer, op->program->return_parts, buffer);
}

static float *delivery_data(const span_attention *op, const span_delivery *delivery)
{
	return (float *)buffer_at(op, op->memory.delivery_buffer, op->program->delivery_parts,
	                          delivery->buffer);
}

/* The peer may still be copying from the buffer. */
static span_status drain_buffer(span_attention *op, int32_t buffer)
{
	if (buffer < 0 || !op->return_posted[buffer])
		return SPAN_OK;
	op->return_posted[buffer] = 0;
	return span_pass_wait(op, op->return_token[buffer], NULL, "a receiver of gradients");
}

void span_returns_begin(span_attention *op)
{
	if (op->program->return_buffers > 0)
		memset(op->return_posted, 0, (size_t)op->program->return_buffers);
}

span_status span_returns_step(span_attention *op, int32_t t)
{
	const span_program *program = op->program;
	span_range post = program->step[t].post;
	span_status status = SPAN_OK;

	for (int32_t i = 0; i < program->accounts && status == SPAN_OK; i++)
		if (program->account[i].begin_step == t)
			status = drain_buffer(op, program->account[i].buffer);
	for (int32_t i = post.first; i < post.first + post.count && status == SPAN_OK; i++) {
		const span_delivery *delivery = &program->delivery[i];

		status = op->transport->post_receive(op->transport, delivery->from,
		                                     SPAN_CHANNEL_RETURN,
		                                     delivery_data(op, delivery),
		                                     (size_t)delivery->parts * op->memory.part_bytes,
		                                     &op->delivery_token[i]);
		if (status != SPAN_OK)
			return span_pass_give_up(op, status);
	}
	return status;
}

/* Behind the rows of a short tile nothing was written; what travels must not be just any bytes. */
static void clear_behind(const span_attention *op, const span_account *account, int32_t part,
                         char *plane)
{
	int64_t tile = span_layout_tile_at(op->layout, account->block, part % account->tiles);
	size_t row = (size_t)op->width * sizeof(float);
	size_t used = (size_t)span_layout_tile_tokens(op->layout, tile) * row;
	size_t all = (size_t)op->options.tile * row;

	memset(plane + used, 0, all - used);
	memset(plane + all + used, 0, all - used);
}

void span_returns_digest_account(span_attention *op, int32_t account, int64_t batch,
                                 int32_t kv_head)
{
	const span_account *sent = &op->program->account[account];
	char *data = (char *)span_returns_account(op, account);
	int64_t plane = batch * op->options.kv_heads + kv_head;

	for (int32_t i = 0; i < sent->part.count; i++) {
		int32_t part = op->program->part[sent->part.first + i];
		char *at = data + (size_t)part * op->memory.part_bytes;

		clear_behind(op, sent, part,
		             at + (size_t)plane * (op->memory.part_bytes / (size_t)planes_of(op)));
		op->part_digest[i * planes_of(op) + plane] = digest_plane(op, at, plane);
	}
}

void span_returns_digest_delivery(span_attention *op, const float *parts, int64_t batch,
                                  int32_t kv_head, int32_t part)
{
	const char *data = (const char *)parts;
	int64_t plane = batch * op->options.kv_heads + kv_head;

	op->came_digest[part * planes_of(op) + plane] =
		digest_plane(op, data + (size_t)part * op->memory.part_bytes, plane);
}

/* Bring the parts that are left together at the front, in order. */
static void compact(const span_attention *op, const span_account *account, char *data)
{
	const int32_t *part = &op->program->part[account->part.first];
	size_t bytes = op->memory.part_bytes;

	for (int32_t i = 0; i < account->part.count; i++)
		if (part[i] != i)
			memmove(data + (size_t)i * bytes, data + (size_t)part[i] * bytes, bytes);
}

span_status span_returns_send(span_attention *op, int32_t account, int32_t t)
{
	const span_account *sent = &op->program->account[account];
	char *data = (char *)span_returns_account(op, account);
	size_t bytes = (size_t)sent->part.count * op->memory.part_bytes;
	span_message message = { .channel = SPAN_CHANNEL_RETURN, .step = (uint32_t)t,
	                         .owner = (uint32_t)sent->block, .bytes = bytes };

	if (sent->part.count == 0)
		return SPAN_OK;
	compact(op, sent, data);
	message.digest = digest_parts(op, op->part_digest, sent->part.count);
	op->return_posted[sent->buffer] = 1;
	return span_pass_send(op, sent->hop, &message, data, &op->return_token[sent->buffer]);
}

/* The header that a delivery must come with, but for step, epoch and digest. */
static span_message due_message(const span_attention *op, int32_t delivery)
{
	const span_delivery *from = &op->program->delivery[delivery];

	return (span_message){ .channel = SPAN_CHANNEL_RETURN, .origin = (uint32_t)from->from,
	                       .owner = (uint32_t)op->program->account[from->account].block,
	                       .bytes = (size_t)from->parts * op->memory.part_bytes };
}

static span_status check_delivery(span_attention *op, int32_t delivery, uint64_t digest)
{
	span_message due = due_message(op, delivery);

	return span_pass_check(op, &op->delivery_message, &due, digest, "dK and dV");
}

span_status span_returns_receive(span_attention *op, int32_t delivery, const float **parts)
{
	const void *data;
	span_status status = span_pass_wait_in_place(
		op, op->delivery_token[delivery], &op->delivery_message, "gradients",
		delivery_data(op, &op->program->delivery[delivery]), &data);

	*parts = data;
	if (status != SPAN_OK || op->delivery_message.bytes == due_message(op, delivery).bytes)
		return status;
	/* The parts are not all there: nothing of it may be read. */
	span_returns_release(op, delivery);
	return check_delivery(op, delivery, op->delivery_message.digest);
}

void span_returns_release(span_attention *op, int32_t delivery)
{
	span_pass_release(op, op->delivery_token[delivery]);
}

span_status span_returns_verify(span_attention *op, int32_t delivery)
{
	int32_t parts = op->program->delivery[delivery].parts;

	return check_delivery(op, delivery, digest_parts(op, op->came_digest, parts));
}

span_status span_returns_end(span_attention *op)
{
	span_status status = SPAN_OK;

	for (int32_t b = 0; b < op->program->return_buffers && status == SPAN_OK; b++)
		status = drain_buffer(op, b);
	return status;
}
