/* span-tune explain: one decision, with its runner-up, times and reason. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/tune/tune.h"
#include "topo/log.h"

struct ranked {
	int algo, proto;
	double us;
	enum tune_origin origin;
};

static int by_time(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->us != y->us)
		return x->us < y->us ? -1 : 1;
	return x->algo != y->algo ? x->algo - y->algo : x->proto - y->proto;
}

static int rank(const struct tune_row *row, struct ranked *ranked)
{
	int n = 0;

	for (int algo = 0; algo < SPAN_ALGOS; algo++) {
		for (int proto = 0; proto < SPAN_PROTOS; proto++) {
			if (row->origin[algo][proto])
				ranked[n++] = (struct ranked){ algo, proto, row->us[algo][proto],
					                       row->origin[algo][proto] };
		}
	}
	qsort(ranked, (size_t)n, sizeof(*ranked), by_time);
	return n;
}

/* Whether cells are known by their algorithm or their protocol alone. */
static bool has_halves(const struct tune_row *row)
{
	bool any = false;

	for (int algo = 0; algo < SPAN_ALGOS; algo++)
		any |= row->us[algo][SPAN_PROTOS] > 0;
	for (int proto = 0; proto < SPAN_PROTOS; proto++)
		any |= row->us[SPAN_ALGOS][proto] > 0;
	return any;
}

static void print_reason(FILE *out, const struct tune_row *row)
{
	const struct span_choice *because = row->because;

	if (!because && row->default_algo < 0 && has_halves(row)) {
		fprintf(out, "reason      NCCL's own choice stays; of what was measured the profile "
		             "knows one half,\n            algorithm or protocol, and a choice takes "
		             "both\n");
		return;
	}
	if (!because && row->default_algo < 0) {
		fprintf(out, "reason      NCCL's own choice stays; the profile does not tell which "
		             "it is%s\n",
		        row->algo >= 0 ? ":\n            named is the fastest of what was measured "
		                         "at this size"
		                       : "");
		return;
	}
	if (!because) {
		fprintf(out, "reason      nothing known beats NCCL's own choice by more than margin "
		             "and noise\n");
		return;
	}
	if (because->reason == SPAN_BY_RULE)
		fprintf(out, "reason      the rule of line %d\n", because->line);
	else
		fprintf(out, "reason      %s\n",
		        because->reason == SPAN_BY_MEASUREMENT ? "measured" : "the model");
}

static void print_curve(FILE *out, const struct tune_decision *decision, const struct ranked *one)
{
	const span_curve *curve = decision->curves[one->algo][one->proto];
	char low[32], high[32];

	if (one->origin == TUNE_MODELLED) {
		fprintf(out, "  NCCL's model\n");
		return;
	}
	fprintf(out, "  measured %s to %s, +-%.1f%%, %d samples\n",
	        tune_size_text(curve->knots[0].bytes, low),
	        tune_size_text(curve->knots[curve->n_knots - 1].bytes, high), 100 * curve->spread,
	        curve->samples);
}

/* Cells that no log told in full. */
static void print_untold(FILE *out, const struct tune_row *row)
{
	char cell[32];

	for (int a = 0; a < TUNE_ALGOS; a++) {
		for (int p = 0; p < TUNE_PROTOS; p++) {
			if (!row->origin[a][p] || (a < SPAN_ALGOS && p < SPAN_PROTOS))
				continue;
			fprintf(out, "  %-20s %12.2f us  measured, %s not told\n",
			        tune_cell_text(tune_algo(a), tune_proto(p), cell), row->us[a][p],
			        a < SPAN_ALGOS    ? "protocol"
			        : p < SPAN_PROTOS ? "algorithm"
			                          : "algorithm and protocol");
		}
	}
}

static void explain(FILE *out, const struct tune_decision *decision, const struct tune_row *row)
{
	struct ranked ranked[SPAN_ALGOS * SPAN_PROTOS];
	int n = rank(row, ranked);
	char size[32], cell[32];

	fprintf(out, "%s of %s bytes, ranks %d, nodes %d\n", span_coll_name(decision->coll),
	        tune_size_text(row->bytes, size), decision->ranks, decision->nodes);
	fprintf(out, "chosen      %s", tune_cell_text(row->algo, row->proto, cell));
	if (tune_row_us(row, row->algo, row->proto) > 0)
		fprintf(out, ", %.2f us", tune_row_us(row, row->algo, row->proto));
	fputc('\n', out);
	for (int i = 0; i < n; i++) {
		if (ranked[i].algo == row->algo && ranked[i].proto == row->proto)
			continue;
		fprintf(out, "runner-up   %s, %.2f us",
		        tune_cell_text(ranked[i].algo, ranked[i].proto, cell), ranked[i].us);
		if (tune_row_us(row, row->algo, row->proto) > 0)
			fprintf(out, " (%+.1f%%)",
			        100 * (ranked[i].us / tune_row_us(row, row->algo, row->proto) - 1));
		fputc('\n', out);
		break;
	}
	if (row->default_algo >= 0)
		fprintf(out, "NCCL alone  %s, %.2f us\n",
		        tune_cell_text(row->default_algo, row->default_proto, cell),
		        tune_row_us(row, row->default_algo, row->default_proto));
	print_reason(out, row);
	fprintf(out, "times\n");
	for (int i = 0; i < n; i++) {
		fprintf(out, "  %-20s %12.2f us",
		        tune_cell_text(ranked[i].algo, ranked[i].proto, cell), ranked[i].us);
		print_curve(out, decision, ranked + i);
	}
	print_untold(out, row);
}

static bool take_words(struct tune *tune, double *bytes)
{
	tune->said.coll = span_coll_number(tune->words[0]);
	*bytes = tune_size(tune->words[1]);
	if (tune->said.coll >= 0 && *bytes >= 0 && tune_whole(tune->words[2], &tune->said.ranks) &&
	    tune_whole(tune->words[3], &tune->said.nodes))
		return true;
	span_fail(SPAN_EINVAL, "explain %s %s %s %s: expected COLL BYTES RANKS NODES, such as "
	                       "AllReduce 64M 8 1",
	          tune->words[0], tune->words[1], tune->words[2], tune->words[3]);
	return false;
}

static int run(struct tune *tune)
{
	const char *path = tune->profile ? tune->profile : getenv("SPAN_PROFILE");
	struct tune_decision decision = { 0 };
	struct span_rules rules = { 0 };
	span_profile *profile = NULL;
	span_status status;
	FILE *out = NULL;
	double bytes;

	if (!take_words(tune, &bytes))
		return EXIT_BAD;
	status = tune_open_profile(tune, path, &profile);
	if (!status)
		status = tune_load_rules(tune, &rules);
	if (!status)
		status = tune_decision_create(tune, profile, &rules, &decision);
	if (!status)
		out = tune_out(tune);
	if (out) {
		struct tune_row row = tune_decide(&decision, bytes);

		explain(out, &decision, &row);
	}
	tune_decision_free(&decision);
	span_rules_free(&rules);
	span_profile_free(profile);
	return out ? EXIT_FINE : EXIT_BAD;
}

const struct tune_command command_explain = {
	.name = "explain",
	.words = "COLL BYTES RANKS NODES",
	.summary = "One decision: what, what else, times and reason",
	.options = "PmRTo",
	.least_words = 4,
	.most_words = 4,
	.help = "Examples:\n"
		"  span-tune explain AllReduce 64M 8 1 --profile mine.profile\n"
		"  span-tune explain AllReduce 64M 16 2 --topology topo.xml\n",
	.run = run,
};
