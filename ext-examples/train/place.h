/* Whether a file can be written once training is done: better known before than after. */
#ifndef TRAIN_PLACE_H
#define TRAIN_PLACE_H

#include "options.h"

/* Check the targets of --save, --svg and --json; nothing is made, opened or cut short.
 * Returns 0, or -1 once the option and its path have been named. */
int places_check(const struct options *options);

#endif
