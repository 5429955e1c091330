/* The machine as the search sees it: paths as steps over links, and what each link has left. */
#include "topo/nccl/search/search_work.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"
#include "topo/graph/path.h"

#define GIGA              1e9
#define UNKNOWN_BANDWIDTH 4999.0f /* of a link of which nobody says how fast it is */
#define LOCAL_BANDWIDTH   5000.0f /* of a GPU to itself */
#define MOST_ROUTE        256     /* nodes of a path that is looked at */

static float link_bandwidth(const struct machine *machine, int32_t link)
{
	double bandwidth = machine->links[link].bandwidth;

	return bandwidth > 0 ? (float)(bandwidth / GIGA) : UNKNOWN_BANDWIDTH;
}

/* --- links -------------------------------------------------------------------------------- */

static int32_t find_link(const struct machine *machine, int32_t from, int32_t to,
                         span_link_class link_class)
{
	int32_t i;

	for (i = machine->nodes[from].last_link; i >= 0; i = machine->links[i].earlier)
		if (machine->links[i].to == to && machine->links[i].link_class == link_class)
			return i;
	return -1;
}

/* The widest link of two nodes that both directions have; of equal ones the first. The search for
 * paths came from the far end. */
static int32_t find_widest(const struct machine *machine, int32_t from, int32_t to)
{
	int32_t best = -1, widest = -1, i;

	for (i = machine->nodes[to].last_link; i >= 0; i = machine->links[i].earlier) {
		const struct graph_link *link = &machine->links[i];
		int32_t there;

		if (link->to != from || link->link_class == SPAN_LINK_XGMI)
			continue;
		there = find_link(machine, from, to, link->link_class);
		if (there >= 0 &&
		    (best < 0 || link_bandwidth(machine, i) >= link_bandwidth(machine, widest))) {
			best = there;
			widest = i;
		}
	}
	return best;
}

/* --- paths -------------------------------------------------------------------------------- */

static span_status add_step(struct search_system *system, const struct search_step *step)
{
	if (system->n_steps == system->step_room) {
		int32_t room = 2 * system->step_room + 1024;
		struct search_step *steps = realloc(system->steps, (size_t)room * sizeof(*steps));

		if (!steps)
			return span_fail(SPAN_ENOMEM, "graph search: no memory for paths");
		system->steps = steps;
		system->step_room = room;
	}
	system->steps[system->n_steps++] = *step;
	return SPAN_OK;
}

/* Old GPUs receive PCIe at the cost of some of what they send; POWER's NVLink to the processor has
 * one bandwidth for both directions. */
static float back_share(const struct search_system *system, int32_t node,
                        span_link_class link_class, bool from_gpu)
{
	const struct graph_node *to = &system->machine->nodes[node];

	if (to->kind == SPAN_NODE_GPU && !from_gpu &&
	    system->gpus[system->machine->device_of[node]].cc < 80)
		return 0.125f;
	if (to->kind == SPAN_NODE_CPU && to->arch == ARCH_POWER && link_class == SPAN_LINK_NVLINK)
		return 1;
	return 0;
}

static span_status append_link(struct search_system *system, struct search_path *path, int32_t from,
                               int32_t to, bool from_gpu)
{
	const struct machine *machine = system->machine;
	struct search_step step = { .link = find_widest(machine, from, to), .back = -1 };
	span_link_class link_class;

	if (step.link < 0)
		return span_fail(SPAN_EUNSUPPORTED, "graph search: a path has no link from node %d "
		                                    "to %d", from, to);
	link_class = machine->links[step.link].link_class;
	step.pci = link_class == SPAN_LINK_PCI;
	step.back_share = back_share(system, to, link_class, from_gpu);
	if (step.back_share > 0)
		step.back = find_link(machine, to, from, link_class);
	path->count++;
	return add_step(system, &step);
}

static bool is_intel(const struct graph_node *node)
{
	return node->kind == SPAN_NODE_CPU && node->arch == ARCH_X86 &&
	       node->vendor == VENDOR_INTEL;
}

/* The path between two devices. */
static span_status trace(struct search_system *system, int32_t from, int32_t to)
{
	const struct machine *machine = system->machine;
	const struct graph_path *known = path_at(machine, from, to);
	struct search_path path = { .first = system->n_steps,
		                    .bandwidth = (float)(known->bandwidth / GIGA),
		                    .path_class = known->path_class };
	bool from_gpu = from < system->n_gpus;
	int32_t nodes[MOST_ROUTE], at = machine->devices[from], n = 0, i;
	span_status status = SPAN_OK;

	if (path.path_class != SPAN_PATH_DIS)
		n = path_nodes(machine, from, to, nodes, MOST_ROUTE);
	if (n > MOST_ROUTE)
		return span_fail(SPAN_EUNSUPPORTED, "graph search: a path of %d links", n);
	for (i = 0; !status && i < n; i++) {
		status = append_link(system, &path, at, nodes[i], from_gpu);
		at = nodes[i];
		path.costly |= from_gpu && path.path_class == SPAN_PATH_PHB &&
		               is_intel(&machine->nodes[at]);
	}
	system->paths[(size_t)from * (size_t)system->n_ends + (size_t)to] = path;
	return status;
}

