/* Where everything stands in the picture of one machine. Everything stands in columns: a switch is as
 * wide as what hangs below it, so all lines down are straight. From the top: processors, PCI
 * switches, network cards, GPUs, and what runs between the GPUs. */
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"
#include "topo/picture/svg_draw.h"

enum { NARROW = 72, WIDE = 112, FEW = 4, WIDEST = 200, PLAN_WIDTH = 1100 };

const struct graph_node *svg_node(const struct svg_plan *plan, int32_t item)
{
	return &plan->machine->nodes[plan->plan.items[item].node];
}

static bool is_container(const struct svg_plan *plan, int32_t item)
{
	span_node_kind kind = svg_node(plan, item)->kind;

	return kind == SPAN_NODE_HOST || kind == SPAN_NODE_PACKAGE || kind == SPAN_NODE_CPU ||
	       kind == SPAN_NODE_PCI;
}

/* What takes a place of its own in the row of cards: a card, or a port without one. */
bool svg_is_card(const struct svg_plan *plan, int32_t item)
{
	int32_t parent = plan->plan.items[item].parent;
	span_node_kind kind = svg_node(plan, item)->kind;

	return kind == SPAN_NODE_CARD ||
	       (kind == SPAN_NODE_NIC &&
	        (parent < 0 || svg_node(plan, parent)->kind != SPAN_NODE_CARD));
}

int svg_count_ports(const struct svg_plan *plan, int32_t item)
{
	int ports = 0;

	if (svg_node(plan, item)->kind == SPAN_NODE_NIC)
		return 1;
	for (int32_t i = plan->plan.items[item].first; i >= 0; i = plan->plan.items[i].next)
		ports += svg_node(plan, i)->kind == SPAN_NODE_NIC;
	return ports;
}

/* --- columns ------------------------------------------------------------------------------ */

/* From the last item to the first, so children before parents: how wide each is. */
static void measure(struct svg_plan *plan)
{
	for (int32_t i = plan->plan.n - 1; i >= 0; i--) {
		int gpus = 0, cards = 0, inner = 0;

		for (int32_t c = plan->plan.items[i].first; c >= 0; c = plan->plan.items[c].next) {
			gpus += svg_node(plan, c)->kind == SPAN_NODE_GPU;
			cards += svg_is_card(plan, c);
			inner += is_container(plan, c) ? plan->spots[c].columns : 0;
		}
		plan->spots[i].columns = inner + (gpus > cards ? gpus : cards);
		if (!plan->spots[i].columns)
			plan->spots[i].columns = 1;
	}
}

/* Give the children of an item their columns: GPUs and cards first, side by side. */
static void place_children(struct svg_plan *plan, int32_t item)
{
	int base = plan->spots[item].column, gpus = 0, cards = 0, next;

	for (int32_t c = plan->plan.items[item].first; c >= 0; c = plan->plan.items[c].next) {
		if (svg_node(plan, c)->kind == SPAN_NODE_GPU)
			plan->spots[c].column = base + gpus++;
		else if (svg_is_card(plan, c))
			plan->spots[c].column = base + cards++;
	}
	next = base + (gpus > cards ? gpus : cards);
	for (int32_t c = plan->plan.items[item].first; c >= 0; c = plan->plan.items[c].next) {
		if (!is_container(plan, c))
			continue;
		plan->spots[c].column = next;
		next += plan->spots[c].columns;
	}
}

static void place_items(struct svg_plan *plan)
{
	int next = 0;

	measure(plan);
	for (int32_t i = 0; i < plan->plan.n; i++) {
		struct svg_spot *spot = &plan->spots[i];
		int32_t parent = plan->plan.items[i].parent;

		if (parent < 0 && svg_node(plan, i)->kind != SPAN_NODE_NVSWITCH) {
			spot->column = next;
			next += spot->columns;
		}
		if (svg_node(plan, i)->kind == SPAN_NODE_PCI) {
			spot->level = parent >= 0 && svg_node(plan, parent)->kind == SPAN_NODE_PCI
			                      ? plan->spots[parent].level + 1 : 1;
			if (spot->level > plan->levels)
				plan->levels = spot->level;
		}
		if (svg_is_card(plan, i) && svg_count_ports(plan, i) > plan->ports_most)
			plan->ports_most = svg_count_ports(plan, i);
		place_children(plan, i);
	}
	plan->columns = next > 0 ? next : 1;
}

int svg_column_x(const struct svg_plan *plan, int column)
{
	return 3 * SVG_PAD + column * plan->column_width;
}

/* --- rows --------------------------------------------------------------------------------- */

static bool has_kind(const struct svg_plan *plan, span_node_kind kind)
{
	for (int32_t i = 0; i < plan->machine->n_nodes; i++)
		if (plan->machine->nodes[i].kind == kind)
			return true;
	return false;
}

static span_status measure_rows(struct svg_plan *plan)
{
	int y = has_kind(plan, SPAN_NODE_PACKAGE) ? 78 : 46;
	span_status status;

	plan->column_width = PLAN_WIDTH / plan->columns;
	plan->column_width = plan->column_width < NARROW ? NARROW
	                     : plan->columns <= FEW ? WIDEST
	                     : plan->column_width > WIDE ? WIDE
	                                                 : plan->column_width;
	plan->cpu_y = y;
	plan->pci_y = y + SVG_BAR + SVG_LINE + SVG_GAP;
	plan->nic_y = plan->pci_y + plan->levels * (SVG_BAR + SVG_GAP);
	plan->gpu_y = plan->nic_y;
	if (plan->ports_most)
		plan->gpu_y += 8 + 2 * SVG_LINE * plan->ports_most + SVG_LINE + SVG_GAP;
	plan->links_y = plan->gpu_y + (has_kind(plan, SPAN_NODE_GPU) ? SVG_GPU : -SVG_GAP / 2);
	status = svg_wires_create(plan);
	plan->width = 6 * SVG_PAD + plan->columns * plan->column_width;
	plan->height = plan->links_y + svg_wires_height(plan) + 2 * SVG_PAD;
	return status;
}

span_status svg_plan_create(const span_topo *topo, int32_t place, const int32_t *ring,
                            int32_t n_ring, struct svg_plan *plan)
{
	const struct machine *machine = topo->machines[topo->places[place].machine];
	span_status status;

	*plan = (struct svg_plan){ .topo = topo, .place = place, .machine = machine,
		                   .ring = ring, .n_ring = n_ring };
	status = plan_create(machine, &plan->plan);
	if (status)
		return status;
	plan->spots = calloc((size_t)plan->plan.n + 1, sizeof(*plan->spots));
	if (!plan->spots)
		status = span_fail(SPAN_ENOMEM, "picture: no memory for %d devices", plan->plan.n);
	if (!status) {
		place_items(plan);
		status = measure_rows(plan);
	}
	if (status)
		svg_plan_free(plan);
	return status;
}

void svg_plan_free(struct svg_plan *plan)
{
	svg_wires_free(plan->wires);
	plan_free(&plan->plan);
	free(plan->spots);
	*plan = (struct svg_plan){ 0 };
}
