/* The graph search against the graphs that the released NCCL finds: every topology, one node and
 * many, every field, every channel's order of GPUs and its NICs; and what follows from them, the
 * channels of communicators of 1 to 64 nodes. */
#include "topo/nccl/search/nccl_search.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/topo/nccl_golden.h"
#include "tests/topo/nccl_paths.h"
#include "topo/graph/graph.h"

static struct {
	int files, graphs, equal, comms;
} sum;

static char difference[512];

/* Keep the first difference of a graph. */
__attribute__((format(printf, 1, 2))) static void differ(const char *text, ...)
{
	va_list list;

	if (difference[0])
		return;
	va_start(list, text);
	vsnprintf(difference, sizeof(difference), text, list);
	va_end(list);
}

static long number(json_t *object, const char *key)
{
	return (long)json_integer_value(json_object_get(object, key));
}

static void compare_float(json_t *golden, const char *key, float found)
{
	float expected = (float)json_number_value(json_object_get(golden, key));

	if (found != expected)
		differ("%s is %.9g, NCCL has %.9g", key, found, expected);
}

static void compare_class(json_t *golden, const char *key, int32_t found)
{
	const char *expected = json_string_value(json_object_get(golden, key));

	if (strcmp(expected, span_path_class_name((span_path_class)found)) != 0)
		differ("%s is %s, NCCL has %s", key, span_path_class_name((span_path_class)found),
		       expected);
}

static void compare_whole(json_t *golden, const char *key, long found)
{
	if (number(golden, key) != found)
		differ("%s is %ld, NCCL has %ld", key, found, number(golden, key));
}

/* Of an NVSwitch graph the first of a channel alone counts. */
static void compare_ranks(json_t *golden, const struct nccl_found *found, int32_t n_gpus,
                          int32_t looked_at)
{
	json_t *intra = json_object_get(golden, "intra");
	int32_t c, i;

	for (c = 0; c < found->graph.channels; c++)
		for (i = 0; i < looked_at; i++) {
			json_t *rank = json_array_get(json_array_get(intra, (size_t)c), (size_t)i);

			if (json_integer_value(rank) != found->ranks[c * n_gpus + i])
				differ("channel %d goes through %d at step %d, NCCL's through %d", c,
				       found->ranks[c * n_gpus + i], i,
				       (int)json_integer_value(rank));
		}
}

static void compare_nics(json_t *golden, const span_topo *topo, const struct nccl_found *found)
{
	json_t *inter = json_object_get(golden, "inter");
	int32_t nics[512], i;

	span_topo_devices(topo, SPAN_NODE_NIC, -1, nics, 512);
	for (i = 0; i < 2 * found->graph.channels; i++) {
		json_t *id = json_array_get(json_array_get(inter, (size_t)(i / 2)), (size_t)(i % 2));
		unsigned long long expected = strtoull(json_string_value(id), NULL, 16), has;
		span_topo_node node;

		span_topo_node_at(topo, nics[found->nics[i]], &node);
		has = ((unsigned long long)node.host << 56) + (unsigned long long)node.dev;
		if (has != expected)
			differ("channel %d uses NIC %llx, NCCL's %llx", i / 2, has, expected);
	}
}

static void compare(const char *where, json_t *golden, const span_topo *topo,
                    const struct nccl_graphs *graphs, const struct nccl_found *found, bool is_nvls)
{
	difference[0] = '\0';
	sum.graphs++;
	if (golden) {
		compare_whole(golden, "nChannels", found->graph.channels);
		compare_whole(golden, "pattern", found->graph.pattern);
		compare_whole(golden, "sameChannels", found->graph.same_channels);
		compare_whole(golden, "crossNic", found->cross_nic);
		compare_float(golden, "bwIntra", found->graph.bw_intra);
		compare_float(golden, "bwInter", found->graph.bw_inter);
		compare_float(golden, "latencyInter", found->graph.latency_inter);
		compare_class(golden, "typeIntra", found->graph.type_intra);
		compare_class(golden, "typeInter", found->graph.type_inter);
		if (!difference[0])
			compare_ranks(golden, found, graphs->n_gpus, is_nvls ? 1 : graphs->n_gpus);
		if (!difference[0] && graphs->nodes > 1)
			compare_nics(golden, topo, found);
	} else if (found->graph.channels) {
		differ("%d channels, NCCL has no such graph", found->graph.channels);
	}
	sum.equal += !difference[0];
	if (difference[0])
		fprintf(stderr, "%s: %s\n", where, difference);
}

