/* Part of template.h: one forward task.
 *
 * Tiles outside, slabs of BLOCK_ROWS query rows inside. A tile's keys are packed once and its
 * values used in place where they can be. Per slab: scores into a strip that stays in L1, row
 * maxima, probabilities, and the product with the values, whose end is the first merge of the
 * leaf with its left sibling. Partials that wait lie on one stack a slab; the lowest of them
 * is the task's own o.
 *
 * A masked element is never multiplied (0 * NaN would poison its row): keys that all rows of a
 * slab see go through the product, the diagonal's tail row by row. A row of a slab that sees
 * nothing of a tile takes part as an empty partial, which changes no bit but the sign of 0. */

enum {
	SLABS = (SPAN_KERNEL_ROWS + BLOCK_ROWS - 1) / BLOCK_ROWS,
	STRIPS = 2 /* slabs whose scores are computed at a time */
};

_Static_assert(BLOCK_ROWS <= W, "m and l of a slab are one vector");

struct slab {
	int depth; /* partials that wait */
	uint32_t address[SPAN_KERNEL_LEVELS];
};

struct forward {
	const span_forward_task *task;
	int width;
	float *queries; /* [rows][width] scaled */
	float *packed;  /* the tile's keys, see pack_keys */
	float *values;  /* [tile][width] where the tile's cannot be used in place */
	float *scores;  /* [STRIPS * BLOCK_ROWS][score_stride] */
	int64_t score_stride;
	float *leaf;    /* [BLOCK_ROWS][width] on its way through several merges */
	float *m;       /* [levels][SLABS][W] */
	float *l;       /* the same */
	float *o;       /* [levels - 1][SPAN_KERNEL_ROWS][width], levels from 1 on */
	const float *keys; /* the tile's keys, packed; `packed` or the caller's */
	const float *v; /* the tile's values and their stride */
	int64_t v_stride;
	struct ahead next_keys;
	struct ahead next_values;
	struct slab slabs[SLABS];
};

/* One leaf of a slab. */
struct strip {
	int first;  /* row of the task */
	int rows;
	int common; /* keys that all rows see */
	int many;   /* keys that the last row sees */
	int n;      /* the same, rounded up to a multiple of 16 */
	float *scores; /* [rows][score_stride] */
	float m[W];
	float l[W];
};

/* The strip of scores is a little wider than a tile, so that rows do not share cache sets. */
static int64_t strip_stride(int32_t tile)
{
	return (tile + SPAN_LANES - 1) / SPAN_LANES * SPAN_LANES + SPAN_LANES;
}

static size_t forward_scratch(int32_t tile, int32_t width, int32_t levels)
{
	size_t rows = SPAN_KERNEL_ROWS, wide = (size_t)width, deep = (size_t)levels;

	return sizeof(float) *
	       (rows * wide + packed_floats(tile, width) + (size_t)tile * wide +
	        BLOCK_ROWS * (STRIPS * (size_t)strip_stride(tile) + wide) +
	        2 * deep * SLABS * W + (deep - 1) * rows * wide);
}

static void forward_open(struct forward *f, const span_forward_task *task)
{
	size_t row_floats;

	f->task = task;
	f->width = span_width(task->head_size);
	row_floats = (size_t)SPAN_KERNEL_ROWS * (size_t)f->width;
	f->score_stride = strip_stride(task->tile);
	f->queries = task->scratch;
	f->packed = f->queries + row_floats;
	f->values = f->packed + packed_floats(task->tile, f->width);
	f->scores = f->values + (int64_t)task->tile * f->width;
	f->leaf = f->scores + STRIPS * BLOCK_ROWS * f->score_stride;
	f->m = f->leaf + BLOCK_ROWS * f->width;
	f->l = f->m + task->levels * SLABS * W;
	f->o = f->l + task->levels * SLABS * W;
	for (int i = 0; i < SLABS; i++)
		f->slabs[i].depth = 0;
	load_rows(task->dtype, task->q, task->q_stride, task->rows, task->head_size,
	          task->scale, f->queries);
}

/* m, l and o of a level of the stack for the slab that begins at a row. */
static float *level_m(const struct forward *f, int level, int row)
{
	return f->m + (level * SLABS + row / BLOCK_ROWS) * W;
}

