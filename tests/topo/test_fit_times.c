/* Constants of NCCL's model calibrated to times: times that the model gave with other constants
 * are fitted, and ranks and nodes that the fit did not see are predicted. */
#include "topo/nccl/fit_times.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "topo/nccl/nccl_model.h"
#include "topo/nccl/search/nccl_search.h"
#include "topo/span_topo.h"

#define H100 SPAN_TEST_DATA "/topologies/nccl/oci/H100-topology.xml"

enum { MOST_KNOTS = 32 };

/* A machine whose constants are not NCCL's: each is multiplied by something from 0.5 to 2. */
struct machine {
	span_profile *profile;
	span_nccl_constants constants;
	uint64_t random;
};

static double uniform(uint64_t *random)
{
	*random = *random * 6364136223846793005u + 1442695040888963407u;
	return (double)(*random >> 11) / 9007199254740992.0;
}

static struct machine make_machine(void)
{
	struct machine machine = { .constants = span_nccl_defaults, .random = 1 };
	span_topo_options options = { .size = sizeof(options), .as_nccl = 1 };
	span_topo *topo;
	double *number = (double *)&machine.constants;

	cr_assert_eq(span_topo_load(H100, &options, &topo), SPAN_OK);
	cr_assert_eq(span_profile_create("machine", &machine.profile), SPAN_OK);
	cr_assert_eq(nccl_search_into_profile(topo, machine.profile), SPAN_OK);
	span_topo_free(topo);
	for (size_t i = 0; i < offsetof(span_nccl_constants, ll_max) / sizeof(double); i++)
		number[i] *= exp2(2 * uniform(&machine.random) - 1);
	for (int scale = 0; scale < SPAN_SCALES; scale++)
		machine.constants.tree_max[SPAN_HOPPER][scale] *= 0.3; /* else it does not bind */
	return machine;
}

static span_nccl_model model_of(const struct machine *machine, int32_t nodes,
                                const span_nccl_constants *other)
{
	span_nccl_constants constants;
	span_nccl_model model;
	span_nccl_comm comm;

	cr_assert_eq(span_nccl_from_profile(machine->profile, 8 * nodes, nodes, &comm, &constants),
	             SPAN_OK);
	cr_assert_eq(span_nccl_model_build(&comm, other ? other : &constants, &model), SPAN_OK);
	return model;
}

/* Curves of Ring and Tree with all protocols, as the machine would give them; times scatter by a
 * share of up to `noise` either way. */
static void measure(struct machine *machine, int32_t nodes, double noise)
{
	span_nccl_model model = model_of(machine, nodes, &machine->constants);
	span_knot knots[MOST_KNOTS];
	span_curve curve = { .coll = SPAN_COLL_ALL_REDUCE, .ranks = 8 * nodes, .nodes = nodes,
		             .knots = knots, .samples = 20 };

	for (curve.algo = SPAN_ALGO_TREE; curve.algo <= SPAN_ALGO_RING; curve.algo++)
		for (curve.proto = 0; curve.proto < SPAN_PROTOS; curve.proto++) {
			curve.n_knots = 0;
			for (double bytes = 1024; bytes <= 1 << 30; bytes *= 4)
				knots[curve.n_knots++] = (span_knot){
					bytes,
					span_nccl_model_us(&model, curve.coll, curve.algo,
					                   curve.proto, (uint64_t)bytes, 1) *
						(1 + noise * (2 * uniform(&machine->random) - 1)),
				};
			cr_assert_eq(span_profile_add_curve(machine->profile, &curve), SPAN_OK);
		}
}

/* How far the fitted model is off the machine on nodes that were not measured: root mean square
 * share. */
static double carried(const struct machine *machine, int32_t nodes)
{
	span_nccl_model truth = model_of(machine, nodes, &machine->constants);
	span_nccl_model fitted = model_of(machine, nodes, NULL);
	double sum = 0;
	int n = 0;

	for (int algo = SPAN_ALGO_TREE; algo <= SPAN_ALGO_RING; algo++)
		for (int proto = 0; proto < SPAN_PROTOS; proto++)
			for (double bytes = 512; bytes <= 1 << 30; bytes *= 2, n++) {
				double off = log(span_nccl_model_us(&fitted, SPAN_COLL_ALL_REDUCE, algo,
				                                    proto, (uint64_t)bytes, 1) /
				                 span_nccl_model_us(&truth, SPAN_COLL_ALL_REDUCE, algo,
				                                    proto, (uint64_t)bytes, 1));

				sum += off * off;
			}
	return expm1(sqrt(sum / n));
}

