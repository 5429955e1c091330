/* Writing what was recorded: a Chrome trace, JSON lines, samples that `span-tune fit` reads. */
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "plugin/profiler.h"
#include "topo/span_profile.h"

static const char *const clock_names[] = { "launch", "host", "gpu" };

/* NCCL's data types: the name that descriptors use, that of nccl-tests, bytes. */
struct datatype {
	const char *name, *tests;
	int bytes;
};

static const struct datatype datatypes[] = {
	{ "ncclInt8", "int8", 1 },
	{ "ncclUint8", "uint8", 1 },
	{ "ncclInt32", "int32", 4 },
	{ "ncclUint32", "uint32", 4 },
	{ "ncclInt64", "int64", 8 },
	{ "ncclUint64", "uint64", 8 },
	{ "ncclFloat16", "half", 2 },
	{ "ncclFloat32", "float", 4 },
	{ "ncclFloat64", "double", 8 },
	{ "ncclBfloat16", "bfloat16", 2 },
	{ "ncclFloat8e4m3", "f8e4m3", 1 },
	{ "ncclFloat8e5m2", "f8e5m2", 1 },
};

static const struct datatype *datatype_of(const struct span_record *record)
{
	static const struct datatype unknown = { "", "int8", 0 };

	for (size_t i = 0; i < sizeof(datatypes) / sizeof(datatypes[0]); i++)
		if (!strcmp(datatypes[i].name, record->datatype))
			return &datatypes[i];
	return &unknown;
}

/* Bytes of the larger buffer, as nccl-tests counts; false when the data type or the number of
 * ranks that it takes is unknown. */
static bool record_bytes(const span_profiler *profiler, const struct span_record *record,
                         uint64_t *bytes)
{
	uint64_t ranks = profiler->ranks > 0 ? (uint64_t)profiler->ranks : 0, factor = 1;
	int coll = span_coll_number(record->func);

	if (!record->p2p && (coll == SPAN_COLL_ALL_GATHER || coll == SPAN_COLL_REDUCE_SCATTER))
		factor = ranks;
	*bytes = record->count * (uint64_t)datatype_of(record)->bytes * factor;
	return datatype_of(record)->bytes && factor;
}

/* Bus bandwidth over algorithm bandwidth (nccl-tests, PERFORMANCE.md); the ranks are known. */
static double bus_factor(const span_profiler *profiler, const struct span_record *record)
{
	double ranks = profiler->ranks;

	switch (record->p2p ? -1 : span_coll_number(record->func)) {
	case SPAN_COLL_ALL_REDUCE:
		return 2 * (ranks - 1) / ranks;
	case SPAN_COLL_ALL_GATHER:
	case SPAN_COLL_REDUCE_SCATTER:
		return (ranks - 1) / ranks;
	default:
		return 1;
	}
}

/* A text as JSON: NCCL's own are plain, a communicator's name is the user's. */
static void put_text(FILE *file, const char *text)
{
	fputc('"', file);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			fprintf(file, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			fprintf(file, "\\u%04x", c);
		else
			fputc(c, file);
	}
	fputc('"', file);
}

/* The members that trace and lines share. What is not known is left out. */
static void put_members(FILE *file, const span_profiler *profiler,
                        const struct span_record *record)
{
	uint64_t bytes, time = span_record_time(record);
	bool sized = record_bytes(profiler, record, &bytes);
	int clock = time ? atomic_load(&record->clock) : SPAN_CLOCK_LAUNCH;

	fprintf(file, "\"func\": ");
	put_text(file, record->func);
	if (sized)
		fprintf(file, ", \"bytes\": %" PRIu64, bytes);
	fprintf(file, ", \"count\": %" PRIu64 ", \"datatype\": ", record->count);
	put_text(file, record->datatype);
	if (record->p2p) {
		fprintf(file, ", \"peer\": %d", record->peer);
	} else {
		fprintf(file, ", \"sequence\": %" PRIu64 ", \"root\": %d, \"algo\": ",
		        record->sequence, record->peer);
		put_text(file, record->algo);
		fprintf(file, ", \"proto\": ");
		put_text(file, record->proto);
	}
	fprintf(file, ", \"channels\": %d, \"clock\": \"%s\"", record->channels, clock_names[clock]);
	if (time)
		fprintf(file, ", \"us\": %.3f", (double)time * 1e-3);
	if (time && sized)
		fprintf(file, ", \"algbw_GBps\": %.3f", (double)bytes / (double)time);
	if (time && sized && profiler->ranks > 0)
		fprintf(file, ", \"busbw_GBps\": %.3f",
		        (double)bytes / (double)time * bus_factor(profiler, record));
}

/* --- the three files ------------------------------------------------------------------------ */

/* Where an event stands in time: its launch; its length is what the channels took, or the
 * launch itself where nothing more was seen. */
static void put_trace_event(FILE *file, const span_profiler *profiler,
                            const struct span_record *record)
{
	uint64_t time = span_record_time(record);

	if (!time)
		time = atomic_load(&record->launched) - record->start;
	fprintf(file, ",\n{\"ph\": \"X\", \"cat\": \"%s\", \"name\": ",
	        record->p2p ? "p2p" : "coll");
	put_text(file, record->func);
	fprintf(file, ", \"pid\": %d, \"tid\": %" PRIu64 ", \"ts\": %.3f, \"dur\": %.3f, \"args\": {",
	        profiler->rank, profiler->id & 0xffffff, (double)record->start * 1e-3,
	        (double)time * 1e-3);
	put_members(file, profiler, record);
	fprintf(file, "}}");
}

