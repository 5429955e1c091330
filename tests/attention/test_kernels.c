/* Every set of kernels this processor runs against the specification in plain C: equality to
 * the bit over random odd shapes, every buffer between guard pages. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "attention/span_transport.h"
#include "tests/attention/kernel_case.h"

enum { MOST_TILES = 6, FORWARD_CASES = 240, LEAF_CASES = 160, ROW_CASES = 120 };

static const span_dtype dtypes[] = { SPAN_F32, SPAN_BF16, SPAN_F16 };

/* Sizes near the edges of register blocks come as often as any other. */
static int odd_size(case_random *random, int most)
{
	static const int edges[] = { 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 15, 16, 17, 31, 33, 63,
		                     64, 65, 95, 96, 97, 127, 129, 193, 255, 256, 257, 511 };
	int size = case_between(random, 0, 1)
	                   ? edges[case_between(random, 0, sizeof(edges) / sizeof(int) - 1)]
	                   : case_between(random, 1, most);

	return size < most ? size : most;
}

static int head_size_of(case_random *random)
{
	return 8 * (case_between(random, 0, 3) ? case_between(random, 1, 12)
	                                       : case_between(random, 13, 32));
}

/* ---- forward ---- */

struct forward_case {
	span_forward_task task;
	span_key_tile tiles[MOST_TILES];
	int width;
	int shared; /* key tiles come packed, for several tasks to share */
	float *m;   /* what schedule order starts from */
	float *l;
	float *o;
};

/* Partly seen, seen whole, or seen by the last row alone; never by none. */
static int64_t shift_of(case_random *random, int rows, int keys)
{
	switch (case_between(random, 0, 4)) {
	case 0:
		return keys + case_between(random, 0, 5);
	case 1:
		return 1 - rows;
	case 2:
		return (int64_t)1 << 40;
	default:
		return case_between(random, 1 - rows, keys);
	}
}

static void make_forward(struct forward_case *c, guarded_pool *pool, guarded_edge edge,
                         case_random *random)
{
	case_fill fill = (case_fill)case_between(random, 0, FILL_KINDS - 1);
	span_dtype dtype = dtypes[case_between(random, 0, 2)];
	int head_size = head_size_of(random), tile = 16 << case_between(random, 0, 5);
	int rows = odd_size(random, SPAN_KERNEL_ROWS);
	uint32_t address = (uint32_t)case_between(random, 0, 2);
	span_forward_task *t = &c->task;

	c->width = span_width(head_size);
	c->shared = case_between(random, 0, 3) == 0;
	*t = (span_forward_task){ .dtype = dtype, .head_size = head_size, .rows = rows,
		                  .q_stride = head_size + 8 * case_between(random, 0, 3),
		                  .scale = 1.44269504f / (float)case_between(random, 1, 16),
		                  .tiles = c->tiles, .tile = tile,
		                  .n_tiles = case_between(random, 1, MOST_TILES), .levels = 7,
		                  .running = case_between(random, 0, 3) == 0 };
	t->q = case_rows(pool, edge, random, fill, dtype, rows, head_size, t->q_stride);
	for (int i = 0; i < t->n_tiles; i++) {
		span_key_tile *k = &c->tiles[i];

		*k = (span_key_tile){ 0 };
		k->keys = odd_size(random, tile);
		k->k_stride = head_size + case_between(random, 0, 2) * 24;
		k->v_stride = head_size + case_between(random, 0, 2) * 40;
		k->shift = shift_of(random, rows, k->keys);
		k->address = address;
		address += (uint32_t)case_between(random, 1, 4); /* gaps: tiles of other blocks */
		k->k = case_rows(pool, edge, random, fill, dtype, k->keys, head_size,
		                 k->k_stride);
		k->v = case_rows(pool, edge, random, fill, dtype, k->keys, head_size,
		                 k->v_stride);
	}
	c->m = case_floats(pool, edge, random, FILL_PLAIN, rows);
	c->l = case_floats(pool, edge, random, FILL_PLAIN, rows);
	c->o = case_floats(pool, edge, random, FILL_PLAIN, (int64_t)rows * c->width);
	for (int r = 0; r < rows; r++)
		if (case_between(random, 0, 3) == 0)
			c->m[r] = -INFINITY, c->l[r] = 0.0f,
			memset(c->o + (int64_t)r * c->width, 0, sizeof(float) * (size_t)c->width);
}

