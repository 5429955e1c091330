/* An order as text and as JSON. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "topo/tool/order.h"
#include "topo/tool/tool.h"

/* Hosts that are listed one by one; more follow as a number. */
enum { HOSTS_SHOWN = 16 };

static const char *unit_of(const struct result *result, int32_t n)
{
	span_topo_node node;

	span_topo_node_at(result->topo, span_ring_nodes(result->ring)[0], &node);
	if (node.kind == SPAN_NODE_GPU)
		return n == 1 ? "GPU" : "GPUs";
	return n == 1 ? "NUMA node" : "NUMA nodes";
}

/* --- text --------------------------------------------------------------------------------- */

/* The devices of one host that stand together, from place i on; returns where the next begins. */
static int32_t print_stretch(const struct result *result, const int32_t *nodes, int32_t i,
                             bool show, FILE *out)
{
	int32_t n = span_ring_length(result->ring), host = -1;
	char text[2048] = "", head[64];
	span_topo_node node;
	size_t used = 0;

	for (; i < n; i++) {
		span_topo_node_at(result->topo, nodes[i], &node);
		if (host >= 0 && node.host != host)
			break;
		host = node.host;
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s",
		                         used ? " " : "", strchr(node.id, '/') + 1);
		if (used >= sizeof(text) - 40) {
			used = sizeof(text) - 40;
			snprintf(text + used, sizeof(text) - used, " ...");
			used = sizeof(text) - 36;
			text[used] = '\0';
			break;
		}
	}
	for (; i < n; i++) { /* what did not fit */
		span_topo_node_at(result->topo, nodes[i], &node);
		if (node.host != host)
			break;
	}
	snprintf(head, sizeof(head), "  h%d: ", host);
	if (show)
		tool_wrap(out, 8, head, text);
	return i;
}

static void print_ring(const struct result *result, FILE *out)
{
	int32_t n = span_ring_length(result->ring), stretches = 0;

	fprintf(out, "Ring of %d %s\n", n, unit_of(result, n));
	for (int32_t i = 0; i < n; stretches++)
		i = print_stretch(result, span_ring_nodes(result->ring), i,
		                  stretches < HOSTS_SHOWN, out);
	if (stretches > HOSTS_SHOWN)
		fprintf(out, "  ... and %d hosts more (--format json lists them)\n",
		        stretches - HOSTS_SHOWN);
}

/* By how much an order is worse than the first, in words: its narrowest link, else the sum; the
 * time. "" when it is not. */
struct worse {
	char text[120];
};

static struct worse worse_of(const struct result *result, const struct compared *compared)
{
	const span_ring_figures *best = &result->compared[0].figures, *given = &compared->figures;
	double narrower = best->bottleneck / given->bottleneck;
	double more = given->sum_inverse / best->sum_inverse - 1;
	double slower = result->costed ? compared->cost.seconds / result->compared[0].cost.seconds : 1;
	struct worse worse = { "" };
	size_t used;

	if (given->bottleneck > 0 && narrower > 1.0005)
		snprintf(worse.text, sizeof(worse.text), "the narrowest link is %.3g times narrower",
		         narrower);
	else if (given->bottleneck > 0 && best->sum_inverse > 0 && more > 0.0005)
		snprintf(worse.text, sizeof(worse.text), "the sum is %.3g%% larger", 100 * more);
	used = strlen(worse.text);
	if (slower > 1.0005)
		snprintf(worse.text + used, sizeof(worse.text) - used,
		         "%sthe gather takes %.3g times as long", used ? ", " : "", slower);
	return worse;
}

/* "978.7 us" */
static void print_time(double seconds, FILE *out)
{
	const char *unit = seconds >= 1 ? "s" : seconds >= 1e-3 ? "ms" : "us";
	char text[32];

	snprintf(text, sizeof(text), "%.4g %s",
	         seconds * (seconds >= 1 ? 1 : seconds >= 1e-3 ? 1e3 : 1e6), unit);
	fprintf(out, "%13s", text);
}

