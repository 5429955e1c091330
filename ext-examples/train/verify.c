#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "attention/span_attention.h"
#include "verify.h"

/* The first step whose loss differs in any bit, counted from 1; 0 when none does. */
static int64_t first_difference(const struct outcome *a, const struct outcome *b)
{
	for (int64_t i = 0; i < a->steps; i++)
		if (memcmp(&a->loss[i], &b->loss[i], sizeof a->loss[i]) != 0)
			return a->first + i + 1;
	return 0;
}

/* A rank whose weights are not those of the single rank, or -1. */
static int odd_rank(const struct outcome *one, const struct outcome *several)
{
	for (int rank = 0; rank < several->ranks; rank++)
		if (several->digest[rank] != one->digest[0])
			return rank;
	return -1;
}

static int verify_bits(const struct outcome *one, const struct outcome *several)
{
	int64_t step = first_difference(one, several);
	int odd = odd_rank(one, several);

	if (odd >= 0)
		printf("weights after the last step: %016" PRIx64 " on 1 rank, %016" PRIx64
		       " on rank %d of %d\n", one->digest[0], several->digest[odd], odd,
		       several->ranks);
	printf("losses on 1 and %d ranks: ", several->ranks);
	if (step != 0)
		printf("DIFFERENT at step %" PRId64 "\n", step);
	else if (odd >= 0)
		printf("identical, but weights DIFFERENT after step %" PRId64 "\n",
		       one->first + one->steps);
	else
		printf("identical to the bit\n");
	return step != 0 || odd >= 0 ? -1 : 0;
}

/* Half a unit in the last place of a value near 1, of what attention stores. */
static double unit_roundoff(const struct settings *settings)
{
	switch ((span_dtype)settings->dtype) {
	case SPAN_BF16:
		return 0x1p-8;
	case SPAN_F16:
		return 0x1p-11;
	default:
		return 0x1p-24;
	}
}

static double relative(const struct outcome *a, const struct outcome *b, int64_t i)
{
	return fabs((double)a->loss[i] - b->loss[i]) / fabs(a->loss[i]);
}

/* Before the first step the weights are equal, so the losses differ by rounding alone: by
 * less than 64 roundings of what is stored, were they all to fall the same way. Later the
 * trainings drift apart, which is shown but not judged. */
static int verify_close(const struct settings *settings, const struct outcome *one,
                        const struct outcome *several)
{
	double first = relative(one, several, 0), most = 0, bound = 64 * unit_roundoff(settings);

	for (int64_t i = 0; i < one->steps; i++)
		most = fmax(most, relative(one, several, i));
	printf("schedule numerics promise no equal bits: losses differ by up to %.1e of their"
	       " size\n", most);
	printf("first loss on 1 and %d ranks: %s by %.1e, accepted is %.1e\n", several->ranks,
	       first <= bound ? "differs" : "DIFFERENT", first, bound);
	return first <= bound ? 0 : -1;
}

int verify(const struct settings *settings, const struct outcome *one,
           const struct outcome *several)
{
	if (settings->numerics == SPAN_NUMERICS_CANONICAL)
		return verify_bits(one, several);
	return verify_close(settings, one, several);
}
