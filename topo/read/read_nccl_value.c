/* What attributes of NCCL's topology XML say, and what is told about the odd ones. */
#include "topo/read/read_nccl.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"

/* NCCL compares only as many characters as its own words have, so "0x068000" also stands for
 * what begins so. Of its classes 0x060400 and 0x080100 are bridges, as is everything unknown. */
static const struct {
	const char *prefix;
	enum pci_type type;
} pci_types[] = {
	{ "0x068000", PCI_NVSWITCH },
	{ "0x068001", PCI_POWER_BRIDGE },
	{ "0x03", PCI_GPU },
	{ "0x02", PCI_NETWORK },
};

int32_t nccl_int(const struct xml_element *element, const char *name, int32_t missing)
{
	const char *text = xml_value(element, name);
	long value;

	if (!text)
		return missing;
	value = strtol(text, NULL, 0);
	if (value > INT32_MAX)
		return INT32_MAX;
	return value < -INT32_MAX ? -INT32_MAX : (int32_t)value;
}

const char *nccl_text(const struct xml_element *element, const char *name)
{
	const char *text = xml_value(element, name);

	return text ? text : "";
}

enum pci_type nccl_pci_type(const struct xml_element *pci)
{
	const char *class_text = nccl_text(pci, strcmp(pci->name, "pci") == 0 ? "class" : "tclass");
	size_t i;

	for (i = 0; i < sizeof(pci_types) / sizeof(pci_types[0]); i++)
		if (strncmp(class_text, pci_types[i].prefix, strlen(pci_types[i].prefix)) == 0)
			return pci_types[i].type;
	return PCI_BRIDGE;
}

bool nccl_bus(const char *text, uint64_t *bus)
{
	char digits[17];
	int n = 0;

	for (; *text && n < 16; text++) {
		if (*text == ':' || *text == '.')
			continue;
		if (!strchr("0123456789abcdefABCDEF", *text))
			break;
		digits[n++] = *text;
	}
	digits[n] = '\0';
	/* A host takes the upper 8 of NCCL's 64 bits. */
	*bus = strtoull(digits, NULL, 16) & UINT64_C(0x00ffffffffffffff);
	return n > 0;
}

span_status nccl_fail(const struct nccl_reader *reader, const struct xml_element *element,
                      const char *format, ...)
{
	char message[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	return span_fail(SPAN_EPARSE, "%.128s:%d: %s", reader->source->name, element->line, message);
}

/* --- notes -------------------------------------------------------------------------------- */

/* For each oddity what the picture shows, and what it shows as NCCL would have it; NULL: nothing
 * is told. */
static const struct {
	const char *shown, *as_nccl;
	bool corrected; /* by what is shown */
} oddities[ODD_KINDS] = {
	[ODD_WIDTH] = { "link_width is 0 or impossible; taken as 16 lanes",
	                "link_width is 0 or impossible; NCCL takes 0 as 16 lanes", true },
	[ODD_SPEED] = { "link_speed is missing or unknown; assumed from what the device is",
	                "link_speed is missing or unknown; NCCL takes it as Gen3", true },
	[ODD_IDLE_DEVICE] = { "a device that can do more claims PCIe Gen1, as idle or virtual ones "
	                      "do; taken at its generation",
	                      "a device that can do more claims PCIe Gen1; NCCL believes it", true },
	[ODD_IDLE_UPLINK] = { "a bridge claims Gen1 or one lane above a faster device, as idle or "
	                      "virtual ones do; taken as fast as the device",
	                      "a bridge claims Gen1 or one lane above a faster device; NCCL "
	                      "believes it", true },
	[ODD_NET_SPEED] = { "the speed of a port is above 10 Tb/s, as RCCL wrote it in kb/s; divided "
	                    "by 1000",
	                    "the speed of a port is above 10 Tb/s; NCCL believes it", true },
	[ODD_NET_UNKNOWN] = { "a port has no speed; it is as fast as its PCIe link here",
	                      "a port has no speed; NCCL takes it as 10 Gb/s", false },
	[ODD_SM] = { "a GPU has no compute capability (sm); its generation is unknown",
	             "a GPU has no compute capability (sm); its generation is unknown", false },
	[ODD_NO_RANK] = { "a GPU has no rank while others do: it is no part of the job",
	                  "a GPU has no rank while others do: NCCL leaves it out", false },
	[ODD_RANKS_ASSUMED] = { NULL, "no GPU has a rank; counted in the order of the file", false },
	[ODD_TEMPLATE_GPU] = { "a template without <gpu>: devices of class 0x03 were taken for GPUs; "
	                       "NVLinks are unknown, numbers follow PCI addresses",
	                       "a template without <gpu>: devices of class 0x03 were taken for GPUs; "
	                       "NVLinks are unknown, numbers follow PCI addresses", false },
	[ODD_TEMPLATE_NIC] = { "a template without <net>: devices of class 0x02 were taken for "
	                       "network cards of one port",
	                       "a template without <net>: devices of class 0x02 were taken for "
	                       "network cards of one port", false },
	[ODD_UNCLASSED] = { "a template that does not say what its devices are (no class): a GPU or "
	                    "network card may be among them; NCCL asks the running machine",
	                    "a template that does not say what its devices are (no class): a GPU or "
	                    "network card may be among them; NCCL asks the running machine", false },
	[ODD_TARGET] = { "the target of a GPU link is not in the file; the link was left out",
	                 "the target of a GPU link is not in the file; the link was left out", false },
	[ODD_NVLINK_BANDWIDTH] = { "bandwidth of NVLinks is what NCCL assumes for the compute "
	                           "capability", NULL, false },
	[ODD_XGMI_IGNORED] = { NULL, "xgmi links: NVIDIA's NCCL does not know them", false },
	[ODD_XGMI_BANDWIDTH] = { "bandwidth of xGMI links is what RCCL assumes for the GPU; NVIDIA's "
	                         "NCCL would not see them", NULL, true },
	[ODD_SOCKET] = { "the processor is unknown, and so is what its NUMA nodes share",
	                 "the processor is unknown; NCCL takes 5000 GB/s between its NUMA nodes",
	                 false },
	[ODD_BROADCOM] = { "a Broadcom switch shows itself as two levels; joined into one, as NCCL "
	                   "does", NULL, true },
	[ODD_DUPLICATE] = { "a GPU has the PCI address of another one",
	                    "a GPU has the PCI address of another one; NCCL mixes up their paths",
	                    false },
	[ODD_NO_DEV] = { "a port has no dev: it is no part of the job",
	                 "a port has no dev: NCCL leaves it out", false },
};

void nccl_odd(struct nccl_reader *reader, enum nccl_oddity kind,
              const struct xml_element *element)
{
	if (!reader->odd_count[kind]++)
		reader->odd_line[kind] = element->line;
}

span_status nccl_notes(struct nccl_reader *reader)
{
	bool as_nccl = reader->source->as_nccl;
	span_status status = SPAN_OK;
	int kind;

	for (kind = 0; !status && kind < ODD_KINDS; kind++) {
		const char *words = as_nccl ? oddities[kind].as_nccl : oddities[kind].shown;
		char place[192];

		if (!reader->odd_count[kind] || !words)
			continue;
		snprintf(place, sizeof(place), "%.160s:%d", reader->source->name,
		         reader->odd_line[kind]);
		status = topo_note(reader->topo, place, oddities[kind].corrected && !as_nccl,
		                   "%s (%d of them)", words, reader->odd_count[kind]);
	}
	return status;
}
