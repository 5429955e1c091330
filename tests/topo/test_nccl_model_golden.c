/* NCCL's cost model against the tables of the released library: every topology, collective,
 * algorithm, protocol, size and count of nodes, as 32-bit floats. */
#include "topo/nccl/nccl_model.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/topo/nccl_golden.h"

#define MAX_ULPS 1

struct counts {
	int files;
	long cells, exact, absent, choices;
};

static struct counts counts;

/* The bytes that NCCL computed for the i-th size. */
static uint64_t bytes_at(json_t *cost, json_t *table, size_t i)
{
	json_t *bytes = json_object_get(table, "bytes");

	return (uint64_t)json_integer_value(
		json_array_get(bytes ? bytes : json_object_get(cost, "sizes"), i));
}

/* The golden value of a cell, -1 where it is absent or null. */
static float golden_us(json_t *table, int algo, int proto, size_t i)
{
	char key[64];
	json_t *value;

	snprintf(key, sizeof(key), "%s/%s", span_algo_name(algo), span_proto_name(proto));
	value = json_array_get(json_object_get(json_object_get(table, "us"), key), i);
	return json_is_number(value) ? (float)json_number_value(value) : -1.0f;
}

static void judge_cell(const char *where, float expected, float found)
{
	int64_t ulps = nccl_golden_ulps(expected, found);

	cr_assert_leq(ulps, MAX_ULPS, "%s: %.9g, NCCL computes %.9g", where, found, expected);
	counts.cells++;
	counts.exact += ulps == 0;
	counts.absent += expected < 0;
}

static void judge_choice(const char *where, json_t *table, size_t i, const span_nccl_model *model,
                         uint64_t bytes, float cells[SPAN_ALGOS][SPAN_PROTOS])
{
	const char *golden =
		json_string_value(json_array_get(json_object_get(table, "choice"), i));
	span_nccl_choice choice = span_nccl_model_choose(model, bytes, cells);
	char found[64];

	cr_assert(golden, "%s: no choice", where);
	cr_assert_geq(choice.algo, 0, "%s: nothing chosen", where);
	snprintf(found, sizeof(found), "%s/%s/%d/%d", span_algo_name(choice.algo),
	         span_proto_name(choice.proto), choice.channels, choice.warps);
	cr_assert_str_eq(found, golden, "%s: %s, NCCL launches %s", where, found, golden);
	counts.choices++;
}

static void judge_table(const char *where, json_t *cost, json_t *table, int coll,
                        const span_nccl_model *model)
{
	size_t sizes = json_array_size(json_object_get(cost, "sizes"));
	char at[512];

	for (size_t i = 0; i < sizes; i++) {
		uint64_t bytes = bytes_at(cost, table, i);
		float cells[SPAN_ALGOS][SPAN_PROTOS];

		span_nccl_model_table(model, coll, bytes, 1, cells);
		for (int algo = 0; algo < SPAN_ALGOS; algo++) {
			for (int proto = 0; proto < SPAN_PROTOS; proto++) {
				snprintf(at, sizeof(at), "%s, %s %s/%s of %llu bytes", where,
				         span_coll_name(coll), span_algo_name(algo),
				         span_proto_name(proto), (unsigned long long)bytes);
				judge_cell(at, golden_us(table, algo, proto, i),
				           cells[algo][proto]);
			}
		}
		judge_choice(at, table, i, model, bytes, cells);
	}
}

/* Latency and bandwidth, which the times alone would not tell apart. */
static void judge_model(const char *where, json_t *run, const span_nccl_model *model)
{
	const char *coll_name, *key;
	json_t *cells, *pair;

	json_object_foreach(json_object_get(run, "model"), coll_name, cells)
	{
		int coll = span_coll_number(coll_name), algo, proto;

		cr_assert_geq(coll, 0, "%s", coll_name);
		json_object_foreach(cells, key, pair)
		{
			nccl_golden_cell(key, &algo, &proto);
			judge_cell(where, (float)json_number_value(json_array_get(pair, 0)),
			           model->latency[coll][algo][proto]);
			judge_cell(where, (float)json_number_value(json_array_get(pair, 1)),
			           model->bandwidth[coll][algo][proto]);
		}
	}
}

static void judge_file(const char *path, json_t *golden)
{
	json_t *cost = json_object_get(golden, "cost"), *run, *table;
	const char *nodes, *coll_name;
	char where[256];

	json_object_foreach(json_object_get(cost, "nodes"), nodes, run)
	{
		span_nccl_comm comm = nccl_golden_comm(golden, nodes);
		span_nccl_model model;

		snprintf(where, sizeof(where), "%s, %s nodes", strrchr(path, '/') + 1, nodes);
		cr_assert_eq(span_nccl_model_build(&comm, &span_nccl_defaults, &model), SPAN_OK);
		judge_model(where, run, &model);
		json_object_foreach(json_object_get(run, "tables"), coll_name, table)
			judge_table(where, cost, table, span_coll_number(coll_name), &model);
	}
	counts.files++;
}

static void print_counts(void)
{
	fprintf(stderr,
	        "nccl model: %d topologies, %ld numbers compared: %ld equal to the bit (%ld of "
	        "them absent in both), %ld within %d ulp; %ld choices equal\n",
	        counts.files, counts.cells, counts.exact, counts.absent,
	        counts.cells - counts.exact, MAX_ULPS, counts.choices);
}

Test(nccl_model_golden, tables_and_choices_are_those_of_the_released_library)
{
	cr_assert_geq(nccl_golden_each(SPAN_TEST_DATA "/nccl-golden", judge_file), 7);
	print_counts();
}

Test(nccl_model_golden, so_are_those_of_topologies_kept_elsewhere)
{
	const char *extra = getenv("SPAN_EXTRA_DATA");
	char folder[4096];

	if (!extra)
		cr_skip_test("SPAN_EXTRA_DATA is not set");
	snprintf(folder, sizeof(folder), "%s/nccl-golden", extra);
	cr_assert_geq(nccl_golden_each(folder, judge_file), 7);
	print_counts();
}
