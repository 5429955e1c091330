/* hwloc's XML, versions 1 to 3, as a flat list of objects. Private.
 *
 * We read these files ourselves and not through hwloc, which refuses version 3 before its own
 * release 3, prints to stderr, and crashes on some files that are well-formed but wrong. */
#ifndef SPAN_READ_HWLOC_TREE_H
#define SPAN_READ_HWLOC_TREE_H

#include "topo/read/reader.h"
#include "topo/read/xml.h"

#define HW_MAX_PROCESSORS 8192

/* A set of processors by their numbers in the operating system. */
struct hw_set {
	uint32_t words[HW_MAX_PROCESSORS / 32];
};

enum hw_type {
	HW_MACHINE, HW_PACKAGE, HW_NUMA,
	HW_BRIDGE,     /* of PCI */
	HW_PCI,        /* a PCI device */
	HW_OSDEV,      /* what a driver made of a device */
	HW_OTHER       /* caches, cores, groups, Misc */
};

/* Kinds of HW_OSDEV, as far as they matter; version 3 may give several. */
enum { OSDEV_GPU = 1, OSDEV_COPROCESSOR = 2, OSDEV_NETWORK = 4, OSDEV_OPENFABRICS = 8 };

struct hw_object {
	const struct xml_element *element;
	enum hw_type type;
	int32_t parent;           /* number of the object it is in, or -1 */
	int32_t end;              /* all from its own number to here are inside of it */
	int64_t os_index, gp_index; /* or -1 */
	uint32_t osdev;           /* OSDEV_... */
	/* PCI devices, and bridges that are PCI devices: */
	bool has_bus;
	uint32_t domain, bus, device, function;
	uint32_t pci_class;       /* 0x030200: with two digits more than the file */
	uint32_t pci_vendor, pci_device, pci_subsystem;
	double link_speed;        /* of the link above it; below it for a port. GB/s of raw
	                           * data as hwloc counts, at the time of capture; 0: unknown */
	double max_rate;          /* GT/s a lane can do, of the live system; 0: unknown */
	int32_t max_width;
};

struct hw_tree {
	const struct source *source;
	struct xml *xml;
	const struct xml_element *root; /* <topology> */
	struct hw_object *objects;   /* in the order of the file; 0 is the machine */
	int32_t n_objects, object_room;
	int32_t version;          /* of hwloc that wrote it: 20900 is 2.9.0; 0: unknown */
	const char *version_text; /* "2.9.0", or "of unknown version" */
};

/* Names file and line of what it cannot read. */
span_status hw_tree_parse(const struct source *source, struct hw_tree *tree);
void hw_tree_free(struct hw_tree *tree);

/* The value of an <info>, of an object; of the whole file (version 3 has those apart). NULL
 * when there is none. */
const char *hw_info(const struct xml_element *element, const char *name);
const char *hw_tree_info(const struct hw_tree *tree, const char *name);

/* Read a set such as "0x00000001,,0xffff0000"; an absent attribute is the empty set. */
span_status hw_read_set(const struct hw_tree *tree, const struct xml_element *element,
                           const char *attribute, struct hw_set *set);
int32_t hw_set_count(const struct hw_set *set);
bool hw_set_meets(const struct hw_set *a, const struct hw_set *b);
bool hw_set_inside(const struct hw_set *a, const struct hw_set *b); /* a in b */
void hw_set_add(struct hw_set *set, const struct hw_set *more);

#endif
