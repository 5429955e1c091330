/* A topology in a few figures: a cluster of equal nodes that is nowhere better. */
#include "topo/span_gather.h"

#include <math.h>
#include <stdlib.h>

#include "topo/graph/path.h"
#include "topo/log.h"
#include "topo/ring/ring_fabric.h"

struct summary {
	const struct span_ring *ring;
	const int32_t *group;   /* [n] by place in the ring */
	int32_t groups;
	span_cost_cluster *cluster;
};

static void count_ranks(const struct summary *summary, int32_t *members)
{
	int32_t most = 0;

	for (int32_t i = 0; i < summary->ring->n; i++)
		if (most < ++members[summary->group[i]])
			most = members[summary->group[i]];
	summary->cluster->nodes = summary->groups;
	summary->cluster->ranks_per_node = most;
}

/* The slowest hop of the ring inside a group. */
static void find_inside(const struct summary *summary)
{
	const struct span_ring *ring = summary->ring;
	double bandwidth = INFINITY, latency = 0;

	for (int32_t i = 0; i < ring->n; i++) {
		int32_t j = i + 1 < ring->n ? i + 1 : 0;
		span_topo_path path = { 0 };

		if (i == j || summary->group[i] != summary->group[j])
			continue;
		span_topo_path_between(ring->topo, ring->nodes[i], ring->nodes[j], &path);
		bandwidth = fmin(bandwidth, path.bandwidth);
		latency = fmax(latency, path.latency);
	}
	summary->cluster->intra_bandwidth = bandwidth < INFINITY ? bandwidth : 0;
	summary->cluster->intra_latency = latency;
}

static const struct machine *locate(const span_topo *topo, int32_t node, int32_t *place,
                                    int32_t *device)
{
	int32_t local;
	const struct machine *machine = topo_locate(topo, node, place, &local);

	*device = machine->device_of[local];
	return machine;
}

/* Whether what goes to the NIC leaves the device by the link that also leads to its next. */
static bool shares_port(const span_topo *topo, int32_t node, int32_t next, int32_t nic)
{
	int32_t to_next[2], to_nic[2];

	return span_topo_route(topo, node, next, to_next, 2) > 1 &&
	       span_topo_route(topo, node, nic, to_nic, 2) > 1 && to_next[1] == to_nic[1];
}

/* The NIC of one device: counted once for each group (`seen` [nodes] holds the last group that
 * took it, plus one), and the slowest way out. */
static void add_nic(const struct summary *summary, int32_t i, int32_t *seen, int32_t *nics)
{
	const struct span_ring *ring = summary->ring;
	int32_t j = i + 1 < ring->n ? i + 1 : 0, place, device, nic, node;
	const struct machine *machine = locate(ring->topo, ring->nodes[i], &place, &device);
	span_cost_cluster *cluster = summary->cluster;
	span_topo_path path = { 0 };

	nic = path_nearest_nic(machine, device, true);
	if (nic < 0)
		return;
	node = ring->topo->places[place].first_node + machine->devices[nic];
	nics[summary->group[i]] += seen[node] != summary->group[i] + 1;
	seen[node] = summary->group[i] + 1;
	span_topo_path_between(ring->topo, ring->nodes[i], node, &path);
	if (machine->nodes[machine->devices[nic]].speed > 0)
		path.bandwidth = fmin(path.bandwidth, machine->nodes[machine->devices[nic]].speed);
	cluster->nic_bandwidth = fmin(cluster->nic_bandwidth, path.bandwidth);
	if (summary->group[i] == summary->group[j] && i != j)
		cluster->shared_port |= shares_port(ring->topo, ring->nodes[i], ring->nodes[j],
		                                    node);
}

