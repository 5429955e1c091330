#include "plugin/evidence.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/plugin/cost_tables.h"
#include "tests/plugin/releases.h"
#include "tests/topo/log_capture.h"

enum { GPUS = 8 };

static void set(span_profile *profile, const char *name, double value)
{
	span_number number = { .name = name, .value = value };

	cr_assert_eq(span_profile_set_number(profile, &number), SPAN_OK, "%s", log_captured());
}

/* Eight GPUs behind an NVSwitch: what NCCL's searches give, and a ring that starts slowly. */
static span_profile *machine(void)
{
	span_profile *profile;
	int32_t source;

	log_capture();
	cr_assert_eq(span_profile_create("machine", &profile), SPAN_OK);
	cr_assert_eq(span_profile_add_source(profile, "made up by a test", &source), SPAN_OK);
	set(profile, "comm.cc", 90);
	set(profile, "comm.nvswitch", 1);
	set(profile, "comm.channels.one", 24);
	set(profile, "comm.nvls-channels.one", 16);
	set(profile, "graph.one.ring.channels", 12);
	set(profile, "graph.one.ring.bw-intra", 30);
	set(profile, "graph.one.tree.channels", 12);
	set(profile, "graph.one.tree.bw-intra", 30);
	set(profile, "graph.one.nvls.channels", 8);
	set(profile, "graph.one.nvls.bw-intra", 60);
	set(profile, "nccl.hw.nvlink.ring.simple", 9);
	set(profile, "model.spread", 0.02);
	return profile;
}

static void prepare(const span_profile *profile, int32_t ranks, double margin,
                    const struct nccl_tuner_constants *constants, struct span_evidence *evidence)
{
	cr_assert_eq(span_evidence_prepare(profile, ranks, 1, margin, constants, evidence), SPAN_OK,
	             "%s", log_captured());
}

static int same_model(const struct span_evidence *a, const struct span_evidence *b)
{
	return !memcmp(a->model.latency, b->model.latency, sizeof(a->model.latency)) &&
	       !memcmp(a->model.bandwidth, b->model.bandwidth, sizeof(a->model.bandwidth));
}

/* The segment that a size falls into. */
static const struct span_segment *find(const struct span_segment *segments, int n, uint64_t bytes)
{
	int at = 0;

	while (at + 1 < n && segments[at + 1].first <= bytes)
		at++;
	return &segments[at];
}

/* What should come in place of a cell: the fastest that saves enough, or itself. */
static int best_against(const struct span_evidence *evidence, uint64_t bytes, int own, double need)
{
	double us, least = HUGE_VAL, of_own;
	int best = own;

	of_own = span_nccl_model_us(&evidence->model, SPAN_COLL_ALL_REDUCE, own / SPAN_PROTOS,
	                            own % SPAN_PROTOS, bytes, 1);
	if (of_own <= 0)
		return own;
	for (int cell = 0; cell < SPAN_CELLS; cell++) {
		us = span_nccl_model_us(&evidence->model, SPAN_COLL_ALL_REDUCE, cell / SPAN_PROTOS,
		                        cell % SPAN_PROTOS, bytes, 1);
		if (us > 0 && us < least && 1 - us / of_own > need) {
			least = us;
			best = cell;
		}
	}
	return best;
}

static int chosen_against(const struct span_segment *segment, int own)
{
	for (int i = 0; i < segment->n; i++)
		if (segment->choices[i].beats >> own & 1)
			return segment->choices[i].algo * SPAN_PROTOS + segment->choices[i].proto;
	return own;
}

/* Borders are found to a hundredth; sizes that near to one are left out. */
static int is_near_a_border(const struct span_segment *segments, int n, uint64_t bytes)
{
	for (int i = 1; i < n; i++)
		if (fabs((double)segments[i].first - (double)bytes) <= 1 + (double)bytes / 50)
			return 1;
	return 0;
}

Test(evidence, the_model_speaks_for_every_size_and_every_choice_of_nccl)
{
	span_profile *profile = machine();
	struct span_evidence evidence;
	struct span_segment *segments;
	int n, changed = 0;
	double need = fmax(0.05, hypot(0.02, 0.02));

	prepare(profile, GPUS, 0.05, NULL, &evidence);
	cr_assert(evidence.has_model);
	cr_assert_eq(span_evidence_segments(&evidence, SPAN_COLL_ALL_REDUCE, &segments, &n), SPAN_OK);
	cr_assert_gt(n, 3);
	for (double size = 1; size < 1e13; size *= 1.07) {
		uint64_t bytes = (uint64_t)size;

		if (is_near_a_border(segments, n, bytes))
			continue;
		for (int own = 0; own < SPAN_CELLS; own++) {
			int wanted = best_against(&evidence, bytes, own, need);

			cr_assert_eq(chosen_against(find(segments, n, bytes), own), wanted,
			             "%llu bytes, cell %d", (unsigned long long)bytes, own);
			changed += wanted != own;
		}
	}
	cr_assert_gt(changed, 100);
	free(segments);
	span_profile_free(profile);
}

