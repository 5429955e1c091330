/* Paths that leave a host: from a device to its nearest NIC, over the fabric, from the nearest NIC
 * to the other device. */
#include "topo/graph/path.h"

#include <stdlib.h>

#include "topo/log.h"

/* What the network adds between two NICs: its narrowest link, latency, links. */
struct crossing {
	double bandwidth;  /* 0: no limit known */
	double latency;
	int32_t hops;
	span_confidence confidence;
	bool connected;
};

static bool wider(const struct graph_path *a, const struct graph_path *b)
{
	if (a->bandwidth != b->bandwidth)
		return a->bandwidth > b->bandwidth;
	if (a->path_class != b->path_class)
		return a->path_class < b->path_class;
	return a->hops < b->hops;
}

/* The path to or from a NIC, NULL for what is no NIC or has none. */
static const struct graph_path *nic_path(const struct machine *machine, int32_t device, int32_t nic,
                                         bool outwards)
{
	const struct graph_path *path = outwards ? path_at(machine, device, nic)
	                                         : path_at(machine, nic, device);

	return machine->nodes[machine->devices[nic]].kind == SPAN_NODE_NIC &&
	                       path->path_class < SPAN_PATH_NET
	               ? path
	               : NULL;
}

int32_t path_nearest_nic(const struct machine *machine, int32_t device, bool outwards)
{
	const struct graph_path *best = NULL, *path;
	int32_t equals = 0, wanted, i;

	if (machine->nodes[machine->devices[device]].kind == SPAN_NODE_NIC)
		return device;
	for (i = 0; i < machine->n_devices; i++) {
		path = nic_path(machine, device, i, outwards);
		if (!path || (best && wider(best, path)))
			continue;
		equals = !best || wider(path, best) ? 1 : equals + 1;
		best = path;
	}
	if (!best)
		return -1;
	/* Devices that are as near to several NICs are spread over them, as NCCL does. */
	wanted = machine->nodes[machine->devices[device]].index % equals;
	for (i = 0; i < machine->n_devices; i++) {
		path = nic_path(machine, device, i, outwards);
		if (path && !wider(best, path) && wanted-- == 0)
			break;
	}
	return i;
}

static double narrower(double a, double b)
{
	if (a == 0 || b == 0)
		return a + b;
	return a < b ? a : b;
}

static span_confidence less_sure(span_confidence a, span_confidence b)
{
	return a < b ? a : b;
}

static int32_t height(const span_topo *topo, int32_t number)
{
	int32_t n = 0;

	for (; number >= 0; number = topo->switches[number].parent)
		n++;
	return n;
}

static int32_t climb(const span_topo *topo, int32_t number, struct crossing *crossing)
{
	const struct fabric_switch *fabric = &topo->switches[number];

	crossing->hops++;
	crossing->latency += fabric->latency;
	crossing->bandwidth = narrower(crossing->bandwidth, fabric->up_bandwidth / fabric->rails);
	if (fabric->up_bandwidth > 0)
		crossing->confidence = less_sure(crossing->confidence, fabric->confidence);
	return fabric->parent;
}

/* From leaf to leaf over the switch that is above both, and above a leaf where the rail changes.
 * Without a leaf a place is on one flat network with all others that have none. */
static struct crossing cross_fabric(const span_topo *topo, int32_t from, int32_t to,
                                    bool changes_rail)
{
	struct crossing crossing = { .hops = 1, .confidence = SPAN_CONFIDENCE_MEASURED,
		                     .connected = true };
	int32_t up, down;

	if (from < 0 && to < 0)
		return crossing;
	crossing.hops = 2;
	if (changes_rail) {
		from = climb(topo, from, &crossing);
		to = climb(topo, to, &crossing);
	}
	up = height(topo, from);
	down = height(topo, to);
	while (from != to && (from >= 0 || to >= 0)) {
		if (up >= down) {
			from = climb(topo, from, &crossing);
			up--;
		} else {
			to = climb(topo, to, &crossing);
			down--;
		}
	}
	crossing.connected = from >= 0;
	return crossing;
}

/* The line rate of a port limits also where no path to it does. */
static void join(const struct graph_path *first, double first_rate, struct crossing crossing,
                 const struct graph_path *second, double second_rate, struct graph_path *path)
{
	double rate = narrower(first_rate, second_rate);
	double bandwidth = narrower(first->bandwidth, second->bandwidth);

	*path = (struct graph_path){
		.path_class = SPAN_PATH_NET,
		.hops = first->hops + crossing.hops + second->hops,
		.bandwidth = narrower(narrower(bandwidth, rate), crossing.bandwidth),
		.latency = first->latency + crossing.latency + second->latency,
		.confidence = less_sure(less_sure(first->confidence, second->confidence),
		                        crossing.confidence)
	};
}

static double line_rate(const struct machine *machine, int32_t nic)
{
	return machine->nodes[machine->devices[nic]].speed;
}

/* One end of a path over the network. */
struct end {
	const struct machine *machine;
	int32_t device, nic;
};

