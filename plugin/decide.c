/* Rules laid over evidence, size by size. */
#include "plugin/decide.h"

#include <stdbool.h>
#include <stdlib.h>

#include "plugin/evidence.h"
#include "topo/log.h"

#define MAX_MATCHES   4096 /* rules of one collective that match one communicator */
#define MAX_RULES_FOR 64   /* of one size; more than cells only where numPipeOps differ */

struct match {
	const struct span_rule *rule;
	uint64_t from, to;
	bool is_sure; /* or only for some of the communicators that may ask */
};

/* One collective under way. */
struct work {
	const struct span_question *question;
	int coll;
	struct match *matches;
	int n_matches;
	struct span_segment *segments;
	int n_segments;
	uint64_t *borders;
	int n_borders;
};

/* Whether NCCL without a cost table runs what a rule wants. LL128 corrupts data where links do
 * not keep 128 bytes together, and only the table says where; CollNetDirect and PAT have
 * conditions that are not passed; algorithms have collectives. */
static enum span_flat flat_of(const struct span_rule *rule, const struct span_question *question)
{
	int nvls = question->nodes == 1 ? SPAN_ALGO_NVLS : SPAN_ALGO_NVLS_TREE;

	if (rule->proto == SPAN_PROTO_LL128)
		return SPAN_FLAT_NEVER;
	if (rule->algo == SPAN_ALGO_RING)
		return SPAN_FLAT_ALWAYS;
	if (rule->coll != SPAN_COLL_ALL_REDUCE)
		return SPAN_FLAT_NEVER;
	if (rule->algo == SPAN_ALGO_TREE)
		return SPAN_FLAT_ALWAYS;
	if (rule->proto != SPAN_PROTO_SIMPLE)
		return SPAN_FLAT_NEVER;
	if (rule->algo == nvls && !question->any_size)
		return SPAN_FLAT_NVLS;
	return rule->algo == SPAN_ALGO_COLLNET_CHAIN ? SPAN_FLAT_COLLNET : SPAN_FLAT_NEVER;
}

/* NCCL bounds the channels it is told by those it has, but not where CollNet takes part, as NVLS of
 * several nodes does, and nowhere in 2.19 and 2.20: channels that are not connected would run. */
static int32_t channels_of(const struct span_rule *rule, const struct span_question *question)
{
	int collnet = rule->algo == SPAN_ALGO_COLLNET_DIRECT || rule->algo == SPAN_ALGO_COLLNET_CHAIN ||
	              (rule->algo == SPAN_ALGO_NVLS && question->nodes > 1);

	return collnet || question->any_size ? 0 : rule->channels;
}

static struct span_choice choice_of(const struct span_rule *rule,
                                    const struct span_question *question)
{
	struct span_choice choice = {
		.chunk = rule->chunk,
		.beats = SPAN_BEATS_ALL,
		.pipe_ops = rule->pipe_ops,
		.channels = channels_of(rule, question),
		.line = rule->line,
		.algo = (int8_t)rule->algo,
		.proto = (int8_t)rule->proto,
		.reason = SPAN_BY_RULE,
		.flat = (uint8_t)flat_of(rule, question),
	};

	return choice;
}

/* --- borders -------------------------------------------------------------------------------- */

static bool fill_match(const struct span_question *question, struct match *match)
{
	if (question->any_size) {
		match->is_sure = span_rule_is_for_all(match->rule);
		return span_rule_may_match(match->rule, &match->from, &match->to);
	}
	match->is_sure = true;
	return span_rule_matches(match->rule, question->ranks, question->nodes, &match->from,
	                         &match->to);
}

static span_status find_matches(struct work *work)
{
	const struct span_question *question = work->question;
	const struct span_rules *rules = question->rules;
	struct match match;

	for (int32_t i = 0; rules && i < rules->n; i++) {
		match.rule = &rules->rules[i];
		if (match.rule->coll != work->coll || !fill_match(question, &match))
			continue;
		if (work->n_matches == MAX_MATCHES)
			return span_fail(SPAN_EUNSUPPORTED,
			                 "rule of line %d: more than %d rules for %s of %d ranks",
			                 match.rule->line, MAX_MATCHES, span_coll_name(work->coll),
			                 question->ranks);
		work->matches[work->n_matches++] = match;
	}
	return SPAN_OK;
}

