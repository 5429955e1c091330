/* Tuner v6 (NCCL 2.30 and later): v5 and chunk sizes. */
#include "plugin/tuner.h"

static int init(void **context, uint64_t id, size_t ranks, size_t nodes, nccl_logger *logger,
                struct nccl_nvl_domains *domains, struct nccl_tuner_constants *constants)
{
	struct span_tuner_start start = {
		.ranks = ranks,
		.nodes = nodes,
		.logger = logger,
		.domains = domains,
		.constants = constants,
	};

	(void)id;
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

static int get_chunk_size(void *context, nccl_func coll, size_t bytes, int algo, int proto,
                          int channels, size_t *chunk)
{
	/* NVLS has buffers of its own, as large as NCCL's own chunks; NCCL does not look at that. */
	bool bounded = algo == SPAN_ALGO_NVLS || algo == SPAN_ALGO_NVLS_TREE;
	uint64_t wanted = 0;

	(void)channels;
	if (context)
		span_table_chunk(context, coll, bytes, algo, proto, &wanted);
	if (wanted && (!bounded || wanted < *chunk))
		*chunk = wanted;
	return NCCL_SUCCESS;
}

static int finalize(void *context)
{
	span_tuner_end(context);
	return NCCL_SUCCESS;
}

const struct nccl_tuner_v6 ncclTunerPlugin_v6 = {
	.name = SPAN_TUNER_NAME,
	.init = init,
	.get_coll_info = get_coll_info,
	.finalize = finalize,
	.get_chunk_size = get_chunk_size,
};
