/* Random cases for kernels: shapes, inputs between guard pages, and comparison to the bit. */
#ifndef SPAN_TESTS_KERNEL_CASE_H
#define SPAN_TESTS_KERNEL_CASE_H

#include "attention/kernels/kernel.h"
#include "tests/attention/guarded.h"

/* A stream of random numbers: the same for the same seed on every machine. */
typedef struct {
	uint64_t state;
} case_random;

uint64_t case_next(case_random *random);
int case_between(case_random *random, int least, int most);
float case_uniform(case_random *random); /* in [-1, 1) */

/* What inputs are made of. */
typedef enum {
	FILL_PLAIN = 0,     /* about normal, of size 1 */
	FILL_HUGE = 1,      /* scores beyond 2^24: rounding a maximum up changes nothing */
	FILL_TINY = 2,      /* subnormal f32, products underflow */
	FILL_SPECIAL = 3,   /* plain with some NaN, infinities and -0 */
	FILL_KINDS = 4
} case_fill;

/* n elements of dtype. */
void case_fill_elements(case_random *random, case_fill fill, span_dtype dtype, void *data,
                        int64_t n);
/* One that is NaN, infinite, -0, subnormal or nearly infinite. */
void case_special_element(case_random *random, span_dtype dtype, void *data);

/* rows x head_size elements at data, stride apart, so that the buffer ends with the last row;
 * what lies between rows is NaN. */
void *case_rows(guarded_pool *pool, guarded_edge edge, case_random *random, case_fill fill,
                span_dtype dtype, int64_t rows, int head_size, int64_t stride);

/* n floats, and a copy of such. */
float *case_floats(guarded_pool *pool, guarded_edge edge, case_random *random, case_fill fill,
                   int64_t n);
float *case_copy(guarded_pool *pool, guarded_edge edge, const float *source, int64_t n);

/* The first difference between n results, -1 when there is none. Any NaN equals any NaN and
 * -0 equals +0: they leave the kernels canonical. */
int64_t case_difference(const float *a, const float *b, int64_t n);

/* The same over the first head_size elements of rows of width: what stands behind is free. */
int64_t case_row_difference(const float *a, const float *b, int64_t rows, int head_size);

#endif
