/* Reading the output of nccl-tests: every published log, and what logs may do. */
#include "topo/nccl/nccl_log.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/topo/log_capture.h"

static const span_nccl_log_options nothing = { -1, -1, -1, 0, 0 };

static span_status read_text(const char *text, const char *name,
                             const span_nccl_log_options *options, span_nccl_log *log)
{
	FILE *file = fmemopen((void *)text, strlen(text), "r");
	span_status status;

	log_capture();
	status = span_nccl_log_read(file, name, options, log);
	fclose(file);
	return status;
}

/* --- published logs ----------------------------------------------------------------------- */

struct expected {
	char file[128], coll[32], refused[64];
	int rows, ranks, nodes;
};

static void judge_read(const struct expected *expected, const span_nccl_log *log)
{
	const span_nccl_sample *first = log->samples;
	int coll = strcmp(expected->coll, "other") ? span_coll_number(expected->coll) : -1;

	cr_assert_str_eq(expected->refused, "-", "%s was read", expected->file);
	cr_assert_eq(log->n, (size_t)expected->rows, "%s: %zu rows", expected->file, log->n);
	cr_assert_eq(first->coll, coll, "%s: collective %d", expected->file, first->coll);
	cr_assert_eq(first->ranks, expected->ranks, "%s: %d ranks", expected->file, first->ranks);
	cr_assert_eq(first->nodes, expected->nodes, "%s: %d nodes", expected->file, first->nodes);
	for (size_t i = 0; i < log->n; i++)
		cr_assert(log->samples[i].us > 0 && log->samples[i].bytes > 0);
}

static void judge_file(const char *folder, const struct expected *expected)
{
	char path[4096];
	span_nccl_log log;
	FILE *file;
	span_status status;

	snprintf(path, sizeof(path), "%s/%s", folder, expected->file);
	file = fopen(path, "r");
	cr_assert(file, "%s", path);
	log_capture();
	status = span_nccl_log_read(file, path, &nothing, &log);
	fclose(file);
	if (!status) {
		judge_read(expected, &log);
		span_nccl_log_free(&log);
		return;
	}
	cr_assert_eq(status, SPAN_EPARSE);
	cr_assert_eq(log_captured_count(), 1, "%s", expected->file);
	cr_assert(strstr(log_captured(), expected->refused), "%s: %s", expected->file,
	          log_captured());
}

/* Every .txt of a folder stands in EXPECTED.tsv; returns how many were judged. */
static int judge_folder(const char *folder)
{
	FILE *table = fopen(SPAN_TEST_DATA "/nccl-tests/EXPECTED.tsv", "r");
	DIR *files = opendir(folder);
	struct expected expected;
	char line[512], path[4096];
	int judged = 0, there = 0;

	cr_assert(table && files, "%s", folder);
	cr_assert(fgets(line, sizeof(line), table));
	while (fgets(line, sizeof(line), table)) {
		cr_assert_eq(sscanf(line, "%127[^\t]\t%d\t%31[^\t]\t%d\t%d\t%63[^\n]", expected.file,
		                    &expected.rows, expected.coll, &expected.ranks, &expected.nodes,
		                    expected.refused),
		             6, "%s", line);
		snprintf(path, sizeof(path), "%s/%s", folder, expected.file);
		if (!access(path, R_OK)) {
			judge_file(folder, &expected);
			judged++;
		}
	}
	fclose(table);
	for (struct dirent *entry = readdir(files); entry; entry = readdir(files))
		there += strstr(entry->d_name, ".txt") != NULL;
	closedir(files);
	cr_assert_eq(judged, there, "%d files, %d expected", there, judged);
	return judged;
}

Test(nccl_log, published_logs_are_read_or_refused_in_one_line)
{
	cr_assert_geq(judge_folder(SPAN_TEST_DATA "/nccl-tests"), 70);
}

Test(nccl_log, so_are_those_kept_elsewhere)
{
	const char *extra = getenv("SPAN_EXTRA_DATA");
	char folder[4096];

	if (!extra)
		cr_skip_test("SPAN_EXTRA_DATA is not set");
	snprintf(folder, sizeof(folder), "%s/nccl-tests", extra);
	cr_assert_geq(judge_folder(folder), 70);
}

