/* A topology as a picture: one SVG file that needs no other. Private. */
#ifndef SPAN_SVG_H
#define SPAN_SVG_H

#include <stdio.h>
#include "topo/graph/graph.h"

/* Draw a floor plan of every kind of host, with its links, and above them the fabric of a
 * cluster. `ring` holds node numbers of GPUs in the order of a ring, which is laid over the
 * plans; n 0: none. The class of a link is its line's style and its label, so the picture
 * reads in grey; title and description serve who cannot see it. The same topology gives the
 * same bytes. */
span_status topo_write_svg(const span_topo *topo, const int32_t *ring, int32_t n, FILE *file);

#endif
