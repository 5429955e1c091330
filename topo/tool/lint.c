/* span-topo lint: what is wrong with a machine or cluster, and what to do. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "topo/json/json.h"
#include "topo/lint/lint.h"
#include "topo/log.h"
#include "topo/tool/tool.h"

/* The topology as it is read, and as NCCL would believe it; the latter is NULL when the former
 * is that already, or when it cannot be had. */
static span_status load_views(struct tool *tool, span_topo **topo, span_topo **nccl)
{
	span_status status = tool_load(tool, 0, topo);

	*nccl = status ? NULL : tool_load_nccl(tool, 0, *topo);
	return status;
}

/* --- what to leave out ---------------------------------------------------------------------- */

static bool is_listed(const char *list, const char *id)
{
	size_t n = strlen(id);

	for (const char *word = list; word && *word; word += strcspn(word, ","), word += *word == ',')
		if (strncmp(word, id, n) == 0 && (word[n] == ',' || !word[n]))
			return true;
	return false;
}

static bool is_rule(const char *word, size_t n)
{
	for (int32_t i = 0; i < lint_rule_count(); i++)
		if (strlen(lint_rule_at(i)->id) == n && strncmp(lint_rule_at(i)->id, word, n) == 0)
			return true;
	return false;
}

static span_status check_list(const char *list)
{
	for (const char *word = list; word && *word; word += *word == ',') {
		size_t n = strcspn(word, ",");

		if (!is_rule(word, n))
			return span_fail(SPAN_EINVAL, "lint: --ignore: \"%.*s\" is no rule; "
			                 "`span-topo lint --rules` lists them", (int)n, word);
		word += n;
	}
	return SPAN_OK;
}

/* Take findings of the rules in the list out of the report. */
static void leave_out(struct lint_report *report, const char *list)
{
	int32_t kept = 0;

	for (int32_t i = 0; i < report->n_findings; i++) {
		struct lint_finding *finding = &report->findings[i];

		if (is_listed(list, finding->rule->id)) {
			free(finding->place);
			free(finding->text);
		} else {
			report->findings[kept++] = *finding;
		}
	}
	report->n_findings = kept;
}

struct counts {
	int32_t of[3];
	int32_t not_kept;
};

static struct counts count(const struct lint_report *report, const char *ignored)
{
	struct counts counts = { { 0 }, 0 };

	for (int32_t i = 0; i < lint_rule_count(); i++) {
		const struct lint_rule *rule = lint_rule_at(i);

		if (is_listed(ignored, rule->id))
			continue;
		counts.of[rule->severity] += report->of_rule[i];
		counts.not_kept += report->of_rule[i];
	}
	for (int32_t i = 0; i < report->n_findings; i++)
		counts.not_kept -= 1 + report->findings[i].more;
	return counts;
}

/* --- text ----------------------------------------------------------------------------------- */

static void put_finding(const struct lint_finding *finding, FILE *out)
{
	char first[16] = "", more[40] = "", hosts[40] = "", text[700];

	if (finding->more)
		snprintf(more, sizeof(more), " (and %d more in the host)", finding->more);
	if (finding->hosts > 1)
		snprintf(hosts, sizeof(hosts), " (%d hosts like it)", finding->hosts);
	snprintf(text, sizeof(text), "%s%s%s", finding->text, more, hosts);
	if (strlen(finding->place) > 11)
		fprintf(out, "  %s\n", finding->place);
	snprintf(first, sizeof(first), "  %-12.12s", strlen(finding->place) > 11 ? "" : finding->place);
	tool_wrap(out, 14, first, text);
}

static void put_summary(const span_topo *topo, struct counts counts, FILE *out)
{
	char text[4400];

	snprintf(text, sizeof(text), "%s: %d error%s, %d warning%s, %d info%s%s",
	         span_topo_source_name(topo), counts.of[LINT_ERROR],
	         counts.of[LINT_ERROR] == 1 ? "" : "s", counts.of[LINT_WARNING],
	         counts.of[LINT_WARNING] == 1 ? "" : "s", counts.of[LINT_INFO],
	         counts.of[LINT_INFO] == 1 ? "" : "s",
	         counts.not_kept ? ", of which not all are listed" : "");
	tool_wrap(out, 0, "", text);
}

/* Findings of one rule stand together under its title. */
static void put_text(const span_topo *topo, const struct lint_report *report,
                     struct counts counts, FILE *out)
{
	const struct lint_finding *findings = report->findings;
	const struct lint_rule *rule = NULL;

	for (int32_t i = 0; i < report->n_findings; i++) {
		if (findings[i].rule != rule) {
			rule = findings[i].rule;
			fprintf(out, "%s %s: %s\n", lint_severity_name(rule->severity), rule->id,
			        rule->title);
		}
		put_finding(&findings[i], out);
		if (i + 1 == report->n_findings || findings[i + 1].rule != rule) {
			tool_wrap(out, 14, "  why         ", rule->why);
			tool_wrap(out, 14, "  remedy      ", rule->remedy);
			fputc('\n', out);
		}
	}
	put_summary(topo, counts, out);
}

