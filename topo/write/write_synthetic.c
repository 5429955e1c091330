/* The one line of words that comes nearest to a topology, and how near that is. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "topo/graph/fabric.h"
#include "topo/graph/graph.h"
#include "topo/log.h"
#include "topo/write/write.h"

#define MOST 64 /* GPUs, NICs, switches that the words can say */

/* What a machine is, in the words' terms; of the first host of the first place. */
struct shape {
	int32_t hosts, gpus, nics, sockets, switches;
	int32_t first_gpu, first_nic, first_cpu;
	double nvlink, xgmi, socket, pcie, nic, latency; /* bytes a second, 0: none */
	bool mesh;
	int32_t leaf, pod;                      /* or 0 */
	double leaf_ratio, pod_ratio;
};

/* --- looking at the machine ------------------------------------------------------------------- */

static bool is_at_hand(const struct machine *machine, int32_t node)
{
	return machine->nodes[node].host == 0;
}

static void count_devices(const struct machine *machine, struct shape *shape)
{
	for (int32_t i = machine->n_nodes - 1; i >= 0; i--) {
		if (!is_at_hand(machine, i))
			continue;
		switch (machine->nodes[i].kind) {
		case SPAN_NODE_GPU:
			shape->gpus++;
			shape->first_gpu = i;
			break;
		case SPAN_NODE_NIC:
			shape->nics++;
			shape->first_nic = i;
			break;
		case SPAN_NODE_CPU:
			shape->sockets++;
			shape->first_cpu = i;
			break;
		default:
			break;
		}
	}
}

/* Switches that GPUs or cards hang from. */
static void count_switches(const struct machine *machine, struct shape *shape)
{
	for (int32_t i = 0; i < machine->n_nodes; i++) {
		bool has_device = false;

		for (int32_t j = 0; j < machine->n_nodes && !has_device; j++)
			has_device = machine->nodes[j].parent == i &&
			             (machine->nodes[j].kind == SPAN_NODE_GPU ||
			              machine->nodes[j].kind == SPAN_NODE_CARD);
		shape->switches += has_device && is_at_hand(machine, i) &&
		                   machine->nodes[i].kind == SPAN_NODE_PCI;
	}
}

static void sum_gpu_links(const struct machine *machine, struct shape *shape)
{
	for (int32_t l = 0; l < machine->n_links; l++) {
		const struct graph_link *link = &machine->links[l];
		span_node_kind to = machine->nodes[link->to].kind;

		if (link->from != shape->first_gpu)
			continue;
		if (link->link_class == SPAN_LINK_NVLINK && to != SPAN_NODE_CPU) {
			shape->nvlink += link->bandwidth;
			shape->mesh |= to == SPAN_NODE_GPU;
		} else if (link->link_class == SPAN_LINK_XGMI) {
			shape->xgmi += link->bandwidth;
		} else if (link->link_class == SPAN_LINK_PCI) {
			shape->pcie = link->bandwidth;
		}
	}
}

static void read_links(const struct machine *machine, struct shape *shape)
{
	for (int32_t l = 0; l < machine->n_links; l++) {
		const struct graph_link *link = &machine->links[l];

		if (shape->sockets > 1 && link->from == shape->first_cpu &&
		    link->link_class == SPAN_LINK_SOCKET && !shape->socket)
			shape->socket = link->bandwidth;
		if (shape->nics && link->from == shape->first_nic)
			shape->nic = link->bandwidth;
		if (!shape->gpus && link->link_class == SPAN_LINK_PCI)
			shape->pcie = link->bandwidth;
	}
	if (shape->gpus)
		sum_gpu_links(machine, shape);
	if (shape->nics) {
		if (machine->nodes[shape->first_nic].speed > 0)
			shape->nic = machine->nodes[shape->first_nic].speed;
		shape->latency = machine->nodes[shape->first_nic].latency;
	}
	if (shape->xgmi > 0)
		shape->nvlink = 0;
}

/* --- looking at the fabric -------------------------------------------------------------------- */

/* Down to up of a switch that has `below` under it; 1 when it says nothing. */
static double ratio_of(const struct fabric_switch *fabric, double below)
{
	if (fabric->parent < 0 || fabric->up_bandwidth <= 0 || below <= fabric->up_bandwidth)
		return 1;
	return below / fabric->up_bandwidth;
}

static void read_fabric(const span_topo *topo, struct shape *shape)
{
	const struct place *first = &topo->places[0];
	const struct fabric_switch *leaf;
	int32_t siblings = 0;

	if (first->leaf < 0)
		return;
	leaf = &topo->switches[first->leaf];
	for (int32_t i = 0; i < topo->n_places; i++)
		if (topo->places[i].leaf == first->leaf)
			shape->leaf += topo->machines[topo->places[i].machine]->n_hosts;
	shape->leaf_ratio = ratio_of(leaf, fabric_nic_rate(topo->machines[first->machine]) *
	                                           shape->leaf /
	                                           topo->machines[first->machine]->n_hosts);
	if (leaf->parent < 0 || topo->switches[leaf->parent].parent < 0)
		return;
	for (int32_t i = 0; i < topo->n_switches; i++)
		siblings += topo->switches[i].parent == leaf->parent;
	shape->pod = siblings;
	shape->pod_ratio = ratio_of(&topo->switches[leaf->parent], siblings * leaf->up_bandwidth);
}

/* --- the line --------------------------------------------------------------------------------- */

static void print_bandwidth(FILE *file, const char *key, double bandwidth)
{
	if (bandwidth > 0)
		fprintf(file, " %s:%.9gGB/s", key, bandwidth / 1e9);
}