static float *level_l(const struct forward *f, int level, int row)
{
	return f->l + (level * SLABS + row / BLOCK_ROWS) * W;
}

static float *level_o(const struct forward *f, int level, int row)
{
	float *o = level ? f->o + (level - 1) * (int64_t)SPAN_KERNEL_ROWS * f->width
	                 : f->task->o;

	return o + (int64_t)row * f->width;
}

static const void *element(span_dtype dtype, const void *data, int64_t i)
{
	return (const char *)data + i * (int64_t)span_dtype_bytes(dtype);
}

/* Pack the first `keys` keys of a tile and have their values at hand in f32. Rows of a
 * caller's tensor can be read in place when they are f32 and whole vectors. */
static void open_tile(struct forward *f, const span_key_tile *tile, int keys)
{
	const span_forward_task *task = f->task;

	f->keys = f->packed;
	if (tile->packed) {
		f->keys = tile->packed;
		f->v = tile->values;
		f->v_stride = f->width;
		return;
	}
	if (task->dtype == SPAN_F32 && task->head_size == f->width) {
		pack_keys(tile->k, tile->k_stride, keys, f->width, f->packed);
		f->v = tile->v;
		f->v_stride = tile->v_stride;
		return;
	}
	for (int j = 0; j < keys; j += PANEL) { /* through `values`, panel by panel */
		int some = keys - j < PANEL ? keys - j : PANEL;

		load_rows(task->dtype, element(task->dtype, tile->k, j * tile->k_stride),
		          tile->k_stride, some, task->head_size, 1.0f, f->values);
		pack_keys(f->values, f->width, some, f->width, f->packed + (int64_t)j * f->width);
	}
	load_rows(task->dtype, tile->v, tile->v_stride, keys, task->head_size, 1.0f, f->values);
	f->v = f->values;
	f->v_stride = f->width;
}

/* Have the next tile fetched while this one is computed on, its keys between the products with
 * keys, its values between those with values. */
static void look_ahead(struct forward *f, const span_key_tile *next, int slabs)
{
	int by_keys = slabs * ((f->task->tile + PANEL - 1) / PANEL);
	int by_values = slabs * ((f->width + PANEL - 1) / PANEL);
	int64_t element = (int64_t)span_dtype_bytes(f->task->dtype);
	int64_t bytes = f->task->head_size * element, wide = f->width * (int64_t)sizeof(float);

	f->next_keys = f->next_values = (struct ahead){ 0 };
	if (next && next->packed) {
		f->next_keys = rows_ahead(next->packed, wide, wide, next->keys, by_keys);
		f->next_values = rows_ahead(next->values, wide, wide, next->keys, by_values);
	} else if (next) {
		f->next_keys = rows_ahead(next->k, next->k_stride * element, bytes, next->keys,
		                          by_keys);
		f->next_values = rows_ahead(next->v, next->v_stride * element, bytes, next->keys,
		                            by_values);
	}
}

/* Scores of some strips against the packed keys. Panels outside: what one strip brought into
 * the first cache level the next one finds there. */
static void strips_scores(struct forward *f, const struct strip *strips, int count)
{
	struct product c = {
		.steps = f->task->head_size,
		.a_row = f->width,
		.a_step = 1,
		.b_step = PANEL,
		.stride = f->score_stride,
		.ahead = &f->next_keys,
	};

	for (int j = 0; j < strips[count - 1].n; j += PANEL)
		for (int i = 0; i < count; i++) {
			int left = strips[i].n - j;

			if (left <= 0)
				continue;
			c.a = f->queries + (int64_t)strips[i].first * f->width;
			c.b = f->keys + (int64_t)j * f->width;
			c.target = strips[i].scores + j;
			multiply_panel(&c, strips[i].rows, left);
		}
}

/* Scores beyond the last key a row sees are -inf; some of what lies behind n as well. */
static void strip_mask(const struct forward *f, const struct strip *s, int64_t shift)
{
	for (int r = 0; r < s->rows && s->common < s->n; r++)
		for (int j = span_visible(s->first + r, shift, s->many); j < s->n; j += W)
			v_store(s->scores + r * f->score_stride + j, v_set(-INFINITY));
}

