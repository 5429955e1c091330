/* A bounded XML parser: a document becomes a tree of elements. Private; the home of expat.
 *
 * Nothing in a document makes us hold more than a few times its own size or recurse: depth,
 * elements and attributes are limited, and a document that declares entities is refused, since
 * they can grow without bound. The tree belongs to the document and is constant. */
#ifndef SPAN_XML_H
#define SPAN_XML_H

#include "topo/span_status.h"

#define XML_MAX_BYTES (64u << 20)
#define XML_MAX_DEPTH 128
#define XML_MAX_ELEMENTS 500000
#define XML_MAX_ATTRIBUTES 64 /* of an element */

struct xml_attribute {
	const char *name, *value;
};

struct xml_element {
	const char *name;
	const char *text;         /* characters directly inside, without its children's; never NULL */
	const struct xml_attribute *attributes; /* [n_attributes], in the order of the document */
	int32_t n_attributes;
	int32_t line;             /* of its start tag, from 1 */
	struct xml_element *parent, *first, *next; /* first child, next sibling; or NULL */
};

struct xml;

/* Parse `bytes` of `text`; `name` stands for the file in messages. Returns SPAN_EPARSE naming
 * line and cause. */
span_status xml_parse(const char *text, size_t bytes, const char *name, struct xml **xml);
void xml_free(struct xml *xml); /* NULL is allowed */

const struct xml_element *xml_root(const struct xml *xml);

/* The value of an attribute, or NULL when the element has none of this name. */
const char *xml_value(const struct xml_element *element, const char *name);

/* The first child of this name, or NULL. */
const struct xml_element *xml_child(const struct xml_element *element, const char *name);

#endif
