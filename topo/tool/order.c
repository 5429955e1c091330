/* span-topo order: the ring through all devices, how good it is, which gather order suits it. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"
#include "topo/picture/svg_order.h"
#include "topo/ring/emit.h"
#include "topo/tool/order.h"
#include "topo/tool/tool.h"

enum { RINGS_MOST = 64 };

/* --- options ------------------------------------------------------------------------------ */

struct unit {
	const char *name;
	double value;
};

static const struct unit sizes[] = {
	{ "", 1 }, { "B", 1 }, { "kB", 1e3 }, { "KB", 1e3 }, { "MB", 1e6 }, { "GB", 1e9 },
	{ "KiB", 0x1p10 }, { "MiB", 0x1p20 }, { "GiB", 0x1p30 }, { NULL, 0 }
};
static const struct unit times[] = {
	{ "s", 1 }, { "ms", 1e-3 }, { "us", 1e-6 }, { "ns", 1e-9 }, { NULL, 0 }
};

/* Read a number with its unit; `least` to `most`. */
static span_status parse(const char *option, const char *text, const struct unit *units,
                         double least, double most, const char *example, double *value)
{
	char *end;
	double number = strtod(text, &end);

	for (; end != text && units->name; units++)
		if (strcmp(end, units->name) == 0 && number * units->value >= least &&
		    number * units->value <= most) {
			*value = number * units->value;
			return SPAN_OK;
		}
	return span_fail(SPAN_EINVAL, "order: --%s \"%.40s\"; expected something like %s", option,
	                 text, example);
}

static span_status parse_rings(const char *text, int32_t *rings)
{
	char *end;
	long number = strtol(text, &end, 10);

	if (end == text || *end || number < 1 || number > RINGS_MOST)
		return span_fail(SPAN_EINVAL, "order: --rings \"%.40s\"; it is from 1 to %d", text,
		                 RINGS_MOST);
	*rings = (int32_t)number;
	return SPAN_OK;
}

static span_status read_options(const struct tool *tool, struct wanted *wanted)
{
	const char *shard = tool_value(tool, "shard"), *compute = tool_value(tool, "compute");
	const char *rings = tool_value(tool, "rings"), *emit = tool_value(tool, "emit");
	span_status status = SPAN_OK;

	*wanted = (struct wanted){ .work = { .size = sizeof(wanted->work),
		                             .block_bytes = 0x1p25 },
		                   .given = tool_value(tool, "given") };
	if (shard)
		status = parse("shard", shard, sizes, 1, 1e15, "32MiB or 8MB",
		               &wanted->work.block_bytes);
	if (!status && compute && strcmp(compute, "0") != 0)
		status = parse("compute", compute, times, 0, 1e6, "137us or 1.5ms",
		               &wanted->work.compute);
	if (!status && rings)
		status = parse_rings(rings, &wanted->rings);
	if (!status && emit)
		status = emit_format_parse(emit, &wanted->format);
	wanted->emits = emit != NULL;
	if (!status && emit && !tool_format_is(tool, "text"))
		status = span_fail(SPAN_EINVAL, "order: --emit %s is a format of its own; leave "
		                   "--format out", emit);
	return status;
}

/* --- an order to compare with --------------------------------------------------------------- */

/* Read ids such as h0/gpu3, with blanks, commas or lines between them. */
static span_status read_ids(FILE *file, const char *name, const span_topo *topo, int32_t n,
                            int32_t *nodes)
{
	char id[64];
	int32_t count = 0;

	while (fscanf(file, "%*[][, \t\r\n\"]") != EOF && fscanf(file, "%63[^][, \t\r\n\"]", id) == 1) {
		int32_t node = span_topo_find(topo, id);

		if (node < 0)
			return span_fail(SPAN_EPARSE, "%s: device %d is \"%.60s\", which is not in %s; "
			                 "expected ids such as h0/gpu3", name, count + 1, id,
			                 span_topo_source_name(topo));
		if (count == n)
			return span_fail(SPAN_EPARSE, "%s: more than the %d devices of %s", name, n,
			                 span_topo_source_name(topo));
		nodes[count++] = node;
	}
	if (ferror(file))
		return span_fail(SPAN_EIO, "%s: %s", name, strerror(errno));
	if (count < n)
		return span_fail(SPAN_EPARSE, "%s: %d devices; %s has %d, and each must be named once",
		                 name, count, span_topo_source_name(topo), n);
	return SPAN_OK;
}

