/* A ring order as a picture: who stands next to whom, over which links, which of them is the
 * narrowest, how wide any ring could be, and what other orders and gathers come to. Private. */
#ifndef SPAN_SVG_ORDER_H
#define SPAN_SVG_ORDER_H

#include <stdio.h>
#include "topo/graph/graph.h"
#include "topo/span_gather.h"

/* An order that is compared; the first is the ring's own. */
struct svg_order_row {
	const char *name;
	span_ring_figures figures;
	double seconds;          /* of the gather `compared_kind`, 0: not known */
};

struct svg_order {
	const span_topo *topo;
	const span_ring *ring;
	const struct svg_order_row *rows;
	int n_rows;
	span_order_kind compared_kind;
	const span_cost_work *work;
	const span_gather_choice *gather;
};

/* Draw it. Hosts that follow each other and are alike stand as one stack, and a way through each
 * kind of host is drawn once, so thousands of hosts take no more room than a few. The same order
 * gives the same bytes. */
span_status topo_write_svg_order(const struct svg_order *order, FILE *file);

/* --- a snake: boxes in rows, there and back, with a line from each to the next ------------- */

enum { SNAKE_MOST = 24, SNAKE_LINES = 3 };

struct snake_stop {
	const char *style;       /* a class of svg_style() */
	int stack;               /* boxes behind it */
	char line[SNAKE_LINES][64];
};

struct snake_hop {
	span_link_class link_class;
	char label[24];          /* "NVL 240" */
	bool narrowest;
};

struct snake {
	int n, per_row, box;     /* stops, of a row, width of one */
	bool closed;             /* the last leads to the first, by the last hop */
	struct snake_stop stops[SNAKE_MOST];
	struct snake_hop hops[SNAKE_MOST];
};

/* Choose the rows: as few as fit into the page; an even number when it is closed, so that the way
 * back is short. */
void snake_lay(struct snake *snake, int box);
int snake_width(const struct snake *snake);
int snake_height(const struct snake *snake);
void snake_draw(const struct snake *snake, FILE *file);
void snake_describe(const struct snake *snake, FILE *file);

/* --- what snakes are made of (svg_order_ring.c, svg_order_hosts.c) -------------------------- */

/* The hop of a path of class and bandwidth, the narrowest when it is not wider than `narrowest`
 * (0: none is marked). */
struct snake_hop snake_hop_of(const span_topo *topo, int32_t from, int32_t to, double narrowest);

/* "NVL 240", "NET ~50". */
struct snake_label {
	char text[24];
};

struct snake_label snake_label_of(const span_topo_path *path);

/* The devices from place `first` of the ring on, `n` of them: all of a ring, or those of one host
 * with the ports through which the ring comes in and goes out. */
void snake_of_devices(const struct svg_order *order, int32_t first, int32_t n, double narrowest,
                      struct snake *snake);

/* The hosts, folded. Fewer than two: an empty snake. SPAN_ENOMEM. */
span_status snake_of_hosts(const struct svg_order *order, double narrowest, struct snake *snake);

#endif