static float *packed(guarded_pool *pool, guarded_edge edge, const span_kernels *kernels,
                     const float *source, int keys, int width)
{
	size_t floats = kernels->packed_floats(keys, width);
	float *data = guarded_take(pool, floats * sizeof(float), edge);

	kernels->pack_keys(source, width, keys, width, data);
	return data;
}

/* Keys packed and values in f32 as one set of kernels wants them. */
static span_key_tile shared_tile(const struct forward_case *c, const span_key_tile *from,
                                 guarded_pool *pool, guarded_edge edge,
                                 const span_kernels *kernels)
{
	size_t bytes = sizeof(float) * (size_t)from->keys * (size_t)c->width;
	float *k = guarded_take(pool, bytes, edge), *v = guarded_take(pool, bytes, edge);
	span_key_tile tile = *from;

	kernels->load_rows(c->task.dtype, from->k, from->k_stride, from->keys,
	                   c->task.head_size, 1.0f, k);
	kernels->load_rows(c->task.dtype, from->v, from->v_stride, from->keys,
	                   c->task.head_size, 1.0f, v);
	tile.packed = packed(pool, edge, kernels, k, from->keys, c->width);
	tile.values = v;
	return tile;
}

static span_forward_task run_forward(const struct forward_case *c, guarded_pool *pool,
                                     guarded_edge edge, const span_kernels *kernels)
{
	span_forward_task task = c->task;
	span_key_tile tiles[MOST_TILES];
	size_t bytes = kernels->forward_scratch(task.tile, c->width, task.levels);

	task.m = case_copy(pool, edge, c->m, task.rows);
	task.l = case_copy(pool, edge, c->l, task.rows);
	task.o = case_copy(pool, edge, c->o, (int64_t)task.rows * c->width);
	task.scratch = guarded_take(pool, (bytes + 63) / 64 * 64, edge);
	for (int i = 0; c->shared && i < task.n_tiles; i++)
		tiles[i] = shared_tile(c, &c->tiles[i], pool, edge, kernels);
	if (c->shared)
		task.tiles = tiles;
	kernels->forward(&task);
	return task;
}

/* m of a row that is NaN says nothing: which maximum a NaN leaves depends on the order. */
static void expect_same_partials(const span_forward_task *a, const span_forward_task *b,
                                 const char *what)
{
	for (int r = 0; r < a->rows; r++)
		cr_assert(a->l[r] != a->l[r] || case_difference(a->m + r, b->m + r, 1) < 0,
		          "%s: m of row %d is %a, not %a", what, r, b->m[r], a->m[r]);
	for (int r = 0; r < a->rows; r++)
		cr_assert_lt(case_difference(a->l + r, b->l + r, 1), 0,
		             "%s: l of row %d is %a, not %a", what, r, b->l[r], a->l[r]);
	cr_assert_lt(case_row_difference(a->o, b->o, a->rows, a->head_size), 0, "%s: o", what);
}

Test(kernels, forward_has_the_bits_of_the_specification)
{
	case_random random = { 1 };

	for (int i = 0; i < FORWARD_CASES; i++) {
		guarded_pool pool = { 0 };
		guarded_edge edge = (guarded_edge)(i % 2);
		struct forward_case c;
		const span_kernels *kernels;
		span_forward_task expected, actual;
		char what[128];

		make_forward(&c, &pool, edge, &random);
		expected = run_forward(&c, &pool, edge, &span_kernels_ref);
		for (int k = 1; (kernels = span_kernels_at(k)); k++) {
			snprintf(what, sizeof(what), "%s case %d: %d rows, %d tiles, T %d, D %d%s",
			         kernels->name, i, c.task.rows, c.task.n_tiles, c.task.tile,
			         c.task.head_size, c.task.running ? ", running" : "");
			actual = run_forward(&c, &pool, edge, kernels);
			expect_same_partials(&expected, &actual, what);
		}
		guarded_release(&pool);
	}
}

/* ---- backward ---- */

