/* Cost tables as NCCL hands them to tuners, for tests. */
#ifndef TESTS_COST_TABLES_H
#define TESTS_COST_TABLES_H

#include <stdint.h>

#include "topo/span_profile.h"

enum { CELLS = SPAN_ALGOS * SPAN_PROTOS };

/* Numbers that are the same on every run. */
uint32_t random_number(uint64_t *state);

/* Times from 1 to 1000 us, ties and zeros among them now and then; about one cell in three is
 * -1, and every seventh table has nothing else. */
void random_costs(uint64_t *state, float *costs, int cells);

/* What NCCL makes of a table: first strict minimum over cells from 0 up; -1 for none. */
int nccl_takes(const float *costs, int cells);

/* 1, 2, 3 ... us in all cells, so that NCCL itself takes cell 0. */
void rising_costs(float *costs, int cells);

/* A profile with one curve for each (algorithm, protocol, microseconds) of `times`, flat over
 * 1 KiB to 1 MiB, of all-reduce on `ranks` and `nodes`. Aborts when it cannot. */
struct flat_time {
	int algo, proto;
	double us;
};
span_profile *flat_profile(const char *name, int32_t ranks, int32_t nodes,
                           const struct flat_time *times, int n, double spread);

/* A file in a fresh folder below /tmp with this text; the path is kept until the next call. */
const char *write_file(const char *name, const char *text);

#endif
