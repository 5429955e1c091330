/* The ports of network cards. Like NCCL we take ports with RDMA where the host has any, and
 * ordinary interfaces only where it has none. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "topo/host/sysfs.h"
#include "topo/read/hwloc/read_hwloc.h"

#define MOST_PORTS 8      /* of a card; the files' infos are looked up by number */
#define STATE_ACTIVE 4    /* of InfiniBand's port states */
#define NCCL_DEFAULT 1.25e9 /* bytes a second, when a port's speed is not known */

static const char *name_of(const struct hw_object *object)
{
	const char *name = xml_value(object->element, "name");

	return name ? name : "";
}

/* HPE's Slingshot, which shows itself as an Ethernet interface. */
static bool is_slingshot(const struct hw_tree *tree, const struct hw_object *object)
{
	const char *subtype = xml_value(object->element, "subtype"), *name = name_of(object);
	const struct hw_object *device = &tree->objects[object->parent];

	if (!(object->osdev & OSDEV_NETWORK))
		return false;
	return (subtype && strcmp(subtype, "Slingshot") == 0) || strncmp(name, "hsn", 3) == 0 ||
	       (device->pci_vendor == 0x17db && device->pci_device == 0x0501);
}

static bool is_port_of_pci(const struct hw_tree *tree, const struct hw_object *object)
{
	return object->type == HW_OSDEV && object->parent >= 0 &&
	       tree->objects[object->parent].type == HW_PCI;
}

bool hw_any_rdma(const struct hw_tree *tree)
{
	int32_t i;

	for (i = 0; i < tree->n_objects; i++) {
		const struct hw_object *object = &tree->objects[i];

		if (is_port_of_pci(tree, object) &&
		    (object->osdev & OSDEV_OPENFABRICS || is_slingshot(tree, object)))
			return true;
	}
	return false;
}

/* "043f:7203:00ae:a282" */
static uint64_t guid_of(const char *text)
{
	uint64_t guid = 0;
	int32_t digits = 0;

	for (; text && *text && digits < 16; text++) {
		const char *hex = "0123456789abcdef", *digit = strchr(hex, *text | 0x20);

		if (*text == ':')
			continue;
		if (!digit)
			return 0;
		guid = guid << 4 | (uint64_t)(digit - hex);
		digits++;
	}
	return guid;
}

static span_status add_port(struct hw_reader *reader, const struct hw_object *object,
                            int32_t card, int32_t port, const char *name, double speed)
{
	struct graph_node *node;
	int32_t number;
	span_status status = machine_add_node(reader->machine, SPAN_NODE_NIC, 0, card, &number);

	if (status)
		return status;
	node = &reader->machine->nodes[number];
	node->line = object->element->line;
	node->dev = node->index;
	node->port = port;
	node->speed = speed;
	node->guid = guid_of(hw_info(object->element, "SysImageGUID"));
	return machine_set_text(&node->name, name);
}

/* An InfiniBand, RoCE or Omni-Path device: its ports that are active, or, where the file has no
 * word about ports, one. */
static span_status add_rdma(struct hw_reader *reader, const struct hw_object *object, int32_t card)
{
	const char *root = reader->live ? reader->live->root : NULL, *state;
	char key[32], name[96];
	int32_t said = 0, port;
	span_status status = SPAN_OK;

	for (port = 1; !status && port <= MOST_PORTS; port++) {
		snprintf(key, sizeof(key), "Port%dState", port);
		state = hw_info(object->element, key);
		if (!state && (said || port > 1))
			continue;
		said += state != NULL;
		if (state && strtol(state, NULL, 10) != STATE_ACTIVE) {
			hw_odd(reader, HW_ODD_PORT_DOWN, -1,
			       (int32_t)(object - reader->tree->objects));
			continue;
		}
		snprintf(name, sizeof(name), port > 1 ? "%.80s:%d" : "%.80s", name_of(object), port);
		status = add_port(reader, object, card, port, name,
		                  root ? sysfs_port_rate(root, name_of(object), port) : 0);
	}
	return status;
}

span_status hw_add_ports(struct hw_reader *reader, int32_t device, int32_t card, bool rdma)
{
	const struct hw_tree *tree = reader->tree;
	const char *root = reader->live ? reader->live->root : NULL;
	int32_t i;
	span_status status = SPAN_OK;

	for (i = device + 1; !status && i < tree->objects[device].end; i++) {
		const struct hw_object *object = &tree->objects[i];

		if (object->type != HW_OSDEV || object->parent != device)
			continue;
		if (object->osdev & OSDEV_OPENFABRICS)
			status = add_rdma(reader, object, card);
		else if (object->osdev & OSDEV_NETWORK && (!rdma || is_slingshot(tree, object)))
			status = add_port(reader, object, card, -1, name_of(object),
			                  root ? sysfs_net_rate(root, name_of(object)) : 0);
	}
	return status;
}

/* Every port to its card. Where the rate is not known the card's PCIe link is the bound. */
span_status hw_link_ports(struct hw_reader *reader)
{
	struct machine *machine = reader->machine;
	int32_t i;
	span_status status = SPAN_OK;

	for (i = 0; !status && i < machine->n_nodes; i++) {
		const struct graph_node *node = &machine->nodes[i];
		struct hw_uplink rate = { .bandwidth = node->speed,
		                          .confidence = SPAN_CONFIDENCE_DECLARED,
		                          .provenance = "line rate in sysfs" };

		if (node->kind != SPAN_NODE_NIC)
			continue;
		if (node->speed <= 0) {
			hw_odd(reader, HW_ODD_PORT_SPEED, i, -1);
			rate = reader->uplinks[node->parent];
			rate.confidence = SPAN_CONFIDENCE_UNKNOWN;
			if (reader->as_nccl)
				rate.bandwidth = NCCL_DEFAULT;
			snprintf(rate.provenance, sizeof(rate.provenance),
			         "line rate not known, a place holder");
		}
		status = hw_link_both(reader, SPAN_LINK_NETWORK, node->parent, i, &rate, 1);
	}
	return status;
}
