/* The specification in plain C against the mathematics in double: every result lies within a
 * bound derived from the operations that made it, none of it tuned.
 *
 * u = 2^-24 is half an ulp of 1. A chain of n fused multiply-adds errs by at most n u times
 * the sum of the magnitudes of its products; second-order terms are covered by a factor
 * 1.01. For a pair of query i and key j, in base 2:
 *
 *   score      D products, q scaled once by a rounded constant: (D + 2) u A, A = sum |c q k|
 *   exponent   one subtraction: u |t|, and |t| is at most one more for the rounded-up maximum
 *   exp2       2 ulp: 4 u, on top of ln 2 times the error of the exponent
 *
 * which gives the relative error of a probability; sums over pairs inherit its average. */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "attention/kernels/arithmetic.h"
#include "tests/attention/kernel_case.h"
#include "tests/attention/reference_f64.h"

enum { HEADS = 2, TILE = 32, MOST = 128, LEVELS = 5 };

static const double u = 0x1p-24, second_order = 1.01, ln2 = 0.69314718055994530942;

/* ---- exp2 and log2 ---- */

Test(kernels_f64, exp2_errs_by_two_ulp_at_most)
{
	double worst = 0.0;

	for (uint32_t bits = 0; bits < span_bits(127.0f); bits += 997)
		for (int sign = 0; sign < 2; sign++) {
			float t = span_float(bits | (uint32_t)sign << 31);
			double exact = exp2(t);

			if (t >= SPAN_EXP2_LEAST)
				worst = fmax(worst, fabs(span_exp2(t) - exact) / exact);
		}
	cr_assert_leq(worst, 4.0 * u, "%g u", worst / u);
}

Test(kernels_f64, exp2_is_exact_at_integers_and_at_its_ends)
{
	for (int n = -126; n < 128; n++)
		cr_assert_eq(span_exp2((float)n), ldexpf(1.0f, n));
	cr_assert_eq(span_exp2(nextafterf(-126.0f, -200.0f)), 0.0f);
	cr_assert_eq(span_exp2(-INFINITY), 0.0f);
	cr_assert_eq(span_exp2(128.0f), INFINITY);
	cr_assert_eq(span_exp2(3e38f), INFINITY);
	cr_assert(isnan(span_exp2(NAN)));
}

/* The quotient z errs by 2 u (y - 1 is exact), its factor 2 / ln 2 by 0.24 u, and both make at
 * most 1/2; rounding that costs 0.25 u, the rest of the series 0.01 u: 1.4 u in all. Adding a
 * whole exponent rounds once more. */
static double log2_error(float x)
{
	double exact = log2(x), added = fabs(exact) > 0.5 ? u * fabs(exact) : 0.0;

	return (fabs(span_log2(x) - exact) - added) / u;
}

Test(kernels_f64, log2_errs_by_what_its_roundings_allow)
{
	for (uint32_t bits = 1; bits < span_bits(INFINITY); bits += 1009)
		cr_assert_leq(log2_error(span_float(bits)), 1.4, "%a", span_float(bits));
	for (uint32_t bits = span_bits(0.70711f); bits < span_bits(1.41421f); bits += 3)
		cr_assert_leq(log2_error(span_float(bits)), 1.4, "%a", span_float(bits));
	for (int n = -149; n < 128; n++)
		cr_assert_eq(span_log2(ldexpf(1.0f, n)), (float)n);
	cr_assert_eq(span_log2(0.0f), -INFINITY);
	cr_assert_eq(span_log2(INFINITY), INFINITY);
	cr_assert(isnan(span_log2(-1.0f)) && isnan(span_log2(NAN)));
}

/* ---- forward ---- */

/* What rounding to a dtype adds to a result x. */
static double rounding(span_dtype dtype, double x)
{
	switch (dtype) {
	case SPAN_BF16:
		return fabs(x) * 0x1p-8 + 0x1p-134;
	case SPAN_F16:
		return fabs(x) * 0x1p-11 + 0x1p-25;
	default:
		return 0x1p-126; /* results below the normal numbers */
	}
}

