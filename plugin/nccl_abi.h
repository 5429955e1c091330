/* NCCL's tuner interfaces, versions 1 to 6, as declarations of our own. Private.
 *
 * NCCL looks for data symbols ncclTunerPlugin_vN, newest first. Layouts are those of 64-bit
 * Linux; tests/plugin/test_nccl_abi.c pins every size and offset, `make check-nccl` compares
 * them with the debug information of the released libraries.
 *
 * What the interfaces do not say, and what has hurt others:
 *   - collCostTable is declared float **, but it is the address of float[numAlgo][numProto],
 *     one block, algorithm major. Cells are microseconds, -1 is "not to be had". Raising a -1
 *     makes NCCL run what was never connected.
 *   - An error from getCollInfo fails the user's collective, one from init the communicator.
 *   - In nChannels 0 goes in, and 0 on return keeps NCCL's own count. From 2.22 on it is kept in 8
 *     bits with a sign; where CollNet takes part, and in 2.19 and 2.20, nothing bounds it.
 *   - getChunkSize gets the bytes of one channel, but all of them where CollNet takes part. A chunk
 *     below the protocol's grain becomes 0, one of NVLS above NCCL's own overruns its buffers.
 *   - regBuff may differ between ranks.
 *   - The context is the last argument of init up to v4, and the first from v5 on.
 *   - The logger may be NULL. */
#ifndef SPAN_PLUGIN_NCCL_ABI_H
#define SPAN_PLUGIN_NCCL_ABI_H

#include <stddef.h>
#include <stdint.h>

/* The one thing a plugin may ever return. */
enum nccl_result { NCCL_SUCCESS = 0 };

/* Collectives, algorithms and protocols have the numbers of topo/span_profile.h. */
typedef int nccl_func;

enum nccl_log_level { NCCL_LOG_WARN = 2, NCCL_LOG_INFO = 3 };
enum nccl_log_subsystem { NCCL_LOG_INIT = 0x1, NCCL_LOG_TUNING = 0x40, NCCL_LOG_ENV = 0x80 };

typedef void nccl_logger(int level, unsigned long subsystems, const char *file, int line,
                         const char *format, ...) __attribute__((format(printf, 5, 6)));

/* NVLink domains of a communicator: today as many as nodes, with ranks of a node. */
struct nccl_nvl_domains {
	int domains;
	int min_ranks;
	int max_ranks;
};

/* Constants of NCCL's cost model, 144 doubles. 2.31.2 passes zeros and ignores edits. */
struct nccl_tuner_constants {
	double base_latencies[7][3];
	double hw_latencies[3][7][3];
	double ll_max_bws[4][3];
	double per_ch_max_ring_ll128_bws[4][3];
	double per_ch_max_tree_ll128_bws[4][3];
	double per_ch_max_tree_bws[4][3];
	double per_ch_max_nvls_tree_bws[4][3];
};

/* 2.19 and 2.20: no context. */
struct nccl_tuner_v1 {
	const char *name;
	int (*init)(size_t ranks, size_t nodes, nccl_logger *logger);
	int (*get_coll_info)(nccl_func coll, size_t bytes, int collnet, int nvls, int pipe_ops,
	                     int *algo, int *proto, int *channels);
	int (*destroy)(void);
};

/* 2.21. */
struct nccl_tuner_v2 {
	const char *name;
	int (*init)(size_t ranks, size_t nodes, nccl_logger *logger, void **context);
	int (*get_coll_info)(void *context, nccl_func coll, size_t bytes, int collnet, int nvls,
	                     int pipe_ops, int *algo, int *proto, int *channels);
	int (*destroy)(void *context);
};

/* 2.22: the cost table. */
struct nccl_tuner_v3 {
	const char *name;
	int (*init)(size_t ranks, size_t nodes, nccl_logger *logger, void **context);
	int (*get_coll_info)(void *context, nccl_func coll, size_t bytes, int pipe_ops,
	                     float **costs, int algos, int protos, int *channels);
	int (*destroy)(void *context);
};

/* 2.24: whether buffers are registered. */
struct nccl_tuner_v4 {
	const char *name;
	int (*init)(size_t ranks, size_t nodes, nccl_logger *logger, void **context);
	int (*get_coll_info)(void *context, nccl_func coll, size_t bytes, int pipe_ops,
	                     float **costs, int algos, int protos, int registered,
	                     int *channels);
	int (*destroy)(void *context);
};

/* 2.28: the communicator's id, NVLink domains, constants. */
struct nccl_tuner_v5 {
	const char *name;
	int (*init)(void **context, uint64_t id, size_t ranks, size_t nodes, nccl_logger *logger,
	            struct nccl_nvl_domains *domains, struct nccl_tuner_constants *constants);
	int (*get_coll_info)(void *context, nccl_func coll, size_t bytes, int pipe_ops,
	                     float **costs, int algos, int protos, int registered,
	                     int *channels);
	int (*finalize)(void *context);
};

/* 2.30: chunk sizes. */
struct nccl_tuner_v6 {
	const char *name;
	int (*init)(void **context, uint64_t id, size_t ranks, size_t nodes, nccl_logger *logger,
	            struct nccl_nvl_domains *domains, struct nccl_tuner_constants *constants);
	int (*get_coll_info)(void *context, nccl_func coll, size_t bytes, int pipe_ops,
	                     float **costs, int algos, int protos, int registered,
	                     int *channels);
	int (*finalize)(void *context);
	int (*get_chunk_size)(void *context, nccl_func coll, size_t bytes, int algo, int proto,
	                      int channels, size_t *chunk);
};

/* What the shared object exports, and nothing else. */
#define NCCL_EXPORT __attribute__((visibility("default")))

extern NCCL_EXPORT const struct nccl_tuner_v1 ncclTunerPlugin_v1;
extern NCCL_EXPORT const struct nccl_tuner_v2 ncclTunerPlugin_v2;
extern NCCL_EXPORT const struct nccl_tuner_v3 ncclTunerPlugin_v3;
extern NCCL_EXPORT const struct nccl_tuner_v4 ncclTunerPlugin_v4;
extern NCCL_EXPORT const struct nccl_tuner_v5 ncclTunerPlugin_v5;
extern NCCL_EXPORT const struct nccl_tuner_v6 ncclTunerPlugin_v6;

#endif
