/* The JSON of nccl-tests: what it says, what it leaves out, and what is no such JSON. */
#include "topo/nccl/nccl_log.h"

#include <criterion/criterion.h>
#include <string.h>

#include "tests/topo/log_capture.h"

static const span_nccl_log_options nothing = { -1, -1, -1, 0, 0 };

/* Two processes of two threads with two GPUs each, on two hosts. */
#define DEVICES                                                                                    \
	"\"devices\":[{\"rank\":0,\"group\":0,\"pid\":7,\"hostname\":\"a\",\"device\":0,"          \
	"\"device_hex\":\"0000:4f:00\",\"device_info\":\"NVIDIA H100\"},"                          \
	"{\"rank\":4,\"group\":0,\"pid\":7,\"hostname\":\"b\",\"device\":0,"                       \
	"\"device_hex\":\"0000:4f:00\",\"device_info\":\"NVIDIA H200\"}]"
#define CONFIG "\"config\":{\"nthreads\":2,\"ngpus\":2,\"graph\":0," DEVICES "}"
#define ARGS   "\"version\":3,\"args\":[\"/x/reduce_scatter/all_reduce_perf\",\"-b\",\"8\"]"
#define ENV    "\"env\":[\"NCCL_ALGORITHM=no\",\"NCCL_ALGO=Ring\",\"NCCL_PROTO=LL,LL128\"]"
#define ROW(size, out, in)                                                                         \
	"{\"size\":" size ",\"count\":2,\"type\":\"float\",\"redop\":\"sum\",\"root\":\"    -1\","  \
	"\"out_of_place\":" out ",\"in_place\":" in ",\"actual_iterations\":20,"                   \
	"\"experiment_name\":\"\"}"
#define TIME(us) "{\"time\":" us ",\"alg_bw\":1.0,\"bus_bw\":1.5,\"nwrong\":0.000000}"

static span_status read_text(const char *text, const span_nccl_log_options *options,
                             span_nccl_log *log)
{
	log_capture();
	return span_nccl_log_read_json(text, strlen(text), "dir/run.json", options, log);
}

/* The one line that refuses a text has to contain `says`. */
static void refused(const char *text, const char *says)
{
	span_nccl_log log;

	cr_assert_eq(read_text(text, &nothing, &log), SPAN_EPARSE, "%s", text);
	cr_assert_eq(log_captured_count(), 1);
	cr_assert(strstr(log_captured(), says), "%s", log_captured());
	cr_assert_null(log.samples);
}

Test(nccl_log_json, a_run_is_read_as_it_was)
{
	span_nccl_log log;
	const char *text = "{" ARGS "," ENV "," CONFIG ",\"results\":[" ROW("1024", TIME("9.25"),
	                                                                    TIME("8.5")) "," //
		ROW("0", TIME("1"), TIME("1")) "," ROW("2048", TIME("10"), "null") "]}";

	cr_assert_eq(read_text(text, &nothing, &log), SPAN_OK, "%s", log_captured());
	cr_assert_eq(log.n, 2);
	cr_assert_eq(log.samples[0].coll, SPAN_COLL_ALL_REDUCE);
	cr_assert_eq(log.samples[0].algo, SPAN_ALGO_RING);
	cr_assert_eq(log.samples[0].proto, SPAN_PROTO_ANY);
	cr_assert_eq(log.samples[0].ranks, 8);
	cr_assert_eq(log.samples[0].nodes, 2);
	cr_assert_eq(log.samples[0].bytes, 1024);
	cr_assert_eq(log.samples[0].us, 9.25);
	cr_assert_eq(log.samples[0].us_in_place, 8.5);
	cr_assert_eq(log.samples[1].bytes, 2048);
	cr_assert_eq(log.samples[1].us_in_place, 0);
	cr_assert_eq(log.samples[1].line, 3);
	cr_assert_str_eq(log.gpu, "NVIDIA H100");
	span_nccl_log_free(&log);
}

