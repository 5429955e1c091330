/* The bookkeeping of partials, carried out on expressions instead of numbers: whatever the
 * order of arrival, the expression that is left is that of the tree. */
#include "attention/reduce.h"
#include <criterion/criterion.h>
#include <string.h>
#include "tests/attention/kernel_case.h"
#include "tests/topo/log_capture.h"

/* An expression by its hash; 0 is that of nothing. Neither commutative nor associative. */
static uint64_t leaf(int64_t tile)
{
	case_random random = { (uint64_t)tile };

	return case_next(&random) | 1;
}

static uint64_t join(uint64_t left, uint64_t right)
{
	case_random random = { left * 3 + (right ^ right >> 7) * 5 + 11 };

	if (!left || !right)
		return left | right;
	return case_next(&random) | 1;
}

/* The definition: the expression of positions [a, b), of which tiles [first, end) are seen. */
static uint64_t define(const span_tree *tree, int64_t a, int64_t b, int64_t first, int64_t end)
{
	int64_t middle = a + (b - a + 1) / 2, tile;

	if (a == b)
		return 0;
	if (b - a > 1)
		return join(define(tree, a, middle, first, end),
		            define(tree, middle, b, first, end));
	tile = span_tree_tile(tree, a);
	return first <= tile && tile < end ? leaf(tile) : 0;
}

struct row {
	span_tree tree;
	int64_t first, end; /* tiles seen */
	int n;
	span_node node[256]; /* what arrives, in order */
};

/* What P ranks bring: the nodes of their shards of which something is seen. */
static void collect_nodes(struct row *row, int32_t ranks)
{
	row->n = 0;
	for (int32_t r = 0; r < ranks; r++) {
		span_node nodes[SPAN_TREE_COVER];
		int64_t a, b;
		int count;

		span_tree_shard(&row->tree, ranks, r, &a, &b);
		count = span_tree_cover(&row->tree, a, b, nodes);
		for (int i = 0; i < count; i++) {
			span_tree_range(&row->tree, nodes[i], &a, &b);
			if (define(&row->tree, a, b, row->first, row->end))
				row->node[row->n++] = nodes[i];
		}
	}
}

static void shuffle(case_random *random, struct row *row)
{
	for (int i = row->n - 1; i > 0; i--) {
		int j = case_between(random, 0, i);
		span_node node = row->node[i];

		row->node[i] = row->node[j];
		row->node[j] = node;
	}
}

/* Let all arrive; the expression of the complete row. */
static uint64_t arrive(const struct row *row, int *most)
{
	uint64_t waiting[SPAN_REDUCE_PENDING] = { 0 }, value = 0;
	span_reduce reduce;
	int pending = 0;

	span_reduce_start(&reduce, &row->tree, row->first, row->end, 0, row->n);
	*most = 0;
	for (int i = 0; i < row->n; i++) {
		span_arrival arrival;
		int64_t a, b;

		cr_assert_eq(span_reduce_arrive(&reduce, row->node[i], &arrival), SPAN_OK);
		span_tree_range(&row->tree, row->node[i], &a, &b);
		value = define(&row->tree, a, b, row->first, row->end);
		for (int m = 0; m < arrival.merges; m++) {
			int slot = arrival.merge[m].slot;

			cr_assert_neq(waiting[slot], 0, "an empty slot is merged");
			value = arrival.merge[m].waiting_is_left ? join(waiting[slot], value)
			                                         : join(value, waiting[slot]);
			waiting[slot] = 0;
			pending--;
		}
		cr_assert_eq(arrival.store < 0, i == row->n - 1);
		if (arrival.store >= 0) {
			cr_assert_eq(waiting[arrival.store], 0, "a waiting partial is lost");
			waiting[arrival.store] = value;
			pending++;
		}
		*most = pending > *most ? pending : *most;
	}
	cr_assert_eq(pending, 0);
	cr_assert_eq(reduce.slots, *most);
	return value;
}

Test(reduce, any_order_of_arrival_gives_the_expression_of_the_tree)
{
	case_random random = { 11 };

	for (int i = 0; i < 3000; i++) {
		int64_t n = case_between(&random, 1, 70);
		struct row row = { .tree = span_tree_make(n, (span_layout_family)(i % 2)) };
		int most;

		row.first = case_between(&random, 0, i % 3 ? 0 : (int)n - 1);
		row.end = case_between(&random, (int)row.first + 1, (int)n);
		collect_nodes(&row, case_between(&random, 1, 64));
		shuffle(&random, &row);
		cr_assert_eq(arrive(&row, &most), define(&row.tree, 0, n, row.first, row.end));
	}
}

/* Complete siblings merge at once, so a row that comes in tree order waits at every level once. */
Test(reduce, in_order_at_most_one_partial_a_level_waits)
{
	for (int64_t n = 2; n <= 128; n++) {
		struct row row = { .tree = span_tree_make(n, SPAN_LAYOUT_CONTIGUOUS), .end = n };
		int most;

		collect_nodes(&row, (int32_t)n);
		arrive(&row, &most);
		cr_assert_leq(most, row.tree.height);
	}
}

Test(reduce, in_schedule_order_one_partial_waits_and_takes_what_comes)
{
	span_tree tree = span_tree_make(8, SPAN_LAYOUT_CONTIGUOUS);
	span_reduce reduce;
	span_arrival arrival;

	span_reduce_start(&reduce, &tree, 0, 8, 1, 3);
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(span_reduce_arrive(&reduce, (span_node){ 3, 0 }, &arrival), SPAN_OK);
		cr_assert_eq(arrival.merges, i > 0);
		cr_assert_eq(arrival.store, i < 2 ? 0 : -1);
		if (i > 0)
			cr_assert(arrival.merge[0].slot == 0 && arrival.merge[0].waiting_is_left);
	}
	cr_assert_eq(reduce.slots, 1);
}

/* Leaves of even index alone can never merge. */
Test(reduce, refuses_orders_that_make_too_much_wait)
{
	span_tree tree = span_tree_make(256, SPAN_LAYOUT_CONTIGUOUS);
	span_reduce reduce;
	span_arrival arrival;

	log_capture();
	span_reduce_start(&reduce, &tree, 0, 256, 0, 256);
	for (uint32_t i = 0; i < SPAN_REDUCE_PENDING; i++)
		cr_assert_eq(span_reduce_arrive(&reduce, (span_node){ 0, 2 * i }, &arrival),
		             SPAN_OK);
	cr_assert_eq(span_reduce_arrive(&reduce, (span_node){ 0, 2 * SPAN_REDUCE_PENDING },
	                                &arrival), SPAN_EUNSUPPORTED);
	cr_assert(strstr(log_captured(), "order"));
}
