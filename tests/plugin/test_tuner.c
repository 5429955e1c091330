#define _GNU_SOURCE /* CPU sets */
#include "plugin/tuner.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/plugin/cost_tables.h"
#include "tests/plugin/releases.h"

/* --- what the plugin says ----------------------------------------------------------------- */

static char said[4096];
static int said_lines, warnings;

static void logger(int level, unsigned long subsystems, const char *file, int line,
                   const char *format, ...)
{
	size_t used = strlen(said);
	va_list arguments;

	cr_assert(subsystems & NCCL_LOG_TUNING);
	cr_assert(file && line > 0);
	va_start(arguments, format);
	vsnprintf(said + used, sizeof(said) - used, format, arguments);
	va_end(arguments);
	cr_assert_null(strchr(said + used, '\n'));
	said_lines++;
	warnings += level == NCCL_LOG_WARN;
}

static void forget(void)
{
	said[0] = '\0';
	said_lines = warnings = 0;
}

static void clean_environment(void)
{
	static const char *const names[] = { "SPAN_CONFIG", "SPAN_ENABLE", "SPAN_EXPLAIN",
		                             "SPAN_MARGIN", "SPAN_PROFILE", "SPAN_RULES",
		                             "SPAN_UNIFORM", "NCCL_ALGO", "NCCL_PROTO" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(names[i]);
	forget();
}

TestSuite(tuner, .init = clean_environment);

static void use_rules(const char *text)
{
	setenv("SPAN_RULES", write_file("rules.csv", text), 1);
}

/* --- one communicator of each release ----------------------------------------------------- */

#define RULES                                                \
	"allreduce,0,65536,ring,ll,4,-1,-1\n"                \
	"allreduce,65537,-1,ring,simple,-1,-1,-1,chunk=64K\n"

ParameterizedTestParameters(tuner, serves_every_release)
{
	static int versions[] = { 1, 2, 3, 4, 5, 6 };

	return cr_make_param_array(int, versions, sizeof(versions) / sizeof(versions[0]));
}

ParameterizedTest(int *version, tuner, serves_every_release)
{
	float costs[CELLS];
	struct call call = { .coll = SPAN_COLL_ALL_REDUCE, .bytes = 1024, .pipe_ops = 1,
		             .costs = costs };
	struct outcome outcome;
	void *context;

	use_rules(RULES);
	rising_costs(costs, CELLS);
	call.algos = *version == 3 ? 6 : SPAN_ALGOS;
	for (int round = 0; round < 3; round++) {
		cr_assert_eq(release_init(*version, 8, 1, round == 1 ? NULL : logger, &context), 0);
		call.bytes = 1024;
		outcome = release_ask(*version, context, &call);
		cr_assert_eq(outcome.status, 0);
		cr_assert_eq(outcome.cell, SPAN_ALGO_RING * 3 + SPAN_PROTO_LL);
		cr_assert_eq(outcome.channels, *version == 1 ? 0 : 4); /* v1 does not bound them */
		call.bytes = 1 << 20;
		outcome = release_ask(*version, context, &call);
		cr_assert_eq(outcome.cell, SPAN_ALGO_RING * 3 + SPAN_PROTO_SIMPLE);
		cr_assert_eq(outcome.channels, 0);
		call.coll = SPAN_COLL_BROADCAST;
		outcome = release_ask(*version, context, &call);
		cr_assert_eq(outcome.cell, *version < 3 ? -1 : 0);
		call.coll = SPAN_COLL_ALL_REDUCE;
		cr_assert_eq(release_end(*version, context), 0);
	}
	cr_assert_eq(warnings, 0);
	cr_assert_eq(strstr(said, "only rules sure to run act") != NULL, *version < 3);
}

Test(tuner, gives_chunk_sizes_to_releases_that_ask)
{
	size_t chunk = 524288;
	void *context;

	use_rules(RULES);
	release_init(6, 8, 1, logger, &context);
	cr_assert_eq(ncclTunerPlugin_v6.get_chunk_size(context, SPAN_COLL_ALL_REDUCE, 1 << 20,
	                                               SPAN_ALGO_RING, SPAN_PROTO_LL, 4, &chunk),
	             0);
	cr_assert_eq(chunk, 524288);
	cr_assert_eq(ncclTunerPlugin_v6.get_chunk_size(context, SPAN_COLL_ALL_REDUCE, 1 << 20,
	                                               SPAN_ALGO_RING, SPAN_PROTO_SIMPLE, 4, &chunk),
	             0);
	cr_assert_eq(chunk, 65536);
	release_end(6, context);
	cr_assert_eq(ncclTunerPlugin_v6.get_chunk_size(NULL, SPAN_COLL_ALL_REDUCE, 1 << 20,
	                                               SPAN_ALGO_RING, SPAN_PROTO_SIMPLE, 4, &chunk),
	             0);
}

/* NCCL's buffers for NVLS hold its own chunks and no larger ones. */
Test(tuner, chunks_of_nvls_are_never_larger_than_nccls_own)
{
	static const struct {
		int algo;
		size_t own, chunk;
	} cases[] = { { SPAN_ALGO_RING, 131072, 262144 },
		      { SPAN_ALGO_TREE, 131072, 262144 },
		      { SPAN_ALGO_NVLS, 131072, 131072 },
		      { SPAN_ALGO_NVLS, 524288, 262144 },
		      { SPAN_ALGO_NVLS_TREE, 131072, 131072 },
		      { SPAN_ALGO_NVLS_TREE, 524288, 262144 } };
	void *context;

	use_rules("allreduce,0,-1,ring,simple,-1,-1,-1,chunk=256K\n"
		  "allreduce,0,-1,tree,simple,-1,-1,-1,chunk=256K\n"
		  "allreduce,0,-1,nvls,simple,-1,-1,-1,chunk=256K\n"
		  "allreduce,0,-1,nvlstree,simple,-1,-1,-1,chunk=256K\n");
	release_init(6, 16, 2, logger, &context);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t chunk = cases[i].own;

		ncclTunerPlugin_v6.get_chunk_size(context, SPAN_COLL_ALL_REDUCE, 1 << 20, cases[i].algo,
		                                  SPAN_PROTO_SIMPLE, 4, &chunk);
		cr_assert_eq(chunk, cases[i].chunk, "algorithm %d", cases[i].algo);
	}
	release_end(6, context);
}

