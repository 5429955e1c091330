#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/topo/log_capture.h"
#include "tests/topo/text_cases.h"
#include "topo/write/write.h"

/* The line of a topology, and the comments behind it. */
static char *written(const span_topo *topo)
{
	char *text = NULL;
	size_t bytes;
	FILE *file = open_memstream(&text, &bytes);

	log_capture();
	cr_assert_eq(topo_write_synthetic(topo, file), SPAN_OK, "%s", log_captured());
	fclose(file);
	return text;
}

static const char *const lines[] = {
	"synthetic:",
	"synthetic:nodes:16 gpus:4 nvlink:none sockets:4 socket:7GB/s switches:4 pcie:gen4x8 nics:2 "
	"nic:200Gb/s latency:3us leaf:4 oversubscription:3:1 pod:2 pod-oversubscription:2:1",
	"synthetic:gpus:4 nvlink:300GB/s nvswitch:mesh nics:0",
	"synthetic:gpus:3 xgmi:100GB/s switches:0",
	"synthetic:nodes:8 gpus:1 nics:1 leaf:8",
	"synthetic:gpus:0 nics:2",
};

/* What words can say comes back: node by node and link by link. */
Test(write_synthetic, gives_back_what_it_was_made_of)
{
	for (size_t k = 0; k < sizeof(lines) / sizeof(lines[0]); k++) {
		span_topo *topo = text_parse(lines[k], "s"), *again;
		char *text = written(topo);

		cr_assert(strstr(text, " 0 have another class of path then and 0 another bandwidth"),
		          "%s", text);
		again = text_parse(text, "t");
		cr_assert_eq(span_topo_nodes(again), span_topo_nodes(topo), "%s", text);
		cr_assert_eq(span_topo_links(again), span_topo_links(topo), "%s", text);
		for (int32_t i = 0; i < span_topo_links(topo); i++) {
			span_topo_link a, b;

			span_topo_link_at(topo, i, &a);
			span_topo_link_at(again, i, &b);
			cr_assert(a.from == b.from && a.to == b.to && a.link_class == b.link_class);
			cr_assert_float_eq(a.bandwidth, b.bandwidth, 1e-6 * a.bandwidth, "%s: %s",
			                   lines[k], text);
		}
		span_topo_free(again);
		span_topo_free(topo);
		free(text);
	}
}

Test(write_synthetic, tells_what_a_line_cannot_say)
{
	span_topo *topo = text_parse("\tGPU0\tGPU1\tNIC0\nGPU0\tX\tPXB\tPHB\nGPU1\tPXB\tX\tPHB\n"
	                             "NIC0\tPHB\tPHB\tX\n", "f");
	char *text = written(topo);

	cr_assert_null(strstr(text, " 0 have another class"), "%s", text);
	cr_assert(strstr(text, "# of 9 pairs of GPUs and NICs in a host, "), "%s", text);
	cr_assert(strstr(text, "# not in it: names"), "%s", text);
	span_topo_free(topo);
	free(text);
}

Test(write_synthetic, refuses_more_than_a_line_can_say)
{
	char text[65536], *at = text;
	span_topo *topo;

	for (int i = 0; i < 65; i++)
		at += sprintf(at, "\tGPU%d", i);
	for (int i = 0; i < 65; i++) {
		at += sprintf(at, "\nGPU%d", i);
		for (int j = 0; j < 65; j++)
			at += sprintf(at, i == j ? " X" : " PHB");
	}
	strcpy(at, "\n");
	topo = text_parse(text, "f");
	log_capture();
	cr_assert_eq(topo_write_synthetic(topo, stderr), SPAN_EUNSUPPORTED);
	cr_assert(strstr(log_captured(), "f: 65 GPUs"), "%s", log_captured());
	span_topo_free(topo);
}
