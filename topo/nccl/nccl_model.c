/* Latencies and bandwidths of NCCL's cost model. Where an expression mixes float and double it
 * does so because NCCL's does: every product is rounded where NCCL rounds it. */
#include "topo/nccl/nccl_model.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "topo/log.h"

/* Everything that the formulas of one collective, algorithm and protocol look at. */
struct cell {
	const span_nccl_comm *comm;
	const span_nccl_constants *constants;
	const span_nccl_graph *graph;
	int coll, algo, proto;
	int gpu, scale;
	float ppn; /* ranks per node */
	int steps; /* sends of a rank */
};

/* Efficiency of in-switch reduction, by generation. */
static const float nvls_efficiency[SPAN_GPUS] = { 0.0f, 0.0f, 0.85f, 0.74f };

static double smaller(double a, double b)
{
	return a < b ? a : b;
}

static int log2_floor(int n)
{
	int log = 0;

	while (n > 1) {
		n >>= 1;
		log++;
	}
	return log;
}

static int gpu_of(int cc)
{
	return cc >= 100 ? SPAN_BLACKWELL : cc >= 90 ? SPAN_HOPPER
	                            : cc >= 80       ? SPAN_AMPERE
	                                             : SPAN_VOLTA;
}

static int is_gather(int coll)
{
	return coll == SPAN_COLL_ALL_GATHER || coll == SPAN_COLL_REDUCE_SCATTER;
}

static int steps_of(int coll, int ranks)
{
	if (coll == SPAN_COLL_ALL_REDUCE)
		return 2 * (ranks - 1);
	return is_gather(coll) ? ranks - 1 : ranks;
}

/* The graph an algorithm runs over. */
static const span_nccl_graph *graph_of(const span_nccl_comm *comm, int algo)
{
	switch (algo) {
	case SPAN_ALGO_RING:
		return &comm->ring;
	case SPAN_ALGO_COLLNET_DIRECT:
		return &comm->collnet_direct;
	case SPAN_ALGO_COLLNET_CHAIN:
		return &comm->collnet_chain;
	case SPAN_ALGO_NVLS:
	case SPAN_ALGO_NVLS_TREE:
		return &comm->nvls_graph;
	default:
		return &comm->tree;
	}
}

/* --- what there is ------------------------------------------------------------------------ */

static int algo_serves(int coll, int algo)
{
	switch (algo) {
	case SPAN_ALGO_RING:
		return 1;
	case SPAN_ALGO_TREE:
	case SPAN_ALGO_COLLNET_CHAIN:
	case SPAN_ALGO_NVLS_TREE:
		return coll == SPAN_COLL_ALL_REDUCE;
	case SPAN_ALGO_PAT:
		return is_gather(coll);
	default:
		return coll == SPAN_COLL_ALL_REDUCE || is_gather(coll);
	}
}

/* LL128 needs stores of 128 bytes to arrive whole, which not every path promises. */
static int ll128_safe(const struct cell *cell)
{
	const span_nccl_comm *comm = cell->comm;
	int farthest = comm->cc_min >= 90 ? SPAN_PATH_PXN : SPAN_PATH_PXB;

	return cell->graph->type_inter <= farthest && cell->graph->type_intra <= SPAN_PATH_NVB &&
	       comm->cc_min == comm->cc_max && comm->cc_min >= 70;
}

/* The most GPUs of a node that CollNet and NVLS reach, as NCCL bounds their fan-out. */
#define COLLNET_LOCAL_RANKS 8
#define NVLS_LOCAL_RANKS    32

static int nvls_available(const struct cell *cell)
{
	const span_nccl_comm *comm = cell->comm;

	if (!comm->nvls || cell->graph->channels < 2)
		return 0;
	if (cell->coll != SPAN_COLL_ALL_REDUCE && comm->most_local_ranks > NVLS_LOCAL_RANKS)
		return 0;
	if (cell->algo == SPAN_ALGO_NVLS_TREE)
		return comm->nodes > 1;
	return comm->nodes == 1 || comm->collnet;
}

