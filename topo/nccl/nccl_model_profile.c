/* Constants and communicators of the cost model, as numbers of a profile. */
#include "topo/nccl/nccl_model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "topo/log.h"

#define NAME_BYTES 64

static const char *const algo_words[SPAN_ALGOS] = { "tree", "ring", "collnet-direct",
	                                            "collnet-chain", "nvls", "nvls-tree", "pat" };
static const char *const proto_words[SPAN_PROTOS] = { "ll", "ll128", "simple" };
static const char *const hw_words[SPAN_HWS] = { "nvlink", "pci", "net" };
static const char *const gpu_words[SPAN_GPUS] = { "volta", "ampere", "hopper", "blackwell" };
static const char *const scale_words[SPAN_SCALES] = { "one", "two", "more" };

/* --- constants ---------------------------------------------------------------------------- */

#define CELLS     (SPAN_ALGOS * SPAN_PROTOS)
#define HW_CELLS  (SPAN_HWS * CELLS)
#define CAPS      (SPAN_GPUS * SPAN_SCALES)
#define CONSTANTS (CELLS + HW_CELLS + 5 * CAPS)

_Static_assert(sizeof(span_nccl_constants) == CONSTANTS * sizeof(double), "one array of doubles");

static const char *const cap_words[] = { "ll-max", "ring-ll128-max", "tree-ll128-max", "tree-max",
	                                 "nvls-tree-max" };

int span_nccl_constant_count(void)
{
	return CONSTANTS;
}

void span_nccl_constant_name(int index, char *name, size_t bytes)
{
	int cell = index % CELLS;

	if (index < CELLS) {
		snprintf(name, bytes, "nccl.base.%s.%s", algo_words[cell / SPAN_PROTOS],
		         proto_words[cell % SPAN_PROTOS]);
		return;
	}
	if (index < CELLS + HW_CELLS) {
		snprintf(name, bytes, "nccl.hw.%s.%s.%s", hw_words[index / CELLS - 1],
		         algo_words[cell / SPAN_PROTOS], proto_words[cell % SPAN_PROTOS]);
		return;
	}
	index -= CELLS + HW_CELLS;
	snprintf(name, bytes, "nccl.%s.%s.%s", cap_words[index / CAPS],
	         gpu_words[index % CAPS / SPAN_SCALES], scale_words[index % SPAN_SCALES]);
}

static span_status read_constants(const span_profile *profile, span_nccl_constants *constants)
{
	double *all = (double *)constants;
	char name[NAME_BYTES];

	*constants = span_nccl_defaults;
	for (int i = 0; i < CONSTANTS; i++) {
		const span_number *number;

		span_nccl_constant_name(i, name, sizeof(name));
		number = span_profile_number(profile, name);
		if (!number)
			continue;
		if (number->value < 0)
			return span_fail(SPAN_EINVAL, "profile \"%s\": %s is %g; it is not negative",
			                 span_profile_name(profile), name, number->value);
		all[i] = number->value;
	}
	return SPAN_OK;
}

/* --- the communicator --------------------------------------------------------------------- */

struct reader {
	const span_profile *profile;
	const char *part; /* "one" or "many" */
	span_status status;
};

/* A number by name, from low to high; `otherwise` where it is not there. */
static double read_number(struct reader *reader, const char *name, double low, double high,
                          double otherwise)
{
	const span_number *number = span_profile_number(reader->profile, name);

	if (!number)
		return otherwise;
	if (number->value >= low && number->value <= high)
		return number->value;
	if (!reader->status)
		reader->status = span_fail(SPAN_EINVAL,
		                           "profile \"%s\": %s is %g; it is from %g to %g",
		                           span_profile_name(reader->profile), name, number->value,
		                           low, high);
	return otherwise;
}

static int32_t read_whole(struct reader *reader, const char *name, int32_t low, int32_t high,
                          int32_t otherwise)
{
	return (int32_t)read_number(reader, name, low, high, otherwise);
}

