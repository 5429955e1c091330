/* Whether two trainings agree. */
#ifndef TRAIN_VERIFY_H
#define TRAIN_VERIFY_H

#include "train.h"

/* Compare a training on one rank with one on several and say the result as the last line.
 * In the canonical class every loss and all weights, on every rank, must have the same bits;
 * in the schedule class losses differ, and only that of the first step is judged. Returns 0
 * when they agree, else -1. */
int verify(const struct settings *settings, const struct outcome *one,
           const struct outcome *several);

#endif
