/* Recording: handles, and what becomes of a record between its launch and its end. */
#include "plugin/profiler.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "plugin/cause.h"
#include "plugin/options.h"

/* state: how often the record was used, times STATES, and one of these. */
enum { FREE,
       FILLING,
       LIVE,
       STATES };

/* A handle is the address of a record (64-byte aligned), and in its low bits what it stands for
 * and how often the record was used, modulo 16: a handle from before does no harm. */
enum handle_kind { EVENT,
	           CHANNEL,
	           PROXY,
	           KINDS };

#define HANDLE_BITS 63u

static pthread_mutex_t spare_lock = PTHREAD_MUTEX_INITIALIZER;
static span_profiler *spares; /* kept mapped: NCCL's threads may call once more after the end */

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* --- handles ------------------------------------------------------------------------------ */

static void *make_handle(struct span_record *record, uint32_t use, enum handle_kind kind)
{
	return (void *)((uintptr_t)record | (use & 15u) << 2 | kind);
}

/* The record of a handle; NULL if that is NULL, or has become somebody else's. */
static struct span_record *open_handle(void *handle, enum handle_kind *kind)
{
	uintptr_t bits = (uintptr_t)handle;
	struct span_record *record = (struct span_record *)(bits & ~(uintptr_t)HANDLE_BITS);
	uint32_t state;

	if (!record)
		return NULL;
	*kind = (enum handle_kind)(bits & 3u);
	state = atomic_load_explicit(&record->state, memory_order_acquire);
	return (state / STATES & 15u) == (bits >> 2 & 15u) && state % STATES == LIVE ? record : NULL;
}

void *span_profiler_group(void)
{
	static struct span_record nothing; /* free for ever: nobody writes to it */

	return &nothing;
}

/* --- the life of a record ----------------------------------------------------------------- */

/* The next record in turn, unless it is being filled or waits to be launched: then it is the
 * caller's. */
static struct span_record *claim(span_profiler *profiler, uint32_t *use)
{
	uint64_t turn = atomic_fetch_add_explicit(&profiler->next, 1, memory_order_relaxed);
	struct span_record *record = &profiler->records[turn % profiler->capacity];
	uint32_t state = atomic_load_explicit(&record->state, memory_order_acquire);
	bool idle = state % STATES == FREE ||
	            (state % STATES == LIVE && atomic_load(&record->launched));

	*use = state / STATES + 1;
	if (!idle || !atomic_compare_exchange_strong(&record->state, &state,
	                                             *use * STATES + FILLING)) {
		atomic_fetch_add(&profiler->dropped, 1);
		return NULL;
	}
	if (state % STATES == LIVE)
		atomic_fetch_add(&profiler->overwritten, 1);
	return record;
}

void *span_profiler_begin(span_profiler *profiler, const struct span_record *what)
{
	struct span_record *record;
	uint32_t use;

	if (!profiler || !(record = claim(profiler, &use)))
		return NULL;
	record->p2p = what->p2p;
	record->counted = profiler->version > 3;
	record->channels = what->channels;
	record->warps = what->warps;
	record->peer = what->peer;
	record->sequence = what->sequence;
	record->count = what->count;
	memcpy(record->func, what->func, sizeof(record->func));
	memcpy(record->datatype, what->datatype, sizeof(record->datatype));
	memcpy(record->algo, what->algo, sizeof(record->algo));
	memcpy(record->proto, what->proto, sizeof(record->proto));
	record->start = now();
	atomic_store_explicit(&record->begun, 0, memory_order_relaxed);
	atomic_store_explicit(&record->ended, 0, memory_order_relaxed);
	atomic_store_explicit(&record->first, UINT64_MAX, memory_order_relaxed);
	atomic_store_explicit(&record->last, 0, memory_order_relaxed);
	atomic_store_explicit(&record->clock, SPAN_CLOCK_LAUNCH, memory_order_relaxed);
	atomic_store_explicit(&record->launched, 0, memory_order_relaxed);
	atomic_store_explicit(&record->state, use * STATES + LIVE, memory_order_release);
	return make_handle(record, use, EVENT);
}

static void lower(_Atomic uint64_t *value, uint64_t to)
{
	uint64_t was = atomic_load_explicit(value, memory_order_relaxed);

	while (to < was && !atomic_compare_exchange_weak_explicit(value, &was, to,
	                                                          memory_order_relaxed,
	                                                          memory_order_relaxed))
		;
}

