/* Processors and their memory: packages, NUMA nodes and what connects those. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "topo/graph/link_speed.h"
#include "topo/log.h"
#include "topo/read/hwloc/read_hwloc.h"

/* NUMA nodes with processors; more have more links between them than a machine may have. */
#define MAX_CPUS 256

/* A NUMA node, or the machine where there is none, that may become a CPU of the graph. */
struct candidate {
	int32_t object, count; /* count: processors */
	bool taken;
};

static span_status no_memory(const struct hw_reader *reader)
{
	return span_fail(SPAN_ENOMEM, "%.200s: no memory for its NUMA nodes",
	                 reader->tree->source->name);
}

/* --- which NUMA nodes are CPUs ----------------------------------------------------------- */

/* Smallest first; of equal ones the lower number, which Linux gives to ordinary memory. */
static int compare_candidates(const void *first, const void *second)
{
	const struct candidate *a = first, *b = second;

	if (a->count != b->count)
		return a->count < b->count ? -1 : 1;
	return a->object < b->object ? -1 : 1;
}

static int compare_objects(const void *first, const void *second)
{
	const struct candidate *a = first, *b = second;

	return a->object < b->object ? -1 : 1;
}

/* Memory of GPUs has no processors, and memory of a second kind has those of another node, or of
 * several: CPUs are the smallest nodes that together have all processors. */
static span_status choose(struct hw_reader *reader, struct candidate *list, int32_t n)
{
	struct hw_set *covered = calloc(2, sizeof(*covered)), *own;
	span_status status = covered ? SPAN_OK : no_memory(reader);
	int32_t i;

	own = covered ? covered + 1 : NULL;
	qsort(list, (size_t)n, sizeof(*list), compare_candidates);
	for (i = 0; !status && i < n; i++) {
		const struct hw_object *object = &reader->tree->objects[list[i].object];

		status = hw_read_set(reader->tree, object->element, "cpuset", own);
		list[i].taken = !status && !hw_set_inside(own, covered);
		if (list[i].taken)
			hw_set_add(covered, own);
		else if (!status)
			hw_odd(reader, HW_ODD_MEMORY_ONLY, -1, list[i].object);
	}
	qsort(list, (size_t)n, sizeof(*list), compare_objects);
	free(covered);
	return status;
}

static span_status find_candidates(struct hw_reader *reader, struct candidate *list, int32_t *n)
{
	const struct hw_tree *tree = reader->tree;
	struct hw_set *set = malloc(sizeof(*set));
	span_status status = set ? SPAN_OK : no_memory(reader);
	int32_t i;

	*n = 0;
	for (i = 0; !status && i < tree->n_objects; i++) {
		if (tree->objects[i].type != HW_NUMA)
			continue;
		if (*n == GRAPH_MAX_NODES) {
			status = span_fail(SPAN_EPARSE, "%.200s:%d: more than %d NUMA nodes",
			                   tree->source->name, tree->objects[i].element->line,
			                   GRAPH_MAX_NODES);
			break;
		}
		status = hw_read_set(tree, tree->objects[i].element, "cpuset", set);
		list[(*n)++] = (struct candidate){ .object = i,
		                                   .count = status ? 0 : hw_set_count(set) };
	}
	if (!status && !*n)
		list[(*n)++] = (struct candidate){ .object = 0, .count = 1 };
	free(set);
	return status;
}

/* --- processors -------------------------------------------------------------------------- */

/* By the processor's own word, or, in old files, by the name of its model. */
static int32_t vendor_of(const char *text, const char *model)
{
	if (!*text)
		return strncmp(model, "Intel", 5) == 0 ? VENDOR_INTEL
		       : strncmp(model, "AMD", 3) == 0 ? VENDOR_AMD
		                                       : VENDOR_UNKNOWN;
	if (strcmp(text, "GenuineIntel") == 0)
		return VENDOR_INTEL;
	if (strcmp(text, "AuthenticAMD") == 0)
		return VENDOR_AMD;
	return strcmp(text, "CentaurHauls") == 0 || strcmp(text, "  Shanghai  ") == 0
	               ? VENDOR_ZHAOXIN
	               : VENDOR_UNKNOWN;
}