static int collnet_available(const struct cell *cell)
{
	const span_nccl_comm *comm = cell->comm;

	if (!comm->collnet || comm->most_local_ranks > COLLNET_LOCAL_RANKS)
		return 0;
	return cell->algo == SPAN_ALGO_COLLNET_CHAIN || comm->nvswitch;
}

/* Gathers of several nodes through the network's own reduction need a head for each rank. */
static int gather_heads(const struct cell *cell)
{
	const span_nccl_comm *comm = cell->comm;

	return comm->nodes == 1 || !is_gather(cell->coll) ||
	       (comm->collnet && comm->collnet_gather &&
	        comm->most_local_ranks <= comm->collnet_heads);
}

static int available(const struct cell *cell)
{
	const span_nccl_comm *comm = cell->comm;

	if (!algo_serves(cell->coll, cell->algo) || cell->graph->channels < 1)
		return 0;
	if (cell->proto == SPAN_PROTO_LL128 && !ll128_safe(cell))
		return 0;
	switch (cell->algo) {
	case SPAN_ALGO_TREE:
	case SPAN_ALGO_RING:
		return 1;
	case SPAN_ALGO_PAT:
		return cell->proto == SPAN_PROTO_SIMPLE && comm->cc_min >= 60 &&
		       comm->nodes == comm->ranks && !comm->net_offload;
	case SPAN_ALGO_COLLNET_DIRECT:
		return cell->proto == SPAN_PROTO_SIMPLE && collnet_available(cell) &&
		       gather_heads(cell);
	case SPAN_ALGO_COLLNET_CHAIN:
		return cell->proto == SPAN_PROTO_SIMPLE && collnet_available(cell);
	default:
		return cell->proto == SPAN_PROTO_SIMPLE && nvls_available(cell) && gather_heads(cell);
	}
}

/* --- bandwidth ---------------------------------------------------------------------------- */

static double cap(const struct cell *cell, const double table[SPAN_GPUS][SPAN_SCALES])
{
	return table[cell->gpu][cell->scale];
}

/* LL's cap: on one node by GPU, else by CPU, which then copies the flags. */
static double ll_cap(const struct cell *cell)
{
	int cpu = cell->comm->cpu;
	int amd = cpu == SPAN_CPU_X86_AMD || cpu == SPAN_CPU_X86_MIXED;
	int row = cell->comm->nodes == 1 ? cell->gpu : amd;

	return cell->constants->ll_max[row][cell->scale];
}

static float nvls_channel(const struct cell *cell)
{
	const span_nccl_graph *graph = cell->graph;
	float intra = graph->bw_intra * nvls_efficiency[cell->gpu] * (graph->channels - 1) /
	              graph->channels;
	int tree = cell->algo == SPAN_ALGO_NVLS_TREE;
	float inter = graph->bw_inter * (tree && cell->comm->nodes <= 2 ? 2 : 1);
	float most = tree ? (float)cap(cell, cell->constants->nvls_tree_max) : FLT_MAX;

	if (cell->coll == SPAN_COLL_ALL_REDUCE)
		intra *= 2.0f; /* reduces and broadcasts at once */
	else
		intra *= (cell->ppn - 1) / cell->ppn;
	return fminf(intra, fminf(inter, most));
}

static float tree_bus(const struct cell *cell, float bus)
{
	const span_nccl_constants *constants = cell->constants;
	int channels = cell->graph->channels;

	bus = smaller(bus * 0.92, channels * cap(cell, constants->tree_max));
	if (cell->proto == SPAN_PROTO_LL)
		bus = smaller(bus * 1.0 / 3.8, ll_cap(cell));
	if (cell->proto == SPAN_PROTO_LL128)
		bus = smaller(bus * (cell->comm->nodes == 1 ? 7.0 / 9.0 : 120.0 / 128.0),
		              channels * cap(cell, constants->tree_ll128_max));
	if (cell->graph->pattern == SPAN_PATTERN_TREE)
		bus *= 0.85;
	return bus;
}

