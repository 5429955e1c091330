/* Attention of one sequence, forward and backward, on one rank and split over several, compared to
 * the bit. Ranks are threads here (span_local_run); in a job of several processes each would do what
 * rank_body does, with a transport of its own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "attention/span_attention.h"

enum { B = 2, S = 1000, H = 2, D = 32, WHOLE = B * S * H * D, MOST_RANKS = 64 };
enum { Q, K, V, DOUT, OUT, DQ, DK, DV, TENSORS }; /* q, k, v, dout are given, the others computed */

/* What the ranks of a run share. Each writes rows and statistics of its own. */
struct run {
	float whole[TENSORS][WHOLE]; /* each [B][S][H][D] */
	span_attention_statistics statistics[MOST_RANKS];
};

/* From -1 to 1. Source: Press et al., Numerical Recipes in C, 2nd edition, section 7.1. */
static void fill(float *values, size_t n, uint32_t random)
{
	for (size_t i = 0; i < n; i++) {
		random = 1664525 * random + 1013904223;
		values[i] = (float)(random >> 8) / (1 << 23) - 1;
	}
}

/* Forward and backward on the tensors of one rank, each [B][s][H][D]. */
static span_status attend(span_attention *op, const span_tensor *t, float *lse)
{
	void *workspace = aligned_alloc(64, span_attention_workspace_bytes(op));
	span_status status = workspace != NULL ? SPAN_OK : SPAN_ENOMEM;

	if (status == SPAN_OK)
		status = span_attention_forward(op, &t[Q], &t[K], &t[V], &t[OUT], lse, workspace);
	if (status == SPAN_OK)
		status = span_attention_backward(op, &t[Q], &t[K], &t[V], &t[OUT], &t[DOUT], lse,
		                                 &t[DQ], &t[DK], &t[DV], workspace);
	free(workspace);
	return status;
}

/* Cut the rank's tokens out of the whole tensors, attend, put its results back into them. The memory
 * is that of eight tensors and lse, and a float more: a rank may hold no token. */
static span_status attend_shard(span_attention *op, int32_t rank, struct run *run)
{
	const span_layout *layout = span_attention_layout(op);
	int64_t tokens = span_layout_rank_tokens(layout, rank), n = B * tokens * H * D;
	float *memory = malloc((TENSORS * n + B * H * tokens + 1) * sizeof(float));
	span_status status = memory != NULL ? SPAN_OK : SPAN_ENOMEM;
	span_tensor shard[TENSORS];

	for (int i = 0; i < TENSORS && status == SPAN_OK; i++)
		shard[i] = span_tensor_bshd(memory + i * n, SPAN_F32, tokens, H, D);
	for (int i = Q; i <= DOUT && status == SPAN_OK; i++)
		status = span_layout_shard(layout, rank, B, H * D * sizeof(float), run->whole[i],
		                           shard[i].data);
	if (status == SPAN_OK)
		status = attend(op, shard, memory + TENSORS * n);
	for (int i = OUT; i <= DV && status == SPAN_OK; i++)
		status = span_layout_unshard(layout, rank, B, H * D * sizeof(float), shard[i].data,
		                             run->whole[i]);
	free(memory);
	return status;
}

/* What each rank does. All take the same options, their transport apart. */
static span_status rank_body(span_transport *transport, void *argument)
{
	struct run *run = argument;
	span_attention_options options = {
		.size = sizeof options, .batch = B, .query_tokens = S, .key_tokens = S,
		.query_heads = H, .kv_heads = H, .head_size = D, .dtype = SPAN_F32,
		.mask = { .size = sizeof(span_mask), .kind = SPAN_MASK_CAUSAL },
		.layout = SPAN_LAYOUT_ZIGZAG,
		.transport = transport,
	};
	span_attention *op = NULL;
	span_status status = span_attention_create(&options, &op);

	if (status == SPAN_OK)
		status = attend_shard(op, transport->rank, run);
	run->statistics[transport->rank].size = sizeof *run->statistics;
	if (status == SPAN_OK)
		status = span_attention_get_statistics(op, &run->statistics[transport->rank]);
	span_attention_free(op);
	return status;
}

static span_status run_on(int32_t ranks, struct run *run)
{
	span_local *local = NULL;
	span_status status;

	for (int i = Q; i <= DOUT; i++)
		fill(run->whole[i], WHOLE, i);
	status = span_local_create(ranks, NULL, &local);
	if (status == SPAN_OK)
		status = span_local_run(local, rank_body, run);
	for (int32_t r = 0; r < ranks && status == SPAN_OK; r++)
		printf("rank %d of %d: %lld pairs a head, %llu bytes sent forward, %llu backward\n",
		       (int)r, (int)ranks, (long long)run->statistics[r].forward.pairs_computed,
		       (unsigned long long)run->statistics[r].forward.bytes_inside,
		       (unsigned long long)run->statistics[r].backward.bytes_inside);
	span_local_free(local);
	return status;
}

/* The library does not print: it hands over, from any thread, what went wrong. */
static void print_cause(void *user, span_status status, const char *message)
{
	(void)user;
	fprintf(stderr, "attention: %s (%s)\n", message, span_strerror(status));
}

int main(int argc, char **argv)
{
	static struct run one, many;
	char *end = "";
	long ranks = argc > 1 ? strtol(argv[1], &end, 10) : 4;
	span_status status;
	int same;

	if (argc > 2 || *end != '\0' || ranks < 1 || ranks > MOST_RANKS) {
		fprintf(stderr, "attention: \"%s\"%s: one number of ranks is accepted, 1 to %d\n",
		        argv[1], argc > 2 ? " and more" : "", MOST_RANKS);
		return 2;
	}
	span_set_log(print_cause, NULL);
	status = run_on(1, &one);
	if (status == SPAN_OK)
		status = run_on((int32_t)ranks, &many);
	if (status != SPAN_OK) {
		fprintf(stderr, "attention: stopped: %s\n", span_strerror(status));
		return 1;
	}
	same = memcmp(one.whole, many.whole, sizeof one.whole) == 0;
	printf("out, dq, dk, dv on 1 and %ld ranks: %s\n", ranks,
	       same ? "identical to the bit" : "DIFFERENT");
	return same ? 0 : 1;
}
