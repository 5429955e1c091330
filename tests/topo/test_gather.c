#include "topo/span_gather.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "tests/topo/log_capture.h"

static const span_cost_cluster rails = {
	.size = sizeof(rails), .nodes = 4, .ranks_per_node = 8, .nics = 8,
	.intra_bandwidth = 450e9, .intra_latency = 1e-6, .nic_bandwidth = 50e9,
	.nic_latency = 2e-6,
};

static span_gather_choice choose(const span_cost_cluster *cluster, double bytes, double compute)
{
	span_cost_work work = { .size = sizeof(work), .block_bytes = bytes, .compute = compute };
	span_gather_choice choice;

	cr_assert_eq(span_gather_choose(cluster, &work, &choice), SPAN_OK);
	return choice;
}

static double seconds_of(const span_gather_choice *choice, span_order_kind kind)
{
	for (int32_t i = 0; i < choice->n; i++)
		if (choice->candidate[i].kind == kind && choice->candidate[i].rings == 1)
			return choice->candidate[i].cost.seconds;
	return NAN;
}

static void assert_says(const span_gather_choice *choice, const char *part)
{
	size_t bytes = strlen(choice->reason);

	cr_assert(strstr(choice->reason, part), "\"%s\" is not in: %s", part, choice->reason);
	cr_assert(bytes > 20 && bytes < SPAN_GATHER_REASON - 1);
	cr_assert_neq(choice->reason[bytes - 1], '.');
	cr_assert_not(strchr(choice->reason, '"') || strchr(choice->reason, '\n'));
}

/* The choices of an independent simulator (test_cost.c has its figures): node-first wherever a
 * flat ring is exposed, and a tie where everything is hidden, which the ring wins. */
Test(gather, is_node_first_where_rails_pay)
{
	span_gather_choice choice = choose(&rails, 33554432, 137e-6);

	cr_assert_eq(choice.kind, SPAN_ORDER_NODE_FIRST);
	cr_assert_eq(choice.seconds, seconds_of(&choice, SPAN_ORDER_NODE_FIRST));
	assert_says(&choice, "links inside a host (450 GB/s) are faster than its way out (50 GB/s a "
	            "NIC)");
	assert_says(&choice, "on 8 NICs at once: 4.4 ms, where a flat ring takes 21.0 ms");
}

Test(gather, is_a_ring_where_everything_is_hidden)
{
	span_gather_choice choice = choose(&rails, 1e6, 137e-6);

	cr_assert_eq(choice.kind, SPAN_ORDER_RING);
	cr_assert_float_eq(choice.seconds, 32 * 137e-6, 1e-12);
	assert_says(&choice, "the network (50 GB/s a NIC) brings each block of a flat ring while "
	            "another is computed on; from blocks of ");
}

/* A block is hidden up to compute * bandwidth; node-first has to gain 2% before it is taken:
 * 31 (t - c) + 32 c < 32 c / 0.98 ends at t = c (1 + 32 / 31 (1 / 0.98 - 1)). */
Test(gather, names_the_size_from_which_the_choice_changes)
{
	double compute = 137e-6;
	double hop = compute * (1 + 32.0 / 31 * (1 / 0.98 - 1));
	double expected = (hop - rails.nic_latency) * rails.nic_bandwidth;
	span_gather_choice choice = choose(&rails, 1e6, compute);

	cr_assert_float_eq(choice.crossover, expected, 2e-3 * expected, "%g, expected %g",
	                   choice.crossover, expected);
	cr_assert_eq(choose(&rails, 1.01 * choice.crossover, compute).kind, SPAN_ORDER_NODE_FIRST);
	cr_assert_eq(choose(&rails, 0.98 * choice.crossover, compute).kind, SPAN_ORDER_RING);
}

Test(gather, of_one_host_is_a_ring)
{
	span_cost_cluster host = { .size = sizeof(host), .nodes = 1, .ranks_per_node = 8,
		                   .intra_bandwidth = 370e9 };
	span_gather_choice choice = choose(&host, 1e8, 0);

	cr_assert_eq(choice.kind, SPAN_ORDER_RING);
	cr_assert_eq(choice.crossover, INFINITY);
	cr_assert(isnan(seconds_of(&choice, SPAN_ORDER_NODE_FIRST)));
	assert_says(&choice, "the 8 ranks are in one host, where no order beats the ring");
	choice = choose(&host, 1e6, 1e-3);
	assert_says(&choice, "links (370 GB/s) bring each block while another is computed on");
	host.ranks_per_node = 1;
	choice = choose(&host, 1e8, 0);
	cr_assert_str_eq(choice.reason, "there is one rank, so nothing travels");
}

/* Small blocks pay latency: a ring 7 times, sending everything at once only once. It has to be
 * better by a tenth, which it is not when blocks are large. */
Test(gather, is_all_at_once_only_where_latency_rules)
{
	span_cost_cluster host = { .size = sizeof(host), .nodes = 1, .ranks_per_node = 8,
		                   .intra_bandwidth = 370e9, .intra_latency = 5e-6 };
	span_gather_choice choice = choose(&host, 1e3, 0);

	cr_assert_eq(choice.kind, SPAN_ORDER_ALL_GATHER);
	assert_says(&choice, "with blocks of 1 kB sending all of them at once takes 5.0 us, where a "
	            "flat ring takes 35.0 us");
	cr_assert_eq(choose(&host, 1e8, 0).kind, SPAN_ORDER_RING);
}

