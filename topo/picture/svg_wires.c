/* What runs below the GPUs of a plan: NVLink and xGMI, and the ring that is laid over.
 *
 * Links to NVSwitches, and meshes in which every pair has the same link, are one bar that each
 * GPU has a line to. Other links are brackets: down from one GPU, along a track, up to the
 * other. Short brackets lie above long ones, and stand outside of them at the GPU, so that
 * brackets of one GPU never cross each other. */
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"
#include "topo/picture/svg_wires.h"

static int32_t gpu_item(const struct svg_plan *plan, int32_t node)
{
	int32_t item = plan->plan.item_of[node];

	return item >= 0 && svg_node(plan, item)->kind == SPAN_NODE_GPU ? item : -1;
}

static int column_of(const struct svg_plan *plan, int32_t item)
{
	return plan->spots[item].column;
}

static bool is_gpu_link(const struct graph_link *link)
{
	return link->link_class == SPAN_LINK_NVLINK || link->link_class == SPAN_LINK_XGMI;
}

/* --- finding the wires -------------------------------------------------------------------- */

static bool add_wire(struct band *band, const struct wire *wire)
{
	if (band->n == WIRES_MOST)
		return false;
	band->wires[band->n++] = *wire;
	return true;
}

/* Whether the other direction of a link is there, so that one of the two is enough. */
static bool has_return(const struct machine *machine, const struct graph_link *link)
{
	const struct graph_link *back = plan_link(machine, link->to, link->from);

	return back && is_gpu_link(back);
}

static void find_links(struct svg_plan *plan)
{
	const struct machine *machine = plan->machine;
	struct svg_wires *wires = plan->wires;

	for (int32_t i = 0; i < machine->n_links; i++) {
		const struct graph_link *link = &machine->links[i];
		int32_t from = gpu_item(plan, link->from), to = gpu_item(plan, link->to);
		struct wire wire = { from, to, link->link_class, link->count, link->bandwidth,
			             link->confidence, false, 0, 0, 0 };

		if (!is_gpu_link(link) || from < 0 || to < 0 || from == to)
			continue;
		if (column_of(plan, from) > column_of(plan, to)) {
			if (has_return(machine, link))
				continue;
			wire.left = to;
			wire.right = from;
		}
		if (!add_wire(&wires->links, &wire))
			wires->too_many = true;
	}
}

static void find_ring(struct svg_plan *plan)
{
	int32_t first = plan->topo->places[plan->place].first_node;

	for (int32_t i = 0; plan->n_ring > 1 && i < plan->n_ring; i++) {
		int32_t a = plan->ring[i] - first, b = plan->ring[(i + 1) % plan->n_ring] - first;
		struct wire wire = { 0 };

		if (a < 0 || b < 0 || a >= plan->machine->n_nodes || b >= plan->machine->n_nodes)
			continue;
		wire.left = gpu_item(plan, a);
		wire.right = gpu_item(plan, b);
		if (wire.left < 0 || wire.right < 0 || wire.left == wire.right)
			continue;
		if (column_of(plan, wire.left) > column_of(plan, wire.right)) {
			int32_t swap = wire.left;

			wire.left = wire.right;
			wire.right = swap;
			wire.to_left = true;
		}
		add_wire(&plan->wires->ring, &wire);
	}
}

static int32_t find_nvswitch(const struct svg_plan *plan)
{
	for (int32_t i = 0; i < plan->plan.n; i++)
		if (svg_node(plan, i)->kind == SPAN_NODE_NVSWITCH)
			return i;
	return -1;
}

/* Whether every pair has a link, and all are equal. */
static bool is_mesh(const struct svg_plan *plan)
{
	const struct band *links = &plan->wires->links;
	int gpus = 0;

	for (int32_t i = 0; i < plan->plan.n; i++)
		gpus += svg_node(plan, i)->kind == SPAN_NODE_GPU;
	if (gpus < 4 || links->n != gpus * (gpus - 1) / 2)
		return false;
	for (int i = 1; i < links->n; i++)
		if (links->wires[i].count != links->wires[0].count ||
		    links->wires[i].bandwidth != links->wires[0].bandwidth ||
		    links->wires[i].link_class != links->wires[0].link_class)
			return false;
	return true;
}

