/* Checking what callers hand in: every message names the argument, its value and what would be
 * accepted. */
#include <math.h>
#include "attention/op.h"
#include "topo/log.h"

static const char create[] = "span_attention_create";

/* So that the pairs of a mask can be counted in 63 bits. */
static const int64_t MOST_TOKENS = (int64_t)1 << 31;

static span_status check_shape(const span_attention_options *options)
{
	if (options->batch < 1 || options->batch > INT32_MAX)
		return span_fail(SPAN_EINVAL, "%s: batch is %lld; 1 to 2^31 - 1 are possible", create,
		                 (long long)options->batch);
	if (options->query_tokens < 1)
		return span_fail(SPAN_EINVAL, "%s: query_tokens is %lld; at least 1 is needed",
		                 create, (long long)options->query_tokens);
	if (options->query_tokens > MOST_TOKENS)
		return span_fail(SPAN_EUNSUPPORTED, "%s: query_tokens is %lld; at most %lld are "
		                 "possible", create, (long long)options->query_tokens,
		                 (long long)MOST_TOKENS);
	if (options->key_tokens < 1)
		return span_fail(SPAN_EINVAL, "%s: key_tokens is %lld; at least 1 is needed", create,
		                 (long long)options->key_tokens);
	if (options->key_tokens != options->query_tokens)
		return span_fail(SPAN_EUNSUPPORTED,
		                 "%s: key_tokens is %lld and query_tokens %lld; this version needs "
		                 "them equal", create, (long long)options->key_tokens,
		                 (long long)options->query_tokens);
	if (options->kv_heads < 1 || options->kv_heads > 65536)
		return span_fail(SPAN_EINVAL, "%s: kv_heads is %d; 1 to 65536 are possible", create,
		                 options->kv_heads);
	if (options->query_heads < 1 || options->query_heads > 65536 ||
	    options->query_heads % options->kv_heads != 0)
		return span_fail(SPAN_EINVAL,
		                 "%s: query_heads is %d; a multiple of kv_heads (%d) up to 65536 is "
		                 "needed", create, options->query_heads, options->kv_heads);
	if (options->head_size < 8 || options->head_size > 256 || options->head_size % 8 != 0)
		return span_fail(SPAN_EUNSUPPORTED,
		                 "%s: head_size is %d; multiples of 8 from 8 to 256 are possible",
		                 create, options->head_size);
	if (options->value_head_size != 0 && options->value_head_size != options->head_size)
		return span_fail(SPAN_EUNSUPPORTED,
		                 "%s: value_head_size is %d; this version needs 0 or head_size (%d)",
		                 create, options->value_head_size, options->head_size);
	return SPAN_OK;
}

static span_status check_kind(const span_attention_options *options)
{
	if (span_dtype_bytes(options->dtype) == 0)
		return span_fail(SPAN_EINVAL,
		                 "%s: dtype is %d; SPAN_F32, SPAN_BF16 and SPAN_F16 are possible",
		                 create, (int)options->dtype);
	if (!(isfinite(span_scale_log2(options->scale)) && options->scale >= 0))
		return span_fail(SPAN_EINVAL,
		                 "%s: scale is %g; a positive number up to 2e38, or 0 for "
		                 "1 / sqrt(head_size), is needed", create, (double)options->scale);
	if (options->mask.size != 0 && options->mask.size != sizeof(span_mask))
		return span_fail(SPAN_EINVAL, "%s: mask.size is %zu; sizeof(span_mask) is %zu",
		                 create, options->mask.size, sizeof(span_mask));
	if (options->mask.kind != SPAN_MASK_FULL && options->mask.kind != SPAN_MASK_CAUSAL)
		return span_fail(SPAN_EUNSUPPORTED,
		                 "%s: mask.kind is %d; full (0) and causal (1) are possible", create,
		                 (int)options->mask.kind);
	for (int i = 0; i < SPAN_MASK_RESERVED; i++)
		if (options->mask.reserved[i] != 0)
			return span_fail(SPAN_EUNSUPPORTED,
			                 "%s: mask.reserved[%d] is %lld; this version needs 0", create,
			                 i, (long long)options->mask.reserved[i]);
	if (options->mask.size == 0 && options->mask.kind != SPAN_MASK_FULL)
		return span_fail(SPAN_EINVAL,
		                 "%s: mask.size is 0 with mask.kind %d; set it to sizeof(span_mask)",
		                 create, (int)options->mask.kind);
	if (options->layout != SPAN_LAYOUT_CONTIGUOUS && options->layout != SPAN_LAYOUT_ZIGZAG)
		return span_fail(SPAN_EINVAL,
		                 "%s: layout is %d; contiguous (0) and zigzag (1) are possible",
		                 create, (int)options->layout);
	if (options->numerics != SPAN_NUMERICS_CANONICAL &&
	    options->numerics != SPAN_NUMERICS_SCHEDULE)
		return span_fail(SPAN_EINVAL,
		                 "%s: numerics is %d; canonical (0) and schedule (1) are possible",
		                 create, (int)options->numerics);
	return SPAN_OK;
}

