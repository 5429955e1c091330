#include <criterion/criterion.h>
#include <math.h>
#include <string.h>
#include "attention/convert.h"
#include "attention/kernels/kernel.h"
#include "attention/span_tensor.h"
#include "tests/attention/kernel_case.h"

enum { PATTERNS = 1 << 16 };

/* The value of a 16-bit float with so many bits of mantissa, as mathematics. */
static double value_of(uint32_t half, int mantissa_bits, int bias)
{
	int exponent_most = (1 << (15 - mantissa_bits)) - 1;
	int exponent = half >> mantissa_bits & exponent_most;
	double mantissa = half & ((1u << mantissa_bits) - 1);
	double sign = half & 0x8000 ? -1.0 : 1.0;

	if (exponent == exponent_most)
		return mantissa != 0.0 ? NAN : sign * INFINITY;
	if (exponent == 0)
		return sign * ldexp(mantissa, 1 - bias - mantissa_bits);
	return sign * ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
}

static void expect_value(const char *name, uint32_t half, float actual, double expected)
{
	if (isnan(expected))
		cr_assert(isnan(actual), "%s %04x", name, half);
	else
		cr_assert(actual == expected && !signbit(actual) == !signbit(expected),
		          "%s %04x is %a, not %a", name, half, actual, expected);
}

Test(convert, every_pattern_has_its_value)
{
	for (uint32_t half = 0; half < PATTERNS; half++) {
		uint16_t source = (uint16_t)half;
		float f16, bf16;

		span_convert_to_f32(SPAN_F16, &source, &f16, 1);
		span_convert_to_f32(SPAN_BF16, &source, &bf16, 1);
		expect_value("f16", half, f16, value_of(half, 10, 15));
		expect_value("bf16", half, bf16, value_of(half, 7, 127));
	}
}

Test(convert, every_pattern_survives_the_way_there_and_back)
{
	static const struct {
		span_dtype dtype;
		uint16_t infinity;
		uint16_t nan;
	} type[] = { { SPAN_F16, 0x7c00, 0x7e00 }, { SPAN_BF16, 0x7f80, 0x7fc0 } };

	for (int t = 0; t < 2; t++)
		for (uint32_t half = 0; half < PATTERNS; half++) {
			uint16_t source = (uint16_t)half, back;
			int nan = (half & 0x7fff) > type[t].infinity;
			float wide;

			span_convert_to_f32(type[t].dtype, &source, &wide, 1);
			span_convert_from_f32(type[t].dtype, &wide, &back, 1);
			cr_assert_eq(back, nan ? type[t].nan : half, "%s %04x became %04x",
			             span_dtype_name(type[t].dtype), half, back);
		}
}

/* Between two neighbours: the nearer one, and the even one from the middle. */
static void expect_nearest(span_dtype dtype, uint32_t half)
{
	uint16_t ends[2] = { (uint16_t)half, (uint16_t)(half + 1) };
	float wide[2], middle, near[3];
	uint16_t back[3];

	span_convert_to_f32(dtype, ends, wide, 2);
	if (isinf(wide[1])) /* the middle of the largest number and what would follow it */
		wide[1] = dtype == SPAN_F16 ? copysignf(65536.0f, wide[0]) : wide[1];
	if (isinf(wide[1]))
		middle = copysignf(0x1.ffp127f, wide[0]);
	else
		middle = 0.5f * wide[0] + 0.5f * wide[1];
	near[0] = nextafterf(middle, 0.0f);
	near[1] = middle;
	near[2] = nextafterf(middle, copysignf(INFINITY, middle));
	span_convert_from_f32(dtype, near, back, 3);
	cr_assert_eq(back[0], ends[0], "%s below the middle after %04x: %04x",
	             span_dtype_name(dtype), half, back[0]);
	cr_assert_eq(back[1], ends[half & 1], "%s in the middle after %04x: %04x",
	             span_dtype_name(dtype), half, back[1]);
	cr_assert_eq(back[2], ends[1], "%s above the middle after %04x: %04x",
	             span_dtype_name(dtype), half, back[2]);
}

Test(convert, to_nearest_even_between_every_two_neighbours)
{
	for (uint32_t sign = 0; sign <= 0x8000; sign += 0x8000) {
		for (uint32_t half = 0; half < 0x7c00; half++)
			expect_nearest(SPAN_F16, sign | half);
		for (uint32_t half = 0x80; half < 0x7f80; half++) /* halves exact in f32 */
			expect_nearest(SPAN_BF16, sign | half);
	}
}

