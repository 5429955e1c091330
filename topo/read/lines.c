/* Lines and words of a text source. */
#include "topo/read/lines.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"

void lines_begin(struct lines *lines, const struct source *source)
{
	lines->name = source->name;
	lines->at = source->text;
	lines->end = source->text + source->bytes;
	lines->number = 0;
	lines->comments = lines->quotes = false;
	lines->n_words = 0;
	if (source->bytes >= 3 && memcmp(lines->at, "\xef\xbb\xbf", 3) == 0)
		lines->at += 3;
}

span_status lines_fail(const struct lines *lines, const char *format, ...)
{
	char message[400];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	return span_fail(SPAN_EPARSE, "%.128s:%d: %s", lines->name, lines->number, message);
}

/* The byte after an escape sequence: ESC [ ... letter, ESC ] ... BEL, or ESC and a byte. */
static const char *skip_escape(const char *at, const char *end)
{
	char kind = ++at < end ? *at : 0;

	if (kind == '[') {
		do
			at++;
		while (at < end && *at != '\n' && !isalpha((unsigned char)*at));
	} else if (kind == ']') {
		while (at < end && *at != '\n' && *at != '\a')
			at++;
	}
	return at < end && *at != '\n' ? at + 1 : at;
}

/* Copy the line at lines->at into lines->text. A carriage return that does not end the line is
 * a blank. */
static span_status copy_line(struct lines *lines)
{
	size_t used = 0;

	lines->number++;
	while (lines->at < lines->end && *lines->at != '\n') {
		char c = *lines->at;

		if (c == 033) {
			lines->at = skip_escape(lines->at, lines->end);
			continue;
		}
		lines->at++;
		if (c == '\b' || c == '\a' || !c)
			continue;
		if (used == LINE_MAX_BYTES)
			return lines_fail(lines, "longer than %d bytes, which no line of such a text "
			                  "is", LINE_MAX_BYTES);
		lines->text[used++] = isspace((unsigned char)c) ? ' ' : c;
	}
	if (lines->at < lines->end)
		lines->at++;
	lines->text[used] = '\0';
	return SPAN_OK;
}

/* The end of the word at `at`, which becomes its beginning without quotes. */
static span_status find_word_end(const struct lines *lines, char **at, char **end)
{
	if (!lines->quotes || **at != '"') {
		*end = *at + strcspn(*at, " ");
		return SPAN_OK;
	}
	*end = strchr(++*at, '"');
	if (!*end)
		return lines_fail(lines, "a quotation mark without its second; expected "
		                  "\"several words\"");
	return SPAN_OK;
}

static span_status split_words(struct lines *lines)
{
	char *at = lines->text, *end;

	lines->n_words = 0;
	for (;;) {
		span_status status;

		at += strspn(at, " ");
		if (!*at || (lines->comments && *at == '#'))
			return SPAN_OK;
		if (lines->n_words == LINE_MAX_WORDS)
			return lines_fail(lines, "more than %d words, which no line of such a text "
			                  "has", LINE_MAX_WORDS);
		status = find_word_end(lines, &at, &end);
		if (status)
			return status;
		lines->words[lines->n_words++] = at;
		at = end + (*end != '\0');
		*end = '\0';
	}
}

span_status lines_next(struct lines *lines, bool *more)
{
	span_status status;

	*more = lines->at < lines->end;
	lines->n_words = 0;
	if (!*more)
		return SPAN_OK;
	status = copy_line(lines);
	return status ? status : split_words(lines);
}

span_status lines_next_words(struct lines *lines, bool *more)
{
	span_status status;

	do
		status = lines_next(lines, more);
	while (!status && *more && !lines->n_words);
	return status;
}

bool lines_is(const struct lines *lines, int32_t i, const char *word)
{
	return i < lines->n_words && strcmp(lines->words[i], word) == 0;
}

/* --- numbers in words ------------------------------------------------------------------ */

bool text_number(const char *text, int32_t low, int32_t high, int32_t *number)
{
	char *end;
	long value;

	if (!isdigit((unsigned char)*text) && *text != '-')
		return false;
	errno = 0;
	value = strtol(text, &end, 10);
	if (*end || errno || value < low || value > high)
		return false;
	*number = (int32_t)value;
	return true;
}

/* A positive decimal number without sign, exponent or hexadecimal; the rest is *end. */
static bool text_decimal(const char *text, double *value, const char **end)
{
	size_t digits = strspn(text, "0123456789"), all = digits;

	if (text[all] == '.')
		all += 1 + strspn(text + all + 1, "0123456789");
	if (!digits || all > 15)
		return false;
	*value = strtod(text, NULL);
	*end = text + all;
	return *value > 0;
}

bool text_bandwidth(const char *text, double *bandwidth)
{
	static const struct {
		const char *unit;
		double bytes;
	} units[] = { { "GB/s", 1e9 }, { "MB/s", 1e6 }, { "TB/s", 1e12 }, { "Gb/s", 1e9 / 8 },
		      { "Gbit/s", 1e9 / 8 }, { "Mb/s", 1e6 / 8 }, { "Tb/s", 1e12 / 8 } };
	const char *unit;
	double value;
	size_t i;

	if (!text_decimal(text, &value, &unit))
		return false;
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(unit, units[i].unit) == 0 && value * units[i].bytes <= 1e15) {
			*bandwidth = value * units[i].bytes;
			return true;
		}
	return false;
}

bool text_ratio(const char *text, double *ratio)
{
	const char *colon, *end;
	double down, up;

	if (!text_decimal(text, &down, &colon) || *colon != ':' ||
	    !text_decimal(colon + 1, &up, &end) || *end)
		return false;
	if (down < 1 || up < 1 || down > 1e6 || up > 1e6)
		return false;
	*ratio = down / up;
	return true;
}

/* Set the bits of a list; -1 when it is none, else the highest. */
static int32_t set_bits(const char *list, uint32_t *words)
{
	int32_t highest = -1;
	int first, last, used;

	while (*list) {
		if (sscanf(list, "%4d%n", &first, &used) != 1 || first < 0)
			return -1;
		list += used;
		last = first;
		if (*list == '-' && sscanf(list + 1, "%4d%n", &last, &used) == 1)
			list += 1 + used;
		if (last < first || last > 4095 || (*list && *list != ','))
			return -1;
		for (int i = first; i <= last; i++)
			words[i / 32] |= UINT32_C(1) << i % 32;
		highest = last > highest ? last : highest;
		list += *list == ',';
	}
	return highest;
}

void text_cpu_mask(const char *list, char mask[CPU_MASK_BYTES])
{
	uint32_t words[4096 / 32] = { 0 };
	int32_t highest = set_bits(list, words);
	size_t used = 0;

	mask[0] = '\0';
	for (int32_t i = highest / 32; highest >= 0 && i >= 0; i--)
		used += (size_t)snprintf(mask + used, CPU_MASK_BYTES - used, "%08" PRIx32 "%s",
		                         words[i], i ? "," : "");
}
