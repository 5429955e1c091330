/* Who decides: rules before measurements before the model before NCCL itself. Private. */
#ifndef SPAN_PLUGIN_DECIDE_H
#define SPAN_PLUGIN_DECIDE_H

#include <stdbool.h>

#include "plugin/nccl_abi.h"
#include "plugin/rules.h"
#include "plugin/table.h"
#include "topo/span_profile.h"

/* All that a decision may depend on, besides NCCL's cost table: equal on every rank as long as
 * the two files are. */
struct span_question {
	int32_t ranks;
	int32_t nodes;
	bool any_size; /* communicators cannot be told apart: ranks and nodes are 0 */
	const struct span_rules *rules;               /* NULL: none */
	const span_profile *profile;                  /* NULL: none */
	const struct nccl_tuner_constants *constants; /* NULL: none; zeros are not believed */
	double margin;                                /* share of time worth a change */
};

/* Compile the answers for all sizes of all collectives. A table without choices says that NCCL
 * decides everything. Where communicators cannot be told apart only rules for all of them decide,
 * and none that comes after a rule for some: it may be theirs.
 * Returns SPAN_EINVAL for counts that cannot be or a profile that cannot be, SPAN_EUNSUPPORTED
 * for too many rules at one size, SPAN_ENOMEM. */
span_status span_decide(const struct span_question *question, span_table **table);

/* Whether a table has any choice. */
int span_decides(const span_table *table);

#endif