struct leaf_case {
	span_backward_leaf leaf;
	int width;
	const float *v;
	const float *dq;
	const float *dk;
	const float *dv;
};

/* Rows of `width` floats, zero behind head_size. */
static float *wide_rows(guarded_pool *pool, guarded_edge edge, case_random *random,
                        case_fill fill, int64_t rows, int head_size)
{
	int width = span_width(head_size);
	float *data = case_floats(pool, edge, random, fill, rows * width);

	for (int64_t r = 0; r < rows; r++)
		for (int d = head_size; d < width; d++)
			data[r * width + d] = 0.0f;
	return data;
}

static void make_leaf(struct leaf_case *c, guarded_pool *pool, guarded_edge edge,
                      case_random *random)
{
	case_fill fill = (case_fill)case_between(random, 0, FILL_KINDS - 1);
	int head_size = head_size_of(random), tile = 16 << case_between(random, 0, 5);
	span_backward_leaf *l = &c->leaf;
	int64_t all;
	float *lse2;

	*l = (span_backward_leaf){ .head_size = head_size, .tile = tile,
		                   .heads = case_between(random, 1, 4),
		                   .rows = odd_size(random, tile),
		                   .keys = odd_size(random, tile),
		                   .write_dq = (span_write)case_between(random, 0, 2),
		                   .write_dkv = (span_write)case_between(random, 0, 2) };
	c->width = span_width(head_size);
	l->row_head = l->rows + case_between(random, 0, 3);
	l->q_head = l->row_head * c->width;
	l->dq_head = (l->rows + case_between(random, 0, 3)) * c->width;
	l->shift = case_between(random, 0, 2) ? shift_of(random, l->rows, l->keys)
	                                      : case_between(random, -l->rows - 3, 3);
	all = (l->heads - 1) * l->row_head + l->rows;
	l->q = wide_rows(pool, edge, random, fill, all, head_size);
	l->dout = wide_rows(pool, edge, random, fill, all, head_size);
	lse2 = case_floats(pool, edge, random, FILL_PLAIN, all);
	for (int64_t i = 0; i < all; i++)
		lse2[i] = case_between(random, 0, 40) ? lse2[i] * 4.0f : INFINITY;
	l->lse2 = lse2;
	l->delta = case_floats(pool, edge, random, fill, all);
	l->k = wide_rows(pool, edge, random, fill, l->keys, head_size);
	c->v = wide_rows(pool, edge, random, fill, l->keys, head_size);
	c->dq = case_floats(pool, edge, random, fill,
	                    (l->heads - 1) * l->dq_head + (int64_t)l->rows * c->width);
	c->dk = case_floats(pool, edge, random, fill, (int64_t)l->keys * c->width);
	c->dv = case_floats(pool, edge, random, fill, (int64_t)l->keys * c->width);
}

static span_backward_leaf run_leaf(const struct leaf_case *c, guarded_pool *pool,
                                   guarded_edge edge, const span_kernels *kernels)
{
	span_backward_leaf leaf = c->leaf;
	size_t bytes = kernels->leaf_scratch(leaf.tile, c->width, leaf.heads);

	leaf.k_packed = packed(pool, edge, kernels, leaf.k, leaf.keys, c->width);
	leaf.v_packed = packed(pool, edge, kernels, c->v, leaf.keys, c->width);
	leaf.dq = case_copy(pool, edge, c->dq,
	                    (leaf.heads - 1) * leaf.dq_head + (int64_t)leaf.rows * c->width);
	leaf.dk = case_copy(pool, edge, c->dk, (int64_t)leaf.keys * c->width);
	leaf.dv = case_copy(pool, edge, c->dv, (int64_t)leaf.keys * c->width);
	leaf.scratch = guarded_take(pool, (bytes + 63) / 64 * 64, edge);
	kernels->leaf(&leaf);
	return leaf;
}

