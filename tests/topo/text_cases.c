#include "tests/topo/text_cases.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/topo/log_capture.h"

char *text_of(const char *path, size_t *bytes)
{
	FILE *file = fopen(path, "r");
	char *text = malloc(1 << 20);

	cr_assert(file && text, "%s", path);
	*bytes = fread(text, 1, (1 << 20) - 1, file);
	text[*bytes] = '\0';
	fclose(file);
	return text;
}

span_topo *text_parse(const char *text, const char *name)
{
	span_topo *topo = NULL;

	log_capture();
	cr_assert_eq(span_topo_parse(text, strlen(text), name, NULL, &topo), SPAN_OK, "%s",
	             log_captured());
	return topo;
}

int text_is_judged(const char *text, size_t bytes, const char *name)
{
	span_topo *topo = NULL;
	span_status status;

	log_capture();
	status = span_topo_parse(text, bytes, name, NULL, &topo);
	if (!status) {
		span_topo_free(topo);
		return 1;
	}
	cr_assert_eq(log_captured_count(), 1, "%s, %zu bytes: %d messages", name, bytes,
	             log_captured_count());
	cr_assert(status == SPAN_EPARSE || status == SPAN_EUNSUPPORTED, "%s, %zu bytes: %d", name,
	          bytes, (int)status);
	cr_assert_eq(strncmp(log_captured(), name, strnlen(name, 128)), 0, "%s", log_captured());
	cr_assert_null(strchr(log_captured(), '\n'), "%s", log_captured());
	return 0;
}

const char *text_refused(const char *text, size_t bytes, const char *name)
{
	cr_assert_eq(text_is_judged(text, bytes, name), 0, "\"%s\" was accepted", text);
	return log_captured();
}

int text_cut_everywhere(const char *path)
{
	size_t bytes;
	char *text = text_of(path, &bytes);
	int refused = 0;

	for (size_t n = 0; n < bytes; n++) {
		char *cut = malloc(n ? n : 1); /* reading behind it is seen by a sanitizer */

		memcpy(cut, text, n);
		refused += !text_is_judged(cut, n, path);
		free(cut);
	}
	free(text);
	return refused;
}

/* Exchange two random lines that the text has pointers to. */
static void exchange(char **line, size_t n, unsigned *random)
{
	size_t a, b;
	char *other;

	*random = *random * 1664525u + 1013904223u;
	a = (*random >> 8) % n;
	*random = *random * 1664525u + 1013904223u;
	b = (*random >> 8) % n;
	other = line[a];
	line[a] = line[b];
	line[b] = other;
}

int text_shuffled(const char *path, int rounds)
{
	size_t bytes, n = 0;
	char *text = text_of(path, &bytes), *line[256], *shuffled = calloc(1, bytes + 2);
	unsigned random = 1;
	int refused = 0;

	for (char *at = text, *next; at && n < 256; at = next) {
		next = strchr(at, '\n');
		if (next)
			*next++ = '\0';
		line[n++] = at;
	}
	for (int round = 0; round < rounds; round++) {
		shuffled[0] = '\0';
		exchange(line, n, &random);
		for (size_t i = 0; i < n; i++)
			strcat(strcat(shuffled, line[i]), "\n");
		refused += !text_is_judged(shuffled, strlen(shuffled), path);
	}
	free(shuffled);
	free(text);
	return refused;
}

int32_t text_node(const span_topo *topo, const char *id)
{
	int32_t node = span_topo_find(topo, id);

	cr_assert_geq(node, 0, "no %s", id);
	return node;
}

static span_topo_path path_between(const span_topo *topo, const char *from, const char *to)
{
	span_topo_path path;

	cr_assert_eq(span_topo_path_between(topo, text_node(topo, from), text_node(topo, to), &path),
	             SPAN_OK);
	return path;
}

const char *text_class(const span_topo *topo, const char *from, const char *to)
{
	return span_path_class_name(path_between(topo, from, to).path_class);
}

double text_gbps(const span_topo *topo, const char *from, const char *to)
{
	return path_between(topo, from, to).bandwidth / 1e9;
}

const char *text_note(const span_topo *topo, const char *words)
{
	for (int32_t i = 0; i < span_topo_notes(topo); i++) {
		span_topo_note note;

		span_topo_note_at(topo, i, &note);
		if (strstr(note.text, words))
			return note.text;
	}
	return NULL;
}
