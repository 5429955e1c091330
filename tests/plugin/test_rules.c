#include "plugin/rules.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/topo/log_capture.h"
#include "topo/span_profile.h"

static span_status parse(const char *text, struct span_rules *rules)
{
	log_capture();
	return span_rules_parse(text, strlen(text), "my rules", rules);
}

static span_status load(const char *path, struct span_rules *rules)
{
	FILE *file = fopen(path, "r");
	span_status status;

	cr_assert_not_null(file, "%s", path);
	status = span_rules_load(file, path, rules);
	fclose(file);
	return status;
}

/* --- what is accepted --------------------------------------------------------------------- */

Test(rules, files_of_the_example_tuner_are_read_unchanged)
{
	static const struct {
		const char *name;
		int n, unused;
	} files[] = { { "eight.csv", 9, 0 }, { "nine.csv", 2, 0 }, { "ten.csv", 3, 2 } };
	char path[512];
	struct span_rules rules;

	log_capture();
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/rules/%s", SPAN_TEST_DATA, files[i].name);
		cr_assert_eq(load(path, &rules), SPAN_OK, "%s", log_captured());
		cr_assert_eq(rules.n, files[i].n);
		cr_assert_eq(rules.unused, files[i].unused);
		span_rules_free(&rules);
	}
}

static void assert_rule(const struct span_rule *rule, const struct span_rule *wanted)
{
	cr_assert_eq(rule->coll, wanted->coll);
	cr_assert_eq(rule->from, wanted->from);
	cr_assert_eq(rule->to, wanted->to);
	cr_assert_eq(rule->algo, wanted->algo);
	cr_assert_eq(rule->proto, wanted->proto);
	cr_assert_eq(rule->channels, wanted->channels);
	cr_assert_eq(rule->nodes.low, wanted->nodes.low);
	cr_assert_eq(rule->nodes.high, wanted->nodes.high);
	cr_assert_eq(rule->ranks.low, wanted->ranks.low);
	cr_assert_eq(rule->ranks.high, wanted->ranks.high);
	cr_assert_eq(rule->pipe_ops, wanted->pipe_ops);
	cr_assert_eq(rule->registered, wanted->registered);
	cr_assert_eq(rule->chunk, wanted->chunk);
	cr_assert_eq(rule->per_rank, wanted->per_rank);
	cr_assert_eq(rule->line, wanted->line);
}

Test(rules, every_field_arrives)
{
	static const struct span_interval any = { 1, INT32_MAX };
	const struct span_rule ten[] = {
		{ 0, 65536, 0, { 1, 1 }, any, SPAN_COLL_ALL_REDUCE, SPAN_ALGO_TREE,
		  SPAN_PROTO_SIMPLE, 2, -1, 1, 2, false },
		{ 65537, 1048576, 0, { 4, 4 }, { 32, 32 }, SPAN_COLL_ALL_REDUCE, SPAN_ALGO_RING,
		  SPAN_PROTO_SIMPLE, 4, 1, 0, 3, false },
		{ 1048577, 4294967295, 0, any, any, SPAN_COLL_ALL_REDUCE, SPAN_ALGO_RING,
		  SPAN_PROTO_LL128, 0, 4, -1, 4, false },
	};
	const struct span_rule superset[] = {
		{ 4096, 1048576, 0, any, { 16, 64 }, SPAN_COLL_ALL_REDUCE, SPAN_ALGO_TREE,
		  SPAN_PROTO_LL128, 8, -1, -1, 2, true },
		{ 1048576, UINT64_MAX, 524288, { 2, INT32_MAX }, any, SPAN_COLL_ALL_GATHER,
		  SPAN_ALGO_RING, SPAN_PROTO_SIMPLE, 0, -1, -1, 3, false },
		{ 0, 65536, 65536, { 1, 1 }, { 8, 8 }, SPAN_COLL_REDUCE_SCATTER, SPAN_ALGO_NVLS,
		  SPAN_PROTO_SIMPLE, 0, -1, -1, 4, true },
	};
	struct span_rules rules;

	log_capture();
	cr_assert_eq(load(SPAN_TEST_DATA "/rules/ten.csv", &rules), SPAN_OK);
	for (int i = 0; i < 3; i++)
		assert_rule(&rules.rules[i], &ten[i]);
	span_rules_free(&rules);
	cr_assert_eq(load(SPAN_TEST_DATA "/rules/superset.csv", &rules), SPAN_OK, "%s",
	             log_captured());
	cr_assert_eq(rules.n, 3);
	for (int i = 0; i < 3; i++)
		assert_rule(&rules.rules[i], &superset[i]);
	span_rules_free(&rules);
}

