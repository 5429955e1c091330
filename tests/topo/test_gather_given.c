#include "topo/span_gather.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/topo/log_capture.h"
#include "topo/cost/cost.h"

static const span_cost_work work = { .size = sizeof(work), .block_bytes = 1e7 };

static span_ring *load(const char *source, span_topo **topo)
{
	span_ring *ring = NULL;

	log_capture();
	cr_assert_eq(span_topo_load(source, NULL, topo), SPAN_OK, "%s", log_captured());
	cr_assert_eq(span_ring_create(*topo, &ring), SPAN_OK, "%s", log_captured());
	return ring;
}

static double seconds_of(const span_ring *ring, const int32_t *nodes, span_order_kind kind)
{
	span_cost cost;

	cr_assert_eq(span_gather_cost_nodes(ring, nodes, kind, &work, &cost), SPAN_OK, "%s",
	             log_captured());
	return cost.seconds;
}

static const char *const sources[] = {
	SPAN_TEST_DATA "/topologies/nccl/rccl/topo_16p1h.xml",
	SPAN_TEST_DATA "/topologies/cluster/two-kinds.txt",
	"synthetic:nodes:6 gpus:4 nics:2 nic:25GB/s latency:3us leaf:2 oversubscription:4:1",
	"synthetic:nodes:3 gpus:4 nvlink:none nics:1 nic:12GB/s",
	"synthetic:gpus:8 nvlink:none switches:2",
};

enum { SOURCES = sizeof(sources) / sizeof(*sources) };

/* The ring's own order costs what it was chosen for, whatever the kind. */
Test(gather_given, our_own_order_costs_what_the_choice_says)
{
	for (int s = 0; s < SOURCES; s++) {
		span_gather_choice choice;
		span_topo *topo;
		span_ring *ring = load(sources[s], &topo);

		cr_assert_eq(span_gather_choose_ring(ring, &work, &choice), SPAN_OK);
		for (int32_t i = 0; i < choice.n; i++)
			if (choice.candidate[i].rings == 1)
				cr_assert_eq(seconds_of(ring, span_ring_nodes(ring),
				                        choice.candidate[i].kind),
				             choice.candidate[i].cost.seconds, "%s: %s", sources[s],
				             span_order_kind_name(choice.candidate[i].kind));
		span_ring_free(ring);
		span_topo_free(topo);
	}
}

/* Swap nodes at random, the same way in every run. */
static void shuffle(int32_t *nodes, int32_t n, uint32_t seed)
{
	for (int32_t i = n - 1; i > 0; i--) {
		int32_t j, kept = nodes[i];

		seed = seed * 1664525u + 1013904223u;
		j = (int32_t)((uint64_t)seed * (uint64_t)(i + 1) >> 32);
		nodes[i] = nodes[j];
		nodes[j] = kept;
	}
}

/* What one hop says of a ring is what its walk comes to, for any order, with and without compute.
 * Latencies that differ from hop to hop may let a message start its next hop earlier than the
 * slowest one: there the walk may be shorter. */
static void assert_hop(const span_topo *topo, const int32_t *nodes, int32_t n, span_cost_work with,
                       const char *source)
{
	span_order_options options = { .size = sizeof(options), .kind = SPAN_ORDER_RING, .ranks = n };
	span_cost_network *network;
	span_order *order;
	span_cost walked, hop;

	cr_assert_eq(span_cost_topo_network(topo, nodes, n, &network), SPAN_OK);
	cr_assert_eq(span_order_create(&options, &order), SPAN_OK);
	cr_assert_eq(span_cost_walk(order, network, &with, &walked), SPAN_OK);
	cr_assert_eq(cost_ring_by_hop(network, &with, &hop), SPAN_OK);
	cr_assert_float_eq(hop.seconds / walked.seconds, 1, 1e-9, "%s: %.12g by hop, %.12g walked",
	                   source, hop.seconds, walked.seconds);
	cr_assert_float_eq(hop.compute, walked.compute, 1e-12);
	span_order_free(order);
	span_cost_network_free(network);
}

Test(gather_given, one_hop_of_a_ring_tells_what_its_walk_comes_to)
{
	const span_cost_work works[] = {
		work,
		{ .size = sizeof(work), .block_bytes = 1e7, .compute = 2e-4 },
		{ .size = sizeof(work), .block_bytes = 1e5, .compute = 1 },
		{ .size = sizeof(work), .block_bytes = 1e7, .compute = 3e-4, .stalls = 1 },
		{ .size = sizeof(work), .block_bytes = 1e7, .compute = 3e-4, .gather_first = 1 },
	};

	for (int s = 0; s < SOURCES; s++) {
		span_topo *topo;
		span_ring *ring = load(sources[s], &topo);
		int32_t n = span_ring_length(ring), *nodes = malloc((size_t)n * sizeof(*nodes));

		memcpy(nodes, span_ring_nodes(ring), (size_t)n * sizeof(*nodes));
		for (uint32_t turn = 0; turn < 4; turn++) {
			for (int w = 0; w < 5; w++)
				assert_hop(topo, nodes, n, works[w], sources[s]);
			shuffle(nodes, n, turn + 1);
		}
		free(nodes);
		span_ring_free(ring);
		span_topo_free(topo);
	}
}

