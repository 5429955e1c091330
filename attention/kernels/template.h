/* The kernels on vectors of any width, for one instruction set: included once by the file of
 * that set, which defines before it
 *
 *   W                    lanes of a vector, 8 or 16
 *   BLOCK_ROWS, BLOCK_VECTORS  the largest product held in registers (product.h)
 *   vector, unaligned_vector, vector_bits   W floats, the same at any address, W integers
 *   v_fma, v_max, v_min, v_ceil, v_add_bits_unless_below, v_half, v_transpose
 *   TABLE, TABLE_NAME    the span_kernels to define
 *   DIGEST               its digest
 *
 * and includes x86.h for what all sets share. The parts, in reading order: */
#include "attention/kernels/kernel.h"

#include "attention/kernels/vector.h"   /* exp2, rows of scores, transposition */
#include "attention/kernels/product.h"  /* the register-blocked product that does the work */
#include "attention/kernels/rows.h"     /* conversion, scaling, merging, finishing */
#include "attention/kernels/forward.h"  /* one task against its key tiles */
#include "attention/kernels/backward.h" /* one leaf */

const span_kernels TABLE = {
	.name = TABLE_NAME,
	.forward_scratch = forward_scratch,
	.leaf_scratch = leaf_scratch,
	.forward = forward,
	.merge = merge,
	.finish = finish,
	.load_rows = load_rows,
	.store_rows = store_rows,
	.dot_rows = dot_rows,
	.packed_floats = packed_floats,
	.pack_keys = pack_keys,
	.leaf = leaf,
	.add = add,
	.digest = DIGEST,
	.to_f32 = to_f32,
	.from_f32 = from_f32,
};
