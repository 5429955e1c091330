/* The CPU quota of a cgroup, from the files the kernel offers. */
#include "topo/host/quota.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_BYTES 4096
#define LINE_BYTES 4096

/* Where controllers are mounted on the systems in use; version 2 alone or beside version 1. */
static const char *const v2_mounts[] = { "sys/fs/cgroup", "sys/fs/cgroup/unified" };
static const char *const v1_mounts[] = { "sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct" };

#define MOUNTS 2

static int read_line(const char *path, char *line, int bytes)
{
	FILE *file = fopen(path, "re");
	int found;

	if (!file)
		return 0;
	found = fgets(line, bytes, file) != NULL;
	fclose(file);
	return found;
}

static int read_file_of(const char *folder, const char *name, char *line, int bytes)
{
	char path[PATH_BYTES];
	int n = snprintf(path, sizeof(path), "%s/%s", folder, name);

	return n > 0 && (size_t)n < sizeof(path) && read_line(path, line, bytes);
}

/* Quota over period, as far as both are positive; "max" and -1 are no limit. */
static double divide(const char *quota, const char *period)
{
	double q = strtod(quota, NULL), p = strtod(period, NULL);

	return q > 0 && p > 0 ? q / p : HUGE_VAL;
}

static double read_v2(const char *folder)
{
	char line[128], *period;

	if (!read_file_of(folder, "cpu.max", line, sizeof(line)))
		return HUGE_VAL;
	period = strchr(line, ' ');
	return period ? divide(line, period) : HUGE_VAL;
}

static double read_v1(const char *folder)
{
	char quota[64], period[64];

	if (!read_file_of(folder, "cpu.cfs_quota_us", quota, sizeof(quota)) ||
	    !read_file_of(folder, "cpu.cfs_period_us", period, sizeof(period)))
		return HUGE_VAL;
	return divide(quota, period);
}

/* The smallest quota from the cgroup up to the mount. A path that is not visible here, as in
 * a container, ends at the mount all the same. */
static double smallest_above(const char *root, const char *mount, const char *cgroup,
                             double (*read)(const char *folder))
{
	char folder[PATH_BYTES];
	int base = snprintf(folder, sizeof(folder), "%s/%s", root, mount);
	double quota, smallest = HUGE_VAL;
	char *slash;

	if (base < 0 || (size_t)base + strlen(cgroup) >= sizeof(folder))
		return HUGE_VAL;
	strcat(folder, cgroup);
	for (;;) {
		quota = read(folder);
		if (quota < smallest)
			smallest = quota;
		slash = strrchr(folder + base, '/');
		if (!slash)
			return smallest;
		*slash = '\0';
	}
}

/* Whether a controller is in a list such as "cpu,cpuacct". */
static int has_controller(const char *list, const char *name)
{
	size_t n = strlen(name);

	for (const char *c = list; *c;) {
		size_t length = strcspn(c, ",");

		if (length == n && !strncmp(c, name, n))
			return 1;
		c += length + (c[length] == ',');
	}
	return 0;
}

/* A line of /proc/self/cgroup is ID:CONTROLLERS:PATH; version 2 has no controllers there. */
static double quota_of_line(const char *root, char *line)
{
	char *controllers = strchr(line, ':'), *path;
	double quota, smallest = HUGE_VAL;
	int v2;

	path = controllers ? strchr(controllers + 1, ':') : NULL;
	if (!path)
		return HUGE_VAL;
	*path++ = '\0';
	path[strcspn(path, "\n")] = '\0';
	controllers++;
	v2 = *controllers == '\0';
	if (!v2 && !has_controller(controllers, "cpu"))
		return HUGE_VAL;
	for (int i = 0; i < MOUNTS; i++) {
		quota = v2 ? smallest_above(root, v2_mounts[i], path, read_v2)
		           : smallest_above(root, v1_mounts[i], path, read_v1);
		if (quota < smallest)
			smallest = quota;
	}
	return smallest;
}

double span_quota_read(const char *root)
{
	char path[PATH_BYTES], line[LINE_BYTES];
	double quota, smallest = HUGE_VAL;
	FILE *file;

	snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
	file = fopen(path, "re");
	if (!file)
		return HUGE_VAL;
	while (fgets(line, sizeof(line), file)) {
		quota = quota_of_line(root, line);
		if (quota < smallest)
			smallest = quota;
	}
	fclose(file);
	return smallest;
}

int span_quota_limit(double quota, int cores)
{
	double whole = ceil(quota);

	if (whole >= cores)
		return cores;
	return whole < 1 ? 1 : (int)whole;
}
