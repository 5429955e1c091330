/* Any bytes as an order: what is accepted is proved. */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>

#include "topo/span_order.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FILE *file = size ? fmemopen((void *)(uintptr_t)data, size, "r") : NULL;
	span_order *order = NULL;
	span_status status;

	if (!file)
		return 0;
	fuzz_begin();
	status = span_order_load(file, "fuzz", &order);
	fclose(file);
	fuzz_judge(status);
	if (!status && span_order_check(order))
		__builtin_trap();
	span_order_free(order);
	return 0;
}
