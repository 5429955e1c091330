/* The way of a ring through one machine: in at a device next to a NIC, and out at another.
 *
 * It is a ring too, in which the network is one more device: the links to and from it are the
 * paths between a GPU and its nearest NIC. How near the NIC is counts before the sum of
 * 1 / bandwidth and after the bottleneck. */
#include "topo/ring/ring_fabric.h"

#include <math.h>
#include <stdlib.h>

#include "topo/graph/path.h"
#include "topo/log.h"
#include "topo/ring/ring.h"

/* --- the devices of a machine ------------------------------------------------------------ */

static const struct graph_path *path_of(const struct machine *machine, int32_t from, int32_t to)
{
	return &machine->paths[(size_t)from * machine->n_devices + to];
}

static const struct graph_node *device_node(const struct machine *machine, int32_t device)
{
	return &machine->nodes[machine->devices[device]];
}

int32_t ring_list_devices(const struct machine *machine, span_node_kind kind, int32_t *list)
{
	int32_t count = 0;

	for (int32_t i = 0; i < machine->n_devices; i++) {
		if (device_node(machine, i)->kind != kind)
			continue;
		if (list)
			list[count] = i;
		count++;
	}
	return count;
}

/* --- the way through a machine ------------------------------------------------------------ */

/* A machine as a problem of rings; the network, if there is one, is device 0. */
struct passage {
	const struct machine *machine;
	int32_t n;           /* devices, the network included */
	bool network;
	const int32_t *list; /* of the machine's devices, without the network */
	double *bandwidth;   /* [n][n] */
	double *cost;        /* [n][n] */
};

static double *entry(const struct passage *passage, double *matrix, int32_t from, int32_t to)
{
	return &matrix[(size_t)from * passage->n + to];
}

static void fill_inside(struct passage *passage)
{
	int32_t shift = passage->network ? 1 : 0;

	for (int32_t i = shift; i < passage->n; i++)
		for (int32_t j = shift; j < passage->n; j++)
			*entry(passage, passage->bandwidth, i, j) =
				i == j ? 0
				       : path_of(passage->machine, passage->list[i - shift],
				                 passage->list[j - shift])
						 ->bandwidth;
}

/* The path between the network and a device; a place without NICs has none, and no device is
 * nearer to the network than others. */
static struct graph_path path_out(const struct machine *machine, int32_t device, bool outwards)
{
	int32_t nic = path_nearest_nic(machine, device, outwards);
	struct graph_path path = { .path_class = SPAN_PATH_DIS };

	if (nic < 0)
		return path;
	path = *(outwards ? path_of(machine, device, nic) : path_of(machine, nic, device));
	if (device_node(machine, nic)->speed > 0 &&
	    path.bandwidth > device_node(machine, nic)->speed)
		path.bandwidth = device_node(machine, nic)->speed;
	return path;
}

static void fill_network(struct passage *passage)
{
	for (int32_t i = 1; i < passage->n; i++) {
		*entry(passage, passage->bandwidth, 0, i) =
			path_out(passage->machine, passage->list[i - 1], false).bandwidth;
		*entry(passage, passage->bandwidth, i, 0) =
			path_out(passage->machine, passage->list[i - 1], true).bandwidth;
	}
}

/* By how many classes a device is farther from its NIC than the NIC's nearest device: a port that
 * hangs from a processor has none nearer than PHB, and there PHB is near. Another processor's is
 * always far. */
static int farness(const struct passage *passage, int32_t device, bool outwards)
{
	const struct machine *machine = passage->machine;
	int32_t nic = path_nearest_nic(machine, device, outwards);
	span_path_class own, best = SPAN_PATH_PHB;

	if (nic < 0)
		return SPAN_PATH_DIS;
	own = (outwards ? path_of(machine, device, nic) : path_of(machine, nic, device))->path_class;
	for (int32_t i = 0; i < passage->n - 1; i++) {
		int32_t other = passage->list[i];
		const struct graph_path *path = outwards ? path_of(machine, other, nic)
		                                         : path_of(machine, nic, other);

		if (path->path_class < best)
			best = path->path_class;
	}
	return own > SPAN_PATH_PHB ? (int)own : (int)own - (int)best;
}

