#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/topo/log_capture.h"
#include "tests/topo/text_cases.h"
#include "topo/read/lines.h"

#define MATRICES SPAN_TEST_DATA "/topologies/matrices/"
#define MOST 64

/* --- the classes come back -------------------------------------------------------------------- */

/* A matrix as this test reads it: a header line, then a line for each device. */
struct matrix {
	int n;
	char name[MOST][24], cell[MOST][MOST][8];
	int32_t node[MOST];
};

static int is_gpu(const char *name)
{
	return strncmp(name, "GPU", 3) == 0;
}

static void read_header(struct matrix *matrix, char *line)
{
	for (char *word = strtok(line, " \t"); word; word = strtok(NULL, " \t")) {
		if (strcmp(word, "CPU") == 0)
			return;
		cr_assert_lt(matrix->n, MOST);
		snprintf(matrix->name[matrix->n++], sizeof(matrix->name[0]), "%s", word);
	}
}

static void read_row(struct matrix *matrix, char *line)
{
	char *word = strtok(line, " \t");
	int row = 0;

	while (word && row < matrix->n && strcmp(matrix->name[row], word) != 0)
		row++;
	if (!word || row == matrix->n)
		return; /* a legend */
	for (int i = 0; i < matrix->n; i++) {
		word = strtok(NULL, " \t");
		cr_assert(word);
		snprintf(matrix->cell[row][i], sizeof(matrix->cell[0][0]), "%s", word);
	}
}

static void read_matrix(struct matrix *matrix, const char *path)
{
	FILE *file = fopen(path, "r");
	char line[8192];

	cr_assert(file, "%s", path);
	memset(matrix, 0, sizeof(*matrix));
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\r\n")] = '\0';
		if (!matrix->n)
			read_header(matrix, line);
		else
			read_row(matrix, line);
	}
	fclose(file);
}

/* The k-th GPU column is the k-th GPU, and so for NICs. */
static void find_nodes(struct matrix *matrix, const span_topo *topo)
{
	int32_t gpus[MOST], nics[MOST];
	int gpu = 0, nic = 0;
	int32_t n_gpus = span_topo_devices(topo, SPAN_NODE_GPU, -1, gpus, MOST);
	int32_t n_nics = span_topo_devices(topo, SPAN_NODE_NIC, -1, nics, MOST);

	for (int i = 0; i < matrix->n; i++)
		matrix->node[i] = is_gpu(matrix->name[i]) ? gpus[gpu++] : nics[nic++];
	cr_assert_eq(gpu, n_gpus);
	cr_assert_eq(nic, n_nics);
}

static int has_nvlink(const struct matrix *matrix, int a, int b)
{
	return strncmp(matrix->cell[a][b], "NV", 2) == 0;
}

/* NVLink through another GPU is a path of its own in NCCL's words. */
static int over_a_neighbour(const struct matrix *matrix, int a, int b)
{
	for (int i = 0; i < matrix->n; i++)
		if (has_nvlink(matrix, a, i) && has_nvlink(matrix, i, b))
			return 1;
	return 0;
}

/* NODE has no counterpart, SOC is the old word for SYS; X is the device itself. */
static const char *nccl_word(const struct matrix *matrix, int a, int b)
{
	const char *cell = matrix->cell[a][b];

	if (strcmp(cell, "X") == 0)
		return "LOC";
	if (has_nvlink(matrix, a, b))
		return "NVL";
	if (is_gpu(matrix->name[a]) && is_gpu(matrix->name[b]) && over_a_neighbour(matrix, a, b))
		return "NVB";
	if (strcmp(cell, "NODE") == 0)
		return "PHB";
	return strcmp(cell, "SOC") == 0 ? "SYS" : cell;
}

static int count;

