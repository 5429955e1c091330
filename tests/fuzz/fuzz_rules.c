/* Any bytes as rules of the plugin: what is accepted compiles, and no cell is ever raised. */
#include "tests/fuzz/fuzz.h"

#include "plugin/decide.h"

static void ask(const span_table *table, uint64_t size)
{
	float costs[SPAN_CELLS];
	int channels = 0;

	for (int coll = 0; coll < SPAN_COLLS; coll++) {
		for (int i = 0; i < SPAN_CELLS; i++)
			costs[i] = (float)(i % 4) - 1;
		span_table_choose(table, coll, size, 1, costs, SPAN_ALGOS, SPAN_PROTOS, &channels);
		for (int i = 0; i < SPAN_CELLS; i++)
			if ((costs[i] < 0) != (i % 4 == 0))
				__builtin_trap();
	}
}

/* As NCCL 2.19 does, which says neither what is to be had nor which communicator asks. */
static void ask_blindly(const struct span_rules *rules)
{
	struct span_question question = { .rules = rules, .any_size = true };
	span_table *table;

	if (span_decide(&question, &table))
		return;
	for (int coll = 0; coll < SPAN_COLLS; coll++) {
		int algo = -1, proto = -1, channels = 0;

		span_table_choose_flat(table, coll, 65536, 1, 1, 1, &algo, &proto, &channels);
		if (proto == SPAN_PROTO_LL128 || algo == SPAN_ALGO_NVLS ||
		    algo == SPAN_ALGO_NVLS_TREE ||
		    (algo == SPAN_ALGO_TREE && coll != SPAN_COLL_ALL_REDUCE))
			__builtin_trap();
	}
	span_table_free(table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span_question question = { .ranks = 16, .nodes = 2 };
	struct span_rules rules;
	span_table *table;

	span_status status;

	fuzz_begin();
	status = span_rules_parse((const char *)data, size, "fuzz", &rules);
	fuzz_judge(status);
	if (status)
		return 0;
	question.rules = &rules;
	if (!span_decide(&question, &table)) {
		ask(table, 0);
		ask(table, 65536);
		ask(table, UINT64_MAX);
		span_table_free(table);
	}
	ask_blindly(&rules);
	span_rules_free(&rules);
	return 0;
}
