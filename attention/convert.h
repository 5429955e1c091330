/* Conversion of one element between f32, bf16 and f16, in integers only, so that neither the
 * processor nor its floating-point mode has a say. Private; span_tensor.h has the loops. */
#ifndef SPAN_CONVERT_H
#define SPAN_CONVERT_H

#include <stdint.h>
#include <string.h>

/* The NaN every NaN becomes when it is rounded to a narrower type. */
enum { SPAN_BF16_NAN = 0x7fc0, SPAN_F16_NAN = 0x7e00 };

static inline uint32_t span_bits(float x)
{
	uint32_t bits;

	memcpy(&bits, &x, sizeof(bits));
	return bits;
}

static inline float span_float(uint32_t bits)
{
	float x;

	memcpy(&x, &bits, sizeof(x));
	return x;
}

static inline float span_bf16_to_f32(uint16_t half)
{
	return span_float((uint32_t)half << 16);
}

static inline uint16_t span_bf16_from_f32(float x)
{
	uint32_t bits = span_bits(x);

	if ((bits & 0x7fffffff) > 0x7f800000)
		return SPAN_BF16_NAN;
	/* To nearest even: half of the last place, less one bit where the last place is even.
	 * A carry runs into the exponent, and from the largest finite number to infinity. */
	return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* Exact. A signalling NaN becomes quiet and keeps its payload, as F16C does it. */
static inline float span_f16_to_f32(uint16_t half)
{
	uint32_t sign = (uint32_t)(half & 0x8000) << 16;
	uint32_t exponent = half >> 10 & 0x1f;
	uint32_t mantissa = half & 0x3ff;

	if (exponent == 0x1f)
		return span_float(sign | 0x7f800000 | (mantissa ? 0x400000 : 0) | mantissa << 13);
	if (exponent == 0 && mantissa == 0)
		return span_float(sign);
	if (exponent == 0) { /* subnormal in f16, normal in f32 */
		int shift = __builtin_clz(mantissa) - 21;

		mantissa = mantissa << shift & 0x3ff;
		exponent = (uint32_t)(1 - shift);
	}
	return span_float(sign | (exponent + 112) << 23 | mantissa << 13);
}

static inline uint16_t span_f16_from_f32(float x)
{
	uint32_t bits = span_bits(x);
	uint32_t sign = bits >> 16 & 0x8000;
	uint32_t magnitude = bits & 0x7fffffff;
	uint32_t significand, shift, half;

	if (magnitude > 0x7f800000)
		return SPAN_F16_NAN;
	if (magnitude >= 0x477ff000) /* 65520 and beyond round to infinity */
		return (uint16_t)(sign | 0x7c00);
	if (magnitude >= 0x38800000) { /* 2^-14: normal in f16 */
		half = (magnitude + 0xfff + (magnitude >> 13 & 1)) >> 13;
		return (uint16_t)(sign | (half - (112 << 10)));
	}
	if (magnitude < 0x33000000) /* below half of the smallest subnormal */
		return (uint16_t)sign;
	significand = (magnitude & 0x7fffff) | 0x800000;
	shift = 126 - (magnitude >> 23); /* 14 .. 24 */
	half = significand >> shift;
	significand &= (1u << shift) - 1;
	if (significand > 1u << (shift - 1) ||
	    (significand == 1u << (shift - 1) && (half & 1)))
		half++;
	return (uint16_t)(sign | half);
}

#endif
