/* Reading the text of `nvidia-smi topo -m`, of any age of the driver, as terminals and issues
 * have it: aligned by tabs or blanks, wrapped, with prompts and legends around it. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"
#include "topo/read/lines.h"
#include "topo/read/smi.h"

/* As they stand in the text; SOC is what old drivers called SYS. */
static const struct {
	const char *word;
	enum smi_class smi_class;
} classes[] = { { "X", SMI_SELF },   { "NV#", SMI_NVLINK }, { "PIX", SMI_PIX },
		{ "PXB", SMI_PXB },  { "PHB", SMI_PHB },    { "NODE", SMI_NODE },
		{ "SYS", SMI_SYS },  { "SOC", SMI_SYS } };

#define N_CLASSES (int)(sizeof(classes) / sizeof(classes[0]))

/* The affinity columns, in the order all drivers have them. */
enum column { COLUMN_CPU, COLUMN_NUMA, COLUMN_GPU_NUMA, N_COLUMNS };

struct smi_reader {
	struct lines lines;
	struct smi_matrix *matrix;
	int32_t rows;                  /* read so far */
	bool has_column[N_COLUMNS];
};

const char *smi_class_name(enum smi_class smi_class)
{
	int i = 0;

	while (classes[i].smi_class != smi_class)
		i++;
	return classes[i].word;
}

/* Whether a word is a cell; *nvlinks is its number of NVLinks. */
static bool parse_cell(const char *word, enum smi_class *smi_class, int32_t *nvlinks)
{
	*nvlinks = 0;
	if (strncmp(word, "NV", 2) == 0 && text_number(word + 2, 1, 255, nvlinks)) {
		*smi_class = SMI_NVLINK;
		return true;
	}
	for (int i = 0; i < N_CLASSES; i++) {
		if (strcmp(word, classes[i].word) == 0) {
			*smi_class = classes[i].smi_class;
			return *smi_class != SMI_NVLINK;
		}
	}
	return false;
}

static bool is_cell(const struct lines *lines, int32_t i)
{
	enum smi_class smi_class;
	int32_t nvlinks;

	return i < lines->n_words && parse_cell(lines->words[i], &smi_class, &nvlinks);
}

static bool is_gpu(const char *word, int32_t *number)
{
	return strncmp(word, "GPU", 3) == 0 && text_number(word + 3, 0, 9999, number);
}

static int32_t find_device(const struct smi_matrix *matrix, const char *name)
{
	for (int32_t i = 0; i < matrix->n; i++)
		if (strcmp(matrix->device[i].name, name) == 0)
			return i;
	return -1;
}

static span_status keep_text(char **field, const char *text)
{
	free(*field);
	*field = strdup(text);
	return *field ? SPAN_OK : span_fail(SPAN_ENOMEM, "nvidia-smi: no memory for a name");
}

/* --- the header ------------------------------------------------------------------------ */

/* The header begins with GPU0; a row of GPU0 has a cell behind it. */
static bool begins_header(const struct lines *lines)
{
	int32_t number;

	return lines->n_words && is_gpu(lines->words[0], &number) && !is_cell(lines, 1);
}

static span_status add_device(struct smi_reader *reader, const char *name)
{
	struct smi_matrix *matrix = reader->matrix;
	struct smi_device *device = &matrix->device[matrix->n];
	int32_t place = 0;

	if (matrix->n == SMI_MAX_DEVICES)
		return lines_fail(&reader->lines, "more than %d columns of devices",
		                  SMI_MAX_DEVICES);
	if (!isalpha((unsigned char)*name) || strlen(name) > 64)
		return lines_fail(&reader->lines, "\"%.40s\" as the name of a column; expected "
		                  "GPU1, NIC0, mlx5_0 and the like, then \"CPU Affinity\"", name);
	if (find_device(matrix, name) >= 0)
		return lines_fail(&reader->lines, "a second column \"%.40s\"; give each machine a "
		                  "file of its own", name);
	device->gpu = is_gpu(name, &device->dev);
	for (int32_t i = 0; i < matrix->n; i++)
		place += !matrix->device[i].gpu;
	if (!device->gpu)
		device->dev = place;
	matrix->n++;
	return keep_text(&device->name, name);
}

