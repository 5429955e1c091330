/* Reading a profile from text; the format is in README.md of this folder. The file is read
 * whole, within bounds, and walked once: a plugin loads it while a job waits. */
#include "topo/nccl/profile.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"

#define FILE_BYTES (64u << 20)

struct reader {
	const char *file; /* its name */
	int32_t line;
	char *start; /* of the line, which ends in a 0 */
	char *c;     /* where reading stands */
	span_profile *profile;
	int ended;
	int in_curve; /* knots are being gathered for `curve` */
	int32_t curve_line;
	span_curve curve;
	span_knot knots[SPAN_PROFILE_MAX_KNOTS];
};

static span_status parse_error(const struct reader *reader, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static span_status parse_error(const struct reader *reader, const char *format, ...)
{
	char message[384];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	return span_fail(SPAN_EPARSE, "%.256s:%d:%d: %s", reader->file, reader->line,
	                 (int)(reader->c - reader->start) + 1, message);
}

/* --- words -------------------------------------------------------------------------------- */

static void skip_blanks(struct reader *reader)
{
	while (*reader->c == ' ' || *reader->c == '\t')
		reader->c++;
}

/* Whether this word comes next; then it is passed. */
static int take(struct reader *reader, const char *word)
{
	char *c;

	skip_blanks(reader);
	for (c = reader->c; *word && *c == *word; c++)
		word++;
	if (*word || (*c && *c != ' ' && *c != '\t'))
		return 0;
	reader->c = c;
	return 1;
}

/* The next word, for messages. */
static int word_length(const struct reader *reader)
{
	size_t n = strcspn(reader->c, " \t");

	return n > 40 ? 40 : (int)n;
}

static span_status expect(struct reader *reader, const char *word)
{
	if (take(reader, word))
		return SPAN_OK;
	return parse_error(reader, "expected \"%s\", found \"%.*s\"", word, word_length(reader),
	                   reader->c);
}

static span_status read_double(struct reader *reader, const char *what, double *value)
{
	const char *end;

	skip_blanks(reader);
	*value = profile_read_double(reader->c, &end);
	if (end == reader->c || (*end && *end != ' ' && *end != '\t'))
		return parse_error(reader, "%s is \"%.*s\"; it is a decimal number", what,
		                   word_length(reader), reader->c);
	reader->c += end - reader->c;
	return SPAN_OK;
}

static span_status read_whole(struct reader *reader, const char *what, int32_t low, int32_t high,
                              int32_t *value)
{
	int64_t number = 0;
	char *c;

	skip_blanks(reader);
	for (c = reader->c; *c >= '0' && *c <= '9' && number <= high; c++)
		number = 10 * number + (*c - '0');
	if (c == reader->c || (*c && *c != ' ' && *c != '\t') || number < low || number > high)
		return parse_error(reader, "%s is \"%.*s\"; it is a whole number from %d to %d",
		                   what, word_length(reader), reader->c, low, high);
	reader->c = c;
	*value = (int32_t)number;
	return SPAN_OK;
}

/* The rest of the line, less blanks around it. */
static span_status read_text(struct reader *reader, const char *what, const char **text)
{
	const char *why;
	char *end;

	skip_blanks(reader);
	end = reader->c + strlen(reader->c);
	while (end > reader->c && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*end = '\0';
	why = profile_refuse_text(reader->c);
	if (why)
		return parse_error(reader, "%s is %s", what, why);
	*text = reader->c;
	reader->c = end;
	return SPAN_OK;
}

/* Cut the next word out of the line. */
static char *cut_word(struct reader *reader, char delimiter)
{
	char stops[] = { ' ', '\t', delimiter, '\0' }, *word;

	skip_blanks(reader);
	word = reader->c;
	reader->c += strcspn(reader->c, stops);
	if (*reader->c)
		*reader->c++ = '\0';
	return word;
}

static span_status read_trust(struct reader *reader, double *spread, int32_t *samples,
                              int32_t *source)
{
	int32_t most = reader->profile->n_sources - 1;
	span_status status = expect(reader, "spread");

	if (!status)
		status = read_double(reader, "the spread", spread);
	if (!status)
		status = expect(reader, "samples");
	if (!status)
		status = read_whole(reader, "the number of samples", 0, INT32_MAX, samples);
	if (!status)
		status = expect(reader, "source");
	if (!status && most < 0)
		return parse_error(reader, "a source, but no \"source 0 TEXT\" before it");
	return status ? status : read_whole(reader, "the source", 0, most, source);
}

/* --- lines -------------------------------------------------------------------------------- */

static span_status read_source(struct reader *reader)
{
	int32_t next = reader->profile->n_sources, index;
	const char *text = NULL;
	span_status status;

	if (next == SPAN_PROFILE_MAX_SOURCES)
		return parse_error(reader, "more than %d sources", SPAN_PROFILE_MAX_SOURCES);
	status = read_whole(reader, "the number of the source, counted from 0,", next, next, &index);
	if (!status)
		status = read_text(reader, "the source", &text);
	return status ? status : profile_append_source(reader->profile, text);
}

static span_status read_number(struct reader *reader)
{
	span_number number = { 0 };
	span_status status;
	const char *why;
	char *name;

	if (reader->profile->n_numbers == SPAN_PROFILE_MAX_NUMBERS)
		return parse_error(reader, "more than %d numbers", SPAN_PROFILE_MAX_NUMBERS);
	name = cut_word(reader, ' ');
	number.name = name;
	status = read_double(reader, "the value", &number.value);
	if (!status)
		status = read_trust(reader, &number.spread, &number.samples, &number.source);
	if (status)
		return status;
	why = profile_refuse_number(reader->profile, &number);
	if (why) {
		reader->c = name;
		return parse_error(reader, "number \"%.40s\": %s", name, why);
	}
	return profile_append_number(reader->profile, &number, reader->line);
}

static span_status read_cell(struct reader *reader, span_curve *curve)
{
	char *coll = cut_word(reader, ' '), *algo = cut_word(reader, '/');
	char *proto = cut_word(reader, ' '), *after = reader->c;

	curve->coll = span_coll_number(coll);
	curve->algo = span_algo_number(algo);
	curve->proto = span_proto_number(proto);
	reader->c = coll;
	if (curve->coll < 0)
		return parse_error(reader, "\"%.40s\" is no collective", coll);
	reader->c = algo;
	if (curve->algo < SPAN_ALGO_ANY || curve->proto < SPAN_PROTO_ANY)
		return parse_error(reader, "\"%.40s/%.40s\"; expected ALGORITHM/PROTOCOL",
		                   algo, proto);
	reader->c = after;
	return SPAN_OK;
}

static span_status read_curve(struct reader *reader)
{
	span_curve *curve = &reader->curve;
	span_status status = read_cell(reader, curve);

	if (!status)
		status = expect(reader, "ranks");
	if (!status)
		status = read_whole(reader, "ranks", 1, SPAN_PROFILE_MAX_RANKS, &curve->ranks);
	if (!status)
		status = expect(reader, "nodes");
	if (!status)
		status = read_whole(reader, "nodes", 1, curve->ranks, &curve->nodes);
	if (!status)
		status = read_trust(reader, &curve->spread, &curve->samples, &curve->source);
	curve->n_knots = 0;
	curve->knots = reader->knots;
	reader->curve_line = reader->line;
	reader->in_curve = !status;
	return status;
}

static span_status read_knot(struct reader *reader)
{
	span_knot *knot = reader->knots + reader->curve.n_knots;
	span_status status;

	if (reader->curve.n_knots == SPAN_PROFILE_MAX_KNOTS)
		return parse_error(reader, "more than %d knots of a curve", SPAN_PROFILE_MAX_KNOTS);
	status = read_double(reader, "the bytes of a knot", &knot->bytes);
	if (!status)
		status = read_double(reader, "the time of a knot", &knot->us);
	if (!status)
		reader->curve.n_knots++;
	return status;
}

/* A curve ends where something else begins; only then can it be judged. */
static span_status close_curve(struct reader *reader)
{
	const char *why;

	if (!reader->in_curve)
		return SPAN_OK;
	reader->in_curve = 0;
	why = profile_refuse_curve(reader->profile, &reader->curve);
	if (!why && reader->profile->n_curves == SPAN_PROFILE_MAX_CURVES)
		why = "more than 65536 of them";
	if (why)
		return parse_error(reader, "the curve of line %d: %s", reader->curve_line, why);
	return profile_append_curve(reader->profile, &reader->curve, reader->curve_line);
}

static span_status read_item(struct reader *reader)
{
	span_status status;

	if (reader->in_curve && take(reader, "knot"))
		return read_knot(reader);
	status = close_curve(reader);
	if (status)
		return status;
	if (take(reader, "source"))
		return read_source(reader);
	if (take(reader, "number"))
		return read_number(reader);
	if (take(reader, "curve"))
		return read_curve(reader);
	reader->ended = take(reader, "end");
	if (reader->ended)
		return SPAN_OK;
	return parse_error(reader, "\"%.*s\"; expected \"source\", \"number\", \"curve\", \"knot\" "
	                           "(after a curve) or \"end\"",
	                   word_length(reader), reader->c);
}

static span_status read_head(struct reader *reader)
{
	int32_t version;
	span_status status;

	if (!take(reader, "span-profile"))
		return parse_error(reader, "expected \"span-profile %d\"; this is no profile",
		                   SPAN_PROFILE_FORMAT);
	status = read_whole(reader, "the version of the format", SPAN_PROFILE_FORMAT,
	                    SPAN_PROFILE_FORMAT, &version);
	return status;
}

static span_status read_name(struct reader *reader)
{
	const char *name = NULL;
	span_status status = expect(reader, "name");

	if (!status)
		status = read_text(reader, "the name", &name);
	return status ? status : span_profile_create(name, &reader->profile);
}

static span_status read_line(struct reader *reader, int content)
{
	span_status status = content == 0 ? read_head(reader) : content == 1 ? read_name(reader)
	                                                                     : read_item(reader);

	if (status)
		return status;
	skip_blanks(reader);
	if (*reader->c)
		return parse_error(reader, "\"%.*s\" after the end of what the line says",
		                   word_length(reader), reader->c);
	return SPAN_OK;
}

/* --- the file ----------------------------------------------------------------------------- */

/* Two of one name, found once all are sorted. */
static span_status check_doubles(struct reader *reader)
{
	const span_profile *profile = reader->profile;

	reader->c = reader->start = "";
	for (int32_t i = 1; i < profile->n_numbers; i++) {
		const struct profile_number *number = profile->numbers + i;

		reader->line = number->line;
		if (!strcmp(number[-1].number.name, number->number.name))
			return parse_error(reader, "number \"%.40s\" a second time; line %d has it",
			                   number->number.name, number[-1].line);
	}
	for (int32_t i = 1; i < profile->n_curves; i++) {
		const struct profile_curve *curve = profile->curves + i;

		reader->line = curve->line;
		if (!profile_compare_curves(&curve[-1].curve, &curve->curve))
			return parse_error(reader, "the curve of line %d a second time",
			                   curve[-1].line);
	}
	return SPAN_OK;
}

static span_status read_lines(struct reader *reader, char *text, size_t bytes)
{
	char *stop = text + bytes, *end;
	span_status status = SPAN_OK;
	int content = 0;

	for (; text < stop && !status && !reader->ended; text = end + 1) {
		end = memchr(text, '\n', (size_t)(stop - text));
		if (!end)
			end = stop;
		*end = '\0';
		if (end > text && end[-1] == '\r')
			end[-1] = '\0';
		reader->line++;
		reader->start = reader->c = text;
		skip_blanks(reader);
		if (*reader->c && *reader->c != '#')
			status = read_line(reader, content++);
	}
	if (!status && !reader->ended) {
		reader->line++;
		reader->c = reader->start;
		return parse_error(reader, "the file ends before \"end\"");
	}
	if (status)
		return status;
	profile_sort(reader->profile);
	return check_doubles(reader);
}

/* All of a file, with room for one more byte. */
static span_status read_file(const char *name, FILE *file, char **text, size_t *bytes)
{
	size_t room = 1 << 16, n = 0;
	char *all = malloc(room + 1), *grown;

	while (all) {
		n += fread(all + n, 1, room - n, file);
		if (n < room || n >= FILE_BYTES)
			break;
		room *= 2;
		grown = realloc(all, room + 1);
		if (!grown)
			free(all);
		all = grown;
	}
	if (!all)
		return span_fail(SPAN_ENOMEM, "span_profile_load: no memory for %.256s", name);
	*text = all;
	*bytes = n;
	if (ferror(file))
		return span_fail(SPAN_EIO, "%.256s: reading failed: %s", name, strerror(errno));
	if (memchr(all, '\0', n))
		return span_fail(SPAN_EPARSE, "%.256s: a byte of value 0; a profile is text", name);
	if (n >= FILE_BYTES)
		return span_fail(SPAN_EPARSE, "%.256s: longer than %u bytes", name, FILE_BYTES);
	return SPAN_OK;
}

span_status span_profile_load(FILE *file, const char *name, span_profile **profile)
{
	struct reader reader = { .file = name };
	char *text = NULL;
	size_t bytes = 0;
	span_status status;

	if (!file || !name || !profile)
		return span_fail(SPAN_EINVAL, "span_profile_load: %s is NULL",
		                 !file ? "file" : !name ? "name"
		                                        : "profile");
	reader.start = reader.c = "";
	status = read_file(name, file, &text, &bytes);
	if (!status)
		status = read_lines(&reader, text, bytes);
	free(text);
	if (status)
		span_profile_free(reader.profile);
	else
		*profile = reader.profile;
	return status;
}
