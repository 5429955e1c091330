/* Groupings and needs that orders are tried with. */
#ifndef TESTS_ORDER_CASES_H
#define TESTS_ORDER_CASES_H

#include "topo/span_order.h"

#define CASE_MAX_RANKS 64

enum {
	GROUP_ONE,
	GROUP_TWO_EVEN,  /* halves, the second one rank less when P is odd */
	GROUP_FOUR_EVEN,
	GROUP_FIVE_THREE, /* 5, 3, 5, 3, ... */
	GROUP_INTERLEAVED, /* rank mod 3, with odd numbers for groups */
	GROUP_SINGLETONS,  /* numbered backwards */
	GROUP_LOPSIDED,    /* half of the ranks together, the others alone */
	GROUP_CASES
};

enum {
	NEED_ALL, /* also that of a zigzag layout under a causal mask */
	NEED_CAUSAL,
	NEED_WINDOW,
	NEED_RANDOM, /* half of all */
	NEED_SPARSE, /* one in eight */
	NEED_OTHERS, /* all but the own block */
	NEED_CASES
};

void order_case_group(int which, int32_t ranks, int32_t *group);
void order_case_need(int which, int32_t ranks, uint8_t *need);

/* An order with these; NULL when it cannot be made. */
span_order *order_case(span_order_kind kind, int32_t ranks, int group, int need);

#endif