/* One problem: a batch of 1, HEADS query heads on one KV head, as many keys as queries. */
typedef struct {
	span_dtype dtype;
	reference_shape shape;
	int n;
	int d;
	float scale;
	void *q, *k, *v, *dout;                /* dtype, dense [n][heads][D] */
	double *qd, *kd, *vd, *doutd;          /* the same values */
	double *out, *lse, *dq, *dk, *dv;      /* the mathematics */
} problem;

static void *take(size_t bytes)
{
	void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);

	cr_assert_not_null(memory);
	return memset(memory, 0, (bytes + 63) / 64 * 64);
}

static void *make_input(case_random *random, span_dtype dtype, int n, double **exact)
{
	void *data = take((size_t)n * sizeof(float));
	float *wide = take((size_t)n * sizeof(float));

	case_fill_elements(random, FILL_PLAIN, dtype, data, n);
	span_convert_to_f32(dtype, data, wide, (size_t)n);
	*exact = take((size_t)n * sizeof(double));
	for (int i = 0; i < n; i++)
		(*exact)[i] = wide[i];
	free(wide);
	return data;
}

static void open_problem(problem *p, case_random *random, span_dtype dtype, int n, int d,
                         int causal)
{
	int one = n * d, all = one * HEADS;

	memset(p, 0, sizeof(*p));
	p->dtype = dtype;
	p->n = n;
	p->d = d;
	p->scale = (float)(1.0 / sqrt(d));
	p->shape = (reference_shape){ .batch = 1, .queries = n, .keys = n, .query_heads = HEADS,
		                      .kv_heads = 1, .head_size = d, .causal = causal,
		                      .scale = p->scale };
	p->q = make_input(random, dtype, all, &p->qd);
	p->k = make_input(random, dtype, one, &p->kd);
	p->v = make_input(random, dtype, one, &p->vd);
	p->dout = make_input(random, dtype, all, &p->doutd);
	p->out = take(sizeof(double) * (size_t)all);
	p->lse = take(sizeof(double) * (size_t)(n * HEADS));
	p->dq = take(sizeof(double) * (size_t)all);
	p->dk = take(sizeof(double) * (size_t)one);
	p->dv = take(sizeof(double) * (size_t)one);
	reference_forward(&p->shape, p->qd, p->kd, p->vd, p->out, p->lse);
	reference_backward(&p->shape, p->qd, p->kd, p->vd, p->out, p->lse, p->doutd, p->dq,
	                   p->dk, p->dv);
}

static void close_problem(problem *p)
{
	void *all[] = { p->q, p->k, p->v, p->dout, p->qd, p->kd, p->vd, p->doutd, p->out,
		        p->lse, p->dq, p->dk, p->dv };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		free(all[i]);
}

/* A pair (query i of head h, key j) as the mathematics has it. */
typedef struct {
	double p;      /* probability */
	double t;      /* log2 of it */
	double a;      /* sum |c q k| */
	double ds;     /* p (dP - delta) */
	double spread; /* sum |dout v| */
	double delta;
	double dp;
} pair;

static pair pair_of(const problem *x, int h, int i, int j)
{
	const double *q = x->qd + (i * HEADS + h) * x->d, *k = x->kd + j * x->d;
	const double *g = x->doutd + (i * HEADS + h) * x->d, *v = x->vd + j * x->d;
	const double *out = x->out + (i * HEADS + h) * x->d;
	double score = 0.0;
	pair r = { 0 };

	for (int d = 0; d < x->d; d++) {
		score += q[d] * k[d] * x->scale;
		r.a += fabs(q[d] * k[d]) * x->scale / ln2;
		r.dp += g[d] * v[d];
		r.spread += fabs(g[d] * v[d]);
		r.delta += g[d] * out[d];
	}
	r.t = (score - x->lse[h * x->n + i]) / ln2;
	r.p = exp2(r.t);
	r.ds = r.p * (r.dp - r.delta);
	return r;
}

