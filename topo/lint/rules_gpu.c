/* Rules of lint: the GPUs of a host as a set. */
#include "topo/lint/lint.h"

#include <stdio.h>
#include <string.h>

/* --- gpu-models-mixed ----------------------------------------------------------------------- */

static void gpu_models_mixed(struct lint *lint)
{
	const struct machine *machine = lint->machine;
	int32_t first, other;

	for (int32_t host = 0; host < machine->n_hosts; host++) {
		first = other = lint_next(machine, -1, SPAN_NODE_GPU, host);
		while (other >= 0 &&
		       lint_same_model(&machine->nodes[first], &machine->nodes[other]))
			other = lint_next(machine, other, SPAN_NODE_GPU, host);
		if (other >= 0)
			lint_tell(lint, other,
			          "PCI id %04x:%04x, sm %d; %s of the same host: %04x:%04x, sm %d",
			          machine->nodes[other].pci_vendor, machine->nodes[other].pci_device,
			          machine->nodes[other].sm, lint_name(machine, first).text,
			          machine->nodes[first].pci_vendor, machine->nodes[first].pci_device,
			          machine->nodes[first].sm);
	}
}

/* --- gpus-uneven ---------------------------------------------------------------------------- */

static int32_t gpus_below(const struct machine *machine, int32_t cpu)
{
	int32_t count = 0;

	for (int32_t i = -1; (i = lint_next(machine, i, SPAN_NODE_GPU, -1)) >= 0;)
		count += lint_above(machine, i, SPAN_NODE_CPU) == cpu;
	return count;
}

/* NUMA nodes without GPUs do not count: with several a socket, only some have PCIe lanes. */
static void gpus_uneven(struct lint *lint)
{
	const struct machine *machine = lint->machine;

	for (int32_t host = 0; host < machine->n_hosts; host++) {
		int32_t least = INT32_MAX, most = 0, at = -1, n;

		for (int32_t i = -1; (i = lint_next(machine, i, SPAN_NODE_CPU, host)) >= 0;) {
			n = gpus_below(machine, i);
			if (n && n < least) {
				least = n;
				at = i;
			}
			most = n > most ? n : most;
		}
		if (at >= 0 && most > least)
			lint_tell(lint, at, "%d GPU%s here, %d below another NUMA node of the host",
			          least, least == 1 ? "" : "s", most);
	}
}

/* --- ll128-off ------------------------------------------------------------------------------ */

/* The best class of a path from a GPU to a NIC: a ring enters and leaves there. DIS when there
 * is no NIC. */
static span_path_class best_way_out(const struct machine *machine)
{
	span_path_class best = SPAN_PATH_DIS;

	for (int32_t gpu = -1; (gpu = lint_next(machine, gpu, SPAN_NODE_GPU, -1)) >= 0;) {
		int32_t nic = lint_nearest_nic(machine, gpu);

		if (nic >= 0 && lint_path(machine, gpu, nic)->path_class < best)
			best = lint_path(machine, gpu, nic)->path_class;
	}
	return best;
}

/* The worst class that a ring over the GPUs cannot avoid: for each GPU the best to another. */
static span_path_class worst_inside(const struct machine *machine)
{
	span_path_class worst = SPAN_PATH_LOC;

	for (int32_t a = -1; (a = lint_next(machine, a, SPAN_NODE_GPU, -1)) >= 0;) {
		span_path_class best = SPAN_PATH_DIS, found;

		for (int32_t b = -1; (b = lint_next(machine, b, SPAN_NODE_GPU, -1)) >= 0;) {
			found = lint_path(machine, a, b)->path_class;
			best = a != b && found < best ? found : best;
		}
		worst = best > worst ? best : worst;
	}
	return worst;
}

/* NCCL 2.28.9, src/graph/tuning.cc: LL128 is on when GPUs are of one compute capability of 7.0
 * or more, joined by NVLink (through one GPU at most), and the NIC is reached by a switch; from
 * 9.0 on also through C2C or a GPU nearer to the NIC. */
static void ll128_off(struct lint *lint)
{
	int32_t gpu = lint_next(lint->nccl, -1, SPAN_NODE_GPU, -1);
	span_path_class inside, out, limit;

	if (gpu < 0 || lint_next(lint->nccl, gpu, SPAN_NODE_GPU, -1) < 0 ||
	    !lint_is_nvidia(lint, gpu) || lint->nccl->nodes[gpu].sm < 70)
		return;
	limit = lint->nccl->nodes[gpu].sm >= 90 ? SPAN_PATH_PXN : SPAN_PATH_PXB;
	inside = worst_inside(lint->nccl);
	out = best_way_out(lint->nccl);
	if (inside > SPAN_PATH_NVB)
		lint_tell(lint, gpu, "NCCL leaves LL128 out: some GPU reaches the others over %s at "
		          "best, not NVLink", span_path_class_name(inside));
	else if (out != SPAN_PATH_DIS && out > limit)
		lint_tell(lint, gpu, "NCCL leaves LL128 out between hosts: the best path from a GPU "
		          "to a NIC is %s; up to %s is needed", span_path_class_name(out),
		          span_path_class_name(limit));
}

const struct lint_rule lint_rules_gpu[] = {
	{ .id = "gpu-models-mixed", .severity = LINT_WARNING,
	  .title = "GPUs of different models in one host",
	  .why = "all wait for the slowest, and NCCL drops LL128 when capabilities differ",
	  .remedy = "give a job GPUs of one model (CUDA_VISIBLE_DEVICES)",
	  .machine = gpu_models_mixed },
	{ .id = "gpus-uneven", .severity = LINT_INFO,
	  .title = "GPUs unevenly spread over NUMA nodes",
	  .why = "some share host memory and NICs with more neighbours than others",
	  .remedy = "place an uneven job by hand, or use as many GPUs of each NUMA node",
	  .machine = gpus_uneven },
	{ .id = "ll128-off", .severity = LINT_INFO,
	  .title = "paths on which NCCL does not use its LL128 protocol",
	  .why = "middle-sized collectives run at LL or Simple speed",
	  .remedy = "nothing, if the machine is so; never force it: data can be corrupted there",
	  .machine = ll128_off },
	{ .id = NULL },
};
