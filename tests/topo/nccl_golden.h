/* The golden files of NCCL 2.28.9, one at a time: tests/data/nccl-golden/README.md. */
#ifndef TESTS_NCCL_GOLDEN_H
#define TESTS_NCCL_GOLDEN_H

#include <jansson.h>

#include "topo/nccl/nccl_model.h"

/* Calls `judge` for each file of a folder that has cost tables; returns how many. */
int nccl_golden_each(const char *folder, void (*judge)(const char *path, json_t *golden));

/* The communicator of so many nodes (a key of cost.nodes) that a golden file was made for. */
span_nccl_comm nccl_golden_comm(json_t *golden, const char *nodes);

/* "Ring/LL" and its like to numbers. */
void nccl_golden_cell(const char *key, int *algo, int *proto);

/* The distance of two floats in units of the last place; large if a sign or NaN differs. */
int64_t nccl_golden_ulps(float a, float b);

#endif
