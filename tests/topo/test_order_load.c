#include "topo/span_order.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/topo/log_capture.h"
#include "tests/topo/order_cases.h"

/* An order as text; belongs to the caller. */
static char *save(const span_order *order)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *file = open_memstream(&text, &bytes);

	cr_assert_eq(span_order_save(order, file), SPAN_OK);
	fclose(file);
	return text;
}

static span_status load(const char *text, size_t bytes, span_order **order)
{
	FILE *file = fmemopen((void *)text, bytes, "r");
	span_status status = span_order_load(file, "orders/mine", order);

	fclose(file);
	return status;
}

/* --- there and back ----------------------------------------------------------------------- */

static void assert_same_step(const span_order_step *a, const span_order_step *b)
{
	cr_assert_eq(a->compute, b->compute);
	cr_assert_eq(a->n_receives, b->n_receives);
	cr_assert_eq(a->n_sends, b->n_sends);
	cr_assert(!memcmp(a->receives, b->receives, (size_t)a->n_receives * sizeof(*a->receives)));
	cr_assert(!memcmp(a->sends, b->sends, (size_t)a->n_sends * sizeof(*a->sends)));
}

static void assert_same(const span_order *a, const span_order *b)
{
	int32_t ranks = span_order_ranks(a);

	cr_assert_eq(span_order_kind_of(a), span_order_kind_of(b));
	cr_assert_eq(span_order_way_back(a), span_order_way_back(b));
	cr_assert_eq(span_order_groups(a), span_order_groups(b));
	cr_assert_eq(ranks, span_order_ranks(b));
	for (int32_t rank = 0; rank < ranks; rank++) {
		cr_assert_eq(span_order_group(a, rank), span_order_group(b, rank));
		cr_assert_eq(span_order_buffers(a, rank), span_order_buffers(b, rank));
		cr_assert_eq(span_order_steps(a, rank), span_order_steps(b, rank));
		for (int32_t s = 0; s < span_order_steps(a, rank); s++)
			assert_same_step(span_order_step_at(a, rank, s),
			                 span_order_step_at(b, rank, s));
		for (int32_t block = 0; block < ranks; block++) {
			cr_assert_eq(span_order_needs(a, rank, block),
			             span_order_needs(b, rank, block));
			cr_assert_eq(span_order_return_hop(a, block, rank),
			             span_order_return_hop(b, block, rank));
		}
	}
}

static void there_and_back(span_order_kind kind, int32_t ranks, int group, int need)
{
	span_order *order = order_case(kind, ranks, group, need), *again;
	char *text = save(order), *text_again;

	cr_assert_eq(load(text, strlen(text), &again), SPAN_OK, "%s", log_captured());
	assert_same(order, again);
	text_again = save(again);
	cr_assert_str_eq(text, text_again);
	free(text_again);
	free(text);
	span_order_free(again);
	span_order_free(order);
}

Test(order_load, gives_back_what_was_saved, .timeout = 120)
{
	static const int32_t sizes[] = { 1, 2, 3, 5, 8, 13, 16, 21, 64 };

	log_capture();
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (int kind = SPAN_ORDER_RING; kind <= SPAN_ORDER_ALL_GATHER; kind++)
			for (int group = 0; group < GROUP_CASES; group++)
				for (int need = 0; need < NEED_CASES; need += 1 + (sizes[i] > 16))
					there_and_back((span_order_kind)kind, sizes[i], group, need);
}

Test(order_load, reads_comments_blank_lines_and_any_spacing)
{
	static const char text[] = "# by hand\n\n  span-order\t1 # the format\r\nkind pairwise\n"
				   "way-back direct\nranks 1\nneed 0 0 0\nrank 0\n\tstep 0\n"
				   "\t\tcompute 0\nend";
	span_order *order;

	log_capture();
	cr_assert_eq(load(text, sizeof(text) - 1, &order), SPAN_OK, "%s", log_captured());
	cr_assert_eq(span_order_step_at(order, 0, 0)->compute, 0);
	span_order_free(order);
}

