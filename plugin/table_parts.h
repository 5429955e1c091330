/* What a table is made of: shared by its building, table.c, and its asking, table_ask.c. Private.
 *
 * A table is built as lists of choices, and asked through answers: what to do, at once, for each
 * cell that NCCL may take by itself. The list is read only where an answer is not so simple. */
#ifndef SPAN_PLUGIN_TABLE_PARTS_H
#define SPAN_PLUGIN_TABLE_PARTS_H

#include "plugin/index.h"
#include "plugin/table.h"

/* Where an answer keeps NCCL's own choice: algorithm * 4 + protocol, or that it has none. */
enum { SPAN_SLOT_NONE = 4 * SPAN_ALGOS, SPAN_SLOTS };

/* What a segment says. */
enum span_kind {
	SPAN_KIND_EMPTY, /* nothing */
	SPAN_KIND_LIST,  /* what its list says */
	SPAN_KIND_CELLS  /* lower cells[NCCL's own choice], if it is one operation */
};

#define SPAN_NO_CELL 0xff

struct span_answer {
	uint8_t cells[SPAN_SLOTS]; /* SPAN_NO_CELL: none */
	uint8_t kind;              /* span_kind */
	uint8_t unused[2];
};

_Static_assert(sizeof(struct span_answer) == 32, "half a cache line, and aligned: one miss");

/* A collective's part of the segments: [first, first + segments). */
struct span_part {
	int32_t first;
	int32_t segments;
};

struct span_table {
	/* asked, by place */
	struct span_index index;
	struct span_answer *answers;
	int32_t *lists; /* the choices of a place are [lists[i], lists[i + 1]) */
	/* built, by segment */
	struct span_part parts[SPAN_COLLS];
	uint64_t *borders; /* the first size of each segment */
	int32_t *starts;   /* its choices are [starts[i], starts[i + 1]) */
	struct span_choice *choices;
	int32_t segments, segments_room;
	int32_t n_choices, choices_room;
};

#endif
