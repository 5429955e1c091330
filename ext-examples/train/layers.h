/* The layers of the model as functions of a few rows: no ranks, no tiles, no state. Each
 * row stands for itself except in gradients of weights, which sum over the rows given.
 * Rows are dense unless a stride is passed. */
#ifndef TRAIN_LAYERS_H
#define TRAIN_LAYERS_H

#include <stddef.h>
#include <stdint.h>

/* A byte is a token. */
enum { VOCABULARY = 256 };

/* x[row] = table[token[row]], and its gradient.
 *   x [rows][width] out  table [VOCABULARY][width]
 *   dtable [VOCABULARY][width] out  written in full, rows added in their order */
void embedding_forward(int rows, int width, const uint8_t *token, const float *table,
                       float *x);
void embedding_backward(int rows, int width, const uint8_t *token, const float *dx,
                        float *dtable);

/* y = gain x / rms(x) by row.
 * Backward ADDS the gradient of x to dx, which already holds that of the residual path.
 *   x, y, dy, dx [rows][width]  gain [width]  dgain [width] out
 * Source: Zhang & Sennrich 2019, arXiv:1910.07467, equation 4, with 1e-5 under the root. */
void norm_forward(int rows, int width, const float *x, const float *gain, float *y);
void norm_backward(int rows, int width, const float *x, const float *gain, const float *dy,
                   float *dx, float *dgain);

/* Rotary positions: fill the angles of one token, then turn the heads of rows in place.
 * Element i of a head is paired with element i + head_size / 2.
 *   cosine, sine [rows][head_size / 2]  x [rows][stride], heads first
 * Backward is the turn back. Source: Su et al. 2021, arXiv:2104.09864, section 3.2.2. */
void rope_angles(int head_size, int64_t position, float *cosine, float *sine);
void rope_forward(int rows, int heads, int head_size, int stride, const float *cosine,
                  const float *sine, float *x);
void rope_backward(int rows, int heads, int head_size, int stride, const float *cosine,
                   const float *sine, float *dx);

/* h = silu(gate) up, where a row of gate_up is gate, then up.
 *   gate_up, dgate_up [rows][2 * hidden]  h, dh [rows][hidden]
 * Source: Shazeer 2020, arXiv:2002.05202, section 2. */
void swiglu_forward(int rows, int hidden, const float *gate_up, float *h);
void swiglu_backward(int rows, int hidden, const float *gate_up, const float *dh,
                     float *dgate_up);

/* Cross-entropy of the next byte: returns the sum over the rows, in nats, and turns logits
 * into the gradient of that sum.
 *   logits [rows][VOCABULARY] in, gradient out  label [rows] */
float loss_and_gradient(int rows, const uint8_t *label, float *logits);

#endif
