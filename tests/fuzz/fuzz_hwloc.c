/* Any bytes as hwloc XML: what reads it, and hwloc behind that. */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	span_topo *topo = NULL;
	span_status status;

	fuzz_begin();
	status = span_topo_parse((const char *)data, size, "fuzz", NULL, &topo);
	fuzz_judge(status);
	if (!status)
		fuzz_use(topo, 0);
	return 0;
}
