#include <math.h>
#include "adamw.h"

/* Decay rates and weight decay: Brown et al. 2020, arXiv:2005.14165, appendix B. */
static const double MEAN_RATE = 0.9, SQUARE_RATE = 0.95, DECAY = 0.1, TINY = 1e-8;
static const double CLIP = 1.0;
static const int64_t WARM_UP = 5;

/* Rises for WARM_UP steps, then stays: the rate of a step does not depend on how many will
 * follow, so a training may be resumed and prolonged. */
static double rate_at(int64_t step, double lr)
{
	return step < WARM_UP ? lr * (double)step / (double)WARM_UP : lr;
}

static double norm_of(size_t n, const float *x)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (double)x[i] * x[i];
	return sqrt(sum);
}

static void clip(size_t n, float *gradient)
{
	double norm = norm_of(n, gradient);
	float scale = (float)(CLIP / norm);

	if (norm <= CLIP)
		return;
	for (size_t i = 0; i < n; i++)
		gradient[i] *= scale;
}

void adamw_step(struct state *state, double lr, const uint8_t *decays, float *gradient)
{
	double rate = rate_at(++state->step, lr);
	double mean_bias = 1 - pow(MEAN_RATE, (double)state->step);
	double square_bias = 1 - pow(SQUARE_RATE, (double)state->step);

	clip(state->size, gradient);
	for (size_t i = 0; i < state->size; i++) {
		double g = gradient[i], w = state->weights[i];
		double mean = MEAN_RATE * state->moment[i] + (1 - MEAN_RATE) * g;
		double square = SQUARE_RATE * state->variance[i] + (1 - SQUARE_RATE) * g * g;
		double move = mean / mean_bias / (sqrt(square / square_bias) + TINY);

		state->moment[i] = (float)mean;
		state->variance[i] = (float)square;
		state->weights[i] = (float)(w - rate * (move + decays[i] * DECAY * w));
	}
}
