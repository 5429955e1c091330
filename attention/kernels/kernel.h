/* What a set of kernels offers: the arithmetic of attention on rows, tiles and leaves, written
 * once as a specification (ref.c) and once as a template for vector units (template.h).
 *
 * Every set gives the same bits; attention/README.md lists the rules that make it so.
 * Kernels know no ranks, tokens or masks: a tile comes with a `shift`, and query row r sees
 * key j of the tile iff j <= r + shift. A tile that is seen whole has shift >= keys.
 *
 * Inside, everything is f32. Rows are `width` floats: D rounded up to a multiple of 16. What
 * stands behind the first D elements of a row of q, k, v or dout must be 0 where a kernel
 * reads it and is undefined in what it writes. No kernel allocates. */
#ifndef SPAN_KERNEL_H
#define SPAN_KERNEL_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include "attention/span_tensor.h"

/* The largest number of pending partials inside one row block: at most 2^30 tiles, and a few to
 * spare. */
enum { SPAN_KERNEL_LEVELS = 34 };

/* Query rows of one forward task are at most this many. */
enum { SPAN_KERNEL_ROWS = 256 };

static inline int span_width(int head_size)
{
	return (head_size + 15) / 16 * 16;
}

/* Kernels work to base 2: scores are scaled by log2(e), and dK, made against scaled queries, by
 * ln(2) at the end. These decide the bits, and stand here alone. */
#define SPAN_LN2   0.693147182f
#define SPAN_LOG2E 1.44269502f

static inline float span_scale_log2(float scale)
{
	return (float)(scale * 1.4426950408889634);
}

/* A row that sees nothing has an LSE of -inf; +inf makes its weights 0. */
static inline float span_lse_log2(float lse)
{
	return lse == -INFINITY ? INFINITY : lse * SPAN_LOG2E;
}

/* A key tile as it lies in a block: dtype rows, not yet converted; and, when several tasks
 * share it, also as they need it: pack_keys of its keys, and its values as f32 rows of width. */
typedef struct {
	const void *k;
	const void *v;
	const float *packed; /* both NULL, or both set */
	const float *values;
	int64_t k_stride; /* elements from one token to the next */
	int64_t v_stride;
	int32_t keys;     /* 1 .. T */
	uint32_t address; /* in the tree; ascending along a task's tiles */
	int64_t shift;    /* row r of the task sees keys 0 .. min(keys - 1, r + shift) */
} span_key_tile;

/* One forward task: rows of one head against some key tiles of one block. */
typedef struct {
	span_dtype dtype;
	int32_t head_size;
	int32_t rows;              /* 1 .. SPAN_KERNEL_ROWS, consecutive tokens */
	const void *q;             /* dtype [rows][D] */
	int64_t q_stride;          /* elements from one row to the next */
	float scale;               /* (float)(scale * log2 e): q is multiplied by it first */
	const span_key_tile *tiles;
	int32_t n_tiles;           /* >= 1, each seen by at least one row */
	int32_t tile;              /* T, for the size of scratch */
	int32_t levels;            /* log2 of the number of addresses + 2, for the same */
	int32_t running;           /* 0: canonical, m l o are written. 1: schedule order: m l o are
	                            * read as well (m = -inf, l = 0, o = 0 at first), the running
	                            * maximum is not rounded, o continues its chains */
	float *m;                  /* [rows] */
	float *l;                  /* [rows] */
	float *o;                  /* [rows][width] */
	void *scratch;             /* forward_scratch bytes, 64-byte aligned */
} span_forward_task;

/* How a leaf writes its result. */
typedef enum {
	SPAN_WRITE_SET = 0,     /* target = chain from +0 */
	SPAN_WRITE_ADD = 1,     /* target = target + chain from +0 (a finished left sibling) */
	SPAN_WRITE_CONTINUE = 2 /* target = the chain continued from target (schedule order) */
} span_write;