static void print_gpu_links(FILE *file, const struct shape *shape)
{
	if (shape->xgmi > 0) {
		print_bandwidth(file, "xgmi", shape->xgmi);
	} else if (shape->nvlink > 0) {
		print_bandwidth(file, "nvlink", shape->nvlink);
		fprintf(file, " nvswitch:%s", shape->mesh ? "mesh" : "yes");
	} else {
		fputs(" nvlink:none", file);
	}
}

static void print_line(FILE *file, const struct shape *shape)
{
	fprintf(file, "synthetic:nodes:%d gpus:%d", shape->hosts, shape->gpus);
	if (shape->gpus > 1)
		print_gpu_links(file, shape);
	fprintf(file, " sockets:%d", shape->sockets);
	print_bandwidth(file, "socket", shape->socket);
	fprintf(file, " switches:%d", shape->switches);
	print_bandwidth(file, "pcie", shape->pcie);
	fprintf(file, " nics:%d", shape->nics);
	print_bandwidth(file, "nic", shape->nic);
	if (shape->latency > 0)
		fprintf(file, " latency:%.6gus", shape->latency * 1e6);
	if (shape->leaf)
		fprintf(file, " leaf:%d oversubscription:%.6g:1", shape->leaf, shape->leaf_ratio);
	if (shape->pod)
		fprintf(file, " pod:%d pod-oversubscription:%.6g:1", shape->pod, shape->pod_ratio);
	fputc('\n', file);
}

/* --- how near it is --------------------------------------------------------------------------- */

/* GPUs and NICs of the first host, in the order of both topologies. */
static int32_t list_devices(const span_topo *topo, int32_t *nodes)
{
	int32_t gpus = span_topo_devices(topo, SPAN_NODE_GPU, 0, nodes, MOST);

	return gpus + span_topo_devices(topo, SPAN_NODE_NIC, 0, nodes + gpus, MOST);
}

static span_status compare_pair(const span_topo *topo, const span_topo *made, const int32_t *a,
                                const int32_t *b, int32_t *classes, int32_t *bandwidths)
{
	span_topo_path is, becomes;
	span_status status = span_topo_path_between(topo, a[0], a[1], &is);

	if (!status)
		status = span_topo_path_between(made, b[0], b[1], &becomes);
	if (status)
		return status;
	*classes += is.path_class != becomes.path_class;
	*bandwidths += fabs(is.bandwidth - becomes.bandwidth) > 0.01 * is.bandwidth;
	return SPAN_OK;
}

/* Tell in comments what the line does not have. */
static span_status print_losses(const span_topo *topo, const span_topo *made, FILE *file)
{
	int32_t a[2 * MOST], b[2 * MOST], classes = 0, bandwidths = 0;
	int32_t n = list_devices(topo, a);
	span_status status = SPAN_OK;

	if (list_devices(made, b) != n)
		return span_fail(SPAN_EUNSUPPORTED, "%.128s: its first host cannot be said in one line",
		                 topo->source_name);
	for (int32_t i = 0; i < n; i++) {
		for (int32_t j = 0; !status && j < n; j++) {
			const int32_t from[2] = { a[i], a[j] }, to[2] = { b[i], b[j] };

			status = compare_pair(topo, made, from, to, &classes, &bandwidths);
		}
	}
	if (status)
		return status;
	fprintf(file, "# of %d pairs of GPUs and NICs in a host, %d have another class of path then "
	        "and %d another bandwidth\n", n * n, classes, bandwidths);
	fprintf(file, "# not in it: names, addresses, models, where each number comes from%s%s\n",
	        topo->n_machines > 1 ? "; all hosts are like the first" : "",
	        topo->n_switches && topo->places[0].leaf >= 0 &&
	                        topo->switches[topo->places[0].leaf].rails > 1
	                ? "; rails" : "");
	return SPAN_OK;
}

static span_status find_shape(const span_topo *topo, struct shape *shape)
{
	const struct machine *machine = topo->machines[topo->places[0].machine];

	*shape = (struct shape){ .hosts = span_topo_hosts(topo), .leaf_ratio = 1, .pod_ratio = 1 };
	count_devices(machine, shape);
	count_switches(machine, shape);
	read_links(machine, shape);
	read_fabric(topo, shape);
	if (shape->gpus > MOST || shape->nics > MOST || shape->switches > MOST ||
	    shape->sockets > 16 || shape->sockets < 1 || shape->hosts > 65536)
		return span_fail(SPAN_EUNSUPPORTED, "%.128s: %d GPUs, %d NICs, %d switches, %d NUMA "
		                 "nodes; one line says up to 64, 64, 64 and 1 to 16", topo->source_name,
		                 shape->gpus, shape->nics, shape->switches, shape->sockets);
	return SPAN_OK;
}

span_status topo_write_synthetic(const span_topo *topo, FILE *file)
{
	char *line = NULL;
	size_t bytes = 0;
	FILE *memory;
	struct shape shape;
	span_topo *made = NULL;
	span_status status = find_shape(topo, &shape);

	if (status)
		return status;
	memory = open_memstream(&line, &bytes);
	if (memory) {
		print_line(memory, &shape);
		if (fclose(memory) == 0)
			status = span_topo_parse(line, bytes, "synthetic", NULL, &made);
	}
	if (!status && !made)
		status = span_fail(SPAN_ENOMEM, "synthetic: no memory for a line");
	if (!status) {
		fputs(line, file);
		status = print_losses(topo, made, file);
	}
	span_topo_free(made);
	free(line);
	if (!status && ferror(file))
		status = span_fail(SPAN_EIO, "synthetic: writing failed");
	return status;
}
