/* NCCL's own cost model, as NCCL 2.28.9 computes it, to the bit of its 32-bit floats. Private.
 *
 * The model is data and two steps. span_nccl_model_build turns a description of the
 * communicator (span_nccl_comm: ranks, nodes, processors, the channels and bandwidths that
 * NCCL's graph search found) and a table of constants into a latency and a bandwidth for each
 * collective, algorithm and protocol. span_nccl_model_us turns those into a time for bytes:
 *
 *     us = latency * operations + bytes / (1000 * bandwidth)
 *
 * with two corrections (trees at medium sizes, the plateau of rings). What NCCL chooses is the
 * strict minimum over algorithms and protocols; span_nccl_model_choose gives it, with the
 * channels and warps that it then launches.
 *
 * Source: NVIDIA NCCL v2.28.9-1, src/graph/tuning.cc and src/enqueue.cc, read as facts and
 * checked against the cost tables that the released library computes (tests/data/nccl-golden).
 * Floats and doubles mix here as they do there, because the last bit depends on it.
 *
 * No allocation, no global state; everything may be used by several threads at once. */
#ifndef SPAN_NCCL_MODEL_H
#define SPAN_NCCL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "topo/span_profile.h"
#include "topo/span_topo.h" /* classes of paths */

/* --- constants ---------------------------------------------------------------------------- */

enum span_nccl_hw { SPAN_HW_NVLINK = 0, SPAN_HW_PCI = 1, SPAN_HW_NET = 2, SPAN_HWS = 3 };
enum span_nccl_gpu {
	SPAN_VOLTA = 0, SPAN_AMPERE = 1, SPAN_HOPPER = 2, SPAN_BLACKWELL = 3,
	SPAN_GPUS = 4
};
enum { SPAN_SCALES = 3 }; /* 1 node, 2 nodes, more */

/* The constants of the model, laid out as the tuner interfaces v5 and v6 pass them (1152 bytes,
 * all doubles), so that they can be copied there and back as a whole. Microseconds, 1e9 B/s. */
typedef struct {
	double base[SPAN_ALGOS][SPAN_PROTOS];         /* launch, before any hop */
	double hw[SPAN_HWS][SPAN_ALGOS][SPAN_PROTOS]; /* of a hop over this kind of link */
	double ll_max[SPAN_GPUS][SPAN_SCALES];        /* caps of bandwidth: LL of all channels, */
	double ring_ll128_max[SPAN_GPUS][SPAN_SCALES]; /* the others of one channel */
	double tree_ll128_max[SPAN_GPUS][SPAN_SCALES];
	double tree_max[SPAN_GPUS][SPAN_SCALES];
	double nvls_tree_max[SPAN_GPUS][SPAN_SCALES];
} span_nccl_constants;

/* The defaults of NCCL 2.28.9. */
extern const span_nccl_constants span_nccl_defaults;

/* Whether every constant is finite and not negative, every base and cap row of use above 0.
 * NCCL 2.31.2 passes all zeros: that is false, and such a table must not be used. */
bool span_nccl_constants_sane(const span_nccl_constants *constants);

/* The most channels of a communicator, of any release. */
enum { SPAN_NCCL_MAX_CHANNELS = 64 };

/* --- the communicator --------------------------------------------------------------------- */

enum span_nccl_cpu {
	SPAN_CPU_OTHER = 0, SPAN_CPU_X86_INTEL = 1, SPAN_CPU_X86_AMD = 2, SPAN_CPU_POWER = 3,
	SPAN_CPU_X86_MIXED = 4 /* ranks on Intel and on AMD */
};

enum span_nccl_pattern { /* of a tree graph */
	SPAN_PATTERN_BALANCED_TREE = 1, SPAN_PATTERN_SPLIT_TREE = 2, SPAN_PATTERN_TREE = 3
};

/* What a graph search found: the smallest over ranks of channels and bandwidths, the farthest
 * of path classes. channels = 0: there is no such graph. */
typedef struct {
	int32_t channels;
	float bw_intra; /* 1e9 B/s of a channel */
	float bw_inter;
	float latency_inter; /* us, as the net plugin declares it */
	int32_t type_intra;  /* span_path_class */
	int32_t type_inter;
	bool same_channels;  /* rings: every channel takes the same way */
	int32_t pattern;     /* trees: span_nccl_pattern, the largest over ranks */
} span_nccl_graph;

