/* The cost model where golden tables do not reach: bounds, CollNet, grouping, profiles. */
#include "topo/nccl/nccl_model.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "tests/topo/log_capture.h"

/* Eight H100 behind an NVSwitch, as NCCL finds them. */
static span_nccl_comm h100(int32_t nodes)
{
	span_nccl_comm comm = { .ranks = 8 * nodes,
		                .nodes = nodes,
		                .most_local_ranks = 8,
		                .cc_min = 90,
		                .cc_max = 90,
		                .cpu = SPAN_CPU_X86_INTEL,
		                .channels = 24,
		                .nvls_channels = 16,
		                .nvswitch = true,
		                .nvls = true };

	comm.ring = (span_nccl_graph){ .channels = 12,
		                       .bw_intra = 30,
		                       .bw_inter = 30,
		                       .type_intra = SPAN_PATH_NVL,
		                       .type_inter = SPAN_PATH_PIX,
		                       .same_channels = true };
	comm.tree = comm.ring;
	comm.tree.pattern = SPAN_PATTERN_BALANCED_TREE;
	comm.nvls_graph = comm.ring;
	comm.nvls_graph.channels = 8;
	return comm;
}

static span_nccl_model build(const span_nccl_comm *comm)
{
	span_nccl_model model;

	log_capture();
	cr_assert_eq(span_nccl_model_build(comm, &span_nccl_defaults, &model), SPAN_OK, "%s",
	             log_captured());
	return model;
}

static int has(const span_nccl_model *model, int coll, int algo, int proto)
{
	float us = span_nccl_model_us(model, coll, algo, proto, 1 << 20, 1);

	cr_assert(us == -1 || us > 0);
	return us > 0;
}

Test(nccl_model, impossible_communicators_are_refused)
{
	span_nccl_model model, before;
	span_nccl_comm comm;

	memset(&model, 7, sizeof(model));
	before = model;
	for (int i = 0; i < 5; i++) {
		comm = h100(1);
		if (i == 0)
			comm.ranks = 1;
		if (i == 1)
			comm.nodes = 0;
		if (i == 2)
			comm.nodes = 9;
		if (i == 3)
			comm.channels = 0;
		if (i == 4)
			comm.channels = 65;
		log_capture();
		cr_assert_eq(span_nccl_model_build(&comm, &span_nccl_defaults, &model), SPAN_EINVAL);
		cr_assert_eq(log_captured_count(), 1);
		cr_assert(!memcmp(&model, &before, sizeof(model)));
	}
}

Test(nccl_model, collnet_appears_only_with_its_plugin_a_switch_and_few_gpus)
{
	span_nccl_comm comm = h100(4);
	span_nccl_model model = build(&comm);

	cr_assert(!has(&model, SPAN_COLL_ALL_REDUCE, SPAN_ALGO_COLLNET_DIRECT, SPAN_PROTO_SIMPLE));
	cr_assert(!has(&model, SPAN_COLL_ALL_REDUCE, SPAN_ALGO_NVLS, SPAN_PROTO_SIMPLE));
	cr_assert(has(&model, SPAN_COLL_ALL_REDUCE, SPAN_ALGO_NVLS_TREE, SPAN_PROTO_SIMPLE));
	comm.collnet = true;
	comm.collnet_direct = comm.collnet_chain = comm.ring;
	model = build(&comm);
	cr_assert(has(&model, SPAN_COLL_ALL_REDUCE, SPAN_ALGO_COLLNET_DIRECT, SPAN_PROTO_SIMPLE));
	cr_assert(has(&model, SPAN_COLL_ALL_REDUCE, SPAN_ALGO_COLLNET_CHAIN, SPAN_PROTO_SIMPLE));
	cr_assert(has(&model, SPAN_COLL_ALL_REDUCE, SPAN_ALGO_NVLS, SPAN_PROTO_SIMPLE));
	cr_assert(!has(&model, SPAN_COLL_ALL_GATHER, SPAN_ALGO_NVLS, SPAN_PROTO_SIMPLE));
	cr_assert(!has(&model, SPAN_COLL_ALL_REDUCE, SPAN_ALGO_COLLNET_DIRECT, SPAN_PROTO_LL));
	comm.collnet_gather = true;
	comm.collnet_heads = 8;
	model = build(&comm);
	cr_assert(has(&model, SPAN_COLL_ALL_GATHER, SPAN_ALGO_NVLS, SPAN_PROTO_SIMPLE));
	comm.nvswitch = false;
	model = build(&comm);
	cr_assert(!has(&model, SPAN_COLL_ALL_REDUCE, SPAN_ALGO_COLLNET_DIRECT, SPAN_PROTO_SIMPLE));
	comm.most_local_ranks = 9;
	model = build(&comm);
	cr_assert(!has(&model, SPAN_COLL_ALL_REDUCE, SPAN_ALGO_COLLNET_CHAIN, SPAN_PROTO_SIMPLE));
}

