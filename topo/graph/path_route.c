/* Which nodes a path goes through. */
#include "topo/graph/path.h"

/* The list that is being made; what does not fit is counted. */
struct route {
	int32_t *nodes;
	int32_t room, count;
};

static void append(struct route *route, int32_t node)
{
	if (route->count < route->room)
		route->nodes[route->count] = node;
	route->count++;
}

/* --- inside a machine --------------------------------------------------------------------- */

/* Append the nodes after `from` up to device `to`, as the search found them. */
static void append_search(struct route *route, const struct machine *machine, int32_t first_node,
                          int32_t from, int32_t to)
{
	const int16_t *next = machine->route_next + (size_t)to * (size_t)machine->n_nodes;
	int32_t node = next[machine->devices[from]], steps;

	for (steps = 0; node >= 0 && steps < machine->n_nodes; steps++, node = next[node])
		append(route, first_node + node);
}

/* A path is led over a GPU to a NIC, whose own path may be led over a processor; no deeper. */
#define MOST_LEADS 4

static void append_path(struct route *route, const struct machine *machine, int32_t first_node,
                        int32_t from, int32_t to, int depth)
{
	int32_t via = machine->route_via[(size_t)from * (size_t)machine->n_devices + (size_t)to];

	if (via < 0 || depth == MOST_LEADS) {
		append_search(route, machine, first_node, from, to);
		return;
	}
	append_path(route, machine, first_node, from, via, depth + 1);
	append_path(route, machine, first_node, via, to, depth + 1);
}

int32_t path_nodes(const struct machine *machine, int32_t from, int32_t to, int32_t *nodes,
                   int32_t room)
{
	struct route route = { .nodes = nodes, .room = room };

	append_path(&route, machine, 0, from, to, 0);
	return route.count;
}

/* --- over the fabric ---------------------------------------------------------------------- */

static int32_t height(const span_topo *topo, int32_t number)
{
	int32_t n = 0;

	for (; number >= 0; number = topo->switches[number].parent)
		n++;
	return n;
}

static int32_t common_switch(const span_topo *topo, int32_t a, int32_t b)
{
	int32_t up = height(topo, a), down = height(topo, b);

	while (a != b) {
		if (up >= down) {
			a = topo->switches[a].parent;
			up--;
		} else {
			b = topo->switches[b].parent;
			down--;
		}
	}
	return a;
}

static void append_fabric(struct route *route, const span_topo *topo, int32_t from, int32_t to,
                          bool changes_rail)
{
	int32_t top = changes_rail ? topo->switches[from].parent : common_switch(topo, from, to);
	int32_t down, i;
	int32_t first = span_topo_nodes(topo) - topo->n_switches;

	for (; from != top; from = topo->switches[from].parent)
		append(route, first + from);
	append(route, first + top);
	down = height(topo, to) - height(topo, top);
	for (i = down - 1; i >= 0; i--, to = topo->switches[to].parent)
		if (route->count + i < route->room)
			route->nodes[route->count + i] = first + to;
	route->count += down;
}

/* --- the query ---------------------------------------------------------------------------- */

struct end {
	const struct machine *machine;
	const struct place *place;
	int32_t device, nic;
};

static bool locate(const span_topo *topo, int32_t node, bool outwards, struct end *end)
{
	int32_t place, local;

	if (node < 0 || node >= span_topo_nodes(topo))
		return false;
	end->machine = topo_locate(topo, node, &place, &local);
	if (!end->machine || end->machine->device_of[local] < 0)
		return false;
	end->place = &topo->places[place];
	end->device = end->machine->device_of[local];
	end->nic = path_nearest_nic(end->machine, end->device, outwards);
	return true;
}

static void append_inside(struct route *route, const struct end *end, int32_t from, int32_t to)
{
	append_path(route, end->machine, end->place->first_node, from, to, 0);
}

static bool pick_nics(const span_topo *topo, struct end *out, struct end *in)
{
	const int32_t place[2] = { (int32_t)(out->place - topo->places),
		                   (int32_t)(in->place - topo->places) };
	const int32_t device[2] = { out->device, in->device };
	int32_t nic[2];

	path_pick_nics(topo, place, device, nic);
	out->nic = nic[0];
	in->nic = nic[1];
	return path_changes_rail(topo, place, nic);
}

int32_t span_topo_route(const span_topo *topo, int32_t from, int32_t to, int32_t *nodes,
                        int32_t room)
{
	struct route route = { .nodes = nodes, .room = room };
	bool changes_rail = false;
	span_topo_path path;
	struct end out, in;

	if (!locate(topo, from, true, &out) || !locate(topo, to, false, &in) ||
	    span_topo_path_between(topo, from, to, &path) || path.path_class == SPAN_PATH_DIS)
		return 0;
	append(&route, from);
	if (path.path_class != SPAN_PATH_NET) {
		append_inside(&route, &out, out.device, in.device);
		return route.count;
	}
	if (out.place != in.place)
		changes_rail = pick_nics(topo, &out, &in);
	append_inside(&route, &out, out.device, out.nic);
	if (out.place->leaf >= 0 && in.place->leaf >= 0 && out.place != in.place)
		append_fabric(&route, topo, out.place->leaf, in.place->leaf, changes_rail);
	append(&route, in.place->first_node + in.machine->devices[in.nic]);
	append_inside(&route, &in, in.nic, in.device);
	return route.count;
}
