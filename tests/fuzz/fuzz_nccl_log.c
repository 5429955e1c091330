/* Any bytes as the output of nccl-tests, what begins with a brace as its JSON: what is accepted
 * has times, and fits. */
#include "tests/fuzz/fuzz.h"

#include <math.h>
#include <stdio.h>

#include "topo/nccl/fit.h"

static void fit(span_nccl_log *log)
{
	span_fit_report report;
	span_profile *profile;
	int32_t source;

	if (span_profile_create("fuzz", &profile) ||
	    span_profile_add_source(profile, "fuzz", &source))
		__builtin_trap();
	if (!span_fit(log->samples, log->n, source, profile, &report))
		span_fit_report_free(&report);
	span_profile_free(profile);
}

static const span_nccl_log_options nothing = { -1, -1, -1, 0, 0 };

static span_status read_json(const char *text, size_t size, span_nccl_log *log)
{
	return span_nccl_log_read_json(text, size, "fuzz", &nothing, log);
}

static span_status read_text(const uint8_t *data, size_t size, span_nccl_log *log)
{
	FILE *file = fmemopen((void *)(uintptr_t)data, size, "r");
	span_status status;

	if (!file)
		__builtin_trap();
	status = span_nccl_log_read(file, "fuzz", &nothing, log);
	fclose(file);
	return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	span_nccl_log log;
	span_status status;

	if (!size)
		return 0;
	fuzz_begin();
	status = *data == '{' ? read_json((const char *)data, size, &log) : read_text(data, size, &log);
	fuzz_judge(status == SPAN_EUNSUPPORTED ? SPAN_OK : status);
	if (status)
		return 0;
	for (size_t i = 0; i < log.n; i++) {
		if (!(log.samples[i].us > 0) || !isfinite(log.samples[i].us))
			__builtin_trap();
	}
	fit(&log);
	span_nccl_log_free(&log);
	return 0;
}
