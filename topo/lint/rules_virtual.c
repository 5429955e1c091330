/* Rules of lint: virtual machines and containers that hide where devices are. */
#include "topo/lint/lint.h"

#include <string.h>

/* --- numa-unknown, numa-affinity-same ------------------------------------------------------- */

/* Only NCCL's and RCCL's files say -1 for a NUMA node that the kernel does not know. */
static void numa_unknown(struct lint *lint)
{
	const struct machine *machine = lint->machine;

	for (int32_t i = -1; (i = lint_next(machine, i, SPAN_NODE_CPU, -1)) >= 0;)
		if (lint_from_nccl(lint) && machine->nodes[i].numa < 0)
			lint_tell(lint, i, "NUMA node %d: the kernel does not know where %d GPUs and "
			          "%d NICs of the host are", machine->nodes[i].numa,
			          lint_count(machine, SPAN_NODE_GPU, machine->nodes[i].host),
			          lint_count(machine, SPAN_NODE_NIC, machine->nodes[i].host));
}

static void numa_affinity_same(struct lint *lint)
{
	const struct machine *machine = lint->machine;

	for (int32_t host = 0; host < machine->n_hosts; host++) {
		int32_t first = lint_next(machine, -1, SPAN_NODE_CPU, host), same = 0;
		const char *affinity = first < 0 ? "" : machine->nodes[first].affinity;

		for (int32_t i = -1; (i = lint_next(machine, i, SPAN_NODE_CPU, host)) >= 0;)
			same += !strcmp(machine->nodes[i].affinity, affinity);
		if (affinity[0] && same > 1)
			lint_tell(lint, first, "%d NUMA nodes of the host claim the same "
			          "processors, %s", same, affinity);
	}
}

/* --- nic-on-host-bridge --------------------------------------------------------------------- */

#define CLASS_HOST_BRIDGE 0x0600u /* PCI class and subclass */

static void nic_on_host_bridge(struct lint *lint)
{
	const struct machine *machine = lint->machine;

	for (int32_t i = -1; (i = lint_next(machine, i, SPAN_NODE_NIC, -1)) >= 0;) {
		int32_t card = machine->nodes[i].parent, before = i, ports = 0;

		if (card < 0 || machine->nodes[card].pci_class >> 8 != CLASS_HOST_BRIDGE)
			continue;
		while (--before >= 0 && (machine->nodes[before].kind != SPAN_NODE_NIC ||
		                         machine->nodes[before].parent != card))
			;
		if (before >= 0)
			continue; /* told at the first port */
		for (int32_t j = i; j >= 0; j = lint_next(machine, j, SPAN_NODE_NIC, -1))
			ports += machine->nodes[j].parent == card;
		lint_tell(lint, card, "%d port%s hang%s from the host bridge %s itself", ports,
		          ports == 1 ? "" : "s", ports == 1 ? "s" : "", machine->nodes[card].bus);
	}
}

/* --- locality-flat, no-common-switch -------------------------------------------------------- */

/* Devices that hang from a CPU itself, and pairs of GPU and card below it that have a switch
 * in common. */
struct below_cpu {
	int32_t gpus, cards;   /* below it */
	int32_t direct;        /* of those, without a switch between */
	int32_t paired;        /* GPUs with a card below the same switch */
};

/* The last node on the way up from a device to its CPU: the device itself, or a switch. */
static int32_t below_root(const struct machine *machine, int32_t node)
{
	while (machine->nodes[node].parent >= 0 &&
	       machine->nodes[machine->nodes[node].parent].kind == SPAN_NODE_PCI)
		node = machine->nodes[node].parent;
	return node;
}

static bool has_card_beside(const struct machine *machine, int32_t gpu)
{
	int32_t root = below_root(machine, gpu);

	for (int32_t i = -1; (i = lint_next(machine, i, SPAN_NODE_CARD, -1)) >= 0;)
		if (below_root(machine, i) == root)
			return true;
	return false;
}

