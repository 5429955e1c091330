/* What span-topo tells of any bytes: lint, which takes both views at once, pictures, and the ring
 * with its gather. */
#define _GNU_SOURCE /* memmem */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <string.h>

#include "topo/lint/lint.h"
#include "topo/picture/svg.h"
#include "topo/picture/svg_order.h"

/* Searches above are slow, not different. */
enum { DEVICES_MOST = 32, NODES_MOST = 2048 };

static FILE *nowhere;

static void judge_findings(const span_topo *topo, const span_topo *nccl)
{
	struct lint_report *report;

	if (lint_run(topo, nccl, &report))
		__builtin_trap();
	for (int32_t i = 0; i < report->n_findings; i++) {
		const struct lint_finding *finding = &report->findings[i];

		if (!*finding->text || strchr(finding->text, '\n') || !*finding->place ||
		    finding->hosts < 1 || finding->more < 0 ||
		    (i && finding->rule->severity > report->findings[i - 1].rule->severity))
			__builtin_trap();
	}
	lint_free(report);
}

static void judge_ring(const span_topo *topo, const span_ring *ring)
{
	const span_cost_work work = { .size = sizeof(work), .block_bytes = 1e6 };
	const span_ring_report *report = span_ring_report_of(ring);
	struct svg_order_row row = { "this order", report->best, 0 };
	span_gather_choice choice;
	struct svg_order order = { .topo = topo, .ring = ring, .rows = &row, .n_rows = 1,
		                   .work = &work, .gather = &choice };

	if (report->best.bottleneck > report->bound * 1.000001 && report->bound > 0)
		__builtin_trap();
	if (topo_write_svg(topo, span_ring_nodes(ring), span_ring_length(ring), nowhere))
		__builtin_trap();
	if (!span_gather_choose_ring(ring, &work, &choice) &&
	    topo_write_svg_order(&order, nowhere))
		__builtin_trap();
}

static void tell(span_topo *topo, const span_topo *nccl)
{
	span_ring *ring = NULL;

	judge_findings(topo, nccl);
	if (topo_write_svg(topo, NULL, 0, nowhere))
		__builtin_trap();
	if (span_topo_devices(topo, SPAN_NODE_GPU, -1, NULL, 0) <= DEVICES_MOST &&
	    span_topo_devices(topo, SPAN_NODE_CPU, -1, NULL, 0) <= DEVICES_MOST &&
	    !span_ring_create(topo, &ring))
		judge_ring(topo, ring);
	span_ring_free(ring);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	span_topo *views[2] = { NULL, NULL };

	if (!nowhere)
		nowhere = fopen("/dev/null", "w");
	if (memmem(data, size, "<topology", 9)) /* hwloc's own: fuzz_hwloc.c */
		return 0;
	fuzz_begin();
	for (int as_nccl = 0; as_nccl < 2; as_nccl++) {
		const span_topo_options options = { .size = sizeof(options), .as_nccl = as_nccl };

		span_topo_parse((const char *)data, size, "fuzz", &options, &views[as_nccl]);
	}
	for (int i = 0; i < 2; i++)
		if (views[i] && span_topo_nodes(views[i]) < NODES_MOST)
			tell(views[i], i ? NULL : views[1]);
	span_topo_free(views[0]);
	span_topo_free(views[1]);
	return 0;
}