static void classes_come_back(const char *path)
{
	static struct matrix matrix;
	span_topo *topo = NULL;

	log_capture();
	read_matrix(&matrix, path);
	cr_assert_geq(matrix.n, 1, "%s", path);
	cr_assert_eq(span_topo_load(path, NULL, &topo), SPAN_OK, "%s", log_captured());
	cr_assert_str_eq(span_topo_source_kind(topo), "nvidia-smi");
	find_nodes(&matrix, topo);
	for (int i = 0; i < matrix.n; i++) {
		for (int j = 0; j < matrix.n; j++) {
			const char *expected = nccl_word(&matrix, i, j), *found;
			span_topo_path is;

			span_topo_path_between(topo, matrix.node[i], matrix.node[j], &is);
			found = span_path_class_name(is.path_class);
			count++;
			/* From a GPU to a NIC, another GPU may stand in between. */
			if (is_gpu(matrix.name[i]) && !is_gpu(matrix.name[j]) &&
			    strcmp(found, "PXN") == 0)
				continue;
			cr_assert_str_eq(found, expected, "%s: %s to %s (%s) is %s", path,
			                 matrix.name[i], matrix.name[j], matrix.cell[i][j], found);
			cr_assert(is.bandwidth > 0);
		}
	}
	span_topo_free(topo);
}

/* All matrices of a folder but those that are wrapped. */
static int each_matrix(const char *folder, void (*judge)(const char *path))
{
	struct dirent **entries;
	int n = scandir(folder, &entries, NULL, alphasort), judged = 0;

	cr_assert_geq(n, 0, "%s", folder);
	for (int i = 0; i < n; i++) {
		const char *name = entries[i]->d_name;
		char path[1024];

		snprintf(path, sizeof(path), "%s/%s", folder, name);
		if (strstr(name, ".txt") && !strstr(name, "rocm") && !strstr(name, "terminal")) {
			judge(path);
			judged++;
		}
		free(entries[i]);
	}
	free(entries);
	return judged;
}

Test(read_smi, paths_have_the_classes_of_the_matrix)
{
	cr_assert_geq(each_matrix(MATRICES, classes_come_back), 7);
	cr_assert_gt(count, 200);
}

Test(read_smi, so_have_those_of_matrices_kept_elsewhere)
{
	const char *extra = getenv("SPAN_EXTRA_DATA");
	char folder[1024];

	if (!extra)
		cr_skip_test("SPAN_EXTRA_DATA is not set");
	snprintf(folder, sizeof(folder), "%s/topologies/matrices", extra);
	cr_assert_geq(each_matrix(folder, classes_come_back), 9);
	cr_assert_gt(count, 800);
}

/* --- what the text says besides --------------------------------------------------------------- */

static void assert_same_paths(const char *one, const char *other)
{
	span_topo *a = NULL, *b = NULL;

	log_capture();
	cr_assert_eq(span_topo_load(one, NULL, &a), SPAN_OK, "%s", log_captured());
	cr_assert_eq(span_topo_load(other, NULL, &b), SPAN_OK, "%s", log_captured());
	cr_assert_eq(span_topo_nodes(a), span_topo_nodes(b));
	cr_assert_eq(span_topo_links(a), span_topo_links(b));
	for (int32_t i = 0; i < span_topo_nodes(a); i++) {
		span_topo_node left, right;

		span_topo_node_at(a, i, &left);
		span_topo_node_at(b, i, &right);
		cr_assert_str_eq(left.id, right.id);
		cr_assert_str_eq(left.name, right.name);
		cr_assert_eq(left.parent, right.parent);
	}
	for (int32_t i = 0; i < span_topo_links(a); i++) {
		span_topo_link left, right;

		span_topo_link_at(a, i, &left);
		span_topo_link_at(b, i, &right);
		cr_assert(left.from == right.from && left.to == right.to &&
		          left.bandwidth == right.bandwidth);
	}
	span_topo_free(a);
	span_topo_free(b);
}

Test(read_smi, a_terminal_changes_nothing)
{
	assert_same_paths(MATRICES "smi-two-sockets.txt", MATRICES "smi-terminal.txt");
	assert_same_paths(MATRICES "smi-two-sockets.txt", MATRICES "smi-terminal-escapes-lost.txt");
}

static span_topo *load(const char *path)
{
	span_topo *topo = NULL;

	log_capture();
	cr_assert_eq(span_topo_load(path, NULL, &topo), SPAN_OK, "%s", log_captured());
	return topo;
}

