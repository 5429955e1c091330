/* The trees below the processors in NCCL's topology XML: bridges, GPUs, cards and ports. */
#include "topo/read/read_nccl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "topo/graph/link_speed.h"
#include "topo/log.h"

/* Where a device is added. */
struct spot {
	int32_t host, cpu; /* number of the host; node of the <cpu> it is below */
	int32_t parent;
};

/* Set what a <pci> says about itself, and link it to what is above. */
static span_status describe_pci(struct nccl_reader *reader, const struct xml_element *pci,
                                int32_t parent, int32_t number)
{
	struct graph_node *node = &reader->machine->nodes[number];
	struct pci_rate rate;
	span_status status;

	nccl_pci_rate(reader, pci, &rate);
	node->line = pci->line;
	node->pci_class = (uint32_t)nccl_int(pci, "class", 0);
	node->pci_vendor = (uint32_t)nccl_int(pci, "vendor", 0);
	node->pci_device = (uint32_t)nccl_int(pci, "device", 0);
	node->pci_subsystem = (uint32_t)nccl_int(pci, "subsystem_vendor", 0) << 16 |
	                      ((uint32_t)nccl_int(pci, "subsystem_device", 0) & 0xffff);
	node->speed = rate.confidence == SPAN_CONFIDENCE_UNKNOWN ? 0 : rate.bandwidth;
	status = machine_set_text(&node->bus, nccl_text(pci, "busid"));
	if (!status)
		status = machine_add_link(reader->machine, SPAN_LINK_PCI, number, parent,
		                          rate.bandwidth, 1, rate.confidence, "%s",
		                          rate.provenance);
	if (!status)
		status = machine_add_link(reader->machine, SPAN_LINK_PCI, parent, number,
		                          rate.bandwidth, 1, rate.confidence, "%s",
		                          rate.provenance);
	return status;
}

/* --- GPUs --------------------------------------------------------------------------------- */

static span_status remember_gpu(struct nccl_reader *reader, const struct xml_element *gpu,
                                int32_t number, int32_t cpu)
{
	int32_t room = reader->gpu_room ? 2 * reader->gpu_room : 16;
	struct nccl_gpu *grown;

	if (reader->n_gpus == reader->gpu_room) {
		grown = realloc(reader->gpus, (size_t)room * sizeof(*grown));
		if (!grown)
			return span_fail(SPAN_ENOMEM, "%.128s: no memory for its GPUs",
			                 reader->source->name);
		reader->gpus = grown;
		reader->gpu_room = room;
	}
	reader->gpus[reader->n_gpus++] =
		(struct nccl_gpu){ .element = gpu, .node = number, .cpu = cpu };
	return SPAN_OK;
}

/* AMD's GPUs are known by their instruction set, such as "gfx942"; RCCL wrote "942" before, and
 * "910" for gfx90a. */
static span_status name_gpu(struct graph_node *node, const char *gcn)
{
	char name[40];

	if (!*gcn)
		return SPAN_OK;
	if (strcmp(gcn, "910") == 0)
		gcn = "90a";
	snprintf(name, sizeof(name), "%s%.30s", strncmp(gcn, "gfx", 3) == 0 ? "" : "gfx", gcn);
	return machine_set_text(&node->name, name);
}

static span_status add_gpu(struct nccl_reader *reader, const struct xml_element *pci,
                           const struct xml_element *gpu, uint64_t bus, struct spot spot)
{
	struct graph_node *node;
	int32_t number;
	span_status status;

	if (reader->any_rank && !xml_value(gpu, "rank")) {
		nccl_odd(reader, ODD_NO_RANK, gpu);
		if (reader->source->as_nccl)
			return SPAN_OK;
	}
	status = machine_add_node(reader->machine, SPAN_NODE_GPU, spot.host, spot.parent, &number);
	if (status)
		return status;
	node = &reader->machine->nodes[number];
	node->dev = nccl_int(gpu, "dev", -1);
	node->rank = nccl_int(gpu, "rank", -1);
	node->gdr = xml_value(gpu, "gdr") ? nccl_int(gpu, "gdr", 0) != 0 : -1;
	if (!reader->any_rank && reader->source->as_nccl) {
		node->rank = reader->n_gpus;
		nccl_odd(reader, ODD_RANKS_ASSUMED, gpu);
	}
	if (!reader->rccl) { /* RCCL's sm is the number of compute units */
		node->sm = nccl_int(gpu, "sm", 0);
		if (node->sm <= 0)
			nccl_odd(reader, ODD_SM, gpu);
	}
	status = nccl_add_key(&reader->gpu_keys, spot.host, bus, number);
	if (!status)
		status = name_gpu(node, nccl_text(gpu, "gcn"));
	if (!status)
		status = remember_gpu(reader, gpu, number, spot.cpu);
	return status ? status : describe_pci(reader, pci, spot.parent, number);
}

/* --- cards and ports ---------------------------------------------------------------------- */