static void judge_graphs(const char *xml, json_t *golden, const span_topo *topo, int32_t nodes)
{
	json_t *expected = json_object_get(json_object_get(golden, "graphs"),
	                                   nodes == 1 ? "one node" : "many nodes");
	struct nccl_graphs graphs;
	const struct {
		const char *name;
		const struct nccl_found *found;
	} all[] = { { "ring", &graphs.ring }, { "tree", &graphs.tree }, { "nvls", &graphs.nvls } };
	char where[512];
	size_t i;

	if (!expected)
		return;
	cr_assert_eq(nccl_search(topo, nodes, 0, &graphs), SPAN_OK, "%s", xml);
	for (i = 0; i < 3; i++) {
		snprintf(where, sizeof(where), "%s, %s of %s", strrchr(xml, '/') + 1, all[i].name,
		         nodes == 1 ? "one node" : "many nodes");
		compare(where, json_object_get(expected, all[i].name), topo, &graphs, all[i].found,
		        i == 2);
	}
	nccl_search_free(&graphs);
}

/* The communicators that cost tables were computed for: final channels, and the machine's facts. */
static void judge_comms(const char *xml, json_t *golden, const span_topo *topo)
{
	const char *nodes;
	json_t *run;

	json_object_foreach(json_object_get(json_object_get(golden, "cost"), "nodes"), nodes, run)
	{
		span_nccl_comm expected = nccl_golden_comm(golden, nodes);
		struct nccl_graphs graphs;

		cr_assert_eq(nccl_search(topo, atoi(nodes), 0, &graphs), SPAN_OK);
		cr_assert_eq(graphs.comm.channels, expected.channels, "%s, %s nodes", xml, nodes);
		cr_assert_eq(graphs.comm.nvls_channels, expected.nvls_channels, "%s, %s nodes", xml,
		             nodes);
		cr_assert_eq(graphs.comm.ranks, expected.ranks);
		cr_assert_eq(graphs.comm.most_local_ranks, expected.most_local_ranks);
		cr_assert_eq(graphs.comm.cc_min, expected.cc_min);
		cr_assert_eq(graphs.comm.cc_max, expected.cc_max);
		cr_assert_eq(graphs.comm.cpu, expected.cpu, "%s", xml);
		cr_assert_eq(graphs.comm.nvswitch, expected.nvswitch);
		cr_assert_eq(graphs.comm.nvls, expected.nvls);
		nccl_search_free(&graphs);
		sum.comms++;
	}
}

/* NVIDIA's NCCL takes what RCCL calls sm, a number of compute units, for a compute capability; our
 * reader knows better. */
static void believe_sm(span_topo *topo, json_t *golden)
{
	json_t *gpus = json_object_get(json_object_get(golden, "system"), "gpus");
	struct machine *machine = topo->machines[0];
	int32_t i, n = 0;

	for (i = 0; i < machine->n_nodes; i++)
		if (machine->nodes[i].kind == SPAN_NODE_GPU)
			machine->nodes[i].sm =
				(int32_t)number(json_array_get(gpus, (size_t)n++), "sm");
}

static void judge(const char *xml, json_t *golden)
{
	span_topo *topo = nccl_paths_load(xml, 1);

	if (json_is_true(json_object_get(golden, "rccl")))
		believe_sm(topo, golden);
	judge_graphs(xml, golden, topo, 1);
	judge_graphs(xml, golden, topo, 2);
	judge_comms(xml, golden, topo);
	sum.files++;
	span_topo_free(topo);
}

static void judge_folder(const char *folder, int files, int graphs, int comms)
{
	cr_assert_geq(nccl_paths_each(folder, judge), files);
	printf("nccl_search: %d of %d graphs of %d topologies equal NCCL's, and %d communicators\n",
	       sum.equal, sum.graphs, sum.files, sum.comms);
	cr_assert_geq(sum.graphs, graphs);
	cr_assert_eq(sum.equal, sum.graphs);
	cr_assert_geq(sum.comms, comms);
}

Test(nccl_search_golden, graphs_are_those_of_the_released_library)
{
	judge_folder(SPAN_TEST_DATA, 46, 273, 35);
}

Test(nccl_search_golden, so_are_those_of_machines_as_people_build_them)
{
	judge_folder(SPAN_TEST_DATA "/nccl-made", 20, 120, 56);
}

Test(nccl_search_golden, so_are_those_of_topologies_kept_elsewhere)
{
	const char *extra = getenv("SPAN_EXTRA_DATA");

	if (!extra)
		cr_skip_test("SPAN_EXTRA_DATA is not set");
	judge_folder(extra, 52, 309, 64);
}
