/* Recorded machines in hwloc's XML: each is read, agrees with what hwloc itself reads of it, and
 * has the devices and links that its README names. */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <ftw.h>
#include <hwloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/topo/hwloc_text.h"
#include "tests/topo/log_capture.h"
#include "topo/read/hwloc/hwloc_matrix.h"

/* --- files -------------------------------------------------------------------------------- */

static struct {
	void (*judge)(const char *path);
	int files;
} walk;

static int visit(const char *path, const struct stat *info, int kind, struct FTW *where)
{
	size_t bytes = strlen(path);

	(void)info, (void)where;
	if (kind == FTW_F && bytes > 4 && strcmp(path + bytes - 4, ".xml") == 0) {
		walk.judge(path);
		walk.files++;
	}
	return 0;
}

/* Judge every XML file below ROOT/topologies/hwloc. */
static int each_file(const char *root, void (*judge)(const char *path))
{
	char folder[4096];

	snprintf(folder, sizeof(folder), "%s/topologies/hwloc", root);
	walk.judge = judge;
	walk.files = 0;
	cr_assert_eq(nftw(folder, visit, 16, FTW_PHYS), 0, "%s", folder);
	return walk.files;
}

static const char *extra_root(void)
{
	const char *root = getenv("SPAN_EXTRA_DATA");

	if (!root)
		cr_skip_test("SPAN_EXTRA_DATA is not set");
	return root;
}

static char *read_text(const char *path, size_t *bytes)
{
	FILE *file = fopen(path, "re");
	char *text = calloc(1, 1 << 20);

	cr_assert(file && text, "%s", path);
	*bytes = fread(text, 1, (1 << 20) - 1, file);
	fclose(file);
	return text;
}

static span_topo *load(const char *name, int as_nccl)
{
	span_topo_options options = { .size = sizeof(options), .as_nccl = as_nccl };
	span_topo *topo = NULL;
	char path[4096];

	snprintf(path, sizeof(path), "%s%s", *name == '/' ? "" : SPAN_TEST_DATA "/topologies/hwloc/",
	         name);
	log_capture();
	cr_assert_eq(span_topo_load(path, &options, &topo), SPAN_OK, "%s", log_captured());
	return topo;
}

/* --- as hwloc reads them -------------------------------------------------------------------- */

/* The PCI device or bridge of ours at an address. */
static const struct hw_object *find_pci(const struct hw_tree *tree, hwloc_obj_t theirs)
{
	const struct hwloc_pcidev_attr_s *pci = &theirs->attr->pcidev;

	for (int32_t i = 0; i < tree->n_objects; i++) {
		const struct hw_object *ours = &tree->objects[i];

		if (ours->has_bus && ours->domain == pci->domain && ours->bus == pci->bus &&
		    ours->device == pci->dev && ours->function == pci->func)
			return ours;
	}
	return NULL;
}

static void compare_pci(const char *path, const struct hw_tree *tree, hwloc_topology_t theirs)
{
	int32_t ours = 0, seen = 0;
	hwloc_obj_t at = NULL;

	for (int32_t i = 0; i < tree->n_objects; i++)
		ours += tree->objects[i].type == HW_PCI;
	while ((at = hwloc_get_next_pcidev(theirs, at))) {
		const struct hw_object *same = find_pci(tree, at);

		cr_assert(same, "%s: no %s", path, at->name ? at->name : "device");
		cr_assert_eq(same->pci_class >> 8, at->attr->pcidev.class_id, "%s", path);
		cr_assert_eq(same->pci_vendor, at->attr->pcidev.vendor_id, "%s", path);
		cr_assert_eq(same->pci_device, at->attr->pcidev.device_id, "%s", path);
		cr_assert_float_eq(same->link_speed, at->attr->pcidev.linkspeed, 1e-4, "%s", path);
		seen++;
	}
	cr_assert_eq(seen, ours, "%s: %d PCI devices, hwloc has %d", path, ours, seen);
}

