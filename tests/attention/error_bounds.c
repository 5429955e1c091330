#include "tests/attention/error_bounds.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define U 0x1p-24       /* of one rounding to f32, relative */
#define EXP2 (4 * U)    /* 2 units in the last place: kernels/arithmetic.h */
#define LN2 0.6931471805599453
#define LOG2E 1.4426950408889634
#define SECOND_ORDER 1.01

/* What depends on the case alone. */
struct terms {
	double scale;     /* c: scores are c q k */
	double out_chain; /* roundings a term of out passes: products, sums, merges */
	double dq_chain;
	double dkv_chain;
	double dtype;     /* of the last rounding, relative */
	double least;     /* and absolute, where f16 has subnormals */
};

static struct terms terms_of(const attention_case *c)
{
	double tiles = (double)((c->tokens + c->tile - 1) / c->tile);
	double height = ceil(log2(tiles)), group = c->query_heads / c->kv_heads;
	struct terms t = {
		.scale = c->scale != 0 ? c->scale : 1 / sqrt(c->head_size),
		.dtype = c->dtype == SPAN_F32 ? U : c->dtype == SPAN_BF16 ? 0x1p-8 : 0x1p-11,
		.least = c->dtype == SPAN_F16 ? 0x1p-25 : 0x1p-126,
	};

	/* Canonical: a chain over a tile, one sum for each level of the tree. */
	t.out_chain = t.dq_chain = c->tile + height + 4;
	t.dkv_chain = c->tile * group + height + 4;
	if (c->numerics == SPAN_NUMERICS_SCHEDULE) {
		/* One chain over everything, and a scaling whenever a tile comes. */
		t.dq_chain = (double)c->tokens + 4;
		t.dkv_chain = (double)c->tokens * group + 4;
		t.out_chain = (double)c->tokens + 8 * tiles + 4;
	}
	return t;
}

/* Of one pair of a query and a key: the score in base 2 and the error it may have. The factors
 * of q, their product and the default scale are rounded, then D products are chained. */
static void score(const error_bounds *x, const struct terms *t, const double *q,
                  const double *k, double *s, double *error)
{
	double sum = 0, magnitude = 0;

	for (int d = 0; d < x->shape.head_size; d++) {
		sum += q[d] * k[d];
		magnitude += fabs(q[d] * k[d]);
	}
	*s = t->scale * LOG2E * sum;
	*error = (x->shape.head_size + 4) * U * t->scale * LOG2E * magnitude;
}

static const double *query_row(const error_bounds *x, const double *data, int64_t b, int64_t i,
                               int64_t h)
{
	return data + reference_row(b, i, h, x->shape.queries, x->shape.query_heads,
	                            x->shape.head_size);
}

static int64_t key_at(const error_bounds *x, int64_t b, int64_t j, int64_t h)
{
	return reference_row(b, j, h / (x->shape.query_heads / x->shape.kv_heads), x->shape.keys,
	                     x->shape.kv_heads, x->shape.head_size);
}

/* One row of forward: bounds of out and of lse. */
static void bound_forward(error_bounds *x, const struct terms *t, int64_t b, int64_t i, int64_t h,
                          double lse, double *lse_bound)
{
	const double *q = query_row(x, x->q, b, i, h), *out = query_row(x, x->value[CASE_OUT], b, i, h);
	double *bound = (double *)query_row(x, x->bound[CASE_OUT], b, i, h);
	int64_t seen = reference_visible(&x->shape, i);
	double sum_error = 0;
	int D = x->shape.head_size;

	for (int64_t j = 0; j < seen; j++) {
		const double *v = x->v + key_at(x, b, j, h);
		double s, error, p, e;

		score(x, t, q, x->k + key_at(x, b, j, h), &s, &error);
		p = exp(s * LN2 - lse);
		/* s - m is rounded; the maximum m is at most one above the largest score, and
		 * that at most lse. */
		e = LN2 * (error + U * (fabs(s - lse * LOG2E) + 1)) + EXP2;
		sum_error += p * e;
		for (int d = 0; d < D; d++)
			bound[d] += p * fabs(v[d]) * (e + t->out_chain * U);
	}
	for (int d = 0; d < D; d++)
		bound[d] += fabs(out[d]) * (sum_error + (t->out_chain + 2) * U + t->dtype) +
		            t->least;
	/* The sum's relative error is its logarithm's absolute one. log2 of a sum of up to S
	 * terms is good to 4 u of its size; adding m and the factor ln 2 round. */
	*lse_bound = sum_error + t->out_chain * U +
	             4 * U * (log2((double)seen) + 2) + 3 * U * fabs(lse);
}

/* Of delta = sum of out dout with out as stored. */
static double delta_error(const error_bounds *x, int64_t b, int64_t i, int64_t h, double *delta)
{
	const double *dout = query_row(x, x->dout, b, i, h);
	const double *out = query_row(x, x->value[CASE_OUT], b, i, h);
	const double *bound = query_row(x, x->bound[CASE_OUT], b, i, h);
	double error = 0;

	*delta = 0;
	for (int d = 0; d < x->shape.head_size; d++) {
		*delta += out[d] * dout[d];
		error += fabs(dout[d]) * (bound[d] + x->shape.head_size * U * fabs(out[d]));
	}
	return error;
}