static const char *name_of(const span_topo *topo, const char *id)
{
	static span_topo_node node;

	span_topo_node_at(topo, text_node(topo, id), &node);
	return node.name;
}

Test(read_smi, nics_have_the_names_of_the_legend)
{
	span_topo *topo = load(MATRICES "smi-nvswitch.txt");

	cr_assert_str_eq(name_of(topo, "nic0"), "mlx5_0");
	cr_assert_str_eq(name_of(topo, "nic5"), "mlx5_9");
	span_topo_free(topo);
	topo = load(MATRICES "smi-two-sockets.txt");
	cr_assert_str_eq(name_of(topo, "nic1"), "mlx5_1");
	span_topo_free(topo);
}

Test(read_smi, more_links_than_a_gpu_has_go_through_nvswitch)
{
	span_topo *topo = load(MATRICES "smi-nvswitch.txt");

	text_node(topo, "nvswitch0");
	cr_assert_float_eq(text_gbps(topo, "gpu0", "gpu3"), 18 * 20.6, 0.01);
	cr_assert(text_note(topo, "NV18"));
	span_topo_free(topo);
	topo = load(MATRICES "smi-reversed.txt");
	cr_assert_lt(span_topo_find(topo, "nvswitch0"), 0);
	cr_assert_float_eq(text_gbps(topo, "gpu0", "gpu3"), 4 * 20, 0.01);
	cr_assert(text_note(topo, "does not tell"));
	span_topo_free(topo);
}

/* GPUs reversed to NUMA nodes are no defect: cpu0 is NUMA node 0, and GPU3 is on it. */
Test(read_smi, affinity_tells_the_numa_node)
{
	span_topo *topo = load(MATRICES "smi-reversed.txt");

	for (int i = 0; i < 4; i++) {
		span_topo_node gpu, cpu;
		char id[16];

		snprintf(id, sizeof(id), "gpu%d", i);
		span_topo_node_at(topo, text_node(topo, id), &gpu);
		span_topo_node_at(topo, gpu.parent, &cpu);
		snprintf(id, sizeof(id), "h0/cpu%d", 3 - i);
		cr_assert_str_eq(cpu.id, id);
	}
	for (int32_t i = 0; i < span_topo_notes(topo); i++) {
		span_topo_note note;

		span_topo_note_at(topo, i, &note);
		cr_assert_eq(note.corrected, 0, "%s", note.text);
	}
	span_topo_free(topo);
}

Test(read_smi, lists_of_processors_become_masks)
{
	static const struct {
		const char *list, *mask;
	} cases[] = {
		{ "0", "00000001" },
		{ "0-7,32-39", "000000ff,000000ff" },
		{ "33", "00000002,00000000" },
		{ "0-55,112-167", "000000ff,ffffffff,ffff0000,00000000,00ffffff,ffffffff" },
		{ "", "" },
		{ "7-3", "" },
		{ "1,", "00000002" },
		{ "-4", "" },
		{ "0-4096", "" },
		{ "99999", "" },
		{ "1--2", "" },
	};
	char whole[CPU_MASK_BYTES];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char mask[CPU_MASK_BYTES];

		text_cpu_mask(cases[i].list, mask);
		cr_assert_str_eq(mask, cases[i].mask, "%s", cases[i].list);
	}
	text_cpu_mask("0-4095", whole);
	cr_assert_eq(strlen(whole), CPU_MASK_BYTES - 2);
}

Test(read_smi, what_nobody_says_is_told)
{
	span_topo *topo = load(MATRICES "smi-memory-nodes.txt");

	cr_assert(text_note(topo, "3 NICs"));
	cr_assert(text_note(topo, "no speeds"));
	for (int32_t i = 0; i < span_topo_links(topo); i++) {
		span_topo_link link;

		span_topo_link_at(topo, i, &link);
		cr_assert_leq(link.confidence, SPAN_CONFIDENCE_ASSUMED);
	}
	span_topo_free(topo);
}

