/* The loss as a drawing. */
#ifndef TRAIN_CHART_H
#define TRAIN_CHART_H

#include "train.h"

/* Draw the losses of one training, or of two, the first as circles, the last as a line.
 * One self-contained SVG; the same losses give the same bytes. Returns 0, or -1 with the
 * reason said. */
int chart_write(const char *path, const struct outcome *outcome, int n);

#endif
