/* The yardstick of the benches: what this core can do in the same run. */
#ifndef SPAN_TESTS_PEAK_H
#define SPAN_TESTS_PEAK_H

/* CPU seconds of the process so far: what others do on the machine does not count. */
double cpu_seconds(void);

/* FLOP/s of independent f32 fused multiply-adds in registers, one core, with the vectors that
 * the kernels named `isa` use. */
double peak_flops(const char *isa);

#endif
