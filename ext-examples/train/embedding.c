#include <string.h>
#include "layers.h"

void embedding_forward(int rows, int width, const uint8_t *token, const float *table,
                       float *x)
{
	for (int row = 0; row < rows; row++)
		memcpy(x + (size_t)row * width, table + (size_t)token[row] * width,
		       (size_t)width * sizeof *x);
}

void embedding_backward(int rows, int width, const uint8_t *token, const float *dx,
                        float *dtable)
{
	memset(dtable, 0, (size_t)VOCABULARY * width * sizeof *dtable);
	for (int row = 0; row < rows; row++) {
		float *entry = dtable + (size_t)token[row] * width;

		for (int i = 0; i < width; i++)
			entry[i] += dx[(size_t)row * width + i];
	}
}
