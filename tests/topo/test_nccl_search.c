/* The graph search where golden graphs do not reach: what is refused, what every graph must be, how
 * much work it may be, and the way into a profile. */
#include "topo/nccl/search/nccl_search.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/topo/log_capture.h"
#include "tests/topo/nccl_paths.h"
#include "topo/nccl/search/search_work.h"

static span_topo *load(const char *source)
{
	return nccl_paths_load(source, 1);
}

#define H100 SPAN_TEST_DATA "/topologies/nccl/oci/H100-topology.xml"
#define A100 SPAN_TEST_DATA "/topologies/nccl/transcribed/perlmutter-a100x4-cxi.xml"

/* --- what is refused ----------------------------------------------------------------------- */

static void refuse(span_status expected, const char *message, const span_topo *topo, int32_t nodes,
                   int32_t cc)
{
	struct nccl_graphs graphs;

	log_capture();
	memset(&graphs, 7, sizeof(graphs));
	cr_assert_eq(nccl_search(topo, nodes, cc, &graphs), expected, "%s", message);
	cr_assert(strstr(log_captured(), message), "\"%s\" is not in: %s", message, log_captured());
	cr_assert_eq(graphs.nodes, 0x07070707, "the result was touched");
}

static span_topo *one_more_gpu_than_fits(void)
{
	span_topo_options options = { .size = sizeof(options), .as_nccl = 1 };
	span_topo *topo = NULL;
	char *text = NULL;
	size_t bytes = 0;
	FILE *file = open_memstream(&text, &bytes);
	int i;

	cr_assert(file);
	fputs("<system version=\"1\"><cpu numaid=\"0\" affinity=\"1\" arch=\"arm64\">", file);
	for (i = 0; i <= SEARCH_MOST_GPUS; i++)
		fprintf(file,
		        "<pci busid=\"0000:%02x:00.0\" class=\"0x030200\" link_speed=\"16 GT/s\" "
		        "link_width=\"16\"><gpu dev=\"%d\" sm=\"80\" rank=\"%d\" gdr=\"1\"/></pci>",
		        i, i, i);
	fputs("</cpu></system>", file);
	fclose(file);
	cr_assert_eq(span_topo_parse(text, bytes, "large", &options, &topo), SPAN_OK);
	free(text);
	return topo;
}

Test(nccl_search, what_cannot_be_searched_is_refused)
{
	span_topo *topo = load("synthetic:gpus:8 nics:0"), *view = nccl_paths_load(A100, 0);
	span_topo *large = one_more_gpu_than_fits();

	refuse(SPAN_EINVAL, "0 nodes", topo, 0, 80);
	refuse(SPAN_EINVAL, "no topology", NULL, 1, 80);
	refuse(SPAN_EINVAL, "not loaded as NCCL", view, 1, 80);
	refuse(SPAN_EUNSUPPORTED, "no NIC", topo, 2, 80);
	refuse(SPAN_EUNSUPPORTED, "compute capability", topo, 1, 0);
	refuse(SPAN_EUNSUPPORTED, "129 GPUs", large, 1, 80);
	span_topo_free(topo);
	span_topo_free(view);
	span_topo_free(large);
}

Test(nccl_search, hosts_of_several_kinds_are_refused)
{
	static const char text[] = "hosts 2 like \"synthetic:gpus:4\"\n"
				   "hosts 2 like \"synthetic:gpus:8\"\n";
	span_topo_options options = { .size = sizeof(options), .as_nccl = 1 };
	span_topo *topo;

	cr_assert_eq(span_topo_parse(text, sizeof(text) - 1, "mixed", &options, &topo), SPAN_OK);
	refuse(SPAN_EUNSUPPORTED, "several kinds", topo, 2, 80);
	span_topo_free(topo);
}

/* --- what every graph must be --------------------------------------------------------------- */

/* Each channel goes through every GPU once. Ranks are the source's, and may leave some out. */
static void check_channels(const char *where, const struct nccl_found *found, int32_t n_gpus)
{
	int32_t c, i;

	cr_assert_geq(found->graph.channels, 1, "%s", where);
	for (c = 0; c < found->graph.channels; c++) {
		uint64_t seen[2] = { 0 };

		for (i = 0; i < n_gpus; i++) {
			int32_t rank = found->ranks[c * n_gpus + i];

			cr_assert(rank >= 0 && rank < 128, "%s: rank %d", where, rank);
			cr_assert(!(seen[rank / 64] >> (rank % 64) & 1), "%s: rank %d twice", where,
			          rank);
			seen[rank / 64] |= (uint64_t)1 << (rank % 64);
		}
	}
}

