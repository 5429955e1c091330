/* Links of NCCL's topology XML beside the PCI tree: NVLink, xGMI, C2C, between switches, between
 * processors. */
#include "topo/read/read_nccl.h"

#include <stdlib.h>
#include <string.h>

#include "topo/graph/link_speed.h"
#include "topo/log.h"

/* --- finding devices ---------------------------------------------------------------------- */

span_status nccl_add_key(struct nccl_keys *keys, int32_t host, uint64_t bus, int32_t node)
{
	int32_t room = keys->room ? 2 * keys->room : 64;
	struct nccl_key *grown;

	if (keys->n == keys->room) {
		grown = realloc(keys->items, (size_t)room * sizeof(*grown));
		if (!grown)
			return span_fail(SPAN_ENOMEM, "topology: no memory for %d addresses", room);
		keys->items = grown;
		keys->room = room;
	}
	keys->items[keys->n] =
		(struct nccl_key){ .host = host, .bus = bus, .order = keys->n, .node = node };
	keys->n++;
	return SPAN_OK;
}

static int compare_address(const struct nccl_key *a, const struct nccl_key *b)
{
	if (a->host != b->host)
		return a->host < b->host ? -1 : 1;
	return a->bus == b->bus ? 0 : a->bus < b->bus ? -1 : 1;
}

static int compare_keys(const void *first, const void *second)
{
	const struct nccl_key *a = first, *b = second;
	int order = compare_address(a, b);

	return order ? order : a->order < b->order ? -1 : 1;
}

static void sort_keys(struct nccl_keys *keys)
{
	if (keys->n)
		qsort(keys->items, (size_t)keys->n, sizeof(*keys->items), compare_keys);
}

