/* This machine as a graph: hwloc discovers it, and hands its objects over as its own XML, so that
 * a live system and a file are read by the same code. Links' maximum speeds come from sysfs,
 * NVLink from NVML where it is installed. */
#include "topo/host/discover_graph.h"

#include <hwloc.h>
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"

/* Devices are all wanted, caches not at all; processors that a cgroup excludes are shown. */
static int configure(hwloc_topology_t topology)
{
	if (hwloc_topology_set_io_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_ALL) ||
	    hwloc_topology_set_cache_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE))
		return -1;
	return hwloc_topology_set_flags(topology, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
}

static span_status refuse(hwloc_topology_t topology)
{
	hwloc_topology_destroy(topology);
	return span_fail(SPAN_EIO, "host: hwloc cannot read this machine; if HWLOC_FSROOT, "
	                 "HWLOC_XMLFILE or HWLOC_SYNTHETIC is set, is it right?");
}

static span_status make_graph(hwloc_topology_t topology, const struct discover_live *live,
                              bool as_nccl, span_topo **topo)
{
	struct source source = { .name = "host", .as_nccl = as_nccl };
	char *text = NULL;
	int bytes = 0;
	span_status status;

	if (hwloc_topology_export_xmlbuffer(topology, &text, &bytes, 0) || bytes < 1)
		return span_fail(SPAN_EIO, "host: hwloc cannot write this machine as XML");
	source.text = text;
	source.bytes = strnlen(text, (size_t)bytes); /* hwloc counts the 0 at the end */
	status = read_hwloc_objects(&source, "hwloc", live, topo);
	hwloc_free_xmlbuffer(topology, text);
	return status;
}

span_status discover_host(const char *root, const char *nvml, bool as_nccl, span_topo **topo)
{
	struct nvml_gpus *gpus = calloc(1, sizeof(*gpus));
	struct discover_live live = { .root = root };
	hwloc_topology_t topology;
	bool found = false;
	span_status status;

	if (!gpus || hwloc_topology_init(&topology)) {
		free(gpus);
		return span_fail(SPAN_ENOMEM, "host: no memory to discover this machine");
	}
	if (configure(topology) || hwloc_topology_load(topology)) {
		free(gpus);
		return refuse(topology);
	}
	if (hwloc_topology_is_thissystem(topology)) {
		live.root = root ? root : "";
		nvml = nvml ? nvml : NVML_LIBRARY;
	}
	if (nvml && *nvml)
		nvml_read(nvml, gpus, &found);
	live.nvml = found ? gpus : NULL;
	status = make_graph(topology, &live, as_nccl, topo);
	if (!status && *gpus->problem)
		status = topo_note(*topo, "h0", false, "%.100s is there, but %s: without NVLink "
		                   "from it; does nvidia-smi work?", nvml, gpus->problem);
	hwloc_topology_destroy(topology);
	free(gpus);
	return status;
}

span_status read_host(bool as_nccl, span_topo **topo)
{
	return discover_host(NULL, NULL, as_nccl, topo);
}