Test(kernels, a_backward_leaf_has_the_bits_of_the_specification)
{
	case_random random = { 2 };

	for (int i = 0; i < LEAF_CASES; i++) {
		guarded_pool pool = { 0 };
		guarded_edge edge = (guarded_edge)(i % 2);
		struct leaf_case c;
		const span_kernels *kernels;
		span_backward_leaf a, b;
		char what[160];

		make_leaf(&c, &pool, edge, &random);
		a = run_leaf(&c, &pool, edge, &span_kernels_ref);
		for (int k = 1; (kernels = span_kernels_at(k)); k++) {
			snprintf(what, sizeof(what),
			         "%s case %d: heads %d rows %d keys %d shift %lld T %d D %d %d %d",
			         kernels->name, i, a.heads, a.rows, a.keys, (long long)a.shift,
			         a.tile, a.head_size, (int)a.write_dq, (int)a.write_dkv);
			b = run_leaf(&c, &pool, edge, kernels);
			cr_assert_lt(case_row_difference(a.dk, b.dk, a.keys, a.head_size), 0,
			             "%s: dk", what);
			cr_assert_lt(case_row_difference(a.dv, b.dv, a.keys, a.head_size), 0,
			             "%s: dv", what);
			for (int h = 0; h < a.heads; h++)
				cr_assert_lt(case_row_difference(a.dq + h * a.dq_head,
				                                 b.dq + h * a.dq_head, a.rows,
				                                 a.head_size),
				             0, "%s: dq", what);
		}
		guarded_release(&pool);
	}
}

/* ---- what a mask hides ---- */

Test(kernels, a_nan_behind_the_mask_changes_no_bit)
{
	enum { ROWS = 41, KEYS = 41, D = 40, HIDDEN = 23 };
	const span_kernels *kernels;
	case_random random = { 3 };

	for (int k = 0; (kernels = span_kernels_at(k)); k++) {
		guarded_pool pool = { 0 };
		struct forward_case c = { .width = span_width(D) };
		span_forward_task clean, poisoned;
		float *key, *value;

		key = case_rows(&pool, GUARD_END, &random, FILL_PLAIN, SPAN_F32, KEYS, D, D);
		value = case_rows(&pool, GUARD_END, &random, FILL_PLAIN, SPAN_F32, KEYS, D, D);
		c.tiles[0] = (span_key_tile){ .k = key, .v = value, .k_stride = D,
			                           .v_stride = D, .keys = KEYS };
		c.task = (span_forward_task){ .dtype = SPAN_F32, .head_size = D, .rows = ROWS,
			                      .q_stride = D, .scale = 0.2f, .tiles = c.tiles,
			                      .n_tiles = 1, .tile = 64, .levels = 2 };
		c.task.q = case_rows(&pool, GUARD_END, &random, FILL_PLAIN, SPAN_F32, ROWS, D, D);
		c.m = case_floats(&pool, GUARD_END, &random, FILL_PLAIN, ROWS);
		c.l = case_copy(&pool, GUARD_END, c.m, ROWS);
		c.o = case_floats(&pool, GUARD_END, &random, FILL_PLAIN, ROWS * c.width);
		clean = run_forward(&c, &pool, GUARD_END, kernels);
		for (int i = HIDDEN * D; i < KEYS * D; i++)
			key[i] = value[i] = i % 2 ? NAN : INFINITY;
		poisoned = run_forward(&c, &pool, GUARD_END, kernels);
		clean.rows = HIDDEN; /* rows 0 .. 22 see keys 0 .. 22 at most */
		expect_same_partials(&clean, &poisoned, kernels->name);
		cr_assert(poisoned.l[HIDDEN] != poisoned.l[HIDDEN], "row %d sees NaN", HIDDEN);
		guarded_release(&pool);
	}
}

