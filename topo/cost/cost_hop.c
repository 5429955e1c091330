/* One hop of a flat ring: what every rank's message to the one before costs when all are under way.
 *
 * All messages are equally long, so the fullest link decides: those that share it end together,
 * and those that end before them take nothing of it. With that, rings are priced that are too
 * long to be walked. */
#include "topo/cost/cost.h"

#include <math.h>
#include <stdlib.h>

#include "topo/log.h"

/* Messages on each link. */
static span_status count_takers(const struct span_cost_network *network, int32_t *takers)
{
	for (int32_t i = 0; i < network->ranks; i++) {
		struct cost_route route;
		span_status status = cost_find_route(network, (i + 1) % network->ranks, i, &route);

		if (status)
			return status;
		for (int32_t k = 0; k < route.n; k++)
			takers[route.links[k]]++;
	}
	return SPAN_OK;
}

/* From the first byte of all messages to the last of the slowest. */
static double slowest(const struct span_cost_network *network, const int32_t *takers,
                      double bytes)
{
	double most = 0;

	for (int32_t i = 0; i < network->ranks; i++) {
		struct cost_route route;
		double share = INFINITY;

		if (cost_find_route(network, (i + 1) % network->ranks, i, &route))
			continue; /* counted before, so it has one */
		for (int32_t k = 0; k < route.n; k++)
			share = fmin(share, network->bandwidth[route.links[k]] /
			                            takers[route.links[k]]);
		most = fmax(most, bytes / share + route.latency);
	}
	return most;
}

span_status cost_ring_by_hop(const struct span_cost_network *network, const span_cost_work *work,
                             span_cost *cost)
{
	int32_t *takers = calloc((size_t)network->n_links + 1, sizeof(*takers));
	int32_t hops = network->ranks - 1;
	double hop, compute = work->gather_first ? 0 : work->compute;
	span_status status;

	if (!takers)
		return span_fail(SPAN_ENOMEM, "cost: no memory for %d links", network->n_links);
	status = hops ? count_takers(network, takers) : SPAN_OK;
	hop = status || !hops ? 0 : slowest(network, takers, work->block_bytes);
	free(takers);
	if (status)
		return status;
	*cost = (span_cost){ .compute = network->ranks * work->compute };
	cost->seconds = hops * (work->stalls ? hop + compute : fmax(hop, compute)) +
	                (work->gather_first ? cost->compute : compute);
	cost->exposed = fmax(0, cost->seconds - cost->compute);
	return SPAN_OK;
}
