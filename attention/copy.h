/* Copying what is in nobody's cache. Private. */
#ifndef SPAN_COPY_H
#define SPAN_COPY_H

#include <stddef.h>
#include <string.h>

/* memcpy that asks for both sides ahead of time. */
static inline void span_copy_cold(void *target, const void *source, size_t bytes)
{
	enum { STEP = 1024, AHEAD = 4096, LINE = 64 };
	const char *from = source;
	char *to = target;

	for (; bytes >= STEP + AHEAD; to += STEP, from += STEP, bytes -= STEP) {
		for (int i = AHEAD; i < AHEAD + STEP; i += LINE) {
			__builtin_prefetch(from + i, 0);
			__builtin_prefetch(to + i, 1);
		}
		memcpy(to, from, STEP);
	}
	memcpy(to, from, bytes);
}

/* Gather rows of `row` bytes that are `stride` bytes apart. */
static inline void span_copy_rows(char *to, const char *from, size_t row, size_t stride,
                                  size_t rows)
{
	enum { ROWS_AHEAD = 8, LINE = 64 };

	if (stride == row) {
		span_copy_cold(to, from, row * rows);
		return;
	}
	for (; rows; rows--, to += row, from += stride) {
		for (size_t i = 0; i < row; i += LINE) {
			__builtin_prefetch(from + ROWS_AHEAD * stride + i, 0);
			__builtin_prefetch(to + ROWS_AHEAD * row + i, 1);
		}
		memcpy(to, from, row);
	}
}

#endif
