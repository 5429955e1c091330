/* Processors, GPUs, cards and ports in hwloc's XML, and where they hang. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/topo/hwloc_text.h"

static int32_t count(const span_topo *topo, span_node_kind kind)
{
	return span_topo_devices(topo, kind, -1, NULL, 0);
}

static void expect_below(const span_topo *topo, const char *child, const char *parent)
{
	span_topo_node node;

	span_topo_node_at(topo, span_topo_find(topo, child), &node);
	cr_assert_eq(node.parent, span_topo_find(topo, parent), "%s hangs from node %d, not %s",
	             child, node.parent, parent);
}

/* --- processors -------------------------------------------------------------------------- */

Test(hwloc_device, numa_nodes_are_cpus_in_packages_with_a_link_between)
{
	span_topo *topo = hwloc_text_load(&(struct hwloc_text){ .infos = INFO("HostName", "n1") });
	const struct graph_node *cpu = hwloc_text_node(topo, "cpu1");
	const struct graph_link *link = hwloc_text_link(topo, "cpu1", "cpu0");

	expect_below(topo, "cpu1", "package1");
	cr_assert_eq(cpu->numa, 1);
	cr_assert_eq(cpu->memory, 1e9);
	cr_assert_eq(cpu->vendor, VENDOR_INTEL);
	cr_assert_eq(cpu->model, 106);
	cr_assert_str_eq(cpu->affinity, "c");
	cr_assert_eq(link->link_class, SPAN_LINK_SOCKET);
	cr_assert_eq(link->bandwidth, 10e9); /* Ice Lake */
	cr_assert_str_eq(topo->machines[0]->host_names[0], "n1");
	cr_assert_eq(topo->n_notes, 0);
	span_topo_free(topo);
}

/* Numbers of NUMA nodes need not follow each other, and may belong to memory alone. */
Test(hwloc_device, memory_without_processors_of_its_own_is_no_cpu)
{
	span_topo *topo = hwloc_text_load(&(struct hwloc_text){
		.first = "<object type=\"NUMANode\" os_index=\"8\" cpuset=\"0x00000003\"/>"
		         "<object type=\"NUMANode\" os_index=\"255\" cpuset=\"0x0\"/>",
		.machine = "<object type=\"NUMANode\" os_index=\"9\" cpuset=\"0x0000000f\"/>" });
	const struct note *note = hwloc_text_note(topo, "no processors");

	cr_assert_eq(count(topo, SPAN_NODE_CPU), 2);
	cr_assert_eq(hwloc_text_node(topo, "cpu0")->numa, 0);
	cr_assert(note && strstr(note->text, ": 3;"), "%s", note ? note->text : "no note");
	span_topo_free(topo);
}

Test(hwloc_device, processors_that_may_not_be_used_are_told)
{
	char *file, *set;
	span_topo *topo = NULL;

	file = hwloc_text_write(&(struct hwloc_text){ .infos = "" });
	set = strstr(file, "gp_index=\"1\">");
	cr_assert(set);
	/* As long as what it replaces is not needed: the text is parsed from a copy. */
	{
		char text[4096];

		snprintf(text, sizeof(text),
		         "%.*sallowed_cpuset=\"0x00000001\" complete_cpuset=\"0x0000000f\" %s",
		         (int)(set - file), file, set);
		cr_assert_eq(span_topo_parse(text, strlen(text), "cgroup.xml", NULL, &topo), SPAN_OK);
	}
	free(file);
	cr_assert(hwloc_text_note(topo, "1 of 4 processors may be used"));
	cr_assert_eq(count(topo, SPAN_NODE_CPU), 2);
	span_topo_free(topo);
}

/* --- where devices hang ------------------------------------------------------------------- */

#define GPU_AT(bus) DEVICE(bus, A100, "15.753846", "")

Test(hwloc_device, ports_belong_to_the_switch_or_the_processor)
{
	span_topo *topo = hwloc_text_load(&(struct hwloc_text){
		.second = PORT("0000:80:01.0", "15.753846",
		               PORT("0000:81:00.0", "15.753846",
		                    PORT("0000:82:00.0", "15.753846", GPU_AT("0000:83:00.0"))
		                    PORT("0000:82:01.0", "15.753846",
		                         DEVICE("0000:84:00.0", CONNECTX, "15.753846", "")))),
		.first = PORT("0000:00:01.0", "15.753846", GPU_AT("0000:01:00.0")) });

	cr_assert_eq(count(topo, SPAN_NODE_PCI), 1);
	expect_below(topo, "gpu0", "cpu0");
	expect_below(topo, "gpu1", "pci0");
	expect_below(topo, "card0", "pci0");
	expect_below(topo, "pci0", "cpu1");
	cr_assert_str_eq(hwloc_text_node(topo, "pci0")->bus, "0000:81:00.0");
	span_topo_free(topo);
}

#define BROADCOM(level) "0604 [1000:c030] [1000:" level "001] b0"

