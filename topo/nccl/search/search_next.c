/* To which GPU a channel goes on first. Walks end before all has been tried, so the order decides. */
#include "topo/nccl/search/search_work.h"

#include <stdlib.h>

/* A GPU that could be next; the higher fields decide. Whole GB/s. */
struct candidate {
	int32_t gpu;
	int32_t net_bandwidth, pcie, net_hops; /* from the channel's first NIC */
	int32_t bandwidth, hops;               /* from where the channel is */
	int32_t place;                         /* after that GPU, in a circle */
};

static int compare_candidates(const void *first, const void *second)
{
	const struct candidate *a = first, *b = second;

	if (a->net_bandwidth != b->net_bandwidth)
		return a->net_bandwidth > b->net_bandwidth ? -1 : 1;
	if (a->pcie != b->pcie)
		return a->pcie > b->pcie ? -1 : 1;
	if (a->net_hops != b->net_hops)
		return a->net_hops < b->net_hops ? -1 : 1;
	if (a->bandwidth != b->bandwidth)
		return a->bandwidth > b->bandwidth ? -1 : 1;
	if (a->hops != b->hops)
		return a->hops < b->hops ? -1 : 1;
	return a->place < b->place ? -1 : 1;
}

/* What the PCIe link of a GPU has left. */
static int32_t pcie_left(const struct search_system *system, int32_t gpu)
{
	const struct search_gpu *of = &system->gpus[gpu];
	float out, in;

	if (of->out_link < 0 || of->in_link < 0)
		return -1;
	out = system->left[of->out_link];
	in = system->left[of->in_link];
	return (int32_t)(out < in ? out : in);
}

static struct candidate candidate_of(const struct search_walk *walk, int32_t from, int32_t gpu,
                                     int32_t place, bool by_nic)
{
	const struct search_system *system = walk->system;
	const struct search_path *path = search_path_at(system, from, gpu);
	struct candidate made = { .gpu = gpu, .bandwidth = (int32_t)path->bandwidth,
		                  .hops = path->count, .place = place };

	if (by_nic) {
		int32_t nic = walk->graph->nics[walk->graph->channels][0];

		path = search_path_at(system, search_nic_end(system, nic), gpu);
		made.net_bandwidth = (int32_t)path->bandwidth;
		made.net_hops = path->count;
		made.pcie = pcie_left(system, gpu);
	}
	return made;
}

static bool equally_near(const struct candidate *candidates, int32_t n)
{
	int32_t i;

	for (i = 1; i < n; i++)
		if (candidates[i].bandwidth != candidates[0].bandwidth ||
		    candidates[i].hops != candidates[0].hops)
			return false;
	return true;
}

/* Move a GPU to the front; false: it is not there. */
static bool move_to_front(int16_t *next, int32_t n, int32_t gpu)
{
	int32_t i;

	for (i = 0; i < n && next[i] != gpu; i++)
		;
	if (i == n)
		return false;
	for (; i > 0; i--)
		next[i] = next[i - 1];
	next[0] = (int16_t)gpu;
	return true;
}

/* Over an NVSwitch a channel goes on to a neighbour by number, and to nobody else. */
static int32_t keep_neighbours(const struct search_walk *walk, int32_t gpu, int16_t *next,
                               int32_t n)
{
	int32_t gpus = walk->system->n_gpus, after = (gpu + 1) % gpus;
	int32_t before = (gpu - 1 + gpus) % gpus, kept = 0;
	int32_t neighbours[2] = { after, before };

	if (walk->graph->pattern == SEARCH_BALANCED_TREE) {
		neighbours[0] = before;
		neighbours[1] = after;
	}
	kept += move_to_front(next, n, neighbours[0]);
	if (before != after && walk->graph->pattern != SEARCH_TREE)
		kept += move_to_front(next, n, neighbours[1]);
	return kept;
}

int32_t search_next_gpus(const struct search_walk *walk, int32_t gpu, int by_nic, int16_t *next)
{
	const struct search_system *system = walk->system;
	struct candidate candidates[SEARCH_MOST_GPUS];
	uint64_t bit = (uint64_t)1 << walk->graph->channels;
	int32_t n = 0, i;
	bool turn;

	for (i = 1; i < system->n_gpus; i++) {
		int32_t to = (gpu + i) % system->n_gpus;

		if (search_path_at(system, gpu, to)->count && !(system->gpus[to].used & bit))
			candidates[n++] = candidate_of(walk, gpu, to, i, by_nic != 0);
	}
	if (!n)
		return 0;
	qsort(candidates, (size_t)n, sizeof(*candidates), compare_candidates);
	turn = by_nic < 0 && equally_near(candidates, n);
	for (i = 0; i < n; i++)
		next[i] = (int16_t)candidates[turn ? n - 1 - i : i].gpu;
	return system->nvswitch >= 0 ? keep_neighbours(walk, gpu, next, n) : n;
}
