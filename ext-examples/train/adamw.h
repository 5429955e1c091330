/* The optimizer: every rank takes the same step from the same summed gradient. */
#ifndef TRAIN_ADAMW_H
#define TRAIN_ADAMW_H

#include "rank.h"

/* Take the step that state->step + 1 stands for.
 *   gradient  [state->size]  in/out  of the mean loss; clipped to a norm of at most 1
 *   decays    [state->size]  in      1 where weight decay applies
 * Source: Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2. */
void adamw_step(struct state *state, double lr, const uint8_t *decays, float *gradient);

#endif
