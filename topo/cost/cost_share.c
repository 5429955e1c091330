/* Messages that share links: max-min fairness by progressive filling. The link with the least
 * for each of its messages fixes their rates; what they leave of other links is shared anew by
 * the rest, and so on. Source: Bertsekas & Gallager, Data Networks, 2nd edition, 6.5.2. */
#include "topo/cost/cost.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"

/* Shares that differ by less are one: they come from the same numbers in another order. */
#define SAME (1 + 1e-12)

/* What is left of a message when it counts as through, of its bytes: rounding of the rates. */
#define THROUGH 1e-11

static span_status no_memory(void)
{
	return span_fail(SPAN_ENOMEM, "span_cost_walk: no memory for the messages under way");
}

/* Let an array of `room` items grow to at least `wanted`. */
static bool grow(void **array, size_t *room, size_t wanted, size_t item_bytes)
{
	size_t larger = *room ? *room : 64;
	void *grown;

	if (wanted <= *room)
		return true;
	while (larger < wanted)
		larger *= 2;
	grown = realloc(*array, larger * item_bytes);
	if (!grown)
		return false;
	*array = grown;
	*room = larger;
	return true;
}

static bool grow32(void **array, int32_t *room, int32_t wanted, size_t item_bytes)
{
	size_t larger = (size_t)*room;

	if (!grow(array, &larger, (size_t)wanted, item_bytes) || larger > INT32_MAX)
		return false;
	*room = (int32_t)larger;
	return true;
}

span_status cost_flows_create(const struct span_cost_network *network, struct cost_flows *flows)
{
	size_t n = (size_t)network->n_links + 1;

	*flows = (struct cost_flows){ .network = network };
	flows->free_share = malloc(n * sizeof(double));
	flows->takers = calloc(n, sizeof(int32_t));
	flows->touched = malloc(n * sizeof(int32_t));
	flows->full_seconds = calloc(n, sizeof(double));
	flows->is_full = calloc(n, 1);
	if (flows->free_share && flows->takers && flows->touched && flows->full_seconds &&
	    flows->is_full)
		return SPAN_OK;
	return no_memory();
}

void cost_flows_free(struct cost_flows *flows)
{
	free(flows->flow);
	free(flows->routes);
	free(flows->route_links);
	free(flows->route_table);
	free(flows->free_share);
	free(flows->takers);
	free(flows->touched);
	free(flows->full_seconds);
	free(flows->is_full);
}

/* --- routes, each once ------------------------------------------------------------------------ */

static uint32_t mix(int32_t from, int32_t to)
{
	uint64_t key = (uint64_t)(uint32_t)from << 32 | (uint32_t)to;

	key *= 0x9e3779b97f4a7c15u; /* 2^64 / golden ratio: Knuth, volume 3, 6.4 */
	return (uint32_t)(key >> 33);
}

/* Where a pair stands in the table, or would. */
static int32_t slot_of(const struct cost_flows *flows, int32_t from, int32_t to)
{
	int32_t slot = (int32_t)(mix(from, to) & (uint32_t)(flows->table_size - 1));

	for (; flows->route_table[slot] >= 0; slot = (slot + 1) & (flows->table_size - 1)) {
		const struct cost_kept_route *route = &flows->routes[flows->route_table[slot]];

		if (route->from == from && route->to == to)
			break;
	}
	return slot;
}

/* A table twice as large as it must be. */
static bool enlarge_table(struct cost_flows *flows)
{
	int32_t size = flows->table_size ? flows->table_size : 64;
	int32_t *table;

	if (flows->table_size && flows->n_routes < flows->table_size / 2)
		return true;
	if (flows->table_size)
		size *= 2;
	table = malloc((size_t)size * sizeof(*table));
	if (!table)
		return false;
	memset(table, 0xff, (size_t)size * sizeof(*table));
	free(flows->route_table);
	flows->route_table = table;
	flows->table_size = size;
	for (int32_t i = 0; i < flows->n_routes; i++)
		table[slot_of(flows, flows->routes[i].from, flows->routes[i].to)] = i;
	return true;
}

static span_status keep_route(struct cost_flows *flows, int32_t from, int32_t to, int32_t slot)
{
	struct cost_route route = { 0 };
	span_status status = cost_find_route(flows->network, from, to, &route);

	if (status)
		return status;
	if (!grow32((void **)&flows->routes, &flows->route_room, flows->n_routes + 1,
	            sizeof(*flows->routes)) ||
	    !grow((void **)&flows->route_links, &flows->route_link_room,
	          flows->n_route_links + (size_t)route.n, sizeof(*flows->route_links)))
		return no_memory();
	memcpy(flows->route_links + flows->n_route_links, route.links,
	       (size_t)route.n * sizeof(*route.links));
	flows->routes[flows->n_routes] = (struct cost_kept_route){ from, to, route.n,
		                                                   flows->n_route_links,
		                                                   route.latency };
	flows->n_route_links += (size_t)route.n;
	flows->route_table[slot] = flows->n_routes++;
	return SPAN_OK;
}

