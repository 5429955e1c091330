/* What the fuzzers share: one call with any bytes, and what has to hold then. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "topo/span_topo.h"

/* libFuzzer calls it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Catch messages from now on. */
void fuzz_begin(void);

/* Trap unless an accepted input was told nothing, and a refused one just one line. */
void fuzz_judge(span_status status);

/* Ask a topology for everything, write it in every format, and free it. NCCL mixes up devices of
 * one number: in its view a device may be on the way to itself. */
void fuzz_use(span_topo *topo, int as_nccl);

#endif
