/* Attention as mathematics: plain loops in double, forward and backward, for tests. */
#ifndef SPAN_TESTS_REFERENCE_F64_H
#define SPAN_TESTS_REFERENCE_F64_H

#include <stdint.h>

/* Tensors are dense: q, out, dout, dq [B][queries][Hq][D], k, v, dk, dv [B][keys][Hkv][D],
 * lse [B][Hq][queries]. */
typedef struct {
	int64_t batch;
	int64_t queries;
	int64_t keys;
	int query_heads; /* a multiple of kv_heads */
	int kv_heads;
	int head_size;
	int causal;      /* query i sees keys j <= i + keys - queries */
	double scale;    /* 0: 1 / sqrt(D) */
} reference_shape;

/* out = softmax(scale q k^T) v and the natural log of the sum of exp(scale q k). A query that
 * sees nothing gets 0 and -inf. */
void reference_forward(const reference_shape *shape, const double *q, const double *k,
                       const double *v, double *out, double *lse);

/* Gradients for dout; out and lse as reference_forward gives them. */
void reference_backward(const reference_shape *shape, const double *q, const double *k,
                        const double *v, const double *out, const double *lse,
                        const double *dout, double *dq, double *dk, double *dv);

/* How many keys query i sees: 0 .. that many less one. */
int64_t reference_visible(const reference_shape *shape, int64_t query);

/* Where row (b, token, head) of a tensor of so many tokens and heads begins. */
int64_t reference_row(int64_t b, int64_t token, int64_t head, int64_t tokens, int64_t heads,
                      int64_t head_size);

#endif
