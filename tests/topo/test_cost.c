#include "topo/span_cost.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/topo/log_capture.h"

static span_order *make_order(span_order_kind kind, int32_t ranks, int32_t per_group)
{
	int32_t group[1024];
	span_order_options options = {
		.size = sizeof(options),
		.kind = kind,
		.ranks = ranks,
		.group = group,
	};
	span_order *order;

	for (int32_t rank = 0; rank < ranks; rank++)
		group[rank] = rank / per_group;
	cr_assert_eq(span_order_create(&options, &order), SPAN_OK);
	return order;
}

/* Node numbers of ranks dealt out one to each node in turn. */
static void deal_out(const span_cost_cluster *cluster, int32_t *node)
{
	for (int32_t rank = 0; rank < cluster->nodes * cluster->ranks_per_node; rank++)
		node[rank] = rank % cluster->nodes;
}

static double walk(span_order_kind kind, const span_cost_cluster *cluster, const int32_t *node,
                   span_cost_work work, span_cost *cost)
{
	span_cost_network *network;
	span_order *order = make_order(kind, cluster->nodes * cluster->ranks_per_node,
	                               cluster->ranks_per_node);

	work.size = sizeof(work);
	cr_assert_eq(span_cost_cluster_network(cluster, node, &network), SPAN_OK);
	cr_assert_eq(span_cost_walk(order, network, &work, cost), SPAN_OK);
	span_cost_network_free(network);
	span_order_free(order);
	return cost->seconds;
}

/* --- an independent simulator ------------------------------------------------------------- */

/* Makespans in microseconds by SimGrid 3.32 (SMPI, its flow-level model with factors off), 32
 * ranks on 4 nodes of 8, 2 nodes a leaf; ranks contiguous, and dealt out to nodes in turn.
 * Run 2026-11 with programs that post the next block, compute and wait. 0: not run, or with
 * links whose bandwidth was not recorded. Latencies were of some microseconds. */
static const struct {
	const char *what;
	double nic, nics, oversubscription, mib, compute;
	double ring, ring_dealt, node_first, node_first_dealt, all_gather;
} simulated[] = {
	{ "a NIC a GPU", 50e9, 8, 1, 8, 137, 5439, 5439, 4384, 5337, 8419 },
	{ "larger blocks", 50e9, 8, 1, 32, 137, 21001, 21001, 4384, 19393, 20467 },
	{ "leaves 4:1", 50e9, 8, 4, 32, 137, 21032, 41802, 5128, 38181, 47269 },
	{ "one slow NIC", 12.5e9, 1, 1, 32, 137, 83313, 664891, 65427, 600971, 518964 },
	{ "one fast NIC", 100e9, 1, 1, 8, 137, 4384, 21065, 4384, 19450, 20517 },
	{ "PCIe", 12.5e9, 8, 1, 32, 137, 83344, 83344, 0, 0, 68710 },
};

static void compare(const char *what, const char *order, double seconds, double expected)
{
	if (expected > 0)
		cr_assert_float_eq(1e6 * seconds, expected, 0.05 * expected,
		                   "%s, %s: %.0f us, simulated %.0f", what, order, 1e6 * seconds,
		                   expected);
}

Test(cost, agrees_with_an_independent_simulator)
{
	for (size_t i = 0; i < sizeof(simulated) / sizeof(*simulated); i++) {
		span_cost_cluster cluster = {
			.size = sizeof(cluster),
			.nodes = 4,
			.ranks_per_node = 8,
			.nics = (int32_t)simulated[i].nics,
			.leaf_nodes = 2,
			.intra_bandwidth = simulated[i].nic == 12.5e9 && simulated[i].nics == 8
			                           ? 20e9
			                           : 450e9,
			.intra_latency = 1e-6,
			.nic_bandwidth = simulated[i].nic,
			.nic_latency = 2e-6,
			.oversubscription = simulated[i].oversubscription,
		};
		span_cost_work work = { .block_bytes = simulated[i].mib * 1048576,
			                .compute = 1e-6 * simulated[i].compute };
		span_cost cost;
		int32_t dealt[32];

		deal_out(&cluster, dealt);
		compare(simulated[i].what, "ring",
		        walk(SPAN_ORDER_RING, &cluster, NULL, work, &cost), simulated[i].ring);
		compare(simulated[i].what, "ring, dealt out",
		        walk(SPAN_ORDER_RING, &cluster, dealt, work, &cost),
		        simulated[i].ring_dealt);
		compare(simulated[i].what, "node-first",
		        walk(SPAN_ORDER_NODE_FIRST, &cluster, NULL, work, &cost),
		        simulated[i].node_first);
		compare(simulated[i].what, "node-first, dealt out",
		        walk(SPAN_ORDER_NODE_FIRST, &cluster, dealt, work, &cost),
		        simulated[i].node_first_dealt);
		work.gather_first = 1;
		compare(simulated[i].what, "all-gather",
		        walk(SPAN_ORDER_ALL_GATHER, &cluster, NULL, work, &cost),
		        simulated[i].all_gather);
	}
}

