/* The machine or cluster as one typed graph: what there is, what connects it, how fast, and
 * who says so.
 *
 * A topology is made of *machines* that were described once and may stand many times (2,048
 * equal hosts are one machine with 2,048 places), and of a tree of fabric switches above
 * them. Nodes are numbered through: all nodes of the first place, then of the second, and
 * so on, then the fabric switches. Names, classes and bandwidths follow NCCL where NCCL has
 * a word for it; topo/README.md has the table.
 *
 * A topology is constant once loaded, so any number of threads may use it at once. What
 * queries hand out belongs to it. Bandwidths are bytes a second in one direction (GB/s in
 * texts: 1e9), latencies seconds. */
#ifndef SPAN_TOPO_H
#define SPAN_TOPO_H

#include <stdio.h>
#include "topo/span_status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct span_topo span_topo;

/* --- loading --------------------------------------------------------------------------- */

typedef struct {
	size_t size;    /* sizeof(span_topo_options) */
	int as_nccl;    /* nonzero: exactly what NCCL would believe: xgmi links are ignored,
	                 * nothing is corrected. Zero: known defects of the source are
	                 * corrected, and each correction is told as a note */
} span_topo_options;

/* Read a topology. `source` is one of
 *     NULL or "host"        this machine, through hwloc
 *     "-"                   standard input
 *     "synthetic:..."       one line, such as "synthetic:nodes:4 gpus:8 nvlink:450GB/s"
 *     a path                hwloc XML, NCCL or RCCL topology XML, the text of `nvidia-smi
 *                           topo -m` or `rocm-smi --showtopo`, a cluster description, or
 *                           what `span-topo convert --to json` wrote; the content tells
 * `options` may be NULL. Returns SPAN_EPARSE naming file, line and what was expected,
 * SPAN_EIO, SPAN_EUNSUPPORTED (recognised, but not offered; the message has the remedy),
 * SPAN_EINVAL (topo is NULL, or an options->size of other options), SPAN_ENOMEM. */
SPAN_API span_status span_topo_load(const char *source, const span_topo_options *options,
                                    span_topo **topo);

/* The same from memory; `name` stands for the file in messages. */
SPAN_API span_status span_topo_parse(const char *text, size_t bytes, const char *name,
                                     const span_topo_options *options, span_topo **topo);

SPAN_API void span_topo_free(span_topo *topo); /* NULL is allowed */

/* --- nodes ------------------------------------------------------------------------------ */

typedef enum {
	SPAN_NODE_HOST = 0,  /* an operating system's machine */
	SPAN_NODE_PACKAGE,   /* a processor package (socket) */
	SPAN_NODE_CPU,       /* a NUMA node with its cores: what NCCL calls CPU */
	SPAN_NODE_PCI,       /* a PCIe switch, bridge or other inner PCI device */
	SPAN_NODE_GPU,       /* an accelerator of any vendor */
	SPAN_NODE_CARD,      /* a network card, above its ports */
	SPAN_NODE_NIC,       /* a network port a rank can use: what NCCL calls NET */
	SPAN_NODE_NVSWITCH,  /* all NVSwitches of a machine, as one */
	SPAN_NODE_FABRIC     /* a switch of the network between hosts */
} span_node_kind;

/* "host", "package", "cpu", "pci", "gpu", "card", "nic", "nvswitch", "fabric". */
SPAN_API const char *span_node_kind_name(span_node_kind kind);

typedef struct {
	span_node_kind kind;
	int32_t host;      /* number of its host, from 0; -1 for a fabric switch */
	int32_t parent;    /* the node above it (GPU, card: the PCI device or CPU it hangs
	                    * from; CPU: its package or host; host: its leaf switch), or -1 */
	int32_t dev;       /* number the vendor's runtime gives (CUDA, NVML, net), or -1 */
	int32_t rank;      /* rank in the communicator, or -1 when the source names none */
	char id[32];       /* unique: "h0/gpu3", "h0/nic1", "h0/cpu0", "h0/pci4", "leaf2" */
	const char *name;  /* "mlx5_0", "NVIDIA H100 80GB", a host name; "" when unknown */
	const char *bus;   /* PCI address, such as "0000:65:00.0", or "" */
} span_topo_node;

SPAN_API int32_t span_topo_nodes(const span_topo *topo);
SPAN_API int32_t span_topo_hosts(const span_topo *topo);
SPAN_API void span_topo_node_at(const span_topo *topo, int32_t index, span_topo_node *node);

/* The node with this id, such as "h0/gpu3"; in a topology of one host "gpu3" will do. -1 when
 * there is none. */
SPAN_API int32_t span_topo_find(const span_topo *topo, const char *id);

/* Node numbers of the devices of one kind (GPU, NIC, CPU) in the source's order: fills at
 * most `room` and returns how many there are. host -1: of all hosts. */
