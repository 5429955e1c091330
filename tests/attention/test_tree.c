/* The canonical tree against its definition, a recursion over ranges of positions. */
#include "attention/tree.h"
#include <criterion/criterion.h>
#include <string.h>

enum { MOST = 70 };

static span_tree tree_of(int64_t n)
{
	return span_tree_make(n, SPAN_LAYOUT_CONTIGUOUS);
}

/* Walk the definition and expect every node of it from the library. */
static void expect_node(const span_tree *tree, span_node node, int64_t a, int64_t b)
{
	int64_t first, end, middle = a + (b - a + 1) / 2;

	span_tree_range(tree, node, &first, &end);
	cr_assert_eq(first, a);
	cr_assert_eq(end, b);
	if (node.height == 0) {
		cr_assert_leq(b - a, 1, "a leaf holds one position");
		if (a < b)
			cr_assert_eq(span_tree_address(tree, a), node.index);
		return;
	}
	expect_node(tree, (span_node){ node.height - 1, 2 * node.index }, a, middle);
	expect_node(tree, (span_node){ node.height - 1, 2 * node.index + 1 }, middle, b);
}

Test(tree, splits_in_halves_the_left_one_larger)
{
	for (int64_t n = 1; n <= MOST; n++) {
		span_tree tree = tree_of(n);

		cr_assert_geq((int64_t)1 << tree.height, n);
		cr_assert(tree.height == 0 || (int64_t)1 << (tree.height - 1) < n);
		expect_node(&tree, (span_node){ tree.height, 0 }, 0, n);
	}
}

Test(tree, addresses_ascend_with_positions)
{
	for (int64_t n = 2; n <= MOST; n++) {
		span_tree tree = tree_of(n);

		for (int64_t p = 1; p < n; p++)
			cr_assert_lt(span_tree_address(&tree, p - 1), span_tree_address(&tree, p));
	}
}

Test(tree, zigzag_puts_a_tile_beside_its_mirror)
{
	for (int64_t n = 1; n <= MOST; n++) {
		span_tree tree = span_tree_make(n, SPAN_LAYOUT_ZIGZAG);
		uint8_t seen[MOST] = { 0 };

		for (int64_t tile = 0; tile < n; tile++) {
			int64_t position = span_tree_position(&tree, tile);
			int64_t mirror = span_tree_position(&tree, n - 1 - tile);

			cr_assert(position >= 0 && position < n);
			cr_assert_eq(seen[position]++, 0);
			cr_assert_eq(span_tree_tile(&tree, position), tile);
			cr_assert_eq(position / 2, mirror / 2);
		}
		for (int64_t p = 0; p < n; p += 2)
			cr_assert_eq(span_tree_tile(&tree, p), p / 2, "early tiles ascend");
	}
}

Test(tree, shards_follow_each_other_and_leave_nothing_out)
{
	for (int64_t n = 1; n <= MOST; n++)
		for (int32_t ranks = 1; ranks <= 64; ranks++) {
			span_tree tree = tree_of(n);
			int64_t next = 0, first, end;

			for (int32_t r = 0; r < ranks; r++) {
				span_tree_shard(&tree, ranks, r, &first, &end);
				cr_assert_eq(first, next);
				cr_assert_geq(end, first);
				next = end;
			}
			cr_assert_eq(next, n);
		}
}

Test(tree, a_shard_is_one_node_when_ranks_are_a_power_of_two)
{
	for (int64_t n = 1; n <= MOST; n++)
		for (int32_t ranks = 1; ranks <= 64; ranks *= 2)
			for (int32_t r = 0; r < ranks; r++) {
				span_tree tree = tree_of(n);
				span_node nodes[SPAN_TREE_COVER];
				int64_t first, end;

				span_tree_shard(&tree, ranks, r, &first, &end);
				cr_assert_eq(span_tree_cover(&tree, first, end, nodes), first < end);
			}
}

/* A cover is right when its nodes tile the range and none could be its own parent. */
Test(tree, a_cover_is_of_maximal_nodes)
{
	for (int64_t n = 1; n <= 40; n++)
		for (int64_t first = 0; first <= n; first++)
			for (int64_t end = first; end <= n; end++) {
				span_tree tree = tree_of(n);
				span_node nodes[SPAN_TREE_COVER];
				int count = span_tree_cover(&tree, first, end, nodes);
				int64_t next = first, a, b;

				for (int i = 0; i < count; i++) {
					span_node parent = { nodes[i].height + 1, nodes[i].index / 2 };

					span_tree_range(&tree, nodes[i], &a, &b);
					cr_assert_eq(a, next);
					cr_assert_gt(b, a);
					next = b;
					if (nodes[i].height == tree.height)
						continue;
					span_tree_range(&tree, parent, &a, &b);
					cr_assert(a < first || b > end);
				}
				cr_assert_eq(next, end);
			}
}

Test(tree, counts_tiles_of_an_interval_in_a_range_of_positions)
{
	for (int family = 0; family < 2; family++)
		for (int64_t n = 1; n <= 13; n++)
			for (int64_t a = 0; a <= n; a++)
				for (int64_t b = a; b <= n; b++)
					for (int64_t t = 0; t <= n; t++)
						for (int64_t u = t; u <= n; u++) {
							span_tree tree = span_tree_make(
								n, (span_layout_family)family);
							int64_t count = 0;

							for (int64_t p = a; p < b; p++) {
								int64_t x =
									span_tree_tile(&tree, p);

								count += t <= x && x < u;
							}
							cr_assert_eq(span_tree_count(&tree, a, b,
							                             t, u), count);
						}
}
