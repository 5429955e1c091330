/* A topology as JSON: everything but what is computed from the rest (paths, numbers of nodes).
 * README.md of this folder describes the format; json_fields.c is its vocabulary, shared by the
 * writer and the reader (read_topo_json in reader.h). Private. */
#ifndef SPAN_JSON_H
#define SPAN_JSON_H

#include <stdio.h>
#include "topo/graph/graph.h"

#define TOPO_JSON_VERSION 1

/* Write a topology, a node or a link a line; the same topology gives the same bytes. SPAN_EIO
 * when the file has an error. */
span_status topo_write_json(const span_topo *topo, FILE *file);

/* Text that may be no UTF-8, which JSON has to be: each byte that is wrong becomes '?'. */
void json_clean_utf8(char *text);

/* --- vocabulary --------------------------------------------------------------------------- */

enum json_field_type {
	FIELD_INT,   /* int32_t, from `low` to `high` */
	FIELD_HEX,   /* uint32_t, as text "0x..." */
	FIELD_GUID,  /* uint64_t, as text "0x..." */
	FIELD_REAL,  /* double, at least 0 */
	FIELD_TEXT,  /* char *, owned, "" when unknown */
	FIELD_WORD   /* an enum, by its name among `words` */
};

/* A field is left out where it has the value that means "not known". */
struct json_field {
	const char *name;
	enum json_field_type type;
	size_t offset;
	int32_t unknown, low, high;     /* FIELD_INT */
	const char *const *words;       /* FIELD_WORD, NULL at the end; the first is not written */
};

/* Of struct graph_node (kind, host and parent apart), and of struct graph_link (class, from
 * and to apart); a NULL name ends them. */
extern const struct json_field json_node_fields[];
extern const struct json_field json_link_fields[];

#endif