/* Scores become probabilities relative to the rounded maximum of their row. */
static void strip_probabilities(const struct forward *f, struct strip *s)
{
	for (int r = 0; r < s->rows; r++)
		s->m[r] = row_max(s->scores + r * f->score_stride, s->n);
	v_store(s->m, v_ceil(v_load(s->m)) + v_set(0.0f));
	for (int r = 0; r < s->rows; r++)
		s->l[r] = row_exp2(s->scores + r * f->score_stride, s->n,
		                   s->m[r] == -INFINITY ? 0.0f : s->m[r]);
}

/* The same relative to the running maximum of schedule order, which is not rounded; what was
 * summed so far is scaled to the new maximum. */
static void strip_running(const struct forward *f, struct strip *s)
{
	for (int r = 0; r < s->rows; r++) {
		float *m = f->task->m + s->first + r, *l = f->task->l + s->first + r;
		float *o = f->task->o + (int64_t)(s->first + r) * f->width;
		float largest = row_max(s->scores + r * f->score_stride, s->n) + 0.0f;

		if (largest > *m) {
			float scale = span_exp2(*m - largest);

			*m = largest;
			*l *= scale;
			for (int d = 0; d < f->width; d += W)
				v_store(o + d, v_load(o + d) * v_set(scale));
		}
		*l += row_exp2(s->scores + r * f->score_stride, s->n,
		               *m == -INFINITY ? 0.0f : *m);
	}
}

/* The strip's probabilities times the values it sees, ended and written as `end` says. */
static void strip_values(struct forward *f, const struct strip *s, int64_t shift,
                         const struct product *end)
{
	struct product c = *end;

	c.a = s->scores;
	c.a_row = f->score_stride;
	c.a_step = 1;
	c.b = f->v;
	c.b_step = f->v_stride;
	c.b_panel = PANEL;
	c.steps = s->common;
	c.ahead = &f->next_values;
	if (s->common == s->many) {
		multiply(&c, s->rows, f->width);
		return;
	}
	c.plus = NULL;
	c.target = f->leaf;
	multiply(&c, s->rows, f->width);
	for (int r = 0; r < s->rows; r++) {
		float *leaf = f->leaf + r * f->width;
		int seen = span_visible(s->first + r, shift, s->many);

		row_chain(s->scores + r * f->score_stride + s->common, 1,
		          f->v + s->common * f->v_stride, f->v_stride, seen - s->common, leaf,
		          f->width);
		finish_row(end, r, leaf, f->width);
	}
}

/* m and l of the strip meet those of `level`; the weights of both sides are kept. */
static void strip_meet(const struct forward *f, struct strip *s, int level, float *old_weight,
                       float *new_weight)
{
	vector left_m = v_load(level_m(f, level, s->first)), right_m = v_load(s->m);
	vector merged = v_larger(left_m, right_m);
	vector left = v_weight(left_m, merged), right = v_weight(right_m, merged);

	v_store(old_weight, left);
	v_store(new_weight, right);
	v_store(s->m, merged);
	v_store(s->l, v_fma(v_load(s->l), right, v_load(level_l(f, level, s->first)) * left));
}

/* How many partials of the stack a leaf at `address` meets at once: all that stand below the
 * node in which it will meet the next tile the slab sees, or all when there is none. */
static int count_meetings(const struct slab *slab, uint32_t address, const span_key_tile *next)
{
	int level = slab->depth;

	while (level > 0 && (!next || span_meet(slab->address[level - 1], address) <
	                                      span_meet(address, next->address)))
		address = slab->address[--level];
	return slab->depth - level;
}

/* The next tile after `tile` of which the slab's last row sees something. */
static const span_key_tile *next_tile(const struct forward *f, const span_key_tile *tile,
                                      int last_row)
{
	const span_key_tile *end = f->task->tiles + f->task->n_tiles;

	while (++tile < end)
		if (span_visible(last_row, tile->shift, tile->keys))
			return tile;
	return NULL;
}

