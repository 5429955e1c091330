/* The rules of paths one by one, on small machines; that all of them together give NCCL's paths is
 * the business of test_paths_golden.c. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/topo/log_capture.h"
#include "topo/graph/link_speed.h"
#include "topo/graph/path.h"

/* --- building machines ---------------------------------------------------------------------- */

struct built {
	span_topo *topo;
	struct machine *machine;
};

static struct built build(void)
{
	struct built b;
	int32_t host;

	cr_assert_eq(topo_create("test", "test", false, &b.topo), SPAN_OK);
	cr_assert_eq(topo_add_machine(b.topo, &b.machine), SPAN_OK);
	cr_assert_eq(machine_add_node(b.machine, SPAN_NODE_HOST, 0, -1, &host), SPAN_OK);
	return b;
}

static int32_t add(struct built b, span_node_kind kind, int32_t parent)
{
	int32_t number;

	cr_assert_eq(machine_add_node(b.machine, kind, 0, parent, &number), SPAN_OK);
	return number;
}

/* Link two nodes in both directions. */
static void join(struct built b, span_link_class class, int32_t a, int32_t c, double gbps)
{
	cr_assert_eq(machine_add_link(b.machine, class, a, c, gbps * 1e9, 1,
	                              SPAN_CONFIDENCE_DECLARED, "test"), SPAN_OK);
	cr_assert_eq(machine_add_link(b.machine, class, c, a, gbps * 1e9, 1,
	                              SPAN_CONFIDENCE_DECLARED, "test"), SPAN_OK);
}

/* A device below a parent, linked by PCIe. */
static int32_t hang(struct built b, span_node_kind kind, int32_t parent, double gbps)
{
	int32_t number = add(b, kind, parent);

	join(b, SPAN_LINK_PCI, number, parent, gbps);
	return number;
}

/* A card with one port of 50 GB/s. */
static int32_t hang_nic(struct built b, int32_t parent, double gbps)
{
	int32_t card = hang(b, SPAN_NODE_CARD, parent, gbps), nic = add(b, SPAN_NODE_NIC, card);

	join(b, SPAN_LINK_NETWORK, card, nic, 50);
	b.machine->nodes[nic].speed = 50e9;
	return nic;
}

static void finish(struct built b, bool as_nccl)
{
	b.topo->as_nccl = as_nccl;
	if (!b.topo->n_places)
		cr_assert_eq(topo_add_place(b.topo, 0, -1, NULL), SPAN_OK);
	cr_assert_eq(topo_finish(b.topo), SPAN_OK);
}

static void expect(struct built b, int32_t from, int32_t to, span_path_class class, double gbps,
                   int32_t hops)
{
	span_topo_path path;

	cr_assert_eq(span_topo_path_between(b.topo, from, to, &path), SPAN_OK);
	cr_assert_eq(path.path_class, class, "%d to %d: %s, not %s", from, to,
	             span_path_class_name(path.path_class), span_path_class_name(class));
	cr_assert_float_eq(path.bandwidth, gbps * 1e9, 1, "%d to %d: %g", from, to, path.bandwidth);
	cr_assert_eq(path.hops, hops, "%d to %d: %d links", from, to, path.hops);
}

/* The n nodes of the route, in order. */
static void expect_route(struct built b, int32_t n, const int32_t *list)
{
	int32_t nodes[32], found, i;

	found = span_topo_route(b.topo, list[0], list[n - 1], nodes, 32);
	cr_assert_eq(found, n, "%d nodes on the way, not %d", found, n);
	for (i = 0; i < n; i++)
		cr_assert_eq(nodes[i], list[i], "node %d on the way is %d, not %d", i, nodes[i],
		             list[i]);
	cr_assert_eq(span_topo_route(b.topo, list[0], list[n - 1], nodes, 1), n);
}

/* --- classes ------------------------------------------------------------------------------- */

