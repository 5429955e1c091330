#include "tests/attention/kernel_case.h"
#include <math.h>
#include <string.h>
#include "attention/convert.h"

/* splitmix64: Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators". */
uint64_t case_next(case_random *random)
{
	uint64_t z = random->state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

int case_between(case_random *random, int least, int most)
{
	return least + (int)(case_next(random) % (uint64_t)(most - least + 1));
}

float case_uniform(case_random *random)
{
	return (float)(int32_t)(case_next(random) >> 32) * 0x1p-31f;
}

static float special(case_random *random)
{
	static const float values[] = { NAN, INFINITY, -INFINITY, -0.0f, 0.0f, 0x1p-140f, 3e38f };

	return values[case_between(random, 0, 6)];
}

static float element(case_random *random, case_fill fill, span_dtype dtype)
{
	float x = case_uniform(random) + case_uniform(random) + case_uniform(random);

	switch (fill) {
	case FILL_HUGE: /* as far as the dtype goes: infinities are special */
		return x * (case_between(random, 0, 1) ? 0x1p12f : dtype == SPAN_F16 ? 0x1p14f
		                                                                      : 0x1p40f);
	case FILL_TINY:
		return x * (case_between(random, 0, 1) ? 0x1p-130f : 0x1p-12f);
	case FILL_SPECIAL:
		return case_between(random, 0, 255) ? x : special(random);
	default:
		return x;
	}
}

void case_fill_elements(case_random *random, case_fill fill, span_dtype dtype, void *data,
                        int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		float x = element(random, fill, dtype);

		span_convert_from_f32(dtype, &x,
		                      (char *)data + (size_t)i * span_dtype_bytes(dtype), 1);
	}
}

void case_special_element(case_random *random, span_dtype dtype, void *data)
{
	float x = special(random);

	span_convert_from_f32(dtype, &x, data, 1);
}

void *case_rows(guarded_pool *pool, guarded_edge edge, case_random *random, case_fill fill,
                span_dtype dtype, int64_t rows, int head_size, int64_t stride)
{
	size_t bytes = span_dtype_bytes(dtype);
	char *data = guarded_take(pool, ((size_t)((rows - 1) * stride) + (size_t)head_size) * bytes,
	                          edge);

	for (int64_t r = 0; r < rows; r++)
		case_fill_elements(random, fill, dtype, data + (size_t)(r * stride) * bytes,
		                   head_size);
	return data;
}

float *case_floats(guarded_pool *pool, guarded_edge edge, case_random *random, case_fill fill,
                   int64_t n)
{
	float *data = guarded_take(pool, sizeof(float) * (size_t)n, edge);

	case_fill_elements(random, fill, SPAN_F32, data, n);
	return data;
}

float *case_copy(guarded_pool *pool, guarded_edge edge, const float *source, int64_t n)
{
	float *data = guarded_take(pool, sizeof(float) * (size_t)n, edge);

	memcpy(data, source, sizeof(float) * (size_t)n);
	return data;
}

static int same(float a, float b)
{
	return (a != a && b != b) || span_bits(a + 0.0f) == span_bits(b + 0.0f);
}

int64_t case_difference(const float *a, const float *b, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		if (!same(a[i], b[i]))
			return i;
	return -1;
}

int64_t case_row_difference(const float *a, const float *b, int64_t rows, int head_size)
{
	int64_t width = span_width(head_size);

	for (int64_t r = 0; r < rows; r++) {
		int64_t d = case_difference(a + r * width, b + r * width, head_size);

		if (d >= 0)
			return r * width + d;
	}
	return -1;
}
