/* The steps of attention one by one: put together along the tree by the test, they are the op. */
#include "attention/span_block.h"
#include <criterion/criterion.h>
#include <fenv.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "tests/attention/attention_case.h"
#include "tests/attention/caller_mode.h"
#include "tests/topo/log_capture.h"

enum { MOST_TILES = 8 };

/* A case cut into tiles, and what its blocks gave. */
struct puzzle {
	attention_case c;
	case_inputs inputs;
	int n;               /* tiles */
	void *workspace;
	span_partial partial[MOST_TILES];  /* by key tile, for one query tile */
	float *dq[MOST_TILES][MOST_TILES]; /* by query tile and key tile */
	float *dk[MOST_TILES][MOST_TILES];
	float *dv[MOST_TILES][MOST_TILES];
	float *delta[MOST_TILES];
	float *lse[MOST_TILES];
	case_results made;
	const caller_mode *mode;           /* in which every function is called; NULL: as it is */
	fenv_t outside;
};

/* Every call of the library stands between these two, and nothing else does. */
static void enter(struct puzzle *p)
{
	if (p->mode) {
		fegetenv(&p->outside);
		p->mode->set();
	}
}

static void leave(struct puzzle *p, const char *function)
{
	int kept = !p->mode || p->mode->is_set();

	if (p->mode)
		fesetenv(&p->outside);
	cr_assert(kept, "%s is not the caller's mode any more after %s",
	          p->mode ? p->mode->name : "", function);
}

