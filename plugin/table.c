/* The compiled decision: building it and looking at it. */
#include "plugin/table_parts.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/digest.h"
#include "topo/log.h"

/* --- building ----------------------------------------------------------------------------- */

static bool grow(void **data, size_t items, size_t size)
{
	void *more = realloc(*data, items * size);

	if (more)
		*data = more;
	return more != NULL;
}

/* Room for one more segment, its end in starts, and n more choices. */
static span_status make_room(span_table *table, int n)
{
	int32_t room = table->segments_room ? 2 * table->segments_room : 16;

	if (table->segments == table->segments_room) {
		if (!grow((void **)&table->borders, (size_t)room, sizeof(*table->borders)) ||
		    !grow((void **)&table->starts, (size_t)room + 1, sizeof(*table->starts)))
			return span_fail(SPAN_ENOMEM, "span_table_add: no memory");
		table->segments_room = room;
	}
	room = table->choices_room ? table->choices_room : 16;
	while (room < table->n_choices + n)
		room *= 2;
	if (room > table->choices_room) {
		if (!grow((void **)&table->choices, (size_t)room, sizeof(*table->choices)))
			return span_fail(SPAN_ENOMEM, "span_table_add: no memory");
		table->choices_room = room;
	}
	return SPAN_OK;
}

static bool same_choice(const struct span_choice *a, const struct span_choice *b)
{
	return a->chunk == b->chunk && a->beats == b->beats && a->pipe_ops == b->pipe_ops &&
	       a->channels == b->channels && a->line == b->line && a->algo == b->algo &&
	       a->proto == b->proto && a->reason == b->reason && a->flat == b->flat;
}

/* Whether the last segment, if it is of this collective, says the same. */
static bool same_as_last(const span_table *table, int coll, const struct span_choice *choices,
                         int n)
{
	int32_t last = table->segments - 1;

	if (!table->parts[coll].segments || table->starts[last + 1] - table->starts[last] != n)
		return false;
	for (int i = 0; i < n; i++)
		if (!same_choice(&table->choices[table->starts[last] + i], &choices[i]))
			return false;
	return true;
}

span_status span_table_add(span_table *table, int coll, uint64_t first,
                           const struct span_choice *choices, int n)
{
	struct span_part *part = &table->parts[coll];
	span_status status;

	if (same_as_last(table, coll, choices, n))
		return SPAN_OK;
	status = make_room(table, n);
	if (status)
		return status;
	if (!part->segments)
		part->first = table->segments;
	part->segments++;
	table->borders[table->segments] = first;
	table->starts[table->segments++] = table->n_choices;
	if (n)
		memcpy(table->choices + table->n_choices, choices, (size_t)n * sizeof(*choices));
	table->n_choices += n;
	table->starts[table->segments] = table->n_choices;
	return SPAN_OK;
}

/* --- from lists to answers ---------------------------------------------------------------- */

static bool is_plain(const struct span_choice *choice)
{
	return choice->beats != SPAN_BEATS_ALL && choice->pipe_ops == 1 && choice->channels <= 0;
}

/* The first cell of a list that is worth more than what NCCL would take. */
static uint8_t cell_against(const struct span_choice *choices, int n, int own)
{
	for (int i = 0; i < n; i++)
		if (choices[i].beats >> own & 1)
			return (uint8_t)(choices[i].algo * SPAN_PROTOS + choices[i].proto);
	return SPAN_NO_CELL;
}

static struct span_answer answer_of(const struct span_choice *choices, int n)
{
	struct span_answer answer = { .kind = n ? SPAN_KIND_CELLS : SPAN_KIND_EMPTY };

	memset(answer.cells, SPAN_NO_CELL, sizeof(answer.cells));
	for (int i = 0; i < n; i++)
		if (!is_plain(&choices[i]))
			answer.kind = SPAN_KIND_LIST;
	for (int own = 0; own < SPAN_CELLS && answer.kind == SPAN_KIND_CELLS; own++)
		answer.cells[own / SPAN_PROTOS * 4 + own % SPAN_PROTOS] =
			cell_against(choices, n, own);
	return answer;
}

