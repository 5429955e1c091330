#define _GNU_SOURCE
#include "topo/span_host.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "tests/topo/log_capture.h"

static cpu_set_t affinity(void)
{
	cpu_set_t set;

	cr_assert_eq(sched_getaffinity(0, sizeof(set), &set), 0);
	return set;
}

static span_host *discover(void)
{
	span_host *host;

	cr_assert_eq(span_host_create(&host), SPAN_OK);
	return host;
}

Test(host, shows_a_plausible_machine)
{
	span_host *host = discover();
	cpu_set_t allowed = affinity();

	cr_assert_geq(span_host_cores(host), 1);
	cr_assert_leq(span_host_cores(host), CPU_COUNT(&allowed));
	cr_assert_geq(span_host_packages(host), 1);
	cr_assert_geq(span_host_numa_nodes(host), 1);
	cr_assert_gt(span_host_memory_bytes(host), 16e6);
	cr_assert(*span_host_processor(host));
	span_host_free(host);
}

/* Let this process, and that is all of its threads, run on one processor only; which one. */
static int narrow(void)
{
	cpu_set_t allowed = affinity(), one;
	DIR *threads = opendir("/proc/self/task");
	int cpu = CPU_SETSIZE - 1;

	while (!CPU_ISSET(cpu, &allowed))
		cpu--;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	cr_assert(threads);
	for (struct dirent *thread; (thread = readdir(threads));)
		if (thread->d_name[0] != '.')
			cr_assert_eq(sched_setaffinity(atoi(thread->d_name), sizeof(one), &one), 0);
	closedir(threads);
	return cpu;
}

Test(host, counts_only_what_the_affinity_of_the_process_allows)
{
	int cpu = narrow();
	span_host *host = discover();
	cpu_set_t now;

	cr_assert_eq(span_host_cores(host), 1);
	cr_assert_eq(span_host_bind(host, 0, 1), SPAN_OK);
	now = affinity();
	cr_assert_eq(CPU_COUNT(&now), 1);
	cr_assert(CPU_ISSET(cpu, &now));
	span_host_free(host);
}

Test(host, binds_threads_to_cores_that_do_not_overlap)
{
	span_host *host = discover();
	int cores = span_host_cores(host);
	cpu_set_t before = affinity(), seen, now, both;

	CPU_ZERO(&seen);
	for (int i = 0; i < cores; i++) {
		cr_assert_eq(span_host_bind(host, i, cores), SPAN_OK);
		now = affinity();
		cr_assert_gt(CPU_COUNT(&now), 0);
		CPU_AND(&both, &now, &before);
		cr_assert(CPU_EQUAL(&both, &now), "thread %d left the affinity", i);
		CPU_AND(&both, &now, &seen);
		cr_assert_eq(CPU_COUNT(&both), 0, "threads share a core");
		CPU_OR(&seen, &seen, &now);
	}
	span_host_free(host);
}

Test(host, binds_nothing_when_threads_exceed_cores)
{
	span_host *host = discover();
	cpu_set_t before = affinity(), after;

	cr_assert_eq(span_host_bind(host, 0, span_host_cores(host) + 1), SPAN_OK);
	after = affinity();
	cr_assert(CPU_EQUAL(&before, &after));
	span_host_free(host);
}

/* hwloc offers synthetic machines through the environment. */
Test(host, counts_cores_and_not_hardware_threads)
{
	span_host *host;

	setenv("HWLOC_SYNTHETIC", "pack:2 numa:2 core:4 pu:2", 1);
	host = discover();
	cr_assert_eq(span_host_packages(host), 2);
	cr_assert_eq(span_host_numa_nodes(host), 4);
	cr_assert_leq(span_host_cores(host), 16);
	cr_assert_str_eq(span_host_processor(host), "unknown");
	span_host_free(host);
}

Test(host, of_processors_without_cores_counts_those)
{
	span_host *host;

	setenv("HWLOC_SYNTHETIC", "numa:1 pu:1", 1);
	host = discover();
	cr_assert_eq(span_host_packages(host), 1);
	cr_assert_eq(span_host_cores(host), 1);
	span_host_free(host);
}

Test(host, refuses_wrong_arguments_by_name)
{
	span_host *host = discover();

	log_capture();
	cr_assert_eq(span_host_create(NULL), SPAN_EINVAL);
	cr_assert(strstr(log_captured(), "host is NULL"));
	cr_assert_eq(span_host_bind(NULL, 0, 1), SPAN_EINVAL);
	cr_assert(strstr(log_captured(), "host is NULL"));
	cr_assert_eq(span_host_bind(host, 0, 0), SPAN_EINVAL);
	cr_assert(strstr(log_captured(), "count is 0"));
	cr_assert_eq(span_host_bind(host, -1, 1), SPAN_EINVAL);
	cr_assert(strstr(log_captured(), "index is -1"));
	cr_assert_eq(span_host_bind(host, 2, 2), SPAN_EINVAL);
	cr_assert(strstr(log_captured(), "index is 2"));
	cr_assert_eq(log_captured_count(), 5);
	span_host_free(host);
	span_host_free(NULL);
}