/* --- contradictions --------------------------------------------------------------------------- */

Test(read_smi, words_that_contradict_each_other_are_told)
{
	span_topo *topo = text_parse("\tGPU0\tGPU1\tGPU2\nGPU0\tX\tPIX\tSYS\nGPU1\tPIX\tX\tPIX\n"
	                             "GPU2\tSYS\tPIX\tX\n", "f");
	span_topo_note note = { 0 };

	cr_assert_str_eq(text_class(topo, "gpu0", "gpu2"), "PIX");
	cr_assert(text_note(topo, "GPU0 and GPU2 are SYS here"));
	for (int32_t i = 0; i < span_topo_notes(topo) && !note.corrected; i++)
		span_topo_note_at(topo, i, &note);
	cr_assert(note.corrected);
	cr_assert_str_eq(note.place, "f:2");
	span_topo_free(topo);
}

Test(read_smi, the_matrix_stands_above_the_affinity)
{
	span_topo *topo = text_parse("\tGPU0\tGPU1\tCPU Affinity\tNUMA Affinity\n"
	                             "GPU0\tX\tSYS\t0-7\t0\nGPU1\tSYS\tX\t0-7\t0\n", "f");

	cr_assert_str_eq(text_class(topo, "gpu0", "gpu1"), "SYS");
	cr_assert(text_note(topo, "by the matrix, which is taken"));
	span_topo_free(topo);
	topo = text_parse("\tGPU0\tGPU1\tCPU Affinity\nGPU0\tX\tPHB\t0-7\nGPU1\tPHB\tX\t8-15\n", "f");
	cr_assert_str_eq(text_class(topo, "gpu0", "gpu1"), "PHB");
	cr_assert(text_note(topo, "by the matrix, which is taken"));
	span_topo_free(topo);
}

/* One GPU without its NVLinks, in a machine with NVSwitch: it gets none. */
Test(read_smi, a_gpu_without_nvlinks_is_on_no_switch)
{
	span_topo *topo = text_parse("\tGPU0\tGPU1\tGPU2\tGPU3\nGPU0\tX\tNV18\tNV18\tSYS\n"
	                             "GPU1\tNV18\tX\tNV18\tSYS\nGPU2\tNV18\tNV18\tX\tSYS\n"
	                             "GPU3\tSYS\tSYS\tSYS\tX\n", "f");

	cr_assert_str_eq(text_class(topo, "gpu0", "gpu2"), "NVL");
	cr_assert_str_eq(text_class(topo, "gpu0", "gpu3"), "SYS");
	span_topo_free(topo);
}

/* --- malformed -------------------------------------------------------------------------------- */

