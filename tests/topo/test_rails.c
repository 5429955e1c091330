#include "topo/span_ring.h"

#include <criterion/criterion.h>
#include <string.h>

#include "tests/topo/log_capture.h"
#include "topo/span_cost.h"

/* Two groups of two hosts, four rails each; a leaf has 12.5 GB/s of uplinks, a NIC 50. */
static const char fabric[] =
	"hosts a[1-2] like \"synthetic:gpus:4 nvlink:450GB/s pcie:200GB/s nics:4 nic:50GB/s\" leaf su0 "
	"8:1 rails 4\n"
	"hosts b[1-2] like \"synthetic:gpus:4 nvlink:450GB/s pcie:200GB/s nics:4 nic:50GB/s\" leaf su1 "
	"8:1\n"
	"leaf su1 rails 4\n"
	"spine top su0 su1\n";

static span_topo *load(const char *text)
{
	span_topo *topo = NULL;

	log_capture();
	cr_assert_eq(span_topo_parse(text, strlen(text), "test", NULL, &topo), SPAN_OK, "%s",
	             log_captured());
	return topo;
}

static span_topo_path path_of(const span_topo *topo, const char *from, const char *to)
{
	span_topo_path path;

	cr_assert_eq(span_topo_path_between(topo, span_topo_find(topo, from),
	                                    span_topo_find(topo, to), &path), SPAN_OK);
	return path;
}

/* The ids a path goes through, with blanks between them. */
static const char *route_of(const span_topo *topo, const char *from, const char *to)
{
	static char text[512];
	int32_t nodes[32];
	int32_t n = span_topo_route(topo, span_topo_find(topo, from), span_topo_find(topo, to), nodes,
	                            32);

	*text = '\0';
	for (int32_t i = 0; i < n; i++) {
		span_topo_node node;

		span_topo_node_at(topo, nodes[i], &node);
		if (node.kind == SPAN_NODE_NIC || node.kind == SPAN_NODE_FABRIC)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), " %s",
			         node.kind == SPAN_NODE_FABRIC ? node.name : node.id);
	}
	return text;
}

Test(rails, hosts_meet_at_the_leaf_of_their_rail)
{
	span_topo *topo = load(fabric);
	span_topo_path path = path_of(topo, "h0/gpu2", "h1/gpu2");

	cr_assert_str_eq(route_of(topo, "h0/gpu2", "h1/gpu2"), " h0/nic2 su0 h1/nic2");
	cr_assert_float_eq(path.bandwidth, 50e9, 1);
	span_topo_free(topo);
}

Test(rails, meet_above_the_leaf_and_share_its_uplinks_evenly)
{
	span_topo *topo = load(fabric);
	span_topo_path turn = path_of(topo, "h0/gpu0", "h1/gpu2");
	span_topo_path across = path_of(topo, "h0/gpu0", "h3/gpu0");

	cr_assert_str_eq(route_of(topo, "h0/gpu0", "h1/gpu2"), " h0/nic0 su0 top su0 h1/nic2");
	cr_assert_str_eq(route_of(topo, "h0/gpu0", "h3/gpu1"), " h0/nic0 su0 top su1 h3/nic1");
	cr_assert_float_eq(turn.bandwidth, 12.5e9, 1, "%g", turn.bandwidth);
	cr_assert_float_eq(across.bandwidth, 12.5e9, 1, "%g", across.bandwidth);
	cr_assert_eq(turn.hops, across.hops);
	for (int32_t i = 0; i < span_topo_links(topo); i++) {
		span_topo_link link;

		span_topo_link_at(topo, i, &link);
		if (link.to == span_topo_find(topo, "fabric0"))
			cr_assert_float_eq(link.bandwidth, 12.5e9, 1);
	}
	span_topo_free(topo);
}

