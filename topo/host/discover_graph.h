/* This machine as hwloc, sysfs and NVML see it, on its way into the graph. Private. */
#ifndef SPAN_DISCOVER_GRAPH_H
#define SPAN_DISCOVER_GRAPH_H

#include "topo/host/nvml.h"
#include "topo/read/reader.h"

/* What is known of a live system beside hwloc's objects. */
struct discover_live {
	const char *root;             /* in front of "/sys/..."; "" is this system; NULL: sysfs
	                               * is not that of hwloc's system, leave it alone */
	const struct nvml_gpus *nvml; /* or NULL */
};

/* As read_host, with the system below `root`, which hwloc has been told as well (through
 * HWLOC_FSROOT), and NVML's library by path; NULL: the installed one, "": none. */
span_status discover_host(const char *root, const char *nvml, bool as_nccl, span_topo **topo);

/* A graph of hwloc's XML (read_hwloc.c); live is NULL for a file. */
span_status read_hwloc_objects(const struct source *source, const char *source_kind,
                               const struct discover_live *live, span_topo **topo);

#endif
