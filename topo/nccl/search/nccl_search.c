/* The graphs of one communicator, as each of its nodes finds them. */
#include "topo/nccl/search/nccl_search.h"

#include <stdlib.h>
#include <string.h>

#include "topo/log.h"
#include "topo/nccl/search/search_work.h"

/* Channels that a release uses: rings and trees are doubled once connected. */
enum { MOST_RINGS = 32, MOST_DOUBLED = 64 };

/* --- what was found ------------------------------------------------------------------------ */

static span_status keep(const struct search_system *system, const struct search_graph *graph,
                        struct nccl_found *found)
{
	size_t channels = (size_t)graph->channels, gpus = (size_t)system->n_gpus, c, i;

	found->ranks = calloc(channels * gpus + 1, sizeof(*found->ranks));
	found->nics = calloc(channels * 2 + 1, sizeof(*found->nics));
	if (!found->ranks || !found->nics)
		return span_fail(SPAN_ENOMEM, "graph search: no memory for %d channels",
		                 graph->channels);
	found->cross_nic = graph->cross_nic;
	found->graph = (span_nccl_graph){
		.channels = graph->channels, .bw_intra = graph->bw_intra,
		.bw_inter = graph->bw_inter, .latency_inter = graph->latency_inter,
		.type_intra = graph->type_intra, .type_inter = graph->type_inter,
		.same_channels = graph->same_channels, .pattern = (int32_t)graph->pattern
	};
	for (c = 0; c < channels; c++) {
		for (i = 0; i < gpus; i++)
			found->ranks[c * gpus + i] = system->gpus[graph->gpus[c][i]].rank;
		for (i = 0; i < 2; i++)
			found->nics[2 * c + i] = system->inter ? graph->nics[c][i] : -1;
	}
	return SPAN_OK;
}

static span_status find(struct search_system *system, enum search_pattern pattern, int32_t least,
                        int32_t most, struct nccl_found *found)
{
	struct search_graph *graph = calloc(1, sizeof(*graph));
	span_status status;

	if (!graph)
		return span_fail(SPAN_ENOMEM, "graph search: no memory");
	status = search_graph_find(system, pattern, least, most, graph);
	if (!status)
		status = keep(system, graph, found);
	free(graph);
	return status;
}

static span_status find_all(struct search_system *system, struct nccl_graphs *graphs)
{
	span_status status = find(system, SEARCH_RING, 1, MOST_RINGS, &graphs->ring);
	int32_t rings = graphs->ring.graph.channels;

	if (!status)
		status = find(system, SEARCH_BALANCED_TREE, rings, rings, &graphs->tree);
	if (!status && system->n_gpus > 1)
		status = find(system, SEARCH_NVLS, 1, MOST_RINGS, &graphs->nvls);
	return status;
}

/* --- the communicator ---------------------------------------------------------------------- */

static int32_t cpu_of(const struct search_system *system)
{
	if (system->cpu_arch == ARCH_POWER)
		return SPAN_CPU_POWER;
	if (system->cpu_arch != ARCH_X86)
		return SPAN_CPU_OTHER;
	return system->cpu_vendor == VENDOR_INTEL ? SPAN_CPU_X86_INTEL
	     : system->cpu_vendor == VENDOR_AMD   ? SPAN_CPU_X86_AMD
	                                          : SPAN_CPU_OTHER;
}

/* As many as rings and trees both have, twice; twice again where few of them are to fill several
 * NICs (v2.28.9-1, src/graph/connect.cc). */
static int32_t final_channels(const struct nccl_graphs *graphs, const span_nccl_comm *comm)
{
	int32_t rings = graphs->ring.graph.channels, trees = graphs->tree.graph.channels;
	int32_t channels = 2 * (rings < trees ? rings : trees);

	if (channels > MOST_DOUBLED)
		channels = MOST_DOUBLED;
	if (comm->cc_min >= 90 && comm->nodes > 1 && graphs->ring.graph.bw_intra > 45 &&
	    channels < 16)
		channels *= 2;
	return channels;
}

/* What a release takes once the driver has granted multicast (v2.28.9-1, src/transport/nvls.cc). */
static int32_t nvls_channels(const span_nccl_comm *comm)
{
	if (comm->cc_min >= 100)
		return comm->nodes == 1 ? 24 : 32;
	return 16;
}

static void describe(const struct search_system *system, struct nccl_graphs *graphs)
{
	span_nccl_comm *comm = &graphs->comm;
	int32_t i;

	*comm = (span_nccl_comm){ .ranks = graphs->nodes * system->n_gpus, .nodes = graphs->nodes,
		                  .most_local_ranks = system->n_gpus, .cc_min = system->cc_min,
		                  .cpu = cpu_of(system), .nvswitch = system->nvswitch >= 0,
		                  .ring = graphs->ring.graph, .tree = graphs->tree.graph,
		                  .nvls_graph = graphs->nvls.graph };
	for (i = 0; i < system->n_gpus; i++)
		if (system->gpus[i].cc > comm->cc_max)
			comm->cc_max = system->gpus[i].cc;
	comm->channels = final_channels(graphs, comm);
	comm->nvls = graphs->nvls.graph.channels > 0;
	comm->nvls_channels = comm->nvls ? nvls_channels(comm) : 0;
}

/* --- the whole ----------------------------------------------------------------------------- */

static span_status check(const span_topo *topo, int32_t nodes)
{
	int32_t i;

	if (!topo || nodes < 1 || nodes > SPAN_PROFILE_MAX_RANKS)
		return span_fail(SPAN_EINVAL, "graph search: %d nodes, or no topology", nodes);
	if (!topo->as_nccl)
		return span_fail(SPAN_EINVAL, "graph search: the topology was not loaded as NCCL "
		                              "sees it");
	for (i = 1; i < topo->n_places; i++)
		if (topo->places[i].machine != topo->places[0].machine)
			return span_fail(SPAN_EUNSUPPORTED, "graph search: %s has hosts of several "
			                                    "kinds; give one of them",
			                 topo->source_name);
	return SPAN_OK;
}

span_status nccl_search(const span_topo *topo, int32_t nodes, int32_t cc,
                        struct nccl_graphs *graphs)
{
	struct nccl_graphs made = { .nodes = nodes };
	struct search_system system;
	span_status status = check(topo, nodes);

	if (status)
		return status;
	status = search_system_create(topo->machines[topo->places[0].machine], nodes > 1, cc,
	                              &system);
	if (status)
		return status;
	made.n_gpus = system.n_gpus;
	status = find_all(&system, &made);
	if (!status) {
		describe(&system, &made);
		*graphs = made;
	} else {
		nccl_search_free(&made);
	}
	search_system_free(&system);
	return status;
}

void nccl_search_free(struct nccl_graphs *graphs)
{
	struct nccl_found *all[] = { &graphs->ring, &graphs->tree, &graphs->nvls };
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(*all); i++) {
		free(all[i]->ranks);
		free(all[i]->nics);
		*all[i] = (struct nccl_found){ 0 };
	}
}
