/* Values of the JSON that json_read.c reads, each checked as it is taken. */
#include "topo/json/json_value.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"

span_status json_wrong(const struct json_reader *reader, const char *format, ...)
{
	char message[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	if (!reader->list[0])
		return span_fail(SPAN_EPARSE, "%.160s: %s", reader->name, message);
	return span_fail(SPAN_EPARSE, "%.160s: %s[%zu]: %s", reader->name, reader->list,
	                 reader->item, message);
}

/* --- values ------------------------------------------------------------------------------- */

/* The whole number `key` of an object, or `unknown` when it is not there. */
span_status json_read_int(const struct json_reader *reader, json_t *object, const char *key,
                          int32_t unknown, int32_t low, int32_t high, int32_t *number)
{
	json_t *value = json_object_get(object, key);
	json_int_t found = json_integer_value(value);

	*number = unknown;
	if (!value)
		return SPAN_OK;
	if (!json_is_integer(value) || found < low || found > high)
		return json_wrong(reader, "\"%s\" is to be a whole number from %d to %d", key, low,
		                  high);
	*number = (int32_t)found;
	return SPAN_OK;
}

span_status json_read_real(const struct json_reader *reader, json_t *object, const char *key,
                           double *number)
{
	json_t *value = json_object_get(object, key);

	*number = value ? json_number_value(value) : 0;
	if (value && (!json_is_number(value) || !isfinite(*number) || *number < 0))
		return json_wrong(reader, "\"%s\" is to be a number from 0 on", key);
	return SPAN_OK;
}

static span_status read_hex(const struct json_reader *reader, json_t *object, const char *key,
                            uint64_t most, uint64_t *number)
{
	json_t *value = json_object_get(object, key);
	const char *text = json_string_value(value);
	char *end = NULL;

	*number = 0;
	if (!value)
		return SPAN_OK;
	errno = 0;
	if (text && strncmp(text, "0x", 2) == 0 && text[2] != '-' && text[2] != '+')
		*number = strtoull(text + 2, &end, 16);
	if (!end || end == text + 2 || *end || errno || *number > most)
		return json_wrong(reader, "\"%s\" is to be a text such as \"0x1af\", at most 0x%llx",
		                  key,
		                  (unsigned long long)most);
	return SPAN_OK;
}

/* A text, or `missing` when it is not there; NULL there means it has to be. */
span_status json_read_text(const struct json_reader *reader, json_t *object, const char *key,
                           const char *missing, const char **text)
{
	json_t *value = json_object_get(object, key);

	*text = value ? json_string_value(value) : missing;
	if ((value && !json_is_string(value)) || (!value && !missing))
		return json_wrong(reader, "\"%s\" is %s; it is to be a text", key,
		                  value ? "something else" : "missing");
	return SPAN_OK;
}

/* The number of a word among `words`; the first when the key is not there. */
static span_status read_word(const struct json_reader *reader, json_t *object, const char *key,
                             const char *const *words, int *number)
{
	const char *text;
	span_status status = json_read_text(reader, object, key, words[0], &text);

	if (status)
		return status;
	for (*number = 0; words[*number]; ++*number)
		if (strcmp(words[*number], text) == 0)
			return SPAN_OK;
	*number = 0;
	return json_wrong(reader, "\"%s\" is \"%.40s\", which is no such word", key, text);
}

static span_status read_field(const struct json_reader *reader, json_t *object,
                              const struct json_field *field, void *item)
{
	void *place = (char *)item + field->offset;
	span_status status;
	const char *text;
	uint64_t number;

	switch (field->type) {
	case FIELD_INT:
		return json_read_int(reader, object, field->name, field->unknown, field->low,
		                     field->high, place);
	case FIELD_HEX:
		status = read_hex(reader, object, field->name, UINT32_MAX, &number);
		*(uint32_t *)place = (uint32_t)number;
		return status;
	case FIELD_GUID:
		return read_hex(reader, object, field->name, UINT64_MAX, place);
	case FIELD_REAL:
		return json_read_real(reader, object, field->name, place);
	case FIELD_TEXT:
		status = json_read_text(reader, object, field->name, "", &text);
		return status ? status : machine_set_text(place, text);
	case FIELD_WORD:
		return read_word(reader, object, field->name, field->words, place);
	}
	return SPAN_EINVAL;
}

span_status json_read_fields(const struct json_reader *reader, json_t *object, void *item,
                             const struct json_field *fields)
{
	span_status status = SPAN_OK;

	for (; !status && fields->name; fields++)
		status = read_field(reader, object, fields, item);
	return status;
}

/* A kind or class by its name, which has to be there; `name_of` names 0 to `most`. */
span_status json_read_named(const struct json_reader *reader, json_t *object, const char *key,
                            const char *(*name_of)(int), int most, int *number)
{
	const char *text;
	span_status status = json_read_text(reader, object, key, NULL, &text);

	for (int i = 0; !status && i <= most; i++) {
		if (strcmp(name_of(i), text) == 0) {
			*number = i;
			return SPAN_OK;
		}
	}
	return status ? status : json_wrong(reader, "\"%s\" is \"%.40s\", which is none", key, text);
}
