/* The devices of a ring, or of its way through one host, as a snake. */
#include <string.h>

#include "topo/picture/svg_draw.h"
#include "topo/picture/svg_order.h"

enum { BOX = 96, ROUTE_ROOM = 64 };

/* --- hops --------------------------------------------------------------------------------- */

static bool has_xgmi(const span_topo *topo)
{
	for (int32_t m = 0; m < topo->n_machines; m++)
		for (int32_t i = 0; i < topo->machines[m]->n_links; i++)
			if (topo->machines[m]->links[i].link_class == SPAN_LINK_XGMI)
				return true;
	return false;
}

/* The style of a path is that of the links it is named after. */
static span_link_class class_of(const span_topo *topo, span_path_class path_class)
{
	switch (path_class) {
	case SPAN_PATH_NVL:
	case SPAN_PATH_NVB:
		return has_xgmi(topo) ? SPAN_LINK_XGMI : SPAN_LINK_NVLINK;
	case SPAN_PATH_C2C:
	case SPAN_PATH_P2C:
		return SPAN_LINK_C2C;
	case SPAN_PATH_SYS:
		return SPAN_LINK_SOCKET;
	case SPAN_PATH_NET:
		return SPAN_LINK_NETWORK;
	default:
		return SPAN_LINK_PCI;
	}
}

struct snake_label snake_label_of(const span_topo_path *path)
{
	struct snake_label label;
	struct svg_speed speed = svg_speed(path->bandwidth, path->confidence);
	char *unit = strstr(speed.text, " GB/s");

	if (unit)
		*unit = 0;
	if (path->path_class == SPAN_PATH_DIS)
		snprintf(label.text, sizeof(label.text), "no path");
	else
		snprintf(label.text, sizeof(label.text), "%s %.12s",
		         span_path_class_name(path->path_class), speed.text);
	return label;
}

struct snake_hop snake_hop_of(const span_topo *topo, int32_t from, int32_t to, double narrowest)
{
	span_topo_path path = { .path_class = SPAN_PATH_DIS };
	struct snake_hop hop;

	span_topo_path_between(topo, from, to, &path);
	hop = (struct snake_hop){ .link_class = class_of(topo, path.path_class),
		                  .narrowest = path.bandwidth <= narrowest };
	snprintf(hop.label, sizeof(hop.label), "%s", snake_label_of(&path).text);
	return hop;
}

/* --- stops -------------------------------------------------------------------------------- */

/* An id without its host where there is one host. */
static const char *short_id(const span_topo *topo, const span_topo_node *node, bool one_host)
{
	const char *slash = strchr(node->id, '/');

	return slash && (one_host || span_topo_hosts(topo) == 1) ? slash + 1 : node->id;
}

/* The NUMA node a device hangs from, as "cpu0"; "" when none is known. */
static void name_numa(const span_topo *topo, span_topo_node node, char *text, size_t bytes)
{
	while (node.kind != SPAN_NODE_CPU && node.parent >= 0)
		span_topo_node_at(topo, node.parent, &node);
	snprintf(text, bytes, "%s", node.kind == SPAN_NODE_CPU ? short_id(topo, &node, true) : "");
}

/* A PCI address without the domain, which is mostly 0000. */
static const char *short_bus(const char *bus)
{
	return strncmp(bus, "0000:", 5) == 0 ? bus + 5 : bus;
}

static void fill_stop(const span_topo *topo, int32_t number, bool one_host,
                      struct snake_stop *stop)
{
	span_topo_node node;
	bool nic;

	span_topo_node_at(topo, number, &node);
	nic = node.kind == SPAN_NODE_NIC;
	stop->style = nic ? "nic" : node.kind == SPAN_NODE_CPU ? "cpu" : "gpu";
	snprintf(stop->line[0], sizeof(stop->line[0]), "%s", short_id(topo, &node, one_host));
	snprintf(stop->line[1], sizeof(stop->line[1]), "%s", nic ? node.name : short_bus(node.bus));
	if (node.kind != SPAN_NODE_CPU)
		name_numa(topo, node, stop->line[2], sizeof(stop->line[2]));
}