Test(kernels, a_nan_row_reaches_only_the_keys_it_sees)
{
	enum { N = 41, D = 40, BAD = 17 };
	const span_kernels *kernels;
	case_random random = { 4 };

	for (int k = 0; (kernels = span_kernels_at(k)); k++) {
		guarded_pool pool = { 0 };
		struct leaf_case c = { .width = span_width(D) };
		span_backward_leaf *l = &c.leaf, clean, poisoned;
		float *q;

		*l = (span_backward_leaf){ .head_size = D, .heads = 1, .rows = N, .keys = N,
			                   .tile = 64, .q_head = 0 };
		l->q = q = wide_rows(&pool, GUARD_END, &random, FILL_PLAIN, N, D);
		l->dout = wide_rows(&pool, GUARD_END, &random, FILL_PLAIN, N, D);
		l->lse2 = case_floats(&pool, GUARD_END, &random, FILL_PLAIN, N);
		l->delta = case_floats(&pool, GUARD_END, &random, FILL_PLAIN, N);
		l->k = wide_rows(&pool, GUARD_END, &random, FILL_PLAIN, N, D);
		c.v = wide_rows(&pool, GUARD_END, &random, FILL_PLAIN, N, D);
		c.dq = c.dk = c.dv = case_floats(&pool, GUARD_END, &random, FILL_PLAIN,
		                                 N * span_width(D));
		clean = run_leaf(&c, &pool, GUARD_END, kernels);
		for (int d = 0; d < D; d++)
			q[BAD * c.width + d] = NAN;
		poisoned = run_leaf(&c, &pool, GUARD_END, kernels);
		for (int i = 0; i < N; i++) { /* row 17 sees keys 0 .. 17 */
			int64_t at = (int64_t)i * c.width;

			cr_assert_eq(case_difference(clean.dv + at, poisoned.dv + at, D) >= 0,
			             i <= BAD, "%s: dv of key %d", kernels->name, i);
			cr_assert_eq(case_difference(clean.dk + at, poisoned.dk + at, D) >= 0,
			             i <= BAD, "%s: dk of key %d", kernels->name, i);
			cr_assert_eq(case_difference(clean.dq + at, poisoned.dq + at, D) >= 0,
			             i == BAD, "%s: dq of row %d", kernels->name, i);
		}
		guarded_release(&pool);
	}
}

/* ---- rows ---- */

struct row_case {
	span_dtype dtype;
	int rows;
	int head_size;
	int64_t stride;
	float scale;
	const void *a;      /* dtype rows */
	const void *b;
	const float *left;  /* [rows][width], their m and l */
	const float *right;
	const float *left_m, *left_l, *right_m, *right_l;
};

static void make_partial(guarded_pool *pool, guarded_edge edge, case_random *random, int rows,
                         const float **m, const float **l)
{
	float *maximum = case_floats(pool, edge, random, FILL_PLAIN, rows);
	float *sum = case_floats(pool, edge, random, FILL_SPECIAL, rows);

	for (int r = 0; r < rows; r++) {
		maximum[r] = (float)case_between(random, -140, 5);
		sum[r] = case_between(random, 0, 4) ? sum[r] * sum[r] + 0.5f : sum[r];
		if (case_between(random, 0, 4) == 0)
			maximum[r] = -INFINITY, sum[r] = 0.0f;
	}
	*m = maximum;
	*l = sum;
}

static void make_rows(struct row_case *c, guarded_pool *pool, guarded_edge edge,
                      case_random *random)
{
	case_fill fill = (case_fill)case_between(random, 0, FILL_KINDS - 1);
	int64_t floats;

	c->dtype = dtypes[case_between(random, 0, 2)];
	c->rows = odd_size(random, 64);
	c->head_size = head_size_of(random);
	c->stride = c->head_size + case_between(random, 0, 9);
	c->scale = case_between(random, 0, 1) ? 1.0f : case_uniform(random);
	floats = (int64_t)c->rows * span_width(c->head_size);
	c->a = case_rows(pool, edge, random, fill, c->dtype, c->rows, c->head_size, c->stride);
	c->b = case_rows(pool, edge, random, fill, c->dtype, c->rows, c->head_size, c->stride);
	c->left = case_floats(pool, edge, random, fill, floats);
	c->right = case_floats(pool, edge, random, fill, floats);
	make_partial(pool, edge, random, c->rows, &c->left_m, &c->left_l);
	make_partial(pool, edge, random, c->rows, &c->right_m, &c->right_l);
}

/* Everything the row functions of one set make of a case. */
struct row_results {
	float *loaded, *delta, *m, *l, *o, *lse, *sum;
	char *stored, *finished;
	size_t bytes; /* of stored and finished: between rows they are 0xff */
};