/* Nothing is raised and nothing fails, whatever the table holds. */
Test(tuner, tables_of_minus_one_stay_as_they_are, .timeout = 60)
{
	float costs[CELLS];
	struct call call = { .pipe_ops = 1, .costs = costs, .algos = SPAN_ALGOS };
	struct outcome outcome;
	uint64_t state = 3;
	void *context;

	use_rules(RULES "allgather,0,-1,pat,simple,-1,-1,-1\nreduce,0,-1,tree,ll128,8,-1,-1\n");
	for (int version = 3; version <= NEWEST_TUNER; version++) {
		release_init(version, 8, 1, logger, &context);
		for (int i = 0; i < 20000; i++) {
			random_costs(&state, costs, CELLS);
			call.coll = (nccl_func)(random_number(&state) % 10);
			call.bytes = random_number(&state) >> random_number(&state) % 32;
			outcome = release_ask(version, context, &call);
			cr_assert_eq(outcome.status, 0);
			for (int c = 0; c < CELLS; c++)
				cr_assert(outcome.costs[c] == costs[c] ||
				          (costs[c] > 0 && outcome.costs[c] == 0));
		}
		release_end(version, context);
	}
}

/* --- standing aside ----------------------------------------------------------------------- */

static void assert_stands_aside(const char *message, int a_warning)
{
	float costs[CELLS];
	struct call call = { .coll = SPAN_COLL_ALL_REDUCE, .bytes = 1024, .pipe_ops = 1 };
	struct outcome outcome;
	void *context;

	rising_costs(costs, CELLS);
	call.costs = costs;
	call.algos = SPAN_ALGOS;
	for (int version = OLDEST_TUNER; version <= NEWEST_TUNER; version++) {
		forget();
		cr_assert_eq(release_init(version, 8, 1, logger, &context), 0);
		if (version == OLDEST_TUNER)
			cr_assert_str_eq(said, message);
		else
			cr_assert_eq(said_lines, 0, "said again: %s", said);
		cr_assert_eq(warnings, version == OLDEST_TUNER && a_warning);
		outcome = release_ask(version, context, &call);
		cr_assert_eq(outcome.status, 0);
		cr_assert_eq(outcome.cell, version < 3 ? -1 : 0);
		cr_assert_eq(outcome.channels, 0);
		cr_assert(version < 3 || !memcmp(outcome.costs, costs, sizeof(costs)));
		cr_assert_eq(release_end(version, context), 0);
	}
}

