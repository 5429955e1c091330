/* Reading rules; the format is in rules.h. A file is never trusted: its size, its rules and the
 * fields of one are bounded, and whatever is not understood is an error, never a guess. */
#include "plugin/rules.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"
#include "topo/span_profile.h"

/* NCCL has no more channels. It keeps what it is told in 8 bits with a sign: 256 would be none. */
#define MAX_CHANNELS 64

/* NCCL rounds a chunk down to whole grains, the largest of 1920 bytes; one of 0 ends the job. */
#define LEAST_CHUNK 2048

#define FIELD_BYTES 32 /* no field comes near */

enum {
	FIELD_COLL, FIELD_FROM, FIELD_TO, FIELD_ALGO, FIELD_PROTO, FIELD_CHANNELS, FIELD_NODES,
	FIELD_RANKS, FIELD_PIPE_OPS, FIELD_REGISTERED
};

struct reader {
	const char *name;
	const char *next, *end; /* of the text */
	const char *line_start;
	int32_t line;
	const char *at; /* what comes next in the line, and where that ends */
	const char *line_end;
	bool more; /* a comma came last: another field must follow */
	char field[FIELD_BYTES];
	const char *field_start;
};

static span_status parse_error(const struct reader *reader, const char *at, const char *format,
                               ...) __attribute__((format(printf, 3, 4)));

