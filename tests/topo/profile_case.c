/* Profiles to test with. */
#include "tests/topo/profile_case.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static void add_curve(span_profile *profile, int coll, int algo, int proto, int32_t ranks)
{
	const span_knot knots[] = { { 4, 6.25 }, { 1048576, 100.0 / 3 }, { 1e9, 1234567.890123 } };
	const span_curve curve = { .coll = coll,
		                   .algo = algo,
		                   .proto = proto,
		                   .ranks = ranks,
		                   .nodes = 1,
		                   .spread = 0.0125,
		                   .samples = 12,
		                   .source = 1,
		                   .n_knots = 3,
		                   .knots = knots };

	cr_assert_eq(span_profile_add_curve(profile, &curve), SPAN_OK);
}

span_profile *profile_case(void)
{
	const span_number numbers[] = {
		{ .name = "nccl.base.ring.ll", .value = 6.6 },
		{ .name = "machine.gpus", .value = 8, .samples = 1, .source = 1 },
		{ .name = "nccl.base.ring.ll128", .value = -1.0 / 3, .spread = 0.1 },
	};
	span_profile *profile;
	int32_t source;

	cr_assert_eq(span_profile_create("A100 x 8, NVSwitch # not a comment", &profile), SPAN_OK);
	cr_assert_eq(span_profile_add_source(profile, "NCCL 2.28.9", &source), SPAN_OK);
	cr_assert_eq(span_profile_add_source(profile, "a log, of a test", &source), SPAN_OK);
	cr_assert_eq(span_profile_add_source(profile, "NCCL 2.28.9", &source), SPAN_OK);
	cr_assert_eq(source, 0);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		cr_assert_eq(span_profile_set_number(profile, numbers + i), SPAN_OK);
	add_curve(profile, SPAN_COLL_ALL_REDUCE, SPAN_ALGO_RING, SPAN_PROTO_LL, 8);
	add_curve(profile, SPAN_COLL_ALL_GATHER, SPAN_ALGO_NVLS, SPAN_PROTO_SIMPLE, 8);
	add_curve(profile, SPAN_COLL_ALL_REDUCE, SPAN_ALGO_ANY, SPAN_PROTO_ANY, 4);
	return profile;
}

span_profile *profile_case_large(size_t bytes)
{
	span_profile *profile = profile_case();
	span_knot knots[64];
	span_curve curve = { .coll = SPAN_COLL_ALL_REDUCE,
		             .algo = SPAN_ALGO_TREE,
		             .nodes = 1,
		             .spread = 0.01,
		             .samples = 64,
		             .n_knots = 64,
		             .knots = knots };

	for (int i = 0; i < 64; i++)
		knots[i] = (span_knot){ 1024.0 * (i + 1), 10 + i * 1.0625 };
	for (size_t text = 0; text < bytes; text += 64 * 18) {
		curve.ranks = 2 + (int32_t)(text / 1024);
		curve.proto = (int32_t)(text % 3);
		cr_assert_eq(span_profile_add_curve(profile, &curve), SPAN_OK);
	}
	return profile;
}

char *profile_case_text(const span_profile *profile)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *file = open_memstream(&text, &bytes);

	cr_assert_eq(span_profile_save(profile, file), SPAN_OK);
	fclose(file);
	return text;
}

span_status profile_case_load(const char *text, size_t bytes, span_profile **profile)
{
	FILE *file = bytes ? fmemopen((void *)text, bytes, "r") : fopen("/dev/null", "r");
	span_status status = span_profile_load(file, "profiles/mine", profile);

	fclose(file);
	return status;
}