Test(tuner, without_rules_and_profile_it_says_so_once_and_changes_nothing)
{
	assert_stands_aside("SPAN: no SPAN_RULES and no SPAN_PROFILE: NCCL decides everything", 0);
}

Test(tuner, can_be_turned_off)
{
	use_rules(RULES);
	setenv("SPAN_ENABLE", "0", 1);
	assert_stands_aside("SPAN: off by SPAN_ENABLE; NCCL decides everything", 0);
}

Test(tuner, one_bad_rule_and_it_stands_aside_entirely)
{
	char message[512];

	use_rules(RULES "allreduce,0,1,rings,ll,-1,-1,-1\n");
	snprintf(message, sizeof(message),
	         "SPAN: %s:3:15: the algorithm is \"rings\"; expected tree, ring, collnet_direct, "
	         "collnet_chain, nvls, nvls_tree or pat; NCCL decides everything",
	         getenv("SPAN_RULES"));
	assert_stands_aside(message, 1);
}

Test(tuner, a_bad_option_or_a_missing_file_and_it_stands_aside)
{
	setenv("SPAN_RULES", "/nowhere/rules.csv", 1);
	assert_stands_aside("SPAN: /nowhere/rules.csv: No such file or directory; NCCL decides "
			    "everything", 1);
	use_rules(RULES);
	setenv("SPAN_MARGIN", "much", 1);
	assert_stands_aside("SPAN: the environment: SPAN_MARGIN is \"much\"; expected a number from 0 "
			    "to 1; NCCL decides everything", 1);
	unsetenv("SPAN_MARGIN");
	setenv("SPAN_PROFILE", "/nowhere/h100.profile", 1);
	assert_stands_aside("SPAN: profile /nowhere/h100.profile: No such file or directory; "
			    "NCCL decides everything", 1);
	setenv("SPAN_PROFILE", write_file("bad.profile", "this is no profile\n"), 1);
	forget();
	{
		void *context;

		cr_assert_eq(release_init(5, 8, 1, logger, &context), 0);
		cr_assert_null(context);
		cr_assert_eq(warnings, 1);
		cr_assert(strstr(said, "bad.profile:1"), "%s", said);
	}
}

/* Nobody writes into it: whoever waited would wait for ever. */
Test(tuner, does_not_wait_for_a_pipe, .timeout = 30)
{
	static const char *const names[] = { "SPAN_RULES", "SPAN_PROFILE", "SPAN_CONFIG" };
	const char *pipe = write_file("pipe.profile", "");

	cr_assert_eq(remove(pipe), 0);
	cr_assert_eq(mkfifo(pipe, 0600), 0);
	for (int i = 0; i < 3; i++) {
		char message[512];

		setenv(names[i], pipe, 1);
		snprintf(message, sizeof(message),
		         "SPAN: %s%s: not a regular file; NCCL decides everything",
		         i == 0 ? "" : i == 1 ? "profile " : "SPAN_CONFIG: ", pipe);
		assert_stands_aside(message, 1);
		unsetenv(names[i]);
	}
}

Test(tuner, counts_that_cannot_be_leave_everything_to_nccl)
{
	static const size_t counts[][2] = { { 0, 1 }, { 2, 4 }, { (size_t)1 << 40, 1 }, { 8, 0 } };
	struct span_tuner_start start = { .logger = logger };

	use_rules(RULES);
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		start.ranks = counts[i][0];
		start.nodes = counts[i][1];
		cr_assert_null(span_tuner_start(&start));
	}
	cr_assert_geq(warnings, 1);
}