static int32_t arch_of(const struct hw_tree *tree, int32_t vendor)
{
	const char *text = hw_tree_info(tree, "Architecture");

	if (!text)
		return vendor ? ARCH_X86 : ARCH_UNKNOWN; /* the vendors we know make x86 */
	if (strcmp(text, "x86_64") == 0 || strcmp(text, "amd64") == 0 ||
	    (text[0] == 'i' && strcmp(text + 2, "86") == 0))
		return ARCH_X86;
	if (strncmp(text, "ppc", 3) == 0 || strncmp(text, "powerpc", 7) == 0)
		return ARCH_POWER;
	return strcmp(text, "aarch64") == 0 || strncmp(text, "arm", 3) == 0 ? ARCH_ARM
	                                                                    : ARCH_UNKNOWN;
}

/* An info of a package, or of the machine where packages have none. */
static const char *processor_info(const struct hw_tree *tree, int32_t package, const char *name)
{
	const char *value = package >= 0 ? hw_info(tree->objects[package].element, name) : NULL;

	if (!value)
		value = hw_tree_info(tree, name);
	return value ? value : "";
}

static int32_t number_of(const char *text)
{
	char *end;
	long number = strtol(text, &end, 10);

	return end > text && !*end && number >= 0 && number < 1 << 30 ? (int32_t)number : -1;
}

/* As NCCL writes it: words of 32 bits in hexadecimal, the highest first. */
static span_status set_affinity(struct graph_node *node, const struct hw_set *set)
{
	char text[HW_MAX_PROCESSORS / 32 * 9 + 1];
	int32_t i = HW_MAX_PROCESSORS / 32 - 1;
	size_t used;

	while (i > 0 && !set->words[i])
		i--;
	used = (size_t)snprintf(text, sizeof(text), "%x", set->words[i]);
	for (i--; i >= 0; i--)
		used += (size_t)snprintf(text + used, sizeof(text) - used, ",%08x",
		                         set->words[i]);
	return machine_set_text(&node->affinity, text);
}

/* The first package that shares processors with a set, as an object, and how many do; -1: none. */
static span_status package_of(const struct hw_reader *reader, const struct hw_set *set,
                              int32_t *package, int32_t *found)
{
	const struct hw_tree *tree = reader->tree;
	struct hw_set *own = malloc(sizeof(*own));
	span_status status = own ? SPAN_OK : no_memory(reader);
	int32_t i;

	*package = -1;
	*found = 0;
	for (i = 0; !status && i < tree->n_objects; i++) {
		if (tree->objects[i].type != HW_PACKAGE)
			continue;
		status = hw_read_set(tree, tree->objects[i].element, "cpuset", own);
		if (!status && hw_set_meets(own, set) && !(*found)++)
			*package = i;
	}
	free(own);
	return status;
}

static span_status add_cpu(struct hw_reader *reader, int32_t object)
{
	const struct hw_object *from = &reader->tree->objects[object];
	struct hw_set *set = &reader->cpu_sets[reader->n_cpus];
	const char *model, *memory;
	struct graph_node *node;
	int32_t package, packages, number;
	span_status status = hw_read_set(reader->tree, from->element, "cpuset", set);

	if (!status)
		status = package_of(reader, set, &package, &packages);
	if (!status)
		status = machine_add_node(reader->machine, SPAN_NODE_CPU, 0,
		                          packages == 1 ? reader->node_of[package]
		                                        : reader->host,
		                          &number);
	if (status)
		return status;
	node = &reader->machine->nodes[number];
	model = processor_info(reader->tree, package, "CPUModel");
	memory = xml_value(from->element, "local_memory");
	node->line = from->element->line;
	node->numa = from->os_index >= 0 && from->os_index < 1 << 30 ? (int32_t)from->os_index : -1;
	node->vendor = vendor_of(processor_info(reader->tree, package, "CPUVendor"), model);
	node->arch = arch_of(reader->tree, node->vendor);
	node->family = number_of(processor_info(reader->tree, package, "CPUFamilyNumber"));
	node->model = number_of(processor_info(reader->tree, package, "CPUModelNumber"));
	node->memory = memory ? strtod(memory, NULL) : 0;
	reader->node_of[object] = number;
	reader->cpus[reader->n_cpus++] = number;
	status = set_affinity(node, set);
	return status ? status : machine_set_text(&node->name, model);
}