static void raise_to(_Atomic uint64_t *value, uint64_t to)
{
	uint64_t was = atomic_load_explicit(value, memory_order_relaxed);

	while (to > was && !atomic_compare_exchange_weak_explicit(value, &was, to,
	                                                          memory_order_relaxed,
	                                                          memory_order_relaxed))
		;
}

static void begin_child(struct span_record *record, enum span_clock clock, uint64_t time)
{
	atomic_store(&record->clock, clock);
	lower(&record->first, time);
	atomic_fetch_add(&record->begun, 1);
}

static void end_child(struct span_record *record, uint64_t time)
{
	raise_to(&record->last, time);
	atomic_fetch_add_explicit(&record->ended, 1, memory_order_release);
}

void *span_profiler_channel(void *parent, uint64_t gpu_clock)
{
	enum handle_kind kind;
	struct span_record *record = open_handle(parent, &kind);

	if (!record || kind != EVENT)
		return NULL;
	begin_child(record, gpu_clock ? SPAN_CLOCK_GPU : SPAN_CLOCK_HOST,
	            gpu_clock ? gpu_clock : now());
	return (void *)((uintptr_t)parent | CHANNEL);
}

void *span_profiler_proxy(void *parent, pid_t process)
{
	enum handle_kind kind;
	struct span_record *record = process == getpid() ? open_handle(parent, &kind) : NULL;

	if (!record || kind != EVENT)
		return NULL;
	begin_child(record, SPAN_CLOCK_HOST, now());
	return (void *)((uintptr_t)parent | PROXY);
}

/* With the GPU's clock a channel's end is told by its state; the stop that follows is late. */
void span_profiler_record(void *handle, int state, const struct nccl_state_args *args)
{
	enum handle_kind kind;
	struct span_record *record = open_handle(handle, &kind);

	if (record && kind == CHANNEL && state == NCCL_STATE_KERNEL_CHANNEL_STOP && args &&
	    args->clock && atomic_load(&record->clock) == SPAN_CLOCK_GPU)
		raise_to(&record->last, args->clock);
}

void span_profiler_stop(void *handle)
{
	enum handle_kind kind;
	struct span_record *record = open_handle(handle, &kind);

	if (!record)
		return;
	if (kind == EVENT)
		atomic_store_explicit(&record->launched, now(), memory_order_release);
	else
		end_child(record, atomic_load(&record->clock) == SPAN_CLOCK_GPU ? 0 : now());
}

bool span_record_used(const struct span_record *record)
{
	return atomic_load(&record->state) % STATES == LIVE && atomic_load(&record->launched);
}

uint64_t span_record_time(const struct span_record *record)
{
	int32_t ended = atomic_load_explicit(&record->ended, memory_order_acquire);
	uint64_t first = atomic_load(&record->first), last = atomic_load(&record->last);

	if (!span_record_used(record) || !ended || ended < atomic_load(&record->begun) ||
	    (record->counted && ended < record->channels) || last <= first)
		return 0;
	return last - first;
}

void span_profiler_learn(span_profiler *profiler, const char *name, uint64_t id, int rank)
{
	int known = 0;

	if (!profiler || !atomic_compare_exchange_strong(&profiler->known, &known, 1))
		return;
	profiler->id = id;
	profiler->rank = rank;
	snprintf(profiler->name, sizeof(profiler->name), "%s", name ? name : "");
}

void span_profiler_text(char to[SPAN_PROFILER_TEXT], const char *text)
{
	size_t bytes = text ? strnlen(text, SPAN_PROFILER_TEXT - 1) : 0;

	memcpy(to, text ? text : "", bytes);
	memset(to + bytes, 0, SPAN_PROFILER_TEXT - bytes);
}

/* --- communicators ------------------------------------------------------------------------ */

__attribute__((format(printf, 3, 4))) static void say(nccl_logger *logger, int level,
                                                      const char *format, ...)
{
	char text[1024];
	va_list arguments;

	if (!logger)
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	logger(level, NCCL_LOG_INIT, __FILE__, __LINE__, SPAN_PROFILER_NAME ": %s", text);
}

/* One that ended, if it has as many records; its records keep counting their uses. */
static span_profiler *take_spare(uint32_t capacity)
{
	span_profiler **link = &spares, *found;

	pthread_mutex_lock(&spare_lock);
	while (*link && (*link)->capacity != capacity)
		link = &(*link)->spare;
	found = *link;
	if (found)
		*link = found->spare;
	pthread_mutex_unlock(&spare_lock);
	return found;
}

