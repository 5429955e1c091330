/* Part of template.h: one backward leaf.
 *
 * Key blocks outside, then query heads, then row blocks: so the chains of dk and dv run over
 * (head, row) and those of dq over keys. Per row block two products give scores and dP, a
 * pass over them P and E = P (dP - delta), and three products dv, dk and dq.
 *
 * As in the forward, a masked element is never multiplied: what rows and keys of a register
 * block see in common goes through the product; before it for keys, behind it for rows, the
 * diagonal is walked pair by pair in the order of the chain. */

enum {
	ROW_BLOCK = 96, /* whole register blocks; a panel of it is half of L1 */
	KEY_BLOCK = 256,
	PAIR_STRIDE = KEY_BLOCK + SPAN_LANES
};

struct backward {
	const span_backward_leaf *leaf;
	int width;
	int several;         /* key blocks: more than one */
	float *p;            /* [ROW_BLOCK][PAIR_STRIDE] */
	float *e;            /* the same */
	float *corner;       /* [BLOCK_ROWS][width] */
	float *gathered;     /* [ROW_BLOCK][PANEL] one panel of q or dout */
	float *dk_chain;     /* [KEY_BLOCK][width] unfinished chains of a leaf that adds */
	float *dv_chain;
	float *dq_chain;     /* [heads][tile][width] the same, when there are several key blocks */
};

/* One key block and, inside it, one row block. */
struct pairs {
	int first_key;
	int keys;
	int head;
	int first_row;
	int rows;
	int64_t shift;       /* row r of the block sees key j of the block iff j <= r + shift */
	const float *q;      /* [rows][width] */
	const float *dout;
	struct ahead next_q;
	struct ahead next_dout;
};

static size_t leaf_scratch(int32_t tile, int32_t width, int32_t heads)
{
	size_t wide = (size_t)width;

	return sizeof(float) * (2 * (size_t)ROW_BLOCK * PAIR_STRIDE +
	                        (BLOCK_ROWS + 2 * (size_t)KEY_BLOCK) * wide +
	                        (size_t)ROW_BLOCK * PANEL +
	                        (tile > KEY_BLOCK ? (size_t)heads * (size_t)tile * wide : 0));
}

static void backward_open(struct backward *b, const span_backward_leaf *leaf)
{
	b->leaf = leaf;
	b->width = span_width(leaf->head_size);
	b->several = leaf->keys > KEY_BLOCK;
	b->p = leaf->scratch;
	b->e = b->p + ROW_BLOCK * PAIR_STRIDE;
	b->corner = b->e + ROW_BLOCK * PAIR_STRIDE;
	b->gathered = b->corner + BLOCK_ROWS * b->width;
	b->dk_chain = b->gathered + ROW_BLOCK * PANEL;
	b->dv_chain = b->dk_chain + KEY_BLOCK * b->width;
	b->dq_chain = b->dv_chain + KEY_BLOCK * b->width;
}

/* P = exp2(s - lse2) and E = P (dP - delta) over n pairs of one row. */
INLINE void row_pairs(float *p, float *e, int n, float lse2, float delta)
{
	const vector most = v_set(SPAN_EXP2_INFINITE);

	for (int j = 0; j < n; j += W) {
		vector x = v_exp2(v_min(most, v_load(p + j) - v_set(lse2)));

		v_store(p + j, x);
		v_store(e + j, x * (v_load(e + j) - v_set(delta)));
	}
}

static int block_rows(int left)
{
	return left < BLOCK_ROWS ? left : BLOCK_ROWS;
}

/* How many keys the rows from `row` to row + rows - 1 see, rounded up to whole vectors. */
static int group_keys(const struct pairs *x, int row, int rows)
{
	return (span_visible(row + rows - 1, x->shift, x->keys) + W - 1) / W * W;
}

/* Rows times packed keys or values, as far as the rows see. Panels outside: one of them stays
 * in the first cache level for all rows of the block. */
