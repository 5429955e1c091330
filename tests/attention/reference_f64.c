#include "tests/attention/reference_f64.h"
#include <math.h>
#include <string.h>

int64_t reference_visible(const reference_shape *shape, int64_t query)
{
	int64_t seen = query + shape->keys - shape->queries + 1;

	if (!shape->causal || seen > shape->keys)
		return shape->keys;
	return seen < 0 ? 0 : seen;
}

int64_t reference_row(int64_t b, int64_t token, int64_t head, int64_t tokens, int64_t heads,
                      int64_t head_size)
{
	return ((b * tokens + token) * heads + head) * head_size;
}

static int64_t query_row(const reference_shape *s, int64_t b, int64_t i, int64_t h)
{
	return reference_row(b, i, h, s->queries, s->query_heads, s->head_size);
}

static int64_t key_row(const reference_shape *s, int64_t b, int64_t j, int64_t h)
{
	return reference_row(b, j, h / (s->query_heads / s->kv_heads), s->keys, s->kv_heads,
	                     s->head_size);
}

static double scale_of(const reference_shape *s)
{
	return s->scale != 0.0 ? s->scale : 1.0 / sqrt(s->head_size);
}

static double dot(const double *a, const double *b, int n)
{
	double sum = 0.0;

	for (int d = 0; d < n; d++)
		sum += a[d] * b[d];
	return sum;
}

static void accumulate(double a, const double *row, double *target, int n)
{
	for (int d = 0; d < n; d++)
		target[d] += a * row[d];
}

static void forward_row(const reference_shape *s, int64_t b, int64_t i, int64_t h,
                        const double *q, const double *k, const double *v, double *out,
                        double *lse)
{
	int64_t row = query_row(s, b, i, h), seen = reference_visible(s, i);
	double largest = -INFINITY, sum = 0.0;

	for (int64_t j = 0; j < seen; j++)
		largest = fmax(largest, scale_of(s) * dot(q + row, k + key_row(s, b, j, h),
		                                          s->head_size));
	memset(out + row, 0, sizeof(double) * (size_t)s->head_size);
	for (int64_t j = 0; j < seen; j++) {
		double score = scale_of(s) * dot(q + row, k + key_row(s, b, j, h), s->head_size);

		sum += exp(score - largest);
		accumulate(exp(score - largest), v + key_row(s, b, j, h), out + row,
		           s->head_size);
	}
	for (int d = 0; seen && d < s->head_size; d++)
		out[row + d] /= sum;
	*lse = seen ? largest + log(sum) : -INFINITY;
}

void reference_forward(const reference_shape *shape, const double *q, const double *k,
                       const double *v, double *out, double *lse)
{
	for (int64_t b = 0; b < shape->batch; b++)
		for (int64_t h = 0; h < shape->query_heads; h++)
			for (int64_t i = 0; i < shape->queries; i++)
				forward_row(shape, b, i, h, q, k, v, out, lse++);
}

static void backward_row(const reference_shape *s, int64_t b, int64_t i, int64_t h,
                         const double *q, const double *k, const double *v, const double *out,
                         double lse, const double *dout, double *dq, double *dk, double *dv)
{
	int64_t row = query_row(s, b, i, h);
	double delta = dot(out + row, dout + row, s->head_size);

	for (int64_t j = 0; j < reference_visible(s, i); j++) {
		int64_t key = key_row(s, b, j, h);
		double p = exp(scale_of(s) * dot(q + row, k + key, s->head_size) - lse);
		double ds = p * (dot(dout + row, v + key, s->head_size) - delta) * scale_of(s);

		accumulate(p, dout + row, dv + key, s->head_size);
		accumulate(ds, q + row, dk + key, s->head_size);
		accumulate(ds, k + key, dq + row, s->head_size);
	}
}

void reference_backward(const reference_shape *shape, const double *q, const double *k,
                        const double *v, const double *out, const double *lse,
                        const double *dout, double *dq, double *dk, double *dv)
{
	size_t row = sizeof(double) * (size_t)shape->head_size * (size_t)shape->batch;
	size_t key = row * (size_t)shape->keys * (size_t)shape->kv_heads;

	memset(dq, 0, row * (size_t)shape->queries * (size_t)shape->query_heads);
	memset(dk, 0, key);
	memset(dv, 0, key);
	for (int64_t b = 0; b < shape->batch; b++)
		for (int64_t h = 0; h < shape->query_heads; h++)
			for (int64_t i = 0; i < shape->queries; i++)
				backward_row(shape, b, i, h, q, k, v, out, *lse++, dout, dq, dk, dv);
}
