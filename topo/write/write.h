/* Writing topologies in the formats of others. Private. */
#ifndef SPAN_WRITE_H
#define SPAN_WRITE_H

#include <stdio.h>
#include "topo/span_topo.h"

/* The machine that `host` belongs to as NCCL's topology XML, for NCCL_TOPO_FILE; where NVLink
 * joins several hosts, all of them. What NCCL cannot say (measured bandwidths, links between
 * processors of unknown kind) is rounded to what it can. SPAN_EINVAL: no such host. */
span_status topo_write_nccl(const span_topo *topo, int32_t host, FILE *file);

/* One line of words for span_topo_load that comes nearest, and comments that tell how near.
 * SPAN_EUNSUPPORTED: more devices than the words can say. */
span_status topo_write_synthetic(const span_topo *topo, FILE *file);

#endif
