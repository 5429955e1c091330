/* How wide the bottleneck of a ring can be at most: what every ring needs, asked of the links
 * of at least a level. A ring enters and leaves each device once (so there is a cycle cover),
 * leads from each device to each (the graph is strongly connected), and stays in one piece
 * when a device is taken away (so is the graph, whatever the directions of its links).
 * Whatever holds for a level holds for the lower ones. */
#include "topo/ring/ring.h"

#include <stdlib.h>
#include <string.h>

#include "topo/log.h"

/* The graph of the links of at least a level, and scratch for walks through it. */
struct graph {
	const struct ring_problem *problem;
	double level;
	int32_t *queue; /* [n] */
	int32_t *mark;  /* [n] */
	int32_t *low;   /* [n] */
	int32_t *next;  /* [n] */
	int32_t *above; /* [n] */
};

static bool leads(const struct graph *graph, int32_t from, int32_t to)
{
	return from != to && graph->problem->bandwidth[(size_t)from * graph->problem->n + to] >=
	                             graph->level;
}

static bool touches(const struct graph *graph, int32_t a, int32_t b)
{
	return leads(graph, a, b) || leads(graph, b, a);
}

static void fill(int32_t *numbers, int32_t n, int32_t value)
{
	for (int32_t i = 0; i < n; i++)
		numbers[i] = value;
}

/* Whether all can be reached from device 0, or 0 from all. */
static bool reaches_all(const struct graph *graph, bool backward)
{
	int32_t n = graph->problem->n, head = 0, tail = 0;

	fill(graph->mark, n, 0);
	graph->queue[tail++] = 0;
	graph->mark[0] = 1;
	while (head < tail) {
		int32_t from = graph->queue[head++];

		for (int32_t to = 0; to < n; to++) {
			if (graph->mark[to] ||
			    !(backward ? leads(graph, to, from) : leads(graph, from, to)))
				continue;
			graph->mark[to] = 1;
			graph->queue[tail++] = to;
		}
	}
	return tail == n;
}

/* Whether no single device holds the graph together: a walk in depth; low[v] is the earliest
 * device that v or one below it touches. Source: Hopcroft & Tarjan 1973, algorithm 447. */
static bool survives_losing_any(const struct graph *graph)
{
	int32_t n = graph->problem->n, depth = 0, seen = 1, branches = 0;
	int32_t *path = graph->queue, *when = graph->mark, *low = graph->low;

	fill(when, n, 0);
	fill(graph->next, n, 0);
	path[0] = 0;
	when[0] = low[0] = 1;
	while (depth >= 0) {
		int32_t v = path[depth], to = graph->next[v]++;

		if (to == n) {
			int32_t above = depth ? path[depth - 1] : -1;

			depth--;
			if (above > 0 && low[v] >= when[above])
				return false;
			if (above >= 0 && low[v] < low[above])
				low[above] = low[v];
		} else if (touches(graph, v, to) && !when[to]) {
			branches += v == 0;
			when[to] = low[to] = ++seen;
			path[++depth] = to;
		} else if (touches(graph, v, to) && when[to] < low[v]) {
			low[v] = when[to];
		}
	}
	return seen == n && branches == 1;
}

/* Let one more device leave for another, moving earlier ones if need be: the shortest such
 * chain. giver[to]: who leads to it, or -1. */
static bool give_one_more(const struct graph *graph, int32_t first, int32_t *giver)
{
	int32_t n = graph->problem->n, head = 0, tail = 0;

	fill(graph->above, n, -1);
	graph->queue[tail++] = first;
	while (head < tail) {
		int32_t from = graph->queue[head++];

		for (int32_t to = 0; to < n; to++) {
			if (graph->above[to] >= 0 || !leads(graph, from, to))
				continue;
			graph->above[to] = from;
			if (giver[to] >= 0) {
				graph->queue[tail++] = giver[to];
				continue;
			}
			while (to >= 0) { /* back along the chain */
				int32_t who = graph->above[to], before = graph->next[who];

				giver[to] = who;
				graph->next[who] = to;
				to = who == first ? -1 : before;
			}
			return true;
		}
	}
	return false;
}

/* Whether every device can leave for one of its own. */
static bool has_cycle_cover(const struct graph *graph)
{
	int32_t *giver = graph->low;

	fill(giver, graph->problem->n, -1);
	fill(graph->next, graph->problem->n, -1);
	for (int32_t device = 0; device < graph->problem->n; device++)
		if (!give_one_more(graph, device, giver))
			return false;
	return true;
}

static bool may_have_ring(const struct graph *graph)
{
	return reaches_all(graph, false) && reaches_all(graph, true) &&
	       (graph->problem->n < 3 || survives_losing_any(graph)) && has_cycle_cover(graph);
}

span_status ring_bound(const struct ring_problem *problem, const struct ring_levels *levels,
                       double *bound)
{
	size_t n = (size_t)problem->n;
	int32_t *scratch = malloc(5 * n * sizeof(*scratch)), low = -1, high = levels->count;
	struct graph graph = { .problem = problem };

	if (!scratch)
		return span_fail(SPAN_ENOMEM, "ring: no memory for the bound of %d devices",
		                 problem->n);
	graph.queue = scratch;
	graph.mark = scratch + n;
	graph.low = scratch + 2 * n;
	graph.next = scratch + 3 * n;
	graph.above = scratch + 4 * n;
	while (high - low > 1) {
		int32_t middle = low + (high - low) / 2;

		graph.level = levels->level[middle];
		if (may_have_ring(&graph))
			low = middle;
		else
			high = middle;
	}
	*bound = low < 0 ? 0 : levels->level[low];
	free(scratch);
	return SPAN_OK;
}
