/* The floor plan of a machine. Parents come before their children in a machine, so two walks
 * over the nodes do what recursion would. */
#include "topo/picture/plan.h"

#include <stdlib.h>

#include "topo/log.h"

const struct graph_link *plan_link(const struct machine *machine, int32_t from, int32_t to)
{
	const struct graph_link *link, *widest = NULL;

	for (int32_t i = machine->nodes[from].last_link; i >= 0; i = link->earlier) {
		link = &machine->links[i];
		if (link->to == to && (!widest || link->bandwidth > widest->bandwidth))
			widest = link;
	}
	return widest;
}

/* The link to what a device hangs from: by PCIe, even where NVLink or C2C runs beside it. */
static const struct graph_link *link_up(const struct machine *machine, int32_t from, int32_t to)
{
	const struct graph_link *link;

	for (int32_t i = machine->nodes[from].last_link; i >= 0; i = link->earlier) {
		link = &machine->links[i];
		if (link->to == to && link->link_class == SPAN_LINK_PCI)
			return link;
	}
	return plan_link(machine, from, to);
}

struct plan_bundle plan_bundle(const struct machine *machine, int32_t node)
{
	struct plan_bundle bundle = { SPAN_LINK_NVLINK, 0, 0, SPAN_CONFIDENCE_MEASURED };
	const struct graph_link *link;

	for (int32_t i = machine->nodes[node].last_link; i >= 0; i = link->earlier) {
		link = &machine->links[i];
		if (link->link_class != SPAN_LINK_NVLINK && link->link_class != SPAN_LINK_XGMI)
			continue;
		bundle.link_class = link->link_class;
		bundle.count += link->count;
		bundle.bandwidth += link->bandwidth;
		if (link->confidence < bundle.confidence)
			bundle.confidence = link->confidence;
	}
	return bundle;
}

/* --- what to leave out -------------------------------------------------------------------- */

static int32_t parent_of(const struct machine *machine, int32_t node)
{
	int32_t parent = machine->nodes[node].parent;

	return parent < node ? parent : -1;
}

/* below[i]: how many children of node i are worth showing; -1 when it is not itself. */
static void count_children(const struct machine *machine, int32_t *below)
{
	for (int32_t i = 0; i < machine->n_nodes; i++)
		below[i] = 0;
	for (int32_t i = machine->n_nodes - 1; i >= 0; i--) {
		span_node_kind kind = machine->nodes[i].kind;
		int32_t parent = parent_of(machine, i);

		if (below[i] == 0 && (kind == SPAN_NODE_PCI || kind == SPAN_NODE_CARD))
			below[i] = -1;
		else if (parent >= 0)
			below[parent]++;
	}
}

/* A bridge with one device below, or a card with one port. */
static bool is_passed_over(const struct machine *machine, const int32_t *below, int32_t node)
{
	span_node_kind kind = machine->nodes[node].kind;

	return (kind == SPAN_NODE_PCI || kind == SPAN_NODE_CARD) && below[node] == 1;
}

/* --- the items ---------------------------------------------------------------------------- */

/* Let a link on the way up count, if it is the narrowest so far. The line rate of a port is
 * not on the way: it is the port's own. */
static void narrow(struct plan_item *item, const struct graph_link *link)
{
	if (!link || !link->bandwidth || link->link_class == SPAN_LINK_NETWORK ||
	    (item->up && item->up <= link->bandwidth))
		return;
	item->up = link->bandwidth;
	item->up_class = link->link_class;
	item->confidence = link->confidence;
}

/* An item for a node: its way up over the bridges that are left out. */
static struct plan_item make_item(const struct machine *machine, const int32_t *below,
                                  const int32_t *item_of, int32_t node)
{
	struct plan_item item = { .node = node, .parent = -1, .first = -1, .next = -1 };
	int32_t here = node, parent;

	while ((parent = parent_of(machine, here)) >= 0) {
		narrow(&item, link_up(machine, here, parent));
		here = parent;
		if (!is_passed_over(machine, below, parent)) {
			item.parent = item_of[parent];
			break;
		}
		item.bridges += machine->nodes[parent].kind == SPAN_NODE_PCI;
	}
	return item;
}

/* Put the items, made in the order of nodes, into the order of reading. */
static void put_in_order(struct plan *plan, const struct plan_item *made, int32_t roots)
{
	int32_t here = roots, parent = -1;

	plan->n = 0;
	while (here >= 0) {
		int32_t number = plan->n++, up;

		plan->items[number] = made[here];
		plan->items[number].parent = parent;
		plan->items[number].depth = parent < 0 ? 0 : plan->items[parent].depth + 1;
		plan->item_of[made[here].node] = number;
		if (made[here].first >= 0) {
			here = made[here].first;
			parent = number;
			continue;
		}
		for (up = here; up >= 0 && made[up].next < 0; up = made[up].parent)
			parent = parent < 0 ? -1 : plan->items[parent].parent;
		here = up < 0 ? -1 : made[up].next;
	}
}

/* Chains of children, as numbers in the order of reading. */
static void chain_children(struct plan *plan)
{
	for (int32_t i = 0; i < plan->n; i++)
		plan->items[i].first = plan->items[i].next = -1;
	for (int32_t i = plan->n - 1; i >= 0; i--) {
		int32_t parent = plan->items[i].parent;

		if (parent < 0)
			continue;
		plan->items[i].next = plan->items[parent].first;
		plan->items[parent].first = i;
	}
}

static void make_items(struct plan *plan, const int32_t *below, struct plan_item *made,
                       int32_t *last)
{
	const struct machine *machine = plan->machine;
	int32_t n = 0, roots = -1, last_root = -1;

	for (int32_t i = 0; i < machine->n_nodes; i++) {
		int32_t *tail;

		plan->item_of[i] = -1;
		if (below[i] < 0 || is_passed_over(machine, below, i))
			continue;
		made[n] = make_item(machine, below, plan->item_of, i);
		plan->item_of[i] = n;
		last[n] = -1;
		tail = made[n].parent < 0 ? &last_root : &last[made[n].parent];
		if (*tail >= 0)
			made[*tail].next = n;
		else if (made[n].parent >= 0)
			made[made[n].parent].first = n;
		else
			roots = n;
		*tail = n++;
	}
	put_in_order(plan, made, roots);
	chain_children(plan);
}

span_status plan_create(const struct machine *machine, struct plan *plan)
{
	size_t n = (size_t)machine->n_nodes + 1;
	struct plan_item *made = malloc(n * sizeof(*made));
	int32_t *below = malloc(n * sizeof(*below)), *last = malloc(n * sizeof(*last));
	span_status status = SPAN_OK;

	*plan = (struct plan){ .machine = machine, .items = malloc(n * sizeof(*plan->items)),
		               .item_of = malloc(n * sizeof(*plan->item_of)) };
	if (!made || !below || !last || !plan->items || !plan->item_of) {
		plan_free(plan);
		status = span_fail(SPAN_ENOMEM, "plan: no memory for %d devices", machine->n_nodes);
	} else {
		count_children(machine, below);
		make_items(plan, below, made, last);
	}
	free(made);
	free(below);
	free(last);
	return status;
}

void plan_free(struct plan *plan)
{
	free(plan->items);
	free(plan->item_of);
	*plan = (struct plan){ 0 };
}
