/* Where NCCL leads a path another way than the shortest (2.28.9, ncclTopoComputePaths): GPUs that
 * may not talk directly go through a processor, GPUs reach a NIC over the GPU beside it (PXN), and
 * ports without GPUDirect RDMA go through a processor. */
#include <stdlib.h>

#include "topo/graph/path.h"
#include "topo/log.h"

/* Of NICs that are equally near NCCL looks at one for each of its channels. */
#define MOST_CHANNELS 64

/* The nearest devices of the other kind, and how many. */
struct nearest {
	int32_t *items;   /* numbers within their kind */
	int32_t n;
};

struct reroute {
	const struct path_work *work;
	struct machine *machine;
	struct nearest *nics;  /* [n_gpus] of each GPU; kept up to date */
	int32_t *memory;       /* [n_gpus][n_nics] behind them */
	int32_t *near_gpus;    /* [n_nics] how many GPUs are nearest to each */
	int32_t *gpus;         /* [n_gpus] scratch */
	int32_t *local_cpu;    /* [n_gpus] device number, or -1 */
};

static int32_t nic_device(const struct reroute *r, int32_t nic)
{
	return r->work->n_gpus + nic;
}

static span_path_class merge_classes(span_path_class a, span_path_class b)
{
	span_path_class best = a < b ? a : b, worst = a < b ? b : a;

	return worst == SPAN_PATH_PHB && best == SPAN_PATH_C2C ? SPAN_PATH_P2C : worst;
}

/* Lead the path between two devices over a third. */
static void lead_over(const struct reroute *r, int32_t from, int32_t via, int32_t to)
{
	struct machine *machine = r->machine;
	const struct graph_path *first = path_at(machine, from, via);
	const struct graph_path *second = path_at(machine, via, to);
	struct graph_path led = {
		.path_class = merge_classes(first->path_class, second->path_class),
		.hops = first->hops + second->hops,
		.bandwidth = first->bandwidth < second->bandwidth ? first->bandwidth
		                                                   : second->bandwidth,
		.latency = first->latency + second->latency,
		.confidence = first->confidence < second->confidence ? first->confidence
		                                                      : second->confidence
	};

	if (via < r->work->n_gpus)
		led.path_class = SPAN_PATH_PXN;
	*path_at(machine, from, to) = led;
	machine->route_via[(size_t)from * (size_t)machine->n_devices + (size_t)to] = (int16_t)via;
}

/* --- GPU to GPU --------------------------------------------------------------------------- */

/* The processor with the fewest links to a GPU. */
static int32_t find_local_cpu(const struct reroute *r, int32_t gpu)
{
	int32_t first = r->work->n_gpus + r->work->n_nics, best = -1, c;

	for (c = first; c < first + r->work->n_cpus; c++) {
		int32_t hops = path_at(r->machine, gpu, c)->hops;

		if (hops > 0 && (best < 0 || hops < path_at(r->machine, gpu, best)->hops))
			best = c;
	}
	return best;
}

/* The farthest class over which GPUs talk directly: not through a processor, except where an AMD
 * processor has two of them. */
static span_path_class p2p_level(const struct reroute *r)
{
	int32_t first_cpu = r->work->n_gpus + r->work->n_nics;
	const struct graph_node *cpu;

	if (!r->work->n_cpus || r->work->n_gpus > 2)
		return SPAN_PATH_PXB;
	cpu = &r->machine->nodes[r->machine->devices[first_cpu]];
	return cpu->arch == ARCH_X86 && cpu->vendor == VENDOR_AMD ? SPAN_PATH_SYS : SPAN_PATH_PXB;
}

static void reroute_gpus(const struct reroute *r)
{
	span_path_class level = p2p_level(r);
	int32_t from, to;

	for (to = 0; to < r->work->n_gpus; to++)
		for (from = 0; from < r->work->n_gpus; from++)
			if (path_at(r->machine, from, to)->path_class > level &&
			    r->local_cpu[to] >= 0)
				lead_over(r, from, r->local_cpu[to], to);
}

