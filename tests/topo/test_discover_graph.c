/* This machine as a graph: the real one, and systems in a folder with a library that stands for
 * NVML. */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/topo/fake_system.h"
#include "tests/topo/hwloc_text.h"
#include "tests/topo/log_capture.h"
#include "topo/host/discover_graph.h"
#include "topo/host/sysfs.h"

#define GEN4 "16.0 GT/s PCIe"
#define GEN5 "32.0 GT/s PCIe"

static span_topo *discover(const char *root, const char *nvml, bool as_nccl)
{
	span_topo *topo = NULL;

	log_capture();
	cr_assert_eq(discover_host(root, nvml, as_nccl, &topo), SPAN_OK, "%s", log_captured());
	cr_assert_eq(topo_finish(topo), SPAN_OK, "%s", log_captured());
	return topo;
}

TestSuite(discover_graph, .fini = fake_system_remove);
TestSuite(discover_recorded, .fini = fake_system_remove);
TestSuite(sysfs, .fini = fake_system_remove);
TestSuite(nvml, .fini = fake_system_remove);

/* --- the real machine ------------------------------------------------------------------ */

Test(discover_graph, this_machine_has_processors_and_a_name)
{
	span_topo *topo = NULL;
	span_topo_node node;
	char name[256] = "";

	log_capture();
	cr_assert_eq(span_topo_load("host", NULL, &topo), SPAN_OK, "%s", log_captured());
	cr_assert_str_eq(span_topo_source_kind(topo), "hwloc");
	cr_assert_eq(span_topo_hosts(topo), 1);
	cr_assert_geq(span_topo_devices(topo, SPAN_NODE_CPU, -1, NULL, 0), 1);
	span_topo_node_at(topo, span_topo_find(topo, "h0"), &node);
	gethostname(name, sizeof(name) - 1);
	cr_assert_str_eq(node.name, name);
	span_topo_free(topo);
}

Test(discover_graph, a_system_hwloc_cannot_read_gives_one_line)
{
	span_topo *topo = NULL;

	setenv("HWLOC_SYNTHETIC", "nonsense:0", 1);
	setenv("HWLOC_XMLFILE", "/nonexistent", 1);
	setenv("HWLOC_COMPONENTS", "xml,stop", 1);
	setenv("HWLOC_HIDE_ERRORS", "2", 1);
	log_capture();
	cr_assert_eq(span_topo_load("host", NULL, &topo), SPAN_EIO);
	cr_assert_eq(log_captured_count(), 1);
	cr_assert(strstr(log_captured(), "HWLOC_XMLFILE"));
}

/* --- links in sysfs -------------------------------------------------------------------- */

#define ROOT_PORT "0000:00:01.0"
#define GPU_CHAIN ROOT_PORT "/0000:01:00.0"

static void make_gpu(const char *port_speed, const char *port_width, const char *speed,
                     const char *width)
{
	fake_bridge(ROOT_PORT, 1, 1, port_speed, port_width);
	fake_pci(GPU_CHAIN, "030200 10de 2331", 0, speed, width);
}

Test(discover_graph, links_are_what_both_ends_can_do_not_what_they_do_now)
{
	span_topo *topo;
	const struct graph_link *link;

	fake_system();
	make_gpu(GEN4, "8", GEN5, "16");
	topo = discover(getenv("HWLOC_FSROOT"), "", false);
	link = hwloc_text_link(topo, "gpu0", "cpu0");
	cr_assert_eq(link->bandwidth, 12e9);
	cr_assert_eq(link->confidence, SPAN_CONFIDENCE_DECLARED);
	cr_assert(strstr(link->provenance, "max_link_speed"), "%s", link->provenance);
	cr_assert(!hwloc_text_note(topo, "asleep"));
	span_topo_free(topo);
}

Test(discover_graph, without_the_root_of_hwlocs_system_sysfs_is_left_alone)
{
	span_topo *topo;

	fake_system();
	make_gpu(GEN5, "16", GEN4, "16");
	topo = discover(NULL, "", false);
	/* One lane of Gen1, as it is now. */
	cr_assert_float_eq(hwloc_text_link(topo, "gpu0", "cpu0")->bandwidth, 0.1875e9, 1);
	span_topo_free(topo);
}

Test(discover_graph, a_port_that_does_not_know_itself_does_not_count)
{
	span_topo *topo;

	fake_system();
	make_gpu("Unknown", "255", GEN4, "8");
	topo = discover(getenv("HWLOC_FSROOT"), "", false);
	cr_assert_eq(hwloc_text_link(topo, "gpu0", "cpu0")->bandwidth, 12e9);
	span_topo_free(topo);
}