Test(hwloc_device, levels_of_a_broadcom_switch_are_joined)
{
	span_topo *topo = hwloc_text_load(&(struct hwloc_text){
		.first = PORT("0000:00:01.0", "63.0",
		              BRIDGE("0000:01:00.0", BROADCOM("0"), "63.0",
		                     PORT("0000:02:00.0", "63.0",
		                          BRIDGE("0000:03:00.0", BROADCOM("1"), "63.0",
		                                 PORT("0000:04:00.0", "63.0", GPU_AT("0000:05:00.0"))
		                                 PORT("0000:04:01.0", "63.0",
		                                      GPU_AT("0000:06:00.0")))))) });

	cr_assert_eq(count(topo, SPAN_NODE_PCI), 1);
	expect_below(topo, "gpu0", "pci0");
	expect_below(topo, "gpu1", "pci0");
	cr_assert(strstr(hwloc_text_note(topo, "Broadcom")->text, ": 1;"));
	span_topo_free(topo);
}

Test(hwloc_device, a_device_below_the_machine_has_no_locality)
{
	span_topo *topo = hwloc_text_load(&(struct hwloc_text){ .machine = GPU_AT("0000:01:00.0") });
	const struct note *note = hwloc_text_note(topo, "locality is not known");

	expect_below(topo, "gpu0", "cpu0");
	cr_assert(note && !note->corrected);
	cr_assert_eq(strncmp(note->place, "line ", 5), 0);
	span_topo_free(topo);
}

/* A group of both packages stands for a package of two NUMA nodes. */
Test(hwloc_device, a_device_between_numa_nodes_is_told)
{
	span_topo *topo = hwloc_text_load(&(struct hwloc_text){
		.machine = "<object type=\"Group\" cpuset=\"0x0000000c\">" GPU_AT("0000:01:00.0")
		           "</object><object type=\"Group\" cpuset=\"0x0000000f\">"
		           GPU_AT("0000:02:00.0") "</object>" });

	expect_below(topo, "gpu0", "cpu1");
	expect_below(topo, "gpu1", "cpu0");
	cr_assert(hwloc_text_note(topo, "several NUMA nodes: 1;"));
	cr_assert(!hwloc_text_note(topo, "locality is not known"));
	span_topo_free(topo);
}

/* hwloc refuses or drops these when it is built for domains of 16 bits. */
Test(hwloc_device, domains_of_32_bits_are_read)
{
	span_topo *topo = hwloc_text_load(&(struct hwloc_text){ .first = GPU_AT("100a1:00:1f.7") });

	cr_assert_str_eq(hwloc_text_node(topo, "gpu0")->bus, "100a1:00:1f.7");
	span_topo_free(topo);
}

/* --- GPUs ------------------------------------------------------------------------------------ */

Test(hwloc_device, gpus_of_every_vendor_and_no_consoles)
{
	span_topo *topo = hwloc_text_load(&(struct hwloc_text){
		.first = DEVICE("0000:01:00.0", "0300 [1a03:2000] [1a03:2000] 41", "0",
		                OSDEV("30", "card0", "1", ""))
		         DEVICE("0000:00:02.0", "0300 [8086:3e98] [8086:2212] 00", "0", "")
		         DEVICE("0000:02:00.0", "1200 [1002:74a1] [1002:74a1] 00", "63.0", "")
		         DEVICE("0000:03:00.0", "1200 [1da3:1020] [1da3:1020] 01", "31.5", "")
		         DEVICE("0000:04:00.0", "0380 [8086:0bd6] [8086:0] 2f", "63.0", "")
		         DEVICE("0000:05:00.0", "0b40 [10ee:5000] [0:0] 00", "8.0",
		                OSDEV("31", "opencl0d0", "5", "")) });

	cr_assert_eq(count(topo, SPAN_NODE_GPU), 4);
	cr_assert_str_eq(hwloc_text_node(topo, "gpu0")->bus, "0000:02:00.0");
	span_topo_free(topo);
}

Test(hwloc_device, a_gpu_has_its_number_name_memory_and_capability)
{
	span_topo *topo = hwloc_text_load(&(struct hwloc_text){
		.first = DEVICE("0000:01:00.0", A100, "31.5",
		                OSDEV("31", "opencl0d5", "5", INFO("GPUModel", ""))
		                OSDEV("32", "cuda3", "5", INFO("GPUModel", "NVIDIA A100-SXM4-40GB")
		                                          INFO("CUDAGlobalMemorySize", "1000"))
		                OSDEV("33", "nvml6", "1", "")) });
	const struct graph_node *gpu = hwloc_text_node(topo, "gpu0");

	cr_assert_eq(count(topo, SPAN_NODE_GPU), 1);
	cr_assert_eq(gpu->dev, 6);
	cr_assert_str_eq(gpu->name, "NVIDIA A100-SXM4-40GB");
	cr_assert_eq(gpu->memory, 1024000);
	cr_assert_eq(gpu->sm, 80);
	cr_assert_eq(gpu->pci_class, 0x030200);
	cr_assert_eq(gpu->pci_subsystem, 0x10de1463);
	cr_assert(!hwloc_text_note(topo, "partitions"));
	span_topo_free(topo);
}

/* --- ports ------------------------------------------------------------------------------------ */

