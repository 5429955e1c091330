#include "plugin/decide.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "plugin/explain.h"
#include "tests/plugin/cost_tables.h"
#include "tests/topo/log_capture.h"

enum { RANKS = 8, NODES = 1 };

static int cell(int algo, int proto)
{
	return algo * SPAN_PROTOS + proto;
}

static span_table *decide(const char *text, const span_profile *profile, double margin)
{
	struct span_question question = { .ranks = RANKS, .nodes = NODES, .profile = profile };
	struct span_rules rules;
	span_table *table;

	log_capture();
	cr_assert_eq(span_rules_parse(text, strlen(text), "rules", &rules), SPAN_OK, "%s",
	             log_captured());
	question.rules = &rules;
	question.margin = margin;
	cr_assert_eq(span_decide(&question, &table), SPAN_OK, "%s", log_captured());
	span_rules_free(&rules);
	return table;
}

/* The cell that NCCL takes after the table was asked, where it would have taken `own`. */
static int taken(const span_table *table, uint64_t bytes, int own, int pipe_ops)
{
	float costs[CELLS];
	int channels = 0;

	rising_costs(costs, CELLS);
	costs[own] = 0.5f;
	span_table_choose(table, SPAN_COLL_ALL_REDUCE, bytes, pipe_ops, costs, SPAN_ALGOS, SPAN_PROTOS,
	                  &channels);
	return nccl_takes(costs, CELLS);
}

/* --- rules -------------------------------------------------------------------------------- */

Test(decide, a_rule_holds_from_its_first_to_its_last_byte)
{
	span_table *table = decide("allreduce,100,200,ring,ll,-1,-1,-1", NULL, 0.03);
	int ll = cell(SPAN_ALGO_RING, SPAN_PROTO_LL), own = cell(SPAN_ALGO_TREE, SPAN_PROTO_SIMPLE);

	cr_assert_eq(taken(table, 99, own, 1), own);
	cr_assert_eq(taken(table, 100, own, 1), ll);
	cr_assert_eq(taken(table, 200, own, 1), ll);
	cr_assert_eq(taken(table, 201, own, 1), own);
	span_table_free(table);
}

Test(decide, the_first_rule_that_matches_and_is_to_be_had_wins)
{
	span_table *table = decide("allreduce,0,-1,nvls,simple,-1,-1,-1\n"
				   "allreduce,0,1K,ring,ll,-1,-1,-1\n"
				   "allreduce,0,-1,tree,ll,-1,-1,-1\n",
	                           NULL, 0.03);
	float costs[CELLS];
	int channels = 0;

	rising_costs(costs, CELLS);
	span_table_choose(table, SPAN_COLL_ALL_REDUCE, 512, 1, costs, SPAN_ALGOS, SPAN_PROTOS,
	                  &channels);
	cr_assert_eq(costs[cell(SPAN_ALGO_NVLS, SPAN_PROTO_SIMPLE)], 0);
	rising_costs(costs, CELLS);
	costs[cell(SPAN_ALGO_NVLS, SPAN_PROTO_SIMPLE)] = -1;
	span_table_choose(table, SPAN_COLL_ALL_REDUCE, 512, 1, costs, SPAN_ALGOS, SPAN_PROTOS,
	                  &channels);
	cr_assert_eq(costs[cell(SPAN_ALGO_RING, SPAN_PROTO_LL)], 0);
	cr_assert_eq(costs[cell(SPAN_ALGO_NVLS, SPAN_PROTO_SIMPLE)], -1);
	rising_costs(costs, CELLS);
	costs[cell(SPAN_ALGO_NVLS, SPAN_PROTO_SIMPLE)] = -1;
	span_table_choose(table, SPAN_COLL_ALL_REDUCE, 2048, 1, costs, SPAN_ALGOS, SPAN_PROTOS,
	                  &channels);
	cr_assert_eq(costs[cell(SPAN_ALGO_TREE, SPAN_PROTO_LL)], 0);
	span_table_free(table);
}

