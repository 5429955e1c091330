#include "topo/span_ring.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/topo/log_capture.h"
#include "topo/graph/graph.h"

static span_topo *load(const char *line)
{
	span_topo *topo;

	cr_assert_eq(span_topo_load(line, NULL, &topo), SPAN_OK, "%s", line);
	return topo;
}

static span_ring *make_ring(const span_topo *topo)
{
	span_ring *ring;

	cr_assert_eq(span_ring_create(topo, &ring), SPAN_OK);
	return ring;
}

/* --- a machine of our own ----------------------------------------------------------------- */

static int32_t add(struct machine *machine, span_node_kind kind, int32_t parent)
{
	int32_t node;

	cr_assert_eq(machine_add_node(machine, kind, 0, parent, &node), SPAN_OK);
	return node;
}

static void join(struct machine *machine, span_link_class link_class, int32_t a, int32_t b,
                 double bandwidth)
{
	cr_assert_eq(machine_add_link(machine, link_class, a, b, bandwidth, 1,
	                              SPAN_CONFIDENCE_DECLARED, "test"), SPAN_OK);
	cr_assert_eq(machine_add_link(machine, link_class, b, a, bandwidth, 1,
	                              SPAN_CONFIDENCE_DECLARED, "test"), SPAN_OK);
}

/* Two NUMA nodes with two PCIe switches each; a GPU on every switch, a NIC on the switches of
 * GPU 1 and GPU 2. All links are 24 GB/s, the ports 12. */
static struct machine *add_two_socket_host(span_topo *topo)
{
	struct machine *machine;
	int32_t host, cpu[2], pci[4];

	cr_assert_eq(topo_add_machine(topo, &machine), SPAN_OK);
	host = add(machine, SPAN_NODE_HOST, -1);
	for (int i = 0; i < 2; i++)
		cpu[i] = add(machine, SPAN_NODE_CPU, host);
	join(machine, SPAN_LINK_SOCKET, cpu[0], cpu[1], 24e9);
	for (int i = 0; i < 4; i++) {
		pci[i] = add(machine, SPAN_NODE_PCI, cpu[i / 2]);
		join(machine, SPAN_LINK_PCI, pci[i], cpu[i / 2], 24e9);
	}
	for (int i = 0; i < 4; i++)
		join(machine, SPAN_LINK_PCI, add(machine, SPAN_NODE_GPU, pci[i]), pci[i], 24e9);
	for (int i = 1; i < 3; i++) {
		int32_t card = add(machine, SPAN_NODE_CARD, pci[i]);
		int32_t nic = add(machine, SPAN_NODE_NIC, card);

		machine->nodes[nic].speed = 12e9;
		join(machine, SPAN_LINK_PCI, card, pci[i], 24e9);
		join(machine, SPAN_LINK_NETWORK, card, nic, 12e9);
	}
	return machine;
}

static span_topo *two_socket_hosts(int32_t hosts)
{
	span_topo *topo;

	cr_assert_eq(topo_create("synthetic", "test", false, &topo), SPAN_OK);
	add_two_socket_host(topo);
	for (int32_t i = 0; i < hosts; i++)
		cr_assert_eq(topo_add_place(topo, 0, -1, NULL), SPAN_OK);
	cr_assert_eq(topo_finish(topo), SPAN_OK);
	return topo;
}

static int32_t gpu_index(const span_topo *topo, int32_t node)
{
	span_topo_node device;

	span_topo_node_at(topo, node, &device);
	cr_assert_eq(device.kind, SPAN_NODE_GPU);
	return atoi(strstr(device.id, "gpu") + 3);
}

/* Every hop is 12 or 24 GB/s wide, whatever the ends: only nearness decides. */
Test(ring_fabric, comes_in_and_goes_out_next_to_a_nic)
{
	span_topo *topo = two_socket_hosts(3);
	span_ring *ring = make_ring(topo);
	const int32_t *nodes = span_ring_nodes(ring);

	cr_assert_eq(span_ring_length(ring), 12);
	for (int32_t host = 0; host < 3; host++) {
		int32_t in = gpu_index(topo, nodes[4 * host]);
		int32_t out = gpu_index(topo, nodes[4 * host + 3]);

		cr_assert((in == 1 && out == 2) || (in == 2 && out == 1), "%d %d", in, out);
	}
	span_ring_free(ring);
	span_topo_free(topo);
}

/* GPUs 0 and 1 are on a switch with NIC 0, GPUs 2 and 3 on the processor that NIC 1 hangs from: no
 * GPU is nearer to NIC 1 than they are. So the ring comes in at one pair and goes out at the other,
 * which costs no crossing between the pairs that the given order would not have. */
