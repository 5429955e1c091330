#include <math.h>
#include "layers.h"

void rope_angles(int head_size, int64_t position, float *cosine, float *sine)
{
	for (int i = 0; i < head_size / 2; i++) {
		double angle = (double)position * pow(10000.0, -2.0 * i / head_size);

		cosine[i] = (float)cos(angle);
		sine[i] = (float)sin(angle);
	}
}

/* Turn one head by its angles; sign -1 turns it back. */
static void turn(int half, const float *cosine, const float *sine, float sign, float *x)
{
	for (int i = 0; i < half; i++) {
		float a = x[i], b = x[i + half], s = sign * sine[i];

		x[i] = a * cosine[i] - b * s;
		x[i + half] = a * s + b * cosine[i];
	}
}

static void turn_rows(int rows, int heads, int head_size, int stride, const float *cosine,
                      const float *sine, float sign, float *x)
{
	int half = head_size / 2;

	for (int row = 0; row < rows; row++, x += stride, cosine += half, sine += half)
		for (int head = 0; head < heads; head++)
			turn(half, cosine, sine, sign, x + head * head_size);
}

void rope_forward(int rows, int heads, int head_size, int stride, const float *cosine,
                  const float *sine, float *x)
{
	turn_rows(rows, heads, head_size, stride, cosine, sine, 1, x);
}

void rope_backward(int rows, int heads, int head_size, int stride, const float *cosine,
                   const float *sine, float *dx)
{
	turn_rows(rows, heads, head_size, stride, cosine, sine, -1, dx);
}