static span_status add_packages(struct hw_reader *reader)
{
	const struct hw_tree *tree = reader->tree;
	int32_t number, i;
	span_status status = SPAN_OK;

	for (i = 0; !status && i < tree->n_objects; i++) {
		if (tree->objects[i].type != HW_PACKAGE)
			continue;
		status = machine_add_node(reader->machine, SPAN_NODE_PACKAGE, 0, reader->host,
		                          &number);
		if (status)
			break;
		reader->node_of[i] = number;
		reader->machine->nodes[number].line = tree->objects[i].element->line;
		status = machine_set_text(&reader->machine->nodes[number].name,
		                          processor_info(tree, i, "CPUModel"));
	}
	return status;
}

/* NCCL links all NUMA nodes of a host with each other, at the bandwidth of their processors. */
static span_status link_cpus(struct hw_reader *reader)
{
	int32_t i, j;
	span_status status = SPAN_OK;

	for (i = 0; !status && i < reader->n_cpus; i++) {
		const struct graph_node *node = &reader->machine->nodes[reader->cpus[i]];
		double bandwidth = socket_bandwidth(node->arch, node->vendor, node->family,
		                                    node->model);
		bool known = bandwidth < LINK_SPEED_LOCAL;

		if (!known && reader->n_cpus > 1)
			hw_odd(reader, HW_ODD_SOCKET, reader->cpus[i], -1);
		for (j = 0; !status && j < reader->n_cpus; j++)
			if (j != i)
				status = machine_add_link(
					reader->machine, SPAN_LINK_SOCKET, reader->cpus[i],
					reader->cpus[j], bandwidth, 1,
					known ? SPAN_CONFIDENCE_ASSUMED : SPAN_CONFIDENCE_UNKNOWN,
					known ? "usual for these processors"
					      : "nobody knows these processors");
	}
	return status;
}

static int32_t keep_taken(struct candidate *list, int32_t n)
{
	int32_t kept = 0, i;

	for (i = 0; i < n; i++)
		if (list[i].taken)
			list[kept++] = list[i];
	return kept;
}

span_status hw_add_cpus(struct hw_reader *reader)
{
	struct candidate *list = calloc(GRAPH_MAX_NODES, sizeof(*list));
	int32_t n, i;
	span_status status = list ? SPAN_OK : no_memory(reader);

	if (!status)
		status = find_candidates(reader, list, &n);
	if (!status)
		status = choose(reader, list, n);
	if (!status)
		status = add_packages(reader);
	if (!status) {
		n = keep_taken(list, n);
		reader->cpus = calloc((size_t)n + 1, sizeof(*reader->cpus));
		reader->cpu_sets = calloc((size_t)n + 1, sizeof(*reader->cpu_sets));
		if (!reader->cpus || !reader->cpu_sets)
			status = no_memory(reader);
	}
	if (!status && (n < 1 || n > MAX_CPUS))
		status = span_fail(SPAN_EPARSE, "%.200s:%d: %d NUMA nodes with processors; from 1 "
		                   "to %d were expected: export the whole of one host",
		                   reader->tree->source->name,
		                   reader->tree->objects[0].element->line, n, MAX_CPUS);
	for (i = 0; !status && i < n; i++)
		status = add_cpu(reader, list[i].object);
	free(list);
	return status ? status : link_cpus(reader);
}

/* --- locality of devices ----------------------------------------------------------------- */

static bool is_io(enum hw_type type)
{
	return type == HW_BRIDGE || type == HW_PCI || type == HW_OSDEV;
}

span_status hw_nearest_cpu(const struct hw_reader *reader, int32_t number, int32_t *node,
                           enum hw_oddity *oddity)
{
	const struct hw_tree *tree = reader->tree;
	struct hw_set *set = malloc(sizeof(*set));
	int32_t found = 0, i;
	span_status status = set ? SPAN_OK : no_memory(reader);

	*node = reader->cpus[0];
	while (!status && number >= 0 && !found) {
		number = tree->objects[number].parent;
		if (number < 0 || is_io(tree->objects[number].type))
			continue;
		status = hw_read_set(tree, tree->objects[number].element, "cpuset", set);
		for (i = 0; !status && i < reader->n_cpus; i++)
			if (hw_set_meets(set, &reader->cpu_sets[i]) && !found++)
				*node = reader->cpus[i];
	}
	*oddity = found == 1                ? HW_ODD_KINDS
	          : number <= 0 || !found ? HW_ODD_NO_LOCALITY
	                                    : HW_ODD_WIDE_LOCALITY;
	free(set);
	return status;
}