static float ring_bus(const struct cell *cell, float bus)
{
	if (cell->proto == SPAN_PROTO_LL)
		return smaller(ll_cap(cell), bus * 0.5);
	if (cell->proto == SPAN_PROTO_LL128)
		return smaller(bus * 0.92, cell->graph->channels *
		                                   cap(cell, cell->constants->ring_ll128_max));
	return bus;
}

static float collnet_direct_bus(const struct cell *cell, float bus)
{
	const span_nccl_graph *graph = cell->graph;
	float gpus_a_nic;

	if (is_gather(cell->coll))
		return cell->ppn * fminf(graph->bw_intra, graph->bw_inter * 0.9f);
	gpus_a_nic = cell->ppn / (1.0 * graph->channels);
	gpus_a_nic -= (gpus_a_nic - 1) / 2;
	bus /= gpus_a_nic;
	if (cell->comm->cc_min >= 90)
		bus *= 0.85;
	return bus;
}

static float bus_bandwidth(const struct cell *cell)
{
	const span_nccl_graph *graph = cell->graph;
	int collnet = cell->algo == SPAN_ALGO_COLLNET_DIRECT || cell->algo == SPAN_ALGO_COLLNET_CHAIN;
	float channel = cell->comm->nodes <= 2 || collnet ? graph->bw_intra : graph->bw_inter;

	switch (cell->algo) {
	case SPAN_ALGO_NVLS:
	case SPAN_ALGO_NVLS_TREE:
		return graph->channels * nvls_channel(cell);
	case SPAN_ALGO_RING:
		return ring_bus(cell, graph->channels * channel);
	case SPAN_ALGO_TREE:
		return tree_bus(cell, graph->channels * channel);
	case SPAN_ALGO_COLLNET_DIRECT:
		return collnet_direct_bus(cell, graph->channels * channel);
	case SPAN_ALGO_PAT:
		return graph->channels * channel * 0.75;
	default:
		return graph->channels * channel;
	}
}

/* From bytes on the busiest link to bytes of the caller's buffer. */
static float to_algorithm(const struct cell *cell, float bus)
{
	float ratio = 1.0f;

	if (cell->algo != SPAN_ALGO_RING && is_gather(cell->coll))
		return bus;
	if (cell->algo == SPAN_ALGO_RING || cell->algo == SPAN_ALGO_NVLS ||
	    cell->algo == SPAN_ALGO_NVLS_TREE)
		ratio *= (1.0 * cell->comm->ranks) / cell->steps;
	else
		ratio *= 0.5;
	return bus * ratio;
}

/* --- latency ------------------------------------------------------------------------------ */

static int intra_hw(const struct cell *cell)
{
	return cell->graph->type_intra == SPAN_PATH_NVL ? SPAN_HW_NVLINK : SPAN_HW_PCI;
}

static float hw_latency(const struct cell *cell, int hw, int algo)
{
	/* On POWER a tree's hop over PCI is no dearer than a ring's. */
	if (cell->comm->cpu == SPAN_CPU_POWER && hw == SPAN_HW_PCI && algo == SPAN_ALGO_TREE &&
	    cell->proto == SPAN_PROTO_SIMPLE)
		algo = SPAN_ALGO_RING;
	return cell->constants->hw[hw][algo][cell->proto];
}

/* A hop between nodes. Simple flushes what arrived, another trip over the NIC. With one rank a
 * node nothing hides it, and a tree's latency counts for all. */
static float inter_latency(const struct cell *cell)
{
	float latency = hw_latency(cell, SPAN_HW_NET, cell->ppn == 1 ? SPAN_ALGO_TREE : cell->algo);

	latency += cell->graph->latency_inter;
	if (cell->proto == SPAN_PROTO_SIMPLE)
		latency += cell->graph->latency_inter;
	return latency;
}

/* What posting to a NIC costs in each step of a ring of several nodes. */
static float net_overhead(const struct cell *cell)
{
	float overhead = cell->comm->cpu == SPAN_CPU_X86_AMD ? 2.0f : 1.0f;

	if (cell->comm->nodes == 1)
		return 0.0f;
	return cell->proto == SPAN_PROTO_SIMPLE ? overhead * 3 : overhead;
}