static void block_product(const struct backward *b, const struct pairs *x, const float *rows,
                          const float *packed, float *target)
{
	struct product c = {
		.steps = b->leaf->head_size,
		.a_row = b->width,
		.a_step = 1,
		.b_step = PANEL,
		.stride = PAIR_STRIDE,
	};

	packed += (int64_t)x->first_key * b->width;
	for (int j = 0; j < x->keys; j += PANEL)
		for (int r = 0; r < x->rows; r += BLOCK_ROWS) {
			int n = group_keys(x, r, block_rows(x->rows - r));

			if (n <= j)
				continue;
			c.a = rows + (int64_t)r * b->width;
			c.b = packed + (int64_t)j * b->width;
			c.target = target + r * PAIR_STRIDE + j;
			multiply_panel(&c, block_rows(x->rows - r), n - j);
		}
}

/* P and E of a row block, as far as its rows see; what stands behind is not used. */
static void block_pairs(const struct backward *b, const struct pairs *x)
{
	const span_backward_leaf *leaf = b->leaf;
	const float *lse2 = leaf->lse2 + x->head * leaf->row_head + x->first_row;
	const float *delta = leaf->delta + x->head * leaf->row_head + x->first_row;

	block_product(b, x, x->q, leaf->k_packed, b->p);
	block_product(b, x, x->dout, leaf->v_packed, b->e);
	for (int r = 0; r < x->rows; r++)
		row_pairs(b->p + r * PAIR_STRIDE, b->e + r * PAIR_STRIDE, group_keys(x, r, 1),
		          lse2[r], delta[r]);
}

/* A row of the corner begins where `end` says chains begin. */
INLINE void begin_row(const struct product *end, int i, float *chain, int columns)
{
	for (int d = 0; d < columns; d += W)
		v_store(chain + d, end->start ? v_load(end->start + i * end->stride + d)
		                              : (vector){ 0 });
}

/* One panel of dv = P^T dout or dk = E^T q, for up to BLOCK_ROWS keys from `key` of the block:
 * the rows that see only some of them come first. `end` has b, the rows, and is for the first
 * of the keys. */
static void keys_product(const struct backward *b, const struct pairs *x, int key, int keys,
                         int columns, const float *weights, const struct product *end)
{
	int64_t all = key + keys - 1 - x->shift; /* the first row that sees all of them */
	int common = all < 0 ? 0 : all < x->rows ? (int)all : x->rows;
	struct product c = *end;

	c.a = weights + (int64_t)common * PAIR_STRIDE + key;
	c.a_row = 1;
	c.a_step = PAIR_STRIDE;
	c.b = end->b + common * end->b_step;
	c.steps = x->rows - common;
	for (int i = 0; common && i < keys; i++) {
		int first = key + i - x->shift < 0 ? 0 : (int)(key + i - x->shift);
		float *chain = b->corner + i * b->width;

		begin_row(end, i, chain, columns);
		row_chain(weights + (int64_t)first * PAIR_STRIDE + key + i, PAIR_STRIDE,
		          end->b + first * end->b_step, end->b_step, common - first, chain,
		          columns);
		c.start = b->corner;
	}
	multiply_panel(&c, keys, columns);
}

/* dq = E K for up to BLOCK_ROWS rows from `row` of the block: the keys that only some of them
 * see come last. Rows that see nothing are written only where a leaf sets them. */
static void rows_product(const struct backward *b, const struct pairs *x, int row, int rows,
                         const struct product *end)
{
	const float *k = b->leaf->k + (int64_t)x->first_key * b->width;
	const float *e = b->e + row * PAIR_STRIDE;
	int common = span_visible(row, x->shift, x->keys);
	struct product c = *end;

	c.a = e;
	c.a_row = PAIR_STRIDE;
	c.a_step = 1;
	c.b = k;
	c.b_step = b->width;
	c.b_panel = PANEL;
	c.steps = common;
	if (common == span_visible(row + rows - 1, x->shift, x->keys)) {
		multiply(&c, rows, b->width);
		return;
	}
	c.plus = NULL;
	c.target = b->corner;
	multiply(&c, rows, b->width);
	for (int i = 0; i < rows; i++) {
		float *chain = b->corner + i * b->width;
		int seen = span_visible(row + i, x->shift, x->keys);

		if (!seen && b->leaf->write_dq != SPAN_WRITE_SET)
			continue;
		row_chain(e + i * PAIR_STRIDE + common, 1, k + (int64_t)common * b->width, b->width,
		          seen - common, chain, b->width);
		finish_row(end, i, chain, b->width);
	}
}