Test(discover_graph, in_a_virtual_machine_nothing_is_known)
{
	span_topo *topo;

	fake_system();
	fake_pci("0001:00:00.0", "030200 10de 2330", -1, "Unknown", "0");
	topo = discover(getenv("HWLOC_FSROOT"), "", false);
	cr_assert(hwloc_text_note(topo, "locality is not known"));
	cr_assert_eq(span_topo_devices(topo, SPAN_NODE_GPU, -1, NULL, 0), 1);
	span_topo_free(topo);
}

#define SWITCH ROOT_PORT "/0000:01:00.0"

Test(discover_graph, a_switch_of_gen2_is_slow_and_not_asleep)
{
	span_topo *topo;

	fake_system();
	fake_bridge(ROOT_PORT, 1, 3, "5.0 GT/s PCIe", "16");
	fake_bridge(SWITCH, 2, 3, GEN4, "16");
	fake_bridge(SWITCH "/0000:02:08.0", 3, 3, GEN4, "16");
	fake_pci(SWITCH "/0000:02:08.0/0000:03:00.0", "030200 10de 2331", 0, GEN4, "16");
	topo = discover(getenv("HWLOC_FSROOT"), "", false);
	cr_assert_eq(hwloc_text_link(topo, "pci0", "cpu0")->bandwidth, 6e9);
	cr_assert_eq(hwloc_text_link(topo, "gpu0", "pci0")->bandwidth, 24e9);
	span_topo_free(topo);
}

Test(discover_graph, ports_have_their_line_rates)
{
	span_topo *topo;

	fake_system();
	fake_bridge(ROOT_PORT, 1, 1, GEN5, "16");
	fake_pci(GPU_CHAIN, "020700 15b3 1021", 0, GEN5, "16");
	fake_infiniband(GPU_CHAIN, "mlx5_0", "400 Gb/sec (4X NDR)");
	topo = discover(getenv("HWLOC_FSROOT"), "", false);
	cr_assert_eq(hwloc_text_node(topo, "nic0")->speed, 50e9);
	cr_assert_eq(hwloc_text_link(topo, "nic0", "card0")->bandwidth, 50e9);
	cr_assert_eq(hwloc_text_link(topo, "card0", "nic0")->confidence, SPAN_CONFIDENCE_DECLARED);
	cr_assert(!hwloc_text_note(topo, "line rate"));
	span_topo_free(topo);
}

Test(discover_graph, interfaces_have_their_speeds)
{
	span_topo *topo;

	fake_system();
	fake_pci(ROOT_PORT, "020000 8086 1521", 0, "8.0 GT/s PCIe", "8");
	fake_net(ROOT_PORT, "eth7", "25000");
	topo = discover(getenv("HWLOC_FSROOT"), "", false);
	cr_assert_str_eq(hwloc_text_node(topo, "nic0")->name, "eth7");
	cr_assert_eq(hwloc_text_node(topo, "nic0")->speed, 3.125e9);
	span_topo_free(topo);
}

Test(discover_graph, devices_hwloc_leaves_out_are_told)
{
	span_topo *topo;

	fake_system();
	fake_pci("10000:00:01.0", "010802 144d a808", 0, GEN4, "4");
	setenv("HWLOC_HIDE_ERRORS", "2", 1);
	topo = discover(getenv("HWLOC_FSROOT"), "", false);
	cr_assert(strstr(hwloc_text_note(topo, "above ffff")->text, "1 PCI devices"));
	cr_assert(hwloc_text_note(topo, "10000:00:01.0"));
	span_topo_free(topo);
}

/* --- recorded systems --------------------------------------------------------------------- */

/* Unpack one of hwloc's recorded systems; it becomes hwloc's, and where it is comes back. */
static const char *unpack(const char *name)
{
	static char root[256];
	const char *extra = getenv("SPAN_EXTRA_DATA"), *folder;
	char command[1024];
	FILE *first;

	if (!extra)
		cr_skip_test("SPAN_EXTRA_DATA is not set");
	folder = fake_system();
	snprintf(command, sizeof(command),
	         "mkdir %s/tar && tar xjf '%s/topologies/hwloc/fsroot/%s.tar.bz2' -C %s/tar 2>&1 && "
	         "echo %s/tar/*", folder, extra, name, folder, folder);
	first = popen(command, "r");
	cr_assert(first && fgets(root, sizeof(root), first));
	cr_assert_eq(pclose(first), 0, "%s: %s", command, root);
	root[strcspn(root, "\n")] = '\0';
	setenv("HWLOC_FSROOT", root, 1);
	setenv("HWLOC_HIDE_ERRORS", "2", 1);
	return root;
}

