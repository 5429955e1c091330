/* The JSON of nccl-tests (-J FILE):
 *
 *     {"version": 1, "args": ["./all_reduce_perf", ...], "env": ["NCCL_ALGO=Ring", ...],
 *      "config": {"nthreads": 1, "ngpus": 1, ...,
 *                 "devices": [{"rank": 0, "group": 0, "hostname": "a", "device_info": "..."}]},
 *      "results": [{"size": 8, "out_of_place": {"time": 9.1, ...}, "in_place": {...}}, ...]}
 *
 * A device is listed for each process, not for each GPU: a process with several shows its first.
 * Processes of different groups do not talk (NCCL_TESTS_SPLIT); the results are those of the
 * first process's group. With -C the key is "cpu_time": what launching took, which says nothing
 * of the collective. A time that is no number is "nan"; a run that broke off leaves null. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"
#include "topo/nccl/nccl_log.h"

struct json_log {
	const char *name;
	const span_nccl_log_options *options;
	json_t *root;
	span_nccl_log *log;
};

/* What holds for all results. */
struct run {
	int32_t coll, algo, proto, ranks, nodes;
	int grouped; /* operations that share a time */
};

/* --- what was run, and where -------------------------------------------------------------- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int collective_of(const struct json_log *reader)
{
	json_t *args = json_object_get(reader->root, "args");
	const char *program = json_string_value(json_array_get(args, 0));
	int coll = -2;

	if (reader->options->coll >= 0)
		return reader->options->coll;
	if (program)
		coll = log_collective_in(base_name(program));
	return coll == -2 ? log_collective_in(base_name(reader->name)) : coll;
}

/* The one algorithm or protocol that an environment variable forces. */
static int32_t forced(const struct json_log *reader, const char *variable,
                      int (*number)(const char *))
{
	json_t *env = json_object_get(reader->root, "env");
	size_t bytes = strlen(variable);

	for (size_t i = 0; i < json_array_size(env); i++) {
		const char *text = json_string_value(json_array_get(env, i));

		if (text && !strncmp(text, variable, bytes) && text[bytes] == '=')
			return log_single(text + bytes + 1, number);
	}
	return -1;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int32_t count_hosts(const char **hosts, size_t n)
{
	int32_t different = 0;

	if (n)
		qsort(hosts, n, sizeof(*hosts), by_text);
	for (size_t i = 0; i < n; i++)
		different += !i || strcmp(hosts[i], hosts[i - 1]);
	return different;
}

/* From 1 to the most ranks there can be; 1 for what is not said. */
static json_int_t count_of(json_t *config, const char *key)
{
	json_t *value = json_object_get(config, key);
	json_int_t count = value ? json_integer_value(value) : 1;

	return count < 1 || count > SPAN_PROFILE_MAX_RANKS ? 1 : count;
}

static span_status read_devices(const struct json_log *reader, struct run *run)
{
	json_t *config = json_object_get(reader->root, "config");
	json_t *devices = json_object_get(config, "devices");
	json_int_t group = json_integer_value(json_object_get(json_array_get(devices, 0), "group"));
	json_int_t gpus = count_of(config, "nthreads") * count_of(config, "ngpus");
	const char **hosts = calloc(json_array_size(devices) + 1, sizeof(*hosts));
	size_t n = 0;

	if (!hosts)
		return span_fail(SPAN_ENOMEM, "span_nccl_log_read_json: no memory");
	for (size_t i = 0; i < json_array_size(devices); i++) {
		json_t *device = json_array_get(devices, i);
		const char *host = json_string_value(json_object_get(device, "hostname"));

		if (host && json_integer_value(json_object_get(device, "group")) == group)
			hosts[n++] = host;
	}
	if ((json_int_t)n * gpus <= SPAN_PROFILE_MAX_RANKS) {
		run->ranks = (int32_t)((json_int_t)n * gpus);
		run->nodes = count_hosts(hosts, n);
	}
	free(hosts);
	return SPAN_OK;
}

static void read_gpu(const struct json_log *reader)
{
	json_t *devices = json_object_get(json_object_get(reader->root, "config"), "devices");
	const char *gpu = json_string_value(json_object_get(json_array_get(devices, 0), "device_info"));

	snprintf(reader->log->gpu, sizeof(reader->log->gpu), "%.63s", gpu ? gpu : "");
}

static span_status read_run(const struct json_log *reader, struct run *run)
{
	const span_nccl_log_options *said = reader->options;
	span_status status;

	*run = (struct run){ .coll = collective_of(reader) };
	if (run->coll == -2)
		return span_fail(SPAN_EPARSE,
		                 "%.256s: which collective was measured is said nowhere; name it",
		                 reader->name);
	status = read_devices(reader, run);
	if (status)
		return status;
	run->ranks = said->ranks ? said->ranks : run->ranks;
	run->nodes = said->nodes ? said->nodes : run->nodes;
	run->algo = said->algo >= 0 ? said->algo : forced(reader, "NCCL_ALGO", span_algo_number);
	run->proto = said->proto >= 0 ? said->proto : forced(reader, "NCCL_PROTO", span_proto_number);
	run->grouped = count_of(json_object_get(reader->root, "config"), "aggregated_iterations") > 1;
	read_gpu(reader);
	return SPAN_OK;
}

/* --- results ------------------------------------------------------------------------------ */

/* Microseconds; 0 where there is no time. */
static double time_of(json_t *result, const char *place)
{
	double us = json_number_value(json_object_get(json_object_get(result, place), "time"));

	return isfinite(us) && us > 0 ? us : 0;
}

/* Whether results were checked and found wrong. */
static int wrong_of(json_t *result, const char *place)
{
	return json_number_value(json_object_get(json_object_get(result, place), "nwrong")) > 0;
}

static void add_result(const struct json_log *reader, const struct run *run, size_t index)
{
	json_t *result = json_array_get(json_object_get(reader->root, "results"), index);
	json_int_t bytes = json_integer_value(json_object_get(result, "size"));
	double us = time_of(result, "out_of_place"), in_place = time_of(result, "in_place");
	span_nccl_log *log = reader->log;

	if (bytes < 1)
		return;
	if (us == 0 && in_place == 0) {
		log->without_time++;
		return;
	}
	if (wrong_of(result, "out_of_place") || wrong_of(result, "in_place")) {
		log->wrong++;
		return;
	}
	if (run->grouped) {
		log->grouped++;
		return;
	}
	log->samples[log->n++] = (span_nccl_sample){ .coll = run->coll,
		                                     .algo = run->algo,
		                                     .proto = run->proto,
		                                     .ranks = run->ranks,
		                                     .nodes = run->nodes,
		                                     .line = (int32_t)index + 1,
		                                     .bytes = (uint64_t)bytes,
		                                     .us = us > 0 ? us : in_place,
		                                     .us_in_place = us > 0 ? in_place : 0 };
}

static span_status read_results(const struct json_log *reader)
{
	size_t n = json_array_size(json_object_get(reader->root, "results"));
	struct run run;
	span_status status = read_run(reader, &run);

	if (status)
		return status;
	if (n > SPAN_LOG_MAX_SAMPLES)
		return span_fail(SPAN_EPARSE, "%.256s: more than %d results", reader->name,
		                 SPAN_LOG_MAX_SAMPLES);
	reader->log->samples = calloc(n + 1, sizeof(*reader->log->samples));
	if (!reader->log->samples)
		return span_fail(SPAN_ENOMEM, "span_nccl_log_read_json: no memory for %zu results", n);
	for (size_t i = 0; i < n; i++)
		add_result(reader, &run, i);
	if (reader->log->n)
		return SPAN_OK;
	if (reader->log->wrong || reader->log->grouped)
		return log_is_empty(reader->name, reader->log);
	return span_fail(SPAN_EPARSE, "%.256s: %zu results of nccl-tests, but none with a time",
	                 reader->name, n);
}

span_status span_nccl_log_read_json(const char *text, size_t bytes, const char *name,
                                    const span_nccl_log_options *options, span_nccl_log *log)
{
	struct json_log reader = { .name = name, .options = options, .log = log };
	json_error_t error;
	span_status status = SPAN_EUNSUPPORTED;

	if (!text || !name || !options || !log)
		return span_fail(SPAN_EINVAL, "span_nccl_log_read_json: an argument is NULL");
	memset(log, 0, sizeof(*log));
	reader.root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
	if (!reader.root)
		return span_fail(SPAN_EPARSE, "%.256s:%d:%d: %s", name, error.line, error.column,
		                 error.text);
	if (json_is_array(json_object_get(reader.root, "results")))
		status = read_results(&reader);
	if (status)
		span_nccl_log_free(log);
	json_decref(reader.root);
	return status;
}