/* Relative error of exp2 for an exponent that errs by so much. */
static double exp2_error(double exponent_error)
{
	return ln2 * exponent_error + 4.0 * u;
}

/* The kernels' out as double, and lse; all of it in tiles of TILE keys. */
static void run_forward(const problem *x, double *out, float *lse)
{
	const span_kernels *k = &span_kernels_ref;
	int width = span_width(x->d), bytes = (int)span_dtype_bytes(x->dtype);
	void *scratch = take(k->forward_scratch(TILE, width, LEVELS));
	float *m = take(sizeof(float) * MOST), *l = take(sizeof(float) * MOST);
	float *o = take(sizeof(float) * (size_t)(MOST * width));
	char *stored = take((size_t)(x->n * HEADS * x->d * bytes));
	float *wide = take(sizeof(float) * (size_t)(x->n * HEADS * x->d));
	span_key_tile tiles[MOST / TILE];
	int n_tiles = (x->n + TILE - 1) / TILE;

	for (int t = 0; t < n_tiles; t++) {
		int at = t * TILE, keys = x->n - at < TILE ? x->n - at : TILE;

		tiles[t] = (span_key_tile){ .k = (char *)x->k + at * x->d * bytes,
			                    .v = (char *)x->v + at * x->d * bytes,
			                    .k_stride = x->d, .v_stride = x->d, .keys = keys,
			                    .address = (uint32_t)t,
			                    .shift = x->shape.causal ? -at : keys };
	}
	for (int h = 0; h < HEADS; h++) {
		span_forward_task task = { .dtype = x->dtype, .head_size = x->d, .rows = x->n,
			                   .q = (char *)x->q + h * x->d * bytes,
			                   .q_stride = HEADS * x->d,
			                   .scale = (float)(x->scale * 1.4426950408889634),
			                   .tiles = tiles, .n_tiles = n_tiles, .tile = TILE,
			                   .levels = LEVELS, .m = m, .l = l, .o = o,
			                   .scratch = scratch };

		k->forward(&task);
		k->finish(x->n, x->d, m, l, o, x->dtype, stored + h * x->d * bytes,
		          HEADS * x->d, lse + h * x->n);
	}
	span_convert_to_f32(x->dtype, stored, wide, (size_t)(x->n * HEADS * x->d));
	for (int i = 0; i < x->n * HEADS * x->d; i++)
		out[i] = wide[i];
	free(scratch), free(m), free(l), free(o), free(stored), free(wide);
}

static void check_forward_row(const problem *x, int h, int i, const double *out, float lse)
{
	int seen = (int)reference_visible(&x->shape, i);
	double sums = seen + seen / 16 + 4 + 2 * LEVELS + 2; /* roundings of o, l and out */
	double average = 0.0, error[MOST], exact = x->lse[h * x->n + i];
	double bound = 0.0;

	for (int j = 0; j < seen; j++) {
		pair r = pair_of(x, h, i, j);

		error[j] = exp2_error((x->d + 2) * u * r.a + u * (fabs(r.t) + 1.0 + log2(seen)));
		average += r.p * error[j];
	}
	for (int d = 0; d < x->d; d++) {
		double expected = x->out[(i * HEADS + h) * x->d + d], bulk = 0.0;

		bound = 0.0;
		for (int j = 0; j < seen; j++) {
			double part = pair_of(x, h, i, j).p * fabs(x->vd[j * x->d + d]);

			bulk += part;
			bound += part * (error[j] + average + sums * u);
		}
		cr_assert_lt(bound, 1e-4 * bulk, "the bound says little");
		bound = second_order * bound + rounding(x->dtype, expected);
		cr_assert_leq(fabs(out[(i * HEADS + h) * x->d + d] - expected), bound,
		              "out of row %d head %d element %d", i, h, d);
	}
	/* log2 l: 4 u of itself and of 1; m + log2 l, the constant ln 2, their product */
	bound = average + sums * u + 4.0 * u * (2.0 + log2(seen)) + 3.0 * u * (fabs(exact) + 1.0);
	cr_assert_leq(fabs(lse - exact), second_order * bound, "lse of row %d head %d", i, h);
}

