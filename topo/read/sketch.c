/* A machine drawn from a few words. */
#include "topo/read/sketch.h"

#include "topo/graph/link_speed.h"

span_status sketch_begin(struct sketch *sketch, span_topo *topo)
{
	span_status status = topo_add_machine(topo, &sketch->machine);

	if (status)
		return status;
	sketch->pcie = (struct sketch_link){ pcie_bandwidth(8, 16), SPAN_CONFIDENCE_UNKNOWN,
		                             "not said; Gen3 x16 as a place holder" };
	sketch->socket = (struct sketch_link){ socket_bandwidth(ARCH_X86, VENDOR_INTEL, 6, 0x55),
		                               SPAN_CONFIDENCE_UNKNOWN, "not said; a place holder" };
	return machine_add_node(sketch->machine, SPAN_NODE_HOST, 0, -1, &sketch->host);
}

span_status sketch_join(struct sketch *sketch, span_link_class link_class, int32_t count,
                        int32_t a, int32_t b, const struct sketch_link *link)
{
	span_status status = machine_add_link(sketch->machine, link_class, a, b, link->bandwidth,
	                                      count, link->confidence, "%s", link->provenance);

	if (!status)
		status = machine_add_link(sketch->machine, link_class, b, a, link->bandwidth, count,
		                          link->confidence, "%s", link->provenance);
	return status;
}

span_status sketch_cpu(struct sketch *sketch, int32_t numa, const char *affinity, int32_t *cpu)
{
	span_status status = machine_add_node(sketch->machine, SPAN_NODE_CPU, 0, sketch->host, cpu);
	int32_t i;

	if (status)
		return status;
	sketch->machine->nodes[*cpu].numa = numa;
	status = machine_set_text(&sketch->machine->nodes[*cpu].affinity, affinity);
	for (i = 0; !status && i < *cpu; i++)
		if (sketch->machine->nodes[i].kind == SPAN_NODE_CPU)
			status = sketch_join(sketch, SPAN_LINK_SOCKET, 1, i, *cpu, &sketch->socket);
	return status;
}

span_status sketch_device(struct sketch *sketch, span_node_kind kind, int32_t parent,
                          int32_t *node)
{
	span_status status = machine_add_node(sketch->machine, kind, 0, parent, node);

	if (status)
		return status;
	return sketch_join(sketch, SPAN_LINK_PCI, 1, *node, parent, &sketch->pcie);
}

span_status sketch_nic(struct sketch *sketch, int32_t parent, const char *name,
                       const struct sketch_link *rate, int32_t *nic)
{
	struct sketch_link unknown = { sketch->pcie.bandwidth, SPAN_CONFIDENCE_UNKNOWN,
		                       "line rate not said; as fast as its PCIe link" };
	int32_t card;
	span_status status = sketch_device(sketch, SPAN_NODE_CARD, parent, &card);

	if (!status)
		status = machine_add_node(sketch->machine, SPAN_NODE_NIC, 0, card, nic);
	if (!status)
		status = machine_set_text(&sketch->machine->nodes[*nic].name, name);
	if (status)
		return status;
	sketch->machine->nodes[*nic].speed = rate ? rate->bandwidth : 0;
	return sketch_join(sketch, SPAN_LINK_NETWORK, 1, card, *nic, rate ? rate : &unknown);
}