Test(paths, classes_follow_what_is_crossed)
{
	struct built b = build();
	int32_t cpu = add(b, SPAN_NODE_CPU, 0), far = add(b, SPAN_NODE_CPU, 0);
	int32_t top = hang(b, SPAN_NODE_PCI, cpu, 24), left = hang(b, SPAN_NODE_PCI, top, 24);
	int32_t right = hang(b, SPAN_NODE_PCI, top, 24), a = hang(b, SPAN_NODE_GPU, left, 24);
	int32_t nic = hang_nic(b, left, 12), c = hang(b, SPAN_NODE_GPU, right, 24);
	int32_t away = hang_nic(b, far, 24);

	join(b, SPAN_LINK_SOCKET, cpu, far, 10);
	finish(b, true);
	expect(b, a, a, SPAN_PATH_LOC, 5000, 0);
	expect(b, a, nic, SPAN_PATH_PIX, 12, 3);
	expect(b, nic, a, SPAN_PATH_PIX, 12, 3);
	expect(b, a, c, SPAN_PATH_PXB, 24, 4);
	expect(b, a, cpu, SPAN_PATH_PHB, 24, 3);
	expect(b, cpu, far, SPAN_PATH_SYS, 10, 1);
	expect(b, a, away, SPAN_PATH_SYS, 10, 6);
	expect_route(b, 7, (int32_t[]){ a, left, top, cpu, far, away - 1, away });
	expect_route(b, 5, (int32_t[]){ a, left, top, right, c });
	span_topo_free(b.topo);
}

/* A GPU with links to two processors: its own way to another GPU is the wide one, but GPUs do not
 * talk over processors, and the processor nearest to the other one is the first that is linked to
 * it. Where an AMD processor has two GPUs, they talk directly. */
static struct built two_ways(int32_t vendor, int32_t more_gpus, int32_t *a, int32_t *c)
{
	struct built b = build();
	int32_t near = add(b, SPAN_NODE_CPU, 0), cpu = add(b, SPAN_NODE_CPU, 0);

	b.machine->nodes[near].arch = ARCH_X86;
	b.machine->nodes[near].vendor = vendor;
	*a = hang(b, SPAN_NODE_GPU, cpu, 24);
	*c = hang(b, SPAN_NODE_GPU, cpu, 24);
	join(b, SPAN_LINK_PCI, *a, near, 6);
	join(b, SPAN_LINK_PCI, *c, near, 6);
	while (more_gpus--)
		hang(b, SPAN_NODE_GPU, cpu, 24);
	finish(b, true);
	return b;
}

Test(paths, gpus_do_not_talk_over_processors_unless_amd_has_two)
{
	int32_t a, c;
	struct built intel = two_ways(VENDOR_INTEL, 0, &a, &c);
	struct built amd = two_ways(VENDOR_AMD, 0, &a, &c), more = two_ways(VENDOR_AMD, 1, &a, &c);

	expect(intel, a, c, SPAN_PATH_PHB, 6, 2);
	expect_route(intel, 3, (int32_t[]){ a, 1, c });
	expect(amd, a, c, SPAN_PATH_PHB, 24, 2);
	expect_route(amd, 3, (int32_t[]){ a, 2, c });
	expect(more, a, c, SPAN_PATH_PHB, 6, 2);
	span_topo_free(intel.topo);
	span_topo_free(amd.topo);
	span_topo_free(more.topo);
}

/* Of the two ways that are equally long the wider counts, and the longer never. */
Test(paths, fewer_links_count_before_bandwidth)
{
	struct built b = build();
	int32_t cpu = add(b, SPAN_NODE_CPU, 0), first = hang(b, SPAN_NODE_PCI, cpu, 12);
	int32_t second = hang(b, SPAN_NODE_PCI, cpu, 48), a = hang(b, SPAN_NODE_GPU, first, 48);
	int32_t longer = hang(b, SPAN_NODE_PCI, second, 96);

	join(b, SPAN_LINK_PCI, second, a, 24);
	join(b, SPAN_LINK_PCI, longer, a, 96);
	finish(b, true);
	expect(b, a, cpu, SPAN_PATH_PHB, 24, 2);
	expect_route(b, 3, (int32_t[]){ a, second, cpu });
	span_topo_free(b.topo);
}

/* --- NVLink ---------------------------------------------------------------------------------- */

static void mesh(struct built b, const int32_t *gpus, int n, double gbps)
{
	int i;

	for (i = 0; i + 1 < n; i++)
		join(b, SPAN_LINK_NVLINK, gpus[i], gpus[i + 1], gbps);
}