static void add_flat_curve(span_profile *profile, int algo, int proto, double us)
{
	span_knot knots[] = { { 1024, us }, { 1 << 20, us } };
	span_curve curve = { .coll = SPAN_COLL_ALL_REDUCE, .algo = algo, .proto = proto,
		             .ranks = GPUS };

	curve.nodes = 1;
	curve.samples = 1;
	curve.n_knots = 2;
	curve.knots = knots;
	cr_assert_eq(span_profile_add_curve(profile, &curve), SPAN_OK, "%s", log_captured());
}

Test(evidence, where_two_cells_were_measured_the_model_is_silent_about_them)
{
	span_profile *profile = machine();
	int tree = SPAN_ALGO_TREE * SPAN_PROTOS + SPAN_PROTO_LL;
	struct span_evidence evidence;
	struct span_segment *segments;
	int n;

	add_flat_curve(profile, SPAN_ALGO_TREE, SPAN_PROTO_LL, 100);
	for (int measured = 1; measured <= 2; measured++) {
		prepare(profile, GPUS, 0.05, NULL, &evidence);
		cr_assert_eq(span_evidence_segments(&evidence, SPAN_COLL_ALL_REDUCE, &segments, &n),
		             SPAN_OK);
		cr_assert_neq(best_against(&evidence, 1 << 20, tree, 0.05), tree);
		/* One measurement compares with nothing; two say that the difference is small. */
		cr_assert_eq(chosen_against(find(segments, n, 1 << 20), tree) == tree, measured == 2);
		cr_assert_neq(chosen_against(find(segments, n, 1 << 24), tree), tree);
		free(segments);
		if (measured == 1)
			add_flat_curve(profile, SPAN_ALGO_RING, SPAN_PROTO_LL, 99);
	}
	span_profile_free(profile);
}

Test(evidence, a_part_of_a_node_is_not_what_the_profile_describes)
{
	span_profile *profile = machine();
	struct span_evidence evidence;

	set(profile, "machine.gpus", GPUS);
	prepare(profile, GPUS, 0, NULL, &evidence);
	cr_assert(evidence.has_model);
	prepare(profile, GPUS / 2, 0, NULL, &evidence);
	cr_assert(!evidence.has_model);
	cr_assert_eq(span_evidence_prepare(profile, 2 * GPUS, 2, 0, NULL, &evidence), SPAN_OK);
	cr_assert(!evidence.has_model); /* no graphs of many nodes */
	span_profile_free(profile);
}

Test(evidence, constants_of_nccl_stand_in_where_they_are_sane_and_the_profile_silent)
{
	span_profile *profile = machine();
	struct span_evidence plain, with;
	struct nccl_tuner_constants constants;

	prepare(profile, GPUS, 0, NULL, &plain);
	release_constants(0, &constants);
	prepare(profile, GPUS, 0, &constants, &with);
	cr_assert(same_model(&plain, &with));
	constants.hw_latencies[0][SPAN_ALGO_RING][SPAN_PROTO_SIMPLE] = 77; /* the profile gives that */
	prepare(profile, GPUS, 0, &constants, &with);
	cr_assert(same_model(&plain, &with));
	constants.hw_latencies[0][SPAN_ALGO_RING][SPAN_PROTO_LL] = 77;
	prepare(profile, GPUS, 0, &constants, &with);
	cr_assert(!same_model(&plain, &with));
	release_constants(1, &constants);
	prepare(profile, GPUS, 0, &constants, &with);
	cr_assert(same_model(&plain, &with));
	span_profile_free(profile);
}

Test(evidence, a_profile_that_cannot_be_is_refused)
{
	span_profile *profile = machine();
	struct span_evidence evidence;

	set(profile, "comm.channels.one", 1e6);
	cr_assert_eq(span_evidence_prepare(profile, GPUS, 1, 0, NULL, &evidence), SPAN_EINVAL);
	cr_assert_eq(log_captured_count(), 1);
	span_profile_free(profile);
}
