/* Sequence-parallel attention, forward and backward.
 *
 * Each of P ranks owns the queries, keys and values of its tokens (span_layout.h). The keys
 * and values of the others arrive block by block through a transport (span_transport.h), in
 * the order that the options name (span_order.h), while the rank computes. The op never looks at
 * the machine: SPAN_ORDER_AUTO goes by the groups of the transport alone. Which order suits a
 * machine says span_gather.h, or the program span-topo.
 *
 *     span_attention_options options = { .size = sizeof options, .batch = 1,
 *             .query_tokens = S, .key_tokens = S, .query_heads = 8, .kv_heads = 2,
 *             .head_size = 128, .dtype = SPAN_F32,
 *             .mask = { .size = sizeof(span_mask), .kind = SPAN_MASK_CAUSAL },
 *             .transport = transport };
 *     span_attention_create(&options, &op);
 *     void *workspace = aligned_alloc(64, span_attention_workspace_bytes(op));
 *     span_attention_forward(op, &q, &k, &v, &out, lse, workspace);
 *     span_attention_backward(op, &q, &k, &v, &out, &dout, lse, &dq, &dk, &dv, workspace);
 *
 * Every rank makes the same calls in the same order with the same options (transport apart).
 *
 * Numerics. In the canonical class out, LSE and gradients have the same bits for every number
 * of ranks, every order, grouping and thread count, and on every instruction set, as long as
 * S, tile, layout family and the tensors are the same (attention/README.md). */
#ifndef SPAN_ATTENTION_H
#define SPAN_ATTENTION_H

#include "attention/span_layout.h"
#include "attention/span_mask.h"
#include "attention/span_tensor.h"
#include "attention/span_transport.h"
#include "topo/span_order.h"
#include "topo/span_status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct span_attention span_attention;

typedef enum {
	SPAN_NUMERICS_CANONICAL = 0, /* partials meet along the canonical tree */
	SPAN_NUMERICS_SCHEDULE = 1   /* partials meet in the order of the schedule: less memory and
	                              * return volume; independent of timing, not of P or order */
} span_numerics;

/* What to compute. Zero the struct, set size and what differs from the default. */
typedef struct {
	size_t size;                   /* sizeof(span_attention_options); one that the library does
	                               * not know is refused, so that no option is passed over */
	int64_t batch;                 /* B >= 1 */
	int64_t query_tokens;          /* S, 1 to 2^31, of the whole sequence, not of one rank */
	int64_t key_tokens;            /* must equal query_tokens in this version */
	int32_t query_heads;           /* Hq, a multiple of kv_heads */
	int32_t kv_heads;              /* Hkv >= 1 */
	int32_t head_size;             /* D: a multiple of 8 from 8 to 256 */
	int32_t value_head_size;       /* 0: head_size; must equal head_size in this version */
	span_dtype dtype;              /* of q, k, v, out and of all gradients */
	float scale;                   /* of the scores; 0: 1 / sqrt(D) */
	span_mask mask;                /* size 0: full */
	span_layout_family layout;     /* default contiguous */
	span_numerics numerics;        /* default canonical */
	int32_t tile;                  /* T; 0: chosen from S (span_layout.h) */
	int32_t threads;               /* threads that compute for one rank; 0: 1. They run where
	                               * the main thread of the process may run at create */
	span_transport *transport;     /* NULL: one rank. Borrowed until span_attention_free */
	span_order_kind order;         /* used when custom_order is NULL */
	span_return_kind way_back;     /* used when custom_order is NULL */
	const span_order *custom_order; /* NULL, or an order for P ranks that serves at least the
	                               * needs of this mask and layout, and in which a block is
	                               * sent and received in steps of the same number; borrowed
	                               * until span_attention_free */
	double timeout;                /* seconds to wait for one message; 0: 600 */
} span_attention_options;

/* Check the options, plan forward and backward, start the threads. Communicates nothing.
 * Returns SPAN_EINVAL or SPAN_EUNSUPPORTED naming the option, its value and what would be
 * accepted; SPAN_ENOMEM. Environment: SPAN_ISA = ref | avx2 | avx512 forces the kernels. */
SPAN_API span_status span_attention_create(const span_attention_options *options,
                                           span_attention **op);
SPAN_API void span_attention_free(span_attention *op);

/* Scratch memory that forward and backward need, in bytes, a multiple of 64; the caller provides
 * it, 64-byte aligned, and may share it among ops that do not run at once. Nothing in it outlives
 * a call. */
SPAN_API size_t span_attention_workspace_bytes(const span_attention *op);

/* The layout the op chose; belongs to the op. */
SPAN_API const span_layout *span_attention_layout(const span_attention *op);

