/* Forward and backward allocate nothing: the program's own malloc counts while they run, on one
 * rank, and on 4 after one call of each. Exits 77, skipped, where a sanitizer has the allocator or
 * the C library is not glibc. */
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attention/span_attention.h"

#if defined(__has_feature)
#define HAS_FEATURE(name) __has_feature(name)
#else
#define HAS_FEATURE(name) 0
#endif

#if defined(__GLIBC__) && !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__) && \
	!HAS_FEATURE(thread_sanitizer) && !HAS_FEATURE(address_sanitizer)
#define COUNTS 1
#else
#define COUNTS 0
#endif

enum { TOKENS = 200, HEADS = 2, D = 24, RANKS = 4 };

/* Ranks that are inside of forward or backward, and calls of the allocator by anybody then. */
static atomic_int inside, calls;

#if COUNTS
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t n, size_t bytes);
void *__libc_realloc(void *data, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void *data);

static void count(void)
{
	if (inside > 0)
		calls++;
}

void *malloc(size_t bytes)
{
	count();
	return __libc_malloc(bytes);
}

void *calloc(size_t n, size_t bytes)
{
	count();
	return __libc_calloc(n, bytes);
}

void *realloc(void *data, size_t bytes)
{
	count();
	return __libc_realloc(data, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
	count();
	return __libc_memalign(alignment, bytes);
}

void free(void *data)
{
	if (data)
		count();
	__libc_free(data);
}
#endif

/* Tensors of a rank: all of them zero, and apart. */
struct tensors {
	span_tensor q, k, v, out, dout, dq, dk, dv;
	float *lse;
	void *workspace;
	char *memory;
};

static struct tensors make_tensors(const span_attention *op, int32_t rank)
{
	int64_t s = span_layout_rank_tokens(span_attention_layout(op), rank);
	size_t bytes = (size_t)(s * HEADS * D) * sizeof(float);
	size_t workspace = (span_attention_workspace_bytes(op) + 63) / 64 * 64;
	struct tensors t = { .memory = calloc(9, bytes) };
	span_tensor *all[] = { &t.q, &t.k, &t.v, &t.out, &t.dout, &t.dq, &t.dk, &t.dv };

	for (size_t i = 0; i < 8; i++)
		*all[i] = span_tensor_bshd(t.memory + i * bytes, SPAN_F32, s, HEADS, D);
	t.lse = (float *)(t.memory + 8 * bytes);
	t.workspace = aligned_alloc(64, workspace);
	return t;
}

static span_status call(span_attention *op, const struct tensors *t)
{
	span_status status = span_attention_forward(op, &t->q, &t->k, &t->v, &t->out, t->lse,
	                                            t->workspace);

	if (status)
		return status;
	return span_attention_backward(op, &t->q, &t->k, &t->v, &t->out, &t->dout, t->lse, &t->dq,
	                               &t->dk, &t->dv, t->workspace);
}

static atomic_int arrived;

/* Wait for the others: what they do before and after their calls must not count. */
static void meet(int32_t ranks, int round)
{
	arrived++;
	while (arrived < ranks * round)
		sched_yield();
}

/* Two calls of both; the argument says whether the first one counts too. */
static span_status run(span_transport *transport, void *argument)
{
	const int counts_first = *(const int *)argument;
	int32_t ranks = transport ? transport->ranks : 1;
	span_attention_options options = {
		.size = sizeof(options), .batch = 1, .query_tokens = TOKENS, .key_tokens = TOKENS,
		.query_heads = HEADS, .kv_heads = HEADS, .head_size = D, .dtype = SPAN_F32,
		.mask = { .size = sizeof(span_mask), .kind = SPAN_MASK_CAUSAL },
		.layout = SPAN_LAYOUT_ZIGZAG, .tile = 16, .threads = 2, .transport = transport,
	};
	span_attention *op = NULL;
	struct tensors t;
	span_status status = span_attention_create(&options, &op);

	if (status)
		return status;
	t = make_tensors(op, transport ? transport->rank : 0);
	inside += counts_first;
	status = call(op, &t);
	inside -= counts_first;
	meet(ranks, 1);
	inside++;
	if (!status)
		status = call(op, &t);
	meet(ranks, 2);
	inside--;
	meet(ranks, 3);
	free(t.workspace);
	free(t.memory);
	span_attention_free(op);
	return status;
}

static int failures;

static void expect_none(const char *what, span_status status)
{
	if (status || calls) {
		printf("%s: %s, %d calls of the allocator\n", what, span_strerror(status), calls);
		failures++;
	}
	calls = arrived = 0;
}

int main(void)
{
	int counts_first = 1;
	void *volatile data;
	span_local *local;

	if (!COUNTS)
		return 77;
	/* The counter counts, or the program proves nothing. */
	inside++;
	data = malloc(1); /* volatile: else the compiler may leave both calls out */
	free(data);
	inside--;
	if (calls != 2)
		return 1;
	calls = 0;
	expect_none("one rank", run(NULL, &counts_first));
	counts_first = 0;
	if (span_local_create(RANKS, NULL, &local))
		return 1;
	expect_none("4 ranks", span_local_run(local, run, &counts_first));
	span_local_free(local);
	return failures != 0;
}
