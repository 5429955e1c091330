/* Speed of the op, judged as a user meets it: span_attention_forward and backward.
 *
 * One core; B 1, H 4, [B,H,S,D], T 256. Process CPU time, variants interleaved, the best of
 * several rounds of each: what others do to the caches and clocks of a shared machine only ever
 * adds time.
 * FLOP are 4 H S^2 D for a full forward, half of that for a causal one, 2.5 times that for a
 * backward. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "attention/span_attention.h"
#include "tests/bench/peak.h"
#include "tests/bench/report.h"

enum { HEADS = 4, TILE = 256, MOST_RANKS = 8, ROUNDS = 9, SHORT_ROUNDS = 80 };

/* One problem on P ranks. */
typedef struct {
	int64_t tokens;
	int32_t head_size;
	int32_t ranks;
	span_dtype dtype;
	span_mask_kind mask;
	span_layout_family layout;
	span_numerics numerics;
	span_local *local;         /* P > 1 */
	struct rank_work {
		span_attention *op;
		char *memory[9];       /* q k v out dout dq dk dv lse */
		void *workspace;
	} rank[MOST_RANKS];
	int backward;              /* what the next run does */
} problem;

static void die(const char *what)
{
	fprintf(stderr, "bench_attention: %s failed\n", what);
	exit(1);
}

static void *allocate(size_t bytes)
{
	void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64 + 64);

	if (memory == NULL)
		die("malloc");
	memset(memory, 0, bytes);
	return memory;
}

/* Even values between -1 and 1, the same every time. */
static void fill(void *memory, span_dtype dtype, size_t n, uint32_t seed)
{
	for (size_t i = 0; i < n; i++) {
		float x;

		seed = seed * 1664525u + 1013904223u;
		x = (float)(seed >> 8) / (1 << 23) - 1;
		span_convert_from_f32(dtype, &x, (char *)memory + i * span_dtype_bytes(dtype), 1);
	}
}

static void open_rank(problem *p, int32_t r)
{
	struct rank_work *work = &p->rank[r];
	span_attention_options options = {
		.size = sizeof(options), .batch = 1, .query_tokens = p->tokens,
		.key_tokens = p->tokens, .query_heads = HEADS, .kv_heads = HEADS,
		.head_size = p->head_size, .dtype = p->dtype,
		.mask = { .size = sizeof(span_mask), .kind = p->mask }, .layout = p->layout,
		.numerics = p->numerics, .tile = TILE,
		.transport = p->local != NULL ? span_local_transport(p->local, r) : NULL,
	};
	size_t n;

	if (span_attention_create(&options, &work->op) != SPAN_OK)
		die("span_attention_create");
	n = (size_t)span_layout_rank_tokens(span_attention_layout(work->op), r) * HEADS *
	    (size_t)p->head_size;
	for (int i = 0; i < 9; i++) {
		work->memory[i] = allocate(n * sizeof(float));
		if (i < 3 || i == 4)
			fill(work->memory[i], p->dtype, n, (uint32_t)(97 * r + i));
	}
	work->workspace = allocate(span_attention_workspace_bytes(work->op));
}

static problem *open_problem(int64_t tokens, int32_t head_size, int32_t ranks, span_dtype dtype,
                             span_mask_kind mask, span_layout_family layout,
                             span_numerics numerics)
{
	problem *p = allocate(sizeof(*p));

	*p = (problem){ .tokens = tokens, .head_size = head_size, .ranks = ranks, .dtype = dtype,
	                .mask = mask, .layout = layout, .numerics = numerics };
	if (ranks > 1 && span_local_create(ranks, NULL, &p->local) != SPAN_OK)
		die("span_local_create");
	for (int32_t r = 0; r < ranks; r++)
		open_rank(p, r);
	return p;
}

static void close_problem(problem *p)
{
	for (int32_t r = 0; r < p->ranks; r++) {
		span_attention_free(p->rank[r].op);
		for (int i = 0; i < 9; i++)
			free(p->rank[r].memory[i]);
		free(p->rank[r].workspace);
	}
	span_local_free(p->local);
	free(p);
}

