/* Every argument of the op, wrong in every way it can be: refused by name, outputs untouched. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "attention/span_attention.h"
#include "tests/topo/log_capture.h"

#define COUNT(array) (int)(sizeof(array) / sizeof(*(array)))

enum { B = 2, S = 20, HQ = 2, HKV = 1, D = 8 };

static span_attention_options good_options(void)
{
	return (span_attention_options){
		.size = sizeof(span_attention_options), .batch = B, .query_tokens = S,
		.key_tokens = S, .query_heads = HQ, .kv_heads = HKV, .head_size = D,
		.dtype = SPAN_F32, .tile = 16,
		.mask = { .size = sizeof(span_mask), .kind = SPAN_MASK_CAUSAL },
	};
}

/* What was just said names `name`, once. */
static void expect_refused(span_status actual, span_status expected, const char *name)
{
	cr_assert_eq(actual, expected, "%s: %d, \"%s\"", name, (int)actual, log_captured());
	cr_assert(strstr(log_captured(), name), "\"%s\" does not name %s", log_captured(), name);
	cr_assert_eq(log_captured_count(), 1, "%s: \"%s\"", name, log_captured());
	log_capture();
}

static void expect_create_refused(const span_attention_options *options, span_status expected,
                                  const char *name)
{
	span_attention *op = (span_attention *)&op, *untouched = op;

	expect_refused(span_attention_create(options, &op), expected, name);
	cr_assert_eq(op, untouched, "%s", name);
}

/* ---- create ---- */

/* A field as messages name it: an array without its index. */
static const char *name_of(const char *field)
{
	return strncmp(field, "mask.reserved", 13) == 0 ? "mask.reserved" : field;
}