/* The same simulator's 128 ranks on 16 nodes. */
Test(cost, agrees_with_an_independent_simulator_at_128_ranks)
{
	span_cost_cluster cluster = {
		.size = sizeof(cluster),
		.nodes = 16,
		.ranks_per_node = 8,
		.nics = 8,
		.intra_bandwidth = 450e9,
		.intra_latency = 1e-6,
		.nic_bandwidth = 50e9,
		.nic_latency = 2e-6,
	};
	span_cost_work work = { .block_bytes = 33554432, .compute = 137e-6 };
	span_cost cost;

	compare("128 ranks", "ring", walk(SPAN_ORDER_RING, &cluster, NULL, work, &cost), 85903);
	compare("128 ranks", "node-first",
	        walk(SPAN_ORDER_NODE_FIRST, &cluster, NULL, work, &cost), 17536);
}

/* --- closed forms ---------------------------------------------------------------------------- */

struct shape {
	int32_t nodes, ranks, nics, leaf;
	double oversubscription;
	int shared;
};

static const struct shape shapes[] = {
	{ 1, 8, 0, 0, 0, 0 },
	{ 4, 8, 8, 0, 0, 0 },
	{ 4, 8, 1, 0, 0, 0 },
	{ 4, 8, 4, 2, 4, 0 },
	{ 2, 1, 1, 0, 0, 0 },
	{ 3, 4, 2, 0, 0, 0 },
	{ 4, 4, 4, 0, 0, 1 },
	{ 8, 2, 2, 2, 2, 0 },
	{ 4, 8, 2, 2, 3, 1 },
	{ 8, 4, 1, 4, 1, 1 },
	{ 5, 1, 1, 0, 0, 0 },
	{ 1, 1, 0, 0, 0, 0 },
	{ 16, 4, 4, 4, 8, 0 },
	{ 6, 3, 3, 0, 0, 0 },
};

static void compare_closed(const struct shape *shape, span_order_kind kind, span_cost_work work)
{
	span_cost_cluster cluster = {
		.size = sizeof(cluster),
		.nodes = shape->nodes,
		.ranks_per_node = shape->ranks,
		.nics = shape->nics,
		.leaf_nodes = shape->leaf,
		.intra_bandwidth = 100e9,
		.intra_latency = 3e-6,
		.nic_bandwidth = 25e9,
		.nic_latency = 5e-6,
		.oversubscription = shape->oversubscription,
		.shared_port = shape->shared,
	};
	/* With shared ports, nodes that send within their leaf get on otherwise than those that
	 * one rank's view stands for. */
	double within = shape->shared && shape->leaf ? 0.01 : 1e-9;
	span_cost closed, walked;

	work.size = sizeof(work);
	walk(kind, &cluster, NULL, work, &walked);
	cr_assert_eq(span_cost_closed(kind, &cluster, &work, &closed), SPAN_OK);
	cr_assert_float_eq(closed.seconds, walked.seconds, within * walked.seconds,
	                   "%s of %d x %d, %d NICs, leaf %d, over %g, shared %d, %g bytes, "
	                   "compute %g, stalls %d, first %d: closed %.9g walked %.9g",
	                   span_order_kind_name(kind), shape->nodes, shape->ranks, shape->nics,
	                   shape->leaf, shape->oversubscription, shape->shared, work.block_bytes,
	                   work.compute, work.stalls, work.gather_first, closed.seconds,
	                   walked.seconds);
	cr_assert_float_eq(closed.compute, walked.compute, 1e-12);
	cr_assert_float_eq(closed.exposed, walked.exposed, within * walked.seconds);
}