/* Bandwidth of a port. NCCL takes 10 Gb/s where none is given or it is not positive. */
static double port_speed(struct nccl_reader *reader, const struct xml_element *net,
                         double pcie, span_confidence *confidence)
{
	bool as_nccl = reader->source->as_nccl;
	int32_t mbps = nccl_int(net, "speed", 0);

	*confidence = SPAN_CONFIDENCE_DECLARED;
	if (mbps <= 0) {
		nccl_odd(reader, ODD_NET_UNKNOWN, net);
		*confidence = SPAN_CONFIDENCE_UNKNOWN;
		return as_nccl ? 1.25e9 : pcie;
	}
	if (mbps > 10000000) { /* 10 Tb/s: no port does */
		nccl_odd(reader, ODD_NET_SPEED, net);
		if (!as_nccl)
			return mbps * 125.0;
	}
	return mbps * 125e3;
}

static span_status add_port(struct nccl_reader *reader, const struct xml_element *net,
                            double pcie, int32_t card)
{
	struct machine *machine = reader->machine;
	bool as_nccl = reader->source->as_nccl;
	span_confidence confidence;
	struct graph_node *node;
	int32_t number, direction;
	double speed;
	span_status status;

	if (!xml_value(net, "dev")) {
		nccl_odd(reader, ODD_NO_DEV, net);
		if (as_nccl)
			return SPAN_OK;
	}
	status = machine_add_node(machine, SPAN_NODE_NIC, machine->nodes[card].host, card, &number);
	if (status)
		return status;
	speed = port_speed(reader, net, pcie, &confidence);
	node = &machine->nodes[number];
	node->line = net->line;
	node->dev = nccl_int(net, "dev", -1);
	node->port = nccl_int(net, "port", -1);
	node->rail = nccl_int(net, "rail", -1);
	node->gdr = xml_value(net, "gdr") ? nccl_int(net, "gdr", 0) != 0 : as_nccl ? 0 : -1;
	node->speed = confidence == SPAN_CONFIDENCE_UNKNOWN ? 0 : speed;
	node->latency = strtod(nccl_text(net, "latency"), NULL) * 1e-6;
	if (!(node->latency >= 0 && node->latency < 1))
		node->latency = 0;
	node->guid = strtoull(nccl_text(net, "guid"), NULL, 16);
	node->guid_said = xml_value(net, "guid") != NULL;
	status = machine_set_text(&node->name, nccl_text(net, "name"));
	for (direction = 0; !status && direction < 2; direction++)
		status = machine_add_link(machine, SPAN_LINK_NETWORK, direction ? number : card,
		                          direction ? card : number, speed, 1, confidence,
		                          "speed %.40s Mb/s of the port", nccl_text(net, "speed"));
	return status;
}

/* Card by address. NCCL has one for all of a host's <nic> directly under a <cpu>, whose address
 * is 0; here each <cpu> has its own. */
static int32_t find_card(const struct nccl_reader *reader, struct spot spot, uint64_t bus)
{
	const struct machine *machine = reader->machine;
	int32_t i;

	for (i = 0; i < machine->n_nodes; i++) {
		const struct graph_node *node = &machine->nodes[i];
		uint64_t other = 0;

		if (node->kind != SPAN_NODE_CARD || node->host != spot.host)
			continue;
		nccl_bus(node->bus, &other);
		if (other == bus && (reader->source->as_nccl || node->parent == spot.parent))
			return i;
	}
	return -1;
}

/* Bandwidth of a card directly under a processor: NCCL takes it as no limit. */
static span_status link_virtual_card(struct nccl_reader *reader, int32_t card, int32_t cpu)
{
	span_status status;

	status = machine_add_link(reader->machine, SPAN_LINK_PCI, card, cpu, LINK_SPEED_LOCAL, 1,
	                          SPAN_CONFIDENCE_UNKNOWN, "a card of no PCI address");
	if (!status)
		status = machine_add_link(reader->machine, SPAN_LINK_PCI, cpu, card,
		                          LINK_SPEED_LOCAL, 1, SPAN_CONFIDENCE_UNKNOWN,
		                          "a card of no PCI address");
	return status;
}

/* pci is NULL for a card directly under a processor. */
static span_status add_card(struct nccl_reader *reader, const struct xml_element *pci,
                            const struct xml_element *nic, uint64_t bus, struct spot spot)
{
	struct machine *machine = reader->machine;
	int32_t card = find_card(reader, spot, bus);
	const struct xml_element *net;
	double pcie;
	span_status status = SPAN_OK;

	if (card < 0) {
		status = machine_add_node(machine, SPAN_NODE_CARD, spot.host, spot.parent, &card);
		if (!status)
			status = pci ? describe_pci(reader, pci, spot.parent, card)
			             : link_virtual_card(reader, card, spot.parent);
		if (status)
			return status;
	}
	/* Its first link leads up. */
	pcie = machine->links[machine->nodes[card].last_link].bandwidth;
	for (net = nic->first; !status && net; net = net->next)
		if (strcmp(net->name, "net") == 0)
			status = add_port(reader, net, pcie, card);
	return status;
}

