/* Part of template.h: the product that does the work, C = A B, held in registers.
 *
 * A block of up to BLOCK_ROWS rows and BLOCK_VECTORS vectors of C stays in registers over all
 * steps of the inner dimension: per step BLOCK_VECTORS loads of B, BLOCK_ROWS broadcasts of A
 * and their fused multiply-adds. Every element is one chain in index order, so the size of
 * a block is free. What happens to a finished chain:
 *
 *   plus == NULL         target = chain
 *   plus, no weights     target = plus + chain
 *   plus and weights     target = chain * new_weight + plus * old_weight, fused: a merge
 *
 * Measured on an Ice Lake Xeon, one core, inner dimension 128 to 256, operands in L2, share of
 * the FMA peak of the same run (2026-11-24, gcc 12.2): 6 x 4 vectors 0.98, 8 x 3 0.98,
 * 5 x 4 0.98, 12 x 2 0.87, 8 x 2 0.84, 14 x 1 0.50. */

enum { PANEL = BLOCK_VECTORS * W };

/* Rows that will be needed soon, brought into the second cache level a few at a time between
 * products: all at once they would hold up the loads of the product itself. */
struct ahead {
	const char *row;
	int64_t stride; /* bytes */
	int64_t bytes;  /* of a row */
	int64_t rows;   /* still to come */
	int64_t pace;   /* rows at a time */
};

/* Rows to be fetched in the course of so many calls of fetch. */
static struct ahead rows_ahead(const void *first, int64_t stride, int64_t bytes, int rows,
                               int calls)
{
	return (struct ahead){ first, stride, bytes, rows, (rows + calls - 1) / calls };
}

static void fetch(struct ahead *next)
{
	for (int64_t i = 0; i < next->pace && next->rows > 0; i++, next->rows--) {
		for (int64_t at = 0; at < next->bytes; at += 64)
			__builtin_prefetch(next->row + at, 0, 2);
		next->row += next->stride;
	}
}

struct product {
	int64_t steps;           /* the inner dimension */
	const float *a;          /* element (row, step) at a[row * a_row + step * a_step] */
	int64_t a_row;
	int64_t a_step;
	const float *b;          /* element (step, column) at b[step * b_step + column] */
	int64_t b_step;
	int64_t b_panel;         /* from one group of BLOCK_VECTORS vectors of columns to the next */
	const float *start;      /* chains continue from here; NULL: from +0 */
	const float *plus;
	const float *old_weight; /* [rows] */
	const float *new_weight; /* [rows] */
	float *target;
	int64_t stride;          /* from row to row of start, plus and target */
	struct ahead *ahead;     /* what to fetch meanwhile; NULL: nothing */
};

/* Row i of the target, from chains that have ended and lie in memory. */
INLINE void finish_row(const struct product *c, int i, const float *chain, int width)
{
	int64_t at = i * c->stride;

	for (int d = 0; d < width; d += W) {
		vector x = v_load(chain + d);

		if (c->plus && c->new_weight)
			x = v_fma(x, v_set(c->new_weight[i]),
			          v_load(c->plus + at + d) * v_set(c->old_weight[i]));
		else if (c->plus)
			x = v_load(c->plus + at + d) + x;
		v_store(c->target + at + d, x);
	}
}

/* Every register (i, j) of a block, row by row. Literal bounds, so that every compiler keeps the
 * sums in registers. */
#define EACH(M, N, next_row, ...)                     \
	UNROLL for (int i = 0; i < M; i++, next_row) { \
		UNROLL for (int j = 0; j < N; j++)     \
			__VA_ARGS__;                   \
	}

/* One step of the inner dimension. */
#define STEP(M, N)                                                                \
	do {                                                                      \
		vector column[N];                                                 \
                                                                                  \
		UNROLL for (int j = 0; j < N; j++)                                \
			column[j] = v_load(b + j * W);                            \
		UNROLL for (int i = 0; i < M; i++) {                              \
			vector x = v_set(a[i * a_row]);                           \
                                                                                  \
			UNROLL for (int j = 0; j < N; j++)                        \
				sum[i][j] = v_fma(x, column[j], sum[i][j]);       \
		}                                                                 \
		a += a_step;                                                      \
		b += b_step;                                                      \
	} while (0)

#define DEFINE_PRODUCT(M, N)                                                              \
	static void product_##M##x##N(const struct product *c)                            \
	{                                                                                 \
		const float *restrict a = c->a, *restrict b = c->b;                       \
		const float *start = c->start, *plus = c->plus;                           \
		const float *old_weight = c->old_weight, *new_weight = c->new_weight;     \
		const int64_t a_row = c->a_row, a_step = c->a_step, b_step = c->b_step;   \
		const int64_t stride = c->stride;                                         \
		float *target = c->target;                                                \
		vector sum[M][N];                                                         \
                                                                                          \
		if (start)                                                                \
			EACH(M, N, start += stride, sum[i][j] = v_load(start + j * W))    \
		else                                                                      \
			EACH(M, N, (void)0, sum[i][j] = (vector){ 0 })                    \
		for (int64_t step = c->steps; step > 0; step--)                           \
			STEP(M, N);                                                       \
		if (!plus)                                                                \
			EACH(M, N, target += stride, v_store(target + j * W, sum[i][j]))  \
		else if (!new_weight)                                                     \
			EACH(M, N, (plus += stride, target += stride),                    \
			     v_store(target + j * W, v_load(plus + j * W) + sum[i][j]))   \
		else                                                                      \
			EACH(M, N, (plus += stride, target += stride),                    \
			     v_store(target + j * W,                                      \
			             v_fma(sum[i][j], v_set(new_weight[i]),               \
			                   v_load(plus + j * W) * v_set(old_weight[i]))))  \
	}

#define DEFINE_PRODUCTS(N)   \
	DEFINE_PRODUCT(1, N) \
	DEFINE_PRODUCT(2, N) \
	DEFINE_PRODUCT(3, N) \
	DEFINE_PRODUCT(4, N) \
	DEFINE_PRODUCT(5, N) \
	DEFINE_PRODUCT(6, N)
#define LIST_PRODUCTS(N)                                                                 \
	{                                                                                \
		product_1x##N, product_2x##N, product_3x##N, product_4x##N, product_5x##N, \
		        product_6x##N                                                    \
	}

typedef void product_function(const struct product *c);

DEFINE_PRODUCTS(1)
DEFINE_PRODUCTS(2)
#if defined(__AVX512F__)
DEFINE_PRODUCTS(3)
DEFINE_PRODUCTS(4)
#endif

static product_function *const products[BLOCK_VECTORS][BLOCK_ROWS] = {
	LIST_PRODUCTS(1),
	LIST_PRODUCTS(2),
#if defined(__AVX512F__)
	LIST_PRODUCTS(3),
	LIST_PRODUCTS(4),
#endif
};

/* A product of up to BLOCK_ROWS rows and one panel of columns or less, a multiple of W. */
static void multiply_panel(const struct product *c, int rows, int columns)
{
	int vectors = (columns < PANEL ? columns : PANEL) / W;

	products[vectors - 1][rows - 1](c);
	if (c->ahead)
		fetch(c->ahead);
}

/* The same over any number of columns. Uses `c` up. */
static void multiply(struct product *c, int rows, int columns)
{
	for (; columns > 0; columns -= PANEL) {
		multiply_panel(c, rows, columns);
		c->b += c->b_panel;
		c->target += PANEL;
		if (c->start)
			c->start += PANEL;
		if (c->plus)
			c->plus += PANEL;
	}
}