static struct row_results run_rows(const struct row_case *c, guarded_pool *pool,
                                   guarded_edge edge, const span_kernels *k)
{
	int width = span_width(c->head_size), rows = c->rows;
	size_t floats = (size_t)rows * (size_t)width * sizeof(float);
	size_t row_bytes = (size_t)rows * sizeof(float);
	size_t sums = (size_t)(rows * width - 3), part = sums / 3;
	struct row_results x = {
		.loaded = guarded_take(pool, floats, edge),
		.delta = guarded_take(pool, row_bytes, edge),
		.m = guarded_take(pool, row_bytes, edge),
		.l = guarded_take(pool, row_bytes, edge),
		.o = guarded_take(pool, floats, edge),
		.lse = guarded_take(pool, row_bytes, edge),
		.sum = case_copy(pool, edge, c->left, (int64_t)rows * width - 3),
		.bytes = ((size_t)((rows - 1) * c->stride) + (size_t)c->head_size) *
		         span_dtype_bytes(c->dtype),
	};

	x.stored = guarded_take(pool, x.bytes, edge);
	x.finished = guarded_take(pool, x.bytes, edge);
	k->load_rows(c->dtype, c->a, c->stride, rows, c->head_size, c->scale, x.loaded);
	k->dot_rows(c->dtype, c->a, c->stride, c->b, c->stride, rows, c->head_size, x.delta);
	k->store_rows(c->left, rows, c->head_size, c->scale, c->dtype, x.stored, c->stride);
	k->merge(rows, width, c->left_m, c->left_l, c->left, c->right_m, c->right_l, c->right,
	         x.m, x.l, x.o);
	k->finish(rows, c->head_size, c->left_m, c->left_l, c->left, c->dtype, x.finished,
	          c->stride, x.lse);
	k->add(x.sum, x.sum, c->right, part);
	k->add(x.sum + part, c->left + part, x.sum + part, part);
	k->add(x.sum + 2 * part, c->left + 2 * part, c->right + 2 * part, sums - 2 * part);
	return x;
}

Test(kernels, row_functions_have_the_bits_of_the_specification)
{
	case_random random = { 5 };

	for (int i = 0; i < ROW_CASES; i++) {
		guarded_pool pool = { 0 };
		guarded_edge edge = (guarded_edge)(i % 2);
		struct row_case c;
		struct row_results a, b;
		const span_kernels *kernels;
		int64_t floats;

		make_rows(&c, &pool, edge, &random);
		floats = (int64_t)c.rows * span_width(c.head_size);
		a = run_rows(&c, &pool, edge, &span_kernels_ref);
		for (int k = 1; (kernels = span_kernels_at(k)); k++) {
			const char *name = kernels->name;

			b = run_rows(&c, &pool, edge, kernels);
			cr_assert_lt(case_difference(a.loaded, b.loaded, floats), 0, "%s", name);
			cr_assert_lt(case_difference(a.delta, b.delta, c.rows), 0, "%s", name);
			cr_assert_lt(case_difference(a.m, b.m, c.rows), 0, "%s", name);
			cr_assert_lt(case_difference(a.l, b.l, c.rows), 0, "%s", name);
			cr_assert_lt(case_difference(a.o, b.o, floats), 0, "%s", name);
			cr_assert_lt(case_difference(a.sum, b.sum, floats - 3), 0, "%s", name);
			cr_assert_eq(memcmp(a.lse, b.lse, sizeof(float) * (size_t)c.rows), 0,
			             "%s", name);
			cr_assert_eq(memcmp(a.stored, b.stored, a.bytes), 0, "%s", name);
			cr_assert_eq(memcmp(a.finished, b.finished, a.bytes), 0, "%s", name);
		}
		guarded_release(&pool);
	}
}

/* Every length around the 64 and 256 bytes that are folded at a time. */
Test(kernels, the_digest_is_that_of_the_specification_at_every_length)
{
	enum { LONGEST = 1300 };
	case_random random = { 6 };

	for (size_t n = 0; n <= LONGEST; n++) {
		guarded_pool pool = { 0 };
		unsigned char *data = guarded_take(&pool, n + 1, (guarded_edge)(n % 2));
		const span_kernels *kernels;

		for (size_t i = 0; i <= n; i++)
			data[i] = (unsigned char)case_between(&random, 0, 255);
		for (int k = 1; (kernels = span_kernels_at(k)); k++)
			cr_assert_eq(kernels->digest(data + 1, n), span_digest(data + 1, n),
			             "%s, %zu bytes", kernels->name, n);
		guarded_release(&pool);
	}
}