static span_status read_given(const char *path, const span_topo *topo, const span_ring *ring,
                              int32_t *nodes)
{
	FILE *file = fopen(path, "re");
	span_status status;

	if (!file)
		return span_fail(SPAN_EIO, "order: --given %s: %s; it is rank, names, or a file of "
		                 "ids", path, strerror(errno));
	status = read_ids(file, path, topo, span_ring_length(ring), nodes);
	fclose(file);
	return status;
}

static span_status measure(const span_ring *ring, const char *name, struct compared *compared)
{
	span_status status = span_ring_measure_nodes(ring, compared->nodes, &compared->figures);

	compared->name = name;
	if (!status)
		status = span_ring_count_crossings(ring, compared->nodes, &compared->crossings);
	return status;
}

/* Our order, by number, by name, and what --given asks for. */
static span_status compare(struct result *result, const char *given)
{
	static const struct {
		const char *name;
		span_ring_given given;
	} usual[] = { { "by number", SPAN_RING_BY_NUMBER }, { "by host name", SPAN_RING_BY_NAME } };
	const span_ring *ring = result->ring;
	bool by_rank = given && strcmp(given, "rank") == 0;
	bool by_name = !given || strcmp(given, "names") == 0;
	span_status status;

	memcpy(result->compared[0].nodes, span_ring_nodes(ring),
	       (size_t)span_ring_length(ring) * sizeof(int32_t));
	status = measure(ring, "this order", &result->compared[0]);
	for (int i = 0; !status && i < 2; i++) {
		status = span_ring_other(ring, usual[i].given, result->compared[i + 1].nodes);
		if (!status)
			status = measure(ring, usual[i].name, &result->compared[i + 1]);
	}
	result->n_compared = 3;
	if (status || by_name)
		return status;
	result->n_compared = 4;
	status = by_rank ? span_ring_other(ring, SPAN_RING_BY_RANK, result->compared[3].nodes)
	                 : read_given(given, result->topo, ring, result->compared[3].nodes);
	return status ? status : measure(ring, by_rank ? "by rank" : "given", &result->compared[3]);
}

/* What the gather takes in each order. Long rings have closed forms alone, which know no order of
 * ranks; the flat ring has its own links. */
static span_status cost_compared(const struct wanted *wanted, struct result *result)
{
	size_t bytes = (size_t)span_ring_length(result->ring) * sizeof(int32_t);
	span_status status = SPAN_OK;

	if (span_ring_report_of(result->ring)->best.missing || span_ring_length(result->ring) < 2)
		return SPAN_OK;
	result->compared_kind = span_ring_length(result->ring) <= SPAN_GATHER_WALKED
	                                ? result->gather.kind : SPAN_ORDER_RING;
	for (int i = 0; !status && i < result->n_compared; i++) {
		struct compared *compared = &result->compared[i];
		int like = 0;

		if (compared->figures.missing)
			return SPAN_OK;
		while (memcmp(compared->nodes, result->compared[like].nodes, bytes) != 0)
			like++;
		if (like < i)
			compared->cost = result->compared[like].cost;
		else
			status = span_gather_cost_nodes(result->ring, compared->nodes,
			                                result->compared_kind, &wanted->work,
			                                &compared->cost);
	}
	result->costed = !status;
	return status;
}

/* --- the run ---------------------------------------------------------------------------------- */

static span_status make_room(struct result *result, int32_t rings)
{
	size_t n = (size_t)span_ring_length(result->ring), most = rings > 0 ? (size_t)rings : 1;

	for (int i = 0; i < COMPARED; i++)
		if (!(result->compared[i].nodes = malloc(n * sizeof(int32_t))))
			return span_fail(SPAN_ENOMEM, "order: no memory for %zu devices", n);
	result->lanes = malloc(n * most * sizeof(int32_t));
	return result->lanes ? SPAN_OK
	                     : span_fail(SPAN_ENOMEM, "order: no memory for %zu rings", most);
}

