#include <math.h>
#include <string.h>
#include "adamw.h"
#include "complain.h"
#include "passes.h"
#include "step.h"

/* A sequence is the next window of the text; its labels are read one byte further on. */
static void read_tokens(struct rank *rank, int64_t sequence)
{
	uint64_t start = (uint64_t)sequence * (uint64_t)rank->settings->seq;

	for (int64_t i = 0; i < rank->tokens; i++) {
		uint64_t at = start + (uint64_t)rank->position[i];

		rank->token[i] = text_at(rank->text, at);
		rank->label[i] = text_at(rank->text, at + 1);
	}
}

static span_status forward(struct rank *rank)
{
	span_status status = SPAN_OK;

	embedding_pass(rank);
	for (int layer = 0; layer < rank->shape.layers && status == SPAN_OK; layer++)
		status = layer_forward(rank, layer);
	return status;
}

static span_status backward(struct rank *rank)
{
	span_status status = head_pass(rank);

	for (int layer = rank->shape.layers - 1; layer >= 0 && status == SPAN_OK; layer--)
		status = layer_backward(rank, layer);
	return status;
}

span_status sequence_gradient(struct rank *rank, int64_t sequence, step_hook *hook,
                              void *context)
{
	span_status status;

	read_tokens(rank, sequence);
	status = forward(rank);
	if (status == SPAN_OK)
		status = backward(rank);
	if (status != SPAN_OK)
		return status;
	hook(context, rank);
	return embedding_gradient(rank);
}

/* The one division: sums over tokens become means. */
static void divide(size_t n, float *sums, int64_t tokens)
{
	for (size_t i = 0; i < n; i++)
		sums[i] /= (float)tokens;
}

span_status step_take(struct rank *rank, step_hook *hook, void *context, float *loss)
{
	int64_t batch = rank->settings->batch, step = rank->state.step;
	size_t n = rank->state.size;

	memset(rank->gradient, 0, (n + 1) * sizeof *rank->gradient);
	for (int64_t i = 0; i < batch; i++) {
		span_status status = sequence_gradient(rank, step * batch + i, hook, context);

		if (status != SPAN_OK)
			return status;
	}
	divide(n + 1, rank->gradient, batch * rank->settings->seq);
	*loss = rank->gradient[n];
	if (!isfinite(*loss)) {
		complain("rank %d: the loss is %g at step %lld: a smaller --lr may help",
		         (int)rank->index, (double)*loss, (long long)step + 1);
		return SPAN_EINTEGRITY;
	}
	adamw_step(&rank->state, rank->settings->lr, rank->decays, rank->gradient);
	return SPAN_OK;
}
