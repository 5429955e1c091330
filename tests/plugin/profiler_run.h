/* A profiler as NCCL drives it: one communicator, its events in NCCL's order. */
#ifndef TESTS_PROFILER_RUN_H
#define TESTS_PROFILER_RUN_H

#include "plugin/nccl_profiler_abi.h"

/* Open v5 with SPAN_TRACE set to a folder; NULL: unset. Returns the context; *mask as NCCL sees
 * it. */
void *profiler_run_open(const char *folder, const char *events, int *mask);

/* An all-reduce of `count` floats on `channels` channels from `first` to `last` by the GPU's
 * clock: launched, stopped, then its channels one by one. Returns its handle. */
void *profiler_run_all_reduce(void *context, size_t count, int channels, uint64_t first,
                              uint64_t last);

#endif
