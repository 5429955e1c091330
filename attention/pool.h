/* Threads that compute for one rank. Private.
 *
 * Tasks are handed out through a counter; between runs the threads sleep. Each runs in the
 * default floating-point mode (kernels/kernel.h). */
#ifndef SPAN_POOL_H
#define SPAN_POOL_H

#include <stdint.h>
#include "topo/span_status.h"

typedef struct span_pool span_pool;

/* One task, 0 <= task < tasks, on thread 0 <= thread < threads. */
typedef void span_pool_body(void *context, int64_t task, int thread);

/* threads >= 1: the caller of span_pool_run is one of them. */
span_status span_pool_create(int threads, span_pool **pool);
void span_pool_free(span_pool *pool);

/* Run all tasks and return when they are done. One caller at a time; it must be in the
 * default floating-point mode. */
void span_pool_run(span_pool *pool, int64_t tasks, span_pool_body *body, void *context);

#endif