Test(rules, no_rules_are_no_error)
{
	struct span_rules rules;

	cr_assert_eq(parse("", &rules), SPAN_OK);
	cr_assert_eq(rules.n, 0);
	cr_assert_eq(parse("\n \t\r\n# nothing\n  # more\n", &rules), SPAN_OK);
	cr_assert_eq(rules.n, 0);
}

/* As spreadsheets write text. */
Test(rules, a_byte_order_mark_is_passed_over)
{
	struct span_rules rules;

	cr_assert_eq(parse("\xef\xbb\xbf# comment\r\nallreduce,0,1,ring,ll,-1,-1,-1\r\n", &rules),
	             SPAN_OK, "%s", log_captured());
	cr_assert_eq(rules.n, 1);
	span_rules_free(&rules);
	cr_assert_eq(parse("\xef\xbb\xbf", &rules), SPAN_OK);
	cr_assert_eq(rules.n, 0);
	cr_assert_eq(parse("\n\xef\xbb\xbf" "allreduce,0,1,ring,ll,-1,-1,-1\n", &rules), SPAN_EPARSE);
	cr_assert_eq(parse("\xef\xbb", &rules), SPAN_EPARSE);
	cr_assert_eq(parse("\xef\xbc\x83\nallreduce,0,1,ring,ll,-1,-1,-1\n", &rules), SPAN_EPARSE);
}

/* --- what is not -------------------------------------------------------------------------- */

