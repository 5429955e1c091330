/* A machine drawn from a few words: what the readers of texts share. Private.
 *
 * One host; a parent is added before its children. Links are made in both directions. */
#ifndef SPAN_SKETCH_H
#define SPAN_SKETCH_H

#include "topo/graph/graph.h"

struct sketch_link {
	double bandwidth;            /* bytes a second in one direction */
	span_confidence confidence;
	const char *provenance;
};

struct sketch {
	struct machine *machine;
	int32_t host;                /* the node of the host */
	struct sketch_link pcie;     /* of every device and PCIe switch to what it hangs from */
	struct sketch_link socket;   /* between NUMA nodes */
};

/* Add a machine with nothing but its host. Its PCIe and socket links begin as place holders:
 * what NCCL counts with where it cannot read any. */
span_status sketch_begin(struct sketch *sketch, span_topo *topo);

/* A NUMA node (number -1: unknown) with a socket link to each one before it. */
span_status sketch_cpu(struct sketch *sketch, int32_t numa, const char *affinity, int32_t *cpu);

/* A PCIe switch, GPU or card below a NUMA node or PCIe switch. */
span_status sketch_device(struct sketch *sketch, span_node_kind kind, int32_t parent,
                          int32_t *node);

/* A card with one port; without a line rate (NULL) its PCIe link is the only limit. */
span_status sketch_nic(struct sketch *sketch, int32_t parent, const char *name,
                       const struct sketch_link *rate, int32_t *nic);

/* `count` links of one class side by side between two nodes. */
span_status sketch_join(struct sketch *sketch, span_link_class link_class, int32_t count,
                        int32_t a, int32_t b, const struct sketch_link *link);

#endif
