/* What the search found, as numbers of a profile. */
#include "topo/nccl/search/nccl_search.h"

#include <stdio.h>

#include "topo/log.h"

#define NAME_BYTES 64

struct writer {
	span_profile *profile;
	int32_t source;
	span_status status;
};

static void put(struct writer *writer, const char *name, double value)
{
	span_number number = { .name = name, .value = value, .source = writer->source };

	if (!writer->status && !span_profile_number(writer->profile, name))
		writer->status = span_profile_set_number(writer->profile, &number);
}

static void put_graph(struct writer *writer, const char *part, const char *graph,
                      const span_nccl_graph *found, bool is_tree)
{
	const struct {
		const char *field;
		double value;
	} all[] = {
		{ "channels", found->channels },
		{ "bw-intra", (double)found->bw_intra },
		{ "bw-inter", (double)found->bw_inter },
		{ "latency-inter", (double)found->latency_inter },
		{ "type-intra", found->type_intra },
		{ "type-inter", found->type_inter },
		{ "same-channels", found->same_channels },
	};
	char name[NAME_BYTES];
	size_t i;

	if (!found->channels)
		return;
	for (i = 0; i < sizeof(all) / sizeof(*all); i++) {
		snprintf(name, sizeof(name), "graph.%s.%s.%s", part, graph, all[i].field);
		put(writer, name, all[i].value);
	}
	snprintf(name, sizeof(name), "graph.%s.%s.pattern", part, graph);
	if (is_tree)
		put(writer, name, found->pattern);
}

static void put_comm(struct writer *writer, const char *part, const span_nccl_comm *comm)
{
	char name[NAME_BYTES];

	put(writer, "comm.cc", comm->cc_min);
	put(writer, "comm.cpu", comm->cpu);
	put(writer, "comm.nvswitch", comm->nvswitch);
	put(writer, "machine.gpus", comm->most_local_ranks);
	snprintf(name, sizeof(name), "comm.channels.%s", part);
	put(writer, name, comm->channels);
	snprintf(name, sizeof(name), "comm.nvls-channels.%s", part);
	put(writer, name, comm->nvls_channels);
	put_graph(writer, part, "ring", &comm->ring, false);
	put_graph(writer, part, "tree", &comm->tree, true);
	put_graph(writer, part, "nvls", &comm->nvls_graph, false);
}

/* Numbers of another machine would make one that does not exist. */
static span_status check_gpus(const span_profile *profile, const span_topo *topo)
{
	const span_number *gpus = span_profile_number(profile, "machine.gpus");
	int32_t found = span_topo_devices(topo, SPAN_NODE_GPU, 0, NULL, 0);

	if (!gpus || gpus->value == found)
		return SPAN_OK;
	return span_fail(SPAN_EINVAL, "profile \"%s\" is of nodes of %g GPUs, those of the topology "
	                              "have %d",
	                 span_profile_name(profile), gpus->value, found);
}

/* Graphs that are there, of one node or of many, stay as a whole. */
static span_status fill_part(struct writer *writer, const span_topo *topo, const char *part,
                             int32_t nodes)
{
	const span_number *cc = span_profile_number(writer->profile, "comm.cc");
	struct nccl_graphs graphs;
	char name[NAME_BYTES];
	span_status status;

	snprintf(name, sizeof(name), "graph.%s.ring.channels", part);
	if (span_profile_number(writer->profile, name))
		return SPAN_OK;
	status = nccl_search(topo, nodes, cc ? (int32_t)cc->value : 0, &graphs);
	if (status)
		return status;
	put_comm(writer, part, &graphs.comm);
	nccl_search_free(&graphs);
	return writer->status;
}

span_status nccl_search_into_profile(const span_topo *topo, span_profile *profile)
{
	struct writer writer = { .profile = profile };
	char source[SPAN_PROFILE_MAX_TEXT + 1];
	span_status status;

	if (!topo || !profile)
		return span_fail(SPAN_EINVAL, "graph search: no topology or no profile");
	status = check_gpus(profile, topo);
	if (status)
		return status;
	snprintf(source, sizeof(source), "graph search of NCCL 2.28.9 in %.180s",
	         span_topo_source_name(topo));
	status = span_profile_add_source(profile, source, &writer.source);
	if (!status)
		status = fill_part(&writer, topo, "one", 1);
	if (!status && span_topo_devices(topo, SPAN_NODE_NIC, -1, NULL, 0))
		status = fill_part(&writer, topo, "many", 2);
	return status;
}
