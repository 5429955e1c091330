/* What the op plans at create, and by attention_case.c then does, against figures that the test
 * works out by itself: partials that wait, gradients on their way back, bytes, memory. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include "tests/attention/attention_case.h"
#include "tests/attention/tree_walk.h"
#include "tests/topo/order_cases.h"

/* An op of every rank, created and not run. */
struct ops {
	attention_case c;
	int32_t group[CASE_MAX_RANKS];
	span_local *local;
	span_attention *op[CASE_MAX_RANKS];
	span_attention_statistics statistics[CASE_MAX_RANKS];
};

static struct ops *make_ops(const attention_case *c)
{
	struct ops *x = calloc(1, sizeof(*x));

	x->c = *c;
	order_case_group(c->grouping, c->ranks, x->group);
	cr_assert_eq(span_local_create(c->ranks, x->group, &x->local), SPAN_OK);
	for (int32_t r = 0; r < c->ranks; r++) {
		span_attention_options options = case_options(c, span_local_transport(x->local, r));

		cr_assert_eq(span_attention_create(&options, &x->op[r]), SPAN_OK);
		x->statistics[r].size = sizeof(x->statistics[r]);
		span_attention_get_statistics(x->op[r], &x->statistics[r]);
	}
	return x;
}

static void free_ops(struct ops *x)
{
	for (int32_t r = 0; r < x->c.ranks; r++)
		span_attention_free(x->op[r]);
	span_local_free(x->local);
	free(x);
}

static tree_walk walk_of(const struct ops *x)
{
	return (tree_walk){ .layout = span_attention_layout(x->op[0]),
		            .order = span_attention_order(x->op[0]),
		            .causal = x->c.mask == SPAN_MASK_CAUSAL };
}

static attention_case case_of(int32_t ranks, int64_t tiles, int order)
{
	return (attention_case){ .batch = 2, .tokens = 16 * tiles - 3, .tile = 16,
		                 .query_heads = 2, .kv_heads = 2, .head_size = 24,
		                 .dtype = SPAN_BF16, .ranks = ranks, .order = order, .threads = 1 };
}

/* ---- partials that wait ---- */

/* In a ring of P = 2, 4, 8, ... ranks each shard is a node, and at most 1, 2, 4, 6, 8, 10
 * partials wait. */
Test(counts, in_a_ring_as_many_partials_wait_as_the_design_says)
{
	static const int64_t expected[] = { 1, 2, 4, 6, 8, 10 };

	for (int i = 0; i < 6; i++) {
		int32_t ranks = 2 << i;
		attention_case c = case_of(ranks, ranks, SPAN_ORDER_RING);
		struct ops *x = make_ops(&c);
		int64_t most = 0;

		for (int32_t r = 0; r < ranks; r++) {
			int64_t planned = x->statistics[r].forward.pending_planned;

			most = planned > most ? planned : most;
			cr_assert_eq(x->statistics[r].backward.pending_planned, planned);
		}
		cr_assert_eq(most, expected[i], "P = %d: %lld", ranks, (long long)most);
		free_ops(x);
	}
}

/* Bytes of a message with a block, K and V of `row` bytes a token, 64 bytes of digests a tile. */
static uint64_t sent_bytes(const tree_walk *walk, int32_t to, int32_t block, size_t row)
{
	int64_t tiles = walk_sent_tiles(walk, to, block);
	int64_t tokens = 16 * tiles, all = span_layout_rank_tokens(walk->layout, block);

	return (uint64_t)(tokens < all ? tokens : all) * row * 2 + (uint64_t)tiles * 64;
}