/* --- the GPU beside a NIC ----------------------------------------------------------------- */

static void update_nics(const struct reroute *r, int32_t gpu)
{
	r->nics[gpu].n = path_nearest(r->machine, gpu, r->work->n_gpus, r->work->n_nics,
	                                r->nics[gpu].items);
}

static void update_near_gpus(const struct reroute *r, int32_t nic)
{
	r->near_gpus[nic] = path_nearest(r->machine, nic_device(r, nic), 0, r->work->n_gpus,
	                                 r->gpus);
}

/* The first channel on which a GPU uses a NIC, or MOST_CHANNELS. */
static int32_t first_channel(const struct reroute *r, int32_t gpu, int32_t nic)
{
	const struct nearest *nics = &r->nics[gpu];
	int32_t dev = r->machine->nodes[r->machine->devices[gpu]].dev, per_gpu, channel, gpus;

	if (!nics->n)
		return MOST_CHANNELS;
	gpus = r->near_gpus[nics->items[0]];
	per_gpu = gpus ? (nics->n + gpus - 1) / gpus : 1;
	for (channel = 0; channel < per_gpu && channel < MOST_CHANNELS; channel++) {
		int32_t used = nics->items[path_spread(dev >= 0 ? dev : gpu, nics->n, channel)];

		if (r->work->alias[nic_device(r, used)] == r->work->alias[nic_device(r, nic)])
			return channel;
	}
	return MOST_CHANNELS;
}

/* The GPU that uses a NIC first, of those nearest to it; -1: none. */
static int32_t local_gpu(const struct reroute *r, int32_t nic)
{
	int32_t known = r->work->alias[nic_device(r, nic)], best = -1, channel = MOST_CHANNELS, i;
	int32_t n = path_nearest(r->machine, known, 0, r->work->n_gpus, r->gpus);

	for (i = 0; i < n; i++) {
		int32_t uses = first_channel(r, r->gpus[i], nic);

		if (uses < channel) {
			channel = uses;
			best = r->gpus[i];
		}
	}
	return best;
}

/* --- GPU to NIC --------------------------------------------------------------------------- */

static int32_t host_of(const struct reroute *r, int32_t device)
{
	return r->machine->nodes[r->machine->devices[device]].host;
}

/* A GPU at C2C and a NIC at the same processor are P2C. */
static void mark_p2c(const struct reroute *r, int32_t gpu, int32_t nic)
{
	int32_t cpu = r->local_cpu[gpu], device = nic_device(r, nic);
	struct graph_path *there = path_at(r->machine, gpu, device);
	struct graph_path *back = path_at(r->machine, device, gpu);

	if (cpu < 0 || merge_classes(path_at(r->machine, gpu, cpu)->path_class,
	                             path_at(r->machine, device, cpu)->path_class) != SPAN_PATH_P2C)
		return;
	if (there->path_class > SPAN_PATH_P2C)
		there->path_class = SPAN_PATH_P2C;
	if (back->path_class > SPAN_PATH_P2C)
		back->path_class = SPAN_PATH_P2C;
}

/* Lead a GPU to a NIC over the GPU beside it, the relay, if it is near to that by NVLink, and the
 * way is wider than its own or avoids a processor. Only in this direction: NCCL receives locally. */
static bool try_pxn(const struct reroute *r, int32_t gpu, int32_t relay, int32_t nic)
{
	int32_t device = nic_device(r, nic);
	const struct graph_path *own, *relayed;

	if (relay < 0 || relay == gpu || host_of(r, relay) != host_of(r, gpu))
		return false;
	own = path_at(r->machine, gpu, device);
	relayed = path_at(r->machine, relay, device);
	if (relayed->path_class > SPAN_PATH_P2C ||
	    path_at(r->machine, relay, gpu)->path_class > SPAN_PATH_NVL)
		return false;
	if (relayed->bandwidth <= own->bandwidth && own->path_class <= SPAN_PATH_PXN)
		return false;
	lead_over(r, gpu, relay, device);
	return true;
}

