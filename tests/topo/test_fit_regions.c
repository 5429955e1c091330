/* Constants of NCCL's model calibrated to the regions that AWS published for two platforms, at up
 * to 64 ranks, judged by the borders at 128 ranks and more: against them, and against NCCL's own
 * constants. */
#include "topo/nccl/fit_model.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/topo/log_capture.h"

/* --- regions ------------------------------------------------------------------------------ */

enum { MOST_REGIONS = 64,
       MOST_VERTICES = 24 };

struct region {
	char platform[16];
	int local; /* ranks of a node */
	int coll, algo, proto;
	int n;
	double x[MOST_VERTICES], y[MOST_VERTICES]; /* logarithms of bytes and ranks */
};

static struct region regions[MOST_REGIONS];
static int n_regions;

static double log_of(double value)
{
	return value > 0 ? log2(value) : 0;
}

/* "BYTES,RANKS" or, for a computed vertex, "?,0," or "?,NAME," and the other coordinate. */
static void read_vertices(struct region *region, char *text)
{
	for (char *word = strtok(text, " \n"); word; word = strtok(NULL, " \n")) {
		double bytes, ranks;

		cr_assert_lt(region->n, MOST_VERTICES);
		if (!strcmp(word, "?,0,")) {
			cr_assert(strtok(NULL, " \n"));
			bytes = 0;
			ranks = 1048576;
		} else if (*word == '?') {
			bytes = 107374182400.0;
			ranks = atof(strtok(NULL, " \n"));
		} else {
			cr_assert_eq(sscanf(word, "%lf,%lf", &bytes, &ranks), 2, "%s", word);
		}
		region->x[region->n] = log_of(bytes);
		region->y[region->n++] = log_of(ranks);
	}
}

static void read_regions(void)
{
	FILE *file = fopen(SPAN_TEST_DATA "/aws-regions/regions.tsv", "r");
	char line[4096], ppn[64], coll[32], algo[32], proto[32];

	cr_assert(file);
	n_regions = 0;
	while (fgets(line, sizeof(line), file)) {
		struct region *region = regions + n_regions;
		int at = 0;

		if (*line == '#' || !strncmp(line, "platform", 8))
			continue;
		memset(region, 0, sizeof(*region));
		cr_assert_eq(sscanf(line, "%15[^\t]\t%63[^\t]\t%31[^\t]\t%*d\t%31[^\t]\t%31[^\t]\t%n",
		                    region->platform, ppn, coll, algo, proto, &at),
		             5);
		region->local = strstr(ppn, "8 *") ? 8 : strstr(ppn, "2 *") ? 2
		                                                            : 1;
		region->coll = span_coll_number(coll);
		region->algo = span_algo_number(algo);
		region->proto = span_proto_number(proto);
		read_vertices(region, line + at);
		n_regions++;
	}
	fclose(file);
	cr_assert_gt(n_regions, 30);
}

static int contains(const struct region *region, double x, double y)
{
	int inside = 0;

	for (int i = 0, j = region->n - 1; i < region->n; j = i++) {
		const double *px = region->x, *py = region->y;

		if ((py[i] > y) != (py[j] > y) &&
		    x < (px[j] - px[i]) * (y - py[i]) / (py[j] - py[i]) + px[i])
			inside = !inside;
	}
	return inside;
}

static const struct region *best_at(const char *platform, int local, int coll, double x, double y)
{
	for (int i = 0; i < n_regions; i++) {
		const struct region *region = regions + i;

		if (region->local == local && region->coll == coll &&
		    !strcmp(region->platform, platform) && contains(region, x, y))
			return region;
	}
	return NULL;
}

/* --- borders ------------------------------------------------------------------------------ */

#define FINE 64 /* steps of an octave */

/* Borders between two neighbouring regions along one number of ranks. Slivers between regions,
 * up to half an octave, belong to neither: the border is in their middle. */
