/* Writing a machine as NCCL's topology XML. */
#include <stdlib.h>
#include <string.h>

#include "topo/graph/link_speed.h"
#include "topo/log.h"
#include "topo/write/write.h"
#include "topo/write/write_nccl.h"

/* Trees deeper than this would not be read back. */
#define MOST_DEPTH 100

/* --- words -------------------------------------------------------------------------------- */

void nccl_write_text(FILE *file, const char *name, const char *text)
{
	fprintf(file, " %s=\"", name);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '&')
			fputs("&amp;", file);
		else if (c == '<')
			fputs("&lt;", file);
		else if (c == '"')
			fputs("&quot;", file);
		else
			fputc(c < ' ' ? ' ' : c, file);
	}
	fputc('"', file);
}

void nccl_indent(FILE *file, int depth)
{
	fprintf(file, "%*s", 2 * depth, "");
}

/* --- devices ------------------------------------------------------------------------------ */

static span_status write_gpu(struct nccl_writer *writer, int32_t number, int depth)
{
	const struct graph_node *node = &writer->machine->nodes[number];
	FILE *file = writer->file;
	span_status status;

	nccl_indent(file, depth);
	fprintf(file, "<gpu dev=\"%d\" sm=\"%d\"", node->dev >= 0 ? node->dev : node->index,
	        nccl_sm_of(writer, number));
	if (strncmp(node->name, "gfx", 3) == 0)
		nccl_write_text(file, "gcn", node->name);
	fprintf(file, " rank=\"%d\" gdr=\"%d\">\n", writer->ranked ? node->rank : writer->gpus,
	        node->gdr != 0);
	writer->gpus++;
	status = nccl_write_gpu_links(writer, number, depth + 1);
	nccl_indent(file, depth);
	fprintf(file, "</gpu>\n");
	return status;
}

static void write_port(struct nccl_writer *writer, int32_t card, int32_t number, int depth)
{
	const struct graph_node *node = &writer->machine->nodes[number];
	const struct graph_link *link = nccl_find_link(writer->machine, SPAN_LINK_NETWORK, card,
	                                               number);
	double bandwidth = link ? link->bandwidth : node->speed;
	FILE *file = writer->file;

	nccl_indent(file, depth);
	fprintf(file, "<net");
	nccl_write_text(file, "name", node->name);
	if (node->dev >= 0 || !writer->as_nccl)
		fprintf(file, " dev=\"%d\"", node->dev >= 0 ? node->dev : writer->ports);
	fprintf(file, " latency=\"%.6f\" speed=\"%.0f\" port=\"%d\" guid=\"0x%llx\"",
	        node->latency * 1e6, bandwidth / 125e3, node->port >= 0 ? node->port : 0,
	        node->guid ? (unsigned long long)node->guid : 0x1000ull + (unsigned)number);
	/* NCCL 2.31 and later insist on rail and plane. */
	fprintf(file, " maxconn=\"131072\" gdr=\"%d\" rail=\"%d\" plane=\"-1\"/>\n",
	        node->gdr != 0, node->rail);
	writer->ports++;
}

static void write_card(struct nccl_writer *writer, int32_t number, int depth)
{
	int32_t port;

	nccl_indent(writer->file, depth);
	fprintf(writer->file, "<nic>\n");
	for (port = writer->first[number]; port >= 0; port = writer->next[port])
		if (writer->machine->nodes[port].kind == SPAN_NODE_NIC)
			write_port(writer, number, port, depth + 1);
	nccl_indent(writer->file, depth);
	fprintf(writer->file, "</nic>\n");
}

/* A class with which NCCL takes the device for what it is here. */
static uint32_t class_of(const struct graph_node *node)
{
	uint32_t base = node->pci_class >> 16, sub = node->pci_class >> 8;

	if (node->kind == SPAN_NODE_GPU)
		return node->pci_class ? node->pci_class : 0x030200;
	if (node->kind == SPAN_NODE_CARD)
		return node->pci_class ? node->pci_class : 0x020000;
	return !base || base == 2 || base == 3 || sub == 0x0680 ? 0x060400 : node->pci_class;
}

