/* span-tune check: what is wrong, or odd, in a profile or in rules. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/tune/tune.h"
#include "topo/log.h"

struct checker {
	FILE *file;
	FILE *out;
	const char *path;
	int findings;
};

__attribute__((format(printf, 2, 3))) static void find(struct checker *checker, const char *format, ...)
{
	va_list arguments;

	fprintf(checker->out, "%s: ", checker->path);
	va_start(arguments, format);
	vfprintf(checker->out, format, arguments);
	va_end(arguments);
	fputc('\n', checker->out);
	checker->findings++;
}

/* --- curves ------------------------------------------------------------------------------- */

#define WIDE_SPREAD  0.2   /* no choice can rest on it */
#define WIDE_GAP     32.0  /* sizes between neighbours: several protocols may lie inside */
#define MOST_GBPS    10000 /* of any machine there is */
#define FALLS_BEYOND 3.0   /* spreads, and at least this share: less is noise */
#define FALLS_LEAST  0.05

static const char *curve_text(const span_curve *curve, char *room, size_t bytes)
{
	snprintf(room, bytes, "%s %s/%s, ranks %d, nodes %d", span_coll_name(curve->coll),
	         span_algo_name(curve->algo), span_proto_name(curve->proto), curve->ranks,
	         curve->nodes);
	return room;
}

static void check_knots(struct checker *checker, const span_curve *curve, const char *text)
{
	char a[32], b[32];

	for (int32_t i = 1; i < curve->n_knots; i++) {
		const span_knot *knot = curve->knots + i;

		tune_size_text(knot[-1].bytes, a);
		tune_size_text(knot->bytes, b);
		if (knot->us < knot[-1].us * (1 - fmax(FALLS_BEYOND * curve->spread, FALLS_LEAST)))
			find(checker, "%s: %.2f us of %s bytes fall to %.2f us of %s; measure again",
			     text, knot[-1].us, a, knot->us, b);
		if (knot->bytes > WIDE_GAP * knot[-1].bytes && knot->us > 1.5 * knot[-1].us)
			find(checker, "%s: nothing measured between %s and %s bytes", text, a, b);
		if (knot->bytes > 1000.0 * MOST_GBPS * knot->us)
			find(checker, "%s: %s bytes in %.3g us is %.3g GB/s", text, b, knot->us,
			     knot->bytes / knot->us / 1000);
	}
}

/* Whether a cell of the same communicator was told in full. */
static bool has_cell(const span_profile *profile, const span_curve *any)
{
	for (int algo = 0; algo < SPAN_ALGOS; algo++) {
		for (int proto = 0; proto < SPAN_PROTOS; proto++) {
			if (span_profile_curve(profile, any->coll, algo, proto, any->ranks, any->nodes))
				return true;
		}
	}
	return false;
}

/* A choice is an algorithm and a protocol. */
static void check_cell(struct checker *checker, const span_profile *profile,
                       const span_curve *curve, const char *text)
{
	const char *untold = curve->algo == SPAN_ALGO_ANY ? "algorithm" : "protocol";

	if (curve->algo == SPAN_ALGO_ANY && curve->proto == SPAN_PROTO_ANY && has_cell(profile, curve))
		return;
	if (curve->algo == SPAN_ALGO_ANY || curve->proto == SPAN_PROTO_ANY)
		find(checker,
		     "%s: no %s told, so nothing to choose between; measure with NCCL_ALGO and "
		     "NCCL_PROTO set, or with NCCL_DEBUG=INFO NCCL_DEBUG_SUBSYS=TUNING",
		     text, untold);
}

static void check_curves(struct checker *checker, const span_profile *profile)
{
	for (int32_t i = 0; i < span_profile_curves(profile); i++) {
		const span_curve *curve = span_profile_curve_at(profile, i);
		char text[128];

		curve_text(curve, text, sizeof(text));
		check_knots(checker, curve, text);
		if (curve->spread > WIDE_SPREAD)
			find(checker, "%s: a spread of %.0f%%; too noisy to choose by", text,
			     100 * curve->spread);
		check_cell(checker, profile, curve, text);
	}
}

/* --- numbers ------------------------------------------------------------------------------ */

static bool is_constant(const char *name)
{
	char known[64];

	for (int i = 0; i < span_nccl_constant_count(); i++) {
		span_nccl_constant_name(i, known, sizeof(known));
		if (!strcmp(known, name))
			return true;
	}
	return false;
}

static void check_numbers(struct checker *checker, const span_profile *profile)
{
	for (int32_t i = 0; i < span_profile_numbers(profile); i++) {
		const span_number *number = span_profile_number_at(profile, i);

		if (!strncmp(number->name, "nccl.", 5) && !is_constant(number->name))
			find(checker, "number \"%s\": no constant of NCCL's model has this name",
			     number->name);
	}
}

/* The communicators that a profile can describe are built once each. */
static void check_model(struct checker *checker, const span_profile *profile)
{
	for (int32_t nodes = 1; nodes <= 2; nodes++) {
		span_nccl_constants constants;
		span_nccl_comm comm;
		span_nccl_model model;
		span_status status = span_nccl_from_profile(profile, 2 * nodes, nodes, &comm,
		                                            &constants);

		if (!status)
			status = span_nccl_model_build(&comm, &constants, &model);
		if (status && status != SPAN_EUNSUPPORTED)
			find(checker, "its numbers make no model of %s",
			     nodes == 1 ? "one node" : "many nodes");
	}
}

