/* What a channel takes from the links of a path, and gives back. */
#include "topo/nccl/search/search_work.h"

#include <math.h>

/* NCCL rounds to thousandths, so that what was taken and given back is whole again. */
static float less(float left, float taken)
{
	return roundf((left - taken) * 1000) / 1000;
}

static bool is_inside(const struct search_system *system, int32_t end)
{
	return end < system->n_gpus || end == search_switch_end(system);
}

static bool is_tree(const struct search_graph *graph)
{
	return graph->pattern == SEARCH_BALANCED_TREE || graph->pattern == SEARCH_TREE;
}

/* What the links of a path are asked for; negative to give back. */
struct demand {
	float plain, pci;
};

static struct demand demand_of(const struct search_graph *graph, const struct search_path *path,
                               bool inside, float times)
{
	float bandwidth = (inside ? graph->bw_intra : graph->bw_inter) * times;

	return (struct demand){ bandwidth, path->costly ? bandwidth * 6 / 5 : bandwidth };
}

/* Take from the first `count` steps, as far as there is enough; returns how far. */
static int32_t take_steps(struct search_system *system, const struct search_path *path,
                          struct demand demand, int32_t count)
{
	int32_t i;

	for (i = 0; i < count; i++) {
		const struct search_step *step = &system->steps[path->first + i];
		float forth = step->pci ? demand.pci : demand.plain;
		float back = step->back >= 0 ? forth * step->back_share : 0;

		if (system->left[step->link] < forth ||
		    (step->back >= 0 && system->left[step->back] < back))
			break;
		system->left[step->link] = less(system->left[step->link], forth);
		if (step->back >= 0)
			system->left[step->back] = less(system->left[step->back], back);
	}
	return i;
}

/* Classes are looked at only for whole channels: those of an NVSwitch take a link twice. */
static bool allowed(const struct search_walk *walk, int32_t from, int32_t to,
                    const struct search_path *path, bool inside, float times)
{
	const struct search_graph *graph = walk->graph;
	int32_t farthest = inside ? graph->type_intra : graph->type_inter;

	if (path->path_class >= SPAN_PATH_DIS)
		return false;
	if (times != 1)
		return true;
	if ((int32_t)path->path_class > farthest)
		return false;
	return !is_tree(graph) ||
	       (int32_t)search_path_at(walk->system, to, from)->path_class <= farthest;
}

bool search_take(struct search_walk *walk, int32_t from, int32_t to, float times)
{
	struct search_system *system = walk->system;
	const struct search_path *path = search_path_at(system, from, to);
	bool inside = is_inside(system, from) && is_inside(system, to);
	struct demand demand = demand_of(walk->graph, path, inside, times);
	int32_t reached;

	if (!allowed(walk, from, to, path, inside, times))
		return false;
	reached = take_steps(system, path, demand, path->count);
	if (reached < path->count) {
		take_steps(system, path, (struct demand){ -demand.plain, -demand.pci }, reached);
		return false;
	}
	walk->graph->hops += (int32_t)times * path->count;
	return true;
}

void search_give(struct search_walk *walk, int32_t from, int32_t to, float times)
{
	const struct search_path *path = search_path_at(walk->system, from, to);
	bool inside = is_inside(walk->system, from) && is_inside(walk->system, to);

	take_steps(walk->system, path, demand_of(walk->graph, path, inside, -times), path->count);
	walk->graph->hops -= (int32_t)times * path->count;
}
