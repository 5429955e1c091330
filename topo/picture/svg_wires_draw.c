/* Drawing what runs below the GPUs: bars, brackets, the ring. */
#include <stdlib.h>
#include <string.h>

#include "topo/picture/svg_wires.h"

enum { TRACK = 16, RING_TRACK = 12, BELOW = 14, CAPTION = 8 };

static int plan_column(const struct svg_plan *plan, int32_t item)
{
	return plan->spots[item].column;
}

/* --- heights ------------------------------------------------------------------------------ */

static int ring_height(const struct svg_wires *wires)
{
	return wires->ring.n ? BELOW + wires->ring.tracks * RING_TRACK : 0;
}

static bool has_bar(const struct svg_wires *wires)
{
	return wires->mesh || wires->too_many;
}

int svg_wires_height(const struct svg_plan *plan)
{
	const struct svg_wires *wires = plan->wires;
	int height = ring_height(wires);

	if (has_bar(wires))
		height += BELOW + SVG_BAR;
	else if (wires->links.n)
		height += BELOW + wires->links.tracks * TRACK + CAPTION;
	if (wires->nvswitch >= 0)
		height += BELOW + SVG_BAR;
	return height + SVG_PAD;
}

/* --- drawing ------------------------------------------------------------------------------ */

/* A bar under all GPUs, and a line to it from each GPU that has part in it. */
static void draw_bar(const struct svg_plan *plan, int y, const char *id, const char *text,
                     FILE *file)
{
	int left = svg_column_x(plan, 0), width = plan->columns * plan->column_width;

	svg_box(file, "nvswitch", left, y, width, SVG_BAR);
	svg_text(file, "bold", left + 8, y + 16, SVG_START, width - 16, id);
	svg_text(file, "small", left + 16 + 8 * (int)strlen(id), y + 16, SVG_START,
	         width - 24 - 8 * (int)strlen(id), text);
}

static void draw_drop(const struct svg_plan *plan, int32_t gpu, int y,
                      span_link_class link_class, FILE *file)
{
	int x = svg_column_x(plan, plan_column(plan, gpu)) + plan->column_width - 18;

	svg_line(file, link_class, (int[]){ x, plan->links_y, x, y }, 2);
}

/* Links of a GPU to the NVSwitches, NULL when it has none. */
static const struct graph_link *switch_link(const struct svg_plan *plan, int32_t gpu)
{
	int32_t nvswitch = plan->plan.items[plan->wires->nvswitch].node;

	return plan_link(plan->machine, plan->plan.items[gpu].node, nvswitch);
}

/* Whether all GPUs that have links to the NVSwitches have equally many. */
static const struct graph_link *common_link(const struct svg_plan *plan, bool *equal)
{
	const struct graph_link *common = NULL;

	*equal = true;
	for (int32_t i = 0; i < plan->plan.n; i++) {
		const struct graph_link *link =
			svg_node(plan, i)->kind == SPAN_NODE_GPU ? switch_link(plan, i) : NULL;

		if (!link)
			continue;
		if (common &&
		    (common->count != link->count || common->bandwidth != link->bandwidth))
			*equal = false;
		common = link;
	}
	return common;
}

static void link_text(int count, span_link_class link_class, double bandwidth,
                      span_confidence confidence, char *text, size_t bytes)
{
	snprintf(text, bytes, "%d x %s, %s", count, svg_link_word(link_class),
	         svg_speed(bandwidth, confidence).text);
}

static void draw_nvswitch(const struct svg_plan *plan, int y, FILE *file)
{
	bool equal;
	const struct graph_link *common = common_link(plan, &equal);
	char text[96] = "no links are described", head[96];

	if (common) {
		link_text(common->count, common->link_class, common->bandwidth, common->confidence,
		          head, sizeof(head));
		snprintf(text, sizeof(text), "%.60s%s", head, " from each GPU with a line to it");
	}
	if (!equal)
		snprintf(text, sizeof(text), "GPUs have unequal numbers of links to it");
	for (int32_t i = 0; i < plan->plan.n; i++) {
		const struct graph_link *link =
			svg_node(plan, i)->kind == SPAN_NODE_GPU ? switch_link(plan, i) : NULL;

		if (!link)
			continue;
		draw_drop(plan, i, y, link->link_class, file);
		if (!equal) {
			snprintf(head, sizeof(head), "%d x", link->count);
			svg_text(file, "wire", svg_column_x(plan, plan_column(plan, i)) + 8, y - 4,
			         SVG_START, plan->column_width - 30, head);
		}
	}
	draw_bar(plan, y, "NVSwitch", text, file);
}

