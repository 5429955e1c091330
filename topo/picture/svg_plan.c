/* The picture of one machine: frames, lines, boxes. svg_layout.c says where. */
#include <stdlib.h>
#include <string.h>

#include "topo/picture/svg_draw.h"

/* --- where things stand ------------------------------------------------------------------- */

static void item_id(const struct svg_plan *plan, int32_t item, char *id, size_t bytes)
{
	const struct graph_node *node = svg_node(plan, item);

	if (node->kind == SPAN_NODE_HOST)
		snprintf(id, bytes, "h%d", plan->topo->places[plan->place].first_host + node->host);
	else
		snprintf(id, bytes, "%s%d", span_node_kind_name(node->kind), node->index);
}

static int top_of(const struct svg_plan *plan, int32_t item)
{
	switch (svg_node(plan, item)->kind) {
	case SPAN_NODE_HOST:
		return SVG_PAD;
	case SPAN_NODE_PACKAGE:
		return 38;
	case SPAN_NODE_CPU:
		return plan->cpu_y;
	case SPAN_NODE_PCI:
		return plan->pci_y + (plan->spots[item].level - 1) * (SVG_BAR + SVG_GAP);
	case SPAN_NODE_GPU:
		return plan->gpu_y;
	default:
		return plan->nic_y;
	}
}

static int height_of(const struct svg_plan *plan, int32_t item)
{
	switch (svg_node(plan, item)->kind) {
	case SPAN_NODE_HOST:
		return plan->height - SVG_PAD - top_of(plan, item);
	case SPAN_NODE_PACKAGE:
		return plan->links_y + SVG_PAD - top_of(plan, item);
	case SPAN_NODE_CPU:
		return SVG_BAR + SVG_LINE;
	case SPAN_NODE_PCI:
		return SVG_BAR;
	case SPAN_NODE_GPU:
		return SVG_GPU;
	default:
		return 8 + SVG_LINE + 2 * SVG_LINE * svg_count_ports(plan, item);
	}
}

/* Room to the left of cards is left free for lines to the GPUs below. */
static void sides_of(const struct svg_plan *plan, int32_t item, int *x, int *width)
{
	span_node_kind kind = svg_node(plan, item)->kind;
	int left = svg_column_x(plan, plan->spots[item].column);
	int right = left + plan->spots[item].columns * plan->column_width;
	int host = plan->machine->n_hosts > 1 ? 3 : 2 * SVG_PAD; /* frames side by side, or one */
	int outer = kind == SPAN_NODE_HOST ? host : kind == SPAN_NODE_PACKAGE ? 2
	                                                                      : -4;

	if (kind == SPAN_NODE_CARD || kind == SPAN_NODE_NIC)
		left += plan->column_width < 90 ? 12 : 18;
	*x = left - outer;
	*width = right - left + 2 * outer;
}

/* The line from a device up to what it hangs from, and C2C or NVLink to its processor. */
static void draw_way_up(const struct svg_plan *plan, int32_t item, FILE *file)
{
	const struct plan_item *it = &plan->plan.items[item];
	const struct graph_node *node = svg_node(plan, item);
	int x, width, bottom, points[4];

	if (it->parent < 0 || !it->up ||
	    (node->kind != SPAN_NODE_GPU && node->kind != SPAN_NODE_PCI && !svg_is_card(plan, item)))
		return;
	sides_of(plan, item, &x, &width);
	bottom = top_of(plan, it->parent) + height_of(plan, it->parent);
	points[0] = points[2] = node->kind == SPAN_NODE_GPU ? x + 7 : x + width / 2;
	points[1] = bottom;
	points[3] = top_of(plan, item);
	svg_line(file, it->up_class, points, 2);
}

/* The next link of a GPU to a processor that is no PCIe: C2C, or NVLink of POWER. */
static const struct graph_link *next_cpu_link(const struct svg_plan *plan, int32_t item,
                                              const struct graph_link *link)
{
	const struct machine *machine = plan->machine;
	int32_t i = link ? link->earlier : machine->nodes[plan->plan.items[item].node].last_link;

	for (; i >= 0; i = machine->links[i].earlier) {
		link = &machine->links[i];
		if (machine->nodes[link->to].kind == SPAN_NODE_CPU &&
		    link->link_class != SPAN_LINK_PCI)
			return link;
	}
	return NULL;
}

static void draw_to_cpu(const struct svg_plan *plan, int32_t item, FILE *file)
{
	const struct graph_link *link = NULL;
	int x, width, points[4];

	sides_of(plan, item, &x, &width);
	while ((link = next_cpu_link(plan, item, link))) {
		int32_t cpu = plan->plan.item_of[link->to];

		if (cpu < 0)
			continue;
		points[0] = points[2] = x + 14;
		points[1] = top_of(plan, cpu) + height_of(plan, cpu);
		points[3] = plan->gpu_y;
		svg_line(file, link->link_class, points, 2);
	}
}