/* --- columns ------------------------------------------------------------------------------ */

static void one_row(const char *text, double us, double in_place)
{
	span_nccl_log log;

	cr_assert_eq(read_text(text, "all_reduce.txt", &nothing, &log), SPAN_OK, "%s: %s", text,
	             log_captured());
	cr_assert_eq(log.n, 1);
	cr_assert_eq(log.samples[0].bytes, 1024);
	cr_assert_eq(log.samples[0].us, us, "%s: %g", text, log.samples[0].us);
	cr_assert_eq(log.samples[0].us_in_place, in_place, "%s: %g", text,
	             log.samples[0].us_in_place);
	span_nccl_log_free(&log);
}

Test(nccl_log, columns_of_every_version_are_told_apart)
{
	one_row("1024 256 float 34.27 0.05 0.02 N/A 33.57 0.05 0.02 N/A\n", 34.27, 33.57);
	one_row("1024 256 float sum 34.27 0.05 0.02 1e-07 33.57 0.05 0.02 2e-07\n", 34.27, 33.57);
	one_row("1024 256 float 0 34.27 0.05 0.02 N/A 33.57 0.05 0.02 N/A\n", 34.27, 33.57);
	one_row("1024 256 float sum -1 34.27 0.05 0.02 0 33.57 0.05 0.02 0\n", 34.27, 33.57);
	one_row("1024 256 half none 3 34 0.05 0.02 0 33 0.05 0.02 N/A\n", 34, 33);
	one_row("1024 256 float sum 112.1 0.00 0.01 N/A\n", 112.1, 0);
	one_row("1024 256 float sum 0 112.1 0.00 0.01 N/A\n", 112.1, 0);
	one_row("# size count type redop root time algbw\n"
	        "1024 256 float sum 0 112 0 0\n",
	        112, 0);
	one_row("# size count type redop time algbw\n1024 256 float sum 112 0 0 0 9 0 0 0\n", 112,
	        9);
}

/* -I: of each half the shortest and longest iteration, the 99th percentile, the spread in %. */
Test(nccl_log, columns_of_iterations_are_no_times)
{
#define HEAD "# size count type redop root time algbw busbw #wrong i_min i_max i_p99 i_cv%\n"
#define OUT  "34.27 0.05 0.02 0 31.10 90.20 88.01 12.5"
#define IN   " 33.57 0.05 0.02 0 30.10 91.20 87.01 11.5"
	one_row(HEAD "1024 256 float sum -1 " OUT IN "\n", 34.27, 33.57);
	one_row(HEAD "1024 256 float sum -1 " OUT "\n", 34.27, 0);
	one_row(HEAD "1024 256 float sum -1NCCL INFO torn\n" OUT IN "\n", 34.27, 33.57);
	one_row(HEAD "1024 256 float sum -1 " OUT "NCCL INFO torn\n" IN "\n", 34.27, 33.57);
	one_row("1024 256 float sum -1 " OUT IN "\n", 34.27, 33.57);
	one_row("1024 256 float sum " OUT IN "\n", 34.27, 33.57);
}

Test(nccl_log, prefixes_of_launchers_and_loggers_are_passed_over)
{
	const char *row = "1024 256 float sum -1 34.27 0.05 0.02 0 33.57 0.05 0.02 0\n";
	const char *const prefixes[] = { "[1,0]<stdout>:", "   [1,13]<stdout>: ", "0: ", "12:   ",
		                         "2024-05-01T10:11:12.123Z ", "[2024-05-01 10:11:12] ",
		                         "node7: ", "worker-0 | " };
	char text[256];

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++) {
		snprintf(text, sizeof(text), "%s%s", prefixes[i], row);
		one_row(text, 34.27, 33.57);
	}
}