static void put_trace_head(FILE *file, const span_profiler *profiler)
{
	fprintf(file, "{\"displayTimeUnit\": \"ns\", \"otherData\": {\"communicator\": ");
	fprintf(file, "\"%016" PRIx64 "\", \"name\": ", profiler->id);
	put_text(file, profiler->name);
	fprintf(file, ", \"ranks\": %d, \"nodes\": %d, \"rank\": %d", profiler->ranks,
	        profiler->nodes, profiler->rank);
	fprintf(file, ", \"begun\": %" PRIu64, atomic_load(&profiler->next));
	fprintf(file, ", \"dropped\": %" PRIu64, atomic_load(&profiler->dropped));
	fprintf(file, ", \"overwritten\": %" PRIu64, atomic_load(&profiler->overwritten));
	fprintf(file, "},\n\"traceEvents\": [\n");
	fprintf(file, "{\"ph\": \"M\", \"name\": \"process_name\", \"pid\": %d, \"args\": {\"name\": "
	              "\"rank %d\"}}",
	        profiler->rank, profiler->rank);
}

static void put_line(FILE *file, const span_profiler *profiler, const struct span_record *record)
{
	fprintf(file, "{\"communicator\": \"%016" PRIx64 "\", \"ranks\": %d, \"nodes\": %d, "
	              "\"rank\": %d, \"start_us\": %.3f, ",
	        profiler->id, profiler->ranks,
	        profiler->nodes, profiler->rank, (double)record->start * 1e-3);
	put_members(file, profiler, record);
	fprintf(file, "}\n");
}

/* The program of nccl-tests that measures a collective. */
static const char *perf_name(int coll)
{
	static const char *const names[SPAN_COLLS] = { "broadcast_perf", "reduce_perf",
		                                       "all_gather_perf", "reduce_scatter_perf",
		                                       "all_reduce_perf" };

	return names[coll];
}

/* A row of nccl-tests, and before it a line with what no column says. Only what ended, by a
 * clock that saw its end. */
static void put_sample(FILE *file, const span_profiler *profiler, const struct span_record *record)
{
	uint64_t time = span_record_time(record), bytes;
	int coll = record->p2p ? -2 : span_coll_number(record->func);
	double algbw;

	if (!record_bytes(profiler, record, &bytes) || !time || !bytes || coll < 0 ||
	    profiler->ranks < 2)
		return;
	algbw = (double)bytes / (double)time;
	fprintf(file, "# span: ranks %d nodes %d %s ALGO=%s PROTO=%s\n", profiler->ranks,
	        profiler->nodes, perf_name(coll), record->algo, record->proto);
	fprintf(file, "%12" PRIu64 " %12" PRIu64 " %s none -1 %.2f %.3f %.3f N/A\n", bytes,
	        record->count, datatype_of(record)->tests, (double)time * 1e-3, algbw,
	        algbw * bus_factor(profiler, record));
}

typedef void put_record(FILE *file, const span_profiler *profiler,
                        const struct span_record *record);

/* From the oldest record to the latest. */
static void put_all(FILE *file, const span_profiler *profiler, put_record *put)
{
	uint64_t next = atomic_load(&profiler->next), i = 0;

	if (next > profiler->capacity)
		i = next - profiler->capacity;
	for (; i < next; i++) {
		const struct span_record *record = &profiler->records[i % profiler->capacity];

		if (span_record_used(record))
			put(file, profiler, record);
	}
}

/* Not through the log hook, which is the process's: writing takes long, and others would wait. */
static span_status fail(struct span_cause *cause, const char *path, const char *why)
{
	snprintf(cause->text, sizeof(cause->text), "SPAN_TRACE: %.400s: %s", path, why);
	return SPAN_EIO;
}

static FILE *open_file(const span_profiler *profiler, const char *ending, char *path, size_t room,
                       struct span_cause *cause)
{
	FILE *file;

	snprintf(path, room, "%s/span-%016" PRIx64 "-rank%d.%s", profiler->folder, profiler->id,
	         profiler->rank, ending);
	file = fopen(path, "we");
	if (!file)
		fail(cause, path, strerror(errno));
	return file;
}

static span_status close_file(FILE *file, const char *path, struct span_cause *cause)
{
	int failed = ferror(file);

	if (fclose(file) || failed)
		return fail(cause, path, "could not be written whole");
	return SPAN_OK;
}

static span_status write_trace(const span_profiler *profiler, struct span_cause *cause)
{
	char path[4200];
	FILE *file = open_file(profiler, "trace.json", path, sizeof(path), cause);

	if (!file)
		return SPAN_EIO;
	put_trace_head(file, profiler);
	put_all(file, profiler, put_trace_event);
	fprintf(file, "\n]}\n");
	return close_file(file, path, cause);
}

static span_status write_rows(const span_profiler *profiler, const char *ending, put_record *put,
                              struct span_cause *cause)
{
	char path[4200];
	FILE *file = open_file(profiler, ending, path, sizeof(path), cause);

	if (!file)
		return SPAN_EIO;
	put_all(file, profiler, put);
	return close_file(file, path, cause);
}

static span_status write_files(const span_profiler *profiler, struct span_cause *cause)
{
	span_status status = write_trace(profiler, cause);

	if (!status)
		status = write_rows(profiler, "jsonl", put_line, cause);
	return status ? status : write_rows(profiler, "samples.txt", put_sample, cause);
}

/* The job's locale may have a comma for the point, which neither JSON nor the fit takes. */
span_status span_profiler_write(const span_profiler *profiler, struct span_cause *cause)
{
	locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0), before;
	span_status status;

	if (!plain)
		return fail(cause, profiler->folder, "no memory");
	before = uselocale(plain);
	status = write_files(profiler, cause);
	uselocale(before);
	freelocale(plain);
	return status;
}
