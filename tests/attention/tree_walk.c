#include "tests/attention/tree_walk.h"
#include <stdlib.h>
#include <string.h>

static int64_t tiles_of(const tree_walk *w)
{
	return span_layout_tiles(w->layout);
}

/* Zigzag folds the sequence: tile i and its mirror are neighbours. */
static int64_t position_of(const tree_walk *w, int64_t tile)
{
	int64_t n = tiles_of(w);

	if (span_layout_family_of(w->layout) == SPAN_LAYOUT_CONTIGUOUS)
		return tile;
	return 2 * tile < n ? 2 * tile : 2 * (n - 1 - tile) + 1;
}

/* Whether a query tile sees a key tile. */
static int sees(const tree_walk *w, int64_t query, int64_t key)
{
	return !w->causal || key <= query;
}

/* Tiles that count for a row: key tiles that query tile `row` sees, or query tiles that see key
 * tile `row`. */
static int counts(const tree_walk *w, int backward, int64_t row, int64_t tile)
{
	return backward ? sees(w, tile, row) : sees(w, row, tile);
}

/* Whether something that counts stands in [a, b). */
static int is_present(const tree_walk *w, int backward, int64_t row, walk_part part)
{
	for (int64_t tile = 0; tile < tiles_of(w); tile++) {
		int64_t p = position_of(w, tile);

		if (part.a <= p && p < part.b && counts(w, backward, row, tile))
			return 1;
	}
	return 0;
}

/* The interval of which `part` is a half, and its other half; 0 for the whole. */
static int find_parent(const tree_walk *w, walk_part part, walk_part *parent, walk_part *other)
{
	walk_part at = { 0, tiles_of(w) };

	if (part.a == at.a && part.b == at.b)
		return 0;
	for (;;) {
		int64_t middle = at.a + (at.b - at.a + 1) / 2;
		walk_part left = { at.a, middle }, right = { middle, at.b };

		*parent = at;
		if (part.a == left.a && part.b == left.b) {
			*other = right;
			return 1;
		}
		if (part.a == right.a && part.b == right.b) {
			*other = left;
			return 1;
		}
		at = part.b <= middle ? left : right;
	}
}

/* Take a part out of the row, if it is there. */
static int take(walk_row *row, walk_part part)
{
	for (int i = 0; i < WALK_PARTS; i++)
		if (row->part[i].a == part.a && row->part[i].b == part.b) {
			row->part[i].b = row->part[i].a;
			row->n--;
			return 1;
		}
	return 0;
}

static void put(walk_row *row, walk_part part)
{
	int i = 0;

	while (row->part[i].a < row->part[i].b)
		i++;
	row->part[i] = part;
	row->n++;
}

/* A part arrives and merges as far as it can. What is complete waits for nothing. */
static void arrive(const tree_walk *w, int backward, int64_t tile, walk_row *row, walk_part part)
{
	walk_part parent, other;

	while (find_parent(w, part, &parent, &other)) {
		if (other.a < other.b && !take(row, other) &&
		    is_present(w, backward, tile, other))
			break;
		part = parent;
	}
	put(row, part);
	if ((part.a > 0 || part.b < tiles_of(w)) && row->n > row->most)
		row->most = row->n;
}

/* Append the maximal intervals of [at) that lie in [a, b). */
static int cover(walk_part at, int64_t a, int64_t b, walk_part *parts, int n)
{
	int64_t middle = at.a + (at.b - at.a + 1) / 2;

	if (at.a >= at.b || at.b <= a || at.a >= b)
		return n;
	if (a <= at.a && at.b <= b) {
		parts[n] = at;
		return n + 1;
	}
	n = cover((walk_part){ at.a, middle }, a, b, parts, n);
	return cover((walk_part){ middle, at.b }, a, b, parts, n);
}

/* The maximal intervals of a rank's shard. */
static int shard_parts(const tree_walk *w, int32_t rank, walk_part *parts)
{
	int64_t count = span_layout_rank_tiles(w->layout, rank), a = INT64_MAX;

	for (int64_t slot = 0; slot < count; slot++) {
		int64_t p = position_of(w, span_layout_tile_at(w->layout, rank, slot));

		a = p < a ? p : a;
	}
	return count ? cover((walk_part){ 0, tiles_of(w) }, a, a + count, parts, 0) : 0;
}

/* What the shard of `rank` brings to a row. */
static void arrive_shard(const tree_walk *w, int backward, int64_t tile, walk_row *row, int32_t rank)
{
	walk_part parts[WALK_PARTS];
	int n = shard_parts(w, rank, parts);

	for (int i = 0; i < n; i++)
		if (is_present(w, backward, tile, parts[i]))
			arrive(w, backward, tile, row, parts[i]);
}

int walk_pending(const tree_walk *w, int32_t rank)
{
	int most = 0;

	for (int64_t slot = 0; slot < span_layout_rank_tiles(w->layout, rank); slot++) {
		int64_t tile = span_layout_tile_at(w->layout, rank, slot);
		walk_row row = { 0 };

		for (int32_t t = 0; t < span_order_steps(w->order, rank); t++) {
			int32_t block = span_order_step_at(w->order, rank, t)->compute;

			if (block >= 0)
				arrive_shard(w, 0, tile, &row, block);
		}
		most = row.most > most ? row.most : most;
	}
	return most;
}

