/* Times of NCCL's cost model, and what NCCL makes of them. */
#include "topo/nccl/nccl_model.h"

enum {
	PLATEAU_BYTES = 64,      /* of a rank and channel, from which a ring's steps cost more */
	OPERATIONS_A_BATCH = 10, /* that share one launch, but for rings */
	WARP = 32,
	MAX_THREADS = 640
};

static int log2_floor(uint64_t n)
{
	int log = -1;

	while (n) {
		n >>= 1;
		log++;
	}
	return log;
}

float span_nccl_model_us(const span_nccl_model *model, int coll, int algo, int proto,
                         uint64_t bytes, int operations)
{
	float bandwidth = model->bandwidth[coll][algo][proto];
	float latency = model->latency[coll][algo][proto];
	int log = log2_floor(bytes >> 6);
	int launches = operations;

	if (bandwidth == 0)
		return -1.0f;
	if (coll == SPAN_COLL_ALL_REDUCE && algo == SPAN_ALGO_TREE && log >= 0 &&
	    log < SPAN_TREE_CORRECTIONS)
		bandwidth *= model->correction[proto][log];
	if (coll == SPAN_COLL_ALL_REDUCE && algo == SPAN_ALGO_RING && proto == SPAN_PROTO_SIMPLE &&
	    model->nodes > 1 &&
	    bytes / ((uint64_t)model->channels * (uint64_t)model->ranks) >= PLATEAU_BYTES)
		latency *= model->plateau;
	if (algo != SPAN_ALGO_RING)
		launches = (operations + OPERATIONS_A_BATCH - 1) / OPERATIONS_A_BATCH;
	return latency * launches + bytes / (1000 * bandwidth);
}

void span_nccl_model_table(const span_nccl_model *model, int coll, uint64_t bytes,
                           int operations, float table[SPAN_ALGOS][SPAN_PROTOS])
{
	for (int algo = 0; algo < SPAN_ALGOS; algo++) {
		for (int proto = 0; proto < SPAN_PROTOS; proto++)
			table[algo][proto] = span_nccl_model_us(model, coll, algo, proto, bytes,
			                                        operations);
	}
}

/* --- what NCCL chooses -------------------------------------------------------------------- */

/* Whether channels x threads would have less than their threshold of bytes each. */
static int too_thin(uint64_t bytes, int channels, int threads, int threshold)
{
	return bytes < (uint64_t)channels * (uint64_t)threads * (uint64_t)threshold;
}

/* CollNet gives up channels down to 16, 8, 4, 2 and 1; half of the way down the threshold
 * halves, so that it gets slower. */
static int collnet_channels(const span_nccl_model *model, uint64_t bytes, int threads, int threshold)
{
	int channels = model->channels, stop = 16;
	int heads = model->collnet_heads;
	int thin = 1;

	while (stop >= 1 && thin) {
		for (;;) {
			thin = too_thin(bytes, channels * heads, threads, threshold);
			if (!thin || channels <= stop)
				break;
			if (channels == stop + stop / 2)
				threshold /= 2;
			channels--;
		}
		stop /= 2;
	}
	return channels;
}

static void take_channels(const span_nccl_model *model, uint64_t bytes, span_nccl_choice *choice)
{
	int threads = model->threads[choice->algo][choice->proto];
	int threshold = model->threshold[choice->algo][choice->proto];
	int channels = model->channels;

	switch (choice->algo) {
	case SPAN_ALGO_COLLNET_DIRECT:
		channels = collnet_channels(model, bytes, threads, threshold);
		break;
	case SPAN_ALGO_NVLS:
	case SPAN_ALGO_NVLS_TREE:
		if (model->nodes == 1 || choice->algo == SPAN_ALGO_NVLS_TREE ||
		    model->nvls_channels < channels)
			channels = model->nvls_channels;
		break;
	default:
		while (channels > 1 && too_thin(bytes, channels, threads, threshold))
			channels--;
		while (threads % 128 == 0 && too_thin(bytes, channels, threads, threshold))
			threads /= 2;
	}
	if (choice->algo == SPAN_ALGO_RING && choice->proto == SPAN_PROTO_SIMPLE)
		threads += WARP; /* one more to wait for the others */
	if (threads < 3 * WARP)
		threads = 3 * WARP;
	if (choice->algo == SPAN_ALGO_TREE || choice->algo == SPAN_ALGO_PAT)
		threads = MAX_THREADS;
	choice->channels = channels;
	choice->warps = threads / WARP;
}

span_nccl_choice span_nccl_model_choose(const span_nccl_model *model, uint64_t bytes,
                                        float table[SPAN_ALGOS][SPAN_PROTOS])
{
	span_nccl_choice choice = { .algo = -1, .proto = -1, .us = 3600000000.0f };

	for (int algo = 0; algo < SPAN_ALGOS; algo++) {
		for (int proto = 0; proto < SPAN_PROTOS; proto++) {
			float us = table[algo][proto];

			if (us >= 0 && us < choice.us) {
				choice.algo = algo;
				choice.proto = proto;
				choice.us = us;
			}
		}
	}
	if (choice.algo >= 0)
		take_channels(model, bytes, &choice);
	return choice;
}