Test(convert, every_instruction_set_converts_alike)
{
	static float wide[PATTERNS + 5], back[PATTERNS + 5], expected_back[PATTERNS + 5];
	static uint16_t half[PATTERNS + 5], expected[PATTERNS + 5];
	static const span_dtype dtypes[] = { SPAN_BF16, SPAN_F16 };
	const span_kernels *kernels;
	case_random random = { 21 };

	for (int i = 0; i < PATTERNS + 5; i++)
		half[i] = (uint16_t)i;
	for (int t = 0; t < 2; t++)
		for (int k = 0; (kernels = span_kernels_at(k)); k++) {
			kernels->to_f32(dtypes[t], half, back, PATTERNS + 5);
			span_convert_to_f32(dtypes[t], half, expected_back, PATTERNS + 5);
			cr_assert_arr_eq(back, expected_back, sizeof(back), "%s", kernels->name);
		}
	for (int round = 0; round < 64; round++) {
		for (int i = 0; i < PATTERNS + 5; i++) {
			uint32_t bits = (uint32_t)(case_next(&random) >> 32);

			if (i % 2) /* where f16 has numbers */
				bits = (bits & 0x80ffffff) + 0x32000000 +
				       (bits >> 24 & 0xf) * 0x01000000;
			memcpy(&wide[i], &bits, sizeof(bits));
		}
		for (int t = 0; t < 2; t++)
			for (int k = 0; (kernels = span_kernels_at(k)); k++) {
				kernels->from_f32(dtypes[t], wide, half, PATTERNS + 5);
				span_convert_from_f32(dtypes[t], wide, expected, PATTERNS + 5);
				cr_assert_arr_eq(half, expected, sizeof(half), "%s",
				                 kernels->name);
			}
	}
}

Test(convert, f32_is_copied_bit_by_bit)
{
	uint32_t bits[] = { 0x7f800001, 0x80000000, 0x00000001, 0xffc12345 }, copy[4], back[4];

	span_convert_to_f32(SPAN_F32, bits, (float *)copy, 4);
	span_convert_from_f32(SPAN_F32, (float *)copy, back, 4);
	cr_assert_arr_eq(bits, copy, sizeof(bits));
	cr_assert_arr_eq(bits, back, sizeof(bits));
	span_convert_to_f32(SPAN_F32, NULL, NULL, 0);
}

Test(convert, an_unknown_dtype_converts_nothing)
{
	const float source = 1.5f;
	float target = 7;

	span_convert_to_f32((span_dtype)4, &source, &target, 1);
	cr_assert_eq(target, 7);
	span_convert_from_f32((span_dtype)0, &source, &target, 1);
	cr_assert_eq(target, 7);
}

Test(tensor, dtypes_have_sizes_and_names_that_parse)
{
	static const struct {
		span_dtype dtype;
		size_t bytes;
		const char *name;
	} all[] = { { SPAN_F32, 4, "f32" }, { SPAN_BF16, 2, "bf16" }, { SPAN_F16, 2, "f16" } };
	span_dtype dtype;

	for (int i = 0; i < 3; i++) {
		cr_assert_eq(span_dtype_bytes(all[i].dtype), all[i].bytes);
		cr_assert_str_eq(span_dtype_name(all[i].dtype), all[i].name);
		cr_assert_eq(span_dtype_parse(all[i].name, &dtype), SPAN_OK);
		cr_assert_eq(dtype, all[i].dtype);
	}
	cr_assert_eq(span_dtype_bytes((span_dtype)0), 0);
	cr_assert_str_eq(span_dtype_name((span_dtype)0), "unknown");
}

static char logged[256];

static void keep(void *user, span_status status, const char *message)
{
	(void)user;
	(void)status;
	strncpy(logged, message, sizeof(logged) - 1);
}

Test(tensor, a_wrong_dtype_name_is_refused_and_named)
{
	span_dtype dtype = SPAN_F16;

	span_set_log(keep, NULL);
	cr_assert_eq(span_dtype_parse("fp32", &dtype), SPAN_EINVAL);
	cr_assert_not_null(strstr(logged, "fp32"));
	cr_assert_eq(dtype, SPAN_F16);
	cr_assert_eq(span_dtype_parse(NULL, &dtype), SPAN_EINVAL);
	cr_assert_not_null(strstr(logged, "name"));
	cr_assert_eq(span_dtype_parse("f32", NULL), SPAN_EINVAL);
	cr_assert_not_null(strstr(logged, "dtype"));
}

Test(tensor, dense_tensors_have_the_strides_of_their_order)
{
	enum { S = 7, H = 3, D = 16 };
	float data[1];
	span_tensor bshd = span_tensor_bshd(data, SPAN_F32, S, H, D);
	span_tensor bhsd = span_tensor_bhsd(data, SPAN_BF16, S, H, D);

	cr_assert(bshd.data == data && bshd.dtype == SPAN_F32);
	cr_assert(bshd.batch_stride == S * H * D && bshd.token_stride == H * D &&
	          bshd.head_stride == D);
	cr_assert(bhsd.data == data && bhsd.dtype == SPAN_BF16);
	cr_assert(bhsd.batch_stride == S * H * D && bhsd.token_stride == D &&
	          bhsd.head_stride == S * D);
}
