/* From the matrix of `nvidia-smi topo -m` to a graph whose paths have its classes.
 *
 * The words of the matrix are distances in a tree, see read_smi_tree.c; here the tree is drawn:
 * NUMA nodes, switches, devices, and the NVLinks between GPUs. */
#include <stdio.h>
#include <stdlib.h>

#include "topo/graph/link_speed.h"
#include "topo/log.h"
#include "topo/read/lines.h"
#include "topo/read/smi.h"

/* No GPU so far has more NVLinks; who seems to has them through NVSwitch. */
#define MOST_NVLINKS 18

/* --- NUMA nodes ------------------------------------------------------------------------ */

/* Number of the NUMA node of a group: the first in its list, since what follows there are the
 * memories of GPUs. -1 when no GPU of the group says. */
static int32_t numa_of_group(const struct smi_tree *tree, int32_t group, const char **cpus)
{
	*cpus = "";
	for (int32_t i = 0; i < tree->matrix->n; i++) {
		const struct smi_device *device = &tree->matrix->device[i];
		int32_t number = -1;

		if (tree->group[LEVEL_CPU][i] != group || !(device->cpus || device->numa))
			continue;
		*cpus = device->cpus ? device->cpus : "";
		if (device->numa && sscanf(device->numa, "%7d", &number) == 1)
			return number;
		return -1;
	}
	return -1;
}

/* The next group of NUMA nodes to be made: by number, those without one last. */
static int32_t next_cpu(const struct smi_tree *tree)
{
	int32_t best = -1, best_numa = -1;
	const char *cpus;

	for (int32_t i = 0; i < tree->matrix->n; i++) {
		int32_t numa;

		if (tree->group[LEVEL_CPU][i] != i || tree->cpu[i] >= 0)
			continue;
		numa = numa_of_group(tree, i, &cpus);
		if (best < 0 || (numa >= 0 && (best_numa < 0 || numa < best_numa))) {
			best = i;
			best_numa = numa;
		}
	}
	return best;
}

static span_status add_cpus(struct smi_tree *tree)
{
	span_status status = SPAN_OK;
	int32_t group, before = -1;

	while (!status && (group = next_cpu(tree)) >= 0) {
		char mask[CPU_MASK_BYTES];
		const char *cpus;
		int32_t numa = numa_of_group(tree, group, &cpus);

		if (numa == before) /* claimed twice: told by note_affinities */
			numa = -1;
		text_cpu_mask(cpus, mask);
		status = sketch_cpu(&tree->sketch, numa, mask, &tree->cpu[group]);
		if (numa >= 0)
			before = numa;
	}
	return status;
}

/* --- switches and devices -------------------------------------------------------------- */

static int32_t members(const struct smi_tree *tree, enum level level, int32_t group)
{
	int32_t count = 0;

	for (int32_t i = 0; i < tree->matrix->n; i++)
		count += tree->group[level][i] == group;
	return count;
}

/* A switch for every PIX group that has several members or is PXB to another one, and one more
 * above those that are PXB. */
static span_status add_switches(struct smi_tree *tree)
{
	span_status status = SPAN_OK;

	for (int32_t i = 0; !status && i < tree->matrix->n; i++) {
		int32_t pix = tree->group[LEVEL_PIX][i], pxb = tree->group[LEVEL_PXB][i];
		int32_t parent = tree->cpu[tree->group[LEVEL_CPU][i]];
		int32_t in_pix = members(tree, LEVEL_PIX, pix);
		bool nested = members(tree, LEVEL_PXB, pxb) > in_pix;

		if (nested && tree->above[pxb] < 0)
			status = sketch_device(&tree->sketch, SPAN_NODE_PCI, parent,
			                       &tree->above[pxb]);
		if (!status && tree->pix[pix] < 0 && (nested || in_pix > 1))
			status = sketch_device(&tree->sketch, SPAN_NODE_PCI,
			                       nested ? tree->above[pxb] : parent, &tree->pix[pix]);
	}
	return status;
}

static span_status add_devices(struct smi_tree *tree)
{
	span_status status = SPAN_OK;

	for (int32_t i = 0; !status && i < tree->matrix->n; i++) {
		const struct smi_device *device = &tree->matrix->device[i];
		int32_t parent = tree->pix[tree->group[LEVEL_PIX][i]];
		struct graph_node *node;

		if (parent < 0)
			parent = tree->cpu[tree->group[LEVEL_CPU][i]];
		if (device->gpu)
			status = sketch_device(&tree->sketch, SPAN_NODE_GPU, parent, &tree->node[i]);
		else
			status = sketch_nic(&tree->sketch, parent,
			                    device->legend ? device->legend : device->name, NULL,
			                    &tree->node[i]);
		if (status)
			break;
		node = &tree->sketch.machine->nodes[tree->node[i]];
		node->dev = device->dev;
		node->line = device->line;
	}
	return status;
}

/* --- NVLink ---------------------------------------------------------------------------- */