/* A chain of four: two hops are NVB, three are none and go by PCIe. */
Test(paths, a_gpu_hands_on_one_nvlink_hop_only)
{
	struct built b = build();
	int32_t cpu = add(b, SPAN_NODE_CPU, 0), gpus[4], i;

	for (i = 0; i < 4; i++)
		gpus[i] = hang(b, SPAN_NODE_GPU, cpu, 12);
	mesh(b, gpus, 4, 40);
	finish(b, true);
	expect(b, gpus[0], gpus[1], SPAN_PATH_NVL, 40, 1);
	expect(b, gpus[0], gpus[2], SPAN_PATH_NVB, 40, 2);
	expect(b, gpus[0], gpus[3], SPAN_PATH_PHB, 12, 2);
	expect(b, gpus[0], cpu, SPAN_PATH_PHB, 12, 1);
	expect_route(b, 3, (int32_t[]){ gpus[0], gpus[1], gpus[2] });
	expect_route(b, 3, (int32_t[]){ gpus[0], cpu, gpus[3] });
	span_topo_free(b.topo);
}

/* An NVSwitch is no GPU: through it everything is NVL. */
Test(paths, through_an_nvswitch_gpus_are_neighbours)
{
	struct built b = build();
	int32_t cpu = add(b, SPAN_NODE_CPU, 0), a = hang(b, SPAN_NODE_GPU, cpu, 12);
	int32_t c = hang(b, SPAN_NODE_GPU, cpu, 12), nvs = add(b, SPAN_NODE_NVSWITCH, 0);

	join(b, SPAN_LINK_NVLINK, a, nvs, 360);
	join(b, SPAN_LINK_NVLINK, c, nvs, 300);
	finish(b, true);
	expect(b, a, c, SPAN_PATH_NVL, 300, 2);
	span_topo_free(b.topo);
}

/* A link that cannot be walked back is none, since the search goes from the end. */
Test(paths, a_link_in_one_direction_only_is_not_used)
{
	struct built b = build();
	int32_t cpu = add(b, SPAN_NODE_CPU, 0), a = hang(b, SPAN_NODE_GPU, cpu, 12);
	int32_t c = hang(b, SPAN_NODE_GPU, cpu, 12);

	cr_assert_eq(machine_add_link(b.machine, SPAN_LINK_NVLINK, a, c, 40e9, 1,
	                              SPAN_CONFIDENCE_DECLARED, "test"), SPAN_OK);
	finish(b, true);
	expect(b, a, c, SPAN_PATH_PHB, 12, 2);
	expect(b, c, a, SPAN_PATH_PHB, 12, 2);
	span_topo_free(b.topo);
}

/* --- NICs ---------------------------------------------------------------------------------------- */

/* Two processors with a GPU and a NIC each, behind switches; NVLink between the GPUs. */
struct rail {
	struct built b;
	int32_t cpu[2], pci[2], gpu[2], nic[2];
};

static struct rail rails(void)
{
	struct rail r = { .b = build() };
	int i;

	for (i = 0; i < 2; i++)
		r.cpu[i] = add(r.b, SPAN_NODE_CPU, 0);
	for (i = 0; i < 2; i++) {
		r.pci[i] = hang(r.b, SPAN_NODE_PCI, r.cpu[i], 24);
		r.gpu[i] = hang(r.b, SPAN_NODE_GPU, r.pci[i], 24);
		r.nic[i] = hang_nic(r.b, r.pci[i], 24);
		r.b.machine->nodes[r.gpu[i]].dev = i;
	}
	join(r.b, SPAN_LINK_SOCKET, r.cpu[0], r.cpu[1], 10);
	join(r.b, SPAN_LINK_NVLINK, r.gpu[0], r.gpu[1], 100);
	return r;
}