Test(tuner, the_users_choice_is_respected_where_it_cannot_be_seen)
{
	struct call call = { .coll = SPAN_COLL_ALL_REDUCE, .bytes = 1024, .pipe_ops = 1 };
	void *context;

	use_rules(RULES);
	setenv("NCCL_PROTO", "Simple", 1);
	for (int version = 1; version <= 2; version++) {
		release_init(version, 8, 1, logger, &context);
		cr_assert_eq(release_ask(version, context, &call).cell, -1);
		release_end(version, context);
	}
}

/* --- several communicators ---------------------------------------------------------------- */

Test(tuner, communicators_of_different_size_have_their_own_answers)
{
	float costs[CELLS];
	struct call call = { .coll = SPAN_COLL_ALL_REDUCE, .bytes = 1024, .pipe_ops = 1,
		             .costs = costs };
	void *eight, *sixteen;

	call.algos = SPAN_ALGOS;
	rising_costs(costs, CELLS);
	use_rules("allreduce,0,-1,ring,ll,-1,-1,8\nallreduce,0,-1,ring,simple,-1,-1,16\n");
	for (int version = 2; version <= NEWEST_TUNER; version++) {
		release_init(version, 8, 1, logger, &eight);
		release_init(version, 16, 2, NULL, &sixteen);
		cr_assert_eq(release_ask(version, eight, &call).cell,
		             SPAN_ALGO_RING * 3 + SPAN_PROTO_LL);
		cr_assert_eq(release_ask(version, sixteen, &call).cell,
		             SPAN_ALGO_RING * 3 + SPAN_PROTO_SIMPLE);
		release_end(version, eight);
		cr_assert_eq(release_ask(version, sixteen, &call).cell,
		             SPAN_ALGO_RING * 3 + SPAN_PROTO_SIMPLE);
		release_end(version, sixteen);
	}
}

/* What a rank has made before it asks, "+" and "-" for communicators that begin and end. */
static void live_through(const char *history)
{
	static const size_t ranks[] = { 8, 16, 16, 2, 1024 }, nodes[] = { 1, 2, 4, 2, 128 };
	static size_t next;
	void *none;

	for (; *history; history++, next++)
		if (*history == '-')
			release_end(1, NULL);
		else
			release_init(1, ranks[next % 5], nodes[next % 5], logger, &none);
}

/* Ranks of one communicator differ in which others they belong to. */
Test(tuner, version_1_answers_alike_whatever_else_a_rank_has_made)
{
	static const char *const histories[] = { "+", "++", "+-+", "+++--", "++++---", "+-++-" };
	static const char *const ends[] = { "-", "--", "-", "-", "-", "-" };
	struct call call = { .pipe_ops = 1 };
	int cells[SPAN_COLLS][40], acts = 0;

	use_rules("allreduce,0,4096,ring,ll,-1,-1,-1\nallreduce,4097,65536,tree,ll,-1,-1,8\n"
	          "allreduce,0,-1,ring,simple,-1,1+,2+\nallgather,0,1M,ring,simple,2,-1,-1\n");
	for (size_t i = 0; i < sizeof(histories) / sizeof(histories[0]); i++) {
		live_through(histories[i]);
		for (call.coll = 0; call.coll < SPAN_COLLS; call.coll++)
			for (int octave = 0; octave < 40; octave++) {
				call.bytes = (size_t)1 << octave;
				if (!i)
					cells[call.coll][octave] = release_ask(1, NULL, &call).cell;
				cr_assert_eq(release_ask(1, NULL, &call).cell,
				             cells[call.coll][octave]);
				acts += cells[call.coll][octave] >= 0;
			}
		live_through(ends[i]);
	}
	cr_assert_gt(acts, 0);
}

