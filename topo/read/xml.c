/* XML documents as bounded trees, through expat. */
#include "topo/read/xml.h"

#include <expat.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"

/* --- memory ------------------------------------------------------------------------------- */

/* Everything of a document lies in a few large blocks and is freed with them. */
struct block {
	struct block *before;
	size_t used, room;
	_Alignas(16) char bytes[];
};

#define BLOCK_BYTES ((size_t)64 << 10)

struct xml {
	struct block *blocks;
	struct xml_element *root;
};

static void *take(struct xml *xml, size_t bytes)
{
	struct block *block = xml->blocks;
	size_t room;

	bytes = (bytes + 15) & ~(size_t)15;
	if (!block || block->room - block->used < bytes) {
		room = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
		block = malloc(sizeof(*block) + room);
		if (!block)
			return NULL;
		*block = (struct block){ .before = xml->blocks, .room = room };
		xml->blocks = block;
	}
	block->used += bytes;
	return block->bytes + block->used - bytes;
}

static const char *copy_text(struct xml *xml, const char *text, size_t bytes)
{
	char *copy = take(xml, bytes + 1);

	if (copy) {
		memcpy(copy, text, bytes);
		copy[bytes] = '\0';
	}
	return copy;
}

void xml_free(struct xml *xml)
{
	struct block *block, *before;

	if (!xml)
		return;
	for (block = xml->blocks; block; block = before) {
		before = block->before;
		free(block);
	}
	free(xml);
}

/* --- building the tree -------------------------------------------------------------------- */

/* An element that is open: where its next child goes, and its text so far, which grows here and
 * is copied when it closes. */
struct open_element {
	struct xml_element *element;
	struct xml_element **last;
	char *text;
	size_t text_bytes, text_room;
};

struct builder {
	XML_Parser parser;
	const char *name;
	struct xml *xml;
	struct open_element open[XML_MAX_DEPTH];
	int32_t depth, elements;
	span_status status; /* the first failure; named already */
};

static void stop(struct builder *builder, span_status status)
{
	builder->status = status;
	XML_StopParser(builder->parser, XML_FALSE);
}

static void refuse(struct builder *builder, const char *cause)
{
	if (builder->status)
		return;
	stop(builder, span_fail(SPAN_EPARSE, "%.128s:%lu: %s", builder->name,
	                        (unsigned long)XML_GetCurrentLineNumber(builder->parser), cause));
}

static void no_memory(struct builder *builder)
{
	if (!builder->status)
		stop(builder, span_fail(SPAN_ENOMEM, "%.128s: no memory for its elements",
		                        builder->name));
}

static bool copy_attributes(struct xml *xml, struct xml_element *element, const XML_Char **pairs)
{
	struct xml_attribute *copies;
	int32_t i;

	copies = take(xml, (size_t)element->n_attributes * sizeof(*copies));
	if (!copies)
		return false;
	for (i = 0; i < element->n_attributes; i++) {
		copies[i].name = copy_text(xml, pairs[2 * i], strlen(pairs[2 * i]));
		copies[i].value = copy_text(xml, pairs[2 * i + 1], strlen(pairs[2 * i + 1]));
		if (!copies[i].name || !copies[i].value)
			return false;
	}
	element->attributes = copies;
	return true;
}

static struct xml_element *make_element(struct builder *builder, const char *name,
                                        const XML_Char **pairs)
{
	struct xml_element *element = take(builder->xml, sizeof(*element));
	int32_t n = 0;

	if (!element)
		return NULL;
	while (pairs[2 * n])
		n++;
	*element = (struct xml_element){ .text = "", .n_attributes = n };
	element->line = (int32_t)XML_GetCurrentLineNumber(builder->parser);
	element->name = copy_text(builder->xml, name, strlen(name));
	return element->name && copy_attributes(builder->xml, element, pairs) ? element : NULL;
}

static void XMLCALL on_start(void *user, const XML_Char *name, const XML_Char **pairs)
{
	struct builder *builder = user;
	struct open_element *above;
	struct xml_element *element;
	int32_t n = 0;

	if (builder->status)
		return;
	while (pairs[2 * n])
		n++;
	if (builder->depth == XML_MAX_DEPTH) {
		refuse(builder, "elements nested deeper than 128; no topology is that deep");
		return;
	}
	if (builder->elements++ == XML_MAX_ELEMENTS || n > XML_MAX_ATTRIBUTES) {
		refuse(builder, "more than 500000 elements, or 64 attributes of one; a topology "
		                "has fewer");
		return;
	}
	element = make_element(builder, name, pairs);
	if (!element) {
		no_memory(builder);
		return;
	}
	if (builder->depth) {
		above = &builder->open[builder->depth - 1];
		element->parent = above->element;
		*above->last = element;
		above->last = &element->next;
	} else {
		builder->xml->root = element;
	}
	builder->open[builder->depth++] =
		(struct open_element){ .element = element, .last = &element->first };
}