static int graphs_checked;

static void check_machine(const char *xml, json_t *golden)
{
	span_topo *topo = load(xml);
	int32_t nics = span_topo_devices(topo, SPAN_NODE_NIC, -1, NULL, 0), nodes;

	(void)golden;
	for (nodes = 1; nodes <= (nics ? 2 : 1); nodes++) {
		struct nccl_graphs graphs;

		cr_assert_eq(nccl_search(topo, nodes, 80, &graphs), SPAN_OK, "%s", xml);
		check_channels(xml, &graphs.ring, graphs.n_gpus);
		check_channels(xml, &graphs.tree, graphs.n_gpus);
		graphs_checked += 2;
		nccl_search_free(&graphs);
	}
	span_topo_free(topo);
}

Test(nccl_search, every_channel_goes_through_every_gpu_once)
{
	nccl_paths_each(SPAN_TEST_DATA, check_machine);
	nccl_paths_each(SPAN_TEST_DATA "/nccl-random", check_machine);
	cr_assert_geq(graphs_checked, 180);
}

/* --- what is taken is given back ------------------------------------------------------------ */

static void check_given_back(const char *xml, json_t *golden)
{
	span_topo *topo = load(xml);
	struct search_graph *graph = calloc(1, sizeof(*graph));
	struct search_system system;
	float *before;
	int32_t i, n = topo->machines[0]->n_links;

	(void)golden;
	cr_assert_eq(search_system_create(topo->machines[0], false, 80, &system), SPAN_OK);
	before = malloc((size_t)n * sizeof(*before));
	cr_assert(graph && before);
	memcpy(before, system.left, (size_t)n * sizeof(*before));
	cr_assert_eq(search_graph_find(&system, SEARCH_RING, 1, 32, graph), SPAN_OK);
	cr_assert_eq(search_graph_find(&system, SEARCH_BALANCED_TREE, 1, 32, graph), SPAN_OK);
	cr_assert_eq(search_graph_find(&system, SEARCH_NVLS, 1, 32, graph), SPAN_OK);
	for (i = 0; i < n; i++)
		cr_assert_float_eq(system.left[i], before[i], 0.0011, "%s: link %d has %g of %g", xml,
		                   i, (double)system.left[i], (double)before[i]);
	for (i = 0; i < system.n_gpus; i++)
		cr_assert_eq(system.gpus[i].used, 0, "%s: GPU %d is in use", xml, i);
	free(before);
	free(graph);
	search_system_free(&system);
	span_topo_free(topo);
}

Test(nccl_search, every_link_has_again_what_it_had)
{
	cr_assert_geq(nccl_paths_each(SPAN_TEST_DATA, check_given_back), 46);
}

/* --- work ---------------------------------------------------------------------------------- */

/* NCCL's own bound is some second of a processor; a walk without a budget would never end. */
static void check_work(const char *source, int32_t nodes, int32_t cc)
{
	span_topo *topo = load(source);
	clock_t start = clock();
	struct nccl_graphs graphs;
	double seconds;

	cr_assert_eq(nccl_search(topo, nodes, cc, &graphs), SPAN_OK, "%s", source);
	seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
	printf("nccl_search: %s, %d nodes, %.3f s of processor time\n", source, nodes, seconds);
	cr_assert_leq(seconds, 20);
	nccl_search_free(&graphs);
	span_topo_free(topo);
}

Test(nccl_search, work_is_bounded_where_nothing_fits)
{
	check_work("synthetic:gpus:64 sockets:4 nvlink:none nics:8", 1, 80);
	check_work("synthetic:gpus:64 sockets:4 nvlink:none nics:64 nic:1Gb/s", 2, 80);
	check_work("synthetic:gpus:63 sockets:4 nvswitch:mesh nics:63", 2, 90);
}

/* --- into a profile -------------------------------------------------------------------------- */

static void set(span_profile *profile, const char *name, double value)
{
	span_number number = { .name = name, .value = value };

	cr_assert_eq(span_profile_add_source(profile, "test", &number.source), SPAN_OK);
	cr_assert_eq(span_profile_set_number(profile, &number), SPAN_OK);
}

static void check_equal(const span_nccl_graph *a, const span_nccl_graph *b)
{
	cr_assert_eq(a->channels, b->channels);
	if (!a->channels)
		return;
	cr_assert_eq(a->bw_intra, b->bw_intra);
	cr_assert_eq(a->bw_inter, b->bw_inter);
	cr_assert_eq(a->latency_inter, b->latency_inter);
	cr_assert_eq(a->type_intra, b->type_intra);
	cr_assert_eq(a->type_inter, b->type_inter);
	cr_assert_eq(a->same_channels, b->same_channels);
}

