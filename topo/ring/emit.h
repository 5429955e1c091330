/* An order for those who start ranks. Private.
 *
 * Rank i of a file is device i of the order. Host names come from the topology, "h0", "h1", ...
 * where it knows none; a name that a shell or a launcher could take for something else, and two
 * hosts of one name, are refused. */
#ifndef SPAN_EMIT_H
#define SPAN_EMIT_H

#include <stdio.h>
#include "topo/span_ring.h"

enum emit_format {
	EMIT_RANKFILE,  /* Open MPI: "rank N=host slot=SOCKET:*", near the rank's GPU */
	EMIT_HOSTFILE,  /* Open MPI: "host slots=N", in the order of the ring */
	EMIT_SLURM,     /* SLURM_HOSTFILE: the host of each task, a line each, for
	                 * srun --distribution=arbitrary */
	EMIT_TORCH      /* [RANK, ...]: whom torchrun calls what, in the order of the ring;
	                 * torchrun counts along host names sorted as strings */
};

/* "rankfile", "hostfile", "slurm", "torch"; SPAN_EINVAL for other names. */
span_status emit_format_parse(const char *name, enum emit_format *format);

/* Write `nodes` [span_ring_length], an order of the ring's devices. */
span_status emit_order(const span_ring *ring, const int32_t *nodes, enum emit_format format,
                       FILE *out);

#endif