static void expect_planned(const struct ops *x)
{
	tree_walk walk = walk_of(x);
	size_t row = (size_t)(x->c.head_size * x->c.kv_heads * x->c.batch * 2);
	char text[512];

	case_describe(&x->c, text);
	for (int32_t r = 0; r < x->c.ranks; r++) {
		const span_attention_statistics *s = &x->statistics[r];
		int64_t inside, between;
		uint64_t part = row / 24 * 32 * 16 * sizeof(float); /* width 32, T 16 */
		uint64_t gather[2] = { 0, 0 };

		for (int32_t t = 0; t < span_order_steps(walk.order, r); t++) {
			const span_order_step *step = span_order_step_at(walk.order, r, t);

			for (int32_t i = 0; i < step->n_sends; i++) {
				int32_t peer = step->sends[i].peer;

				gather[x->group[peer] != x->group[r]] +=
					sent_bytes(&walk, peer, step->sends[i].block, row);
			}
		}
		walk_sent_parts(&walk, r, x->group, &inside, &between);
		cr_assert_eq(s->forward.pending_planned, walk_pending(&walk, r), "%s: rank %d",
		             text, r);
		cr_assert_eq(s->backward.pending_planned, walk_pending(&walk, r));
		cr_assert_eq(s->backward.returns_planned, walk_returns(&walk, r),
		             "%s: rank %d: %lld, not %d", text, r,
		             (long long)s->backward.returns_planned, walk_returns(&walk, r));
		cr_assert_eq(s->forward.bytes_inside_planned, gather[0], "%s: rank %d", text, r);
		cr_assert_eq(s->forward.bytes_between_planned, gather[1]);
		cr_assert_eq(s->backward.bytes_inside_planned, gather[0] + (uint64_t)inside * part,
		             "%s: rank %d: inside", text, r);
		cr_assert_eq(s->backward.bytes_between_planned,
		             gather[1] + (uint64_t)between * part, "%s: rank %d: between", text, r);
	}
}

/* That what is planned is also used, attention_case.c expects of every run of every test. */
Test(counts, waiting_partials_returns_and_bytes_are_as_worked_out)
{
	static const int32_t ranks_of[] = { 1, 2, 3, 4, 5, 7, 8, 12, 16, 32, 64 };

	for (int i = 0; i < 11 * 5 * 4; i++) {
		int32_t ranks = ranks_of[i % 11];
		int64_t tiles = i % 2 ? 3 + i % 23 : ranks + i % (ranks + 2);
		attention_case c = case_of(ranks, tiles, i / 11 % 5);
		struct ops *x;

		c.mask = (span_mask_kind)(i / 55 % 2);
		c.layout = (span_layout_family)(i / 110);
		c.grouping = (i * 5 + i / 9) % GROUP_CASES;
		c.way_back = (span_return_kind)(i % 3);
		x = make_ops(&c);
		expect_planned(x);
		free_ops(x);
	}
}

/* 8 ranks in 2 groups, all blocks needed: pairwise each rank fetches 4 blocks from the other
 * group, node first one. Ways back: each rank returns 4 gradients, or the rank of the owner's
 * rail one that it has collected. */
Test(counts, node_first_crosses_groups_once_for_each_rail)
{
	uint64_t blocks[2] = { 0, 0 }, gradients[2] = { 0, 0 };

	for (int i = 0; i < 2; i++) {
		attention_case c = case_of(8, 16, i ? SPAN_ORDER_NODE_FIRST : SPAN_ORDER_PAIRWISE);
		struct ops *x;

		c.tokens = 256;
		c.grouping = GROUP_TWO_EVEN;
		c.way_back = i ? SPAN_RETURN_GROUP_FIRST : SPAN_RETURN_DIRECT;
		x = make_ops(&c);
		for (int32_t r = 0; r < 8; r++) {
			const span_attention_statistics *s = &x->statistics[r];

			blocks[i] += s->forward.bytes_between_planned;
			gradients[i] += s->backward.bytes_between_planned -
			                s->forward.bytes_between_planned;
		}
		free_ops(x);
	}
	cr_assert_gt(blocks[1], 0);
	cr_assert_eq(blocks[0], 4 * blocks[1]);
	cr_assert_eq(gradients[0], 4 * gradients[1]);
}

/* Every rank sees both halves of the blocks of the ranks above it, and of those below it the
 * earlier one: half of all hops carry half a block. */
