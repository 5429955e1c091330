/* Cache lines: everything in a workspace begins on one. */
#ifndef SPAN_ALIGN_H
#define SPAN_ALIGN_H

#include <stddef.h>

enum { SPAN_ALIGNMENT = 64 };

/* Bytes rounded up to whole lines. */
static inline size_t span_align(size_t bytes)
{
	return (bytes + SPAN_ALIGNMENT - 1) / SPAN_ALIGNMENT * SPAN_ALIGNMENT;
}

#endif
