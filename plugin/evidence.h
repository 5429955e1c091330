/* What a profile says about a communicator: which cells beat which, at which sizes. Private.
 *
 * Two kinds of evidence, never mixed in one comparison: curves measured with exactly these
 * ranks and nodes, and NCCL's formulas with the machine's constants. Measurements come first;
 * the model speaks only where they are silent. A cell beats another when it saves more than the
 * margin and more than the noise of both. */
#ifndef SPAN_PLUGIN_EVIDENCE_H
#define SPAN_PLUGIN_EVIDENCE_H

#include <stdbool.h>

#include "plugin/nccl_abi.h"
#include "plugin/table.h"
#include "topo/nccl/nccl_model.h"
#include "topo/span_profile.h"

/* Most choices of one size: each cell by measurement and by the model. */
#define SPAN_EVIDENCE_MOST (2 * SPAN_CELLS)

struct span_evidence {
	const span_profile *profile;
	int32_t ranks, nodes;
	double margin;
	double model_spread; /* relative deviation of the model's times */
	bool has_model;
	span_nccl_model model;
};

/* profile: NULL for none. constants: what NCCL handed in, NULL for none; they stand in for those
 * that the profile does not give. Returns SPAN_EINVAL for a profile that cannot be. */
span_status span_evidence_prepare(const span_profile *profile, int32_t ranks, int32_t nodes,
                                  double margin, const struct nccl_tuner_constants *constants,
                                  struct span_evidence *evidence);

/* Sizes from `first` on have these choices, best first, up to the next segment. */
struct span_segment {
	uint64_t first;
	int n;
	struct span_choice choices[SPAN_EVIDENCE_MOST];
};

/* All sizes of a collective, from 0; free() what comes out. At least one segment. SPAN_ENOMEM. */
span_status span_evidence_segments(const struct span_evidence *evidence, int coll,
                                   struct span_segment **segments, int *n);

#endif
