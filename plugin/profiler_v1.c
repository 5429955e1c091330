/* Profiler v1 (NCCL 2.23): numbers instead of texts; the network's operations stand in for the
 * channels. */
#include "plugin/profiler.h"
#include "topo/span_profile.h"

/* ncclDataType_t, as its names are printed from 2.24 on. */
static const char *const datatype_names[] = { "ncclInt8", "ncclUint8", "ncclInt32",
	                                      "ncclUint32", "ncclInt64", "ncclUint64",
	                                      "ncclFloat16", "ncclFloat32", "ncclFloat64",
	                                      "ncclBfloat16" };

enum { DATATYPES = sizeof(datatype_names) / sizeof(datatype_names[0]) };

/* The communicator is not named here: its events do that. */
static int init(void **context, int *mask)
{
	struct span_profiler_start start = { .version = 1, .rank = -1 };

	*context = span_profiler_open(&start, mask);
	return NCCL_SUCCESS;
}

static const char *func_name(uint8_t func)
{
	static const char *const others[] = { "SendRecv", "Send", "Recv" };
	const char *name = span_coll_name(func);

	if (!name && func >= SPAN_COLLS && func < SPAN_COLLS + 3)
		name = others[func - SPAN_COLLS];
	return name;
}

static const char *datatype_name(uint8_t datatype)
{
	return datatype < DATATYPES ? datatype_names[datatype] : NULL;
}

static void *start_coll(span_profiler *profiler, int rank, const struct nccl_coll_v1 *coll)
{
	struct span_record what = { .channels = coll->channels, .warps = coll->warps,
	                            .peer = coll->root, .sequence = coll->sequence,
	                            .count = coll->count };

	span_profiler_learn(profiler, coll->comm_name, coll->comm_hash, rank);
	span_profiler_text(what.func, func_name(coll->func));
	span_profiler_text(what.datatype, datatype_name(coll->datatype));
	span_profiler_text(what.algo, span_algo_name(coll->algo));
	span_profiler_text(what.proto, span_proto_name(coll->proto));
	return span_profiler_begin(profiler, &what);
}

static void *start_p2p(span_profiler *profiler, int rank, const struct nccl_p2p_v1 *p2p)
{
	struct span_record what = { .p2p = true, .peer = p2p->peer, .count = p2p->count };

	span_profiler_learn(profiler, p2p->comm_name, p2p->comm_hash, rank);
	span_profiler_text(what.func, func_name(p2p->func));
	span_profiler_text(what.datatype, datatype_name(p2p->datatype));
	return span_profiler_begin(profiler, &what);
}

static int start(void *context, void **handle, void *descriptor)
{
	const struct nccl_event_v1 *event = descriptor;

	*handle = NULL;
	if (event->head.type8 == NCCL_EVENT_COLL)
		*handle = start_coll(context, event->head.rank, &event->coll);
	else if (event->head.type8 == NCCL_EVENT_P2P)
		*handle = start_p2p(context, event->head.rank, &event->p2p);
	else if (event->head.type8 == NCCL_EVENT_PROXY_OP)
		*handle = span_profiler_proxy(event->head.parent, event->proxy.pid);
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

const struct nccl_profiler_v1 ncclProfiler_v1 = {
	.name = SPAN_PROFILER_NAME,
	.init = init,
	.start = start,
	.stop = stop,
	.record = record,
	.finalize = finalize,
};