static int check_profile(struct checker *checker)
{
	span_profile *profile = NULL;

	if (span_profile_load(checker->file, checker->path, &profile))
		return EXIT_BAD;
	if (!span_profile_curves(profile) && !span_profile_numbers(profile))
		find(checker, "empty: no curve and no number");
	check_curves(checker, profile);
	check_numbers(checker, profile);
	check_model(checker, profile);
	fprintf(checker->out,
	        "%s: profile \"%s\", %d curves, %d numbers, digest %016llx, %d findings\n",
	        checker->path, span_profile_name(profile), span_profile_curves(profile),
	        span_profile_numbers(profile), (unsigned long long)span_profile_digest(profile),
	        checker->findings);
	span_profile_free(profile);
	return checker->findings ? EXIT_FINDINGS : EXIT_FINE;
}

/* --- rules -------------------------------------------------------------------------------- */

static bool within(struct span_interval inner, struct span_interval outer)
{
	return inner.low >= outer.low && inner.high <= outer.high;
}

/* Whether whatever the later rule matches, the earlier one took. */
static bool shadows(const struct span_rule *earlier, const struct span_rule *later)
{
	return earlier->coll == later->coll && earlier->registered < 0 &&
	       earlier->per_rank == later->per_rank && earlier->from <= later->from &&
	       earlier->to >= later->to && within(later->nodes, earlier->nodes) &&
	       within(later->ranks, earlier->ranks) && earlier->algo == later->algo &&
	       (earlier->pipe_ops < 0 || earlier->pipe_ops == later->pipe_ops);
}

/* Which collectives have an algorithm, and which protocols: tests/data/nccl-golden has no cell
 * elsewhere, and neither has NCCL's table of algorithms. */
static bool exists(const struct span_rule *rule)
{
	bool gather = rule->coll == SPAN_COLL_ALL_GATHER || rule->coll == SPAN_COLL_REDUCE_SCATTER;
	bool reduce = rule->coll == SPAN_COLL_ALL_REDUCE;

	if (rule->algo >= SPAN_ALGO_COLLNET_DIRECT && rule->proto != SPAN_PROTO_SIMPLE)
		return false;
	switch (rule->algo) {
	case SPAN_ALGO_RING:
		return true;
	case SPAN_ALGO_PAT:
		return gather;
	case SPAN_ALGO_COLLNET_DIRECT:
	case SPAN_ALGO_NVLS:
		return gather || reduce;
	default:
		return reduce;
	}
}

/* Earlier rules looked back at for each: quadratic work is bounded, and files are short. */
enum { LOOK_BACK = 2000 };

static void check_rule(struct checker *checker, const struct span_rules *rules, int32_t i)
{
	const struct span_rule *rule = rules->rules + i;
	int32_t first = i > LOOK_BACK ? i - LOOK_BACK : 0;

	if (!exists(rule))
		find(checker, "line %d: NCCL has no %s/%s of %s", rule->line,
		     span_algo_name(rule->algo), span_proto_name(rule->proto),
		     span_coll_name(rule->coll));
	if (rule->registered >= 0)
		find(checker, "line %d: asks for regBuff, in which ranks may differ; never used",
		     rule->line);
	if (rule->from > rule->to)
		find(checker, "line %d: from %llu to %llu bytes matches nothing", rule->line,
		     (unsigned long long)rule->from, (unsigned long long)rule->to);
	for (int32_t k = first; k < i; k++) {
		if (!shadows(rules->rules + k, rule))
			continue;
		find(checker, "line %d: the rule of line %d takes all of it", rule->line,
		     rules->rules[k].line);
		return;
	}
}

static int check_rules(struct checker *checker)
{
	struct span_rules rules = { 0 };

	if (span_rules_load(checker->file, checker->path, &rules))
		return EXIT_BAD;
	if (!rules.n)
		find(checker, "no rule in it");
	for (int32_t i = 0; i < rules.n; i++)
		check_rule(checker, &rules, i);
	fprintf(checker->out, "%s: %d rules, %d findings\n", checker->path, rules.n,
	        checker->findings);
	span_rules_free(&rules);
	return checker->findings ? EXIT_FINDINGS : EXIT_FINE;
}

/* Whether the first line that is no comment begins a profile. */
static bool is_profile(FILE *file)
{
	char line[256];

	while (fgets(line, sizeof(line), file)) {
		const char *c = line + strspn(line, " \t\r\n");

		if (*c && *c != '#')
			return !strncmp(c, "span-profile", strlen("span-profile"));
	}
	return false;
}

static int check_file(FILE *out, const char *path)
{
	struct checker checker = { .out = out, .path = path, .file = fopen(path, "re") };
	int code = EXIT_BAD;
	bool profile;

	if (!checker.file) {
		span_fail(SPAN_EIO, "%s: %s", path, strerror(errno));
		return EXIT_BAD;
	}
	profile = is_profile(checker.file);
	if (fseek(checker.file, 0, SEEK_SET))
		span_fail(SPAN_EIO, "%s: is looked at and then read: a file is accepted, not a pipe",
		          path);
	else
		code = profile ? check_profile(&checker) : check_rules(&checker);
	fclose(checker.file);
	return code;
}

static int run(struct tune *tune)
{
	FILE *out = tune_out(tune);
	int worst = EXIT_FINE;

	for (int i = 0; i < tune->n_words && out; i++) {
		int code = check_file(out, tune->words[i]);

		worst = code > worst ? code : worst;
	}
	return out ? worst : EXIT_BAD;
}

const struct tune_command command_check = {
	.name = "check",
	.words = "FILE...",
	.summary = "What is wrong or odd in a profile or in rules",
	.options = "o",
	.least_words = 1,
	.most_words = 4096,
	.help = "A FILE that begins with \"span-profile\" is a profile; every other is one of rules.\n"
		"Exit status: 0 nothing found, 1 findings, 2 a file that cannot be read at all.\n\n"
		"Example:\n"
		"  span-tune check mine.profile rules.csv\n",
	.run = run,
};