static float ring_latency(const struct cell *cell, float base)
{
	int nodes = cell->comm->nodes;
	int hw = nodes == 1 ? intra_hw(cell) : (int)SPAN_HW_NET;
	int inter_steps = cell->coll == SPAN_COLL_ALL_REDUCE ? 2 * (nodes - 1) : nodes - 1;
	float hop;

	if (cell->coll == SPAN_COLL_BROADCAST || cell->coll == SPAN_COLL_REDUCE) {
		if (cell->graph->same_channels)
			return base + hw_latency(cell, hw, SPAN_ALGO_RING);
		hop = hw_latency(cell, hw,
		                 cell->proto == SPAN_PROTO_SIMPLE ? SPAN_ALGO_TREE : SPAN_ALGO_RING);
		return base + cell->steps * hop;
	}
	hop = fmaxf(hw_latency(cell, intra_hw(cell), SPAN_ALGO_RING), net_overhead(cell));
	return base + ((cell->steps - inter_steps) * hop + inter_steps * inter_latency(cell));
}

static float latency(const struct cell *cell)
{
	const span_nccl_comm *comm = cell->comm;
	float sum = cell->constants->base[cell->algo][cell->proto];
	float intra = hw_latency(cell, intra_hw(cell), cell->algo), inter = inter_latency(cell);
	int local = comm->ranks / comm->nodes - 1, levels = log2_floor(comm->nodes);

	switch (cell->algo) {
	case SPAN_ALGO_RING:
		return ring_latency(cell, sum);
	case SPAN_ALGO_TREE:
		return sum + 2 * (local * intra + levels * inter);
	case SPAN_ALGO_COLLNET_DIRECT: /* 0.4 us for each peer that takes its turn */
		return sum + (2 * ((local < 1 ? local : 1) * intra + local * 0.4) + inter);
	case SPAN_ALGO_COLLNET_CHAIN:
		return sum + (2 * local * intra + inter);
	case SPAN_ALGO_NVLS:
		return comm->nodes > 1 ? intra + inter : intra;
	case SPAN_ALGO_NVLS_TREE:
		return sum + (intra + 2 * levels * inter);
	default: /* PAT: logarithmic steps, and a part that grows with ranks */
		return sum + (levels * (inter / 3.5) + comm->ranks * 2.8);
	}
}

/* --- threads ------------------------------------------------------------------------------ */

/* Up to what one PCIe 3 x16 carries, few threads do. */
#define PCI_GBPS 12

static void set_threads(const span_nccl_comm *comm, span_nccl_model *model)
{
	int narrow = comm->ring.bw_intra * comm->ring.channels <= PCI_GBPS;

	for (int algo = 0; algo < SPAN_ALGOS; algo++) {
		int first_two = algo == SPAN_ALGO_TREE || algo == SPAN_ALGO_RING;
		int collnet = algo == SPAN_ALGO_COLLNET_DIRECT || algo == SPAN_ALGO_COLLNET_CHAIN;

		model->threads[algo][SPAN_PROTO_LL] = 512;
		model->threads[algo][SPAN_PROTO_LL128] = 640;
		model->threads[algo][SPAN_PROTO_SIMPLE] = first_two ? 512 : 640;
		model->threshold[algo][SPAN_PROTO_LL] = 8;
		model->threshold[algo][SPAN_PROTO_LL128] = 8;
		model->threshold[algo][SPAN_PROTO_SIMPLE] = collnet ? 512 : 64;
	}
	if (narrow)
		model->threads[SPAN_ALGO_RING][SPAN_PROTO_SIMPLE] = 256;
	/* NCCL leaves PAT's at 0, so that no channel of it is ever taken away. */
	model->threads[SPAN_ALGO_PAT][SPAN_PROTO_SIMPLE] = 0;
	model->threshold[SPAN_ALGO_RING][SPAN_PROTO_LL] *= comm->ranks;
}

/* --- sizes -------------------------------------------------------------------------------- */

