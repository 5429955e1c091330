/* The inside of a span_attention. Private to what makes it (attention.c, arguments.c, check.c,
 * memory.c) and to its passes (pass.c, gather.c, forward.c, backward.c, backward_block.c,
 * returns.c). */
#ifndef SPAN_OP_H
#define SPAN_OP_H

#include "attention/align.h"
#include "attention/check.h"
#include "attention/kernels/kernel.h"
#include "attention/pool.h"
#include "attention/program.h"
#include "attention/span_attention.h"

/* Where things stand in the caller's workspace: offsets in bytes, multiples of 64. */
typedef struct {
	size_t own_block;       /* this rank's K and V as they travel; used when P > 1 */
	size_t kv_buffer;       /* [kv_buffers] x kv_buffer_bytes */
	size_t kv_buffer_bytes;
	size_t pending_o;       /* [pending_slots][B][Hq][s][width] out partials or dQ */
	size_t pending_m;       /* [pending_slots][B][Hq][s], forward */
	size_t pending_l;
	size_t query;           /* [B][Hq][s][width] scaled q, backward */
	size_t dout;            /* [B][Hq][s][width] */
	size_t lse2;            /* [B][Hq][s] */
	size_t delta;           /* [B][Hq][s] */
	size_t store;           /* the owner's own account */
	size_t return_buffer;   /* [return_buffers], each of its own size */
	size_t delivery_buffer; /* [delivery_buffers], each of its own size */
	size_t prepared;        /* forward: [planes][tiles of a block], over backward's arrays */
	size_t scratch;         /* [threads] x scratch_bytes */
	size_t scratch_bytes;
	size_t part_bytes;      /* of one dK, dV part: [B][Hkv][2][T][width] f32 */
	size_t block_total;     /* the sums told in the statistics */
	size_t pending_total;
	size_t total;
} span_memory;

/* Counted by each thread, added up after the pass. */
typedef struct {
	int64_t pairs;        /* of all batches and query heads */
	int64_t pending_most;
	int64_t returns_most;
	uint8_t padding[64 - 3 * sizeof(int64_t)]; /* a cache line each */
} span_thread_count;

/* How far a block of another rank has come in a pass. */
typedef enum {
	SPAN_BLOCK_AWAY,     /* not asked for yet */
	SPAN_BLOCK_ARRIVING, /* a receive is posted */
	SPAN_BLOCK_UNREAD,   /* here, perhaps passed on; its data was not held against its digest */
	SPAN_BLOCK_CHECKED,
} span_block_state;

struct span_attention {
	span_attention_options options; /* defaults filled in */
	const span_kernels *kernels;
	span_layout *layout;
	const span_order *order;        /* made_order, or the caller's */
	span_order *made_order;
	span_program *program;
	span_pool *pool;
	span_transport *transport;      /* NULL: one rank */
	int32_t rank;
	int32_t ranks;
	int32_t heads_per_kv;           /* query heads of one KV head */
	int32_t width;                  /* floats of an inner row */
	int64_t tokens;                 /* s of this rank */
	float scale_log2;               /* (float)(scale * log2 e) */
	span_memory memory;

	/* State of the pass that runs; allocated at create. */
	uint64_t epoch;                 /* span_message.epoch */
	char *workspace;
	span_token *receive_token;      /* [P] of the block on its way */
	uint8_t *block_state;           /* [P] span_block_state */
	int32_t *block_buffer;          /* [P] the buffer a received block is in */
	int32_t *block_tiles;           /* [P] how many of its tiles came */
	int32_t *buffer_block;          /* [kv_buffers] the block that is in it, -1: none yet */
	int32_t *block_origin;          /* [P] who sends it */
	span_message *block_message;    /* [P] its header */
	uint64_t *chunk_digest;         /* of the block computed on: [tiles][K, V][B][Hkv] */
	uint64_t *table;                /* the digests that came with a block, the same way */
	uint64_t *part_digest;          /* of an account that is complete: [parts][B][Hkv] */
	uint64_t *came_digest;          /* of the delivery that is merged, the same way */
	span_token *send_token;         /* [sends] outstanding */
	int32_t *send_buffer;           /* [sends] the buffer it reads, -1: the own block */
	int32_t sends;
	span_token *delivery_token;     /* [deliveries] */
	span_message delivery_message;  /* of the delivery that is merged */
	span_token *return_token;       /* [return_buffers] */
	uint8_t *return_posted;         /* [return_buffers] */
	span_thread_count *count;       /* [threads] */
	int32_t *waiting;               /* [tiles] partials that wait, by query tile */
	int32_t *returns_waiting;       /* [tiles] dK, dV parts that wait, by own key tile */
	span_pass_statistics *pass;     /* the one that runs */
	double began;                   /* when, in seconds */