/* Whether GPUDirect RDMA serves a port: both can, and no processor is between, unless by C2C. */
static bool has_gdr(const struct reroute *r, int32_t gpu, int32_t nic)
{
	const struct machine *machine = r->machine;
	int32_t device = r->work->alias[nic_device(r, nic)];
	span_path_class distance = path_at(machine, gpu, device)->path_class;
	size_t pair = (size_t)gpu * (size_t)machine->n_devices + (size_t)device;

	if (machine->nodes[machine->devices[device]].gdr == 0 ||
	    machine->nodes[machine->devices[gpu]].gdr == 0)
		return false;
	if (distance == SPAN_PATH_PXN)
		distance = path_at(machine, machine->route_via[pair], device)->path_class;
	return distance <= SPAN_PATH_PXB || distance == SPAN_PATH_P2C;
}

/* Returns whether paths between the two changed. */
static bool reroute_pair(const struct reroute *r, int32_t gpu, int32_t relay, int32_t nic)
{
	int32_t device = nic_device(r, nic), cpu = r->local_cpu[gpu];
	bool changed = try_pxn(r, gpu, relay, nic);

	if (cpu >= 0 && path_at(r->machine, gpu, device)->path_class < SPAN_PATH_PHB &&
	    !has_gdr(r, gpu, nic)) {
		lead_over(r, device, cpu, gpu);
		lead_over(r, gpu, cpu, device);
		changed = true;
	}
	return changed;
}

/* NCCL asks for the GPU beside the NIC again at every pair, since what was led elsewhere before
 * may have changed it. */
static void reroute_nic(const struct reroute *r, int32_t nic)
{
	int32_t relay = local_gpu(r, nic), gpu;

	for (gpu = 0; gpu < r->work->n_gpus; gpu++) {
		if (!reroute_pair(r, gpu, relay, nic))
			continue;
		update_near_gpus(r, nic);
		update_nics(r, gpu);
		relay = local_gpu(r, nic);
	}
}

static void reroute_nics(const struct reroute *r)
{
	int32_t gpu, nic;

	for (nic = 0; nic < r->work->n_nics; nic++)
		for (gpu = 0; gpu < r->work->n_gpus; gpu++)
			mark_p2c(r, gpu, nic);
	for (gpu = 0; gpu < r->work->n_gpus; gpu++)
		update_nics(r, gpu);
	for (nic = 0; nic < r->work->n_nics; nic++)
		update_near_gpus(r, nic);
	for (nic = 0; nic < r->work->n_nics; nic++)
		reroute_nic(r, nic);
}

span_status path_reroute(struct path_work *work)
{
	size_t gpus = (size_t)work->n_gpus, nics = (size_t)work->n_nics, i;
	struct reroute r = { .work = work, .machine = work->machine };
	span_status status = SPAN_OK;

	r.nics = calloc(gpus + 1, sizeof(*r.nics));
	r.memory = calloc(gpus * nics + 1, sizeof(*r.memory));
	r.near_gpus = calloc(nics + 1, sizeof(*r.near_gpus));
	r.gpus = calloc(gpus + 1, sizeof(*r.gpus));
	r.local_cpu = calloc(gpus + 1, sizeof(*r.local_cpu));
	if (r.nics && r.memory && r.near_gpus && r.gpus && r.local_cpu) {
		for (i = 0; i < gpus; i++) {
			r.nics[i].items = r.memory + i * nics;
			r.local_cpu[i] = find_local_cpu(&r, (int32_t)i);
		}
		reroute_gpus(&r);
		reroute_nics(&r);
	} else {
		status = span_fail(SPAN_ENOMEM, "topology: no memory for paths to %d ports",
		                   work->n_nics);
	}
	free(r.nics);
	free(r.memory);
	free(r.near_gpus);
	free(r.gpus);
	free(r.local_cpu);
	return status;
}
