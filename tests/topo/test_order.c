#include "topo/span_order.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/topo/log_capture.h"
#include "tests/topo/order_cases.h"
#include "tests/topo/order_walk.h"

/* --- every P, grouping and need, each kind ------------------------------------------------ */

static int crosses(const span_order *order, int32_t a, int32_t b)
{
	return span_order_group(order, a) != span_order_group(order, b);
}

/* How often a block comes into rank's group from outside, counted at all of its members. */
static int entries(const span_order *order, int32_t rank, int32_t block)
{
	int n = 0;

	for (int32_t member = 0; member < span_order_ranks(order); member++) {
		if (crosses(order, rank, member))
			continue;
		for (int32_t s = 0; s < span_order_steps(order, member); s++) {
			const span_order_step *step = span_order_step_at(order, member, s);

			for (int32_t i = 0; i < step->n_receives; i++)
				n += step->receives[i].block == block &&
				     crosses(order, member, step->receives[i].peer);
		}
	}
	return n;
}

static int group_needs(const span_order *order, int32_t rank, int32_t block)
{
	for (int32_t member = 0; member < span_order_ranks(order); member++)
		if (!crosses(order, rank, member) && span_order_needs(order, member, block))
			return 1;
	return 0;
}

static void assert_one_entry_a_group(const span_order *order)
{
	for (int32_t rank = 0; rank < span_order_ranks(order); rank++) {
		if (rank && !crosses(order, rank, rank - 1))
			continue;
		for (int32_t block = 0; block < span_order_ranks(order); block++)
			cr_assert_eq(entries(order, rank, block),
			             crosses(order, rank, block) && group_needs(order, rank, block));
	}
}

/* The first and the last step in which a rank computes on a block or sends it; -1 for never. */
static void find_uses(const span_order *order, int32_t rank, int32_t block, int32_t *first,
                      int32_t *last)
{
	*first = *last = -1;
	for (int32_t s = 0; s < span_order_steps(order, rank); s++) {
		const span_order_step *step = span_order_step_at(order, rank, s);
		int used = step->compute == block;

		for (int32_t i = 0; i < step->n_sends; i++)
			used |= step->sends[i].block == block;
		if (used && *first < 0)
			*first = s;
		if (used)
			*last = s;
	}
}

/* The last step in which a rank holds a block, by the rule of span_order_buffers. */
static int32_t held_until(const span_order *order, int32_t rank, int32_t block)
{
	int32_t first, last, peer_first, peer_last;

	find_uses(order, rank, block, &first, &last);
	for (int32_t s = 0; s < span_order_steps(order, rank); s++) {
		const span_order_step *step = span_order_step_at(order, rank, s);

		for (int32_t i = 0; i < step->n_sends; i++) {
			if (step->sends[i].block != block)
				continue;
			find_uses(order, step->sends[i].peer, block, &peer_first, &peer_last);
			last = last < peer_first - 1 ? peer_first - 1 : last;
		}
	}
	return last;
}

static void assert_buffers(const span_order *order, int32_t rank)
{
	int32_t steps = span_order_steps(order, rank), most = 0;
	int32_t held[2 * CASE_MAX_RANKS] = { 0 };

	for (int32_t s = 0; s < steps; s++) {
		const span_order_step *step = span_order_step_at(order, rank, s);

		for (int32_t i = 0; i < step->n_receives; i++) {
			int32_t until = held_until(order, rank, step->receives[i].block);

			for (int32_t t = s; t <= until && t < steps; t++)
				held[t]++;
		}
	}
	for (int32_t s = 0; s < steps; s++)
		most = most < held[s] ? held[s] : most;
	cr_assert_eq(span_order_buffers(order, rank), most);
}

