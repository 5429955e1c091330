/* A table in words, for people who ask what will be chosen and why. Private. */
#ifndef SPAN_PLUGIN_EXPLAIN_H
#define SPAN_PLUGIN_EXPLAIN_H

#include "plugin/nccl_abi.h"
#include "plugin/table.h"

/* One segment in one line, such as
 *     AllReduce from 65536 B: NVLS/Simple (measured, at least 5% less than Ring/Simple)
 * Cut off where it does not fit. */
void span_explain_segment(const span_table *table, int coll, int32_t segment, char *text,
                          size_t bytes);

/* All segments, a line each, through NCCL's logger. */
void span_explain(const span_table *table, nccl_logger *logger);

#endif
