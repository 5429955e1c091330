/* The canonical halving tree over tile positions: the order in which partials meet. Private.
 *
 * The tree over n positions splits [a, b) at a + ceil((b - a) / 2). It depends on n alone, so
 * whoever adds partials up along it gets the same bits. A node is written as its place in an
 * aligned binary tree of height H = ceil(log2 n): node (height, index) has the children
 * (height - 1, 2 index) and (height - 1, 2 index + 1) and the sibling (height, index ^ 1).
 * Because halves are rounded up, left subtrees are never smaller than right ones, and a node
 * of one position may stand at any height: its right child is empty. A position's address
 * is the index of its leaf at height 0; addresses ascend with positions. */
#ifndef SPAN_TREE_H
#define SPAN_TREE_H

#include <stdint.h>
#include "attention/span_layout.h"

typedef struct {
	int64_t n;                 /* positions = tiles, 1 .. 2^30 */
	int32_t height;            /* H */
	span_layout_family family; /* how tiles map to positions */
} span_tree;

typedef struct {
	int32_t height;
	uint32_t index;
} span_node;

/* A cover of any range of positions has at most this many nodes. */
enum { SPAN_TREE_COVER = 64 };

span_tree span_tree_make(int64_t n, span_layout_family family);

/* Tile to position and back: the identity, or for zigzag the fold that makes tile i and its
 * mirror n-1-i neighbours. */
int64_t span_tree_position(const span_tree *tree, int64_t tile);
int64_t span_tree_tile(const span_tree *tree, int64_t position);

/* The address of a position. */
uint32_t span_tree_address(const span_tree *tree, int64_t position);

/* The positions [*first, *end) of a node; equal when it is empty. */
void span_tree_range(const span_tree *tree, span_node node, int64_t *first, int64_t *end);

/* The positions of one rank's shard: P = 2^k m cuts k times as the tree does, then evenly into m.
 * For m = 1 a shard is one node. */
void span_tree_shard(const span_tree *tree, int32_t ranks, int32_t rank, int64_t *first,
                     int64_t *end);

/* The maximal nodes that make up the positions [first, end), ascending; returns how many. */
int span_tree_cover(const span_tree *tree, int64_t first, int64_t end,
                    span_node nodes[SPAN_TREE_COVER]);

/* How many of the positions [first, end) hold a tile of [tile_first, tile_end). */
int64_t span_tree_count(const span_tree *tree, int64_t first, int64_t end, int64_t tile_first,
                        int64_t tile_end);

#endif
