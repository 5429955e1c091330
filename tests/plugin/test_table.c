#include "plugin/table.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "tests/plugin/cost_tables.h"

enum { SEGMENTS = 40, MOST = 6, UNTOUCHED = 12345, MORE_ALGOS = 20 };

/* What went into a random table, for the plain search below. */
struct mirror {
	uint64_t first[SEGMENTS];
	int n[SEGMENTS];
	struct span_choice choices[SEGMENTS][MOST];
};

static struct span_choice random_choice(uint64_t *state)
{
	struct span_choice choice = { .pipe_ops = (int32_t)(random_number(state) % 4) - 1 };

	choice.algo = (int8_t)(random_number(state) % SPAN_ALGOS);
	choice.proto = (int8_t)(random_number(state) % SPAN_PROTOS);
	choice.beats = random_number(state) % 2 ? SPAN_BEATS_ALL : random_number(state) >> 11;
	choice.channels = (int32_t)(random_number(state) % 3) * 4;
	choice.flat = (uint8_t)(random_number(state) % 4);
	choice.chunk = random_number(state) % 3 * 4096;
	return choice;
}

/* As evidence makes them. */
static struct span_choice plain_choice(uint64_t *state)
{
	struct span_choice choice = random_choice(state);

	choice.beats = random_number(state) >> 11;
	choice.pipe_ops = 1;
	choice.channels = 0;
	return choice;
}

/* Rules before evidence; every other segment has evidence alone. */
static void random_segment(uint64_t *state, struct mirror *mirror, int at)
{
	int rules = (int)(random_number(state) % 2);

	mirror->n[at] = (int)(random_number(state) % (MOST + 1));
	for (int i = 0; i < mirror->n[at]; i++) {
		struct span_choice *choice = &mirror->choices[at][i];

		*choice = rules ? random_choice(state) : plain_choice(state);
		rules = choice->beats == SPAN_BEATS_ALL;
	}
}

static span_table *random_table(uint64_t *state, int coll, struct mirror *mirror)
{
	uint64_t first = 0;
	span_table *table;

	cr_assert_eq(span_table_create(&table), SPAN_OK);
	for (int i = 0; i < SEGMENTS; i++) {
		mirror->first[i] = first;
		random_segment(state, mirror, i);
		cr_assert_eq(span_table_add(table, coll, first, mirror->choices[i], mirror->n[i]),
		             SPAN_OK);
		first += 1 + ((uint64_t)random_number(state) << random_number(state) % 28);
	}
	cr_assert_eq(span_table_finish(table), SPAN_OK);
	return table;
}

/* As NCCL does, LL and LL128 for rings and trees alone; or also one of another algorithm, which
 * may be the best of all. */
static void offer_simple(uint64_t *state, float *costs)
{
	int more = (int)(random_number(state) % CELLS);

	for (int i = SPAN_ALGO_COLLNET_DIRECT * SPAN_PROTOS; i < CELLS; i++)
		if (i % SPAN_PROTOS != SPAN_PROTO_SIMPLE)
			costs[i] = -1;
	if (random_number(state) % 2)
		costs[more] = (float)(random_number(state) % 16);
}

/* Every other table is like NCCL's; times of an hour and more are nothing that NCCL takes. */
static void random_offer(uint64_t *state, float *costs)
{
	static const float hours[] = { 3600000000.0f, 3600000256.0f, INFINITY, NAN };

	random_costs(state, costs, CELLS);
	if (random_number(state) % 4 == 0)
		for (int i = 0; i < CELLS; i++)
			if (random_number(state) % 2)
				costs[i] = hours[random_number(state) % 4];
	if (random_number(state) % 2)
		offer_simple(state, costs);
}

static int segment_of(const struct mirror *mirror, uint64_t bytes)
{
	int at = 0;

	while (at + 1 < SEGMENTS && mirror->first[at + 1] <= bytes)
		at++;
	return at;
}

/* The choice that should be taken, by reading the definition. */
static const struct span_choice *expected(const struct mirror *mirror, uint64_t bytes,
                                          int pipe_ops, const float *costs, int algos)
{
	int at = segment_of(mirror, bytes), own = nccl_takes(costs, algos * SPAN_PROTOS);

	for (int i = 0; i < mirror->n[at]; i++) {
		const struct span_choice *choice = &mirror->choices[at][i];
		int cell = choice->algo * SPAN_PROTOS + choice->proto;

		if (choice->algo < algos && costs[cell] >= 0 &&
		    (choice->pipe_ops < 0 || choice->pipe_ops == pipe_ops) &&
		    (choice->beats == SPAN_BEATS_ALL ||
		     (own >= 0 && choice->beats >> own & 1 && costs[cell] <= 64 * costs[own])))
			return choice;
	}
	return NULL;
}