/* Ranks dealt out to hosts by turns cross the network at every hop of a flat ring; a node-first
 * gather still goes through hosts one by one, and loses little. */
Test(gather_given, hosts_by_turns_cost_a_flat_ring_more)
{
	span_topo *topo;
	span_ring *ring = load("synthetic:nodes:4 gpus:4 nics:1 nic:25GB/s", &topo);
	const int32_t *ours = span_ring_nodes(ring);
	int32_t nodes[16];
	double flat, first;

	for (int32_t i = 0; i < 16; i++)
		nodes[i] = ours[i % 4 * 4 + i / 4];
	flat = seconds_of(ring, nodes, SPAN_ORDER_RING) / seconds_of(ring, ours, SPAN_ORDER_RING);
	first = seconds_of(ring, nodes, SPAN_ORDER_NODE_FIRST) /
	        seconds_of(ring, ours, SPAN_ORDER_NODE_FIRST);
	cr_assert_float_eq(flat, 4, 1e-9, "%g times as long", flat);
	cr_assert_float_eq(first, 1, 1e-9, "%g times as long", first);
	span_ring_free(ring);
	span_topo_free(topo);
}

/* Hosts of two leaves by turns: every block crosses the uplinks again and again. */
Test(gather_given, node_first_goes_from_host_to_host_as_the_order_meets_them)
{
	static const int32_t turns[4] = { 0, 2, 1, 3 };
	span_topo *topo;
	span_ring *ring = load("synthetic:nodes:4 gpus:2 nics:2 nic:25GB/s leaf:2 oversubscription:4:1",
	                       &topo);
	const int32_t *ours = span_ring_nodes(ring);
	int32_t nodes[8];
	double longer;

	for (int32_t i = 0; i < 8; i++)
		nodes[i] = ours[2 * turns[i / 2] + i % 2];
	longer = seconds_of(ring, nodes, SPAN_ORDER_NODE_FIRST) /
	         seconds_of(ring, ours, SPAN_ORDER_NODE_FIRST);
	cr_assert_float_eq(longer, 2, 0.05, "%g times as long", longer);
	span_ring_free(ring);
	span_topo_free(topo);
}

/* 16,384 ranks, too many for a walk: each hop brings what the slowest link lets through. */
Test(gather_given, a_long_ring_has_a_cost)
{
	span_topo *topo;
	span_ring *ring = load("synthetic:nodes:2048 gpus:8 nics:8 nic:25GB/s leaf:32", &topo);
	span_cost cost;

	cr_assert_float_eq(seconds_of(ring, span_ring_nodes(ring), SPAN_ORDER_RING),
	                   16383 * 1e7 / 25e9, 1e-9);
	cr_assert_eq(span_gather_cost_nodes(ring, span_ring_nodes(ring), SPAN_ORDER_PAIRWISE, &work,
	                                    &cost), SPAN_EUNSUPPORTED);
	cr_assert_str_eq(log_captured(), "span_gather_cost_nodes: pairwise of 16384 ranks; up to "
	                 "256 are walked, and above that only a ring has a cost");
	span_ring_free(ring);
	span_topo_free(topo);
}

Test(gather_given, names_the_argument_that_is_wrong)
{
	span_topo *topo;
	span_ring *ring = load("synthetic:gpus:2", &topo);
	span_cost_work none = { 0 };
	span_cost cost;

	cr_assert_eq(span_gather_cost_nodes(ring, NULL, SPAN_ORDER_RING, &work, &cost), SPAN_EINVAL);
	cr_assert_str_eq(log_captured(), "span_gather_cost_nodes: nodes is NULL");
	cr_assert_eq(span_gather_cost_nodes(ring, span_ring_nodes(ring), SPAN_ORDER_RING, &none,
	                                    &cost), SPAN_EINVAL);
	cr_assert_eq(span_gather_cost_nodes(ring, (int32_t[]){ 0, 0 }, SPAN_ORDER_RING, &work, &cost),
	             SPAN_EINVAL);
	span_ring_free(ring);
	span_topo_free(topo);
}