/* The affinity columns are named by two words each, and GPU NUMA ID by three. */
static span_status parse_column(struct smi_reader *reader, int32_t *i)
{
	const struct lines *lines = &reader->lines;

	if (lines_is(lines, *i, "CPU") && lines_is(lines, *i + 1, "Affinity")) {
		reader->has_column[COLUMN_CPU] = true;
		*i += 2;
	} else if (lines_is(lines, *i, "NUMA") && lines_is(lines, *i + 1, "Affinity")) {
		reader->has_column[COLUMN_NUMA] = true;
		*i += 2;
	} else if (lines_is(lines, *i, "GPU") && lines_is(lines, *i + 1, "NUMA") &&
	           lines_is(lines, *i + 2, "ID")) {
		reader->has_column[COLUMN_GPU_NUMA] = true;
		*i += 3;
	} else if (lines_is(lines, *i, "Affinity")) { /* its "CPU" ended the line before */
		*i += 1;
	} else if (lines_is(lines, *i, "CPU") && *i + 1 == lines->n_words) {
		reader->has_column[COLUMN_CPU] = true;
		*i += 1;
	} else {
		return lines_fail(lines, "\"%.40s\" behind the columns of devices; expected \"CPU "
		                  "Affinity\", \"NUMA Affinity\" or \"GPU NUMA ID\"", lines->words[*i]);
	}
	return SPAN_OK;
}

static bool column_begins(const struct smi_reader *reader, int32_t i)
{
	return lines_is(&reader->lines, i, "CPU") || lines_is(&reader->lines, i, "NUMA") ||
	       lines_is(&reader->lines, i, "GPU") || lines_is(&reader->lines, i, "Affinity");
}

static span_status parse_header_line(struct smi_reader *reader, bool *behind)
{
	span_status status = SPAN_OK;

	for (int32_t i = 0; !status && i < reader->lines.n_words;) {
		*behind |= column_begins(reader, i);
		if (*behind)
			status = parse_column(reader, &i);
		else
			status = add_device(reader, reader->lines.words[i++]);
	}
	return status;
}

static bool begins_row(const struct smi_reader *reader)
{
	return reader->lines.n_words &&
	       find_device(reader->matrix, reader->lines.words[0]) >= 0;
}

/* Bytes of "[4m" and the like at the start of a word. */
static size_t style_bytes(const char *word)
{
	size_t n = *word == '[' ? 1 + strspn(word + 1, "0123456789;") : 0;

	return n && word[n] == 'm' ? n + 1 : 0;
}

/* The header is underlined. Issue trackers drop the escape byte and leave the rest of the sequence:
 * "[4mGPU0", "ID[0m", or a word of its own. */
static void drop_styles(struct lines *lines)
{
	int32_t kept = 0;

	for (int32_t i = 0; i < lines->n_words; i++) {
		char *word = lines->words[i] + style_bytes(lines->words[i]), *end = strrchr(word, '[');

		if (end && style_bytes(end) == strlen(end))
			*end = '\0';
		if (*word)
			lines->words[kept++] = word;
	}
	lines->n_words = kept;
}

static span_status next_header_line(struct lines *lines, bool *more)
{
	span_status status = lines_next(lines, more);

	if (!status && *more)
		drop_styles(lines);
	return status;
}

/* Find the header and read it, with the lines it was wrapped into; the line of the first row is
 * the current one then. */
