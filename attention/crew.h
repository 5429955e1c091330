/* Ranks of one process as threads: one body a rank, each with its transport. Private. */
#ifndef SPAN_CREW_H
#define SPAN_CREW_H

#include "attention/span_transport.h"

/* The transport of a rank, out of whatever holds them. */
typedef span_transport *span_crew_transport(void *of, int32_t rank);

/* Run body(transport, argument) on one thread for each of `ranks` ranks and wait for all. A
 * body that fails aborts its transport with its status, as does a thread that cannot start.
 * With bind each thread gets a core of its own when there are enough. */
void span_crew_run(int32_t ranks, span_crew_transport *transport, void *of,
                   span_local_body *body, void *argument, int bind);

#endif
