#include <math.h>
#include <string.h>
#include "layers.h"

static const float EPSILON = 1e-5f;

/* 1 / rms of one row. */
static float inverse_rms(int width, const float *x)
{
	float sum = 0;

	for (int i = 0; i < width; i++)
		sum += x[i] * x[i];
	return 1.0f / sqrtf(sum / (float)width + EPSILON);
}

void norm_forward(int rows, int width, const float *x, const float *gain, float *y)
{
	for (int row = 0; row < rows; row++, x += width, y += width) {
		float inverse = inverse_rms(width, x);

		for (int i = 0; i < width; i++)
			y[i] = gain[i] * (x[i] * inverse);
	}
}

/* With r = 1 / rms: dx = r gain dy - x r^3 / width * sum(gain dy x). */
void norm_backward(int rows, int width, const float *x, const float *gain, const float *dy,
                   float *dx, float *dgain)
{
	memset(dgain, 0, (size_t)width * sizeof *dgain);
	for (int row = 0; row < rows; row++, x += width, dy += width, dx += width) {
		float inverse = inverse_rms(width, x);
		float along = 0;

		for (int i = 0; i < width; i++)
			along += gain[i] * dy[i] * x[i];
		along *= inverse * inverse / (float)width;
		for (int i = 0; i < width; i++) {
			dgain[i] += dy[i] * (x[i] * inverse);
			dx[i] += inverse * (gain[i] * dy[i] - x[i] * along);
		}
	}
}
