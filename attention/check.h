/* Checking memory that callers hand in: every message names the function, the argument, its value
 * and what would be accepted. Private. */
#ifndef SPAN_CHECK_H
#define SPAN_CHECK_H

#include "attention/span_tensor.h"

/* What a tensor must be: [batch][tokens][heads] rows of head_size elements. */
typedef struct {
	span_dtype dtype;
	int64_t batch;
	int64_t tokens;  /* 0: nothing is read or written, data and strides do not matter */
	int32_t heads;
	int32_t head_size;
	int is_output;   /* no two of its elements may share memory */
} span_rows;

span_status span_check_rows(const char *function, const char *name, const span_tensor *tensor,
                            const span_rows *rows);

/* A dense array of f32. */
span_status span_check_floats(const char *function, const char *name, const float *floats);

span_status span_check_workspace(const char *function, const void *workspace);

/* Where an argument lies. A tensor may have rows of another between its own, so of its bytes only
 * the first is certain to be its own; all of a dense array's are. */
typedef struct {
	const char *name;
	const void *begin; /* NULL: nothing is read or written */
	size_t bytes;      /* certain to be its own, at least 1 */
	int is_output;
} span_area;

/* Refuse an output that is certain to share memory with another argument. */
span_status span_check_apart(const char *function, const span_area *areas, int n);

#endif
