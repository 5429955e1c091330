/* Where the threads of a pool may run. */
#define _GNU_SOURCE /* sched_getaffinity, pthread_attr_setaffinity_np */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>
#include "attention/pool.h"

enum { THREADS = 3 };

/* What each thread of a pool was allowed. Tasks wait for each other, so each thread has one. */
struct seen {
	pthread_barrier_t all;
	cpu_set_t allowed[THREADS];
};

static void look(void *context, int64_t task, int thread)
{
	struct seen *seen = context;

	(void)task;
	pthread_barrier_wait(&seen->all);
	sched_getaffinity(0, sizeof(cpu_set_t), &seen->allowed[thread]);
}

static void run_pool(struct seen *seen)
{
	span_pool *pool;

	pthread_barrier_init(&seen->all, NULL, THREADS);
	cr_assert_eq(span_pool_create(THREADS, &pool), SPAN_OK);
	span_pool_run(pool, THREADS, look, seen);
	span_pool_free(pool);
	pthread_barrier_destroy(&seen->all);
}

/* One processor of those that the process may use. */
static cpu_set_t one_processor(void)
{
	cpu_set_t allowed, one;
	int i = 0;

	sched_getaffinity(getpid(), sizeof(allowed), &allowed);
	while (!CPU_ISSET(i, &allowed))
		i++;
	CPU_ZERO(&one);
	CPU_SET(i, &one);
	return one;
}

static void expect_all(const struct seen *seen, int from, const cpu_set_t *allowed)
{
	for (int i = from; i < THREADS; i++)
		cr_assert(CPU_EQUAL(&seen->allowed[i], allowed), "thread %d", i);
}

Test(pool, threads_stay_where_the_process_may_run)
{
	cpu_set_t one = one_processor();
	struct seen seen;

	if (sysconf(_SC_NPROCESSORS_CONF) < 2)
		cr_skip_test("this machine has one processor");
	cr_assert_eq(sched_setaffinity(getpid(), sizeof(one), &one), 0);
	run_pool(&seen);
	expect_all(&seen, 0, &one);
}

static void *run_bound(void *seen)
{
	cpu_set_t one = one_processor();

	sched_setaffinity(0, sizeof(one), &one);
	run_pool(seen);
	return NULL;
}

Test(pool, threads_do_not_crowd_on_the_core_of_a_caller_that_is_bound)
{
	cpu_set_t process;
	struct seen seen;
	pthread_t caller;

	sched_getaffinity(getpid(), sizeof(process), &process);
	if (CPU_COUNT(&process) < 2)
		cr_skip_test("this process may use one processor");
	cr_assert_eq(pthread_create(&caller, NULL, run_bound, &seen), 0);
	pthread_join(caller, NULL);
	cr_assert_eq(CPU_COUNT(&seen.allowed[0]), 1);
	expect_all(&seen, 1, &process);
}
