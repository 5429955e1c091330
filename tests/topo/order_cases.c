/* Groupings and needs that orders are tried with. */
#include "tests/topo/order_cases.h"

static int32_t group_of(int which, int32_t ranks, int32_t rank)
{
	static const int32_t odd_numbers[3] = { 7, -2, INT32_MAX };

	switch (which) {
	case GROUP_TWO_EVEN:
		return rank / ((ranks + 1) / 2);
	case GROUP_FOUR_EVEN:
		return rank / ((ranks + 3) / 4);
	case GROUP_FIVE_THREE:
		return 2 * (rank / 8) + (rank % 8 >= 5);
	case GROUP_INTERLEAVED:
		return odd_numbers[rank % 3];
	case GROUP_SINGLETONS:
		return -rank;
	case GROUP_LOPSIDED:
		return rank < ranks / 2 ? 0 : rank;
	default:
		return 0;
	}
}

void order_case_group(int which, int32_t ranks, int32_t *group)
{
	for (int32_t rank = 0; rank < ranks; rank++)
		group[rank] = group_of(which, ranks, rank);
}

/* One in `odds` by a hash of both numbers, always the same. */
static int by_chance(int32_t rank, int32_t block, uint32_t odds)
{
	uint32_t x = (uint32_t)rank * 2654435761u ^ ((uint32_t)block + 1) * 2246822519u;

	x = (x ^ x >> 15) * 2654435761u;
	return (x ^ x >> 13) % odds == 0;
}

static int needs(int which, int32_t ranks, int32_t rank, int32_t block)
{
	switch (which) {
	case NEED_CAUSAL:
		return block <= rank;
	case NEED_WINDOW:
		return block <= rank && block >= rank - ranks / 4;
	case NEED_RANDOM:
		return by_chance(rank, block, 2);
	case NEED_SPARSE:
		return by_chance(rank, block, 8);
	case NEED_OTHERS:
		return block != rank;
	default:
		return 1;
	}
}

void order_case_need(int which, int32_t ranks, uint8_t *need)
{
	for (int32_t rank = 0; rank < ranks; rank++)
		for (int32_t block = 0; block < ranks; block++)
			need[rank * ranks + block] = (uint8_t)needs(which, ranks, rank, block);
}

span_order *order_case(span_order_kind kind, int32_t ranks, int group_case, int need_case)
{
	static int32_t group[CASE_MAX_RANKS];
	static uint8_t need[CASE_MAX_RANKS * CASE_MAX_RANKS];
	const span_order_options options = {
		.size = sizeof(options), .kind = kind, .ranks = ranks, .group = group, .need = need,
	};
	span_order *order = NULL;

	order_case_group(group_case, ranks, group);
	order_case_need(need_case, ranks, need);
	return span_order_create(&options, &order) ? NULL : order;
}
