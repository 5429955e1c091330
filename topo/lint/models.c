/* Models of devices, for rules of lint that judge one device by what it is, or by its equals. */
#include <stdlib.h>
#include <string.h>

#include "topo/lint/lint.h"

bool lint_is_nvidia(const struct lint *lint, int32_t gpu)
{
	const struct graph_node *node = &lint->machine->nodes[gpu];

	if (node->pci_vendor)
		return node->pci_vendor == 0x10de;
	return node->sm && strcmp(lint->topo->source_kind, "rccl-xml") != 0;
}

bool lint_from_nccl(const struct lint *lint)
{
	return !strcmp(lint->topo->source_kind, "nccl-xml") ||
	       !strcmp(lint->topo->source_kind, "rccl-xml");
}

/* --- known models --------------------------------------------------------------------------- */

/* Ids are those of the PCI ID repository (pci-ids.ucw.cz); generation of the link and number
 * of NVLinks those of the vendors' data sheets. Only modules that are sold on boards with
 * NVLink have a number of links: cards take a bridge, or none. */
static const struct {
	uint32_t vendor, device;
	struct lint_model model;
} by_id[] = {
	{ 0x10de, 0x15f9, { "P100 SXM2", 3, 4 } },
	{ 0x10de, 0x1db1, { "V100 SXM2", 3, 6 } },
	{ 0x10de, 0x1db5, { "V100 SXM2", 3, 6 } },
	{ 0x10de, 0x1db8, { "V100 SXM3", 3, 6 } },
	{ 0x10de, 0x1eb8, { "T4", 3, 0 } },
	{ 0x10de, 0x20b0, { "A100 SXM4", 4, 12 } },
	{ 0x10de, 0x20b2, { "A100 SXM4", 4, 12 } },
	{ 0x10de, 0x2330, { "H100 SXM5", 5, 18 } },
	{ 0x10de, 0x2335, { "H200 SXM5", 5, 18 } },
	{ 0x10de, 0x2901, { "B200", 5, 18 } },
	{ 0x10de, 0x2941, { "GB200", 0, 18 } },
	{ 0x10de, 0x31c2, { "GB300", 6, 18 } },
	{ 0x15b3, 0x1013, { "ConnectX-4", 3, 0 } },
	{ 0x15b3, 0x1017, { "ConnectX-5", 3, 0 } },
	{ 0x15b3, 0x1019, { "ConnectX-5 Ex", 4, 0 } },
	{ 0x15b3, 0x101b, { "ConnectX-6", 4, 0 } },
	{ 0x15b3, 0x101d, { "ConnectX-6 Dx", 4, 0 } },
	{ 0x15b3, 0x1021, { "ConnectX-7", 5, 0 } },
	{ 0x15b3, 0x1023, { "ConnectX-8", 6, 0 } },
	{ 0x15b3, 0xa2dc, { "BlueField-3", 5, 0 } },
	{ 0x17db, 0x0501, { "Slingshot 200G", 4, 0 } },
};

/* Where the ids are not known, the compute capability tells the generation (CUDA programming
 * guide; data sheets of the modules and cards that have it). Later ones differ by product. */
static const struct {
	int32_t sm;
	struct lint_model model;
} by_sm[] = {
	{ 60, { "Pascal", 3, 0 } }, { 61, { "Pascal", 3, 0 } }, { 70, { "Volta", 3, 0 } },
	{ 75, { "Turing", 3, 0 } }, { 80, { "Ampere", 4, 0 } }, { 86, { "Ampere", 4, 0 } },
	{ 89, { "Ada", 4, 0 } },    { 90, { "Hopper", 5, 0 } },
};

const struct lint_model *lint_model_of(const struct lint *lint, int32_t node)
{
	const struct graph_node *found = &lint->machine->nodes[node];
	size_t i;

	for (i = 0; i < sizeof(by_id) / sizeof(by_id[0]); i++)
		if (by_id[i].vendor == found->pci_vendor && by_id[i].device == found->pci_device)
			return &by_id[i].model;
	if (found->kind != SPAN_NODE_GPU || !lint_is_nvidia(lint, node))
		return NULL;
	for (i = 0; i < sizeof(by_sm) / sizeof(by_sm[0]); i++)
		if (by_sm[i].sm == found->sm)
			return &by_sm[i].model;
	return NULL;
}

/* --- equals --------------------------------------------------------------------------------- */

bool lint_same_model(const struct graph_node *a, const struct graph_node *b)
{
	return a->kind == b->kind && a->pci_vendor == b->pci_vendor &&
	       a->pci_device == b->pci_device && a->sm == b->sm;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* A figure that more than half of them have stands in the middle when they are sorted. */
static void find_usual(struct lint_group *group, double *sorted)
{
	memcpy(sorted, group->values, (size_t)group->n * sizeof(*sorted));
	qsort(sorted, (size_t)group->n, sizeof(*sorted), by_value);
	group->usual = sorted[group->n / 2];
	group->n_usual = 0;
	for (int32_t i = 0; i < group->n; i++)
		group->n_usual += group->values[i] == group->usual;
	if (2 * group->n_usual <= group->n)
		group->n_usual = 0;
}

/* Collect node `first` and the later ones of its model; marks them in `done`. */
static int32_t collect(const struct machine *machine, int32_t first, bool *done, int32_t *nodes,
                       double *values,
                       double (*value)(const struct machine *machine, int32_t node))
{
	int32_t n = 0;

	for (int32_t i = first; i < machine->n_nodes; i++) {
		if (done[i] || !lint_same_model(&machine->nodes[first], &machine->nodes[i]))
			continue;
		done[i] = true;
		nodes[n] = i;
		values[n++] = value(machine, i);
	}
	return n;
}

void lint_each_model(struct lint *lint, span_node_kind kind,
                     double (*value)(const struct machine *machine, int32_t node),
                     void (*look)(struct lint *lint, const struct lint_group *group))
{
	const struct machine *machine = lint->machine;
	size_t n = (size_t)machine->n_nodes + 1;
	bool *done = calloc(n, sizeof(*done));
	int32_t *nodes = malloc(n * sizeof(*nodes));
	double *values = malloc(2 * n * sizeof(*values));

	if (!done || !nodes || !values)
		lint_no_memory(lint);
	for (int32_t i = -1; !lint->status && (i = lint_next(machine, i, kind, -1)) >= 0;) {
		struct lint_group group = { .nodes = nodes, .values = values };

		if (done[i])
			continue;
		group.n = collect(lint->nccl, i, done, nodes, values, value);
		find_usual(&group, values + n);
		look(lint, &group);
	}
	free(done);
	free(nodes);
	free(values);
}