/* --- where they run ----------------------------------------------------------------------- */

/* One end of a wire at a GPU. */
struct end {
	struct wire *wire;
	int reach; /* columns to the other end: negative to the left */
};

/* From the left edge of a GPU to its right edge: short wires to the left, long ones, then
 * long wires to the right, short ones. */
static int by_reach(const void *left, const void *right)
{
	const struct end *a = left, *b = right;

	if ((a->reach < 0) != (b->reach < 0))
		return a->reach < 0 ? -1 : 1;
	if (a->reach != b->reach)
		return a->reach > b->reach ? -1 : 1;
	return a->wire < b->wire ? -1 : a->wire > b->wire;
}

static void set_ends(const struct svg_plan *plan, struct band *band, int32_t gpu,
                     struct end *ends)
{
	int n = 0, left = svg_column_x(plan, column_of(plan, gpu)) + 4;
	int room = plan->column_width - 8;

	for (int i = 0; i < band->n; i++) {
		struct wire *wire = &band->wires[i];

		if (wire->left != gpu && wire->right != gpu)
			continue;
		ends[n].wire = wire;
		ends[n++].reach = (wire->left == gpu ? 1 : -1) *
		                  (column_of(plan, wire->right) - column_of(plan, wire->left));
	}
	qsort(ends, (size_t)n, sizeof(*ends), by_reach);
	for (int i = 0; i < n; i++) {
		int x = left + room * (2 * i + 1) / (2 * n);

		if (ends[i].reach < 0)
			ends[i].wire->x_right = x;
		else
			ends[i].wire->x_left = x;
	}
}

static int by_length(const void *left, const void *right)
{
	const struct wire *a = left, *b = right;
	int length_a = a->x_right - a->x_left, length_b = b->x_right - b->x_left;

	if (length_a != length_b)
		return length_a < length_b ? -1 : 1;
	return a->x_left < b->x_left ? -1 : a->x_left > b->x_left;
}

static bool is_free(const struct band *band, int n, int track, const struct wire *wire)
{
	for (int i = 0; i < n; i++)
		if (band->wires[i].track == track && band->wires[i].x_left <= wire->x_right + 4 &&
		    wire->x_left <= band->wires[i].x_right + 4)
			return false;
	return true;
}

static span_status set_tracks(const struct svg_plan *plan, struct band *band)
{
	struct end *ends = malloc(WIRES_MOST * 2 * sizeof(*ends));

	if (!ends)
		return span_fail(SPAN_ENOMEM, "picture: no memory for links");
	for (int32_t i = 0; i < plan->plan.n; i++)
		if (svg_node(plan, i)->kind == SPAN_NODE_GPU)
			set_ends(plan, band, i, ends);
	free(ends);
	qsort(band->wires, (size_t)band->n, sizeof(*band->wires), by_length);
	for (int i = 0; i < band->n; i++) {
		struct wire *wire = &band->wires[i];

		for (wire->track = 0; !is_free(band, i, wire->track, wire); wire->track++)
			;
		if (wire->track >= band->tracks)
			band->tracks = wire->track + 1;
	}
	return SPAN_OK;
}

span_status svg_wires_create(struct svg_plan *plan)
{
	struct svg_wires *wires = plan->wires = calloc(1, sizeof(*wires));
	span_status status;

	if (wires) {
		wires->links.wires = calloc(WIRES_MOST, sizeof(*wires->links.wires));
		wires->ring.wires = calloc(WIRES_MOST, sizeof(*wires->ring.wires));
	}
	if (!wires || !wires->links.wires || !wires->ring.wires)
		return span_fail(SPAN_ENOMEM, "picture: no memory for links");
	find_links(plan);
	find_ring(plan);
	wires->nvswitch = find_nvswitch(plan);
	wires->mesh = is_mesh(plan);
	status = set_tracks(plan, &wires->ring);
	if (!status && !wires->mesh && !wires->too_many)
		status = set_tracks(plan, &wires->links);
	return status;
}

void svg_wires_free(struct svg_wires *wires)
{
	if (!wires)
		return;
	free(wires->links.wires);
	free(wires->ring.wires);
	free(wires);
}
