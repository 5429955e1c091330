/* Paths between devices as matrices of class and GB/s, within 100 columns. */
#include <stdlib.h>
#include <string.h>

#include "topo/tool/text.h"
#include "topo/tool/tool.h"

enum { LABEL = 9, TOGETHER = 8, APART = 16 };

/* Devices of one kind in a place: their node numbers. */
struct devices {
	span_node_kind kind;
	int32_t n, hosts;
	int32_t nodes[TEXT_MATRIX_MOST];
};

static struct devices devices_of(const span_topo *topo, int32_t number, span_node_kind kind)
{
	const struct place *place = &topo->places[number];
	const struct machine *machine = topo->machines[place->machine];
	struct devices devices = { .kind = kind, .hosts = machine->n_hosts };

	for (int32_t i = 0; i < machine->n_devices; i++) {
		int32_t node = machine->devices[i];

		if (machine->nodes[node].kind != kind)
			continue;
		if (devices.n < TEXT_MATRIX_MOST)
			devices.nodes[devices.n] = place->first_node + node;
		devices.n++;
	}
	return devices;
}

/* --- cells -------------------------------------------------------------------------------- */

enum content { BOTH, CLASS, SPEED };

/* Add a cell to a line; returns its length. */
static int put_cell(const span_topo *topo, int32_t from, int32_t to, enum content content,
                    char *cell, size_t room)
{
	span_topo_path path;
	struct text_number number;
	const char *class, *speed;

	if (span_topo_path_between(topo, from, to, &path))
		return 0;
	class = span_path_class_name(path.path_class);
	number = text_gbps(path.bandwidth, content == BOTH ? 4 : 3);
	speed = path.path_class == SPAN_PATH_DIS ? "-" : number.text;
	if (content == BOTH)
		return snprintf(cell, room, "  %-3s%6s", from == to ? "-" : class,
		                from == to ? "" : speed);
	return snprintf(cell, room, "%5s", from == to ? "-" : content == CLASS ? class
	                                                                       : speed);
}

static void finish_line(char *line, int used, FILE *out)
{
	while (used && line[used - 1] == ' ')
		used--;
	fprintf(out, "%.*s\n", used, line);
}

/* One line of column names. With several hosts in a machine there are two: the host above the
 * device. */
static void print_names(const span_topo *topo, const struct devices *columns, int32_t first,
                        int32_t last, enum content content, bool host, FILE *out)
{
	fprintf(out, "%*s", LABEL, "");
	for (int32_t i = first; i < last; i++) {
		struct text_id id = text_id(topo, columns->nodes[i]);
		char *slash = strchr(id.text, '/');
		const char *name = host || !slash ? id.text : slash + 1;

		if (host && slash)
			*slash = 0;
		if (content != BOTH) /* the number is enough, and what there is room for */
			fprintf(out, "%5s", name + (host ? 0 : strcspn(name, "0123456789")));
		else
			fprintf(out, i == last - 1 ? "  %s" : "  %-9s", name);
	}
	fputc('\n', out);
}

static void print_block(const span_topo *topo, const struct devices *rows,
                        const struct devices *columns, int32_t first, int32_t last,
                        enum content content, FILE *out)
{
	if (columns->hosts > 1)
		print_names(topo, columns, first, last, content, true, out);
	print_names(topo, columns, first, last, content, false, out);
	for (int32_t i = 0; i < rows->n; i++) {
		struct text_id id = text_id(topo, rows->nodes[i]);
		const char *slash = strchr(id.text, '/');
		char line[2 * TOOL_COLUMNS];
		int used = snprintf(line, sizeof(line), "%-*s", LABEL,
		                    columns->hosts > 1 || !slash ? id.text : slash + 1);

		for (int32_t k = first; k < last; k++)
			used += put_cell(topo, rows->nodes[i], columns->nodes[k], content,
			                 line + used, sizeof(line) - (size_t)used);
		finish_line(line, used, out);
	}
}

/* --- counts instead ----------------------------------------------------------------------- */