Test(cost, closed_forms_are_the_walk)
{
	static const double bytes[] = { 1e3, 1e6, 3e7 }, compute[] = { 0, 20e-6, 1e-3 };
	static const span_order_kind kinds[] = { SPAN_ORDER_RING, SPAN_ORDER_NODE_FIRST,
		                                 SPAN_ORDER_PAIRWISE, SPAN_ORDER_ALL_GATHER };

	for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++)
		for (int kind = 0; kind < 4; kind++)
			for (int b = 0; b < 3; b++)
				for (int c = 0; c < 3; c++)
					for (int mode = 0; mode < 3; mode++)
						compare_closed(&shapes[i], kinds[kind],
						               (span_cost_work){
								       .block_bytes = bytes[b],
								       .compute = compute[c],
								       .stalls = mode == 1,
								       .gather_first = mode == 2,
							       });
}

/* Uneven: never less than the walk, so that nobody is promised too much. */
Test(cost, closed_forms_are_bounds_elsewhere)
{
	static const struct shape uneven[] = {
		{ 6, 4, 3, 4, 2, 0 },
		{ 7, 2, 2, 3, 4, 0 },
		{ 3, 5, 2, 0, 0, 0 },
		{ 6, 4, 4, 3, 2, 0 },
	};
	static const span_order_kind kinds[] = { SPAN_ORDER_RING, SPAN_ORDER_NODE_FIRST,
		                                 SPAN_ORDER_PAIRWISE, SPAN_ORDER_ALL_GATHER };

	for (size_t i = 0; i < 4; i++) {
		for (int kind = 0; kind < 4; kind++) {
			span_cost_cluster cluster = {
				.size = sizeof(cluster),
				.nodes = uneven[i].nodes,
				.ranks_per_node = uneven[i].ranks,
				.nics = uneven[i].nics,
				.leaf_nodes = uneven[i].leaf,
				.intra_bandwidth = 100e9,
				.intra_latency = 3e-6,
				.nic_bandwidth = 25e9,
				.nic_latency = 5e-6,
				.oversubscription = uneven[i].oversubscription,
			};
			span_cost_work work = {
				.size = sizeof(work),
				.block_bytes = 1e7,
				.compute = 1e-5,
			};
			span_cost closed, walked;

			walk(kinds[kind], &cluster, NULL, work, &walked);
			cr_assert_eq(span_cost_closed(kinds[kind], &cluster, &work, &closed),
			             SPAN_OK);
			cr_assert_geq(closed.seconds, walked.seconds * (1 - 1e-9), "%zu %s", i,
			              span_order_kind_name(kinds[kind]));
			cr_assert_leq(closed.seconds, walked.seconds * 2, "%zu %s: %g %g", i,
			              span_order_kind_name(kinds[kind]), closed.seconds,
			              walked.seconds);
		}
	}
}

/* --- by hand ------------------------------------------------------------------------------------ */

/* Two ranks a node, one NIC, pairwise: in step 0 blocks stay inside; in steps 1 and 2 both
 * ranks of a node send over its NIC. 1 GB over 100 and 25 GB/s. */
Test(cost, of_pairwise_by_hand)
{
	span_cost_cluster cluster = {
		.size = sizeof(cluster),
		.nodes = 2,
		.ranks_per_node = 2,
		.nics = 1,
		.intra_bandwidth = 100e9,
		.intra_latency = 0.001,
		.nic_bandwidth = 25e9,
		.nic_latency = 0.002,
	};
	span_cost_work work = { .block_bytes = 1e9, .compute = 0.05 };
	span_cost cost;

	walk(SPAN_ORDER_PAIRWISE, &cluster, NULL, work, &cost);
	cr_assert_float_eq(cost.seconds, 0.05 + 2 * 0.082 + 0.05, 1e-12);
	cr_assert_float_eq(cost.compute, 0.2, 1e-12);
	cr_assert_float_eq(cost.exposed, cost.seconds - 0.2, 1e-12);
	cr_assert_float_eq(cost.busiest, 2 * 0.08 / cost.seconds, 1e-9);
	work.stalls = 1;
	walk(SPAN_ORDER_PAIRWISE, &cluster, NULL, work, &cost);
	cr_assert_float_eq(cost.seconds, 4 * 0.05 + 0.011 + 2 * 0.082, 1e-12);
}

