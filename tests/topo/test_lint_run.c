/* How lint runs: what is kept, merged and sorted; the two views; hosts of one kind. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "tests/topo/log_capture.h"
#include "topo/lint/lint.h"

/* --- machines made by hand ------------------------------------------------------------------ */

static span_topo *begin(struct machine **machine)
{
	span_topo *topo;
	int32_t host;

	cr_assert_eq(topo_create("nccl-xml", "by hand", false, &topo), SPAN_OK);
	cr_assert_eq(topo_add_machine(topo, machine), SPAN_OK);
	cr_assert_eq(machine_add_node(*machine, SPAN_NODE_HOST, 0, -1, &host), SPAN_OK);
	return topo;
}

static int32_t add_node(struct machine *machine, span_node_kind kind, int32_t parent)
{
	int32_t number;

	cr_assert_eq(machine_add_node(machine, kind, 0, parent, &number), SPAN_OK);
	return number;
}

static void add_pcie(struct machine *machine, int32_t a, int32_t b)
{
	cr_assert_eq(machine_add_link(machine, SPAN_LINK_PCI, a, b, 48e9, 1,
	                              SPAN_CONFIDENCE_DECLARED, "x"), SPAN_OK);
	cr_assert_eq(machine_add_link(machine, SPAN_LINK_PCI, b, a, 48e9, 1,
	                              SPAN_CONFIDENCE_DECLARED, "x"), SPAN_OK);
}

static void finish(span_topo *topo, int places)
{
	for (int i = 0; i < places; i++)
		cr_assert_eq(topo_add_place(topo, 0, -1, NULL), SPAN_OK);
	cr_assert_eq(topo_finish(topo), SPAN_OK);
}

/* `gpus` GPUs below one processor, two of each rank; each has a PCIe link of Gen5 x16. */
static span_topo *with_double_ranks(int gpus, int places, struct machine **machine)
{
	span_topo *topo = begin(machine);
	int32_t cpu = add_node(*machine, SPAN_NODE_CPU, 0);

	(*machine)->nodes[cpu].numa = 0;
	for (int i = 0; i < gpus; i++) {
		int32_t gpu = add_node(*machine, SPAN_NODE_GPU, cpu);

		(*machine)->nodes[gpu].rank = i / 2;
		(*machine)->nodes[gpu].speed = 48e9;
		add_pcie(*machine, gpu, cpu);
	}
	finish(topo, places);
	return topo;
}

static int32_t rule_number(const char *id)
{
	int32_t i = 0;

	while (strcmp(lint_rule_at(i)->id, id) != 0)
		i++;
	return i;
}

static int32_t findings_of(const struct lint_report *report, const char *id)
{
	int32_t count = 0;

	for (int32_t i = 0; i < report->n_findings; i++)
		count += !strcmp(report->findings[i].rule->id, id);
	return count;
}

/* --- keeping -------------------------------------------------------------------------------- */

Test(lint_run, keeps_some_findings_of_a_rule_and_counts_all)
{
	struct machine *machine;
	span_topo *topo = with_double_ranks(2 * (LINT_MAX_OF_RULE + 4), 1, &machine);
	struct lint_report *report;

	cr_assert_eq(lint_run(topo, NULL, &report), SPAN_OK);
	cr_assert_eq(findings_of(report, "rank-duplicate"), LINT_MAX_OF_RULE);
	cr_assert_eq(report->of_rule[rule_number("rank-duplicate")], LINT_MAX_OF_RULE + 4);
	lint_free(report);
	span_topo_free(topo);
}

Test(lint_run, makes_one_finding_of_equal_ones)
{
	struct machine *machine;
	span_topo *topo = begin(&machine);
	struct lint_report *report;

	for (int i = 0; i < 3; i++)
		add_node(machine, SPAN_NODE_CPU, 0); /* numa -1 */
	finish(topo, 1);
	cr_assert_eq(lint_run(topo, NULL, &report), SPAN_OK);
	cr_assert_eq(findings_of(report, "numa-unknown"), 1);
	cr_assert_str_eq(report->findings[0].place, "h0/cpu0");
	cr_assert_eq(report->findings[0].more, 2);
	cr_assert_eq(report->of_rule[rule_number("numa-unknown")], 3);
	lint_free(report);
	span_topo_free(topo);
}

Test(lint_run, looks_once_at_hosts_of_one_kind)
{
	struct machine *machine;
	span_topo *topo = with_double_ranks(2, 2048, &machine);
	struct lint_report *report;

	cr_assert_eq(lint_run(topo, NULL, &report), SPAN_OK);
	cr_assert_eq(findings_of(report, "rank-duplicate"), 1);
	cr_assert_str_eq(report->findings[0].place, "h0/gpu1");
	cr_assert_eq(report->findings[0].hosts, 2048);
	lint_free(report);
	span_topo_free(topo);
}

Test(lint_run, tells_errors_first_then_warnings_then_the_rest)
{
	struct machine *machine;
	span_topo *topo = with_double_ranks(3, 1, &machine);
	struct lint_report *report;

	machine->nodes[1].numa = -1;                                 /* a warning */
	cr_assert_eq(topo_note(topo, "by hand:1", true, "mended"), SPAN_OK); /* an info */
	cr_assert_eq(lint_run(topo, NULL, &report), SPAN_OK);
	cr_assert_geq(report->n_findings, 3);
	cr_assert_str_eq(report->findings[0].rule->id, "rank-duplicate");
	for (int32_t i = 1; i < report->n_findings; i++)
		cr_assert_leq(report->findings[i].rule->severity,
		              report->findings[i - 1].rule->severity);
	cr_assert_eq(report->findings[report->n_findings - 1].rule->severity, LINT_INFO);
	lint_free(report);
	span_topo_free(topo);
}