Test(decide, a_rule_may_ask_for_a_number_of_operations)
{
	span_table *table = decide("allreduce,0,-1,ring,ll,-1,-1,-1,4\n"
				   "allreduce,0,-1,ring,simple,-1,-1,-1\n",
	                           NULL, 0.03);
	int own = cell(SPAN_ALGO_TREE, SPAN_PROTO_SIMPLE);

	cr_assert_eq(taken(table, 512, own, 4), cell(SPAN_ALGO_RING, SPAN_PROTO_LL));
	cr_assert_eq(taken(table, 512, own, 1), cell(SPAN_ALGO_RING, SPAN_PROTO_SIMPLE));
	span_table_free(table);
}

/* NCCL runs as many channels as it is told where CollNet takes part. */
Test(decide, channels_are_set_only_where_nccl_bounds_them)
{
	static const struct {
		const char *rule;
		int32_t nodes, channels;
	} cases[] = {
		{ "allreduce,0,-1,ring,ll,64,-1,-1", 1, 64 },
		{ "allreduce,0,-1,ring,ll,64,-1,-1", 2, 64 },
		{ "allreduce,0,-1,tree,simple,8,-1,-1", 2, 8 },
		{ "allreduce,0,-1,nvls,simple,8,-1,-1", 1, 8 },
		{ "allreduce,0,-1,nvls,simple,8,-1,-1", 2, 0 },
		{ "allreduce,0,-1,nvlstree,simple,8,-1,-1", 2, 8 },
		{ "allreduce,0,-1,collnetdirect,simple,8,-1,-1", 2, 0 },
		{ "allreduce,0,-1,collnetchain,simple,8,-1,-1", 2, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct span_question question = { .ranks = RANKS, .nodes = cases[i].nodes };
		struct span_rules rules;
		span_table *table;
		uint64_t first;
		int n;

		log_capture();
		cr_assert_eq(span_rules_parse(cases[i].rule, strlen(cases[i].rule), "rules", &rules),
		             SPAN_OK, "%s", log_captured());
		question.rules = &rules;
		cr_assert_eq(span_decide(&question, &table), SPAN_OK, "%s", log_captured());
		cr_assert_eq(span_table_segment(table, SPAN_COLL_ALL_REDUCE, 0, &first, &n)->channels,
		             cases[i].channels, "%s on %d nodes", cases[i].rule, cases[i].nodes);
		span_table_free(table);
		span_rules_free(&rules);
	}
}

/* Every rule by itself, at every size: what reading the rules in order gives. */
Test(decide, random_rules_are_what_reading_them_gives, .timeout = 60)
{
	uint64_t state = 7;

	for (int round = 0; round < 100; round++) {
		char text[4096];
		int n = 1 + (int)(random_number(&state) % 24), used = 0, wanted;
		uint32_t from[24], to[24];
		int cells[24];
		span_table *table;

		for (int i = 0; i < n; i++) {
			from[i] = random_number(&state) % 300;
			to[i] = from[i] + random_number(&state) % 100;
			cells[i] = (int)(random_number(&state) % CELLS);
			used += snprintf(text + used, sizeof(text) - (size_t)used,
			                 "allreduce,%u,%u,%s,%s,-1,-1,-1\n", from[i], to[i],
			                 span_algo_name(cells[i] / SPAN_PROTOS),
			                 span_proto_name(cells[i] % SPAN_PROTOS));
		}
		table = decide(text, NULL, 0);
		for (uint32_t bytes = 0; bytes < 420; bytes++) {
			wanted = 1;
			for (int i = n - 1; i >= 0; i--)
				if (bytes >= from[i] && bytes <= to[i])
					wanted = cells[i];
			cr_assert_eq(taken(table, bytes, 1, 1), wanted, "%u bytes of\n%s", bytes, text);
		}
		span_table_free(table);
	}
}

Test(decide, without_a_cost_table_a_rule_must_be_sure_to_run)
{
	static const struct {
		const char *rule;
		int flat;
	} cases[] = {
		{ "allreduce,0,-1,ring,ll,-1,-1,-1", SPAN_FLAT_ALWAYS },
		{ "allreduce,0,-1,ring,ll128,-1,-1,-1", SPAN_FLAT_NEVER },
		{ "allreduce,0,-1,tree,simple,-1,-1,-1", SPAN_FLAT_ALWAYS },
		{ "allreduce,0,-1,nvls,simple,-1,-1,-1", SPAN_FLAT_NVLS },
		{ "allreduce,0,-1,nvls,ll,-1,-1,-1", SPAN_FLAT_NEVER },
		{ "allreduce,0,-1,nvls_tree,simple,-1,-1,-1", SPAN_FLAT_NEVER }, /* one node */
		{ "allreduce,0,-1,collnet_chain,simple,-1,-1,-1", SPAN_FLAT_COLLNET },
		{ "allreduce,0,-1,collnet_direct,simple,-1,-1,-1", SPAN_FLAT_NEVER },
		{ "allreduce,0,-1,pat,simple,-1,-1,-1", SPAN_FLAT_NEVER },
	};
	const struct span_choice *choices;
	uint64_t first;
	int n;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		span_table *table = decide(cases[i].rule, NULL, 0);

		choices = span_table_segment(table, SPAN_COLL_ALL_REDUCE, 0, &first, &n);
		cr_assert_eq(n, 1);
		cr_assert_eq(choices[0].flat, cases[i].flat, "%s", cases[i].rule);
		span_table_free(table);
	}
}