/* --- malformed files ---------------------------------------------------------------------- */

#define HEAD "span-order 1\nkind ring\nway-back direct\nranks 2\n"

/* A file and what is said of it. */
static const struct {
	const char *text;
	const char *message;
} malformed[] = {
	{ "", "1: expected \"span-order\" and its value, found \"the end of the file\"" },
	{ "spam\n", "1: expected \"span-order\" and its value, found \"spam\"" },
	{ "span-order\n", "1: expected \"span-order\" and its value, found \"span-order\"" },
	{ "span-order 2\n", "1: the version of the format is \"2\"; it is a number from 1 to 1" },
	{ "span-order 1\nway-back direct\n", "2: expected \"kind\" and its value, found \"way-back\"" },
	{ "span-order 1\nkind auto\n",
	  "2: kind is \"auto\"; it is ring, node-first, pairwise or all-gather" },
	{ "span-order 1\nkind ring\nranks 2\n",
	  "3: expected \"way-back\" and its value, found \"ranks\"" },
	{ "span-order 1\nkind ring\nway-back auto\n",
	  "3: way-back is \"auto\"; it is direct or group-first" },
	{ "span-order 1\nkind ring\nway-back direct\nrank 0\n",
	  "4: expected \"ranks\" and its value, found \"rank\"" },
	{ "span-order 1\nkind ring\nway-back direct\nranks 0\n",
	  "4: ranks is \"0\"; it is a number from 1 to 4096" },
	{ "span-order 1\nkind ring\nway-back direct\nranks 4097\n",
	  "4: ranks is \"4097\"; it is a number from 1 to 4096" },
	{ "span-order 1\nkind ring\nway-back direct\nranks 99999999999999999999\n",
	  "4: ranks is \"99999999999999999999\"; it is a number from 1 to 4096" },
	{ "span-order 1\nkind ring\nway-back direct\nranks 2x\n",
	  "4: ranks is \"2x\"; it is a number from 1 to 4096" },
	{ HEAD "group 0\n", "5: 2 words; expected \"group RANK NUMBER\"" },
	{ HEAD "group 2 0\n", "5: the rank is \"2\"; it is a number from 0 to 1" },
	{ HEAD "group 0 2147483648\n",
	  "5: the group is \"2147483648\"; it is a number from -2147483648 to 2147483647" },
	{ HEAD "need 0 0\n", "5: 3 words; expected \"need RANK FIRST LAST\"" },
	{ HEAD "need 0 1 0\n", "5: the last block is \"0\"; it is a number from 1 to 1" },
	{ HEAD "need 0 0 2\n", "5: the last block is \"2\"; it is a number from 0 to 1" },
	{ HEAD "need 0 2 2\n", "5: the first block is \"2\"; it is a number from 0 to 1" },
	{ HEAD "steps\n", "5: \"steps\"; expected \"group\", \"need\" or \"rank 0\"" },
	{ HEAD "rank 1\n", "5: rank 1; rank 0 comes next" },
	{ HEAD "rank 0\nrank 0\n", "6: rank 0; rank 1 comes next" },
	{ HEAD "rank 0 1\n", "5: 3 words; expected \"rank RANK\"" },
	{ HEAD "rank 0\ncompute 0\n", "6: \"compute\"; expected \"step 0\"" },
	{ HEAD "rank 0\nstep 0\nrank 1\nsend 1 to 0\n", "8: \"send\"; expected \"step 0\"" },
	{ HEAD "rank 0\nstep 1\n", "6: step 1; step 0 comes next" },
	{ HEAD "rank 0\nstep 0\nstep 0\n", "7: step 0; step 1 comes next" },
	{ HEAD "rank 0\nstep 99999\n", "6: the step is \"99999\"; it is a number from 0 to 8" },
	{ HEAD "rank 0\nstep 0\nneed 0 0 0\n",
	  "7: \"need\"; expected \"rank\", \"step\", \"compute\", \"receive\", \"send\" or \"end\"" },
	{ HEAD "rank 0\nstep 0\ncompute 2\n", "7: the block is \"2\"; it is a number from 0 to 1" },
	{ HEAD "rank 0\nstep 0\ncompute -1\n", "7: the block is \"-1\"; it is a number from 0 to 1" },
	{ HEAD "rank 0\nstep 0\ncompute 0\ncompute 1\n", "8: a second block to compute in one step" },
	{ HEAD "rank 0\nstep 0\nsend 0 to 2\n", "7: the rank is \"2\"; it is a number from 0 to 1" },
	{ HEAD "rank 0\nstep 0\nsend 0 to 0\n", "7: rank 0 has a message for itself" },
	{ HEAD "rank 0\nstep 0\nsend 0 from 1\n", "7: \"from\"; expected \"send BLOCK to RANK\"" },
	{ HEAD "rank 0\nstep 0\nreceive 1 to 1\n", "7: \"to\"; expected \"receive BLOCK from RANK\"" },
	{ HEAD "rank 0\nstep 0\nreceive 1 from\n", "7: 3 words; expected \"receive BLOCK from RANK\"" },
	{ HEAD "rank 0\nstep 0\nsend 0 to 1\nsend 0 to 1\nsend 0 to 1\nsend 0 to 1\nsend 0 to 1\n",
	  "11: more messages than 2 ranks have blocks to pass" },
	{ HEAD "rank 0\nrank 1\n", "7: the file ends before \"end\"" },
	{ HEAD "rank 0\nend\n", "6: \"end\"; rank 1 comes next" },
	{ HEAD "1 2 3 4 5 6 7\n", "5: more than 6 words" },
	{ HEAD "rank \x01\n", "5: a byte of value 1; an order is plain text" },
	{ HEAD "rank \xff\n", "5: a byte of value 255; an order is plain text" },
};

