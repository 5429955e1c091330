/* Every scalar operation that rounds, written once. Build with -ffp-contract=off: a product
 * and a sum are fused where fmaf stands and nowhere else. attention/README.md has the rules. */
#ifndef SPAN_ARITHMETIC_H
#define SPAN_ARITHMETIC_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include "attention/convert.h"
#include "attention/kernels/kernel.h"

_Static_assert(FLT_EVAL_METHOD == 0, "float expressions must be evaluated in float");

/* Row sums and dot products run in this many lanes: element i goes to lane i mod 16. */
enum { SPAN_LANES = 16 };

/* 1.5 * 2^23: added to |t| < 2^22 it leaves the nearest integer in the low bits. */
#define SPAN_EXP2_MAGIC 12582912.0f

/* 2^f on [-1/2, 1/2], relative error at most 2.0 ulp: a minimax polynomial of degree 5 with
 * constant term 1, its coefficients rounded to float. */
#define SPAN_EXP2_C1 6.93146978e-1f
#define SPAN_EXP2_C2 2.40222421e-1f
#define SPAN_EXP2_C3 5.55073374e-2f
#define SPAN_EXP2_C4 9.67151279e-3f
#define SPAN_EXP2_C5 1.32647273e-3f

/* Below this 2^t is taken as 0: no subnormal arises. From 128 on it is infinite. */
#define SPAN_EXP2_LEAST -126.0f
#define SPAN_EXP2_INFINITE 128.0f

/* 2^t; NaN stays NaN. */
static inline float span_exp2(float t)
{
	float shifted, f, p;

	if (t < SPAN_EXP2_LEAST)
		return 0.0f;
	if (t > SPAN_EXP2_INFINITE)
		t = SPAN_EXP2_INFINITE;
	shifted = t + SPAN_EXP2_MAGIC;
	f = t - (shifted - SPAN_EXP2_MAGIC);
	p = fmaf(SPAN_EXP2_C5, f, SPAN_EXP2_C4);
	p = fmaf(p, f, SPAN_EXP2_C3);
	p = fmaf(p, f, SPAN_EXP2_C2);
	p = fmaf(p, f, SPAN_EXP2_C1);
	p = fmaf(p, f, 1.0f);
	return span_float(span_bits(p) + (span_bits(shifted) << 23));
}

/* log2(x) by 2 atanh((y - 1) / (y + 1)) / ln 2 for y = x 2^-e in (sqrt(1/2), sqrt(2)]: the
 * series to the ninth power, whose next term is below 2^-28. NaN for x < 0 and NaN. */
static inline float span_log2(float x)
{
	uint32_t bits = span_bits(x);
	float y, z, w, p;
	int e;

	if (!(x > 0.0f))
		return x == 0.0f ? -INFINITY : NAN;
	if (x == INFINITY)
		return x;
	e = (int)(bits >> 23) - 127;
	if (e == -127) { /* subnormal */
		bits = span_bits(x * 8388608.0f);
		e = (int)(bits >> 23) - 150;
	}
	y = span_float((bits & 0x7fffff) | 0x3f800000);
	if (y > 1.41421354f) {
		y *= 0.5f;
		e++;
	}
	z = (y - 1.0f) / (y + 1.0f);
	w = z * z;
	p = fmaf(w, 0.320598900f, 0.412198573f); /* 2 / (9 ln 2), 2 / (7 ln 2), ... */
	p = fmaf(p, w, 0.577078018f);
	p = fmaf(p, w, 0.961796694f);
	p = p * w * z;
	return (float)e + fmaf(z, 2.88539004f, p);
}

/* 2^d for an integer d <= 0, built from bits: 0 below -126 and for -inf and NaN. */
static inline float span_pow2(float d)
{
	return d >= -126.0f ? span_float((uint32_t)((int)d + 127) << 23) : 0.0f;
}

/* The weight of a partial of maximum m in a merge whose maximum is `merged`. Two partials
 * that have seen nothing keep the weight 1, so that no inf - inf arises. */
static inline float span_weight(float m, float merged)
{
	return m == merged ? 1.0f : span_pow2(m - merged);
}

/* The maximum of a tile as a partial carries it: an integer, and never -0. */
static inline float span_ceil(float x)
{
	return ceilf(x) + 0.0f;
}

/* What leaves the kernels: one NaN, and no -0, whose sign would depend on padding. */
static inline float span_canonical(float x)
{
	return x == x ? x + 0.0f : span_float(0x7fc00000);
}

/* The sum of 16 lanes: lane i takes lane i + 8, then i + 4, i + 2, i + 1. */
static inline float span_sum_lanes(float lane[SPAN_LANES])
{
	for (int half = SPAN_LANES / 2; half > 0; half /= 2)
		for (int i = 0; i < half; i++)
			lane[i] = lane[i] + lane[i + half];
	return lane[0];
}

/* How many of `keys` keys a row sees: key j is seen iff j <= row + shift. */
static inline int span_visible(int64_t row, int64_t shift, int keys)
{
	int64_t seen = row + shift + 1;

	return seen < 0 ? 0 : seen > keys ? keys : (int)seen;
}

/* The height of the node of the canonical tree in which two addresses meet. */
static inline int span_meet(uint32_t a, uint32_t b)
{
	return 32 - __builtin_clz(a ^ b);
}

#endif
