/* Texts as topology sources: whole, cut off, shuffled. */
#ifndef TESTS_TEXT_CASES_H
#define TESTS_TEXT_CASES_H

#include "topo/span_topo.h"

/* A file of tests/data, with a 0 behind its bytes; to be freed. */
char *text_of(const char *path, size_t *bytes);

/* Parse a text that has to be right; the name stands for its file. */
span_topo *text_parse(const char *text, const char *name);

/* Parse a text that has to be refused with one line; returns the line. */
const char *text_refused(const char *text, size_t bytes, const char *name);

/* Whether a text is accepted or refused with one line that begins with its name: what every text
 * has to be. The test fails if not. */
int text_is_judged(const char *text, size_t bytes, const char *name);

/* Judge a file cut off after each of its bytes, and with its lines in other orders. Returns how
 * many of the texts were refused. */
int text_cut_everywhere(const char *path);
int text_shuffled(const char *path, int rounds);

/* Node number of an id such as "gpu3" or "h1/nic0"; the test fails when there is none. */
int32_t text_node(const span_topo *topo, const char *id);

/* The class of the path between two ids, and its bandwidth in GB/s. */
const char *text_class(const span_topo *topo, const char *from, const char *to);
double text_gbps(const span_topo *topo, const char *from, const char *to);

/* The first note with these words in its text, or NULL. */
const char *text_note(const span_topo *topo, const char *words);

#endif