static void XMLCALL on_text(void *user, const XML_Char *text, int bytes)
{
	struct builder *builder = user;
	struct open_element *open;
	size_t wanted;
	char *grown;

	if (builder->status || !builder->depth)
		return;
	open = &builder->open[builder->depth - 1];
	wanted = open->text_bytes + (size_t)bytes;
	if (wanted > open->text_room) {
		grown = realloc(open->text, 2 * wanted);
		if (!grown) {
			no_memory(builder);
			return;
		}
		open->text = grown;
		open->text_room = 2 * wanted;
	}
	memcpy(open->text + open->text_bytes, text, (size_t)bytes);
	open->text_bytes = wanted;
}

static void XMLCALL on_end(void *user, const XML_Char *name)
{
	struct builder *builder = user;
	struct open_element *open;

	(void)name;
	if (builder->status)
		return;
	open = &builder->open[--builder->depth];
	if (open->text)
		open->element->text = copy_text(builder->xml, open->text, open->text_bytes);
	free(open->text);
	if (!open->element->text)
		no_memory(builder);
}

static void XMLCALL on_entity(void *user, const XML_Char *name, int is_parameter,
                              const XML_Char *value, int value_bytes, const XML_Char *base,
                              const XML_Char *system_id, const XML_Char *public_id,
                              const XML_Char *notation)
{
	(void)name, (void)is_parameter, (void)value, (void)value_bytes;
	(void)base, (void)system_id, (void)public_id, (void)notation;
	refuse(user, "declares an entity; remove the declaration, no topology needs one");
}

/* --- use ---------------------------------------------------------------------------------- */

static span_status run(struct builder *builder, const char *text, size_t bytes)
{
	enum XML_Status parsed;

	XML_SetUserData(builder->parser, builder);
	XML_SetElementHandler(builder->parser, on_start, on_end);
	XML_SetCharacterDataHandler(builder->parser, on_text);
	XML_SetEntityDeclHandler(builder->parser, on_entity);
	parsed = XML_Parse(builder->parser, text, (int)bytes, XML_TRUE);
	if (builder->status || parsed == XML_STATUS_OK)
		return builder->status;
	return span_fail(SPAN_EPARSE, "%.128s:%lu: XML expected: %s; is the file complete?",
	                 builder->name,
	                 (unsigned long)XML_GetCurrentLineNumber(builder->parser),
	                 XML_ErrorString(XML_GetErrorCode(builder->parser)));
}

span_status xml_parse(const char *text, size_t bytes, const char *name, struct xml **xml)
{
	struct builder *builder;
	span_status status;

	if (bytes > XML_MAX_BYTES)
		return span_fail(SPAN_EPARSE, "%.128s: %zu bytes of XML; at most %u are read", name,
		                 bytes, XML_MAX_BYTES);
	builder = calloc(1, sizeof(*builder));
	if (builder) {
		builder->name = name;
		builder->xml = calloc(1, sizeof(*builder->xml));
		builder->parser = XML_ParserCreate(NULL);
	}
	if (!builder || !builder->xml || !builder->parser)
		status = span_fail(SPAN_ENOMEM, "%.128s: no memory to parse it", name);
	else
		status = run(builder, text, bytes);
	if (builder) {
		while (builder->depth)
			free(builder->open[--builder->depth].text);
		XML_ParserFree(builder->parser);
		if (!status)
			*xml = builder->xml;
		else
			xml_free(builder->xml);
	}
	free(builder);
	return status;
}

const struct xml_element *xml_root(const struct xml *xml)
{
	return xml->root;
}

const char *xml_value(const struct xml_element *element, const char *name)
{
	int32_t i;

	for (i = 0; i < element->n_attributes; i++)
		if (strcmp(element->attributes[i].name, name) == 0)
			return element->attributes[i].value;
	return NULL;
}

const struct xml_element *xml_child(const struct xml_element *element, const char *name)
{
	const struct xml_element *child;

	for (child = element->first; child; child = child->next)
		if (strcmp(child->name, name) == 0)
			return child;
	return NULL;
}
