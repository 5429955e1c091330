/* One problem of the op, run on any number of ranks: random inputs dealt out by the layout,
 * forward and backward on every rank, results put together again as whole dense tensors.
 *
 * Every run is hostile. The workspace is NaN before each call, outputs are a pattern, and
 * inputs are NaN between their rows; guard bytes stand behind everything. A byte written that
 * is no result, an input that changed, or statistics that differ from the plan are faults. */
#ifndef SPAN_TESTS_ATTENTION_CASE_H
#define SPAN_TESTS_ATTENTION_CASE_H

#include "attention/span_attention.h"
#include "tests/attention/kernel_case.h"
#include "tests/double/transport_async.h"

/* Beside those of span_order_kind: one of steps drawn at random, through span_order_load. */
enum { CASE_ORDER_BY_HAND = SPAN_ORDER_ALL_GATHER + 1, CASE_ORDERS };

/* How callers lay their tensors out. */
typedef enum {
	CASE_BSHD,
	CASE_BHSD,
	CASE_SBHD,
	CASE_PADDED, /* [B,S,H,D] with odd gaps behind rows, tokens and batches */
	CASE_STRIDES
} case_strides;

typedef enum {
	CASE_LOCAL,
	CASE_LATE,        /* the asynchronous double */
	CASE_LATE_COPIES, /* the same without wait_in_place */
	CASE_TRANSPORTS
} case_transport;

typedef struct {
	/* The problem: it alone decides the bits. */
	int64_t batch;
	int64_t tokens;
	int32_t tile;
	int32_t query_heads;
	int32_t kv_heads;
	int32_t head_size;
	float scale;
	span_dtype dtype;
	span_mask_kind mask;
	span_layout_family layout;
	case_fill fill;
	/* How it is run. */
	span_numerics numerics;
	int32_t ranks;      /* 0: one rank without a transport */
	int order;
	int grouping;       /* of order_cases.h */
	span_return_kind way_back;
	int32_t threads;
	int isa;            /* of span_kernels_at; those beyond the last mean the last */
	case_strides strides;
	case_transport transport;
	int repeats;        /* calls of forward and backward, at least 1 */
	uint64_t seed;      /* of an order by hand and of delays */
} attention_case;

enum { CASE_OUT, CASE_DQ, CASE_DK, CASE_DV, CASE_RESULTS };

/* Whole tensors of the case's dtype, [B][S][heads][D], and lse [B][Hq][S]. */
typedef struct {
	void *q, *k, *v, *dout;
} case_inputs;

typedef struct {
	char *tensor[CASE_RESULTS];
	size_t bytes[CASE_RESULTS];
	float *lse;
	size_t lse_bytes;
	span_attention_statistics *statistics; /* [ranks] after the last call */
} case_results;

case_inputs case_make_inputs(const attention_case *c);
void case_free_inputs(case_inputs *inputs);

/* Run it. Returns the first failure; *fault says what else was wrong, "" when nothing was. */
span_status case_run(const attention_case *c, const case_inputs *inputs, case_results *results,
                     char fault[256]);
void case_free_results(case_results *results);

/* The same problem on one rank: no transport, one thread, dense [B,S,H,D]. */
attention_case case_on_one_rank(const attention_case *c);

/* The name of a result that differs in some bit, NULL when none does. */
const char *case_results_differ(const case_results *a, const case_results *b);

/* One line that says everything about a case. */
const char *case_describe(const attention_case *c, char text[512]);

/* The pieces, for tests that call the op themselves. */
span_attention_options case_options(const attention_case *c, span_transport *transport);
span_order *case_order_by_hand(const attention_case *c, const int32_t *group);

#endif
