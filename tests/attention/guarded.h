/* Buffers between two pages that may not be touched, for tests: code that reads or writes one
 * byte too far ends in a fault. */
#ifndef SPAN_TESTS_GUARDED_H
#define SPAN_TESTS_GUARDED_H

#include <stddef.h>

/* Which end of a buffer touches its guard page; the other is less than a page away. */
typedef enum {
	GUARD_START = 0,
	GUARD_END = 1
} guarded_edge;

enum { GUARDED_MOST = 256 };

/* The buffers of one case. Start with all zero. */
typedef struct {
	int n;
	struct {
		void *base;
		size_t bytes;
	} mapping[GUARDED_MOST];
} guarded_pool;

/* `bytes` bytes, each 0xff: as f32 a NaN. At GUARD_START the address is that of a page, at
 * GUARD_END it is as aligned as `bytes` is. Never NULL: a failure exits. */
void *guarded_take(guarded_pool *pool, size_t bytes, guarded_edge edge);

/* Give all buffers back. */
void guarded_release(guarded_pool *pool);

#endif