Test(kernels_f64, forward_lies_within_its_derived_bound)
{
	static const span_dtype dtypes[] = { SPAN_F32, SPAN_BF16, SPAN_F16 };
	case_random random = { 11 };

	for (int c = 0; c < 12; c++) {
		int n = 37 + 18 * (c / 3 % 3), d = c % 2 ? 64 : 40;
		problem x;
		double *out;
		float *lse;

		open_problem(&x, &random, dtypes[c % 3], n, d, c / 6);
		out = take(sizeof(double) * (size_t)(n * HEADS * d));
		lse = take(sizeof(float) * (size_t)(n * HEADS));
		run_forward(&x, out, lse);
		for (int h = 0; h < HEADS; h++)
			for (int i = 0; i < n; i++)
				check_forward_row(&x, h, i, out, lse[h * n + i]);
		free(out), free(lse);
		close_problem(&x);
	}
}

/* ---- backward ---- */

/* Stored gradients as double, from one leaf of all queries and keys. */
typedef struct {
	double *dq, *dk, *dv;
} gradients;

static double *stored_gradient(const problem *x, const float *sum, int rows, float scale)
{
	char *stored = take((size_t)(rows * x->d) * sizeof(float));
	float *wide = take((size_t)(rows * x->d) * sizeof(float));
	double *result = take((size_t)(rows * x->d) * sizeof(double));

	span_kernels_ref.store_rows(sum, rows, x->d, scale, x->dtype, stored, x->d);
	span_convert_to_f32(x->dtype, stored, wide, (size_t)(rows * x->d));
	for (int i = 0; i < rows * x->d; i++)
		result[i] = wide[i];
	free(stored), free(wide);
	return result;
}

static gradients run_backward(const problem *x)
{
	const span_kernels *k = &span_kernels_ref;
	int width = span_width(x->d), n = x->n, bytes = (int)span_dtype_bytes(x->dtype);
	size_t head = sizeof(float) * (size_t)(n * width);
	float *q = take(HEADS * head), *g = take(HEADS * head), *key = take(head);
	float *value = take(head), *dq = take(HEADS * head), *dk = take(head), *dv = take(head);
	float *lse2 = take(sizeof(float) * HEADS * MOST), *delta = take(sizeof(float) * HEADS * MOST);
	void *scratch = take(k->leaf_scratch(MOST, width, HEADS));
	span_backward_leaf leaf = { .head_size = x->d, .heads = HEADS, .rows = n, .keys = n,
		                    .shift = x->shape.causal ? 0 : n, .q = q, .dout = g,
		                    .q_head = n * width, .lse2 = lse2, .delta = delta,
		                    .row_head = n, .k = key, .k_packed = key, .v_packed = value,
		                    .dq = dq, .dq_head = n * width, .dk = dk, .dv = dv,
		                    .tile = MOST, .scratch = scratch };
	gradients result;

	for (int h = 0; h < HEADS; h++) {
		k->load_rows(x->dtype, (char *)x->q + h * x->d * bytes, HEADS * x->d, n, x->d,
		             (float)(x->scale * 1.4426950408889634), q + h * n * width);
		k->load_rows(x->dtype, (char *)x->dout + h * x->d * bytes, HEADS * x->d, n,
		             x->d, 1.0f, g + h * n * width);
		for (int i = 0; i < n; i++) {
			lse2[h * n + i] = (float)x->lse[h * n + i] * 1.44269502f;
			delta[h * n + i] = (float)pair_of(x, h, i, 0).delta;
		}
	}
	k->load_rows(x->dtype, x->k, x->d, n, x->d, 1.0f, key);
	k->load_rows(x->dtype, x->v, x->d, n, x->d, 1.0f, value);
	k->leaf(&leaf);
	result.dq = stored_gradient(x, dq, HEADS * n, x->scale);
	result.dk = stored_gradient(x, dk, n, 0.693147182f);
	result.dv = stored_gradient(x, dv, n, 1.0f);
	free(q), free(g), free(key), free(value), free(dq), free(dk), free(dv);
	free(lse2), free(delta), free(scratch);
	return result;
}

