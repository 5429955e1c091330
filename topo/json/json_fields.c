/* What nodes and links are in JSON: one table for writing and reading. */
#include <stddef.h>
#include <stdint.h>

#include "topo/json/json.h"

static const char *const arch_words[] = { "unknown", "x86", "power", "arm", NULL };
static const char *const vendor_words[] = { "unknown", "intel", "amd", "zhaoxin", NULL };
static const char *const confidence_words[] = { "unknown", "assumed", "declared", "measured",
	                                        NULL };

#define NODE(field) offsetof(struct graph_node, field)
#define LINK(field) offsetof(struct graph_link, field)

const struct json_field json_node_fields[] = {
	{ "name", FIELD_TEXT, NODE(name), 0, 0, 0, NULL },
	{ "bus", FIELD_TEXT, NODE(bus), 0, 0, 0, NULL },
	{ "dev", FIELD_INT, NODE(dev), -1, -1, INT32_MAX, NULL },
	{ "rank", FIELD_INT, NODE(rank), -1, -1, INT32_MAX, NULL },
	{ "numa", FIELD_INT, NODE(numa), -1, -1, INT32_MAX, NULL },
	{ "arch", FIELD_WORD, NODE(arch), 0, 0, 0, arch_words },
	{ "vendor", FIELD_WORD, NODE(vendor), 0, 0, 0, vendor_words },
	{ "family", FIELD_INT, NODE(family), -1, -1, INT32_MAX, NULL },
	{ "model", FIELD_INT, NODE(model), -1, -1, INT32_MAX, NULL },
	{ "affinity", FIELD_TEXT, NODE(affinity), 0, 0, 0, NULL },
	{ "pci_class", FIELD_HEX, NODE(pci_class), 0, 0, 0, NULL },
	{ "pci_vendor", FIELD_HEX, NODE(pci_vendor), 0, 0, 0, NULL },
	{ "pci_device", FIELD_HEX, NODE(pci_device), 0, 0, 0, NULL },
	{ "pci_subsystem", FIELD_HEX, NODE(pci_subsystem), 0, 0, 0, NULL },
	{ "sm", FIELD_INT, NODE(sm), 0, 0, INT32_MAX, NULL },
	{ "gdr", FIELD_INT, NODE(gdr), -1, -1, 1, NULL },
	{ "port", FIELD_INT, NODE(port), -1, -1, INT32_MAX, NULL },
	{ "rail", FIELD_INT, NODE(rail), -1, -1, INT32_MAX, NULL },
	{ "speed", FIELD_REAL, NODE(speed), 0, 0, 0, NULL },
	{ "latency", FIELD_REAL, NODE(latency), 0, 0, 0, NULL },
	{ "memory", FIELD_REAL, NODE(memory), 0, 0, 0, NULL },
	{ "guid", FIELD_GUID, NODE(guid), 0, 0, 0, NULL },
	{ 0 },
};

const struct json_field json_link_fields[] = {
	{ "count", FIELD_INT, LINK(count), 1, 0, INT32_MAX, NULL },
	{ "bandwidth", FIELD_REAL, LINK(bandwidth), 0, 0, 0, NULL },
	{ "latency", FIELD_REAL, LINK(latency), 0, 0, 0, NULL },
	{ "confidence", FIELD_WORD, LINK(confidence), 0, 0, 0, confidence_words },
	{ 0 },
};