/* One GPU a node, no net offload: PAT. Source: the table of facts, "1 GPU per node". */
Test(nccl_model, pat_is_for_one_gpu_a_node)
{
	span_nccl_comm comm = h100(16);
	span_nccl_model model = build(&comm);

	cr_assert(!has(&model, SPAN_COLL_ALL_GATHER, SPAN_ALGO_PAT, SPAN_PROTO_SIMPLE));
	comm.ranks = 16;
	comm.most_local_ranks = 1;
	model = build(&comm);
	cr_assert(has(&model, SPAN_COLL_ALL_GATHER, SPAN_ALGO_PAT, SPAN_PROTO_SIMPLE));
	cr_assert(!has(&model, SPAN_COLL_ALL_REDUCE, SPAN_ALGO_PAT, SPAN_PROTO_SIMPLE));
	comm.net_offload = true;
	model = build(&comm);
	cr_assert(!has(&model, SPAN_COLL_ALL_GATHER, SPAN_ALGO_PAT, SPAN_PROTO_SIMPLE));
}

/* As the released library launches it (the golden file of one H200 a node): PAT/Simple/2/20. */
Test(nccl_model, pat_keeps_its_channels_however_few_the_bytes)
{
	float table[SPAN_ALGOS][SPAN_PROTOS];
	span_nccl_comm comm = h100(16);
	span_nccl_choice choice;
	span_nccl_model model;

	comm.ranks = 16;
	comm.most_local_ranks = 1;
	comm.channels = 2;
	model = build(&comm);
	span_nccl_model_table(&model, SPAN_COLL_ALL_GATHER, 1024, 1, table);
	for (int proto = 0; proto < SPAN_PROTOS; proto++)
		table[SPAN_ALGO_RING][proto] = -1;
	choice = span_nccl_model_choose(&model, 1024, table);
	cr_assert(choice.algo == SPAN_ALGO_PAT && choice.channels == 2 && choice.warps == 20);
}

Test(nccl_model, of_equal_times_the_first_is_chosen_and_of_none_nothing)
{
	float table[SPAN_ALGOS][SPAN_PROTOS];
	span_nccl_comm comm = h100(1);
	span_nccl_model model = build(&comm);

	for (int cell = 0; cell < SPAN_ALGOS * SPAN_PROTOS; cell++)
		table[cell / SPAN_PROTOS][cell % SPAN_PROTOS] = -1;
	cr_assert_eq(span_nccl_model_choose(&model, 1024, table).algo, -1);
	table[SPAN_ALGO_RING][SPAN_PROTO_LL128] = table[SPAN_ALGO_RING][SPAN_PROTO_SIMPLE] = 5;
	table[SPAN_ALGO_NVLS][2] = 5;
	cr_assert_eq(span_nccl_model_choose(&model, 1024, table).algo, SPAN_ALGO_RING);
	cr_assert_eq(span_nccl_model_choose(&model, 1024, table).proto, SPAN_PROTO_LL128);
}

Test(nccl_model, grouped_operations_pay_each_launch_of_a_ring_and_every_tenth_of_a_tree)
{
	span_nccl_comm comm = h100(1);
	span_nccl_model model = build(&comm);
	float ring = model.latency[SPAN_COLL_ALL_REDUCE][SPAN_ALGO_RING][SPAN_PROTO_LL];
	float tree = model.latency[SPAN_COLL_ALL_REDUCE][SPAN_ALGO_TREE][SPAN_PROTO_LL];

	for (int n = 1; n <= 21; n++) {
		float r = span_nccl_model_us(&model, SPAN_COLL_ALL_REDUCE, SPAN_ALGO_RING,
		                             SPAN_PROTO_LL, 0, n);
		float t = span_nccl_model_us(&model, SPAN_COLL_ALL_REDUCE, SPAN_ALGO_TREE,
		                             SPAN_PROTO_LL, 0, n);

		cr_assert_eq(r, ring * n);
		cr_assert_eq(t, tree * ((n + 9) / 10));
	}
}

