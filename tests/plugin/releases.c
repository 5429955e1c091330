#include "tests/plugin/releases.h"

#include <string.h>

#include "tests/plugin/cost_tables.h"
#include "topo/nccl/nccl_model.h"

void release_constants(int zeros, struct nccl_tuner_constants *constants)
{
	memset(constants, 0, sizeof(*constants));
	if (!zeros)
		memcpy(constants, &span_nccl_defaults, sizeof(*constants));
}

int release_init(int version, size_t ranks, size_t nodes, nccl_logger *logger, void **context)
{
	struct nccl_nvl_domains domains = { (int)nodes, (int)(ranks / nodes), (int)(ranks / nodes) };
	struct nccl_tuner_constants constants;

	release_constants(version == 6, &constants);
	*context = NULL;
	switch (version) {
	case 1:
		return ncclTunerPlugin_v1.init(ranks, nodes, logger);
	case 2:
		return ncclTunerPlugin_v2.init(ranks, nodes, logger, context);
	case 3:
		return ncclTunerPlugin_v3.init(ranks, nodes, logger, context);
	case 4:
		return ncclTunerPlugin_v4.init(ranks, nodes, logger, context);
	case 5:
		return ncclTunerPlugin_v5.init(context, 0x1234, ranks, nodes, logger, &domains,
		                               &constants);
	}
	return ncclTunerPlugin_v6.init(context, 0x1234, ranks, nodes, logger, &domains, &constants);
}

static struct outcome ask_flat(int version, void *context, const struct call *call)
{
	struct outcome outcome = { 0 };
	int algo = -1, proto = -1;

	if (version == 1)
		outcome.status = ncclTunerPlugin_v1.get_coll_info(call->coll, call->bytes,
		                                                  call->collnet, call->nvls,
		                                                  call->pipe_ops, &algo, &proto,
		                                                  &outcome.channels);
	else
		outcome.status = ncclTunerPlugin_v2.get_coll_info(context, call->coll, call->bytes,
		                                                  call->collnet, call->nvls,
		                                                  call->pipe_ops, &algo, &proto,
		                                                  &outcome.channels);
	outcome.cell = algo < 0 || proto < 0 ? -1 : algo * 3 + proto;
	return outcome;
}

struct outcome release_ask(int version, void *context, const struct call *call)
{
	struct outcome outcome = { 0 };
	float **costs = (float **)outcome.costs; /* as NCCL passes it */

	if (version < 3)
		return ask_flat(version, context, call);
	memcpy(outcome.costs, call->costs, (size_t)call->algos * 3 * sizeof(float));
	switch (version) {
	case 3:
		outcome.status = ncclTunerPlugin_v3.get_coll_info(context, call->coll, call->bytes,
		                                                  call->pipe_ops, costs, call->algos,
		                                                  3, &outcome.channels);
		break;
	case 4:
		outcome.status = ncclTunerPlugin_v4.get_coll_info(context, call->coll, call->bytes,
		                                                  call->pipe_ops, costs, call->algos,
		                                                  3, call->registered,
		                                                  &outcome.channels);
		break;
	case 5:
		outcome.status = ncclTunerPlugin_v5.get_coll_info(context, call->coll, call->bytes,
		                                                  call->pipe_ops, costs, call->algos,
		                                                  3, call->registered,
		                                                  &outcome.channels);
		break;
	default:
		outcome.status = ncclTunerPlugin_v6.get_coll_info(context, call->coll, call->bytes,
		                                                  call->pipe_ops, costs, call->algos,
		                                                  3, call->registered,
		                                                  &outcome.channels);
	}
	outcome.cell = nccl_takes(outcome.costs, call->algos * 3);
	return outcome;
}

int release_end(int version, void *context)
{
	switch (version) {
	case 1:
		return ncclTunerPlugin_v1.destroy();
	case 2:
		return ncclTunerPlugin_v2.destroy(context);
	case 3:
		return ncclTunerPlugin_v3.destroy(context);
	case 4:
		return ncclTunerPlugin_v4.destroy(context);
	case 5:
		return ncclTunerPlugin_v5.finalize(context);
	}
	return ncclTunerPlugin_v6.finalize(context);
}