#define CALL(p, function, ...)                                              \
	do {                                                                \
		span_status status;                                         \
                                                                            \
		enter(p);                                                   \
		status = function(__VA_ARGS__);                             \
		leave(p, #function);                                        \
		cr_assert_eq(status, SPAN_OK);                              \
	} while (0)

static int64_t tile_tokens(const struct puzzle *p, int tile)
{
	int64_t left = p->c.tokens - (int64_t)tile * p->c.tile;

	return left < p->c.tile ? left : p->c.tile;
}

static span_block block_of(const struct puzzle *p, int query, int key)
{
	const attention_case *c = &p->c;

	return (span_block){ .size = sizeof(span_block), .batch = c->batch,
		             .queries = tile_tokens(p, query), .keys = tile_tokens(p, key),
		             .first_query = (int64_t)query * c->tile,
		             .first_key = (int64_t)key * c->tile, .query_heads = c->query_heads,
		             .kv_heads = c->kv_heads, .head_size = c->head_size,
		             .causal = c->mask == SPAN_MASK_CAUSAL, .dtype = c->dtype,
		             .scale = c->scale };
}

/* One tile of a whole [B,S,H,D] tensor. */
static span_tensor tile_of(const struct puzzle *p, void *whole, int32_t heads, int tile)
{
	span_tensor t = span_tensor_bshd(whole, p->c.dtype, p->c.tokens, heads, p->c.head_size);

	t.data = (char *)whole + (size_t)(tile * p->c.tile * t.token_stride) *
	                         span_dtype_bytes(p->c.dtype);
	return t;
}

static float *floats(int64_t n)
{
	float *data = malloc(sizeof(*data) * (size_t)n);

	memset(data, 0xff, sizeof(*data) * (size_t)n);
	return data;
}

static int64_t query_floats(const struct puzzle *p)
{
	return p->c.batch * p->c.query_heads * p->c.tile * span_block_width(p->c.head_size);
}

static int64_t key_floats(const struct puzzle *p)
{
	return p->c.batch * p->c.kv_heads * p->c.tile * span_block_width(p->c.head_size);
}

static int sees(const struct puzzle *p, int query, int key)
{
	return p->c.mask == SPAN_MASK_FULL || key <= query;
}

/* The tile at a position: zigzag folds the sequence. */
static int tile_at(const struct puzzle *p, int position)
{
	if (p->c.layout == SPAN_LAYOUT_CONTIGUOUS)
		return position;
	return position % 2 ? p->n - 1 - position / 2 : position / 2;
}

/* ---- forward ---- */

/* The partial of a query tile over positions [a, b): that of a key tile, or -1. */
static int merge_range(struct puzzle *p, int query, int a, int b)
{
	int middle = a + (b - a + 1) / 2, left, right;
	span_block block = block_of(p, query, 0);

	if (b - a == 1)
		return sees(p, query, tile_at(p, a)) ? tile_at(p, a) : -1;
	left = merge_range(p, query, a, middle);
	right = merge_range(p, query, middle, b);
	if (left < 0 || right < 0)
		return left < 0 ? right : left;
	CALL(p, span_block_merge, &block, &p->partial[left], &p->partial[right]);
	return left;
}

static void scatter_lse(struct puzzle *p, int query)
{
	int64_t rows = tile_tokens(p, query);

	for (int64_t plane = 0; plane < p->c.batch * p->c.query_heads; plane++)
		memcpy(p->made.lse + plane * p->c.tokens + query * p->c.tile,
		       p->lse[query] + plane * rows, sizeof(float) * (size_t)rows);
}

static void forward_tile(struct puzzle *p, int query)
{
	const attention_case *c = &p->c;
	span_tensor q = tile_of(p, p->inputs.q, c->query_heads, query);
	span_tensor out = tile_of(p, p->made.tensor[CASE_OUT], c->query_heads, query);
	span_tensor dout = tile_of(p, p->inputs.dout, c->query_heads, query);
	span_block block = block_of(p, query, 0);
	int whole;

	for (int key = 0; key < p->n; key++) {
		span_tensor k = tile_of(p, p->inputs.k, c->kv_heads, key);
		span_tensor v = tile_of(p, p->inputs.v, c->kv_heads, key);
		span_block pair = block_of(p, query, key);

		CALL(p, span_block_forward, &pair, &q, &k, &v, &p->partial[key], p->workspace);
	}
	whole = merge_range(p, query, 0, p->n);
	CALL(p, span_block_finish, &block, &p->partial[whole], &out, p->lse[query]);
	CALL(p, span_block_delta, &block, &out, &dout, p->delta[query]);
	scatter_lse(p, query);
}

/* ---- backward ---- */

static void backward_pair(struct puzzle *p, int query, int key)
{
	const attention_case *c = &p->c;
	span_tensor q = tile_of(p, p->inputs.q, c->query_heads, query);
	span_tensor k = tile_of(p, p->inputs.k, c->kv_heads, key);
	span_tensor v = tile_of(p, p->inputs.v, c->kv_heads, key);
	span_tensor dout = tile_of(p, p->inputs.dout, c->query_heads, query);
	span_block block = block_of(p, query, key);

	CALL(p, span_block_backward, &block, &q, &k, &v, &dout, p->lse[query], p->delta[query],
	     p->dq[query][key], p->dk[query][key], p->dv[query][key], p->workspace);
}

/* Add up gradients along the tree into the leftmost that is there; its tile, or -1. */
static int add_range(const struct puzzle *p, float *const *of, int stride, int64_t n, int a, int b)
{
	int middle = a + (b - a + 1) / 2, left, right;

	if (b - a == 1)
		return of[tile_at(p, a) * stride] ? tile_at(p, a) : -1;
	left = add_range(p, of, stride, n, a, middle);
	right = add_range(p, of, stride, n, middle, b);
	if (left < 0 || right < 0)
		return left < 0 ? right : left;
	for (int64_t i = 0; i < n; i++)
		of[left * stride][i] += of[right * stride][i];
	return left;
}

static void finish_tile(struct puzzle *p, int tile)
{
	const attention_case *c = &p->c;
	span_tensor dq = tile_of(p, p->made.tensor[CASE_DQ], c->query_heads, tile);
	span_tensor dk = tile_of(p, p->made.tensor[CASE_DK], c->kv_heads, tile);
	span_tensor dv = tile_of(p, p->made.tensor[CASE_DV], c->kv_heads, tile);
	span_block block = block_of(p, tile, tile);
	int64_t width = span_block_width(c->head_size), rows = tile_tokens(p, tile);
	int64_t nq = c->batch * c->query_heads * rows * width;
	int64_t nk = c->batch * c->kv_heads * rows * width;
	int q = add_range(p, p->dq[tile], 1, nq, 0, p->n);
	int k = add_range(p, &p->dk[0][tile], MOST_TILES, nk, 0, p->n);
	int v = add_range(p, &p->dv[0][tile], MOST_TILES, nk, 0, p->n);

	CALL(p, span_block_finish_gradients, &block, p->dq[tile][q], p->dk[k][tile], p->dv[v][tile],
	     &dq, &dk, &dv);
}

/* ---- all of it ---- */

static struct puzzle *make_puzzle(const attention_case *c)
{
	struct puzzle *p = calloc(1, sizeof(*p));
	span_block block;
	size_t bytes;
	char fault[256];

	p->c = *c;
	p->n = (int)((c->tokens + c->tile - 1) / c->tile);
	p->inputs = case_make_inputs(c);
	cr_assert_eq(case_run(c, &p->inputs, &p->made, fault), SPAN_OK); /* shapes and memory */
	for (int i = 0; i < CASE_RESULTS; i++)
		memset(p->made.tensor[i], 0, p->made.bytes[i]);
	memset(p->made.lse, 0, p->made.lse_bytes);
	block = block_of(p, 0, 0);
	bytes = span_block_workspace_bytes(&block);
	cr_assert_gt(bytes, 0);
	p->workspace = aligned_alloc(64, bytes);
	memset(p->workspace, 0xff, bytes);
	for (int i = 0; i < p->n; i++) {
		p->partial[i] = (span_partial){ floats(query_floats(p)), floats(query_floats(p)),
			                        floats(query_floats(p)) };
		p->lse[i] = floats(query_floats(p));
		p->delta[i] = floats(query_floats(p));
		for (int j = 0; j < p->n; j++)
			if (sees(p, i, j)) {
				p->dq[i][j] = floats(query_floats(p));
				p->dk[i][j] = floats(key_floats(p));
				p->dv[i][j] = floats(key_floats(p));
			}
	}
	return p;
}

static void free_puzzle(struct puzzle *p)
{
	for (int i = 0; i < p->n; i++) {
		free(p->partial[i].o);
		free(p->partial[i].m);
		free(p->partial[i].l);
		free(p->lse[i]);
		free(p->delta[i]);
		for (int j = 0; j < p->n; j++) {
			free(p->dq[i][j]);
			free(p->dk[i][j]);
			free(p->dv[i][j]);
		}
	}
	free(p->workspace);
	case_free_results(&p->made);
	case_free_inputs(&p->inputs);
	free(p);
}

static void solve(struct puzzle *p)
{
	for (int i = 0; i < p->n; i++)
		forward_tile(p, i);
	for (int i = 0; i < p->n; i++)
		for (int j = 0; j < p->n; j++)
			if (sees(p, i, j))
				backward_pair(p, i, j);
	for (int i = 0; i < p->n; i++)
		finish_tile(p, i);
}

static void expect_the_op(const attention_case *c)
{
	struct puzzle *p = make_puzzle(c);
	case_results op;
	char fault[256], text[512];

	solve(p);
	cr_assert_eq(case_run(c, &p->inputs, &op, fault), SPAN_OK);
	cr_assert_null(case_results_differ(&op, &p->made), "%s: %s differs",
	               case_describe(c, text), case_results_differ(&op, &p->made));
	case_free_results(&op);
	free_puzzle(p);
}

static attention_case case_number(int i)
{
	return (attention_case){ .batch = 1 + i % 2, .tokens = i % 2 ? 71 : 107, .tile = 16,
		                 .query_heads = 4, .kv_heads = i % 3 ? 2 : 4, .head_size = 24,
		                 .scale = i % 5 ? 0 : 0.4f, .dtype = (span_dtype)(1 + i % 3),
		                 .mask = (span_mask_kind)(i / 3 % 2),
		                 .layout = (span_layout_family)(i / 6 % 2), .threads = 1,
		                 .isa = i % 3, .repeats = 1 };
}

Test(block, blocks_merged_along_the_tree_are_the_op)
{
	for (int i = 0; i < 24; i++) {
		attention_case c = case_number(i);

		expect_the_op(&c);
	}
}

/* Blocks of more rows than a task of the kernels has. */
Test(block, large_blocks_are_the_op)
{
	attention_case c = case_number(1);

	c.tile = 512;
	c.tokens = 700;
	expect_the_op(&c);
}

/* ---- the mode of the caller ---- */

/* Make all of v subnormal, so that nothing but subnormal numbers is merged, multiplied by dout
 * and brought back: where some are large, flushing the others changes no bit of a sum. */
static void make_values_subnormal(struct puzzle *p)
{
	int64_t n = p->c.batch * p->c.tokens * p->c.kv_heads * p->c.head_size;
	float *v = p->inputs.v;

	for (int64_t i = 0; i < n; i++)
		v[i] *= 0x1p-130f;
}

/* The op runs in the default mode, every function of the header in the caller's. */
static void expect_the_op_in_mode(const attention_case *c, const caller_mode *mode, int subnormal)
{
	struct puzzle *p = make_puzzle(c);
	span_block block = block_of(p, 0, 0);
	size_t bytes = span_block_workspace_bytes(&block), bytes_in_mode;
	int32_t width = span_block_width(c->head_size), width_in_mode;
	case_results op;
	char fault[256], text[512];

	if (subnormal)
		make_values_subnormal(p);
	p->mode = mode;
	enter(p);
	bytes_in_mode = span_block_workspace_bytes(&block);
	leave(p, "span_block_workspace_bytes");
	enter(p);
	width_in_mode = span_block_width(c->head_size);
	leave(p, "span_block_width");
	cr_assert_eq(bytes_in_mode, bytes);
	cr_assert_eq(width_in_mode, width);
	solve(p);
	cr_assert_eq(case_run(c, &p->inputs, &op, fault), SPAN_OK);
	cr_assert_null(case_results_differ(&op, &p->made), "%s, %s: %s differs", mode->name,
	               case_describe(c, text), case_results_differ(&op, &p->made));
	case_free_results(&op);
	free_puzzle(p);
}

static void expect_the_op_in_mode_of_all(const caller_mode *mode)
{
	for (int i = 0; i < 12; i++) {
		attention_case c = case_number(i);

		expect_the_op_in_mode(&c, mode, 0);
		c.fill = FILL_TINY;
		expect_the_op_in_mode(&c, mode, 0);
	}
	for (int isa = 0; isa < 3; isa++) {
		attention_case c = case_number(3); /* f32, causal */

		c.isa = isa;
		expect_the_op_in_mode(&c, mode, 1);
	}
}

Test(block, rounding_of_the_caller_changes_no_bit_and_is_kept)
{
	expect_the_op_in_mode_of_all(&caller_round_up);
	expect_the_op_in_mode_of_all(&caller_round_to_zero);
}

#if defined(__x86_64__)
Test(block, flush_to_zero_of_the_caller_changes_no_bit_and_is_kept)
{
	expect_the_op_in_mode_of_all(&caller_flush);
}
#endif

/* ---- a block of which nothing is seen ---- */

Test(block, what_is_not_seen_gives_nothing)
{
	attention_case c = case_number(3); /* f32, causal */
	struct puzzle *p = make_puzzle(&c);
	span_tensor q = tile_of(p, p->inputs.q, c.query_heads, 0);
	span_tensor k = tile_of(p, p->inputs.k, c.kv_heads, 2);
	span_block block = block_of(p, 0, 2);
	int64_t rows = c.batch * c.query_heads * 16, d = c.head_size, w = span_block_width(24);
	float *dq = floats(query_floats(p)), *dk = floats(key_floats(p));
	float *dv = floats(key_floats(p));

	forward_tile(p, 0);
	cr_assert_eq(span_block_forward(&block, &q, &k, &k, &p->partial[2], p->workspace), SPAN_OK);
	cr_assert_eq(span_block_backward(&block, &q, &k, &k, &q, p->lse[0], p->delta[0], dq, dk,
	                                 dv, p->workspace), SPAN_OK);
	for (int64_t r = 0; r < rows; r++) {
		cr_assert_eq(p->partial[2].m[r], -INFINITY);
		cr_assert_eq(p->partial[2].l[r], 0);
		for (int64_t i = 0; i < d; i++) {
			cr_assert_eq(p->partial[2].o[r * w + i], 0);
			cr_assert_eq(dq[r * w + i], 0);
			cr_assert_eq(dk[r / 2 * w + i], 0);
			cr_assert_eq(dv[r / 2 * w + i], 0);
		}
	}
	free(dq);
	free(dk);
	free(dv);
	free_puzzle(p);
}

Test(block, a_row_that_saw_nothing_finishes_as_zero)
{
	span_block block = { .size = sizeof(block), .batch = 1, .queries = 1, .keys = 1,
		             .query_heads = 1, .kv_heads = 1, .head_size = 8, .dtype = SPAN_F32 };
	float m = -INFINITY, l = 0, o[16] = { 0 }, out[8], lse;
	span_partial partial = { o, &m, &l };
	span_tensor tensor = span_tensor_bshd(out, SPAN_F32, 1, 1, 8);

	memset(out, 0xff, sizeof(out));
	cr_assert_eq(span_block_finish(&block, &partial, &tensor, &lse), SPAN_OK);
	cr_assert_eq(lse, -INFINITY);
	for (int i = 0; i < 8; i++)
		cr_assert_eq(out[i], 0);
}

Test(block, width_is_the_head_size_in_sixteens)
{
	for (int d = 8; d <= 256; d += 8)
		cr_assert_eq(span_block_width(d), d % 16 ? d + 8 : d);
}

/* ---- cost ---- */

static double cpu_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A merge of one row takes a microsecond, and most callers merge few: what each call asks must
 * not take a hundred. */
Test(block, a_small_merge_costs_little)
{
	enum { CALLS = 1000 };
	span_block block = { .size = sizeof(block), .batch = 1, .queries = 1, .keys = 1,
		             .query_heads = 1, .kv_heads = 1, .head_size = 8, .dtype = SPAN_F32 };
	float o[2][16] = { { 0 } }, m[2] = { 0 }, l[2] = { 1, 1 };
	span_partial left = { o[0], &m[0], &l[0] }, right = { o[1], &m[1], &l[1] };
	double start;

	cr_assert_eq(span_block_merge(&block, &left, &right), SPAN_OK);
	start = cpu_now();
	for (int i = 0; i < CALLS; i++)
		span_block_merge(&block, &left, &right);
	cr_assert_lt((cpu_now() - start) / CALLS, 20e-6);
}

/* ---- wrong arguments ---- */

/* Right arguments for every function: two of everything that has a stride. */
enum { ROWS = 2 * 2 * 2 };

struct right {
	span_block block;
	span_tensor q, k, v, out;
	span_partial partial;
	float lse[ROWS], delta[ROWS], sum[ROWS * 16];
	char *workspace;
	float memory[ROWS * 8];
};

static struct right *make_right(void)
{
	struct right *x = calloc(1, sizeof(*x));

	x->block = (span_block){ .size = sizeof(span_block), .batch = 2, .queries = 2, .keys = 2,
		                 .query_heads = 2, .kv_heads = 2, .head_size = 8,
		                 .dtype = SPAN_F32 };
	x->q = x->k = x->v = x->out = span_tensor_bshd(x->memory, SPAN_F32, 2, 2, 8);
	x->partial = (span_partial){ x->sum, x->lse, x->delta };
	x->workspace = aligned_alloc(64, (span_block_workspace_bytes(&x->block) + 127) / 64 * 64);
	return x;
}

enum { FORWARD, MERGE, FINISH, DELTA, BACKWARD, GRADIENTS, FUNCTIONS };

static span_status call(struct right *x, int function)
{
	const span_tensor *out = &x->out, *q = &x->q, *k = &x->k, *v = &x->v;
	float *sum = x->sum;

	switch (function) {
	case FORWARD:
		return span_block_forward(&x->block, q, k, v, &x->partial, x->workspace);
	case MERGE:
		return span_block_merge(&x->block, &x->partial, &x->partial);
	case FINISH:
		return span_block_finish(&x->block, &x->partial, out, x->lse);
	case DELTA:
		return span_block_delta(&x->block, out, q, x->delta);
	case BACKWARD:
		return span_block_backward(&x->block, q, k, v, out, x->lse, x->delta, sum, sum,
		                           sum, x->workspace);
	default:
		return span_block_finish_gradients(&x->block, sum, sum, sum, out, out, out);
	}
}

static void expect_said(span_status actual, span_status expected, const char *name)
{
	cr_assert_eq(actual, expected, "%s: %d, \"%s\"", name, (int)actual, log_captured());
	cr_assert(strstr(log_captured(), name), "\"%s\" does not name %s", log_captured(), name);
	cr_assert_eq(log_captured_count(), 1, "%s", name);
	log_capture();
}

/* A wrong field of the block: every function refuses it, and there is no workspace for it. */
#define REFUSE(field, value, status)                                         \
	do {                                                                 \
		struct right *x = make_right();                              \
                                                                             \
		x->block.field = value;                                      \
		for (int f = 0; f < FUNCTIONS; f++)                          \
			expect_said(call(x, f), status, #field);             \
		cr_assert_eq(span_block_workspace_bytes(&x->block), 0);      \
		log_capture();                                               \
		free(x->workspace);                                          \
		free(x);                                                     \
	} while (0)

Test(block, refuses_wrong_blocks)
{
	log_capture();
	REFUSE(size, sizeof(span_block) - 1, SPAN_EINVAL);
	REFUSE(size, sizeof(span_block) + 8, SPAN_EINVAL);
	REFUSE(batch, 0, SPAN_EINVAL);
	REFUSE(batch, -1, SPAN_EINVAL);
	REFUSE(batch, INT64_MAX, SPAN_EINVAL);
	REFUSE(queries, 0, SPAN_EINVAL);
	REFUSE(queries, 4097, SPAN_EINVAL);
	REFUSE(keys, 0, SPAN_EINVAL);
	REFUSE(keys, 4097, SPAN_EINVAL);
	REFUSE(first_query, -1, SPAN_EINVAL);
	REFUSE(first_query, INT64_MAX, SPAN_EINVAL);
	REFUSE(first_key, -1, SPAN_EINVAL);
	REFUSE(first_key, INT64_MAX, SPAN_EINVAL);
	REFUSE(kv_heads, 0, SPAN_EINVAL);
	REFUSE(kv_heads, 65537, SPAN_EINVAL);
	REFUSE(query_heads, 0, SPAN_EINVAL);
	REFUSE(query_heads, 3, SPAN_EINVAL);
	REFUSE(query_heads, 65538, SPAN_EINVAL);
	REFUSE(head_size, 12, SPAN_EUNSUPPORTED);
	REFUSE(head_size, 0, SPAN_EUNSUPPORTED);
	REFUSE(head_size, 264, SPAN_EUNSUPPORTED);
	REFUSE(dtype, (span_dtype)0, SPAN_EINVAL);
	REFUSE(scale, -1.0f, SPAN_EINVAL);
	REFUSE(scale, NAN, SPAN_EINVAL);
	REFUSE(scale, INFINITY, SPAN_EINVAL);
	REFUSE(scale, 3e38f, SPAN_EINVAL);
	cr_assert_eq(span_block_workspace_bytes(NULL), 0);
	cr_assert_eq(span_block_width(8), 16);
	cr_assert_eq(span_block_width(0), 0);
	cr_assert_eq(span_block_width(INT32_MAX), 0);
	cr_assert(strstr(log_captured(), "block is NULL"));
}

static void expect_tensor_refused(struct right *x, int function, span_tensor *tensor,
                                  const char *name)
{
	span_tensor good = *tensor;

	tensor->data = NULL;
	expect_said(call(x, function), SPAN_EINVAL, name);
	*tensor = good;
	tensor->dtype = SPAN_F16;
	expect_said(call(x, function), SPAN_EINVAL, name);
	*tensor = good;
	tensor->token_stride = -1;
	expect_said(call(x, function), SPAN_EINVAL, name);
	*tensor = good;
	tensor->batch_stride = -1;
	expect_said(call(x, function), SPAN_EINVAL, name);
	*tensor = good;
	tensor->head_stride = -1;
	expect_said(call(x, function), SPAN_EINVAL, name);
	*tensor = good;
	tensor->batch_stride = INT64_MAX;
	expect_said(call(x, function), SPAN_EINVAL, "lead beyond all memory");
	*tensor = good;
	tensor->token_stride = PTRDIFF_MAX / (int64_t)sizeof(float);
	expect_said(call(x, function), SPAN_EINVAL, "lead beyond all memory");
	*tensor = good;
	tensor->data = (char *)good.data + 1;
	expect_said(call(x, function), SPAN_EINVAL, "not aligned to its dtype");
	*tensor = good;
}

/* Elements of an output that share memory; of an input they may. */
static void expect_overlap_refused(int function, int64_t batch, int64_t token, int64_t head)
{
	struct right *x = make_right();

	x->out.batch_stride = batch;
	x->out.token_stride = token;
	x->out.head_stride = head;
	log_capture();
	expect_said(call(x, function), SPAN_EINVAL, "make its elements overlap");
	expect_said(span_block_finish_gradients(&x->block, NULL, x->sum, NULL, NULL, &x->out, NULL),
	            SPAN_EINVAL, "strides of dk");
	x->q = x->k = x->v = x->out;
	x->out = span_tensor_bshd(x->memory, SPAN_F32, 2, 2, 8);
	cr_assert_eq(call(x, FORWARD), SPAN_OK);
	free(x->workspace);
	free(x);
}

Test(block, refuses_outputs_that_overlap_themselves)
{
	static const int functions[] = { FINISH, GRADIENTS };

	for (int i = 0; i < 2; i++) {
		expect_overlap_refused(functions[i], 0, 16, 8);
		expect_overlap_refused(functions[i], 32, 0, 8);
		expect_overlap_refused(functions[i], 32, 16, 0);
		expect_overlap_refused(functions[i], 32, 16, 7);
		expect_overlap_refused(functions[i], 31, 16, 8);
	}
}

/* What a tensor has one of is not stepped over, so its stride may be anything. */
Test(block, a_stride_that_is_not_used_does_not_matter)
{
	struct right *x = make_right();

	x->block.batch = x->block.queries = x->block.keys = 1;
	x->block.query_heads = x->block.kv_heads = 1;
	x->q.batch_stride = x->k.token_stride = x->out.head_stride = -1;
	x->out.batch_stride = INT64_MAX;
	log_capture();
	for (int f = 0; f < FUNCTIONS; f++)
		cr_assert_eq(call(x, f), SPAN_OK, "%s", log_captured());
	free(x->workspace);
	free(x);
}

Test(block, refuses_wrong_tensors)
{
	struct right *x = make_right();

	log_capture();
	expect_tensor_refused(x, FORWARD, &x->q, ": q");
	expect_tensor_refused(x, FORWARD, &x->k, ": k");
	expect_tensor_refused(x, FORWARD, &x->v, ": v");
	expect_tensor_refused(x, FINISH, &x->out, ": out");
	expect_tensor_refused(x, DELTA, &x->out, ": out");
	expect_tensor_refused(x, DELTA, &x->q, ": dout");
	expect_tensor_refused(x, BACKWARD, &x->q, ": q");
	expect_tensor_refused(x, BACKWARD, &x->k, ": k");
	expect_tensor_refused(x, BACKWARD, &x->v, ": v");
	expect_tensor_refused(x, BACKWARD, &x->out, ": dout");
	expect_tensor_refused(x, GRADIENTS, &x->out, ": dq");
	free(x->workspace);
	free(x);
}

Test(block, refuses_null_and_what_is_not_aligned)
{
	struct right *x = make_right();
	span_block *b = &x->block;
	span_tensor *t = &x->q;
	span_partial *p = &x->partial, hole;
	float *f = x->sum;
	void *w = x->workspace;
	static const char *const odd[] = { "partial->o is not", "partial->m is not",
		                           "partial->l is not" };
	static const char *const null[] = { "partial->o is NULL", "partial->m is NULL",
		                            "partial->l is NULL" };

	log_capture();
	expect_said(span_block_forward(NULL, t, t, t, p, w), SPAN_EINVAL, "block is NULL");
	expect_said(span_block_forward(b, NULL, t, t, p, w), SPAN_EINVAL, "q is NULL");
	expect_said(span_block_forward(b, t, NULL, t, p, w), SPAN_EINVAL, "k is NULL");
	expect_said(span_block_forward(b, t, t, NULL, p, w), SPAN_EINVAL, "v is NULL");
	expect_said(span_block_forward(b, t, t, t, NULL, w), SPAN_EINVAL, "partial");
	expect_said(span_block_forward(b, t, t, t, p, NULL), SPAN_EINVAL, "workspace");
	expect_said(span_block_forward(b, t, t, t, p, (char *)w + 16), SPAN_EINVAL, "workspace");
	for (int i = 0; i < 3; i++) {
		hole = *p;
		*(i == 0 ? &hole.o : i == 1 ? &hole.m : &hole.l) = (float *)((char *)f + 2);
		expect_said(span_block_forward(b, t, t, t, &hole, w), SPAN_EINVAL, odd[i]);
		*(i == 0 ? &hole.o : i == 1 ? &hole.m : &hole.l) = NULL;
		expect_said(span_block_forward(b, t, t, t, &hole, w), SPAN_EINVAL, null[i]);
		expect_said(span_block_merge(b, &hole, p), SPAN_EINVAL, "left");
		expect_said(span_block_merge(b, p, &hole), SPAN_EINVAL, "right");
		expect_said(span_block_finish(b, &hole, t, f), SPAN_EINVAL, "partial");
	}
	expect_said(span_block_merge(b, NULL, p), SPAN_EINVAL, "left");
	expect_said(span_block_merge(b, p, NULL), SPAN_EINVAL, "right");
	expect_said(span_block_finish(b, NULL, t, f), SPAN_EINVAL, "partial");
	expect_said(span_block_finish(b, p, NULL, f), SPAN_EINVAL, "out is NULL");
	expect_said(span_block_finish(b, p, t, NULL), SPAN_EINVAL, "lse is NULL");
	expect_said(span_block_delta(b, NULL, t, f), SPAN_EINVAL, "out is NULL");
	expect_said(span_block_delta(b, t, NULL, f), SPAN_EINVAL, "dout is NULL");
	expect_said(span_block_delta(b, t, t, NULL), SPAN_EINVAL, "delta is NULL");
	expect_said(span_block_backward(b, NULL, t, t, t, f, f, f, f, f, w), SPAN_EINVAL, "q is");
	expect_said(span_block_backward(b, t, NULL, t, t, f, f, f, f, f, w), SPAN_EINVAL, "k is");
	expect_said(span_block_backward(b, t, t, NULL, t, f, f, f, f, f, w), SPAN_EINVAL, "v is");
	expect_said(span_block_backward(b, t, t, t, NULL, f, f, f, f, f, w), SPAN_EINVAL, "dout is");
	expect_said(span_block_backward(b, t, t, t, t, NULL, f, f, f, f, w), SPAN_EINVAL, "lse is");
	expect_said(span_block_backward(b, t, t, t, t, f, NULL, f, f, f, w), SPAN_EINVAL, "delta is");
	expect_said(span_block_backward(b, t, t, t, t, f, f, NULL, f, f, w), SPAN_EINVAL, "dq is");
	expect_said(span_block_backward(b, t, t, t, t, f, f, f, NULL, f, w), SPAN_EINVAL, "dk is");
	expect_said(span_block_backward(b, t, t, t, t, f, f, f, f, NULL, w), SPAN_EINVAL, "dv is");
	expect_said(span_block_backward(b, t, t, t, t, f, f, f, f, f, NULL), SPAN_EINVAL,
	            "workspace");
	free(x->workspace);
	free(x);
}

/* A pair may be left out as a whole, but not by half. */
Test(block, finishes_the_gradients_that_are_given)
{
	struct right *x = make_right();
	span_block *b = &x->block;
	span_tensor *t = &x->out;
	float *f = x->sum;

	log_capture();
	f[0] = 3;
	expect_said(span_block_finish_gradients(b, f, NULL, NULL, NULL, NULL, NULL), SPAN_EINVAL,
	            "dq is NULL");
	expect_said(span_block_finish_gradients(b, NULL, NULL, NULL, t, NULL, NULL), SPAN_EINVAL,
	            "dq_sum is NULL");
	expect_said(span_block_finish_gradients(b, NULL, f, NULL, NULL, NULL, NULL), SPAN_EINVAL,
	            "dk is NULL");
	expect_said(span_block_finish_gradients(b, NULL, NULL, NULL, NULL, t, NULL), SPAN_EINVAL,
	            "dk_sum is NULL");
	expect_said(span_block_finish_gradients(b, NULL, NULL, f, NULL, NULL, NULL), SPAN_EINVAL,
	            "dv is NULL");
	expect_said(span_block_finish_gradients(b, NULL, NULL, NULL, NULL, NULL, t), SPAN_EINVAL,
	            "dv_sum is NULL");
	cr_assert_eq(x->memory[0], 0);
	cr_assert_eq(span_block_finish_gradients(b, NULL, NULL, f, NULL, NULL, t), SPAN_OK);
	cr_assert_eq(x->memory[0], 3);
	free(x->workspace);
	free(x);
}