/* tests/data/nccl-json/README.md says where its form comes from. */
Test(nccl_log_json, a_whole_file_is_read)
{
	static char text[1 << 16];
	FILE *file = fopen(SPAN_TEST_DATA "/nccl-json/all_reduce_4x4.json", "r");
	span_nccl_log log;

	cr_assert(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	fclose(file);
	cr_assert_eq(read_text(text, &nothing, &log), SPAN_OK, "%s", log_captured());
	cr_assert_eq(log.n, 4);
	for (size_t i = 0; i < log.n; i++) {
		cr_assert_eq(log.samples[i].coll, SPAN_COLL_ALL_REDUCE);
		cr_assert_eq(log.samples[i].algo, SPAN_ALGO_TREE);
		cr_assert_eq(log.samples[i].proto, SPAN_PROTO_ANY);
		cr_assert_eq(log.samples[i].ranks, 16);
		cr_assert_eq(log.samples[i].nodes, 2);
	}
	cr_assert_eq(log.samples[3].bytes, 1073741824);
	cr_assert_eq(log.samples[3].us, 6120.25);
	cr_assert_eq(log.samples[3].us_in_place, 6117.5);
	span_nccl_log_free(&log);
}

Test(nccl_log_json, options_go_first)
{
	const span_nccl_log_options said = { SPAN_COLL_BROADCAST, SPAN_ALGO_TREE, SPAN_PROTO_LL,
		                             16, 4 };
	span_nccl_log log;

	cr_assert_eq(read_text("{" ARGS "," ENV "," CONFIG ",\"results\":[" //
	                       ROW("8", TIME("9"), TIME("8")) "]}",
	                       &said, &log),
	             SPAN_OK);
	cr_assert_eq(log.samples[0].coll, SPAN_COLL_BROADCAST);
	cr_assert_eq(log.samples[0].algo, SPAN_ALGO_TREE);
	cr_assert_eq(log.samples[0].proto, SPAN_PROTO_LL);
	cr_assert_eq(log.samples[0].ranks, 16);
	cr_assert_eq(log.samples[0].nodes, 4);
	span_nccl_log_free(&log);
}

/* NCCL_TESTS_SPLIT: of three processes, two on one host, the first and the last talk. */
Test(nccl_log_json, another_group_is_another_communicator)
{
	span_nccl_log log;

	cr_assert_eq(
		read_text("{" ARGS ",\"config\":{\"devices\":[{\"group\":1,\"hostname\":\"a\"},"
	                  "{\"group\":0,\"hostname\":\"b\"},{\"group\":1,\"hostname\":\"a\"}]},"
	                  "\"results\":[" ROW("8", TIME("9"), TIME("8")) "]}",
	                  &nothing, &log),
		SPAN_OK);
	cr_assert_eq(log.samples[0].ranks, 2);
	cr_assert_eq(log.samples[0].nodes, 1);
	span_nccl_log_free(&log);
}

Test(nccl_log_json, in_place_alone_is_the_time)
{
	span_nccl_log log;

	cr_assert_eq(read_text("{" ARGS ",\"results\":[" ROW("8", "null", TIME("8")) "]}", &nothing,
	                       &log),
	             SPAN_OK);
	cr_assert_eq(log.samples[0].us, 8);
	cr_assert_eq(log.samples[0].us_in_place, 0);
	cr_assert_eq(log.samples[0].ranks, 0);
	span_nccl_log_free(&log);
}

/* "nan" and the processor's time (-C) are no times; a row that has one counts. */
Test(nccl_log_json, what_is_no_time_is_counted)
{
#define CPU "{\"cpu_time\":3.0,\"alg_bw\":1.0,\"bus_bw\":1.0,\"nwrong\":null}"
	span_nccl_log log;

	cr_assert_eq(read_text("{" ARGS ",\"results\":[" ROW("8", CPU, CPU) "," //
	                       ROW("8", TIME("\"nan\""), "null") "," //
	                       ROW("8", TIME("-1.0"), "null") "," ROW("8", TIME("2"), CPU) "]}",
	                       &nothing, &log),
	             SPAN_OK);
	cr_assert_eq(log.n, 1);
	cr_assert_eq(log.without_time, 3);
	cr_assert_eq(log.samples[0].us_in_place, 0);
	span_nccl_log_free(&log);
	refused("{" ARGS ",\"results\":[" ROW("8", CPU, CPU) "]}", "none with a time");
}

Test(nccl_log_json, wrong_results_and_aggregated_iterations_are_passed_over)
{
#define WRONG "{\"time\":3.0,\"alg_bw\":1.0,\"bus_bw\":1.0,\"nwrong\":7.0}"
	const char *several = "{" ARGS ",\"config\":{\"aggregated_iterations\":16},\"results\":[" //
		ROW("8", TIME("2"), "null") "]}";
	span_nccl_log log;

	cr_assert_eq(read_text("{" ARGS ",\"config\":{\"aggregated_iterations\":1},\"results\":[" //
	                       ROW("8", WRONG, TIME("2")) "," ROW("8", TIME("2"), WRONG) "," //
	                       ROW("16", TIME("2"), TIME("2")) "]}",
	                       &nothing, &log),
	             SPAN_OK);
	cr_assert(log.n == 1 && log.wrong == 2 && log.samples[0].bytes == 16);
	span_nccl_log_free(&log);
	refused("{" ARGS ",\"results\":[" ROW("8", WRONG, "null") "]}", "of 1 results were wrong");
	refused(several, "1 are of aggregated iterations");
}

Test(nccl_log_json, the_collective_is_of_the_program_then_of_the_file)
{
	const char *text = "{\"args\":[\"/all_gather/mine\"],\"results\":[" //
		ROW("8", TIME("2"), "null") "]}";
	span_nccl_log log;

	log_capture();
	cr_assert_eq(span_nccl_log_read_json(text, strlen(text), "x/broadcast.json", &nothing, &log),
	             SPAN_OK);
	cr_assert_eq(log.samples[0].coll, SPAN_COLL_BROADCAST);
	span_nccl_log_free(&log);
	refused(text, "said nowhere; name it");
}

Test(nccl_log_json, what_is_broken_is_refused_by_line_and_column)
{
	refused("{\"results\":[\n{\"size\":8,", "run.json:2:");
	refused("{\"results\":[inf]}", "run.json:1:");
	refused("{\"results\":[],\"results\":[]}", "duplicate");
	refused("{" ARGS ",\"results\":[1,null,[],{\"size\":\"8\"},{\"size\":8}]}",
	        "5 results of nccl-tests, but none with a time");
}

/* Other JSON is for another reader, and not a word is said. */
Test(nccl_log_json, other_json_is_not_judged)
{
	static const char *const others[] = { "{}", "[]", "{\"results\":{}}", "{\"nvbandwidth\":{}}" };
	span_nccl_log log;

	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
		cr_assert_eq(read_text(others[i], &nothing, &log), SPAN_EUNSUPPORTED);
		cr_assert_eq(log_captured_count(), 0);
	}
	cr_assert_eq(span_nccl_log_read_json(NULL, 0, "x", &nothing, &log), SPAN_EINVAL);
}

/* Ranks that cannot be are not said at all. */
Test(nccl_log_json, numbers_that_cannot_be_are_unknown)
{
	span_nccl_log log;

	cr_assert_eq(read_text("{" ARGS ",\"config\":{\"nthreads\":1048576,\"ngpus\":1048576,"
	                       "\"devices\":[{\"hostname\":\"a\"},{\"hostname\":1},3]},\"results\":["
	                       ROW("8", TIME("2"), "null") "]}",
	                       &nothing, &log),
	             SPAN_OK);
	cr_assert_eq(log.samples[0].ranks, 0);
	cr_assert_eq(log.samples[0].nodes, 0);
	span_nccl_log_free(&log);
	cr_assert_eq(read_text("{" ARGS ",\"config\":{\"nthreads\":-4,\"ngpus\":0,"
	                       "\"devices\":[{\"hostname\":\"a\"}]},\"results\":["
	                       ROW("8", TIME("2"), "null") "]}",
	                       &nothing, &log),
	             SPAN_OK);
	cr_assert_eq(log.samples[0].ranks, 1);
	span_nccl_log_free(&log);
}