static void write_pci_tag(const struct nccl_writer *writer, int32_t number, int depth)
{
	const struct graph_node *node = &writer->machine->nodes[number];
	char invented[24];

	nccl_indent(writer->file, depth);
	fprintf(writer->file, "<pci");
	nccl_write_text(writer->file, "busid", nccl_bus_of(writer, number, invented));
	fprintf(writer->file, " class=\"0x%06x\" vendor=\"0x%04x\" device=\"0x%04x\"",
	        class_of(node), node->pci_vendor, node->pci_device);
	fprintf(writer->file, " subsystem_vendor=\"0x%04x\" subsystem_device=\"0x%04x\"",
	        node->pci_subsystem >> 16, node->pci_subsystem & 0xffff);
	nccl_write_pci_link(writer, number);
	fprintf(writer->file, ">\n");
}

static void write_switch_links(const struct nccl_writer *writer, int32_t number, int depth)
{
	const struct machine *machine = writer->machine;
	char invented[24];
	int32_t i;

	for (i = machine->nodes[number].last_link; i >= 0; i = machine->links[i].earlier) {
		const struct graph_link *link = &machine->links[i];

		if (link->link_class != SPAN_LINK_LOCAL ||
		    machine->nodes[link->to].kind != SPAN_NODE_PCI)
			continue;
		nccl_indent(writer->file, depth);
		fprintf(writer->file, "<pcilink");
		nccl_write_text(writer->file, "target", nccl_bus_of(writer, link->to, invented));
		fprintf(writer->file, "/>\n");
	}
}

/* A card of no address directly below a processor, which NCCL takes as not limited by PCIe. */
static bool virtual_card(const struct nccl_writer *writer, int32_t number)
{
	const struct graph_node *node = &writer->machine->nodes[number];
	const struct graph_link *link;

	if (node->kind != SPAN_NODE_CARD || *node->bus || node->parent < 0 ||
	    writer->machine->nodes[node->parent].kind != SPAN_NODE_CPU)
		return false;
	link = nccl_find_link(writer->machine, SPAN_LINK_PCI, number, node->parent);
	return link && link->bandwidth >= LINK_SPEED_LOCAL;
}

static span_status write_below(struct nccl_writer *writer, int32_t parent, int depth);

static span_status write_pci(struct nccl_writer *writer, int32_t number, int depth)
{
	span_node_kind kind = writer->machine->nodes[number].kind;
	span_status status = SPAN_OK;

	if (virtual_card(writer, number)) {
		write_card(writer, number, depth);
		return SPAN_OK;
	}
	write_pci_tag(writer, number, depth);
	if (kind == SPAN_NODE_GPU)
		status = write_gpu(writer, number, depth + 1);
	else if (kind == SPAN_NODE_CARD)
		write_card(writer, number, depth + 1);
	else
		status = write_below(writer, number, depth + 1);
	if (kind == SPAN_NODE_PCI)
		write_switch_links(writer, number, depth + 1);
	nccl_indent(writer->file, depth);
	fprintf(writer->file, "</pci>\n");
	return status;
}

static span_status write_below(struct nccl_writer *writer, int32_t parent, int depth)
{
	span_status status = SPAN_OK;
	int32_t child;

	if (depth > MOST_DEPTH)
		return span_fail(SPAN_EUNSUPPORTED, "convert: devices nested deeper than %d; NCCL's "
		                 "format is not made for that", MOST_DEPTH);
	for (child = writer->first[parent]; !status && child >= 0; child = writer->next[child]) {
		span_node_kind kind = writer->machine->nodes[child].kind;

		if (kind == SPAN_NODE_GPU || kind == SPAN_NODE_CARD || kind == SPAN_NODE_PCI)
			status = write_pci(writer, child, depth);
	}
	return status;
}

/* --- processors --------------------------------------------------------------------------- */

