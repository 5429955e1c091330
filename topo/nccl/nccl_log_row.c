/* One row of nccl-tests' table. */
#include "topo/nccl/nccl_log.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "topo/nccl/profile.h"

#define MAX_WORDS  32
#define COLUMNS    4 /* of each half: time, algbw, busbw, and errors of one kind or another */
#define WITH_TIMES 3 /* of these are needed; the fourth may be torn off */
#define ITERATIONS 4 /* columns more of each half with -I: shortest, longest, p99, spread */

static const char *const types[] = { "int8", "uint8", "int32", "uint32", "int64", "uint64",
	                             "half", "float", "double", "bfloat16", "f8e4m3", "f8e5m2",
	                             "fp8_e4m3", "fp8_e5m2", "int", "char" };
static const char *const redops[] = { "sum", "prod", "min", "max", "avg", "mulsum", "all", "none" };

struct words {
	char *word[MAX_WORDS];
	int n;
};

static int is_among(const char *word, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(word, list[i]))
			return 1;
	}
	return 0;
}

static void split(char *line, struct words *words)
{
	words->n = 0;
	for (;;) {
		line += strspn(line, " \t\r\n");
		if (!*line || words->n == MAX_WORDS)
			return;
		words->word[words->n++] = line;
		line += strcspn(line, " \t\r\n");
		if (*line)
			*line++ = '\0';
	}
}

static int read_whole(const char *word, uint64_t *number)
{
	*number = 0;
	if (!*word || strlen(word) > 18)
		return 0;
	for (; *word; word++) {
		if (*word < '0' || *word > '9')
			return 0;
		*number = 10 * *number + (uint64_t)(*word - '0');
	}
	return 1;
}

static int read_number(const char *word, double *number)
{
	const char *end;

	*number = profile_read_double(word, &end);
	return end != word && !*end && isfinite(*number);
}

static int is_missing(const char *word)
{
	return !strcmp(word, "N/A") || !strcmp(word, "N/A.");
}

/* How many words from i on are numbers or N/A. */
static int count_numbers(const struct words *words, int i)
{
	double number;
	int n = 0;

	while (i + n < words->n &&
	       (read_number(words->word[i + n], &number) || is_missing(words->word[i + n])))
		n++;
	return n;
}

/* Whether the first of n numbers is a root. Rows without a heading tell by how many there are:
 * halves have four columns. */
static int has_root(int root, int n)
{
	return root >= 0 ? root : n % COLUMNS == 1;
}

/* The column behind the bandwidths; 0 where nothing was checked or it is torn off. */
static double errors_at(const struct words *words, int i)
{
	double errors;

	return i < words->n && read_number(words->word[i], &errors) && errors > 0 ? errors : 0;
}

/* Times of one or two halves from word i on, where n numbers stand. Eight numbers are two halves
 * without columns for iterations, or one half with them, which only a heading can tell. */
static void read_times(const struct words *words, int i, int n, int iterations, struct log_row *row)
{
	int wide = iterations > 0 || n >= 2 * (COLUMNS + ITERATIONS);

	for (int half = 0; half < 2; half++, i += wide ? COLUMNS + ITERATIONS : COLUMNS) {
		double us, algbw, busbw;

		if (i + WITH_TIMES > words->n || !read_number(words->word[i], &us) ||
		    !read_number(words->word[i + 1], &algbw) ||
		    !read_number(words->word[i + 2], &busbw) || us <= 0)
			return;
		row->wrong += errors_at(words, i + WITH_TIMES);
		row->us[half] = us;
		row->n_times = half + 1;
		if (half)
			return;
		row->algbw = algbw;
		row->busbw = busbw;
	}
}

/* Where size, count and type stand: behind any prefix. -1 if nowhere. */
static int find_head(const struct words *words)
{
	uint64_t number;

	for (int i = 0; i + 2 < words->n; i++) {
		if (read_whole(words->word[i], &number) && read_whole(words->word[i + 1], &number) &&
		    is_among(words->word[i + 2], types, sizeof(types) / sizeof(*types)))
			return i;
	}
	return -1;
}

