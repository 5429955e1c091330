#include "plugin/profiler.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/plugin/profiler_run.h"
#include "topo/nccl/nccl_log.h"

/* A folder of its own, and the file that the run above leaves in it. */
static char folder[64];

static void make_folder(void)
{
	strcpy(folder, "/tmp/span-profiler-XXXXXX");
	cr_assert(mkdtemp(folder));
}

static const char *file_of(const char *ending)
{
	static char path[160];

	snprintf(path, sizeof(path), "%s/span-0000000000000abc-rank3.%s", folder, ending);
	return path;
}

static void remove_folder(void)
{
	remove(file_of("trace.json"));
	remove(file_of("jsonl"));
	remove(file_of("samples.txt"));
	rmdir(folder);
}

TestSuite(profiler, .init = make_folder, .fini = remove_folder);

static json_t *read_trace(void)
{
	json_error_t error;
	json_t *trace = json_load_file(file_of("trace.json"), 0, &error);

	cr_assert(trace, "%s, line %d", error.text, error.line);
	return trace;
}

Test(profiler, without_a_folder_nothing_is_asked_for)
{
	int mask = 12345;

	cr_assert_null(profiler_run_open(NULL, NULL, &mask));
	cr_assert_eq(mask, 0);
	cr_assert_null(profiler_run_all_reduce(NULL, 1, 1, 1, 2));
	ncclProfiler_v5.finalize(NULL);
}

Test(profiler, a_wrong_option_records_nothing)
{
	int mask = 12345;

	cr_assert_null(profiler_run_open(folder, "many", &mask));
	cr_assert_eq(mask, 0);
}

Test(profiler, a_collective_takes_from_its_first_channel_to_its_last)
{
	int mask;
	void *context = profiler_run_open(folder, NULL, &mask);
	json_t *trace, *args;

	cr_assert_eq(mask, NCCL_EVENT_COLL | NCCL_EVENT_P2P | NCCL_EVENT_KERNEL_CHANNEL);
	profiler_run_all_reduce(context, 1000, 3, 5000000, 5250000);
	ncclProfiler_v5.finalize(context);
	trace = read_trace();
	args = json_object_get(json_array_get(json_object_get(trace, "traceEvents"), 1), "args");
	cr_assert_float_eq(json_number_value(json_object_get(args, "us")), 250, 1e-9);
	cr_assert_eq(json_integer_value(json_object_get(args, "bytes")), 4000);
	cr_assert_str_eq(json_string_value(json_object_get(args, "clock")), "gpu");
	cr_assert_float_eq(json_number_value(json_object_get(args, "busbw_GBps")), 0.024, 5e-4);
	cr_assert_str_eq(json_string_value(json_object_get(json_object_get(trace, "otherData"),
	                                                   "name")), "a \"name\"");
	json_decref(trace);
}

Test(profiler, a_channel_that_has_not_ended_leaves_no_time)
{
	int mask;
	void *context = profiler_run_open(folder, NULL, &mask);
	void *handle = profiler_run_all_reduce(context, 1000, 3, 5000, 6000), *child = NULL;
	struct nccl_event_v5 event = { .head = { .type64 = NCCL_EVENT_KERNEL_CHANNEL,
		                                 .parent = handle } };
	json_t *trace, *args;

	event.kernel.clock = 5500;
	ncclProfiler_v5.start(context, &child, &event);
	ncclProfiler_v5.finalize(context);
	trace = read_trace();
	args = json_object_get(json_array_get(json_object_get(trace, "traceEvents"), 1), "args");
	cr_assert_null(json_object_get(args, "us"));
	cr_assert_str_eq(json_string_value(json_object_get(args, "clock")), "launch");
	json_decref(trace);
}

Test(profiler, the_latest_events_are_kept_and_the_others_counted)
{
	int mask;
	void *context = profiler_run_open(folder, "8", &mask);
	json_t *trace, *events, *other;

	for (size_t i = 1; i <= 20; i++)
		profiler_run_all_reduce(context, i, 1, 1000, 2000);
	ncclProfiler_v5.finalize(context);
	trace = read_trace();
	events = json_object_get(trace, "traceEvents");
	other = json_object_get(trace, "otherData");
	cr_assert_eq(json_array_size(events), 9);
	cr_assert_eq(json_integer_value(json_object_get(
	                     json_object_get(json_array_get(events, 1), "args"), "count")), 13);
	cr_assert_eq(json_integer_value(json_object_get(other, "overwritten")), 12);
	cr_assert_eq(json_integer_value(json_object_get(other, "dropped")), 0);
	json_decref(trace);
}

