/* Measured, not asked for: fegetround answers for the x87, and arithmetic is SSE's. On x86 the
 * control bits of MXCSR are looked at as well, so that a mode restored by half is found. */
#include "tests/attention/caller_mode.h"

#include <fenv.h>

#if defined(__x86_64__)
#include <xmmintrin.h>

/* Bits of MXCSR: Intel SDM volume 1, section 10.2.3. The flags of past exceptions are no mode. */
enum { UP = 0x4000, TO_ZERO = 0x6000, FLUSH_TO_ZERO = 0x8000, DENORMALS_ARE_ZERO = 0x40 };
enum { MASKED = 0x1f80, CONTROL = 0xffc0 };

static int controls_are(unsigned bits)
{
	return (_mm_getcsr() & CONTROL) == (MASKED | bits);
}
#else
enum { UP, TO_ZERO };

static int controls_are(unsigned bits)
{
	(void)bits;
	return 1;
}
#endif

static void round_up(void)
{
	fesetround(FE_UPWARD);
}

static int is_up(void)
{
	volatile float one = 1, little = 0x1p-30f;

	return one + little > 1 && controls_are(UP);
}

static void round_to_zero(void)
{
	fesetround(FE_TOWARDZERO);
}

static int is_to_zero(void)
{
	volatile float one = 1, most_of_an_ulp = 0x1.8p-24f;

	return one + most_of_an_ulp == 1 && controls_are(TO_ZERO);
}

const caller_mode caller_round_up = { "rounding up", round_up, is_up };
const caller_mode caller_round_to_zero = { "rounding to zero", round_to_zero, is_to_zero };

#if defined(__x86_64__)
static void flush(void)
{
	_mm_setcsr(_mm_getcsr() | FLUSH_TO_ZERO | DENORMALS_ARE_ZERO);
}

static int is_flush(void)
{
	volatile float least = 0x1p-126f, subnormal = 0x1p-130f, half = 0.5f, large = 0x1p100f;

	return least * half == 0 && subnormal * large == 0 &&
	       controls_are(FLUSH_TO_ZERO | DENORMALS_ARE_ZERO);
}

const caller_mode caller_flush = { "flush to zero", flush, is_flush };
#endif