SPAN_API int32_t span_topo_devices(const span_topo *topo, span_node_kind kind, int32_t host,
                                   int32_t *nodes, int32_t room);

/* --- links ------------------------------------------------------------------------------ */

typedef enum {
	SPAN_LINK_LOCAL = 0, /* inside a device, or from a package to its NUMA nodes */
	SPAN_LINK_NVLINK,    /* also through NVSwitch */
	SPAN_LINK_XGMI,      /* AMD's Infinity Fabric between GPUs */
	SPAN_LINK_C2C,       /* GPU to CPU, NVLink-C2C */
	SPAN_LINK_PCI,
	SPAN_LINK_SOCKET,    /* between NUMA nodes of a host (QPI, UPI, xGMI, X-bus) */
	SPAN_LINK_NETWORK    /* port to fabric, and between fabric switches */
} span_link_class;

/* "local", "nvlink", "xgmi", "c2c", "pci", "socket", "network". */
SPAN_API const char *span_link_class_name(span_link_class link_class);

/* How far a number can be trusted. */
typedef enum {
	SPAN_CONFIDENCE_UNKNOWN = 0,   /* nobody said anything: the number is a place holder */
	SPAN_CONFIDENCE_ASSUMED,       /* usual for such a device; not stated for this one */
	SPAN_CONFIDENCE_DECLARED,      /* the source states it */
	SPAN_CONFIDENCE_MEASURED       /* somebody timed it */
} span_confidence;

/* "unknown", "assumed", "declared", "measured". */
SPAN_API const char *span_confidence_name(span_confidence confidence);

typedef struct {
	span_link_class link_class;
	int32_t from, to;             /* node numbers; every direction is a link of its own */
	double bandwidth;             /* bytes a second, 0: unknown */
	double latency;               /* seconds, 0: unknown */
	span_confidence confidence;   /* of the bandwidth */
	const char *provenance;       /* who says so, such as "link_speed 16.0 GT/s x16" */
} span_topo_link;

SPAN_API int32_t span_topo_links(const span_topo *topo);
SPAN_API void span_topo_link_at(const span_topo *topo, int32_t index, span_topo_link *link);

/* --- paths ------------------------------------------------------------------------------ */

/* NCCL's classes, best first. */
typedef enum {
	SPAN_PATH_LOC = 0, /* the device itself */
	SPAN_PATH_NVL,     /* NVLink (default view: xgmi too) */
	SPAN_PATH_NVB,     /* NVLink through one other GPU */
	SPAN_PATH_C2C,     /* NVLink-C2C */
	SPAN_PATH_PIX,     /* at most one PCIe switch */
	SPAN_PATH_PXB,     /* several PCIe switches, not the CPU */
	SPAN_PATH_P2C,     /* C2C to the CPU, PCIe from there */
	SPAN_PATH_PXN,     /* through a GPU nearer to the NIC */
	SPAN_PATH_PHB,     /* through a CPU */
	SPAN_PATH_SYS,     /* between CPUs */
	SPAN_PATH_NET,     /* over the network */
	SPAN_PATH_DIS      /* none */
} span_path_class;

/* "LOC" ... "DIS". */
SPAN_API const char *span_path_class_name(span_path_class path_class);

typedef struct {
	span_path_class path_class;
	double bandwidth;          /* of its narrowest link, bytes a second; 0 for DIS */
	double latency;            /* the sum of its links', seconds */
	int32_t hops;              /* links */
	span_confidence confidence;/* of its least trusted link */
} span_topo_path;

/* The path from one device (GPU, NIC or CPU node) to another. Returns SPAN_EINVAL when a node
 * is not a device. Paths inside machines were computed by load; no allocation here. */
SPAN_API span_status span_topo_path_between(const span_topo *topo, int32_t from, int32_t to,
                                            span_topo_path *path);

/* The nodes that path goes through, both ends included, at most `room` of them; returns how
 * many, 0 for DIS. */
SPAN_API int32_t span_topo_route(const span_topo *topo, int32_t from, int32_t to,
                                 int32_t *nodes, int32_t room);

/* --- what the reader noticed ------------------------------------------------------------ */

/* A sentence of the reader: a defect of the source that was corrected (or, as_nccl, left), or
 * something it had to assume. */
typedef struct {
	const char *place;   /* the node's id, or the file with line */
	const char *text;
	int corrected;       /* nonzero: the model differs from the source's words here */
} span_topo_note;

SPAN_API int32_t span_topo_notes(const span_topo *topo);
SPAN_API void span_topo_note_at(const span_topo *topo, int32_t index, span_topo_note *note);

/* "hwloc", "hwloc-xml", "nccl-xml", "rccl-xml", "nvidia-smi", "rocm-smi", "synthetic",
 * "cluster", "json". */
SPAN_API const char *span_topo_source_kind(const span_topo *topo);
SPAN_API const char *span_topo_source_name(const span_topo *topo); /* file name, "-", ... */

#ifdef __cplusplus
}
#endif
#endif
