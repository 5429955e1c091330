/* span-tune fit: from logs to a profile. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "plugin/tune/tune.h"
#include "topo/log.h"
#include "topo/nccl/fit.h"
#include "topo/nccl/fit_times.h"

/* All samples of all logs. */
struct gathered {
	span_nccl_sample *samples;
	size_t n;
	int refused, read;
	size_t wrong, grouped; /* rows that are no measurement */
	char gpu[64];   /* of the first log that says it */
	bool other_gpu; /* another log says another */
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static span_status append(struct gathered *gathered, const span_nccl_log *log)
{
	size_t n = gathered->n + log->n;
	span_nccl_sample *samples = realloc(gathered->samples, n * sizeof(*samples));

	if (!samples)
		return span_fail(SPAN_ENOMEM, "fit: no memory for %zu measurements", n);
	memcpy(samples + gathered->n, log->samples, log->n * sizeof(*samples));
	gathered->samples = samples;
	gathered->n = n;
	return SPAN_OK;
}

/* Times of two kinds of GPU under the same ranks and nodes would count as repeats. */
static void compare_gpu(struct gathered *gathered, const char *path, const span_nccl_log *log)
{
	if (!*log->gpu || !strcmp(gathered->gpu, log->gpu))
		return;
	if (!*gathered->gpu) {
		memcpy(gathered->gpu, log->gpu, sizeof(log->gpu));
		return;
	}
	gathered->other_gpu = true;
	fprintf(stderr,
	        "span-tune: %s: measured on %s, logs before it on %s; a profile is of one kind of "
	        "machine\n",
	        path, log->gpu, gathered->gpu);
}

/* Times are told to 10 ns and more: so many in a row are never the same by chance. */
enum { ENOUGH_TO_KNOW = 4 };

static bool same_times(const span_nccl_sample *a, const span_nccl_sample *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (a[i].coll != b[i].coll || a[i].bytes != b[i].bytes || a[i].us != b[i].us ||
		    a[i].us_in_place != b[i].us_in_place)
			return false;
	return true;
}

/* A log given twice, or a copy of it, would count as a repeat without any noise. */
static bool is_known(const struct gathered *gathered, const span_nccl_log *log)
{
	if (log->n < ENOUGH_TO_KNOW)
		return false;
	for (size_t i = 0; i + log->n <= gathered->n; i++)
		if (same_times(gathered->samples + i, log->samples, log->n))
			return true;
	return false;
}

/* A log that holds nothing usable is told and passed over; the others still make a profile. */
static span_status gather(const struct tune *tune, const char *path, struct gathered *gathered,
                          span_profile *profile)
{
	span_nccl_log log;
	span_status status = tune_read_log(path, &tune->said, &log, profile);

	if (status == SPAN_EPARSE) {
		gathered->refused++;
		return SPAN_OK;
	}
	if (status)
		return status;
	gathered->read++;
	gathered->wrong += log.wrong;
	gathered->grouped += log.grouped;
	compare_gpu(gathered, path, &log);
	if (is_known(gathered, &log))
		fprintf(stderr, "span-tune: %s: its times were read before; passed over\n", path);
	else
		status = log.n ? append(gathered, &log) : SPAN_OK;
	span_nccl_log_free(&log);
	return status;
}

/* "nccl-tests on NVIDIA A100: a.txt, b.txt, ..." as far as a source may be long. */
static void describe(const struct tune *tune, const struct gathered *gathered, char *text,
                     size_t bytes)
{
	size_t n = (size_t)snprintf(text, bytes, "nccl-tests%s%s%s:", *gathered->gpu ? " on " : "",
	                            gathered->gpu, gathered->other_gpu ? " and others" : "");

	for (int i = 0; i < tune->n_words; i++) {
		const char *name = base_name(tune->words[i]);

		if (n + strlen(name) + 8 > bytes) {
			snprintf(text + n, bytes - n, ", ...");
			return;
		}
		n += (size_t)snprintf(text + n, bytes - n, "%s%s", i ? ", " : " ", name);
	}
}

static void print_passed_over(FILE *out, const struct gathered *gathered)
{
	if (gathered->wrong)
		fprintf(out, "%zu rows were passed over because nccl-tests found their results wrong\n",
		        gathered->wrong);
	if (gathered->grouped)
		fprintf(out, "%zu rows of aggregated iterations (-m) were passed over: several "
		             "operations share a time\n",
		        gathered->grouped);
}

static void print_report(FILE *out, const span_fit_report *report)
{
	int halves = 0;

	fprintf(out, "%-14s %6s %6s  %-16s %8s %6s %6s %8s %9s %9s\n", "collective", "ranks", "nodes",
	        "cell", "samples", "sizes", "knots", "noise", "residual", "held out");
	for (int32_t i = 0; i < report->n; i++) {
		const span_fit_curve *curve = report->curves + i;
		char cell[32];

		halves += (curve->algo == SPAN_ALGO_ANY) != (curve->proto == SPAN_PROTO_ANY);
		fprintf(out, "%-14s %6d %6d  %-16s %8d %6d %6d %7.2f%% %8.2f%% %8.2f%%\n",
		        span_coll_name(curve->coll), curve->ranks, curve->nodes,
		        tune_cell_text(curve->algo, curve->proto, cell), curve->samples,
		        curve->sizes, curve->knots, 100 * curve->noise, 100 * curve->residual,
		        100 * curve->held_out);
	}
	if (halves)
		fprintf(out, "Algorithm or protocol alone is told of %d curves, and the plugin chooses "
		             "between those that\ntell both: measure with NCCL_ALGO and NCCL_PROTO "
		             "set, or NCCL_DEBUG=INFO NCCL_DEBUG_SUBSYS=TUNING\n",
		        halves);
	if (report->other)
		fprintf(out, "%zu measurements of collectives that NCCL does not tune were passed "
		             "over\n",
		        report->other);
	if (report->unplaced)
		fprintf(out, "%zu measurements do not tell ranks or nodes and were passed over: "
		             "--ranks, --nodes\n",
		        report->unplaced);
}

static void print_model(FILE *out, const span_fit_times_report *report)
{
	if (!report->knots) {
		fprintf(out, "NCCL's model is not calibrated: no four sizes tell algorithm and "
		             "protocol on whole nodes of the topology\n");
		return;
	}
	fprintf(out, "NCCL's model: %d numbers moved by %d times; off by %.1f%% before, %.1f%% now",
	        report->moved, report->knots, 100 * report->before, 100 * report->residual);
	if (report->counts > 1)
		fprintf(out, ", %.1f%% on ranks\nand nodes left out (%d counts, one at a time)\n",
		        100 * report->held_out, report->counts);
	else
		fprintf(out, "; nothing is chosen\nby it, since times on one count of ranks and nodes "
		             "do not show how far it carries\n");
}

/* With a topology the model's constants are those of the machine. */
static span_status calibrate(span_profile *profile, FILE *out)
{
	span_fit_times_report report;
	int32_t source;
	span_status status = span_profile_add_source(
		profile, "NCCL 2.28.9's model, fitted to the curves", &source);

	if (!status)
		status = span_fit_times(profile, source, &report);
	if (!status)
		print_model(out, &report);
	return status;
}

static span_status fit_logs(const struct tune *tune, struct gathered *gathered,
                            span_profile *profile)
{
	char text[SPAN_PROFILE_MAX_TEXT + 1];
	span_fit_report report;
	int32_t source;
	FILE *out;
	span_status status;

	describe(tune, gathered, text, sizeof(text));
	status = span_profile_add_source(profile, text, &source);
	if (!status)
		status = span_fit(gathered->samples, gathered->n, source, profile, &report);
	if (status)
		return status;
	/* The report goes where the profile does not. */
	out = tune->output && strcmp(tune->output, "-") ? stdout : stderr;
	print_report(out, &report);
	print_passed_over(out, gathered);
	span_fit_report_free(&report);
	return tune->topology ? calibrate(profile, out) : SPAN_OK;
}

static span_status read_all(struct tune *tune, struct gathered *gathered, span_profile *profile)
{
	span_status status = SPAN_OK;

	for (int i = 0; i < tune->n_words && !status; i++)
		status = gather(tune, tune->words[i], gathered, profile);
	if (!status && gathered->n)
		status = fit_logs(tune, gathered, profile);
	if (!status && !gathered->read)
		status = SPAN_EPARSE; /* each log was told */
	return status;
}

/* A slip on the command line must not cost the measurements. */
static span_status check_output(const struct tune *tune)
{
	struct stat output, log;

	if (!tune->output || stat(tune->output, &output) || !S_ISREG(output.st_mode))
		return SPAN_OK;
	for (int i = 0; i < tune->n_words; i++) {
		if (!stat(tune->words[i], &log) && log.st_dev == output.st_dev &&
		    log.st_ino == output.st_ino)
			return span_fail(SPAN_EINVAL, "fit: --output %s is one of the logs",
			                 tune->output);
	}
	return SPAN_OK;
}

static int run(struct tune *tune)
{
	const char *name = tune->name ? tune->name : base_name(tune->words[0]);
	struct gathered gathered = { 0 };
	span_profile *profile = NULL;
	FILE *out = NULL;
	span_status status = check_output(tune);

	if (!status)
		status = tune->base ? tune_load_profile(tune->base, &profile)
		                    : span_profile_create(name, &profile);
	if (!status && tune->topology)
		status = tune_add_machine(tune->topology, profile);
	if (!status)
		status = read_all(tune, &gathered, profile);
	if (!status)
		out = tune_out(tune);
	if (out)
		status = span_profile_save(profile, out);
	free(gathered.samples);
	span_profile_free(profile);
	if (!out || status)
		return EXIT_BAD;
	return gathered.refused ? EXIT_FINDINGS : EXIT_FINE;
}

const struct tune_command command_fit = {
	.name = "fit",
	.words = "LOG...",
	.summary = "A profile from the output of nccl-tests, and nvbandwidth's JSON",
	.options = "crnapNBTo",
	.least_words = 1,
	.most_words = 4096,
	.help = "LOG is what nccl-tests printed, as it was kept: any version, behind mpirun, with\n"
		"lines of NCCL INFO between; or its JSON (-J FILE); - is standard input. What a log\n"
		"does not say (a sweep that kept only rows) the options say. Repeats of a size make\n"
		"the noise known: run tests twice; a log given twice is read once. --base keeps\n"
		"the name, numbers and curves of a profile, and adds.\n"
		"To let the plugin choose, measure algorithms apart (NCCL_ALGO=Ring, NCCL_ALGO=NVLS)\n"
		"and let the log tell the protocol: set NCCL_PROTO as well, or have NCCL say it with\n"
		"NCCL_DEBUG=INFO NCCL_DEBUG_SUBSYS=TUNING. A choice is always one of both.\n"
		"With --topology the constants of NCCL's model are calibrated to the times, for ranks\n"
		"and nodes that were not measured: measure two counts of nodes or more.\n"
		"The profile goes to --output, a report of noise and residuals to standard output.\n\n"
		"Examples:\n"
		"  span-tune fit ring.txt nvls.txt -o mine.profile --name 'H100 x 4'\n"
		"  span-tune fit 2nodes/*.txt 4nodes/*.txt --topology topo.xml -o mine.profile\n"
		"  span-tune fit rows.txt --coll AllReduce --algo Tree --ranks 16 --nodes 2\n",
	.run = run,
};
