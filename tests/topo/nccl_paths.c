/* Reading golden paths, and comparing with them. */
#include "tests/topo/nccl_paths.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_DEVICES 512

static const struct {
	const char *name;
	span_node_kind kind;
} kinds[] = { { "GPU", SPAN_NODE_GPU }, { "NET", SPAN_NODE_NIC }, { "CPU", SPAN_NODE_CPU } };

#define KINDS 3

static int is_json(const struct dirent *entry)
{
	size_t n = strlen(entry->d_name);

	return n > 5 && !strcmp(entry->d_name + n - 5, ".json");
}

static void find_xml(const char *root, const char *file, json_t *golden, char *xml, size_t room)
{
	snprintf(xml, room, "%s/nccl-golden/%.*s.completed.xml", root, (int)strlen(file) - 5, file);
	if (access(xml, R_OK))
		snprintf(xml, room, "%s/topologies/nccl/%s", root,
		         json_string_value(json_object_get(golden, "source")));
}

int nccl_paths_each(const char *root, void (*judge)(const char *xml, json_t *golden))
{
	struct dirent **entries;
	char path[4096], xml[4096];
	int n, files = 0, i;

	snprintf(path, sizeof(path), "%s/nccl-golden", root);
	n = scandir(path, &entries, is_json, alphasort);
	cr_assert_geq(n, 0, "%s: no such folder", path);
	for (i = 0; i < n; i++) {
		json_t *golden;

		snprintf(path, sizeof(path), "%s/nccl-golden/%s", root, entries[i]->d_name);
		golden = json_load_file(path, 0, NULL);
		cr_assert(golden, "%s: not JSON", path);
		if (json_object_get(golden, "paths")) {
			find_xml(root, entries[i]->d_name, golden, xml, sizeof(xml));
			judge(xml, golden);
			files++;
		}
		json_decref(golden);
		free(entries[i]);
	}
	free(entries);
	return files;
}

span_topo *nccl_paths_load(const char *xml, int as_nccl)
{
	span_topo_options options = { .size = sizeof(options), .as_nccl = as_nccl };
	span_topo *topo = NULL;

	cr_assert_eq(span_topo_load(xml, &options, &topo), SPAN_OK, "%s does not load", xml);
	return topo;
}

static json_t *cell(json_t *matrix, const char *name, int32_t i, int32_t j)
{
	json_t *row = json_array_get(json_object_get(matrix, name), (size_t)i);

	return json_array_get(row, (size_t)j);
}

static void compare_pair(const char *where, const span_topo *topo, int32_t from, int32_t to,
                         json_t *class, json_t *bandwidth, json_t *hops)
{
	span_topo_path path;
	float expected = (float)json_number_value(bandwidth), found;

	cr_assert_eq(span_topo_path_between(topo, from, to, &path), SPAN_OK);
	found = (float)(path.bandwidth / 1e9);
	cr_assert_str_eq(span_path_class_name(path.path_class), json_string_value(class), "%s",
	                 where);
	cr_assert(found == expected || nextafterf(found, expected) == expected,
	          "%s: %.9g GB/s, NCCL has %.9g", where, found, expected);
	cr_assert_eq(path.hops, json_integer_value(hops), "%s: %d links", where, path.hops);
}

/* "GPU-NET" and its like; most files lack some. */
static long compare_matrix(const char *name, json_t *golden, const span_topo *topo, int a, int b)
{
	int32_t from[MOST_DEVICES], to[MOST_DEVICES], rows, columns, i, j;
	char key[16], where[4200];
	json_t *matrix;

	snprintf(key, sizeof(key), "%s-%s", kinds[a].name, kinds[b].name);
	matrix = json_object_get(json_object_get(golden, "paths"), key);
	if (!matrix)
		return 0;
	rows = span_topo_devices(topo, kinds[a].kind, -1, from, MOST_DEVICES);
	columns = span_topo_devices(topo, kinds[b].kind, -1, to, MOST_DEVICES);
	cr_assert_eq((size_t)rows, json_array_size(json_object_get(matrix, "type")), "%s: %d %s",
	             name, rows, kinds[a].name);
	for (i = 0; i < rows; i++)
		for (j = 0; j < columns; j++) {
			snprintf(where, sizeof(where), "%s: %s from %d to %d", name, key, i, j);
			cr_assert(cell(matrix, "type", i, j), "%s: not in the golden file", where);
			compare_pair(where, topo, from[i], to[j], cell(matrix, "type", i, j),
			             cell(matrix, "bw", i, j), cell(matrix, "hops", i, j));
		}
	cr_assert_null(cell(matrix, "type", 0, columns), "%s: more %s in the golden file", name,
	               kinds[b].name);
	return (long)rows * columns;
}

long nccl_paths_compare(const char *name, json_t *golden, const span_topo *topo)
{
	long pairs = 0;
	int a, b;

	for (a = 0; a < KINDS; a++)
		for (b = 0; b < KINDS; b++)
			pairs += compare_matrix(name, golden, topo, a, b);
	cr_assert_gt(pairs, 0, "%s: no pairs", name);
	return pairs;
}
