/* Tuner v1 (NCCL 2.19 and 2.20): no cost table and no context. All communicators of the process
 * share what follows; they may be asked while another is made or ends. As soon as two of
 * different size have been seen nothing says which of them asks, and NCCL decides until the
 * last one has ended. */
#include "plugin/tuner.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

static struct {
	pthread_mutex_t lock; /* of all but `table`, at init and destroy */
	_Atomic(const span_table *) table; /* what is asked; NULL: NCCL decides */
	span_table *owned;
	size_t ranks, nodes, communicators;
	bool mixed;
} shared = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int init(size_t ranks, size_t nodes, nccl_logger *logger)
{
	struct span_tuner_start start = {
		.ranks = ranks,
		.nodes = nodes,
		.logger = logger,
		.flat = 1,
	};

	pthread_mutex_lock(&shared.lock);
	if (shared.communicators++ == 0) {
		shared.ranks = ranks;
		shared.nodes = nodes;
		shared.mixed = false;
		shared.owned = span_tuner_start(&start);
		atomic_store(&shared.table, shared.owned);
	} else if (!shared.mixed && (ranks != shared.ranks || nodes != shared.nodes)) {
		shared.mixed = true;
		atomic_store(&shared.table, NULL); /* it lives on: others may be reading */
		if (shared.owned && logger)
			logger(NCCL_LOG_INFO, NCCL_LOG_INIT | NCCL_LOG_TUNING, __FILE__,
			       __LINE__, "SPAN: communicators of different size, which this NCCL "
			       "does not tell apart: NCCL decides everything");
	}
	pthread_mutex_unlock(&shared.lock);
	return NCCL_SUCCESS;
}

static int get_coll_info(nccl_func coll, size_t bytes, int collnet, int nvls, int pipe_ops,
                         int *algo, int *proto, int *channels)
{
	const span_table *table = atomic_load_explicit(&shared.table, memory_order_acquire);

	if (table)
		span_table_choose_flat(table, coll, bytes, pipe_ops, collnet, nvls, algo, proto,
		                       channels);
	return NCCL_SUCCESS;
}

static int destroy(void)
{
	pthread_mutex_lock(&shared.lock);
	if (shared.communicators && --shared.communicators == 0) {
		atomic_store(&shared.table, NULL);
		span_tuner_end(shared.owned);
		shared.owned = NULL;
	}
	pthread_mutex_unlock(&shared.lock);
	return NCCL_SUCCESS;
}

const struct nccl_tuner_v1 ncclTunerPlugin_v1 = {
	.name = SPAN_TUNER_NAME,
	.init = init,
	.get_coll_info = get_coll_info,
	.destroy = destroy,
};
