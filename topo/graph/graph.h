/* The graph behind span_topo.h, as its readers build it. Private.
 *
 * struct machine is what one source describes: usually one host, several when NVLink reaches
 * across hosts (their nodes carry host numbers 0, 1, ... within the machine). It is described
 * once and stands at one or more places. Inside a machine nodes have local numbers. */
#ifndef SPAN_GRAPH_H
#define SPAN_GRAPH_H

#include <stdbool.h>
#include "topo/span_topo.h"

/* Limits: nothing that a file says makes us hold more. */
#define GRAPH_MAX_NODES 8192      /* of a machine; must fit route_next */
#define GRAPH_MAX_DEVICES 2048    /* GPUs, NICs and CPUs of a machine */
#define GRAPH_MAX_LINKS 65536     /* of a machine */
#define GRAPH_MAX_PLACES 131072
#define GRAPH_MAX_SWITCHES 65536
#define GRAPH_MAX_NOTES 1000

struct graph_node {
	span_node_kind kind;
	int32_t host;             /* within the machine */
	int32_t parent;           /* local number, or -1 */
	int32_t index;            /* k-th of its kind in its host, from 0: the id's number */
	int32_t dev, rank;        /* or -1 */
	int32_t numa;             /* CPU: its number in the operating system, or -1 */
	int32_t line;             /* of the source, or 0 */
	int32_t last_link;        /* its latest link, or -1: the chain that add_link searches */
	uint32_t pci_class;       /* such as 0x030200; 0: unknown */
	uint32_t pci_vendor, pci_device; /* 0: unknown */
	uint32_t pci_subsystem;   /* vendor << 16 | device */
	int32_t sm;               /* GPU: NVIDIA compute capability x 10, or 0 */
	int32_t gdr;              /* GPU, NIC: GPUDirect RDMA: 1 yes, 0 no, -1 unknown */
	int32_t arch, vendor, model, family; /* CPU: enum cpu_arch, cpu_vendor; model id, -1 */
	int32_t port;             /* NIC, or -1 */
	int32_t rail;             /* NIC: rail the source names, or -1 */
	double speed;             /* NIC: line rate, bytes a second, 0: unknown;
	                           * PCI, GPU, CARD: of its PCIe upstream link as declared */
	double latency;           /* NIC, seconds */
	double memory;            /* CPU, GPU: bytes, 0: unknown */
	uint64_t guid;            /* NIC: card, as the source says, or 0 */
	bool guid_said;           /* NCCL's XML has a guid, be it 0: cards called 0 are one to NCCL */
	char *name;               /* owned, never NULL */
	char *bus;                /* owned, never NULL */
	char *affinity;           /* CPU: owned text of the source, "" when unknown */
};

enum cpu_arch { ARCH_UNKNOWN = 0, ARCH_X86 = 1, ARCH_POWER = 2, ARCH_ARM = 3 };
enum cpu_vendor { VENDOR_UNKNOWN = 0, VENDOR_INTEL = 1, VENDOR_AMD = 2, VENDOR_ZHAOXIN = 3 };

struct graph_link {
	span_link_class link_class;
	int32_t from, to;
	int32_t count;            /* NVLink, xgmi: links side by side, else 1 */
	double bandwidth, latency;
	span_confidence confidence;
	int32_t earlier;          /* the link of the same `from` before it, or -1 */
	const char *provenance;   /* in the machine's strings */
};

struct graph_path {
	span_path_class path_class;
	int32_t hops;
	double bandwidth, latency;
	span_confidence confidence;
};

struct machine {
	int32_t n_nodes, n_links, n_hosts;
	struct graph_node *nodes;
	struct graph_link *links;
	int32_t node_room, link_room;
	char **strings;           /* provenances, each once */
	int32_t n_strings, string_room;
	char **host_names;        /* [n_hosts], "" when unknown */
	/* Devices (GPU, NIC, CPU nodes, in this order of kinds, in the order of nodes), and the
	 * paths between all of them: filled by machine_paths(). */
	int32_t n_devices;
	int32_t *devices;         /* [n_devices] local node numbers */
	int32_t *device_of;       /* [n_nodes] or -1 */
	struct graph_path *paths; /* [n_devices][n_devices], from row to column */
	int16_t *route_next;      /* private to path*.c, [n_devices][n_nodes]: the next node from a
	                           * node to a device, or -1 */
	int16_t *route_via;       /* [n_devices][n_devices]: device a path was led over, or -1 */
};

