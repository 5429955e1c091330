/* A program of a stranger: only installed headers, only pkg-config. Attention to values that
 * are all alike gives that value, and scores that are all zero give log of their number. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "attention/span_attention.h"
#include "topo/span_host.h"

enum { TOKENS = 48, HEAD_SIZE = 16 };

static void print_cause(void *user, span_status status, const char *message)
{
	(void)user;
	fprintf(stderr, "%s: %s\n", span_strerror(status), message);
}

static int is_right(const float *out, const float *lse)
{
	for (int i = 0; i < TOKENS * HEAD_SIZE; i++)
		if (fabsf(out[i] - 3) > 1e-5f)
			return 0;
	for (int i = 0; i < TOKENS; i++)
		if (fabsf(lse[i] - logf(TOKENS)) > 1e-5f)
			return 0;
	return 1;
}

static span_status attend(float *out_data, float *lse)
{
	static float zero[TOKENS * HEAD_SIZE], three[TOKENS * HEAD_SIZE];
	span_attention_options options = {
		.size = sizeof(options), .batch = 1, .query_tokens = TOKENS, .key_tokens = TOKENS,
		.query_heads = 1, .kv_heads = 1, .head_size = HEAD_SIZE, .dtype = SPAN_F32,
	};
	span_tensor q = span_tensor_bshd(zero, SPAN_F32, TOKENS, 1, HEAD_SIZE);
	span_tensor v = span_tensor_bshd(three, SPAN_F32, TOKENS, 1, HEAD_SIZE);
	span_tensor out = span_tensor_bshd(out_data, SPAN_F32, TOKENS, 1, HEAD_SIZE);
	span_attention *op;
	void *workspace;
	span_status status;

	for (int i = 0; i < TOKENS * HEAD_SIZE; i++)
		three[i] = 3;
	status = span_attention_create(&options, &op);
	if (status != SPAN_OK)
		return status;
	workspace = aligned_alloc(64, (span_attention_workspace_bytes(op) + 63) / 64 * 64);
	status = workspace ? span_attention_forward(op, &q, &q, &v, &out, lse, workspace)
	                   : SPAN_ENOMEM;
	free(workspace);
	span_attention_free(op);
	return status;
}

/* Brings in hwloc, which a static program must find through span.pc as well. */
static int has_cores(void)
{
	span_host *host = NULL;
	int cores = span_host_create(&host) == SPAN_OK ? span_host_cores(host) : 0;

	span_host_free(host);
	return cores >= 1;
}

int main(void)
{
	static float out[TOKENS * HEAD_SIZE], lse[TOKENS];

	span_set_log(print_cause, NULL);
	if (!has_cores() || attend(out, lse) != SPAN_OK || !is_right(out, lse)) {
		fputs("consumer: wrong result\n", stderr);
		return 1;
	}
	puts(span_version_string());
	return 0;
}