/* Places that no size has stay empty, as the only one of a collective without a segment does. */
static void fill_answers(span_table *table)
{
	size_t place = 0;
	int32_t at = 0;

	for (int coll = 0; coll < SPAN_COLLS; coll++) {
		for (; place < span_index_first(&table->index, coll); place++)
			table->lists[place] = table->starts[at];
		for (int32_t end = at + table->parts[coll].segments; at < end; at++, place++) {
			table->lists[place] = table->starts[at];
			table->answers[place] = answer_of(table->choices + table->starts[at],
			                                  table->starts[at + 1] -
			                                          table->starts[at]);
		}
	}
	for (; place <= table->index.places; place++)
		table->lists[place] = table->starts[at];
}

static void free_asked(span_table *table)
{
	free(table->index.above);
	free(table->answers);
	free(table->lists);
	table->index.above = NULL;
	table->answers = NULL;
	table->lists = NULL;
}

span_status span_table_finish(span_table *table)
{
	struct span_borders borders[SPAN_COLLS];
	struct span_index *index = &table->index;
	span_status status;

	for (int coll = 0; coll < SPAN_COLLS; coll++)
		borders[coll] = (struct span_borders){ table->borders + table->parts[coll].first,
			                               table->parts[coll].segments };
	free_asked(table);
	status = span_index_build(borders, index);
	if (status)
		return status;
	table->answers = aligned_alloc(sizeof(*table->answers),
	                               index->places * sizeof(*table->answers));
	table->lists = calloc(index->places + 1, sizeof(*table->lists));
	if (!table->answers || !table->lists)
		return span_fail(SPAN_ENOMEM, "span_table_finish: no memory");
	memset(table->answers, 0, index->places * sizeof(*table->answers)); /* empty */
	fill_answers(table);
	return SPAN_OK;
}

/* --- a table ------------------------------------------------------------------------------ */

span_status span_table_create(span_table **table)
{
	span_table *made = calloc(1, sizeof(*made));
	span_status status;

	if (!made)
		return span_fail(SPAN_ENOMEM, "span_table_create: no memory");
	status = make_room(made, 0);
	if (!status) {
		made->starts[0] = 0;
		status = span_table_finish(made);
	}
	if (status)
		span_table_free(made);
	else
		*table = made;
	return status;
}

void span_table_free(span_table *table)
{
	if (!table)
		return;
	free_asked(table);
	free(table->borders);
	free(table->starts);
	free(table->choices);
	free(table);
}

/* --- looking ------------------------------------------------------------------------------ */

int32_t span_table_segments(const span_table *table, int coll)
{
	return table->parts[coll].segments;
}

const struct span_choice *span_table_segment(const span_table *table, int coll, int32_t segment,
                                             uint64_t *first, int *n)
{
	int32_t at = table->parts[coll].first + segment;

	*first = table->borders[at];
	*n = table->starts[at + 1] - table->starts[at];
	return table->choices + table->starts[at];
}

static uint64_t digest_choice(uint64_t digest, const struct span_choice *choice)
{
	digest = digest_number(digest, choice->chunk);
	digest = digest_number(digest, choice->beats);
	digest = digest_number(digest, (uint32_t)choice->pipe_ops);
	digest = digest_number(digest, (uint32_t)choice->channels);
	digest = digest_number(digest, (uint64_t)(choice->algo * SPAN_PROTOS + choice->proto));
	return digest_number(digest, choice->flat);
}

uint64_t span_table_digest(const span_table *table)
{
	uint64_t digest = DIGEST_START, first;
	const struct span_choice *choices;
	int n;

	for (int coll = 0; coll < SPAN_COLLS; coll++) {
		digest = digest_number(digest, (uint64_t)span_table_segments(table, coll));
		for (int32_t i = 0; i < span_table_segments(table, coll); i++) {
			choices = span_table_segment(table, coll, i, &first, &n);
			digest = digest_number(digest, first);
			digest = digest_number(digest, (uint64_t)n);
			for (int c = 0; c < n; c++)
				digest = digest_choice(digest, &choices[c]);
		}
	}
	return digest;
}
