/* Between the files of NCCL's graph search. Private to them. */
#ifndef SPAN_NCCL_SEARCH_WORK_H
#define SPAN_NCCL_SEARCH_WORK_H

#include "topo/graph/graph.h"
#include "topo/nccl/search/nccl_search.h"

/* Limits of a machine. NCCL's own is 576 of each; nobody builds the difference in one node. */
enum { SEARCH_MOST_GPUS = 128, SEARCH_MOST_NICS = 512, SEARCH_MOST_CHANNELS = 32 };

/* Channels that a GPU spreads over the NICs beside it. */
enum { SEARCH_NIC_CHANNELS = 64 };

enum search_pattern {
	SEARCH_BALANCED_TREE = SPAN_PATTERN_BALANCED_TREE, /* the first two GPUs share the NIC */
	SEARCH_TREE = SPAN_PATTERN_TREE,                   /* the first GPU has it alone */
	SEARCH_RING = 4,
	SEARCH_NVLS = 5
};

/* --- the machine (search_system.c) ---------------------------------------------------- */

/* A link on a path. Some take bandwidth from the link in the other direction as well. */
struct search_step {
	int32_t link, back; /* links of the machine; back -1: takes nothing there */
	float back_share;   /* of what is taken forwards */
	bool pci;
};

struct search_path {
	int32_t first, count; /* steps */
	float bandwidth;      /* 1e9 B/s, as in all of the search */
	span_path_class path_class;
	bool costly;          /* an Intel processor between GPUs and what they talk to: PCIe links
	                       * carry more than is sent */
};

struct search_gpu {
	int32_t rank, dev, cc;
	int32_t out_link, in_link; /* PCIe, or -1 */
	uint64_t used;             /* bit c: channel c goes through it */
	int32_t near_nics, per_gpu;
};

struct search_nic {
	float left;          /* bandwidth that no channel has taken */
	float latency;       /* us */
	int32_t alias;       /* the first NIC that NCCL cannot tell from it; mostly itself */
	int32_t port;
	uint64_t card;
	bool has_card;       /* else it is on one of its own */
	int32_t local_gpu;   /* the GPU that uses it first, or -1 */
};

/* Ends of paths are numbered GPUs, NICs, NVSwitch. */
struct search_system {
	const struct machine *machine;
	int32_t n_gpus, n_nics, n_ends;
	int32_t nvswitch;    /* node of the machine, or -1 */
	bool inter;          /* several nodes: channels begin and end at a NIC */
	int32_t cc_min, cpu_arch, cpu_vendor;
	float max_bw;        /* of one channel, */
	float total_bw;      /* of all through one GPU */
	struct search_gpu *gpus;
	struct search_nic *nics;
	int16_t *near;       /* [n_gpus][n_nics] NICs beside a GPU: near_nics of them */
	float *left;         /* [n_links] bandwidth that no channel has taken */
	struct search_path *paths; /* [n_ends][n_ends] */
	struct search_step *steps;
	int32_t n_steps, step_room;
};

span_status search_system_create(const struct machine *machine, bool inter, int32_t cc,
                                 struct search_system *system);
void search_system_free(struct search_system *system);

static inline int32_t search_nic_end(const struct search_system *system, int32_t nic)
{
	return system->n_gpus + nic;
}

static inline int32_t search_switch_end(const struct search_system *system)
{
	return system->n_gpus + system->n_nics;
}

static inline const struct search_path *search_path_at(const struct search_system *system,
                                                       int32_t from, int32_t to)
{
	return &system->paths[(size_t)from * (size_t)system->n_ends + (size_t)to];
}

/* --- NICs (search_nics.c) ------------------------------------------------------------- */

/* Fill what a GPU's and a NIC's nearness decides: near, near_nics, per_gpu, local_gpu. */
void search_nics_prepare(struct search_system *system);

/* Whether two NICs are one port of one card, whose bandwidth they share. */
bool search_nics_same_port(const struct search_system *system, int32_t a, int32_t b);

/* NICs in the order in which they are tried for a GPU, or for -1, all: those beside it, then those
 * on paths of a class up to `farthest`. Room for n_nics; returns how many. */
int32_t search_nics_order(const struct search_system *system, int32_t gpu,
                          span_path_class farthest, int16_t *nics);

/* GPUs that are nearest to a NIC; 0: there is no path to any. */
int32_t search_nics_gpus(const struct search_system *system, int32_t nic, int32_t *gpus);

/* --- one try (search_walk.c) ---------------------------------------------------------- */

struct search_graph {
	enum search_pattern pattern;
	int32_t channels, least_channels, most_channels;
	int32_t cross_nic;
	float bw_intra, bw_inter, latency_inter;
	int32_t type_intra, type_inter; /* the farthest classes allowed */
	bool same_channels;             /* every channel as the first */
	int32_t hops;                   /* links of all channels */
	int16_t gpus[SEARCH_MOST_CHANNELS][SEARCH_MOST_GPUS];
	int16_t nics[SEARCH_MOST_CHANNELS][2];
};

struct search_walk {
	struct search_system *system;
	struct search_graph *graph; /* as far as it has been walked */
	struct search_graph *best;  /* replaced by what is better */
	int32_t *budget;            /* steps left; -1: as many channels as can be had */
	int16_t *next;              /* [channels][n_gpus][n_gpus] GPUs to go on to */
	int16_t *nic_order;         /* [n_gpus + 1][n_nics], the last row for all GPUs */
	int32_t *n_nic_order;       /* [n_gpus + 1] */
};

/* Take the bandwidth of a channel, `times` over, on a path of the current graph, if every link has
 * it and its class is allowed. */
bool search_take(struct search_walk *walk, int32_t from, int32_t to, float times);

/* Give it back. */
void search_give(struct search_walk *walk, int32_t from, int32_t to, float times);

/* GPUs to go on to from `gpu`, in the order in which they are tried: returns how many. `by_nic`:
 * 1 those nearest to the channel's first NIC first, -1 last, 0 no matter. */
int32_t search_next_gpus(const struct search_walk *walk, int32_t gpu, int by_nic, int16_t *next);

/* Try all there is to try with the current graph's settings, within the budget. */
void search_walk_all(struct search_walk *walk);

/* --- one graph (search_graph.c) ------------------------------------------------------- */

/* Find the best graph of a pattern with at least and at most so many channels. Where there is none
 * the GPUs come one after another, at hardly any bandwidth; for NVSwitch there is none then. */
span_status search_graph_find(struct search_system *system, enum search_pattern pattern,
                              int32_t least_channels, int32_t most_channels,
                              struct search_graph *graph);

#endif