static span_status parse_error(const struct reader *reader, const char *at, const char *format,
                               ...)
{
	char message[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	return span_fail(SPAN_EPARSE, "%.200s:%d:%d: %s", reader->name, reader->line,
	                 (int)(at - reader->line_start) + 1, message);
}

static span_status wrong(const struct reader *reader, const char *what, const char *expected)
{
	return parse_error(reader, reader->field_start, "%s is \"%s\"; expected %s", what,
	                   reader->field, expected);
}

/* --- lines and fields ----------------------------------------------------------------------- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Go to the next line; false at the end of the text. A comment ends a line. */
static bool next_line(struct reader *reader)
{
	const char *end, *comment;

	if (reader->next == reader->end)
		return false;
	reader->line++;
	reader->line_start = reader->at = reader->next;
	end = memchr(reader->at, '\n', (size_t)(reader->end - reader->at));
	reader->next = end ? end + 1 : reader->end;
	if (!end)
		end = reader->end;
	comment = memchr(reader->at, '#', (size_t)(end - reader->at));
	reader->line_end = comment ? comment : end;
	return true;
}

static bool is_empty(struct reader *reader)
{
	while (reader->at < reader->line_end && is_blank(*reader->at))
		reader->at++;
	return reader->at == reader->line_end;
}

/* The next field into reader->field, without blanks around it. */
static span_status next_field(struct reader *reader)
{
	const char *end = memchr(reader->at, ',', (size_t)(reader->line_end - reader->at)), *last;
	size_t bytes;

	reader->more = end != NULL;
	if (!end)
		end = reader->line_end;
	while (reader->at < end && is_blank(*reader->at))
		reader->at++;
	for (last = end; last > reader->at && is_blank(last[-1]); last--)
		;
	reader->field_start = reader->at;
	bytes = (size_t)(last - reader->at);
	for (const char *c = reader->at; c < last; c++)
		if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
			return parse_error(reader, c, "a byte of value %d; rules are plain text",
			                   (unsigned char)*c);
	if (!bytes)
		return parse_error(reader, reader->at, "an empty field");
	if (bytes >= FIELD_BYTES)
		return parse_error(reader, reader->at, "a field of %zu bytes; %d are the most "
		                                       "between two commas",
		                   bytes, FIELD_BYTES - 1);
	memcpy(reader->field, reader->at, bytes);
	reader->field[bytes] = '\0';
	reader->at = reader->more ? end + 1 : end;
	return SPAN_OK;
}

/* --- values --------------------------------------------------------------------------------- */

static bool is_any(const char *text)
{
	return !strcmp(text, "*") || !strcmp(text, "-1");
}

/* A whole number up to `most`; *end is what follows it. False if there is none. */
static bool read_digits(const char *text, uint64_t most, uint64_t *number, const char **end)
{
	uint64_t value = 0, digit;

	if (*text < '0' || *text > '9')
		return false;
	for (; *text >= '0' && *text <= '9'; text++) {
		digit = (uint64_t)(*text - '0');
		if (digit > most || value > (most - digit) / 10)
			return false;
		value = 10 * value + digit;
	}
	*number = value;
	*end = text;
	return true;
}

/* Bytes, with K, M, G or T, and "iB" or "B" after it for those who like it. */
static bool read_size(const char *text, uint64_t *size)
{
	static const char units[] = "KMGT";
	const char *end, *unit;
	uint64_t number;
	int shift;

	if (!read_digits(text, UINT64_MAX, &number, &end))
		return false;
	if (!*end) {
		*size = number;
		return true;
	}
	unit = strchr(units, *end & ~0x20);
	shift = unit ? 10 * (int)(unit - units + 1) : 0;
	if (!unit || number > UINT64_MAX >> shift)
		return false;
	end++;
	if (*end && strcmp(end, "iB") && strcmp(end, "B"))
		return false;
	*size = number << shift;
	return true;
}

static span_status read_from(struct reader *reader, uint64_t *from)
{
	*from = 0;
	if (!strcmp(reader->field, "*") || read_size(reader->field, from))
		return SPAN_OK;
	return wrong(reader, "the smallest size", "bytes, such as 4096, 64K, 1M, or *");
}

static span_status read_to(struct reader *reader, uint64_t *to)
{
	*to = UINT64_MAX;
	if (is_any(reader->field) || read_size(reader->field, to))
		return SPAN_OK;
	return wrong(reader, "the largest size", "bytes, such as 4096, 64K, 1M, -1 or *");
}

/* N, N-M, N+, -1 or *. */
static span_status read_interval(struct reader *reader, const char *what,
                                 struct span_interval *interval)
{
	static const char expected[] = "N, N-M or N+ with N from 1, -1 or *";
	const char *end;
	uint64_t low, high;

	interval->low = 1;
	interval->high = INT32_MAX;
	if (is_any(reader->field))
		return SPAN_OK;
	if (!read_digits(reader->field, INT32_MAX, &low, &end) || low < 1)
		return wrong(reader, what, expected);
	high = low;
	if (!strcmp(end, "+"))
		high = INT32_MAX;
	else if (*end && (*end != '-' || !read_digits(end + 1, INT32_MAX, &high, &end) || *end))
		return wrong(reader, what, expected);
	if (high < low)
		return wrong(reader, what, "the smaller number first");
	interval->low = (int32_t)low;
	interval->high = (int32_t)high;
	return SPAN_OK;
}

static span_status read_number(struct reader *reader, const char *what, uint64_t most,
                               int32_t any, int32_t *number)
{
	const char *end;
	uint64_t value;

	*number = any;
	if (is_any(reader->field))
		return SPAN_OK;
	if (!read_digits(reader->field, most, &value, &end) || *end)
		return parse_error(reader, reader->field_start,
		                   "%s is \"%s\"; expected a number from 0 to %d, -1 or *", what,
		                   reader->field, (int)most);
	*number = (int32_t)value;
	return SPAN_OK;
}

static span_status read_name(struct reader *reader, const char *what, int (*find)(const char *),
                             const char *expected, int32_t *number)
{
	*number = find(reader->field);
	return *number >= 0 ? SPAN_OK : wrong(reader, what, expected);
}

/* --- one rule ------------------------------------------------------------------------------- */

static span_status read_field(struct reader *reader, int field, struct span_rule *rule)
{
	switch (field) {
	case FIELD_COLL:
		return read_name(reader, "the collective", span_coll_number,
		                 "allreduce, allgather, reducescatter, broadcast or reduce",
		                 &rule->coll);
	case FIELD_FROM:
		return read_from(reader, &rule->from);
	case FIELD_TO:
		return read_to(reader, &rule->to);
	case FIELD_ALGO:
		return read_name(reader, "the algorithm", span_algo_number,
		                 "tree, ring, collnet_direct, collnet_chain, nvls, nvls_tree or pat",
		                 &rule->algo);
	case FIELD_PROTO:
		return read_name(reader, "the protocol", span_proto_number, "ll, ll128 or simple",
		                 &rule->proto);
	case FIELD_CHANNELS:
		return read_number(reader, "the channel count", MAX_CHANNELS, 0, &rule->channels);
	case FIELD_NODES:
		return read_interval(reader, "nodes", &rule->nodes);
	case FIELD_RANKS:
		return read_interval(reader, "ranks", &rule->ranks);
	case FIELD_PIPE_OPS:
		return read_number(reader, "numPipeOps", INT32_MAX, -1, &rule->pipe_ops);
	case FIELD_REGISTERED:
		return read_number(reader, "regBuff", 1, -1, &rule->registered);
	}
	return parse_error(reader, reader->field_start,
	                   "\"%s\" is one field too many; expected chunk=SIZE or per=rank",
	                   reader->field);
}

static span_status read_named(struct reader *reader, struct span_rule *rule)
{
	if (!strcmp(reader->field, "per=rank")) {
		rule->per_rank = true;
		return SPAN_OK;
	}
	if (!strncmp(reader->field, "chunk=", 6)) {
		if (!read_size(reader->field + 6, &rule->chunk) || rule->chunk < LEAST_CHUNK)
			return wrong(reader, "the chunk", "bytes from 2K, such as chunk=512K");
		return SPAN_OK;
	}
	return wrong(reader, "a named field", "chunk=SIZE or per=rank");
}

/* What the fields say together. */
static span_status check_rule(const struct reader *reader, const struct span_rule *rule,
                              int fields)
{
	static const char *const names[] = { "the collective", "the smallest size",
		                             "the largest size", "the algorithm", "the protocol",
		                             "the channels", "the nodes", "the ranks" };

	if (fields < FIELD_PIPE_OPS)
		return parse_error(reader, reader->line_end, "the line ends before %s",
		                   names[fields]);
	if (rule->from > rule->to)
		return parse_error(reader, reader->line_start,
		                   "from %llu to %llu bytes; expected the smaller size first",
		                   (unsigned long long)rule->from, (unsigned long long)rule->to);
	if (rule->chunk && rule->pipe_ops >= 0)
		return parse_error(reader, reader->line_start,
		                   "a chunk for numPipeOps %d; expected -1 beside a chunk",
		                   rule->pipe_ops);
	return SPAN_OK;
}

static span_status read_rule(struct reader *reader, struct span_rule *rule)
{
	span_status status = SPAN_OK;
	bool named = false;
	int fields = 0;

	memset(rule, 0, sizeof(*rule));
	rule->pipe_ops = rule->registered = -1;
	rule->line = reader->line;
	do {
		status = next_field(reader);
		if (status)
			return status;
		named = named || (fields >= FIELD_PIPE_OPS && strchr(reader->field, '='));
		status = named ? read_named(reader, rule) : read_field(reader, fields++, rule);
	} while (!status && reader->more);
	return status ? status : check_rule(reader, rule, fields);
}

/* --- all of them ---------------------------------------------------------------------------- */

static span_status add_rule(struct span_rules *rules, const struct span_rule *rule)
{
	struct span_rule *more;

	if ((rules->n & (rules->n - 1)) == 0) { /* full at each power of two */
		more = realloc(rules->rules, (rules->n ? 2 * (size_t)rules->n : 1) * sizeof(*more));
		if (!more)
			return span_fail(SPAN_ENOMEM, "span_rules: no memory for %d rules",
			                 rules->n + 1);
		rules->rules = more;
	}
	rules->rules[rules->n++] = *rule;
	rules->unused += rule->registered >= 0;
	return SPAN_OK;
}

span_status span_rules_parse(const char *text, size_t bytes, const char *name,
                             struct span_rules *rules)
{
	struct reader reader = { .name = name, .next = text, .end = text + bytes };
	struct span_rule rule;
	span_status status = SPAN_OK;

	memset(rules, 0, sizeof(*rules));
	if (bytes >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) /* a byte order mark */
		reader.next += 3;
	while (!status && next_line(&reader)) {
		if (is_empty(&reader))
			continue;
		if (rules->n == SPAN_RULES_MAX)
			status = parse_error(&reader, reader.at, "more than %d rules", rules->n);
		else
			status = read_rule(&reader, &rule);
		if (!status)
			status = add_rule(rules, &rule);
	}
	if (status)
		span_rules_free(rules);
	return status;
}

span_status span_rules_load(FILE *file, const char *name, struct span_rules *rules)
{
	char *text = malloc(SPAN_RULES_MAX_BYTES + 1);
	size_t bytes = 0;
	span_status status;

	memset(rules, 0, sizeof(*rules));
	if (text)
		bytes = fread(text, 1, SPAN_RULES_MAX_BYTES + 1, file);
	if (!text)
		status = span_fail(SPAN_ENOMEM, "%.200s: no memory to read it", name);
	else if (ferror(file))
		status = span_fail(SPAN_EIO, "%.200s: %s", name, strerror(errno));
	else if (bytes > SPAN_RULES_MAX_BYTES)
		status = span_fail(SPAN_EPARSE, "%.200s: longer than %u bytes; no rules are", name,
		                   SPAN_RULES_MAX_BYTES);
	else
		status = span_rules_parse(text, bytes, name, rules);
	free(text);
	return status;
}

void span_rules_free(struct span_rules *rules)
{
	free(rules->rules);
	memset(rules, 0, sizeof(*rules));
}

/* A rule per rank holds where bytes / ranks, rounded down, is from `from` to `to`. */
bool span_rule_matches(const struct span_rule *rule, int32_t ranks, int32_t nodes,
                       uint64_t *from, uint64_t *to)
{
	uint64_t times = rule->per_rank ? (uint64_t)ranks : 1;

	if (rule->registered >= 0 || ranks < rule->ranks.low || ranks > rule->ranks.high ||
	    nodes < rule->nodes.low || nodes > rule->nodes.high ||
	    rule->from > UINT64_MAX / times)
		return false;
	*from = rule->from * times;
	*to = rule->to > UINT64_MAX / times - 1 ? UINT64_MAX : (rule->to + 1) * times - 1;
	return true;
}

/* One of a single rank asks nothing. */
bool span_rule_is_for_all(const struct span_rule *rule)
{
	return !rule->per_rank && rule->ranks.low <= 2 && rule->ranks.high == INT32_MAX &&
	       rule->nodes.low <= 1 && rule->nodes.high == INT32_MAX;
}

bool span_rule_may_match(const struct span_rule *rule, uint64_t *from, uint64_t *to)
{
	*from = rule->from;
	*to = rule->per_rank ? UINT64_MAX : rule->to;
	return rule->registered < 0;
}