Test(ring_fabric, a_port_on_a_processor_has_its_nearest_gpus_there)
{
	static const char text[] =
		"hosts 3 like \"" SPAN_TEST_DATA "/topologies/matrices/smi-two-sockets.txt\"\n";
	const span_ring_report *report;
	span_topo *topo;
	span_ring *ring;

	cr_assert_eq(span_topo_parse(text, strlen(text), "test", NULL, &topo), SPAN_OK);
	ring = make_ring(topo);
	report = span_ring_report_of(ring);
	for (int32_t i = 0; i < 4; i++) {
		span_topo_node node;

		span_topo_node_at(topo, span_ring_nodes(ring)[i], &node);
		cr_assert_eq(atoi(strchr(node.id, '/') + 4), i, "%s in place %d", node.id, i);
	}
	cr_assert_eq(report->best.sum_inverse, report->given.sum_inverse);
	span_ring_free(ring);
	span_topo_free(topo);
}

Test(ring_fabric, of_one_host_is_a_circle_without_the_network)
{
	span_topo *topo = two_socket_hosts(1);
	span_ring *ring = make_ring(topo);
	const span_ring_report *report = span_ring_report_of(ring);

	cr_assert_eq(report->best.bottleneck, 24e9);
	cr_assert(report->exact);
	for (int32_t i = 0; i < 4; i++)
		cr_assert_eq(gpu_index(topo, span_ring_nodes(ring)[i]), i);
	span_ring_free(ring);
	span_topo_free(topo);
}

/* --- the fabric --------------------------------------------------------------------------- */

/* Hosts strewn over a tree: place p hangs at leaf (7 p) mod leaves. Leaves hang at pods, which
 * come after them in no order; every uplink is wide. */
static span_topo *strewn(int32_t hosts, int32_t pods, int32_t leaves)
{
	int32_t root, pod[16], leaf[128];
	span_topo *topo;

	cr_assert_eq(topo_create("synthetic", "test", false, &topo), SPAN_OK);
	cr_assert_eq(topo_add_switch(topo, -1, "root", 0, &root), SPAN_OK);
	for (int32_t i = 0; i < pods; i++)
		cr_assert_eq(topo_add_switch(topo, root, "pod", 1e12, &pod[i]), SPAN_OK);
	for (int32_t i = 0; i < leaves; i++)
		cr_assert_eq(topo_add_switch(topo, pod[i * 5 % pods], "leaf", 1e12, &leaf[i]),
		             SPAN_OK);
	add_two_socket_host(topo);
	for (int32_t i = 0; i < hosts; i++)
		cr_assert_eq(topo_add_place(topo, 0, leaf[7 * i % leaves], NULL), SPAN_OK);
	cr_assert_eq(topo_finish(topo), SPAN_OK);
	return topo;
}

Test(ring_fabric, crosses_every_uplink_once_a_direction)
{
	span_topo *topo = strewn(60, 4, 12);
	span_ring *ring = make_ring(topo);
	int32_t *other = malloc((size_t)span_ring_length(ring) * sizeof(*other));
	span_ring_crossings own, numbers;

	cr_assert_eq(span_ring_count_crossings(ring, span_ring_nodes(ring), &own), SPAN_OK);
	cr_assert_eq(own.between_hosts, 60);
	cr_assert_eq(own.up_flows, 12);
	cr_assert_eq(own.most_up_flows, 1);
	cr_assert_eq(span_ring_other(ring, SPAN_RING_BY_NUMBER, other), SPAN_OK);
	cr_assert_eq(span_ring_count_crossings(ring, other, &numbers), SPAN_OK);
	cr_assert_eq(numbers.between_hosts, 60);
	cr_assert_eq(numbers.up_flows, 60);
	/* 15 hosts a pod, each of whose successors is in another pod or leaf. */
	cr_assert_geq(numbers.most_up_flows, 15);
	free(other);
	span_ring_free(ring);
	span_topo_free(topo);
}

Test(ring_fabric, says_what_bounds_it)
{
	span_topo *topo = load("synthetic:nodes:8 gpus:4 nvlink:450GB/s nics:4 nic:25GB/s leaf:2 "
	                       "oversubscription:8:1");
	span_ring *ring = make_ring(topo);
	const span_ring_report *report = span_ring_report_of(ring);

	/* A port has 25 GB/s, a leaf 2 x 4 x 25 / 8 = 25 GB/s, too. */
	cr_assert_float_eq(report->best.bottleneck, 25e9, 1);
	cr_assert_float_eq(report->bound, 25e9, 1);
	span_ring_free(ring);
	span_topo_free(topo);
	topo = load("synthetic:nodes:8 gpus:4 nvlink:450GB/s nics:4 nic:25GB/s leaf:2 "
	            "oversubscription:16:1");
	ring = make_ring(topo);
	report = span_ring_report_of(ring);
	cr_assert_float_eq(report->best.bottleneck, 12.5e9, 1);
	cr_assert_float_eq(report->bound, 12.5e9, 1);
	span_ring_free(ring);
	span_topo_free(topo);
}

