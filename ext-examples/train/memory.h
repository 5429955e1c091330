/* Memory that knows how much of it was taken: every buffer of a rank comes from here, so
 * that the trainer can say what a rank needs, and all of it is given back at once. */
#ifndef TRAIN_MEMORY_H
#define TRAIN_MEMORY_H

#include <stddef.h>

struct memory_block;

struct memory {
	struct memory_block *blocks;
	size_t bytes; /* taken so far: nothing is given back early, so this is the peak */
	int failed;   /* a request could not be met; asked once, after all requests */
};

/* count * size bytes, zeroed, 64-byte aligned. After a failure NULL, now and later. */
void *memory_take(struct memory *memory, size_t count, size_t size);

/* Give back everything. */
void memory_release(struct memory *memory);

#endif