static void check_call(const span_table *table, const struct mirror *mirror, uint64_t *state)
{
	float costs[CELLS], before[CELLS];
	int algos = random_number(state) % 2 ? SPAN_ALGOS : SPAN_ALGOS - 1;
	int pipe_ops = 1 + (int)(random_number(state) % 2), channels = 0, wanted_channels = 0;
	uint64_t bytes = mirror->first[random_number(state) % SEGMENTS] +
	                 random_number(state) % 3 - 1;
	const struct span_choice *choice;

	random_offer(state, costs);
	memcpy(before, costs, sizeof(costs));
	choice = expected(mirror, bytes, pipe_ops, before, algos);
	span_table_choose(table, SPAN_COLL_ALL_GATHER, bytes, pipe_ops, costs, algos, SPAN_PROTOS,
	                  &channels);
	if (choice) {
		before[choice->algo * SPAN_PROTOS + choice->proto] = 0;
		wanted_channels = choice->channels;
	}
	cr_assert(!memcmp(before, costs, sizeof(costs)), "%llu bytes", (unsigned long long)bytes);
	cr_assert_eq(channels, wanted_channels);
}

Test(table, a_search_finds_what_reading_finds, .timeout = 60)
{
	struct mirror mirror;
	uint64_t state = 1;

	for (int round = 0; round < 200; round++) {
		span_table *table = random_table(&state, SPAN_COLL_ALL_GATHER, &mirror);

		for (int call = 0; call < 500; call++)
			check_call(table, &mirror, &state);
		span_table_free(table);
	}
}

Test(table, what_was_added_acts_when_the_table_is_finished)
{
	struct span_choice choice = { .beats = SPAN_BEATS_ALL, .pipe_ops = -1 };
	float costs[CELLS], *cell;
	span_table *table;
	int channels = 0;

	rising_costs(costs, CELLS);
	cr_assert_eq(span_table_create(&table), SPAN_OK);
	for (int i = 0; i < 2; i++) {
		cell = &costs[i * SPAN_PROTOS];
		choice.algo = (int8_t)i;
		cr_assert_eq(span_table_add(table, SPAN_COLL_REDUCE, (uint64_t)i, &choice, 1), SPAN_OK);
		span_table_choose(table, SPAN_COLL_REDUCE, 64, 1, costs, SPAN_ALGOS, SPAN_PROTOS,
		                  &channels);
		cr_assert_neq(*cell, 0);
		cr_assert_eq(span_table_finish(table), SPAN_OK);
		span_table_choose(table, SPAN_COLL_REDUCE, 64, 1, costs, SPAN_ALGOS, SPAN_PROTOS,
		                  &channels);
		cr_assert_eq(*cell, 0);
	}
	span_table_free(table);
}

Test(table, minus_one_is_never_raised_and_at_most_one_cell_changes, .timeout = 60)
{
	float costs[CELLS], before[CELLS];
	struct mirror mirror;
	uint64_t state = 2;
	int changed, channels = 0;

	for (int round = 0; round < 2000; round++) {
		span_table *table = random_table(&state, SPAN_COLL_ALL_REDUCE, &mirror);

		random_offer(&state, costs);
		memcpy(before, costs, sizeof(costs));
		span_table_choose(table, SPAN_COLL_ALL_REDUCE, random_number(&state), 1, costs,
		                  SPAN_ALGOS, SPAN_PROTOS, &channels);
		changed = 0;
		for (int i = 0; i < CELLS; i++) {
			cr_assert(!(before[i] < 0) || costs[i] == before[i]);
			changed += memcmp(&before[i], &costs[i], sizeof(*costs)) != 0;
		}
		cr_assert_leq(changed, 1);
		span_table_free(table);
	}
}

static span_table *one_rule(int algo, int proto)
{
	struct span_choice choice = { .beats = SPAN_BEATS_ALL, .pipe_ops = -1, .channels = 4 };
	span_table *table;

	choice.algo = (int8_t)algo;
	choice.proto = (int8_t)proto;
	choice.flat = SPAN_FLAT_ALWAYS;
	cr_assert_eq(span_table_create(&table), SPAN_OK);
	cr_assert_eq(span_table_add(table, SPAN_COLL_ALL_REDUCE, 0, &choice, 1), SPAN_OK);
	cr_assert_eq(span_table_finish(table), SPAN_OK);
	return table;
}

