/* A stand-in for NCCL: each release's sequence of calls to a tuner, behind one interface, so
 * that a test says once what it wants of all of them. */
#ifndef TESTS_RELEASES_H
#define TESTS_RELEASES_H

#include <stddef.h>

#include "plugin/nccl_abi.h"

enum { OLDEST_TUNER = 1, NEWEST_TUNER = 6 };

/* What came of one getCollInfo: the cell that NCCL then runs, -1 for what it would have run had
 * there been no tuner (releases without a cost table). */
struct outcome {
	int status;
	int cell;
	int channels;
	float costs[8 * 3]; /* afterwards */
};

/* One question of a release. costs: what the release computed; flat releases do not show it. */
struct call {
	nccl_func coll;
	size_t bytes;
	int pipe_ops;
	int registered;
	int collnet, nvls;
	const float *costs; /* [algos][3] */
	int algos;
};

/* init of tuner version v; returns its status. The context is *context. */
int release_init(int version, size_t ranks, size_t nodes, nccl_logger *logger, void **context);
struct outcome release_ask(int version, void *context, const struct call *call);
int release_end(int version, void *context);

/* Constants as NCCL 2.28.9 hands them over, and the zeros of 2.31.2. */
void release_constants(int zeros, struct nccl_tuner_constants *constants);

#endif
