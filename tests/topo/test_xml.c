/* XML trees: what is kept, and what is refused in one line. */
#include "topo/read/xml.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/topo/log_capture.h"

static struct xml *parse(const char *text)
{
	struct xml *xml = NULL;

	cr_assert_eq(xml_parse(text, strlen(text), "file", &xml), SPAN_OK);
	return xml;
}

static void refuse(const char *text, size_t bytes, const char *message)
{
	struct xml *xml = NULL;

	log_capture();
	cr_assert_eq(xml_parse(text, bytes, "file", &xml), SPAN_EPARSE, "%s", message);
	cr_assert_null(xml);
	cr_assert_eq(log_captured_count(), 1);
	cr_assert(strstr(log_captured(), message), "%s: not \"%s\"", log_captured(), message);
}

Test(xml, a_document_becomes_a_tree_with_lines)
{
	struct xml *xml = parse("<?xml version='1.0'?>\n<a x='1' y='two &amp; three'>\n"
	                        "<b/>\n<c>\ntext<d/> more</c></a>");
	const struct xml_element *root = xml_root(xml), *b = root->first, *c = b->next;

	cr_assert_str_eq(root->name, "a");
	cr_assert_eq(root->line, 2);
	cr_assert_eq(root->n_attributes, 2);
	cr_assert_str_eq(root->attributes[1].name, "y");
	cr_assert_str_eq(xml_value(root, "y"), "two & three");
	cr_assert_null(xml_value(root, "z"));
	cr_assert_str_eq(b->name, "b");
	cr_assert_str_eq(b->text, "");
	cr_assert_eq(b->line, 3);
	cr_assert_eq(c->parent, root);
	cr_assert_null(c->next);
	cr_assert_eq(c->line, 4);
	cr_assert_str_eq(c->text, "\ntext more");
	cr_assert_eq(xml_child(root, "c"), c);
	cr_assert_null(xml_child(root, "d"));
	xml_free(xml);
	xml_free(NULL);
}

Test(xml, a_document_type_without_entities_is_fine)
{
	struct xml *xml = parse("<!DOCTYPE topology SYSTEM \"hwloc2.dtd\"><topology/>");

	cr_assert_str_eq(xml_root(xml)->name, "topology");
	xml_free(xml);
}

static void refuse_text(const char *text, const char *message)
{
	refuse(text, strlen(text), message);
}

Test(xml, what_is_not_well_formed_is_refused_with_its_line)
{
	refuse_text("", "file:1: XML expected");
	refuse_text("<a>\n<b>\n", "file:3: XML expected: no element found; is the file complete?");
	refuse_text("<a>\n</b></a>", "file:2: XML expected: mismatched tag");
	refuse_text("<a/><b/>", "file:1: XML expected");
	refuse_text("plain text", "file:1: XML expected");
	refuse("<a>\0</a>", 8, "file:1: XML expected");
	refuse_text("<a>\n<b x='1' x='2'/></a>", "file:2: XML expected: duplicate attribute");
}

/* The billion laughs, and an entity that would read a file: refused before they are used. */
Test(xml, declaring_an_entity_is_refused)
{
	refuse_text("<!DOCTYPE a [\n<!ENTITY x 'ha'>\n<!ENTITY y '&x;&x;&x;&x;&x;&x;&x;&x;'>]>"
	            "<a>&y;</a>", "file:2: declares an entity");
	refuse_text("<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>",
	            "declares an entity");
	refuse_text("<!DOCTYPE a [<!ENTITY % x '1'>]><a/>", "declares an entity");
}

static char *repeat(const char *begin, const char *piece, int times, const char *end)
{
	size_t bytes = strlen(begin) + strlen(piece) * (size_t)times + strlen(end) + 1;
	char *text = malloc(bytes), *at = text;
	int i;

	cr_assert(text);
	at = stpcpy(at, begin);
	for (i = 0; i < times; i++)
		at = stpcpy(at, piece);
	stpcpy(at, end);
	return text;
}

Test(xml, nesting_is_bounded)
{
	char *text = repeat("", "<a>", XML_MAX_DEPTH, ""), *whole;
	char *deep = repeat("", "<a>", 100000, "");

	refuse_text(deep, "file:1: elements nested deeper than 128");
	whole = repeat(text, "</a>", XML_MAX_DEPTH, "");
	xml_free(parse(whole));
	free(text);
	free(whole);
	free(deep);
}

Test(xml, elements_and_attributes_are_bounded)
{
	char *most = repeat("<a>", "<b/>", XML_MAX_ELEMENTS - 1, "</a>");
	char *more = repeat("<a>", "<b/>", XML_MAX_ELEMENTS, "</a>");
	char many[1024] = "<a", *at = many + 2;
	int i;

	xml_free(parse(most));
	refuse_text(more, "more than 500000 elements");
	for (i = 0; i < XML_MAX_ATTRIBUTES; i++)
		at += sprintf(at, " x%d='1'", i);
	strcpy(at, "/>");
	xml_free(parse(many));
	strcpy(at, " y='1'/>");
	refuse_text(many, "64 attributes");
	free(most);
	free(more);
}

Test(xml, bytes_are_bounded)
{
	struct xml *xml = NULL;

	log_capture();
	cr_assert_eq(xml_parse("<a/>", (size_t)XML_MAX_BYTES + 1, "file", &xml), SPAN_EPARSE);
	cr_assert(strstr(log_captured(), "bytes of XML; at most"), "%s", log_captured());
}

/* Every beginning of a document is either whole or refused, and leaks nothing. */
Test(xml, every_truncation_is_refused)
{
	const char *text = "<?xml version='1.0'?><a x='1'>t<b y='2'>u</b><!-- c --><c/></a>";
	size_t n;

	for (n = 0; n < strlen(text); n++)
		refuse(text, n, "file:1: XML expected");
}