static void assert_untouched(const span_table *table, int coll, float *costs, int algos,
                             int protos)
{
	float before[CELLS + SPAN_PROTOS];
	int channels = UNTOUCHED;

	memcpy(before, costs, sizeof(before));
	span_table_choose(table, coll, 4096, 1, costs, algos, protos, &channels);
	cr_assert(!memcmp(before, costs, sizeof(before)));
	cr_assert_eq(channels, UNTOUCHED);
}

Test(table, arguments_that_are_not_as_expected_touch_nothing)
{
	span_table *table = one_rule(SPAN_ALGO_PAT, SPAN_PROTO_SIMPLE);
	float costs[CELLS + SPAN_PROTOS];
	int channels = 0;

	rising_costs(costs, CELLS + SPAN_PROTOS);
	assert_untouched(table, -1, costs, SPAN_ALGOS, SPAN_PROTOS);
	assert_untouched(table, SPAN_COLLS, costs, SPAN_ALGOS, SPAN_PROTOS);
	assert_untouched(table, SPAN_COLL_BROADCAST, costs, SPAN_ALGOS, SPAN_PROTOS);
	assert_untouched(table, SPAN_COLL_ALL_REDUCE, costs, 6, SPAN_PROTOS); /* no PAT before 2.23 */
	assert_untouched(table, SPAN_COLL_ALL_REDUCE, costs, 0, SPAN_PROTOS);
	assert_untouched(table, SPAN_COLL_ALL_REDUCE, costs, -7, SPAN_PROTOS);
	assert_untouched(table, SPAN_COLL_ALL_REDUCE, costs, SPAN_ALGOS, 2);
	assert_untouched(table, SPAN_COLL_ALL_REDUCE, costs, SPAN_ALGOS, 4);
	costs[SPAN_ALGO_PAT * SPAN_PROTOS + SPAN_PROTO_SIMPLE] = NAN;
	assert_untouched(table, SPAN_COLL_ALL_REDUCE, costs, SPAN_ALGOS, SPAN_PROTOS);
	span_table_choose(table, SPAN_COLL_ALL_REDUCE, 4096, 1, NULL, SPAN_ALGOS, SPAN_PROTOS,
	                  &channels);
	costs[SPAN_ALGO_PAT * SPAN_PROTOS + SPAN_PROTO_SIMPLE] = 9;
	span_table_choose(table, SPAN_COLL_ALL_REDUCE, 4096, 1, costs, SPAN_ALGOS, SPAN_PROTOS, NULL);
	cr_assert_eq(costs[SPAN_ALGO_PAT * SPAN_PROTOS + SPAN_PROTO_SIMPLE], 0);
	span_table_free(table);
}

/* A later NCCL may have more algorithms, and its own choice may be one of those. */
Test(table, an_unknown_algorithm_of_nccl_is_not_beaten_by_evidence)
{
	struct span_choice choice = { .beats = (1u << CELLS) - 1, .pipe_ops = -1,
		                      .algo = SPAN_ALGO_RING };
	float costs[MORE_ALGOS * SPAN_PROTOS], before[MORE_ALGOS * SPAN_PROTOS];
	span_table *table;
	int channels = 0;

	cr_assert_eq(span_table_create(&table), SPAN_OK);
	cr_assert_eq(span_table_add(table, SPAN_COLL_ALL_REDUCE, 0, &choice, 1), SPAN_OK);
	cr_assert_eq(span_table_finish(table), SPAN_OK);
	for (int own = CELLS; own < MORE_ALGOS * SPAN_PROTOS; own++) {
		rising_costs(costs, MORE_ALGOS * SPAN_PROTOS);
		costs[own] = 0.5f;
		memcpy(before, costs, sizeof(costs));
		span_table_choose(table, SPAN_COLL_ALL_REDUCE, 1, 1, costs, MORE_ALGOS, SPAN_PROTOS,
		                  &channels);
		cr_assert(!memcmp(before, costs, sizeof(costs)), "cell %d", own);
	}
	rising_costs(costs, MORE_ALGOS * SPAN_PROTOS);
	span_table_choose(table, SPAN_COLL_ALL_REDUCE, 1, 1, costs, MORE_ALGOS, SPAN_PROTOS, &channels);
	cr_assert_eq(costs[SPAN_ALGO_RING * SPAN_PROTOS], 0);
	span_table_free(table);
}

