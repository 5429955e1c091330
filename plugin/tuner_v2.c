/* Tuner v2 (NCCL 2.21): no cost table; what is set is run, whether it is to be had or not. */
#include "plugin/tuner.h"

static int init(size_t ranks, size_t nodes, nccl_logger *logger, void **context)
{
	struct span_tuner_start start = {
		.ranks = ranks,
		.nodes = nodes,
		.logger = logger,
		.flat = 1,
	};

	*context = span_tuner_start(&start);
	return NCCL_SUCCESS;
}

static int get_coll_info(void *context, nccl_func coll, size_t bytes, int collnet, int nvls,
                         int pipe_ops, int *algo, int *proto, int *channels)
{
	if (context)
		span_table_choose_flat(context, coll, bytes, pipe_ops, collnet, nvls, algo, proto,
		                       channels);
	return NCCL_SUCCESS;
}

static int destroy(void *context)
{
	span_tuner_end(context);
	return NCCL_SUCCESS;
}

const struct nccl_tuner_v2 ncclTunerPlugin_v2 = {
	.name = SPAN_TUNER_NAME,
	.init = init,
	.get_coll_info = get_coll_info,
	.destroy = destroy,
};