Test(gather, of_hosts_with_one_rank_says_so)
{
	span_cost_cluster hosts = { .size = sizeof(hosts), .nodes = 4, .ranks_per_node = 1,
		                    .nics = 1, .nic_bandwidth = 50e9 };
	span_gather_choice choice = choose(&hosts, 1e8, 0);

	cr_assert_eq(choice.kind, SPAN_ORDER_RING);
	assert_says(&choice, "each host has one rank");
}

/* What is chosen can be built, and no candidate that can be built is cheaper by 10%. */
Test(gather, is_never_much_worse_than_a_candidate)
{
	for (int i = 0; i < 400; i++) {
		span_cost_cluster cluster = rails;
		span_gather_choice choice;

		cluster.nodes = 1 + i % 5;
		cluster.ranks_per_node = 1 + i % 3 * 4;
		cluster.nics = i % 2 ? cluster.ranks_per_node : 1;
		cluster.leaf_nodes = i % 4 == 3 ? 2 : 0;
		cluster.oversubscription = i % 7 + 1;
		choice = choose(&cluster, pow(10, 3 + i % 6), i % 11 * 20e-6);
		cr_assert_neq(choice.kind, SPAN_ORDER_AUTO);
		cr_assert(isfinite(seconds_of(&choice, choice.kind)));
		for (int32_t c = 0; c < choice.n; c++)
			if (choice.candidate[c].offered)
				cr_assert_geq(choice.candidate[c].cost.seconds,
				              choice.seconds * (1 - 0.1001), "%d: %s", i,
				              span_order_kind_name(choice.candidate[c].kind));
	}
}

/* --- a topology ------------------------------------------------------------------------------ */

static span_gather_choice choose_line(const char *line, double bytes, double compute,
                                      span_cost_cluster *cluster)
{
	span_cost_work work = { .size = sizeof(work), .block_bytes = bytes, .compute = compute };
	span_gather_choice choice;
	span_topo *topo;
	span_ring *ring;

	cr_assert_eq(span_topo_load(line, NULL, &topo), SPAN_OK);
	cr_assert_eq(span_ring_create(topo, &ring), SPAN_OK);
	cr_assert_eq(span_gather_choose_ring(ring, &work, &choice), SPAN_OK);
	if (cluster)
		cr_assert_eq(span_gather_cluster(ring, cluster), SPAN_OK);
	span_ring_free(ring);
	span_topo_free(topo);
	return choice;
}

Test(gather, sums_a_topology_up)
{
	span_cost_cluster cluster;

	choose_line("synthetic:nodes:6 gpus:4 nvlink:450GB/s pcie:60GB/s nics:2 nic:25GB/s latency:2us "
	            "leaf:3 oversubscription:3:1", 1e8, 0, &cluster);
	cr_assert_eq(cluster.nodes, 6);
	cr_assert_eq(cluster.ranks_per_node, 4);
	cr_assert_eq(cluster.nics, 2);
	cr_assert_eq(cluster.leaf_nodes, 3);
	cr_assert_float_eq(cluster.intra_bandwidth, 450e9, 1);
	cr_assert_float_eq(cluster.nic_bandwidth, 25e9, 1);
	cr_assert_float_eq(cluster.nic_latency, 4e-6, 1e-12);
	cr_assert_float_eq(cluster.oversubscription, 3, 1e-9);
	cr_assert_eq(cluster.shared_port, 0);
	choose_line("synthetic:nodes:2 gpus:4 nvlink:none nics:4 nic:25GB/s", 1e8, 0, &cluster);
	cr_assert_eq(cluster.shared_port, 1);
}

/* 256 ranks are walked, 264 are not: both come to the same per block. */
Test(gather, walks_and_closed_forms_meet, .timeout = 120)
{
	span_gather_choice walked, closed;

	walked = choose_line("synthetic:nodes:32 gpus:8 nvlink:450GB/s pcie:200GB/s nics:8 "
	                     "nic:50GB/s", 1e8, 1e-4, NULL);
	closed = choose_line("synthetic:nodes:33 gpus:8 nvlink:450GB/s pcie:200GB/s nics:8 "
	                     "nic:50GB/s", 1e8, 1e-4, NULL);
	cr_assert_eq(walked.kind, SPAN_ORDER_NODE_FIRST);
	cr_assert_eq(closed.kind, SPAN_ORDER_NODE_FIRST);
	cr_assert_float_eq(closed.seconds / walked.seconds, 33.0 / 32, 1e-3);
	cr_assert_float_eq(seconds_of(&closed, SPAN_ORDER_RING) /
	                           seconds_of(&walked, SPAN_ORDER_RING),
	                   263.0 / 255, 1e-3);
}

Test(gather, says_when_no_path_is_known)
{
	span_gather_choice choice = choose_line("synthetic:nodes:2 gpus:4 nvlink:450GB/s nics:0",
	                                        1e8, 0, NULL);

	cr_assert_eq(choice.kind, SPAN_ORDER_RING);
	cr_assert_eq(choice.n, 0);
	assert_says(&choice, "2 of the ring's links have no known path");
}

Test(gather, names_the_argument_that_is_wrong)
{
	span_cost_work work = { .size = sizeof(work), .block_bytes = 1 };
	span_cost_cluster cluster = rails;
	span_gather_choice choice;

	log_capture();
	cr_assert_eq(span_gather_choose(&cluster, &work, NULL), SPAN_EINVAL);
	cr_assert_str_eq(log_captured(), "span_gather_choose: choice is NULL");
	cluster.size = 1;
	cr_assert_eq(span_gather_choose(&cluster, &work, &choice), SPAN_EINVAL);
	cr_assert_eq(span_gather_choose_ring(NULL, &work, &choice), SPAN_EINVAL);
	cr_assert_str_eq(log_captured(), "span_gather_choose_ring: ring is NULL");
}