/* A class farther from the NIC costs more than any way through the machine. */
static void add_nearness(struct passage *passage)
{
	double most = 0;

	for (int32_t i = 0; i < passage->n * passage->n; i++)
		if (most < passage->cost[i])
			most = passage->cost[i];
	for (int32_t i = 1; i < passage->n; i++) {
		int32_t device = passage->list[i - 1];

		*entry(passage, passage->cost, 0, i) +=
			farness(passage, device, false) * passage->n * most;
		*entry(passage, passage->cost, i, 0) +=
			farness(passage, device, true) * passage->n * most;
	}
}

static span_status solve_passage(struct passage *passage, int32_t *order, double *bound)
{
	struct ring_problem problem = { passage->n, passage->bandwidth, passage->cost };
	bool exact;

	fill_inside(passage);
	if (passage->network)
		fill_network(passage);
	ring_fill_costs(passage->bandwidth, passage->n, passage->cost);
	if (passage->network)
		add_nearness(passage);
	return ring_solve(&problem, order, bound, &exact);
}

span_status ring_go_through(const struct machine *machine, span_node_kind kind, bool network,
                            struct ring_stretch *stretch)
{
	int32_t count = ring_list_devices(machine, kind, NULL), shift = network ? 1 : 0;
	size_t n = (size_t)count + (size_t)shift;
	struct passage passage = { .machine = machine, .n = (int32_t)n, .network = network };
	int32_t *list = malloc((n + 1) * sizeof(*list));
	span_status status = SPAN_ENOMEM;

	if (count > SPAN_RING_DEVICES) {
		free(list);
		return span_fail(SPAN_EUNSUPPORTED, "ring: a machine of %d devices; an order is "
		                 "found for up to %d", count, SPAN_RING_DEVICES);
	}
	passage.list = list;
	passage.bandwidth = calloc(n * n + 1, sizeof(double));
	passage.cost = malloc((n * n + 1) * sizeof(double));
	stretch->nodes = malloc((n + 1) * sizeof(int32_t));
	if (list && passage.bandwidth && passage.cost && stretch->nodes)
		status = SPAN_OK;
	else
		span_fail(status, "ring: no memory for %d devices", count);
	if (!status && count) {
		ring_list_devices(machine, kind, list);
		status = solve_passage(&passage, stretch->nodes, &stretch->bound);
	}
	if (!status) {
		stretch->n = count;
		for (int32_t i = 0; i < count; i++)
			stretch->nodes[i] =
				machine->devices[list[stretch->nodes[i + shift] - shift]];
	}
	free(list);
	free(passage.bandwidth);
	free(passage.cost);
	return status;
}

/* Each device must be left and entered, on the widest path to another of its machine or to the
 * network; so must each machine, on that of any device. */
double ring_bound_of_machine(const struct machine *machine, span_node_kind kind)
{
	double bound = INFINITY, out = 0, in = 0;

	for (int32_t i = 0; i < machine->n_devices; i++) {
		double leave = path_out(machine, i, true).bandwidth;
		double come = path_out(machine, i, false).bandwidth;

		if (device_node(machine, i)->kind != kind)
			continue;
		out = fmax(out, leave);
		in = fmax(in, come);
		for (int32_t j = 0; j < machine->n_devices; j++) {
			if (j == i || device_node(machine, j)->kind != kind)
				continue;
			leave = fmax(leave, path_of(machine, i, j)->bandwidth);
			come = fmax(come, path_of(machine, j, i)->bandwidth);
		}
		bound = fmin(bound, fmin(leave, come));
	}
	return bound < INFINITY ? fmin(bound, fmin(out, in)) : bound;
}