Test(lint_run, finds_nothing_in_a_machine_without_devices)
{
	struct machine *machine;
	span_topo *topo = begin(&machine);
	struct lint_report *report;

	finish(topo, 1);
	cr_assert_eq(lint_run(topo, NULL, &report), SPAN_OK);
	cr_assert_eq(report->n_findings, 0);
	lint_free(report);
	lint_free(NULL);
	span_topo_free(topo);
}

/* --- two views ------------------------------------------------------------------------------ */

/* A switch above a GPU, with an uplink that the view believes. */
static span_topo *with_uplink(double speed, int extra_nodes)
{
	struct machine *machine;
	span_topo *topo = begin(&machine);
	int32_t cpu = add_node(machine, SPAN_NODE_CPU, 0), bridge, gpu;

	machine->nodes[cpu].numa = 0;
	bridge = add_node(machine, SPAN_NODE_PCI, cpu);
	gpu = add_node(machine, SPAN_NODE_GPU, bridge);
	machine->nodes[bridge].speed = speed;
	machine->nodes[gpu].speed = 48e9;
	add_pcie(machine, bridge, cpu);
	add_pcie(machine, gpu, bridge);
	while (extra_nodes-- > 0)
		add_node(machine, SPAN_NODE_PCI, cpu);
	finish(topo, 1);
	return topo;
}

static int32_t uplinks_found(const span_topo *topo, const span_topo *nccl)
{
	struct lint_report *report;
	int32_t found;

	cr_assert_eq(lint_run(topo, nccl, &report), SPAN_OK);
	found = findings_of(report, "pcie-uplink-slow");
	lint_free(report);
	return found;
}

Test(lint_run, judges_what_nccl_believes_where_the_picture_was_mended)
{
	span_topo *mended = with_uplink(48e9, 0), *believed = with_uplink(0.2e9, 0);

	cr_assert_eq(uplinks_found(mended, believed), 1);
	cr_assert_eq(uplinks_found(mended, mended), 0);
	cr_assert_eq(uplinks_found(mended, NULL), 0);
	cr_assert_eq(uplinks_found(believed, NULL), 1);
	span_topo_free(mended);
	span_topo_free(believed);
}

Test(lint_run, does_without_a_second_view_of_other_nodes)
{
	span_topo *mended = with_uplink(48e9, 0), *other = with_uplink(0.2e9, 1);

	cr_assert_eq(uplinks_found(mended, other), 0);
	span_topo_free(mended);
	span_topo_free(other);
}

/* --- symmetry ------------------------------------------------------------------------------- */

/* Four GPUs in a ring of links: counts[i] between i and its next. */
static span_topo *ring_of_links(const int counts[4])
{
	struct machine *machine;
	span_topo *topo = begin(&machine);
	int32_t cpu = add_node(machine, SPAN_NODE_CPU, 0), gpus[4];

	machine->nodes[cpu].numa = 0;
	for (int i = 0; i < 4; i++) {
		gpus[i] = add_node(machine, SPAN_NODE_GPU, cpu);
		add_pcie(machine, gpus[i], cpu);
	}
	for (int i = 0; i < 4; i++) {
		int32_t a = gpus[i], b = gpus[(i + 1) % 4];

		if (!counts[i])
			continue;
		cr_assert_eq(machine_add_link(machine, SPAN_LINK_XGMI, a, b, 50e9 * counts[i],
		                              counts[i], SPAN_CONFIDENCE_ASSUMED, "x"), SPAN_OK);
		cr_assert_eq(machine_add_link(machine, SPAN_LINK_XGMI, b, a, 50e9 * counts[i],
		                              counts[i], SPAN_CONFIDENCE_ASSUMED, "x"), SPAN_OK);
	}
	finish(topo, 1);
	return topo;
}

static void judge_links(const int counts[4], int32_t lost, int32_t fewer)
{
	span_topo *topo = ring_of_links(counts);
	struct lint_report *report;

	cr_assert_eq(lint_run(topo, NULL, &report), SPAN_OK);
	cr_expect_eq(findings_of(report, "nvlink-lost"), lost, "%d %d %d %d", counts[0], counts[1],
	             counts[2], counts[3]);
	cr_expect_eq(findings_of(report, "nvlink-fewer"), fewer, "%d %d %d %d", counts[0], counts[1],
	             counts[2], counts[3]);
	lint_free(report);
	span_topo_free(topo);
}

/* Sums of neighbours are the links of a GPU. Half with 6 and half with 7 is how MI250X are
 * built; pairs joined by bridges may stand beside a GPU without one. */
Test(lint_run, judges_links_by_the_symmetry_of_the_machine)
{
	judge_links((const int[4]){ 4, 4, 4, 4 }, 0, 0);
	judge_links((const int[4]){ 4, 3, 4, 2 }, 0, 0); /* 6, 7, 7, 6 */
	judge_links((const int[4]){ 4, 0, 0, 0 }, 0, 0); /* one bridge */
	judge_links((const int[4]){ 4, 4, 0, 0 }, 1, 0); /* 4, 8, 4, 0: three are one whole */
	judge_links((const int[4]){ 3, 4, 4, 4 }, 0, 0); /* 7, 7, 8, 8: no majority */
	judge_links((const int[4]){ 4, 0, 4, 4 }, 0, 0); /* 8, 4, 4, 8: no majority */
}