Test(paths, a_far_nic_is_reached_over_the_gpu_beside_it)
{
	struct rail r = rails();

	finish(r.b, true);
	expect(r.b, r.gpu[0], r.nic[0], SPAN_PATH_PIX, 24, 3);
	expect(r.b, r.gpu[0], r.nic[1], SPAN_PATH_PXN, 24, 4);
	expect(r.b, r.nic[1], r.gpu[0], SPAN_PATH_SYS, 10, 6);
	expect_route(r.b, 5, (int32_t[]){ r.gpu[0], r.gpu[1], r.pci[1], r.nic[1] - 1, r.nic[1] });
	span_topo_free(r.b.topo);
}

Test(paths, without_gpudirect_a_near_nic_is_reached_through_the_processor)
{
	struct rail r = rails();

	r.b.machine->nodes[r.nic[1]].gdr = 0;
	finish(r.b, true);
	expect(r.b, r.gpu[1], r.nic[1], SPAN_PATH_PHB, 24, 5);
	expect(r.b, r.nic[1], r.gpu[1], SPAN_PATH_PHB, 24, 5);
	expect(r.b, r.gpu[0], r.nic[0], SPAN_PATH_PIX, 24, 3);
	expect_route(r.b, 6, (int32_t[]){ r.gpu[1], r.pci[1], r.cpu[1], r.pci[1], r.nic[1] - 1,
	                                  r.nic[1] });
	span_topo_free(r.b.topo);
}

Test(paths, a_gpu_without_gpudirect_goes_through_its_processor)
{
	struct rail r = rails();

	r.b.machine->nodes[r.gpu[0]].gdr = 0;
	finish(r.b, true);
	expect(r.b, r.gpu[0], r.nic[0], SPAN_PATH_PHB, 24, 5);
	expect(r.b, r.gpu[1], r.nic[1], SPAN_PATH_PIX, 24, 3);
	span_topo_free(r.b.topo);
}

/* C2C to the processor and PCIe from there is P2C, for which GPUDirect is kept. */
Test(paths, c2c_and_a_nic_at_the_same_processor_meet)
{
	struct built b = build();
	int32_t cpu = add(b, SPAN_NODE_CPU, 0), far = add(b, SPAN_NODE_CPU, 0);
	int32_t pci = hang(b, SPAN_NODE_PCI, cpu, 1.5), a = hang(b, SPAN_NODE_GPU, pci, 96);
	int32_t nic = hang_nic(b, cpu, 48), other = hang_nic(b, far, 48);

	join(b, SPAN_LINK_C2C, a, cpu, 220);
	join(b, SPAN_LINK_SOCKET, cpu, far, 6);
	finish(b, true);
	expect(b, a, cpu, SPAN_PATH_C2C, 220, 1);
	expect(b, a, nic, SPAN_PATH_P2C, 48, 3);
	expect(b, nic, a, SPAN_PATH_P2C, 48, 3);
	expect(b, a, other, SPAN_PATH_SYS, 6, 4);
	span_topo_free(b.topo);
}

/* --- what is not known --------------------------------------------------------------------------- */

Test(paths, an_unknown_bandwidth_hides_no_path_and_is_not_invented)
{
	struct built b = build();
	int32_t cpu = add(b, SPAN_NODE_CPU, 0), pci = hang(b, SPAN_NODE_PCI, cpu, 0);
	int32_t a = hang(b, SPAN_NODE_GPU, pci, 0), c = hang(b, SPAN_NODE_GPU, pci, 12);
	span_topo_path path;

	finish(b, false);
	expect(b, a, cpu, SPAN_PATH_PHB, 0, 2);
	expect(b, a, c, SPAN_PATH_PIX, 12, 2);
	cr_assert_eq(span_topo_path_between(b.topo, a, c, &path), SPAN_OK);
	cr_assert_eq(path.confidence, SPAN_CONFIDENCE_UNKNOWN);
	span_topo_free(b.topo);
}

Test(paths, what_nothing_connects_is_disconnected)
{
	struct built b = build();
	int32_t cpu = add(b, SPAN_NODE_CPU, 0), a = hang(b, SPAN_NODE_GPU, cpu, 12);
	int32_t alone = add(b, SPAN_NODE_GPU, 0), nodes[4];

	finish(b, false);
	expect(b, a, alone, SPAN_PATH_DIS, 0, 0);
	cr_assert_eq(span_topo_route(b.topo, a, alone, nodes, 4), 0);
	span_topo_free(b.topo);
}