Test(order_load, names_the_line_of_what_is_malformed)
{
	char expected[256];

	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
		const char *text = malformed[i].text;
		span_order *const before = (span_order *)0x1;
		span_order *order = before;
		FILE *file = *text ? fmemopen((void *)text, strlen(text), "r")
		                   : fopen("/dev/null", "r");

		log_capture();
		cr_assert_eq(span_order_load(file, "orders/mine", &order), SPAN_EPARSE, "%s: %s",
		             malformed[i].message, log_captured());
		fclose(file);
		snprintf(expected, sizeof(expected), "orders/mine:%s", malformed[i].message);
		cr_assert_str_eq(log_captured(), expected);
		cr_assert_eq(log_captured_count(), 1);
		cr_assert_eq(order, before);
	}
}

Test(order_load, refuses_a_line_that_does_not_end)
{
	char text[4096];
	span_order *order;

	memset(text, '1', sizeof(text));
	memcpy(text, HEAD, strlen(HEAD));
	log_capture();
	cr_assert_eq(load(text, sizeof(text), &order), SPAN_EPARSE);
	cr_assert_str_eq(log_captured(), "orders/mine:5: longer than 127 bytes");
}

Test(order_load, says_that_reading_failed)
{
	FILE *file = fopen("/proc/self/mem", "r");
	span_order *order;

	cr_assert(file);
	log_capture();
	cr_assert_eq(span_order_load(file, "mem", &order), SPAN_EIO);
	fclose(file);
	cr_assert(strstr(log_captured(), "mem:1: reading failed: "), "%s", log_captured());
}

Test(order_save, says_that_writing_failed)
{
	FILE *file = fopen("/dev/full", "w");
	span_order *order = order_case(SPAN_ORDER_RING, 4, GROUP_ONE, NEED_ALL);

	cr_assert(file);
	log_capture();
	cr_assert_eq(span_order_save(order, file), SPAN_EIO);
	cr_assert(strstr(log_captured(), "span_order_save: writing failed: "));
	fclose(file);
	span_order_free(order);
}

