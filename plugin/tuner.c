/* The start of a tuner: from options and files to a table, told once. */
#include "plugin/tuner.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "plugin/cause.h"
#include "plugin/decide.h"
#include "plugin/digest.h"
#include "plugin/explain.h"
#include "plugin/file.h"
#include "plugin/options.h"
#include "plugin/profiles.h"
#include "plugin/rules.h"
#include "topo/log.h"

#define MESSAGE_BYTES SPAN_CAUSE_BYTES

/* What init shares between communicators, under the lock of cause.h. It is the only mutable state of
 * the tuner beside that and tuner v1's own; nothing of it is looked at after init. */
static uint64_t last_said; /* digest of the last message, which is not repeated */

/* One start under way. */
struct session {
	const struct span_tuner_start *start;
	struct span_options options;
	struct span_rules rules;
	span_profile *profile;
	struct span_cause cause;
};

/* --- speaking ------------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static void say(const struct session *session, int level,
                                                      const char *format, ...)
{
	char message[MESSAGE_BYTES + 256];
	va_list arguments;
	uint64_t digest;

	if (!session->start->logger)
		return;
	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	digest = digest_bytes(DIGEST_START, message, strlen(message));
	if (digest == last_said)
		return;
	last_said = digest;
	session->start->logger(level, NCCL_LOG_INIT | NCCL_LOG_TUNING, __FILE__, __LINE__,
	                       "SPAN: %s", message);
}

/* --- reading -------------------------------------------------------------------------------- */

static span_status read_rules(const char *path, struct span_rules *rules)
{
	FILE *file;
	span_status status = span_file_open("", path, &file);

	if (status)
		return status;
	status = span_rules_load(file, path, rules);
	fclose(file);
	return status;
}

static span_status read_files(struct session *session)
{
	struct span_options *options = &session->options;
	span_status status = SPAN_OK;

	if (*options->rules)
		status = read_rules(options->rules, &session->rules);
	if (!status && *options->profile)
		status = span_profiles_open(options->profile, &session->profile);
	else if (!status && options->uniform)
		status = span_profiles_of_machine("/", NULL, &session->profile);
	return status;
}

/* --- deciding ------------------------------------------------------------------------------- */

/* Over all that may decide, so that ranks with other files or another NCCL show. */
static uint64_t digest_of(const struct session *session, const span_table *table)
{
	const struct span_tuner_start *start = session->start;
	uint64_t digest = span_table_digest(table);

	digest = digest_number(digest, start->ranks);
	digest = digest_number(digest, start->nodes);
	digest = digest_number(digest, start->flat != 0);
	if (session->profile)
		digest = digest_number(digest, span_profile_digest(session->profile));
	if (start->domains)
		digest = digest_bytes(digest, start->domains, sizeof(*start->domains));
	if (start->constants)
		digest = digest_bytes(digest, start->constants, sizeof(*start->constants));
	return digest;
}

static void describe_size(const struct span_tuner_start *start, char *room, size_t bytes)
{
	if (start->any_size)
		snprintf(room, bytes, "communicators of any size, which this NCCL does not tell");
	else
		snprintf(room, bytes, "%zu ranks on %zu node%s", start->ranks, start->nodes,
		         start->nodes == 1 ? "" : "s");
}

/* Which file, and how many of its rules cannot be used and why. */
static void describe_rules(const struct session *session, char *room, size_t bytes)
{
	const struct span_rules *rules = &session->rules;
	char unsure[64] = "";
	int n = 0;

	for (int32_t i = 0; i < rules->n; i++)
		n += !span_rule_is_for_all(&rules->rules[i]);
	if (session->start->any_size)
		snprintf(unsure, sizeof(unsure), ", for some ranks or nodes %d", n);
	snprintf(room, bytes, "rules %.200s (%d, unused for regBuff %d%s), ",
	         session->options.rules, rules->n, rules->unused, unsure);
}

static void say_what_decides(const struct session *session, const span_table *table)
{
	const struct span_tuner_start *start = session->start;
	char size[64], rules[MESSAGE_BYTES] = "", profile[MESSAGE_BYTES] = "";

	describe_size(start, size, sizeof(size));
	if (*session->options.rules)
		describe_rules(session, rules, sizeof(rules));
	if (session->profile)
		snprintf(profile, sizeof(profile), "profile \"%.200s\", ",
		         span_profile_name(session->profile));
	say(session, NCCL_LOG_INFO,
	    "%s: %s%sdecision %016" PRIx64 ", the same on every rank%s%s", size, rules, profile,
	    digest_of(session, table),
	    start->flat ? "; this NCCL shows no cost table: only rules sure to run act" : "",
	    span_decides(table) ? "" : "; nothing in it acts here: NCCL decides everything");
}

static int32_t count_of(size_t n)
{
	return n <= INT32_MAX ? (int32_t)n : 0;
}

static span_table *decide(const struct session *session)
{
	const struct span_tuner_start *start = session->start;
	struct span_question question = {
		.ranks = count_of(start->ranks),
		.nodes = count_of(start->nodes),
		.any_size = start->any_size,
		.rules = &session->rules,
		.profile = session->profile,
		.constants = start->constants,
		.margin = session->options.margin,
	};
	span_table *table;

	if (span_decide(&question, &table)) {
		say(session, NCCL_LOG_WARN, "%s; NCCL decides everything", session->cause.text);
		return NULL;
	}
	say_what_decides(session, table);
	if (session->options.explain)
		span_explain(table, start->logger);
	if (!span_decides(table)) {
		span_table_free(table);
		table = NULL;
	}
	return table;
}

static span_table *prepare(struct session *session)
{
	span_status status = span_options_read(NULL, &session->options);

	if (!status && session->options.enable)
		status = read_files(session);
	if (status) {
		say(session, NCCL_LOG_WARN, "%s; NCCL decides everything", session->cause.text);
		return NULL;
	}
	if (!session->options.enable) {
		say(session, NCCL_LOG_INFO, "off by SPAN_ENABLE; NCCL decides everything");
		return NULL;
	}
	if (!*session->options.rules && !session->profile) {
		say(session, NCCL_LOG_INFO,
		    "no SPAN_RULES and no SPAN_PROFILE%s: NCCL decides everything",
		    session->options.uniform ? ", and no shipped profile is of these GPUs" : "");
		return NULL;
	}
	if (session->start->flat && session->options.pinned) {
		say(session, NCCL_LOG_INFO,
		    "NCCL_ALGO or NCCL_PROTO is set, which this NCCL does not show: NCCL decides");
		return NULL;
	}
	return decide(session);
}

/* --- start and end -------------------------------------------------------------------------- */

span_table *span_tuner_start(const struct span_tuner_start *start)
{
	struct session session = { .start = start };
	span_table *table;

	span_cause_begin(&session.cause);
	table = prepare(&session);
	span_cause_end();
	span_rules_free(&session.rules);
	span_profile_free(session.profile);
	return table;
}

void span_tuner_end(span_table *table)
{
	span_table_free(table);
}
