/* The command order: what it was asked, what it found, how that is told. Private. */
#ifndef SPAN_TOOL_ORDER_H
#define SPAN_TOOL_ORDER_H

#include <stdbool.h>
#include <stdio.h>
#include "topo/ring/emit.h"
#include "topo/span_gather.h"

enum { COMPARED = 4 };

struct wanted {
	span_cost_work work;
	int32_t rings;           /* 0: not asked for */
	const char *given;       /* NULL: not asked for */
	bool emits;
	enum emit_format format;
};

struct compared {
	const char *name;
	int32_t *nodes;
	span_ring_figures figures;
	span_ring_crossings crossings;
	span_cost cost;          /* of a gather of result.compared_kind, if result.costed */
};

struct result {
	span_topo *topo;
	span_ring *ring;
	struct compared compared[COMPARED]; /* the first is our own order */
	int n_compared;
	bool costed;
	span_order_kind compared_kind; /* the chosen one where it can be walked, else the ring */
	int32_t *lanes;          /* [n_lanes][devices] rings that share no lane */
	int32_t n_lanes;
	double lane_bandwidth;
	span_gather_choice gather;
};

void order_text(const struct wanted *wanted, const struct result *result, FILE *out);
void order_json(const struct wanted *wanted, const struct result *result, FILE *out);

#endif