/* Max-min: 0 sends to 1 and 2, 2 also hears from 3. The port in of 2 is shared by two messages,
 * the port out of 0 by two; nobody gets more than half. Then an uneven case: with three
 * messages into 2 each has a third, and 0's other message has the two thirds that are left. */
static double arrival(const char *text)
{
	FILE *file = fmemopen((void *)text, strlen(text), "r");
	span_cost_cluster cluster = {
		.size = sizeof(cluster),
		.nodes = 1,
		.ranks_per_node = 5,
		.intra_bandwidth = 1e9,
	};
	span_cost_work work = { .size = sizeof(work), .block_bytes = 1e9 };
	span_cost_network *network;
	span_order *order;
	span_cost cost;

	cr_assert_eq(span_order_load(file, "order", &order), SPAN_OK);
	fclose(file);
	cr_assert_eq(span_cost_cluster_network(&cluster, NULL, &network), SPAN_OK);
	cr_assert_eq(span_cost_walk(order, network, &work, &cost), SPAN_OK);
	span_order_free(order);
	span_cost_network_free(network);
	return cost.seconds;
}

#define HEAD "span-order 1\nkind all-gather\nway-back direct\nranks 5\n"

Test(cost, shares_links_fairly)
{
	/* Into 2 from 0, 3 and 4, and to 1 from 0. After 1.5 s 1 has its block (2/3 of a link),
	 * used in step 1; 2 has the last of its three after 3 s. */
	static const char both[] =
		HEAD "need 1 0 0\nneed 2 0 0\nneed 2 3 4\n"
		     "rank 0\nstep 0\nsend 0 to 1\nsend 0 to 2\n"
		     "rank 1\nstep 0\nreceive 0 from 0\nstep 1\ncompute 0\n"
		     "rank 2\nstep 0\nreceive 0 from 0\nreceive 3 from 3\nreceive 4 from 4\n"
		     "step 1\ncompute 0\nstep 2\ncompute 3\nstep 3\ncompute 4\n"
		     "rank 3\nstep 0\nsend 3 to 2\nrank 4\nstep 0\nsend 4 to 2\nend\n";
	/* 2 only passes time: what 1 gets from 0 is sent on in step 1, so the clock says when
	 * it was there: 1.5 s, then 1.5 s of the others, then 0.5 s together with nothing. */
	static const char chain[] =
		HEAD "need 1 0 0\nneed 2 3 4\nneed 2 0 0\nneed 3 0 0\n"
		     "rank 0\nstep 0\nsend 0 to 1\nsend 0 to 2\n"
		     "rank 1\nstep 0\nreceive 0 from 0\nstep 1\ncompute 0\nsend 0 to 3\n"
		     "rank 2\nstep 0\nreceive 0 from 0\nreceive 3 from 3\nreceive 4 from 4\n"
		     "step 1\nstep 2\nstep 3\ncompute 0\nstep 4\ncompute 3\nstep 5\ncompute 4\n"
		     "rank 3\nstep 0\nsend 3 to 2\nstep 1\nreceive 0 from 1\nstep 2\ncompute 0\n"
		     "rank 4\nstep 0\nsend 4 to 2\nend\n";

	cr_assert_float_eq(arrival(both), 3, 1e-9);
	/* 1.5 s, then 1 s for the message to 3, which is alone; 2's three are there at 3 s. */
	cr_assert_float_eq(arrival(chain), 3, 1e-9);
}

/* --- over a topology ------------------------------------------------------------------------------ */

/* What is made of one line is what a cluster of the same figures comes to. PCIe is wide enough
 * not to matter; latencies are 0 on both sides. */
static double walk_line(const char *line, span_order_kind kind, int32_t per_group,
                        span_cost_work work)
{
	span_cost_network *network;
	span_topo *topo;
	span_order *order;
	int32_t device[256], ranks;
	span_cost cost;

	work.size = sizeof(work);
	cr_assert_eq(span_topo_load(line, NULL, &topo), SPAN_OK);
	ranks = span_topo_devices(topo, SPAN_NODE_GPU, -1, device, 256);
	order = make_order(kind, ranks, per_group);
	cr_assert_eq(span_cost_topo_network(topo, device, ranks, &network), SPAN_OK);
	cr_assert_eq(span_cost_walk(order, network, &work, &cost), SPAN_OK);
	span_order_free(order);
	span_cost_network_free(network);
	span_topo_free(topo);
	return cost.seconds;
}

