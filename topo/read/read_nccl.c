/* Reading NCCL's and RCCL's topology XML: what NCCL_TOPO_DUMP_FILE wrote, or what vendors give
 * to NCCL_TOPO_FILE. The rules are those of NCCL 2.28.9, src/graph/topo.cc. */
#include "topo/read/read_nccl.h"

#include <stdlib.h>
#include <string.h>

#include "topo/graph/link_speed.h"
#include "topo/log.h"

/* --- looking over the file ---------------------------------------------------------------- */

static span_status check_root(const struct nccl_reader *reader)
{
	const struct xml_element *root = reader->root;
	int32_t version = nccl_int(root, "version", 1);

	if (strcmp(root->name, "graphs") == 0)
		return nccl_fail(reader, root, "NCCL's search results, from NCCL_GRAPH_DUMP_FILE; "
		                               "a topology is what NCCL_TOPO_DUMP_FILE writes");
	if (strcmp(root->name, "system") != 0)
		return nccl_fail(reader, root, "the root element is <%.40s>; NCCL's topologies "
		                               "begin with <system>", root->name);
	if (version != 1 && version != 2)
		return nccl_fail(reader, root, "version %d of the format; 1 (NCCL) and 2 (RCCL) "
		                               "are known", version);
	if (!xml_child(root, "cpu"))
		return nccl_fail(reader, root, "no <cpu> in <system>; is the file complete?");
	return SPAN_OK;
}

/* What kind of file it is, by its GPUs. The depth of a document is bounded by its parser. */
static void look_at_gpus(struct nccl_reader *reader, const struct xml_element *element)
{
	const struct xml_element *child;

	for (child = element->first; child; child = child->next) {
		if (strcmp(child->name, "gpu") != 0) {
			look_at_gpus(reader, child);
			continue;
		}
		reader->template_only = false;
		reader->any_rank |= xml_value(child, "rank") != NULL;
		reader->rccl |= xml_value(child, "gcn") || xml_child(child, "xgmi");
	}
}

/* --- hosts and processors ----------------------------------------------------------------- */

/* Number of the host of a <cpu>: hosts are told apart by host_hash. NCCL reads it as a number, but
 * those who publish a file put other words there, which are compared as such. */
static span_status find_host(struct nccl_reader *reader, const struct xml_element *cpu,
                             int32_t *host)
{
	const char *hash = nccl_text(cpu, "host_hash");
	const char **hashes;
	int32_t *nodes;

	for (*host = 0; *host < reader->n_hosts; ++*host)
		if (strcmp(reader->host_hashes[*host], hash) == 0)
			return SPAN_OK;
	hashes = realloc(reader->host_hashes, (size_t)(*host + 1) * sizeof(*hashes));
	if (hashes)
		reader->host_hashes = hashes;
	nodes = realloc(reader->host_nodes, (size_t)(*host + 1) * sizeof(*nodes));
	if (nodes)
		reader->host_nodes = nodes;
	if (!hashes || !nodes)
		return span_fail(SPAN_ENOMEM, "%.128s: no memory for its hosts", reader->source->name);
	hashes[*host] = hash;
	reader->n_hosts++;
	return machine_add_node(reader->machine, SPAN_NODE_HOST, *host, -1, &nodes[*host]);
}

static int32_t cpu_arch(const char *text)
{
	if (strncmp(text, "x86_64", 6) == 0)
		return ARCH_X86;
	if (strncmp(text, "arm64", 5) == 0)
		return ARCH_ARM;
	return strncmp(text, "ppc64", 5) == 0 ? ARCH_POWER : ARCH_UNKNOWN;
}

static int32_t cpu_vendor(const char *text)
{
	if (strncmp(text, "GenuineIntel", 12) == 0)
		return VENDOR_INTEL;
	if (strncmp(text, "AuthenticAMD", 12) == 0)
		return VENDOR_AMD;
	if (strncmp(text, "CentaurHauls", 12) == 0 || strncmp(text, "  Shanghai  ", 12) == 0)
		return VENDOR_ZHAOXIN;
	return VENDOR_UNKNOWN;
}