/* --- boxes -------------------------------------------------------------------------------- */

static const char *name_of(const struct svg_plan *plan, int32_t item)
{
	const struct graph_node *node = svg_node(plan, item);
	const char *name = plan->topo->places[plan->place].name;

	if (node->kind != SPAN_NODE_HOST)
		return node->name;
	if (name)
		return name;
	return *node->name ? node->name : plan->machine->host_names[node->host];
}

/* A bar: its id in bold, then its name, or how fast it hangs on what is above. */
static void draw_container(const struct svg_plan *plan, int32_t item, FILE *file)
{
	const struct plan_item *it = &plan->plan.items[item];
	const struct graph_node *node = svg_node(plan, item);
	int x, width, y = top_of(plan, item), used;
	char id[32];

	sides_of(plan, item, &x, &width);
	item_id(plan, item, id, sizeof(id));
	used = 16 + 8 * (int)strlen(id);
	svg_box(file, span_node_kind_name(node->kind), x, y, width, height_of(plan, item));
	svg_text(file, "bold", x + 8, y + 16, SVG_START, width - 12, id);
	if (node->kind == SPAN_NODE_PCI && it->up)
		svg_fit_speed(file, x + used, y + 16, width - used - 4,
		              svg_link_word(it->up_class), it->up, it->confidence);
	else if (*name_of(plan, item))
		svg_text(file, "small", x + used, y + 16, SVG_START, width - used - 4,
		         name_of(plan, item));
}

static void draw_cpu(const struct svg_plan *plan, int32_t item, FILE *file)
{
	const struct graph_node *node = svg_node(plan, item);
	int x, width, y = top_of(plan, item) + 31;
	char text[32];

	draw_container(plan, item, file);
	sides_of(plan, item, &x, &width);
	snprintf(text, sizeof(text), "NUMA node %d", node->numa);
	if (node->numa >= 0)
		svg_text(file, "small", x + 8, y, SVG_START, width - 12, text);
}

/* The place of a GPU in the ring, from 1, or 0. */
static int32_t ring_place(const struct svg_plan *plan, int32_t item)
{
	int32_t node = plan->topo->places[plan->place].first_node + plan->plan.items[item].node;

	for (int32_t i = 0; i < plan->n_ring; i++)
		if (plan->ring[i] == node)
			return i + 1;
	return 0;
}

static void draw_badge(int x, int y, int32_t number, FILE *file)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", number);
	fprintf(file, "<circle cx=\"%d\" cy=\"%d\" r=\"%d\"/>\n", x, y, number > 99 ? 13 : 10);
	svg_text(file, "badge", x, y + 4, SVG_MIDDLE, 40, text);
}

static void draw_gpu(const struct svg_plan *plan, int32_t item, FILE *file)
{
	const struct plan_item *it = &plan->plan.items[item];
	const struct graph_node *node = svg_node(plan, item);
	const struct graph_link *to_cpu = next_cpu_link(plan, item, NULL);
	int x, width, y = plan->gpu_y;
	char text[32], id[32];

	sides_of(plan, item, &x, &width);
	item_id(plan, item, id, sizeof(id));
	svg_box(file, "gpu", x, y, width, SVG_GPU);
	if (ring_place(plan, item))
		draw_badge(x + width - 6, y + 2, ring_place(plan, item), file);
	svg_text(file, "bold", x + 6, y += 16, SVG_START, width - 8, id);
	if (*node->name)
		svg_text(file, "small", x + 6, y += SVG_LINE, SVG_START, width - 8, node->name);
	if (node->rank >= 0) {
		snprintf(text, sizeof(text), "rank %d", node->rank);
		svg_text(file, "small", x + 6, y += SVG_LINE, SVG_START, width - 8, text);
	}
	if (it->up)
		svg_fit_speed(file, x + 6, y += SVG_LINE, width - 8, svg_link_word(it->up_class),
		              it->up, it->confidence);
	if (to_cpu && y + SVG_LINE < plan->gpu_y + SVG_GPU)
		svg_fit_speed(file, x + 6, y + SVG_LINE, width - 8, svg_link_word(to_cpu->link_class),
		              to_cpu->bandwidth, to_cpu->confidence);
}