Test(cost, of_a_topology_is_that_of_its_cluster)
{
	static const span_order_kind kinds[] = { SPAN_ORDER_RING, SPAN_ORDER_NODE_FIRST,
		                                 SPAN_ORDER_PAIRWISE, SPAN_ORDER_ALL_GATHER };
	static const char flat[] = "synthetic:nodes:4 gpus:8 nvlink:450GB/s pcie:900GB/s nics:8 "
				   "nic:50GB/s";
	static const char leaves[] = "synthetic:nodes:4 gpus:8 nvlink:450GB/s pcie:900GB/s nics:8 "
				     "nic:50GB/s leaf:2 oversubscription:4:1";
	span_cost_cluster cluster = {
		.size = sizeof(cluster), .nodes = 4, .ranks_per_node = 8, .nics = 8,
		.intra_bandwidth = 450e9, .nic_bandwidth = 50e9, .oversubscription = 4,
	};
	span_cost_work work = { .block_bytes = 3e7, .compute = 100e-6 };
	span_cost cost;

	for (int k = 0; k < 4; k++) {
		cluster.leaf_nodes = 0;
		cr_assert_float_eq(walk_line(flat, kinds[k], 8, work),
		                   walk(kinds[k], &cluster, NULL, work, &cost),
		                   1e-9 * cost.seconds, "%s", span_order_kind_name(kinds[k]));
		cluster.leaf_nodes = 2;
		cr_assert_float_eq(walk_line(leaves, kinds[k], 8, work),
		                   walk(kinds[k], &cluster, NULL, work, &cost),
		                   1e-9 * cost.seconds, "%s", span_order_kind_name(kinds[k]));
	}
}

Test(cost, names_the_argument_that_is_wrong)
{
	span_cost_cluster cluster = {
		.size = sizeof(cluster),
		.nodes = 2,
		.ranks_per_node = 2,
		.intra_bandwidth = 1e9,
		.nic_bandwidth = 1e9,
	};
	span_cost_work work = { .size = sizeof(work), .block_bytes = 1 };
	const int32_t node[] = { 0, 0, 0, 1 };
	span_cost_network *network = NULL;
	span_order *order = make_order(SPAN_ORDER_RING, 3, 3);
	span_cost cost;

	log_capture();
	cr_assert_eq(span_cost_cluster_network(&cluster, NULL, &network), SPAN_EINVAL);
	cr_assert_str_eq(log_captured(), "span_cost_cluster_network: nics is 0; with several nodes "
	                                 "it is from 1 to ranks_per_node, which is 2");
	cluster.nics = 1;
	cr_assert_eq(span_cost_cluster_network(&cluster, node, &network), SPAN_EINVAL);
	cr_assert_str_eq(log_captured(), "span_cost_cluster_network: more than 2 ranks on node 0");
	cluster.oversubscription = 0.5;
	cr_assert_eq(span_cost_closed(SPAN_ORDER_RING, &cluster, &work, &cost), SPAN_EINVAL);
	cr_assert_str_eq(log_captured(), "span_cost_closed: oversubscription is 0.5; it is at least "
	                                 "1, or 0 for 1");
	cluster.oversubscription = 0;
	cr_assert_eq(span_cost_closed(SPAN_ORDER_AUTO, &cluster, &work, &cost), SPAN_EINVAL);
	work.block_bytes = 0;
	cr_assert_eq(span_cost_closed(SPAN_ORDER_RING, &cluster, &work, &cost), SPAN_EINVAL);
	cr_assert_str_eq(log_captured(), "span_cost_closed: block_bytes is 0; a message has some "
	                                 "bytes");
	work.block_bytes = 1;
	cr_assert_eq(span_cost_cluster_network(&cluster, NULL, &network), SPAN_OK);
	cr_assert_eq(span_cost_walk(order, network, &work, &cost), SPAN_EINVAL);
	cr_assert_str_eq(log_captured(), "span_cost_walk: the order has 3 ranks, the network 4; they "
	                                 "must be equal");
	span_cost_network_free(network);
	span_order_free(order);
}
