/* One step of training on one rank. */
#ifndef TRAIN_STEP_H
#define TRAIN_STEP_H

#include "rank.h"

/* Called when a rank has done all of a step but its last sum, which no rank leaves before
 * all that hold tokens have come to it. */
typedef void step_hook(void *context, struct rank *rank);

/* Sum the gradient of the loss over one sequence of the text, collectively, onto
 * rank->gradient, the loss behind it. */
span_status sequence_gradient(struct rank *rank, int64_t sequence, step_hook *hook,
                              void *context);

/* The next step, collectively: gradient of the mean loss of its sequences, optimizer.
 *   loss  out  mean over all tokens in nats, before the step; the same bits on every rank */
span_status step_take(struct rank *rank, step_hook *hook, void *context, float *loss);

#endif
