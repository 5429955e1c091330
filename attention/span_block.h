/* The steps of attention one by one, for callers that write their own schedule: one block
 * forward to a partial, merge two partials, finish a partial, one block backward.
 *
 * A partial is what query rows have seen of a set of keys:
 *   m  the largest score in base 2, rounded up to an integer; -inf when no key was seen
 *   l  sum of 2^(score - m)
 *   o  weighted sum of the rows of v, f32
 * Rows of o are span_block_width(D) floats long, D rounded up to a multiple of 16; what stands
 * behind the first D is undefined.
 *
 * A block computed here is one leaf of the canonical tree: the op's bits are obtained by
 * computing one partial a tile and merging along the tree (attention/README.md). No function
 * here allocates; all may be called at once on distinct outputs with distinct workspaces. A
 * workspace is aligned to 64 bytes, floats and tensors to their dtype. All return SPAN_EINVAL or
 * SPAN_EUNSUPPORTED, naming the argument, before they write anything; outputs overlap no other
 * argument, but for span_block_merge. */
#ifndef SPAN_BLOCK_H
#define SPAN_BLOCK_H

#include "attention/span_tensor.h"
#include "topo/span_status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The shape of one block: `queries` consecutive tokens from global index first_query against
 * `keys` consecutive tokens from first_key. With causal != 0 query i sees keys j <= i. */
typedef struct {
	size_t size;          /* sizeof(span_block) */
	int64_t batch;        /* B, 1 to 2^31 - 1 */
	int64_t queries;      /* 1 to 4096 */
	int64_t keys;         /* 1 to 4096 */
	int64_t first_query;
	int64_t first_key;
	int32_t query_heads;  /* Hq, a multiple of kv_heads */
	int32_t kv_heads;
	int32_t head_size;    /* D: a multiple of 8 from 8 to 256 */
	int32_t causal;
	span_dtype dtype;
	float scale;          /* 0: 1 / sqrt(D) */
} span_block;

/* A partial of queries x Hq; belongs to the caller. */
typedef struct {
	float *o; /* [B][Hq][queries][width] */
	float *m; /* [B][Hq][queries] */
	float *l; /* [B][Hq][queries] */
} span_partial;

/* D rounded up to a multiple of 16; 0 for a D below 1 or above 256. */
SPAN_API int32_t span_block_width(int32_t head_size);

/* Scratch for forward and backward of a block, in bytes; the caller provides it, 64-byte aligned.
 * 0 when the shape is wrong. */
SPAN_API size_t span_block_workspace_bytes(const span_block *block);

/* Attention of the queries to the keys of the block alone.
 *   q [B][queries][Hq][D]  k, v [B][keys][Hkv][D]  dtype in
 *   partial                                        f32   out
 *   workspace [span_block_workspace_bytes]         scratch, 64-byte aligned */
SPAN_API span_status span_block_forward(const span_block *block, const span_tensor *q,
                                        const span_tensor *k, const span_tensor *v,
                                        const span_partial *partial, void *workspace);

/* Merge two partials into their parent in the tree.
 *   left   in/out  becomes the parent
 *   right  in      later tile positions
 * A row that has seen no key changes the other by no bit, except that -0 may become +0. The
 * order matters.
 * Source: Milakov & Gimelshein 2018, arXiv:1805.02867, section 3, with maxima rounded up to
 * integers so that scaling is exact. */
SPAN_API span_status span_block_merge(const span_block *block, const span_partial *left,
                                      const span_partial *right);

/* The result of a complete partial.
 *   out [B][queries][Hq][D]  dtype out
 *   lse [B][Hq][queries]     f32   out  natural log */
SPAN_API span_status span_block_finish(const span_block *block, const span_partial *partial,
                                       const span_tensor *out, float *lse);

/* delta = sum over d of out * dout, which the backward of every block of these queries needs.
 *   delta [B][Hq][queries]  f32 out */
SPAN_API span_status span_block_delta(const span_block *block, const span_tensor *out,
                                      const span_tensor *dout, float *delta);

/* Gradients of one block, before the final scaling. lse is that of the whole row, not of the
 * block.
 *   q, k, v, dout           dtype in
 *   lse, delta              f32   in   [B][Hq][queries]
 *   dq [B][Hq][queries][width]    f32  out
 *   dk, dv [B][Hkv][keys][width]  f32  out
 *   workspace [span_block_workspace_bytes]  scratch, 64-byte aligned
 * Blocks are combined by plain addition along the tree. A row or column that saw nothing
 * becomes 0. */
SPAN_API span_status span_block_backward(const span_block *block, const span_tensor *q,
                                         const span_tensor *k, const span_tensor *v,
                                         const span_tensor *dout, const float *lse,
                                         const float *delta, float *dq, float *dk, float *dv,
                                         void *workspace);

/* Scale, round and store what the blocks added up to.
 *   dq  out [B][queries][Hq][D]   dtype; NULL pair: skip
 *   dk, dv  out [B][keys][Hkv][D] dtype; NULL: skip */
SPAN_API span_status span_block_finish_gradients(const span_block *block, const float *dq_sum,
                                                 const float *dk_sum, const float *dv_sum,
                                                 const span_tensor *dq, const span_tensor *dk,
                                                 const span_tensor *dv);

#ifdef __cplusplus
}
#endif
#endif
