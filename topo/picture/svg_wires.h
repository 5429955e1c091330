/* What runs below the GPUs of a plan, between svg_wires.c, which finds the ways, and
 * svg_wires_draw.c. Private. */
#ifndef SPAN_SVG_WIRES_H
#define SPAN_SVG_WIRES_H

#include "topo/picture/svg_draw.h"

#define WIRES_MOST 512 /* of a band; more are not drawn one by one */

struct wire {
	int32_t left, right;     /* items of GPUs */
	span_link_class link_class;
	int count;
	double bandwidth;
	span_confidence confidence;
	bool to_left;            /* ring: which way it goes */
	int x_left, x_right;     /* where it leaves the GPUs */
	int track;
};

struct band {
	int n, tracks;
	struct wire *wires;
};

struct svg_wires {
	struct band links, ring;
	int32_t nvswitch;        /* item of it, -1: none */
	bool mesh;               /* every pair of GPUs has the same link: links.wires[0] */
	bool too_many;           /* links, to be drawn one by one */
};

#endif