static span_status find(struct tool *tool, const struct wanted *wanted, struct result *result)
{
	span_status status = tool_load(tool, 0, &result->topo);

	if (!status)
		status = span_ring_create(result->topo, &result->ring);
	if (!status)
		status = make_room(result, wanted->rings);
	if (!status)
		status = compare(result, wanted->given);
	if (!status && wanted->rings)
		status = span_ring_lanes(result->ring, wanted->rings, result->lanes,
		                         &result->n_lanes, &result->lane_bandwidth);
	if (!status && !wanted->emits)
		status = span_gather_choose_ring(result->ring, &wanted->work, &result->gather);
	if (!status && !wanted->emits)
		status = cost_compared(wanted, result);
	return status;
}

static span_status draw(const struct wanted *wanted, const struct result *result, FILE *out)
{
	struct svg_order_row rows[COMPARED];
	struct svg_order order = { .topo = result->topo, .ring = result->ring, .rows = rows,
		                   .n_rows = result->n_compared, .work = &wanted->work,
		                   .compared_kind = result->compared_kind,
		                   .gather = &result->gather };

	for (int i = 0; i < result->n_compared; i++) {
		const struct compared *compared = &result->compared[i];

		rows[i] = (struct svg_order_row){ compared->name, compared->figures,
			                          result->costed ? compared->cost.seconds : 0 };
	}
	return topo_write_svg_order(&order, out);
}

static span_status print(struct tool *tool, const struct wanted *wanted,
                         const struct result *result)
{
	FILE *out = tool_out(tool);

	if (!out)
		return SPAN_EIO;
	if (wanted->emits)
		return emit_order(result->ring, span_ring_nodes(result->ring), wanted->format, out);
	if (tool_format_is(tool, "svg"))
		return draw(wanted, result, out);
	if (tool_format_is(tool, "json"))
		order_json(wanted, result, out);
	else
		order_text(wanted, result, out);
	return SPAN_OK;
}

static int run_order(struct tool *tool)
{
	struct result result = { 0 };
	struct wanted wanted;
	span_status status = read_options(tool, &wanted);

	if (!status)
		status = find(tool, &wanted, &result);
	if (!status)
		status = print(tool, &wanted, &result);
	for (int i = 0; i < COMPARED; i++)
		free(result.compared[i].nodes);
	free(result.lanes);
	span_ring_free(result.ring);
	span_topo_free(result.topo);
	return status ? EXIT_BAD : EXIT_FINE;
}

static const struct tool_option options[] = {
	{ "shard", "SIZE", "bytes of one block, such as 8MB; default 32MiB" },
	{ "compute", "TIME", "of one block on one rank, such as 137us; default 0" },
	{ "given", "ORDER", "compare with rank, names, or a file of ids" },
	{ "rings", "K", "find up to K rings that share no lane" },
	{ "emit", "FILE", "rankfile, hostfile, slurm or torch, and nothing else" },
	{ NULL, NULL, NULL }
};

const struct tool_command command_order = {
	.name = "order",
	.words = "[SOURCE]",
	.summary = "ring order of all devices, and which gather order suits them",
	.formats = "text json svg",
	.most_words = 1,
	.options = options,
	.help = "In a host the ring is the best there is up to 16 devices: its narrowest link as\n"
		"wide as can be, then the least sum of 1 / bandwidth. Hosts follow the fabric's\n"
		"tree, so each switch's uplink carries one flow a direction.\n"
		"\n"
		"Examples:\n"
		"  span-topo order topo.xml\n"
		"  span-topo order --shard 8MB --compute 137us cluster.txt\n"
		"  span-topo order --format svg -o ring.svg topo.xml\n"
		"  span-topo order --emit rankfile -o ranks cluster.txt\n",
	.run = run_order,
};