Test(rules, what_is_wrong_is_named_with_file_line_and_column)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{ "allreduce\n", "1:10: the line ends before the smallest size" },
		{ "allreduce,0,1,ring,ll,-1,-1\n", "1:28: the line ends before the ranks" },
		{ "allreduce,0,1,ring,ll,-1,-1,\n", "1:29: an empty field" },
		{ "\nallreduce,,1,ring,ll,-1,-1,-1\n", "2:11: an empty field" },
		{ "alltoall,0,1,ring,ll,-1,-1,-1\n",
		  "1:1: the collective is \"alltoall\"; expected allreduce, allgather, "
		  "reducescatter, broadcast or reduce" },
		{ "reduce, -1,1,ring,ll,-1,-1,-1\n",
		  "1:9: the smallest size is \"-1\"; expected bytes, such as 4096, 64K, 1M, or *" },
		{ "reduce,0,1Q,ring,ll,-1,-1,-1\n",
		  "1:10: the largest size is \"1Q\"; expected bytes, such as 4096, 64K, 1M, -1 or *" },
		{ "reduce,0,18446744073709551616,ring,ll,-1,-1,-1\n",
		  "1:10: the largest size is \"18446744073709551616\"; expected bytes, such as 4096, "
		  "64K, 1M, -1 or *" },
		{ "reduce,0,16777216T,ring,ll,-1,-1,-1\n",
		  "1:10: the largest size is \"16777216T\"; expected bytes, such as 4096, 64K, 1M, -1 "
		  "or *" },
		{ "reduce,0,1,rings,ll,-1,-1,-1\n",
		  "1:12: the algorithm is \"rings\"; expected tree, ring, collnet_direct, "
		  "collnet_chain, nvls, nvls_tree or pat" },
		{ "reduce,0,1,any,ll,-1,-1,-1\n",
		  "1:12: the algorithm is \"any\"; expected tree, ring, collnet_direct, "
		  "collnet_chain, nvls, nvls_tree or pat" },
		{ "reduce,0,1,ring,ll64,-1,-1,-1\n",
		  "1:17: the protocol is \"ll64\"; expected ll, ll128 or simple" },
		{ "reduce,0,1,ring,ll,two,-1,-1\n",
		  "1:20: the channel count is \"two\"; expected a number from 0 to 64, -1 or *" },
		{ "reduce,0,1,ring,ll,65,-1,-1\n",
		  "1:20: the channel count is \"65\"; expected a number from 0 to 64, -1 or *" },
		{ "reduce,0,1,ring,ll,-1,0,-1\n",
		  "1:23: nodes is \"0\"; expected N, N-M or N+ with N from 1, -1 or *" },
		{ "reduce,0,1,ring,ll,-1,-1,8-\n",
		  "1:26: ranks is \"8-\"; expected N, N-M or N+ with N from 1, -1 or *" },
		{ "reduce,0,1,ring,ll,-1,-1,8-4\n",
		  "1:26: ranks is \"8-4\"; expected the smaller number first" },
		{ "reduce,0,1,ring,ll,-1,-1,-1,-2\n",
		  "1:29: numPipeOps is \"-2\"; expected a number from 0 to 2147483647, -1 or *" },
		{ "reduce,0,1,ring,ll,-1,-1,-1,-1,2\n",
		  "1:32: regBuff is \"2\"; expected a number from 0 to 1, -1 or *" },
		{ "reduce,0,1,ring,ll,-1,-1,-1,-1,-1,4\n",
		  "1:35: \"4\" is one field too many; expected chunk=SIZE or per=rank" },
		{ "reduce,0,1,ring,ll,-1,-1,-1,chunk=0\n",
		  "1:29: the chunk is \"chunk=0\"; expected bytes from 2K, such as chunk=512K" },
		{ "reduce,0,1,ring,ll,-1,-1,-1,chunk=2047\n",
		  "1:29: the chunk is \"chunk=2047\"; expected bytes from 2K, such as chunk=512K" },
		{ "reduce,0,1,ring,ll,-1,-1,-1,per=node\n",
		  "1:29: a named field is \"per=node\"; expected chunk=SIZE or per=rank" },
		{ "reduce,0,1,ring,ll,-1,-1,-1,per=rank,1\n",
		  "1:38: a named field is \"1\"; expected chunk=SIZE or per=rank" },
		{ "reduce,2,1,ring,ll,-1,-1,-1\n",
		  "1:1: from 2 to 1 bytes; expected the smaller size first" },
		{ "reduce,0,1,ring,ll,-1,-1,-1,1,-1,chunk=4K\n",
		  "1:1: a chunk for numPipeOps 1; expected -1 beside a chunk" },
		{ "reduce,0,1,r\303\257ng,ll,-1,-1,-1\n",
		  "1:13: a byte of value 195; rules are plain text" },
		{ "reduce,0,1,a-very-long-name-of-an-algorithm,ll,-1,-1,-1\n",
		  "1:12: a field of 32 bytes; 31 are the most between two commas" },
	};
	struct span_rules rules;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_assert_eq(parse(cases[i].text, &rules), SPAN_EPARSE, "%s", cases[i].text);
		cr_assert_eq(log_captured_count(), 1);
		cr_assert(!strncmp(log_captured(), "my rules:", 9));
		cr_assert_str_eq(log_captured() + 9, cases[i].message);
		cr_assert_eq(rules.n, 0);
		cr_assert_null(rules.rules);
	}
}

Test(rules, a_file_that_cannot_be_read_is_named)
{
	struct span_rules rules;

	log_capture();
	cr_assert_eq(load("/", &rules), SPAN_EIO);
	cr_assert_str_eq(log_captured(), "/: Is a directory");
	cr_assert_eq(load("/dev/zero", &rules), SPAN_EPARSE);
}

Test(rules, there_is_a_most_of_them)
{
	static const char line[] = "reduce,0,1,ring,ll,-1,-1,-1\n";
	char *text = malloc((SPAN_RULES_MAX + 1) * (sizeof(line) - 1) + 1);
	struct span_rules rules;

	for (int i = 0; i <= SPAN_RULES_MAX; i++)
		memcpy(text + (size_t)i * (sizeof(line) - 1), line, sizeof(line));
	cr_assert_eq(parse(text, &rules), SPAN_EPARSE);
	cr_assert_str_eq(log_captured(), "my rules:65537:1: more than 65536 rules");
	text[SPAN_RULES_MAX * (sizeof(line) - 1)] = '\0';
	cr_assert_eq(parse(text, &rules), SPAN_OK);
	cr_assert_eq(rules.n, SPAN_RULES_MAX);
	span_rules_free(&rules);
	free(text);
}