/* Nothing but numbers, at least a time and two bandwidths, the first with decimals: the rest of
 * a row that was torn, from word i on. A last word may run into what tore it. */
static int is_rest(const struct words *words, int i)
{
	int n = count_numbers(words, i);

	return n >= WITH_TIMES && (i + n == words->n || n <= 2 * COLUMNS) &&
	       strchr(words->word[i + 1], '.');
}

/* --- what stands before a row ------------------------------------------------------------- */

static void shape_of(const struct words *words, struct log_prefix *prefix)
{
	size_t n = 0;

	for (int i = 0; i < prefix->words; i++) {
		for (const char *c = words->word[i]; *c && n + 2 < sizeof(prefix->shape); c++) {
			if (!isdigit((unsigned char)*c))
				prefix->shape[n++] = *c;
			else if (!n || prefix->shape[n - 1] != '#')
				prefix->shape[n++] = '#';
		}
		prefix->shape[n++] = ' ';
		n = n < sizeof(prefix->shape) - 1 ? n : sizeof(prefix->shape) - 2;
	}
	prefix->shape[n] = '\0';
}

/* Where the rest of a torn row begins; -1 if this is none. */
static int find_rest(const struct words *words, const struct log_prefix *prefix)
{
	struct log_prefix here = { .words = prefix->words };

	if (prefix->words > 0 && prefix->words < words->n) {
		shape_of(words, &here);
		if (!strcmp(here.shape, prefix->shape) && is_rest(words, prefix->words))
			return prefix->words;
	}
	return is_rest(words, 0) ? 0 : -1;
}

/* --- a line ------------------------------------------------------------------------------- */

int log_row_read(char *line, int root, int iterations, struct log_prefix *prefix,
                 struct log_row *row)
{
	struct words words;
	char *stream = strstr(line, "<stdout>:");
	int i, n;

	memset(row, 0, sizeof(*row));
	split(stream ? stream + strlen("<stdout>:") : line, &words);
	i = find_head(&words);
	if (i < 0) {
		i = find_rest(&words, prefix);
		if (i < 0)
			return 0;
		read_times(&words, i, words.n - i, iterations, row);
		return row->n_times > 0;
	}
	prefix->words = i;
	shape_of(&words, prefix);
	row->has_head = 1;
	read_whole(words.word[i], &row->bytes);
	i += 3;
	if (i < words.n && is_among(words.word[i], redops, sizeof(redops) / sizeof(*redops)))
		row->has_redop = strcmp(words.word[i++], "none") != 0;
	n = count_numbers(&words, i);
	if (n > 0 && has_root(root, n)) {
		i++;
		n--;
	}
	read_times(&words, i, n, iterations, row);
	row->masked = !row->n_times && i < words.n && isalpha((unsigned char)*words.word[i]);
	return 1;
}

/* --- names -------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	int coll;
} names[] = {
	{ "reduce_scatter", SPAN_COLL_REDUCE_SCATTER },
	{ "reducescatter", SPAN_COLL_REDUCE_SCATTER },
	{ "all_reduce", SPAN_COLL_ALL_REDUCE },
	{ "allreduce", SPAN_COLL_ALL_REDUCE },
	{ "all_gather", SPAN_COLL_ALL_GATHER },
	{ "allgather", SPAN_COLL_ALL_GATHER },
	{ "broadcast", SPAN_COLL_BROADCAST },
	{ "bcast", SPAN_COLL_BROADCAST },
	{ "reduce", SPAN_COLL_REDUCE },
	{ "alltoall", -1 },
	{ "all_to_all", -1 },
	{ "sendrecv", -1 },
	{ "scatter", -1 },
	{ "gather", -1 },
	{ "hypercube", -1 },
};

int log_collective_in(const char *text)
{
	int found = -2;

	for (size_t at = 0; text[at];) {
		size_t length = 0;

		for (size_t i = 0; i < sizeof(names) / sizeof(*names) && !length; i++) {
			if (!strncasecmp(text + at, names[i].name, strlen(names[i].name))) {
				found = names[i].coll;
				length = strlen(names[i].name);
			}
		}
		at += length ? length : 1;
	}
	return found;
}
