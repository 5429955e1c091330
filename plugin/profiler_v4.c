/* Profiler v4 (NCCL 2.27): init names the communicator, channels bring the GPU's clock. */
#include "plugin/profiler.h"

static int init(void **context, int *mask, const char *comm_name, uint64_t comm_hash, int nodes,
                int ranks, int rank, nccl_logger *logger)
{
	struct span_profiler_start start = { .version = 4, .ranks = ranks, .nodes = nodes,
	                                     .rank = rank, .id = comm_hash, .name = comm_name,
	                                     .logger = logger };

	*context = span_profiler_open(&start, mask);
	return NCCL_SUCCESS;
}

static void *start_coll(span_profiler *profiler, const struct nccl_coll_v4 *coll)
{
	struct span_record what = { .channels = coll->channels, .warps = coll->warps,
	                            .peer = coll->root, .sequence = coll->sequence,
	                            .count = coll->count };

	span_profiler_text(what.func, coll->func);
	span_profiler_text(what.datatype, coll->datatype);
	span_profiler_text(what.algo, coll->algo);
	span_profiler_text(what.proto, coll->proto);
	return span_profiler_begin(profiler, &what);
}

static void *start_p2p(span_profiler *profiler, const struct nccl_p2p_v4 *p2p)
{
	struct span_record what = { .p2p = true, .channels = p2p->channels,
	                            .peer = p2p->peer, .count = p2p->count };

	span_profiler_text(what.func, p2p->func);
	span_profiler_text(what.datatype, p2p->datatype);
	return span_profiler_begin(profiler, &what);
}

static int start(void *context, void **handle, void *descriptor)
{
	const struct nccl_event_v4 *event = descriptor;

	*handle = NULL;
	if (event->head.type8 == NCCL_EVENT_COLL)
		*handle = start_coll(context, &event->coll);
	else if (event->head.type8 == NCCL_EVENT_P2P)
		*handle = start_p2p(context, &event->p2p);
	else if (event->head.type8 == NCCL_EVENT_KERNEL_CHANNEL)
		*handle = span_profiler_channel(event->head.parent, event->kernel.clock);
	else if (event->head.type8 == NCCL_EVENT_GROUP)
		*handle = span_profiler_group();
	return NCCL_SUCCESS;
}

static int stop(void *handle)
{
	span_profiler_stop(handle);
	return NCCL_SUCCESS;
}

static int record(void *handle, int state, void *args)
{
	span_profiler_record(handle, state, args);
	return NCCL_SUCCESS;
}

static int finalize(void *context)
{
	span_profiler_close(context);
	return NCCL_SUCCESS;
}

const struct nccl_profiler_v4 ncclProfiler_v4 = {
	.name = SPAN_PROFILER_NAME,
	.init = init,
	.start = start,
	.stop = stop,
	.record = record,
	.finalize = finalize,
};
