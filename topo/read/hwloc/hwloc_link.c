/* What connects GPUs beside PCIe: NVLink, xGMI, and Intel's Xe Link.
 *
 * hwloc has a matrix of bandwidths, from OS devices of GPUs to each other, to NVSwitches (PCI
 * devices) and to POWER processors (packages). We never ask for its transitive closure, which
 * zeroes direct links where there is no switch: a switch is a node of the graph here. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "topo/graph/gpu_model.h"
#include "topo/graph/link_speed.h"
#include "topo/log.h"
#include "topo/read/hwloc/hwloc_matrix.h"
#include "topo/read/hwloc/read_hwloc.h"

#define HW_XGMI_CONSTANT 100000 /* MB/s that hwloc's RSMI backend writes for any xGMI */
#define DOUBLED_UP_TO 20900     /* hwloc 2.9.0; corrected in commit 01fee4021 of 2023-03-22 */

span_status hw_link_both(struct hw_reader *reader, span_link_class link_class, int32_t a,
                         int32_t b, const struct hw_uplink *rate, int32_t count)
{
	span_status status = machine_add_link(reader->machine, link_class, a, b, rate->bandwidth,
	                                      count, rate->confidence, "%s", rate->provenance);

	return status ? status
	              : machine_add_link(reader->machine, link_class, b, a, rate->bandwidth, count,
	                                 rate->confidence, "%s", rate->provenance);
}

span_status hw_add_nvswitch(struct hw_reader *reader, int32_t *node)
{
	span_status status = SPAN_OK;

	if (reader->nvswitch < 0)
		status = machine_add_node(reader->machine, SPAN_NODE_NVSWITCH, 0, reader->host,
		                          &reader->nvswitch);
	*node = reader->nvswitch;
	return status;
}

/* --- from objects to nodes --------------------------------------------------------------- */

static int32_t first_cpu_of(const struct hw_reader *reader, int32_t package)
{
	int32_t i;

	for (i = 0; i < reader->n_cpus; i++)
		if (reader->machine->nodes[reader->cpus[i]].parent == package)
			return reader->cpus[i];
	return -1;
}

/* The GPU, CPU or NVSwitch that an object of a matrix stands for, -1: none of these. */
static span_status find_node(struct hw_reader *reader, int32_t object, int32_t *node)
{
	const struct hw_object *objects = reader->tree->objects;

	*node = -1;
	if (object < 0)
		return SPAN_OK;
	if (hw_is_nvswitch(&objects[object]))
		return hw_add_nvswitch(reader, node);
	if (objects[object].type == HW_OSDEV)
		object = objects[object].parent;
	*node = object < 0 || reader->node_of[object] < 0 ? -1 : reader->node_of[object];
	if (*node >= 0 && reader->machine->nodes[*node].kind == SPAN_NODE_PACKAGE)
		*node = first_cpu_of(reader, *node);
	if (*node >= 0 && reader->machine->nodes[*node].kind != SPAN_NODE_GPU &&
	    reader->machine->nodes[*node].kind != SPAN_NODE_CPU)
		*node = -1;
	return SPAN_OK;
}

/* [n] nodes of a matrix. */
static span_status find_nodes(struct hw_reader *reader, const struct hw_matrix *matrix,
                              int32_t **nodes)
{
	int32_t i;
	span_status status = SPAN_OK;

	*nodes = calloc((size_t)matrix->n, sizeof(**nodes));
	if (!*nodes)
		return span_fail(SPAN_ENOMEM, "%.200s: no memory for a matrix",
		                 reader->tree->source->name);
	for (i = 0; !status && i < matrix->n; i++)
		status = find_node(reader, matrix->objects[i], &(*nodes)[i]);
	return status;
}

static bool is_gpu(const struct hw_reader *reader, int32_t node)
{
	return node >= 0 && reader->machine->nodes[node].kind == SPAN_NODE_GPU;
}

