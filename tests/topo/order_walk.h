/* Execute an order with no kernel and no transport, under a random schedule. */
#ifndef TESTS_ORDER_WALK_H
#define TESTS_ORDER_WALK_H

#include "topo/span_order.h"

/* Ranks go on in random turns, messages take a random time, sends are rendezvous, and each
 * rank has span_order_buffers() buffers. Written from span_order.h alone, to share nothing
 * with the builder or with span_order_check. Returns 1 when each rank computed each block it
 * needs (need [P][P]) once and no other, every message was matched, and nothing is left;
 * else 0 and a sentence in why. At most 64 ranks. */
int order_walk(const span_order *order, const uint8_t *need, uint64_t seed, char why[160]);

#endif
