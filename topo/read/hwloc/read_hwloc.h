/* Between the files that make a graph of hwloc's objects. Private to them. */
#ifndef SPAN_READ_HWLOC_H
#define SPAN_READ_HWLOC_H

#include "topo/host/discover_graph.h"
#include "topo/read/hwloc/hwloc_tree.h"

/* What a file or system says that is wrong, odd or left out. Each kind is told in one note, with
 * the number of times and the first place (hwloc_note.c has the words). */
enum hw_oddity {
	HW_ODD_IDLE,          /* a link seen while it slept */
	HW_ODD_NARROW,        /* a link that uses fewer lanes than the device has */
	HW_ODD_CAPPED,        /* NVML's figure before hwloc 2.11: at most Gen3 */
	HW_ODD_NO_SPEED,      /* nobody says how fast a PCIe link is */
	HW_ODD_VIRTUAL_PORT,  /* the port of an emulator says nothing about the link */
	HW_ODD_BROADCOM,      /* one switch shown as two levels */
	HW_ODD_NO_LOCALITY,   /* a device that hangs from the whole machine */
	HW_ODD_WIDE_LOCALITY, /* ... from a package of several NUMA nodes */
	HW_ODD_MEMORY_ONLY,   /* a NUMA node without processors */
	HW_ODD_PARTITIONED,   /* one GPU that is several to its driver */
	HW_ODD_PORT_DOWN,
	HW_ODD_PORT_SPEED,    /* nobody says the line rate of a port */
	HW_ODD_DOUBLED,       /* NVLink counted twice, hwloc 2.9.0 and before */
	HW_ODD_NO_NVLINK,     /* a GPU that has NVLink, and no word about it */
	HW_ODD_C2C,           /* a GPU that has NVLink-C2C, which hwloc does not know */
	HW_ODD_XGMI,          /* a constant in place of a bandwidth */
	HW_ODD_SOCKET,        /* no figure for links between these processors */
	HW_ODD_KINDS
};

/* The PCIe link above a device, by the node of the device. */
struct hw_uplink {
	double rate;                /* GT/s of a lane */
	int32_t width;
	double bandwidth;           /* 0: no link */
	span_confidence confidence;
	bool slept;                 /* a switch, at the speed of what is below it */
	char provenance[96];
};

struct hw_reader {
	const struct hw_tree *tree;
	const struct discover_live *live; /* of a file NULL */
	bool as_nccl;
	span_topo *topo;
	struct machine *machine;
	int32_t host;               /* node of the host */
	int32_t *node_of;           /* [n_objects] the node an object became, or -1 */
	int32_t n_cpus;
	int32_t *cpus;              /* [n_cpus] nodes */
	struct hw_set *cpu_sets;    /* [n_cpus] */
	struct hw_uplink *uplinks;  /* [GRAPH_MAX_NODES] */
	int32_t nvswitch;           /* node, or -1 */
	int32_t odd_count[HW_ODD_KINDS];
	char odd_place[HW_ODD_KINDS][64];
};

/* hwloc_note.c: count an oddity of a node (or, node -1, of an object); write the notes. */
void hw_odd(struct hw_reader *reader, enum hw_oddity kind, int32_t node, int32_t object);
span_status hw_notes(struct hw_reader *reader);

/* hwloc_cpu.c: packages, NUMA nodes and the links between them. */
span_status hw_add_cpus(struct hw_reader *reader);

/* The CPU node that a device hangs from, by the processors around object `number`. *oddity is
 * HW_ODD_KINDS when that is certain. */
span_status hw_nearest_cpu(const struct hw_reader *reader, int32_t number, int32_t *node,
                           enum hw_oddity *oddity);

/* hwloc_pci.c: GPUs, cards, ports, and the bridges above them. */
span_status hw_add_devices(struct hw_reader *reader);
bool hw_is_nvswitch(const struct hw_object *object);

/* hwloc_rate.c: the uplink of a PCI device; afterwards, what slept; then links for all. */
void hw_find_uplink(struct hw_reader *reader, int32_t object, int32_t node);
span_status hw_link_pci(struct hw_reader *reader);

/* hwloc_port.c: the ports of a card. */
bool hw_any_rdma(const struct hw_tree *tree);
span_status hw_add_ports(struct hw_reader *reader, int32_t object, int32_t card, bool rdma);
span_status hw_link_ports(struct hw_reader *reader);

/* hwloc_link.c: NVLink, xGMI and their like. */
span_status hw_add_fabric(struct hw_reader *reader);
span_status hw_add_nvswitch(struct hw_reader *reader, int32_t *node);
span_status hw_link_both(struct hw_reader *reader, span_link_class link_class, int32_t a,
                         int32_t b, const struct hw_uplink *rate, int32_t count);

#endif
