/* The compiled decision: per collective, sizes in segments, and what each segment prefers.
 *
 * Built once, at init, by decide.c; searched at every collective. A search is a pure function
 * of its arguments and the table: no lock, no allocation, no system call, nothing written but
 * the caller's one cell and channel count. Any number of threads may search one table. */
#ifndef SPAN_PLUGIN_TABLE_H
#define SPAN_PLUGIN_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "topo/span_profile.h"

/* Cells of a cost table as bits: algorithm * SPAN_PROTOS + protocol. */
enum { SPAN_CELLS = SPAN_ALGOS * SPAN_PROTOS };
#define SPAN_BEATS_ALL UINT32_MAX

/* What stands behind a choice. */
enum span_reason { SPAN_BY_RULE, SPAN_BY_MEASUREMENT, SPAN_BY_MODEL };

/* When a choice may be taken by an NCCL that shows no cost table (2.19 to 2.21). */
enum span_flat {
	SPAN_FLAT_NEVER,  /* nothing says whether it is to be had */
	SPAN_FLAT_ALWAYS,
	SPAN_FLAT_NVLS,   /* if NCCL says that NVLS works for this call */
	SPAN_FLAT_COLLNET /* if NCCL says that CollNet does */
};

struct span_choice {
	uint64_t chunk;   /* bytes, 0: NCCL's own (tuner v6) */
	uint32_t beats;   /* it is worth taking when NCCL's own choice is one of these cells */
	int32_t pipe_ops; /* only for so many operations in a launch; -1: any */
	int32_t channels; /* 0: NCCL's own */
	int32_t line;     /* of the rule, 0: no rule */
	float gain;       /* share of the time saved, as far as it is known; else 0 */
	int8_t algo;
	int8_t proto;
	uint8_t reason;   /* span_reason */
	uint8_t flat;     /* span_flat */
};

typedef struct span_table span_table;

/* --- building ----------------------------------------------------------------------------- */

/* An empty table, finished: it changes nothing. SPAN_ENOMEM. */
span_status span_table_create(span_table **table);
void span_table_free(span_table *table);

/* Sizes from `first` on, up to the next call's, prefer these choices, best first; those that beat
 * all (rules) come before those that beat some. Collectives
 * ascend from call to call, and `first` within one, from 0. Equal neighbours become one.
 * SPAN_ENOMEM. */
span_status span_table_add(span_table *table, int coll, uint64_t first,
                           const struct span_choice *choices, int n);

/* After the last call of add: until then the table answers as before the first. A table that
 * could not be finished is only to be freed. SPAN_ENOMEM. */
span_status span_table_finish(span_table *table);

/* --- asking ------------------------------------------------------------------------------- */

/* Lower the cell of the first choice that is to be had and beats what NCCL would take, to 0; the
 * result is how many channels the choice asks for, 0 for NCCL's own. A cell that NCCL puts at more than
 * 64 times its own choice is lowered by a rule alone. costs: as NCCL passes them,
 * float[algos][SPAN_PROTOS]. Nothing is touched when no choice fits or an argument is not as
 * expected. */
int span_table_lower(const span_table *table, int coll, uint64_t bytes, int pipe_ops, float *costs,
                     int algos);

/* The same as NCCL asks for it: *channels is set, or left. */
static inline void span_table_choose(const span_table *table, int coll, uint64_t bytes,
                                     int pipe_ops, float *costs, int algos, int protos,
                                     int *channels)
{
	int wanted;

	if (!costs || protos != SPAN_PROTOS)
		return;
	wanted = span_table_lower(table, coll, bytes, pipe_ops, costs, algos);
	if (wanted > 0 && channels)
		*channels = wanted;
}

/* The same for an NCCL without a cost table; *algo, *proto and *channels are set or left. */
void span_table_choose_flat(const span_table *table, int coll, uint64_t bytes, int pipe_ops,
                            int collnet, int nvls, int *algo, int *proto, int *channels);

/* The chunk size of what runs, in *chunk; left alone when nothing is said about it. */
void span_table_chunk(const span_table *table, int coll, uint64_t bytes, int algo, int proto,
                      uint64_t *chunk);

/* --- looking ------------------------------------------------------------------------------ */

int32_t span_table_segments(const span_table *table, int coll);

/* Choices of a segment (n of them), and the first size it is for. */
const struct span_choice *span_table_segment(const span_table *table, int coll, int32_t segment,
                                             uint64_t *first, int *n);

/* Over everything that decides; equal on ranks that answer alike. */
uint64_t span_table_digest(const span_table *table);

#endif