/* The first device of this address in the file, or -1. */
static int32_t find_key(const struct nccl_keys *keys, int32_t host, const char *address)
{
	struct nccl_key wanted = { .host = host };
	int32_t low = 0, high = keys->n;

	if (!nccl_bus(address, &wanted.bus))
		return -1;
	while (low < high) {
		int32_t middle = low + (high - low) / 2;

		if (compare_address(&keys->items[middle], &wanted) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < keys->n && compare_address(&keys->items[low], &wanted) == 0
	               ? keys->items[low].node
	               : -1;
}

/* The number of links side by side. No device has that many; sums of it must stay numbers. */
#define MOST_LINKS 4096

static int32_t link_count(const struct xml_element *link, int32_t missing)
{
	int32_t count = nccl_int(link, "count", missing);

	return count < MOST_LINKS ? count : MOST_LINKS;
}

/* --- NVLink ------------------------------------------------------------------------------- */

/* All NVSwitches of a machine are one node, which NCCL makes when the first link leads there. */
static span_status find_nvswitch(struct nccl_reader *reader, int32_t host, int32_t *number)
{
	struct machine *machine = reader->machine;
	int32_t i;

	for (i = 0; i < machine->n_nodes; i++)
		if (machine->nodes[i].kind == SPAN_NODE_NVSWITCH) {
			*number = i;
			return SPAN_OK;
		}
	return machine_add_node(machine, SPAN_NODE_NVSWITCH, host, reader->host_nodes[host], number);
}

static span_status find_remote(struct nccl_reader *reader, const struct nccl_gpu *gpu,
                               const struct xml_element *link, int32_t *remote)
{
	int32_t host = reader->machine->nodes[gpu->node].host;

	switch (nccl_pci_type(link)) {
	case PCI_GPU:
		*remote = find_key(&reader->gpu_keys, host, nccl_text(link, "target"));
		return SPAN_OK;
	case PCI_POWER_BRIDGE:
		*remote = gpu->cpu;
		return SPAN_OK;
	default:
		return find_nvswitch(reader, host, remote);
	}
}

static span_status add_nvlink(struct nccl_reader *reader, const struct nccl_gpu *gpu,
                              const struct xml_element *link)
{
	struct machine *machine = reader->machine;
	int32_t number = gpu->node, count = link_count(link, 1);
	int32_t sm = machine->nodes[number].sm, remote;
	double bandwidth = count * nvlink_bandwidth(sm);
	span_status status;

	if (count < 1)
		return SPAN_OK;
	status = find_remote(reader, gpu, link, &remote);
	if (status)
		return status;
	if (remote < 0 || remote == number) {
		nccl_odd(reader, ODD_TARGET, link);
		return SPAN_OK;
	}
	nccl_odd(reader, ODD_NVLINK_BANDWIDTH, link);
	status = machine_add_link(machine, SPAN_LINK_NVLINK, number, remote, bandwidth, count,
	                          SPAN_CONFIDENCE_ASSUMED, "%.1f GB/s a link, assumed for sm %d",
	                          nvlink_bandwidth(sm) / 1e9, sm);
	if (!status && machine->nodes[remote].kind != SPAN_NODE_GPU)
		status = machine_add_link(machine, SPAN_LINK_NVLINK, remote, number, bandwidth,
		                          count, SPAN_CONFIDENCE_ASSUMED,
		                          "%.1f GB/s a link, assumed for sm %d",
		                          nvlink_bandwidth(sm) / 1e9, sm);
	return status;
}

static span_status add_xgmi(struct nccl_reader *reader, const struct nccl_gpu *gpu,
                            const struct xml_element *link)
{
	int32_t number = gpu->node, count = link_count(link, 1);
	int32_t host = reader->machine->nodes[number].host;
	int32_t remote = find_key(&reader->gpu_keys, host, nccl_text(link, "target"));
	const char *gfx = nccl_text(gpu->element, "gcn");

	if (count < 1)
		return SPAN_OK;
	if (remote < 0 || remote == number) {
		nccl_odd(reader, ODD_TARGET, link);
		return SPAN_OK;
	}
	nccl_odd(reader, reader->source->as_nccl ? ODD_XGMI_IGNORED : ODD_XGMI_BANDWIDTH, link);
	return machine_add_link(reader->machine, SPAN_LINK_XGMI, number, remote,
	                        count * xgmi_bandwidth(gfx), count, SPAN_CONFIDENCE_ASSUMED,
	                        "%.0f GB/s a link, assumed for gcn %.16s",
	                        xgmi_bandwidth(gfx) / 1e9, gfx);
}

/* --- C2C ---------------------------------------------------------------------------------- */

static span_status add_c2c(struct nccl_reader *reader, const struct nccl_gpu *gpu,
                           const struct xml_element *link)
{
	int32_t number = gpu->node, count = link_count(link, 0), mbps = nccl_int(link, "bw", 0);
	double bandwidth = (double)count * mbps * 1e6;
	span_status status;

	if (count < 1 || mbps < 1)
		return SPAN_OK;
	status = machine_add_link(reader->machine, SPAN_LINK_C2C, number, gpu->cpu, bandwidth,
	                          count, SPAN_CONFIDENCE_DECLARED, "c2c bw %d MB/s x%d", mbps, count);
	if (!status)
		status = machine_add_link(reader->machine, SPAN_LINK_C2C, gpu->cpu, number,
		                          bandwidth, count, SPAN_CONFIDENCE_DECLARED,
		                          "c2c bw %d MB/s x%d", mbps, count);
	return status;
}

typedef span_status add_function(struct nccl_reader *reader, const struct nccl_gpu *gpu,
                                 const struct xml_element *link);

/* The GPU that NCCL takes an element to speak of: the first one of its address. */
static const struct nccl_gpu *named_gpu(const struct nccl_reader *reader,
                                        const struct nccl_gpu *gpu)
{
	const struct graph_node *node = &reader->machine->nodes[gpu->node];
	int32_t first = find_key(&reader->gpu_keys, node->host, node->bus);

	if (reader->source->as_nccl)
		for (; gpu > reader->gpus && gpu->node != first; gpu--)
			;
	return gpu;
}

/* Add all links of one name. */
static span_status add_gpu_links(struct nccl_reader *reader, const char *name,
                                 add_function *add)
{
	const struct xml_element *link;
	span_status status = SPAN_OK;
	int32_t i;

	for (i = 0; i < reader->n_gpus; i++) {
		const struct nccl_gpu *gpu = named_gpu(reader, &reader->gpus[i]);

		for (link = reader->gpus[i].element->first; !status && link; link = link->next)
			if (strcmp(link->name, name) == 0)
				status = add(reader, gpu, link);
	}
	return status;
}

/* --- between switches, between processors ------------------------------------------------- */

/* A <pcilink> joins two switches that are one device inside: no limit, in the direction given. */
static span_status add_pci_links(struct nccl_reader *reader, const struct xml_element *element,
                                 int32_t host)
{
	const struct xml_element *child;
	span_status status = SPAN_OK;

	for (child = element->first; !status && child; child = child->next) {
		int32_t from, to;

		if (strcmp(child->name, "pci") == 0)
			status = add_pci_links(reader, child, host);
		if (strcmp(child->name, "pcilink") != 0)
			continue;
		from = find_key(&reader->pci_keys, host, nccl_text(element, "busid"));
		to = find_key(&reader->pci_keys, host, nccl_text(child, "target"));
		if (from >= 0 && to >= 0 && from != to)
			status = machine_add_link(reader->machine, SPAN_LINK_LOCAL, from, to,
			                          LINK_SPEED_LOCAL, 1, SPAN_CONFIDENCE_ASSUMED,
			                          "pcilink between switches");
		else if (to < 0)
			nccl_odd(reader, ODD_TARGET, child);
	}
	return status;
}

static span_status add_socket_links(struct nccl_reader *reader)
{
	struct machine *machine = reader->machine;
	span_status status = SPAN_OK;
	int32_t i, j;

	for (i = 0; i < machine->n_nodes; i++) {
		for (j = 0; !status && j < machine->n_nodes; j++) {
			const struct graph_node *from = &machine->nodes[i], *to = &machine->nodes[j];
			double bandwidth;

			if (from->kind != SPAN_NODE_CPU)
				break;
			if (i == j || to->kind != SPAN_NODE_CPU || from->host != to->host)
				continue;
			bandwidth = socket_bandwidth(from->arch, from->vendor, from->family,
			                             from->model);
			status = machine_add_link(machine, SPAN_LINK_SOCKET, i, j, bandwidth, 1,
			                          bandwidth < LINK_SPEED_LOCAL
			                                  ? SPAN_CONFIDENCE_ASSUMED
			                                  : SPAN_CONFIDENCE_UNKNOWN,
			                          bandwidth < LINK_SPEED_LOCAL
			                                  ? "assumed for the processor"
			                                  : "processor unknown");
		}
	}
	return status;
}

static void note_duplicates(struct nccl_reader *reader)
{
	const struct nccl_keys *keys = &reader->gpu_keys;
	struct xml_element place = { 0 };
	int32_t i;

	for (i = 1; i < keys->n; i++)
		if (compare_address(&keys->items[i - 1], &keys->items[i]) == 0) {
			place.line = reader->machine->nodes[keys->items[i].node].line;
			nccl_odd(reader, ODD_DUPLICATE, &place);
		}
}

span_status nccl_add_links(struct nccl_reader *reader)
{
	const struct machine *machine = reader->machine;
	const struct xml_element *cpu;
	span_status status;
	int32_t node = -1;

	sort_keys(&reader->gpu_keys);
	sort_keys(&reader->pci_keys);
	note_duplicates(reader);
	status = add_gpu_links(reader, "nvlink", add_nvlink);
	if (!status)
		status = add_gpu_links(reader, "xgmi", add_xgmi);
	if (!status)
		status = add_gpu_links(reader, "c2c", add_c2c);
	for (cpu = reader->root->first; !status && cpu; cpu = cpu->next) {
		if (strcmp(cpu->name, "cpu") != 0)
			continue;
		do
			node++;
		while (machine->nodes[node].kind != SPAN_NODE_CPU);
		status = add_pci_links(reader, cpu, machine->nodes[node].host);
	}
	if (!status)
		status = nccl_join_switches(reader);
	return status ? status : add_socket_links(reader);
}
