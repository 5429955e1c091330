/* Which kernels are chosen, and that the caller's floating-point mode is neither felt nor
 * changed. */
#include <criterion/criterion.h>
#include <fenv.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "attention/kernels/kernel.h"
#include "tests/attention/kernel_case.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { D = 24, ROWS = 9, KEYS = 16, WIDTH = 32 };

struct result {
	float m[ROWS], l[ROWS], o[ROWS * WIDTH], lse[ROWS];
	uint16_t out[ROWS * D];
};

/* A forward whose products underflow and whose roundings go both ways. */
static void run(const span_kernels *kernels, struct result *r)
{
	case_random random = { 31 };
	guarded_pool pool = { 0 };
	size_t bytes = kernels->forward_scratch(KEYS, WIDTH, 2);
	void *k = case_rows(&pool, GUARD_END, &random, FILL_TINY, SPAN_F32, KEYS, D, D);
	void *v = case_rows(&pool, GUARD_END, &random, FILL_TINY, SPAN_F32, KEYS, D, D);
	span_key_tile tile = { .k = k, .v = v, .k_stride = D, .v_stride = D, .keys = KEYS,
		               .shift = 3 };
	span_forward_task task = { .dtype = SPAN_F32, .head_size = D, .rows = ROWS,
		                   .q_stride = D, .scale = 0.3f, .tiles = &tile, .n_tiles = 1,
		                   .tile = KEYS, .levels = 2, .m = r->m, .l = r->l, .o = r->o };

	task.q = case_rows(&pool, GUARD_END, &random, FILL_PLAIN, SPAN_F32, ROWS, D, D);
	task.scratch = guarded_take(&pool, (bytes + 63) / 64 * 64, GUARD_END);
	memset(r->o, 0, sizeof(r->o));
	kernels->forward(&task);
	kernels->finish(ROWS, D, r->m, r->l, r->o, SPAN_F16, r->out, D, r->lse);
	guarded_release(&pool);
}

static int same(const struct result *a, const struct result *b)
{
	return case_difference(a->m, b->m, ROWS) < 0 && case_difference(a->l, b->l, ROWS) < 0 &&
	       case_row_difference(a->o, b->o, ROWS, D) < 0 &&
	       memcmp(a->lse, b->lse, sizeof(a->lse)) == 0 &&
	       memcmp(a->out, b->out, sizeof(a->out)) == 0;
}

/* Runs in the caller's mode `set` with and without entering the default. */
static void expect_guarded(void (*set)(void), void (*reset)(void), int shows)
{
	const span_kernels *kernels;

	for (int k = 0; (kernels = span_kernels_at(k)); k++) {
		static struct result expected, bare, guarded;
		span_fp_mode mode;

		run(kernels, &expected);
		set();
		run(kernels, &bare);
		span_fp_enter(&mode);
		run(kernels, &guarded);
		span_fp_leave(&mode);
		reset();
		cr_assert(same(&expected, &guarded), "%s feels the caller's mode", kernels->name);
		cr_assert(!shows || !same(&expected, &bare), "%s: the mode does not show",
		          kernels->name);
	}
}

static void round_up(void)
{
	fesetround(FE_UPWARD);
}

static void round_to_nearest(void)
{
	fesetround(FE_TONEAREST);
}

Test(fp_mode, rounding_of_the_caller_changes_no_bit)
{
	expect_guarded(round_up, round_to_nearest, 1);
}

#if defined(__x86_64__)
enum { FTZ_AND_DAZ = 0x8040 };

static void flush(void)
{
	_mm_setcsr(_mm_getcsr() | FTZ_AND_DAZ);
}

static void no_flush(void)
{
	_mm_setcsr(_mm_getcsr() & ~(unsigned int)FTZ_AND_DAZ);
}

Test(fp_mode, flush_to_zero_of_the_caller_changes_no_bit)
{
	expect_guarded(flush, no_flush, 1);
}

Test(fp_mode, leaving_restores_the_word_as_it_was)
{
	unsigned int saved = _mm_getcsr(), odd = 0x1f80 | FTZ_AND_DAZ | 0x4000 | 0x21;
	span_fp_mode mode;

	_mm_setcsr(odd);
	span_fp_enter(&mode);
	unsigned int inside = _mm_getcsr();
	volatile float zero = 0.0f, infinite = 1.0f / zero; /* raises a flag, traps nothing */

	span_fp_leave(&mode);
	unsigned int after = _mm_getcsr();

	_mm_setcsr(saved);
	cr_assert_eq(infinite, INFINITY);
	cr_assert_eq(inside, 0x1f80);
	cr_assert_eq(after, odd);
}

Test(fp_mode, a_caller_that_traps_is_not_trapped)
{
	unsigned int saved = _mm_getcsr();
	struct result r;
	span_fp_mode mode;

	_mm_setcsr(0); /* every exception traps */
	span_fp_enter(&mode);
	run(&span_kernels_ref, &r);
	span_fp_leave(&mode);
	cr_assert_eq(_mm_getcsr(), 0);
	_mm_setcsr(saved);
}
#endif

/* ---- selection ---- */

static char logged[256];

static void keep(void *user, span_status status, const char *message)
{
	(void)user;
	(void)status;
	strncpy(logged, message, sizeof(logged) - 1);
}

Test(select, the_best_set_runs_unless_another_is_forced)
{
	const span_kernels *best = NULL, *table, *chosen;

	for (int k = 0; (table = span_kernels_at(k)); k++) {
		best = table;
		setenv("SPAN_ISA", table->name, 1);
		cr_assert_eq(span_kernels_select(&chosen), SPAN_OK);
		cr_assert_eq(chosen, table);
	}
	setenv("SPAN_ISA", "", 1);
	cr_assert_eq(span_kernels_select(&chosen), SPAN_OK);
	cr_assert_eq(chosen, best);
	unsetenv("SPAN_ISA");
	cr_assert_eq(span_kernels_select(&chosen), SPAN_OK);
	cr_assert_eq(chosen, best);
	cr_assert_str_eq(span_kernels_at(0)->name, "ref");
	cr_assert_null(span_kernels_at(-1));
}

Test(select, an_unknown_set_is_refused_with_those_that_run)
{
	const span_kernels *chosen = NULL;

	span_set_log(keep, NULL);
	setenv("SPAN_ISA", "sse9", 1);
	cr_assert_eq(span_kernels_select(&chosen), SPAN_EINVAL);
	cr_assert_null(chosen);
	cr_assert_not_null(strstr(logged, "sse9"));
	cr_assert_not_null(strstr(logged, "ref"));
	unsetenv("SPAN_ISA");
}