/* The order the op follows; belongs to the op. */
SPAN_API const span_order *span_attention_order(const span_attention *op);

/* out = softmax(scale q k^T + mask) v for the queries of this rank, collectively.
 *
 *   q         [B][s][Hq][D]   dtype  in   any strides (span_tensor.h)
 *   k, v      [B][s][Hkv][D]  dtype  in
 *   out       [B][s][Hq][D]   dtype  out
 *   lse       [B][Hq][s]      f32    out  natural log of sum exp(scale q k); dense
 *   workspace [workspace_bytes]      scratch, 64-byte aligned
 *
 * Outputs overlap no other argument. A query that sees no key gets out = 0 and lse = -inf. bf16
 * and f16 results are rounded once, to nearest even. No allocation. One thread at a time may use
 * an op. The caller's floating-point mode does not matter and is restored.
 * Returns SPAN_EINVAL (outputs untouched), SPAN_ECOMM, SPAN_ETIMEOUT, SPAN_EINTEGRITY (outputs
 * undefined; the transport has been aborted).
 * Source: Dao 2023, arXiv:2307.08691; Liu et al. 2023, arXiv:2310.01889. */
SPAN_API span_status span_attention_forward(span_attention *op, const span_tensor *q,
                                            const span_tensor *k, const span_tensor *v,
                                            const span_tensor *out, float *lse,
                                            void *workspace);

/* Gradients of q, k, v for the caller's dout, collectively: exact sums, no 1/P.
 *
 *   q, k, v, out, lse         in   as given to and received from forward
 *   dout      [B][s][Hq][D]   in
 *   dq        [B][s][Hq][D]   out
 *   dk, dv    [B][s][Hkv][D]  out  summed over the query heads of the group and over ranks
 *
 * sum(dout * out) is computed from `out` as stored. Threads, errors, memory as in forward.
 * Source: Dao 2023, arXiv:2307.08691, algorithm 2. */
SPAN_API span_status span_attention_backward(span_attention *op, const span_tensor *q,
                                             const span_tensor *k, const span_tensor *v,
                                             const span_tensor *out, const span_tensor *dout,
                                             const float *lse, const span_tensor *dq,
                                             const span_tensor *dk, const span_tensor *dv,
                                             void *workspace);

/* Counts of one pass, forward or backward, of this rank. */
typedef struct {
	int64_t pairs_planned;        /* visible (query, key) pairs of this rank, per head */
	int64_t pairs_computed;       /* as given to the kernels in the last call, of all batches
	                               * and query heads together, over their number; a call whose
	                               * sum is not that of the plan fails */
	int64_t pending_planned;      /* most partials of the shard that wait at once; forward:
	                               * out partials; backward: dQ partials */
	int64_t pending_used;         /* as counted in the last call */
	int64_t returns_planned;      /* backward: most pending dK, dV partials, blocks counted */
	int64_t returns_used;
	uint64_t bytes_inside_planned;  /* sent by this rank to its own group */
	uint64_t bytes_between_planned; /* sent by this rank to other groups */
	uint64_t bytes_inside;        /* as sent in the last call */
	uint64_t bytes_between;
	double seconds;               /* of the last call */
	double exposed_seconds;       /* of these, spent waiting for messages */
	uint64_t reserved[4];         /* 0: room for counts to come */
} span_pass_statistics;

typedef struct {
	size_t size;                  /* in: sizeof(span_attention_statistics) */
	const char *isa;              /* "ref", "avx2", "avx512" */
	span_numerics numerics;       /* the class the op runs in */
	span_order_kind order;
	span_return_kind way_back;
	int32_t ranks;
	int32_t tile;
	double causal_imbalance;      /* largest visible pairs of a rank over their mean; 1 is even */
	int32_t balanced_tile;        /* a tile that brings the imbalance to 1.1 or less, 0 when none
	                               * does or it already is */
	size_t workspace_bytes;       /* and what it is made of: */
	size_t block_bytes;           /* blocks: the rank's own as it travels, and receive buffers */
	size_t pending_bytes;         /* partials that wait for their sibling */
	size_t query_bytes;           /* q, dout, lse and delta of this rank as backward reads them */
	size_t scratch_bytes;         /* of the computing threads */
	span_pass_statistics forward;
	span_pass_statistics backward;
} span_attention_statistics;

/* Fill statistics; fields of a pass not yet run are 0. Returns SPAN_EINVAL when a pointer is NULL
 * or size is too small. */
SPAN_API span_status span_attention_get_statistics(const span_attention *op,
                                                   span_attention_statistics *statistics);

#ifdef __cplusplus
}
#endif
#endif