/* What it cannot judge it leaves to NCCL, and what comes after it. */
Test(tuner, version_1_takes_only_rules_for_every_communicator)
{
	struct call call = { .coll = SPAN_COLL_ALL_REDUCE, .pipe_ops = 1 };
	static const struct {
		size_t bytes;
		int cell;
	} cases[] = { { 1024, SPAN_ALGO_RING * 3 + SPAN_PROTO_LL }, { 8192, -1 }, { 65536, -1 },
		      { 65537, SPAN_ALGO_TREE * 3 + SPAN_PROTO_SIMPLE }, { 1 << 20, -1 } };
	void *none;

	use_rules("allreduce,0,4096,ring,ll,-1,-1,-1\nallreduce,0,65536,tree,ll,-1,-1,8\n"
	          "allreduce,0,100000,tree,simple,-1,-1,-1\n"
	          "allreduce,131072,-1,ring,ll,-1,-1,-1,per=rank\n"
	          "allreduce,0,-1,ring,simple,-1,-1,-1\n");
	cr_assert_eq(release_ask(1, NULL, &call).cell, -1);
	release_init(1, 8, 1, logger, &none);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		call.bytes = cases[i].bytes;
		cr_assert_eq(release_ask(1, NULL, &call).cell, cases[i].cell, "%zu bytes", call.bytes);
	}
	cr_assert(strstr(said, "communicators of any size"));
	cr_assert(strstr(said, "(5, unused for regBuff 0, for some ranks or nodes 2)"), "%s", said);
	release_end(1, NULL);
	cr_assert_eq(release_end(1, NULL), 0); /* one too many */
	cr_assert_eq(release_ask(1, NULL, &call).cell, -1);
}

/* --- all ranks alike ---------------------------------------------------------------------- */

enum { SIMULATED = 4, CALLS = 1000000 };

/* What differs between the ranks of a job: device, file of the topology, name of the host, the
 * processors it may run on. None of it may matter. */
static void become_rank(int rank)
{
	char text[64];
	cpu_set_t set;

	snprintf(text, sizeof(text), "/tmp/topology-%d.xml", rank);
	setenv("NCCL_TOPO_FILE", text, 1);
	snprintf(text, sizeof(text), "host-%d", rank);
	setenv("HOSTNAME", text, 1);
	snprintf(text, sizeof(text), "%d", rank % 8);
	setenv("CUDA_VISIBLE_DEVICES", text, 1);
	setenv("OMPI_COMM_WORLD_LOCAL_RANK", text, 1);
	setenv("RANK", text, 1);
	CPU_ZERO(&set);
	CPU_SET((size_t)rank % (size_t)sysconf(_SC_NPROCESSORS_ONLN), &set);
	sched_setaffinity(0, sizeof(set), &set); /* where that is not allowed, the rest differs */
}

static const char *mixed_profile(void)
{
	static const struct flat_time times[] = { { SPAN_ALGO_TREE, SPAN_PROTO_LL, 100 },
		                                  { SPAN_ALGO_RING, SPAN_PROTO_LL, 80 },
		                                  { SPAN_ALGO_NVLS, SPAN_PROTO_SIMPLE, 70 } };
	span_profile *profile = flat_profile("mixed", 8, 1, times, 3, 0.01);
	const char *path = write_file("mixed.profile", "");
	FILE *file = fopen(path, "w");

	cr_assert_eq(span_profile_save(profile, file), SPAN_OK);
	fclose(file);
	span_profile_free(profile);
	return path;
}

