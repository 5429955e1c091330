/* Reading what `rocm-smi --showtopo` prints: tables of weights, hops and kinds of links between
 * GPUs, and the NUMA node of each. */
#include "topo/read/rocm.h"

#include <stdlib.h>
#include <string.h>

#include "topo/graph/link_speed.h"
#include "topo/log.h"
#include "topo/read/lines.h"
#include "topo/read/sketch.h"

enum table { TABLE_NONE, TABLE_OTHER, TABLE_HOPS, TABLE_LINKS };

struct rocm_reader {
	struct lines lines;
	struct rocm_topology *rocm;
	enum table table;
	int32_t table_line;         /* where the table began */
	int32_t columns;            /* of the table; 0 before its header */
	int32_t row;                /* that comes next */
	int32_t column[ROCM_MAX_GPUS];
	bool has_links;
};

int32_t rocm_find(const struct rocm_topology *rocm, int32_t gpu)
{
	for (int32_t i = 0; i < rocm->n; i++)
		if (rocm->gpu[i] == gpu)
			return i;
	return -1;
}

enum rocm_link rocm_link_of(const char *word)
{
	if (strcmp(word, "XGMI") == 0)
		return ROCM_XGMI;
	return strcmp(word, "PCIE") == 0 ? ROCM_PCIE : ROCM_UNKNOWN;
}

/* --- tables ---------------------------------------------------------------------------- */

static bool parse_gpu(const char *word, int32_t *gpu)
{
	return strncmp(word, "GPU", 3) == 0 && text_number(word + 3, 0, 9999, gpu);
}

/* "=== Link Type between two GPUs ===" begins a table. */
static bool is_title(const struct lines *lines, enum table *table)
{
	bool between = false;

	*table = TABLE_OTHER;
	for (int32_t i = 0; i < lines->n_words; i++) {
		if (lines_is(lines, i, "Type"))
			*table = TABLE_LINKS;
		if (lines_is(lines, i, "Hops"))
			*table = TABLE_HOPS;
		between |= lines_is(lines, i, "between") && lines_is(lines, i + 1, "two");
	}
	return between;
}

static span_status check_table_is_whole(const struct rocm_reader *reader)
{
	if (reader->table == TABLE_NONE || (reader->columns && reader->row == reader->columns))
		return SPAN_OK;
	return lines_fail(&reader->lines, "the table of line %d ends after %d of %d rows; copy the "
	                  "whole output of \"rocm-smi --showtopo\"", reader->table_line, reader->row,
	                  reader->columns);
}

static span_status parse_header(struct rocm_reader *reader)
{
	const struct lines *lines = &reader->lines;
	struct rocm_topology *rocm = reader->rocm;

	for (int32_t i = 0; i < lines->n_words; i++) {
		int32_t gpu;

		if (!parse_gpu(lines->words[i], &gpu))
			return lines_fail(lines, "column \"%.40s\"; expected GPU0, GPU1 and so on",
			                  lines->words[i]);
		if (rocm_find(rocm, gpu) < 0) {
			if (rocm->n == ROCM_MAX_GPUS)
				return lines_fail(lines, "more than %d GPUs", ROCM_MAX_GPUS);
			rocm->numa[rocm->n] = -1;
			rocm->gpu[rocm->n++] = gpu;
		}
		for (int32_t j = 0; j < i; j++)
			if (reader->column[j] == rocm_find(rocm, gpu))
				return lines_fail(lines, "a second column GPU%d", gpu);
		if (i == ROCM_MAX_GPUS)
			return lines_fail(lines, "more than %d GPUs", ROCM_MAX_GPUS);
		reader->column[i] = rocm_find(rocm, gpu);
	}
	reader->columns = lines->n_words;
	reader->row = 0;
	return SPAN_OK;
}

static span_status store(struct rocm_reader *reader, int32_t from, int32_t to, const char *word)
{
	struct rocm_topology *rocm = reader->rocm;
	int32_t hops;

	if (from == to)
		return SPAN_OK;
	if (reader->table == TABLE_LINKS) {
		rocm->link[from][to] = (uint8_t)rocm_link_of(word);
	} else if (reader->table == TABLE_HOPS) {
		if (strcmp(word, "N/A") != 0 && !text_number(word, 0, 255, &hops))
			return lines_fail(&reader->lines, "\"%.40s\" hops from GPU%d to GPU%d; "
			                  "expected a number", word, rocm->gpu[from], rocm->gpu[to]);
		rocm->hops[from][to] = (uint8_t)(strcmp(word, "N/A") == 0 ? 0 : hops);
	}
	return SPAN_OK;
}

