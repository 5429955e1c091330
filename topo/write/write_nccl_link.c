/* Links in NCCL's topology XML. NCCL derives bandwidths from generations, so a link becomes the
 * generation and width, or the number of NVLinks, that comes nearest. */
#include "topo/write/write_nccl.h"

#include <stdlib.h>

#include "topo/graph/link_speed.h"
#include "topo/log.h"

const char *nccl_bus_of(const struct nccl_writer *writer, int32_t number, char invented[24])
{
	const char *bus = writer->machine->nodes[number].bus;

	if (*bus)
		return bus;
	snprintf(invented, 24, "ffff:%02x:%02x.0", (number >> 5) & 0xff, number & 0x1f);
	return invented;
}

/* --- links -------------------------------------------------------------------------------- */

const struct graph_link *nccl_find_link(const struct machine *machine,
                                        span_link_class link_class, int32_t from, int32_t to)
{
	int32_t i;

	for (i = machine->nodes[from].last_link; i >= 0; i = machine->links[i].earlier)
		if (machine->links[i].link_class == link_class && machine->links[i].to == to)
			return &machine->links[i];
	return NULL;
}

/* The generation and width whose bandwidth is nearest. Of equal ones a usual width, then the first
 * generation here: readers take Gen1 for a sign that a link is idle. */
#define USUAL_WIDTHS 4

static void nearest_pcie(double bandwidth, int32_t *generation, int32_t *width)
{
	static const double rates[] = { 8, 16, 32, 64, 5, 2.5 };
	static const int32_t widths[] = { 16, 8, 4, 2, 32, 12, 1 };
	double best = -1;
	size_t g, w;

	for (g = 0; g < sizeof(rates) / sizeof(rates[0]); g++)
		for (w = 0; w < sizeof(widths) / sizeof(widths[0]); w++) {
			double error = pcie_bandwidth(rates[g], widths[w]) / bandwidth;

			error = error < 1 ? 1 / error : error;
			error += 1e-7 * (w >= USUAL_WIDTHS);
			if (best >= 0 && error >= best)
				continue;
			best = error;
			*generation = pcie_generation(rates[g]);
			*width = widths[w];
		}
}

void nccl_write_pci_link(const struct nccl_writer *writer, int32_t number)
{
	static const char *const speeds[] = { "2.5", "5.0", "8.0", "16.0", "32.0", "64.0" };
	const struct graph_node *node = &writer->machine->nodes[number];
	const struct graph_link *link = NULL;
	int32_t generation = 3, width = 16;

	if (node->parent >= 0)
		link = nccl_find_link(writer->machine, SPAN_LINK_PCI, number, node->parent);
	if (link && link->bandwidth > 0)
		nearest_pcie(link->bandwidth, &generation, &width);
	fprintf(writer->file, " link_speed=\"%s GT/s PCIe\" link_width=\"%d\"",
	        speeds[generation - 1], width);
}

static double nvlink_error(double bandwidth, int32_t sm)
{
	double one = nvlink_bandwidth(sm), count = (double)(int64_t)(bandwidth / one + 0.5);
	double written = one * (count < 1 ? 1 : count);

	return written > bandwidth ? written / bandwidth : bandwidth / written;
}

int32_t nccl_sm_of(const struct nccl_writer *writer, int32_t number)
{
	static const int32_t known[] = { 80, 90, 100 };
	const struct machine *machine = writer->machine;
	int32_t sm = machine->nodes[number].sm, i;
	double bandwidth = 0;
	size_t k;

	if (sm > 0)
		return sm;
	for (i = machine->nodes[number].last_link; i >= 0; i = machine->links[i].earlier)
		if (machine->links[i].link_class == SPAN_LINK_NVLINK &&
		    machine->links[i].bandwidth > bandwidth)
			bandwidth = machine->links[i].bandwidth;
	sm = known[0];
	for (k = 1; bandwidth > 0 && k < sizeof(known) / sizeof(known[0]); k++)
		if (nvlink_error(bandwidth, known[k]) < nvlink_error(bandwidth, sm))
			sm = known[k];
	return sm;
}

static void write_nvlink(const struct nccl_writer *writer, const struct graph_link *link)
{
	const struct graph_node *to = &writer->machine->nodes[link->to];
	int64_t count = (int64_t)(link->bandwidth / nvlink_bandwidth(nccl_sm_of(writer, link->from)) +
	                          0.5);
	char invented[24];

	if (link->bandwidth <= 0)
		count = link->count;
	fprintf(writer->file, "<nvlink");
	if (to->kind == SPAN_NODE_GPU)
		nccl_write_text(writer->file, "target", nccl_bus_of(writer, link->to, invented));
	else
		fprintf(writer->file, " target=\"%s\"",
		        to->kind == SPAN_NODE_CPU ? "0000:00:00.0" : "fffffff:ffff:ff");
	fprintf(writer->file, " count=\"%d\" tclass=\"%s\"/>\n", count < 1 ? 1 : (int)count,
	        to->kind == SPAN_NODE_GPU   ? "0x030200"
	        : to->kind == SPAN_NODE_CPU ? "0x068001"
	                                    : "0x068000");
}

static void write_gpu_link(const struct nccl_writer *writer, const struct graph_link *link, int depth)
{
	char invented[24];

	switch (link->link_class) {
	case SPAN_LINK_NVLINK:
		nccl_indent(writer->file, depth);
		write_nvlink(writer, link);
		break;
	case SPAN_LINK_XGMI:
		nccl_indent(writer->file, depth);
		fprintf(writer->file, "<xgmi");
		nccl_write_text(writer->file, "target", nccl_bus_of(writer, link->to, invented));
		fprintf(writer->file, " count=\"%d\" tclass=\"0x%06x\"/>\n", link->count,
		        writer->machine->nodes[link->to].pci_class);
		break;
	case SPAN_LINK_C2C:
		nccl_indent(writer->file, depth);
		fprintf(writer->file, "<c2c bw=\"%.0f\" count=\"%d\"/>\n",
		        link->bandwidth / 1e6 / (link->count > 0 ? link->count : 1),
		        link->count > 0 ? link->count : 1);
		break;
	default:
		break;
	}
}

span_status nccl_write_gpu_links(const struct nccl_writer *writer, int32_t number, int depth)
{
	const struct machine *machine = writer->machine;
	int32_t total = 0, n, i, *list;

	for (i = machine->nodes[number].last_link; i >= 0; i = machine->links[i].earlier)
		total++;
	list = calloc((size_t)total + 1, sizeof(*list));
	if (!list)
		return span_fail(SPAN_ENOMEM, "convert: no memory for %d links", total);
	n = total;
	for (i = machine->nodes[number].last_link; i >= 0; i = machine->links[i].earlier)
		list[--n] = i;
	for (n = 0; n < total; n++)
		write_gpu_link(writer, &machine->links[list[n]], depth);
	free(list);
	return SPAN_OK;
}