static double value_at(const struct hw_matrix *matrix, int32_t row, int32_t column)
{
	return matrix->values[(size_t)row * (size_t)matrix->n + (size_t)column];
}

/* --- NVLink ------------------------------------------------------------------------------ */

/* What hwloc counts for one link in this file, MB/s. An A100 has 25 GB/s a link, for which hwloc
 * up to 2.9.0 wrote 50: known by the version, or by more links than there are. */
static double counted_wire(const struct hw_reader *reader, const struct hw_matrix *matrix,
                           int32_t row, int32_t sm)
{
	double wire = gpu_nvlink_wire(sm), sum = 0;
	int32_t version = reader->tree->version, j;

	if (sm != 80)
		return wire;
	for (j = 0; j < matrix->n; j++)
		if (j != row)
			sum += value_at(matrix, row, j);
	if ((version > 0 && version <= DOUBLED_UP_TO) || sum > wire * gpu_most_nvlinks(sm))
		return 2 * wire;
	return wire;
}

/* The links from the object of a row to that of a column, and back. */
static span_status link_pair(struct hw_reader *reader, const struct hw_matrix *matrix,
                             const int32_t *nodes, int32_t row, int32_t column)
{
	int32_t gpu = is_gpu(reader, nodes[row]) ? row : column;
	int32_t sm = reader->machine->nodes[nodes[gpu]].sm;
	double value = value_at(matrix, row, column), back = value_at(matrix, column, row);
	struct hw_uplink rate = { .confidence = SPAN_CONFIDENCE_ASSUMED };
	int32_t count;
	double wire;

	value = back > value ? back : value;
	if (value <= 0)
		return SPAN_OK;
	wire = counted_wire(reader, matrix, gpu, sm);
	if (wire > gpu_nvlink_wire(sm)) {
		hw_odd(reader, HW_ODD_DOUBLED, nodes[gpu], -1);
		if (reader->as_nccl)
			wire = gpu_nvlink_wire(sm);
	}
	count = (int32_t)lround(value / wire);
	if (count < 1)
		count = 1;
	if (count > 1000)
		return span_fail(SPAN_EPARSE, "%.200s: NVLinkBandwidth of %.0f MB/s between two "
		                 "devices; no GPU has that much", reader->tree->source->name, value);
	rate.bandwidth = count * nvlink_bandwidth(sm);
	snprintf(rate.provenance, sizeof(rate.provenance),
	         "NVLinks at the usual bandwidth, counted from hwloc's NVLinkBandwidth");
	return hw_link_both(reader, SPAN_LINK_NVLINK, nodes[row], nodes[column], &rate, count);
}

static span_status link_nvlinks(struct hw_reader *reader, const struct hw_matrix *matrix)
{
	int32_t *nodes, i, j;
	span_status status = find_nodes(reader, matrix, &nodes);

	for (i = 0; !status && i < matrix->n; i++)
		for (j = i + 1; !status && j < matrix->n; j++)
			if (nodes[i] >= 0 && nodes[j] >= 0 && nodes[i] != nodes[j] &&
			    (is_gpu(reader, nodes[i]) || is_gpu(reader, nodes[j])))
				status = link_pair(reader, matrix, nodes, i, j);
	free(nodes);
	return status;
}

/* --- NVLink of a live system ------------------------------------------------------------- */

/* The node of a PCI address, whatever its function. */
static int32_t find_by_bus(const struct hw_reader *reader, uint32_t domain, uint32_t bus,
                           uint32_t device)
{
	const struct hw_tree *tree = reader->tree;
	int32_t i;

	for (i = 0; i < tree->n_objects; i++)
		if (tree->objects[i].has_bus && reader->node_of[i] >= 0 &&
		    tree->objects[i].domain == domain && tree->objects[i].bus == bus &&
		    tree->objects[i].device == device)
			return reader->node_of[i];
	return -1;
}