static span_status run_rank(span_transport *transport, void *argument)
{
	problem *p = argument;
	int32_t r = transport != NULL ? transport->rank : 0;
	struct rank_work *work = &p->rank[r];
	int64_t s = span_layout_rank_tokens(span_attention_layout(work->op), r);
	span_tensor t[8];

	for (int i = 0; i < 8; i++)
		t[i] = span_tensor_bhsd(work->memory[i], p->dtype, s, HEADS, p->head_size);
	if (!p->backward)
		return span_attention_forward(work->op, &t[0], &t[1], &t[2], &t[3],
		                              (float *)work->memory[8], work->workspace);
	return span_attention_backward(work->op, &t[0], &t[1], &t[2], &t[3], &t[4],
	                               (float *)work->memory[8], &t[5], &t[6], &t[7],
	                               work->workspace);
}

/* CPU seconds of one pass on all ranks together. */
static double time_pass(problem *p, int backward)
{
	double begin = cpu_seconds();
	span_status status;

	p->backward = backward;
	status = p->local != NULL ? span_local_run(p->local, run_rank, p) : run_rank(NULL, p);
	if (status != SPAN_OK)
		die("attention");
	return cpu_seconds() - begin;
}

static double smaller(double a, double b)
{
	return a < b ? a : b;
}

static const char *isa_of(const problem *p)
{
	span_attention_statistics statistics = { .size = sizeof(statistics) };

	if (span_attention_get_statistics(p->rank[0].op, &statistics) != SPAN_OK)
		die("span_attention_get_statistics");
	return statistics.isa;
}

/* Shares of the peak of one shape, forward and backward. */
static void report_shape(report *figures, int64_t tokens, int32_t head_size, span_dtype dtype,
                         span_mask_kind mask)
{
	problem *p = open_problem(tokens, head_size, 1, dtype, mask, SPAN_LAYOUT_CONTIGUOUS,
	                          SPAN_NUMERICS_CANONICAL);
	double flop = 4.0 * HEADS * (double)tokens * (double)tokens * head_size *
	              (mask == SPAN_MASK_CAUSAL ? 0.5 : 1);
	double best[2] = { 1e30, 1e30 }, peak = 0;
	int rounds = tokens > 2048 ? ROUNDS : SHORT_ROUNDS;
	char name[128];

	for (int round = 0; round < rounds; round++) {
		double now = peak_flops(isa_of(p));

		peak = now > peak ? now : peak;
		best[0] = smaller(best[0], time_pass(p, 0));
		best[1] = smaller(best[1], time_pass(p, 1));
	}
	for (int backward = 0; backward < 2; backward++) {
		double speed = flop * (backward ? 2.5 : 1) / best[backward];

		snprintf(name, sizeof(name), "attention.%s.%s.%s.s%lld.d%d.fraction_of_peak",
		         backward ? "backward" : "forward", span_dtype_name(dtype),
		         span_mask_name(mask), (long long)tokens, head_size);
		report_add(figures, name, speed / peak, "1", "%s, %.0f of %.0f GFLOP/s, T %d",
		           isa_of(p), speed * 1e-9, peak * 1e-9, TILE);
	}
	close_problem(p);
}

/* Canonical over schedule order, ranks 1 and 4. */
static void report_canonical(report *figures, int32_t ranks)
{
	span_layout_family layout = ranks > 1 ? SPAN_LAYOUT_ZIGZAG : SPAN_LAYOUT_CONTIGUOUS;
	problem *canonical = open_problem(4096, 128, ranks, SPAN_F32, SPAN_MASK_CAUSAL, layout,
	                                  SPAN_NUMERICS_CANONICAL);
	problem *schedule = open_problem(4096, 128, ranks, SPAN_F32, SPAN_MASK_CAUSAL, layout,
	                                 SPAN_NUMERICS_SCHEDULE);
	static const char *const pass[2] = { "forward", "backward" };
	char name[128];

	for (int backward = 0; backward < 2; backward++) {
		double tree = 1e30, plain = 1e30;

		for (int round = 0; round < 4 * ROUNDS; round++) {
			tree = smaller(tree, time_pass(canonical, backward));
			plain = smaller(plain, time_pass(schedule, backward));
		}
		snprintf(name, sizeof(name), "attention.canonical.%s%s.over_schedule_order",
		         pass[backward], ranks == 1 ? "" : ".p4");
		report_add(figures, name, tree / plain, "1",
		           "S 4096, D 128, causal, P %d, T %d, best of %d over best", ranks, TILE,
		           4 * ROUNDS);
	}
	close_problem(canonical);
	close_problem(schedule);
}

