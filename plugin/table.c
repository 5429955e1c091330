/* The compiled decision: building it and searching in it. */
#include "plugin/table.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/digest.h"
#include "topo/log.h"

/* A collective's part of the arrays: segments [first, first + segments). */
struct part {
	int32_t first;
	int32_t segments;
};

struct span_table {
	struct part parts[SPAN_COLLS];
	uint64_t *borders; /* the first size of each segment */
	int32_t *starts;   /* its choices are [starts[i], starts[i + 1]) */
	uint32_t *beaten;  /* cells that one of them beats for its evidence */
	struct span_choice *choices;
	int32_t segments, segments_room;
	int32_t n_choices, choices_room;
};

/* --- building ----------------------------------------------------------------------------- */

span_status span_table_create(span_table **table)
{
	span_table *made = calloc(1, sizeof(*made));

	if (!made)
		return span_fail(SPAN_ENOMEM, "span_table_create: no memory");
	*table = made;
	return SPAN_OK;
}

void span_table_free(span_table *table)
{
	if (!table)
		return;
	free(table->borders);
	free(table->starts);
	free(table->beaten);
	free(table->choices);
	free(table);
}

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
		    !grow((void **)&table->starts, (size_t)room + 1, sizeof(*table->starts)) ||
		    !grow((void **)&table->beaten, (size_t)room, sizeof(*table->beaten)))
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

static uint32_t beaten_by(const struct span_choice *choices, int n)
{
	uint32_t cells = 0;

	for (int i = 0; i < n; i++)
		if (choices[i].beats != SPAN_BEATS_ALL)
			cells |= choices[i].beats;
	return cells;
}

span_status span_table_add(span_table *table, int coll, uint64_t first,
                           const struct span_choice *choices, int n)
{
	struct part *part = &table->parts[coll];
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
	table->beaten[table->segments] = beaten_by(choices, n);
	table->starts[table->segments++] = table->n_choices;
	if (n)
		memcpy(table->choices + table->n_choices, choices, (size_t)n * sizeof(*choices));
	table->n_choices += n;
	table->starts[table->segments] = table->n_choices;
	return SPAN_OK;
}

/* --- asking ------------------------------------------------------------------------------- */

struct choices {
	const struct span_choice *next, *end;
	uint32_t beaten;
};

/* The segment of a size: the last whose first size is not above it. Halving without branches,
 * for sizes come in no order that could be foreseen. */
static struct choices find(const span_table *table, int coll, uint64_t bytes)
{
	struct choices none = { NULL, NULL, 0 };
	const struct part *part;
	const uint64_t *border;
	int32_t left, half, at;

	if (coll < 0 || coll >= SPAN_COLLS)
		return none;
	part = &table->parts[coll];
	if (!part->segments)
		return none;
	border = table->borders + part->first;
	for (left = part->segments; left > 1; left -= half) {
		half = left / 2;
		border += border[half] <= bytes ? half : 0;
	}
	at = (int32_t)(border - table->borders);
	return (struct choices){ table->choices + table->starts[at],
		                 table->choices + table->starts[at + 1],
		                 table->beaten[at] };
}

/* A cell as a number: smaller is what NCCL prefers. Floats from 0 up are ordered as their bits
 * are, and the sign bit makes -1 larger than all of them; of equal times the first cell wins. */
static uint64_t key_of(const float *costs, int cell)
{
	uint32_t bits;

	memcpy(&bits, &costs[cell], sizeof(bits));
	return (uint64_t)bits << 8 | (uint64_t)cell;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The cell that NCCL takes by itself: the first strict minimum of those that are to be had; -1
 * for none. One chain of comparisons for each protocol, without branches: a single chain would
 * take three times as long. NCCL's search starts at an hour. */
static int own_choice(const float *costs, int algos)
{
	const float hour = 3600000000.0f;
	uint64_t none = key_of(&hour, 0), ll = none, ll128 = none, simple = none;

	for (int cell = 0; cell < algos * SPAN_PROTOS; cell += SPAN_PROTOS) {
		ll = least(ll, key_of(costs, cell + SPAN_LL));
		ll128 = least(ll128, key_of(costs, cell + SPAN_LL128));
		simple = least(simple, key_of(costs, cell + SPAN_SIMPLE));
	}
	ll = least(ll, least(ll128, simple));
	return ll < none ? (int)(ll & 0xff) : -1;
}

/* Whether a set of cells has this one; one beyond the cells we know is in none. */
static bool has_cell(uint32_t cells, int cell)
{
	return cell >= 0 && cell < SPAN_CELLS && cells >> cell & 1;
}

#define NOT_FOUND_YET -2

void span_table_choose(const span_table *table, int coll, uint64_t bytes, int pipe_ops,
                       float *costs, int algos, int protos, int *channels)
{
	struct choices choices = find(table, coll, bytes);
	int own = NOT_FOUND_YET, cell;

	if (choices.next == choices.end || !costs || protos != SPAN_PROTOS || algos < 1 ||
	    algos > 64)
		return;
	for (const struct span_choice *choice = choices.next; choice < choices.end; choice++) {
		if (choice->beats != SPAN_BEATS_ALL) {
			if (own == NOT_FOUND_YET) {
				own = own_choice(costs, algos);
				if (!has_cell(choices.beaten, own))
					return;
			}
			if (!has_cell(choice->beats, own))
				continue;
		}
		cell = choice->algo * SPAN_PROTOS + choice->proto;
		if (choice->algo >= algos || !(costs[cell] >= 0))
			continue;
		if (choice->pipe_ops >= 0 && choice->pipe_ops != pipe_ops)
			continue;
		costs[cell] = 0;
		if (choice->channels > 0 && channels)
			*channels = choice->channels;
		return;
	}
}

void span_table_choose_flat(const span_table *table, int coll, uint64_t bytes, int pipe_ops,
                            int collnet, int nvls, int *algo, int *proto, int *channels)
{
	struct choices choices = find(table, coll, bytes);

	for (const struct span_choice *choice = choices.next; choice < choices.end; choice++) {
		if (choice->pipe_ops >= 0 && choice->pipe_ops != pipe_ops)
			continue;
		if (choice->flat == SPAN_FLAT_ALWAYS ||
		    (choice->flat == SPAN_FLAT_NVLS && nvls) ||
		    (choice->flat == SPAN_FLAT_COLLNET && collnet)) {
			*algo = choice->algo;
			*proto = choice->proto;
			if (choice->channels > 0 && channels)
				*channels = choice->channels;
			return;
		}
	}
}

void span_table_chunk(const span_table *table, int coll, uint64_t bytes, int algo, int proto,
                      uint64_t *chunk)
{
	struct choices choices = find(table, coll, bytes);

	for (const struct span_choice *choice = choices.next; choice < choices.end; choice++) {
		if (choice->algo != algo || choice->proto != proto || choice->pipe_ops >= 0)
			continue;
		if (choice->chunk)
			*chunk = choice->chunk;
		return;
	}
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
