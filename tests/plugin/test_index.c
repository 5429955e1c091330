#include "plugin/index.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#include "tests/plugin/cost_tables.h"

enum { MOST = 3000, CALLS = 20000 };

/* The segment of a size, by reading the definition. */
static size_t segment_of(const struct span_borders *borders, uint64_t bytes)
{
	int32_t at = 0;

	while (at + 1 < borders->n && borders->first[at + 1] <= bytes)
		at++;
	return (size_t)at;
}

static void assert_finds(const struct span_index *index, const struct span_borders *borders,
                         int coll, uint64_t bytes)
{
	size_t first = span_index_first(index, coll);

	cr_assert_eq(span_index_find(index, coll, bytes) - first,
	             segment_of(&borders[coll], bytes), "%llu bytes of collective %d",
	             (unsigned long long)bytes, coll);
}

/* n borders, each above the one before by 1 to about 2^octaves. */
static uint64_t *random_borders(uint64_t *state, int32_t n, uint32_t octaves)
{
	uint64_t *first = malloc((size_t)n * sizeof(*first) + 1), size = 0;

	cr_assert_not_null(first);
	for (int32_t i = 0; i < n; i++) {
		first[i] = size;
		size += 1 + (random_number(state) >> (32 - 1 - random_number(state) % octaves));
	}
	return first;
}

static void check_borders(const struct span_borders *borders, uint64_t *state)
{
	struct span_index index;
	uint64_t size;

	cr_assert_eq(span_index_build(borders, &index), SPAN_OK);
	for (int coll = 0; coll < SPAN_COLLS; coll++) {
		for (int octave = 0; octave < 64; octave++)
			for (uint64_t near = 0; near < 3; near++)
				assert_finds(&index, borders, coll, (UINT64_C(1) << octave) - 1 + near);
		assert_finds(&index, borders, coll, 0);
		assert_finds(&index, borders, coll, UINT64_MAX);
		for (int i = 0; i < CALLS / SPAN_COLLS && borders[coll].n; i++) {
			size = borders[coll].first[random_number(state) % (uint32_t)borders[coll].n];
			assert_finds(&index, borders, coll, size + random_number(state) % 3 - 1);
		}
	}
	free(index.above);
}

/* From none in a bucket to all in one. */
Test(index, every_size_finds_its_segment, .timeout = 120)
{
	static const int32_t counts[] = { 0, 1, 2, 3, 20, 70, MOST };
	uint64_t state = 1;

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		for (uint32_t octaves = 1; octaves < 32; octaves += 5) {
			struct span_borders borders[SPAN_COLLS];

			for (int coll = 0; coll < SPAN_COLLS; coll++) {
				borders[coll].n = coll == 3 ? 0 : counts[i];
				borders[coll].first = random_borders(&state, counts[i], octaves);
			}
			check_borders(borders, &state);
			for (int coll = 0; coll < SPAN_COLLS; coll++)
				free((uint64_t *)borders[coll].first);
		}
}

Test(index, halves_no_more_often_than_the_fullest_bucket_asks)
{
	static const uint64_t first[] = { 0, 1024, 1025, 1026, 1027, 4096 };
	static const size_t halves[] = { 0, 0, 1, 2, 2, 4, 4 }; /* of so many segments */
	struct span_borders borders[SPAN_COLLS] = { { NULL, 0 } };
	struct span_index index;

	borders[0].first = first;
	for (int32_t n = 1; n <= 6; n++) {
		borders[0].n = n;
		cr_assert_eq(span_index_build(borders, &index), SPAN_OK);
		cr_assert_eq(index.half, halves[n], "%d segments", n);
		free(index.above);
	}
}

Test(index, a_bucket_holds_an_eighth_of_an_octave_and_buckets_ascend)
{
	for (uint64_t bytes = 0; bytes < 16; bytes++)
		cr_assert_eq(span_index_bucket(bytes), bytes);
	for (int octave = 4; octave < 64; octave++)
		for (uint64_t eighth = 0; eighth < 8; eighth++) {
			uint64_t first = (8 + eighth) << (octave - 3);

			cr_assert_eq(span_index_bucket(first), span_index_bucket(first - 1) + 1);
			cr_assert_eq(span_index_bucket(first + (UINT64_C(1) << (octave - 3)) - 1),
			             span_index_bucket(first));
		}
	cr_assert_eq(span_index_bucket(UINT64_MAX), SPAN_BUCKETS - 1);
}