/* Bounds of all gradients, summed up pair by pair: [rows][D] each, dq [heads][n]. */
static void bound_gradients(const problem *x, gradients *bound)
{
	double chain = HEADS * x->n + 5; /* roundings of a sum over rows or keys, and scaling */

	for (int h = 0; h < HEADS; h++)
		for (int i = 0; i < x->n; i++)
			for (int j = 0; j < reference_visible(&x->shape, i); j++) {
				pair r = pair_of(x, h, i, j);
				double lse2 = fabs(x->lse[h * x->n + i]) / ln2;
				double p = exp2_error((x->d + 2) * u * r.a + 3.0 * u * lse2 +
				                      u * fabs(r.t));
				double ds = fabs(r.ds) * (p + 2.0 * u + chain * u) +
				            r.p * u * (x->d * r.spread + fabs(r.delta) +
				                       fabs(r.dp - r.delta));

				for (int d = 0; d < x->d; d++) {
					int q = (i * HEADS + h) * x->d + d, k = j * x->d + d;

					bound->dq[(h * x->n + i) * x->d + d] +=
					        x->scale * ds * fabs(x->kd[k]);
					bound->dk[k] += x->scale * ds * fabs(x->qd[q]);
					bound->dv[k] += r.p * (p + chain * u) * fabs(x->doutd[q]);
				}
			}
}

static void check_gradient(const problem *x, const char *name, const double *actual,
                           const double *bound, double expected, int i)
{
	double most = second_order * bound[i] + rounding(x->dtype, expected);

	cr_assert_leq(fabs(actual[i] - expected), most,
	              "%s at %d is %g, not %g: off by %g, at most %g allowed", name, i,
	              actual[i], expected, actual[i] - expected, most);
}

Test(kernels_f64, backward_lies_within_its_derived_bound)
{
	static const span_dtype dtypes[] = { SPAN_F32, SPAN_BF16, SPAN_F16 };
	case_random random = { 12 };

	for (int c = 0; c < 6; c++) {
		int n = c % 2 ? 41 : 66, d = c % 2 ? 40 : 64;
		size_t floats = (size_t)(n * d);
		problem x;
		gradients actual, bound = { take(HEADS * floats * sizeof(double)),
			                    take(floats * sizeof(double)),
			                    take(floats * sizeof(double)) };

		open_problem(&x, &random, dtypes[c % 3], n, d, c / 3);
		actual = run_backward(&x);
		bound_gradients(&x, &bound);
		for (int h = 0; h < HEADS; h++)
			for (int i = 0; i < n * d; i++) {
				int at = (i / d * HEADS + h) * d + i % d;

				check_gradient(&x, "dq", actual.dq, bound.dq, x.dq[at],
				               h * n * d + i);
			}
		for (int i = 0; i < n * d; i++) {
			check_gradient(&x, "dk", actual.dk, bound.dk, x.dk[i], i);
			check_gradient(&x, "dv", actual.dv, bound.dv, x.dv[i], i);
		}
		free(actual.dq), free(actual.dk), free(actual.dv);
		free(bound.dq), free(bound.dk), free(bound.dv);
		close_problem(&x);
	}
}