/* Nothing above: what is for another rail leaves by the port on it. */
Test(rails, that_nothing_joins_are_reached_by_their_own_port)
{
	span_topo *topo = load("hosts 2 like \"synthetic:gpus:4 nics:4\" leaf only rails 4\n");

	cr_assert_str_eq(route_of(topo, "h0/gpu0", "h1/gpu3"), " h0/nic3 only h1/nic3");
	cr_assert_eq(path_of(topo, "h0/gpu0", "h1/gpu3").path_class, SPAN_PATH_NET);
	cr_assert_eq(path_of(topo, "h0/nic0", "h1/nic3").path_class, SPAN_PATH_DIS);
	span_topo_free(topo);
}

/* All hosts are gone through in one order, so that a gather that goes inside hosts first has its
 * blocks cross on one rail each. The hops of the flat ring change rails, and are counted. */
Test(rails, hosts_have_one_order_and_hops_that_change_rails_count)
{
	span_topo *topo = load(fabric);
	span_ring_crossings crossings;
	span_ring *ring;

	cr_assert_eq(span_ring_create(topo, &ring), SPAN_OK);
	for (int32_t i = 4; i < 16; i++) {
		span_topo_node node, like;

		span_topo_node_at(topo, span_ring_nodes(ring)[i], &node);
		span_topo_node_at(topo, span_ring_nodes(ring)[i % 4], &like);
		cr_assert_str_eq(strchr(node.id, '/'), strchr(like.id, '/'));
	}
	cr_assert_eq(span_ring_count_crossings(ring, span_ring_nodes(ring), &crossings), SPAN_OK);
	cr_assert_eq(crossings.between_hosts, 4);
	cr_assert_eq(crossings.up_flows, 4);
	cr_assert_float_eq(span_ring_report_of(ring)->bound, 12.5e9, 1);
	span_ring_free(ring);
	span_topo_free(topo);
}

/* Seconds of a ring of four ranks, none next to one of its own group. */
static double ring_of(const span_topo *topo, const char *const ids[4])
{
	span_order_options options = { .size = sizeof(options), .kind = SPAN_ORDER_RING, .ranks = 4 };
	span_cost_work work = { .size = sizeof(work), .block_bytes = 12.5e9 };
	span_cost_network *network;
	span_order *order;
	int32_t nodes[4];
	span_cost cost;

	for (int i = 0; i < 4; i++)
		nodes[i] = span_topo_find(topo, ids[i]);
	cr_assert_eq(span_cost_topo_network(topo, nodes, 4, &network), SPAN_OK);
	cr_assert_eq(span_order_create(&options, &order), SPAN_OK);
	cr_assert_eq(span_cost_walk(order, network, &work, &cost), SPAN_OK);
	span_order_free(order);
	span_cost_network_free(network);
	return cost.seconds;
}

Test(rails, messages_share_the_uplinks_of_their_own_rail)
{
	static const char *const one[] = { "h0/gpu0", "h2/gpu0", "h1/gpu0", "h3/gpu0" };
	static const char *const two[] = { "h0/gpu0", "h2/gpu0", "h1/gpu1", "h3/gpu1" };
	span_topo *topo = load(fabric);

	cr_assert_float_eq(ring_of(topo, one), 3 * 2, 1e-9);
	cr_assert_float_eq(ring_of(topo, two), 3 * 1, 1e-9);
	span_topo_free(topo);
}

Test(rails, a_wrong_number_is_named)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{ "hosts 2 like \"synthetic:gpus:1\" rails\n",
		  "test:1: \"rails\" without a number from 1 to 64" },
		{ "hosts 2 like \"synthetic:gpus:1\" leaf a rails 65\n",
		  "test:1: \"rails\" without a number from 1 to 64" },
		{ "hosts 2 like \"synthetic:gpus:1\"\nleaf a host0 rails x\n",
		  "test:2: \"rails\" without a number from 1 to 64" },
	};

	for (int i = 0; i < 3; i++) {
		span_topo *topo = NULL;

		log_capture();
		cr_assert_eq(span_topo_parse(cases[i].text, strlen(cases[i].text), "test", NULL,
		                             &topo), SPAN_EPARSE);
		cr_assert_str_eq(log_captured(), cases[i].message);
	}
}
