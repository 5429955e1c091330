/* Any bytes to one reader, READER, as if they had been recognised as its kind. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "topo/read/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct source source = { .name = "fuzz", .text = text, .bytes = size };
	span_topo *topo = NULL;
	span_status status;

	memcpy(text, data, size);
	text[size] = '\0';
	fuzz_begin();
	status = READER(&source, &topo);
	if (!status)
		status = topo_finish(topo);
	fuzz_judge(status);
	if (!status)
		fuzz_use(topo, 0);
	else
		span_topo_free(topo);
	free(text);
	return 0;
}