Test(profiler, an_event_is_dropped_where_the_oldest_was_not_launched)
{
	struct nccl_event_v5 event = { .head = { .type64 = NCCL_EVENT_P2P } };
	int mask;
	void *context = profiler_run_open(folder, "2", &mask), *handle[3];
	json_t *trace;

	event.p2p.p2p.func = "Send";
	event.p2p.p2p.datatype = "ncclInt8";
	for (int i = 0; i < 3; i++)
		ncclProfiler_v5.start(context, &handle[i], &event);
	cr_assert(handle[0] && handle[1] && !handle[2]);
	ncclProfiler_v5.stop(handle[2]);
	ncclProfiler_v5.finalize(context);
	trace = read_trace();
	cr_assert_eq(json_integer_value(json_object_get(json_object_get(trace, "otherData"),
	                                                "dropped")), 1);
	json_decref(trace);
}

Test(profiler, handles_from_before_do_no_harm)
{
	int mask;
	void *context = profiler_run_open(folder, "1", &mask), *again;
	void *old = profiler_run_all_reduce(context, 1, 1, 1000, 2000);
	struct nccl_event_v5 event = { .head = { .type64 = NCCL_EVENT_KERNEL_CHANNEL,
		                                 .parent = old } };
	void *child = NULL;
	json_t *trace;

	profiler_run_all_reduce(context, 2, 1, 3000, 3500);
	event.kernel.clock = 1;
	ncclProfiler_v5.start(context, &child, &event); /* its parent is gone */
	cr_assert_null(child);
	ncclProfiler_v5.stop(old);
	ncclProfiler_v5.finalize(context);
	ncclProfiler_v5.stop(old);
	again = profiler_run_open(folder, "1", &mask);
	cr_assert_eq(again, context, "memory of an ended communicator is used again");
	ncclProfiler_v5.finalize(again);
	trace = read_trace();
	cr_assert_eq(json_array_size(json_object_get(trace, "traceEvents")), 1, "forgotten");
	json_decref(trace);
}

Test(profiler, samples_are_what_the_fit_reads)
{
	span_nccl_log_options none = { -1, -1, -1, 0, 0 };
	int mask;
	void *context = profiler_run_open(folder, NULL, &mask);
	span_nccl_log log;
	FILE *file;

	profiler_run_all_reduce(context, 1 << 20, 2, 1000000, 1500000);
	profiler_run_all_reduce(context, 1 << 10, 2, 2000000, 2010000);
	ncclProfiler_v5.finalize(context);
	file = fopen(file_of("samples.txt"), "r");
	cr_assert(file);
	cr_assert_eq(span_nccl_log_read(file, "samples", &none, &log), SPAN_OK);
	fclose(file);
	cr_assert_eq(log.n, 2);
	cr_assert_eq(log.samples[0].bytes, 4 << 20);
	cr_assert_float_eq(log.samples[0].us, 500, 1e-9);
	cr_assert_eq(log.samples[1].coll, SPAN_COLL_ALL_REDUCE);
	cr_assert_eq(log.samples[1].algo, SPAN_ALGO_RING);
	cr_assert_eq(log.samples[1].proto, SPAN_PROTO_LL128);
	cr_assert_eq(log.samples[1].ranks, 4);
	cr_assert_eq(log.samples[1].nodes, 2);
	span_nccl_log_free(&log);
}

static int holds(const char *ending, const char *words)
{
	FILE *file = fopen(file_of(ending), "r");
	char text[4096];
	size_t n;

	cr_assert(file, "%s", ending);
	n = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[n] = '\0';
	return strstr(text, words) != NULL;
}