static void try_case(span_order_kind kind, int32_t ranks, int group, int need_case)
{
	static uint8_t need[CASE_MAX_RANKS * CASE_MAX_RANKS];
	span_order *order = order_case(kind, ranks, group, need_case);
	char why[160];

	cr_assert(order);
	order_case_need(need_case, ranks, need);
	for (int32_t i = 0; i < ranks * ranks; i++)
		cr_assert_eq(span_order_needs(order, i / ranks, i % ranks), need[i]);
	cr_assert(order_walk(order, need, (uint64_t)(ranks * 100 + group * 10 + need_case), why),
	          "%s, %d ranks, grouping %d, need %d: %s", span_order_kind_name(kind), ranks, group,
	          need_case, why);
	cr_assert_eq(span_order_check(order), SPAN_OK, "%s", log_captured());
	for (int32_t rank = 0; rank < ranks; rank++)
		cr_assert_leq(span_order_steps(order, rank), 2 * ranks);
	for (int32_t rank = 0; rank < ranks && ranks <= 20; rank++)
		assert_buffers(order, rank);
	if (kind == SPAN_ORDER_NODE_FIRST && (ranks <= 20 || ranks == CASE_MAX_RANKS))
		assert_one_entry_a_group(order);
	span_order_free(order);
}

static void try_all(span_order_kind kind)
{
	log_capture();
	for (int32_t ranks = 1; ranks <= CASE_MAX_RANKS; ranks++)
		for (int group = 0; group < GROUP_CASES; group++)
			for (int need = 0; need < NEED_CASES; need++)
				try_case(kind, ranks, group, need);
}

Test(order, ring_is_right_for_every_grouping_and_need, .timeout = 300)
{
	try_all(SPAN_ORDER_RING);
}

Test(order, node_first_is_right_for_every_grouping_and_need, .timeout = 300)
{
	try_all(SPAN_ORDER_NODE_FIRST);
}

Test(order, pairwise_is_right_for_every_grouping_and_need, .timeout = 300)
{
	try_all(SPAN_ORDER_PAIRWISE);
}

Test(order, all_gather_is_right_for_every_grouping_and_need, .timeout = 300)
{
	try_all(SPAN_ORDER_ALL_GATHER);
}

Test(order, a_thousand_ranks_are_quickly_done, .timeout = 60)
{
	enum { RANKS = 1024 };
	static int32_t group[RANKS];

	for (int32_t rank = 0; rank < RANKS; rank++)
		group[rank] = rank / 8;
	for (int kind = SPAN_ORDER_RING; kind <= SPAN_ORDER_PAIRWISE; kind++) {
		const span_order_options options = { .size = sizeof(options),
		                                     .kind = (span_order_kind)kind,
		                                     .ranks = RANKS,
		                                     .group = group };
		span_order *order;

		cr_assert_eq(span_order_create(&options, &order), SPAN_OK);
		cr_assert_eq(span_order_check(order), SPAN_OK);
		cr_assert_eq(span_order_steps(order, 0), RANKS);
		span_order_free(order);
	}
}

/* --- the shape of each kind ---------------------------------------------------------------- */

Test(order, a_ring_passes_every_block_to_the_rank_before_with_two_buffers)
{
	for (int32_t ranks = 2; ranks <= CASE_MAX_RANKS; ranks++) {
		span_order *order = order_case(SPAN_ORDER_RING, ranks, GROUP_ONE, NEED_ALL);

		for (int32_t rank = 0; rank < ranks; rank++) {
			cr_assert_eq(span_order_steps(order, rank), ranks);
			cr_assert_eq(span_order_buffers(order, rank), ranks > 2 ? 2 : 1);
			for (int32_t s = 0; s < ranks; s++) {
				const span_order_step *step = span_order_step_at(order, rank, s);
				int32_t passes = s + 1 < ranks;

				cr_assert_eq(step->compute, (rank + s) % ranks);
				cr_assert_eq(step->n_sends, passes);
				cr_assert_eq(step->n_receives, passes);
				if (!passes)
					continue;
				cr_assert_eq(step->sends[0].peer, (rank + ranks - 1) % ranks);
				cr_assert_eq(step->sends[0].block, step->compute);
				cr_assert_eq(step->receives[0].peer, (rank + 1) % ranks);
			}
		}
		span_order_free(order);
	}
}

