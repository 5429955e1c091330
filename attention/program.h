/* Everything one rank does in forward and backward, worked out when the op is created.
 * Private. Data, not code: the executor (forward.c, backward.c) only walks it.
 *
 * Forward and backward share the gather: which block arrives when in which buffer, and what
 * then becomes of each of the rank's query tiles (its output partial in forward, its dQ in
 * backward). Backward adds the way back: for each block the rank computes on or collects it
 * keeps an account of dK and dV, merges into it what it computes and what arrives, and sends
 * on what is left, or, being the owner, finishes it. */
#ifndef SPAN_PROGRAM_H
#define SPAN_PROGRAM_H

#include "attention/reduce.h"
#include "attention/visible.h"
#include "topo/span_order.h"

/* A part of one of the arrays below. */
typedef struct {
	int32_t first;
	int32_t count;
} span_range;

typedef struct {
	int32_t peer;
	int32_t block;
	int32_t tiles;  /* of the block that travel: those in its slots 0 .. tiles - 1 */
	int32_t buffer; /* receives: where the block goes */
} span_gather_transfer;

/* A partial of one row of tiles arrives: what it merges with and where it then stays. */
typedef struct {
	int32_t row;      /* forward, dQ: slot of the query tile. dK, dV: slot of the key tile */
	span_node node;   /* the keys, or for dK, dV the queries, it stands for */
	int32_t part;     /* dK, dV that came in a message: the part of the message */
	span_range merge; /* of program->merge */
	int32_t store;    /* slot, or -1: the row is complete */
} span_row_arrival;

/* dK and dV of one block at one rank. Parts are indexed store * tiles + row. */
typedef struct {
	int32_t block;
	int32_t hop;        /* whom it goes to, -1: this rank owns the block */
	int32_t tiles;      /* of the block */
	int32_t slots;      /* most parts of one row at once */
	int32_t buffer;     /* return buffer, -1: the owner's own store */
	int32_t begin_step; /* first merge */
	int32_t send_step;  /* complete at the end of this step */
	span_range part;    /* sent on, of program->part: ascending indices; none for the owner */
} span_account;

/* A message with dK, dV that this rank receives. */
typedef struct {
	int32_t from;
	int32_t account;
	int32_t step;       /* posted in this step, merged at the end of the next */
	int32_t buffer;
	int32_t parts;
	int32_t completes;  /* whether the account is complete with it */
	span_range arrival; /* of program->arrival */
} span_delivery;

typedef struct {
	int32_t compute;     /* block, or -1 */
	span_range receive;  /* of program->transfer */
	span_range send;     /* of program->transfer */
	span_range arrival;  /* of program->arrival: query tiles, by row, then by node */
	int32_t account;     /* backward: where dK, dV of `compute` go, -1: none */
	int32_t completes;   /* backward: whether that account is then complete */
	span_range returned; /* backward, of program->arrival: what computing adds to the account */
	span_range post;     /* backward, of program->delivery: receives posted in this step */
} span_program_step;

typedef struct {
	span_visible visible;
	const span_order *order;
	int32_t rank;
	int32_t schedule;    /* numerics class */

	int32_t tiles;       /* of this rank */
	int32_t *read;       /* [P] of each block the leading tiles that this rank's queries see */
	int32_t nodes;       /* of this rank's cover */
	span_node node[SPAN_TREE_COVER];

	int32_t gather_steps;
	int32_t steps;       /* gather_steps and what backward needs to drain */
	span_program_step *step;

	int32_t kv_buffers;
	int32_t pending_slots;   /* most partials of one query tile that wait */
	int32_t return_buffers;
	int32_t *return_parts;   /* [return_buffers] parts each must hold */
	int32_t delivery_buffers;
	int32_t *delivery_parts; /* [delivery_buffers] */
	int32_t own_account;     /* -1: the rank has no tile */
	int64_t outstanding;     /* messages posted and not waited for are never more */

	/* Growing arrays; capacity is that of growing. */
	span_gather_transfer *transfer;
	span_row_arrival *arrival;
	span_merge *merge;
	span_account *account;
	span_delivery *delivery;
	int32_t *part;
	int32_t transfers, arrivals, merges, accounts, deliveries, parts;
} span_program;

/* schedule: 0 canonical, 1 schedule order. layout and order are borrowed for the program's
 * life. Returns SPAN_EUNSUPPORTED, SPAN_ENOMEM. */
span_status span_program_create(const span_visible *visible, const span_order *order,
                                int32_t rank, int32_t schedule, span_program **program);
void span_program_free(span_program *program);

/* The cover of a rank's shard; in schedule order one node that stands for all of it. */
int span_program_cover(const span_program *program, int32_t rank,
                       span_node nodes[SPAN_TREE_COVER]);

/* Whether some tile of `node` of a rank's shard lies in [tile_first, tile_end). */
int span_program_meets(const span_program *program, int32_t rank, span_node node,
                       int64_t tile_first, int64_t tile_end);

/* Plan what the rank receives and sends in each step, how many tiles of it, and in which buffers
 * (program_gather.c). */
span_status span_program_add_gather(span_program *program);

/* Count the messages that are outstanding at most: exactly those of the gather, and as many more as
 * the way back ever has. (program_gather.c) */
span_status span_program_count_outstanding(span_program *program);

/* Add the steps of the way back (program_return.c). */
span_status span_program_add_returns(span_program *program);

/* Room for one more element at the end of a growing array of `count` elements. */
span_status span_program_grow(void *array, int32_t count, size_t element_bytes);

/* Append an arrival with its merges. */
span_status span_program_append(span_program *program, int32_t row, span_node node,
                                int32_t part, const span_arrival *arrival);

/* Colour intervals [begin, end] of steps, given in ascending order of begin, with as few
 * buffers as possible: buffer_end[b] is the last step in which buffer b is held. Returns the
 * buffer, *buffers grows when a new one is needed; -1 when there is no memory. */
int32_t span_program_colour(int32_t **buffer_end, int32_t *buffers, int32_t begin, int32_t end);

#endif