static double number(const struct machine *machine, const char *name)
{
	const span_number *found = span_profile_number(machine->profile, name);

	cr_assert_not_null(found, "%s", name);
	return found->value;
}

static span_fit_times_report fit(struct machine *machine)
{
	span_fit_times_report report;
	int32_t source;

	cr_assert_eq(span_profile_add_source(machine->profile, "fitted", &source), SPAN_OK);
	cr_assert_eq(span_fit_times(machine->profile, source, &report), SPAN_OK);
	return report;
}

Test(fit_times, what_was_not_measured_follows)
{
	struct machine machine = make_machine();
	span_fit_times_report report;
	double before;

	measure(&machine, 2, 0);
	measure(&machine, 4, 0);
	before = carried(&machine, 16);
	report = fit(&machine);
	printf("fit_times: %d numbers moved by %d times; off by %.1f%%, fitted %.2f%%, left out "
	       "%.2f%%; 16 nodes %.1f%% before, %.2f%% after\n",
	       report.moved, report.knots, 100 * report.before, 100 * report.residual,
	       100 * report.held_out, 100 * before, 100 * carried(&machine, 16));
	cr_assert_eq(report.counts, 2);
	cr_assert_eq(report.knots, 2 * 6 * 11);
	cr_assert_gt(report.before, 0.1);
	cr_assert_lt(report.residual, 0.01);
	cr_assert_gt(before, 0.1);
	cr_assert_lt(carried(&machine, 16), 0.02);
	cr_assert_leq(carried(&machine, 16), number(&machine, "model.spread"));
	cr_assert_float_eq(number(&machine, "model.spread"),
	                   fmax(report.residual, report.held_out), 1e-12);
	span_profile_free(machine.profile);
}

Test(fit_times, noise_is_not_fitted_away)
{
	struct machine machine = make_machine();
	span_fit_times_report report;

	measure(&machine, 2, 0.1);
	measure(&machine, 4, 0.1);
	measure(&machine, 8, 0.1);
	report = fit(&machine);
	printf("fit_times: with 10%% of noise: fitted %.2f%%, left out %.2f%%, 32 nodes %.2f%%\n",
	       100 * report.residual, 100 * report.held_out, 100 * carried(&machine, 32));
	/* Uniform within 10% deviates by 5.8%. */
	cr_assert_gt(report.residual, 0.04);
	cr_assert_lt(report.residual, 0.065);
	cr_assert_geq(report.held_out, report.residual);
	cr_assert_leq(carried(&machine, 32), number(&machine, "model.spread"));
	span_profile_free(machine.profile);
}

Test(fit_times, one_count_of_nodes_does_not_show_how_far_it_carries)
{
	struct machine machine = make_machine();
	span_fit_times_report report;

	measure(&machine, 2, 0);
	report = fit(&machine);
	cr_assert_eq(report.counts, 1);
	cr_assert_eq(report.held_out, 0);
	cr_assert_lt(report.residual, 0.01);
	cr_assert_eq(number(&machine, "model.spread"), 1);
	span_profile_free(machine.profile);
}

Test(fit_times, curves_that_tell_no_cell_or_no_whole_node_are_passed_over)
{
	struct machine machine = make_machine();
	span_knot knots[] = { { 1024, 20 }, { 4096, 21 }, { 16384, 22 }, { 65536, 30 }, { 1e6, 50 } };
	span_curve curve = { .coll = SPAN_COLL_ALL_REDUCE, .algo = SPAN_ALGO_ANY,
		             .proto = SPAN_PROTO_LL, .ranks = 16, .nodes = 2,
		             .n_knots = 5, .knots = knots };

	cr_assert_eq(span_profile_add_curve(machine.profile, &curve), SPAN_OK);
	curve.algo = SPAN_ALGO_RING;
	curve.ranks = 6;
	cr_assert_eq(span_profile_add_curve(machine.profile, &curve), SPAN_OK);
	curve.algo = SPAN_ALGO_COLLNET_CHAIN; /* the machine has none */
	curve.ranks = 16;
	cr_assert_eq(span_profile_add_curve(machine.profile, &curve), SPAN_OK);
	cr_assert_eq(fit(&machine).knots, 0);
	cr_assert_null(span_profile_number(machine.profile, "nccl.base.ring.ll"));
	cr_assert_neq(span_fit_times(NULL, 0, &(span_fit_times_report){ 0 }), SPAN_OK);
	span_profile_free(machine.profile);
}
