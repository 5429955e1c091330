/* The kernels on AVX2, FMA and F16C: vectors of 8, products of 6 x 2 vectors. */
#include "attention/kernels/x86.h"

enum { W = 8, BLOCK_ROWS = 6, BLOCK_VECTORS = 2 };

typedef float vector __attribute__((vector_size(32)));
typedef float unaligned_vector __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t vector_bits __attribute__((vector_size(32)));

static inline vector v_fma(vector a, vector b, vector c)
{
	return (vector)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}

/* Of two elements one of which is NaN, the second. */
static inline vector v_max(vector a, vector b)
{
	return (vector)_mm256_max_ps((__m256)a, (__m256)b);
}

static inline vector v_min(vector a, vector b)
{
	return (vector)_mm256_min_ps((__m256)a, (__m256)b);
}

static inline vector v_ceil(vector x)
{
	return (vector)_mm256_round_ps((__m256)x, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
}

/* The float whose bits are a + b, or 0 where x < limit. */
static inline vector v_add_bits_unless_below(vector_bits a, vector_bits b, vector x, vector limit)
{
	__m256 keep = _mm256_cmp_ps((__m256)x, (__m256)limit, _CMP_NLT_UQ);

	return (vector)_mm256_and_ps((__m256)_mm256_add_epi32((__m256i)a, (__m256i)b), keep);
}

/* Lanes 0 .. 7 and 8 .. 15 of 16 in memory order. */
static inline __m256 v_half(const vector lanes[SPAN_LANES / W], int half)
{
	return (__m256)lanes[half];
}

/* Rows become columns, 8 x 8: pairs, then quadruples inside each half, then halves. */
static inline void v_transpose(vector row[W])
{
	__m256 a[W], b[W];

	for (int i = 0; i < W; i += 2) {
		a[i] = _mm256_unpacklo_ps((__m256)row[i], (__m256)row[i + 1]);
		a[i + 1] = _mm256_unpackhi_ps((__m256)row[i], (__m256)row[i + 1]);
	}
	for (int i = 0; i < W; i += 4)
		for (int j = 0; j < 2; j++) {
			__m256d x = (__m256d)a[i + j], y = (__m256d)a[i + 2 + j];

			b[i + 2 * j] = (__m256)_mm256_unpacklo_pd(x, y);
			b[i + 2 * j + 1] = (__m256)_mm256_unpackhi_pd(x, y);
		}
	for (int i = 0; i < 4; i++) {
		row[i] = (vector)_mm256_permute2f128_ps(b[i], b[4 + i], 0x20);
		row[4 + i] = (vector)_mm256_permute2f128_ps(b[i], b[4 + i], 0x31);
	}
}

#define TABLE span_kernels_avx2
#define TABLE_NAME "avx2"
#define DIGEST digest
#include "attention/kernels/template.h"