/* One backward leaf: a query tile with all query heads of one KV head against a key tile. */
typedef struct {
	int32_t head_size;
	int32_t heads;           /* query heads of the group */
	int32_t rows;            /* 1 .. T */
	int32_t keys;            /* 1 .. T */
	int64_t shift;           /* as in span_key_tile */
	const float *q;          /* [heads][rows][width], scaled by (float)(scale * log2 e) */
	const float *dout;       /* [heads][rows][width] */
	int64_t q_head;          /* floats from one head to the next, q and dout */
	const float *lse2;       /* [heads][rows] span_lse_log2 of each */
	const float *delta;      /* [heads][rows] */
	int64_t row_head;        /* floats from one head to the next, lse2 and delta */
	const float *k;          /* [keys][width] f32 */
	const float *k_packed;   /* pack_keys of k and of v */
	const float *v_packed;
	float *dq;               /* [heads][rows][width] */
	int64_t dq_head;
	float *dk;               /* [keys][width] */
	float *dv;               /* [keys][width] */
	span_write write_dq;
	span_write write_dkv;
	int32_t tile;            /* T, for the size of scratch */
	void *scratch;           /* leaf_scratch bytes, 64-byte aligned */
} span_backward_leaf;

typedef struct {
	const char *name;

	/* Bytes of scratch of one forward task, one leaf. */
	size_t (*forward_scratch)(int32_t tile, int32_t width, int32_t levels);
	size_t (*leaf_scratch)(int32_t tile, int32_t width, int32_t heads);

	/* Attention of the rows to the tiles, merged along the tree. */
	void (*forward)(const span_forward_task *task);

	/* left and right meet in `to`, which may be either of them. Arrays [rows], [rows][width]. */
	void (*merge)(int32_t rows, int32_t width, const float *left_m, const float *left_l,
	              const float *left_o, const float *right_m, const float *right_l,
	              const float *right_o, float *to_m, float *to_l, float *to_o);

	/* out = o / l rounded to dtype, lse = (m + log2 l) ln 2; rows that saw nothing: 0, -inf. */
	void (*finish)(int32_t rows, int32_t head_size, const float *m, const float *l,
	               const float *o, span_dtype dtype, void *out, int64_t out_stride, float *lse);

	/* dtype rows to f32 rows of `width`, zero behind D, each element multiplied by scale
	 * when scale != 1. */
	void (*load_rows)(span_dtype dtype, const void *source, int64_t stride, int32_t rows,
	                  int32_t head_size, float scale, float *target);

	/* f32 rows of `width` times scale, made canonical (one NaN, no -0), rounded to dtype. */
	void (*store_rows)(const float *source, int32_t rows, int32_t head_size, float scale,
	                   span_dtype dtype, void *target, int64_t stride);

	/* delta[r] = sum over d of a * b in 16 lanes; both dtype rows. */
	void (*dot_rows)(span_dtype dtype, const void *a, int64_t a_stride, const void *b,
	                 int64_t b_stride, int32_t rows, int32_t head_size, float *delta);

	/* Keys [keys][width] f32 in the form the leaf wants them; floats needed for that. */
	size_t (*packed_floats)(int32_t keys, int32_t width);
	void (*pack_keys)(const float *source, int64_t stride, int32_t keys, int32_t width,
	                  float *target);

	void (*leaf)(const span_backward_leaf *leaf);

	/* target = a + b, n floats; target may be a or b. */
	void (*add)(float *target, const float *a, const float *b, size_t n);

	/* The value of span_digest. */
	uint64_t (*digest)(const void *data, size_t n);

	/* n elements converted, as span_convert_to_f32 and back. */
	void (*to_f32)(span_dtype from, const void *source, float *target, size_t n);
	void (*from_f32)(span_dtype to, const float *source, void *target, size_t n);
} span_kernels;

/* The specification, in plain C: every other table gives its bits. */
extern const span_kernels span_kernels_ref;

/* The table named by SPAN_ISA, or the best this processor runs. SPAN_EINVAL when SPAN_ISA
 * names none or one the processor lacks; the message lists those it has. (select.c) */
span_status span_kernels_select(const span_kernels **kernels);

/* The i-th table this processor runs, NULL past the last; 0 is ref. For tests and benches. */
const span_kernels *span_kernels_at(int i);

/* The floating-point mode of the calling thread: enter saves it and sets the default (round
 * to nearest, gradual underflow, no traps), leave restores it. (fpmode.c) */
typedef struct {
	uint64_t saved[4];
} span_fp_mode;
void span_fp_enter(span_fp_mode *mode);
void span_fp_leave(const span_fp_mode *mode);

#endif
