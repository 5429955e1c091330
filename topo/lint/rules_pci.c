/* Rules of lint: PCIe links, as the source declares them and as NCCL takes them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "topo/graph/link_speed.h"
#include "topo/lint/lint.h"

/* Devices whose PCIe link matters to a job. */
static const span_node_kind ends[] = { SPAN_NODE_GPU, SPAN_NODE_CARD };

static double declared_speed(const struct machine *machine, int32_t node)
{
	return machine->nodes[node].speed;
}

/* Sixteen lanes of a generation, as NCCL counts. */
static double full_speed(int32_t generation)
{
	return pcie_bandwidth(2.5 * (generation < 3 ? generation : 3.2 * (1 << (generation - 3))), 16);
}

/* --- pcie-degraded -------------------------------------------------------------------------- */

static void look_for_degraded(struct lint *lint, const struct lint_group *group)
{
	for (int32_t i = 0; i < group->n && group->n_usual; i++)
		if (group->values[i] > 0 && group->values[i] < 0.99 * group->usual)
			lint_tell(lint, group->nodes[i],
			          "PCIe link of %.4g GB/s, while %d of the %d devices of its model "
			          "have %.4g", group->values[i] / 1e9, group->n_usual, group->n,
			          group->usual / 1e9);
}

static void pcie_degraded(struct lint *lint)
{
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		lint_each_model(lint, ends[i], declared_speed, look_for_degraded);
}

/* --- pcie-uplink-slow ----------------------------------------------------------------------- */

/* A GPU that reaches its CPU through C2C does not mind a thin uplink. */
static bool has_c2c(const struct machine *machine, int32_t node)
{
	const struct graph_link *link;

	for (int32_t i = machine->nodes[node].last_link; i >= 0; i = link->earlier) {
		link = &machine->links[i];
		if (link->link_class == SPAN_LINK_C2C)
			return true;
	}
	return false;
}

/* For every PCIe switch the fastest device below that needs its uplink, or -1. */
static void find_fastest_below(const struct machine *machine, int32_t *fastest)
{
	for (int32_t i = 0; i < machine->n_nodes; i++)
		fastest[i] = -1;
	for (int32_t i = 0; i < machine->n_nodes; i++) {
		const struct graph_node *node = &machine->nodes[i];

		if ((node->kind != SPAN_NODE_GPU && node->kind != SPAN_NODE_CARD) ||
		    has_c2c(machine, i))
			continue;
		for (int32_t up = node->parent; up >= 0; up = machine->nodes[up].parent)
			if (fastest[up] < 0 || machine->nodes[fastest[up]].speed < node->speed)
				fastest[up] = i;
	}
}

static void tell_uplink(struct lint *lint, int32_t node, int32_t below)
{
	const struct graph_node *nodes = lint->nccl->nodes;
	const struct graph_link *link = lint_uplink(lint->machine, node);
	char mended[40] = "";

	if (link && link->bandwidth > nodes[node].speed)
		snprintf(mended, sizeof(mended), ", here it counts as %.3g", link->bandwidth / 1e9);
	lint_tell(lint, node, "uplink declared as %.3g GB/s, above a %s with %.4g GB/s; NCCL "
	          "believes it%s", nodes[node].speed / 1e9,
	          span_node_kind_name(nodes[below].kind), nodes[below].speed / 1e9, mended);
}

/* Half is a slot one generation older, or x8 below a switch; less than half is no design. */
static void pcie_uplink_slow(struct lint *lint)
{
	const struct machine *machine = lint->nccl;
	int32_t *fastest = malloc(((size_t)machine->n_nodes + 1) * sizeof(*fastest));

	if (!fastest) {
		lint_no_memory(lint);
		return;
	}
	find_fastest_below(machine, fastest);
	for (int32_t i = -1; (i = lint_next(machine, i, SPAN_NODE_PCI, -1)) >= 0;)
		if (fastest[i] >= 0 && machine->nodes[i].speed > 0 &&
		    machine->nodes[i].speed < 0.49 * machine->nodes[fastest[i]].speed)
			tell_uplink(lint, i, fastest[i]);
	free(fastest);
}

/* --- pcie-impossible, pcie-below-model ------------------------------------------------------ */