Test(order_save, names_the_argument_that_is_missing)
{
	span_order *order = order_case(SPAN_ORDER_RING, 4, GROUP_ONE, NEED_ALL);

	log_capture();
	cr_assert_eq(span_order_save(NULL, stdout), SPAN_EINVAL);
	cr_assert_str_eq(log_captured(), "span_order_save: order is NULL");
	cr_assert_eq(span_order_save(order, NULL), SPAN_EINVAL);
	cr_assert_str_eq(log_captured(), "span_order_save: file is NULL");
	span_order_free(order);
}

Test(order_load, names_the_argument_that_is_missing)
{
	span_order *order;

	log_capture();
	cr_assert_eq(span_order_load(NULL, "x", &order), SPAN_EINVAL);
	cr_assert_str_eq(log_captured(), "span_order_load: file is NULL");
	cr_assert_eq(span_order_load(stdin, NULL, &order), SPAN_EINVAL);
	cr_assert_str_eq(log_captured(), "span_order_load: name is NULL");
	cr_assert_eq(span_order_load(stdin, "x", NULL), SPAN_EINVAL);
	cr_assert_str_eq(log_captured(), "span_order_load: order is NULL");
}

/* --- damage ------------------------------------------------------------------------------- */

/* Whatever a file says, loading it ends; what is accepted is right. */
static void try_damaged(const char *text, size_t bytes)
{
	span_order *order = NULL;
	span_status status = load(text, bytes, &order);

	if (status == SPAN_OK)
		cr_assert_eq(span_order_check(order), SPAN_OK);
	else
		cr_assert(status == SPAN_EPARSE || status == SPAN_EINVAL, "%d: %s", (int)status,
		          log_captured());
	span_order_free(order);
}

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

Test(order_load, survives_flipped_bytes, .timeout = 120)
{
	span_order *order = order_case(SPAN_ORDER_NODE_FIRST, 6, GROUP_FOUR_EVEN, NEED_RANDOM);
	char *text = save(order);
	size_t bytes = strlen(text);
	char *damaged = malloc(bytes);
	uint32_t random = 1;

	log_capture();
	for (int round = 0; round < 20000; round++) {
		memcpy(damaged, text, bytes);
		for (uint32_t flips = 1 + next_random(&random) % 4; flips; flips--)
			damaged[next_random(&random) % bytes] ^=
				(char)(1u << next_random(&random) % (round % 2 ? 4 : 8));
		try_damaged(damaged, bytes);
	}
	free(damaged);
	free(text);
	span_order_free(order);
}

Test(order_load, refuses_every_file_that_is_cut_off)
{
	span_order *order = order_case(SPAN_ORDER_RING, 3, GROUP_ONE, NEED_ALL), *cut;
	char *text = save(order);

	log_capture();
	for (size_t bytes = 1; bytes < strlen(text) - 1; bytes++)
		cr_assert_eq(load(text, bytes, &cut), SPAN_EPARSE, "%zu bytes", bytes);
	free(text);
	span_order_free(order);
}

/* Without its group line a rank is in group 0, which the steps may do with as well. */
static int line_matters(const char *line)
{
	return strncmp(line, "group", 5) != 0;
}

Test(order_load, refuses_a_saved_order_without_one_of_its_lines)
{
	span_order *order = order_case(SPAN_ORDER_NODE_FIRST, 8, GROUP_FIVE_THREE, NEED_CAUSAL);
	char *text = save(order), *cut = malloc(strlen(text) + 1);
	int tried = 0;

	for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
		const char *next = strchr(line, '\n') + 1;
		span_order *spoiled;

		memcpy(cut, text, (size_t)(line - text));
		strcpy(cut + (line - text), next);
		log_capture();
		if (!line_matters(line))
			continue;
		cr_assert_neq(load(cut, strlen(cut), &spoiled), SPAN_OK, "without %.20s", line);
		cr_assert_eq(log_captured_count(), 1);
		tried++;
	}
	cr_assert_gt(tried, 100);
	free(cut);
	free(text);
	span_order_free(order);
}
