/* The tree behind the matrix of `nvidia-smi topo -m`.
 *
 * The words of the matrix are distances in a tree: devices that are PIX hang from one PCIe
 * switch, switches that are PXB from one above them, all up to NODE from one NUMA node. So the
 * tree is found by joining pairs, nearest class first. About pairs with NVLink the matrix says
 * nothing else; there the affinity columns tell which NUMA node a GPU is on. */
#include <stdio.h>
#include <string.h>

#include "topo/read/smi.h"

/* --- groups ---------------------------------------------------------------------------- */

static void join(struct smi_tree *tree, enum level level, int32_t a, int32_t b)
{
	int32_t *group = tree->group[level];
	int32_t low = group[a] < group[b] ? group[a] : group[b];
	int32_t high = group[a] < group[b] ? group[b] : group[a];

	for (int32_t i = 0; low != high && i < tree->matrix->n; i++)
		if (group[i] == high)
			group[i] = low;
}

static void join_pairs(struct smi_tree *tree)
{
	static const enum smi_class farthest[N_LEVELS] = { SMI_PIX, SMI_PXB, SMI_NODE };
	const struct smi_matrix *matrix = tree->matrix;

	for (int level = 0; level < N_LEVELS; level++) {
		for (int32_t i = 0; i < matrix->n; i++)
			tree->group[level][i] = i;
		for (int32_t i = 0; i < matrix->n; i++)
			for (int32_t j = 0; j < i; j++)
				if (matrix->cell[i][j] != SMI_NVLINK &&
				    matrix->cell[i][j] <= farthest[level])
					join(tree, (enum level)level, i, j);
	}
}

static bool same_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool same_affinity(const struct smi_device *a, const struct smi_device *b)
{
	return same_text(a->cpus, b->cpus) && same_text(a->numa, b->numa);
}

/* Whether some pair of the two groups is said to be on different NUMA nodes. */
static bool are_apart(const struct smi_tree *tree, int32_t a, int32_t b)
{
	const int32_t *group = tree->group[LEVEL_CPU];

	for (int32_t i = 0; i < tree->matrix->n; i++)
		for (int32_t j = 0; group[i] == a && j < tree->matrix->n; j++)
			if (group[j] == b && tree->matrix->cell[i][j] == SMI_SYS)
				return true;
	return false;
}

/* GPUs with the same affinity are on one NUMA node, unless the matrix says otherwise. */
static void join_by_affinity(struct smi_tree *tree)
{
	const struct smi_device *device = tree->matrix->device;
	const int32_t *group = tree->group[LEVEL_CPU];

	for (int32_t i = 0; i < tree->matrix->n; i++) {
		for (int32_t j = 0; device[i].gpu && j < i; j++) {
			if (!device[j].gpu || !same_affinity(&device[i], &device[j]))
				continue;
			if (group[i] != group[j] && !are_apart(tree, group[i], group[j]))
				join(tree, LEVEL_CPU, i, j);
			break;
		}
	}
}

void smi_find_groups(struct smi_tree *tree)
{
	join_pairs(tree);
	join_by_affinity(tree);
}

/* The class that two devices have in the tree. */
static enum smi_class class_in_tree(const struct smi_tree *tree, int32_t a, int32_t b)
{
	if (tree->group[LEVEL_PIX][a] == tree->group[LEVEL_PIX][b])
		return SMI_PIX;
	if (tree->group[LEVEL_PXB][a] == tree->group[LEVEL_PXB][b])
		return SMI_PXB;
	return tree->group[LEVEL_CPU][a] == tree->group[LEVEL_CPU][b] ? SMI_PHB : SMI_SYS;
}

/* --- what had to be assumed ------------------------------------------------------------ */

/* Cells that contradict others: a tree cannot have them. */
static span_status note_contradictions(struct smi_tree *tree)
{
	const struct smi_matrix *matrix = tree->matrix;
	int32_t count = 0, a = 0, b = 0;
	char place[160];

	for (int32_t i = 0; i < matrix->n; i++) {
		for (int32_t j = 0; j < i; j++) {
			enum smi_class cell = matrix->cell[i][j] == SMI_NODE ? SMI_PHB
			                                                     : matrix->cell[i][j];

			if (cell == SMI_NVLINK || cell == class_in_tree(tree, i, j))
				continue;
			if (!count++)
				a = j, b = i;
		}
	}
	if (!count)
		return SPAN_OK;
	snprintf(place, sizeof(place), "%.128s:%d", tree->source->name, matrix->device[a].line);
	return topo_note(tree->topo, place, true, "%s and %s are %s here, but their words for "
	                 "other devices make them %s, which is taken; %d pairs are so",
	                 matrix->device[a].name, matrix->device[b].name,
	                 smi_class_name(matrix->cell[a][b]),
	                 smi_class_name(class_in_tree(tree, a, b)), count);
}

static span_status note_affinities(struct smi_tree *tree)
{
	const struct smi_device *device = tree->matrix->device;
	span_status status = SPAN_OK;

	for (int32_t i = 0; !status && i < tree->matrix->n; i++) {
		for (int32_t j = 0; device[i].gpu && j < i; j++) {
			bool same_group = tree->group[LEVEL_CPU][i] == tree->group[LEVEL_CPU][j];

			if (!device[j].gpu || same_affinity(&device[i], &device[j]) == same_group)
				continue;
			status = topo_note(tree->topo, device[i].name, true,
			                   "%s %s by the matrix, which is taken, but %s by its "
			                   "affinity",
			                   same_group ? "shares the NUMA node of"
			                              : "is on another NUMA node than",
			                   device[j].name, same_group ? "not" : "on the same");
			break;
		}
	}
	return status;
}

/* NICs of which the driver knew no NUMA node. */
static span_status note_stray_nics(struct smi_tree *tree)
{
	const struct smi_matrix *matrix = tree->matrix;
	int32_t count = 0, first = 0;

	for (int32_t i = matrix->n - 1; i >= 0; i--) {
		bool near_a_gpu = matrix->device[i].gpu;

		for (int32_t j = 0; j < matrix->n; j++)
			near_a_gpu |= matrix->device[j].gpu &&
			              tree->group[LEVEL_CPU][i] == tree->group[LEVEL_CPU][j];
		if (!near_a_gpu) {
			count++;
			first = i;
		}
	}
	if (!count)
		return SPAN_OK;
	return topo_note(tree->topo, matrix->device[first].name, false, "%d NICs, this the first, "
	                 "are SYS to every GPU: the driver knew no NUMA node of theirs, which "
	                 "counts as one apart from those of the GPUs", count);
}

static span_status note_unknowns(struct smi_tree *tree)
{
	return topo_note(tree->topo, tree->source->name, false, "the text of nvidia-smi has no "
	                 "speeds: PCIe links count as Gen3 x16, NICs as fast as their PCIe link, "
	                 "links between NUMA nodes as %g GB/s; NCCL's or hwloc's XML has the real "
	                 "ones", tree->sketch.socket.bandwidth / 1e9);
}

span_status smi_note_doubts(struct smi_tree *tree)
{
	span_status status = note_unknowns(tree);

	if (!status)
		status = note_stray_nics(tree);
	if (!status)
		status = note_affinities(tree);
	return status ? status : note_contradictions(tree);
}
