/* Lines and words of a text source. Private.
 *
 * What terminals leave in a copied text (escape sequences, carriage returns, backspaces) is
 * taken out. Bounded: a line that is longer, or has more words, is refused by its number. */
#ifndef SPAN_LINES_H
#define SPAN_LINES_H

#include "topo/read/reader.h"

#define LINE_MAX_BYTES 32768
#define LINE_MAX_WORDS 2048

struct lines {
	const char *name;              /* of the source, for messages */
	const char *at, *end;
	int32_t number;                /* of the current line, from 1 */
	bool comments;                 /* '#' begins one */
	bool quotes;                   /* "several words" are one word */
	int32_t n_words;
	char *words[LINE_MAX_WORDS];   /* in `text` */
	char text[LINE_MAX_BYTES + 1]; /* the current line, cut into words */
};

/* Begin with the first line of a source; a byte order mark is skipped. */
void lines_begin(struct lines *lines, const struct source *source);

/* Go to the next line; *more becomes false when there is none. */
span_status lines_next(struct lines *lines, bool *more);

/* The same, passing over lines without words. */
span_status lines_next_words(struct lines *lines, bool *more);

/* Fail with SPAN_EPARSE, naming source and line. */
__attribute__((format(printf, 2, 3)))
span_status lines_fail(const struct lines *lines, const char *format, ...);

/* Whether word i is there and is `word`. */
bool lines_is(const struct lines *lines, int32_t i, const char *word);

/* Read a whole number from `low` to `high` that fills the text. */
bool text_number(const char *text, int32_t low, int32_t high, int32_t *number);

/* Read "450GB/s", "400Gb/s", "25000MB/s" (decimal, bytes or bits) as bytes a second. */
bool text_bandwidth(const char *text, double *bandwidth);

/* Turn a list of processors such as "0-55,112-167" into the words that NCCL and Linux write, 32
 * bits each in hexadecimal, the highest first; "" when it is no list, or names one above 4095. */
#define CPU_MASK_BYTES (4096 / 32 * 9 + 1)
void text_cpu_mask(const char *list, char mask[CPU_MASK_BYTES]);

/* Read "4:1" as 4.0. Both numbers are from 1 to 1,000,000. */
bool text_ratio(const char *text, double *ratio);

#endif