static int32_t cpu_above(const struct machine *machine, int32_t node)
{
	while (node >= 0 && machine->nodes[node].kind != SPAN_NODE_CPU)
		node = machine->nodes[node].parent;
	return node;
}

static span_status link_of_nvml(struct hw_reader *reader, int32_t gpu, const struct nvml_link *link)
{
	/* By NVML's numbers of versions. */
	static const char *const versions[] = { "", " 1.0", " 2.0", " 2.2", " 3.0", " 3.1", " 4.0",
	                                        " 5.0" };
	const char *version = link->version < 8 ? versions[link->version] : "";
	struct machine *machine = reader->machine;
	double bandwidth = nvlink_bandwidth(machine->nodes[gpu].sm);
	int32_t remote = -1;
	span_status status = SPAN_OK;

	if (link->remote == NVML_REMOTE_CPU)
		remote = cpu_above(machine, gpu);
	else if (link->remote == NVML_REMOTE_SWITCH || link->domain == UINT32_MAX)
		status = hw_add_nvswitch(reader, &remote);
	else
		remote = find_by_bus(reader, link->domain, link->bus, link->device);
	if (status || remote < 0 || remote == gpu)
		return status;
	status = machine_add_link(machine, SPAN_LINK_NVLINK, gpu, remote, bandwidth, 1,
	                          SPAN_CONFIDENCE_ASSUMED, "NVLinks%s that NVML shows as up", version);
	/* A GPU at the other end tells of the link as well; for a switch or processor nobody. */
	if (!status && !is_gpu(reader, remote))
		status = machine_add_link(machine, SPAN_LINK_NVLINK, remote, gpu, bandwidth, 1,
		                          SPAN_CONFIDENCE_ASSUMED, "NVLinks%s that NVML shows as up",
		                          version);
	return status;
}

static span_status link_from_nvml(struct hw_reader *reader)
{
	const struct nvml_gpus *nvml = reader->live->nvml;
	int32_t i, k;
	span_status status = SPAN_OK;

	for (i = 0; i < nvml->n; i++) {
		const struct nvml_gpu *gpu = &nvml->gpus[i];
		int32_t node = find_by_bus(reader, gpu->domain, gpu->bus, gpu->device);

		if (!is_gpu(reader, node))
			continue;
		for (k = 0; !status && k < gpu->n_links; k++)
			status = link_of_nvml(reader, node, &gpu->links[k]);
	}
	return status;
}

/* --- xGMI and Xe Link -------------------------------------------------------------------- */

/* Whether a matrix says the constant for all that are connected. */
static bool is_constant(const struct hw_matrix *matrix)
{
	size_t n = (size_t)matrix->n, i;
	bool any = false;

	for (i = 0; i < n * n; i++) {
		if (i % (n + 1) == 0 || matrix->values[i] == 0)
			continue;
		if (matrix->values[i] != HW_XGMI_CONSTANT)
			return false;
		any = true;
	}
	return any;
}

static bool already_linked(const struct machine *machine, int32_t a, int32_t b)
{
	int32_t i;

	for (i = machine->nodes[a].last_link; i >= 0; i = machine->links[i].earlier)
		if (machine->links[i].link_class == SPAN_LINK_XGMI && machine->links[i].to == b)
			return true;
	return false;
}

/* Partitions of a GPU are one node here, so a pair may come several times. */
static span_status link_xgmi_pair(struct hw_reader *reader, int32_t a, int32_t b, double value,
                                  bool constant, const char *name)
{
	const struct graph_node *node = &reader->machine->nodes[a];
	struct hw_uplink rate = { .bandwidth = value * 1e6, .confidence = SPAN_CONFIDENCE_DECLARED };

	if (already_linked(reader->machine, a, b))
		return SPAN_OK;
	snprintf(rate.provenance, sizeof(rate.provenance), "hwloc's %s %.0f MB/s", name, value);
	if (constant) {
		hw_odd(reader, HW_ODD_XGMI, a, -1);
		rate.confidence = SPAN_CONFIDENCE_UNKNOWN;
		rate.bandwidth = xgmi_bandwidth(gpu_gfx(node->pci_vendor, node->pci_device));
		snprintf(rate.provenance, sizeof(rate.provenance),
		         "one xGMI link assumed; hwloc writes %.0f MB/s for any", value);
	}
	return hw_link_both(reader, SPAN_LINK_XGMI, a, b, &rate, 1);
}