Test(tuner, all_ranks_answer_alike_a_million_times, .timeout = 240)
{
	float costs[CELLS];
	struct call call = { .costs = costs, .algos = SPAN_ALGOS };
	void *contexts[SIMULATED];
	uint64_t state = 11;
	int touched = 0;

	use_rules(RULES "allgather,1K,1G,pat,simple,-1,-1,-1,2\n"
			"allgather,0,-1,ring,ll128,8,-1,-1,per=rank\n"
			"allreduce,0,-1,nvls,simple,-1,-1,-1,-1,1\n");
	setenv("SPAN_PROFILE", mixed_profile(), 1);
	for (int rank = 0; rank < SIMULATED; rank++) {
		become_rank(rank);
		release_init(4 + rank % 3, 8, 1, logger, &contexts[rank]);
		cr_assert_not_null(contexts[rank]);
	}
	for (int i = 0; i < CALLS; i++) {
		int other = 1 + i % (SIMULATED - 1);
		struct outcome first, second;

		random_costs(&state, costs, CELLS);
		call.coll = (nccl_func)(random_number(&state) % 6);
		call.bytes = random_number(&state) >> random_number(&state) % 32;
		call.pipe_ops = 1 + (int)(random_number(&state) % 3);
		call.registered = 0;
		first = release_ask(4, contexts[0], &call);
		call.registered = 1;
		second = release_ask(4 + other % 3, contexts[other], &call);
		cr_assert_eq(first.cell, second.cell);
		cr_assert_eq(first.channels, second.channels);
		cr_assert(!memcmp(first.costs, second.costs, sizeof(costs)));
		touched += memcmp(first.costs, costs, sizeof(costs)) != 0;
	}
	cr_assert_gt(touched, CALLS / 10);
	for (int rank = 0; rank < SIMULATED; rank++)
		release_end(4 + rank % 3, contexts[rank]);
}

static const char *digest_said(void)
{
	const char *found = strstr(said, "decision ");

	cr_assert(found, "%s", said);
	return found;
}

/* The digest that a communicator of so many ranks logs. */
static void log_digest(int version, size_t ranks, char digest[32])
{
	void *context;

	forget();
	cr_assert_eq(release_init(version, ranks, 1, logger, &context), 0);
	release_end(version, context);
	snprintf(digest, 32, "%.25s", digest_said());
}

/* Rules for any ranks, and a profile for none of these, decide alike everywhere. */
Test(tuner, whatever_may_decide_shows_in_the_digest)
{
	static const struct flat_time times[] = { { SPAN_ALGO_TREE, SPAN_PROTO_LL, 100 } };
	const char *path = strdup(mixed_profile());
	char first[32], other[32];
	span_profile *profile;
	FILE *file;

	use_rules(RULES);
	setenv("SPAN_PROFILE", path, 1);
	log_digest(4, 64, first);
	log_digest(4, 63, other);
	cr_assert_str_neq(first, other);
	log_digest(5, 64, other); /* NVLink domains and constants */
	cr_assert_str_neq(first, other);
	profile = flat_profile("mixed", 8, 1, times, 1, 0.01);
	file = fopen(path, "w");
	span_profile_save(profile, file);
	fclose(file);
	span_profile_free(profile);
	log_digest(4, 64, other);
	cr_assert_str_neq(first, other);
	free((char *)path);
}

/* Whichever communicator a process makes first. */
Test(tuner, version_1_has_one_digest_for_all_sizes)
{
	char first[32], other[32];

	use_rules(RULES);
	log_digest(1, 8, first);
	log_digest(4, 8, other); /* so that the next is not the same message again */
	log_digest(1, 64, other);
	cr_assert_str_eq(first, other);
}

Test(tuner, a_differing_file_shows_in_the_digest)
{
	char first[32], other[32];
	void *context;

	use_rules(RULES);
	log_digest(4, 8, first);
	forget();
	release_init(4, 8, 1, logger, &context); /* the same is not said again */
	release_end(4, context);
	cr_assert_eq(said_lines, 0);
	use_rules("allreduce,0,65537,ring,ll,4,-1,-1\n"
		  "allreduce,65538,-1,ring,simple,-1,-1,-1,chunk=64K\n");
	log_digest(4, 8, other);
	cr_assert_str_neq(first, other);
}

Test(tuner, explains_itself_when_asked)
{
	void *context;

	use_rules(RULES);
	setenv("SPAN_EXPLAIN", "1", 1);
	release_init(4, 8, 1, logger, &context);
	release_end(4, context);
	cr_assert(strstr(said, "AllReduce from 0 B: Ring/LL on 4 channels (rule of line 1)"));
	cr_assert(strstr(said, "AllReduce from 65537 B: Ring/Simple in chunks of 65536 B (rule of "));
}
