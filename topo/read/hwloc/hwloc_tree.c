/* hwloc's XML as a list of objects. */
#include "topo/read/hwloc/hwloc_tree.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"

__attribute__((format(printf, 3, 4)))
static span_status fail_at(const struct hw_tree *tree, const struct xml_element *element,
                           const char *format, ...)
{
	char text[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	return span_fail(SPAN_EPARSE, "%.200s:%d: %s", tree->source->name, element->line, text);
}

/* --- values ------------------------------------------------------------------------------ */

const char *hw_info(const struct xml_element *element, const char *name)
{
	const struct xml_element *child;

	for (child = element->first; child; child = child->next) {
		const char *key = strcmp(child->name, "info") ? NULL : xml_value(child, "name");

		if (key && strcmp(key, name) == 0)
			return xml_value(child, "value");
	}
	return NULL;
}

const char *hw_tree_info(const struct hw_tree *tree, const char *name)
{
	const char *value = hw_info(tree->objects[0].element, name);

	return value ? value : hw_info(tree->root, name);
}

/* A whole number, or `missing` when there is no such attribute. */
static span_status read_number(const struct hw_tree *tree, const struct xml_element *element,
                               const char *attribute, int64_t missing, int64_t *number)
{
	const char *text = xml_value(element, attribute);
	char *end;

	*number = missing;
	if (!text)
		return SPAN_OK;
	errno = 0;
	*number = strtoll(text, &end, 10);
	if (end == text || *end || errno)
		return fail_at(tree, element, "%s is \"%.40s\"; a whole number was expected",
		               attribute, text);
	return SPAN_OK;
}

/* --- sets of processors ------------------------------------------------------------------ */

#define WORDS ((int32_t)(HW_MAX_PROCESSORS / 32))

/* A set without an end is written "0xf...f,0x00000000": from there on everything. */
static const char infinite[] = "0xf...f";

/* The words of a set stand with the highest first, and an empty one is 0. Read from the end. */
static bool read_words(const char *text, struct hw_set *set)
{
	const char *from = text + strlen(text), *comma;
	int32_t i;

	for (i = 0; from > text || i == 0; i++) {
		for (comma = from; comma > text && comma[-1] != ','; comma--)
			;
		if (strncmp(comma, infinite, sizeof(infinite) - 1) == 0) {
			for (; i < WORDS; i++)
				set->words[i] = UINT32_MAX;
			return comma == text;
		}
		if (comma < from) {
			char *end;
			unsigned long word = strtoul(comma, &end, 16);

			if (end != from || *comma == '-' || word > UINT32_MAX ||
			    (i >= WORDS && word))
				return false;
			if (i < WORDS)
				set->words[i] = (uint32_t)word;
		}
		if (comma == text)
			break;
		from = comma - 1;
	}
	return true;
}

span_status hw_read_set(const struct hw_tree *tree, const struct xml_element *element,
                           const char *attribute, struct hw_set *set)
{
	const char *text = xml_value(element, attribute);

	memset(set, 0, sizeof(*set));
	if (!text || read_words(text, set))
		return SPAN_OK;
	return fail_at(tree, element, "%s is \"%.40s\"; a set such as 0x00000001,0xffff0000 of "
	               "processors below %d was expected", attribute, text, HW_MAX_PROCESSORS);
}

int32_t hw_set_count(const struct hw_set *set)
{
	int32_t count = 0, i;

	for (i = 0; i < WORDS; i++)
		count += __builtin_popcount(set->words[i]);
	return count;
}

bool hw_set_meets(const struct hw_set *a, const struct hw_set *b)
{
	int32_t i;

	for (i = 0; i < WORDS; i++)
		if (a->words[i] & b->words[i])
			return true;
	return false;
}

bool hw_set_inside(const struct hw_set *a, const struct hw_set *b)
{
	int32_t i;

	for (i = 0; i < WORDS; i++)
		if (a->words[i] & ~b->words[i])
			return false;
	return true;
}

void hw_set_add(struct hw_set *set, const struct hw_set *more)
{
	int32_t i;

	for (i = 0; i < WORDS; i++)
		set->words[i] |= more->words[i];
}

/* --- objects ----------------------------------------------------------------------------- */

static enum hw_type type_of(const char *text)
{
	static const struct {
		const char *name;
		enum hw_type type;
	} types[] = {
		{ "Machine", HW_MACHINE }, { "Package", HW_PACKAGE },
		{ "Socket", HW_PACKAGE }, /* before hwloc 1.11 */
		{ "NUMANode", HW_NUMA },  { "Node", HW_NUMA }, /* before 1.0 */
		{ "Bridge", HW_BRIDGE },
		{ "PCIDev", HW_PCI },     { "OSDev", HW_OSDEV },
	};
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(text, types[i].name) == 0)
			return types[i].type;
	return HW_OTHER;
}

