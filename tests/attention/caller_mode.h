/* Floating-point modes that a caller may be in, and whether a thread still is. */
#ifndef SPAN_TESTS_CALLER_MODE_H
#define SPAN_TESTS_CALLER_MODE_H

typedef struct {
	const char *name;
	void (*set)(void); /* for this thread; fegetenv before and fesetenv after undo it */
	int (*is_set)(void);
} caller_mode;

/* Upward and toward zero; on x86 also subnormal results and operands flushed to zero. */
extern const caller_mode caller_round_up, caller_round_to_zero;
#if defined(__x86_64__)
extern const caller_mode caller_flush;
#endif

#endif