static int borders_at(const char *platform, int local, int coll, int ranks, span_border *borders)
{
	double y = log2(ranks) + 1e-9, left = 0;
	const struct region *last = NULL;
	int n = 0;

	for (int step = 8 * FINE; step <= 34 * FINE; step++) {
		double x = (step + 0.5) / FINE;
		const struct region *here = best_at(platform, local, coll, x, y);

		if (!here)
			continue;
		if (last && (last->algo != here->algo || last->proto != here->proto) &&
		    x - left < 0.5 + 1.5 / FINE)
			borders[n++] = (span_border){ .coll = coll,
				                      .ranks = ranks,
				                      .nodes = ranks / local,
				                      .before = { last->algo, last->proto },
				                      .after = { here->algo, here->proto },
				                      .bytes = exp2((x + left) / 2) };
		last = here;
		left = x;
	}
	return n;
}

/* --- machines ----------------------------------------------------------------------------- */

/* What NCCL's search finds on such nodes: with 8 GPUs a NIC pair each, as on the recorded H100
 * node with 16 NICs of 200 Gb/s (tests/data/nccl-golden/oci__H100-topology.json); with fewer
 * GPUs the NICs next to them. 400 Gb/s a GPU on both platforms. */
static span_nccl_comm machine(int local)
{
	span_nccl_comm comm = { .cc_min = 90,
		                .cc_max = 90,
		                .cpu = local ? SPAN_CPU_X86_INTEL : 0,
		                .channels = 4 * local,
		                .nvls_channels = 16,
		                .nvswitch = true,
		                .nvls = local > 1 };
	int channels = 2 * local;

	comm.ring = (span_nccl_graph){ .channels = channels,
		                       .bw_intra = 22,
		                       .bw_inter = 22,
		                       .type_intra = local > 1 ? SPAN_PATH_NVL : SPAN_PATH_LOC,
		                       .type_inter = SPAN_PATH_PXN };
	comm.tree = comm.ring;
	comm.tree.pattern = local > 1 ? SPAN_PATTERN_SPLIT_TREE : SPAN_PATTERN_TREE;
	comm.nvls_graph = comm.ring;
	comm.nvls_graph.channels = local > 1 ? 8 : 0;
	comm.nvls_graph.bw_inter = comm.nvls_graph.bw_intra = 22.0f * (float)channels / 8;
	return comm;
}

/* --- the figure --------------------------------------------------------------------------- */