/* The most NVLinks of a pair, and of a GPU if each pair had links of its own. */
static void count_nvlinks(const struct smi_matrix *matrix, int32_t *of_pair, int32_t *of_gpu)
{
	*of_pair = *of_gpu = 0;
	for (int32_t i = 0; i < matrix->n; i++) {
		int32_t sum = 0;

		for (int32_t j = 0; j < matrix->n; j++) {
			sum += matrix->nvlinks[i][j];
			if (matrix->nvlinks[i][j] > *of_pair)
				*of_pair = matrix->nvlinks[i][j];
		}
		if (sum > *of_gpu)
			*of_gpu = sum;
	}
}

static int32_t links_of(const struct smi_matrix *matrix, int32_t gpu)
{
	int32_t most = 0;

	for (int32_t j = 0; j < matrix->n; j++)
		if (matrix->nvlinks[gpu][j] > most)
			most = matrix->nvlinks[gpu][j];
	return most;
}

/* Through NVSwitch every GPU that has NVLinks reaches every other one. */
static bool is_complete(const struct smi_matrix *matrix)
{
	for (int32_t i = 0; i < matrix->n; i++)
		for (int32_t j = 0; j < i; j++)
			if (!matrix->nvlinks[i][j] && links_of(matrix, i) && links_of(matrix, j))
				return false;
	return true;
}

static span_status join_gpus(struct smi_tree *tree, bool switched, double of_one)
{
	const struct smi_matrix *matrix = tree->matrix;
	struct sketch_link link = { 0, SPAN_CONFIDENCE_ASSUMED, "NVLinks counted, generation assumed" };
	int32_t nvswitch = -1;
	span_status status = SPAN_OK;

	if (switched)
		status = machine_add_node(tree->sketch.machine, SPAN_NODE_NVSWITCH, 0,
		                          tree->sketch.host, &nvswitch);
	for (int32_t i = 0; !status && i < matrix->n; i++) {
		int32_t links = links_of(matrix, i);

		link.bandwidth = links * of_one;
		if (switched && links)
			status = sketch_join(&tree->sketch, SPAN_LINK_NVLINK, links, tree->node[i],
			                     nvswitch, &link);
		for (int32_t j = 0; !switched && !status && j < i; j++) {
			link.bandwidth = matrix->nvlinks[i][j] * of_one;
			if (matrix->nvlinks[i][j])
				status = sketch_join(&tree->sketch, SPAN_LINK_NVLINK,
				                     matrix->nvlinks[i][j], tree->node[j],
				                     tree->node[i], &link);
		}
	}
	return status;
}

static span_status add_nvlinks(struct smi_tree *tree)
{
	int32_t of_pair, of_gpu;
	bool switched;
	double of_one;
	span_status status;

	count_nvlinks(tree->matrix, &of_pair, &of_gpu);
	if (!of_pair)
		return SPAN_OK;
	switched = of_gpu > MOST_NVLINKS && is_complete(tree->matrix);
	of_one = nvlink_bandwidth((switched ? of_pair : of_gpu) > 12 ? 90 : 80);
	status = join_gpus(tree, switched, of_one);
	if (status)
		return status;
	if (!switched && of_gpu > MOST_NVLINKS)
		status = topo_note(tree->topo, tree->source->name, false, "%d NVLinks of a GPU, more "
		                   "than any has: they go through NVSwitch, but not to every GPU; "
		                   "drawn as if each pair had links of its own", of_gpu);
	if (status)
		return status;
	return topo_note(tree->topo, tree->source->name, false, "up to NV%d between GPUs, %s; %g GB/s "
	                 "a link is assumed, since the text does not name the GPUs%s", of_pair,
	                 switched ? "through NVSwitch, since no GPU has so many links for each peer"
	                          : "drawn as links from GPU to GPU, which the text does not tell "
	                            "from NVSwitch", of_one / 1e9,
	                 of_one > 20.3e9 ? " (Blackwell: twice that)" : "");
}

/* --- all of it ------------------------------------------------------------------------- */

static span_status draw(struct smi_tree *tree)
{
	span_status status = sketch_begin(&tree->sketch, tree->topo);

	for (int32_t i = 0; i < tree->matrix->n; i++)
		tree->cpu[i] = tree->above[i] = tree->pix[i] = -1;
	smi_find_groups(tree);
	if (!status)
		status = add_cpus(tree);
	if (!status)
		status = add_switches(tree);
	if (!status)
		status = add_devices(tree);
	if (!status)
		status = add_nvlinks(tree);
	if (!status)
		status = smi_note_doubts(tree);
	return status ? status : topo_add_place(tree->topo, 0, -1, NULL);
}

span_status smi_graph(const struct smi_matrix *matrix, const struct source *source,
                      span_topo *topo)
{
	struct smi_tree *tree = calloc(1, sizeof(*tree));
	span_status status;

	if (!tree)
		return span_fail(SPAN_ENOMEM, "%.128s: no memory for its graph", source->name);
	tree->matrix = matrix;
	tree->source = source;
	tree->topo = topo;
	status = draw(tree);
	free(tree);
	return status;
}
