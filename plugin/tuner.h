/* A communicator's tuner: made at init, asked at every collective, freed at the end. Private.
 *
 * Everything that decides is fixed at init: options, rules, profile, compiled to a table. The
 * context that NCCL keeps is that table, or NULL when NCCL decides everything: nothing was
 * asked for, or something was not as expected, which was said once through NCCL's logger. */
#ifndef SPAN_PLUGIN_TUNER_H
#define SPAN_PLUGIN_TUNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin/nccl_abi.h"
#include "plugin/table.h"

#define SPAN_TUNER_NAME "SPAN"

struct span_tuner_start {
	size_t ranks;
	size_t nodes;
	bool any_size;                                /* not told apart: both are 0 */
	nccl_logger *logger;                          /* NULL: none */
	const struct nccl_nvl_domains *domains;       /* NULL: not told */
	const struct nccl_tuner_constants *constants; /* NULL: not told */
	int flat;                                     /* there will be no cost table */
};

/* Never fails: NULL leaves everything to NCCL. One at a time; others wait. */
span_table *span_tuner_start(const struct span_tuner_start *start);

void span_tuner_end(span_table *table);

/* What the adapters ask with; a NULL context touches nothing. */
static inline void span_tuner_choose(const void *context, nccl_func coll, size_t bytes,
                                     int pipe_ops, float **costs, int algos, int protos,
                                     int *channels)
{
	if (context)
		span_table_choose(context, coll, bytes, pipe_ops, (float *)costs, algos, protos,
		                  channels);
}

#endif
