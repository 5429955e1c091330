/* In which order blocks travel, and why. */
#ifndef TRAIN_ORDER_H
#define TRAIN_ORDER_H

#include "options.h"

/* Resolve --order auto and --topology: afterwards options->order is a kind of its own,
 * options->group says which ranks share a node, and options->reason why the order was taken.
 * Returns 0, or -1 once the mistake has been named. */
int order_choose(struct options *options);

#endif
