#include "attention/quadrant.h"

#include <string.h>

/* A node as a range of positions. */
typedef struct {
	int64_t first;
	int64_t end;
} tile_range;

static int64_t size_of(tile_range range)
{
	return range.end - range.first;
}

static int64_t tile_floats(const span_quadrant *x)
{
	return (int64_t)x->leaf.tile * span_width(x->leaf.head_size);
}

static int64_t flag_floats(int64_t positions)
{
	return (positions + 63) / 64 * 16;
}

static int64_t smaller(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Temporaries of one side: taken at each split of the other side but the first, when the
 * nodes are no larger than what is left of that side. */
static int64_t side_floats(int64_t own, int64_t other, int64_t planes, int64_t tile)
{
	int64_t floats = 0;

	for (int64_t left = (other + 1) / 2; left > 1; left = (left + 1) / 2)
		floats += smaller(own, left) * planes * tile +
		          2 * flag_floats(smaller(own, left)) + 32;
	return floats;
}

int64_t span_quadrant_floats(int64_t query_tiles, int64_t key_tiles, int32_t heads,
                             int64_t tile_floats)
{
	return side_floats(key_tiles, query_tiles, 2, tile_floats) +
	       side_floats(query_tiles, key_tiles, heads, tile_floats);
}

static const span_tree *tree_of(const span_quadrant *x)
{
	return &x->visible->layout->tree;
}

/* Whether some query of one range sees some key of the other. */
static int sees(const span_quadrant *x, tile_range queries, tile_range keys)
{
	for (int64_t p = queries.first; p < queries.end; p++) {
		int64_t first, end;

		span_visible_keys(x->visible, span_tree_tile(tree_of(x), p), &first, &end);
		if (span_tree_count(tree_of(x), keys.first, keys.end, first, end) > 0)
			return 1;
	}
	return 0;
}

static span_gradient_rows at(const span_quadrant *x, span_gradient_rows rows, int64_t position)
{
	rows.data += position * tile_floats(x);
	rows.written += position;
	return rows;
}

/* Temporary rows; the caller gives them back by restoring x->temporaries. */
static span_gradient_rows take(span_quadrant *x, int64_t positions, int32_t planes)
{
	span_gradient_rows rows = { .data = x->temporaries, .planes = planes,
	                            .plane = positions * tile_floats(x) };

	rows.written = (uint8_t *)(rows.data + rows.plane * planes);
	memset(rows.written, 0, (size_t)positions);
	x->temporaries += rows.plane * planes + flag_floats(positions);
	return rows;
}

/* Add a finished right child to what stands in target. */
static void add_rows(span_quadrant *x, span_gradient_rows target, span_gradient_rows source,
                     tile_range positions)
{
	int64_t width = span_width(x->leaf.head_size);

	for (int64_t p = 0; p < size_of(positions); p++) {
		int64_t tile = span_tree_tile(tree_of(x), positions.first + p);
		size_t n = (size_t)(span_layout_tile_tokens(x->visible->layout, tile) * width);

		if (!source.written[p])
			continue;
		for (int32_t i = 0; i < target.planes; i++) {
			float *to = target.data + i * target.plane + p * tile_floats(x);
			const float *from = source.data + i * source.plane + p * tile_floats(x);

			if (target.written[p])
				x->kernels->add(to, to, from, n);
			else
				memcpy(to, from, n * sizeof(float));
		}
		target.written[p] = 1;
	}
}

static void run_leaf(span_quadrant *x, int64_t q_position, int64_t k_position,
                     span_gradient_rows dq, span_gradient_rows dkv, span_write again)
{
	const span_layout *layout = x->visible->layout;
	int64_t query = span_tree_tile(tree_of(x), q_position);
	int64_t key = span_tree_tile(tree_of(x), k_position);
	int64_t q_slot = span_layout_slot(layout, query);
	int64_t k_slot = span_layout_slot(layout, key);
	span_backward_leaf leaf = x->leaf;

	leaf.rows = span_layout_tile_tokens(layout, query);
	leaf.keys = span_layout_tile_tokens(layout, key);
	leaf.shift = span_visible_shift(x->visible, query, key);
	leaf.q += q_slot * tile_floats(x);
	leaf.dout += q_slot * tile_floats(x);
	leaf.lse2 += q_slot * layout->tile;
	leaf.delta += q_slot * layout->tile;
	leaf.k = x->keys[k_slot];
	leaf.k_packed += k_slot * x->packed_tile;
	leaf.v_packed += k_slot * x->packed_tile;
	leaf.dq = dq.data;
	leaf.dq_head = dq.plane;
	leaf.dk = dkv.data;
	leaf.dv = dkv.data + dkv.plane;
	leaf.write_dq = *dq.written ? again : SPAN_WRITE_SET;
	leaf.write_dkv = *dkv.written ? again : SPAN_WRITE_SET;
	x->kernels->leaf(&leaf);
	*dq.written = *dkv.written = 1;
	x->pairs += span_visible_pairs(leaf.rows, leaf.keys, leaf.shift);
}

/* Split a node as the tree does, or leave it whole; returns how many parts. */
static int split(tile_range range, int divide, tile_range parts[2])
{
	int64_t middle = range.first + (size_of(range) + 1) / 2;

	parts[0] = range;
	if (!divide)
		return 1;
	parts[0].end = middle;
	parts[1] = (tile_range){ middle, range.end };
	return 2;
}

/* add_q, add_k: a finished left sibling may already stand in dq, in dkv. */
static void walk(span_quadrant *x, tile_range queries, tile_range keys, int add_q, int add_k,
                 span_gradient_rows dq, span_gradient_rows dkv)
{
	int64_t nq = size_of(queries), nk = size_of(keys);
	tile_range q_part[2], k_part[2];
	int q_parts = split(queries, nq > 1 && nq >= nk, q_part);
	int k_parts = split(keys, nk > 1 && nk >= nq, k_part);
	span_gradient_rows k_target[2];
	float *before = x->temporaries;
	int seen[2][2] = { { 0, 0 }, { 0, 0 } };

	if (nq == 1 && nk == 1) {
		run_leaf(x, queries.first, keys.first, dq, dkv, SPAN_WRITE_ADD);
		return;
	}
	for (int a = 0; a < q_parts; a++)
		for (int b = 0; b < k_parts; b++)
			seen[a][b] = sees(x, q_part[a], k_part[b]);
	for (int b = 0; b < k_parts; b++) {
		k_target[b] = at(x, dkv, k_part[b].first - keys.first);
		if (seen[0][b] && seen[1][b] && add_k)
			k_target[b] = take(x, size_of(k_part[b]), 2);
	}
	for (int a = 0; a < q_parts; a++) {
		span_gradient_rows q_place = at(x, dq, q_part[a].first - queries.first);
		int q_twice = seen[a][0] && seen[a][1];
		float *inner = x->temporaries;
		span_gradient_rows q_target = q_twice && add_q
			? take(x, size_of(q_part[a]), dq.planes) : q_place;

		for (int b = 0; b < k_parts; b++) {
			int k_twice = seen[0][b] && seen[1][b];

			if (!seen[a][b])
				continue;
			walk(x, q_part[a], k_part[b], q_twice ? b : add_q, k_twice ? a : add_k,
			     q_target, k_target[b]);
			if (a == 1 && k_twice && add_k)
				add_rows(x, at(x, dkv, k_part[b].first - keys.first), k_target[b],
				         k_part[b]);
		}
		if (q_twice && add_q)
			add_rows(x, q_place, q_target, q_part[a]);
		x->temporaries = inner;
	}
	x->temporaries = before;
}

/* Every visible pair of tiles, each chain continued from the last. */
static void walk_plain(span_quadrant *x, tile_range queries, tile_range keys,
                       span_gradient_rows dq, span_gradient_rows dkv)
{
	for (int64_t k = keys.first; k < keys.end; k++) {
		for (int64_t q = queries.first; q < queries.end; q++) {
			tile_range query = { q, q + 1 }, key = { k, k + 1 };

			if (sees(x, query, key))
				run_leaf(x, q, k, at(x, dq, q - queries.first),
				         at(x, dkv, k - keys.first), SPAN_WRITE_CONTINUE);
		}
	}
}

void span_quadrant_run(span_quadrant *quadrant, int64_t q_first, int64_t q_end, int64_t k_first,
                       int64_t k_end, span_gradient_rows dq, span_gradient_rows dkv, int plain)
{
	tile_range queries = { q_first, q_end }, keys = { k_first, k_end };

	quadrant->pairs = 0;
	if (plain)
		walk_plain(quadrant, queries, keys, dq, dkv);
	else if (sees(quadrant, queries, keys))
		walk(quadrant, queries, keys, 0, 0, dq, dkv);
}