/* The leaf becomes a partial on the stack, or meets those it completes. */
static void strip_canonical(struct forward *f, struct strip *s, struct slab *slab,
                            const span_key_tile *tile)
{
	int meetings = count_meetings(slab, tile->address,
	                              next_tile(f, tile, s->first + s->rows - 1));
	int level = slab->depth;
	float old_weight[W], new_weight[W];
	struct product end = { .target = level_o(f, level, s->first),
		               .stride = f->width };

	if (meetings) {
		level--;
		strip_meet(f, s, level, old_weight, new_weight);
		end.plus = level_o(f, level, s->first);
		end.old_weight = old_weight;
		end.new_weight = new_weight;
		end.target = meetings > 1 ? f->leaf : level_o(f, level, s->first);
	} else {
		slab->address[level] = tile->address;
	}
	strip_values(f, s, tile->shift, &end);
	for (int met = 1; met < meetings; met++) {
		float *left, *to;

		level--;
		strip_meet(f, s, level, old_weight, new_weight);
		left = level_o(f, level, s->first);
		to = met + 1 < meetings ? f->leaf : left;
		for (int r = 0; r < s->rows; r++)
			merge_row(f->width, left + r * f->width, old_weight[r],
			          f->leaf + r * f->width, new_weight[r], to + r * f->width);
	}
	v_store(level_m(f, level, s->first), v_load(s->m));
	v_store(level_l(f, level, s->first), v_load(s->l));
	slab->depth = level + 1;
}

static struct strip make_strip(const struct forward *f, int first, const span_key_tile *tile,
                               float *scores)
{
	int left = f->task->rows - first;
	struct strip s = { .first = first, .scores = scores };

	s.rows = left < BLOCK_ROWS ? left : BLOCK_ROWS;
	s.common = span_visible(first, tile->shift, tile->keys);
	s.many = span_visible(first + s.rows - 1, tile->shift, tile->keys);
	s.n = (s.many + SPAN_LANES - 1) / SPAN_LANES * SPAN_LANES;
	return s;
}

/* The task's own o, which a strip's first tile writes, is in nobody's cache as a rule. */
static void ask_for_target(const struct forward *f, const struct strip *s)
{
	const float *o = f->task->o + (int64_t)s->first * f->width;

	for (int i = 0; i < s->rows * f->width; i += 16)
		__builtin_prefetch(o + i, 1);
}

/* Up to STRIPS strips from row `first` on against a tile. */
static void attend(struct forward *f, int first, const span_key_tile *tile)
{
	struct strip strips[STRIPS];
	int count = 0;

	for (int row = first; row < f->task->rows && count < STRIPS; row += BLOCK_ROWS, count++) {
		strips[count] = make_strip(f, row, tile,
		                           f->scores + count * BLOCK_ROWS * f->score_stride);
		if (f->slabs[row / BLOCK_ROWS].depth == 0)
			ask_for_target(f, &strips[count]);
	}
	strips_scores(f, strips, count);
	for (int i = 0; i < count; i++) {
		struct strip *s = &strips[i];
		float *o = f->task->o + (int64_t)s->first * f->width;

		if (!s->many)
			continue;
		strip_mask(f, s, tile->shift);
		if (f->task->running) {
			strip_running(f, s);
			strip_values(f, s, tile->shift,
			             &(struct product){ .start = o, .target = o,
			                                .stride = f->width });
		} else {
			strip_probabilities(f, s);
			strip_canonical(f, s, &f->slabs[s->first / BLOCK_ROWS], tile);
		}
	}
}

/* m and l leave the stack; o is in place but where a slab saw nothing. */
static void forward_close(struct forward *f)
{
	const span_forward_task *task = f->task;

	for (int r = 0; r < task->rows; r++) {
		int empty = f->slabs[r / BLOCK_ROWS].depth == 0;

		task->m[r] = empty ? -INFINITY : level_m(f, 0, r)[r % BLOCK_ROWS];
		task->l[r] = empty ? 0.0f : level_l(f, 0, r)[r % BLOCK_ROWS];
		if (empty)
			memset(task->o + (int64_t)r * f->width, 0,
			       sizeof(float) * (size_t)f->width);
	}
}

static void forward(const span_forward_task *task)
{
	int slabs = (task->rows + BLOCK_ROWS - 1) / BLOCK_ROWS;
	struct forward f;

	forward_open(&f, task);
	for (int t = 0; t < task->n_tiles; t++) {
		const span_key_tile *tile = &task->tiles[t];

		open_tile(&f, tile, span_visible(task->rows - 1, tile->shift, tile->keys));
		look_ahead(&f, t + 1 < task->n_tiles ? tile + 1 : NULL, slabs);
		for (int row = 0; row < task->rows; row += STRIPS * BLOCK_ROWS)
			attend(&f, row, tile);
	}
	if (!task->running)
		forward_close(&f);
}
