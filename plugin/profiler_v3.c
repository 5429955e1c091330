/* Profiler v3 (NCCL 2.26): texts; channels, without the GPU's clock. */
#include "plugin/profiler.h"

/* The communicator is not named here: its events do that. */
static int init(void **context, int *mask)
{
	struct span_profiler_start start = { .version = 3, .rank = -1 };

	*context = span_profiler_open(&start, mask);
	return NCCL_SUCCESS;
}

static void *start_coll(span_profiler *profiler, int rank, const struct nccl_coll_v3 *coll)
{
	struct span_record what = { .channels = coll->channels, .warps = coll->warps,
	                            .peer = coll->root, .sequence = coll->sequence,
	                            .count = coll->count };

	span_profiler_learn(profiler, coll->comm_name, coll->comm_hash, rank);
	span_profiler_text(what.func, coll->func);
	span_profiler_text(what.datatype, coll->datatype);
	span_profiler_text(what.algo, coll->algo);
	span_profiler_text(what.proto, coll->proto);
	return span_profiler_begin(profiler, &what);
}

static void *start_p2p(span_profiler *profiler, int rank, const struct nccl_p2p_v2 *p2p)
{
	struct span_record what = { .p2p = true, .peer = p2p->peer, .count = p2p->count };

	span_profiler_learn(profiler, p2p->comm_name, p2p->comm_hash, rank);
	span_profiler_text(what.func, p2p->func);
	span_profiler_text(what.datatype, p2p->datatype);
	return span_profiler_begin(profiler, &what);
}

static int start(void *context, void **handle, void *descriptor)
{
	const struct nccl_event_v3 *event = descriptor;

	*handle = NULL;
	if (event->head.type8 == NCCL_EVENT_COLL)
		*handle = start_coll(context, event->head.rank, &event->coll);
	else if (event->head.type8 == NCCL_EVENT_P2P)
		*handle = start_p2p(context, event->head.rank, &event->p2p);
	else if (event->head.type8 == NCCL_EVENT_KERNEL_CHANNEL)
		*handle = span_profiler_channel(event->head.parent, 0);
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
	(void)handle, (void)state, (void)args; /* no state of these has a time */
	return NCCL_SUCCESS;
}

static int finalize(void *context)
{
	span_profiler_close(context);
	return NCCL_SUCCESS;
}

const struct nccl_profiler_v1 ncclProfiler_v3 = {
	.name = SPAN_PROFILER_NAME,
	.init = init,
	.start = start,
	.stop = stop,
	.record = record,
	.finalize = finalize,
};
