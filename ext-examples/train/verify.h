/* Whether two trainings agree. */
#ifndef TRAIN_VERIFY_H
#define TRAIN_VERIFY_H

#include "train.h"

/* Compare a training on one rank with one on several and say the result as the last line.
 * In the canonical class every loss and all weights, on every rank, must have the same bits;
 * in the schedule class losses differ; loss and gradient of the first step are judged by a
 * bound made of rounding. Returns 0 when they agree, else -1. */
int verify(const struct settings *settings, const struct outcome *one,
           const struct outcome *several);

#endif
