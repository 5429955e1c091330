/* The floating-point mode of a thread: saved and set to the default while kernels run.
 *
 * A library built with -ffast-math sets flush-to-zero for whoever loads it, callers change
 * the rounding, debuggers unmask exceptions. None of that may change a bit of a result. */
#include <string.h>
#include "attention/kernels/kernel.h"

#if defined(__x86_64__)
#include <xmmintrin.h>

/* All exceptions masked, to nearest, no FTZ, no DAZ: Intel SDM volume 1, section 10.2.3. */
enum { MXCSR_DEFAULT = 0x1f80 };

void span_fp_enter(span_fp_mode *mode)
{
	mode->saved[0] = _mm_getcsr();
	_mm_setcsr(MXCSR_DEFAULT);
}

void span_fp_leave(const span_fp_mode *mode)
{
	_mm_setcsr((unsigned int)mode->saved[0]);
}

#else
#include <fenv.h>

_Static_assert(sizeof(fenv_t) <= sizeof(span_fp_mode), "span_fp_mode must hold a fenv_t");

void span_fp_enter(span_fp_mode *mode)
{
	fenv_t environment;

	fegetenv(&environment);
	memcpy(mode->saved, &environment, sizeof(environment));
	fesetenv(FE_DFL_ENV);
}

void span_fp_leave(const span_fp_mode *mode)
{
	fenv_t environment;

	memcpy(&environment, mode->saved, sizeof(environment));
	fesetenv(&environment);
}
#endif