/* --- over the network ---------------------------------------------------------------------------- */

/* The rails of rails() at three places: two below one leaf, one below another. */
struct cluster {
	struct rail r;
	int32_t spine, leaf[2], per_place;
};

static struct cluster make_cluster(double up_gbps)
{
	struct cluster c = { .r = rails() };
	span_topo *topo = c.r.b.topo;
	int i;

	cr_assert_eq(topo_add_switch(topo, -1, "spine", 0, &c.spine), SPAN_OK);
	for (i = 0; i < 2; i++)
		cr_assert_eq(topo_add_switch(topo, c.spine, "leaf", up_gbps * 1e9, &c.leaf[i]),
		             SPAN_OK);
	for (i = 0; i < 3; i++)
		cr_assert_eq(topo_add_place(topo, 0, c.leaf[i / 2], NULL), SPAN_OK);
	finish(c.r.b, false);
	c.per_place = c.r.b.machine->n_nodes;
	return c;
}

Test(paths, between_places_the_nearest_nics_and_the_fabric_count)
{
	struct cluster c = make_cluster(16);
	struct rail *r = &c.r;
	int32_t n = c.per_place, fabric = 3 * n, card = r->nic[0] - 1;

	expect(r->b, r->gpu[0], n + r->gpu[1], SPAN_PATH_NET, 24, 8);
	expect(r->b, r->gpu[0], 2 * n + r->gpu[0], SPAN_PATH_NET, 16, 10);
	expect(r->b, r->nic[0], n + r->nic[0], SPAN_PATH_NET, 50, 2);
	expect_route(r->b, 11, (int32_t[]){ r->gpu[0], r->pci[0], card, r->nic[0],
	                                    fabric + c.leaf[0], fabric + c.spine,
	                                    fabric + c.leaf[1], 2 * n + r->nic[0], 2 * n + card,
	                                    2 * n + r->pci[0], 2 * n + r->gpu[0] });
	expect_route(r->b, 3, (int32_t[]){ r->nic[1], fabric + c.leaf[0], n + r->nic[1] });
	span_topo_free(r->b.topo);
}

/* Three levels: the way down is listed from the top. */
Test(paths, a_route_climbs_and_descends_the_fabric)
{
	struct rail r = rails();
	int32_t top, pod[2], leaf[2], n = r.b.machine->n_nodes, fabric = 2 * n, i;

	cr_assert_eq(topo_add_switch(r.b.topo, -1, "top", 0, &top), SPAN_OK);
	for (i = 0; i < 2; i++) {
		cr_assert_eq(topo_add_switch(r.b.topo, top, "pod", 30e9, &pod[i]), SPAN_OK);
		cr_assert_eq(topo_add_switch(r.b.topo, pod[i], "leaf", 40e9, &leaf[i]), SPAN_OK);
		cr_assert_eq(topo_add_place(r.b.topo, 0, leaf[i], NULL), SPAN_OK);
	}
	finish(r.b, false);
	expect(r.b, r.nic[0], n + r.nic[0], SPAN_PATH_NET, 30, 6);
	expect_route(r.b, 7, (int32_t[]){ r.nic[0], fabric + leaf[0], fabric + pod[0], fabric + top,
	                                  fabric + pod[1], fabric + leaf[1], n + r.nic[0] });
	span_topo_free(r.b.topo);
}

Test(paths, uplinks_without_a_figure_do_not_limit)
{
	struct cluster c = make_cluster(0);

	expect(c.r.b, c.r.gpu[0], 2 * c.per_place + c.r.gpu[0], SPAN_PATH_NET, 24, 10);
	span_topo_free(c.r.b.topo);
}