static const struct {
	const char *text, *message;
} malformed[] = {
	{ "\tGPU0\tGPU1\n", "f:1: the text ends before the row of GPU0" },
	{ "\tGPU0\tGPU1\nGPU0\tX\tNV1\n", "f:2: no row of GPU1, after 1 of 2 rows" },
	{ "\tGPU0\tGPU1\nGPU0\tX\n", "f:2: the row of GPU0 ends after 1 of 2 devices" },
	{ "GPU0\tX\tNV1\nGPU1\tNV1\tX\n", "f:1: a row of GPU0 before the line with the names" },
	{ "\tGPU0\tGPU1\nGPU0\tX\tNV0\nGPU1\tNV0\tX\n", "f:2: GPU0 to GPU1 is \"NV0\"" },
	{ "\tGPU0\tGPU1\nGPU0\tX\tPXX\nGPU1\tPXX\tX\n", "f:2: GPU0 to GPU1 is \"PXX\"" },
	{ "\tGPU0\tGPU1\nGPU0\tNV1\tX\nGPU1\tX\tNV1\n", "f:2: GPU0 to GPU0 is \"NV1\"; X is for" },
	{ "\tGPU0\tGPU1\nGPU0\tX\tX\nGPU1\tX\tX\n", "f:2: GPU0 to GPU1 is \"X\"; X is for" },
	{ "\tGPU0\tGPU1\nGPU0\tX\tNV1\nGPU1\tNV2\tX\n",
	  "f:3: GPU1 to GPU0 is \"NV2\", but line 2 has another" },
	{ "\tGPU0\tGPU1\nGPU0\tX\tPIX\nGPU1\tPHB\tX\n",
	  "f:3: GPU1 to GPU0 is \"PHB\", but line 2 has another" },
	{ "\tGPU0\tGPU0\nGPU0\tX\tPIX\n", "f:1: a second column \"GPU0\"" },
	{ "\tGPU0\tGPU1\nGPU0\tX\tPIX\nGPU0\tX\tPIX\n", "f:3: a second row of GPU0 (the first is" },
	{ "\tGPU0\nGPU0\tX\nGPU1\tX\n", "f:3: a row of GPU1, which has no column" },
	{ "\tGPU0\tCPU Affinity\nGPU0\tX\tall\n", "f:2: the affinity of GPU0 is \"all\"" },
	{ "\tGPU0\tCPU Affinity\nGPU0\tX\t0-7\t1\n", "f:2: \"1\" behind the row of GPU0" },
	{ "\tGPU0\tCPU Affinity\tPower\nGPU0\tX\t0-7\n", "f:1: \"Power\" behind the columns" },
	{ "\tGPU0\t0-7\nGPU0\tX\tX\n", "f:1: \"0-7\" as the name of a column" },
	{ "\tGPU0\nGPU0\tX\n\n\tGPU0\nGPU0\tX\n", "f:4: a second row of GPU0 (the first is" },
	{ "\tGPU0\nGPU0\tX\n$ ssh b\n\tGPU0\nGPU0\tX\n", "f:4: a second matrix; give each" },
};

Test(read_smi, names_the_line_of_what_is_malformed)
{
	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
		const char *text = malformed[i].text, *line = text_refused(text, strlen(text), "f");

		cr_assert_eq(strncmp(line, malformed[i].message, strlen(malformed[i].message)), 0,
		             "%s", line);
	}
}

Test(read_smi, any_order_of_rows_will_do)
{
	span_topo *topo = text_parse("\tGPU0\tGPU1\tNIC0\nNIC0\tPIX\tSYS\tX\nGPU1\tSYS\tX\tSYS\n"
	                             "GPU0\tX\tSYS\tPIX\n", "f");

	cr_assert_str_eq(text_class(topo, "gpu0", "nic0"), "PIX");
	span_topo_free(topo);
}

/* A matrix of n columns of which no row follows. */
static const char *oversized(int columns, const char *name)
{
	static char text[1 << 20];
	char *at = text + sprintf(text, "GPU0 NIC0\n");

	for (int i = 1; i < columns; i++)
		at += sprintf(at, "%s%d%s", name, i, i % 400 ? "\t" : "\n");
	strcpy(at, "\n");
	return text_refused(text, strlen(text), "f");
}

Test(read_smi, refuses_more_than_any_machine_has)
{
	char *line = malloc(100000);

	cr_assert(strstr(oversized(300, "GPU"), "more than 256 columns"), "%s", log_captured());
	cr_assert(strstr(oversized(60000, "n"), "more than 256 columns"), "%s", log_captured());
	memset(line, 'G', 99999);
	memcpy(line, "GPU0 NIC0 ", 10);
	line[99999] = '\0';
	cr_assert(strstr(text_refused(line, 99999, "f"), "f:1: longer than 32768 bytes"), "%s",
	          log_captured());
	for (int i = 11; i < 99998; i += 2)
		line[i] = ' ';
	cr_assert(strstr(text_refused(line, 30000, "f"), "f:1: more than 2048 words"), "%s",
	          log_captured());
	free(line);
}

static void cut(const char *path)
{
	cr_assert_gt(text_cut_everywhere(path), 25, "%s", path);
	text_shuffled(path, 300);
}

Test(read_smi, judges_whatever_is_cut_off_or_shuffled, .timeout = 120)
{
	each_matrix(MATRICES, cut);
	cut(MATRICES "smi-terminal.txt");
	cut(MATRICES "smi-terminal-escapes-lost.txt");
}
