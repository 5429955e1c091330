/* A topology as JSON. Each node and link is a small jansson object, written on a line of its
 * own as soon as it is made: memory does not grow with the topology. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "topo/json/json.h"
#include "topo/log.h"

/* --- text --------------------------------------------------------------------------------- */

/* How many bytes the UTF-8 sequence at `c` has; 0 when it is none. Overlong sequences and
 * surrogates are refused as jansson refuses them. */
static size_t utf8_length(const unsigned char *c)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = *c < 0x80 ? 1 : *c >= 0xC2 && *c < 0xE0 ? 2
	                       : (*c & 0xF0) == 0xE0       ? 3
	                       : *c >= 0xF0 && *c < 0xF5   ? 4
	                                                   : 0;
	uint32_t code = n > 1 ? *c & (0x7Fu >> n) : *c;

	for (size_t i = 1; i < n; i++) {
		if ((c[i] & 0xC0) != 0x80)
			return 0;
		code = code << 6 | (c[i] & 0x3F);
	}
	if (n > 1 && (code < least[n] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)))
		return 0;
	return n;
}

void json_clean_utf8(char *text)
{
	while (*text) {
		size_t n = utf8_length((const unsigned char *)text);

		if (!n)
			*text = '?';
		text += n ? n : 1;
	}
}

static json_t *text_value(const char *text)
{
	char *copy = strdup(text);
	json_t *value;

	if (!copy)
		return NULL;
	json_clean_utf8(copy);
	value = json_string(copy);
	free(copy);
	return value;
}

/* --- values ------------------------------------------------------------------------------- */

/* Whole numbers as such: 24000000000, not 24000000000.0. */
static json_t *real_value(double value)
{
	if (value == floor(value) && fabs(value) < 0x1p53)
		return json_integer((json_int_t)value);
	return json_real(value);
}

static json_t *hex_value(uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%llx", (unsigned long long)value);
	return json_string(text);
}

static const void *at(const void *item, const struct json_field *field)
{
	return (const char *)item + field->offset;
}

static bool is_known(const void *item, const struct json_field *field)
{
	const void *value = at(item, field);

	switch (field->type) {
	case FIELD_INT:
		return *(const int32_t *)value != field->unknown;
	case FIELD_HEX:
		return *(const uint32_t *)value != 0;
	case FIELD_GUID:
		return *(const uint64_t *)value != 0;
	case FIELD_REAL:
		return *(const double *)value != 0;
	case FIELD_TEXT:
		return **(char *const *)value != 0;
	case FIELD_WORD:
		return *(const int *)value != 0;
	}
	return false;
}

static json_t *field_value(const void *item, const struct json_field *field)
{
	const void *value = at(item, field);

	switch (field->type) {
	case FIELD_INT:
		return json_integer(*(const int32_t *)value);
	case FIELD_HEX:
		return hex_value(*(const uint32_t *)value);
	case FIELD_GUID:
		return hex_value(*(const uint64_t *)value);
	case FIELD_REAL:
		return real_value(*(const double *)value);
	case FIELD_TEXT:
		return text_value(*(char *const *)value);
	case FIELD_WORD:
		return json_string(field->words[*(const int *)value]);
	}
	return NULL;
}

/* --- lines -------------------------------------------------------------------------------- */

struct writer {
	FILE *file;
	bool failed;      /* no memory */
	bool first;       /* of a list */
};

static void set(struct writer *writer, json_t *object, const char *key, json_t *value)
{
	if (!value || json_object_set_new(object, key, value))
		writer->failed = true;
}

static void set_fields(struct writer *writer, json_t *object, const void *item,
                       const struct json_field *fields)
{
	for (; fields->name; fields++)
		if (is_known(item, fields))
			set(writer, object, fields->name, field_value(item, fields));
}

/* Write an item of the list that is open, and let go of it. */
static void put(struct writer *writer, json_t *value)
{
	fputs(writer->first ? "\n" : ",\n", writer->file);
	writer->first = false;
	if (!value || json_dumpf(value, writer->file,
	                         JSON_ENCODE_ANY | JSON_REAL_PRECISION(17)))
		writer->failed = true;
	json_decref(value);
}

static void open_list(struct writer *writer, const char *key)
{
	fprintf(writer->file, "\"%s\": [", key);
	writer->first = true;
}

