/* Tuner v3 (NCCL 2.22 and 2.23): the first with a cost table. */
#include "plugin/tuner.h"

static int init(size_t ranks, size_t nodes, nccl_logger *logger, void **context)
{
	struct span_tuner_start start = { .ranks = ranks, .nodes = nodes, .logger = logger };

	*context = span_tuner_start(&start);
	return NCCL_SUCCESS;
}

static int get_coll_info(void *context, nccl_func coll, size_t bytes, int pipe_ops, float **costs,
                         int algos, int protos, int *channels)
{
	span_tuner_choose(context, coll, bytes, pipe_ops, costs, algos, protos, channels);
	return NCCL_SUCCESS;
}

static int destroy(void *context)
{
	span_tuner_end(context);
	return NCCL_SUCCESS;
}

const struct nccl_tuner_v3 ncclTunerPlugin_v3 = {
	.name = SPAN_TUNER_NAME,
	.init = init,
	.get_coll_info = get_coll_info,
	.destroy = destroy,
};
