/* PCI devices: GPUs, cards, and the bridges above them, as NCCL sees those.
 *
 * NCCL walks up from a device two steps at a time: the port it is plugged in belongs to the
 * switch, whose upper end is one node; a port of the processor itself is none. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "topo/graph/gpu_model.h"
#include "topo/read/hwloc/read_hwloc.h"

/* What a driver of accelerators calls its devices; other names ("card0") any display has. */
static const char *const runtimes[] = { "nvml", "cuda", "rsmi", "amdsmi", "ze", "opencl" };

#define N_RUNTIMES ((int32_t)(sizeof(runtimes) / sizeof(runtimes[0])))

/* --- what a device is -------------------------------------------------------------------- */

static const char *name_of(const struct hw_object *object)
{
	const char *name = xml_value(object->element, "name");

	return name ? name : "";
}

/* The runtime an OSDev is of, by the beginning of its name, and its number there; -1: none. */
static int32_t runtime_of(const struct hw_object *object, int32_t *number)
{
	const char *name = name_of(object);
	int32_t i;

	*number = -1;
	for (i = 0; i < N_RUNTIMES; i++) {
		size_t bytes = strlen(runtimes[i]);
		char *end;

		if (object->type != HW_OSDEV || strncmp(name, runtimes[i], bytes) ||
		    !(name[bytes] >= '0' && name[bytes] <= '9'))
			continue;
		*number = (int32_t)(strtoul(name + bytes, &end, 10) & 0xffff);
		return i;
	}
	return -1;
}

/* Objects inside of a device, without those of devices behind it. */
static bool belongs_to(const struct hw_object *objects, int32_t number, int32_t device)
{
	return objects[number].type == HW_OSDEV && objects[number].parent == device;
}

static bool has_runtime(const struct hw_tree *tree, int32_t device)
{
	int32_t i, number;

	for (i = device + 1; i < tree->objects[device].end; i++)
		if (belongs_to(tree->objects, i, device) &&
		    runtime_of(&tree->objects[i], &number) >= 0)
			return true;
	return false;
}

/* Graphics of the processor itself, Intel's: not what anybody computes on with others. */
static bool is_integrated(const struct hw_object *object)
{
	return object->pci_vendor == 0x8086 && object->bus == 0;
}

/* Class 03 are displays, 12 processing accelerators (AMD's MI300, Gaudi). */
static bool is_gpu(const struct hw_tree *tree, int32_t number)
{
	const struct hw_object *object = &tree->objects[number];
	uint32_t base = object->pci_class >> 16;

	if (object->type != HW_PCI || gpu_is_console(object->pci_vendor, object->pci_device))
		return false;
	if (base == 0x12 || (base == 0x03 && !is_integrated(object)))
		return true;
	return has_runtime(tree, number);
}

/* Class 02, and 0c06 of older InfiniBand. */
static bool is_card(const struct hw_object *object)
{
	return object->type == HW_PCI &&
	       (object->pci_class >> 16 == 0x02 || object->pci_class >> 8 == 0x0c06);
}

/* hwloc's NVML backend says so, even of one whose ids it may not read. */
bool hw_is_nvswitch(const struct hw_object *object)
{
	const char *subtype = xml_value(object->element, "subtype");

	if (object->type != HW_PCI)
		return false;
	return (subtype && strcmp(subtype, "NVSwitch") == 0) ||
	       (object->pci_class >> 8 == 0x0680 && object->pci_vendor == 0x10de);
}

/* What node_of says of an object that is no node: nothing yet, or a switch that is joined with the
 * one above. */
#define NOT_YET (-1)
#define JOINED (-2)

/* --- bridges ----------------------------------------------------------------------------- */

static bool is_bridge(const struct hw_tree *tree, int32_t number)
{
	return number >= 0 && tree->objects[number].type == HW_BRIDGE &&
	       tree->objects[number].has_bus;
}

/* The upper end of the switch that a device is plugged in, as an object; -1: the processor. */
static int32_t switch_above(const struct hw_tree *tree, int32_t number)
{
	int32_t port = tree->objects[number].parent;
	int32_t above = is_bridge(tree, port) ? tree->objects[port].parent : -1;

	return is_bridge(tree, above) ? above : -1;
}

/* Broadcom switches of generation 4 and 5 carry their full bandwidth between all ports, yet show
 * themselves as an upper and a lower level (NCCL 2.28.9, src/graph/topo.cc). 0: it is none. */