span_status cost_flows_add(struct cost_flows *flows, int32_t from, int32_t to, double bytes,
                           int32_t due)
{
	span_status status = SPAN_OK;
	int32_t slot;

	if (!enlarge_table(flows) || !grow32((void **)&flows->flow, &flows->room, flows->n + 1,
	                                     sizeof(*flows->flow)))
		return no_memory();
	slot = slot_of(flows, from, to);
	if (flows->route_table[slot] < 0)
		status = keep_route(flows, from, to, slot);
	if (status)
		return status;
	flows->flow[flows->n++] = (struct cost_flow){ flows->route_table[slot], due, bytes, 0 };
	flows->stale = true;
	return SPAN_OK;
}

/* --- rates ------------------------------------------------------------------------------------ */

static const int32_t *links_of(const struct cost_flows *flows, const struct cost_flow *flow,
                               int32_t *n)
{
	const struct cost_kept_route *route = &flows->routes[flow->route];

	*n = route->n;
	return flows->route_links + route->first;
}

/* Count who takes which link. */
static void count_takers(struct cost_flows *flows)
{
	flows->n_touched = 0;
	for (int32_t i = 0; i < flows->n; i++) {
		int32_t n;
		const int32_t *links = links_of(flows, &flows->flow[i], &n);

		flows->flow[i].rate = -1;
		for (int32_t l = 0; l < n; l++) {
			int32_t link = links[l];

			if (flows->takers[link]++ == 0) {
				flows->touched[flows->n_touched++] = link;
				flows->free_share[link] = flows->network->bandwidth[link];
				flows->is_full[link] = 0;
			}
		}
	}
}

static double least_share(const struct cost_flows *flows)
{
	double least = INFINITY;

	for (int32_t i = 0; i < flows->n_touched; i++) {
		int32_t link = flows->touched[i];

		if (flows->takers[link] > 0)
			least = fmin(least, flows->free_share[link] / flows->takers[link]);
	}
	return least;
}

/* Links that have no more than the least for each of their messages. */
static void mark_full(struct cost_flows *flows, double least)
{
	for (int32_t i = 0; i < flows->n_touched; i++) {
		int32_t link = flows->touched[i];

		if (flows->takers[link] > 0 &&
		    flows->free_share[link] <= least * flows->takers[link] * SAME)
			flows->is_full[link] = 1;
	}
}

/* Fix the rates of the messages on full links; returns how many. */
static int32_t fix_rates(struct cost_flows *flows, double least)
{
	int32_t fixed = 0;

	for (int32_t i = 0; i < flows->n; i++) {
		bool full = least == INFINITY;
		int32_t n;
		const int32_t *links = links_of(flows, &flows->flow[i], &n);

		if (flows->flow[i].rate >= 0)
			continue;
		for (int32_t l = 0; l < n; l++)
			full |= flows->is_full[links[l]];
		if (!full)
			continue;
		flows->flow[i].rate = least;
		fixed++;
		for (int32_t l = 0; l < n; l++) {
			flows->takers[links[l]]--;
			flows->free_share[links[l]] = fmax(0, flows->free_share[links[l]] - least);
		}
	}
	return fixed;
}

static void share(struct cost_flows *flows)
{
	int32_t left = flows->n;

	count_takers(flows);
	while (left > 0) {
		double least = least_share(flows);

		if (least < INFINITY)
			mark_full(flows, least);
		left -= fix_rates(flows, least);
	}
	for (int32_t i = 0; i < flows->n_touched; i++)
		flows->takers[flows->touched[i]] = 0;
	flows->stale = false;
}

static double seconds_left(const struct cost_flow *flow)
{
	if (flow->left <= 0 || flow->rate == INFINITY)
		return 0;
	return flow->left / flow->rate;
}

double cost_flows_pass(struct cost_flows *flows, double most)
{
	double seconds = most;

	if (flows->stale)
		share(flows);
	for (int32_t i = 0; i < flows->n; i++)
		seconds = fmin(seconds, seconds_left(&flows->flow[i]));
	for (int32_t i = 0; i < flows->n; i++) {
		struct cost_flow *flow = &flows->flow[i];

		if (seconds_left(flow) <= seconds * (1 + THROUGH))
			flow->left = 0;
		else
			flow->left -= flow->rate * seconds;
	}
	for (int32_t i = 0; flows->n > 0 && i < flows->n_touched; i++)
		if (flows->is_full[flows->touched[i]])
			flows->full_seconds[flows->touched[i]] += seconds;
	return seconds;
}
