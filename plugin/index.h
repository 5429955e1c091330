/* From a size to its place among the segments of a collective: no branch, few loads. Private.
 *
 * Sizes come in no order that a processor could foresee, so a search that branches costs more
 * than all else that a decision does. A table of buckets, eight an octave, says in which segment
 * a bucket begins; the borders within the fullest bucket say how often to halve from there, as
 * often for every size. */
#ifndef SPAN_PLUGIN_INDEX_H
#define SPAN_PLUGIN_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "topo/span_profile.h"

/* Room for a power of two, so that a collective's buckets are found by a shift. */
enum { SPAN_BUCKETS = 62 * 8, SPAN_BUCKETS_ROOM = 512 };

/* Places count the segments of all collectives, and behind those of each collective some more
 * that no size has: halving may look there. A collective without a segment has one place. */
struct span_index {
	uint32_t starts[SPAN_COLLS][SPAN_BUCKETS_ROOM]; /* the place of a bucket's first size */
	uint64_t *above; /* a place's sizes are above this, but for the first place of all */
	size_t places;
	size_t half; /* a power of two, or 0: no bucket has a border */
};

/* Segments of one collective, by the first size of each: ascending from 0. */
struct span_borders {
	const uint64_t *first;
	int32_t n;
};

/* Make what find needs; free(index->above) when done. SPAN_ENOMEM: nothing is to be freed. */
span_status span_index_build(const struct span_borders borders[SPAN_COLLS],
                             struct span_index *index);

/* The place of a collective's first segment; the others follow. */
size_t span_index_first(const struct span_index *index, int coll);

/* Eight buckets an octave, by the four highest bits of a size; below 16 one for each size. */
static inline uint32_t span_index_bucket(uint64_t bytes)
{
	uint32_t shift = 60 - (uint32_t)__builtin_clzll(bytes | 8);

	return (uint32_t)(bytes >> shift) + 8 * shift;
}

static inline size_t span_index_find(const struct span_index *index, int coll, uint64_t bytes)
{
	size_t place = index->starts[coll][span_index_bucket(bytes)];

	for (size_t half = index->half; half; half /= 2)
		place += index->above[place + half] < bytes ? half : 0;
	return place;
}

#endif