static span_status parse_row(struct rocm_reader *reader, int32_t gpu)
{
	int32_t from = reader->column[reader->row];
	span_status status = SPAN_OK;

	if (reader->row == reader->columns || from != rocm_find(reader->rocm, gpu))
		return lines_fail(&reader->lines, "a row of GPU%d; %s", gpu,
		                  reader->row == reader->columns ? "the table has its rows already"
		                                                 : "rows are as the columns");
	if (reader->lines.n_words != reader->columns + 1)
		return lines_fail(&reader->lines, "%d values in the row of GPU%d; there are %d "
		                  "columns", reader->lines.n_words - 1, gpu, reader->columns);
	for (int32_t i = 0; !status && i < reader->columns; i++)
		status = store(reader, from, reader->column[i], reader->lines.words[i + 1]);
	reader->row++;
	return status;
}

/* A header has "GPU0 GPU1 ..."; rows have something else behind their first word, except that
 * one GPU alone has a header of one word. */
static span_status parse_table_line(struct rocm_reader *reader)
{
	const struct lines *lines = &reader->lines;
	int32_t gpu, second;

	if (!parse_gpu(lines->words[0], &gpu))
		return SPAN_OK;
	if (!reader->columns)
		return parse_header(reader);
	if (lines->n_words > 1 && parse_gpu(lines->words[1], &second))
		return lines_fail(lines, "a second header in the table of line %d",
		                  reader->table_line);
	return parse_row(reader, gpu);
}

/* --- NUMA nodes ------------------------------------------------------------------------ */

/* "GPU[0]  : (Topology) Numa Node: 1"; some versions write "GPU 0" or "GPU0". */
static span_status parse_numa(struct rocm_reader *reader, bool *is_numa)
{
	const struct lines *lines = &reader->lines;
	int32_t i = 0, gpu, numa, place;
	char digits[8] = "";

	while (i < lines->n_words && !lines_is(lines, i, "(Topology)"))
		i++;
	*is_numa = lines_is(lines, i + 1, "Numa") && lines_is(lines, i + 2, "Node:");
	if (!*is_numa)
		return SPAN_OK;
	for (const char *c = lines->words[0] + (strncmp(lines->words[0], "GPU[", 4) == 0 ? 4 : 3);
	     strlen(lines->words[0]) > 3 && *c >= '0' && *c <= '9' && strlen(digits) < 6; c++)
		digits[strlen(digits)] = *c;
	if (!text_number(*digits ? digits : i > 1 ? lines->words[1] : "", 0, 9999, &gpu))
		return lines_fail(lines, "the NUMA node of \"%.40s\"; expected GPU[0] and the like",
		                  lines->words[0]);
	place = rocm_find(reader->rocm, gpu);
	if (i + 3 >= lines->n_words ||
	    !text_number(lines->words[i + 3], -1, INT32_MAX, &numa))
		return lines_fail(lines, "the NUMA node of GPU%d is \"%.40s\"; expected a number", gpu,
		                  i + 3 < lines->n_words ? lines->words[i + 3] : "");
	if (place >= 0)
		reader->rocm->numa[place] = numa;
	return SPAN_OK;
}

static span_status read_lines(struct rocm_reader *reader)
{
	bool more = true;
	span_status status = lines_next_words(&reader->lines, &more);

	while (!status && more) {
		enum table table;
		bool is_numa = false;

		if (is_title(&reader->lines, &table)) {
			status = check_table_is_whole(reader);
			reader->table = table;
			reader->table_line = reader->lines.number;
			reader->columns = reader->row = 0;
			reader->has_links |= table == TABLE_LINKS;
		} else {
			status = parse_numa(reader, &is_numa);
			if (!status && !is_numa && reader->table != TABLE_NONE)
				status = parse_table_line(reader);
		}
		if (!status)
			status = lines_next_words(&reader->lines, &more);
	}
	if (!status)
		status = check_table_is_whole(reader);
	if (!status && !reader->has_links)
		return lines_fail(&reader->lines, "no table \"Link Type between two GPUs\"; copy the "
		                  "whole output of \"rocm-smi --showtopo\"");
	return status;
}