Test(order, a_causal_ring_has_two_buffers_and_moves_no_block_that_is_not_needed)
{
	for (int32_t ranks = 3; ranks <= CASE_MAX_RANKS; ranks++) {
		span_order *order = order_case(SPAN_ORDER_RING, ranks, GROUP_ONE, NEED_CAUSAL);
		int32_t moved = 0;

		for (int32_t rank = 0; rank < ranks; rank++) {
			cr_assert_leq(span_order_buffers(order, rank), 2);
			for (int32_t s = 0; s < span_order_steps(order, rank); s++)
				moved += span_order_step_at(order, rank, s)->n_receives;
		}
		cr_assert_eq(moved, ranks * (ranks - 1) / 2);
		span_order_free(order);
	}
}

Test(order, members_of_a_group_are_neighbours_on_the_ring)
{
	/* Groups 7, -2, 2147483647 by rank mod 3: the ring is 1 4 7, 0 3 6, 2 5. */
	static const int32_t before[8] = { 7, 5, 6, 0, 1, 2, 3, 4 };
	span_order *order = order_case(SPAN_ORDER_RING, 8, GROUP_INTERLEAVED, NEED_ALL);

	cr_assert_eq(span_order_groups(order), 3);
	cr_assert_eq(span_order_group(order, 4), -2);
	for (int32_t rank = 0; rank < 8; rank++)
		cr_assert_eq(span_order_step_at(order, rank, 0)->sends[0].peer, before[rank]);
	span_order_free(order);
}

/* The step that computes on a block. */
static int32_t use_of(const span_order *order, int32_t rank, int32_t block)
{
	for (int32_t s = 0; s < span_order_steps(order, rank); s++)
		if (span_order_step_at(order, rank, s)->compute == block)
			return s;
	return -1;
}

Test(order, node_first_crosses_on_rails_with_a_whole_phase_for_each_message)
{
	enum { GROUP = 8, RANKS = 32 };
	span_order *order = order_case(SPAN_ORDER_NODE_FIRST, RANKS, GROUP_FOUR_EVEN, NEED_ALL);
	int crossings = 0;

	for (int32_t rank = 0; rank < RANKS; rank++) {
		cr_assert_eq(span_order_steps(order, rank), RANKS);
		cr_assert_eq(span_order_buffers(order, rank), 4);
		for (int32_t s = 0; s < RANKS; s++) {
			const span_order_step *step = span_order_step_at(order, rank, s);

			for (int32_t i = 0; i < step->n_receives; i++) {
				int32_t peer = step->receives[i].peer;
				int32_t block = step->receives[i].block;

				if (!crosses(order, rank, peer)) {
					cr_assert_eq(use_of(order, rank, block), s + 1);
					continue;
				}
				crossings++;
				cr_assert_eq((rank / GROUP + 1) % 4, peer / GROUP);
				cr_assert_eq(peer % GROUP, rank % GROUP);
				cr_assert_eq(block % GROUP, rank % GROUP);
				cr_assert_eq(s % GROUP, 0);
				cr_assert_eq(use_of(order, rank, block), s + GROUP);
			}
		}
	}
	cr_assert_eq(crossings, 3 * RANKS);
	span_order_free(order);
}

Test(order, node_first_computes_the_blocks_of_its_own_group_first)
{
	span_order *order = order_case(SPAN_ORDER_NODE_FIRST, 8, GROUP_FIVE_THREE, NEED_ALL);

	cr_assert_eq(span_order_groups(order), 2);
	for (int32_t rank = 0; rank < 8; rank++) {
		int32_t size = rank < 5 ? 5 : 3;

		for (int32_t s = 0; s < size; s++)
			cr_assert(!crosses(order, rank, span_order_step_at(order, rank, s)->compute));
	}
	/* Each group needs its own blocks, then those of the other in turns of its size. */
	cr_assert_eq(span_order_steps(order, 2), 10);
	cr_assert_eq(span_order_steps(order, 7), 9);
	span_order_free(order);
}

