/* The texts of span-topo: floor plan, matrices, fabric. Private. */
#ifndef SPAN_TOOL_TEXT_H
#define SPAN_TOOL_TEXT_H

#include <stdio.h>
#include "topo/graph/graph.h"

/* GB/s in few letters: "370.8", "24", "0.19"; "?" when the bandwidth is not known. */
struct text_number {
	char text[16];
};

struct text_number text_gbps(double bandwidth, int digits);

/* "1 GPU", "8 GPUs". */
struct text_count {
	char text[40];
};

struct text_count text_count(int64_t n, const char *one, const char *many);

/* "h0/gpu3", or "gpu3" where there is one host; of a node of a place. */
struct text_id {
	char text[32];
};

struct text_id text_id(const span_topo *topo, int32_t node);

/* How many places a machine has, and the first of them. */
int32_t text_places(const span_topo *topo, int32_t machine, int32_t *first);

/* Indented tree of one place: packages, NUMA nodes, switches, devices, and their way up. */
span_status text_plan(const span_topo *topo, int32_t place, FILE *out);

/* Class and GB/s from each device of kind `rows` of a place to each of kind `columns`; more
 * than TEXT_MATRIX_MOST of one kind are counted by class instead. Nothing without devices. */
#define TEXT_MATRIX_MOST 32
void text_matrix(const span_topo *topo, int32_t place, span_node_kind rows,
                 span_node_kind columns, FILE *out);

/* The matrices that say something about a place. */
void text_matrices(const span_topo *topo, int32_t place, FILE *out);

/* The tree of fabric switches and what hangs on each. */
span_status text_fabric(const span_topo *topo, FILE *out);

#endif