static void over_network(struct end from, struct crossing crossing, struct end to,
                         struct graph_path *path)
{
	*path = (struct graph_path){ .path_class = SPAN_PATH_DIS };
	if (!crossing.connected || from.nic < 0 || to.nic < 0)
		return;
	/* Each NIC adds its own, as the links between port and leaf do. */
	crossing.latency += from.machine->nodes[from.machine->devices[from.nic]].latency +
	                    to.machine->nodes[to.machine->devices[to.nic]].latency;
	join(path_at(from.machine, from.device, from.nic), line_rate(from.machine, from.nic),
	     crossing, path_at(to.machine, to.nic, to.device), line_rate(to.machine, to.nic), path);
}

/* --- rails -------------------------------------------------------------------------------- */

static const struct graph_node *nic_node(const struct machine *machine, int32_t nic)
{
	return &machine->nodes[machine->devices[nic]];
}

bool path_changes_rail(const span_topo *topo, const int32_t place[2], const int32_t nic[2])
{
	const struct place *out = &topo->places[place[0]], *in = &topo->places[place[1]];
	const struct fabric_switch *leaf;

	if (out->leaf < 0 || out->leaf != in->leaf || nic[0] < 0 || nic[1] < 0)
		return false;
	leaf = &topo->switches[out->leaf];
	return graph_rail(leaf, nic_node(topo->machines[out->machine], nic[0])) !=
	       graph_rail(leaf, nic_node(topo->machines[in->machine], nic[1]));
}

/* The NIC on a rail to which a device has the best path; -1: none. */
static int32_t nic_on_rail(const struct machine *machine, int32_t device,
                           const struct fabric_switch *leaf, int32_t rail)
{
	const struct graph_path *best = NULL;
	int32_t found = -1;

	for (int32_t i = 0; i < machine->n_devices; i++) {
		const struct graph_path *path = nic_path(machine, device, i, true);

		if (!path || graph_rail(leaf, nic_node(machine, i)) != rail ||
		    (best && !wider(path, best)))
			continue;
		best = path;
		found = i;
	}
	return found;
}

void path_pick_nics(const span_topo *topo, const int32_t place[2], const int32_t device[2],
                    int32_t nic[2])
{
	const struct place *out = &topo->places[place[0]], *in = &topo->places[place[1]];
	const struct machine *from = topo->machines[out->machine], *to = topo->machines[in->machine];
	const struct fabric_switch *leaf;
	int32_t other;

	nic[0] = path_nearest_nic(from, device[0], true);
	nic[1] = path_nearest_nic(to, device[1], false);
	if (!path_changes_rail(topo, place, nic))
		return;
	leaf = &topo->switches[out->leaf];
	if (leaf->parent >= 0 || nic[0] == device[0]) /* a port is its own way out */
		return;
	other = nic_on_rail(from, device[0], leaf, graph_rail(leaf, nic_node(to, nic[1])));
	if (other >= 0)
		nic[0] = other;
}

void topo_network_path(const span_topo *topo, int32_t from_place, int32_t from_device,
                       int32_t to_place, int32_t to_device, struct graph_path *path)
{
	const int32_t place[2] = { from_place, to_place }, device[2] = { from_device, to_device };
	const struct place *out = &topo->places[from_place], *in = &topo->places[to_place];
	struct end from = { .machine = topo->machines[out->machine], .device = from_device };
	struct end to = { .machine = topo->machines[in->machine], .device = to_device };
	int32_t nic[2];

	path_pick_nics(topo, place, device, nic);
	from.nic = nic[0];
	to.nic = nic[1];
	over_network(from, cross_fabric(topo, out->leaf, in->leaf,
	                                path_changes_rail(topo, place, nic)), to, path);
}

static bool between_hosts(const struct machine *machine, int32_t i, int32_t j)
{
	return machine->nodes[machine->devices[i]].host !=
	               machine->nodes[machine->devices[j]].host &&
	       path_at(machine, i, j)->path_class == SPAN_PATH_DIS;
}

span_status path_over_network(const struct path_work *work)
{
	const struct crossing flat = { .hops = 1, .confidence = SPAN_CONFIDENCE_MEASURED,
		                       .connected = true };
	const struct machine *machine = work->machine;
	int32_t *out = calloc(2 * (size_t)machine->n_devices + 1, sizeof(*out)), *in, i, j;

	if (!out)
		return span_fail(SPAN_ENOMEM, "topology: no memory for paths between hosts");
	in = out + machine->n_devices;
	for (i = 0; i < machine->n_devices; i++) {
		out[i] = path_nearest_nic(machine, i, true);
		in[i] = path_nearest_nic(machine, i, false);
	}
	for (i = 0; i < machine->n_devices; i++)
		for (j = 0; j < machine->n_devices; j++)
			if (between_hosts(machine, i, j))
				over_network((struct end){ machine, i, out[i] }, flat,
				             (struct end){ machine, j, in[j] },
				             path_at(machine, i, j));
	free(out);
	return SPAN_OK;
}