static span_status parse_text(const struct source *source, struct rocm_topology *rocm)
{
	struct rocm_reader *reader = calloc(1, sizeof(*reader));
	span_status status;

	if (!reader)
		return span_fail(SPAN_ENOMEM, "%.128s: no memory for its tables", source->name);
	reader->rocm = rocm;
	lines_begin(&reader->lines, source);
	status = read_lines(reader);
	free(reader);
	return status;
}

/* --- the graph ------------------------------------------------------------------------- */

/* One NUMA node for each number that GPUs name, in ascending order; -1 is one too. */
static span_status add_cpus(struct sketch *sketch, const struct rocm_topology *rocm, int32_t *cpu)
{
	span_status status = SPAN_OK;

	for (int32_t i = 0; i < rocm->n; i++)
		cpu[i] = -1;
	for (;;) {
		int32_t next = -1, added;

		for (int32_t i = 0; i < rocm->n; i++)
			if (cpu[i] < 0 && (next < 0 || rocm->numa[i] < rocm->numa[next]))
				next = i;
		if (next < 0)
			return SPAN_OK;
		status = sketch_cpu(sketch, rocm->numa[next], "", &added);
		if (status)
			return status;
		for (int32_t i = 0; i < rocm->n; i++)
			if (rocm->numa[i] == rocm->numa[next])
				cpu[i] = added;
	}
}

/* A pair that is XGMI over several hops has no link of its own. */
static span_status add_xgmi(struct sketch *sketch, const struct rocm_topology *rocm,
                            const int32_t *gpu)
{
	const struct sketch_link link = { xgmi_bandwidth(""), SPAN_CONFIDENCE_ASSUMED,
		                          "one xGMI link, generation assumed" };
	span_status status = SPAN_OK;

	for (int32_t i = 0; i < rocm->n; i++)
		for (int32_t j = 0; !status && j < i; j++)
			if ((rocm->link[i][j] == ROCM_XGMI || rocm->link[j][i] == ROCM_XGMI) &&
			    rocm->hops[i][j] <= 1 && rocm->hops[j][i] <= 1)
				status = sketch_join(sketch, SPAN_LINK_XGMI, 1, gpu[j], gpu[i], &link);
	return status;
}

static span_status note_unknowns(span_topo *topo)
{
	return topo_note(topo, topo->source_name, false, "the text of rocm-smi has no speeds and no "
	                 "numbers of links: an XGMI pair counts as one link of %g GB/s, PCIe links as "
	                 "Gen3 x16; it has no NICs and no PCIe switches; RCCL's or hwloc's XML has "
	                 "more", xgmi_bandwidth("") / 1e9);
}

static span_status draw(const struct rocm_topology *rocm, span_topo *topo)
{
	int32_t cpu[ROCM_MAX_GPUS], gpu[ROCM_MAX_GPUS];
	struct sketch sketch;
	span_status status = sketch_begin(&sketch, topo);

	if (!status)
		status = add_cpus(&sketch, rocm, cpu);
	for (int32_t i = 0; !status && i < rocm->n; i++) {
		status = sketch_device(&sketch, SPAN_NODE_GPU, cpu[i], &gpu[i]);
		if (!status)
			sketch.machine->nodes[gpu[i]].dev = rocm->gpu[i];
	}
	if (!status)
		status = add_xgmi(&sketch, rocm, gpu);
	if (!status)
		status = note_unknowns(topo);
	return status ? status : topo_add_place(topo, 0, -1, NULL);
}

span_status read_rocm_smi(const struct source *source, span_topo **topo)
{
	struct rocm_topology *rocm = calloc(1, sizeof(*rocm));
	bool json = strchr("{[", source->text[strspn(source->text, "\xef\xbb\xbf \t\r\n")]);
	span_status status;

	if (!rocm)
		return span_fail(SPAN_ENOMEM, "%.128s: no memory for its tables", source->name);
	status = json ? rocm_parse_json(source, rocm) : parse_text(source, rocm);
	if (!status)
		status = topo_create("rocm-smi", source->name, source->as_nccl, topo);
	if (!status)
		status = draw(rocm, *topo);
	free(rocm);
	return status;
}
