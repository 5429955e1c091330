#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "blas.h"
#include "complain.h"
#include "layers.h"
#include "report.h"
#include "topo/span_host.h"

enum { LINES = 60 }; /* of progress, about */

/* "one core", "2 cores" */
static const char *plural(int n)
{
	return n == 1 ? "" : "s";
}

/* 1234567 -> "1.23 MB"; text holds at least 16 characters. */
static const char *bytes_text(double bytes, char *text)
{
	static const char *const unit[] = { "B", "kB", "MB", "GB", "TB" };
	int i = 0;

	for (; bytes >= 1000 && i < 4; i++)
		bytes /= 1000;
	snprintf(text, 16, i == 0 ? "%.0f %s" : "%.2f %s", bytes, unit[i]);
	return text;
}

void report_machine(const span_host *host)
{
	int cores = span_host_cores(host), packages = span_host_packages(host);
	int nodes = span_host_numa_nodes(host);

	printf("machine  %s: %d core%s to use, %d package%s, %d NUMA node%s, %.1f GB\n",
	       span_host_processor(host), cores, plural(cores), packages, plural(packages),
	       nodes, plural(nodes), span_host_memory_bytes(host) / 1e9);
	printf("blas     %s\n", blas_name());
}

void report_text(const struct options *options, const struct text *text)
{
	const struct settings *set = &options->settings;
	int64_t needed = options->steps * set->batch * set->seq + 1;

	printf("text     %s: %zu bytes", options->text, text->length);
	if ((int64_t)text->length < needed)
		printf(", fewer than the %" PRId64 " that %" PRId64 " steps read: it starts over",
		       needed, options->steps);
	printf("\n");
}

void report_model(const struct options *options)
{
	const struct settings *set = &options->settings;
	struct shape shape = model_shape((int)set->layers, (int)set->width, (int)set->heads,
	                                 (int)set->kv_heads);

	printf("model    %d layer%s of width %d, %d query and %d KV head%s of %d, SwiGLU %d,"
	       " %zu weights\n", shape.layers, plural(shape.layers), shape.width, shape.heads,
	       shape.kv_heads, plural(shape.kv_heads), shape.head_size, shape.hidden,
	       model_size(&shape));
	printf("         %" PRId64 " token%s a step in sequences of %" PRId64 ", attention in"
	       " %s, %s numerics\n", set->batch * set->seq, plural((int)set->seq), set->seq,
	       span_dtype_name((span_dtype)set->dtype), numerics_word(set->numerics));
}

/* Which order the ranks follow, and why. */
static void print_order(const span_order *order, const char *reason)
{
	printf("order %s: %s", span_order_kind_name(span_order_kind_of(order)),
	       span_order_ranks(order) == 1 ? "one rank, nothing travels" : reason);
}

span_status report_plan(const struct rank *rank, int threads, const char *reason)
{
	const span_layout *layout = span_attention_layout(rank->attention);
	int ranks = (int)span_layout_ranks(layout);
	span_attention_statistics plan = { .size = sizeof plan };
	span_status status = span_attention_get_statistics(rank->attention, &plan);

	if (status != SPAN_OK)
		return status;
	printf("\n%d rank%s   %s layout, %" PRId64 " tiles of %d tokens, %s kernels, %d"
	       " thread%s a rank\n", ranks, plural(ranks),
	       span_layout_family_name(span_layout_family_of(layout)),
	       span_layout_tiles(layout), (int)span_layout_tile(layout), plan.isa, threads,
	       plural(threads));
	printf("         ");
	print_order(span_attention_order(rank->attention), reason);
	printf("\n         causal work: the busiest rank has %.3f times the mean",
	       plan.causal_imbalance);
	if (plan.balanced_tile > 0)
		printf("; --tile %d would even it out", (int)plan.balanced_tile);
	printf("\n");
	return SPAN_OK;
}

void report_step(int64_t step, int64_t last, float loss, double tokens_per_second,
                 struct traffic traffic)
{
	int64_t stride = (last + LINES - 1) / LINES;
	char inside[16], between[16];

	if (step % stride != 0 && step != 1 && step != last)
		return;
	printf("step %4" PRId64 "/%" PRId64 "  loss %.6f  %7.0f tokens/s  inside %9s  between"
	       " %9s  exposed %.3f s\n", step, last, (double)loss, tokens_per_second,
	       bytes_text((double)traffic.inside, inside),
	       bytes_text((double)traffic.between, between), traffic.exposed);
	fflush(stdout);
}

static size_t footprint_sum(const struct footprint *footprint)
{
	return footprint->weights + footprint->activations + footprint->workspace +
	       footprint->sums;
}

/* The rows of the table; a row prints one cell. */
typedef void cell(const struct outcome *outcome, char *text);

static void cell_first(const struct outcome *outcome, char *text)
{
	sprintf(text, "%.6f", (double)outcome->loss[0]);
}

