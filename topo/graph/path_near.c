/* Which devices are nearest, and how NCCL spreads GPUs over NICs that are equally near. */
#include "topo/graph/path.h"

int32_t path_nearest(const struct machine *machine, int32_t from, int32_t first, int32_t n,
                     int32_t *items)
{
	struct graph_path best = { .path_class = SPAN_PATH_DIS };
	int32_t count = 0, i;

	for (i = 0; i < n; i++) {
		const struct graph_path *path = path_at(machine, from, first + i);

		if (path->bandwidth > best.bandwidth ||
		    (path->bandwidth == best.bandwidth && path->path_class < best.path_class)) {
			best = *path;
			count = 0;
		}
		if (path->bandwidth == best.bandwidth && path->path_class == best.path_class)
			items[count++] = i;
	}
	return count;
}

static uint32_t mirror_bits(uint32_t value, uint32_t power)
{
	uint32_t mirrored = 0, bit, other = power >> 1;

	for (bit = 1; bit < power; bit <<= 1, other >>= 1)
		if (value & bit)
			mirrored |= other;
	return mirrored;
}

int32_t path_spread(int32_t dev, int32_t n, int32_t channel)
{
	uint32_t first = (uint32_t)dev, count = (uint32_t)n;

	if ((count & (count - 1)) == 0)
		first = mirror_bits(first, count);
	return (int32_t)((first + (uint32_t)channel) % count);
}
