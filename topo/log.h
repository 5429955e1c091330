/* Naming the cause of a failure, once, where it is noticed. Private. */
#ifndef SPAN_LOG_H
#define SPAN_LOG_H

#include "topo/span_status.h"

/* Send a formatted message to the log hook; returns status, so that a check reads
 * `return span_fail(SPAN_EINVAL, "span_x: tile is %d; a power of two ...", tile);` */
__attribute__((format(printf, 2, 3)))
span_status span_fail(span_status status, const char *format, ...);

#endif
