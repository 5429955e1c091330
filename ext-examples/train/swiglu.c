#include <math.h>
#include "layers.h"

static float sigmoid(float x)
{
	return 1.0f / (1.0f + expf(-x));
}

void swiglu_forward(int rows, int hidden, const float *gate_up, float *h)
{
	for (int row = 0; row < rows; row++, gate_up += 2 * hidden, h += hidden) {
		const float *gate = gate_up, *up = gate_up + hidden;

		for (int i = 0; i < hidden; i++)
			h[i] = gate[i] * sigmoid(gate[i]) * up[i];
	}
}

/* silu'(x) = sigmoid(x) (1 + x (1 - sigmoid(x))). */
void swiglu_backward(int rows, int hidden, const float *gate_up, const float *dh,
                     float *dgate_up)
{
	for (int row = 0; row < rows; row++) {
		const float *gate = gate_up, *up = gate_up + hidden;

		for (int i = 0; i < hidden; i++) {
			float s = sigmoid(gate[i]);

			dgate_up[i] = dh[i] * up[i] * s * (1 + gate[i] * (1 - s));
			dgate_up[hidden + i] = dh[i] * gate[i] * s;
		}
		gate_up += 2 * hidden;
		dgate_up += 2 * hidden;
		dh += hidden;
	}
}