static void try_prefixes(const char *name)
{
	char path[512], *text = calloc(1, 4096);
	struct span_rules rules;
	size_t bytes;
	FILE *file;

	snprintf(path, sizeof(path), "%s/rules/%s", SPAN_TEST_DATA, name);
	file = fopen(path, "r");
	cr_assert(file);
	bytes = fread(text, 1, 4095, file);
	fclose(file);
	for (size_t n = 0; n <= bytes; n++) {
		char *prefix = malloc(n ? n : 1); /* exactly, for AddressSanitizer */
		span_status status;

		memcpy(prefix, text, n);
		log_capture();
		status = span_rules_parse(prefix, n, name, &rules);
		cr_assert(status == SPAN_OK || status == SPAN_EPARSE);
		cr_assert_eq(log_captured_count(), status != SPAN_OK);
		if (!status)
			span_rules_free(&rules);
		free(prefix);
	}
	free(text);
}

Test(rules, every_prefix_of_a_file_is_read_or_refused_in_one_line)
{
	try_prefixes("eight.csv");
	try_prefixes("nine.csv");
	try_prefixes("ten.csv");
	try_prefixes("superset.csv");
}

/* --- matching ----------------------------------------------------------------------------- */

static bool matches(const char *text, int ranks, int nodes, uint64_t *from, uint64_t *to)
{
	struct span_rules rules;
	bool yes;

	cr_assert_eq(parse(text, &rules), SPAN_OK, "%s", log_captured());
	yes = span_rule_matches(&rules.rules[0], ranks, nodes, from, to);
	span_rules_free(&rules);
	return yes;
}

Test(rules, ranks_and_nodes_are_intervals)
{
	uint64_t from, to;

	cr_assert(matches("reduce,0,1,ring,ll,-1,2-3,8+", 8, 2, &from, &to));
	cr_assert(matches("reduce,0,1,ring,ll,-1,2-3,8+", 800, 3, &from, &to));
	cr_assert(!matches("reduce,0,1,ring,ll,-1,2-3,8+", 7, 2, &from, &to));
	cr_assert(!matches("reduce,0,1,ring,ll,-1,2-3,8+", 8, 1, &from, &to));
	cr_assert(!matches("reduce,0,1,ring,ll,-1,2-3,8+", 8, 4, &from, &to));
	cr_assert(!matches("reduce,0,1,ring,ll,-1,-1,16", 8, 1, &from, &to));
}

Test(rules, one_that_asks_for_registered_buffers_is_never_used)
{
	uint64_t from, to;

	cr_assert(!matches("reduce,0,1,ring,ll,-1,-1,-1,-1,0", 8, 1, &from, &to));
	cr_assert(!matches("reduce,0,1,ring,ll,-1,-1,-1,-1,1", 8, 1, &from, &to));
	cr_assert(matches("reduce,0,1,ring,ll,-1,-1,-1,-1,-1", 8, 1, &from, &to));
}

Test(rules, bytes_of_a_rank_are_bytes_divided_by_ranks)
{
	uint64_t from, to;

	cr_assert(matches("reduce,10,20,ring,ll,-1,-1,-1,per=rank", 7, 1, &from, &to));
	for (uint64_t bytes = 0; bytes < 200; bytes++)
		cr_assert_eq(bytes >= from && bytes <= to, bytes / 7 >= 10 && bytes / 7 <= 20);
	cr_assert(matches("reduce,0,-1,ring,ll,-1,-1,-1,per=rank", 7, 1, &from, &to));
	cr_assert_eq(to, UINT64_MAX);
	cr_assert(matches("reduce,0,8388608T,ring,ll,-1,-1,-1,per=rank", 7, 1, &from, &to));
	cr_assert_eq(to, UINT64_MAX);
	cr_assert(!matches("reduce,8388608T,-1,ring,ll,-1,-1,-1,per=rank", 7, 1, &from, &to));
}
