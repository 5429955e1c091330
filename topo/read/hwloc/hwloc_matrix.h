/* Matrices of distances in hwloc's XML, version 2 and later. Private. */
#ifndef SPAN_READ_HWLOC_MATRIX_H
#define SPAN_READ_HWLOC_MATRIX_H

#include "topo/read/hwloc/hwloc_tree.h"

#define HW_MATRIX_MOST 2048 /* objects of a matrix */

struct hw_matrix {
	int32_t n;
	int32_t *objects; /* [n] numbers of objects, or -1 for one that is not in the file */
	double *values;   /* [n][n] from row to column, in hwloc's unit: MB/s for bandwidths */
};

/* The matrix of this name, such as "NVLinkBandwidth". *found is false when there is none. */
span_status hw_matrix_read(const struct hw_tree *tree, const char *name, bool *found,
                           struct hw_matrix *matrix);
void hw_matrix_free(struct hw_matrix *matrix);

#endif
