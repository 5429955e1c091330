/* Backward of one KV head between a node of query tiles and a node of key tiles. Private.
 *
 * dQ reduces over key tiles and dK, dV over query tiles, both along the canonical tree. So the
 * pair of nodes is walked by quadrants: each node is split as the tree splits it, the left
 * child's result is written, the right child's is added. A leaf that is a right child adds
 * while it writes; a larger right child is first made in a temporary. */
#ifndef SPAN_QUADRANT_H
#define SPAN_QUADRANT_H

#include "attention/kernels/kernel.h"
#include "attention/visible.h"

/* Gradients of consecutive tile positions: planes [positions][T][width], and a flag a
 * position that says whether anything was written. dQ has one plane a query head, dK and dV
 * are two planes. */
typedef struct {
	float *data;
	int64_t plane;   /* floats from one plane to the next */
	int32_t planes;
	uint8_t *written;
} span_gradient_rows;

typedef struct {
	const span_kernels *kernels;
	const span_visible *visible;
	span_backward_leaf leaf;    /* what all leaves share; q .. v_packed are those of slot 0 */
	const float *const *keys;   /* k of the leaves, by slot */
	int64_t packed_tile;        /* floats from one tile to the next in k_packed, v_packed */
	float *temporaries;         /* span_quadrant_floats long */
	int64_t pairs;              /* out: visible pairs computed, of each head */
} span_quadrant;

/* Floats of temporaries for nodes of at most so many tiles. */
int64_t span_quadrant_floats(int64_t query_tiles, int64_t key_tiles, int32_t heads,
                             int64_t tile_floats);

/* Compute dQ of the query positions [q_first, q_end) and dK, dV of the key positions [k_first,
 * k_end) from each other alone. Both targets start at the first position and have their
 * flags cleared. `plain` != 0: no tree, one chain after another in slot order. */
void span_quadrant_run(span_quadrant *quadrant, int64_t q_first, int64_t q_end, int64_t k_first,
                       int64_t k_end, span_gradient_rows dq, span_gradient_rows dkv, int plain);

#endif
