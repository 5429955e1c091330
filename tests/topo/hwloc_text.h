/* Machines in hwloc's XML, written for one test each.
 *
 * Every machine has two packages of two processors with a NUMA node each. PCI trees go into the
 * first or second package, or below the machine; matrices and the like behind it. */
#ifndef TESTS_HWLOC_TEXT_H
#define TESTS_HWLOC_TEXT_H

#include "topo/graph/graph.h"

struct hwloc_text {
	const char *version;    /* of the format: NULL is "2.0" */
	const char *infos;      /* <info> of the machine */
	const char *first, *second, *machine; /* inside of these objects */
	const char *tail;       /* behind the machine */
	int as_nccl;
};

/* NULL stands for "" in every field. The test fails if it does not load. */
span_topo *hwloc_text_load(const struct hwloc_text *text);

/* The whole file, to be freed. */
char *hwloc_text_write(const struct hwloc_text *text);

/* What the graph has: the link between two nodes by their ids ("gpu0", "cpu1"), which must be
 * there; whether there is one; the first note with these words, or NULL. */
const struct graph_link *hwloc_text_link(const span_topo *topo, const char *from, const char *to);
int hwloc_text_linked(const span_topo *topo, const char *from, const char *to);
const struct note *hwloc_text_note(const span_topo *topo, const char *words);
const struct graph_node *hwloc_text_node(const span_topo *topo, const char *id);

#define INFO(name, value) "<info name=\"" name "\" value=\"" value "\"/>"
#define WRITTEN_BY(version) INFO("hwlocVersion", version)
#define BRIDGE(bus, type, speed, inside)                                                 \
	"<object type=\"Bridge\" bridge_type=\"1-1\" depth=\"1\" bridge_pci=\"0000:[01-02]\" " \
	"pci_busid=\"" bus "\" pci_type=\"" type "\" pci_link_speed=\"" speed "\">" inside     \
	"</object>"
#define PORT(bus, speed, inside) BRIDGE(bus, "0604 [8086:2030] [8086:0000] 04", speed, inside)
#define DEVICE(bus, type, speed, inside)                                            \
	"<object type=\"PCIDev\" pci_busid=\"" bus "\" pci_type=\"" type \
	"\" pci_link_speed=\"" speed "\">" inside "</object>"
#define OSDEV(gp, name, type, inside)                                                      \
	"<object type=\"OSDev\" gp_index=\"" gp "\" name=\"" name "\" osdev_type=\"" type "\">" \
	inside "</object>"

#define A100 "0302 [10de:20b2] [10de:1463] a1"
#define H100 "0302 [10de:2330] [10de:16c0] a1"
#define MI250X "0380 [1002:7408] [1002:0b0c] 00"
#define CONNECTX "0207 [15b3:101b] [15b3:0008] 00"

#endif