Test(paths, places_on_separate_fabrics_are_disconnected)
{
	struct rail r = rails();
	int32_t leaf, n = r.b.machine->n_nodes;

	cr_assert_eq(topo_add_switch(r.b.topo, -1, "one", 0, &leaf), SPAN_OK);
	cr_assert_eq(topo_add_place(r.b.topo, 0, leaf, NULL), SPAN_OK);
	cr_assert_eq(topo_add_switch(r.b.topo, -1, "two", 0, &leaf), SPAN_OK);
	cr_assert_eq(topo_add_place(r.b.topo, 0, leaf, NULL), SPAN_OK);
	cr_assert_eq(topo_add_place(r.b.topo, 0, -1, NULL), SPAN_OK);
	finish(r.b, false);
	expect(r.b, r.gpu[0], n + r.gpu[0], SPAN_PATH_DIS, 0, 0);
	expect(r.b, r.gpu[0], 2 * n + r.gpu[0], SPAN_PATH_DIS, 0, 0);
	span_topo_free(r.b.topo);
}

/* Hosts of one machine (a fused dump) that NVLink does not join meet on the network, except for
 * NCCL, which says nothing of it. */
static struct rail fused(bool as_nccl)
{
	struct rail r = { .b = build() };
	int i;

	for (i = 0; i < 2; i++) {
		cr_assert_eq(machine_add_node(r.b.machine, SPAN_NODE_CPU, i, -1, &r.cpu[i]), SPAN_OK);
		r.gpu[i] = hang(r.b, SPAN_NODE_GPU, r.cpu[i], 12);
		r.nic[i] = hang_nic(r.b, r.cpu[i], 6 + i);
		r.b.machine->nodes[r.gpu[i]].host = i;
		r.b.machine->nodes[r.nic[i]].host = r.b.machine->nodes[r.nic[i] - 1].host = i;
	}
	finish(r.b, as_nccl);
	return r;
}

Test(paths, hosts_of_a_fused_dump_meet_on_the_network)
{
	struct rail r = fused(false), nccl = fused(true);

	expect(r.b, r.gpu[0], r.gpu[1], SPAN_PATH_NET, 6, 7);
	expect(r.b, r.cpu[0], r.nic[1], SPAN_PATH_NET, 6, 3);
	expect_route(r.b, 8, (int32_t[]){ r.gpu[0], r.cpu[0], r.nic[0] - 1, r.nic[0], r.nic[1],
	                                  r.nic[1] - 1, r.cpu[1], r.gpu[1] });
	expect(nccl.b, nccl.gpu[0], nccl.cpu[1], SPAN_PATH_DIS, 0, 0);
	span_topo_free(r.b.topo);
	span_topo_free(nccl.b.topo);
}

/* --- size ----------------------------------------------------------------------------------------- */

static double cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* One machine at 2,048 places is searched once: its paths cost as much as those of one place. */
Test(paths, equal_hosts_are_computed_once)
{
	struct built b = build();
	int32_t cpu = add(b, SPAN_NODE_CPU, 0), nvs = add(b, SPAN_NODE_NVSWITCH, 0), i;
	double start = cpu_seconds(), seconds;

	for (i = 0; i < 8; i++) {
		int32_t pci = hang(b, SPAN_NODE_PCI, cpu, 48);

		join(b, SPAN_LINK_NVLINK, hang(b, SPAN_NODE_GPU, pci, 48), nvs, 370);
		hang_nic(b, pci, 48);
	}
	for (i = 0; i < 2048; i++)
		cr_assert_eq(topo_add_place(b.topo, 0, -1, NULL), SPAN_OK);
	finish(b, false);
	seconds = cpu_seconds() - start;
	printf("paths: 2,048 hosts of 8 GPUs take %.4f s\n", seconds);
	cr_assert_lt(seconds, 0.1);
	cr_assert_eq(b.topo->n_machines, 1);
	cr_assert_eq(b.machine->n_devices, 17);
	expect(b, 4, 4 + 2047 * b.machine->n_nodes, SPAN_PATH_NET, 48, 7);
	span_topo_free(b.topo);
}

Test(paths, too_many_devices_are_refused)
{
	struct built b = build();
	int32_t i;

	for (i = 0; i <= GRAPH_MAX_DEVICES; i++)
		add(b, SPAN_NODE_GPU, 0);
	cr_assert_eq(topo_add_place(b.topo, 0, -1, NULL), SPAN_OK);
	log_capture();
	cr_assert_eq(topo_finish(b.topo), SPAN_EPARSE);
	cr_assert(strstr(log_captured(), "at most 2048"), "%s", log_captured());
	span_topo_free(b.topo);
}