Test(nccl_log, a_row_that_lines_of_nccl_tear_is_put_together)
{
	one_row("  1024  256  float  sum  -1h:1:1 [0] NCCL INFO AllReduce: 1024 Bytes -> Algo RING "
	        "proto SIMPLE channel{Lo..Hi}={0..23}\nh:1:1 [0] NCCL INFO something\n"
	        "  34.27  225.5  338.3  0h:1:1 [0] NCCL INFO more\n"
	        "h:1:1 [0] NCCL INFO more\n  33.57  226.1  338.4  0\n",
	        34.27, 33.57);
}

/* srun -l and loggers write their prefix again before what was torn off. */
Test(nccl_log, so_is_a_torn_row_behind_a_prefix)
{
	const char *const prefixes[][2] = {
		{ "0: ", "0: " },
		{ " 12:   ", " 12: " },
		{ "[1,0]<stdout>: ", "[1,0]<stdout>:" },
		{ "2024-05-01T10:11:12.123Z ", "2024-05-01T10:11:14.004Z " },
		{ "[2024-05-01 10:11:12,123] [INFO] ", "[2024-05-01 10:11:59,3] [INFO] " },
		{ "worker-1  | ", "worker-1  | " },
		{ "7 ", "7 " },
		{ "0: ", "" },
	};
	char text[512];

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++) {
		snprintf(text, sizeof(text),
		         "%s1024 256 float sum -1h:1:1 [0] NCCL INFO 1024 Bytes -> Algo 1 "
		         "proto 2\n%sh:1:1 [0] NCCL INFO more\n%s34.27 225.5 338.3 0 "
		         "33.57 226.1 338.4 0\n",
		         prefixes[i][0], prefixes[i][1], prefixes[i][1]);
		one_row(text, 34.27, 33.57);
	}
}

Test(nccl_log, colours_of_a_terminal_are_taken_out)
{
	const char *text = "\033[1m# nThread 1 nGpus 8\033[0m\n"
			   "\033[32m#  Rank  0 Group  0 Pid 1 on a device 0 [0x4f] NVIDIA H100\033[0m\n"
			   "\033[32m1024 256 float sum -1 34.27 100.00 175.00 0\033[\n"
			   "2048 512 float sum -1 44.27 100.00 175.00 0\033\n"
			   "4096 1024 float sum -1 54.27 100.00 175.00 0\033[0m\n\033";
	span_nccl_log log;

	cr_assert_eq(read_text(text, "all_reduce", &nothing, &log), SPAN_OK, "%s", log_captured());
	cr_assert_eq(log.n, 3);
	cr_assert_str_eq(log.gpu, "NVIDIA H100");
	span_nccl_log_free(&log);
	one_row("\033\n\033[\n1024 256 float sum -1 \033[1;31m34.27\033[m 100.00 175.00 0\n", 34.27,
	        0);
}

Test(nccl_log, sizes_of_zero_and_masked_times_are_no_samples)
{
	span_nccl_log log;

	cr_assert_eq(read_text("0 0 float sum -1 34.27 0.05 0.02 0 33.57 0.05 0.02 0\n"
	                       "64 16 float sum -1 XXXXX XXX.XX XXX.XX N/A XX XX XX 0\n"
	                       "128 32 float sum -1 0.00 0.00 0.00 0 0.00 0.00 0.00 0\n",
	                       "all_reduce.txt", &nothing, &log),
	             SPAN_EPARSE);
	cr_assert(strstr(log_captured(), "1 rows of nccl-tests, but none with a time"), "%s",
	          log_captured());
}

/* Whoever computes something else may well be faster. */
#define HEADING(errors) "# size count type redop root time algbw busbw " errors \
			" time algbw busbw " errors "\n"

static void passed_over(const char *text, size_t rows, size_t wrong, size_t grouped)
{
	span_nccl_log log;

	cr_assert_eq(read_text(text, "all_reduce.txt", &nothing, &log), SPAN_OK, "%s: %s", text,
	             log_captured());
	cr_assert(log.n == rows && log.wrong == wrong && log.grouped == grouped,
	          "%s: %zu rows, %zu wrong, %zu grouped", text, log.n, log.wrong, log.grouped);
	span_nccl_log_free(&log);
}

