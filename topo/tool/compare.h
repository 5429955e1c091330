/* Comparing two topologies, device by device and path by path. Private. */
#ifndef SPAN_TOOL_COMPARE_H
#define SPAN_TOOL_COMPARE_H

#include "topo/graph/graph.h"

#define COMPARE_MOST 100000 /* differences that are kept; more are counted */

/* A device or fabric switch that only one has (the other number is -1), or a field in which
 * they differ; a host's leaf counts as its field. */
struct device_difference {
	int32_t x, y;            /* node numbers */
	const char *field;       /* "bus", "name", "dev", "rank", "uplinks", "rails", "switch above";
	                          * NULL: only one has it */
};

struct path_difference {
	int32_t from, to;        /* node numbers in X */
	span_path_class x_class, y_class;
	double x_bandwidth, y_bandwidth;
};

struct comparison {
	const span_topo *x, *y;
	int32_t n_devices, n_paths;
	int32_t device_room, path_room;
	struct device_difference *devices;
	struct path_difference *paths;
	int64_t dropped;         /* differences that were not kept */
	int32_t hosts_alike;     /* hosts passed over: others like them were compared */
};

/* Compare host by host. Devices are the same when host, kind, PCI address and name are, or
 * else host, kind and number. Hosts of which both sides have described the kinds before are
 * passed over. What one side does not know is no difference. */
span_status compare_topologies(const span_topo *x, const span_topo *y,
                               struct comparison *comparison);
void comparison_free(struct comparison *comparison);

#endif