Test(profiler, a_comma_for_a_point_in_the_locale_of_the_job_changes_nothing)
{
	const char *const locales[] = { "de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "fr_FR.utf8" };
	void *context;
	int mask, found = 0;

	for (size_t i = 0; i < sizeof(locales) / sizeof(*locales) && !found; i++)
		found = setlocale(LC_ALL, locales[i]) != NULL;
	if (!found)
		cr_skip_test("no locale with a decimal comma is installed");
	context = profiler_run_open(folder, NULL, &mask);
	profiler_run_all_reduce(context, 1 << 20, 2, 1000000, 1500000);
	ncclProfiler_v5.finalize(context);
	cr_assert(holds("samples.txt", " 500.00 "));
	cr_assert(holds("jsonl", "\"us\": 500.000,"));
	cr_assert(holds("trace.json", "\"dur\": 500.000,"));
	cr_assert_str_eq(localeconv()->decimal_point, ",", "the job's locale was changed");
}

/* v1 to v3 name the communicator in every event, and bring no clock. */
Test(profiler, the_versions_before_4_are_named_by_their_events)
{
	struct nccl_event_v1 one = { .head = { .type8 = NCCL_EVENT_COLL, .rank = 3 } };
	struct nccl_event_v3 three = { .head = { .type8 = NCCL_EVENT_COLL, .rank = 3 } };
	const struct nccl_profiler_v1 *const profilers[] = { &ncclProfiler_v1, &ncclProfiler_v3 };
	void *const events[] = { &one, &three };
	static const int kinds[] = { NCCL_EVENT_PROXY_OP, NCCL_EVENT_KERNEL_CHANNEL };

	setenv("SPAN_TRACE", folder, 1);
	one.coll.comm_hash = three.coll.comm_hash = 0xabc;
	one.coll.func = 4;
	one.coll.datatype = 7;
	one.coll.count = three.coll.count = 10;
	three.coll.func = "AllReduce";
	three.coll.datatype = "ncclFloat32";
	for (int i = 0; i < 2; i++) {
		struct nccl_event_v1 child = { .head = { .type8 = (uint8_t)kinds[i] } };
		void *context = NULL, *handle = NULL, *below = NULL;
		json_t *trace, *args;
		int mask = 0;

		profilers[i]->init(&context, &mask);
		cr_assert(mask & kinds[i]);
		profilers[i]->start(context, &handle, events[i]);
		child.head.parent = handle;
		child.proxy.pid = getpid();
		profilers[i]->start(context, &below, &child);
		usleep(100);
		profilers[i]->stop(below);
		profilers[i]->stop(handle);
		profilers[i]->finalize(context);
		trace = read_trace();
		args = json_object_get(json_array_get(json_object_get(trace, "traceEvents"), 1),
		                       "args");
		cr_assert_str_eq(json_string_value(json_object_get(args, "func")), "AllReduce");
		cr_assert_eq(json_integer_value(json_object_get(args, "bytes")), 40);
		cr_assert_str_eq(json_string_value(json_object_get(args, "clock")), "host");
		cr_assert_geq(json_number_value(json_object_get(args, "us")), 100);
		json_decref(trace);
	}
}

/* Up to 2.27 NCCL tells of no task in a group without a handle. */
Test(profiler, a_group_has_a_handle_up_to_v4)
{
	struct nccl_event_v1 old = { .head = { .type8 = NCCL_EVENT_GROUP } };
	struct nccl_event_v5 new = { .head = { .type64 = NCCL_EVENT_GROUP } };
	const struct nccl_profiler_v1 *const profilers[] = { &ncclProfiler_v1, &ncclProfiler_v2,
		                                             &ncclProfiler_v3 };
	int mask;
	void *context = profiler_run_open(folder, NULL, &mask), *handle = NULL;
	json_t *trace;

	for (int i = 0; i < 3; i++, handle = NULL) {
		profilers[i]->start(context, &handle, &old);
		cr_assert(handle);
		profilers[i]->stop(handle);
	}
	ncclProfiler_v4.start(context, &handle, &old);
	cr_assert(handle);
	ncclProfiler_v4.stop(handle);
	ncclProfiler_v5.start(context, &handle, &new);
	cr_assert_null(handle, "from v5 on it is not needed");
	ncclProfiler_v5.finalize(context);
	trace = read_trace();
	cr_assert_eq(json_array_size(json_object_get(trace, "traceEvents")), 1, "and is no event");
	json_decref(trace);
}

/* The NIC beside this rank may send for a rank of another process. */
Test(profiler, what_another_process_began_is_not_looked_at)
{
	struct nccl_event_v1 event = { .head = { .type8 = NCCL_EVENT_PROXY_OP,
		                                 .parent = (void *)(uintptr_t)0x5a5a5a5a0000 } };
	void *handle = &event;

	event.proxy.pid = getpid() + 1;
	ncclProfiler_v1.start(NULL, &handle, &event);
	cr_assert_null(handle);
	handle = &event;
	ncclProfiler_v2.start(NULL, &handle, &event);
	cr_assert_null(handle);
}

/* Some events of v3, each on one of eight channels. */
static void run_v3(int events, const char *func)
{
	struct nccl_event_v3 event = { .head = { .type8 = NCCL_EVENT_COLL, .rank = 3 } };
	struct nccl_event_v3 child = { .head = { .type8 = NCCL_EVENT_KERNEL_CHANNEL } };
	void *context = NULL, *handle = NULL;
	int mask;

	setenv("SPAN_TRACE", folder, 1);
	ncclProfiler_v3.init(&context, &mask);
	event.coll.comm_hash = 0xabc;
	event.coll.func = func;
	event.coll.datatype = "ncclFloat32";
	event.coll.count = 10;
	event.coll.channels = 8;
	for (int i = 0; i < events; i++) {
		ncclProfiler_v3.start(context, &handle, &event);
		ncclProfiler_v3.stop(handle);
		child.head.parent = handle;
		ncclProfiler_v3.start(context, &handle, &child);
		usleep(1);
		ncclProfiler_v3.stop(handle);
	}
	ncclProfiler_v3.finalize(context);
}

/* Up to v3 a collective says how many channels it may have, not how many it has. */
Test(profiler, in_v3_fewer_channels_may_end_than_are_told)
{
	json_t *trace, *args;

	run_v3(1, "AllReduce");
	trace = read_trace();
	args = json_object_get(json_array_get(json_object_get(trace, "traceEvents"), 1), "args");
	cr_assert_str_eq(json_string_value(json_object_get(args, "clock")), "host");
	cr_assert_gt(json_number_value(json_object_get(args, "us")), 0);
	json_decref(trace);
}

Test(profiler, what_takes_the_number_of_ranks_is_left_out_where_nobody_tells_it)
{
	json_t *trace, *args;

	run_v3(1, "AllGather");
	trace = read_trace();
	args = json_object_get(json_array_get(json_object_get(trace, "traceEvents"), 1), "args");
	cr_assert(json_object_get(args, "us"));
	cr_assert_null(json_object_get(args, "bytes"));
	cr_assert_null(json_object_get(args, "algbw_GBps"));
	cr_assert_null(json_object_get(args, "busbw_GBps"));
	json_decref(trace);
}

Test(profiler, a_communicator_that_no_event_names_leaves_no_files)
{
	run_v3(0, NULL);
	cr_assert_eq(rmdir(folder), 0, "%s is not empty", folder);
}

static char said[1024];
static int said_at;

__attribute__((format(printf, 5, 6))) static void keep_said(int level, unsigned long subsystems,
                                                            const char *file, int line,
                                                            const char *format, ...)
{
	va_list arguments;

	(void)subsystems, (void)file, (void)line;
	said_at = level;
	va_start(arguments, format);
	vsnprintf(said, sizeof(said), format, arguments);
	va_end(arguments);
}

Test(profiler, what_went_wrong_is_said)
{
	void *context;
	int mask;

	setenv("SPAN_TRACE", "/nowhere/at/all", 1);
	ncclProfiler_v5.init(&context, 0xabc, &mask, NULL, 2, 4, 3, keep_said);
	cr_assert_eq(said_at, NCCL_LOG_INFO);
	ncclProfiler_v5.finalize(context);
	cr_assert_eq(said_at, NCCL_LOG_WARN);
	cr_assert_str_eq(said, "SPAN: the trace of rank 3 could not be written: SPAN_TRACE: "
			       "/nowhere/at/all/span-0000000000000abc-rank3.trace.json: "
			       "No such file or directory");
	setenv("SPAN_TRACE_EVENTS", "many", 1);
	ncclProfiler_v5.init(&context, 0xabc, &mask, NULL, 2, 4, 3, keep_said);
	cr_assert_eq(said_at, NCCL_LOG_WARN);
	cr_assert_str_eq(said, "SPAN: the environment: SPAN_TRACE_EVENTS is \"many\"; expected a "
			       "number from 1 to 16777216; nothing is recorded");
	cr_assert_null(context);
}

Test(profiler, a_folder_that_is_not_there_is_no_harm)
{
	int mask;
	void *context = profiler_run_open("/nowhere/at/all", NULL, &mask);

	profiler_run_all_reduce(context, 1, 1, 1000, 2000);
	cr_assert_eq(ncclProfiler_v5.finalize(context), NCCL_SUCCESS);
}