Test(table, without_a_cost_table_only_what_nccl_says_works_is_taken)
{
	static const struct {
		enum span_flat flat;
		int collnet, nvls, taken;
	} cases[] = {
		{ SPAN_FLAT_NEVER, 1, 1, 0 }, { SPAN_FLAT_ALWAYS, 0, 0, 1 },
		{ SPAN_FLAT_NVLS, 1, 0, 0 }, { SPAN_FLAT_NVLS, 0, 1, 1 },
		{ SPAN_FLAT_COLLNET, 0, 1, 0 }, { SPAN_FLAT_COLLNET, 1, 0, 1 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct span_choice choice = { .beats = SPAN_BEATS_ALL, .pipe_ops = -1, .algo = 4 };
		int algo = -1, proto = -1, channels = 0;
		span_table *table;

		choice.flat = (uint8_t)cases[i].flat;
		choice.proto = SPAN_PROTO_SIMPLE;
		choice.channels = 8;
		cr_assert_eq(span_table_create(&table), SPAN_OK);
		cr_assert_eq(span_table_add(table, SPAN_COLL_ALL_REDUCE, 0, &choice, 1), SPAN_OK);
		cr_assert_eq(span_table_finish(table), SPAN_OK);
		span_table_choose_flat(table, SPAN_COLL_ALL_REDUCE, 1 << 20, 1, cases[i].collnet,
		                       cases[i].nvls, &algo, &proto, &channels);
		cr_assert_eq(algo, cases[i].taken ? 4 : -1, "case %zu", i);
		cr_assert_eq(proto, cases[i].taken ? SPAN_PROTO_SIMPLE : -1);
		cr_assert_eq(channels, cases[i].taken && choice.flat == SPAN_FLAT_ALWAYS ? 8 : 0);
		span_table_free(table);
	}
}

Test(table, a_chunk_belongs_to_the_cell_that_runs)
{
	struct span_choice choices[2] = {
		{ .beats = SPAN_BEATS_ALL, .pipe_ops = -1, .algo = 1, .proto = 2, .chunk = 65536 },
		{ .beats = SPAN_BEATS_ALL, .pipe_ops = -1, .algo = 0, .proto = 2 },
	};
	uint64_t chunk = 77;
	span_table *table;

	cr_assert_eq(span_table_create(&table), SPAN_OK);
	cr_assert_eq(span_table_add(table, SPAN_COLL_ALL_REDUCE, 0, choices, 2), SPAN_OK);
	cr_assert_eq(span_table_finish(table), SPAN_OK);
	span_table_chunk(table, SPAN_COLL_ALL_REDUCE, 4096, 0, 2, &chunk);
	cr_assert_eq(chunk, 77);
	span_table_chunk(table, SPAN_COLL_ALL_GATHER, 4096, 1, 2, &chunk);
	cr_assert_eq(chunk, 77);
	span_table_chunk(table, SPAN_COLL_ALL_REDUCE, 4096, 1, 2, &chunk);
	cr_assert_eq(chunk, 65536);
	span_table_free(table);
}

Test(table, its_digest_changes_with_everything_that_decides)
{
	struct span_choice choice = { .beats = 1, .pipe_ops = 1, .algo = 1 }, other;
	uint64_t plain;

#define DIGEST_OF(c, from, result)                                                       \
	do {                                                                             \
		span_table *t;                                                           \
		cr_assert_eq(span_table_create(&t), SPAN_OK);                            \
		cr_assert_eq(span_table_add(t, SPAN_COLL_REDUCE, 0, NULL, 0), SPAN_OK);  \
		cr_assert_eq(span_table_add(t, SPAN_COLL_REDUCE, from, &(c), 1),         \
		             SPAN_OK);                                                   \
		result = span_table_digest(t);                                           \
		span_table_free(t);                                                      \
	} while (0)
#define DIFFERS(field, value)                                                            \
	do {                                                                             \
		uint64_t digest;                                                         \
		other = choice;                                                          \
		other.field = value;                                                     \
		DIGEST_OF(other, 64, digest);                                            \
		cr_assert_neq(digest, plain, #field);                                    \
	} while (0)
	DIGEST_OF(choice, 64, plain);
	DIFFERS(beats, 3);
	DIFFERS(pipe_ops, -1);
	DIFFERS(channels, 2);
	DIFFERS(chunk, 4096);
	DIFFERS(algo, 0);
	DIFFERS(proto, 1);
	DIFFERS(flat, SPAN_FLAT_ALWAYS);
	{
		uint64_t digest;

		DIGEST_OF(choice, 65, digest);
		cr_assert_neq(digest, plain);
		DIGEST_OF(choice, 64, digest);
		cr_assert_eq(digest, plain);
	}
#undef DIFFERS
#undef DIGEST_OF
}