/* One row: the narrowest link, the sum, what crosses hosts and the fullest uplink, the time. */
static void print_row(const struct result *result, const struct compared *compared, bool fabric,
                      FILE *out)
{
	fprintf(out, "  %-14s%9.5g GB/s%12.5g s/GB", compared->name,
	        compared->figures.bottleneck / 1e9, 1e9 * compared->figures.sum_inverse);
	if (fabric)
		fprintf(out, "%16d%15d", compared->crossings.between_hosts,
		        compared->crossings.most_up_flows);
	if (result->costed)
		print_time(compared->cost.seconds, out);
	if (compared->figures.missing)
		fprintf(out, "   %d links missing", compared->figures.missing);
	fputc('\n', out);
}

static void print_compared(const struct result *result, FILE *out)
{
	bool fabric = span_topo_hosts(result->topo) > 1;

	if (span_ring_length(result->ring) < 2)
		return;
	fprintf(out, "\n  %-14s%14s%17s%s", "", "narrowest", "sum of 1/width",
	        fabric ? "   between hosts   uplink flows" : "");
	if (result->costed)
		fprintf(out, "%13s", span_order_kind_name(result->compared_kind));
	fputc('\n', out);
	for (int i = 0; i < result->n_compared; i++)
		print_row(result, &result->compared[i], fabric, out);
	for (int i = 1; i < result->n_compared; i++) {
		struct worse worse = worse_of(result, &result->compared[i]);

		if (*worse.text)
			fprintf(out, "%c%s: %s.\n", toupper((unsigned char)*result->compared[i].name),
			        result->compared[i].name + 1, worse.text);
	}
}

/* How far it is from the best, and the usual orders from it. */
static void print_bound(const struct result *result, FILE *out)
{
	const span_ring_report *report = span_ring_report_of(result->ring);

	if (span_ring_length(result->ring) < 2)
		return;
	if (report->best.missing)
		fprintf(out, "Between some neighbours no path is known.\n");
	else if (report->exact)
		fprintf(out, "No ring is wider, and none as wide has a lesser sum.\n");
	else if (report->best.bottleneck >= report->bound)
		fprintf(out, "No ring is wider.\n");
	else
		fprintf(out, "No ring is wider than %.5g GB/s; this one is within %.1f%% of that.\n",
		        report->bound / 1e9, 100 * (1 - report->best.bottleneck / report->bound));
}

static void print_lanes(const struct wanted *wanted, const struct result *result, FILE *out)
{
	int32_t n = span_ring_length(result->ring);

	if (!wanted->rings)
		return;
	if (!result->n_lanes) {
		fprintf(out, "\nNo rings side by side: GPUs are not joined by links of their own;"
		        " through a switch\nevery ring takes the same port.\n");
		return;
	}
	fprintf(out, "\n%d ring%s no lane, %.5g GB/s each, usable both ways\n",
	        result->n_lanes, result->n_lanes == 1 ? " that shares" : "s that share",
	        result->lane_bandwidth / 1e9);
	for (int32_t r = 0; r < result->n_lanes; r++)
		for (int32_t i = 0; i < n;)
			i = print_stretch(result, result->lanes + (size_t)r * n, i, true, out);
}

static const char *candidate_name(const span_gather_candidate *candidate, char text[32])
{
	if (candidate->rings > 1)
		snprintf(text, 32, "%d rings", candidate->rings);
	else
		snprintf(text, 32, "%s", span_order_kind_name(candidate->kind));
	return text;
}

static void print_gather(const struct wanted *wanted, const struct result *result, FILE *out)
{
	const span_gather_choice *gather = &result->gather;
	char first[64];

	fprintf(out, "\nGather order for blocks of %.4g MB and %.4g us of compute on each "
	        "(--shard, --compute)\n", wanted->work.block_bytes / 1e6,
	        1e6 * wanted->work.compute);
	for (int32_t i = 0; i < gather->n; i++) {
		const span_gather_candidate *candidate = &gather->candidate[i];
		bool chosen = candidate->offered && candidate->kind == gather->kind;
		char name[32];

		fprintf(out, "%c %-14s%12.1f us, %12.1f us of it exposed%s\n", chosen ? '*' : ' ',
		        candidate_name(candidate, name), 1e6 * candidate->cost.seconds,
		        1e6 * candidate->cost.exposed,
		        candidate->offered ? "" : "  (not offered by libspan)");
	}
	snprintf(first, sizeof(first), "%s, because ", span_order_kind_name(gather->kind));
	tool_wrap(out, 2, first, gather->reason);
}