static void draw_port(const struct svg_plan *plan, int32_t item, int x, int width, int y,
                      FILE *file)
{
	const struct graph_node *node = svg_node(plan, item);
	char text[96];

	snprintf(text, sizeof(text), "nic%d %s", node->index, node->name);
	if ((int)strlen(text) * 58 / 10 > width - 5)
		snprintf(text, sizeof(text), "nic%d", node->index);
	svg_text(file, "small", x + 4, y, SVG_START, width - 5, text);
	svg_fit_speed(file, x + 4, y + SVG_LINE - 1, width - 5, "", node->speed,
	              SPAN_CONFIDENCE_DECLARED);
}

static void draw_card(const struct svg_plan *plan, int32_t item, FILE *file)
{
	const struct plan_item *it = &plan->plan.items[item];
	int x, width, y = plan->nic_y;

	sides_of(plan, item, &x, &width);
	svg_box(file, "nic", x, y, width, height_of(plan, item));
	y += SVG_LINE;
	if (svg_node(plan, item)->kind == SPAN_NODE_NIC) {
		draw_port(plan, item, x, width, y, file);
		y += 2 * SVG_LINE;
	}
	for (int32_t i = it->first; i >= 0; i = plan->plan.items[i].next) {
		if (svg_node(plan, i)->kind != SPAN_NODE_NIC)
			continue;
		draw_port(plan, i, x, width, y, file);
		y += 2 * SVG_LINE;
	}
	if (it->up)
		svg_fit_speed(file, x + 4, y, width - 5, svg_link_word(it->up_class), it->up,
		              it->confidence);
}

/* --- between the NUMA nodes --------------------------------------------------------------- */

/* A line above the processors of a host, from the first to the last, and down to each. */
static void draw_sockets(const struct svg_plan *plan, int32_t host, FILE *file)
{
	const struct machine *machine = plan->machine;
	double least = 0, most = 0;
	span_confidence confidence = SPAN_CONFIDENCE_MEASURED;
	int y = plan->cpu_y - 9, from = 0, to = 0, n = 0;
	char text[80];

	for (int32_t i = 0; i < machine->n_links; i++) {
		const struct graph_link *link = &machine->links[i];

		if (link->link_class != SPAN_LINK_SOCKET || machine->nodes[link->from].host != host)
			continue;
		least = !n || link->bandwidth < least ? link->bandwidth : least;
		most = link->bandwidth > most ? link->bandwidth : most;
		confidence = link->confidence < confidence ? link->confidence : confidence;
		n++;
	}
	if (!n)
		return;
	n = 0;
	for (int32_t i = 0; i < plan->plan.n; i++) {
		int x, width, drop[4];

		if (svg_node(plan, i)->kind != SPAN_NODE_CPU || svg_node(plan, i)->host != host)
			continue;
		sides_of(plan, i, &x, &width);
		to = x + width - 16;
		from = n++ ? from : to;
		drop[0] = drop[2] = to;
		drop[1] = y;
		drop[3] = plan->cpu_y;
		svg_line(file, SPAN_LINK_SOCKET, drop, 2);
	}
	svg_line(file, SPAN_LINK_SOCKET, (int[]){ from, y, to, y }, 2);
	if (least == most)
		snprintf(text, sizeof(text), "socket %s", svg_speed(most, confidence).text);
	else
		snprintf(text, sizeof(text), "socket %.4g to %s", least / 1e9,
		         svg_speed(most, confidence).text);
	svg_label(file, to - 70, y, to - from, text);
}

static void draw_frames(const struct svg_plan *plan, FILE *file)
{
	for (int32_t i = 0; i < plan->plan.n; i++)
		if (svg_node(plan, i)->kind == SPAN_NODE_HOST ||
		    svg_node(plan, i)->kind == SPAN_NODE_PACKAGE)
			draw_container(plan, i, file);
	for (int32_t host = 0; host < plan->machine->n_hosts; host++)
		draw_sockets(plan, host, file);
}

void svg_plan_draw(const struct svg_plan *plan, FILE *file)
{
	draw_frames(plan, file);
	for (int32_t i = 0; i < plan->plan.n; i++) {
		draw_way_up(plan, i, file);
		if (svg_node(plan, i)->kind == SPAN_NODE_GPU)
			draw_to_cpu(plan, i, file);
	}
	svg_wires_draw(plan, file);
	for (int32_t i = 0; i < plan->plan.n; i++) {
		span_node_kind kind = svg_node(plan, i)->kind;

		if (kind == SPAN_NODE_CPU)
			draw_cpu(plan, i, file);
		else if (kind == SPAN_NODE_PCI)
			draw_container(plan, i, file);
		else if (kind == SPAN_NODE_GPU)
			draw_gpu(plan, i, file);
		else if (svg_is_card(plan, i))
			draw_card(plan, i, file);
	}
}
