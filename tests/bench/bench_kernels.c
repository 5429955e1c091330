/* Speed of the kernels alone, one core, f32: the work of forward and backward of one rank,
 * packing, loading and storing of rows counted, as a share of the FMA peak measured in the
 * same run; and canonical over schedule order.
 *
 * Shapes are those the op is judged by: B 1, H 4, [B,H,S,D], T 256. Process CPU time, the
 * variants interleaved, the best of several rounds. GFLOP are 4 H S^2 D for a full forward,
 * half of that for a causal one, 2.5 times that for a backward. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "attention/kernels/kernel.h"
#include "tests/bench/peak.h"
#include "tests/bench/report.h"

enum { HEADS = 4, TILE = 256, ROUNDS = 7, MOST_TILES = 64, LEVELS = 8 };

/* ---- one head, forward and backward ---- */

typedef struct {
	const span_kernels *kernels;
	int tokens;
	int head_size; /* a multiple of 16 here, so width is the same */
	int causal;
	int running;
	float *q, *k, *v, *dout, *out, *dq, *dk, *dv; /* [H][S][D] */
	float *lse, *lse2, *delta;                    /* [H][S] */
	float *m, *l, *o;                             /* [rows] of a task */
	float *rows[3];                               /* q, dout, k of one head, [S][D] */
	float *value;                                 /* a tile of v */
	float *packed[2];                             /* k, v */
	float *sums[3];                               /* dq, dk, dv */
	float *temporaries;
	void *scratch;
} work;

static void forward_task(const work *w, int head, int first)
{
	span_key_tile tiles[MOST_TILES];
	int64_t stride = w->head_size, begin = head * w->tokens * stride;
	int64_t at = begin + first * stride;
	int n = w->causal ? first / TILE + 1 : w->tokens / TILE;
	span_forward_task task = {
		.dtype = SPAN_F32, .head_size = w->head_size, .rows = TILE, .q = w->q + at,
		.q_stride = stride, .scale = 1.44269502f / sqrtf((float)w->head_size),
		.tiles = tiles, .n_tiles = n, .tile = TILE, .levels = LEVELS,
		.running = w->running, .m = w->m, .l = w->l, .o = w->o, .scratch = w->scratch,
	};

	for (int t = 0; t < n; t++)
		tiles[t] = (span_key_tile){
			.k = w->k + begin + t * TILE * stride,
			.v = w->v + begin + t * TILE * stride,
			.packed = w->packed[0] + t * TILE * stride,
			.values = w->v + begin + t * TILE * stride,
			.k_stride = stride, .v_stride = stride, .keys = TILE,
			.address = (uint32_t)t,
			.shift = w->causal ? first - t * TILE : TILE,
		};
	for (int r = 0; w->running && r < TILE; r++)
		w->m[r] = -INFINITY, w->l[r] = 0.0f;
	if (w->running)
		memset(w->o, 0, sizeof(float) * (size_t)(TILE * w->head_size));
	w->kernels->forward(&task);
	w->kernels->finish(TILE, w->head_size, w->m, w->l, w->o, SPAN_F32, w->out + at, stride,
	                   w->lse + head * w->tokens + first);
}

static void forward(const work *w)
{
	int64_t tile = TILE * w->head_size;

	for (int h = 0; h < HEADS; h++) {
		for (int t = 0; t < w->tokens / TILE; t++)
			w->kernels->pack_keys(w->k + (h * w->tokens / TILE + t) * tile,
			                      w->head_size, TILE, w->head_size,
			                      w->packed[0] + t * tile);
		for (int first = 0; first < w->tokens; first += TILE)
			forward_task(w, h, first);
	}
}

/* target += source, n floats. */
static void add_to(const work *w, float *target, const float *source, int64_t n)
{
	w->kernels->add(target, target, source, (size_t)n);
}

/* Gradients of a node of n query tiles from q and a node of n key tiles from k, quadrant by
 * quadrant, so that both reductions follow the tree. */