struct misses {
	double ours[512], theirs[512];
	int n;
};

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *values, int n)
{
	qsort(values, (size_t)n, sizeof(*values), by_value);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* Octaves between a published border and a model's; where the model has none, to the far end. */
static double miss(const span_nccl_comm *comm, const span_nccl_constants *constants,
                   const span_border *border)
{
	double bytes = span_border_of_model(comm, constants, border);

	if (bytes > 0)
		return fabs(log2(bytes / border->bytes));
	return fmax(log2(SPAN_BORDER_HIGH / border->bytes), log2(border->bytes / SPAN_BORDER_LOW));
}

/* At every octave the published best cell is faster than each other that the machine has. */
static int bounds_at(const span_nccl_comm *base, const char *platform, int local, int coll, int ranks,
                     span_border *borders)
{
	span_nccl_comm comm = *base;
	span_nccl_model model;
	int n = 0;

	comm.ranks = ranks;
	comm.nodes = ranks / local;
	comm.most_local_ranks = local;
	cr_assert_eq(span_nccl_model_build(&comm, &span_nccl_defaults, &model), SPAN_OK);
	for (int octave = 12; octave <= 33; octave++) {
		const struct region *best = best_at(platform, local, coll, octave, log2(ranks) + 1e-9);

		for (int cell = 0; best && cell < SPAN_ALGOS * SPAN_PROTOS; cell++) {
			int algo = cell / SPAN_PROTOS, proto = cell % SPAN_PROTOS;

			if (model.bandwidth[coll][algo][proto] <= 0 ||
			    (algo == best->algo && proto == best->proto))
				continue;
			borders[n++] = (span_border){ .coll = coll,
				                      .ranks = ranks,
				                      .nodes = ranks / local,
				                      .before = { best->algo, best->proto },
				                      .after = { algo, proto },
				                      .bytes = exp2(octave),
				                      .bound = true };
		}
	}
	return n;
}

static int gather_bounds(const span_nccl_comm *comm, const char *platform, int local,
                         span_border *borders)
{
	int n = 0;

	for (int coll = 0; coll < SPAN_COLLS; coll++) {
		for (int ranks = 4; ranks <= 64; ranks *= 2) {
			if (ranks / local > 2)
				n += bounds_at(comm, platform, local, coll, ranks, borders + n);
		}
	}
	return n;
}

static int gather(const char *platform, int local, int low, int high, span_border *borders)
{
	int n = 0;

	for (int coll = 0; coll < SPAN_COLLS; coll++) {
		for (int ranks = low; ranks <= high; ranks *= 2) {
			if (ranks / local > 2)
				n += borders_at(platform, local, coll, ranks, borders + n);
		}
	}
	return n;
}

static void judge_machine(const char *platform, int local, struct misses *misses)
{
	span_nccl_comm comm = machine(local);
	span_nccl_constants constants;
	static span_border few[8192], many[256];
	int n_few = gather(platform, local, 4, 64, few);
	int n_many = gather(platform, local, 128, 1024, many);
	int n_bounds = gather_bounds(&comm, platform, local, few + n_few);
	double octaves, ours[256], theirs[256];
	span_nccl_comm fitted = comm;

	cr_assert(n_few > 0 && n_many > 0);
	log_capture();
	cr_assert_eq(span_fit_borders(&fitted, few, n_few + n_bounds, &constants, &octaves), SPAN_OK,
	             "%s", log_captured());
	for (int i = 0; i < n_many; i++) {
		ours[i] = misses->ours[misses->n] = miss(&fitted, &constants, many + i);
		theirs[i] = misses->theirs[misses->n++] = miss(&comm, &span_nccl_defaults, many + i);
		if (getenv("SPAN_TEST_VERBOSE"))
			fprintf(stderr,
			        "  %s %d %s %d ranks: %s/%s to %s/%s at 2^%.2f: ours %.2f, NCCL %.2f\n",
			        platform, local, span_coll_name(many[i].coll), many[i].ranks,
			        span_algo_name(many[i].before[0]), span_proto_name(many[i].before[1]),
			        span_algo_name(many[i].after[0]), span_proto_name(many[i].after[1]),
			        log2(many[i].bytes), ours[i], theirs[i]);
	}
	fprintf(stderr,
	        "regions: %s, %d ranks a node: %d borders fitted to %.2f octaves; %d borders from 128 "
	        "ranks on off by %.2f (median), NCCL's own by %.2f\n",
	        platform, local, n_few, octaves, n_many, median(ours, n_many),
	        median(theirs, n_many));
}

Test(fit_regions, borders_of_many_ranks_follow_from_those_of_few)
{
	static struct misses misses;
	double ours, theirs;

	read_regions();
	judge_machine("p5en", 8, &misses);
	judge_machine("p5en", 1, &misses);
	judge_machine("p5_p5e", 8, &misses);
	judge_machine("p5_p5e", 2, &misses);
	judge_machine("p5_p5e", 1, &misses);
	ours = median(misses.ours, misses.n);
	theirs = median(misses.theirs, misses.n);
	fprintf(stderr, "regions: all: %d borders off by %.2f octaves (median), NCCL's own by %.2f\n",
	        misses.n, ours, theirs);
	cr_assert_leq(ours, 0.5);
	cr_assert_lt(ours, theirs);
}

/* --- pieces ------------------------------------------------------------------------------- */

/* A border that the model itself has is found again, and moves nothing. */
Test(fit_regions, constants_stay_where_the_borders_are_theirs)
{
	span_nccl_comm comm = machine(8);
	span_border border = { .coll = SPAN_ALL_GATHER,
		               .ranks = 32,
		               .nodes = 4,
		               .before = { SPAN_RING, SPAN_LL },
		               .after = { SPAN_RING, SPAN_LL128 } };
	span_nccl_constants constants;
	double octaves;

	border.bytes = span_border_of_model(&comm, &span_nccl_defaults, &border);
	cr_assert_gt(border.bytes, 0);
	cr_assert_eq(span_fit_borders(&comm, &border, 1, &constants, &octaves), SPAN_OK);
	cr_assert_lt(octaves, 0.02);
	cr_assert_float_eq(constants.hw[SPAN_HW_NET][SPAN_RING][SPAN_LL],
	                   span_nccl_defaults.hw[SPAN_HW_NET][SPAN_RING][SPAN_LL], 0.05);
	border.bytes *= 8;
	cr_assert_eq(span_fit_borders(&comm, &border, 1, &constants, &octaves), SPAN_OK);
	cr_assert_float_eq(log2(span_border_of_model(&comm, &constants, &border) / border.bytes), 0,
	                   0.1);
}

/* NCCL's model finds Ring/LL faster than LL128 at 256 KiB; a bound says otherwise. */
Test(fit_regions, a_bound_is_met)
{
	span_nccl_comm comm = machine(8);
	span_border bound = { .coll = SPAN_ALL_GATHER,
		              .ranks = 32,
		              .nodes = 4,
		              .before = { SPAN_RING, SPAN_LL128 },
		              .after = { SPAN_RING, SPAN_LL },
		              .bytes = 262144,
		              .bound = true };
	span_nccl_constants constants;
	span_nccl_model model;
	double octaves;

	comm.ranks = 32;
	comm.nodes = 4;
	comm.most_local_ranks = 8;
	cr_assert_eq(span_nccl_model_build(&comm, &span_nccl_defaults, &model), SPAN_OK);
	cr_assert_gt(span_nccl_model_us(&model, SPAN_ALL_GATHER, SPAN_RING, SPAN_LL128, 262144, 1),
	             1.05 * span_nccl_model_us(&model, SPAN_ALL_GATHER, SPAN_RING, SPAN_LL, 262144, 1));
	cr_assert_eq(span_fit_borders(&comm, &bound, 1, &constants, &octaves), SPAN_OK);
	cr_assert_eq(octaves, 0);
	cr_assert_eq(span_nccl_model_build(&comm, &constants, &model), SPAN_OK);
	cr_assert_leq(span_nccl_model_us(&model, SPAN_ALL_GATHER, SPAN_RING, SPAN_LL128, 262144, 1),
	              1.01 * span_nccl_model_us(&model, SPAN_ALL_GATHER, SPAN_RING, SPAN_LL, 262144,
	                                        1));
}

Test(fit_regions, a_border_of_cells_that_are_not_there_is_refused)
{
	span_nccl_comm comm = machine(8);
	span_border border = { .coll = SPAN_ALL_GATHER,
		               .ranks = 32,
		               .nodes = 4,
		               .before = { SPAN_TREE, SPAN_LL },
		               .after = { SPAN_RING, SPAN_LL },
		               .bytes = 1e6 };
	span_nccl_constants constants;
	double octaves;

	log_capture();
	cr_assert_eq(span_fit_borders(&comm, &border, 1, &constants, &octaves), SPAN_EINVAL);
	cr_assert(strstr(log_captured(), "does not have"), "%s", log_captured());
	cr_assert_eq(span_fit_borders(&comm, &border, 0, &constants, &octaves), SPAN_EINVAL);
	cr_assert_lt(span_border_of_model(&comm, &span_nccl_defaults, &border), 0);
}