Test(decide, trees_without_a_cost_table_are_for_all_reduce_only)
{
	span_table *table = decide("allgather,0,-1,tree,ll,-1,-1,-1", NULL, 0);
	int algo = -1, proto = -1, channels = 0;

	span_table_choose_flat(table, SPAN_COLL_ALL_GATHER, 1, 1, 1, 1, &algo, &proto, &channels);
	cr_assert_eq(algo, -1);
	span_table_free(table);
}

/* --- measurements ------------------------------------------------------------------------- */

static const struct flat_time three[] = {
	{ SPAN_ALGO_TREE, SPAN_PROTO_LL, 100 },
	{ SPAN_ALGO_RING, SPAN_PROTO_LL, 80 },
	{ SPAN_ALGO_NVLS, SPAN_PROTO_SIMPLE, 78 },
};

Test(decide, a_measurement_changes_what_it_proves_slower_and_nothing_else)
{
	span_profile *profile = flat_profile("three", RANKS, NODES, three, 3, 0.01);
	span_table *table = decide("", profile, 0.05);
	int tree = cell(SPAN_ALGO_TREE, SPAN_PROTO_LL), ring = cell(SPAN_ALGO_RING, SPAN_PROTO_LL);
	int nvls = cell(SPAN_ALGO_NVLS, SPAN_PROTO_SIMPLE);
	int other = cell(SPAN_ALGO_RING, SPAN_PROTO_SIMPLE);

	cr_assert_eq(taken(table, 65536, tree, 1), nvls); /* 22% better */
	cr_assert_eq(taken(table, 65536, ring, 1), ring); /* 2.5% is not worth it */
	cr_assert_eq(taken(table, 65536, nvls, 1), nvls);
	cr_assert_eq(taken(table, 65536, other, 1), other); /* nobody measured that */
	cr_assert_eq(taken(table, 65536, tree, 2), tree);   /* nor two operations at once */
	span_table_free(table);
	span_profile_free(profile);
}

Test(decide, the_next_best_is_taken_where_the_best_is_not_to_be_had)
{
	span_profile *profile = flat_profile("three", RANKS, NODES, three, 3, 0.01);
	span_table *table = decide("", profile, 0.05);
	float costs[CELLS];
	int channels = 0;

	rising_costs(costs, CELLS); /* the tree's LL is the least */
	costs[cell(SPAN_ALGO_NVLS, SPAN_PROTO_SIMPLE)] = -1;
	span_table_choose(table, SPAN_COLL_ALL_REDUCE, 65536, 1, costs, SPAN_ALGOS, SPAN_PROTOS,
	                  &channels);
	cr_assert_eq(nccl_takes(costs, CELLS), cell(SPAN_ALGO_RING, SPAN_PROTO_LL));
	cr_assert_eq(costs[cell(SPAN_ALGO_NVLS, SPAN_PROTO_SIMPLE)], -1);
	cr_assert_eq(channels, 0);
	span_table_free(table);
	span_profile_free(profile);
}

