/* Strokes and letters of the pictures. Positions are whole pixels, so that bytes never depend
 * on how a C library prints fractions. Private. */
#ifndef SPAN_SVG_DRAW_H
#define SPAN_SVG_DRAW_H

#include <stdio.h>
#include "topo/graph/graph.h"
#include "topo/picture/plan.h"

/* Text as XML, controls and broken UTF-8 replaced. */
void svg_escape(FILE *file, const char *text);

enum svg_anchor { SVG_START, SVG_MIDDLE, SVG_END };

/* A line of text of a class of svg_style() that has `room` pixels, shortened to fit. */
void svg_text(FILE *file, const char *style, int x, int y, enum svg_anchor anchor, int room,
              const char *text);

/* A rectangle of a class of svg_style(). */
void svg_box(FILE *file, const char *style, int x, int y, int width, int height);

/* A line in the style of a class of links: along the points (x, y), `n` of them. */
void svg_line(FILE *file, span_link_class link_class, const int *points, int n);

/* The style sheet: classes of boxes, of texts, of links. */
void svg_style(FILE *file);

/* Bandwidth as text: "24 GB/s", with "~" before it when it is only assumed. */
struct svg_speed {
	char text[32];
};

struct svg_speed svg_speed(double bandwidth, span_confidence confidence);

/* A text over a line, in the middle of which it stands; nothing when there is no room. */
void svg_label(FILE *file, int x, int y, int room, const char *text);

/* A word and a bandwidth, without the unit where that does not fit: the legend says it. */
void svg_fit_speed(FILE *file, int x, int y, int room, const char *word, double bandwidth,
                   span_confidence confidence);

/* "NVLink", "xGMI", "PCIe", ... */
const char *svg_link_word(span_link_class link_class);

/* --- one machine -------------------------------------------------------------------------- */

struct svg_spot {
	int column, columns;     /* where it begins, how wide it is */
	int level;               /* PCI: how deep below the CPU */
};

/* A machine as it will be drawn. */
struct svg_plan {
	const span_topo *topo;
	int32_t place;
	const struct machine *machine;
	struct plan plan;
	struct svg_spot *spots;  /* [plan.n] */
	int columns, column_width, levels;
	int ports_most;          /* of a card */
	int cpu_y, pci_y, nic_y, gpu_y, links_y; /* tops of the rows */
	int width, height;
	const int32_t *ring;     /* node numbers, [n_ring] */
	int32_t n_ring;
	struct svg_wires *wires; /* what runs below the GPUs */
};

enum {
	SVG_PAD = 10,            /* around and inside frames */
	SVG_BAR = 24,            /* height of a bar */
	SVG_GAP = 22,            /* between rows */
	SVG_GPU = 64,            /* height of a GPU */
	SVG_LINE = 14            /* of small text */
};

span_status svg_plan_create(const span_topo *topo, int32_t place, const int32_t *ring,
                            int32_t n_ring, struct svg_plan *plan);
void svg_plan_draw(const struct svg_plan *plan, FILE *file);
void svg_plan_free(struct svg_plan *plan);

/* The node of an item; what takes a place of its own in the row of cards: a card, or a port
 * without one; how many ports that has. */
const struct graph_node *svg_node(const struct svg_plan *plan, int32_t item);
bool svg_is_card(const struct svg_plan *plan, int32_t item);
int svg_count_ports(const struct svg_plan *plan, int32_t item);

/* Left edge of a column. */
int svg_column_x(const struct svg_plan *plan, int column);

/* --- what runs below the GPUs (svg_wires.c) ----------------------------------------------- */

span_status svg_wires_create(struct svg_plan *plan);
int svg_wires_height(const struct svg_plan *plan);
void svg_wires_draw(const struct svg_plan *plan, FILE *file);
void svg_wires_free(struct svg_wires *wires);

/* --- the fabric --------------------------------------------------------------------------- */

struct svg_fabric;

/* NULL in *fabric when there is nothing to draw. */
span_status svg_fabric_create(const span_topo *topo, struct svg_fabric **fabric);
void svg_fabric_size(const struct svg_fabric *fabric, int *width, int *height);
void svg_fabric_draw(const struct svg_fabric *fabric, FILE *file);
void svg_fabric_free(struct svg_fabric *fabric);

#endif