static double cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

Test(ring_fabric, orders_2048_hosts_of_8_at_once)
{
	span_topo *topo = load("synthetic:nodes:2048 gpus:8 nvlink:450GB/s nics:8 nic:50GB/s "
	                       "leaf:32 oversubscription:2:1 pod:256 pod-oversubscription:2:1");
	double least = INFINITY;
	span_ring_crossings crossings;
	span_ring *ring;

	for (int i = 0; i < 3; i++) {
		double start = cpu_seconds();

		ring = make_ring(topo);
		least = fmin(least, cpu_seconds() - start);
		cr_assert_eq(span_ring_length(ring), 16384);
		cr_assert_eq(span_ring_count_crossings(ring, span_ring_nodes(ring), &crossings),
		             SPAN_OK);
		cr_assert_eq(crossings.most_up_flows, 1);
		cr_assert_eq(crossings.up_flows, 64);
		span_ring_free(ring);
	}
	cr_log_info("2048 x 8: %.1f ms", 1e3 * least);
	/* Sanitizers and -O0 may take ten times as long. */
	cr_assert_lt(least, 1.0, "%g s", least);
	span_topo_free(topo);
}

/* --- orders to compare with ----------------------------------------------------------------- */

Test(ring_fabric, names_sort_as_strings)
{
	span_topo *topo = load("synthetic:nodes:12 gpus:2 nics:2 nic:50GB/s");
	span_ring *ring = make_ring(topo);
	int32_t nodes[24];
	span_topo_node node;

	cr_assert_eq(span_ring_other(ring, SPAN_RING_BY_NAME, nodes), SPAN_OK);
	span_topo_node_at(topo, nodes[4], &node);
	cr_assert_str_eq(node.id, "h10/gpu0");
	span_topo_node_at(topo, nodes[23], &node);
	cr_assert_str_eq(node.id, "h9/gpu1");
	cr_assert_eq(span_ring_other(ring, SPAN_RING_BY_NUMBER, nodes), SPAN_OK);
	span_topo_node_at(topo, nodes[4], &node);
	cr_assert_str_eq(node.id, "h2/gpu0");
	span_ring_free(ring);
	span_topo_free(topo);
}

/* A host of two GPUs whose ranks run against their numbers. */
Test(ring_fabric, ranks_of_the_source_make_an_order)
{
	struct machine *machine;
	int32_t host, gpu[3], nodes[3];
	span_topo *topo;
	span_ring *ring;

	cr_assert_eq(topo_create("synthetic", "test", false, &topo), SPAN_OK);
	cr_assert_eq(topo_add_machine(topo, &machine), SPAN_OK);
	host = add(machine, SPAN_NODE_HOST, -1);
	for (int i = 0; i < 3; i++) {
		gpu[i] = add(machine, SPAN_NODE_GPU, host);
		machine->nodes[gpu[i]].rank = 2 - i;
	}
	for (int i = 0; i < 3; i++)
		join(machine, SPAN_LINK_NVLINK, gpu[i], gpu[(i + 1) % 3], 20e9);
	cr_assert_eq(topo_add_place(topo, 0, -1, NULL), SPAN_OK);
	cr_assert_eq(topo_finish(topo), SPAN_OK);
	ring = make_ring(topo);
	cr_assert_eq(span_ring_other(ring, SPAN_RING_BY_RANK, nodes), SPAN_OK);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(nodes[i], gpu[2 - i]);
	span_ring_free(ring);
	machine->nodes[gpu[1]].rank = 2; /* twice: no order of ranks */
	ring = make_ring(topo);
	cr_assert_eq(span_ring_other(ring, SPAN_RING_BY_RANK, nodes), SPAN_OK);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(nodes[i], gpu[i]);
	span_ring_free(ring);
	span_topo_free(topo);
}

/* --- groups and lanes ----------------------------------------------------------------------- */

Test(ring_fabric, groups_are_what_the_network_parts)
{
	span_topo *topo = load("synthetic:nodes:3 gpus:4 nvlink:450GB/s nics:4 nic:25GB/s");
	span_ring *ring = make_ring(topo);
	int32_t group[12];

	cr_assert_eq(span_ring_groups(ring, group), 3);
	for (int i = 0; i < 12; i++)
		cr_assert_eq(group[i], i / 4);
	span_ring_free(ring);
	span_topo_free(topo);
}