static int broadcom_generation(const struct hw_object *object, uint32_t level)
{
	uint32_t subvendor = object->pci_subsystem >> 16;
	uint32_t subdevice = object->pci_subsystem & 0xf000;

	if (object->pci_vendor != 0x1000 || subvendor != 0x1000)
		return 0;
	if (object->pci_device == 0xc010 && subdevice == 0xa000)
		return 4;
	return object->pci_device == 0xc030 && subdevice == level * 0x1000 ? 5 : 0;
}

static bool is_lower_level(const struct hw_tree *tree, int32_t number)
{
	int32_t above = switch_above(tree, number);
	int generation = broadcom_generation(&tree->objects[number], 1);

	return generation && above >= 0 &&
	       broadcom_generation(&tree->objects[above], 0) == generation;
}

static span_status describe(struct hw_reader *reader, int32_t object, int32_t number)
{
	const struct hw_object *from = &reader->tree->objects[object];
	struct graph_node *node = &reader->machine->nodes[number];
	const char *name = hw_info(from->element, "PCIDevice");
	char bus[24];
	span_status status;

	snprintf(bus, sizeof(bus), "%04x:%02x:%02x.%x", from->domain, from->bus, from->device,
	         from->function);
	node->line = from->element->line;
	node->pci_class = from->pci_class;
	node->pci_vendor = from->pci_vendor;
	node->pci_device = from->pci_device;
	node->pci_subsystem = from->pci_subsystem;
	reader->node_of[object] = number;
	hw_find_uplink(reader, object, number);
	status = machine_set_text(&node->bus, bus);
	return status ? status : machine_set_text(&node->name, name ? name : "");
}

/* The CPU a chain of bridges ends at. */
static span_status find_cpu(struct hw_reader *reader, int32_t object, int32_t device,
                            int32_t *node)
{
	enum hw_oddity oddity;
	span_status status = hw_nearest_cpu(reader, object, node, &oddity);

	if (!status && oddity != HW_ODD_KINDS)
		hw_odd(reader, oddity, -1, device);
	return status;
}

/* The node above a device: a switch, made now with those above it if it is the first of its
 * devices, or the CPU. XML_MAX_DEPTH bounds the chain. */
static span_status find_parent(struct hw_reader *reader, int32_t device, int32_t *parent)
{
	const struct hw_tree *tree = reader->tree;
	int32_t chain[XML_MAX_DEPTH], n = 0, at = switch_above(tree, device);
	span_status status = SPAN_OK;

	for (; at >= 0 && reader->node_of[at] < 0; at = switch_above(tree, at)) {
		if (is_lower_level(tree, at)) {
			if (reader->node_of[at] == NOT_YET)
				hw_odd(reader, HW_ODD_BROADCOM, -1, at);
			reader->node_of[at] = JOINED;
			continue;
		}
		chain[n++] = at;
	}
	if (at >= 0)
		*parent = reader->node_of[at];
	else
		status = find_cpu(reader, n ? chain[n - 1] : device, device, parent);
	while (!status && n > 0) {
		int32_t number;

		status = machine_add_node(reader->machine, SPAN_NODE_PCI, 0, *parent, &number);
		if (!status)
			status = describe(reader, chain[--n], number);
		*parent = number;
	}
	return status;
}

/* --- GPUs -------------------------------------------------------------------------------- */

/* The first info of this name that is not empty, of what drivers made of a device. */
static const char *device_info(const struct hw_tree *tree, int32_t device, const char *name)
{
	int32_t i;

	for (i = device + 1; i < tree->objects[device].end; i++) {
		const char *value = hw_info(tree->objects[i].element, name);

		if (belongs_to(tree->objects, i, device) && value && *value)
			return value;
	}
	return NULL;
}

static double kilobytes(const char *text)
{
	double number = text ? strtod(text, NULL) : 0;

	return number > 0 && number < 1e15 ? number * 1024 : 0;
}