static struct below_cpu look_below(const struct machine *machine, int32_t cpu)
{
	struct below_cpu below = { 0 };

	for (int32_t i = 0; i < machine->n_nodes; i++) {
		bool gpu = machine->nodes[i].kind == SPAN_NODE_GPU;

		if ((!gpu && machine->nodes[i].kind != SPAN_NODE_CARD) ||
		    lint_above(machine, i, SPAN_NODE_CPU) != cpu)
			continue;
		below.gpus += gpu;
		below.cards += !gpu;
		below.direct += machine->nodes[i].parent == cpu;
		below.paired += gpu && has_card_beside(machine, i);
	}
	return below;
}

/* 128 lanes are what a socket has that has many (AMD EPYC 7002 to 9005, two of them; Intel Xeon
 * 6: 136): eight devices of 16 lanes. */
#define DEVICES_OF_SOCKET 8

static void locality_flat(struct lint *lint)
{
	for (int32_t cpu = -1; (cpu = lint_next(lint->machine, cpu, SPAN_NODE_CPU, -1)) >= 0;) {
		struct below_cpu below = look_below(lint->machine, cpu);

		if (below.direct > DEVICES_OF_SOCKET)
			lint_tell(lint, cpu, "%d GPUs and %d network cards, of which %d hang from the "
			          "processor itself: no socket has lanes for that", below.gpus,
			          below.cards, below.direct);
	}
}

static void no_common_switch(struct lint *lint)
{
	for (int32_t cpu = -1; (cpu = lint_next(lint->machine, cpu, SPAN_NODE_CPU, -1)) >= 0;) {
		struct below_cpu below = look_below(lint->machine, cpu);

		if (below.gpus > 1 && below.cards > 1 && !below.paired)
			lint_tell(lint, cpu, "%d GPUs and %d network cards, no two of them below one "
			          "switch: none is nearest", below.gpus, below.cards);
	}
}

const struct lint_rule lint_rules_virtual[] = {
	{ .id = "numa-unknown", .severity = LINT_WARNING,
	  .title = "devices on no known NUMA node (numaid -1)",
	  .why = "the hypervisor hides which socket a device is on: threads and NICs land anywhere",
	  .remedy = "expose vNUMA to the guest, or give NCCL the host's file (NCCL_TOPO_FILE)",
	  .machine = numa_unknown },
	{ .id = "numa-affinity-same", .severity = LINT_WARNING,
	  .title = "several NUMA nodes with the same processors",
	  .why = "binding threads by it puts all of them on one socket",
	  .remedy = "write each node's own processors into the file, or leave affinity out",
	  .machine = numa_affinity_same },
	{ .id = "nic-on-host-bridge", .severity = LINT_WARNING,
	  .title = "NICs that hang from a host bridge instead of their own PCIe slot",
	  .why = "a sandbox moved them: no GPU has a nearest NIC, and PCIe speed is unknown",
	  .remedy = "read the topology on the host and pass it in (NCCL_TOPO_FILE)",
	  .machine = nic_on_host_bridge },
	{ .id = "locality-flat", .severity = LINT_WARNING,
	  .title = "more devices directly on a processor than it has PCIe lanes for",
	  .why = "a guest that hides the switches: no GPU has a nearest NIC, GPUDirect is ruled out",
	  .remedy = "pass the host's topology into the guest (NCCL_TOPO_FILE)",
	  .machine = locality_flat },
	{ .id = "no-common-switch", .severity = LINT_INFO,
	  .title = "several GPUs and NICs on a processor, none below one switch with another",
	  .why = "GPUDirect RDMA takes the way through the processor; a guest may hide switches",
	  .remedy = "if it is a guest, pass the host's topology in (NCCL_TOPO_FILE); else none",
	  .machine = no_common_switch },
	{ .id = NULL },
};
