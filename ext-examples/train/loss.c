#include <math.h>
#include "layers.h"

static float largest(const float *x)
{
	float most = x[0];

	for (int i = 1; i < VOCABULARY; i++)
		most = x[i] > most ? x[i] : most;
	return most;
}

/* One row: the loss, and the probabilities minus the true next byte in place of logits. */
static float loss_of_row(int label, float *logits)
{
	float most = largest(logits), target = logits[label] - most, sum = 0;

	for (int i = 0; i < VOCABULARY; i++) {
		logits[i] = expf(logits[i] - most);
		sum += logits[i];
	}
	for (int i = 0; i < VOCABULARY; i++)
		logits[i] /= sum;
	logits[label] -= 1;
	return logf(sum) - target;
}

float loss_and_gradient(int rows, const uint8_t *label, float *logits)
{
	double sum = 0;

	for (int row = 0; row < rows; row++)
		sum += loss_of_row(label[row], logits + (size_t)row * VOCABULARY);
	return (float)sum;
}
