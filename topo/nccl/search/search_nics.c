/* Which NICs a channel may begin and end at, and in which order they are tried. */
#include "topo/nccl/search/search_work.h"

#include "topo/graph/path.h"

/* --- nearness ----------------------------------------------------------------------------- */

int32_t search_nics_gpus(const struct search_system *system, int32_t nic, int32_t *gpus)
{
	int32_t n = path_nearest(system->machine, search_nic_end(system, nic), 0, system->n_gpus, gpus);

	if (n && search_path_at(system, search_nic_end(system, nic), gpus[0])->path_class ==
	                 SPAN_PATH_DIS)
		return 0;
	return n;
}

/* The NIC that a GPU uses on a channel; -1: it has none. */
static int32_t nic_of_channel(const struct search_system *system, int32_t gpu, int32_t channel)
{
	const struct search_gpu *of = &system->gpus[gpu];
	int32_t place;

	if (!of->near_nics)
		return -1;
	place = path_spread(of->dev, of->near_nics, channel % of->per_gpu);
	return system->nics[system->near[gpu * system->n_nics + place]].alias;
}

static void find_near(struct search_system *system, int32_t gpu)
{
	struct search_gpu *of = &system->gpus[gpu];
	int32_t nics[SEARCH_MOST_NICS], gpus[SEARCH_MOST_GPUS], n, i;

	of->near_nics = path_nearest(system->machine, gpu, system->n_gpus, system->n_nics, nics);
	for (i = 0; i < of->near_nics; i++)
		system->near[gpu * system->n_nics + i] = (int16_t)nics[i];
	of->per_gpu = 1;
	if (!of->near_nics)
		return;
	n = path_nearest(system->machine, search_nic_end(system, nics[0]), 0, system->n_gpus, gpus);
	of->per_gpu = (of->near_nics + n - 1) / n;
}

static int32_t find_local_gpu(const struct search_system *system, int32_t nic)
{
	int32_t known = system->nics[nic].alias, gpus[SEARCH_MOST_GPUS], channel, i;
	int32_t n = path_nearest(system->machine, search_nic_end(system, known), 0, system->n_gpus,
	                         gpus);

	for (channel = 0; channel < SEARCH_NIC_CHANNELS; channel++)
		for (i = 0; i < n; i++)
			if (nic_of_channel(system, gpus[i], channel) == known)
				return gpus[i];
	return -1;
}

void search_nics_prepare(struct search_system *system)
{
	int32_t i;

	for (i = 0; i < system->n_gpus; i++)
		find_near(system, i);
	for (i = 0; i < system->n_nics; i++)
		system->nics[i].local_gpu = find_local_gpu(system, i);
}

/* A NIC whose card the source does not name is on a card of its own. */
bool search_nics_same_port(const struct search_system *system, int32_t a, int32_t b)
{
	const struct search_nic *x = &system->nics[a], *y = &system->nics[b];

	if (x->port != y->port || x->has_card != y->has_card)
		return false;
	return x->has_card ? x->card == y->card : x->alias == y->alias;
}

/* --- order -------------------------------------------------------------------------------- */

static int32_t add_once(int16_t *nics, int32_t n, int32_t nic)
{
	int32_t i;

	for (i = 0; i < n; i++)
		if (nics[i] == nic)
			return n;
	nics[n] = (int16_t)nic;
	return n + 1;
}

/* The NICs that a GPU uses, each GPU's together. */
static int32_t add_by_gpu(const struct search_system *system, int32_t first, int32_t end,
                          int16_t *nics)
{
	int32_t n = 0, gpu, channel;

	for (gpu = first; gpu < end; gpu++)
		for (channel = 0; channel < SEARCH_NIC_CHANNELS; channel++) {
			int32_t nic = nic_of_channel(system, gpu, channel);

			if (nic < 0 || (channel && nic == nic_of_channel(system, gpu, 0)))
				break;
			n = add_once(nics, n, nic);
		}
	return n;
}

/* Each GPU's first, then each GPU's second, and so on: where several hosts are one node. */
static int32_t add_by_channel(const struct search_system *system, int32_t first, int32_t end,
                              int16_t *nics)
{
	int32_t n = 0, gpu, channel;

	for (channel = 0; channel < SEARCH_NIC_CHANNELS; channel++)
		for (gpu = first; gpu < end; gpu++) {
			int32_t nic = nic_of_channel(system, gpu, channel);

			if (nic >= 0 && channel < system->gpus[gpu].per_gpu)
				n = add_once(nics, n, nic);
		}
	return n;
}

/* NICs to which a GPU's path is of a class; NCCL looks at the first 64. */
static int32_t add_class(const struct search_system *system, int32_t gpu, int32_t path_class,
                         int16_t *nics, int32_t n)
{
	int32_t i;

	for (i = 0; i < system->n_nics && i < SEARCH_NIC_CHANNELS; i++)
		if ((int32_t)search_path_at(system, gpu, search_nic_end(system, i))->path_class ==
		    path_class)
			n = add_once(nics, n, i);
	return n;
}

int32_t search_nics_order(const struct search_system *system, int32_t gpu,
                          span_path_class farthest, int16_t *nics)
{
	int32_t first = gpu < 0 ? 0 : gpu, end = gpu < 0 ? system->n_gpus : gpu + 1;
	int32_t path_class, g, n;

	n = system->machine->n_hosts > 1 ? add_by_channel(system, first, end, nics)
	                                 : add_by_gpu(system, first, end, nics);
	for (path_class = 0; path_class <= (int32_t)farthest; path_class++)
		for (g = first; g < end; g++)
			n = add_class(system, g, path_class, nics, n);
	return n;
}