Test(decide, noise_larger_than_the_saving_changes_nothing)
{
	span_profile *profile = flat_profile("noisy", RANKS, NODES, three, 3, 0.2);
	span_table *table = decide("", profile, 0.0);
	int tree = cell(SPAN_ALGO_TREE, SPAN_PROTO_LL);

	cr_assert_eq(taken(table, 65536, tree, 1), tree); /* 22% saved, 28% noise */
	span_table_free(table);
	span_profile_free(profile);
}

Test(decide, a_measurement_holds_for_its_sizes_ranks_and_collective)
{
	span_profile *profile = flat_profile("three", RANKS, NODES, three, 3, 0.01);
	span_profile *elsewhere = flat_profile("else", 16, 2, three, 3, 0.01);
	int tree = cell(SPAN_ALGO_TREE, SPAN_PROTO_LL), nvls = cell(SPAN_ALGO_NVLS, SPAN_PROTO_SIMPLE);
	span_table *table = decide("", profile, 0.05);

	cr_assert_eq(taken(table, 500, tree, 1), tree); /* an octave below 1 KiB is trusted */
	cr_assert_eq(taken(table, 513, tree, 1), nvls);
	cr_assert_eq(taken(table, 2 << 20, tree, 1), nvls);
	cr_assert_eq(taken(table, (2 << 20) + (1 << 16), tree, 1), tree);
	cr_assert_eq(span_table_segments(table, SPAN_COLL_ALL_GATHER), 1);
	span_table_free(table);
	table = decide("", elsewhere, 0.05);
	cr_assert(!span_decides(table));
	span_table_free(table);
	span_profile_free(profile);
	span_profile_free(elsewhere);
}

Test(decide, one_measured_cell_compares_with_nothing)
{
	span_profile *profile = flat_profile("one", RANKS, NODES, three, 1, 0.01);
	span_table *table = decide("", profile, 0.0);

	cr_assert(!span_decides(table));
	span_table_free(table);
	span_profile_free(profile);
}

Test(decide, rules_come_before_measurements)
{
	span_profile *profile = flat_profile("three", RANKS, NODES, three, 3, 0.01);
	span_table *table = decide("allreduce,4096,8191,ring,simple,2,-1,-1", profile, 0.05);
	int tree = cell(SPAN_ALGO_TREE, SPAN_PROTO_LL);

	cr_assert_eq(taken(table, 4095, tree, 1), cell(SPAN_ALGO_NVLS, SPAN_PROTO_SIMPLE));
	cr_assert_eq(taken(table, 4096, tree, 1), cell(SPAN_ALGO_RING, SPAN_PROTO_SIMPLE));
	cr_assert_eq(taken(table, 8191, tree, 1), cell(SPAN_ALGO_RING, SPAN_PROTO_SIMPLE));
	cr_assert_eq(taken(table, 8192, tree, 1), cell(SPAN_ALGO_NVLS, SPAN_PROTO_SIMPLE));
	span_table_free(table);
	span_profile_free(profile);
}

/* --- the edges ---------------------------------------------------------------------------- */

Test(decide, nothing_to_say_is_a_table_that_says_so)
{
	span_table *table = decide("", NULL, 0.03);

	cr_assert(!span_decides(table));
	span_table_free(table);
	table = decide("allreduce,0,-1,ring,ll,-1,-1,16", NULL, 0.03);
	cr_assert(!span_decides(table));
	span_table_free(table);
}

/* Rules for all act, up to the first rule that may be for the one that asks; evidence, NVLS and
 * trees of NVLS, which are for one node or for several, do not. */
