/* The matrix of `nvidia-smi topo -m`, between its text and its graph. Private. */
#ifndef SPAN_SMI_H
#define SPAN_SMI_H

#include "topo/read/reader.h"
#include "topo/read/sketch.h"

#define SMI_MAX_DEVICES 256

/* How two devices see each other over PCIe, nearest first; of pairs with NVLink it says
 * nothing. */
enum smi_class { SMI_SELF, SMI_NVLINK, SMI_PIX, SMI_PXB, SMI_PHB, SMI_NODE, SMI_SYS };

struct smi_device {
	char *name;               /* "GPU0", "NIC3", "mlx5_0" */
	char *legend;             /* the name a legend gives it, or NULL */
	char *cpus, *numa;        /* of the affinity columns, or NULL: not said */
	bool gpu;
	int32_t dev;              /* its number: of GPU3 it is 3; of other devices, their place */
	int32_t line;             /* of its row, or 0 */
};

struct smi_matrix {
	int32_t n;
	struct smi_device device[SMI_MAX_DEVICES];
	uint8_t cell[SMI_MAX_DEVICES][SMI_MAX_DEVICES];   /* enum smi_class */
	uint8_t nvlinks[SMI_MAX_DEVICES][SMI_MAX_DEVICES];
};

/* "PIX" and its like. */
const char *smi_class_name(enum smi_class smi_class);

/* Levels of the tree: devices that are in one group of a level stand for each other by the
 * lowest number among them. */
enum level { LEVEL_PIX, LEVEL_PXB, LEVEL_CPU, N_LEVELS };

struct smi_tree {
	const struct smi_matrix *matrix;
	const struct source *source;
	span_topo *topo;
	struct sketch sketch;
	int32_t group[N_LEVELS][SMI_MAX_DEVICES];
	int32_t cpu[SMI_MAX_DEVICES];    /* node, by group of LEVEL_CPU */
	int32_t above[SMI_MAX_DEVICES];  /* node of the switch of a LEVEL_PXB group, or -1 */
	int32_t pix[SMI_MAX_DEVICES];    /* node of the switch of a LEVEL_PIX group, or -1 */
	int32_t node[SMI_MAX_DEVICES];   /* of each device */
};

/* Find the groups of all levels. */
void smi_find_groups(struct smi_tree *tree);

/* Tell what the text does not say, and where it contradicts itself. */
span_status smi_note_doubts(struct smi_tree *tree);

/* Make the graph that gives the classes of the matrix back. */
span_status smi_graph(const struct smi_matrix *matrix, const struct source *source,
                      span_topo *topo);

#endif