/* "0000:65:00.0", and "0604 [10b5:9781] [10b5:9781] b0": class, ids, ids of the subsystem. */
static span_status read_pci(const struct hw_tree *tree, struct hw_object *object)
{
	const char *bus = xml_value(object->element, "pci_busid");
	const char *type = xml_value(object->element, "pci_type");
	const char *speed = xml_value(object->element, "pci_link_speed");
	unsigned vendor = 0, device = 0, class = 0, subvendor = 0, subdevice = 0;

	if (!bus)
		return object->type == HW_BRIDGE
		               ? SPAN_OK
		               : fail_at(tree, object->element, "a PCIDev without pci_busid");
	if (sscanf(bus, "%8x:%2x:%2x.%1x", &object->domain, &object->bus, &object->device,
	           &object->function) != 4)
		return fail_at(tree, object->element, "pci_busid is \"%.40s\"; an address such as "
		               "0000:65:00.0 was expected", bus);
	if (type && sscanf(type, "%4x [%4x:%4x] [%4x:%4x]", &class, &vendor, &device, &subvendor,
	                   &subdevice) < 3)
		return fail_at(tree, object->element, "pci_type is \"%.40s\"; class and ids such as "
		               "0302 [10de:2330] [10de:16c0] were expected", type);
	object->has_bus = true;
	object->pci_class = class << 8;
	object->pci_vendor = vendor;
	object->pci_device = device;
	object->pci_subsystem = subvendor << 16 | subdevice;
	object->link_speed = speed ? strtod(speed, NULL) : 0;
	if (!(object->link_speed > 0 && object->link_speed < 1000))
		object->link_speed = 0;
	return SPAN_OK;
}

/* A number from 0 to 5 in versions 1 and 2, bits in version 3. */
static span_status read_osdev(const struct hw_tree *tree, bool bits,
                              struct hw_object *object)
{
	static const uint32_t kinds[] = { 0, OSDEV_GPU, OSDEV_NETWORK, OSDEV_OPENFABRICS, 0,
	                                  OSDEV_COPROCESSOR };
	int64_t number;
	span_status status = read_number(tree, object->element, "osdev_type", -1, &number);

	if (status)
		return status;
	if (bits)
		object->osdev = (number & 4 ? OSDEV_GPU : 0) |
		                (number & 8 ? OSDEV_COPROCESSOR : 0) |
		                (number & 16 ? OSDEV_NETWORK : 0) |
		                (number & 32 ? OSDEV_OPENFABRICS : 0);
	else if (number >= 0 && number < 6)
		object->osdev = kinds[number];
	return SPAN_OK;
}

static bool is_version_3(const struct hw_tree *tree)
{
	const char *version = xml_value(tree->root, "version");

	return version && strtod(version, NULL) >= 3;
}

static span_status read_object(const struct hw_tree *tree, struct hw_object *object)
{
	const char *type = xml_value(object->element, "type");
	span_status status;

	if (!type)
		return fail_at(tree, object->element, "an object without a type");
	object->type = type_of(type);
	status = read_number(tree, object->element, "os_index", -1, &object->os_index);
	if (!status)
		status = read_number(tree, object->element, "gp_index", -1, &object->gp_index);
	if (!status && (object->type == HW_BRIDGE || object->type == HW_PCI))
		status = read_pci(tree, object);
	if (!status && object->type == HW_OSDEV)
		status = read_osdev(tree, is_version_3(tree), object);
	return status;
}