static span_status read_header(struct smi_reader *reader)
{
	bool more = true, behind = false;
	span_status status = next_header_line(&reader->lines, &more);

	while (!status && more && !begins_header(&reader->lines)) {
		int32_t number;

		if (reader->lines.n_words > 1 && is_gpu(reader->lines.words[0], &number))
			return lines_fail(&reader->lines, "a row of %.40s before the line with the "
			                  "names of the columns; copy the whole output of \"nvidia-smi "
			                  "topo -m\"", reader->lines.words[0]);
		status = next_header_line(&reader->lines, &more);
	}
	while (!status && more && !begins_row(reader)) {
		status = parse_header_line(reader, &behind);
		if (!status)
			status = next_header_line(&reader->lines, &more);
	}
	if (!status && !more)
		return lines_fail(&reader->lines, "the text ends before the row of GPU0; copy the "
		                  "whole output of \"nvidia-smi topo -m\"");
	return status;
}

/* --- rows ------------------------------------------------------------------------------ */

static span_status store_cell(struct smi_reader *reader, int32_t row, int32_t column,
                              const char *word)
{
	struct smi_matrix *matrix = reader->matrix;
	const char *a = matrix->device[row].name, *b = matrix->device[column].name;
	enum smi_class smi_class;
	int32_t nvlinks;

	if (!parse_cell(word, &smi_class, &nvlinks))
		return lines_fail(&reader->lines, "%.40s to %.40s is \"%.40s\"; expected X, NV and a "
		                  "number, PIX, PXB, PHB, NODE, SYS or SOC", a, b, word);
	if ((smi_class == SMI_SELF) != (row == column))
		return lines_fail(&reader->lines, "%.40s to %.40s is \"%.40s\"; X is for a device and "
		                  "itself: a column is missing or one too many", a, b, word);
	if (matrix->device[column].line && row != column &&
	    (matrix->cell[column][row] != smi_class || matrix->nvlinks[column][row] != nvlinks))
		return lines_fail(&reader->lines, "%.40s to %.40s is \"%.40s\", but line %d has "
		                  "another word for the way back; copy the output again", a, b, word,
		                  matrix->device[column].line);
	matrix->cell[row][column] = (uint8_t)smi_class;
	matrix->nvlinks[row][column] = (uint8_t)nvlinks;
	return SPAN_OK;
}

/* Words of the affinity columns from word i on: lists of numbers, or N/A. A list that goes on
 * behind a comma is one word. */
static span_status parse_affinity(struct smi_reader *reader, int32_t row, int32_t i)
{
	struct smi_device *device = &reader->matrix->device[row];
	char **fields[N_COLUMNS] = { &device->cpus, &device->numa, NULL };
	span_status status = SPAN_OK;

	for (int column = 0; !status && column < N_COLUMNS && i < reader->lines.n_words; column++) {
		const char *word = reader->lines.words[i];

		if (!reader->has_column[column])
			continue;
		i++;
		if (strspn(word, "0123456789,-") != strlen(word) && strcmp(word, "N/A") != 0)
			return lines_fail(&reader->lines, "the affinity of %.40s is \"%.40s\"; "
			                  "expected numbers such as 0-55,112-167, or N/A",
			                  device->name, word);
		while (word[strlen(word) - 1] == ',' && i < reader->lines.n_words)
			i++;
		if (fields[column] && strcmp(word, "N/A") != 0)
			status = keep_text(fields[column], word);
	}
	if (!status && i < reader->lines.n_words)
		return lines_fail(&reader->lines, "\"%.40s\" behind the row of %.40s; there is no "
		                  "column for it", reader->lines.words[i], device->name);
	return status;
}

