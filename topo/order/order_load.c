/* Reading an order from text; the format is in README.md of this folder. A file is never
 * trusted: lines, words and numbers are bounded, and memory grows only as the file does. */
#include "topo/order/order.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"

/* The longest line and the most words of one: no line of the format comes near. */
#define LINE_BYTES 128
#define LINE_WORDS 6

/* --- lines and words ------------------------------------------------------------------ */

/* An array that grows as its file does. */
struct growing {
	void *data;
	size_t n;
	size_t capacity;
};

struct reader {
	FILE *file;
	const char *name;
	int line;
	char text[LINE_BYTES];
	char *words[LINE_WORDS];
	int n_words;

	span_order_options options;
	int32_t *group; /* [P] */
	uint8_t *need;  /* [P][P] */
	span_order *order;
	int32_t rank; /* whose steps are being read; -1 before the first */
	struct growing steps;
	struct growing receives;
	struct growing sends;
};

static span_status parse_error(const struct reader *reader, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static span_status parse_error(const struct reader *reader, const char *format, ...)
{
	char message[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	return span_fail(SPAN_EPARSE, "%.128s:%d: %s", reader->name, reader->line, message);
}

/* Read one line into reader->text. *more becomes 0 at the end of the file. */
static span_status read_line(struct reader *reader, int *more)
{
	size_t n = 0;
	int c;

	reader->line++;
	while ((c = getc(reader->file)) != EOF && c != '\n') {
		if (!isprint(c) && c != '\t' && c != '\r')
			return parse_error(reader, "a byte of value %d; an order is plain text", c);
		if (n + 1 == sizeof(reader->text))
			return parse_error(reader, "longer than %d bytes", LINE_BYTES - 1);
		reader->text[n++] = (char)c;
	}
	reader->text[n] = '\0';
	if (ferror(reader->file))
		return span_fail(SPAN_EIO, "%.128s:%d: reading failed: %s", reader->name,
		                 reader->line, strerror(errno));
	*more = n > 0 || c != EOF;
	return SPAN_OK;
}

static span_status split_words(struct reader *reader)
{
	char *c = reader->text;

	c[strcspn(c, "#")] = '\0';
	reader->n_words = 0;
	for (;;) {
		c += strspn(c, " \t\r");
		if (!*c)
			return SPAN_OK;
		if (reader->n_words == LINE_WORDS)
			return parse_error(reader, "more than %d words", LINE_WORDS);
		reader->words[reader->n_words++] = c;
		c += strcspn(c, " \t\r");
		if (*c)
			*c++ = '\0';
	}
}

/* The next line that has words; none of it is n_words = 0, the end of the file. */
static span_status next_line(struct reader *reader)
{
	int more = 1;

	reader->n_words = 0;
	while (more && !reader->n_words) {
		span_status status = read_line(reader, &more);

		if (!status)
			status = split_words(reader);
		if (status)
			return status;
	}
	return SPAN_OK;
}

static int is_word(const struct reader *reader, int i, const char *word)
{
	return i < reader->n_words && !strcmp(reader->words[i], word);
}

/* Word i as a whole number from low to high; `what` is for the message. */
static span_status parse_number(const struct reader *reader, int i, const char *what,
                                int32_t low, int32_t high, int32_t *number)
{
	char *end;
	long value;

	if (i >= reader->n_words)
		return parse_error(reader, "%s is missing", what);
	errno = 0;
	value = strtol(reader->words[i], &end, 10);
	if (*end || errno || value < low || value > high)
		return parse_error(reader, "%s is \"%s\"; it is a number from %d to %d", what,
		                   reader->words[i], low, high);
	*number = (int32_t)value;
	return SPAN_OK;
}

static span_status expect_words(const struct reader *reader, int n, const char *form)
{
	if (reader->n_words != n)
		return parse_error(reader, "%d words; expected \"%s\"", reader->n_words, form);
	return SPAN_OK;
}

/* --- the head ------------------------------------------------------------------------- */

/* A line of two words, the first of which is given. */
static span_status expect_key(struct reader *reader, const char *key)
{
	span_status status = next_line(reader);

	if (status)
		return status;
	if (!is_word(reader, 0, key) || reader->n_words != 2)
		return parse_error(reader, "expected \"%s\" and its value, found \"%s\"", key,
		                   reader->n_words ? reader->words[0] : "the end of the file");
	return SPAN_OK;
}

static span_status read_version(struct reader *reader)
{
	int32_t version;
	span_status status = expect_key(reader, "span-order");

	if (status)
		return status;
	return parse_number(reader, 1, "the version of the format", SPAN_ORDER_FORMAT,
	                    SPAN_ORDER_FORMAT, &version);
}

static span_status read_kind(struct reader *reader)
{
	span_status status = expect_key(reader, "kind");

	if (status)
		return status;
	for (int kind = SPAN_ORDER_RING; kind <= SPAN_ORDER_ALL_GATHER; kind++) {
		if (is_word(reader, 1, span_order_kind_name((span_order_kind)kind))) {
			reader->options.kind = (span_order_kind)kind;
			return SPAN_OK;
		}
	}
	return parse_error(reader, "kind is \"%s\"; it is ring, node-first, pairwise or all-gather",
	                   reader->words[1]);
}

static span_status read_way_back(struct reader *reader)
{
	span_status status = expect_key(reader, "way-back");

	if (status)
		return status;
	for (int way = SPAN_RETURN_DIRECT; way <= SPAN_RETURN_GROUP_FIRST; way++) {
		if (is_word(reader, 1, span_order_way_back_name((span_return_kind)way))) {
			reader->options.way_back = (span_return_kind)way;
			return SPAN_OK;
		}
	}
	return parse_error(reader, "way-back is \"%s\"; it is direct or group-first",
	                   reader->words[1]);
}

static span_status read_ranks(struct reader *reader)
{
	span_status status = expect_key(reader, "ranks");
	size_t ranks;

	if (!status)
		status = parse_number(reader, 1, "ranks", 1, SPAN_ORDER_MAX_RANKS,
		                      &reader->options.ranks);
	if (status)
		return status;
	ranks = (size_t)reader->options.ranks;
	reader->group = calloc(ranks, sizeof(*reader->group));
	reader->need = calloc(ranks, ranks);
	if (!reader->group || !reader->need)
		return span_fail(SPAN_ENOMEM, "span_order_load: no memory for %d ranks",
		                 reader->options.ranks);
	return SPAN_OK;
}

static span_status parse_rank(const struct reader *reader, int i, const char *what, int32_t *rank)
{
	return parse_number(reader, i, what, 0, reader->options.ranks - 1, rank);
}

static span_status parse_group(struct reader *reader)
{
	int32_t rank, group;
	span_status status = expect_words(reader, 3, "group RANK NUMBER");

	if (!status)
		status = parse_rank(reader, 1, "the rank", &rank);
	if (!status)
		status = parse_number(reader, 2, "the group", INT32_MIN, INT32_MAX, &group);
	if (!status)
		reader->group[rank] = group;
	return status;
}

static span_status parse_need(struct reader *reader)
{
	int32_t rank, first, last;
	span_status status = expect_words(reader, 4, "need RANK FIRST LAST");

	if (!status)
		status = parse_rank(reader, 1, "the rank", &rank);
	if (!status)
		status = parse_rank(reader, 2, "the first block", &first);
	if (!status)
		status = parse_number(reader, 3, "the last block", first,
		                      reader->options.ranks - 1, &last);
	if (!status)
		memset(reader->need + (size_t)rank * reader->options.ranks + first, 1,
		       (size_t)(last - first) + 1);
	return status;
}

/* The lines before the first rank: one group and no needs, unless they say so. */
static span_status read_head(struct reader *reader)
{
	span_status status = read_version(reader);

	if (!status)
		status = read_kind(reader);
	if (!status)
		status = read_way_back(reader);
	if (!status)
		status = read_ranks(reader);
	while (!status) {
		status = next_line(reader);
		if (status)
			break;
		if (is_word(reader, 0, "group"))
			status = parse_group(reader);
		else if (is_word(reader, 0, "need"))
			status = parse_need(reader);
		else
			break;
	}
	return status;
}

/* --- the steps ------------------------------------------------------------------------ */

/* Double the room of an array of items of so many bytes. */
static span_status grow(struct growing *array, size_t bytes)
{
	size_t capacity = array->capacity ? 2 * array->capacity : 64;
	void *data = realloc(array->data, capacity * bytes);

	if (!data)
		return span_fail(SPAN_ENOMEM, "span_order_load: no memory for %zu steps or messages",
		                 capacity);
	array->data = data;
	array->capacity = capacity;
	return SPAN_OK;
}

static span_status push(struct growing *array, const void *item, size_t bytes)
{
	span_status status = array->n == array->capacity ? grow(array, bytes) : SPAN_OK;

	if (!status)
		memcpy((char *)array->data + array->n++ * bytes, item, bytes);
	return status;
}

static span_order_step *last_step(const struct reader *reader)
{
	return (span_order_step *)reader->steps.data + reader->steps.n - 1;
}

static span_status parse_rank_line(struct reader *reader)
{
	int32_t rank;
	span_status status = expect_words(reader, 2, "rank RANK");

	if (!status)
		status = parse_rank(reader, 1, "the rank", &rank);
	if (status)
		return status;
	if (rank != reader->rank + 1)
		return parse_error(reader, "rank %d; rank %d comes next", rank,
		                   reader->rank + 1);
	reader->rank = rank;
	reader->order->step_first[rank] = reader->steps.n;
	return SPAN_OK;
}

static span_status parse_step(struct reader *reader)
{
	const span_order_step idle = { .compute = -1 };
	int32_t step, next;
	span_status status = expect_words(reader, 2, "step STEP");

	if (status)
		return status;
	/* A built order has fewer than 2 P steps a rank; twice that is the most a file may ask. */
	next = (int32_t)(reader->steps.n - reader->order->step_first[reader->rank]);
	status = parse_number(reader, 1, "the step", 0, 4 * reader->options.ranks, &step);
	if (status)
		return status;
	if (step != next)
		return parse_error(reader, "step %d; step %d comes next", step, next);
	return push(&reader->steps, &idle, sizeof(idle));
}

static span_status parse_compute(struct reader *reader)
{
	span_order_step *step = last_step(reader);
	int32_t block;
	span_status status = expect_words(reader, 2, "compute BLOCK");

	if (!status)
		status = parse_rank(reader, 1, "the block", &block);
	if (status)
		return status;
	if (step->compute >= 0)
		return parse_error(reader, "a second block to compute in one step");
	step->compute = block;
	return SPAN_OK;
}

static span_status parse_transfer(struct reader *reader, const char *preposition,
                                  const char *form, struct growing *transfers, int32_t *count)
{
	span_order_transfer transfer;
	span_status status = expect_words(reader, 4, form);

	if (!status)
		status = parse_rank(reader, 1, "the block", &transfer.block);
	if (!status)
		status = parse_rank(reader, 3, "the rank", &transfer.peer);
	if (status)
		return status;
	if (!is_word(reader, 2, preposition))
		return parse_error(reader, "\"%s\"; expected \"%s\"", reader->words[2], form);
	if (transfer.peer == reader->rank)
		return parse_error(reader, "rank %d has a message for itself", reader->rank);
	if (transfers->n == (size_t)reader->options.ranks * (size_t)reader->options.ranks)
		return parse_error(reader, "more messages than %d ranks have blocks to pass",
		                   reader->options.ranks);
	status = push(transfers, &transfer, sizeof(transfer));
	if (!status)
		++*count;
	return status;
}

static span_status parse_step_line(struct reader *reader)
{
	if (is_word(reader, 0, "rank"))
		return parse_rank_line(reader);
	if (reader->rank < 0)
		return parse_error(reader, "\"%s\"; expected \"group\", \"need\" or \"rank 0\"",
		                   reader->words[0]);
	if (is_word(reader, 0, "step"))
		return parse_step(reader);
	if (reader->steps.n == reader->order->step_first[reader->rank])
		return parse_error(reader, "\"%s\"; expected \"step 0\"", reader->words[0]);
	if (is_word(reader, 0, "compute"))
		return parse_compute(reader);
	if (is_word(reader, 0, "receive"))
		return parse_transfer(reader, "from", "receive BLOCK from RANK", &reader->receives,
		                      &last_step(reader)->n_receives);
	if (is_word(reader, 0, "send"))
		return parse_transfer(reader, "to", "send BLOCK to RANK", &reader->sends,
		                      &last_step(reader)->n_sends);
	return parse_error(reader,
	                   "\"%s\"; expected \"rank\", \"step\", \"compute\", \"receive\", "
	                   "\"send\" or \"end\"",
	                   reader->words[0]);
}

static span_status read_steps(struct reader *reader)
{
	span_status status = grow(&reader->steps, sizeof(span_order_step));

	if (!status)
		status = grow(&reader->receives, sizeof(span_order_transfer));
	if (!status)
		status = grow(&reader->sends, sizeof(span_order_transfer));
	while (!status && reader->n_words && !is_word(reader, 0, "end")) {
		status = parse_step_line(reader);
		if (!status)
			status = next_line(reader);
	}
	if (status)
		return status;
	if (!reader->n_words)
		return parse_error(reader, "the file ends before \"end\"");
	if (reader->rank + 1 != reader->options.ranks)
		return parse_error(reader, "\"end\"; rank %d comes next", reader->rank + 1);
	return SPAN_OK;
}

/* Move what was read into the order. */
static void hand_over(struct reader *reader)
{
	span_order *order = reader->order;
	const span_order_transfer *receives, *sends;

	order->step_first[order->ranks] = reader->steps.n;
	order->steps = reader->steps.data;
	order->receives = reader->receives.data;
	order->sends = reader->sends.data;
	reader->steps.data = reader->receives.data = reader->sends.data = NULL;
	receives = order->receives;
	sends = order->sends;
	for (size_t i = 0; i < reader->steps.n; i++) {
		order->steps[i].receives = receives;
		order->steps[i].sends = sends;
		receives += order->steps[i].n_receives;
		sends += order->steps[i].n_sends;
	}
}

static span_status load(struct reader *reader)
{
	span_status status = read_head(reader);

	if (status)
		return status;
	reader->options.size = sizeof(reader->options);
	reader->options.group = reader->group;
	reader->options.need = reader->need;
	status = span_order_begin(&reader->options, &reader->order);
	if (!status)
		status = read_steps(reader);
	if (status)
		return status;
	hand_over(reader);
	if (span_order_count_buffers(reader->order))
		return span_fail(SPAN_ENOMEM, "span_order_load: no memory to count buffers");
	return span_order_check(reader->order);
}

span_status span_order_load(FILE *file, const char *name, span_order **order)
{
	struct reader reader = { .file = file, .name = name, .rank = -1 };
	span_status status;

	if (!file || !name || !order)
		return span_fail(SPAN_EINVAL, "span_order_load: %s is NULL",
		                 !file ? "file" : !name ? "name"
		                                        : "order");
	status = load(&reader);
	free(reader.group);
	free(reader.need);
	free(reader.steps.data);
	free(reader.receives.data);
	free(reader.sends.data);
	if (status)
		span_order_free(reader.order);
	else
		*order = reader.order;
	return status;
}
