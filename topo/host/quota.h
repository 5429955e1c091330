/* How much of the processors the cgroups of this process leave to it. Private. */
#ifndef SPAN_QUOTA_H
#define SPAN_QUOTA_H

/* The CPU quota in processors, such as 1.5; HUGE_VAL when there is none or none can be read.
 * Reads proc/self/cgroup and sys/fs/cgroup below `root`, which is "" but in tests. Version 2
 * (cpu.max) and version 1 (cpu.cfs_quota_us over cpu.cfs_period_us) are understood; of a
 * cgroup and those that contain it the smallest quota counts.
 * Source: the kernel's admin-guide/cgroup-v2.rst and scheduler/sched-bwc.rst. */
double span_quota_read(const char *root);

/* Of so many cores, those that a quota can keep busy: the quota rounded up, at least 1. */
int span_quota_limit(double quota, int cores);

#endif