static int compare_sizes(const void *a, const void *b)
{
	const uint64_t *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

/* Every size at which something may change, ascending, each once. */
static void find_borders(struct work *work)
{
	int n = 0, kept = 0;

	for (int i = 0; i < work->n_segments; i++)
		work->borders[n++] = work->segments[i].first;
	for (int i = 0; i < work->n_matches; i++) {
		work->borders[n++] = work->matches[i].from;
		if (work->matches[i].to < UINT64_MAX)
			work->borders[n++] = work->matches[i].to + 1;
	}
	qsort(work->borders, (size_t)n, sizeof(*work->borders), compare_sizes);
	for (int i = 0; i < n; i++)
		if (!kept || work->borders[i] != work->borders[kept - 1])
			work->borders[kept++] = work->borders[i];
	work->n_borders = kept;
}

/* --- segments ------------------------------------------------------------------------------- */

/* A rule whose cell an earlier one has taken, for as many operations or for any, never fires. */
static int is_shadowed(const struct span_choice *earlier, int n, const struct span_choice *later)
{
	for (int i = 0; i < n; i++)
		if (earlier[i].algo == later->algo && earlier[i].proto == later->proto &&
		    (earlier[i].pipe_ops < 0 || earlier[i].pipe_ops == later->pipe_ops))
			return 1;
	return 0;
}

static span_status add_segment(const struct work *work, uint64_t first,
                               const struct span_segment *evidence, span_table *table)
{
	struct span_choice choices[MAX_RULES_FOR + SPAN_EVIDENCE_MOST], choice;
	int n = 0;

	for (int i = 0; i < work->n_matches; i++) {
		const struct match *match = &work->matches[i];

		if (first < match->from || first > match->to)
			continue;
		if (!match->is_sure)
			break;
		choice = choice_of(match->rule, work->question);
		if (is_shadowed(choices, n, &choice))
			continue;
		if (n == MAX_RULES_FOR)
			return span_fail(SPAN_EUNSUPPORTED,
			                 "rule of line %d: more than %d rules for %s of %llu bytes",
			                 choice.line, MAX_RULES_FOR, span_coll_name(work->coll),
			                 (unsigned long long)first);
		choices[n++] = choice;
	}
	for (int i = 0; i < evidence->n; i++)
		choices[n++] = evidence->choices[i];
	return span_table_add(table, work->coll, first, choices, n);
}

static span_status add_segments(const struct work *work, span_table *table)
{
	span_status status = SPAN_OK;
	int at = 0;

	for (int i = 0; i < work->n_borders && !status; i++) {
		while (at + 1 < work->n_segments &&
		       work->segments[at + 1].first <= work->borders[i])
			at++;
		status = add_segment(work, work->borders[i], &work->segments[at], table);
	}
	return status;
}

static span_status decide_coll(const struct span_question *question,
                               const struct span_evidence *evidence, int coll,
                               struct match *matches, span_table *table)
{
	struct work work = { .question = question, .coll = coll, .matches = matches };
	span_status status = span_evidence_segments(evidence, coll, &work.segments,
	                                            &work.n_segments);

	if (!status)
		status = find_matches(&work);
	if (!status) {
		work.borders = malloc((size_t)(work.n_segments + 2 * work.n_matches) *
		                      sizeof(*work.borders));
		if (!work.borders)
			status = span_fail(SPAN_ENOMEM, "span_decide: no memory");
	}
	if (!status) {
		find_borders(&work);
		status = add_segments(&work, table);
	}
	free(work.borders);
	free(work.segments);
	return status;
}

static bool can_be(const struct span_question *question)
{
	return question->any_size ||
	       (question->nodes >= 1 && question->nodes <= question->ranks &&
	        question->ranks <= SPAN_PROFILE_MAX_RANKS);
}

span_status span_decide(const struct span_question *question, span_table **table)
{
	struct match *matches = NULL;
	struct span_evidence evidence;
	span_table *made = NULL;
	span_status status;

	if (!can_be(question))
		return span_fail(SPAN_EINVAL, "span_decide: %d ranks on %d nodes", question->ranks,
		                 question->nodes);
	status = span_evidence_prepare(question->profile, question->ranks, question->nodes,
	                               question->margin, question->constants, &evidence);
	if (!status)
		status = span_table_create(&made);
	if (!status) {
		matches = malloc(MAX_MATCHES * sizeof(*matches));
		if (!matches)
			status = span_fail(SPAN_ENOMEM, "span_decide: no memory");
	}
	for (int coll = 0; coll < SPAN_COLLS && !status; coll++)
		status = decide_coll(question, &evidence, coll, matches, made);
	free(matches);
	if (!status)
		status = span_table_finish(made);
	if (status)
		span_table_free(made);
	else
		*table = made;
	return status;
}

int span_decides(const span_table *table)
{
	uint64_t first;
	int n;

	for (int coll = 0; coll < SPAN_COLLS; coll++)
		for (int32_t i = 0; i < span_table_segments(table, coll); i++) {
			span_table_segment(table, coll, i, &first, &n);
			if (n)
				return 1;
		}
	return 0;
}