static span_status add_object(struct hw_tree *tree, const struct xml_element *element,
                              int32_t parent)
{
	int32_t room = tree->object_room ? 2 * tree->object_room : 256;
	struct hw_object *grown;

	if (tree->n_objects == tree->object_room) {
		grown = realloc(tree->objects, (size_t)room * sizeof(*grown));
		if (!grown)
			return span_fail(SPAN_ENOMEM, "%.200s: no memory for %d objects",
			                 tree->source->name, room);
		tree->objects = grown;
		tree->object_room = room;
	}
	tree->objects[tree->n_objects] =
		(struct hw_object){ .element = element, .parent = parent };
	return read_object(tree, &tree->objects[tree->n_objects++]);
}

/* The next element that may be an object: into objects only, in the order of the file. */
static const struct xml_element *next_element(const struct xml_element *element,
                                              const struct xml_element *root)
{
	if (element->first && (element == root || strcmp(element->name, "object") == 0))
		return element->first;
	while (element != root && !element->next)
		element = element->parent;
	return element == root ? NULL : element->next;
}

/* Objects from `parent` up that are not around `element` end before the next object. */
static int32_t close_objects(struct hw_tree *tree, int32_t parent,
                             const struct xml_element *around)
{
	while (parent >= 0 && tree->objects[parent].element != around) {
		tree->objects[parent].end = tree->n_objects;
		parent = tree->objects[parent].parent;
	}
	return parent;
}

static span_status read_objects(struct hw_tree *tree)
{
	const struct xml_element *element;
	int32_t parent = -1;
	span_status status = SPAN_OK;

	for (element = next_element(tree->root, tree->root); !status && element;
	     element = next_element(element, tree->root)) {
		if (strcmp(element->name, "object"))
			continue;
		parent = close_objects(tree, parent, element->parent);
		if (parent < 0 && tree->n_objects)
			return fail_at(tree, element, "a second machine; one was expected in a file: "
			               "describe several hosts in a cluster file");
		status = add_object(tree, element, parent);
		parent = tree->n_objects - 1;
	}
	close_objects(tree, parent, NULL);
	return status;
}

/* "2.9.0" is 20900, "2.12.2rc1" 21202; development versions such as "PR-436" are unknown. */
static void read_version(struct hw_tree *tree)
{
	const char *text = hw_tree_info(tree, "hwlocVersion");
	unsigned major, minor = 0, patch = 0;

	tree->version_text = text && *text ? text : "of unknown version";
	if (text && sscanf(text, "%2u.%2u.%2u", &major, &minor, &patch) >= 2)
		tree->version = (int32_t)(major * 10000 + minor * 100 + patch);
}

static span_status check_machine(const struct hw_tree *tree)
{
	if (!tree->n_objects)
		return span_fail(SPAN_EPARSE, "%.200s:%d: no <object> in <topology>; is the file "
		                 "complete?", tree->source->name, tree->root->line);
	if (tree->objects[0].type != HW_MACHINE)
		return fail_at(tree, tree->objects[0].element, "the outermost object is a %.40s; a "
		               "Machine was expected: export the whole of one host",
		               xml_value(tree->objects[0].element, "type"));
	return SPAN_OK;
}

span_status hw_tree_parse(const struct source *source, struct hw_tree *tree)
{
	span_status status;

	*tree = (struct hw_tree){ .source = source };
	status = xml_parse(source->text, source->bytes, source->name, &tree->xml);
	if (status)
		return status;
	tree->root = xml_root(tree->xml);
	if (strcmp(tree->root->name, "topology"))
		status = fail_at(tree, tree->root, "<%.40s>; hwloc's <topology> was expected",
		                 tree->root->name);
	if (!status)
		status = read_objects(tree);
	if (!status)
		status = check_machine(tree);
	if (!status)
		read_version(tree);
	else
		hw_tree_free(tree);
	return status;
}

void hw_tree_free(struct hw_tree *tree)
{
	xml_free(tree->xml);
	free(tree->objects);
	*tree = (struct hw_tree){ 0 };
}
