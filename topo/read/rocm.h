/* What `rocm-smi --showtopo` tells, between its text or JSON and its graph. Private. */
#ifndef SPAN_ROCM_H
#define SPAN_ROCM_H

#include "topo/read/reader.h"

#define ROCM_MAX_GPUS 128

enum rocm_link { ROCM_UNKNOWN, ROCM_PCIE, ROCM_XGMI };

struct rocm_topology {
	int32_t n;
	int32_t gpu[ROCM_MAX_GPUS];    /* their numbers, in the order of the columns */
	int32_t numa[ROCM_MAX_GPUS];   /* or -1 */
	uint8_t link[ROCM_MAX_GPUS][ROCM_MAX_GPUS];  /* enum rocm_link */
	uint8_t hops[ROCM_MAX_GPUS][ROCM_MAX_GPUS];  /* or 0: not said */
};

/* Place of a GPU among the columns, or -1. */
int32_t rocm_find(const struct rocm_topology *rocm, int32_t gpu);

/* The word of a link ("XGMI", "PCIE"; any other is unknown). */
enum rocm_link rocm_link_of(const char *word);

/* The JSON of `rocm-smi --showtopo --json` (json_rocm.c). */
span_status rocm_parse_json(const struct source *source, struct rocm_topology *rocm);

#endif