Test(order, node_first_of_one_group_is_the_ring)
{
	span_order *ring = order_case(SPAN_ORDER_RING, 9, GROUP_ONE, NEED_RANDOM);
	span_order *node = order_case(SPAN_ORDER_NODE_FIRST, 9, GROUP_ONE, NEED_RANDOM);

	for (int32_t rank = 0; rank < 9; rank++) {
		cr_assert_eq(span_order_steps(ring, rank), span_order_steps(node, rank));
		for (int32_t s = 0; s < span_order_steps(ring, rank); s++)
			cr_assert_eq(span_order_step_at(ring, rank, s)->compute,
			             span_order_step_at(node, rank, s)->compute);
	}
	span_order_free(ring);
	span_order_free(node);
}

static void assert_from_owners(const span_order *order)
{
	for (int32_t rank = 0; rank < span_order_ranks(order); rank++) {
		for (int32_t s = 0; s < span_order_steps(order, rank); s++) {
			const span_order_step *step = span_order_step_at(order, rank, s);

			for (int32_t i = 0; i < step->n_receives; i++)
				cr_assert_eq(step->receives[i].peer, step->receives[i].block);
		}
	}
}

Test(order, pairwise_takes_each_block_from_its_owner_one_a_step)
{
	for (int32_t ranks = 2; ranks <= CASE_MAX_RANKS; ranks++) {
		span_order *order = order_case(SPAN_ORDER_PAIRWISE, ranks, GROUP_ONE, NEED_ALL);
		int exchange = (ranks & (ranks - 1)) == 0;

		assert_from_owners(order);
		for (int32_t rank = 0; rank < ranks; rank++) {
			cr_assert_leq(span_order_buffers(order, rank), 2);
			for (int32_t s = 0; s < ranks; s++) {
				const span_order_step *step = span_order_step_at(order, rank, s);

				cr_assert_eq(step->compute,
				             exchange ? (rank ^ s) : (rank - s + ranks) % ranks);
				cr_assert_eq(step->n_receives, s + 1 < ranks);
			}
		}
		span_order_free(order);
	}
}

Test(order, all_gather_posts_everything_in_its_first_step)
{
	span_order *order = order_case(SPAN_ORDER_ALL_GATHER, 12, GROUP_TWO_EVEN, NEED_ALL);

	assert_from_owners(order);
	for (int32_t rank = 0; rank < 12; rank++) {
		cr_assert_eq(span_order_step_at(order, rank, 0)->n_receives, 11);
		cr_assert_eq(span_order_step_at(order, rank, 0)->n_sends, 11);
		cr_assert_eq(span_order_buffers(order, rank), 11);
	}
	span_order_free(order);
}

Test(order, a_rank_computes_its_own_block_first_if_it_needs_it)
{
	for (int kind = SPAN_ORDER_RING; kind <= SPAN_ORDER_ALL_GATHER; kind++) {
		for (int need = 0; need < NEED_CASES; need++) {
			span_order *order =
				order_case((span_order_kind)kind, 13, GROUP_FIVE_THREE, need);

			for (int32_t rank = 0; rank < 13; rank++)
				if (span_order_needs(order, rank, rank))
					cr_assert_eq(use_of(order, rank, rank), 0);
			span_order_free(order);
		}
	}
}

/* --- automatic choices, the way back ------------------------------------------------------ */

Test(order, auto_is_node_first_for_several_groups_and_a_ring_for_one)
{
	span_order *several = order_case(SPAN_ORDER_AUTO, 6, GROUP_TWO_EVEN, NEED_ALL);
	span_order *one = order_case(SPAN_ORDER_AUTO, 6, GROUP_ONE, NEED_ALL);

	cr_assert_eq(span_order_kind_of(several), SPAN_ORDER_NODE_FIRST);
	cr_assert_eq(span_order_way_back(several), SPAN_RETURN_GROUP_FIRST);
	cr_assert_eq(span_order_kind_of(one), SPAN_ORDER_RING);
	cr_assert_eq(span_order_way_back(one), SPAN_RETURN_DIRECT);
	span_order_free(several);
	span_order_free(one);
}