/* ---- gradients ---- */

static int32_t step_of(const tree_walk *w, int32_t rank, int32_t block)
{
	for (int32_t t = 0; t < span_order_steps(w->order, rank); t++)
		if (span_order_step_at(w->order, rank, t)->compute == block)
			return t;
	return -1;
}

/* A source of parts for an account: the rank itself or one that sends to it. */
struct source {
	int32_t step;
	int32_t rank;
	int own;
	walk_row row;
};

static int compare(const void *a, const void *b)
{
	const struct source *x = a, *y = b;

	if (x->step != y->step)
		return x->step < y->step ? -1 : 1;
	return x->own != y->own ? y->own - x->own : x->rank < y->rank ? -1 : 1;
}

/* Whether a rank has any of a block's gradient, by itself or by what is sent to it: without it
 * there is no message. */
static int has_parts(const tree_walk *w, int32_t rank, int32_t block)
{
	for (int64_t i = 0; i < span_layout_rank_tiles(w->layout, rank); i++)
		for (int64_t j = 0; j < span_layout_rank_tiles(w->layout, block); j++)
			if (sees(w, span_layout_tile_at(w->layout, rank, i),
			         span_layout_tile_at(w->layout, block, j)))
				return 1;
	for (int32_t r = 0; r < span_order_ranks(w->order); r++)
		if (span_order_return_hop(w->order, block, r) == rank && r != rank &&
		    has_parts(w, r, block))
			return 1;
	return 0;
}

/* dK and dV of one key tile of a block at a rank, as it is when all has come; returns the step
 * after which that is so. What a rank has computed by the end of a step is sent, and merged by
 * its receiver at the end of the next. */
static int32_t walk_account(const tree_walk *w, int32_t rank, int32_t block, int64_t tile,
                            walk_row *row)
{
	int32_t ranks = span_order_ranks(w->order), last = 0;
	struct source *source = calloc((size_t)ranks + 1, sizeof(*source));
	int n = 0;

	if (step_of(w, rank, block) >= 0)
		source[n++] = (struct source){ .step = step_of(w, rank, block), .rank = rank,
			                       .own = 1 };
	for (int32_t r = 0; r < ranks; r++)
		if (r != rank && span_order_return_hop(w->order, block, r) == rank) {
			source[n].rank = r;
			source[n].step = 1 + walk_account(w, r, block, tile, &source[n].row);
			n += has_parts(w, r, block);
		}
	qsort(source, (size_t)n, sizeof(*source), compare);
	memset(row, 0, sizeof(*row));
	for (int i = 0; i < n; i++) {
		last = source[i].step;
		if (source[i].own)
			arrive_shard(w, 1, tile, row, rank);
		for (int k = 0; k < WALK_PARTS; k++)
			if (source[i].row.part[k].a < source[i].row.part[k].b)
				arrive(w, 1, tile, row, source[i].row.part[k]);
	}
	free(source);
	return last;
}

int walk_returns(const tree_walk *w, int32_t rank)
{
	int most = 0;

	for (int64_t slot = 0; slot < span_layout_rank_tiles(w->layout, rank); slot++) {
		walk_row row;

		walk_account(w, rank, rank, span_layout_tile_at(w->layout, rank, slot), &row);
		most = row.most > most ? row.most : most;
	}
	return most;
}

void walk_sent_parts(const tree_walk *w, int32_t rank, const int32_t *group, int64_t *inside,
                     int64_t *between)
{
	*inside = *between = 0;
	for (int32_t block = 0; block < span_order_ranks(w->order); block++) {
		int32_t hop = span_order_return_hop(w->order, block, rank);

		for (int64_t slot = 0; hop >= 0 && slot < span_layout_rank_tiles(w->layout, block);
		     slot++) {
			walk_row row;

			walk_account(w, rank, block, span_layout_tile_at(w->layout, block, slot),
			             &row);
			*(group[hop] == group[rank] ? inside : between) += row.n;
		}
	}
}

/* Tiles of a block up to the last one that a query of a rank sees. */
static int64_t tiles_seen(const tree_walk *w, int32_t rank, int32_t block)
{
	int64_t seen = 0;

	for (int64_t q = 0; q < span_layout_rank_tiles(w->layout, rank); q++)
		for (int64_t k = 0; k < span_layout_rank_tiles(w->layout, block); k++)
			if (k >= seen && sees(w, span_layout_tile_at(w->layout, rank, q),
			                      span_layout_tile_at(w->layout, block, k)))
				seen = k + 1;
	return seen;
}

int64_t walk_sent_tiles(const tree_walk *w, int32_t to, int32_t block)
{
	int64_t most = tiles_seen(w, to, block);

	for (int32_t t = 0; t < span_order_steps(w->order, to); t++) {
		const span_order_step *step = span_order_step_at(w->order, to, t);

		for (int32_t i = 0; i < step->n_sends; i++) {
			int64_t on = step->sends[i].block != block ? 0
				: walk_sent_tiles(w, step->sends[i].peer, block);

			most = on > most ? on : most;
		}
	}
	return most;
}
