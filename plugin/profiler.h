/* What NCCL did, collective by collective: recorded without a lock, written at the end. Private.
 *
 * With SPAN_TRACE naming a folder, every communicator keeps the latest SPAN_TRACE_EVENTS
 * collectives, sends and receives in memory that is taken at init, and writes them when it ends
 * (profiler_write.c). Without it the mask stays 0, and NCCL calls nothing.
 *
 * The memory is a ring: when it is full the oldest event goes, and is counted. An event that finds
 * the oldest not even launched is dropped, and counted apart. */
#ifndef SPAN_PLUGIN_PROFILER_H
#define SPAN_PLUGIN_PROFILER_H

#include <stdatomic.h>
#include <stdbool.h>

#include "plugin/cause.h"
#include "plugin/nccl_profiler_abi.h"
#include "topo/span_status.h"

#define SPAN_PROFILER_NAME "SPAN"
#define SPAN_PROFILER_TEXT 16 /* bytes of a name of NCCL's, with its end; the rest is cut */

/* What a time was read from. */
enum span_clock {
	SPAN_CLOCK_LAUNCH, /* only the launch was seen */
	SPAN_CLOCK_HOST,   /* of this process: channels in v3, proxy operations in v1 and v2 */
	SPAN_CLOCK_GPU     /* first channel's start to last channel's end: v4 and later */
};

/* A collective, send or receive. */
struct span_record {
	_Alignas(64) _Atomic uint32_t state; /* private to profiler.c */
	_Atomic int32_t ended, begun;        /* children: channels, or proxy operations */
	_Atomic uint64_t first, last;        /* of its children, nanoseconds of `clock` */
	_Atomic int clock;
	bool p2p;
	bool counted;                        /* `channels` are how many run */
	uint8_t channels, warps;
	int32_t peer;                        /* p2p, else the root */
	uint64_t sequence, count;            /* elements */
	uint64_t start;                      /* host's clock */
	_Atomic uint64_t launched;           /* 0: not yet */
	char func[SPAN_PROFILER_TEXT], datatype[SPAN_PROFILER_TEXT];
	char algo[SPAN_PROFILER_TEXT], proto[SPAN_PROFILER_TEXT];
};

/* A communicator as its profiler sees it. */
typedef struct span_profiler {
	struct span_record *records; /* [capacity] */
	uint32_t capacity;
	_Atomic uint64_t next;       /* how many were begun */
	_Atomic uint64_t dropped, overwritten;
	struct span_profiler *spare; /* the next that is not in use */
	int version;                 /* of the interface */
	int ranks, nodes, rank;      /* 0, 0 and -1 until they are known */
	uint64_t id;                 /* of the communicator; the tuner's is the same */
	_Atomic int known;           /* id, name and rank have been told */
	char name[64];
	char folder[4096];
	nccl_logger *logger;         /* NULL: none */
} span_profiler;

/* What an adapter knows at init; texts may be NULL. */
struct span_profiler_start {
	int version;
	int ranks, nodes, rank;
	uint64_t id;
	const char *name;
	nccl_logger *logger;
};

/* The context of a communicator, or NULL when nothing is to be recorded or something was not
 * as expected, which was said. *mask is what NCCL shall call us for. */
span_profiler *span_profiler_open(const struct span_profiler_start *start, int *mask);

/* Write what was recorded and give the memory back for the next communicator. One that no event
 * has named, up to v3, leaves no files. */
void span_profiler_close(span_profiler *profiler);

/* A collective, send or receive begins; `what` has the plain members. Returns its handle, NULL
 * when it was dropped. */
void *span_profiler_begin(span_profiler *profiler, const struct span_record *what);

/* A handle for a group: not NULL, and nothing comes of it. */
void *span_profiler_group(void);

/* A child begins: a channel's kernel (with the GPU's clock, or 0), or a proxy operation; NULL when
 * that is of another process, where alone its parent could be read. */
void *span_profiler_channel(void *parent, uint64_t gpu_clock);
void *span_profiler_proxy(void *parent, pid_t process);

/* recordEventState and stopEvent, for handles of any kind and NULL. */
void span_profiler_record(void *handle, int state, const struct nccl_state_args *args);
void span_profiler_stop(void *handle);

/* Up to v3 the communicator is named by its events: the first one tells. */
void span_profiler_learn(span_profiler *profiler, const char *name, uint64_t id, int rank);

/* Copy a text of NCCL's, cut to what a record holds. */
void span_profiler_text(char to[SPAN_PROFILER_TEXT], const char *text);

/* Write the files of a communicator into its folder (profiler_write.c). Returns SPAN_EIO, and why. */
span_status span_profiler_write(const span_profiler *profiler, struct span_cause *cause);

/* Nanoseconds from the start of the first child to the end of the last; 0 when it has not been
 * launched, has no children, or one of them has not ended. */
uint64_t span_record_time(const struct span_record *record);

/* Whether a record holds an event that was launched. */
bool span_record_used(const struct span_record *record);

#endif