static span_topo *discover_recorded(const char *name, const char *words)
{
	span_topo *topo = discover(unpack(name), "", false);

	cr_assert(hwloc_text_note(topo, words), "%s: nothing about %s", name, words);
	return topo;
}

Test(discover_recorded, a_cgroup_is_told_and_the_machine_shown_whole)
{
	span_topo *topo = discover_recorded("32amd64-4s2n4c-cgroup2", "may be used here");

	cr_assert_eq(span_topo_devices(topo, SPAN_NODE_CPU, -1, NULL, 0), 8);
	span_topo_free(topo);
}

Test(discover_recorded, contradictions_are_told_and_hwloc_is_silent)
{
	span_topo_free(discover_recorded("40intel64-4n10c+pci-conflicts", "contradicts itself"));
}

Test(discover_recorded, wide_domains_are_told)
{
	span_topo_free(discover_recorded("2pa-pcidomain32bits", "above ffff"));
}

Test(discover_recorded, numa_nodes_of_gpus_are_no_cpus)
{
	span_topo *topo = discover(unpack("nvidiagpunumanodes"), "", false);

	cr_assert_eq(span_topo_devices(topo, SPAN_NODE_CPU, -1, NULL, 0), 2);
	cr_assert_eq(span_topo_devices(topo, SPAN_NODE_GPU, -1, NULL, 0), 6);
	span_topo_free(topo);
}

/* --- sysfs alone ----------------------------------------------------------------------- */

Test(sysfs, says_0_for_what_it_does_not_understand)
{
	const char *root = fake_system();
	int32_t width;
	double rate;

	fake_pci("0000:00:01.0", "060400 8086 2030", 0, "16 GT/s", "16");
	fake_pci("0000:00:02.0", "060400 8086 2030", 0, "Unknown speed", "16");
	fake_pci("0000:00:03.0", "060400 8086 2030", 0, GEN4, "0");
	fake_pci("0000:00:04.0", "060400 8086 2030", 0, NULL, NULL);
	sysfs_pci_maximum(root, "0000:00:01.0", &rate, &width);
	cr_assert(rate == 16 && width == 16);
	for (int i = 2; i < 6; i++) {
		char bus[16];

		snprintf(bus, sizeof(bus), "0000:00:%02d.0", i);
		sysfs_pci_maximum(root, bus, &rate, &width);
		cr_assert(rate == 0 && width == 0, "%s: %g x%d", bus, rate, width);
	}
	fake_net("0000:00:01.0", "down0", "-1");
	fake_net("0000:00:01.0", "odd0", "4294967295");
	fake_infiniband("0000:00:01.0", "mlx5_9", "100 Gb/sec (4X EDR)");
	fake_infiniband("0000:00:01.0", "mlx5_8", "very fast");
	cr_assert_eq(sysfs_net_rate(root, "down0"), 0);
	cr_assert_eq(sysfs_net_rate(root, "odd0"), 0);
	cr_assert_eq(sysfs_port_rate(root, "mlx5_9", 1), 12.5e9);
	cr_assert_eq(sysfs_port_rate(root, "mlx5_9", 2), 0);
	cr_assert_eq(sysfs_port_rate(root, "mlx5_8", 1), 0);
}

Test(sysfs, names_from_files_lead_nowhere_else)
{
	const char *root = fake_system();

	fake_file("sys/class/secret/speed", "1000");
	cr_assert_eq(sysfs_net_rate(root, "../secret"), 0);
	cr_assert_eq(sysfs_net_rate(root, "."), 0);
	cr_assert_eq(sysfs_net_rate(root, ""), 0);
}

/* --- NVML ------------------------------------------------------------------------------ */

/* Build the library that stands for NVML; its path, in the fake system's folder. */
static const char *build_nvml(void)
{
	static char library[128];
	char command[1024];

	snprintf(library, sizeof(library), "%s/libnvidia-ml.so.1", getenv("HWLOC_FSROOT"));
	snprintf(command, sizeof(command), "${CC:-cc} -shared -fPIC -o %s %s/../double/fake_nvml.c",
	         library, SPAN_TEST_DATA);
	cr_assert_eq(system(command), 0, "%s", command);
	return library;
}