/* The widest and the narrowest of the hops between devices that are not shown. */
static void fill_hidden(const span_topo *topo, const int32_t *nodes, int32_t n, double narrowest,
                        struct snake_stop *stop)
{
	span_topo_path low = { 0 }, high = { 0 }, path = { 0 };

	for (int32_t i = 0; i + 1 < n; i++) {
		span_topo_path_between(topo, nodes[i], nodes[i + 1], &path);
		if (!i || path.bandwidth < low.bandwidth)
			low = path;
		if (!i || path.bandwidth > high.bandwidth)
			high = path;
	}
	stop->style = "gpu";
	stop->stack = 2;
	snprintf(stop->line[0], sizeof(stop->line[0]), "%d more", n);
	snprintf(stop->line[1], sizeof(stop->line[1]), "%s", snake_label_of(&low).text);
	if (high.bandwidth > low.bandwidth)
		snprintf(stop->line[1], sizeof(stop->line[1]), "%s, %s", snake_label_of(&low).text,
		         snake_label_of(&high).text);
	if (low.bandwidth <= narrowest)
		snprintf(stop->line[2], sizeof(stop->line[2]), "narrowest within");
}

/* The NIC that is the first (or the last) on the way from one device to another; -1: none. */
static int32_t nic_between(const span_topo *topo, int32_t from, int32_t to, bool last)
{
	int32_t route[ROUTE_ROOM], n = span_topo_route(topo, from, to, route, ROUTE_ROOM), nic = -1;

	for (int32_t i = 0; i < n && i < ROUTE_ROOM && (last || nic < 0); i++) {
		span_topo_node node;

		span_topo_node_at(topo, route[i], &node);
		if (node.kind == SPAN_NODE_NIC)
			nic = route[i];
	}
	return nic;
}

/* --- all ---------------------------------------------------------------------------------- */

/* Add a stop, and the hop that leads to it. */
static void add_node(const span_topo *topo, int32_t node, int32_t before, double narrowest,
                     bool one_host, struct snake *snake)
{
	if (snake->n)
		snake->hops[snake->n - 1] = snake_hop_of(topo, before, node, narrowest);
	fill_stop(topo, node, one_host, &snake->stops[snake->n++]);
}

static void add_devices(const struct svg_order *order, const int32_t *nodes, int32_t n,
                        double narrowest, struct snake *snake)
{
	int32_t room = SNAKE_MOST - 2, shown = n > room ? room - 2 : n;
	bool one_host = !snake->closed;

	for (int32_t i = 0; i < shown; i++)
		if (i || !snake->n)
			add_node(order->topo, nodes[i], i ? nodes[i - 1] : -1, narrowest, one_host,
			         snake);
		else
			fill_stop(order->topo, nodes[i], one_host, &snake->stops[snake->n++]);
	if (shown == n)
		return;
	snake->hops[snake->n - 1] = snake_hop_of(order->topo, nodes[shown - 1], nodes[shown],
	                                         narrowest);
	fill_hidden(order->topo, nodes + shown, n - 1 - shown, narrowest,
	            &snake->stops[snake->n++]);
	add_node(order->topo, nodes[n - 1], nodes[n - 2], narrowest, one_host, snake);
}

void snake_of_devices(const struct svg_order *order, int32_t first, int32_t n, double narrowest,
                      struct snake *snake)
{
	const int32_t *ring = span_ring_nodes(order->ring), *nodes = ring + first;
	int32_t length = span_ring_length(order->ring), in = -1, out = -1;

	*snake = (struct snake){ .closed = n == length && n > 1 };
	if (n < length) {
		in = nic_between(order->topo, ring[(first + length - 1) % length], nodes[0], true);
		out = nic_between(order->topo, nodes[n - 1], ring[(first + n) % length], false);
	}
	if (in >= 0) {
		add_node(order->topo, in, -1, narrowest, true, snake);
		snake->hops[0] = snake_hop_of(order->topo, in, nodes[0], narrowest);
	}
	add_devices(order, nodes, n, narrowest, snake);
	if (out >= 0)
		add_node(order->topo, out, nodes[n - 1], narrowest, true, snake);
	else if (snake->closed)
		snake->hops[snake->n - 1] = snake_hop_of(order->topo, nodes[n - 1], nodes[0],
		                                         narrowest);
	snake_lay(snake, BOX);
}
