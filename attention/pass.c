#include "attention/pass.h"

#include <string.h>
#include <time.h>
#include "topo/log.h"

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

void span_pass_begin(span_attention *op, span_pass_statistics *pass, span_fp_mode *mode)
{
	size_t tiles = (size_t)op->program->tiles;

	memset(op->count, 0, (size_t)op->options.threads * sizeof(*op->count));
	memset(op->waiting, 0, tiles * sizeof(*op->waiting));
	memset(op->returns_waiting, 0, tiles * sizeof(*op->returns_waiting));
	op->pass = pass;
	pass->bytes_inside = pass->bytes_between = 0;
	pass->exposed_seconds = 0;
	op->began = now();
	span_fp_enter(mode);
}

span_status span_pass_end(span_attention *op, const span_fp_mode *mode, const char *name,
                          span_status status)
{
	span_pass_statistics *pass = op->pass;
	int64_t heads = op->options.batch * op->options.query_heads;
	uint64_t computed = 0, planned = (uint64_t)pass->pairs_planned * (uint64_t)heads;

	span_fp_leave(mode);
	pass->seconds = now() - op->began;
	pass->pending_used = pass->returns_used = 0;
	for (int i = 0; i < op->options.threads; i++) {
		const span_thread_count *count = &op->count[i];

		computed += (uint64_t)count->pairs;
		if (count->pending_most > pass->pending_used)
			pass->pending_used = count->pending_most;
		if (count->returns_most > pass->returns_used)
			pass->returns_used = count->returns_most;
	}
	pass->pairs_computed = (int64_t)(computed / (uint64_t)heads);
	if (status != SPAN_OK || computed == planned)
		return status;
	span_fail(SPAN_EINTEGRITY,
	          "%s: rank %d computed %llu (query, key) pairs of all heads; the mask has %llu",
	          name, op->rank, (unsigned long long)computed, (unsigned long long)planned);
	return op->transport != NULL ? span_pass_give_up(op, SPAN_EINTEGRITY) : SPAN_EINTEGRITY;
}

void span_pass_count(int32_t *waiting, int64_t *most, const span_row_arrival *arrival)
{
	*waiting += (arrival->store >= 0) - arrival->merge.count;
	if (*waiting > *most)
		*most = *waiting;
}

span_status span_pass_give_up(span_attention *op, span_status status)
{
	op->transport->abort(op->transport, status);
	return status;
}

/* A wait that began at `start` is over. */
static span_status waited(span_attention *op, double start, const char *what, span_status status)
{
	op->pass->exposed_seconds += now() - start;
	if (status == SPAN_OK)
		return SPAN_OK;
	span_fail(status, "rank %d: waiting for %s: %s", op->rank, what, span_strerror(status));
	return span_pass_give_up(op, status);
}

span_status span_pass_wait(span_attention *op, span_token token, span_message *message,
                           const char *what)
{
	double start = now();

	return waited(op, start, what, op->transport->wait(op->transport, token,
	                                                   op->options.timeout, message));
}

span_status span_pass_wait_in_place(span_attention *op, span_token token, span_message *message,
                                    const char *what, const void *buffer, const void **data)
{
	span_transport *transport = op->transport;
	double start = now();

	*data = buffer;
	if (transport->wait_in_place == NULL)
		return span_pass_wait(op, token, message, what);
	return waited(op, start, what, transport->wait_in_place(transport, token,
	                                                        op->options.timeout, message,
	                                                        data));
}

void span_pass_release(span_attention *op, span_token token)
{
	if (op->transport->release != NULL)
		op->transport->release(op->transport, token);
}

span_status span_pass_send(span_attention *op, int32_t to, span_message *message,
                           const void *data, span_token *token)
{
	const int32_t *group = op->transport->group;
	span_status status;

	message->origin = (uint32_t)op->rank;
	message->epoch = op->epoch;
	status = op->transport->post_send(op->transport, to, message, data, token);
	if (status != SPAN_OK)
		return span_pass_give_up(op, status);
	if (group[to] == group[op->rank])
		op->pass->bytes_inside += message->bytes;
	else
		op->pass->bytes_between += message->bytes;
	return SPAN_OK;
}

span_status span_pass_check(span_attention *op, const span_message *got,
                            const span_message *due, uint64_t digest, const char *what)
{
	int relayed = due->channel == SPAN_CHANNEL_GATHER && due->origin != due->owner;
	const char *wrong = got->epoch >> 32 != op->epoch >> 32
		? "its rank was given other options"
		: got->channel != due->channel || got->owner != due->owner ? "another block came"
		: got->origin != due->origin          ? "it came from another rank"
		: got->epoch != op->epoch             ? "it belongs to another call"
		: got->bytes != due->bytes            ? "its size is wrong"
		: got->digest != digest                ? "its digest is wrong" : NULL;

	if (wrong == NULL)
		return SPAN_OK;
	span_fail(SPAN_EINTEGRITY, "rank %d: %s of rank %u, %s rank %u in step %u: %s", op->rank,
	          what, due->owner, relayed ? "passed on by" : "received from", due->origin,
	          got->step, wrong);
	return span_pass_give_up(op, SPAN_EINTEGRITY);
}