static void draw_mesh(const struct svg_plan *plan, int y, FILE *file)
{
	const struct wire *one = &plan->wires->links.wires[0];
	char text[96], head[64];

	for (int32_t i = 0; i < plan->plan.n; i++)
		if (svg_node(plan, i)->kind == SPAN_NODE_GPU)
			draw_drop(plan, i, y, one->link_class, file);
	link_text(one->count, one->link_class, one->bandwidth, one->confidence, head,
	          sizeof(head));
	if (plan->wires->mesh)
		snprintf(text, sizeof(text), "every pair of GPUs: %s", head);
	else
		snprintf(text, sizeof(text), "more than %d links between GPUs: see the matrix",
		         WIRES_MOST);
	draw_bar(plan, y, plan->wires->mesh ? "full mesh" : "links", text, file);
}

static double of_one(const struct wire *wire)
{
	return wire->count ? wire->bandwidth / wire->count : 0;
}

/* Whether one link is everywhere as wide, so that it need not be said of each. */
static bool all_equal(const struct band *links)
{
	for (int i = 1; i < links->n; i++)
		if (of_one(&links->wires[i]) != of_one(links->wires) ||
		    links->wires[i].confidence != links->wires->confidence)
			return false;
	return true;
}

static void draw_links(const struct svg_plan *plan, int y, FILE *file)
{
	const struct band *links = &plan->wires->links;
	bool equal = all_equal(links);
	char text[96];

	for (int i = 0; i < links->n; i++) {
		const struct wire *wire = &links->wires[i];
		int track = y + wire->track * TRACK;

		svg_line(file, wire->link_class,
		         (int[]){ wire->x_left, plan->links_y, wire->x_left, track, wire->x_right,
		                  track, wire->x_right, plan->links_y }, 4);
	}
	for (int i = 0; i < links->n; i++) {
		const struct wire *wire = &links->wires[i];

		if (equal)
			snprintf(text, sizeof(text), "%d x", wire->count);
		else
			snprintf(text, sizeof(text), "%d x %s", wire->count,
			         svg_speed(of_one(wire), wire->confidence).text);
		svg_label(file, (wire->x_left + wire->x_right) / 2, y + wire->track * TRACK,
		          wire->x_right - wire->x_left, text);
	}
	snprintf(text, sizeof(text), "each link %s",
	         svg_speed(of_one(links->wires), links->wires->confidence).text);
	if (equal)
		svg_text(file, "small", svg_column_x(plan, 0), y + links->tracks * TRACK + 4,
		         SVG_START, plan->columns * plan->column_width, text);
}

static void draw_tip(int x, int y, FILE *file)
{
	fprintf(file, "<path class=\"tip\" d=\"M%d %dL%d %dL%d %dZ\"/>\n", x, y, x - 4, y + 9,
	        x + 4, y + 9);
}

static void draw_ring(const struct svg_plan *plan, FILE *file)
{
	const struct band *ring = &plan->wires->ring;

	for (int i = 0; i < ring->n; i++) {
		const struct wire *wire = &ring->wires[i];
		int y = plan->links_y + BELOW + wire->track * RING_TRACK;

		fprintf(file, "<path class=\"ring\" d=\"M%d %dL%d %dL%d %dL%d %d\"/>\n",
		        wire->x_left, plan->links_y, wire->x_left, y, wire->x_right, y,
		        wire->x_right, plan->links_y);
		draw_tip(wire->to_left ? wire->x_left : wire->x_right, plan->links_y, file);
	}
}

void svg_wires_draw(const struct svg_plan *plan, FILE *file)
{
	const struct svg_wires *wires = plan->wires;
	int y = plan->links_y + ring_height(wires) + BELOW;

	if (has_bar(wires)) {
		draw_mesh(plan, y, file);
		y += BELOW + SVG_BAR;
	} else if (wires->links.n) {
		draw_links(plan, y, file);
		y += BELOW + wires->links.tracks * TRACK + CAPTION;
	}
	if (wires->nvswitch >= 0)
		draw_nvswitch(plan, y, file);
	draw_ring(plan, file);
}