/* Two hosts described as one machine, as in a dump of several: only the network joins them. */
Test(ring_fabric, groups_of_one_machine_are_its_hosts)
{
	struct machine *machine;
	span_topo *topo;
	span_ring *ring;
	int32_t group[4];

	cr_assert_eq(topo_create("synthetic", "test", false, &topo), SPAN_OK);
	cr_assert_eq(topo_add_machine(topo, &machine), SPAN_OK);
	for (int32_t h = 0; h < 2; h++) {
		int32_t host, gpu[2], nic;

		cr_assert_eq(machine_add_node(machine, SPAN_NODE_HOST, h, -1, &host), SPAN_OK);
		for (int i = 0; i < 2; i++)
			cr_assert_eq(machine_add_node(machine, SPAN_NODE_GPU, h, host, &gpu[i]),
			             SPAN_OK);
		cr_assert_eq(machine_add_node(machine, SPAN_NODE_NIC, h, host, &nic), SPAN_OK);
		join(machine, SPAN_LINK_NVLINK, gpu[0], gpu[1], 20e9);
		join(machine, SPAN_LINK_PCI, gpu[0], nic, 12e9);
		join(machine, SPAN_LINK_PCI, gpu[1], nic, 12e9);
	}
	cr_assert_eq(topo_add_place(topo, 0, -1, NULL), SPAN_OK);
	cr_assert_eq(topo_finish(topo), SPAN_OK);
	ring = make_ring(topo);
	cr_assert_eq(span_ring_report_of(ring)->best.missing, 0);
	cr_assert_eq(span_ring_groups(ring, group), 2);
	cr_assert_eq(group[0], group[1]);
	cr_assert_eq(group[2], group[3]);
	cr_assert_neq(group[0], group[2]);
	span_ring_free(ring);
	span_topo_free(topo);
}

/* Four GPUs in a square of two links a side and one across: two rings of 20 GB/s a lane. */
Test(ring_fabric, finds_lanes_where_links_are_direct)
{
	struct machine *machine;
	int32_t host, gpu[4], nodes[4 * 4], found;
	span_topo *topo;
	span_ring *ring;
	double bandwidth;

	cr_assert_eq(topo_create("synthetic", "test", false, &topo), SPAN_OK);
	cr_assert_eq(topo_add_machine(topo, &machine), SPAN_OK);
	host = add(machine, SPAN_NODE_HOST, -1);
	for (int i = 0; i < 4; i++)
		gpu[i] = add(machine, SPAN_NODE_GPU, host);
	for (int i = 0; i < 4; i++)
		for (int k = 0; k < 2; k++)
			join(machine, SPAN_LINK_NVLINK, gpu[i], gpu[(i + 1) % 4], 20e9);
	join(machine, SPAN_LINK_NVLINK, gpu[0], gpu[2], 20e9);
	cr_assert_eq(topo_add_place(topo, 0, -1, NULL), SPAN_OK);
	cr_assert_eq(topo_finish(topo), SPAN_OK);
	ring = make_ring(topo);
	cr_assert_eq(span_ring_report_of(ring)->best.bottleneck, 40e9);
	cr_assert_eq(span_ring_lanes(ring, 4, nodes, &found, &bandwidth), SPAN_OK);
	cr_assert_eq(found, 2);
	cr_assert_eq(bandwidth, 20e9);
	span_ring_free(ring);
	span_topo_free(topo);
	topo = load("synthetic:gpus:4 nvlink:450GB/s");
	ring = make_ring(topo);
	cr_assert_eq(span_ring_lanes(ring, 4, nodes, &found, &bandwidth), SPAN_OK);
	cr_assert_eq(found, 0);
	span_ring_free(ring);
	span_topo_free(topo);
}

Test(ring_fabric, names_the_argument_that_is_wrong)
{
	span_topo *topo = load("synthetic:gpus:4 nvlink:450GB/s");
	span_ring *ring = make_ring(topo);
	int32_t nodes[4], first = span_ring_nodes(ring)[0];
	span_ring_figures figures;

	log_capture();
	cr_assert_eq(span_ring_create(NULL, &ring), SPAN_EINVAL);
	cr_assert_str_eq(log_captured(), "span_ring_create: topo is NULL");
	memcpy(nodes, span_ring_nodes(ring), sizeof(nodes));
	nodes[3] = nodes[2];
	cr_assert_eq(span_ring_measure_nodes(ring, nodes, &figures), SPAN_EINVAL);
	cr_assert(strstr(log_captured(), "is too many; an order has each of the 4 devices once"),
	          "%s", log_captured());
	nodes[0] = first + 1000;
	cr_assert_eq(span_ring_measure_nodes(ring, nodes, &figures), SPAN_EINVAL);
	span_ring_free(ring);
	span_topo_free(topo);
}