/* The number its best runtime gives it. Several of one runtime are partitions of the GPU. */
static void find_dev(struct hw_reader *reader, int32_t device, int32_t node)
{
	const struct hw_object *objects = reader->tree->objects;
	int32_t best = N_RUNTIMES, counts[N_RUNTIMES] = { 0 }, i, number;
	bool partitioned = false;

	for (i = device + 1; i < objects[device].end; i++) {
		int32_t runtime = belongs_to(objects, i, device) ? runtime_of(&objects[i], &number)
		                                                 : -1;

		if (runtime < 0)
			continue;
		partitioned |= ++counts[runtime] == 2 && strcmp(runtimes[runtime], "opencl");
		if (runtime < best && strcmp(runtimes[runtime], "opencl")) {
			best = runtime;
			reader->machine->nodes[node].dev = number;
		}
	}
	if (partitioned)
		hw_odd(reader, HW_ODD_PARTITIONED, node, -1);
}

static const struct nvml_gpu *find_nvml(const struct hw_reader *reader,
                                        const struct hw_object *object)
{
	const struct nvml_gpus *nvml = reader->live ? reader->live->nvml : NULL;
	int32_t i;

	for (i = 0; nvml && i < nvml->n; i++)
		if (nvml->gpus[i].domain == object->domain && nvml->gpus[i].bus == object->bus &&
		    nvml->gpus[i].device == object->device)
			return &nvml->gpus[i];
	return NULL;
}

static span_status add_gpu(struct hw_reader *reader, int32_t device)
{
	const struct hw_tree *tree = reader->tree;
	const struct hw_object *object = &tree->objects[device];
	const char *name = device_info(tree, device, "GPUModel");
	const struct nvml_gpu *nvml;
	struct graph_node *node;
	int32_t parent, number;
	span_status status = find_parent(reader, device, &parent);

	if (!status)
		status = machine_add_node(reader->machine, SPAN_NODE_GPU, 0, parent, &number);
	if (!status)
		status = describe(reader, device, number);
	if (status)
		return status;
	nvml = find_nvml(reader, object);
	if (!name)
		name = nvml ? nvml->name : device_info(tree, device, "LevelZeroModel");
	find_dev(reader, device, number);
	node = &reader->machine->nodes[number];
	if (name && *name)
		status = machine_set_text(&node->name, name);
	node->sm = gpu_sm(node->name, node->pci_vendor, node->pci_device);
	node->memory = kilobytes(device_info(tree, device, "CUDAGlobalMemorySize"));
	if (node->memory <= 0)
		node->memory = kilobytes(device_info(tree, device, "RSMIVRAMSize"));
	if (nvml) {
		node->dev = nvml->index;
		node->sm = nvml->sm ? nvml->sm : node->sm;
		node->memory = nvml->memory > 0 ? nvml->memory : node->memory;
	}
	return status;
}

/* --- cards ------------------------------------------------------------------------------- */

/* The card that another function of the same device became: they share its link. Functions are
 * neighbours in the file. */
static int32_t card_of_function(const struct hw_reader *reader, int32_t number)
{
	const struct hw_object *objects = reader->tree->objects, *object = &objects[number];
	int32_t i;

	for (i = number - 1; i > object->parent; i--) {
		if (objects[i].parent != object->parent)
			continue; /* inside of the one before */
		if (objects[i].type != HW_PCI || objects[i].domain != object->domain ||
		    objects[i].bus != object->bus || objects[i].device != object->device)
			break;
		if (is_card(&objects[i]))
			return reader->node_of[i];
	}
	return -1;
}

static span_status add_card(struct hw_reader *reader, int32_t device, bool rdma)
{
	int32_t parent, number = card_of_function(reader, device);
	span_status status = SPAN_OK;

	if (number >= 0) {
		reader->node_of[device] = number;
		return hw_add_ports(reader, device, number, rdma);
	}
	status = find_parent(reader, device, &parent);
	if (!status)
		status = machine_add_node(reader->machine, SPAN_NODE_CARD, 0, parent, &number);
	if (!status)
		status = describe(reader, device, number);
	return status ? status : hw_add_ports(reader, device, number, rdma);
}

span_status hw_add_devices(struct hw_reader *reader)
{
	const struct hw_tree *tree = reader->tree;
	bool rdma = hw_any_rdma(tree);
	int32_t i;
	span_status status = SPAN_OK;

	for (i = 0; !status && i < tree->n_objects; i++) {
		if (is_gpu(tree, i))
			status = add_gpu(reader, i);
		else if (is_card(&tree->objects[i]))
			status = add_card(reader, i, rdma);
	}
	return status ? status : hw_link_pci(reader);
}