/* Source: NCCL v2.28.9-1, tuning.cc. */
static const float tree_correction[SPAN_PROTOS][SPAN_TREE_CORRECTIONS] = {
	[SPAN_PROTO_LL] = { 1.0, 1.0, 1.0, 1.0, 0.9, 0.8, 0.7, 0.7, 0.7, 0.7, 0.6, 0.5, 0.4, 0.4,
	                    0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.0, 1.0, 1.0 },
	[SPAN_PROTO_LL128] = { 1.0, 1.0, 1.0, 1.0, 1.0, 0.9, 0.8, 0.8, 0.8, 0.7, 0.6, 0.6, 0.6, 0.6,
	                       0.6, 0.6, 0.8, 0.9, 0.9, 0.9, 0.9, 1.0, 1.0 },
	[SPAN_PROTO_SIMPLE] = { 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.8, 0.7, 0.6, 0.6, 0.5, 0.5, 0.5,
	                        0.5, 0.6, 0.7, 0.8, 0.7, 0.7, 0.8, 0.9, 0.9 },
};

static void set_corrections(const span_nccl_comm *comm, span_nccl_model *model)
{
	model->plateau = comm->plateau > 0 ? comm->plateau : comm->cc_min < 80 ? 1.9
	                                                                       : 1.4;
	memcpy(model->correction, tree_correction, sizeof(model->correction));
	if (comm->uncorrected == 0)
		return;
	for (int proto = 0; proto < SPAN_PROTOS; proto++) {
		for (int i = 0; i < SPAN_TREE_CORRECTIONS; i++)
			model->correction[proto][i] =
				powf(tree_correction[proto][i], (float)(1 - comm->uncorrected));
	}
}

/* --- build -------------------------------------------------------------------------------- */

static span_status check_comm(const span_nccl_comm *comm)
{
	if (comm->ranks < 2 || comm->ranks > SPAN_PROFILE_MAX_RANKS)
		return span_fail(SPAN_EINVAL, "span_nccl_model_build: %d ranks; from 2 to %d",
		                 comm->ranks, SPAN_PROFILE_MAX_RANKS);
	if (comm->nodes < 1 || comm->nodes > comm->ranks)
		return span_fail(SPAN_EINVAL, "span_nccl_model_build: %d nodes; from 1 to %d ranks",
		                 comm->nodes, comm->ranks);
	if (comm->channels < 1 || comm->channels > SPAN_NCCL_MAX_CHANNELS)
		return span_fail(SPAN_EINVAL, "span_nccl_model_build: %d channels; from 1 to %d",
		                 comm->channels, SPAN_NCCL_MAX_CHANNELS);
	return SPAN_OK;
}

static void fill_cell(const struct cell *cell, span_nccl_model *model)
{
	int coll = cell->coll, algo = cell->algo, proto = cell->proto;

	if (!available(cell))
		return;
	model->bandwidth[coll][algo][proto] = to_algorithm(cell, bus_bandwidth(cell));
	model->latency[coll][algo][proto] = latency(cell);
}

span_status span_nccl_model_build(const span_nccl_comm *comm,
                                  const span_nccl_constants *constants,
                                  span_nccl_model *model)
{
	struct cell cell = { .comm = comm, .constants = constants };
	span_status status = check_comm(comm);

	if (status)
		return status;
	*model = (span_nccl_model){ .ranks = comm->ranks,
		                    .nodes = comm->nodes,
		                    .channels = comm->channels,
		                    .nvls_channels = comm->nvls_channels,
		                    .collnet_heads = comm->collnet_heads };
	set_threads(comm, model);
	set_corrections(comm, model);
	cell.gpu = gpu_of(comm->cc_min);
	cell.scale = comm->nodes <= 2 ? comm->nodes - 1 : 2;
	cell.ppn = (float)comm->ranks / comm->nodes;
	for (cell.coll = 0; cell.coll < SPAN_COLLS; cell.coll++) {
		cell.steps = steps_of(cell.coll, comm->ranks);
		for (cell.algo = 0; cell.algo < SPAN_ALGOS; cell.algo++) {
			cell.graph = graph_of(comm, cell.algo);
			for (cell.proto = 0; cell.proto < SPAN_PROTOS; cell.proto++)
				fill_cell(&cell, model);
		}
	}
	return SPAN_OK;
}