Test(nccl_log, rows_with_wrong_results_are_passed_over)
{
	span_nccl_log log;

	passed_over(HEADING("#wrong") "8 2 float sum -1 34.27 0.05 0.02 0 33.57 0.05 0.02 N/A\n"
	            "16 4 float sum -1 34.27 0.05 0.02 1 33.57 0.05 0.02 0\n"
	            "32 8 float sum -1 34.27 0.05 0.02 0 33.57 0.05 0.02 4e+05\n", 1, 2, 0);
	passed_over(HEADING("error") "8 2 float sum -1 34.27 0.05 0.02 1e-07 33.57 0.05 0.02 2e-07\n",
	            1, 0, 0);
	passed_over("8 2 float sum -1 34.27 0.05 0.02 1 33.57 0.05 0.02 1\n", 1, 0, 0);
	/* Torn rows: before the times, and between the halves. */
	passed_over(HEADING("#wrong") "8 2 float sum -1h:1 NCCL INFO\n"
	            "34.27 0.05 0.02 5 33.57 0.05 0.02 5\n"
	            "16 4 float sum -1 34.27 0.05 0.02 0h:1 NCCL INFO\n33.57 0.05 0.02 5\n"
	            "32 8 float sum -1h:1 NCCL INFO\n34.27 0.05 0.02 0 33.57 0.05 0.02 0\n", 1, 2, 0);
	cr_assert_eq(read_text(HEADING("#wrong")
	                       "16 4 float sum -1 34.27 0.05 0.02 1 33.5 0.05 0.02 0\n",
	                       "all_reduce.txt", &nothing, &log),
	             SPAN_EPARSE);
	cr_assert(strstr(log_captured(), "of 1 results were wrong"), "%s", log_captured());
}

/* -m 16: sixteen operations in a launch. */
Test(nccl_log, rows_of_aggregated_iterations_are_passed_over)
{
	passed_over("# nThread 1 nGpus 8 minBytes 8 agg iters: 16 validation: 1\n" HEADING("#wrong")
	            "8 2 float sum -1 34.27 0.05 0.02 0 33.57 0.05 0.02 0\n"
	            "# nThread 1 nGpus 8 minBytes 8 agg iters: 1 validation: 1\n" HEADING("#wrong")
	            "8 2 float sum -1 34.27 0.05 0.02 0 33.57 0.05 0.02 0\n", 1, 0, 1);
}

/* --- what rows do not say ----------------------------------------------------------------- */

#define ROW "1024 256 float sum -1 34.27 100.00 175.00 0 33.57 0.05 0.02 0\n"

static span_nccl_sample last_of(const char *text, const char *name,
                                const span_nccl_log_options *options)
{
	span_nccl_sample sample;
	span_nccl_log log;

	cr_assert_eq(read_text(text, name, options, &log), SPAN_OK, "%s: %s", text, log_captured());
	sample = log.samples[log.n - 1];
	span_nccl_log_free(&log);
	return sample;
}

/* -C measures what launching takes, under the same columns but for one heading. */
Test(nccl_log, times_of_the_processor_are_no_times)
{
	const char *text = "# all_reduce_perf\n"
	                   "#  size  count  type  redop  root  cputime  algbw  busbw #wrong\n"
	                   "   1024    256 float    sum    -1     3.10   0.33   0.49      0\n"
	                   "#  size  count  type  redop  root     time  algbw  busbw #wrong\n"
	                   "   1024    256 float    sum    -1    20.10   0.05   0.08      0\n";
	span_nccl_log log;

	cr_assert_eq(read_text(text, "x", &nothing, &log), SPAN_OK, "%s", log_captured());
	cr_assert_eq(log.n, 1);
	cr_assert_eq(log.without_time, 1);
	cr_assert_eq(log.samples[0].us, 20.10);
	span_nccl_log_free(&log);
}

