#include "topo/host/quota.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A system of files, made of a temporary folder. */
static char root[64];

static void make_root(void)
{
	strcpy(root, "/tmp/span-quota-XXXXXX");
	cr_assert(mkdtemp(root));
}

static void remove_root(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", root);
	cr_assert_eq(system(command), 0);
}

static void put(const char *name, const char *text)
{
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(path, 0700);
		*slash = '/';
	}
	file = fopen(path, "w");
	cr_assert(file);
	fputs(text, file);
	fclose(file);
}

TestSuite(quota, .init = make_root, .fini = remove_root);

Test(quota, is_endless_where_nothing_can_be_read)
{
	cr_assert_eq(span_quota_read(root), HUGE_VAL);
	put("proc/self/cgroup", "nonsense\n\n0:\n::\n");
	cr_assert_eq(span_quota_read(root), HUGE_VAL);
}

Test(quota, reads_cpu_max)
{
	put("proc/self/cgroup", "0::/a/b\n");
	put("sys/fs/cgroup/a/b/cpu.max", "150000 100000\n");
	cr_assert_eq(span_quota_read(root), 1.5);
	put("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
	cr_assert_eq(span_quota_read(root), HUGE_VAL);
	put("sys/fs/cgroup/a/b/cpu.max", "150000\n");
	cr_assert_eq(span_quota_read(root), HUGE_VAL);
	put("sys/fs/cgroup/a/b/cpu.max", "150000 0\n");
	cr_assert_eq(span_quota_read(root), HUGE_VAL);
}

Test(quota, of_the_cgroups_above_counts)
{
	put("proc/self/cgroup", "0::/a/b\n");
	put("sys/fs/cgroup/a/b/cpu.max", "400000 100000\n");
	put("sys/fs/cgroup/a/cpu.max", "300000 100000\n");
	cr_assert_eq(span_quota_read(root), 3);
	put("sys/fs/cgroup/cpu.max", "200000 100000\n");
	cr_assert_eq(span_quota_read(root), 2);
}

Test(quota, of_a_path_that_is_not_visible_is_that_of_the_mount)
{
	put("proc/self/cgroup", "0::/../../elsewhere\n");
	put("sys/fs/cgroup/cpu.max", "250000 100000\n");
	cr_assert_eq(span_quota_read(root), 2.5);
}

Test(quota, reads_version_one)
{
	put("proc/self/cgroup", "5:cpuset:/\n4:cpu,cpuacct:/job\n0::/\n");
	put("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "50000\n");
	put("sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
	cr_assert_eq(span_quota_read(root), 0.5);
	put("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "-1\n");
	cr_assert_eq(span_quota_read(root), HUGE_VAL);
}

Test(quota, of_other_controllers_is_not_read)
{
	put("proc/self/cgroup", "5:cpuset,cpuacct:/job\n");
	put("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "50000\n");
	put("sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
	cr_assert_eq(span_quota_read(root), HUGE_VAL);
}

Test(quota, survives_a_path_of_any_length)
{
	char line[6000];

	memset(line, 'x', sizeof(line));
	memcpy(line, "0::/", 4);
	line[sizeof(line) - 1] = '\0';
	put("proc/self/cgroup", line);
	cr_assert_eq(span_quota_read(root), HUGE_VAL);
}

Test(quota, limits_cores_to_those_it_keeps_busy)
{
	cr_assert_eq(span_quota_limit(HUGE_VAL, 8), 8);
	cr_assert_eq(span_quota_limit(8.5, 8), 8);
	cr_assert_eq(span_quota_limit(7.5, 8), 8);
	cr_assert_eq(span_quota_limit(7, 8), 7);
	cr_assert_eq(span_quota_limit(1.01, 8), 2);
	cr_assert_eq(span_quota_limit(0.2, 8), 1);
}
