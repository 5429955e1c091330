/* The floating-point mode of the caller changes no bit and is the caller's again afterwards. */
#include <criterion/criterion.h>
#include <fenv.h>
#include <stdlib.h>
#include <string.h>
#include "tests/attention/attention_case.h"
#include "tests/attention/caller_mode.h"

/* A problem whose products underflow and whose roundings are never exact. */
static attention_case tiny_case(case_fill fill, span_dtype dtype)
{
	return (attention_case){ .batch = 1, .tokens = 75, .tile = 16, .query_heads = 2,
		                 .kv_heads = 1, .head_size = 24, .dtype = dtype,
		                 .mask = SPAN_MASK_CAUSAL, .layout = SPAN_LAYOUT_ZIGZAG,
		                 .fill = fill, .ranks = 0, .threads = 1, .isa = 2, .repeats = 1 };
}

static void expect_no_change(const attention_case *c, const caller_mode *mode)
{
	case_inputs inputs = case_make_inputs(c);
	attention_case threads = *c;
	case_results expected, actual;
	char fault[256];

	cr_assert_eq(case_run(c, &inputs, &expected, fault), SPAN_OK);
	for (int isa = 0; isa < 3; isa++) {
		fenv_t before;
		int kept;

		threads.isa = isa;
		threads.threads = 1 + isa; /* threads that start in the caller's mode */
		fegetenv(&before);
		mode->set();
		cr_assert_eq(case_run(&threads, &inputs, &actual, fault), SPAN_OK);
		kept = mode->is_set();
		fesetenv(&before);
		cr_assert(kept, "isa %d: %s is not the caller's mode any more", isa, mode->name);
		cr_assert_null(case_results_differ(&expected, &actual), "isa %d: %s", isa,
		               case_results_differ(&expected, &actual));
		case_free_results(&actual);
	}
	case_free_results(&expected);
	case_free_inputs(&inputs);
}

static void expect_no_change_in_all(const caller_mode *mode)
{
	for (int dtype = SPAN_F32; dtype <= SPAN_F16; dtype++) {
		attention_case plain = tiny_case(FILL_PLAIN, (span_dtype)dtype);
		attention_case tiny = tiny_case(FILL_TINY, (span_dtype)dtype);

		expect_no_change(&plain, mode);
		expect_no_change(&tiny, mode);
	}
}

Test(attention_mode, rounding_of_the_caller_changes_no_bit)
{
	expect_no_change_in_all(&caller_round_up);
	expect_no_change_in_all(&caller_round_to_zero);
}

#if defined(__x86_64__)
Test(attention_mode, flush_to_zero_of_the_caller_changes_no_bit)
{
	expect_no_change_in_all(&caller_flush);
}

/* The test would see nothing if its numbers were never subnormal. */
Test(attention_mode, the_problem_has_subnormal_numbers)
{
	attention_case c = tiny_case(FILL_TINY, SPAN_F32);
	case_inputs inputs = case_make_inputs(&c);
	const float *q = inputs.q;
	int subnormal = 0;

	for (int i = 0; i < 75 * 2 * 24; i++)
		subnormal += q[i] != 0 && q[i] < 0x1p-126f && q[i] > -0x1p-126f;
	cr_assert_gt(subnormal, 100);
	case_free_inputs(&inputs);
}
#endif
