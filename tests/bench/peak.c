#include "tests/bench/peak.h"

#include <string.h>
#include <time.h>

double cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Enough chains to hide the latency of two units; few enough to stay in 16 registers. */
enum { CHAINS = 12, STEPS = 2000000 };

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx512f"))) static float fma_avx512(void)
{
	__m512 sum[CHAINS], by = _mm512_set1_ps(0.999f), plus = _mm512_set1_ps(0.001f);

	for (int i = 0; i < CHAINS; i++)
		sum[i] = _mm512_set1_ps((float)i);
	for (int step = 0; step < STEPS; step++)
#pragma GCC unroll 12
		for (int i = 0; i < CHAINS; i++)
			sum[i] = _mm512_fmadd_ps(sum[i], by, plus);
	for (int i = 1; i < CHAINS; i++)
		sum[0] = _mm512_add_ps(sum[0], sum[i]);
	return _mm512_reduce_add_ps(sum[0]);
}

__attribute__((target("avx2,fma"))) static float fma_avx2(void)
{
	__m256 sum[CHAINS], by = _mm256_set1_ps(0.999f), plus = _mm256_set1_ps(0.001f);
	float first[8];

	for (int i = 0; i < CHAINS; i++)
		sum[i] = _mm256_set1_ps((float)i);
	for (int step = 0; step < STEPS; step++)
#pragma GCC unroll 12
		for (int i = 0; i < CHAINS; i++)
			sum[i] = _mm256_fmadd_ps(sum[i], by, plus);
	for (int i = 1; i < CHAINS; i++)
		sum[0] = _mm256_add_ps(sum[0], sum[i]);
	_mm256_storeu_ps(first, sum[0]);
	return first[0];
}
#endif

static float fma_scalar(void)
{
	float sum[CHAINS];

	for (int i = 0; i < CHAINS; i++)
		sum[i] = (float)i;
	for (int step = 0; step < STEPS; step++)
		for (int i = 0; i < CHAINS; i++)
			sum[i] = sum[i] * 0.999f + 0.001f;
	for (int i = 1; i < CHAINS; i++)
		sum[0] += sum[i];
	return sum[0];
}

double peak_flops(const char *isa)
{
	double begin = cpu_seconds();
	double lanes = 1;
	volatile float keep;

#if defined(__x86_64__)
	if (strcmp(isa, "avx512") == 0) {
		keep = fma_avx512();
		lanes = 16;
	} else if (strcmp(isa, "avx2") == 0) {
		keep = fma_avx2();
		lanes = 8;
	} else
#endif
		keep = fma_scalar();
	(void)keep;
	(void)isa;
	return 2 * lanes * CHAINS * STEPS / (cpu_seconds() - begin);
}