Test(decide, where_communicators_cannot_be_told_apart_rules_for_all_of_them_act)
{
	static const struct {
		const char *rules;
		int algo, proto;
	} cases[] = {
		{ "allreduce,0,-1,ring,ll,-1,-1,-1", SPAN_ALGO_RING, SPAN_PROTO_LL },
		{ "allreduce,0,-1,ring,ll,-1,1+,2+", SPAN_ALGO_RING, SPAN_PROTO_LL },
		{ "allreduce,0,-1,ring,ll,-1,-1,3+", -1, -1 },
		{ "allreduce,0,-1,ring,ll,-1,2+,-1", -1, -1 },
		{ "allreduce,0,-1,ring,ll,-1,-1,2-1000000", -1, -1 },
		{ "allreduce,0,-1,ring,ll,-1,1-1000000,-1", -1, -1 },
		{ "allreduce,0,-1,ring,ll,-1,-1,-1,per=rank", -1, -1 },
		{ "allreduce,0,-1,ring,ll,-1,-1,-1,-1,1", -1, -1 },
		{ "allreduce,0,-1,tree,ll,-1,-1,8\nallreduce,0,-1,ring,ll,-1,-1,-1", -1, -1 },
		{ "allreduce,0,9,tree,ll,-1,-1,8,per=rank\nallreduce,0,-1,ring,ll,-1,-1,-1", -1, -1 },
		{ "allreduce,0,9,tree,ll,-1,-1,8\nallreduce,0,-1,ring,ll,-1,-1,-1",
		  SPAN_ALGO_RING, SPAN_PROTO_LL },
		{ "allreduce,0,-1,tree,ll,-1,-1,8,-1,0\nallreduce,0,-1,ring,ll,-1,-1,-1",
		  SPAN_ALGO_RING, SPAN_PROTO_LL },
		{ "allreduce,0,-1,nvls,simple,-1,-1,-1", -1, -1 },
		{ "allreduce,0,-1,nvlstree,simple,-1,-1,-1", -1, -1 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct span_question question = { .any_size = true };
		int algo = -1, proto = -1, channels = 0;
		struct span_rules rules;
		span_table *table;

		cr_assert_eq(span_rules_parse(cases[i].rules, strlen(cases[i].rules), "rules",
		                              &rules), SPAN_OK, "%s", log_captured());
		question.rules = &rules;
		cr_assert_eq(span_decide(&question, &table), SPAN_OK);
		span_table_choose_flat(table, SPAN_COLL_ALL_REDUCE, 10, 1, 1, 1, &algo, &proto,
		                       &channels);
		cr_assert_eq(algo, cases[i].algo, "%s", cases[i].rules);
		cr_assert_eq(proto, cases[i].proto);
		span_table_free(table);
		span_rules_free(&rules);
	}
}

/* NCCL times rings of 8-bit floats by 1024, for their sums lose precision. */
Test(decide, measurements_do_not_bring_back_what_nccl_avoids)
{
	static const struct flat_time ring_wins[] = { { SPAN_ALGO_TREE, SPAN_PROTO_LL, 20 },
		                                      { SPAN_ALGO_RING, SPAN_PROTO_LL, 10 } };
	span_profile *profile = flat_profile("ring", RANKS, NODES, ring_wins, 2, 0.01);
	span_table *tables[] = { decide("", profile, 0.05),
		                 decide("allreduce,0,-1,pat,ll,-1,-1,-1", profile, 0.05) };
	int ring = cell(SPAN_ALGO_RING, SPAN_PROTO_LL), tree = cell(SPAN_ALGO_TREE, SPAN_PROTO_LL);

	for (int i = 0; i < 2; i++) {
		for (int eight_bits = 0; eight_bits < 2; eight_bits++) {
			float costs[CELLS];

			for (int c = 0; c < CELLS; c++)
				costs[c] = -1;
			costs[tree] = 10;
			costs[ring] = 12 * (eight_bits ? 1024 : 1);
			span_table_choose(tables[i], SPAN_COLL_ALL_REDUCE, 65536, 1, costs, SPAN_ALGOS,
			                  SPAN_PROTOS, NULL);
			cr_assert_eq(nccl_takes(costs, CELLS), eight_bits ? tree : ring);
		}
		span_table_free(tables[i]);
	}
	span_profile_free(profile);
}

Test(decide, counts_that_cannot_be_are_refused)
{
	static const int32_t counts[][2] = { { 0, 0 }, { 0, 1 }, { 4, 0 }, { 2, 4 }, { -8, -1 } };
	span_table *table = NULL;

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct span_question question = { .ranks = counts[i][0], .nodes = counts[i][1] };

		log_capture();
		cr_assert_eq(span_decide(&question, &table), SPAN_EINVAL);
		cr_assert_eq(log_captured_count(), 1);
		cr_assert_null(table);
	}
}

