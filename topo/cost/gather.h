/* Between gather.c, which chooses, and gather_reason.c, which says why. Private. */
#ifndef SPAN_GATHER_PRIVATE_H
#define SPAN_GATHER_PRIVATE_H

#include "topo/cost/cost.h"
#include "topo/span_gather.h"

/* Fill choice->reason; `best` is what was chosen, `device` what a rank is called. */
void gather_reason(const span_cost_cluster *cluster, const span_cost_work *work,
                   span_gather_choice *choice, const span_gather_candidate *best,
                   const char *device);

/* When paths between neighbours are missing, and with them every cost. */
void gather_reason_unknown(int32_t missing, span_gather_choice *choice);

#endif
