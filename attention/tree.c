#include "attention/tree.h"

#include <assert.h>

span_tree span_tree_make(int64_t n, span_layout_family family)
{
	span_tree tree = { .n = n, .height = 0, .family = family };

	assert(n >= 1 && n <= (int64_t)1 << 30);
	while (((int64_t)1 << tree.height) < n)
		tree.height++;
	return tree;
}

int64_t span_tree_position(const span_tree *tree, int64_t tile)
{
	if (tree->family == SPAN_LAYOUT_CONTIGUOUS)
		return tile;
	return tile < (tree->n + 1) / 2 ? 2 * tile : 2 * (tree->n - 1 - tile) + 1;
}

int64_t span_tree_tile(const span_tree *tree, int64_t position)
{
	if (tree->family == SPAN_LAYOUT_CONTIGUOUS)
		return position;
	return position % 2 == 0 ? position / 2 : tree->n - 1 - position / 2;
}

static int64_t halve(int64_t first, int64_t end)
{
	return first + (end - first + 1) / 2;
}

uint32_t span_tree_address(const span_tree *tree, int64_t position)
{
	int64_t first = 0, end = tree->n;
	uint32_t address = 0;

	for (int32_t h = tree->height - 1; h >= 0; h--) {
		int64_t middle = halve(first, end);

		if (position < middle) {
			end = middle;
		} else {
			first = middle;
			address |= (uint32_t)1 << h;
		}
	}
	return address;
}

void span_tree_range(const span_tree *tree, span_node node, int64_t *first, int64_t *end)
{
	*first = 0;
	*end = tree->n;
	for (int32_t h = tree->height - 1; h >= node.height; h--) {
		int64_t middle = halve(*first, *end);

		if (node.index >> (h - node.height) & 1)
			*first = middle;
		else
			*end = middle;
	}
}

void span_tree_shard(const span_tree *tree, int32_t ranks, int32_t rank, int64_t *first,
                     int64_t *end)
{
	int64_t a = 0, b = tree->n;

	while (ranks % 2 == 0) {
		int64_t middle = halve(a, b);

		ranks /= 2;
		if (rank < ranks) {
			b = middle;
		} else {
			a = middle;
			rank -= ranks;
		}
	}
	*first = a + (b - a) * rank / ranks;
	*end = a + (b - a) * (rank + 1) / ranks;
}

/* Append the maximal nodes of [first, end) below `node`, whose positions are [a, b). */
static int cover_below(span_node node, int64_t a, int64_t b, int64_t first, int64_t end,
                       span_node *nodes, int count)
{
	int64_t middle = halve(a, b);
	span_node left = { node.height - 1, 2 * node.index };
	span_node right = { node.height - 1, 2 * node.index + 1 };

	if (b <= first || a >= end || a == b)
		return count;
	if (first <= a && b <= end) {
		nodes[count] = node;
		return count + 1;
	}
	count = cover_below(left, a, middle, first, end, nodes, count);
	return cover_below(right, middle, b, first, end, nodes, count);
}

int span_tree_cover(const span_tree *tree, int64_t first, int64_t end,
                    span_node nodes[SPAN_TREE_COVER])
{
	span_node root = { tree->height, 0 };

	return first < end ? cover_below(root, 0, tree->n, first, end, nodes, 0) : 0;
}

/* The length of the intersection of [a, b) and [c, d). */
static int64_t overlap(int64_t a, int64_t b, int64_t c, int64_t d)
{
	int64_t first = a > c ? a : c;
	int64_t end = b < d ? b : d;

	return first < end ? end - first : 0;
}

int64_t span_tree_count(const span_tree *tree, int64_t first, int64_t end, int64_t tile_first,
                        int64_t tile_end)
{
	if (tree->family == SPAN_LAYOUT_CONTIGUOUS)
		return overlap(first, end, tile_first, tile_end);
	/* Even positions ascend from tile 0, odd ones descend from tile n - 1. */
	return overlap((first + 1) / 2, (end + 1) / 2, tile_first, tile_end) +
	       overlap(tree->n - end / 2, tree->n - first / 2, tile_first, tile_end);
}
