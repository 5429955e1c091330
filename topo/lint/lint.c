/* Running the rules of lint over a topology, and keeping what they find. */
#include "topo/lint/lint.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"

static const struct lint_rule *const lists[] = {
	lint_rules_gpu,     lint_rules_nvlink,  lint_rules_pci,
	lint_rules_nic,     lint_rules_nearest, lint_rules_virtual,
	lint_rules_numbers, lint_rules_cluster, lint_rules_source,
};

#define LISTS ((int32_t)(sizeof(lists) / sizeof(lists[0])))

const struct lint_rule *lint_rule_at(int32_t number)
{
	for (int32_t list = 0; list < LISTS; list++)
		for (const struct lint_rule *rule = lists[list]; rule->id; rule++)
			if (number-- == 0)
				return rule;
	return NULL;
}

int32_t lint_rule_count(void)
{
	int32_t count = 0;

	while (lint_rule_at(count))
		count++;
	return count;
}

const char *lint_severity_name(lint_severity severity)
{
	static const char *const names[] = { "info", "warning", "error" };

	return names[severity];
}

/* --- telling -------------------------------------------------------------------------------- */

void lint_no_memory(struct lint *lint)
{
	if (!lint->status)
		lint->status = span_fail(SPAN_ENOMEM, "lint: no memory for its findings");
}

static bool make_room(struct lint_report *report)
{
	int32_t wanted = report->room ? report->room * 2 : 16;
	struct lint_finding *grown;

	if (report->n_findings < report->room)
		return true;
	grown = realloc(report->findings, (size_t)wanted * sizeof(*grown));
	if (!grown)
		return false;
	report->findings = grown;
	report->room = wanted;
	return true;
}

static void keep(struct lint *lint, const char *place, const char *text)
{
	struct lint_report *report = lint->report;
	struct lint_finding *finding;

	if (lint->status)
		return;
	report->of_rule[lint->rule_number]++;
	for (int32_t i = 1; i <= lint->kept; i++) {
		finding = &report->findings[report->n_findings - i];
		if (strcmp(finding->text, text) == 0 && lint->machine) {
			finding->more++;
			return;
		}
	}
	if (lint->kept == LINT_MAX_OF_RULE)
		return;
	if (!make_room(report)) {
		lint_no_memory(lint);
		return;
	}
	finding = &report->findings[report->n_findings];
	*finding = (struct lint_finding){ .rule = lint->rule, .place = strdup(place),
		                          .text = strdup(text), .hosts = lint->hosts,
		                          .rule_number = lint->rule_number,
		                          .number = report->n_findings++ };
	if (!finding->place || !finding->text)
		lint_no_memory(lint);
	lint->kept++;
}

void lint_tell(struct lint *lint, int32_t node, const char *text, ...)
{
	char sentence[512];
	span_topo_node where;
	va_list arguments;

	va_start(arguments, text);
	vsnprintf(sentence, sizeof(sentence), text, arguments);
	va_end(arguments);
	span_topo_node_at(lint->topo, lint->topo->places[lint->place].first_node + node, &where);
	keep(lint, where.id, sentence);
}

void lint_tell_at(struct lint *lint, const char *place, const char *text, ...)
{
	char sentence[512];
	va_list arguments;

	va_start(arguments, text);
	vsnprintf(sentence, sizeof(sentence), text, arguments);
	va_end(arguments);
	keep(lint, place, sentence);
}

/* --- looking -------------------------------------------------------------------------------- */

/* Whether two machines are node for node the same, so that numbers mean the same in both. */
static bool same_nodes(const struct machine *a, const struct machine *b)
{
	if (a->n_nodes != b->n_nodes || a->n_devices != b->n_devices)
		return false;
	for (int32_t i = 0; i < a->n_nodes; i++)
		if (a->nodes[i].kind != b->nodes[i].kind ||
		    a->nodes[i].host != b->nodes[i].host ||
		    a->nodes[i].parent != b->nodes[i].parent)
			return false;
	return true;
}

/* Run the rules for machines over number `number`, if it stands anywhere. */
static void look_at_machine(struct lint *lint, const span_topo *nccl, int32_t number)
{
	lint->machine = lint->nccl = lint->topo->machines[number];
	if (nccl && number < nccl->n_machines && same_nodes(lint->machine, nccl->machines[number]))
		lint->nccl = nccl->machines[number];
	lint->place = -1;
	lint->hosts = 0;
	for (int32_t p = lint->topo->n_places - 1; p >= 0; p--)
		if (lint->topo->places[p].machine == number) {
			lint->place = p;
			lint->hosts++;
		}
	for (int32_t i = 0; lint->place >= 0 && (lint->rule = lint_rule_at(i)); i++) {
		lint->rule_number = i;
		lint->kept = 0;
		if (lint->rule->machine && !lint->status)
			lint->rule->machine(lint);
	}
}

static void look_at_whole(struct lint *lint)
{
	lint->machine = lint->nccl = NULL;
	lint->place = -1;
	lint->hosts = 1;
	for (int32_t i = 0; (lint->rule = lint_rule_at(i)); i++) {
		lint->rule_number = i;
		lint->kept = 0;
		if (lint->rule->topology && !lint->status)
			lint->rule->topology(lint);
	}
}

/* Errors first, then in the order of rules, then as found. */
static int by_severity(const void *a, const void *b)
{
	const struct lint_finding *x = a, *y = b;
	int order = (int)y->rule->severity - (int)x->rule->severity;

	if (!order)
		order = x->rule_number - y->rule_number;
	return order ? order : x->number - y->number;
}

span_status lint_run(const span_topo *topo, const span_topo *nccl, struct lint_report **report)
{
	struct lint lint = { .topo = topo, .report = calloc(1, sizeof(**report)) };

	if (!lint.report)
		return span_fail(SPAN_ENOMEM, "lint: no memory for a report");
	lint.report->of_rule = calloc((size_t)lint_rule_count(), sizeof(int32_t));
	if (!lint.report->of_rule)
		lint_no_memory(&lint);
	for (int32_t number = 0; number < topo->n_machines && !lint.status; number++)
		look_at_machine(&lint, nccl, number);
	if (!lint.status)
		look_at_whole(&lint);
	if (lint.status) {
		lint_free(lint.report);
		return lint.status;
	}
	if (lint.report->n_findings)
		qsort(lint.report->findings, (size_t)lint.report->n_findings,
		      sizeof(*lint.report->findings), by_severity);
	*report = lint.report;
	return SPAN_OK;
}

void lint_free(struct lint_report *report)
{
	if (!report)
		return;
	for (int32_t i = 0; i < report->n_findings; i++) {
		free(report->findings[i].place);
		free(report->findings[i].text);
	}
	free(report->findings);
	free(report->of_rule);
	free(report);
}