static span_status write_cpu(struct nccl_writer *writer, int32_t number)
{
	static const char *const archs[] = { "unknown", "x86_64", "ppc64", "arm64" };
	static const char *const vendors[] = { "unknown", "GenuineIntel", "AuthenticAMD",
	                                       "CentaurHauls" };
	const struct graph_node *node = &writer->machine->nodes[number];
	FILE *file = writer->file;
	span_status status;

	fprintf(file, "  <cpu");
	if (writer->machine->n_hosts > 1)
		fprintf(file, " host_hash=\"0x%x\"", (unsigned)node->host + 1);
	fprintf(file, " numaid=\"%d\"",
	        node->numa >= 0 || writer->as_nccl ? node->numa : node->index);
	if (*node->affinity)
		nccl_write_text(file, "affinity", node->affinity);
	fprintf(file, " arch=\"%s\"", archs[node->arch]);
	if (node->arch == ARCH_X86)
		fprintf(file, " vendor=\"%s\" familyid=\"%d\" modelid=\"%d\"",
		        vendors[node->vendor], node->family, node->model);
	fprintf(file, ">\n");
	status = write_below(writer, number, 2);
	fprintf(file, "  </cpu>\n");
	return status;
}

/* The processor that stands in for a parent NCCL knows nothing of: the first one of the host. */
static int32_t adopted_by(const struct machine *machine, int32_t number)
{
	const struct graph_node *node = &machine->nodes[number];
	int32_t i;

	if (node->parent >= 0 && machine->nodes[node->parent].kind != SPAN_NODE_HOST &&
	    machine->nodes[node->parent].kind != SPAN_NODE_PACKAGE)
		return node->parent;
	for (i = 0; i < machine->n_nodes; i++)
		if (machine->nodes[i].kind == SPAN_NODE_CPU && machine->nodes[i].host == node->host)
			return i;
	return -1;
}

static span_status list_children(struct nccl_writer *writer)
{
	const struct machine *machine = writer->machine;
	size_t bytes = ((size_t)machine->n_nodes + 1) * sizeof(*writer->first);
	int32_t i, parent;

	writer->first = malloc(bytes);
	writer->next = malloc(bytes);
	if (!writer->first || !writer->next)
		return span_fail(SPAN_ENOMEM, "convert: no memory for %d nodes", machine->n_nodes);
	memset(writer->first, -1, bytes);
	memset(writer->next, -1, bytes);
	writer->ranked = true;
	for (i = 0; i < machine->n_links; i++)
		writer->xgmi |= machine->links[i].link_class == SPAN_LINK_XGMI;
	for (i = machine->n_nodes - 1; i >= 0; i--) {
		span_node_kind kind = machine->nodes[i].kind;

		if (kind == SPAN_NODE_GPU && machine->nodes[i].rank < 0)
			writer->ranked = false;
		parent = kind == SPAN_NODE_CPU ? -1 : adopted_by(machine, i);
		if (parent < 0)
			continue;
		writer->next[i] = writer->first[parent];
		writer->first[parent] = i;
	}
	return SPAN_OK;
}

static span_status write_machine(struct nccl_writer *writer)
{
	span_status status = list_children(writer);
	int32_t i;

	if (status)
		return status;
	fprintf(writer->file, "<system version=\"%d\">\n", writer->xgmi ? 2 : 1);
	for (i = 0; !status && i < writer->machine->n_nodes; i++)
		if (writer->machine->nodes[i].kind == SPAN_NODE_CPU)
			status = write_cpu(writer, i);
	fprintf(writer->file, "</system>\n");
	return status;
}

span_status topo_write_nccl(const span_topo *topo, int32_t host, FILE *file)
{
	struct nccl_writer writer = { .file = file, .as_nccl = topo->as_nccl };
	span_status status;
	int32_t i;

	for (i = 0; i < topo->n_places; i++) {
		const struct place *place = &topo->places[i];
		const struct machine *machine = topo->machines[place->machine];

		if (host >= place->first_host && host < place->first_host + machine->n_hosts)
			writer.machine = machine;
	}
	if (!writer.machine)
		return span_fail(SPAN_EINVAL, "convert: host %d; there are 0 to %d", host,
		                 span_topo_hosts(topo) - 1);
	status = write_machine(&writer);
	free(writer.first);
	free(writer.next);
	if (!status && ferror(file))
		status = span_fail(SPAN_EIO, "convert: writing failed");
	return status;
}
