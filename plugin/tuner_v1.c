/* Tuner v1 (NCCL 2.19 and 2.20): no cost table and no context. Nothing says which communicator
 * asks, and what else a process has made differs between the ranks of one: none of it may
 * decide. So all communicators of all processes share one answer, that of the rules which are for
 * every one of them. They may ask while another is made or ends. */
#include "plugin/tuner.h"

#include <pthread.h>
#include <stdatomic.h>

static struct {
	pthread_mutex_t lock; /* of all but `table`, at init and destroy */
	_Atomic(const span_table *) table; /* what is asked; NULL: NCCL decides */
	span_table *owned;
	size_t communicators;
} shared = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int init(size_t ranks, size_t nodes, nccl_logger *logger)
{
	struct span_tuner_start start = { .any_size = true, .logger = logger, .flat = 1 };

	(void)ranks; /* of the one that is made, not of the one that will ask */
	(void)nodes;
	pthread_mutex_lock(&shared.lock);
	if (shared.communicators++ == 0) {
		shared.owned = span_tuner_start(&start);
		atomic_store(&shared.table, shared.owned);
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