/* --- templates ---------------------------------------------------------------------------- */

/* A leaf of a file without GPUs: what its class says it is, as NCCL would find out on the machine
 * itself. The element stands for the <gpu> or <net>, which it has no attribute of. */
static span_status add_template_card(struct nccl_reader *reader, const struct xml_element *pci,
                                     struct spot spot)
{
	struct machine *machine = reader->machine;
	int32_t card, port, direction;
	double bandwidth;
	span_status status;

	nccl_odd(reader, ODD_TEMPLATE_NIC, pci);
	status = machine_add_node(machine, SPAN_NODE_CARD, spot.host, spot.parent, &card);
	if (!status)
		status = describe_pci(reader, pci, spot.parent, card);
	if (!status)
		status = machine_add_node(machine, SPAN_NODE_NIC, spot.host, card, &port);
	if (status)
		return status;
	machine->nodes[port].line = pci->line;
	bandwidth = machine->links[machine->nodes[card].last_link].bandwidth;
	if (reader->source->as_nccl)
		bandwidth = 1.25e9;
	for (direction = 0; !status && direction < 2; direction++)
		status = machine_add_link(machine, SPAN_LINK_NETWORK, direction ? port : card,
		                          direction ? card : port, bandwidth, 1,
		                          SPAN_CONFIDENCE_UNKNOWN, "a template does not say");
	return status;
}

static span_status add_template_gpu(struct nccl_reader *reader, const struct xml_element *pci,
                                    uint64_t bus, struct spot spot)
{
	int32_t number;
	span_status status;

	nccl_odd(reader, ODD_TEMPLATE_GPU, pci);
	status = machine_add_node(reader->machine, SPAN_NODE_GPU, spot.host, spot.parent, &number);
	if (!status)
		status = nccl_add_key(&reader->gpu_keys, spot.host, bus, number);
	return status ? status : describe_pci(reader, pci, spot.parent, number);
}

/* --- PCI trees ---------------------------------------------------------------------------- */

static span_status add_pci(struct nccl_reader *reader, const struct xml_element *pci,
                           struct spot spot);

static span_status add_children(struct nccl_reader *reader, const struct xml_element *pci,
                                struct spot spot)
{
	const struct xml_element *child;
	span_status status = SPAN_OK;

	for (child = pci->first; !status && child; child = child->next)
		if (strcmp(child->name, "pci") == 0)
			status = add_pci(reader, child, spot);
	return status;
}

static span_status add_bridge(struct nccl_reader *reader, const struct xml_element *pci,
                              uint64_t bus, struct spot spot)
{
	int32_t number;
	span_status status;

	if (reader->template_only && !pci->first && !*nccl_text(pci, "class"))
		nccl_odd(reader, ODD_UNCLASSED, pci);
	status = machine_add_node(reader->machine, SPAN_NODE_PCI, spot.host, spot.parent, &number);
	if (!status)
		status = nccl_add_key(&reader->pci_keys, spot.host, bus, number);
	if (!status)
		status = describe_pci(reader, pci, spot.parent, number);
	spot.parent = number;
	return status ? status : add_children(reader, pci, spot);
}

static span_status add_pci(struct nccl_reader *reader, const struct xml_element *pci,
                           struct spot spot)
{
	const struct xml_element *gpu = xml_child(pci, "gpu"), *nic = xml_child(pci, "nic");
	enum pci_type type = nccl_pci_type(pci);
	span_status status = SPAN_OK;
	uint64_t bus;

	if (!nccl_bus(nccl_text(pci, "busid"), &bus))
		return nccl_fail(reader, pci, "<pci> without a busid such as 0000:65:00.0");
	if (gpu)
		status = add_gpu(reader, pci, gpu, bus, spot);
	if (status || nic)
		return status ? status : add_card(reader, pci, nic, bus, spot);
	if (gpu)
		return SPAN_OK;
	if (type == PCI_BRIDGE)
		return add_bridge(reader, pci, bus, spot);
	if (reader->template_only && type == PCI_GPU && !pci->first)
		return add_template_gpu(reader, pci, bus, spot);
	if (reader->template_only && type == PCI_NETWORK && !pci->first)
		return add_template_card(reader, pci, spot);
	return SPAN_OK; /* NVSwitches come with the links; what nobody uses is left out */
}

span_status nccl_add_below_cpu(struct nccl_reader *reader, const struct xml_element *cpu,
                               int32_t host, int32_t node)
{
	struct spot spot = { .host = host, .cpu = node, .parent = node };
	const struct xml_element *child;
	span_status status = SPAN_OK;

	for (child = cpu->first; !status && child; child = child->next) {
		if (strcmp(child->name, "pci") == 0)
			status = add_pci(reader, child, spot);
		else if (strcmp(child->name, "nic") == 0)
			status = add_card(reader, NULL, child, 0, spot);
	}
	return status;
}