static void put_node(struct writer *writer, const struct graph_node *node)
{
	json_t *object = json_object();

	set(writer, object, "kind", json_string(span_node_kind_name(node->kind)));
	if (node->host)
		set(writer, object, "host", json_integer(node->host));
	if (node->parent >= 0)
		set(writer, object, "parent", json_integer(node->parent));
	set_fields(writer, object, node, json_node_fields);
	put(writer, object);
}

static void put_link(struct writer *writer, const struct graph_link *link)
{
	json_t *object = json_object();

	set(writer, object, "class", json_string(span_link_class_name(link->link_class)));
	set(writer, object, "from", json_integer(link->from));
	set(writer, object, "to", json_integer(link->to));
	set_fields(writer, object, link, json_link_fields);
	if (*link->provenance)
		set(writer, object, "provenance", text_value(link->provenance));
	put(writer, object);
}

static void put_machine(struct writer *writer, const struct machine *machine)
{
	fputs("{", writer->file);
	open_list(writer, "hosts");
	for (int32_t i = 0; i < machine->n_hosts; i++)
		put(writer, text_value(machine->host_names[i]));
	fputs("],\n", writer->file);
	open_list(writer, "nodes");
	for (int32_t i = 0; i < machine->n_nodes; i++)
		put_node(writer, &machine->nodes[i]);
	fputs("],\n", writer->file);
	open_list(writer, "links");
	for (int32_t i = 0; i < machine->n_links; i++)
		put_link(writer, &machine->links[i]);
	fputs("]}", writer->file);
}

static void put_place(struct writer *writer, const struct place *place)
{
	json_t *object = json_object();

	set(writer, object, "machine", json_integer(place->machine));
	if (place->leaf >= 0)
		set(writer, object, "leaf", json_integer(place->leaf));
	if (place->name)
		set(writer, object, "name", text_value(place->name));
	put(writer, object);
}

static void put_switch(struct writer *writer, const struct fabric_switch *fabric)
{
	json_t *object = json_object();

	set(writer, object, "name", text_value(fabric->name));
	if (fabric->parent >= 0)
		set(writer, object, "parent", json_integer(fabric->parent));
	if (fabric->rails > 1)
		set(writer, object, "rails", json_integer(fabric->rails));
	set(writer, object, "bandwidth", real_value(fabric->up_bandwidth));
	set(writer, object, "latency", real_value(fabric->latency));
	set(writer, object, "confidence", json_string(span_confidence_name(fabric->confidence)));
	put(writer, object);
}

static void put_note(struct writer *writer, const struct note *note)
{
	json_t *object = json_object();

	set(writer, object, "place", text_value(note->place));
	set(writer, object, "text", text_value(note->text));
	set(writer, object, "corrected", json_boolean(note->corrected));
	put(writer, object);
}

static void put_source(struct writer *writer, const span_topo *topo)
{
	json_t *object = json_object();

	set(writer, object, "kind", json_string(topo->source_kind));
	set(writer, object, "name", text_value(topo->source_name));
	writer->first = true;
	fprintf(writer->file, "{\"span-topo\": %d,\n\"as_nccl\": %s,\n\"source\":",
	        TOPO_JSON_VERSION, topo->as_nccl ? "true" : "false");
	put(writer, object);
}

static void put_machines(struct writer *writer, const span_topo *topo)
{
	fputs(",\n\"machines\": [", writer->file);
	for (int32_t i = 0; i < topo->n_machines; i++) {
		fputs(i ? ",\n" : "\n", writer->file);
		put_machine(writer, topo->machines[i]);
	}
	fputs("],\n", writer->file);
}

span_status topo_write_json(const span_topo *topo, FILE *file)
{
	struct writer writer = { .file = file };

	put_source(&writer, topo);
	put_machines(&writer, topo);
	open_list(&writer, "places");
	for (int32_t i = 0; i < topo->n_places; i++)
		put_place(&writer, &topo->places[i]);
	fputs("],\n", file);
	open_list(&writer, "switches");
	for (int32_t i = 0; i < topo->n_switches; i++)
		put_switch(&writer, &topo->switches[i]);
	fputs("],\n", file);
	open_list(&writer, "notes");
	for (int32_t i = 0; i < topo->n_notes; i++)
		put_note(&writer, &topo->notes[i]);
	fputs("]}\n", file);
	if (ferror(file))
		return span_fail(SPAN_EIO, "JSON: not everything could be written");
	return writer.failed ? span_fail(SPAN_ENOMEM, "JSON: no memory for a line") : SPAN_OK;
}