Test(nccl_log, the_collective_comes_from_command_name_or_bandwidths)
{
	const span_nccl_log_options given = { SPAN_COLL_REDUCE, SPAN_ALGO_TREE, SPAN_PROTO_LL, 3, 2 };
	span_nccl_sample sample = last_of("./reduce_scatter_perf -b 8\n" ROW, "x", &nothing);

	cr_assert_eq(sample.coll, SPAN_COLL_REDUCE_SCATTER);
	cr_assert_eq(last_of(ROW, "logs/all_gather.2.txt", &nothing).coll, SPAN_COLL_ALL_GATHER);
	sample = last_of(ROW, "x", &nothing);
	cr_assert_eq(sample.coll, SPAN_COLL_ALL_REDUCE);
	cr_assert_eq(sample.ranks, 8);
	cr_assert_eq(sample.nodes, 0);
	sample = last_of("1024 256 float none -1 34.27 100.00 93.75 0\n", "x", &nothing);
	cr_assert_eq(sample.coll, SPAN_COLL_ALL_GATHER);
	cr_assert_eq(sample.ranks, 16);
	sample = last_of("./alltoall_perf\n" ROW, "all_reduce", &nothing);
	cr_assert_eq(sample.coll, -1);
	sample = last_of("./all_gather_perf\n" ROW, "x", &given);
	cr_assert(sample.coll == SPAN_COLL_REDUCE && sample.algo == SPAN_ALGO_TREE &&
	          sample.proto == SPAN_PROTO_LL && sample.ranks == 3 && sample.nodes == 2);
}

Test(nccl_log, a_collective_that_nobody_names_is_asked_for)
{
	span_nccl_log log;

	cr_assert_eq(read_text("1024 256 float sum -1 34.27 100.00 100.00 0\n", "dir/x", &nothing,
	                       &log),
	             SPAN_EPARSE);
	cr_assert(strstr(log_captured(), "dir/x:1: which collective"), "%s", log_captured());
}

Test(nccl_log, ranks_and_nodes_come_from_the_list_of_ranks)
{
	const char *list = "# nThread 1 nGpus 1 minBytes 8\n"
			   "#  Rank  0 Group  0 Pid  1 on a device  0 [0x4f] NVIDIA H100\n"
			   "#  Rank  1 Group  0 Pid  2 on b device  0 [0x4f] NVIDIA H100\n"
			   "#  Rank  2 Group  0 Pid  3 on b device  1 [0x50] NVIDIA H100\n" ROW
			   "# nThread 2 nGpus 4 minBytes 8\n" ROW;
	span_nccl_log log;

	cr_assert_eq(read_text(list, "all_reduce", &nothing, &log), SPAN_OK);
	cr_assert_eq(log.n, 2);
	cr_assert_eq(log.samples[0].ranks, 3);
	cr_assert_eq(log.samples[0].nodes, 2);
	cr_assert_eq(log.samples[1].ranks, 8);
	cr_assert_eq(log.samples[1].nodes, 1);
	cr_assert_str_eq(log.gpu, "NVIDIA H100");
	span_nccl_log_free(&log);
}

/* Hosts of one NVLink domain (MNNVL) are one node to NCCL, and its tuner is asked about one. */
Test(nccl_log, nodes_are_those_that_nccl_counts)
{
#define HOSTS "# nThread 1 nGpus 1 minBytes 8\n"                          \
	      "#  Rank  0 Group  0 Pid  1 on a device  0 [0x4f] GB200\n" \
	      "#  Rank  1 Group  0 Pid  2 on b device  0 [0x4f] GB200\n"
#define COMM(ranks, nodes) "a:1:1 [0] NCCL INFO comm 0x55e0 rank 0 nRanks " ranks " nNodes " nodes \
			   " localRanks 2 localRank 0 MNNVL 1\n"
	const span_nccl_log_options given = { -1, -1, -1, 0, 2 };
	span_nccl_sample sample = last_of(HOSTS COMM("2", "1") ROW, "all_reduce", &nothing);

	cr_assert(sample.ranks == 2 && sample.nodes == 1, "%d, %d", sample.ranks, sample.nodes);
	sample = last_of(HOSTS COMM("2", "1") ROW, "all_reduce", &given);
	cr_assert_eq(sample.nodes, 2);
	/* Another communicator, or that of the run before, says nothing. */
	sample = last_of(HOSTS COMM("4", "1") ROW, "all_reduce", &nothing);
	cr_assert(sample.ranks == 2 && sample.nodes == 2, "%d, %d", sample.ranks, sample.nodes);
	sample = last_of(HOSTS COMM("2", "1") ROW HOSTS ROW, "all_reduce", &nothing);
	cr_assert_eq(sample.nodes, 2);
	sample = last_of("# nThread 1 nGpus 8\n" COMM("72", "1") ROW, "broadcast", &nothing);
	cr_assert(sample.ranks == 72 && sample.nodes == 1, "%d, %d", sample.ranks, sample.nodes);
}