/* Options that differ from good ones in one field. */
#define REFUSE(field, value, status)                                    \
	do {                                                            \
		span_attention_options wrong = good_options();          \
                                                                        \
		wrong.field = value;                                    \
		expect_create_refused(&wrong, status, name_of(#field)); \
	} while (0)

Test(arguments, good_options_are_good)
{
	span_attention_options options = good_options();
	span_attention *op = NULL;

	log_capture();
	cr_assert_eq(span_attention_create(&options, &op), SPAN_OK);
	cr_assert_eq(log_captured_count(), 0);
	span_attention_free(op);
}

Test(arguments, create_refuses_wrong_shapes)
{
	static const int32_t head_sizes[] = { INT32_MIN, -8, 0, 4, 7, 9, 12, 257, 264, 512 };

	log_capture();
	REFUSE(batch, 0, SPAN_EINVAL);
	REFUSE(batch, -1, SPAN_EINVAL);
	REFUSE(batch, (int64_t)1 << 31, SPAN_EINVAL);
	REFUSE(query_tokens, 0, SPAN_EINVAL);
	REFUSE(query_tokens, INT64_MIN, SPAN_EINVAL);
	REFUSE(query_tokens, S + 1, SPAN_EUNSUPPORTED);
	REFUSE(key_tokens, 0, SPAN_EINVAL);
	REFUSE(key_tokens, -S, SPAN_EINVAL);
	REFUSE(key_tokens, 2 * S, SPAN_EUNSUPPORTED);
	REFUSE(query_heads, 0, SPAN_EINVAL);
	REFUSE(query_heads, -2, SPAN_EINVAL);
	REFUSE(query_heads, 65537, SPAN_EINVAL);
	REFUSE(kv_heads, 0, SPAN_EINVAL);
	REFUSE(kv_heads, -1, SPAN_EINVAL);
	REFUSE(kv_heads, 65537, SPAN_EINVAL);
	for (int i = 0; i < COUNT(head_sizes); i++)
		REFUSE(head_size, head_sizes[i], SPAN_EUNSUPPORTED);
	REFUSE(value_head_size, D + 8, SPAN_EUNSUPPORTED);
	REFUSE(value_head_size, -1, SPAN_EUNSUPPORTED);
	REFUSE(tile, 8, SPAN_EINVAL);
	REFUSE(tile, 24, SPAN_EINVAL);
	REFUSE(tile, -16, SPAN_EINVAL);
	REFUSE(tile, 8192, SPAN_EINVAL);
}

/* Hq that Hkv does not divide: both are named. */
Test(arguments, create_refuses_heads_that_do_not_divide)
{
	span_attention_options wrong = good_options();

	log_capture();
	wrong.query_heads = 4;
	wrong.kv_heads = 3;
	expect_create_refused(&wrong, SPAN_EINVAL, "query_heads");
	expect_create_refused(&wrong, SPAN_EINVAL, "kv_heads");
}

Test(arguments, create_refuses_wrong_kinds)
{
	log_capture();
	REFUSE(size, 0, SPAN_EINVAL);
	REFUSE(size, sizeof(span_attention_options) - 1, SPAN_EINVAL);
	REFUSE(size, sizeof(span_attention_options) + 8, SPAN_EINVAL);
	REFUSE(dtype, (span_dtype)0, SPAN_EINVAL);
	REFUSE(dtype, (span_dtype)4, SPAN_EINVAL);
	REFUSE(scale, -1.0f, SPAN_EINVAL);
	REFUSE(scale, NAN, SPAN_EINVAL);
	REFUSE(scale, INFINITY, SPAN_EINVAL);
	REFUSE(scale, 3e38f, SPAN_EINVAL); /* infinite once it is scaled to base 2 */
	REFUSE(scale, -INFINITY, SPAN_EINVAL);
	REFUSE(mask.size, 0, SPAN_EINVAL);
	REFUSE(mask.size, sizeof(span_mask) - 1, SPAN_EINVAL);
	REFUSE(mask.size, sizeof(span_mask) + 8, SPAN_EINVAL);
	for (int i = 0; i < SPAN_MASK_RESERVED; i++)
		REFUSE(mask.reserved[i], -1, SPAN_EUNSUPPORTED);
	REFUSE(mask.kind, (span_mask_kind)2, SPAN_EUNSUPPORTED);
	REFUSE(mask.kind, (span_mask_kind)-1, SPAN_EUNSUPPORTED);
	REFUSE(numerics, (span_numerics)2, SPAN_EINVAL);
	REFUSE(numerics, (span_numerics)-1, SPAN_EINVAL);
	REFUSE(order, (span_order_kind)5, SPAN_EINVAL);
	REFUSE(order, (span_order_kind)-1, SPAN_EINVAL);
	REFUSE(way_back, (span_return_kind)3, SPAN_EINVAL);
	REFUSE(way_back, (span_return_kind)-1, SPAN_EINVAL);
	REFUSE(threads, -1, SPAN_EINVAL);
	REFUSE(threads, 1025, SPAN_EINVAL);
	REFUSE(timeout, -1, SPAN_EINVAL);
	REFUSE(timeout, NAN, SPAN_EINVAL);
	REFUSE(timeout, INFINITY, SPAN_EINVAL);
}

Test(arguments, create_refuses_families_there_are_not)
{
	span_attention_options wrong = good_options();

	log_capture();
	wrong.layout = (span_layout_family)2;
	expect_create_refused(&wrong, SPAN_EINVAL, "layout is 2");
}

Test(arguments, create_refuses_null)
{
	span_attention_options options = good_options();

	log_capture();
	expect_create_refused(NULL, SPAN_EINVAL, "options is NULL");
	expect_refused(span_attention_create(&options, NULL), SPAN_EINVAL, "op is NULL");
}

Test(arguments, create_refuses_more_memory_than_there_can_be)
{
	span_attention_options wrong = good_options();

	log_capture();
	wrong.batch = INT32_MAX;
	wrong.query_heads = wrong.kv_heads = 65536;
	wrong.head_size = 256;
	expect_create_refused(&wrong, SPAN_EUNSUPPORTED, "workspace");
}

/* Nor at a rank without a tile, whose own share is nothing. */
Test(arguments, create_refuses_more_memory_on_every_rank)
{
	span_attention_options wrong = good_options();
	span_local *local = NULL;

	log_capture();
	cr_assert_eq(span_local_create(2, NULL, &local), SPAN_OK);
	wrong.batch = INT32_MAX;
	wrong.query_heads = wrong.kv_heads = 65536;
	wrong.head_size = 256;
	wrong.tile = 4096;
	for (int32_t rank = 0; rank < 2; rank++) {
		wrong.transport = span_local_transport(local, rank);
		expect_create_refused(&wrong, SPAN_EUNSUPPORTED, "workspace");
	}
	span_local_free(local);
}

/* Beyond, the pairs of a mask are more than an int64_t counts. */
Test(arguments, create_refuses_more_tokens_than_pairs_can_be_counted_of)
{
	span_attention_options wrong = good_options();

	log_capture();
	wrong.query_tokens = wrong.key_tokens = ((int64_t)1 << 31) + 1;
	wrong.tile = 4096;
	expect_create_refused(&wrong, SPAN_EUNSUPPORTED, "query_tokens");
}

Test(arguments, create_refuses_an_instruction_set_there_is_not)
{
	span_attention_options options = good_options();

	log_capture();
	setenv("SPAN_ISA", "z80", 1);
	expect_create_refused(&options, SPAN_EINVAL, "SPAN_ISA");
}

/* A transport with one thing wrong. */
#define REFUSE_TRANSPORT(field, value)                                          \
	do {                                                                    \
		span_transport broken = *span_local_transport(local, 0);        \
		span_attention_options wrong = good_options();                  \
                                                                                \
		broken.field = value;                                           \
		wrong.transport = &broken;                                      \
		expect_create_refused(&wrong, SPAN_EINVAL, #field);             \
	} while (0)

Test(arguments, create_refuses_broken_transports)
{
	span_local *local = NULL;

	log_capture();
	cr_assert_eq(span_local_create(2, NULL, &local), SPAN_OK);
	REFUSE_TRANSPORT(size, 3);
	REFUSE_TRANSPORT(ranks, 0);
	REFUSE_TRANSPORT(rank, 2);
	REFUSE_TRANSPORT(rank, -1);
	REFUSE_TRANSPORT(group, NULL);
	REFUSE_TRANSPORT(post_send, NULL);
	REFUSE_TRANSPORT(post_receive, NULL);
	REFUSE_TRANSPORT(wait, NULL);
	REFUSE_TRANSPORT(abort, NULL);
	REFUSE_TRANSPORT(release, NULL);
	span_local_free(local);
}

/* Orders for other ranks, and one that leaves out a block which the mask shows. */
Test(arguments, create_refuses_orders_that_do_not_fit)
{
	static const uint8_t causal_only[9] = { 1, 0, 0, 1, 1, 0, 1, 1, 1 };
	span_order_options order = { .size = sizeof(order), .kind = SPAN_ORDER_RING, .ranks = 3,
		                     .need = causal_only };
	span_attention_options options = good_options();
	span_order *made = NULL;
	span_local *local = NULL;
	span_attention *op = NULL;

	log_capture();
	cr_assert_eq(span_order_create(&order, &made), SPAN_OK);
	options.custom_order = made;
	expect_create_refused(&options, SPAN_EINVAL, "custom_order");
	cr_assert_eq(span_local_create(3, NULL, &local), SPAN_OK);
	options.transport = span_local_transport(local, 0);
	options.query_tokens = options.key_tokens = 48;
	cr_assert_eq(span_attention_create(&options, &op), SPAN_OK);
	span_attention_free(op);
	options.mask.kind = SPAN_MASK_FULL;
	expect_create_refused(&options, SPAN_EINVAL, "custom_order");
	span_order_free(made);
	span_local_free(local);
}

/* Block 1 is sent in step 0 and received in step 1: proved, but not by one clock. */
static const char two_clocks[] =
	"span-order 1\nkind ring\nway-back direct\nranks 2\nneed 0 0 1\nneed 1 0 1\n"
	"rank 0\nstep 0\ncompute 0\nsend 0 to 1\nstep 1\nreceive 1 from 1\nstep 2\ncompute 1\n"
	"rank 1\nstep 0\ncompute 1\nreceive 0 from 0\nsend 1 to 0\nstep 1\ncompute 0\n"
	"end\n";

Test(arguments, create_refuses_orders_by_two_clocks)
{
	FILE *text = fmemopen((char *)two_clocks, sizeof(two_clocks) - 1, "r");
	span_attention_options options = good_options();
	span_order *order = NULL;
	span_local *local = NULL;

	log_capture();
	cr_assert_eq(span_order_load(text, "two clocks", &order), SPAN_OK, "%s", log_captured());
	cr_assert_eq(span_local_create(2, NULL, &local), SPAN_OK);
	options.custom_order = order;
	for (int32_t rank = 0; rank < 2; rank++) {
		options.transport = span_local_transport(local, rank);
		expect_create_refused(&options, SPAN_EINVAL,
		                      "custom_order has rank 0 receive block 1 in step 1 and rank 1");
	}
	span_order_free(order);
	span_local_free(local);
	fclose(text);
}

/* ---- forward and backward ---- */

enum { Q, K, V, OUT, DOUT, DQ, DK, DV, TENSORS };

static const char *const names[TENSORS] = { "q", "k", "v", "out", "dout", "dq", "dk", "dv" };

/* Arguments of both calls; what is wrong is put into them. */
struct call {
	span_attention *op;
	span_tensor tensor[TENSORS];
	const span_tensor *argument[TENSORS];
	float *lse;
	char *workspace;
	char *memory;  /* of the tensors and lse: one pattern */
	size_t bytes;
	span_attention *right_op; /* to free */
	char *right_workspace;
};

static struct call make_call(void)
{
	span_attention_options options = good_options();
	size_t each = B * S * HQ * D * sizeof(float);
	struct call c = { .bytes = (TENSORS + 1) * each };

	cr_assert_eq(span_attention_create(&options, &c.op), SPAN_OK);
	c.memory = malloc(c.bytes);
	memset(c.memory, 0x5a, c.bytes);
	for (int i = 0; i < TENSORS; i++) {
		int heads = i == K || i == V || i == DK || i == DV ? HKV : HQ;

		c.tensor[i] = span_tensor_bshd(c.memory + (size_t)i * each, SPAN_F32, S, heads, D);
	}
	c.lse = (float *)(c.memory + TENSORS * each);
	c.workspace = aligned_alloc(64, span_attention_workspace_bytes(c.op) + 64);
	c.right_op = c.op;
	c.right_workspace = c.workspace;
	return c;
}

static span_status forward(struct call *c)
{
	return span_attention_forward(c->op, c->argument[Q], c->argument[K], c->argument[V],
	                              c->argument[OUT], c->lse, c->workspace);
}

static span_status backward(struct call *c)
{
	return span_attention_backward(c->op, c->argument[Q], c->argument[K], c->argument[V],
	                               c->argument[OUT], c->argument[DOUT], c->lse,
	                               c->argument[DQ], c->argument[DK], c->argument[DV],
	                               c->workspace);
}

/* Spoil the arguments, and expect both calls (or the one that has them) to refuse. */
static void expect_spoilt(void (*spoil)(struct call *c, int which), int which, int in_forward,
                          int in_backward, const char *name)
{
	struct call c = make_call();

	for (int i = 0; i < TENSORS; i++)
		c.argument[i] = &c.tensor[i];
	spoil(&c, which);
	log_capture();
	if (in_forward)
		expect_refused(forward(&c), SPAN_EINVAL, name);
	if (in_backward)
		expect_refused(backward(&c), SPAN_EINVAL, name);
	for (size_t i = 0; i < c.bytes; i++)
		cr_assert_eq(c.memory[i], 0x5a, "%s wrong: outputs were written", name);
	free(c.memory);
	free(c.right_workspace);
	span_attention_free(c.right_op);
}

/* A tensor is wrong wherever it is given: the first four in forward, all in backward; `from`
 * names the first that can be wrong in this way. */
static void expect_tensors_spoilt(void (*spoil)(struct call *c, int which), const char *what,
                                  int outputs_only)
{
	char name[64];

	for (int i = 0; i < TENSORS; i++) {
		int in_forward = outputs_only ? i == OUT : i <= OUT;
		int in_backward = outputs_only ? i >= DQ : 1;

		snprintf(name, sizeof(name), what, names[i]);
		expect_spoilt(spoil, i, in_forward, in_backward, name);
	}
}

static void no_tensor(struct call *c, int which)
{
	c->argument[which] = NULL;
}

static void other_dtype(struct call *c, int which)
{
	c->tensor[which].dtype = SPAN_BF16;
}

static void no_dtype(struct call *c, int which)
{
	c->tensor[which].dtype = (span_dtype)0;
}

static void no_data(struct call *c, int which)
{
	c->tensor[which].data = NULL;
}

static void odd_address(struct call *c, int which)
{
	c->tensor[which].data = (char *)c->tensor[which].data + 2;
}

static void negative_batch(struct call *c, int which)
{
	c->tensor[which].batch_stride *= -1;
}

static void negative_token(struct call *c, int which)
{
	c->tensor[which].token_stride *= -1;
}

static void negative_head(struct call *c, int which)
{
	c->tensor[which].head_stride *= -1;
}

static void overlapping_tokens(struct call *c, int which)
{
	c->tensor[which].token_stride -= 1;
}

static void overlapping_batches(struct call *c, int which)
{
	c->tensor[which].batch_stride -= 1;
}

static void repeated_batch(struct call *c, int which)
{
	c->tensor[which].batch_stride = 0;
}

static void far_batch(struct call *c, int which)
{
	c->tensor[which].batch_stride = INT64_MAX;
}

static void far_token(struct call *c, int which)
{
	c->tensor[which].token_stride = PTRDIFF_MAX / (int64_t)sizeof(float) / (S - 1) + 1;
}

static void no_op(struct call *c, int which)
{
	(void)which;
	c->op = NULL;
}

static void no_lse(struct call *c, int which)
{
	(void)which;
	c->lse = NULL;
}

static void odd_lse(struct call *c, int which)
{
	(void)which;
	c->lse = (float *)((char *)c->lse + 1);
}

static void no_workspace(struct call *c, int which)
{
	(void)which;
	c->workspace = NULL;
}

static void unaligned_workspace(struct call *c, int which)
{
	(void)which;
	c->workspace += 32;
}

Test(arguments, calls_refuse_wrong_tensors)
{
	expect_tensors_spoilt(no_tensor, ": %s is NULL", 0);
	expect_tensors_spoilt(other_dtype, ": %s->dtype", 0);
	expect_tensors_spoilt(no_dtype, ": %s->dtype", 0);
	expect_tensors_spoilt(no_data, ": %s->data is NULL", 0);
	expect_tensors_spoilt(odd_address, ": %s->data", 0);
	expect_tensors_spoilt(negative_batch, ": %s->batch_stride", 0);
	expect_tensors_spoilt(negative_token, ": %s->token_stride", 0);
	for (int i = 0; i < TENSORS; i++) /* of one head the stride does not matter */
		if (i == Q || i == OUT || i == DOUT || i == DQ) {
			char name[64];

			snprintf(name, sizeof(name), ": %s->head_stride", names[i]);
			expect_spoilt(negative_head, i, i <= OUT, 1, name);
		}
}

Test(arguments, calls_refuse_outputs_that_overlap_themselves)
{
	expect_tensors_spoilt(overlapping_tokens, "strides of %s", 1);
	expect_tensors_spoilt(overlapping_batches, "strides of %s", 1);
	expect_tensors_spoilt(repeated_batch, "strides of %s", 1);
}

Test(arguments, calls_refuse_strides_that_lead_beyond_memory)
{
	expect_tensors_spoilt(far_batch, "strides of %s", 0);
	expect_tensors_spoilt(far_token, "strides of %s", 0);
}

Test(arguments, calls_refuse_the_rest)
{
	expect_spoilt(no_op, 0, 1, 1, "op is NULL");
	expect_spoilt(no_lse, 0, 1, 1, "lse is NULL");
	expect_spoilt(odd_lse, 0, 1, 1, "lse is not aligned");
	expect_spoilt(no_workspace, 0, 1, 1, "workspace is NULL");
	expect_spoilt(unaligned_workspace, 0, 1, 1, "workspace is not aligned");
}

/* A tensor put where another begins, and a dense array around one. */
static int also;

static void shared_tensor(struct call *c, int which)
{
	c->tensor[which].data = c->tensor[also].data;
}

static void shared_lse(struct call *c, int which)
{
	c->lse = (float *)c->tensor[which].data - 1;
}

static void shared_workspace(struct call *c, int which)
{
	c->tensor[which].data = c->workspace + 256;
}

static void lse_in_workspace(struct call *c, int which)
{
	(void)which;
	c->lse = (float *)(c->workspace + 64);
}

Test(arguments, calls_refuse_outputs_that_share_memory)
{
	char name[64];

	for (int i = 0; i < TENSORS; i++) {
		for (also = 0; also < TENSORS; also++) {
			int in_forward = i != also && (i == OUT || also == OUT) && i <= OUT &&
			                 also <= OUT;
			int in_backward = i != also && (i >= DQ || also >= DQ);

			expect_spoilt(shared_tensor, i, in_forward, in_backward,
			              "shares memory with");
		}
		snprintf(name, sizeof(name), "%s shares memory with", i < OUT ? "lse" : names[i]);
		expect_spoilt(shared_lse, i, i <= OUT, i >= DQ, name);
		snprintf(name, sizeof(name), i == OUT ? "out shares memory with workspace"
		                           : i >= DQ  ? "%s shares memory with workspace"
		                                      : "workspace shares memory with %s", names[i]);
		expect_spoilt(shared_workspace, i, i <= OUT, i > OUT, name);
	}
	expect_spoilt(lse_in_workspace, 0, 1, 1, "shares memory with");
}

/* ---- what looks wrong and is not ---- */

/* q, k and v beside each other in each row of one array, as a fused projection leaves them, and the
 * gradients as it wants them. */
Test(arguments, tensors_may_lie_between_each_others_rows)
{
	struct call c = make_call();
	float *packed = calloc(2 * B * S * (HQ + 2 * HKV) * D, sizeof(float));
	const int places[2][3] = { { Q, K, V }, { DQ, DK, DV } };

	for (int i = 0; i < TENSORS; i++)
		c.argument[i] = &c.tensor[i];
	memset(c.memory, 0, c.bytes);
	for (int of = 0; of < 2; of++) {
		float *base = packed + of * B * S * (HQ + 2 * HKV) * D;

		for (int i = 0; i < 3; i++) {
			span_tensor *t = &c.tensor[places[of][i]];

			t->data = base + (i == 0 ? 0 : (HQ + (i - 1) * HKV) * D);
			t->token_stride = (HQ + 2 * HKV) * D;
			t->batch_stride = S * t->token_stride;
		}
	}
	log_capture();
	cr_assert_eq(forward(&c), SPAN_OK, "%s", log_captured());
	cr_assert_eq(backward(&c), SPAN_OK, "%s", log_captured());
	free(packed);
	free(c.memory);
	free(c.right_workspace);
	span_attention_free(c.right_op);
}

/* Inputs may repeat themselves: one set of keys for both batches, by a stride of 0. */
Test(arguments, inputs_may_repeat_themselves)
{
	struct call c = make_call();
	size_t half = S * HKV * D;
	float *k = c.tensor[K].data, *out = c.tensor[OUT].data, *first;

	for (int i = 0; i < TENSORS; i++)
		c.argument[i] = &c.tensor[i];
	for (size_t i = 0; i < c.bytes / sizeof(float); i++)
		((float *)c.memory)[i] = (float)((i * 37) % 101) / 64 - 0.7f;
	memcpy(k + half, k, half * sizeof(float));
	cr_assert_eq(forward(&c), SPAN_OK);
	first = malloc(B * S * HQ * D * sizeof(float));
	memcpy(first, out, B * S * HQ * D * sizeof(float));
	for (size_t i = 0; i < half; i++)
		k[half + i] = NAN;
	c.tensor[K].batch_stride = 0;
	cr_assert_eq(forward(&c), SPAN_OK);
	cr_assert_eq(memcmp(first, out, B * S * HQ * D * sizeof(float)), 0);
	free(first);
	free(c.memory);
	free(c.right_workspace);
	span_attention_free(c.right_op);
}

/* ---- queries ---- */

Test(arguments, queries_of_nothing_give_nothing)
{
	log_capture();
	cr_assert_eq(span_attention_workspace_bytes(NULL), 0);
	cr_assert_null(span_attention_layout(NULL));
	cr_assert_null(span_attention_order(NULL));
	span_attention_free(NULL);
	cr_assert_eq(log_captured_count(), 0);
}

Test(arguments, statistics_refuse_wrong_arguments)
{
	span_attention_options options = good_options();
	span_attention_statistics statistics = { .size = sizeof(statistics), .ranks = 77 };
	span_attention *op = NULL;

	cr_assert_eq(span_attention_create(&options, &op), SPAN_OK);
	log_capture();
	expect_refused(span_attention_get_statistics(NULL, &statistics), SPAN_EINVAL, "op");
	expect_refused(span_attention_get_statistics(op, NULL), SPAN_EINVAL, "statistics");
	statistics.size = sizeof(statistics) - 1;
	expect_refused(span_attention_get_statistics(op, &statistics), SPAN_EINVAL,
	               "statistics->size");
	cr_assert_eq(statistics.ranks, 77);
	statistics.size = sizeof(statistics);
	cr_assert_eq(span_attention_get_statistics(op, &statistics), SPAN_OK);
	cr_assert_eq(statistics.ranks, 1);
	cr_assert_eq(statistics.tile, 16);
	cr_assert_eq(statistics.workspace_bytes, span_attention_workspace_bytes(op));
	cr_assert_eq(statistics.forward.pairs_computed, 0, "no pass has run");
	cr_assert_eq(statistics.forward.seconds, 0);
	span_attention_free(op);
}
