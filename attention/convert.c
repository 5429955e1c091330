/* span_tensor.h: dtypes, dense tensors, and conversion in any floating-point mode. */
#include "attention/convert.h"
#include "attention/span_tensor.h"
#include "topo/log.h"

size_t span_dtype_bytes(span_dtype dtype)
{
	switch (dtype) {
	case SPAN_F32:
		return 4;
	case SPAN_BF16:
	case SPAN_F16:
		return 2;
	}
	return 0;
}

const char *span_dtype_name(span_dtype dtype)
{
	switch (dtype) {
	case SPAN_F32:
		return "f32";
	case SPAN_BF16:
		return "bf16";
	case SPAN_F16:
		return "f16";
	}
	return "unknown";
}

span_status span_dtype_parse(const char *name, span_dtype *dtype)
{
	static const span_dtype all[] = { SPAN_F32, SPAN_BF16, SPAN_F16 };

	if (!name || !dtype)
		return span_fail(SPAN_EINVAL, "span_dtype_parse: %s is NULL",
		                 name ? "dtype" : "name");
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (strcmp(name, span_dtype_name(all[i])) == 0) {
			*dtype = all[i];
			return SPAN_OK;
		}
	return span_fail(SPAN_EINVAL, "span_dtype_parse: name is \"%s\"; f32, bf16 or f16", name);
}

span_tensor span_tensor_bshd(void *data, span_dtype dtype, int64_t tokens, int64_t heads,
                             int64_t head_size)
{
	return (span_tensor){ data, dtype, tokens * heads * head_size, heads * head_size,
		              head_size };
}

span_tensor span_tensor_bhsd(void *data, span_dtype dtype, int64_t tokens, int64_t heads,
                             int64_t head_size)
{
	return (span_tensor){ data, dtype, heads * tokens * head_size, head_size,
		              tokens * head_size };
}

void span_convert_to_f32(span_dtype from, const void *source, float *target, size_t n)
{
	const uint16_t *half = source;

	if (from == SPAN_BF16)
		for (size_t i = 0; i < n; i++)
			target[i] = span_bf16_to_f32(half[i]);
	else if (from == SPAN_F16)
		for (size_t i = 0; i < n; i++)
			target[i] = span_f16_to_f32(half[i]);
	else if (from == SPAN_F32 && n)
		memmove(target, source, n * sizeof(float));
}

void span_convert_from_f32(span_dtype to, const float *source, void *target, size_t n)
{
	uint16_t *half = target;

	if (to == SPAN_BF16)
		for (size_t i = 0; i < n; i++)
			half[i] = span_bf16_from_f32(source[i]);
	else if (to == SPAN_F16)
		for (size_t i = 0; i < n; i++)
			half[i] = span_f16_from_f32(source[i]);
	else if (to == SPAN_F32 && n)
		memmove(target, source, n * sizeof(float));
}