/* Between a GPU and the NVSwitch there is their link or nothing. */
static span_status trace_switch(struct search_system *system, int32_t gpu, bool to_switch)
{
	int32_t node = system->machine->devices[gpu], nvswitch = search_switch_end(system);
	int32_t from = to_switch ? node : system->nvswitch, to = to_switch ? system->nvswitch : node;
	struct search_path path = { .first = system->n_steps, .path_class = SPAN_PATH_DIS };
	int32_t link = find_link(system->machine, from, to, SPAN_LINK_NVLINK);
	span_status status = SPAN_OK;

	if (link >= 0) {
		path.path_class = SPAN_PATH_NVL;
		path.bandwidth = link_bandwidth(system->machine, link);
		status = append_link(system, &path, from, to, to_switch);
	}
	system->paths[(size_t)(to_switch ? gpu : nvswitch) * (size_t)system->n_ends +
	              (size_t)(to_switch ? nvswitch : gpu)] = path;
	return status;
}

static span_status trace_all(struct search_system *system)
{
	int32_t devices = system->n_gpus + system->n_nics, from, to;
	span_status status = SPAN_OK;

	for (from = 0; !status && from < devices; from++)
		for (to = 0; !status && to < devices; to++)
			if (from < system->n_gpus || to < system->n_gpus)
				status = trace(system, from, to);
	for (from = 0; !status && from < system->n_gpus && system->nvswitch >= 0; from++) {
		status = trace_switch(system, from, true);
		if (!status)
			status = trace_switch(system, from, false);
	}
	return status;
}

/* --- devices ------------------------------------------------------------------------------ */

static int32_t count_kind(const struct machine *machine, span_node_kind kind)
{
	int32_t count = 0, i;

	for (i = 0; i < machine->n_nodes; i++)
		count += machine->nodes[i].kind == kind;
	return count;
}

/* Ranks as the source numbers them, if it does for all GPUs; else in its order. */
static bool has_ranks(const struct machine *machine, int32_t n_gpus)
{
	int32_t i;

	for (i = 0; i < n_gpus; i++)
		if (machine->nodes[machine->devices[i]].rank < 0)
			return false;
	return true;
}

/* The first PCIe link of a GPU, and the one that comes back. */
static void find_pcie(const struct machine *machine, int32_t node, struct search_gpu *gpu)
{
	int32_t i;

	gpu->out_link = gpu->in_link = -1;
	for (i = machine->nodes[node].last_link; i >= 0; i = machine->links[i].earlier)
		if (machine->links[i].link_class == SPAN_LINK_PCI)
			gpu->out_link = i;
	if (gpu->out_link >= 0)
		gpu->in_link = find_link(machine, machine->links[gpu->out_link].to, node,
		                         SPAN_LINK_PCI);
}

static void fill_gpus(struct search_system *system, int32_t cc)
{
	const struct machine *machine = system->machine;
	bool ranked = has_ranks(machine, system->n_gpus);
	int32_t i;

	system->cc_min = INT32_MAX;
	for (i = 0; i < system->n_gpus; i++) {
		const struct graph_node *node = &machine->nodes[machine->devices[i]];
		struct search_gpu *gpu = &system->gpus[i];

		gpu->rank = ranked ? node->rank : i;
		gpu->dev = node->dev >= 0 ? node->dev : i;
		gpu->cc = node->sm > 0 ? node->sm : cc;
		find_pcie(machine, machine->devices[i], gpu);
		if (gpu->cc < system->cc_min)
			system->cc_min = gpu->cc;
	}
}

static void fill_nic(struct search_system *system, int32_t number)
{
	const struct machine *machine = system->machine;
	int32_t at = machine->devices[search_nic_end(system, number)], i;
	const struct graph_node *node = &machine->nodes[at];
	struct search_nic *nic = &system->nics[number];

	*nic = (struct search_nic){ .latency = (float)(node->latency * 1e6), .alias = number,
		                    .card = node->guid,
		                    .has_card = node->guid_said || node->guid,
		                    .port = node->port < 0 ? 0 : node->port };
	for (i = node->last_link; i >= 0; i = machine->links[i].earlier)
		if (machine->links[i].link_class == SPAN_LINK_NETWORK)
			nic->left = link_bandwidth(machine, i);
	for (i = 0; i < number && node->dev >= 0; i++) {
		const struct graph_node *other =
			&machine->nodes[machine->devices[search_nic_end(system, i)]];

		if (nic->alias == number && other->host == node->host && other->dev == node->dev)
			nic->alias = i;
	}
}

