/* Between the two files that write NCCL's topology XML. Private to them. */
#ifndef SPAN_WRITE_NCCL_H
#define SPAN_WRITE_NCCL_H

#include <stdio.h>
#include "topo/graph/graph.h"

struct nccl_writer {
	const struct machine *machine;
	bool as_nccl;
	bool xgmi;              /* AMD's format, version 2 */
	bool ranked;            /* every GPU has a rank */
	FILE *file;
	int32_t *first, *next;  /* [n_nodes] children of a node, in order; -1: none */
	int32_t gpus, ports;    /* written so far */
};

/* Write name="text", and blanks at the beginning of a line. */
void nccl_write_text(FILE *file, const char *name, const char *text);
void nccl_indent(FILE *file, int depth);

/* The PCI address of a node. Sources without any get them invented: bridges may have any, if they
 * differ; GPUs and NICs NCCL finds by theirs, which span-topo convert tells. */
const char *nccl_bus_of(const struct nccl_writer *writer, int32_t number, char invented[24]);

/* Compute capability: as known, else that whose NVLinks give the bandwidth of the GPU's best. */
int32_t nccl_sm_of(const struct nccl_writer *writer, int32_t number);

const struct graph_link *nccl_find_link(const struct machine *machine,
                                        span_link_class link_class, int32_t from, int32_t to);

/* Write link_speed and link_width of the link to what is above a node; the elements of a GPU's
 * NVLink, xGMI and C2C links, in the order in which they were added. */
void nccl_write_pci_link(const struct nccl_writer *writer, int32_t number);
span_status nccl_write_gpu_links(const struct nccl_writer *writer, int32_t number, int depth);

#endif
