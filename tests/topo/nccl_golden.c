/* Reading golden files of NCCL's cost model. */
#include "tests/topo/nccl_golden.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

static const char *const path_names[] = { "LOC", "NVL", "NVB", "C2C", "PIX", "PXB",
	                                  "P2C", "PXN", "PHB", "SYS", "NET", "DIS" };

static int is_json(const struct dirent *entry)
{
	size_t n = strlen(entry->d_name);

	return n > 5 && !strcmp(entry->d_name + n - 5, ".json");
}

int nccl_golden_each(const char *folder, void (*judge)(const char *path, json_t *golden))
{
	struct dirent **entries;
	int n = scandir(folder, &entries, is_json, alphasort), with_cost = 0;
	char path[4096];

	cr_assert_geq(n, 0, "%s: no such folder", folder);
	for (int i = 0; i < n; i++) {
		json_t *golden;

		snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
		golden = json_load_file(path, 0, NULL);
		cr_assert(golden, "%s: not JSON", path);
		if (json_object_get(golden, "cost")) {
			judge(path, golden);
			with_cost++;
		}
		json_decref(golden);
		free(entries[i]);
	}
	free(entries);
	return with_cost;
}

static int path_type(json_t *graph, const char *key)
{
	const char *name = json_string_value(json_object_get(graph, key));

	for (int i = 0; i < (int)(sizeof(path_names) / sizeof(*path_names)); i++) {
		if (name && !strcmp(name, path_names[i]))
			return i;
	}
	cr_assert_fail("path class %s", name ? name : "missing");
	return -1;
}

static span_nccl_graph graph_of(json_t *graphs, const char *name)
{
	json_t *graph = json_object_get(graphs, name);
	span_nccl_graph none = { 0 };

	if (!graph)
		return none;
	return (span_nccl_graph){
		.channels = (int32_t)json_integer_value(json_object_get(graph, "nChannels")),
		.bw_intra = (float)json_number_value(json_object_get(graph, "bwIntra")),
		.bw_inter = (float)json_number_value(json_object_get(graph, "bwInter")),
		.latency_inter = (float)json_number_value(json_object_get(graph, "latencyInter")),
		.type_intra = path_type(graph, "typeIntra"),
		.type_inter = path_type(graph, "typeInter"),
		.same_channels = json_integer_value(json_object_get(graph, "sameChannels")) != 0,
		.pattern = (int32_t)json_integer_value(json_object_get(graph, "pattern")),
	};
}

/* NCCL numbers architectures x86 1, POWER 2, Arm 3; vendors Intel 1, AMD 2. */
static int cpu_of(json_t *system)
{
	json_t *cpu = json_array_get(json_object_get(system, "cpus"), 0);
	json_int_t arch = json_integer_value(json_object_get(cpu, "arch"));
	json_int_t vendor = json_integer_value(json_object_get(cpu, "vendor"));

	if (arch == 2)
		return SPAN_CPU_POWER;
	if (arch != 1)
		return SPAN_CPU_OTHER;
	return vendor == 1 ? SPAN_CPU_X86_INTEL : vendor == 2 ? SPAN_CPU_X86_AMD
	                                                      : SPAN_CPU_OTHER;
}

span_nccl_comm nccl_golden_comm(json_t *golden, const char *nodes)
{
	json_t *system = json_object_get(golden, "system");
	json_t *gpus = json_object_get(system, "gpus");
	json_t *graphs = json_object_get(json_object_get(golden, "graphs"),
	                                 strcmp(nodes, "1") ? "many nodes" : "one node");
	json_t *run = json_object_get(
		json_object_get(json_object_get(golden, "cost"), "nodes"), nodes);
	json_t *channels = json_object_get(run, "channels");
	span_nccl_comm comm = { .nodes = atoi(nodes), .cc_min = INT32_MAX };
	size_t i;
	json_t *gpu;

	comm.ranks = (int32_t)json_integer_value(json_object_get(run, "ranks"));
	comm.most_local_ranks = comm.ranks / comm.nodes;
	json_array_foreach(gpus, i, gpu)
	{
		int32_t cc = (int32_t)json_integer_value(json_object_get(gpu, "sm"));

		comm.cc_min = cc < comm.cc_min ? cc : comm.cc_min;
		comm.cc_max = cc > comm.cc_max ? cc : comm.cc_max;
	}
	comm.cpu = cpu_of(system);
	comm.channels = (int32_t)json_integer_value(json_object_get(channels, "nChannels"));
	comm.nvls_channels =
		(int32_t)json_integer_value(json_object_get(channels, "nvlsChannels"));
	comm.nvls = comm.nvls_channels > 0;
	comm.nvswitch = json_integer_value(json_object_get(system, "nvs")) > 0;
	comm.ring = graph_of(graphs, "ring");
	comm.tree = graph_of(graphs, "tree");
	comm.nvls_graph = graph_of(graphs, "nvls");
	return comm;
}

void nccl_golden_cell(const char *key, int *algo, int *proto)
{
	const char *slash = strchr(key, '/');
	char name[32];

	cr_assert(slash && (size_t)(slash - key) < sizeof(name), "%s", key);
	memcpy(name, key, (size_t)(slash - key));
	name[slash - key] = '\0';
	*algo = span_algo_number(name);
	*proto = span_proto_number(slash + 1);
	cr_assert(*algo >= 0 && *proto >= 0, "%s", key);
}

int64_t nccl_golden_ulps(float a, float b)
{
	int32_t x, y;

	memcpy(&x, &a, sizeof(x));
	memcpy(&y, &b, sizeof(y));
	if ((x < 0) != (y < 0) || a != a || b != b)
		return INT64_MAX;
	return llabs((int64_t)x - y);
}