static span_status check_running(const span_attention_options *options)
{
	int32_t ranks = options->transport != NULL ? options->transport->ranks : 1;

	if (options->threads < 0 || options->threads > 1024)
		return span_fail(SPAN_EINVAL, "%s: threads is %d; 1 to 1024, or 0 for 1, are "
		                 "possible", create, options->threads);
	if (!(options->timeout >= 0 && options->timeout <= 1e9))
		return span_fail(SPAN_EINVAL,
		                 "%s: timeout is %g; seconds up to 1e9, or 0 for 600, are needed",
		                 create, options->timeout);
	if ((int)options->order < SPAN_ORDER_AUTO ||
	    (int)options->order > SPAN_ORDER_ALL_GATHER)
		return span_fail(SPAN_EINVAL,
		                 "%s: order is %d; auto (0), ring (1), node-first (2), pairwise (3) "
		                 "and all-gather (4) are possible", create, (int)options->order);
	if ((int)options->way_back < SPAN_RETURN_AUTO ||
	    (int)options->way_back > SPAN_RETURN_GROUP_FIRST)
		return span_fail(SPAN_EINVAL,
		                 "%s: way_back is %d; auto (0), direct (1) and group-first (2) are "
		                 "possible", create, (int)options->way_back);
	if (options->custom_order != NULL && span_order_ranks(options->custom_order) != ranks)
		return span_fail(SPAN_EINVAL,
		                 "%s: custom_order is for %d ranks; the transport has %d", create,
		                 span_order_ranks(options->custom_order), ranks);
	return SPAN_OK;
}

span_status span_check_options(const span_attention_options *options)
{
	span_status status;

	if (options == NULL)
		return span_fail(SPAN_EINVAL, "%s: options is NULL", create);
	if (options->size != sizeof(*options))
		return span_fail(SPAN_EINVAL,
		                 "%s: options->size is %zu; this library knows options of %zu bytes",
		                 create, options->size, sizeof(*options));
	if (options->transport != NULL) {
		status = span_transport_check(options->transport);
		if (status != SPAN_OK)
			return status;
	}
	status = check_shape(options);
	if (status == SPAN_OK)
		status = check_kind(options);
	return status == SPAN_OK ? check_running(options) : status;
}

span_status span_check_tensor(const char *function, const char *name, const span_tensor *tensor,
                              const span_attention *op, int32_t heads, int is_output)
{
	span_rows rows = { .dtype = op->options.dtype, .batch = op->options.batch,
		           .tokens = op->tokens, .heads = heads,
		           .head_size = op->options.head_size, .is_output = is_output };

	return span_check_rows(function, name, tensor, &rows);
}

span_status span_check_lse(const char *function, const span_attention *op, const float *lse)
{
	return op->tokens > 0 ? span_check_floats(function, "lse", lse) : SPAN_OK;
}

span_area span_tensor_area(const span_attention *op, const char *name, const span_tensor *tensor,
                           int is_output)
{
	return (span_area){ .name = name, .begin = op->tokens > 0 ? tensor->data : NULL,
		            .bytes = (size_t)op->options.head_size *
		                     span_dtype_bytes(op->options.dtype),
		            .is_output = is_output };
}

span_area span_lse_area(const span_attention *op, const float *lse, int is_output)
{
	size_t rows = (size_t)(op->options.batch * op->options.query_heads * op->tokens);

	return (span_area){ .name = "lse", .begin = op->tokens > 0 ? lse : NULL,
		            .bytes = rows * sizeof(float), .is_output = is_output };
}

span_area span_workspace_area(const span_attention *op, const void *workspace)
{
	return (span_area){ .name = "workspace", .begin = workspace, .bytes = op->memory.total,
		            .is_output = 1 };
}