/* Which kinds of OS device hwloc gives how often, and which we do. */
static void compare_osdevs(const char *path, const struct hw_tree *tree, hwloc_topology_t theirs)
{
	int32_t n[2][4] = { { 0 } };
	hwloc_obj_t at = NULL;

	while ((at = hwloc_get_next_osdev(theirs, at))) {
		n[0][0] += at->attr->osdev.type == HWLOC_OBJ_OSDEV_GPU;
		n[0][1] += at->attr->osdev.type == HWLOC_OBJ_OSDEV_COPROC;
		n[0][2] += at->attr->osdev.type == HWLOC_OBJ_OSDEV_NETWORK;
		n[0][3] += at->attr->osdev.type == HWLOC_OBJ_OSDEV_OPENFABRICS;
	}
	for (int32_t i = 0; i < tree->n_objects; i++)
		for (int32_t k = 0; k < 4; k++)
			n[1][k] += (tree->objects[i].osdev >> k) & 1;
	for (int32_t k = 0; k < 4; k++)
		cr_assert_eq(n[0][k], n[1][k], "%s: OS devices of kind %d: %d and %d", path, k,
		             n[0][k], n[1][k]);
}

static void compare_matrix(const char *path, const struct hw_tree *tree, hwloc_topology_t theirs,
                           const char *name)
{
	struct hwloc_distances_s *matrix = NULL;
	struct hw_matrix ours;
	unsigned n = 1;
	bool found;

	cr_assert_eq(hwloc_distances_get_by_name(theirs, name, &n, &matrix, 0), 0);
	cr_assert_eq(hw_matrix_read(tree, name, &found, &ours), SPAN_OK, "%s", path);
	cr_assert_eq(found, n == 1, "%s", path);
	if (!n)
		return;
	cr_assert_eq(ours.n, (int32_t)matrix->nbobjs, "%s", path);
	for (unsigned i = 0; i < matrix->nbobjs; i++)
		cr_assert_eq(tree->objects[ours.objects[i]].gp_index,
		             (int64_t)matrix->objs[i]->gp_index, "%s", path);
	for (unsigned i = 0; i < matrix->nbobjs * matrix->nbobjs; i++)
		cr_assert_eq(ours.values[i], (double)matrix->values[i], "%s", path);
	hwloc_distances_release(theirs, matrix);
	hw_matrix_free(&ours);
}

static int32_t objects_of(const struct hw_tree *tree, enum hw_type type)
{
	int32_t count = 0;

	for (int32_t i = 0; i < tree->n_objects; i++)
		count += tree->objects[i].type == type;
	return count;
}

static int compared;