static void cell_last(const struct outcome *outcome, char *text)
{
	sprintf(text, "%.6f", (double)outcome->loss[outcome->steps - 1]);
}

static void cell_digest(const struct outcome *outcome, char *text)
{
	sprintf(text, "%016" PRIx64, outcome->digest[0]);
}

static void cell_speed(const struct outcome *outcome, char *text)
{
	sprintf(text, "%.0f", (double)outcome->tokens / outcome->seconds);
}

static void cell_seconds(const struct outcome *outcome, char *text)
{
	sprintf(text, "%.1f s", outcome->seconds);
}

static void cell_attention_inside(const struct outcome *outcome, char *text)
{
	bytes_text((double)(outcome->attention.inside / outcome->steps), text);
}

static void cell_attention_between(const struct outcome *outcome, char *text)
{
	bytes_text((double)(outcome->attention.between / outcome->steps), text);
}

static void cell_sums_inside(const struct outcome *outcome, char *text)
{
	bytes_text((double)((outcome->inside - outcome->attention.inside) / outcome->steps),
	           text);
}

static void cell_sums_between(const struct outcome *outcome, char *text)
{
	bytes_text((double)((outcome->between - outcome->attention.between) / outcome->steps),
	           text);
}

static void cell_exposed(const struct outcome *outcome, char *text)
{
	sprintf(text, "%.3f s", outcome->attention.exposed / (double)outcome->steps);
}

static void cell_memory(const struct outcome *outcome, char *text)
{
	bytes_text((double)footprint_sum(&outcome->footprint), text);
}

static void cell_weights(const struct outcome *outcome, char *text)
{
	bytes_text((double)outcome->footprint.weights, text);
}

static void cell_activations(const struct outcome *outcome, char *text)
{
	bytes_text((double)outcome->footprint.activations, text);
}

static void cell_workspace(const struct outcome *outcome, char *text)
{
	bytes_text((double)outcome->footprint.workspace, text);
}

static void cell_sums(const struct outcome *outcome, char *text)
{
	bytes_text((double)outcome->footprint.sums, text);
}

static const struct {
	const char *name;
	cell *print;
} rows[] = {
	{ "loss of the first step, nats a byte", cell_first },
	{ "loss of the last step", cell_last },
	{ "digest of the weights after it", cell_digest },
	{ "tokens a second", cell_speed },
	{ "time of all steps", cell_seconds },
	{ "a step sends inside groups: attention", cell_attention_inside },
	{ "                            gradients", cell_sums_inside },
	{ "             between groups: attention", cell_attention_between },
	{ "                            gradients", cell_sums_between },
	{ "a rank waits for attention, a step", cell_exposed },
	{ "peak memory of a rank", cell_memory },
	{ "  weights, gradient, optimizer", cell_weights },
	{ "  activations", cell_activations },
	{ "  workspace of attention", cell_workspace },
	{ "  sums of weight gradients", cell_sums },
};

void report_table(const struct outcome *outcome, int n)
{
	printf("\n%-40s", "");
	for (int i = 0; i < n; i++)
		printf("%13d rank%s", outcome[i].ranks, outcome[i].ranks == 1 ? " " : "s");
	printf("\n");
	for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
		printf("%-40s", rows[row].name);
		for (int i = 0; i < n; i++) {
			char text[32];

			rows[row].print(&outcome[i], text);
			printf("%19s", text);
		}
		printf("\n");
	}
}

static void json_outcome(FILE *file, const struct outcome *outcome)
{
	fprintf(file, "  {\"ranks\": %d, \"first_step\": %" PRId64 ",\n   \"loss\": [",
	        outcome->ranks, outcome->first + 1);
	for (int64_t i = 0; i < outcome->steps; i++)
		fprintf(file, "%s%.9g", i ? ", " : "", (double)outcome->loss[i]);
	fprintf(file, "],\n   \"weights\": \"%016" PRIx64 "\", \"tokens_per_second\": %.1f,\n",
	        outcome->digest[0], (double)outcome->tokens / outcome->seconds);
	fprintf(file, "   \"bytes_inside\": %" PRIu64 ", \"bytes_between\": %" PRIu64 ",\n"
	        "   \"exposed_seconds\": %.6f, \"rank_bytes\": %zu}", outcome->inside,
	        outcome->between, outcome->attention.exposed,
	        footprint_sum(&outcome->footprint));
}

int report_json(const char *path, const struct outcome *outcome, int n)
{
	FILE *file = fopen(path, "w");
	int failed = file == NULL;

	if (!failed) {
		fprintf(file, "[\n");
		for (int i = 0; i < n; i++) {
			json_outcome(file, &outcome[i]);
			fprintf(file, i + 1 < n ? ",\n" : "\n]\n");
		}
		failed = ferror(file);
		failed = fclose(file) != 0 || failed;
	}
	if (failed)
		complain("--json %s: %s", path, strerror(errno));
	return failed ? -1 : 0;
}
