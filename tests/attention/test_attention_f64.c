/* The op against attention as mathematics: on one rank in the canonical class, whose bits all
 * others have, and on any number in the class of the schedule. */
#include <criterion/criterion.h>
#include "tests/attention/error_bounds.h"
#include "tests/topo/order_cases.h"

static void run(const attention_case *c, const case_inputs *inputs, case_results *results)
{
	char fault[256], text[512];

	cr_assert_eq(case_run(c, inputs, results, fault), SPAN_OK, "%s", case_describe(c, text));
	cr_assert_str_empty(fault, "%s: %s", case_describe(c, text), fault);
}

static void expect_within(const error_bounds *bounds, const attention_case *c,
                          const case_results *results)
{
	static const char *const names[CASE_RESULTS] = { "out", "dq", "dk", "dv" };
	char text[512];

	for (int i = 0; i < CASE_RESULTS; i++) {
		double share = error_bounds_share(bounds, c, results, i);

		cr_assert_leq(share, 1, "%s: %s is off by %g times its bound",
		              case_describe(c, text), names[i], share);
	}
	cr_assert_leq(error_bounds_lse_share(bounds, results), 1, "%s: lse",
	              case_describe(c, text));
}

/* A bound that lets anything pass is none. Worst cases add up over D, T and the magnitudes of
 * the terms, and still leave a wrong formula, off by its own size, no room. */
static void expect_sharp(const error_bounds *bounds, const attention_case *c)
{
	double most = c->dtype == SPAN_F32 ? 0x1p-8 : c->dtype == SPAN_F16 ? 0x1p-5 : 0x1p-3;

	for (int i = 0; i < CASE_RESULTS; i++)
		cr_assert_lt(error_bounds_relative(bounds, i), most, "%d", i);
}

static attention_case case_number(int i)
{
	static const int32_t heads[][2] = { { 1, 1 }, { 4, 2 }, { 3, 1 } };
	static const int32_t head_sizes[] = { 8, 40, 80, 128 };
	static const int64_t tokens[] = { 1, 45, 100, 131 };

	return (attention_case){
		.batch = 1 + i % 2, .tokens = tokens[i % 4], .tile = i % 3 ? 16 : 32,
		.query_heads = heads[i % 3][0], .kv_heads = heads[i % 3][1],
		.head_size = head_sizes[(i / 2) % 4], .scale = i % 5 ? 0 : 0.3f,
		.dtype = (span_dtype)(SPAN_F32 + i / 4 % 3), .mask = (span_mask_kind)(i / 3 % 2),
		.layout = (span_layout_family)(i / 5 % 2), .threads = 1, .isa = i % 3,
		.strides = (case_strides)(i % CASE_STRIDES), .repeats = 1,
	};
}

Test(attention_f64, one_rank_is_within_the_derived_bounds)
{
	for (int i = 0; i < 48; i++) {
		attention_case c = case_number(i);
		case_inputs inputs = case_make_inputs(&c);
		error_bounds *bounds = error_bounds_make(&c, &inputs);
		case_results results;

		run(&c, &inputs, &results);
		expect_within(bounds, &c, &results);
		/* Of one token the gradients of q and k are 0; large scores leave little certain. */
		if (c.tokens > 1 && c.scale == 0)
			expect_sharp(bounds, &c);
		error_bounds_free(bounds);
		case_free_results(&results);
		case_free_inputs(&inputs);
	}
}

/* ---- the class of the schedule ---- */

static attention_case schedule_case(int i)
{
	static const int32_t ranks_of[] = { 0, 1, 2, 3, 5, 8, 12 };
	attention_case c = case_number(i);

	c.numerics = SPAN_NUMERICS_SCHEDULE;
	c.tokens += 32;
	c.ranks = ranks_of[i % 7];
	c.order = i % CASE_ORDERS;
	c.grouping = i % GROUP_CASES;
	c.way_back = (span_return_kind)(i % 3);
	c.seed = (uint64_t)i;
	return c;
}

Test(attention_f64, the_schedule_class_is_within_the_derived_bounds)
{
	for (int i = 0; i < 42; i++) {
		attention_case c = schedule_case(i);
		case_inputs inputs = case_make_inputs(&c);
		error_bounds *bounds = error_bounds_make(&c, &inputs);
		case_results results;

		run(&c, &inputs, &results);
		expect_within(bounds, &c, &results);
		cr_assert_eq(results.statistics[0].numerics, SPAN_NUMERICS_SCHEDULE);
		error_bounds_free(bounds);
		case_free_results(&results);
		case_free_inputs(&inputs);
	}
}

/* Delays, threads, kernels and the tensors' strides are no part of the schedule. */
Test(attention_f64, the_schedule_class_does_not_depend_on_timing)
{
	for (int i = 0; i < 42; i++) {
		attention_case c = schedule_case(i), other = c;
		case_inputs inputs = case_make_inputs(&c);
		case_results results, others;
		char text[512];

		run(&c, &inputs, &results);
		other.transport = CASE_LATE;
		other.threads = 3;
		other.isa = (c.isa + 1) % 3;
		other.strides = (case_strides)((c.strides + 1) % CASE_STRIDES);
		other.repeats = 2;
		run(&other, &inputs, &others);
		cr_assert_null(case_results_differ(&results, &others), "%s: %s differs",
		               case_describe(&c, text), case_results_differ(&results, &others));
		case_free_results(&results);
		case_free_results(&others);
		case_free_inputs(&inputs);
	}
}

/* ---- the canonical class is what is told, and the default ---- */

Test(attention_f64, the_default_class_is_canonical)
{
	attention_case c = case_number(1);
	case_inputs inputs = case_make_inputs(&c);
	case_results results;

	run(&c, &inputs, &results);
	cr_assert_eq(results.statistics[0].numerics, SPAN_NUMERICS_CANONICAL);
	case_free_results(&results);
	case_free_inputs(&inputs);
}