static void quadrants(const work *w, int q, int k, int n, float *dq, float *dk, float *dv,
                      span_write write_dq, span_write write_dkv, float *free)
{
	int64_t half = (int64_t)(n / 2) * TILE * w->head_size, tile = TILE * w->head_size;

	if (n == 1) {
		span_backward_leaf leaf = {
			.head_size = w->head_size, .heads = 1, .rows = TILE, .keys = TILE,
			.shift = w->causal && q == k ? 0 : TILE, .q = w->rows[0] + q * tile,
			.dout = w->rows[1] + q * tile, .lse2 = w->lse2 + q * TILE,
			.delta = w->delta + q * TILE, .k = w->rows[2] + k * tile,
			.k_packed = w->packed[0] + k * tile, .v_packed = w->packed[1] + k * tile,
			.dq = dq, .dk = dk, .dv = dv, .write_dq = write_dq,
			.write_dkv = write_dkv, .tile = TILE, .scratch = w->scratch,
		};

		w->kernels->leaf(&leaf);
		return;
	}
	float *temporary_dk = write_dkv == SPAN_WRITE_ADD ? free : dk;
	float *temporary_dv = write_dkv == SPAN_WRITE_ADD ? free + 2 * half : dv;

	free += write_dkv == SPAN_WRITE_ADD ? 4 * half : 0;
	for (int a = 0; a < 2; a++) {
		int both = !(w->causal && q == k && a == 0);
		float *to = both && write_dq == SPAN_WRITE_ADD ? free : dq + a * half;

		for (int b = 0; b < 1 + both; b++) {
			int alone = w->causal && q == k && b == 1; /* of keys: only a == 1 */
			float *to_dk = alone ? dk : temporary_dk, *to_dv = alone ? dv : temporary_dv;

			quadrants(w, q + a * n / 2, k + b * n / 2, n / 2, to, to_dk + b * half,
			          to_dv + b * half,
			          both ? (b ? SPAN_WRITE_ADD : SPAN_WRITE_SET) : write_dq,
			          alone ? write_dkv : a ? SPAN_WRITE_ADD : SPAN_WRITE_SET,
			          free + half);
			if (a && !alone && to_dk != dk) {
				add_to(w, dk + b * half, to_dk + b * half, half);
				add_to(w, dv + b * half, to_dv + b * half, half);
			}
		}
		if (to != dq + a * half)
			add_to(w, dq + a * half, to, half);
	}
}

/* Schedule order: every chain continues where it stands. */
static void leaves_in_order(const work *w, int n)
{
	int64_t tile = TILE * w->head_size;

	for (int k = 0; k < n; k++)
		for (int q = w->causal ? k : 0; q < n; q++) {
			span_write dq = k ? SPAN_WRITE_CONTINUE : SPAN_WRITE_SET;
			span_write dkv = q > (w->causal ? k : 0) ? SPAN_WRITE_CONTINUE
			                                         : SPAN_WRITE_SET;

			quadrants(w, q, k, 1, w->sums[0] + q * tile, w->sums[1] + k * tile,
			          w->sums[2] + k * tile, dq, dkv, NULL);
		}
}

/* What the leaves of one tile need: its rows in f32, its keys packed, lse in base 2. */
static void load_tile(const work *w, int head, int first)
{
	const span_kernels *x = w->kernels;
	int d = w->head_size;
	int64_t to = (int64_t)first * d, from = (int64_t)head * w->tokens * d + to;
	float scale = 1.44269502f / sqrtf((float)d);

	x->load_rows(SPAN_F32, w->q + from, d, TILE, d, scale, w->rows[0] + to);
	x->load_rows(SPAN_F32, w->dout + from, d, TILE, d, 1.0f, w->rows[1] + to);
	x->dot_rows(SPAN_F32, w->out + from, d, w->dout + from, d, TILE, d, w->delta + first);
	x->load_rows(SPAN_F32, w->k + from, d, TILE, d, 1.0f, w->rows[2] + to);
	x->pack_keys(w->rows[2] + to, d, TILE, d, w->packed[0] + to);
	x->load_rows(SPAN_F32, w->v + from, d, TILE, d, 1.0f, w->value);
	x->pack_keys(w->value, d, TILE, d, w->packed[1] + to);
	for (int i = first; i < first + TILE; i++)
		w->lse2[i] = w->lse[head * w->tokens + i] * 1.44269502f;
}

static void backward_head(const work *w, int head)
{
	int s = w->tokens, d = w->head_size;
	float *to[] = { w->dq, w->dk, w->dv };
	float scale[] = { 1.0f / sqrtf((float)d), 0.693147182f, 1.0f };

	for (int first = 0; first < s; first += TILE)
		load_tile(w, head, first);
	if (w->running)
		leaves_in_order(w, s / TILE);
	else
		quadrants(w, 0, 0, s / TILE, w->sums[0], w->sums[1], w->sums[2], SPAN_WRITE_SET,
		          SPAN_WRITE_SET, w->temporaries);
	for (int i = 0; i < 3; i++)
		w->kernels->store_rows(w->sums[i], s, d, scale[i], SPAN_F32,
		                       to[i] + (int64_t)head * s * d, d);
}

static void backward(const work *w)
{
	for (int h = 0; h < HEADS; h++)
		backward_head(w, h);
}

/* ---- measuring ---- */

static void *take(size_t bytes)
{
	void *memory = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);

	if (!memory) {
		perror("bench_kernels");
		exit(1);
	}
	memset(memory, 0, bytes);
	return memory;
}

static float *random_floats(size_t n)
{
	float *data = take(n * sizeof(float));

	for (size_t i = 0; i < n; i++)
		data[i] = 2.0f * (float)rand() / (float)RAND_MAX - 1.0f;
	return data;
}