Test(kernels, merging_with_a_row_that_saw_nothing_changes_nothing)
{
	const span_kernels *kernels;

	for (int k = 0; (kernels = span_kernels_at(k)); k++) {
		float m[] = { 3.0f, -INFINITY, -INFINITY }, l[] = { 1.5f, 0.0f, 0.0f };
		float other_m[] = { -INFINITY, -7.0f, -INFINITY }, other_l[] = { 0, 2.25f, 0 };
		float o[3 * 16], other_o[3 * 16] = { 0 };

		for (int i = 0; i < 16; i++) {
			o[i] = (float)i - 7.3f;
			o[16 + i] = o[32 + i] = 0.0f;
			other_o[16 + i] = 0x1p-120f * (float)i;
		}
		kernels->merge(3, 16, m, l, o, other_m, other_l, other_o, m, l, o);
		cr_assert_eq(m[0], 3.0f);
		cr_assert_eq(l[0], 1.5f);
		cr_assert_eq(m[1], -7.0f);
		cr_assert_eq(l[1], 2.25f);
		cr_assert_eq(m[2], -INFINITY);
		cr_assert_eq(l[2], 0.0f);
		for (int i = 0; i < 16; i++) {
			cr_assert_eq(o[i], (float)i - 7.3f);
			cr_assert_eq(o[16 + i], 0x1p-120f * (float)i);
			cr_assert_eq(o[32 + i], 0.0f);
		}
	}
}

/* ---- the tree ---- */

/* A row's partial over some tiles is what merging its leaves by the rule of the tree gives. */
Test(kernels, tiles_meet_along_the_tree)
{
	enum { D = 16, T = 16, TILES = 5 };
	static const uint32_t address[TILES] = { 1, 2, 3, 6, 12 }; /* ((1 (2 3)) 6) 12 */
	const span_kernels *kernels;
	case_random random = { 6 };

	for (int k = 0; (kernels = span_kernels_at(k)); k++) {
		guarded_pool pool = { 0 };
		float m[TILES], l[TILES], o[TILES][D], whole_m, whole_l, whole_o[D];
		span_key_tile tiles[TILES];
		float *q = case_rows(&pool, GUARD_END, &random, FILL_PLAIN, SPAN_F32, 1, D, D);
		span_forward_task task = { .dtype = SPAN_F32, .head_size = D, .rows = 1,
			                   .q = q, .q_stride = D, .scale = 1.0f, .n_tiles = 1,
			                   .tile = T, .levels = 6 };
		size_t bytes = kernels->forward_scratch(T, D, task.levels);

		task.scratch = guarded_take(&pool, (bytes + 63) / 64 * 64, GUARD_END);
		for (int t = 0; t < TILES; t++) {
			float *key = case_rows(&pool, GUARD_END, &random, FILL_PLAIN, SPAN_F32,
			                       T, D, D);

			tiles[t] = (span_key_tile){ .k = key, .v = key, .k_stride = D,
			                             .v_stride = D, .keys = T,
			                             .address = address[t], .shift = T };
			task.tiles = &tiles[t];
			task.m = &m[t];
			task.l = &l[t];
			task.o = o[t];
			kernels->forward(&task);
		}
		task.tiles = tiles;
		task.n_tiles = TILES;
		task.m = &whole_m;
		task.l = &whole_l;
		task.o = whole_o;
		kernels->forward(&task);
		kernels->merge(1, D, &m[1], &l[1], o[1], &m[2], &l[2], o[2], &m[1], &l[1], o[1]);
		for (int t = 1; t < TILES; t += t == 1 ? 2 : 1)
			kernels->merge(1, D, &m[0], &l[0], o[0], &m[t], &l[t], o[t], &m[0],
			               &l[0], o[0]);
		cr_assert_eq(m[0], whole_m);
		cr_assert_eq(l[0], whole_l);
		cr_assert_lt(case_difference(o[0], whole_o, D), 0, "%s", kernels->name);
		guarded_release(&pool);
	}
}