Test(counts, a_causal_zigzag_moves_three_quarters_of_all)
{
	static const int orders[] = { SPAN_ORDER_RING, SPAN_ORDER_NODE_FIRST, SPAN_ORDER_PAIRWISE };

	for (int i = 0; i < 3; i++) {
		uint64_t bytes[2] = { 0, 0 };

		for (int causal = 0; causal < 2; causal++) {
			attention_case c = case_of(8, 64, orders[i]);
			struct ops *x;

			c.tokens = 16 * 64;
			c.grouping = GROUP_TWO_EVEN;
			c.layout = SPAN_LAYOUT_ZIGZAG;
			c.mask = causal ? SPAN_MASK_CAUSAL : SPAN_MASK_FULL;
			x = make_ops(&c);
			for (int32_t r = 0; r < 8; r++)
				bytes[causal] += x->statistics[r].forward.bytes_inside_planned +
				                 x->statistics[r].forward.bytes_between_planned;
			free_ops(x);
		}
		cr_assert_eq(4 * bytes[1], 3 * bytes[0], "order %d: %llu of %llu", orders[i],
		             (unsigned long long)bytes[1], (unsigned long long)bytes[0]);
	}
}

/* ---- memory ---- */

static size_t round_up(double bytes)
{
	return ((size_t)bytes + 63) / 64 * 64;
}

/* What one rank of P in a ring needs, full mask, P a power of two, tiles whole, D a multiple of
 * 16. Allocates nothing of it. */
static size_t formula(const attention_case *c, int32_t ranks, int pending, int returns)
{
	double s = (double)c->tokens / ranks, d = c->head_size, element = span_dtype_bytes(c->dtype);
	double rows = (double)c->batch * c->query_heads * s;
	double digests = round_up(2.0 * c->batch * c->kv_heads * 8); /* of a tile */
	double block = 2 * (double)c->batch * c->kv_heads * s * d * element +
	               s / c->tile * digests;
	double gradients = 2 * (double)c->batch * c->kv_heads * s * d * sizeof(float);
	int buffers = ranks > 2 ? 2 : 1;
	size_t bytes = 0;

	bytes += round_up(block) + round_up(buffers * block); /* own, and those on the way */
	bytes += round_up(pending * rows * d * 4) + 2 * round_up(pending * rows * 4);
	bytes += 2 * round_up(rows * d * 4);                /* q scaled and dout in f32 */
	bytes += 2 * round_up(rows * 4);                    /* lse and delta */
	bytes += round_up(returns * gradients);             /* own dK, dV that wait */
	bytes += 2 * round_up(buffers * gradients);         /* leaving, arriving */
	return bytes;
}

Test(counts, memory_is_what_the_formula_says)
{
	for (int32_t ranks = 2; ranks <= 8; ranks *= 2) {
		attention_case c = { .batch = 1, .tokens = 65536, .tile = 256, .query_heads = 8,
			             .kv_heads = 4, .head_size = 128, .dtype = SPAN_F32,
			             .ranks = ranks, .order = SPAN_ORDER_RING, .threads = 1 };
		struct ops *x = make_ops(&c);
		tree_walk walk = walk_of(x);

		for (int32_t r = 0; r < c.ranks; r++) {
			const span_attention_statistics *s = &x->statistics[r];
			size_t without = s->workspace_bytes - s->scratch_bytes;
			size_t expected = formula(&c, ranks, walk_pending(&walk, r),
			                          walk_returns(&walk, r));

			cr_assert_eq(s->workspace_bytes,
			             span_attention_workspace_bytes(x->op[r]));
			cr_assert_eq(s->block_bytes + s->pending_bytes + s->query_bytes, without);
			cr_assert_geq(without, (size_t)64 << 20);
			cr_assert_eq(without, expected, "P = %d, rank %d: %zu, not %zu", ranks, r,
			             without, expected);
		}
		free_ops(x);
	}
}

/* Scratch: a part for each thread, that does not grow with the sequence but by what backward
 * keeps of one block and of the rank's own queries. */
Test(counts, scratch_is_for_each_thread)
{
	attention_case c = case_of(4, 64, SPAN_ORDER_RING);
	struct ops *one = make_ops(&c), *three;

	c.threads = 3;
	three = make_ops(&c);
	cr_assert_eq(three->statistics[0].scratch_bytes, 3 * one->statistics[0].scratch_bytes);
	cr_assert_eq(three->statistics[0].pending_bytes, one->statistics[0].pending_bytes);
	cr_assert_eq(three->statistics[0].block_bytes, one->statistics[0].block_bytes);
	free_ops(one);
	free_ops(three);
}
