/* The readers of topology sources, each in a file of its own. Private.
 *
 * A reader makes a topology of machines and places with topo/graph/graph.h; span_topo_load then
 * computes the paths. It names file and line in every message, and holds no more than the
 * limits of graph.h whatever the file says. */
#ifndef SPAN_READER_H
#define SPAN_READER_H

#include "topo/graph/graph.h"

struct source {
	const char *name;   /* for messages */
	const char *text;   /* [bytes], followed by a 0 that is not counted */
	size_t bytes;       /* at most READER_MAX_BYTES */
	bool as_nccl;
};

#define READER_MAX_BYTES (64u << 20)

/* Kinds of sources, recognised by content (recognise.c). */
enum source_kind {
	SOURCE_HWLOC_XML, SOURCE_HWLOC_XML3, SOURCE_NCCL_XML, SOURCE_RCCL_XML,
	SOURCE_NVIDIA_SMI, SOURCE_ROCM_SMI, SOURCE_SYNTHETIC, SOURCE_CLUSTER, SOURCE_JSON,
	SOURCE_REFUSED /* recognised as something we do not read; the cause was logged */
};

enum source_kind source_recognise(const struct source *source, span_status *refused);

/* Recognise a source and let its reader make a topology, which topo_finish is still to be called
 * for. What was made before a failure is the caller's to free. */
span_status source_read(const struct source *source, span_topo **topo);

/* Read everything a stream has, up to READER_MAX_BYTES, with a 0 behind it. */
span_status source_slurp(FILE *file, const char *name, char **text, size_t *bytes);

span_status read_host(bool as_nccl, span_topo **topo);                   /* discover_graph.c */
span_status read_hwloc_xml(const struct source *source, span_topo **topo);/* read_hwloc.c */
span_status read_hwloc_xml3(const struct source *source, span_topo **topo);
span_status read_nccl_xml(const struct source *source, span_topo **topo); /* read_nccl.c */
span_status read_nvidia_smi(const struct source *source, span_topo **topo);
span_status read_rocm_smi(const struct source *source, span_topo **topo);
span_status read_synthetic(const struct source *source, span_topo **topo);
span_status read_cluster(const struct source *source, span_topo **topo);
span_status read_topo_json(const struct source *source, span_topo **topo);

#endif