static void judge_by_model(struct lint *lint, int32_t node, bool above)
{
	const struct lint_model *model = lint_model_of(lint, node);
	double speed = lint->nccl->nodes[node].speed, full;

	if (!model || !model->pcie || speed <= 0)
		return;
	full = full_speed(model->pcie);
	if (above && speed > 1.01 * full)
		lint_tell(lint, node, "PCIe link of %.4g GB/s, but %s has Gen%d, %.4g GB/s",
		          speed / 1e9, model->name, model->pcie, full / 1e9);
	if (!above && speed < 0.99 * full)
		lint_tell(lint, node, "PCIe link of %.4g GB/s; %s could have Gen%d x16, %.4g GB/s",
		          speed / 1e9, model->name, model->pcie, full / 1e9);
}

static void pcie_impossible(struct lint *lint)
{
	for (size_t kind = 0; kind < sizeof(ends) / sizeof(ends[0]); kind++)
		for (int32_t i = -1; (i = lint_next(lint->machine, i, ends[kind], -1)) >= 0;)
			judge_by_model(lint, i, true);
}

static void pcie_below_model(struct lint *lint)
{
	for (int32_t i = -1; (i = lint_next(lint->machine, i, SPAN_NODE_GPU, -1)) >= 0;)
		judge_by_model(lint, i, false);
}

/* --- pcie-unknown --------------------------------------------------------------------------- */

/* Only kinds of sources that have a word for it can leave it out. */
static bool source_has_speeds(const struct lint *lint)
{
	const char *kind = lint->topo->source_kind;

	return lint_from_nccl(lint) || !strncmp(kind, "hwloc", 5);
}

static void pcie_unknown(struct lint *lint)
{
	const struct machine *machine = lint->nccl;
	int32_t first = -1, count = 0;

	for (int32_t i = 0; i < machine->n_nodes && source_has_speeds(lint); i++) {
		const struct graph_node *node = &machine->nodes[i];

		if ((node->kind != SPAN_NODE_GPU && node->kind != SPAN_NODE_CARD &&
		     node->kind != SPAN_NODE_PCI) ||
		    node->speed > 0 || !lint_uplink(machine, i))
			continue;
		first = first < 0 ? i : first;
		count++;
	}
	if (count)
		lint_tell(lint, first, "PCIe speed not told here%s; NCCL takes it for %.4g GB/s "
		          "(Gen3 x16)", count > 1 ? " and elsewhere in this kind of host" : "",
		          full_speed(3) / 1e9);
}

const struct lint_rule lint_rules_pci[] = {
	{ .id = "pcie-degraded", .severity = LINT_WARNING,
	  .title = "a PCIe link narrower or slower than those of equal devices",
	  .why = "a lane lost at training, or the wrong slot: the device stays below its speed",
	  .remedy = "compare LnkSta and LnkCap (lspci -vv); reseat the card, reset the host",
	  .machine = pcie_degraded },
	{ .id = "pcie-uplink-slow", .severity = LINT_WARNING,
	  .title = "a PCIe switch declared far slower than a device below it",
	  .why = "idle or virtual switches report 2.5 GT/s; NCCL plans with that figure",
	  .remedy = "compare lspci -vv; write the true speed (span-topo convert --to nccl)",
	  .machine = pcie_uplink_slow },
	{ .id = "pcie-impossible", .severity = LINT_WARNING,
	  .title = "a PCIe speed that the device's model cannot have",
	  .why = "the figure was written by hand or by a hypervisor: plans come out too fast",
	  .remedy = "write the speed of the model into the topology file",
	  .machine = pcie_impossible },
	{ .id = "pcie-below-model", .severity = LINT_INFO,
	  .title = "a GPU on a PCIe link below what its model can",
	  .why = "transfers to the host and over PCIe are bounded by it",
	  .remedy = "nothing, if the host is of an older generation; a hypervisor may hide the truth",
	  .machine = pcie_below_model },
	{ .id = "pcie-unknown", .severity = LINT_INFO,
	  .title = "PCIe links whose speed or width the source leaves out",
	  .why = "every figure over them is an assumption",
	  .remedy = "export the topology on the host itself, not in a guest or container",
	  .machine = pcie_unknown },
	{ .id = NULL },
};
