/* What distributed attention has to keep and to send, worked out from its definition alone: sets
 * of intervals of tile positions that merge when they are halves of one interval. Shares no code
 * with the library's own bookkeeping; slow and small. */
#ifndef SPAN_TESTS_TREE_WALK_H
#define SPAN_TESTS_TREE_WALK_H

#include <stdint.h>
#include "attention/span_attention.h"

enum { WALK_PARTS = 64 };

/* Positions [a, b). */
typedef struct {
	int64_t a, b;
} walk_part;

/* What waits for one row of tiles, each part in the first place that was free: the order in
 * which a message has them. */
typedef struct {
	int n;
	int most; /* ever at once, after merging */
	walk_part part[WALK_PARTS]; /* a place is free when a = b */
} walk_row;

typedef struct {
	const span_layout *layout;
	const span_order *order;
	int causal;
} tree_walk;

/* Most partials of one query tile of `rank` that wait at once: forward, and dQ. */
int walk_pending(const tree_walk *walk, int32_t rank);

/* Most parts of one own key tile's dK and dV that wait at once at their owner. */
int walk_returns(const tree_walk *walk, int32_t rank);

/* Tiles of `block` that go to a rank in a message: from the first to the last that a query sees of
 * that rank or of any that the block reaches through it. */
int64_t walk_sent_tiles(const tree_walk *walk, int32_t to, int32_t block);

/* Messages with gradients that `rank` sends: parts of one tile in all, to the ranks of its own
 * group and to others; group [P]. */
void walk_sent_parts(const tree_walk *walk, int32_t rank, const int32_t *group,
                     int64_t *inside, int64_t *between);

#endif