void order_text(const struct wanted *wanted, const struct result *result, FILE *out)
{
	print_ring(result, out);
	print_compared(result, out);
	print_bound(result, out);
	print_lanes(wanted, result, out);
	print_gather(wanted, result, out);
}

/* --- JSON --------------------------------------------------------------------------------- */

/* Ids, names of kinds and reasons need no escapes. */
static void put_ids(const struct result *result, const int32_t *nodes, FILE *out)
{
	int32_t n = span_ring_length(result->ring);

	for (int32_t i = 0; i < n; i++) {
		span_topo_node node;

		span_topo_node_at(result->topo, nodes[i], &node);
		fprintf(out, "%s\"%s\"", i ? ", " : "[", node.id);
	}
	fputc(']', out);
}

static void put_figures(const span_ring_figures *figures, FILE *out)
{
	fprintf(out, "\"bottleneck_GBps\": %.9g, \"sum_inverse\": %.9g", figures->bottleneck / 1e9,
	        1e9 * figures->sum_inverse);
}

static void put_compared(const struct result *result, FILE *out)
{
	if (result->costed)
		fprintf(out, ",\n \"compared_gather\": \"%s\"",
		        span_order_kind_name(result->compared_kind));
	fputs(",\n \"compared\": [", out);
	for (int i = 0; i < result->n_compared; i++) {
		const struct compared *compared = &result->compared[i];

		fprintf(out, "%s\n  {\"name\": \"%s\", ", i ? "," : "", compared->name);
		put_figures(&compared->figures, out);
		fprintf(out, ", \"missing\": %d, \"between_hosts\": %d, \"uplink_flows\": %d",
		        compared->figures.missing, compared->crossings.between_hosts,
		        compared->crossings.most_up_flows);
		if (result->costed)
			fprintf(out, ", \"gather_seconds\": %.9g", compared->cost.seconds);
		fputc('}', out);
	}
	fputc(']', out);
}

static void put_lanes(const struct result *result, FILE *out)
{
	int32_t n = span_ring_length(result->ring);

	fprintf(out, ",\n \"lane_GBps\": %.9g, \"rings\": [", result->lane_bandwidth / 1e9);
	for (int32_t r = 0; r < result->n_lanes; r++) {
		fputs(r ? ",\n  " : "\n  ", out);
		put_ids(result, result->lanes + (size_t)r * n, out);
	}
	fputc(']', out);
}

static void put_candidates(const struct wanted *wanted, const struct result *result, FILE *out)
{
	const span_gather_choice *gather = &result->gather;

	fprintf(out, ",\n \"block_bytes\": %.9g, \"compute_seconds\": %.9g, \"crossover_bytes\": ",
	        wanted->work.block_bytes, wanted->work.compute);
	if (gather->crossover < INFINITY)
		fprintf(out, "%.9g", gather->crossover);
	else
		fputs("null", out);
	fputs(", \"candidates\": [", out);
	for (int32_t i = 0; i < gather->n; i++) {
		const span_gather_candidate *candidate = &gather->candidate[i];

		fprintf(out, "%s\n  {\"gather\": \"%s\", \"rings\": %d, \"offered\": %s, "
		        "\"seconds\": %.9g, \"exposed_seconds\": %.9g}", i ? "," : "",
		        span_order_kind_name(candidate->kind), candidate->rings,
		        candidate->offered ? "true" : "false", candidate->cost.seconds,
		        candidate->cost.exposed);
	}
	fputc(']', out);
}

void order_json(const struct wanted *wanted, const struct result *result, FILE *out)
{
	const span_ring_report *report = span_ring_report_of(result->ring);

	fputs("{\"order\": ", out);
	put_ids(result, span_ring_nodes(result->ring), out);
	fputs(",\n ", out);
	put_figures(&report->best, out);
	fprintf(out, ", \"bound_GBps\": %.9g,\n \"gather\": \"%s\",\n \"reason\": \"%s\"",
	        report->bound / 1e9, span_order_kind_name(result->gather.kind),
	        result->gather.reason);
	fprintf(out, ",\n \"missing\": %d, \"exact\": %s", report->best.missing,
	        report->exact ? "true" : "false");
	put_compared(result, out);
	if (wanted->rings)
		put_lanes(result, out);
	put_candidates(wanted, result, out);
	fputs("}\n", out);
}