static void fill_devices(struct search_system *system, int32_t cc)
{
	const struct machine *machine = system->machine;
	const struct graph_node *cpu = NULL;
	int32_t i;

	fill_gpus(system, cc);
	for (i = 0; i < system->n_nics; i++)
		fill_nic(system, i);
	for (i = 0; i < machine->n_links; i++)
		system->left[i] = link_bandwidth(machine, i);
	system->nvswitch = -1;
	for (i = machine->n_nodes - 1; i >= 0; i--) {
		if (machine->nodes[i].kind == SPAN_NODE_NVSWITCH)
			system->nvswitch = i;
		if (machine->nodes[i].kind == SPAN_NODE_CPU)
			cpu = &machine->nodes[i];
	}
	system->cpu_arch = cpu ? cpu->arch : ARCH_UNKNOWN;
	system->cpu_vendor = cpu ? cpu->vendor : VENDOR_UNKNOWN;
}

/* --- bounds ------------------------------------------------------------------------------- */

/* All of a GPU's NVLinks, or its PCIe, in the order in which NCCL adds them up. */
static float total_of(const struct machine *machine, int32_t node)
{
	float nvlink = 0, pci = 0;
	int32_t i;

	for (i = 0; i < machine->n_links; i++) {
		if (machine->links[i].from != node)
			continue;
		if (machine->links[i].link_class == SPAN_LINK_NVLINK)
			nvlink += link_bandwidth(machine, i);
		if (machine->links[i].link_class == SPAN_LINK_PCI)
			pci = link_bandwidth(machine, i);
	}
	return fmaxf(nvlink, pci);
}

static void set_bounds(struct search_system *system)
{
	int32_t first = system->inter ? system->n_gpus : 0;
	int32_t n = system->inter ? system->n_nics : system->n_gpus, gpu, i;

	if (!system->inter && system->n_gpus == 1) {
		system->max_bw = system->total_bw = LOCAL_BANDWIDTH;
		return;
	}
	for (gpu = 0; gpu < system->n_gpus; gpu++) {
		for (i = first; i < first + n; i++) {
			const struct search_path *path = search_path_at(system, gpu, i);

			if (path->count)
				system->max_bw = fmaxf(system->max_bw, path->bandwidth);
		}
		system->total_bw = fmaxf(system->total_bw,
		                         total_of(system->machine, system->machine->devices[gpu]));
	}
}

/* NCCL's speeds, and more, depend on the generation. */
static span_status check_capability(const struct search_system *system)
{
	if (system->cc_min > 0)
		return SPAN_OK;
	return span_fail(SPAN_EUNSUPPORTED,
	                 "graph search: the source does not tell the compute capability of the GPUs; "
	                 "a profile with the line \"number comm.cc 90 spread 0 samples 0 source 0\" "
	                 "says it (80 Ampere, 90 Hopper, 100 Blackwell)");
}

/* --- create and free ---------------------------------------------------------------------- */

static span_status allocate(struct search_system *system)
{
	size_t gpus = (size_t)system->n_gpus, nics = (size_t)system->n_nics;
	size_t ends = (size_t)system->n_ends;

	system->gpus = calloc(gpus, sizeof(*system->gpus));
	system->nics = calloc(nics + 1, sizeof(*system->nics));
	system->near = calloc(gpus * nics + 1, sizeof(*system->near));
	system->left = calloc((size_t)system->machine->n_links + 1, sizeof(*system->left));
	system->paths = calloc(ends * ends, sizeof(*system->paths));
	if (!system->gpus || !system->nics || !system->near || !system->left || !system->paths)
		return span_fail(SPAN_ENOMEM, "graph search: no memory for %d GPUs, %d NICs",
		                 system->n_gpus, system->n_nics);
	return SPAN_OK;
}

span_status search_system_create(const struct machine *machine, bool inter, int32_t cc,
                                 struct search_system *system)
{
	span_status status;

	*system = (struct search_system){ .machine = machine, .inter = inter };
	system->n_gpus = count_kind(machine, SPAN_NODE_GPU);
	system->n_nics = count_kind(machine, SPAN_NODE_NIC);
	system->n_ends = system->n_gpus + system->n_nics + 1;
	if (system->n_gpus < 1 || system->n_gpus > SEARCH_MOST_GPUS ||
	    system->n_nics > SEARCH_MOST_NICS)
		return span_fail(SPAN_EUNSUPPORTED, "graph search: %d GPUs and %d NICs in a node; "
		                                    "1 to %d and up to %d are searched",
		                 system->n_gpus, system->n_nics, SEARCH_MOST_GPUS, SEARCH_MOST_NICS);
	if (inter && !system->n_nics)
		return span_fail(SPAN_EUNSUPPORTED, "graph search: several nodes, and no NIC");
	status = allocate(system);
	if (!status) {
		fill_devices(system, cc);
		status = check_capability(system);
	}
	if (!status)
		status = trace_all(system);
	if (status) {
		search_system_free(system);
		return status;
	}
	set_bounds(system);
	search_nics_prepare(system);
	return SPAN_OK;
}

void search_system_free(struct search_system *system)
{
	free(system->gpus);
	free(system->nics);
	free(system->near);
	free(system->left);
	free(system->paths);
	free(system->steps);
	*system = (struct search_system){ 0 };
}