/* CPU time of P local ranks over one rank, forward and backward together: the same problem to the
 * bit, so one rank goes by the zigzag layout too. */
static void report_local(report *figures)
{
	problem *p[4];
	double best[4] = { 1e30, 1e30, 1e30, 1e30 };
	char name[64];

	for (int i = 0; i < 4; i++)
		p[i] = open_problem(8192, 128, 1 << i, SPAN_F32, SPAN_MASK_CAUSAL,
		                    SPAN_LAYOUT_ZIGZAG, SPAN_NUMERICS_CANONICAL);
	for (int round = 0; round < 2 * ROUNDS; round++)
		for (int i = 0; i < 4; i++)
			best[i] = smaller(best[i], time_pass(p[i], 0) + time_pass(p[i], 1));
	for (int i = 1; i < 4; i++) {
		snprintf(name, sizeof(name), "local.p%d.cpu_over_one_rank", 1 << i);
		report_add(figures, name, best[i] / best[0], "1",
		           "S 8192, D 128, causal zigzag, forward and backward, best of %d",
		           2 * ROUNDS);
	}
	for (int i = 0; i < 4; i++)
		close_problem(p[i]);
}

/* The workspace of a rank over what attention/README.md says it is made of: P = 4 in a ring, f32,
 * one thread, two partials wait. */
static void report_memory(report *figures)
{
	enum { RANKS = 4, TOKENS = 32768, HEAD = 128, WAITING = 2 };
	problem *p = open_problem(TOKENS, HEAD, RANKS, SPAN_F32, SPAN_MASK_FULL,
	                          SPAN_LAYOUT_ZIGZAG, SPAN_NUMERICS_CANONICAL);
	double plane = (double)TOKENS / RANKS * HEAD * sizeof(float); /* one head of a shard */
	double row = (double)TOKENS / RANKS * HEADS * sizeof(float);
	double blocks = 3 * 2 * HEADS * plane;
	double waiting = WAITING * (HEADS * plane + 2 * row);
	double prepared = 2 * HEADS * plane + 2 * row;
	double returns = (WAITING + 2 + 2) * 2 * HEADS * plane;
	double scratch = (1 + 2 + 1 + 2 + 2 + 1) * plane;
	double formula = blocks + waiting + prepared + returns + scratch;
	double bytes = (double)span_attention_workspace_bytes(p->rank[0].op);

	report_add(figures, "attention.memory.p4.over_formula", bytes / formula, "1",
	           "%.1f MiB of workspace a rank, S %d, D %d, full", bytes / (1 << 20), TOKENS, HEAD);
	close_problem(p);
}

int main(int argc, char **argv)
{
	report *figures = report_open(argc > 1 ? argv[1] : NULL, "attention, one core");
	static const int64_t tokens[2] = { 1024, 4096 };
	static const int32_t head_sizes[2] = { 64, 128 };

	for (int mask = SPAN_MASK_FULL; mask <= SPAN_MASK_CAUSAL; mask++)
		for (int s = 0; s < 2; s++)
			for (int d = 0; d < 2; d++)
				report_shape(figures, tokens[s], head_sizes[d], SPAN_F32,
				             (span_mask_kind)mask);
	report_shape(figures, 4096, 128, SPAN_BF16, SPAN_MASK_CAUSAL);
	report_shape(figures, 4096, 128, SPAN_F16, SPAN_MASK_CAUSAL);
	report_canonical(figures, 1);
	report_canonical(figures, 4);
	report_local(figures);
	report_memory(figures);
	return report_close(figures);
}
