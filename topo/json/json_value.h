/* Values of the JSON that json_read.c reads. Private. */
#ifndef SPAN_JSON_VALUE_H
#define SPAN_JSON_VALUE_H

#include <jansson.h>
#include "topo/json/json.h"

struct json_reader {
	const char *name;       /* of the file */
	char list[32];          /* "machines[0].nodes" */
	size_t item;            /* of it */
	span_topo *topo;
	struct machine *machine;
};

/* Say what is wrong with the item that is being read: "mine.json: machines[0].nodes[3]: ...". */
__attribute__((format(printf, 2, 3)))
span_status json_wrong(const struct json_reader *reader, const char *format, ...);

/* The whole number `key` of an object, or `unknown` when it is not there. */
span_status json_read_int(const struct json_reader *reader, json_t *object, const char *key,
                          int32_t unknown, int32_t low, int32_t high, int32_t *number);

/* A number from 0 on, 0 when it is not there. */
span_status json_read_real(const struct json_reader *reader, json_t *object, const char *key,
                           double *number);

/* A text, or `missing` when it is not there; NULL there means it has to be. */
span_status json_read_text(const struct json_reader *reader, json_t *object, const char *key,
                           const char *missing, const char **text);

/* A kind or class by its name, which has to be there; `name_of` names 0 to `most`. */
span_status json_read_named(const struct json_reader *reader, json_t *object, const char *key,
                            const char *(*name_of)(int), int most, int *number);

/* All fields of a table into an item, those that are left out as "not known". */
span_status json_read_fields(const struct json_reader *reader, json_t *object, void *item,
                             const struct json_field *fields);

#endif
