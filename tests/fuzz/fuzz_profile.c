/* Any bytes as a profile: what is accepted comes back as it was, and gives times. */
#include "tests/fuzz/fuzz.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "topo/nccl/nccl_model.h"
#include "topo/span_profile.h"

/* Saved and loaded again, it is the same. */
static void there_and_back(const span_profile *profile)
{
	span_profile *again = NULL;
	char *text = NULL;
	size_t bytes = 0;
	FILE *file = open_memstream(&text, &bytes);

	if (!file || span_profile_save(profile, file) || fclose(file))
		__builtin_trap();
	file = fmemopen(text, bytes, "r");
	if (!file || span_profile_load(file, "fuzz", &again) ||
	    span_profile_digest(again) != span_profile_digest(profile))
		__builtin_trap();
	fclose(file);
	free(text);
	span_profile_free(again);
}

static void ask(const span_profile *profile)
{
	const double sizes[] = { 0, 1, 4096, 1e9, SPAN_PROFILE_MAX_BYTES };

	for (int32_t i = 0; i < span_profile_curves(profile); i++) {
		for (size_t k = 0; k < sizeof(sizes) / sizeof(*sizes); k++) {
			double us = span_curve_us(span_profile_curve_at(profile, i), sizes[k]);

			if (!(us > 0) || !isfinite(us))
				__builtin_trap();
		}
	}
}

/* What its numbers describe, if they do. */
static void build(const span_profile *profile)
{
	span_nccl_constants constants;
	span_nccl_comm comm;
	span_nccl_model model;

	for (int32_t nodes = 1; nodes <= 4; nodes *= 2) {
		if (!span_nccl_from_profile(profile, 8 * nodes, nodes, &comm, &constants) &&
		    span_nccl_model_build(&comm, &constants, &model))
			__builtin_trap();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FILE *file = size ? fmemopen((void *)(uintptr_t)data, size, "r") : NULL;
	span_profile *profile = NULL;
	span_status status;

	if (!file)
		return 0;
	fuzz_begin();
	status = span_profile_load(file, "fuzz", &profile);
	fclose(file);
	fuzz_judge(status);
	if (status)
		return 0;
	there_and_back(profile);
	ask(profile);
	build(profile);
	span_profile_free(profile);
	return 0;
}