/* The latency of the network is that of the ring's slowest hop between groups. */
static void find_network_latency(const struct summary *summary)
{
	const struct span_ring *ring = summary->ring;

	for (int32_t i = 0; i < ring->n; i++) {
		int32_t j = i + 1 < ring->n ? i + 1 : 0;
		span_topo_path path = { 0 };

		if (summary->group[i] == summary->group[j])
			continue;
		span_topo_path_between(ring->topo, ring->nodes[i], ring->nodes[j], &path);
		summary->cluster->nic_latency = fmax(summary->cluster->nic_latency, path.latency);
	}
}

static span_status find_nics(const struct summary *summary, int32_t *nics)
{
	const struct span_ring *ring = summary->ring;
	span_cost_cluster *cluster = summary->cluster;
	int32_t *seen = calloc((size_t)span_topo_nodes(ring->topo) + 1, sizeof(*seen));

	if (!seen)
		return span_fail(SPAN_ENOMEM, "span_gather_cluster: no memory");
	cluster->nic_bandwidth = INFINITY;
	cluster->nics = cluster->ranks_per_node;
	for (int32_t i = 0; i < ring->n; i++)
		add_nic(summary, i, seen, nics);
	free(seen);
	for (int32_t g = 0; g < summary->groups; g++) {
		if (nics[g] == 0)
			return span_fail(SPAN_EUNSUPPORTED, "%s: hosts without a NIC; say what "
			                 "connects them, as in \"nics:1 nic:50GB/s\"",
			                 span_topo_source_name(ring->topo));
		if (cluster->nics > nics[g])
			cluster->nics = nics[g];
	}
	find_network_latency(summary);
	return SPAN_OK;
}

/* The switch with the least uplinks for the hosts below it stands for all leaves. */
static span_status find_leaves(const struct summary *summary)
{
	const span_topo *topo = summary->ring->topo;
	span_cost_cluster *cluster = summary->cluster;
	int32_t *below = calloc((size_t)topo->n_switches + 1, sizeof(*below));

	if (!below)
		return span_fail(SPAN_ENOMEM, "span_gather_cluster: no memory");
	for (int32_t i = 0; i < topo->n_places; i++)
		if (topo->places[i].leaf >= 0)
			below[topo->places[i].leaf]++;
	for (int32_t i = topo->n_switches - 1; i >= 0; i--) {
		const struct fabric_switch *fabric = &topo->switches[i];
		double ratio;

		if (fabric->parent >= 0)
			below[fabric->parent] += below[i];
		if (!below[i] || below[i] == topo->n_places || fabric->up_bandwidth <= 0)
			continue;
		ratio = below[i] * cluster->nics * cluster->nic_bandwidth / fabric->up_bandwidth;
		if (ratio > cluster->oversubscription) {
			cluster->oversubscription = fmax(ratio, 1);
			cluster->leaf_nodes = below[i];
		}
	}
	free(below);
	return SPAN_OK;
}

span_status span_gather_cluster(const span_ring *ring, span_cost_cluster *result)
{
	span_cost_cluster cluster = { .size = sizeof(cluster) };
	struct summary summary = { .ring = ring, .cluster = &cluster };
	int32_t *group, *counts;
	span_status status = SPAN_OK;

	if (!ring || !result)
		return span_fail(SPAN_EINVAL, "span_gather_cluster: %s is NULL",
		                 ring ? "cluster" : "ring");
	group = malloc((size_t)ring->n * sizeof(*group));
	counts = calloc(2 * (size_t)ring->n, sizeof(*counts));
	if (group && counts) {
		summary.group = group;
		summary.groups = span_ring_groups(ring, group);
		count_ranks(&summary, counts);
		find_inside(&summary);
		if (summary.groups > 1)
			status = find_nics(&summary, counts + ring->n);
		if (!status && summary.groups > 1)
			status = find_leaves(&summary);
	} else {
		status = span_fail(SPAN_ENOMEM, "span_gather_cluster: no memory");
	}
	free(group);
	free(counts);
	if (!status)
		*result = cluster;
	return status;
}