/* Read the row that begins on the current line, and go to the line behind it. */
static span_status read_row(struct smi_reader *reader, bool *more)
{
	struct smi_matrix *matrix = reader->matrix;
	struct lines *lines = &reader->lines;
	int32_t row = find_device(matrix, lines->words[0]), column = 0, i = 1;
	span_status status = SPAN_OK;

	if (matrix->device[row].line)
		return lines_fail(lines, "a second row of %.40s (the first is on line %d); give each "
		                  "machine a file of its own", lines->words[0],
		                  matrix->device[row].line);
	matrix->device[row].line = lines->number;
	while (!status && *more && column < matrix->n) {
		for (; !status && i < lines->n_words && column < matrix->n; i++)
			status = store_cell(reader, row, column++, lines->words[i]);
		if (!status && column < matrix->n) {
			status = lines_next_words(lines, more);
			i = 0;
		}
	}
	if (!status && column < matrix->n)
		return lines_fail(lines, "the row of %.40s ends after %d of %d devices; copy the "
		                  "whole output of \"nvidia-smi topo -m\"", matrix->device[row].name,
		                  column, matrix->n);
	if (!status && i < lines->n_words)
		status = parse_affinity(reader, row, i);
	reader->rows++;
	if (!status)
		status = lines_next_words(lines, more);
	/* A wrapped affinity begins with a digit, which no other line does. */
	if (!status && *more && isdigit((unsigned char)*lines->words[0]) &&
	    !matrix->device[row].cpus) {
		status = parse_affinity(reader, row, 0);
		if (!status)
			status = lines_next_words(lines, more);
	}
	return status;
}

static span_status read_rows(struct smi_reader *reader, bool *more)
{
	const struct smi_matrix *matrix = reader->matrix;
	span_status status = SPAN_OK;

	while (!status && *more && begins_row(reader))
		status = read_row(reader, more);
	for (int32_t i = 0; !status && i < matrix->n; i++)
		if (!matrix->device[i].line)
			return lines_fail(&reader->lines, "no row of %.40s, after %d of %d rows; copy "
			                  "the whole output of \"nvidia-smi topo -m\"",
			                  matrix->device[i].name, reader->rows, matrix->n);
	return status;
}

/* --- what follows ---------------------------------------------------------------------- */

/* "NIC0: mlx5_0" of the legend; all else is passed over, but no second matrix. */
static span_status read_legend(struct smi_reader *reader, bool more)
{
	struct lines *lines = &reader->lines;
	span_status status = SPAN_OK;

	for (; !status && more; status = lines_next_words(lines, &more)) {
		char *colon = lines->n_words ? strchr(lines->words[0], ':') : NULL;
		int32_t device;

		if (begins_header(lines))
			return lines_fail(lines, "a second matrix; give each machine a file of its own "
			                  "and list them in a cluster description: hosts 16 like FILE");
		if (is_cell(lines, 1))
			return lines_fail(lines, "a row of %.40s, which has no column; copy the whole "
			                  "output of \"nvidia-smi topo -m\"", lines->words[0]);
		if (lines->n_words != 2 || !colon || colon[1])
			continue;
		*colon = '\0';
		device = find_device(reader->matrix, lines->words[0]);
		if (device >= 0 && !reader->matrix->device[device].gpu &&
		    strlen(lines->words[1]) <= 64)
			status = keep_text(&reader->matrix->device[device].legend, lines->words[1]);
		if (status)
			break;
	}
	return status;
}

static span_status read_matrix(struct smi_reader *reader)
{
	bool more = true;
	span_status status = read_header(reader);

	if (!status)
		status = read_rows(reader, &more);
	return status ? status : read_legend(reader, more);
}

static void free_matrix(struct smi_matrix *matrix)
{
	for (int32_t i = 0; i < matrix->n; i++) {
		free(matrix->device[i].name);
		free(matrix->device[i].legend);
		free(matrix->device[i].cpus);
		free(matrix->device[i].numa);
	}
	free(matrix);
}

span_status read_nvidia_smi(const struct source *source, span_topo **topo)
{
	struct smi_reader *reader = calloc(1, sizeof(*reader));
	struct smi_matrix *matrix = calloc(1, sizeof(*matrix));
	span_status status = SPAN_OK;

	if (!reader || !matrix)
		status = span_fail(SPAN_ENOMEM, "%.128s: no memory for its matrix", source->name);
	if (!status) {
		reader->matrix = matrix;
		lines_begin(&reader->lines, source);
		status = read_matrix(reader);
	}
	if (!status)
		status = topo_create("nvidia-smi", source->name, source->as_nccl, topo);
	if (!status)
		status = smi_graph(matrix, source, *topo);
	free(reader);
	if (matrix)
		free_matrix(matrix);
	return status;
}