static void put_rules(FILE *out)
{
	for (int32_t i = 0; i < lint_rule_count(); i++) {
		const struct lint_rule *rule = lint_rule_at(i);

		fprintf(out, "%s (%s)\n", rule->id, lint_severity_name(rule->severity));
		tool_wrap(out, 10, "  finds   ", rule->title);
		tool_wrap(out, 10, "  why     ", rule->why);
		tool_wrap(out, 10, "  remedy  ", rule->remedy);
	}
}

/* --- JSON ----------------------------------------------------------------------------------- */

static span_status put_json(json_t *object, FILE *out)
{
	int failed = !object || json_dumpf(object, out, JSON_INDENT(1)) || fputc('\n', out) == EOF;

	json_decref(object);
	return failed ? span_fail(SPAN_EIO, "lint: no memory or no room for the findings") : SPAN_OK;
}

static json_t *finding_as_json(const struct lint_finding *finding)
{
	json_clean_utf8(finding->place);
	json_clean_utf8(finding->text);
	return json_pack("{ss ss ss si si ss ss}", "rule", finding->rule->id, "severity",
	                 lint_severity_name(finding->rule->severity), "place", finding->place,
	                 "more", (int)finding->more, "hosts", (int)finding->hosts, "text",
	                 finding->text, "remedy", finding->rule->remedy);
}

static span_status findings_as_json(const span_topo *topo, const struct lint_report *report,
                                    struct counts counts, FILE *out)
{
	json_t *findings = json_array(), *object = NULL;
	char *name = strdup(span_topo_source_name(topo));
	bool fine = findings && name;

	for (int32_t i = 0; fine && i < report->n_findings; i++)
		fine = !json_array_append_new(findings, finding_as_json(&report->findings[i]));
	if (fine) {
		json_clean_utf8(name);
		object = json_pack("{ss sO si si si si}", "source", name, "findings", findings,
		                   "errors", (int)counts.of[LINT_ERROR], "warnings",
		                   (int)counts.of[LINT_WARNING], "infos", (int)counts.of[LINT_INFO],
		                   "not_listed", (int)counts.not_kept);
	}
	json_decref(findings);
	free(name);
	return put_json(object, out);
}

static span_status rules_as_json(FILE *out)
{
	json_t *rules = json_array();

	for (int32_t i = 0; i < lint_rule_count(); i++) {
		const struct lint_rule *rule = lint_rule_at(i);

		json_array_append_new(rules, json_pack("{ss ss ss ss ss}", "rule", rule->id,
		                                       "severity", lint_severity_name(rule->severity),
		                                       "finds", rule->title, "why", rule->why,
		                                       "remedy", rule->remedy));
	}
	return put_json(rules, out);
}

/* --- the command ---------------------------------------------------------------------------- */

static int tell_rules(struct tool *tool)
{
	FILE *out = tool_out(tool);

	if (!out)
		return EXIT_BAD;
	if (tool_format_is(tool, "json"))
		return rules_as_json(out) ? EXIT_BAD : EXIT_FINE;
	put_rules(out);
	return EXIT_FINE;
}

static int tell_findings(struct tool *tool, const span_topo *topo, struct lint_report *report)
{
	const char *ignored = tool_value(tool, "ignore");
	struct counts counts;
	FILE *out = tool_out(tool);

	if (!out)
		return EXIT_BAD;
	leave_out(report, ignored);
	counts = count(report, ignored);
	if (!tool_format_is(tool, "json"))
		put_text(topo, report, counts, out);
	else if (findings_as_json(topo, report, counts, out))
		return EXIT_BAD;
	return counts.of[LINT_ERROR] || counts.of[LINT_WARNING] ? EXIT_FINDINGS : EXIT_FINE;
}

static int lint_run_command(struct tool *tool)
{
	struct lint_report *report = NULL;
	span_topo *topo = NULL, *nccl = NULL;
	int code = EXIT_BAD;
	span_status status;

	if (tool_value(tool, "rules"))
		return tell_rules(tool);
	status = check_list(tool_value(tool, "ignore"));
	if (!status)
		status = load_views(tool, &topo, &nccl);
	if (!status)
		status = lint_run(topo, nccl, &report);
	if (!status)
		code = tell_findings(tool, topo, report);
	lint_free(report);
	span_topo_free(nccl);
	span_topo_free(topo);
	return code;
}

static const struct tool_option options[] = {
	{ "rules", NULL, "list all rules, with reason and remedy" },
	{ "ignore", "RULE,...", "leave these rules out" },
	{ NULL, NULL, NULL },
};

const struct tool_command command_lint = {
	.name = "lint",
	.words = "[SOURCE]",
	.summary = "what is wrong, and what to do",
	.formats = "text json",
	.most_words = 1,
	.options = options,
	.help = "Errors are certainly wrong, warnings cost time or are probably wrong, infos are\n"
	        "worth knowing. Rules look at the source as it is read, with known defects mended,\n"
	        "and as NCCL believes it. Exit status: 0 nothing or infos, 1 warnings or errors,\n"
	        "2 bad options or input.\n"
	        "\n"
	        "Examples:\n"
	        "  span-topo lint topo.xml\n"
	        "  span-topo lint --ignore nic-order,leaf-oversubscribed cluster.txt\n"
	        "  span-topo lint --format json | jq '.findings[].text'\n",
	.run = lint_run_command,
};
