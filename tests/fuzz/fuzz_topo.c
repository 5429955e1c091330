/* Any bytes as a topology source, in both views. hwloc's own XML goes to fuzz_hwloc.c: what is
 * wrong in hwloc is not to hide what is wrong here. */
#define _GNU_SOURCE /* memmem */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "topo/read/reader.h"

static int is_for_hwloc(const uint8_t *data, size_t size)
{
	return memmem(data, size, "<topology", 9) != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (int as_nccl = 0; as_nccl < 2 && !is_for_hwloc(data, size); as_nccl++) {
		const span_topo_options options = { .size = sizeof(options), .as_nccl = as_nccl };
		span_topo *topo = NULL;
		span_status status;

		fuzz_begin();
		status = span_topo_parse((const char *)data, size, "fuzz", &options, &topo);
		fuzz_judge(status);
		if (!status)
			fuzz_use(topo, as_nccl);
	}
	return 0;
}