/* What a profile gives back is the communicator that was searched for. */
static void check_profile(const span_profile *profile, const span_topo *topo, int32_t nodes)
{
	span_nccl_constants constants;
	struct nccl_graphs graphs;
	span_nccl_comm comm;

	cr_assert_eq(nccl_search(topo, nodes, 0, &graphs), SPAN_OK);
	cr_assert_eq(span_nccl_from_profile(profile, graphs.comm.ranks, nodes, &comm, &constants),
	             SPAN_OK);
	cr_assert_eq(comm.channels, graphs.comm.channels);
	cr_assert_eq(comm.nvls_channels, graphs.comm.nvls_channels);
	cr_assert_eq(comm.nvls, graphs.comm.nvls);
	cr_assert_eq(comm.nvswitch, graphs.comm.nvswitch);
	cr_assert_eq(comm.cpu, graphs.comm.cpu);
	cr_assert_eq(comm.cc_min, graphs.comm.cc_min);
	check_equal(&comm.ring, &graphs.comm.ring);
	check_equal(&comm.tree, &graphs.comm.tree);
	check_equal(&comm.nvls_graph, &graphs.comm.nvls_graph);
	cr_assert_eq(comm.tree.pattern, graphs.comm.tree.pattern);
	nccl_search_free(&graphs);
}

Test(nccl_search, a_profile_gives_back_what_was_found)
{
	static const char *const sources[] = { H100, A100 };

	for (int i = 0; i < 2; i++) {
		span_topo *topo = load(sources[i]);
		span_profile *profile;

		cr_assert_eq(span_profile_create("machine", &profile), SPAN_OK);
		cr_assert_eq(nccl_search_into_profile(topo, profile), SPAN_OK);
		check_profile(profile, topo, 1);
		check_profile(profile, topo, 2);
		check_profile(profile, topo, 64);
		span_profile_free(profile);
		span_topo_free(topo);
	}
}

Test(nccl_search, what_a_profile_says_stays)
{
	span_topo *topo = load(H100);
	span_profile *profile;

	cr_assert_eq(span_profile_create("mine", &profile), SPAN_OK);
	set(profile, "graph.one.ring.channels", 3);
	set(profile, "comm.channels.one", 5);
	set(profile, "comm.cpu", SPAN_CPU_X86_AMD);
	cr_assert_eq(nccl_search_into_profile(topo, profile), SPAN_OK);
	cr_assert_eq(span_profile_number(profile, "graph.one.ring.channels")->value, 3);
	cr_assert_eq(span_profile_number(profile, "comm.channels.one")->value, 5);
	cr_assert_eq(span_profile_number(profile, "comm.cpu")->value, SPAN_CPU_X86_AMD);
	cr_assert_null(span_profile_number(profile, "graph.one.tree.channels"));
	cr_assert_eq(span_profile_number(profile, "graph.many.ring.channels")->value, 16);
	span_profile_free(profile);
	span_topo_free(topo);
}

Test(nccl_search, another_machine_than_the_profiles_is_refused)
{
	span_topo *topo = load(H100);
	span_profile *profile;

	log_capture();
	cr_assert_eq(span_profile_create("mine", &profile), SPAN_OK);
	set(profile, "machine.gpus", 4);
	cr_assert_eq(nccl_search_into_profile(topo, profile), SPAN_EINVAL);
	cr_assert(strstr(log_captured(), "nodes of 4 GPUs"), "%s", log_captured());
	cr_assert_null(span_profile_number(profile, "graph.one.ring.channels"));
	span_profile_free(profile);
	span_topo_free(topo);
}

Test(nccl_search, a_profile_says_the_capability_that_the_source_does_not)
{
	span_topo *topo = load("synthetic:gpus:8 nics:0");
	span_profile *profile;

	cr_assert_eq(span_profile_create("mine", &profile), SPAN_OK);
	cr_assert_eq(nccl_search_into_profile(topo, profile), SPAN_EUNSUPPORTED);
	set(profile, "comm.cc", 90);
	cr_assert_eq(nccl_search_into_profile(topo, profile), SPAN_OK);
	cr_assert_eq(span_profile_number(profile, "graph.one.nvls.channels")->value, 8);
	cr_assert_null(span_profile_number(profile, "graph.many.ring.channels"));
	span_profile_free(profile);
	span_topo_free(topo);
}