Test(order, without_groups_and_needs_every_rank_needs_all_in_one_group)
{
	const span_order_options options = { .size = sizeof(options), .ranks = 5 };
	span_order *order;

	cr_assert_eq(span_order_create(&options, &order), SPAN_OK);
	cr_assert_eq(span_order_ranks(order), 5);
	cr_assert_eq(span_order_groups(order), 1);
	for (int32_t rank = 0; rank < 5; rank++) {
		cr_assert_eq(span_order_group(order, rank), 0);
		for (int32_t block = 0; block < 5; block++)
			cr_assert_eq(span_order_needs(order, rank, block), 1);
	}
	span_order_free(order);
}

/* Follow the gradients of all contributions; the messages that leave rank's group. */
static int gradients_leaving(const span_order *order, int32_t block, const int32_t *members)
{
	int n = 0;

	for (int i = 0; members[i] >= 0; i++) {
		int32_t hop = span_order_return_hop(order, block, members[i]);

		n += hop >= 0 && crosses(order, members[i], hop);
	}
	return n;
}

Test(order, group_first_returns_one_gradient_from_each_group_on_the_owners_rail)
{
	static const int32_t five[] = { 0, 1, 2, 3, 4, -1 }, three[] = { 5, 6, 7, -1 };
	span_order *order = order_case(SPAN_ORDER_NODE_FIRST, 8, GROUP_FIVE_THREE, NEED_ALL);

	for (int32_t block = 0; block < 5; block++) {
		int32_t collector = 5 + block % 3;

		cr_assert_eq(gradients_leaving(order, block, three), 1);
		cr_assert_eq(gradients_leaving(order, block, five), 0);
		for (int32_t rank = 5; rank < 8; rank++)
			cr_assert_eq(span_order_return_hop(order, block, rank),
			             rank == collector ? block : collector);
		for (int32_t rank = 0; rank < 5; rank++)
			cr_assert_eq(span_order_return_hop(order, block, rank),
			             rank == block ? -1 : block);
	}
	for (int32_t block = 5; block < 8; block++) {
		cr_assert_eq(gradients_leaving(order, block, five), 1);
		cr_assert_eq(span_order_return_hop(order, block, block - 5), block);
		cr_assert_eq(span_order_return_hop(order, block, 4), block - 5);
	}
	span_order_free(order);
}

Test(order, a_collector_needs_no_block_itself_and_a_single_rank_goes_straight)
{
	/* Groups {0, 1}, {2, 3, 4}, {5, 6}; block 0 is needed by 3, 4 and 6, block 1 by 2. */
	static const int32_t group[7] = { 0, 0, 1, 1, 1, 2, 2 };
	uint8_t need[49] = { 0 };
	const span_order_options options = { .size = sizeof(options), .ranks = 7, .group = group,
	                                     .need = need };
	span_order *order;

	need[3 * 7 + 0] = need[4 * 7 + 0] = need[6 * 7 + 0] = need[2 * 7 + 1] = 1;
	cr_assert_eq(span_order_create(&options, &order), SPAN_OK);
	cr_assert_eq(span_order_return_hop(order, 0, 2), 0);
	cr_assert_eq(span_order_return_hop(order, 0, 3), 2);
	cr_assert_eq(span_order_return_hop(order, 0, 4), 2);
	cr_assert_eq(span_order_return_hop(order, 0, 5), -1);
	cr_assert_eq(span_order_return_hop(order, 0, 6), 0);
	cr_assert_eq(span_order_return_hop(order, 1, 2), 1);
	cr_assert_eq(span_order_return_hop(order, 1, 3), -1);
	cr_assert_eq(span_order_check(order), SPAN_OK);
	span_order_free(order);
}

