/* Golden paths of NCCL 2.28.9 (tests/data/nccl-golden) beside the topologies they are of. */
#ifndef TESTS_NCCL_PATHS_H
#define TESTS_NCCL_PATHS_H

#include <jansson.h>

#include "topo/graph/graph.h"

/* Calls `judge` for each golden file that has paths, in <root>/nccl-golden, with the topology NCCL
 * read: the completed one beside it where a template had to be completed, else the one in
 * <root>/topologies/nccl. Returns how many. */
int nccl_paths_each(const char *root, void (*judge)(const char *xml, json_t *golden));

/* Load a topology, as NCCL would have it or corrected; fails the test if that fails. */
span_topo *nccl_paths_load(const char *xml, int as_nccl);

/* Every pair of the golden file in the topology: class and number of links equal, bandwidth as
 * 32-bit float within 1 ulp. Fails the test at the first that is not; returns how many pairs. */
long nccl_paths_compare(const char *name, json_t *golden, const span_topo *topo);

#endif