/* One standing of a machine. */
struct place {
	int32_t machine;
	int32_t leaf;             /* fabric switch its NICs are on, or -1: one flat network */
	int32_t first_host;       /* numbers of its first host, node and link: */
	int32_t first_node;       /* set by topo_finish */
	int32_t first_link;
	char *name;               /* host name, or NULL: the machine's */
};

struct fabric_switch {
	int32_t parent;           /* or -1 */
	double up_bandwidth;      /* to the parent, all uplinks together, bytes a second; 0: as
	                           * much as everything below */
	double latency;           /* of the hop to the parent, seconds */
	int32_t rails;            /* leaf switches side by side that it stands for, mostly 1: each
	                           * host has its NICs on all of them (graph_rail), and each has its
	                           * part of the uplinks */
	span_confidence confidence;
	char *name;
};

#define GRAPH_MAX_RAILS 64

/* On which of the leaf switches side by side a NIC is. */
static inline int32_t graph_rail(const struct fabric_switch *leaf, const struct graph_node *nic)
{
	return (nic->rail >= 0 ? nic->rail : nic->index) % leaf->rails;
}

struct note {
	char *place, *text;
	bool corrected;
};

struct span_topo {
	struct machine **machines;
	struct place *places;
	struct fabric_switch *switches;
	struct note *notes;
	int32_t n_machines, n_places, n_switches, n_notes;
	int32_t machine_room, place_room, switch_room, note_room;
	const char *source_kind;
	char *source_name;
	bool as_nccl;
};

/* --- building --------------------------------------------------------------------------- */

/* Each returns SPAN_ENOMEM, or SPAN_EPARSE when a limit is passed; texts are copied. */
span_status topo_create(const char *source_kind, const char *source_name, bool as_nccl,
                        span_topo **topo);

/* Add an empty machine; number 0 is the first. */
span_status topo_add_machine(span_topo *topo, struct machine **machine);

/* Add a node with nothing known: strings "", numbers -1 or 0 as documented above. `index` is
 * counted. *number is its local number; pointers to other nodes are no longer valid. */
span_status machine_add_node(struct machine *machine, span_node_kind kind, int32_t host,
                             int32_t parent, int32_t *number);
span_status machine_set_text(char **field, const char *text); /* name, bus, affinity */
span_status machine_host_name(struct machine *machine, int32_t host, const char *name);

/* Add a link in one direction, or widen the one that is there (same class, from, to), as NCCL
 * does: bandwidth and count are added. */
__attribute__((format(printf, 8, 9)))
span_status machine_add_link(struct machine *machine, span_link_class link_class, int32_t from,
                             int32_t to, double bandwidth, int32_t count,
                             span_confidence confidence, const char *provenance, ...);

/* Let machine number `machine` stand once more. */
span_status topo_add_place(span_topo *topo, int32_t machine, int32_t leaf, const char *name);
span_status topo_add_switch(span_topo *topo, int32_t parent, const char *name,
                            double up_bandwidth, int32_t *number);

/* Tell something to the user; after GRAPH_MAX_NOTES notes the rest is counted, not kept. */
__attribute__((format(printf, 4, 5)))
span_status topo_note(span_topo *topo, const char *place, bool corrected, const char *text, ...);

/* The last step of loading: number everything through, compute the paths of every machine.
 * SPAN_EPARSE when there is nothing, or more than can be numbered. */
span_status topo_finish(span_topo *topo);

/* Fill devices, paths and routes of a machine (path.c). */
span_status machine_paths(struct machine *machine, bool as_nccl);

/* The path between devices of different places (path_network.c): local device numbers. */
void topo_network_path(const span_topo *topo, int32_t from_place, int32_t from_device,
                       int32_t to_place, int32_t to_device, struct graph_path *path);

/* The machine and place a node number belongs to; *local is its local number. NULL for a
 * fabric switch, whose number *local then is. */
const struct machine *topo_locate(const span_topo *topo, int32_t node, int32_t *place,
                                  int32_t *local);

#endif
