/* Tuner v4 (NCCL 2.24 to 2.27): whether buffers are registered, which we do not look at. */
#include "plugin/tuner.h"

static int init(size_t ranks, size_t nodes, nccl_logger *logger, void **context)
{
	struct span_tuner_start start = { .ranks = ranks, .nodes = nodes, .logger = logger };

	*context = span_tuner_start(&start);
	return NCCL_SUCCESS;
}

static int get_coll_info(void *context, nccl_func coll, size_t bytes, int pipe_ops, float **costs,
                         int algos, int protos, int registered, int *channels)
{
	(void)registered; /* ranks may differ in it */
	span_tuner_choose(context, coll, bytes, pipe_ops, costs, algos, protos, channels);
	return NCCL_SUCCESS;
}

static int destroy(void *context)
{
	span_tuner_end(context);
	return NCCL_SUCCESS;
}

const struct nccl_tuner_v4 ncclTunerPlugin_v4 = {
	.name = SPAN_TUNER_NAME,
	.init = init,
	.get_coll_info = get_coll_info,
	.destroy = destroy,
};
