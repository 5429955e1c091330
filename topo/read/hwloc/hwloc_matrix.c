/* Matrices of distances in hwloc's XML. */
#include "topo/read/hwloc/hwloc_matrix.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"

/* An object by what matrices know it by. */
struct key {
	int64_t index;
	int32_t object;
};

struct keys {
	struct key *items;
	int32_t n;
};

static span_status fail(const struct hw_tree *tree, const struct xml_element *element,
                        const char *cause)
{
	return span_fail(SPAN_EPARSE, "%.200s:%d: %s", tree->source->name, element->line, cause);
}

static int compare_keys(const void *first, const void *second)
{
	const struct key *a = first, *b = second;

	if (a->index != b->index)
		return a->index < b->index ? -1 : 1;
	return a->object < b->object ? -1 : a->object > b->object;
}

/* All objects by gp_index, which is unique. */
static span_status make_keys(const struct hw_tree *tree, struct keys *keys)
{
	int32_t i;

	keys->items = calloc((size_t)tree->n_objects, sizeof(*keys->items));
	if (!keys->items)
		return span_fail(SPAN_ENOMEM, "%.200s: no memory for a matrix", tree->source->name);
	for (i = 0; i < tree->n_objects; i++)
		if (tree->objects[i].gp_index >= 0)
			keys->items[keys->n++] = (struct key){ tree->objects[i].gp_index, i };
	qsort(keys->items, (size_t)keys->n, sizeof(*keys->items), compare_keys);
	return SPAN_OK;
}

static int32_t find_key(const struct keys *keys, int64_t index)
{
	int32_t low = 0, high = keys->n;

	while (low < high) {
		int32_t middle = low + (high - low) / 2;

		if (keys->items[middle].index < index)
			low = middle + 1;
		else
			high = middle;
	}
	return low < keys->n && keys->items[low].index == index ? keys->items[low].object : -1;
}

/* "12", or with its type "OSDev:12" where the objects are of several types. */
static bool read_index(const char **at, int64_t *index)
{
	const char *colon = *at;
	char *end;

	while (*colon && *colon != ':' && *colon != ' ' && *colon != '\n' && *colon != '\t')
		colon++;
	if (*colon == ':')
		*at = colon + 1;
	errno = 0;
	*index = strtoll(*at, &end, 10);
	if (end == *at || errno)
		return false;
	*at = end;
	return true;
}

static void skip_blanks(const char **at)
{
	while (**at == ' ' || **at == '\n' || **at == '\t' || **at == '\r')
		(*at)++;
}

static span_status read_indexes(const struct hw_tree *tree, const struct xml_element *element,
                                const struct keys *keys, struct hw_matrix *matrix)
{
	const struct xml_element *part;
	int32_t n = 0;
	int64_t index;

	for (part = element->first; part; part = part->next) {
		const char *at = part->text;

		if (strcmp(part->name, "indexes"))
			continue;
		for (skip_blanks(&at); *at; skip_blanks(&at)) {
			if (n == matrix->n || !read_index(&at, &index))
				return fail(tree, part, n == matrix->n
				                                ? "more indexes than nbobjs says"
				                                : "an index such as 12 or OSDev:12 "
				                                  "was expected");
			matrix->objects[n++] = find_key(keys, index);
		}
	}
	return n == matrix->n ? SPAN_OK : fail(tree, element, "fewer indexes than nbobjs says; "
	                                                      "is the file complete?");
}

static span_status read_values(const struct hw_tree *tree, const struct xml_element *element,
                               struct hw_matrix *matrix)
{
	const struct xml_element *part;
	size_t n = 0, most = (size_t)matrix->n * (size_t)matrix->n;

	for (part = element->first; part; part = part->next) {
		const char *at = part->text;

		if (strcmp(part->name, "u64values"))
			continue;
		for (skip_blanks(&at); *at; skip_blanks(&at)) {
			char *end;

			if (n == most)
				return fail(tree, part, "more values than nbobjs x nbobjs");
			errno = 0;
			matrix->values[n++] = (double)strtoull(at, &end, 10);
			if (end == at || errno || *at == '-')
				return fail(tree, part, "a whole number was expected among the "
				                        "values");
			at = end;
		}
	}
	return n == most ? SPAN_OK : fail(tree, element, "fewer values than nbobjs x nbobjs; is "
	                                                 "the file complete?");
}

static const struct xml_element *find_matrix(const struct hw_tree *tree, const char *name)
{
	const struct xml_element *child;

	for (child = tree->root->first; child; child = child->next) {
		const char *own = xml_value(child, "name");

		if (own && strcmp(own, name) == 0 &&
		    (strcmp(child->name, "distances2") == 0 ||
		     strcmp(child->name, "distances2hetero") == 0))
			return child;
	}
	return NULL;
}

static span_status read_element(const struct hw_tree *tree, const struct xml_element *element,
                                struct hw_matrix *matrix)
{
	const char *text = xml_value(element, "nbobjs");
	long n = text ? strtol(text, NULL, 10) : 0;
	struct keys keys = { 0 };
	span_status status;

	if (n < 1 || n > HW_MATRIX_MOST)
		return span_fail(SPAN_EPARSE, "%.200s:%d: nbobjs is %ld; from 1 to %d were expected",
		                 tree->source->name, element->line, n, HW_MATRIX_MOST);
	matrix->n = (int32_t)n;
	matrix->objects = calloc((size_t)n, sizeof(*matrix->objects));
	matrix->values = calloc((size_t)n * (size_t)n, sizeof(*matrix->values));
	status = make_keys(tree, &keys);
	if (!status && (!matrix->objects || !matrix->values))
		status = span_fail(SPAN_ENOMEM, "%.200s: no memory for a matrix",
		                   tree->source->name);
	if (!status)
		status = read_indexes(tree, element, &keys, matrix);
	if (!status)
		status = read_values(tree, element, matrix);
	free(keys.items);
	return status;
}

span_status hw_matrix_read(const struct hw_tree *tree, const char *name, bool *found,
                           struct hw_matrix *matrix)
{
	const struct xml_element *element = find_matrix(tree, name);
	span_status status;

	*matrix = (struct hw_matrix){ 0 };
	*found = element != NULL;
	if (!element)
		return SPAN_OK;
	status = read_element(tree, element, matrix);
	if (status)
		hw_matrix_free(matrix);
	return status;
}

void hw_matrix_free(struct hw_matrix *matrix)
{
	free(matrix->objects);
	free(matrix->values);
	*matrix = (struct hw_matrix){ 0 };
}
