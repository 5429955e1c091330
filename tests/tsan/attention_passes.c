/* For ThreadSanitizer: forward and backward on 4 ranks of 2 threads each, over both transports, on
 * every order and way back. For valgrind, to which the workspace is undefined: with a full mask as
 * well, where gradients of the last, short tile travel. Exits 0 when each run gives the bits of one
 * rank. */
#include <stdio.h>

#include "tests/attention/attention_case.h"
#include "tests/topo/order_cases.h"

static const attention_case problem = {
	.batch = 1, .tokens = 141, .tile = 16, .query_heads = 4, .kv_heads = 2, .head_size = 24,
	.dtype = SPAN_F32, .mask = SPAN_MASK_CAUSAL, .layout = SPAN_LAYOUT_ZIGZAG, .threads = 1,
	.isa = 2, .repeats = 1,
};

static int failures;

static void expect_same(const attention_case *c, const case_inputs *inputs,
                        const case_results *expected)
{
	case_results actual;
	char fault[256], text[512];
	span_status status = case_run(c, inputs, &actual, fault);
	const char *differs = case_results_differ(expected, &actual);

	if (status || *fault || differs) {
		printf("%s: %s %s %s\n", case_describe(c, text), span_strerror(status), fault,
		       differs ? differs : "");
		failures++;
	}
	case_free_results(&actual);
}

/* The problem on `ranks` ranks, on every step-th of the combinations. */
static void check(attention_case one, int32_t ranks, int step)
{
	case_inputs inputs = case_make_inputs(&one);
	case_results expected;
	char fault[256];

	if (case_run(&one, &inputs, &expected, fault)) {
		failures++;
		return;
	}
	for (int i = 0; i < CASE_ORDERS * CASE_TRANSPORTS; i += step) {
		attention_case c = one;

		c.ranks = ranks;
		c.threads = 2;
		c.repeats = 2;
		c.order = i % CASE_ORDERS;
		c.transport = (case_transport)(i / CASE_ORDERS);
		c.grouping = i % 2 ? GROUP_TWO_EVEN : GROUP_INTERLEAVED;
		c.way_back = (span_return_kind)(i % 3);
		c.seed = (uint64_t)i;
		expect_same(&c, &inputs, &expected);
	}
	case_free_results(&expected);
	case_free_inputs(&inputs);
}

int main(void)
{
	attention_case full = problem;

	full.mask = SPAN_MASK_FULL;
	check(problem, 4, 1);
	check(full, 3, CASE_ORDERS - 1);
	return failures != 0;
}