Test(order, direct_returns_every_gradient_to_its_owner)
{
	static const int32_t group[6] = { 0, 0, 0, 1, 1, 1 };
	const span_order_options options = { .size = sizeof(options), .ranks = 6, .group = group,
	                                     .way_back = SPAN_RETURN_DIRECT };
	span_order *order;

	cr_assert_eq(span_order_create(&options, &order), SPAN_OK);
	cr_assert_eq(span_order_kind_of(order), SPAN_ORDER_NODE_FIRST);
	for (int32_t block = 0; block < 6; block++)
		for (int32_t rank = 0; rank < 6; rank++)
			cr_assert_eq(span_order_return_hop(order, block, rank),
			             rank == block ? -1 : block);
	span_order_free(order);
}

/* --- names and wrong arguments ------------------------------------------------------------ */

Test(order, kinds_have_names_and_names_have_kinds)
{
	static const char *const names[] = { "auto", "ring", "node-first", "pairwise",
		                             "all-gather" };

	for (int k = 0; k < 5; k++) {
		span_order_kind kind = (span_order_kind)99;

		cr_assert_str_eq(span_order_kind_name((span_order_kind)k), names[k]);
		cr_assert_eq(span_order_kind_parse(names[k], &kind), SPAN_OK);
		cr_assert_eq((int)kind, k);
	}
	cr_assert_str_eq(span_order_kind_name((span_order_kind)5), "unknown");
	cr_assert_str_eq(span_order_kind_name((span_order_kind)-1), "unknown");
}

static void assert_said(const char *part)
{
	cr_assert(strstr(log_captured(), part), "\"%s\" lacks \"%s\"", log_captured(), part);
}

Test(order, an_unknown_name_is_refused_with_the_known_ones)
{
	span_order_kind kind = SPAN_ORDER_PAIRWISE;

	log_capture();
	cr_assert_eq(span_order_kind_parse("rings", &kind), SPAN_EINVAL);
	assert_said("\"rings\"");
	assert_said("auto, ring, node-first, pairwise and all-gather");
	cr_assert_eq(span_order_kind_parse("", &kind), SPAN_EINVAL);
	cr_assert_eq(span_order_kind_parse(NULL, &kind), SPAN_EINVAL);
	assert_said("name is NULL");
	cr_assert_eq(span_order_kind_parse("ring", NULL), SPAN_EINVAL);
	assert_said("kind is NULL");
	cr_assert_eq(kind, SPAN_ORDER_PAIRWISE);
}

static void refuse(const span_order_options *options, const char *part)
{
	span_order *const before = (span_order *)0x1;
	span_order *order = before;

	log_capture();
	cr_assert_eq(span_order_create(options, &order), SPAN_EINVAL, "%s", part);
	cr_assert_eq(order, before);
	cr_assert_eq(log_captured_count(), 1);
	assert_said(part);
}

Test(order, wrong_options_are_refused_by_name)
{
	const span_order_options good = { .size = sizeof(good), .ranks = 4 };
	span_order_options bad;

	refuse(NULL, "options is NULL");
	log_capture();
	cr_assert_eq(span_order_create(&good, NULL), SPAN_EINVAL);
	assert_said("order is NULL");
	bad = good, bad.size = 0, refuse(&bad, "size is 0");
	bad = good, bad.size++, refuse(&bad, "size is");
	bad = good, bad.kind = (span_order_kind)5, refuse(&bad, "kind is 5");
	bad = good, bad.kind = (span_order_kind)-1, refuse(&bad, "kind is -1");
	bad = good, bad.way_back = (span_return_kind)3, refuse(&bad, "way_back is 3");
	bad = good, bad.way_back = (span_return_kind)-1, refuse(&bad, "way_back is -1");
	bad = good, bad.ranks = 0, refuse(&bad, "ranks is 0");
	bad = good, bad.ranks = -4, refuse(&bad, "ranks is -4");
	bad = good, bad.ranks = SPAN_ORDER_MAX_RANKS + 1, refuse(&bad, "ranks is 4097");
	span_order_free(NULL);
	log_capture();
	cr_assert_eq(span_order_check(NULL), SPAN_EINVAL);
	assert_said("order is NULL");
}
