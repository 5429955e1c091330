/* What the reader of hwloc's objects noticed, in words: one note a kind. */
#include <stdio.h>

#include "topo/read/hwloc/read_hwloc.h"

struct words {
	bool corrected;       /* in the default view */
	const char *text;     /* %d: how many; %s: version of hwloc that wrote the file */
	const char *as_nccl;  /* the same where nothing is corrected; NULL: the same words */
};

static const struct words words[HW_ODD_KINDS] = {
	[HW_ODD_IDLE] = { true,
		"PCIe links at the speed of Gen1 or Gen2 beside a faster end: %d; asleep when they "
		"were looked at, counted at the faster end's speed: look again under load to be sure",
		"PCIe links at the speed of Gen1 or Gen2 beside a faster end: %d; perhaps asleep "
		"when they were looked at" },
	[HW_ODD_NARROW] = { false,
		"PCIe links with fewer lanes at the port than at the device: %d; counted as they are: "
		"if that is not how the board is made, look at slot, riser and lspci -vv", NULL },
	[HW_ODD_CAPPED] = { true,
		"GPUs at PCIe Gen3 below a faster port: %d; hwloc %s knows no more of NVIDIA's: "
		"counted at the port's speed; capture with hwloc 2.11 or later to be sure",
		"GPUs at PCIe Gen3 below a faster port: %d; hwloc %s knows no more of NVIDIA's" },
	[HW_ODD_NO_SPEED] = { false,
		"PCIe links of unknown speed: %d; Gen3 x16 is a place holder: a virtual machine does "
		"not know better, on a real one capture as root", NULL },
	[HW_ODD_VIRTUAL_PORT] = { true,
		"ports of an emulator (QEMU) above devices: %d; their speed means nothing, the "
		"device's counts",
		"ports of an emulator (QEMU) above devices: %d; their speed means nothing" },
	[HW_ODD_BROADCOM] = { true,
		"lower levels of Broadcom switches joined with the upper one: %d; such a switch "
		"carries its full bandwidth between all ports, as NCCL counts it", NULL },
	[HW_ODD_NO_LOCALITY] = { false,
		"devices that hang from the machine and not from a processor: %d; their locality is "
		"not known (usual in virtual machines), the first NUMA node is a place holder: "
		"HWLOC_PCI_LOCALITY or the provider's topology file tells it", NULL },
	[HW_ODD_WIDE_LOCALITY] = { false,
		"devices that hang from a package of several NUMA nodes: %d; the first of them is "
		"assumed", NULL },
	[HW_ODD_MEMORY_ONLY] = { false,
		"NUMA nodes that add memory and no processors (of GPUs, HBM, CXL): %d; left out",
		NULL },
	[HW_ODD_PARTITIONED] = { false,
		"GPUs that are several devices to their driver (partitions or tiles): %d; each "
		"counted once, as what shares a PCIe link", NULL },
	[HW_ODD_PORT_DOWN] = { false,
		"network ports that are not active: %d; left out, as NCCL does", NULL },
	[HW_ODD_PORT_SPEED] = { false,
		"network ports of unknown line rate: %d; the card's PCIe link is the bound: hwloc's "
		"XML has no rates, a live host that is no virtual machine does",
		"network ports of unknown line rate: %d; NCCL takes 10 Gb/s" },
	[HW_ODD_DOUBLED] = { true,
		"pairs whose NVLink is halved: %d; hwloc %s counts 50 GB/s for a link of an A100, "
		"which has 25 (right since hwloc 2.9.1)",
		"pairs whose NVLink is doubled: %d; hwloc %s counts 50 GB/s for a link of an A100, "
		"which has 25" },
	[HW_ODD_NO_NVLINK] = { false,
		"GPUs that have NVLink, of which hwloc %s says nothing: %d; paths over PCIe are "
		"shown. hwloc with NVML (2.12 or later for H100 and B200) writes it, and so does the "
		"text of: nvidia-smi topo -m", NULL },
	[HW_ODD_C2C] = { false,
		"GPUs that hang from their processor by NVLink-C2C, which hwloc does not know: %d; "
		"paths over PCIe are shown; NCCL_TOPO_DUMP_FILE=FILE writes it", NULL },
	[HW_ODD_XGMI] = { false,
		"pairs of GPUs whose xGMI bandwidth is not known: %d; hwloc writes 100 GB/s for any, "
		"however many links there are, one each is assumed. The text of: rocm-smi "
		"--showtopo, or RCCL's topology dump, has more", NULL },
	[HW_ODD_SOCKET] = { false,
		"NUMA nodes between which no bandwidth is known for their processors: %d; taken as "
		"no limit, as NCCL does", NULL },
};

void hw_odd(struct hw_reader *reader, enum hw_oddity kind, int32_t node, int32_t object)
{
	char *place = reader->odd_place[kind];
	size_t room = sizeof(reader->odd_place[kind]);
	const struct graph_node *found;

	if (reader->odd_count[kind]++)
		return;
	if (node < 0) {
		snprintf(place, room, "line %d", reader->tree->objects[object].element->line);
		return;
	}
	found = &reader->machine->nodes[node];
	snprintf(place, room, "h0/%s%d", span_node_kind_name(found->kind), found->index);
}

/* The words with %d and %s in them filled in; a kind says how many, and perhaps the version. */
static void write_words(const struct hw_reader *reader, const char *format, int32_t count,
                        char *text, size_t room)
{
	size_t used = 0;

	for (; *format && used + 1 < room; format++) {
		int n = 1;

		if (format[0] == '%' && format[1] == 'd')
			n = snprintf(text + used, room - used, "%d", count);
		else if (format[0] == '%' && format[1] == 's')
			n = snprintf(text + used, room - used, "%.40s", reader->tree->version_text);
		else
			text[used] = *format;
		format += *format == '%';
		used += n > 0 ? (size_t)n : 0;
	}
	text[used < room ? used : room - 1] = '\0';
}

span_status hw_notes(struct hw_reader *reader)
{
	span_status status = SPAN_OK;
	char text[400];
	int32_t i;

	for (i = 0; !status && i < HW_ODD_KINDS; i++) {
		bool plain = reader->as_nccl && words[i].as_nccl;

		if (!reader->odd_count[i])
			continue;
		write_words(reader, plain ? words[i].as_nccl : words[i].text, reader->odd_count[i],
		            text, sizeof(text));
		status = topo_note(reader->topo, reader->odd_place[i],
		                   words[i].corrected && !plain, "%s", text);
	}
	return status;
}
