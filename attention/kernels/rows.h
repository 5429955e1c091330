/* Part of template.h: rows in and out of f32, their sums, merging and finishing. Head sizes
 * are multiples of 8, so rows move in eighths and never past their last element. */

static void to_f32(span_dtype from, const void *source, float *target, size_t n)
{
	size_t whole = n / 8 * 8;
	size_t bytes = span_dtype_bytes(from);

	for (size_t i = 0; i < whole; i += 8)
		_mm256_storeu_ps(target + i, load8(from, source, (int64_t)i));
	span_convert_to_f32(from, (const char *)source + whole * bytes, target + whole, n - whole);
}

static void from_f32(span_dtype to, const float *source, void *target, size_t n)
{
	size_t whole = n / 8 * 8;
	size_t bytes = span_dtype_bytes(to);

	for (size_t i = 0; i < whole; i += 8)
		store8(to, target, (int64_t)i, _mm256_loadu_ps(source + i));
	span_convert_from_f32(to, source + whole, (char *)target + whole * bytes, n - whole);
}

static void load_rows(span_dtype dtype, const void *source, int64_t stride, int32_t rows,
                      int32_t head_size, float scale, float *target)
{
	int width = span_width(head_size);
	__m256 by = _mm256_set1_ps(scale);

	for (int64_t r = 0; r < rows; r++)
		for (int d = 0; d < width; d += 8)
			_mm256_storeu_ps(
			        target + r * width + d,
			        d < head_size
			                ? _mm256_mul_ps(load8(dtype, source, r * stride + d), by)
			                : _mm256_setzero_ps());
}

static void store_rows(const float *source, int32_t rows, int32_t head_size, float scale,
                       span_dtype dtype, void *target, int64_t stride)
{
	int width = span_width(head_size);
	__m256 by = _mm256_set1_ps(scale);

	for (int64_t r = 0; r < rows; r++)
		for (int d = 0; d < head_size; d += 8)
			store8(dtype, target, r * stride + d,
			       canonical8(_mm256_mul_ps(
			               _mm256_loadu_ps(source + r * width + d), by)));
}

static void dot_rows(span_dtype dtype, const void *a, int64_t a_stride, const void *b,
                     int64_t b_stride, int32_t rows, int32_t head_size, float *delta)
{
	for (int64_t r = 0; r < rows; r++) {
		__m256 lanes[2] = { _mm256_setzero_ps(), _mm256_setzero_ps() };

		for (int d = 0; d < head_size; d += 8)
			lanes[d / 8 % 2] = _mm256_fmadd_ps(load8(dtype, a, r * a_stride + d),
			                                   load8(dtype, b, r * b_stride + d),
			                                   lanes[d / 8 % 2]);
		delta[r] = span_canonical(sum8(_mm256_add_ps(lanes[0], lanes[1])));
	}
}

static void add(float *target, const float *a, const float *b, size_t n)
{
	size_t whole = n / W * W;

	for (size_t i = 0; i < whole; i += W) {
		__builtin_prefetch((const char *)(target + i) + AHEAD, 1);
		__builtin_prefetch((const char *)(a + i) + AHEAD, 0);
		__builtin_prefetch((const char *)(b + i) + AHEAD, 0);
		v_store(target + i, v_load(a + i) + v_load(b + i));
	}
	for (size_t i = whole; i < n; i++)
		target[i] = a[i] + b[i];
}

/* to = right * right_weight + left * left_weight over one row. */
INLINE void merge_row(int width, const float *left, float left_weight, const float *right,
                      float right_weight, float *to)
{
	vector old = v_set(left_weight), new = v_set(right_weight);

	for (int d = 0; d < width; d += W)
		v_store(to + d, v_fma(v_load(right + d), new, v_load(left + d) * old));
}

static void merge(int32_t rows, int32_t width, const float *left_m, const float *left_l,
                  const float *left_o, const float *right_m, const float *right_l,
                  const float *right_o, float *to_m, float *to_l, float *to_o)
{
	for (int64_t r = 0; r < rows; r++) {
		float merged = left_m[r] > right_m[r] ? left_m[r] : right_m[r];
		float left = span_weight(left_m[r], merged);
		float right = span_weight(right_m[r], merged);

		for (int d = 0; d < width; d += 16) {
			__builtin_prefetch((const char *)(left_o + r * width + d) + AHEAD, 0);
			__builtin_prefetch((const char *)(right_o + r * width + d) + AHEAD, 0);
			__builtin_prefetch((const char *)(to_o + r * width + d) + AHEAD, 1);
		}
		to_m[r] = merged;
		to_l[r] = fmaf(right_l[r], right, left_l[r] * left);
		merge_row(width, left_o + r * width, left, right_o + r * width, right,
		          to_o + r * width);
	}
}

static void finish(int32_t rows, int32_t head_size, const float *m, const float *l,
                   const float *o, span_dtype dtype, void *out, int64_t out_stride, float *lse)
{
	int width = span_width(head_size);

	for (int64_t r = 0; r < rows; r++) {
		int empty = m[r] == -INFINITY && l[r] == 0.0f;
		__m256 inverse = _mm256_set1_ps(1.0f / l[r]);

		for (int d = 0; d < head_size; d += 8) {
			__m256 x = _mm256_mul_ps(_mm256_loadu_ps(o + r * width + d),
			                         inverse);

			store8(dtype, out, r * out_stride + d,
			       empty ? _mm256_setzero_ps() : canonical8(x));
		}
		lse[r] = empty ? -INFINITY
		               : span_canonical((m[r] + span_log2(l[r])) * SPAN_LN2);
	}
}

/* Keys become panels [BLOCK_VECTORS * W keys wide][width deep], so that a step over d reads
 * neighbouring keys; the last panel is filled up with zeros. */
static size_t packed_floats(int32_t keys, int32_t width)
{
	return (size_t)(keys + PANEL - 1) / PANEL * PANEL * (size_t)width;
}

/* W or fewer rows of keys, d by d into column `panel` of a panel. Meanwhile the W rows after them
 * are asked for, and as much of the next panel, from `later` on, as was written of this one. */
INLINE void pack_columns(const float *source, int64_t stride, int keys, int width, float *panel,
                         const float *later)
{
	for (int d = 0; d < width; d += W) {
		vector row[W];

		UNROLL for (int i = 0; i < W; i++)
			row[i] = i < keys ? v_load(source + i * stride + d) : (vector){ 0 };
		v_transpose(row);
		UNROLL for (int i = 0; i < W; i++) {
			v_store(panel + (int64_t)(d + i) * PANEL, row[i]);
			__builtin_prefetch(source + (W + i) * stride + d, 0);
			__builtin_prefetch(later + (int64_t)(d + i) * W, 1);
		}
	}
}

static void pack_keys(const float *source, int64_t stride, int32_t keys, int32_t width,
                      float *target)
{
	for (int64_t j = 0; j < (keys + PANEL - 1) / PANEL * PANEL; j += W) {
		float *panel = target + j / PANEL * PANEL * width + j % PANEL;
		const float *later = target + (j / PANEL + 1) * PANEL * width + j % PANEL * width;
		int left = keys - (int)j;

		if (left >= W)
			pack_columns(source + j * stride, stride, W, width, panel, later);
		else
			pack_columns(source + j * stride, stride, left, width, panel, later);
	}
}