static void put_spare(span_profiler *profiler)
{
	pthread_mutex_lock(&spare_lock);
	profiler->spare = spares;
	spares = profiler;
	pthread_mutex_unlock(&spare_lock);
}

static void free_profiler(span_profiler *profiler)
{
	if (profiler)
		free(profiler->records);
	free(profiler);
}

/* The library goes: nobody can call it any more. */
__attribute__((destructor)) static void free_spares(void)
{
	while (spares) {
		span_profiler *profiler = spares;

		spares = profiler->spare;
		free_profiler(profiler);
	}
}

static span_profiler *create(uint32_t capacity)
{
	span_profiler *profiler = take_spare(capacity);
	size_t bytes = capacity * sizeof(struct span_record);

	if (profiler)
		return profiler;
	profiler = calloc(1, sizeof(*profiler));
	if (profiler)
		profiler->records = aligned_alloc(64, bytes);
	if (!profiler || !profiler->records) {
		free_profiler(profiler);
		return NULL;
	}
	memset(profiler->records, 0, bytes);
	profiler->capacity = capacity;
	return profiler;
}

/* Records of the communicator before are forgotten; their uses go on. */
static void forget(span_profiler *profiler)
{
	for (uint32_t i = 0; i < profiler->capacity; i++) {
		uint32_t state = atomic_load(&profiler->records[i].state);

		atomic_store(&profiler->records[i].state, state / STATES * STATES + FREE);
	}
	atomic_store(&profiler->next, 0);
	atomic_store(&profiler->dropped, 0);
	atomic_store(&profiler->overwritten, 0);
}

static void describe(span_profiler *profiler, const struct span_profiler_start *start,
                     const char *folder)
{
	profiler->version = start->version;
	atomic_store(&profiler->known, start->version > 3);
	profiler->ranks = start->ranks;
	profiler->nodes = start->nodes;
	profiler->rank = start->rank;
	profiler->id = start->id;
	profiler->logger = start->logger;
	snprintf(profiler->name, sizeof(profiler->name), "%s", start->name ? start->name : "");
	snprintf(profiler->folder, sizeof(profiler->folder), "%s", folder);
}

static int wanted_events(int version)
{
	return NCCL_EVENT_COLL | NCCL_EVENT_P2P |
	       (version < 3 ? NCCL_EVENT_PROXY_OP : NCCL_EVENT_KERNEL_CHANNEL);
}

span_profiler *span_profiler_open(const struct span_profiler_start *start, int *mask)
{
	struct span_options options;
	struct span_cause cause;
	span_profiler *profiler;
	span_status status;

	*mask = 0;
	span_cause_begin(&cause);
	status = span_options_read(NULL, &options);
	span_cause_end();
	if (status) {
		say(start->logger, NCCL_LOG_WARN, "%s; nothing is recorded", cause.text);
		return NULL;
	}
	if (!options.enable || !options.trace[0])
		return NULL;
	profiler = create(options.trace_events);
	if (!profiler) {
		say(start->logger, NCCL_LOG_WARN, "no memory for %u events; nothing is recorded",
		    options.trace_events);
		return NULL;
	}
	forget(profiler);
	describe(profiler, start, options.trace);
	*mask = wanted_events(start->version);
	say(start->logger, NCCL_LOG_INFO,
	    "the latest %u collectives, sends and receives of rank %d will be written to %s",
	    profiler->capacity, profiler->rank, profiler->folder);
	return profiler;
}

void span_profiler_close(span_profiler *profiler)
{
	struct span_cause cause;

	if (!profiler)
		return;
	if (!atomic_load(&profiler->known))
		say(profiler->logger, NCCL_LOG_INFO,
		    "nothing was told of a communicator; it leaves no trace");
	else if (span_profiler_write(profiler, &cause))
		say(profiler->logger, NCCL_LOG_WARN,
		    "the trace of rank %d could not be written: %s", profiler->rank, cause.text);
	else
		say(profiler->logger, NCCL_LOG_INFO,
		    "the trace of rank %d is in %s: %llu events begun, %llu dropped, %llu "
		    "overwritten", profiler->rank, profiler->folder,
		    (unsigned long long)profiler->next, (unsigned long long)profiler->dropped,
		    (unsigned long long)profiler->overwritten);
	put_spare(profiler);
}