	span_attention_statistics statistics;
};

/* memory.c: lay the workspace out. Returns SPAN_EUNSUPPORTED when it would overflow. */
span_status span_memory_plan(span_attention *op);
/* Bytes of a block's leading tiles as they travel. A tile is a table of digests, a multiple of
 * 64 bytes, then K, then V, each dense [B][Hkv][T][D] of dtype; the last tile of the sequence
 * may be shorter. The digests are those of K and V of each head, marked with their place. */
size_t span_memory_block_bytes(const span_attention *op, int32_t rank, int64_t tiles);
/* Bytes of a table, and of a whole tile with it. */
size_t span_memory_table_bytes(const span_attention *op);
size_t span_memory_tile_bytes(const span_attention *op);
/* Tiles of the largest shard. */
int64_t span_memory_most_tiles(const span_attention *op);
/* Scratch of one thread. (forward.c, backward.c) */
size_t span_forward_scratch_bytes(const span_attention *op);
size_t span_backward_scratch_bytes(const span_attention *op);
/* KV heads, counted over batches, that forward prepares at a time. (forward.c) */
int64_t span_forward_planes(const span_attention *op);
/* Floats of one packed key tile; of a key tile prepared for forward, values behind it. */
int64_t span_packed_tile_floats(const span_attention *op);
int64_t span_prepared_tile_floats(const span_attention *op);

/* arguments.c: check what forward and backward are given. */
span_status span_check_options(const span_attention_options *options);
span_status span_check_tensor(const char *function, const char *name, const span_tensor *tensor,
                              const span_attention *op, int32_t heads, int is_output);
span_status span_check_lse(const char *function, const span_attention *op, const float *lse);
/* Where they lie, once they are checked. */
span_area span_tensor_area(const span_attention *op, const char *name, const span_tensor *tensor,
                           int is_output);
span_area span_lse_area(const span_attention *op, const float *lse, int is_output);
span_area span_workspace_area(const span_attention *op, const void *workspace);

/* K and V of one tile of a block, of one batch and KV head: dtype rows `stride` elements apart. */
typedef struct {
	const char *k;
	const char *v;
	int64_t k_stride;
	int64_t v_stride;
} span_tile_view;

/* gather.c: the way out of keys and values. */
void span_gather_begin(span_attention *op, const span_tensor *k, const span_tensor *v,
                       void *workspace);
/* Have what step t needs, post what it receives and sends. */
span_status span_gather_step(span_attention *op, int32_t t);
/* Wait for what is still being sent. */
span_status span_gather_end(span_attention *op);
/* A block is digested chunk by chunk, a tile of one head each, while it is in cache anyway:
 * whoever reads a chunk first calls the first function, and the second when all that the rank
 * reads were. Nothing happens for the own block. */
void span_gather_digest(span_attention *op, int32_t block, int64_t batch, int32_t kv_head,
                        int64_t slot);
span_status span_gather_verify(span_attention *op, int32_t block);
/* After a failure, which may come from a block that this rank passed on before it read it: check
 * every block it holds unread. Returns SPAN_EINTEGRITY if one is damaged, else `status`. */
span_status span_gather_stopped(span_attention *op, span_status status);
span_tile_view span_gather_tile(const span_attention *op, const span_tensor *k,
                                const span_tensor *v, int32_t block, int64_t batch,
                                int32_t kv_head, int64_t slot);

/* returns.c: the way back of dK and dV. */
void span_returns_begin(span_attention *op);
/* Post the receives of step t, and have the buffer of an account that begins in it. */
span_status span_returns_step(span_attention *op, int32_t t);
/* Send on account number `account`, which is complete; nothing when it has no parts, which
 * happens when an order computes on more than the mask lets be seen. */
span_status span_returns_send(span_attention *op, int32_t account, int32_t t);
/* Wait for a delivery; *parts is where its parts are, to be read until it is released. */
span_status span_returns_receive(span_attention *op, int32_t delivery, const float **parts);
void span_returns_release(span_attention *op, int32_t delivery);
/* A part is digested while it is in cache anyway, one batch and KV head at a time, by whoever
 * writes or reads it last: the first two functions. When all heads of a delivery were digested
 * the third holds header and digests against what was due. */
void span_returns_digest_account(span_attention *op, int32_t account, int64_t batch,
                                 int32_t kv_head);
void span_returns_digest_delivery(span_attention *op, const float *parts, int64_t batch,
                                  int32_t kv_head, int32_t part);
span_status span_returns_verify(span_attention *op, int32_t delivery);
span_status span_returns_end(span_attention *op);
/* The parts of an account in the workspace. */
float *span_returns_account(const span_attention *op, int32_t account);

#endif
