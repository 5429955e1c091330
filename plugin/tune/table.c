/* span-tune table: what will be chosen for every size, beside NCCL's default. */
#include <stdlib.h>

#include "plugin/tune/tune.h"
#include "topo/log.h"

static void print_time(FILE *out, double us)
{
	if (us > 0)
		fprintf(out, " %12.2f", us);
	else
		fprintf(out, " %12s", "-");
}

static const char *reason(const struct tune_row *row)
{
	if (!row->because)
		return "NCCL's own";
	switch (row->because->reason) {
	case SPAN_BY_RULE:
		return "rule";
	case SPAN_BY_MEASUREMENT:
		return "measured";
	default:
		return "model";
	}
}

static void print_row(FILE *out, const struct tune_row *row)
{
	char size[32], cell[32], standing[32];

	fprintf(out, "%10s  %-16s", tune_size_text(row->bytes, size),
	        tune_cell_text(row->algo, row->proto, cell));
	print_time(out, tune_row_us(row, row->algo, row->proto));
	if (row->default_algo < 0)
		fprintf(out, "  %-16s", "not known");
	else
		fprintf(out, "  %-16s",
		        tune_cell_text(row->default_algo, row->default_proto, standing));
	print_time(out, tune_row_us(row, row->default_algo, row->default_proto));
	fprintf(out, "  %s\n", reason(row));
}

static int run(struct tune *tune)
{
	struct tune_decision decision = { 0 };
	struct span_rules rules = { 0 };
	span_profile *profile = NULL;
	double bytes[TUNE_MAX_BYTES];
	int n = 0;
	span_status status;
	FILE *out;

	if (!tune_need(tune, "crn"))
		return EXIT_BAD;
	status = tune_open_profile(tune, tune->n_words ? tune->words[0] : NULL, &profile);
	if (!status)
		status = tune_load_rules(tune, &rules);
	if (!status)
		status = tune_decision_create(tune, profile, &rules, &decision);
	if (!status && !(n = tune_sizes(tune, &decision, bytes)))
		status = span_fail(SPAN_EINVAL, "table: no size from %.0f to %.0f", tune->from,
		                   tune->to);
	out = status ? NULL : tune_out(tune);
	if (out) {
		fprintf(out, "%s, ranks %d, nodes %d, profile \"%s\"\n\n%10s  %-16s %12s  %-16s %12s"
		             "  %s\n",
		        span_coll_name(tune->said.coll), tune->said.ranks, tune->said.nodes,
		        span_profile_name(profile), "bytes", "chosen", "us", "NCCL alone", "us",
		        "because");
		for (int i = 0; i < n; i++) {
			struct tune_row row = tune_decide(&decision, bytes[i]);

			print_row(out, &row);
		}
	}
	tune_decision_free(&decision);
	span_rules_free(&rules);
	span_profile_free(profile);
	return out ? EXIT_FINE : EXIT_BAD;
}

const struct tune_command command_table = {
	.name = "table",
	.words = "[PROFILE]",
	.summary = "What will be chosen for every size, beside NCCL's default",
	.options = "crnftmRTo",
	.least_words = 0,
	.most_words = 1,
	.help = "NCCL's default is known where the profile describes the machine (graph.* numbers),\n"
		"or --topology gives it: then NCCL's graph search is done here. Its time is the\n"
		"measured one where there is one. Where it is not known and nothing beats whatever\n"
		"it may be, the fastest of what was measured at that size stands as chosen.\n\n"
		"Example:\n"
		"  span-tune table mine.profile --coll AllReduce --ranks 8 --nodes 1 --to 1G\n"
		"  span-tune table --topology host --coll AllReduce --ranks 32 --nodes 4\n",
	.run = run,
};