/* A process says how many GPUs it has, not how many processes there are. */
Test(nccl_log, bandwidths_tell_of_other_processes)
{
#define SIXTEEN "1024 256 float sum -1 34.27 100.00 187.50 0 33.57 0.05 0.02 0\n"
#define SIXTY   "1024 256 float sum -1 34.27 100.00 196.72 0 33.57 0.05 0.02 0\n"
	span_nccl_sample sample = last_of("# nThread 1 nGpus 8 minBytes 8\n" SIXTEEN, "all_reduce",
	                                  &nothing);

	cr_assert(sample.ranks == 16 && sample.nodes == 0, "%d, %d", sample.ranks, sample.nodes);
	sample = last_of("# nThread 1 nGpus 8 minBytes 8\n" SIXTY, "all_reduce", &nothing);
	cr_assert(sample.ranks == 0 && sample.nodes == 0, "%d, %d", sample.ranks, sample.nodes);
	sample = last_of("# nThread 1 nGpus 8 minBytes 8\n" ROW, "all_reduce", &nothing);
	cr_assert(sample.ranks == 8 && sample.nodes == 1, "%d, %d", sample.ranks, sample.nodes);
	sample = last_of("# nThread 1 nGpus 8 minBytes 8\n" ROW, "broadcast", &nothing);
	cr_assert(sample.ranks == 8 && sample.nodes == 1, "%d, %d", sample.ranks, sample.nodes);
	/* The list of ranks knows better than two decimals. */
	sample = last_of("# nThread 1 nGpus 2 minBytes 8\n"
	                 "#  Rank  0 Group  0 Pid  1 on a device  0 [0x4f] H100\n"
	                 "#  Rank  3 Group  0 Pid  2 on b device  1 [0x4f] H100\n" SIXTEEN,
	                 "all_reduce", &nothing);
	cr_assert(sample.ranks == 4 && sample.nodes == 2, "%d, %d", sample.ranks, sample.nodes);
}

/* NCCL_TESTS_SPLIT=MOD2: ranks 0 and 2 talk, and what is printed is theirs. */
Test(nccl_log, another_group_is_another_communicator)
{
	const char *list = "# nThread 1 nGpus 1 minBytes 8\n"
			   "#  Rank  0 Group  0 Pid  1 on a device  0 [0x4f] NVIDIA H100\n"
			   "#  Rank  1 Group  1 Pid  2 on b device  0 [0x4f] NVIDIA H100\n"
			   "#  Rank  2 Group  0 Pid  3 on a device  1 [0x50] NVIDIA H100\n"
			   "#  Rank  3 Group  1 Pid  4 on b device  1 [0x50] NVIDIA H100\n" ROW
			   "# nThread 1 nGpus 1 minBytes 8\n"
			   "#  Rank  0 Group  5 Pid  1 on a device  0 [0x4f] NVIDIA H100\n"
			   "#  Rank  1 Group  5 Pid  2 on b device  0 [0x4f] NVIDIA H100\n" ROW;
	span_nccl_log log;

	cr_assert_eq(read_text(list, "all_reduce", &nothing, &log), SPAN_OK);
	cr_assert_eq(log.n, 2);
	cr_assert_eq(log.samples[0].ranks, 2);
	cr_assert_eq(log.samples[0].nodes, 1);
	cr_assert_eq(log.samples[1].ranks, 2);
	cr_assert_eq(log.samples[1].nodes, 2);
	span_nccl_log_free(&log);
}