static void open_work(work *w, const span_kernels *kernels, int tokens, int head_size)
{
	size_t head = (size_t)tokens * (size_t)head_size, all = head * HEADS;
	size_t scratch = kernels->forward_scratch(TILE, head_size, LEVELS);
	size_t leaf = kernels->leaf_scratch(TILE, head_size, 1);
	float **inputs[] = { &w->q, &w->k, &w->v, &w->dout, &w->out, &w->dq, &w->dk, &w->dv };
	float **single[] = { &w->rows[0], &w->rows[1], &w->rows[2], &w->packed[0],
		             &w->packed[1], &w->sums[0], &w->sums[1], &w->sums[2] };

	*w = (work){ .kernels = kernels, .tokens = tokens, .head_size = head_size };
	for (int i = 0; i < 8; i++)
		*inputs[i] = random_floats(all);
	for (int i = 0; i < 8; i++)
		*single[i] = take(head * sizeof(float));
	w->temporaries = take(3 * head * sizeof(float));
	w->lse = take((size_t)tokens * HEADS * sizeof(float));
	w->lse2 = take((size_t)tokens * sizeof(float));
	w->delta = take((size_t)tokens * sizeof(float));
	w->value = take((size_t)(TILE * head_size) * sizeof(float));
	w->m = take(TILE * sizeof(float));
	w->l = take(TILE * sizeof(float));
	w->o = take((size_t)(TILE * head_size) * sizeof(float));
	w->scratch = take(scratch > leaf ? scratch : leaf);
}

static void close_work(work *w)
{
	void *all[] = { w->q, w->k, w->v, w->dout, w->out, w->dq, w->dk, w->dv, w->rows[0],
		        w->rows[1], w->rows[2], w->value, w->packed[0], w->packed[1],
		        w->sums[0], w->sums[1], w->sums[2], w->temporaries, w->lse, w->lse2,
		        w->delta, w->m, w->l, w->o, w->scratch };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		free(all[i]);
}

static double time_of(void (*pass)(const work *), const work *w)
{
	double begin = cpu_seconds();

	pass(w);
	return cpu_seconds() - begin;
}

static double least(double a, double b)
{
	return a > 0.0 && a < b ? a : b;
}

/* One shape: forward and backward, each canonical and in schedule order, round by round. */
static void measure(report *figures, const span_kernels *kernels, int tokens, int head_size,
                    int causal)
{
	double flop = 4.0 * HEADS * tokens * (double)tokens * head_size * (causal ? 0.5 : 1.0);
	double peak = 0.0, forward_time[2] = { 0 }, backward_time[2] = { 0 };
	char name[128];
	work w;

	open_work(&w, kernels, tokens, head_size);
	w.causal = causal;
	for (int round = 0; round < ROUNDS; round++) {
		peak = fmax(peak, peak_flops(kernels->name));
		for (w.running = 1; w.running >= 0; w.running--) { /* canonical leaves out, lse */
			forward_time[w.running] =
			        least(forward_time[w.running], time_of(forward, &w));
			backward_time[w.running] =
			        least(backward_time[w.running], time_of(backward, &w));
		}
	}
	for (int pass = 0; pass < 2; pass++) {
		double *time = pass ? backward_time : forward_time;
		double speed = flop * (pass ? 2.5 : 1.0) / time[0];
		const char *what = pass ? "backward" : "forward";

		snprintf(name, sizeof(name), "kernels.%s.%s.f32.%s.s%d.d%d.fraction_of_peak",
		         kernels->name, what, causal ? "causal" : "full", tokens, head_size);
		report_add(figures, name, speed / peak, "1", "%.1f GFLOP/s of %.1f, best of %d",
		           speed * 1e-9, peak * 1e-9, ROUNDS);
		snprintf(name, sizeof(name), "kernels.%s.%s.f32.%s.s%d.d%d.canonical_over_schedule",
		         kernels->name, what, causal ? "causal" : "full", tokens, head_size);
		report_add(figures, name, time[0] / time[1], "1", "best over best of %d", ROUNDS);
	}
	close_work(&w);
}

int main(int argc, char **argv)
{
	static const int tokens[] = { 1024, 4096 }, head_sizes[] = { 64, 128 };
	report *figures = report_open(argc > 1 ? argv[1] : NULL, "attention kernels, one core");
	const span_kernels *kernels;

	if (span_kernels_select(&kernels) != SPAN_OK || strcmp(kernels->name, "ref") == 0) {
		fputs("bench_kernels: no vector kernels to measure\n", stderr);
		return report_close(figures);
	}
	for (int i = 0; i < 2; i++)
		for (int j = 0; j < 2; j++)
			for (int causal = 0; causal < 2; causal++)
				measure(figures, kernels, tokens[i], head_sizes[j], causal);
	return report_close(figures);
}