static span_status decide_many(int n, const char *format)
{
	char *text = malloc((size_t)n * 64 + 1);
	struct span_question question = { .ranks = RANKS, .nodes = NODES };
	struct span_rules rules;
	span_table *table;
	span_status status;
	int used = 0;

	text[0] = '\0';
	for (int i = 0; i < n; i++)
		used += snprintf(text + used, 64, format, i);
	log_capture();
	cr_assert_eq(span_rules_parse(text, strlen(text), "rules", &rules), SPAN_OK);
	question.rules = &rules;
	status = span_decide(&question, &table);
	if (!status)
		span_table_free(table);
	span_rules_free(&rules);
	free(text);
	return status;
}

Test(decide, there_is_a_most_of_rules_for_a_communicator_and_for_a_size)
{
	cr_assert_eq(decide_many(64, "reduce,0,1,ring,ll,-1,-1,-1,%d\n"), SPAN_OK);
	cr_assert_eq(decide_many(65, "reduce,0,1,ring,ll,-1,-1,-1,%d\n"), SPAN_EUNSUPPORTED);
	cr_assert_str_eq(log_captured(), "rule of line 65: more than 64 rules for Reduce of 0 bytes");
	cr_assert_eq(decide_many(4096, "reduce,0,%d,ring,ll,-1,-1,-1\n"), SPAN_OK);
	cr_assert_eq(decide_many(4097, "reduce,0,%d,ring,ll,-1,-1,-1\n"), SPAN_EUNSUPPORTED);
	cr_assert_str_eq(log_captured(),
	                 "rule of line 4097: more than 4096 rules for Reduce of 8 ranks");
}

/* --- in words ----------------------------------------------------------------------------- */

Test(decide, a_decision_is_told_in_words)
{
	span_profile *profile = flat_profile("three", RANKS, NODES, three, 2, 0.01);
	span_table *table = decide("allreduce,4096,8191,ring,simple,2,-1,-1,chunk=64K", profile, 0.05);
	char text[256];

	span_explain_segment(table, SPAN_COLL_ALL_REDUCE, 0, text, sizeof(text));
	cr_assert_str_eq(text, "AllReduce from 0 B: NCCL's own choice");
	span_explain_segment(table, SPAN_COLL_ALL_REDUCE, 1, text, sizeof(text));
	cr_assert_str_eq(text, "AllReduce from 512 B: Ring/LL (measured, 20% or more below Tree/LL, "
			       "for 1 operation a launch), else NCCL's own choice");
	span_explain_segment(table, SPAN_COLL_ALL_REDUCE, 2, text, sizeof(text));
	cr_assert_str_eq(text, "AllReduce from 4096 B: Ring/Simple on 2 channels in chunks of 65536 B "
			       "(rule of line 1), else Ring/LL (measured, 20% or more below Tree/LL, "
			       "for 1 operation a launch), else NCCL's own choice");
	span_explain_segment(table, SPAN_COLL_ALL_REDUCE, 2, text, 12);
	cr_assert_str_eq(text, "AllReduce f");
	span_table_free(table);
	span_profile_free(profile);
}
