/* This machine through hwloc; the only file that includes its header. */
#include "topo/span_host.h"

#include <hwloc.h>
#include <stdlib.h>
#include <string.h>

#include "topo/host/quota.h"
#include "topo/log.h"

struct span_host {
	hwloc_topology_t topology;
	hwloc_cpuset_t allowed; /* processors this process may run on */
	hwloc_cpuset_t *places; /* [n_places] the allowed processors of each core */
	int n_places;
	int cores; /* n_places, or less by the quota of the cgroup */
	char processor[128];
};

/* What hwloc found is already within the cgroup; intersect it with the affinity of the
 * process. Where that cannot be read, as for a topology from a file, it is no limit. */
static span_status find_allowed(span_host *host)
{
	hwloc_cpuset_t affinity = hwloc_bitmap_alloc();

	host->allowed = hwloc_bitmap_dup(hwloc_topology_get_allowed_cpuset(host->topology));
	if (!affinity || !host->allowed) {
		hwloc_bitmap_free(affinity);
		return span_fail(SPAN_ENOMEM, "span_host_create: no memory for a set of processors");
	}
	if (!hwloc_get_cpubind(host->topology, affinity, HWLOC_CPUBIND_PROCESS) &&
	    hwloc_bitmap_intersects(affinity, host->allowed))
		hwloc_bitmap_and(host->allowed, host->allowed, affinity);
	hwloc_bitmap_free(affinity);
	return SPAN_OK;
}

/* Some virtual machines show processors without cores: then each processor is one. */
static hwloc_obj_type_t core_type(const span_host *host)
{
	return hwloc_get_nbobjs_by_type(host->topology, HWLOC_OBJ_CORE) > 0 ? HWLOC_OBJ_CORE
	                                                                    : HWLOC_OBJ_PU;
}

static span_status find_places(span_host *host)
{
	hwloc_obj_type_t type = core_type(host);
	int n = hwloc_get_nbobjs_by_type(host->topology, type);

	host->places = calloc((size_t)(n > 0 ? n : 1), sizeof(*host->places));
	if (!host->places)
		return span_fail(SPAN_ENOMEM, "span_host_create: no memory for %d cores", n);
	for (int i = 0; i < n; i++) {
		hwloc_obj_t core = hwloc_get_obj_by_type(host->topology, type, (unsigned)i);
		hwloc_cpuset_t place;

		if (!hwloc_bitmap_intersects(core->cpuset, host->allowed))
			continue;
		place = hwloc_bitmap_dup(core->cpuset);
		if (!place)
			return span_fail(SPAN_ENOMEM, "span_host_create: no memory for core %d", i);
		hwloc_bitmap_and(place, place, host->allowed);
		host->places[host->n_places++] = place;
	}
	if (!host->n_places)
		return span_fail(SPAN_EIO, "span_host_create: this process may use no core");
	return SPAN_OK;
}

static void name_processor(span_host *host)
{
	hwloc_obj_t package = hwloc_get_obj_by_type(host->topology, HWLOC_OBJ_PACKAGE, 0);
	const char *name = package ? hwloc_obj_get_info_by_name(package, "CPUModel") : NULL;

	snprintf(host->processor, sizeof(host->processor), "%s", name && *name ? name : "unknown");
}

static span_status discover(span_host *host)
{
	span_status status;

	if (hwloc_topology_init(&host->topology)) {
		host->topology = NULL;
		return span_fail(SPAN_EIO, "span_host_create: hwloc_topology_init failed");
	}
	if (hwloc_topology_load(host->topology))
		return span_fail(SPAN_EIO, "span_host_create: hwloc cannot read this machine");
	status = find_allowed(host);
	if (!status)
		status = find_places(host);
	if (status)
		return status;
	host->cores = span_quota_limit(span_quota_read(""), host->n_places);
	name_processor(host);
	return SPAN_OK;
}

span_status span_host_create(span_host **result)
{
	span_status status;
	span_host *host;

	if (!result)
		return span_fail(SPAN_EINVAL, "span_host_create: host is NULL");
	host = calloc(1, sizeof(*host));
	if (!host)
		return span_fail(SPAN_ENOMEM, "span_host_create: no memory");
	status = discover(host);
	if (status)
		span_host_free(host);
	else
		*result = host;
	return status;
}

void span_host_free(span_host *host)
{
	if (!host)
		return;
	for (int i = 0; i < host->n_places; i++)
		hwloc_bitmap_free(host->places[i]);
	free(host->places);
	hwloc_bitmap_free(host->allowed);
	if (host->topology)
		hwloc_topology_destroy(host->topology);
	free(host);
}

int span_host_cores(const span_host *host)
{
	return host->cores;
}

static int count_at_least_one(const span_host *host, hwloc_obj_type_t type)
{
	int n = hwloc_get_nbobjs_by_type(host->topology, type);

	return n > 0 ? n : 1;
}

int span_host_packages(const span_host *host)
{
	return count_at_least_one(host, HWLOC_OBJ_PACKAGE);
}

int span_host_numa_nodes(const span_host *host)
{
	return count_at_least_one(host, HWLOC_OBJ_NUMANODE);
}

double span_host_memory_bytes(const span_host *host)
{
	return (double)hwloc_get_root_obj(host->topology)->total_memory;
}

const char *span_host_processor(const span_host *host)
{
	return host->processor;
}

span_status span_host_bind(const span_host *host, int index, int count)
{
	int place;

	if (!host)
		return span_fail(SPAN_EINVAL, "span_host_bind: host is NULL");
	if (count < 1)
		return span_fail(SPAN_EINVAL, "span_host_bind: count is %d; at least 1", count);
	if (index < 0 || index >= count)
		return span_fail(SPAN_EINVAL, "span_host_bind: index is %d; it is from 0 to %d", index,
		                 count - 1);
	if (count > host->cores)
		return SPAN_OK;
	place = (int)((int64_t)index * host->n_places / count);
	if (hwloc_set_cpubind(host->topology, host->places[place], HWLOC_CPUBIND_THREAD))
		return span_fail(SPAN_EIO, "span_host_bind: thread %d of %d is refused its core",
		                 index, count);
	return SPAN_OK;
}