static void zero_rows(float *target, int rows, int width)
{
	memset(target, 0, sizeof(float) * (size_t)rows * (size_t)width);
}

/* The step of a row block in the chains of dq. With several key blocks a leaf that adds
 * gathers its chains apart. */
static void block_dq(const struct backward *b, const struct pairs *x)
{
	const span_backward_leaf *leaf = b->leaf;
	int apart = b->several && leaf->write_dq == SPAN_WRITE_ADD;
	int fresh = x->first_key == 0 && leaf->write_dq != SPAN_WRITE_CONTINUE;

	for (int r = 0, rows; r < x->rows; r += rows) {
		int64_t row = x->first_row + r;
		float *dq = leaf->dq + x->head * leaf->dq_head + row * b->width;
		struct product end = { .target = dq, .stride = b->width };

		rows = block_rows(x->rows - r);
		if (apart)
			end.target = b->dq_chain +
			             ((int64_t)x->head * leaf->tile + row) * b->width;
		if (leaf->write_dq == SPAN_WRITE_ADD && !apart)
			end.plus = dq;
		else if (!fresh)
			end.start = end.target;
		if (span_visible(r + rows - 1, x->shift, x->keys))
			rows_product(b, x, r, rows, &end);
		else if (fresh && leaf->write_dq == SPAN_WRITE_SET)
			zero_rows(dq, rows, b->width);
	}
}

/* How the chains of a key block go through its row blocks. Where the first one sees every key
 * the first step starts them and the last one adds; else they are kept apart from what
 * they are added to, or in place after zeroing. */
struct key_chains {
	int fused;
	int steps;
	int done;
};

static struct product keys_end(const struct backward *b, const struct key_chains *chains,
                               float *target, float *apart)
{
	span_write write = b->leaf->write_dkv;
	struct product end = { .stride = b->width };
	float *buffer = write == SPAN_WRITE_ADD ? apart : target;
	int first = chains->done == 0, last = chains->done == chains->steps - 1;

	end.target = buffer;
	end.start = chains->fused && first && write != SPAN_WRITE_CONTINUE ? NULL : buffer;
	if (chains->fused && last && write == SPAN_WRITE_ADD)
		end.target = target, end.plus = target;
	return end;
}

/* Have one panel of the rows of a block without what lies between: in rows of more than one
 * panel it would share half of the cache's sets or fewer. */
static const float *gather_panel(const struct backward *b, const float *rows, int n)
{
	if (b->width <= PANEL)
		return rows;
	for (int r = 0; r < n; r++)
		UNROLL for (int d = 0; d < PANEL; d += W)
			v_store(b->gathered + r * PANEL + d,
			        v_load(rows + (int64_t)r * b->width + d));
	return b->gathered;
}

/* The step of a row block in the chains of dk or dv. Panels outside: the rows of one stay in
 * the first cache level for all keys of the block. */
static void block_gradient(const struct backward *b, const struct pairs *x, const float *weights,
                           const float *rows, const struct product *end)
{
	int seen = span_visible(x->rows - 1, x->shift, x->keys);

	for (int d = 0; d < b->width; d += PANEL) {
		int columns = b->width - d < PANEL ? b->width - d : PANEL;
		struct product here = *end;

		here.b = columns == PANEL ? gather_panel(b, rows + d, x->rows) : rows + d;
		here.b_step = here.b == b->gathered ? PANEL : b->width;
		for (int j = 0; j < seen; j += BLOCK_ROWS) {
			int64_t at = (int64_t)j * b->width + d;

			here.target = end->target + at;
			here.start = end->start ? end->start + at : NULL;
			here.plus = end->plus ? end->plus + at : NULL;
			keys_product(b, x, j, block_rows(seen - j), columns, weights, &here);
		}
	}
}

static void block_dkv(const struct backward *b, struct pairs *x,
                      const struct key_chains *chains)
{
	int64_t first = (int64_t)x->first_key * b->width;
	struct product dv = keys_end(b, chains, b->leaf->dv + first, b->dv_chain);
	struct product dk = keys_end(b, chains, b->leaf->dk + first, b->dk_chain);

	dv.ahead = &x->next_dout;
	dk.ahead = &x->next_q;
	block_gradient(b, x, b->p, x->dout, &dv);
	block_gradient(b, x, b->e, x->q, &dk);
}