/* "comm.channels.one" and its like, which differ between one node and many. */
static int32_t read_part(struct reader *reader, const char *what, int32_t low, int32_t high,
                         int32_t otherwise)
{
	char name[NAME_BYTES];

	snprintf(name, sizeof(name), "comm.%s.%s", what, reader->part);
	return read_whole(reader, name, low, high, otherwise);
}

static double read_graph_number(struct reader *reader, const char *graph, const char *what,
                                double high, double otherwise)
{
	char name[NAME_BYTES];

	snprintf(name, sizeof(name), "graph.%s.%s.%s", reader->part, graph, what);
	return read_number(reader, name, 0, high, otherwise);
}

#define MOST_GBPS 1e6
#define MOST_US   1e6

static span_nccl_graph read_graph(struct reader *reader, const char *name)
{
	span_nccl_graph graph = { 0 };

	graph.channels = (int32_t)read_graph_number(reader, name, "channels",
	                                            SPAN_NCCL_MAX_CHANNELS, 0);
	graph.bw_intra = (float)read_graph_number(reader, name, "bw-intra", MOST_GBPS, 0);
	graph.bw_inter = (float)read_graph_number(reader, name, "bw-inter", MOST_GBPS, graph.bw_intra);
	graph.latency_inter = (float)read_graph_number(reader, name, "latency-inter", MOST_US, 0);
	graph.type_intra = (int32_t)read_graph_number(reader, name, "type-intra", SPAN_PATH_DIS,
	                                              SPAN_PATH_NVL);
	graph.type_inter = (int32_t)read_graph_number(reader, name, "type-inter", SPAN_PATH_DIS,
	                                              SPAN_PATH_PIX);
	graph.same_channels = read_graph_number(reader, name, "same-channels", 1, 1) != 0;
	graph.pattern = (int32_t)read_graph_number(reader, name, "pattern", SPAN_PATTERN_TREE,
	                                           SPAN_PATTERN_BALANCED_TREE);
	return graph;
}

static int is_described(const span_profile *profile, const char *part)
{
	char name[NAME_BYTES];

	snprintf(name, sizeof(name), "graph.%s.ring.channels", part);
	return span_profile_number(profile, name) != NULL;
}

span_status span_nccl_from_profile(const span_profile *profile, int32_t ranks, int32_t nodes,
                                   span_nccl_comm *comm, span_nccl_constants *constants)
{
	struct reader reader = { .profile = profile, .part = nodes == 1 ? "one" : "many" };
	span_nccl_constants read;
	span_nccl_comm made = { .ranks = ranks, .nodes = nodes };
	span_status status;

	if (!profile || !comm || !constants || ranks < 2 || nodes < 1 || nodes > ranks)
		return span_fail(SPAN_EINVAL, "span_nccl_from_profile: %d ranks on %d nodes, or NULL",
		                 ranks, nodes);
	if (!is_described(profile, reader.part))
		return SPAN_EUNSUPPORTED;
	status = read_constants(profile, &read);
	if (status)
		return status;
	made.most_local_ranks = (ranks + nodes - 1) / nodes;
	made.cc_min = made.cc_max = read_whole(&reader, "comm.cc", 10, 1000, 80);
	made.cpu = read_whole(&reader, "comm.cpu", 0, SPAN_CPU_X86_MIXED, SPAN_CPU_X86_INTEL);
	made.channels = read_part(&reader, "channels", 1, SPAN_NCCL_MAX_CHANNELS, 1);
	made.nvls_channels = read_part(&reader, "nvls-channels", 0, SPAN_NCCL_MAX_CHANNELS, 0);
	made.nvswitch = read_whole(&reader, "comm.nvswitch", 0, 1, 0);
	made.nvls = made.nvls_channels > 0;
	made.plateau = read_number(&reader, "model.ring-plateau", 0.1, 100, 0);
	made.uncorrected = 1 - read_number(&reader, "model.tree-correction", 0, 1, 1);
	made.net_offload = read_whole(&reader, "comm.net-offload", 0, 1, 0);
	made.ring = read_graph(&reader, "ring");
	made.tree = read_graph(&reader, "tree");
	made.nvls_graph = read_graph(&reader, "nvls");
	if (reader.status)
		return reader.status;
	*comm = made;
	*constants = read;
	return SPAN_OK;
}
