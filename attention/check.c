#include "attention/check.h"

#include "attention/align.h"
#include "topo/log.h"

enum { DIMENSIONS = 3 };

/* Batches, tokens and heads of a tensor. */
typedef struct {
	int64_t extent[DIMENSIONS];
	int64_t stride[DIMENSIONS];
} dimensions;

/* Whether the last element is farther from the first than a pointer can lead. Strides are not
 * negative. */
static int is_beyond_memory(const dimensions *of, const span_rows *rows)
{
	int64_t last = rows->head_size;
	int64_t bytes;

	for (int i = 0; i < DIMENSIONS; i++) {
		int64_t step;

		if (of->extent[i] > 1 &&
		    (__builtin_mul_overflow(of->extent[i] - 1, of->stride[i], &step) ||
		     __builtin_add_overflow(last, step, &last)))
			return 1;
	}
	return __builtin_mul_overflow(last, (int64_t)span_dtype_bytes(rows->dtype), &bytes) ||
	       bytes > PTRDIFF_MAX;
}

/* Whether two elements could share memory. Sufficient for what strides of real layouts look like:
 * taken by size, each must step over all that the smaller ones reach. */
static int overlaps(dimensions of, int64_t inner)
{
	int64_t reach = inner;

	for (int done = 0; done < DIMENSIONS; done++) {
		int least = -1;

		for (int i = 0; i < DIMENSIONS; i++)
			if (of.extent[i] > 1 && (least < 0 || of.stride[i] < of.stride[least]))
				least = i;
		if (least < 0)
			return 0;
		if (of.stride[least] < reach)
			return 1;
		reach += of.stride[least] * (of.extent[least] - 1);
		of.extent[least] = 1;
	}
	return 0;
}

static span_status check_strides(const char *function, const char *name,
                                 const span_tensor *tensor, const span_rows *rows)
{
	static const char *const stride_name[] = { "batch_stride", "token_stride", "head_stride" };
	const dimensions of = {
		.extent = { rows->batch, rows->tokens, rows->heads },
		.stride = { tensor->batch_stride, tensor->token_stride, tensor->head_stride },
	};
	const char *wrong;

	for (int i = 0; i < DIMENSIONS; i++)
		if (of.extent[i] > 1 && of.stride[i] < 0)
			return span_fail(SPAN_EINVAL, "%s: %s->%s is %lld; it must not be negative",
			                 function, name, stride_name[i], (long long)of.stride[i]);
	wrong = is_beyond_memory(&of, rows) ? "lead beyond all memory"
	      : rows->is_output && overlaps(of, rows->head_size) ? "make its elements overlap"
	                                                         : NULL;
	if (wrong == NULL)
		return SPAN_OK;
	return span_fail(SPAN_EINVAL, "%s: the strides of %s (batch %lld, token %lld, head %lld) %s",
	                 function, name, (long long)tensor->batch_stride,
	                 (long long)tensor->token_stride, (long long)tensor->head_stride, wrong);
}

span_status span_check_rows(const char *function, const char *name, const span_tensor *tensor,
                            const span_rows *rows)
{
	const char *dtype = span_dtype_name(rows->dtype);

	if (tensor == NULL)
		return span_fail(SPAN_EINVAL, "%s: %s is NULL", function, name);
	if (tensor->dtype != rows->dtype)
		return span_fail(SPAN_EINVAL, "%s: %s->dtype is %d; %s (%d) is needed", function, name,
		                 (int)tensor->dtype, dtype, (int)rows->dtype);
	if (rows->tokens == 0)
		return SPAN_OK;
	if (tensor->data == NULL)
		return span_fail(SPAN_EINVAL, "%s: %s->data is NULL", function, name);
	if ((uintptr_t)tensor->data % span_dtype_bytes(tensor->dtype) != 0)
		return span_fail(SPAN_EINVAL, "%s: %s->data is not aligned to its dtype, %s", function,
		                 name, dtype);
	return check_strides(function, name, tensor, rows);
}

span_status span_check_floats(const char *function, const char *name, const float *floats)
{
	if (floats == NULL)
		return span_fail(SPAN_EINVAL, "%s: %s is NULL", function, name);
	if ((uintptr_t)floats % sizeof(float) != 0)
		return span_fail(SPAN_EINVAL, "%s: %s is not aligned to f32", function, name);
	return SPAN_OK;
}

span_status span_check_workspace(const char *function, const void *workspace)
{
	if (workspace == NULL)
		return span_fail(SPAN_EINVAL, "%s: workspace is NULL", function);
	if ((uintptr_t)workspace % SPAN_ALIGNMENT != 0)
		return span_fail(SPAN_EINVAL, "%s: workspace is not aligned to 64 bytes", function);
	return SPAN_OK;
}

static int share(const span_area *a, const span_area *b)
{
	uintptr_t x = (uintptr_t)a->begin, y = (uintptr_t)b->begin;

	return a->begin != NULL && b->begin != NULL && x < y + b->bytes && y < x + a->bytes;
}

span_status span_check_apart(const char *function, const span_area *areas, int n)
{
	for (int i = 0; i < n; i++)
		for (int j = 0; j < n; j++)
			if (i != j && areas[i].is_output && share(&areas[i], &areas[j]))
				return span_fail(SPAN_EINVAL, "%s: %s shares memory with %s; an output "
				                 "needs its own", function, areas[i].name,
				                 areas[j].name);
	return SPAN_OK;
}