typedef struct {
	int32_t ranks;
	int32_t nodes;
	int32_t most_local_ranks; /* of a node; ranks / nodes where all are alike */
	int32_t cc_min;           /* compute capability, such as 90; smallest and largest */
	int32_t cc_max;
	int32_t cpu;              /* span_nccl_cpu */
	int32_t channels;         /* of the communicator: up to twice those of its graphs */
	int32_t nvls_channels;
	bool nvswitch;
	bool nvls;                /* NVLS works for the type and operation at hand */
	bool collnet;             /* a CollNet (SHARP) plugin is in use, */
	bool collnet_gather;      /* with all-gather and reduce-scatter, */
	int32_t collnet_heads;    /* over so many heads */
	bool net_offload;         /* the net plugin runs on the device: no PAT */
	double plateau;           /* of a ring's steps at medium sizes; 0: NCCL's 1.4 or 1.9 */
	double uncorrected;       /* share (of logarithms) of NCCL's correction of trees that
	                           * does not apply; 0: all of it does, 1: none */
	span_nccl_graph ring, tree, nvls_graph, collnet_chain, collnet_direct;
} span_nccl_comm;

/* Trees fall short of latency and bandwidth at medium sizes; NCCL corrects their bandwidth for
 * powers of two from 64 B to 256 MiB. */
enum { SPAN_TREE_CORRECTIONS = 23 };

/* --- the model ---------------------------------------------------------------------------- */

typedef struct {
	float latency[SPAN_COLLS][SPAN_ALGOS][SPAN_PROTOS];   /* us */
	float bandwidth[SPAN_COLLS][SPAN_ALGOS][SPAN_PROTOS]; /* 1e9 B/s; 0: not to be had */
	int32_t threads[SPAN_ALGOS][SPAN_PROTOS];             /* most of a block */
	int32_t threshold[SPAN_ALGOS][SPAN_PROTOS];           /* bytes worth a thread */
	int32_t ranks, nodes, channels, nvls_channels, collnet_heads;
	double plateau;       /* latency of a ring of several nodes is multiplied by it */
	float correction[SPAN_PROTOS][SPAN_TREE_CORRECTIONS]; /* of a tree's bandwidth */
} span_nccl_model;

/* Latencies and bandwidths of a communicator.
 * Returns SPAN_EINVAL for fewer than 2 ranks, ranks below nodes, or channels below 1. */
span_status span_nccl_model_build(const span_nccl_comm *comm,
                                  const span_nccl_constants *constants,
                                  span_nccl_model *model);

/* The predicted time in microseconds of `bytes` (the larger buffer, as getCollInfo receives
 * it) and `operations` grouped into one launch (numPipeOps, mostly 1); -1 for what cannot be
 * had. Indices must be in range. */
float span_nccl_model_us(const span_nccl_model *model, int coll, int algo, int proto,
                         uint64_t bytes, int operations);

/* All of them: table[algo][proto], -1 for what cannot be had. */
void span_nccl_model_table(const span_nccl_model *model, int coll, uint64_t bytes,
                           int operations, float table[SPAN_ALGOS][SPAN_PROTOS]);

typedef struct {
	int32_t algo; /* -1: nothing is available */
	int32_t proto;
	int32_t channels;
	int32_t warps;
	float us;
} span_nccl_choice;

/* What NCCL launches from a cost table: the first strict minimum of its cells of 0 or more,
 * with channels, then warps, taken away until each thread has bytes worth its while. */
span_nccl_choice span_nccl_model_choose(const span_nccl_model *model, uint64_t bytes,
                                        float table[SPAN_ALGOS][SPAN_PROTOS]);

/* --- from a profile ----------------------------------------------------------------------- */

/* The constants and the communicator that a profile's numbers describe:
 *
 *     nccl.base.ALGO.PROTO             nccl.hw.LINK.ALGO.PROTO (nvlink, pci, net)
 *     nccl.CAP.GPU.SCALE               ll-max, ring-ll128-max, tree-ll128-max, tree-max,
 *                                      nvls-tree-max; volta to blackwell; one, two, more
 *     comm.cc  comm.cpu                as in span_nccl_comm
 *     comm.nvswitch  comm.net-offload  0 or 1
 *     model.ring-plateau  model.tree-correction        as in span_nccl_comm, the latter
 *                                      from 0 (none of NCCL's) to 1 (all of it, the default)
 *     comm.channels.PART  comm.nvls-channels.PART      PART is one (node) or many
 *     graph.PART.GRAPH.FIELD           ring, tree, nvls; channels, bw-intra, bw-inter,
 *                                      latency-inter, type-intra, type-inter, same-channels,
 *                                      pattern
 *
 * Constants that are not there are NCCL's defaults. A node's graphs are those of all of its
 * GPUs. Returns SPAN_EUNSUPPORTED, without a message, when the profile has no ring for one node
 * or for many, as asked; SPAN_EINVAL for numbers that cannot be. */
span_status span_nccl_from_profile(const span_profile *profile, int32_t ranks, int32_t nodes,
                                   span_nccl_comm *comm, span_nccl_constants *constants);

/* The names of the constants: how many there are, and the i-th, in the order of their memory. */
int span_nccl_constant_count(void);
void span_nccl_constant_name(int index, char *name, size_t bytes);

#endif
