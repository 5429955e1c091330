#include "tests/plugin/profiler_run.h"

#include <stdlib.h>

static void set(const char *name, const char *value)
{
	if (value)
		setenv(name, value, 1);
	else
		unsetenv(name);
}

void *profiler_run_open(const char *folder, const char *events, int *mask)
{
	void *context = NULL;

	set("SPAN_TRACE", folder);
	set("SPAN_TRACE_EVENTS", events);
	ncclProfiler_v5.init(&context, 0xabc, mask, "a \"name\"", 2, 4, 3, NULL);
	return context;
}

static void channel(void *context, void *parent, int number, uint64_t first, uint64_t last)
{
	struct nccl_event_v5 event = { .head = { .type64 = NCCL_EVENT_KERNEL_CHANNEL,
		                                 .parent = parent } };
	struct nccl_state_args end = { .clock = last };
	void *handle = NULL;

	event.kernel.channel = (uint8_t)number;
	event.kernel.clock = first;
	ncclProfiler_v5.start(context, &handle, &event);
	ncclProfiler_v5.record(handle, NCCL_STATE_KERNEL_CHANNEL_STOP, &end);
	ncclProfiler_v5.stop(handle);
}

void *profiler_run_all_reduce(void *context, size_t count, int channels, uint64_t first,
                              uint64_t last)
{
	struct nccl_event_v5 event = { .head = { .type64 = NCCL_EVENT_COLL, .rank = 3 } };
	struct nccl_coll_v4 *coll = &event.coll.coll;
	void *handle = NULL;

	coll->func = "AllReduce";
	coll->datatype = "ncclFloat32";
	coll->algo = "RING";
	coll->proto = "LL128";
	coll->count = count;
	coll->channels = (uint8_t)channels;
	ncclProfiler_v5.start(context, &handle, &event);
	ncclProfiler_v5.stop(handle);
	for (int i = 0; i < channels; i++) /* the first begins first, the last ends last */
		channel(context, handle, i, first + (uint64_t)i, last - (uint64_t)(channels - 1 - i));
	return handle;
}
