#define _GNU_SOURCE /* sched_getaffinity, pthread_attr_setaffinity_np */
#include "attention/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>
#include "attention/kernels/kernel.h"
#include "topo/log.h"

typedef struct {
	span_pool *pool;
	int number;
	pthread_t thread;
} pool_worker;

struct span_pool {
	int threads;
	int started;            /* workers that run */
	pool_worker *worker;    /* [threads - 1], numbers 1 .. threads - 1 */
	pthread_mutex_t mutex;
	pthread_cond_t wake;
	pthread_cond_t idle;
	uint64_t round;         /* counts runs; guarded by mutex, as are the next three */
	int busy;
	int stop;
	int64_t tasks;
	span_pool_body *body;
	void *context;
	_Atomic int64_t next;
};

static void take_tasks(span_pool *pool, int number)
{
	int64_t task;

	while ((task = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed)) <
	       pool->tasks)
		pool->body(pool->context, task, number);
}

static void *work(void *argument)
{
	pool_worker *self = argument;
	span_pool *pool = self->pool;
	uint64_t seen = 0;
	span_fp_mode mode;

	span_fp_enter(&mode);
	pthread_mutex_lock(&pool->mutex);
	for (;;) {
		while (pool->round == seen && !pool->stop)
			pthread_cond_wait(&pool->wake, &pool->mutex);
		if (pool->stop)
			break;
		seen = pool->round;
		pthread_mutex_unlock(&pool->mutex);
		take_tasks(pool, self->number);
		pthread_mutex_lock(&pool->mutex);
		if (--pool->busy == 0)
			pthread_cond_signal(&pool->idle);
	}
	pthread_mutex_unlock(&pool->mutex);
	span_fp_leave(&mode);
	return NULL;
}

/* Workers may run where the main thread of the process may. The caller is often bound to the one
 * core of its rank, which they must not inherit; but what taskset, a launcher or a batch system
 * leaves to the process, they must not leave. */
static int allow_processors(pthread_attr_t *attributes)
{
	enum { PROCESSORS = 1 << 16 };
	size_t bytes = CPU_ALLOC_SIZE(PROCESSORS);
	cpu_set_t *allowed = CPU_ALLOC(PROCESSORS);
	int failed = allowed == NULL;

	/* Where it cannot be read they inherit after all. */
	if (!failed && sched_getaffinity(getpid(), bytes, allowed) == 0)
		failed = pthread_attr_setaffinity_np(attributes, bytes, allowed);
	CPU_FREE(allowed);
	return failed;
}

static int start_workers(span_pool *pool)
{
	pthread_attr_t attributes;
	int failed;

	if (pool->threads == 1)
		return 0;
	if (pthread_attr_init(&attributes) != 0)
		return -1;
	failed = allow_processors(&attributes);
	for (int i = 1; i < pool->threads && !failed; i++) {
		pool_worker *worker = &pool->worker[i - 1];

		*worker = (pool_worker){ .pool = pool, .number = i };
		failed = pthread_create(&worker->thread, &attributes, work, worker);
		if (!failed)
			pool->started++;
	}
	pthread_attr_destroy(&attributes);
	return failed;
}

span_status span_pool_create(int threads, span_pool **pool)
{
	span_pool *made = calloc(1, sizeof(*made));

	if (made == NULL)
		return span_fail(SPAN_ENOMEM, "span_attention_create: no memory for threads");
	made->threads = threads;
	made->worker = calloc((size_t)threads, sizeof(*made->worker));
	pthread_mutex_init(&made->mutex, NULL);
	pthread_cond_init(&made->wake, NULL);
	pthread_cond_init(&made->idle, NULL);
	if (made->worker == NULL || start_workers(made) != 0) {
		span_pool_free(made);
		return span_fail(SPAN_ENOMEM,
		                 "span_attention_create: threads is %d; the system refused to "
		                 "start that many", threads);
	}
	*pool = made;
	return SPAN_OK;
}

void span_pool_free(span_pool *pool)
{
	if (pool == NULL)
		return;
	pthread_mutex_lock(&pool->mutex);
	pool->stop = 1;
	pthread_cond_broadcast(&pool->wake);
	pthread_mutex_unlock(&pool->mutex);
	for (int i = 0; i < pool->started; i++)
		pthread_join(pool->worker[i].thread, NULL);
	pthread_cond_destroy(&pool->idle);
	pthread_cond_destroy(&pool->wake);
	pthread_mutex_destroy(&pool->mutex);
	free(pool->worker);
	free(pool);
}

void span_pool_run(span_pool *pool, int64_t tasks, span_pool_body *body, void *context)
{
	if (pool->threads == 1 || tasks == 1) {
		for (int64_t task = 0; task < tasks; task++)
			body(context, task, 0);
		return;
	}
	pthread_mutex_lock(&pool->mutex);
	pool->body = body;
	pool->context = context;
	pool->tasks = tasks;
	atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
	pool->busy = pool->threads - 1;
	pool->round++;
	pthread_cond_broadcast(&pool->wake);
	pthread_mutex_unlock(&pool->mutex);
	take_tasks(pool, 0);
	pthread_mutex_lock(&pool->mutex);
	while (pool->busy > 0)
		pthread_cond_wait(&pool->idle, &pool->mutex);
	pthread_mutex_unlock(&pool->mutex);
}