/* Paths of one class and bandwidth, counted. */
struct tally {
	span_path_class path_class;
	double bandwidth;
	int64_t n;
};

enum { TALLIES = 24 };

static void count_path(struct tally *tallies, const struct graph_path *path)
{
	int i = 0;

	while (i < TALLIES - 1 && tallies[i].n &&
	       (tallies[i].path_class != path->path_class ||
	        tallies[i].bandwidth != path->bandwidth))
		i++;
	if (!tallies[i].n)
		tallies[i] = (struct tally){ path->path_class, path->bandwidth, 0 };
	tallies[i].n++;
}

static void print_counts(const struct machine *machine, span_node_kind rows,
                         span_node_kind columns, FILE *out)
{
	struct tally tallies[TALLIES] = { 0 };

	for (int32_t i = 0; i < machine->n_devices; i++)
		for (int32_t k = 0; k < machine->n_devices; k++)
			if (i != k && machine->nodes[machine->devices[i]].kind == rows &&
			    machine->nodes[machine->devices[k]].kind == columns)
				count_path(tallies, machine->paths +
				                    (size_t)i * (size_t)machine->n_devices + k);
	for (int i = 0; i < TALLIES && tallies[i].n; i++) {
		if (i == TALLIES - 1)
			fprintf(out, "others     %9lld pairs\n", (long long)tallies[i].n);
		else
			fprintf(out, "%s %6s %9lld pairs\n",
			        span_path_class_name(tallies[i].path_class),
			        text_gbps(tallies[i].bandwidth, 4).text, (long long)tallies[i].n);
	}
}

/* --- matrices ----------------------------------------------------------------------------- */

static const char *title_of(span_node_kind kind)
{
	return kind == SPAN_NODE_GPU ? "GPU" : kind == SPAN_NODE_NIC ? "NIC"
	                                                             : "NUMA node";
}

static void print_title(span_node_kind rows, span_node_kind columns, const char *what, FILE *out)
{
	fprintf(out, "\n%s to %s, %s\n", title_of(rows), title_of(columns), what);
}

/* So many columns that class and speed stand in matrices of their own. */
static void print_apart(const span_topo *topo, const struct devices *rows,
                        const struct devices *columns, enum content content, FILE *out)
{
	print_title(rows->kind, columns->kind, content == CLASS ? "class" : "GB/s", out);
	for (int32_t first = 0; first < columns->n; first += APART)
		print_block(topo, rows, columns, first,
		            first + APART < columns->n ? first + APART : columns->n, content,
		            out);
}

void text_matrix(const span_topo *topo, int32_t place, span_node_kind row_kind,
                 span_node_kind column_kind, FILE *out)
{
	const struct machine *machine = topo->machines[topo->places[place].machine];
	struct devices rows = devices_of(topo, place, row_kind);
	struct devices columns = devices_of(topo, place, column_kind);

	if (!rows.n || !columns.n || (row_kind == column_kind && rows.n == 1))
		return;
	if (rows.n > TEXT_MATRIX_MOST || columns.n > TEXT_MATRIX_MOST) {
		print_title(row_kind, column_kind, "class and GB/s", out);
		print_counts(machine, row_kind, column_kind, out);
	} else if (columns.n <= TOGETHER) {
		print_title(row_kind, column_kind, "class and GB/s", out);
		print_block(topo, &rows, &columns, 0, columns.n, BOTH, out);
	} else {
		print_apart(topo, &rows, &columns, CLASS, out);
		print_apart(topo, &rows, &columns, SPEED, out);
	}
}

void text_matrices(const span_topo *topo, int32_t place, FILE *out)
{
	if (devices_of(topo, place, SPAN_NODE_GPU).n) {
		text_matrix(topo, place, SPAN_NODE_GPU, SPAN_NODE_GPU, out);
		text_matrix(topo, place, SPAN_NODE_GPU, SPAN_NODE_NIC, out);
		return;
	}
	text_matrix(topo, place, SPAN_NODE_CPU, SPAN_NODE_CPU, out);
	text_matrix(topo, place, SPAN_NODE_CPU, SPAN_NODE_NIC, out);
}
