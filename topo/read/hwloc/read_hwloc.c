/* A graph of hwloc's objects, from a file or from a live system. */
#include "topo/read/hwloc/read_hwloc.h"

#include <stdlib.h>
#include <string.h>

#include "topo/host/sysfs.h"
#include "topo/log.h"

/* --- things about the machine as a whole ------------------------------------------------- */

/* Which processors may be used is told, not applied: a topology shows the whole machine. */
static span_status tell_allowed(struct hw_reader *reader)
{
	const struct xml_element *machine = reader->tree->objects[0].element;
	struct hw_set *sets = calloc(2, sizeof(*sets));
	int32_t all, allowed;
	span_status status;

	if (!sets)
		return span_fail(SPAN_ENOMEM, "%.200s: no memory for its processors",
		                 reader->tree->source->name);
	status = hw_read_set(reader->tree, machine, "complete_cpuset", &sets[0]);
	if (!status)
		status = hw_read_set(reader->tree, machine, "allowed_cpuset", &sets[1]);
	all = hw_set_count(&sets[0]);
	allowed = hw_set_count(&sets[1]);
	free(sets);
	if (status || !allowed || allowed >= all)
		return status;
	return topo_note(reader->topo, "h0", false, "%d of %d processors may be used here (cgroup, "
	                 "or processors that are offline); the machine is shown whole", allowed,
	                 all);
}

/* hwloc drops an object whose set of processors contradicts those of others. What is left then are
 * processors outside of any package beside packages. */
static span_status tell_conflicts(struct hw_reader *reader)
{
	const struct hw_tree *tree = reader->tree;
	struct hw_set *sets = calloc(3, sizeof(*sets));
	int32_t packages = 0, outside, i;
	span_status status;

	if (!sets)
		return span_fail(SPAN_ENOMEM, "%.200s: no memory for its processors",
		                 tree->source->name);
	status = hw_read_set(tree, tree->objects[0].element, "cpuset", &sets[0]);
	for (i = 0; !status && i < tree->n_objects; i++) {
		if (tree->objects[i].type != HW_PACKAGE)
			continue;
		status = hw_read_set(tree, tree->objects[i].element, "cpuset", &sets[1]);
		hw_set_add(&sets[2], &sets[1]);
		packages++;
	}
	outside = hw_set_count(&sets[0]) - hw_set_count(&sets[2]);
	free(sets);
	if (status || !packages || outside <= 0)
		return status;
	return topo_note(reader->topo, "h0", false, "%d processors are in none of the %d packages: "
	                 "what the system says about its processors contradicts itself, and hwloc "
	                 "dropped a part of it; update kernel and firmware (hwloc-gather-topology "
	                 "shows the details)", outside, packages);
}

static span_status tell_wide_domains(struct hw_reader *reader)
{
	char first[32];
	int32_t count;

	if (!reader->live || !reader->live->root)
		return SPAN_OK;
	count = sysfs_wide_domains(reader->live->root, first);
	if (!count)
		return SPAN_OK;
	return topo_note(reader->topo, "h0", false, "%d PCI devices in domains above ffff, such as "
	                 "%s, may be missing: this hwloc was built for domains of 16 bits", count,
	                 first);
}

static span_status tell_p2p(struct hw_reader *reader)
{
	const struct nvml_gpus *nvml = reader->live ? reader->live->nvml : NULL;
	int32_t pairs = 0, i;

	for (i = 0; nvml && i < nvml->n; i++)
		pairs += __builtin_popcountll(nvml->gpus[i].no_p2p);
	if (!pairs)
		return SPAN_OK;
	return topo_note(reader->topo, "h0", false, "NVML says that GPUs cannot read each other's "
	                 "memory (P2P), in %d ordered pairs; paths between them go through host "
	                 "memory, whatever is shown: nvidia-smi topo -p2p r lists them", pairs);
}

/* --- all of it --------------------------------------------------------------------------- */

static span_status add_host(struct hw_reader *reader)
{
	const char *name = hw_tree_info(reader->tree, "HostName");
	span_status status = machine_add_node(reader->machine, SPAN_NODE_HOST, 0, -1,
	                                      &reader->host);

	if (!status && name)
		status = machine_host_name(reader->machine, 0, name);
	return status;
}

static span_status build(struct hw_reader *reader)
{
	span_status status = topo_add_machine(reader->topo, &reader->machine);

	if (!status)
		status = add_host(reader);
	if (!status)
		status = tell_allowed(reader);
	if (!status)
		status = tell_conflicts(reader);
	if (!status)
		status = hw_add_cpus(reader);
	if (!status)
		status = hw_add_devices(reader);
	if (!status)
		status = hw_link_ports(reader);
	if (!status)
		status = hw_add_fabric(reader);
	if (!status)
		status = hw_notes(reader);
	if (!status)
		status = tell_wide_domains(reader);
	if (!status)
		status = tell_p2p(reader);
	return status ? status : topo_add_place(reader->topo, 0, -1, NULL);
}

static span_status prepare(struct hw_reader *reader)
{
	int32_t n = reader->tree->n_objects, i;

	reader->node_of = calloc((size_t)n, sizeof(*reader->node_of));
	reader->uplinks = calloc(GRAPH_MAX_NODES, sizeof(*reader->uplinks));
	if (!reader->node_of || !reader->uplinks)
		return span_fail(SPAN_ENOMEM, "%.200s: no memory for %d objects",
		                 reader->tree->source->name, n);
	for (i = 0; i < n; i++)
		reader->node_of[i] = -1;
	return SPAN_OK;
}

/* What sysfs knows of every PCI device and bridge. */
static void look_up_maxima(struct hw_tree *tree, const char *root)
{
	char bus[24];
	int32_t i;

	for (i = 0; i < tree->n_objects; i++) {
		struct hw_object *object = &tree->objects[i];

		if (!object->has_bus)
			continue;
		snprintf(bus, sizeof(bus), "%04x:%02x:%02x.%x", object->domain, object->bus,
		         object->device, object->function);
		sysfs_pci_maximum(root, bus, &object->max_rate, &object->max_width);
	}
}

span_status read_hwloc_objects(const struct source *source, const char *source_kind,
                               const struct discover_live *live, span_topo **topo)
{
	struct hw_tree tree;
	struct hw_reader reader = { .tree = &tree, .live = live, .as_nccl = source->as_nccl,
	                            .nvswitch = -1 };
	span_status status = hw_tree_parse(source, &tree);

	if (status)
		return status;
	if (live && live->root)
		look_up_maxima(&tree, live->root);
	status = prepare(&reader);
	if (!status)
		status = topo_create(source_kind, source->name, source->as_nccl, &reader.topo);
	if (!status)
		status = build(&reader);
	if (!status)
		*topo = reader.topo;
	else
		span_topo_free(reader.topo);
	free(reader.node_of);
	free(reader.uplinks);
	free(reader.cpus);
	free(reader.cpu_sets);
	hw_tree_free(&tree);
	return status;
}

span_status read_hwloc_xml(const struct source *source, span_topo **topo)
{
	return read_hwloc_objects(source, "hwloc-xml", NULL, topo);
}

/* Version 3 has more kinds of OS devices, written as bits, and what it says of the whole machine
 * beside the objects; the parser of objects knows. */
span_status read_hwloc_xml3(const struct source *source, span_topo **topo)
{
	return read_hwloc_objects(source, "hwloc-xml", NULL, topo);
}