/* What hwloc cannot read (version 3, or not its own at all) has nothing to compare with. */
static void compare_with_hwloc(const char *path)
{
	struct source source = { .name = path };
	hwloc_topology_t theirs;
	struct hw_tree tree;
	int32_t numa;
	char *text = read_text(path, &source.bytes);

	source.text = text;
	hwloc_topology_init(&theirs);
	hwloc_topology_set_io_types_filter(theirs, HWLOC_TYPE_FILTER_KEEP_ALL);
	hwloc_topology_set_flags(theirs, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
	if (!hwloc_topology_set_xmlbuffer(theirs, text, (int)source.bytes + 1) &&
	    !hwloc_topology_load(theirs)) {
		cr_assert_eq(hw_tree_parse(&source, &tree), SPAN_OK, "%s", log_captured());
		numa = objects_of(&tree, HW_NUMA); /* hwloc makes one where there is none */
		cr_assert_eq(hwloc_get_nbobjs_by_type(theirs, HWLOC_OBJ_NUMANODE),
		             numa ? numa : 1, "%s", path);
		cr_assert_eq(hwloc_get_nbobjs_by_type(theirs, HWLOC_OBJ_PACKAGE),
		             objects_of(&tree, HW_PACKAGE), "%s", path);
		compare_pci(path, &tree, theirs);
		compare_osdevs(path, &tree, theirs);
		compare_matrix(path, &tree, theirs, "NVLinkBandwidth");
		compare_matrix(path, &tree, theirs, "XGMIBandwidth");
		hw_tree_free(&tree);
		compared++;
	}
	hwloc_topology_destroy(theirs);
	free(text);
}

Test(read_hwloc, reads_of_every_file_what_hwloc_reads)
{
	int files;

	log_capture();
	files = each_file(SPAN_TEST_DATA, compare_with_hwloc);
	printf("read_hwloc: %d of %d files read as hwloc reads them\n", compared, files);
	cr_assert_geq(compared, 11);
}

Test(read_hwloc, reads_of_extra_files_what_hwloc_reads)
{
	const char *root = extra_root();
	int files;

	log_capture();
	files = each_file(root, compare_with_hwloc);
	printf("read_hwloc: %d of %d extra files read as hwloc reads them\n", compared, files);
	cr_assert_geq(compared, 30);
}

/* --- as graphs -------------------------------------------------------------------------------- */

static void load_both_views(const char *path)
{
	span_topo_options options = { .size = sizeof(options) };
	clock_t start = clock();
	span_status status;

	for (options.as_nccl = 0; options.as_nccl < 2; options.as_nccl++) {
		span_topo *topo = NULL;

		log_capture();
		status = span_topo_load(path, &options, &topo);
		/* lshw's XML is there as what people mistake for hwloc's. */
		if (status) {
			cr_assert(strstr(log_captured(), "lshw"), "%s", log_captured());
			cr_assert_eq(log_captured_count(), 1);
			return;
		}
		cr_assert_geq(span_topo_devices(topo, SPAN_NODE_CPU, -1, NULL, 0), 1, "%s", path);
		span_topo_free(topo);
	}
	cr_assert_lt((double)(clock() - start) / CLOCKS_PER_SEC, 2.0, "%s", path);
}

Test(read_hwloc, every_file_is_a_graph)
{
	cr_assert_geq(each_file(SPAN_TEST_DATA, load_both_views), 14);
}

Test(read_hwloc, every_extra_file_is_a_graph)
{
	cr_assert_geq(each_file(extra_root(), load_both_views), 41);
}

/* The two have the same graph, whatever their formats. */
static void expect_equal(const char *first, const char *second)
{
	span_topo *a = load(first, 0), *b = load(second, 0);
	const struct machine *x = a->machines[0], *y = b->machines[0];

	cr_assert_eq(x->n_nodes, y->n_nodes);
	cr_assert_eq(x->n_links, y->n_links);
	for (int32_t i = 0; i < x->n_nodes; i++) {
		cr_assert_eq(x->nodes[i].kind, y->nodes[i].kind);
		cr_assert_eq(x->nodes[i].parent, y->nodes[i].parent);
		cr_assert_eq(x->nodes[i].dev, y->nodes[i].dev);
		cr_assert_eq(x->nodes[i].sm, y->nodes[i].sm);
		cr_assert_str_eq(x->nodes[i].bus, y->nodes[i].bus);
		cr_assert_str_eq(x->nodes[i].name, y->nodes[i].name);
	}
	for (int32_t i = 0; i < x->n_links; i++) {
		cr_assert_eq(x->links[i].from, y->links[i].from);
		cr_assert_eq(x->links[i].to, y->links[i].to);
		cr_assert_eq(x->links[i].link_class, y->links[i].link_class);
		cr_assert_eq(x->links[i].bandwidth, y->links[i].bandwidth);
	}
	span_topo_free(a);
	span_topo_free(b);
}

Test(read_hwloc, version_3_is_the_same_machine)
{
	expect_equal("hwloc-tests/nvidiaDGX2.xml", "hwloc3-xml/nvidiaDGX2.xml");
	expect_equal("hwloc-tests/power8gpudistances.xml", "hwloc3-xml/power8gpudistances.xml");
}

Test(read_hwloc, a_dgx2_has_six_nvlinks_a_gpu_to_its_switches)
{
	span_topo *topo = load("hwloc-tests/nvidiaDGX2.xml", 0);
	char id[16];
	span_topo_path path;

	cr_assert_eq(span_topo_devices(topo, SPAN_NODE_GPU, -1, NULL, 0), 16);
	for (int i = 0; i < 16; i++) {
		snprintf(id, sizeof(id), "gpu%d", i);
		cr_assert_eq(hwloc_text_link(topo, id, "nvswitch0")->count, 6, "%s", id);
		cr_assert_eq(hwloc_text_node(topo, id)->sm, 70);
	}
	cr_assert_eq(span_topo_path_between(topo, span_topo_find(topo, "gpu0"),
	                                    span_topo_find(topo, "gpu15"), &path), SPAN_OK);
	cr_assert_eq(path.path_class, SPAN_PATH_NVL);
	cr_assert_float_eq(path.bandwidth, 120e9, 1);
	span_topo_free(topo);
}

Test(read_hwloc, direct_nvlinks_of_power8_stay)
{
	span_topo *topo = load("hwloc-tests/power8gpudistances.xml", 0);

	/* The class of the first link from a GPU is PCIe; NVLink to the processor is beside it. */
	cr_assert_eq(hwloc_text_link(topo, "gpu0", "gpu1")->count, 2);
	cr_assert_eq(hwloc_text_link(topo, "gpu2", "gpu3")->count, 2);
	cr_assert(!hwloc_text_linked(topo, "gpu0", "gpu2"));
	cr_assert_float_eq(hwloc_text_link(topo, "gpu0", "cpu0")->bandwidth, 6e9, 1);
	cr_assert_eq(hwloc_text_link(topo, "cpu0", "cpu1")->bandwidth, 32e9);
	span_topo_free(topo);
}

Test(read_hwloc, versions_1_and_2_of_a_machine_have_the_same_devices)
{
	static const span_node_kind kinds[] = { SPAN_NODE_PACKAGE, SPAN_NODE_CPU, SPAN_NODE_PCI,
	                                        SPAN_NODE_GPU, SPAN_NODE_CARD, SPAN_NODE_NIC };
	span_topo *one = load("mpibind/coral-lassen-hwloc1.xml", 0);
	span_topo *two = load("mpibind/coral-lassen.xml", 0);

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		cr_assert_eq(span_topo_devices(one, kinds[i], -1, NULL, 0),
		             span_topo_devices(two, kinds[i], -1, NULL, 0), "%s",
		             span_node_kind_name(kinds[i]));
	cr_assert_eq(hwloc_text_node(one, "cpu1")->numa, 8);
	cr_assert_eq(hwloc_text_node(two, "cpu1")->numa, 8);
	cr_assert(hwloc_text_note(one, "no processors"));
	cr_assert(hwloc_text_note(two, "nvidia-smi topo -m"));
	cr_assert(hwloc_text_note(two, "fewer lanes"));
	span_topo_free(one);
	span_topo_free(two);
}

Test(read_hwloc, contradicting_sysfs_is_told)
{
	span_topo *topo = load("derived-2.9-from-fsroot/40intel64-4n10c+pci-conflicts.xml", 0);
	const struct note *note = hwloc_text_note(topo, "contradicts itself");

	cr_assert(note && !note->corrected);
	cr_assert(strstr(note->text, "10 processors"));
	span_topo_free(topo);
}

Test(read_hwloc, memory_of_other_kinds_is_no_cpu)
{
	span_topo *topo = load("hwloc3-xml/64intel64-heteromem.xml", 0);

	cr_assert_eq(span_topo_devices(topo, SPAN_NODE_CPU, -1, NULL, 0), 4);
	span_topo_free(topo);
	topo = load("derived-2.9-from-fsroot/nvidiagpunumanodes.xml", 0);
	cr_assert_eq(span_topo_devices(topo, SPAN_NODE_CPU, -1, NULL, 0), 2);
	cr_assert(strstr(hwloc_text_note(topo, "no processors")->text, ": 6;"));
	span_topo_free(topo);
}

Test(read_hwloc, ports_of_a_g4dn_sleep)
{
	span_topo *topo = load("mpibind/g4dnmetal.xml", 0);

	cr_assert_float_eq(hwloc_text_link(topo, "gpu7", "cpu1")->bandwidth, 12e9, 1);
	cr_assert(strstr(hwloc_text_note(topo, "asleep")->text, ": 8;"));
	cr_assert_eq(hwloc_text_node(topo, "gpu7")->sm, 75);
	cr_assert_str_eq(hwloc_text_node(topo, "nic0")->name, "rdmap197s0");
	span_topo_free(topo);
}

Test(read_hwloc, old_files_have_names_of_their_own)
{
	span_topo *topo = load("openpmix/2XeonE5300.xml", 0);

	cr_assert_eq(span_topo_devices(topo, SPAN_NODE_CPU, -1, NULL, 0), 1);
	cr_assert_eq(span_topo_devices(topo, SPAN_NODE_GPU, -1, NULL, 0), 0);
	cr_assert_eq(span_topo_devices(topo, SPAN_NODE_NIC, -1, NULL, 0), 2);
	span_topo_free(topo);
	topo = load("hwloc-tests/24em64t-2n6c2t-pci.xml", 0);
	cr_assert_eq(span_topo_devices(topo, SPAN_NODE_GPU, -1, NULL, 0), 3);
	cr_assert_str_eq(hwloc_text_node(topo, "nic0")->name, "mlx4_0");
	span_topo_free(topo);
}
