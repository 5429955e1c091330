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

/* How far a part of the first gradient is from that of one rank, as a share of its length. */
static double distance(const struct outcome *one, const struct outcome *several, size_t from,
                       size_t to)
{
	double apart = 0, length = 0;

	for (size_t i = from; i < to; i++) {
		double a = one->gradient[i], b = several->gradient[i];

		apart += (a - b) * (a - b);
		length += a * a;
	}
	if (apart == 0)
		return 0;
	return isfinite(apart) ? sqrt(apart / length) : INFINITY;
}

/* The largest of the groups that gradients are summed in: a fault in one layer's attention
 * shows there, and would be lost in the length of the whole. */
static double farthest(const struct settings *set, const struct outcome *one,
                       const struct outcome *several)
{
	struct shape shape = model_shape((int)set->layers, (int)set->width, (int)set->heads,
	                                 (int)set->kv_heads);
	size_t head = head_start(&shape);
	double most = fmax(distance(one, several, 0, embedding_size(&shape)),
	                   distance(one, several, head, model_size(&shape)));

	for (int i = 0; i < shape.layers; i++) {
		size_t project = project_start(&shape, i), mix = mix_start(&shape, i);
		size_t end = project_start(&shape, i + 1);

		most = fmax(most, fmax(distance(one, several, project, mix),
		                       distance(one, several, mix, end)));
	}
	return most;
}

/* What rounding may do to the first step, before which the weights are equal.
 *
 * A layer stores qkv, out, dout and dqkv. At worst each of these 4 L roundings falls anew on
 * another number of ranks. One is uniform in half a unit in the last place, which is u for a
 * mantissa of 1 and u / 2 for 2: rms 0.42 u of a value, and 0.6 u between two independent ones.
 * Independent signs add as squares, sqrt(4 L) 0.6 u = 1.2 u sqrt(L), and 2 leaves two thirds
 * on top. In f32 each of up to seq keys brings some 4 roundings in another order, which is 4
 * sqrt(seq) units of 2^-24 in the same way. This takes a change to be passed on at about its
 * relative size, which is a model and no proof. Not counted is what makes honest differences
 * smaller: most stored values agree, and a gradient is a sum over tokens.
 *
 * Measured with 2 layers and 1024 tokens on 2, 4 and 7 ranks, the farthest group of weights at
 * first / after 60 steps / overfitted to a loss below 1, of what is accepted
 * (2-core Intel Xeon, span-train --numerics schedule --seq 1024 --dtype ..., 2026-11-30):
 *
 *     f32   3e-7 / 1e-6 / 3e-6 of 2.2e-5
 *     f16   3e-5 / 3e-5 / 1e-4 of 1.4e-3
 *     bf16  7e-5 / 3e-5 / 5e-4 of 1.1e-2
 *
 * Head 0 of rank 1 put to 0 in a changed library, on 2 and 4 ranks: in out 2e-1 and 1e-1, in dq
 * 9e-2 and 3e-2, in dk 6e-2 and 4e-2, each dtype alike; 16 rows of it in out, 1.2e-2 and 1.8e-2.
 * The loss moved by 1e-5 to 9e-4, for dq and dk by nothing: it is the mean of changes of
 * either sign. So the loss adds little, and a fault of less than a hundredth of a group's
 * gradient passes in bf16. */
static double rounding_bound(const struct settings *set)
{
	double inside = 4 * sqrt((double)set->seq) * 0x1p-24;

	return 2 * sqrt((double)set->layers) * (unit_roundoff(set) + inside);
}

/* The loss is a mean over tokens, so it moves less than a gradient: by less than 64 roundings of
 * what is stored, were they all to fall the same way, and by no more than the gradient. */
static double loss_bound(const struct settings *set)
{
	return fmin(64 * unit_roundoff(set), rounding_bound(set));
}

/* The first step is judged by its loss and gradient; later the trainings drift apart, which
 * is shown but not judged. */
static int verify_close(const struct settings *settings, const struct outcome *one,
                        const struct outcome *several)
{
	double loss = relative(one, several, 0), gradient = farthest(settings, one, several);
	double most = 0, bound = rounding_bound(settings);
	int close = loss <= loss_bound(settings) && gradient <= bound;

	for (int64_t i = 0; i < one->steps; i++)
		most = fmax(most, relative(one, several, i));
	printf("schedule numerics promise no equal bits: losses differ by up to %.1e of their"
	       " size\n", most);
	printf("first step on 1 and %d ranks: %s, loss by %.1e, gradient by %.1e, accepted are"
	       " %.1e and %.1e\n", several->ranks, close ? "differs" : "DIFFERENT", loss, gradient,
	       loss_bound(settings), bound);
	return close ? 0 : -1;
}

int verify(const struct settings *settings, const struct outcome *one,
           const struct outcome *several)
{
	if (settings->numerics == SPAN_NUMERICS_CANONICAL)
		return verify_bits(one, several);
	return verify_close(settings, one, several);
}
