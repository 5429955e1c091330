/* What neither equal bits nor a slope can see: positions, the optimizer, its clipping, and
 * that the verdict on equal bits can go either way. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../adamw.h"
#include "../layers.h"
#include "../verify.h"

enum { HEAD = 8, HALF = HEAD / 2 };
enum { WIDTH = 8, GRADIENT_MOST = 16384 };

static int expect(const char *what, double found, double wanted, double within)
{
	if (fabs(found - wanted) <= within)
		return 0;
	printf("%s: %.9g, expected %.9g within %.1g\n", what, found, wanted, within);
	return 1;
}

/* A turned query times a turned key. */
static double score(int64_t query, int64_t key)
{
	float q[HEAD] = { 1, -2, 3, 0.5f, 2, 1, -1, 0.25f };
	float k[HEAD] = { 0.5f, 1, 1, -3, 2, -1, 0.75f, 1 };
	float cosine[HALF], sine[HALF];
	double sum = 0;

	rope_angles(HEAD, query, cosine, sine);
	rope_forward(1, 1, HEAD, HEAD, cosine, sine, q);
	rope_angles(HEAD, key, cosine, sine);
	rope_forward(1, 1, HEAD, HEAD, cosine, sine, k);
	for (int i = 0; i < HEAD; i++)
		sum += (double)q[i] * k[i];
	return sum;
}

/* Scores depend on the distance alone, and do depend on it. Products of values up to 3, each
 * carrying some 4 roundings: HEAD * 9 * 4 * 2^-24 = 2e-5. */
static int check_rope(void)
{
	return expect("score at equal distance", score(1007, 1000), score(7, 0), 2e-5) +
	       expect("score at distance 0", score(500, 500), score(0, 0), 2e-5) +
	       (fabs(score(7, 0) - score(3, 0)) < 0.1 ? printf("positions do nothing\n") : 0);
}

/* The first step moves every weight by the rate, against the sign of its gradient, and
 * decays it where told; the rate of the first of 5 steps of warm-up is a fifth. */
static int check_first_step(void)
{
	float weights[2] = { 2, -4 }, moment[2] = { 0 }, variance[2] = { 0 };
	float gradient[2] = { 0.3f, -0.4f };
	uint8_t decays[2] = { 1, 0 };
	struct state state = { 0, 2, weights, moment, variance };

	adamw_step(&state, 0.05, decays, gradient);
	return expect("steps taken", (double)state.step, 1, 0) +
	       expect("weight with decay", weights[0], 2 - 0.01 * (1 + 0.1 * 2), 3e-7) +
	       expect("weight without", weights[1], -4 + 0.01, 6e-7) +
	       expect("moment", moment[0], 0.1 * 0.3, 1e-8) +
	       expect("variance", variance[1], 0.05 * 0.16, 1e-9);
}

/* Only a gradient longer than 1 is shortened, to 1. */
static int check_clip(void)
{
	float weights[2] = { 0 }, moment[2] = { 0 }, variance[2] = { 0 };
	float shorter[2] = { 0.3f, -0.4f }, longer[2] = { 30, -40 };
	uint8_t decays[2] = { 0 };
	struct state state = { 0, 2, weights, moment, variance };

	adamw_step(&state, 0.01, decays, shorter);
	adamw_step(&state, 0.01, decays, longer);
	return expect("a short gradient", hypot(shorter[0], shorter[1]), 0.5, 1e-7) +
	       expect("a long gradient", hypot(longer[0], longer[1]), 1, 2e-7);
}

/* The verdict after one loss, or the weights of one rank, changed in their last bit. */
static int check_verdict(void)
{
	struct settings canonical = { .numerics = SPAN_NUMERICS_CANONICAL, .dtype = SPAN_F32 };
	float loss[2] = { 5.5f, 5.25f }, other[2] = { 5.5f, 5.25f };
	uint64_t digest[3] = { 7, 7, 7 };
	struct outcome one = { .ranks = 1, .steps = 2, .loss = loss, .digest = digest };
	struct outcome three = { .ranks = 3, .steps = 2, .loss = other, .digest = digest };
	int wrong = expect("equal", verify(&canonical, &one, &three), 0, 0);

	digest[2] = 6;
	wrong += expect("other weights", verify(&canonical, &one, &three), -1, 0);
	digest[2] = 7;
	other[1] = nextafterf(other[1], 6);
	return wrong + expect("other loss", verify(&canonical, &one, &three), -1, 0);
}

/* A gradient whose part from `from` on is longer by a share, judged in the schedule class. */
static int judged(span_dtype dtype, size_t from, size_t n, float share, float first_loss)
{
	struct settings schedule = { .seq = 1024, .layers = 2, .width = WIDTH, .heads = 1,
		                     .kv_heads = 1, .dtype = dtype,
		                     .numerics = SPAN_NUMERICS_SCHEDULE };
	static float gradient[GRADIENT_MOST], changed[GRADIENT_MOST];
	float loss[2] = { 5.5f, 5.25f }, other[2] = { first_loss, 4 };
	struct outcome one = { .ranks = 1, .steps = 2, .loss = loss, .gradient = gradient };
	struct outcome three = { .ranks = 3, .steps = 2, .loss = other, .gradient = changed };

	for (size_t i = 0; i < GRADIENT_MOST; i++) {
		gradient[i] = 0.01f;
		changed[i] = gradient[i] * (i >= from && i < from + n ? 1 + share : 1);
	}
	return verify(&schedule, &one, &three);
}

/* Each group of weights by itself: a fiftieth of the smallest is little of the whole. Bounds
 * by the formula in verify.c: 2.2e-5, 1.4e-3, 1.1e-2. */
static int check_schedule(void)
{
	struct shape shape = model_shape(2, WIDTH, 1, 1);
	size_t size = project_size(&shape), second = project_start(&shape, 1);

	if (model_size(&shape) > GRADIENT_MOST)
		return printf("GRADIENT_MOST is too small\n");
	return expect("later loss", judged(SPAN_F32, 0, 0, 0, 5.5f), 0, 0) +
	       expect("first loss, f32", judged(SPAN_F32, 0, 0, 0, 5.501f), -1, 0) +
	       expect("first loss, bf16", judged(SPAN_BF16, 0, 0, 0, 5.6f), -1, 0) +
	       expect("f32 fault", judged(SPAN_F32, second, size, 3e-5f, 5.5f), -1, 0) +
	       expect("f16 fault", judged(SPAN_F16, second, size, 2e-3f, 5.5f), -1, 0) +
	       expect("bf16 fault", judged(SPAN_BF16, second, size, 2e-2f, 5.5f), -1, 0) +
	       expect("head fault", judged(SPAN_BF16, head_start(&shape), 9999, 2e-2f, 5.5f), -1, 0) +
	       expect("no number", judged(SPAN_BF16, second, 1, NAN, 5.5f), -1, 0) +
	       expect("f32 rounding", judged(SPAN_F32, second, size, 1e-5f, 5.5f), 0, 0) +
	       expect("bf16 rounding", judged(SPAN_BF16, second, size, 1e-3f, 5.5f), 0, 0);
}

int main(void)
{
	return check_rope() + check_first_step() + check_clip() + check_verdict() +
	       check_schedule() != 0;
}
