/* This machine, as far as running threads on it needs it: which processors may be used here,
 * and binding a thread to one of them. Limits of the cgroup and of the affinity mask count. */
#ifndef SPAN_HOST_H
#define SPAN_HOST_H

#include "topo/span_status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct span_host span_host;

/* Discover this machine through hwloc. Returns SPAN_EIO when hwloc cannot read it or this process
 * may use no core; SPAN_EINVAL, SPAN_ENOMEM. */
SPAN_API span_status span_host_create(span_host **host);
SPAN_API void span_host_free(span_host *host);

/* Cores (not hardware threads) this process may use: at least 1. The allowed set of the
 * cgroup and the affinity of the calling process, intersected; when a cgroup's CPU quota is
 * below that, the quota rounded up. */
SPAN_API int span_host_cores(const span_host *host);
SPAN_API int span_host_packages(const span_host *host);
SPAN_API int span_host_numa_nodes(const span_host *host);
SPAN_API double span_host_memory_bytes(const span_host *host);
SPAN_API const char *span_host_processor(const span_host *host); /* model name, or "unknown" */

/* Bind the calling thread, number `index` of `count` that share the machine, to its core:
 * threads are spread over the allowed cores in hwloc's order. When there are more threads than
 * cores nothing is bound (the scheduler does better) and SPAN_OK is returned. Safe to call
 * from several threads at once. Returns SPAN_EINVAL, or SPAN_EIO when binding is refused. */
SPAN_API span_status span_host_bind(const span_host *host, int index, int count);

#ifdef __cplusplus
}
#endif
#endif
