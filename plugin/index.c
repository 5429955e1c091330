/* Filling the buckets. */
#include "plugin/index.h"

#include <stdlib.h>

#include "topo/log.h"

/* Borders in the fullest bucket. */
static uint32_t most_in_a_bucket(const struct span_borders borders[SPAN_COLLS])
{
	uint32_t most = 0, n, bucket, before;

	for (int coll = 0; coll < SPAN_COLLS; coll++) {
		n = 0;
		before = SPAN_BUCKETS;
		for (int32_t i = 1; i < borders[coll].n; i++) {
			bucket = span_index_bucket(borders[coll].first[i]);
			n = bucket == before ? n + 1 : 1;
			before = bucket;
			most = n > most ? n : most;
		}
	}
	return most;
}

/* Halving from there passes as many borders as it may, 2 * half - 1. */
static size_t half_for(uint32_t borders)
{
	size_t half = 1;

	if (!borders)
		return 0;
	while (2 * half - 1 < borders)
		half *= 2;
	return half;
}

static uint64_t first_size(uint32_t bucket)
{
	return bucket < 8 ? bucket : (uint64_t)(8 + bucket % 8) << (bucket / 8 - 1);
}

static void fill_starts(const struct span_borders *borders, uint32_t place, uint32_t *starts)
{
	int32_t at = 0;

	for (uint32_t bucket = 0; bucket < SPAN_BUCKETS; bucket++) {
		while (at + 1 < borders->n && borders->first[at + 1] <= first_size(bucket))
			at++;
		starts[bucket] = place + (uint32_t)at;
	}
}

/* No size is above the places that are only there to be compared. */
static void fill_above(const struct span_borders *borders, size_t places, uint64_t *above)
{
	above[0] = 0;
	for (size_t i = 1; i < places; i++)
		above[i] = (int32_t)i < borders->n ? borders->first[i] - 1 : UINT64_MAX;
}

span_status span_index_build(const struct span_borders borders[SPAN_COLLS],
                             struct span_index *index)
{
	size_t half = half_for(most_in_a_bucket(borders)), places[SPAN_COLLS], at = 0;
	uint64_t *above;

	index->places = 0;
	for (int coll = 0; coll < SPAN_COLLS; coll++) {
		places[coll] = (size_t)borders[coll].n + half + 1;
		index->places += places[coll];
	}
	above = malloc(index->places * sizeof(*above));
	if (!above)
		return span_fail(SPAN_ENOMEM, "span_index_build: no memory");
	for (int coll = 0; coll < SPAN_COLLS; coll++) {
		fill_starts(&borders[coll], (uint32_t)at, index->starts[coll]);
		fill_above(&borders[coll], places[coll], above + at);
		at += places[coll];
	}
	index->above = above;
	index->half = half;
	return SPAN_OK;
}

size_t span_index_first(const struct span_index *index, int coll)
{
	return index->starts[coll][0];
}
