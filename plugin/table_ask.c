/* Asking a compiled decision. This runs before every collective of a job: what can be known
 * beforehand is in the table, and what differs from call to call is compared without branches,
 * for a branch that is foreseen wrongly costs as much as the whole rest. */
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "plugin/table_parts.h"

struct choices {
	const struct span_choice *next, *end;
};

static struct choices list_of(const span_table *table, size_t place)
{
	return (struct choices){ table->choices + table->lists[place],
		                 table->choices + table->lists[place + 1] };
}

static struct choices find_list(const span_table *table, int coll, uint64_t bytes)
{
	if (coll < 0 || coll >= SPAN_COLLS)
		return (struct choices){ NULL, NULL };
	return list_of(table, span_index_find(&table->index, coll, bytes));
}

/* --- what NCCL would take ----------------------------------------------------------------- */

/* NCCL takes the first strict minimum of the cells from 0 up, and starts at an hour. A key is
 * smaller for what NCCL prefers: floats from 0 up are ordered as their bits are, the sign makes
 * -1 larger than all of them, and of equal times the first cell wins. */
#define HOUR 3600000000.0f

#define MOST_ALGOS 64

static int64_t bits_of(float us)
{
	uint32_t bits;

	memcpy(&bits, &us, sizeof(bits));
	return bits;
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* The cell for any number of algorithms; -1 for none, or when there are more than can be. */
static int own_cell(const float *costs, int algos)
{
	const int64_t none = bits_of(HOUR) << 8;
	int64_t key = none;

	if (algos > MOST_ALGOS)
		return -1;
	for (int cell = 0; cell < algos * SPAN_PROTOS; cell++)
		key = least(key, bits_of(costs[cell]) << 8 | cell);
	return key < none ? (int)(key & 0xff) : -1;
}

static uint64_t pair_of(const float *costs, int algo)
{
	uint64_t pair;

	memcpy(&pair, &costs[algo * SPAN_PROTOS], sizeof(pair));
	return pair;
}

/* Whether LL and LL128 are to be had from rings and trees alone, as in every NCCL so far: ten of
 * the 21 cells need then not be compared. */
static bool only_simple(const float *costs)
{
	const uint64_t signs = UINT64_C(0x8000000080000000);

	return (pair_of(costs, SPAN_ALGO_COLLNET_DIRECT) & pair_of(costs, SPAN_ALGO_COLLNET_CHAIN) &
	        pair_of(costs, SPAN_ALGO_NVLS) & pair_of(costs, SPAN_ALGO_NVLS_TREE) &
	        pair_of(costs, SPAN_ALGO_PAT) & signs) == signs;
}

static int64_t key_of(const float *costs, int proto, int algo)
{
	return bits_of(costs[algo * SPAN_PROTOS + proto]) * 8 + algo;
}

/* The slot, then. Protocols have a chain of comparisons each, which keys of eight algorithms
 * tell apart: a single chain would take three times as long. */
static unsigned own_slot_of_simple(const float *costs)
{
	const int64_t none = (bits_of(HOUR) - 1) * 32 + SPAN_SLOT_NONE;
	int64_t ll = least(key_of(costs, SPAN_PROTO_LL, SPAN_ALGO_TREE),
	                   key_of(costs, SPAN_PROTO_LL, SPAN_ALGO_RING));
	int64_t ll128 = least(key_of(costs, SPAN_PROTO_LL128, SPAN_ALGO_TREE),
	                       key_of(costs, SPAN_PROTO_LL128, SPAN_ALGO_RING));
	int64_t simple = least(least(least(key_of(costs, SPAN_PROTO_SIMPLE, SPAN_ALGO_TREE),
	                                    key_of(costs, SPAN_PROTO_SIMPLE, SPAN_ALGO_RING)),
	                              least(key_of(costs, SPAN_PROTO_SIMPLE, SPAN_ALGO_COLLNET_DIRECT),
	                                    key_of(costs, SPAN_PROTO_SIMPLE, SPAN_ALGO_COLLNET_CHAIN))),
	                        least(least(key_of(costs, SPAN_PROTO_SIMPLE, SPAN_ALGO_NVLS),
	                                    key_of(costs, SPAN_PROTO_SIMPLE, SPAN_ALGO_NVLS_TREE)),
	                              key_of(costs, SPAN_PROTO_SIMPLE, SPAN_ALGO_PAT)));

	ll = least(ll * 4 + SPAN_PROTO_LL, ll128 * 4 + SPAN_PROTO_LL128);
	return least(least(ll, simple * 4 + SPAN_PROTO_SIMPLE), none) % 32;
}

static unsigned own_slot(const float *costs, int algos)
{
	int cell;

	if (algos == SPAN_ALGOS && only_simple(costs))
		return own_slot_of_simple(costs);
	cell = own_cell(costs, algos);
	if (cell < 0 || cell >= SPAN_CELLS)
		return SPAN_SLOT_NONE; /* one that we do not know is beaten by none */
	return (unsigned)(cell / SPAN_PROTOS * 4 + cell % SPAN_PROTOS);
}

/* --- with a cost table -------------------------------------------------------------------- */

/* Whether a set of cells has this one; one beyond the cells we know is in none. */
static bool has_cell(uint32_t cells, int cell)
{
	return cell >= 0 && cell < SPAN_CELLS && cells >> cell & 1;
}

/* NCCL times rings of 8-bit floats on more than 8 ranks by 1024, as their sums would lose precision.
 * A cell so far behind is not slow but unwanted, whatever it was measured to take. */
static bool is_wanted(float us, float own_us)
{
	return us <= own_us * 64;
}

#define NOT_FOUND_YET -2

/* By the list. */
static int lower_first(struct choices choices, int pipe_ops, float *costs, int algos)
{
	int own = NOT_FOUND_YET, cell;

	if (algos > MOST_ALGOS)
		return 0;
	for (const struct span_choice *choice = choices.next; choice < choices.end; choice++) {
		if (choice->beats != SPAN_BEATS_ALL) {
			if (own == NOT_FOUND_YET)
				own = own_cell(costs, algos);
			if (!has_cell(choice->beats, own))
				continue;
		}
		cell = choice->algo * SPAN_PROTOS + choice->proto;
		if (choice->algo >= algos || !(costs[cell] >= 0))
			continue;
		if (choice->beats != SPAN_BEATS_ALL && !is_wanted(costs[cell], costs[own]))
			continue;
		if (choice->pipe_ops >= 0 && choice->pipe_ops != pipe_ops)
			continue;
		costs[cell] = 0;
		return choice->channels;
	}
	return 0;
}

int span_table_lower(const span_table *table, int coll, uint64_t bytes, int pipe_ops, float *costs,
                     int algos)
{
	const struct span_answer *answer;
	size_t place;
	unsigned own;
	int cell;

	if (coll < 0 || coll >= SPAN_COLLS)
		return 0;
	place = span_index_find(&table->index, coll, bytes);
	answer = &table->answers[place];
	if (answer->kind == SPAN_KIND_CELLS) {
		if (pipe_ops != 1)
			return 0;
		own = own_slot(costs, algos);
		cell = answer->cells[own];
		if (cell == SPAN_NO_CELL)
			return 0;
		if (cell < algos * SPAN_PROTOS && bits_of(costs[cell]) <= bits_of(HOUR) &&
		    is_wanted(costs[cell], costs[own / 4 * SPAN_PROTOS + own % 4])) {
			costs[cell] = 0;
			return 0;
		}
	}
	if (answer->kind == SPAN_KIND_EMPTY)
		return 0;
	return lower_first(list_of(table, place), pipe_ops, costs, algos);
}

/* --- without one -------------------------------------------------------------------------- */

void span_table_choose_flat(const span_table *table, int coll, uint64_t bytes, int pipe_ops,
                            int collnet, int nvls, int *algo, int *proto, int *channels)
{
	struct choices choices = find_list(table, coll, bytes);

	for (const struct span_choice *choice = choices.next; choice < choices.end; choice++) {
		if (choice->pipe_ops >= 0 && choice->pipe_ops != pipe_ops)
			continue;
		if (choice->flat == SPAN_FLAT_ALWAYS ||
		    (choice->flat == SPAN_FLAT_NVLS && nvls) ||
		    (choice->flat == SPAN_FLAT_COLLNET && collnet)) {
			*algo = choice->algo;
			*proto = choice->proto;
			/* NCCL 2.21 bounds those of NVLS by what rings have, which may be more. */
			if (choice->channels > 0 && channels && choice->flat == SPAN_FLAT_ALWAYS)
				*channels = choice->channels;
			return;
		}
	}
}

void span_table_chunk(const span_table *table, int coll, uint64_t bytes, int algo, int proto,
                      uint64_t *chunk)
{
	struct choices choices = find_list(table, coll, bytes);

	for (const struct span_choice *choice = choices.next; choice < choices.end; choice++) {
		if (choice->algo != algo || choice->proto != proto || choice->pipe_ops >= 0)
			continue;
		if (choice->chunk)
			*chunk = choice->chunk;
		return;
	}
}
