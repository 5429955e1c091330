/* What a mask hides is never computed with: a NaN there changes no bit of what does not see it. */
#include <criterion/criterion.h>
#include <string.h>
#include "tests/attention/attention_case.h"

enum { S = 75, D = 24, HQ = 4, HKV = 2, CUT = 40, NAN_BYTE = 0xff };

static attention_case case_number(int i)
{
	static const int32_t ranks_of[] = { 0, 3, 4 };

	return (attention_case){ .batch = 1, .tokens = S, .tile = i % 2 ? 16 : 64,
		                 .query_heads = HQ, .kv_heads = HKV, .head_size = D,
		                 .dtype = (span_dtype)(SPAN_F32 + i % 3),
		                 .mask = SPAN_MASK_CAUSAL, .layout = (span_layout_family)(i / 2 % 2),
		                 .numerics = (span_numerics)(i % 5 == 4), .ranks = ranks_of[i % 3],
		                 .threads = 1, .isa = i / 3 % 3, .repeats = 1 };
}

/* Tokens [first, end) of a whole tensor become NaN. */
static void poison(const attention_case *c, void *tensor, int32_t heads, int first, int end)
{
	size_t token = (size_t)(heads * D) * span_dtype_bytes(c->dtype);

	memset((char *)tensor + (size_t)first * token, NAN_BYTE, (size_t)(end - first) * token);
}

/* Whether tokens [first, end) of a result are the same. */
static int same(const attention_case *c, const case_results *a, const case_results *b, int which,
                int32_t heads, int first, int end)
{
	size_t token = (size_t)(heads * D) * span_dtype_bytes(c->dtype);

	return memcmp(a->tensor[which] + (size_t)first * token,
	              b->tensor[which] + (size_t)first * token,
	              (size_t)(end - first) * token) == 0;
}

static void run(const attention_case *c, const case_inputs *inputs, case_results *results)
{
	char fault[256], text[512];

	cr_assert_eq(case_run(c, inputs, results, fault), SPAN_OK, "%s", case_describe(c, text));
	cr_assert_str_empty(fault, "%s: %s", case_describe(c, text), fault);
}

/* Keys and values from the cut on; the queries before it see none of them. */
Test(hidden, a_nan_in_later_keys_reaches_no_earlier_query)
{
	for (int i = 0; i < 30; i++) {
		attention_case c = case_number(i);
		case_inputs inputs = case_make_inputs(&c);
		case_results clean, poisoned;
		char text[512];

		run(&c, &inputs, &clean);
		poison(&c, inputs.k, HKV, CUT, S);
		poison(&c, inputs.v, HKV, CUT, S);
		run(&c, &inputs, &poisoned);
		case_describe(&c, text);
		cr_assert(same(&c, &clean, &poisoned, CASE_OUT, HQ, 0, CUT), "%s: out", text);
		cr_assert(same(&c, &clean, &poisoned, CASE_DQ, HQ, 0, CUT), "%s: dq", text);
		for (int h = 0; h < HQ; h++)
			cr_assert_eq(memcmp(clean.lse + h * S, poisoned.lse + h * S,
			                    CUT * sizeof(float)), 0, "%s: lse", text);
		cr_assert(poisoned.lse[CUT] != poisoned.lse[CUT], "%s: the cut sees it", text);
		case_free_results(&clean);
		case_free_results(&poisoned);
		case_free_inputs(&inputs);
	}
}

/* Queries before the cut; they see no key from it on, so its gradients know nothing of them. */
Test(hidden, a_nan_in_earlier_queries_reaches_no_later_key)
{
	for (int i = 0; i < 30; i++) {
		attention_case c = case_number(i);
		case_inputs inputs = case_make_inputs(&c);
		case_results clean, poisoned;
		char text[512];

		run(&c, &inputs, &clean);
		poison(&c, inputs.q, HQ, 0, CUT);
		poison(&c, inputs.dout, HQ, 0, CUT);
		run(&c, &inputs, &poisoned);
		case_describe(&c, text);
		cr_assert(same(&c, &clean, &poisoned, CASE_DK, HKV, CUT, S), "%s: dk", text);
		cr_assert(same(&c, &clean, &poisoned, CASE_DV, HKV, CUT, S), "%s: dv", text);
		cr_assert_not(same(&c, &clean, &poisoned, CASE_DV, HKV, CUT - 1, CUT), "%s", text);
		case_free_results(&clean);
		case_free_results(&poisoned);
		case_free_inputs(&inputs);
	}
}