#define IB(gp, name, ports) OSDEV(gp, name, "3", INFO("SysImageGUID", "043f:7203:00ae:a282") ports)
#define ACTIVE(n) INFO("Port" n "State", "4")
#define DOWN(n) INFO("Port" n "State", "1")

Test(hwloc_device, functions_of_a_card_are_one_card_and_only_active_ports_count)
{
	span_topo *topo = hwloc_text_load(&(struct hwloc_text){
		.first = PORT("0000:00:01.0", "31.5",
		              DEVICE("0000:01:00.0", CONNECTX, "31.5", IB("31", "mlx5_0", ACTIVE("1")))
		              DEVICE("0000:01:00.1", CONNECTX, "31.5",
		                     IB("32", "mlx5_1", DOWN("1") ACTIVE("2"))))
		         PORT("0000:00:02.0", "8.0",
		              DEVICE("0000:02:00.0", "0200 [8086:1521] [8086:1] 01", "8.0",
		                     OSDEV("33", "eno1", "2", ""))) });
	const struct graph_node *port = hwloc_text_node(topo, "nic1");

	cr_assert_eq(count(topo, SPAN_NODE_CARD), 2);
	cr_assert_eq(count(topo, SPAN_NODE_NIC), 2); /* Ethernet does not count beside RDMA */
	cr_assert_str_eq(port->name, "mlx5_1:2");
	cr_assert_eq(port->port, 2);
	cr_assert_eq(port->guid, 0x043f720300aea282);
	cr_assert_eq(port->dev, 1);
	expect_below(topo, "nic1", "card0");
	cr_assert(hwloc_text_note(topo, "not active: 1;"));
	span_topo_free(topo);
}

Test(hwloc_device, without_rdma_interfaces_count)
{
	span_topo *topo = hwloc_text_load(&(struct hwloc_text){
		.first = DEVICE("0000:02:00.0", "0200 [8086:1521] [8086:1] 01", "8.0",
		                OSDEV("33", "eno1", "2", "")) });

	cr_assert_str_eq(hwloc_text_node(topo, "nic0")->name, "eno1");
	span_topo_free(topo);
}

Test(hwloc_device, slingshot_counts_as_rdma)
{
	span_topo *topo = hwloc_text_load(&(struct hwloc_text){
		.first = DEVICE("0000:02:00.0", "0200 [17db:0501] [17db:0] 02", "31.5",
		                OSDEV("33", "hsi0", "2", ""))
		         DEVICE("0000:03:00.0", "0200 [8086:1537] [ffff:0] 03", "0.25",
		                OSDEV("34", "ens2", "2", "")) });

	cr_assert_eq(count(topo, SPAN_NODE_NIC), 1);
	cr_assert_str_eq(hwloc_text_node(topo, "nic0")->name, "hsi0");
	span_topo_free(topo);
}

Test(hwloc_device, a_port_of_unknown_rate_is_bound_by_pcie_or_as_nccl_has_it)
{
	struct hwloc_text text = { .first = DEVICE("0000:01:00.0", CONNECTX, "31.5",
	                                           IB("31", "mlx5_0", ACTIVE("1"))) };
	span_topo *topo = hwloc_text_load(&text);
	const struct graph_link *link = hwloc_text_link(topo, "card0", "nic0");

	cr_assert_eq(link->bandwidth, 24e9);
	cr_assert_eq(link->confidence, SPAN_CONFIDENCE_UNKNOWN);
	cr_assert_eq(hwloc_text_node(topo, "nic0")->speed, 0);
	cr_assert(hwloc_text_note(topo, "unknown line rate"));
	span_topo_free(topo);
	text.as_nccl = 1;
	topo = hwloc_text_load(&text);
	cr_assert_eq(hwloc_text_link(topo, "nic0", "card0")->bandwidth, 1.25e9);
	span_topo_free(topo);
}

/* Version 3 writes kinds of OS devices as bits: 32 is InfiniBand, 16 a network, 12 a GPU. */
Test(hwloc_device, version_3_writes_kinds_as_bits)
{
	span_topo *topo = hwloc_text_load(&(struct hwloc_text){
		.version = "3.0",
		.tail = INFO("HostName", "n3") WRITTEN_BY("3.0.0"),
		.first = DEVICE("0000:01:00.0", "0207 [15b3:101b] [15b3:0008] 00 02", "31.5",
		                OSDEV("31", "mlx5_0", "32", ACTIVE("1"))
		                OSDEV("32", "ib0", "16", ""))
		         DEVICE("0000:02:00.0", "0302 [10de:2330] [10de:16c0] a1 00", "63.0",
		                OSDEV("33", "nvml0", "12", INFO("GPUModel", "NVIDIA H100 PCIe"))) });

	cr_assert_eq(count(topo, SPAN_NODE_NIC), 1);
	cr_assert_str_eq(hwloc_text_node(topo, "nic0")->name, "mlx5_0");
	cr_assert_eq(hwloc_text_node(topo, "gpu0")->sm, 90);
	cr_assert_str_eq(topo->machines[0]->host_names[0], "n3");
	span_topo_free(topo);
}
