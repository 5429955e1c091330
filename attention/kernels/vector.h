/* Part of template.h: the arithmetic of arithmetic.h on vectors, and what a row of scores
 * needs. Lane by lane the same operations in the same order. */

/* Loops over registers must unroll, or the registers become memory. */
#define UNROLL _Pragma("GCC unroll 16")

#define INLINE static inline __attribute__((always_inline))

INLINE vector v_load(const float *p)
{
	return *(const unaligned_vector *)p;
}

INLINE void v_store(float *p, vector x)
{
	*(unaligned_vector *)p = x;
}

INLINE vector v_set(float x)
{
	return x - (vector){ 0 };
}

/* span_exp2 for t <= 128, which is where a score less its row's maximum lies. */
INLINE vector v_exp2(vector t)
{
	const vector magic = v_set(SPAN_EXP2_MAGIC);
	vector shifted = t + magic;
	vector f = t - (shifted - magic);
	vector p = v_fma(v_set(SPAN_EXP2_C5), f, v_set(SPAN_EXP2_C4));

	p = v_fma(p, f, v_set(SPAN_EXP2_C3));
	p = v_fma(p, f, v_set(SPAN_EXP2_C2));
	p = v_fma(p, f, v_set(SPAN_EXP2_C1));
	p = v_fma(p, f, v_set(1.0f));
	return v_add_bits_unless_below((vector_bits)p, (vector_bits)shifted << 23, t,
	                               v_set(SPAN_EXP2_LEAST));
}

/* span_weight: 1 where m is the merged maximum, else 2^(m - merged) from bits. */
INLINE vector v_weight(vector m, vector merged)
{
	vector d = m - merged;
	vector_bits exponent = (vector_bits)(d + v_set(SPAN_EXP2_MAGIC)) << 23;
	vector one = v_set(1.0f);
	vector power = v_add_bits_unless_below((vector_bits)one, exponent, d,
	                                       v_set(SPAN_EXP2_LEAST));
	vector_bits same = m == merged;

	power = (vector)((vector_bits)power & (d == d));
	return (vector)(((vector_bits)one & same) | ((vector_bits)power & ~same));
}

/* The larger of two maxima as `left > right ? left : right` has it, NaN included. */
INLINE vector v_larger(vector left, vector right)
{
	vector_bits take = left > right;

	return (vector)(((vector_bits)left & take) | ((vector_bits)right & ~take));
}

INLINE float sum_lanes(const vector lanes[SPAN_LANES / W])
{
	return sum8(_mm256_add_ps(v_half(lanes, 0), v_half(lanes, 1)));
}

INLINE float max_lanes(const vector lanes[SPAN_LANES / W])
{
	return max8(_mm256_max_ps(v_half(lanes, 0), v_half(lanes, 1)));
}

/* The maximum of n scores, n a multiple of 16. The order does not matter: a NaN, which it may
 * or may not show, turns the row into NaN when the probabilities are summed. */
INLINE float row_max(const float *s, int n)
{
	enum { CHAINS = 64 / W };
	vector most[CHAINS], lanes[SPAN_LANES / W];
	int j = 0;

	UNROLL for (int i = 0; i < CHAINS; i++)
		most[i] = v_load(s + i % (SPAN_LANES / W) * W);
	for (; j + CHAINS * W <= n; j += CHAINS * W)
		UNROLL for (int i = 0; i < CHAINS; i++)
			most[i] = v_max(v_load(s + j + i * W), most[i]);
	for (; j < n; j += SPAN_LANES)
		UNROLL for (int i = 0; i < SPAN_LANES / W; i++)
			most[i] = v_max(v_load(s + j + i * W), most[i]);
	UNROLL for (int i = 0; i < SPAN_LANES / W; i++) {
		lanes[i] = most[i];
		UNROLL for (int k = i + SPAN_LANES / W; k < CHAINS; k += SPAN_LANES / W)
			lanes[i] = v_max(most[k], lanes[i]);
	}
	return max_lanes(lanes);
}

/* n scores become probabilities relative to base; returns their sum. */
INLINE float row_exp2(float *s, int n, float base)
{
	vector lanes[SPAN_LANES / W] = { { 0 } };

	for (int j = 0; j < n; j += SPAN_LANES)
		UNROLL for (int i = 0; i < SPAN_LANES / W; i++) {
			vector p = v_exp2(v_load(s + j + i * W) - v_set(base));

			v_store(s + j + i * W, p);
			lanes[i] += p;
		}
	return sum_lanes(lanes);
}

/* `count` vectors of what row_chain does, side by side: one chain alone would wait for itself. */
INLINE void row_chains(const float *a, int64_t a_step, const float *b, int64_t b_step, int n,
                       float *target, int count)
{
	vector chain[4];

	UNROLL for (int c = 0; c < count; c++)
		chain[c] = v_load(target + c * W);
	for (int64_t i = 0; i < n; i++) {
		vector x = v_set(a[i * a_step]);

		UNROLL for (int c = 0; c < count; c++)
			chain[c] = v_fma(x, v_load(b + i * b_step + c * W), chain[c]);
	}
	UNROLL for (int c = 0; c < count; c++)
		v_store(target + c * W, chain[c]);
}

/* target = the chains over a[i] * b[i] continued from it, i = 0 .. n - 1, for a row of
 * `width`: what a register block of rows or keys does not have in common. */
INLINE void row_chain(const float *a, int64_t a_step, const float *b, int64_t b_step, int n,
                      float *target, int width)
{
	int d = 0;

	for (; d + 4 * W <= width; d += 4 * W)
		row_chains(a, a_step, b + d, b_step, n, target + d, 4);
	for (; d < width; d += W)
		row_chains(a, a_step, b + d, b_step, n, target + d, 1);
}