Test(nccl_model, defaults_are_sane_and_zeros_are_not)
{
	span_nccl_constants constants = span_nccl_defaults;

	cr_assert(span_nccl_constants_sane(&constants));
	constants.hw[SPAN_HW_NET][SPAN_ALGO_RING][SPAN_PROTO_LL] = 0;
	cr_assert(!span_nccl_constants_sane(&constants));
	constants = span_nccl_defaults;
	constants.tree_max[0][0] = NAN;
	cr_assert(!span_nccl_constants_sane(&constants));
	constants = span_nccl_defaults;
	constants.base[SPAN_ALGO_PAT][0] = -1;
	cr_assert(!span_nccl_constants_sane(&constants));
	memset(&constants, 0, sizeof(constants));
	cr_assert(!span_nccl_constants_sane(&constants));
}

/* --- profiles ----------------------------------------------------------------------------- */

static void set(span_profile *profile, const char *name, double value)
{
	const span_number number = { .name = name, .value = value };

	cr_assert_eq(span_profile_set_number(profile, &number), SPAN_OK, "%s", log_captured());
}

static span_profile *h100_profile(void)
{
	const char *const graphs[] = { "ring", "tree", "nvls" };
	span_profile *profile;
	int32_t source;
	char name[64];

	log_capture();
	cr_assert_eq(span_profile_create("h100", &profile), SPAN_OK);
	cr_assert_eq(span_profile_add_source(profile, "s", &source), SPAN_OK);
	set(profile, "comm.cc", 90);
	set(profile, "comm.cpu", SPAN_CPU_X86_INTEL);
	set(profile, "comm.nvswitch", 1);
	set(profile, "comm.channels.one", 24);
	set(profile, "comm.nvls-channels.one", 16);
	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "graph.one.%s.channels", graphs[i]);
		set(profile, name, i == 2 ? 8 : 12);
		snprintf(name, sizeof(name), "graph.one.%s.bw-intra", graphs[i]);
		set(profile, name, 30);
	}
	return profile;
}

Test(nccl_model, a_profile_describes_the_same_communicator)
{
	span_profile *profile = h100_profile();
	span_nccl_comm comm = h100(1), read;
	span_nccl_constants constants;
	span_nccl_model ours, theirs;

	cr_assert_eq(span_nccl_from_profile(profile, 8, 1, &read, &constants), SPAN_OK);
	cr_assert(!memcmp(&constants, &span_nccl_defaults, sizeof(constants)));
	ours = build(&comm);
	theirs = build(&read);
	cr_assert(!memcmp(&ours, &theirs, sizeof(ours)));
	cr_assert_eq(span_nccl_from_profile(profile, 16, 2, &read, &constants), SPAN_EUNSUPPORTED);
	cr_assert_eq(log_captured_count(), 0);
	span_profile_free(profile);
}

Test(nccl_model, every_constant_can_be_set_by_its_name)
{
	span_profile *profile = h100_profile();
	span_nccl_constants constants;
	const double *all = (const double *)&constants;
	span_nccl_comm comm;
	char name[64];

	cr_assert_eq(span_nccl_constant_count(), 144);
	for (int i = 0; i < span_nccl_constant_count(); i++) {
		span_nccl_constant_name(i, name, sizeof(name));
		set(profile, name, 1000 + i);
	}
	cr_assert_eq(span_nccl_from_profile(profile, 8, 1, &comm, &constants), SPAN_OK);
	for (int i = 0; i < span_nccl_constant_count(); i++)
		cr_assert_eq(all[i], 1000 + i);
	set(profile, "nccl.hw.net.ring.ll128", 7);
	set(profile, "nccl.tree-ll128-max.hopper.two", 9);
	cr_assert_eq(span_nccl_from_profile(profile, 8, 1, &comm, &constants), SPAN_OK);
	cr_assert_eq(constants.hw[SPAN_HW_NET][SPAN_ALGO_RING][SPAN_PROTO_LL128], 7);
	cr_assert_eq(constants.tree_ll128_max[SPAN_HOPPER][1], 9);
	span_profile_free(profile);
}

Test(nccl_model, numbers_of_a_profile_that_cannot_be_are_named)
{
	const struct {
		const char *name;
		double value;
	} bad[] = {
		{ "comm.cc", 5 },
		{ "comm.channels.one", 0 },
		{ "graph.one.ring.channels", 65 },
		{ "graph.one.tree.bw-intra", -1 },
		{ "nccl.base.ring.ll", -1 },
		{ "comm.cpu", 9 },
	};
	span_nccl_constants constants;
	span_nccl_comm comm;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		span_profile *profile = h100_profile();

		set(profile, bad[i].name, bad[i].value);
		log_capture();
		cr_assert_eq(span_nccl_from_profile(profile, 8, 1, &comm, &constants), SPAN_EINVAL);
		cr_assert(strstr(log_captured(), bad[i].name), "%s", log_captured());
		cr_assert_eq(log_captured_count(), 1);
		span_profile_free(profile);
	}
}