/* Have the next row block of the head fetched while this one is computed on: dout between the
 * products for dv, q between those for dk. */
static void look_ahead_rows(const struct backward *b, struct pairs *x)
{
	int left = b->leaf->rows - x->first_row - x->rows;
	int rows = left < ROW_BLOCK ? left : ROW_BLOCK;
	int calls = (b->width + PANEL - 1) / PANEL * ((x->keys + BLOCK_ROWS - 1) / BLOCK_ROWS);
	int64_t at = (int64_t)x->rows * b->width, bytes = b->width * (int64_t)sizeof(float);

	x->next_q = rows_ahead(x->q + at, bytes, bytes, rows, calls);
	x->next_dout = rows_ahead(x->dout + at, bytes, bytes, rows, calls);
}

static void row_block(const struct backward *b, struct pairs *x, struct key_chains *chains)
{
	const span_backward_leaf *leaf = b->leaf;
	int64_t at = x->head * leaf->q_head + (int64_t)x->first_row * b->width;

	x->shift = leaf->shift + x->first_row - x->first_key;
	x->q = leaf->q + at;
	x->dout = leaf->dout + at;
	look_ahead_rows(b, x);
	if (span_visible(x->rows - 1, x->shift, x->keys)) {
		block_pairs(b, x);
		block_dkv(b, x, chains);
		chains->done++;
	}
	block_dq(b, x);
}

static void key_block(const struct backward *b, int first_key)
{
	const span_backward_leaf *leaf = b->leaf;
	int keys = leaf->keys - first_key < KEY_BLOCK ? leaf->keys - first_key : KEY_BLOCK;
	int first_rows = leaf->rows < ROW_BLOCK ? leaf->rows : ROW_BLOCK;
	int seen = span_visible(leaf->rows - 1, leaf->shift - first_key, keys);
	int64_t at = (int64_t)first_key * b->width;
	int adds = leaf->write_dkv == SPAN_WRITE_ADD;
	struct key_chains chains = {
		.fused = span_visible(first_rows - 1, leaf->shift - first_key, keys) == keys,
		.steps = leaf->heads * ((leaf->rows + ROW_BLOCK - 1) / ROW_BLOCK),
	};

	if (!chains.fused && leaf->write_dkv != SPAN_WRITE_CONTINUE) {
		zero_rows(adds ? b->dk_chain : leaf->dk + at, keys, b->width);
		zero_rows(adds ? b->dv_chain : leaf->dv + at, keys, b->width);
	}
	for (int h = 0; h < leaf->heads; h++)
		for (int r = 0; r < leaf->rows; r += ROW_BLOCK) {
			struct pairs x = { .first_key = first_key, .keys = keys, .head = h,
				           .first_row = r };

			x.rows = leaf->rows - r < ROW_BLOCK ? leaf->rows - r : ROW_BLOCK;
			row_block(b, &x, &chains);
		}
	if (!chains.fused && adds) {
		add(leaf->dk + at, leaf->dk + at, b->dk_chain, (size_t)(seen * b->width));
		add(leaf->dv + at, leaf->dv + at, b->dv_chain, (size_t)(seen * b->width));
	}
}

static void leaf(const span_backward_leaf *leaf)
{
	struct backward b;
	int first = leaf->shift < 0 ? (int)(leaf->shift < -leaf->rows ? leaf->rows : -leaf->shift)
	                            : 0;

	backward_open(&b, leaf);
	for (int j = 0; j < leaf->keys; j += KEY_BLOCK)
		key_block(&b, j);
	if (!b.several || leaf->write_dq != SPAN_WRITE_ADD)
		return;
	for (int h = 0; h < leaf->heads; h++) { /* rows before the first see nothing */
		float *dq = leaf->dq + h * leaf->dq_head + (int64_t)first * b.width;

		add(dq, dq, b.dq_chain + ((int64_t)h * leaf->tile + first) * b.width,
		    (size_t)((leaf->rows - first) * b.width));
	}
}