/* One row of backward: what it adds to the bounds of dq, dk and dv. */
static void bound_backward(error_bounds *x, const struct terms *t, int64_t b, int64_t i,
                           int64_t h, double lse, double lse_bound)
{
	const double *q = query_row(x, x->q, b, i, h), *dout = query_row(x, x->dout, b, i, h);
	double *dq = (double *)query_row(x, x->bound[CASE_DQ], b, i, h);
	double delta, delta_off = delta_error(x, b, i, h, &delta);
	int D = x->shape.head_size;

	for (int64_t j = 0; j < reference_visible(&x->shape, i); j++) {
		int64_t key = key_at(x, b, j, h);
		double s, error, p, e, dp = 0, magnitude = 0, ds, ds_off;

		score(x, t, q, x->k + key, &s, &error);
		p = exp(s * LN2 - lse);
		e = LN2 * (error + U * fabs(s - lse * LOG2E) + 2 * U * fabs(lse * LOG2E)) +
		    lse_bound + EXP2;
		for (int d = 0; d < D; d++) {
			dp += dout[d] * x->v[key + d];
			magnitude += fabs(dout[d] * x->v[key + d]);
		}
		ds = fabs(p * (dp - delta));
		ds_off = ds * (e + 2 * U) + p * (D * U * magnitude + delta_off);
		for (int d = 0; d < D; d++) {
			dq[d] += t->scale * fabs(x->k[key + d]) * (ds_off + t->dq_chain * U * ds);
			x->bound[CASE_DK][key + d] += t->scale * fabs(q[d]) *
			                              (ds_off + (t->dkv_chain + 4) * U * ds);
			x->bound[CASE_DV][key + d] += p * fabs(dout[d]) * (e + t->dkv_chain * U);
		}
	}
}

static void for_rows(error_bounds *x, const struct terms *t)
{
	int64_t row = 0;

	for (int64_t b = 0; b < x->shape.batch; b++)
		for (int64_t h = 0; h < x->shape.query_heads; h++)
			for (int64_t i = 0; i < x->shape.queries; i++, row++) {
				bound_forward(x, t, b, i, h, x->lse[row], &x->lse_bound[row]);
				bound_backward(x, t, b, i, h, x->lse[row], x->lse_bound[row]);
			}
	for (int which = CASE_DQ; which <= CASE_DV; which++)
		for (int64_t i = 0; i < x->n[which]; i++)
			x->bound[which][i] += fabs(x->value[which][i]) * (2 * U + t->dtype) + t->least;
}

static double *widen(const attention_case *c, const void *data, int64_t n)
{
	float *narrow = malloc(sizeof(*narrow) * (size_t)n);
	double *wide = malloc(sizeof(*wide) * (size_t)n);

	span_convert_to_f32(c->dtype, data, narrow, (size_t)n);
	for (int64_t i = 0; i < n; i++)
		wide[i] = narrow[i];
	free(narrow);
	return wide;
}

error_bounds *error_bounds_make(const attention_case *c, const case_inputs *inputs)
{
	error_bounds *x = calloc(1, sizeof(*x));
	struct terms terms = terms_of(c);
	int64_t rows = c->batch * c->tokens;

	x->shape = (reference_shape){ .batch = c->batch, .queries = c->tokens, .keys = c->tokens,
		                      .query_heads = c->query_heads, .kv_heads = c->kv_heads,
		                      .head_size = c->head_size, .scale = c->scale,
		                      .causal = c->mask == SPAN_MASK_CAUSAL };
	for (int i = 0; i < CASE_RESULTS; i++) {
		x->n[i] = rows * c->head_size *
		          (i == CASE_OUT || i == CASE_DQ ? c->query_heads : c->kv_heads);
		x->value[i] = calloc((size_t)x->n[i], sizeof(double));
		x->bound[i] = calloc((size_t)x->n[i], sizeof(double));
	}
	x->n_lse = rows * c->query_heads;
	x->lse = calloc((size_t)x->n_lse, sizeof(double));
	x->lse_bound = calloc((size_t)x->n_lse, sizeof(double));
	x->q = widen(c, inputs->q, x->n[CASE_DQ]);
	x->k = widen(c, inputs->k, x->n[CASE_DK]);
	x->v = widen(c, inputs->v, x->n[CASE_DV]);
	x->dout = widen(c, inputs->dout, x->n[CASE_OUT]);
	reference_forward(&x->shape, x->q, x->k, x->v, x->value[CASE_OUT], x->lse);
	reference_backward(&x->shape, x->q, x->k, x->v, x->value[CASE_OUT], x->lse, x->dout,
	                   x->value[CASE_DQ], x->value[CASE_DK], x->value[CASE_DV]);
	for_rows(x, &terms);
	return x;
}

void error_bounds_free(error_bounds *x)
{
	for (int i = 0; i < CASE_RESULTS; i++) {
		free(x->value[i]);
		free(x->bound[i]);
	}
	free(x->lse);
	free(x->lse_bound);
	free(x->q);
	free(x->k);
	free(x->v);
	free(x->dout);
	free(x);
}

static double share(double actual, double expected, double bound)
{
	double error = fabs(actual - expected);

	return error <= SECOND_ORDER * bound ? error / (SECOND_ORDER * bound)
	     : error == error                ? error / bound : INFINITY;
}

double error_bounds_share(const error_bounds *x, const attention_case *c,
                          const case_results *results, int which)
{
	double *actual = widen(c, results->tensor[which], x->n[which]);
	double worst = 0;

	for (int64_t i = 0; i < x->n[which]; i++)
		worst = fmax(worst, share(actual[i], x->value[which][i], x->bound[which][i]));
	free(actual);
	return worst;
}

double error_bounds_lse_share(const error_bounds *x, const case_results *results)
{
	double worst = 0;

	for (int64_t i = 0; i < x->n_lse; i++)
		worst = fmax(worst, share(results->lse[i], x->lse[i], x->lse_bound[i]));
	return worst;
}

double error_bounds_relative(const error_bounds *x, int which)
{
	double bound = 0, value = 0;

	for (int64_t i = 0; i < x->n[which]; i++) {
		bound = fmax(bound, x->bound[which][i]);
		value = fmax(value, fabs(x->value[which][i]));
	}
	return bound / value;
}