Test(nccl_log, algorithm_and_protocol_come_from_the_environment_or_nccl)
{
	span_nccl_sample sample;

	sample = last_of("### ALGO=Ring PROTO=LL128 size=1\n" ROW, "all_reduce", &nothing);
	cr_assert(sample.algo == SPAN_ALGO_RING && sample.proto == SPAN_PROTO_LL128);
	sample = last_of("ALGO=Ring\nPROTO=Simple\n" ROW, "all_reduce", &nothing);
	cr_assert(sample.algo == -1 && sample.proto == SPAN_PROTO_SIMPLE);
	sample = last_of("NCCL_ALGO=Ring,Tree mpirun\n" ROW, "all_reduce", &nothing);
	cr_assert(sample.algo == -1 && sample.proto == -1);
	sample = last_of("export NCCL_ALGO=^NVLS\n" ROW, "all_reduce", &nothing);
	cr_assert_eq(sample.algo, -1);
	sample = last_of("h:1 NCCL INFO NCCL_ALGO set by environment to NVLSTree.\n"
	                 "h:1 NCCL INFO NCCL_PROTO set by environment to Simple\n" ROW,
	                 "all_reduce", &nothing);
	cr_assert(sample.algo == SPAN_ALGO_NVLS_TREE && sample.proto == SPAN_PROTO_SIMPLE);
	sample = last_of("NCCL INFO AllReduce: 1024 Bytes -> Algo NVLS_TREE proto SIMPLE channel\n"
	                 "NCCL INFO AllReduce: 2048 Bytes -> Algo RING proto LL channel\n" ROW,
	                 "all_reduce", &nothing);
	cr_assert(sample.algo == SPAN_ALGO_NVLS_TREE && sample.proto == SPAN_PROTO_SIMPLE);
	sample = last_of("NCCL INFO 1024 Bytes -> Algo 1 proto 2 time 9.5\n" ROW, "all_reduce",
	                 &nothing);
	cr_assert(sample.algo == SPAN_ALGO_RING && sample.proto == SPAN_PROTO_SIMPLE);
}

/* Logs of sweeps hold runs with a variable and runs without it. */
static void cell_of_second(const char *text, int algo, int proto)
{
	span_nccl_log log;

	cr_assert_eq(read_text(text, "all_reduce", &nothing, &log), SPAN_OK, "%s", log_captured());
	cr_assert_eq(log.n, 2, "%s: %zu rows", text, log.n);
	cr_assert(log.samples[1].algo == algo && log.samples[1].proto == proto, "%s: %d, %d", text,
	          log.samples[1].algo, log.samples[1].proto);
	span_nccl_log_free(&log);
}

Test(nccl_log, what_is_forced_holds_as_long_as_it_was_said_for)
{
	const char *const set = "h:1 NCCL INFO NCCL_ALGO set by environment to Tree\n"
				"h:1 NCCL INFO NCCL_PROTO set by environment to LL\n";
	char text[1024];

	snprintf(text, sizeof(text), "# nThread 1 nGpus 8\n%s" ROW "# nThread 1 nGpus 8\n" ROW, set);
	cell_of_second(text, -1, -1);
	snprintf(text, sizeof(text), "# nThread 1 nGpus 8\n%s" ROW "# nThread 1 nGpus 8\n"
	                             "NCCL_ALGO set by environment to Ring\n" ROW, set);
	cell_of_second(text, SPAN_ALGO_RING, -1);
	/* A run that failed has no rows. */
	snprintf(text, sizeof(text), ROW "# nThread 1 nGpus 8\n%s# nThread 1 nGpus 8\n" ROW, set);
	cell_of_second(text, -1, -1);
	cell_of_second("+ NCCL_ALGO=Ring NCCL_PROTO=LL all_reduce_perf -g 8\n# nThread 1 nGpus 8\n" ROW
	               "+ all_reduce_perf -g 8\n# nThread 1 nGpus 8\n" ROW, -1, -1);
	cell_of_second("+ NCCL_ALGO=Ring all_reduce_perf -g 8\n# nThread 1 nGpus 8\n" ROW
	               "# nThread 1 nGpus 8\n" ROW, -1, -1);
	cell_of_second(ROW "+ NCCL_ALGO=Ring all_reduce_perf -g 8\n"
	               "# Collective test starting: all_reduce_perf\n# nThread 1 nGpus 8\n" ROW,
	               SPAN_ALGO_RING, -1);
	cell_of_second(ROW "+ NCCL_ALGO=Ring all_reduce_perf -g 8\nfailed\n"
	               "+ all_reduce_perf -g 8\n# nThread 1 nGpus 8\n" ROW, -1, -1);
	cell_of_second("export NCCL_ALGO=Tree\n+ NCCL_PROTO=LL all_reduce_perf -g 8\n" ROW
	               "+ all_reduce_perf -g 8\n" ROW, SPAN_ALGO_TREE, -1);
	cell_of_second("export NCCL_ALGO=Tree\n+ all_reduce_perf -g 8\n" ROW "unset NCCL_ALGO\n"
	               "+ all_reduce_perf -g 8\n" ROW, -1, -1);
	cell_of_second("export NCCL_PROTO=LL\n# nThread 1 nGpus 8\n" ROW "unset NCCL_PROTO\n" ROW, -1,
	               -1);
	cell_of_second("# ALGO=Ring\n# nThread 1 nGpus 8\n" ROW "# nThread 1 nGpus 8\n" ROW,
	               SPAN_ALGO_RING, -1);
	snprintf(text, sizeof(text), "%s" ROW "### ALGO=Ring\n" ROW, set);
	cell_of_second(text, SPAN_ALGO_RING, -1);
}