/* hops is NULL when there is no such matrix; pairs of more than one hop are not joined. */
static span_status link_xgmi(struct hw_reader *reader, const struct hw_matrix *matrix,
                             const struct hw_matrix *hops, const char *name)
{
	bool constant = is_constant(matrix) && strcmp(name, "XGMIBandwidth") == 0;
	int32_t *nodes, i, j;
	span_status status = find_nodes(reader, matrix, &nodes);

	for (i = 0; !status && i < matrix->n; i++)
		for (j = i + 1; !status && j < matrix->n; j++)
			if (is_gpu(reader, nodes[i]) && is_gpu(reader, nodes[j]) &&
			    nodes[i] != nodes[j] && value_at(matrix, i, j) > 0 &&
			    !(hops && hops->n == matrix->n && value_at(hops, i, j) > 1))
				status = link_xgmi_pair(reader, nodes[i], nodes[j],
				                        value_at(matrix, i, j), constant, name);
	free(nodes);
	return status;
}

static span_status add_matrix(struct hw_reader *reader, const char *name, bool *found)
{
	bool nvlink = strcmp(name, "NVLinkBandwidth") == 0, any_hops = false;
	struct hw_matrix matrix, hops = { 0 };
	span_status status = hw_matrix_read(reader->tree, name, found, &matrix);

	if (status || !*found)
		return status;
	if (strcmp(name, "XGMIBandwidth") == 0)
		status = hw_matrix_read(reader->tree, "XGMIHops", &any_hops, &hops);
	if (!status)
		status = nvlink ? link_nvlinks(reader, &matrix)
		                : link_xgmi(reader, &matrix, any_hops ? &hops : NULL, name);
	hw_matrix_free(&matrix);
	hw_matrix_free(&hops);
	return status;
}

/* --- what is missing --------------------------------------------------------------------- */

static bool has_link(const struct machine *machine, int32_t node, span_link_class link_class)
{
	int32_t i;

	for (i = machine->nodes[node].last_link; i >= 0; i = machine->links[i].earlier)
		if (machine->links[i].link_class == link_class)
			return true;
	return false;
}

static void find_missing(struct hw_reader *reader)
{
	const struct machine *machine = reader->machine;
	int32_t i;

	for (i = 0; i < machine->n_nodes; i++) {
		const struct graph_node *node = &machine->nodes[i];

		if (!is_gpu(reader, i))
			continue;
		if (gpu_has_c2c(node->name) && node->pci_vendor == 0x10de)
			hw_odd(reader, HW_ODD_C2C, i, -1);
		if (gpu_always_has_nvlink(node->name, node->pci_vendor, node->pci_device) &&
		    !has_link(machine, i, SPAN_LINK_NVLINK) &&
		    !(reader->live && reader->live->nvml))
			hw_odd(reader, HW_ODD_NO_NVLINK, i, -1);
	}
}

span_status hw_add_fabric(struct hw_reader *reader)
{
	bool found, from_nvml = reader->live && reader->live->nvml;
	span_status status;

	status = from_nvml ? link_from_nvml(reader)
	                   : add_matrix(reader, "NVLinkBandwidth", &found);
	if (!status)
		status = add_matrix(reader, "XGMIBandwidth", &found);
	if (!status)
		status = add_matrix(reader, "XeLinkBandwidth", &found);
	if (!status)
		find_missing(reader);
	return status;
}
