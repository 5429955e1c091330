/* Tensors as callers have them: a pointer, a dtype, and strides for batch, token and head. */
#ifndef SPAN_TENSOR_H
#define SPAN_TENSOR_H

#include "topo/span_status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
	SPAN_F32 = 1,  /* IEEE binary32 */
	SPAN_BF16 = 2, /* the upper half of a binary32 */
	SPAN_F16 = 3   /* IEEE binary16 */
} span_dtype;

/* Bytes of one element, 0 for an unknown dtype. */
SPAN_API size_t span_dtype_bytes(span_dtype dtype);
SPAN_API const char *span_dtype_name(span_dtype dtype); /* "f32", "bf16", "f16" */

/* The dtype of a name. Returns SPAN_EINVAL and lists the names. */
SPAN_API span_status span_dtype_parse(const char *name, span_dtype *dtype);

/* Element (b, token, head, d) stands at data[b * batch + token * token_stride + head *
 * head_stride + d], counted in elements; the last dimension is dense. So [B,S,H,D] has
 * strides {S*H*D, H*D, D}, [B,H,S,D] has {H*S*D, D, S*D}, [S,B,H,D] has {H*D, B*H*D, D}.
 * Strides are not negative.
 * The memory belongs to the caller and is borrowed for the call. A tensor of no tokens may
 * have data NULL. */
typedef struct {
	void *data;
	span_dtype dtype;
	int64_t batch_stride;
	int64_t token_stride;
	int64_t head_stride;
} span_tensor;

/* A dense tensor, [B,S,H,D] and [B,H,S,D]. */
SPAN_API span_tensor span_tensor_bshd(void *data, span_dtype dtype, int64_t tokens,
                                      int64_t heads, int64_t head_size);
SPAN_API span_tensor span_tensor_bhsd(void *data, span_dtype dtype, int64_t tokens,
                                      int64_t heads, int64_t head_size);

/* Convert n elements, none for an unknown dtype; to bf16 and f16 rounded to nearest even, every
 * NaN to one quiet NaN. The result does not depend on the processor or on its floating-point
 * mode. */
SPAN_API void span_convert_to_f32(span_dtype from, const void *source, float *target, size_t n);
SPAN_API void span_convert_from_f32(span_dtype to, const float *source, void *target, size_t n);

#ifdef __cplusplus
}
#endif
#endif