/* What the plugin's profiler writes: a tag before each row. */
Test(nccl_log, rows_of_the_profiler_are_read_each_by_its_tag)
{
	const char *text = "# span: ranks 16 nodes 2 all_reduce_perf ALGO=Ring PROTO=LL\n"
			   "        1024          256 half none -1 34.27 0.030 0.056 N/A\n"
			   "# span: ranks 4 nodes 4 all_gather_perf ALGO=PAT PROTO=Simple\n"
			   "        2048          256 float none -1 9.50 0.215 0.161 N/A\n";
	span_nccl_log log;

	cr_assert_eq(read_text(text, "x", &nothing, &log), SPAN_OK, "%s", log_captured());
	cr_assert_eq(log.n, 2);
	cr_assert(log.samples[0].coll == SPAN_COLL_ALL_REDUCE && log.samples[0].ranks == 16 &&
	          log.samples[0].nodes == 2 && log.samples[0].algo == SPAN_ALGO_RING &&
	          log.samples[0].proto == SPAN_PROTO_LL);
	cr_assert(log.samples[1].coll == SPAN_COLL_ALL_GATHER && log.samples[1].ranks == 4 &&
	          log.samples[1].nodes == 4 && log.samples[1].algo == SPAN_ALGO_PAT &&
	          log.samples[1].us == 9.5);
	span_nccl_log_free(&log);
}

/* --- harm --------------------------------------------------------------------------------- */

/* Bytes of all kinds, long lines, lists of hosts without end: sanitizers watch. */
Test(nccl_log, noise_does_no_harm)
{
	const char *const pieces[] = { "1024 ", "256 ", "float ", "sum ", "-1 ", "34.27 ", "N/A ",
		                       "\n", "# Rank 5 ", " on h device 0 [0x1] x\n", "nThread ",
		                       "ALGO=", "Bytes -> Algo ", " proto ", "<stdout>:", "_perf ",
		                       "size count type time root\n", "9999999999999999999 ",
		                       "GPUS=", "\x01\xff", "1e999 ", " -g ", "all_reduce" };
	uint64_t state = 7;
	span_nccl_log log;

	for (int round = 0; round < 300; round++) {
		char text[8192];
		size_t n = 0;

		while (n + 64 < sizeof(text)) {
			const char *piece;

			state = state * 6364136223846793005u + 1442695040888963407u;
			piece = pieces[(state >> 33) % (sizeof(pieces) / sizeof(*pieces))];
			memcpy(text + n, piece, strlen(piece));
			n += strlen(piece);
		}
		text[n] = '\0';
		if (!read_text(text, "x", &nothing, &log))
			span_nccl_log_free(&log);
	}
}