static span_status add_cpu(struct nccl_reader *reader, const struct xml_element *cpu)
{
	struct graph_node *node;
	int32_t host, number;
	span_status status = find_host(reader, cpu, &host);

	if (!status)
		status = machine_add_node(reader->machine, SPAN_NODE_CPU, host,
		                          reader->host_nodes[host], &number);
	if (status)
		return status;
	node = &reader->machine->nodes[number];
	node->line = cpu->line;
	node->numa = nccl_int(cpu, "numaid", -1);
	node->arch = cpu_arch(nccl_text(cpu, "arch"));
	node->vendor = node->arch == ARCH_X86 ? cpu_vendor(nccl_text(cpu, "vendor")) : 0;
	node->family = nccl_int(cpu, "familyid", -1);
	node->model = nccl_int(cpu, "modelid", -1);
	if (socket_bandwidth(node->arch, node->vendor, node->family, node->model) ==
	    LINK_SPEED_LOCAL)
		nccl_odd(reader, ODD_SOCKET, cpu);
	status = machine_set_text(&node->affinity, nccl_text(cpu, "affinity"));
	return status ? status : nccl_add_below_cpu(reader, cpu, host, number);
}

/* --- templates ---------------------------------------------------------------------------- */

struct numbered {
	uint64_t bus;
	int32_t node;
};

static int compare_numbered(const void *first, const void *second)
{
	const struct numbered *a = first, *b = second;

	if (a->bus != b->bus)
		return a->bus < b->bus ? -1 : 1;
	return a->node < b->node ? -1 : 1;
}

/* Number the GPUs or ports of a template in the order of their PCI addresses, as CUDA and network
 * libraries do by default. A port has the address of its card. */
static span_status number_by_bus(struct nccl_reader *reader, span_node_kind kind)
{
	struct machine *machine = reader->machine;
	struct numbered *list = calloc((size_t)machine->n_nodes + 1, sizeof(*list));
	int32_t n = 0, i;

	if (!list)
		return span_fail(SPAN_ENOMEM, "%.128s: no memory to number its devices",
		                 reader->source->name);
	for (i = 0; i < machine->n_nodes; i++) {
		const struct graph_node *node = &machine->nodes[i];

		if (node->kind != kind)
			continue;
		list[n].node = i;
		nccl_bus(machine->nodes[kind == SPAN_NODE_NIC ? node->parent : i].bus, &list[n].bus);
		n++;
	}
	qsort(list, (size_t)n, sizeof(*list), compare_numbered);
	for (i = 0; i < n; i++) {
		machine->nodes[list[i].node].dev = i;
		if (kind == SPAN_NODE_GPU && reader->source->as_nccl)
			machine->nodes[list[i].node].rank = i;
	}
	free(list);
	return SPAN_OK;
}

/* --- all of it ---------------------------------------------------------------------------- */

static span_status read_machine(struct nccl_reader *reader)
{
	const struct xml_element *cpu;
	span_status status = topo_add_machine(reader->topo, &reader->machine);

	for (cpu = reader->root->first; !status && cpu; cpu = cpu->next)
		if (strcmp(cpu->name, "cpu") == 0)
			status = add_cpu(reader, cpu);
	if (!status && reader->template_only)
		status = number_by_bus(reader, SPAN_NODE_GPU);
	if (!status && reader->template_only)
		status = number_by_bus(reader, SPAN_NODE_NIC);
	if (!status)
		status = nccl_add_links(reader);
	if (!status)
		status = nccl_notes(reader);
	return status ? status : topo_add_place(reader->topo, 0, -1, NULL);
}

static span_status read_root(const struct source *source, const struct xml_element *root,
                             span_topo **topo)
{
	struct nccl_reader reader = { .source = source, .root = root, .template_only = true };
	span_status status = check_root(&reader);

	if (status)
		return status;
	look_at_gpus(&reader, root);
	status = topo_create(reader.rccl || nccl_int(root, "version", 1) == 2 ? "rccl-xml"
	                                                                      : "nccl-xml",
	                     source->name, source->as_nccl, &reader.topo);
	if (!status)
		status = read_machine(&reader);
	if (!status)
		*topo = reader.topo;
	else
		span_topo_free(reader.topo);
	free(reader.host_hashes);
	free(reader.host_nodes);
	free(reader.gpus);
	free(reader.gpu_keys.items);
	free(reader.pci_keys.items);
	return status;
}

span_status read_nccl_xml(const struct source *source, span_topo **topo)
{
	struct xml *xml;
	span_status status = xml_parse(source->text, source->bytes, source->name, &xml);

	if (status)
		return status;
	status = read_root(source, xml_root(xml), topo);
	xml_free(xml);
	return status;
}