/* Two GPUs as the fake NVML has them, both at the second processor. */
static span_topo *discover_scene(const char *scene)
{
	const char *root = fake_system(), *library = build_nvml();

	fake_pci(GPU_CHAIN, "030200 10de 2330", 1, GEN5, "16");
	fake_pci("0000:00:02.0/0000:02:00.0", "030200 10de 2330", 1, GEN5, "16");
	setenv("FAKE_NVML", scene, 1);
	return discover(root, library, false);
}

Test(nvml, nvlinks_between_gpus)
{
	span_topo *topo = discover_scene("pair");
	const struct graph_node *gpu = hwloc_text_node(topo, "gpu1");

	cr_assert_eq(hwloc_text_link(topo, "gpu0", "gpu1")->count, 6);
	cr_assert_eq(hwloc_text_link(topo, "gpu1", "gpu0")->count, 6);
	cr_assert_float_eq(hwloc_text_link(topo, "gpu0", "gpu1")->bandwidth, 6 * 20.6e9, 1);
	cr_assert_str_eq(hwloc_text_link(topo, "gpu0", "gpu1")->provenance,
	                 "NVLinks 4.0 that NVML shows as up");
	cr_assert_eq(gpu->dev, 1);
	cr_assert_eq(gpu->sm, 90);
	cr_assert_eq(gpu->memory, 85899345920.0);
	cr_assert_str_eq(gpu->name, "NVIDIA H100 80GB HBM3");
	cr_assert(!hwloc_text_note(topo, "NVLink"));
	cr_assert(!hwloc_text_note(topo, "P2P"));
	span_topo_free(topo);
}

Test(nvml, nvlinks_to_switches_hidden_or_not)
{
	static const char *const scenes[] = { "switch", "hidden" };

	for (int i = 0; i < 2; i++) {
		span_topo *topo = discover_scene(scenes[i]);

		cr_assert_eq(hwloc_text_link(topo, "gpu0", "nvswitch0")->count, 18, "%s", scenes[i]);
		cr_assert_eq(hwloc_text_link(topo, "nvswitch0", "gpu1")->count, 18, "%s", scenes[i]);
		cr_assert(!hwloc_text_linked(topo, "gpu0", "gpu1"));
		span_topo_free(topo);
	}
}

Test(nvml, nvlinks_to_the_processor)
{
	span_topo *topo = discover_scene("power");
	const struct machine *machine = topo->machines[0];
	int32_t links = 0;

	for (int32_t i = 0; i < machine->n_links; i++)
		if (machine->links[i].link_class == SPAN_LINK_NVLINK) {
			cr_assert_eq(machine->links[i].count, 3);
			cr_assert_float_eq(machine->links[i].bandwidth, 60e9, 1);
			cr_assert(machine->links[i].from == span_topo_find(topo, "cpu1") ||
			          machine->links[i].to == span_topo_find(topo, "cpu1"));
			links++;
		}
	cr_assert_eq(links, 4);
	span_topo_free(topo);
}

Test(nvml, gpus_that_may_not_read_each_other_are_told)
{
	span_topo *topo = discover_scene("no-p2p");

	cr_assert(strstr(hwloc_text_note(topo, "P2P")->text, "2 ordered pairs"));
	span_topo_free(topo);
}

Test(nvml, a_refused_gpu_keeps_its_number)
{
	span_topo *topo = discover_scene("refused");

	cr_assert_eq(hwloc_text_node(topo, "gpu0")->dev, -1);
	cr_assert_eq(hwloc_text_node(topo, "gpu1")->dev, 1);
	cr_assert_eq(hwloc_text_node(topo, "gpu1")->sm, 90);
	span_topo_free(topo);
}

Test(nvml, its_absence_is_normal_and_its_failure_a_note)
{
	span_topo *topo = discover_scene("no-driver");

	cr_assert(!hwloc_text_note(topo, "nvmlInit"));
	cr_assert_eq(hwloc_text_node(topo, "gpu0")->sm, 90); /* by its PCI ids */
	span_topo_free(topo);
	topo = discover_scene("broken");
	cr_assert(hwloc_text_note(topo, "nvmlInit answers 999 (Unknown Error)"));
	span_topo_free(topo);
	topo = discover(getenv("HWLOC_FSROOT"), "/nonexistent/libnvidia-ml.so.1", false);
	cr_assert(!hwloc_text_note(topo, "is there"));
	cr_assert(hwloc_text_note(topo, "nvidia-smi topo -m"), "NVLink is missing and not told");
	span_topo_free(topo);
	topo = discover(getenv("HWLOC_FSROOT"), "libm.so.6", false);
	cr_assert(hwloc_text_note(topo, "lacks functions"));
	span_topo_free(topo);
}
