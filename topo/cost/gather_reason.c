/* The reason for a gather order, in one sentence for people. */
#include "topo/cost/gather.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct text {
	char bytes[32];
};

/* "21.0 ms" */
static struct text time_text(double seconds)
{
	struct text text;
	const char *unit = seconds >= 1 ? "s" : seconds >= 1e-3 ? "ms" : "us";
	double value = seconds >= 1 ? seconds : seconds >= 1e-3 ? 1e3 * seconds : 1e6 * seconds;

	snprintf(text.bytes, sizeof(text.bytes), "%.*f %s", value < 100 ? 1 : 0, value, unit);
	return text;
}

/* "450 GB/s" */
static struct text rate_text(double bandwidth)
{
	struct text text;

	snprintf(text.bytes, sizeof(text.bytes), "%.3g GB/s", bandwidth / 1e9);
	return text;
}

/* "12.6 MB" */
static struct text size_text(double bytes)
{
	struct text text;
	int unit = 0;

	for (; bytes >= 1000 && unit < 4; unit++)
		bytes /= 1000;
	snprintf(text.bytes, sizeof(text.bytes), "%.3g %cB", bytes, " kMGT"[unit]);
	if (!unit)
		snprintf(text.bytes, sizeof(text.bytes), "%.0f bytes", bytes);
	return text;
}

static const span_gather_candidate *find(const span_gather_choice *choice, span_order_kind kind)
{
	for (int32_t i = 0; i < choice->n; i++)
		if (choice->candidate[i].kind == kind && choice->candidate[i].rings == 1)
			return &choice->candidate[i];
	return NULL;
}

/* Nothing to speak of is exposed. */
static bool hides(const span_cost *cost)
{
	return cost->exposed <= 0.02 * cost->seconds;
}

static void why_ring_alone(const span_cost_cluster *cluster, span_gather_choice *choice,
                           const span_gather_candidate *best, const char *device)
{
	struct text rate = rate_text(cluster->intra_bandwidth);
	int32_t n = cluster->ranks_per_node;

	if (hides(&best->cost))
		snprintf(choice->reason, sizeof(choice->reason),
		         "the %d %ss are in one host, whose links (%s) bring each block while another "
		         "is computed on, so the ring, which needs two buffers, loses nothing",
		         n, device, rate.bytes);
	else
		snprintf(choice->reason, sizeof(choice->reason),
		         "the %d %ss are in one host, where no order beats the ring over its links "
		         "(%s), and the ring needs two buffers only",
		         n, device, rate.bytes);
}

/* Several hosts, and the ring is as good. */
static void why_ring_of_hosts(const span_cost_cluster *cluster, span_gather_choice *choice,
                              const span_gather_candidate *best, const char *device)
{
	struct text rate = rate_text(cluster->nic_bandwidth), later = size_text(choice->crossover);
	const span_gather_candidate *other = find(choice, SPAN_ORDER_NODE_FIRST);
	char gains[96] = "";

	if (choice->crossover > 0 && choice->crossover < INFINITY)
		snprintf(gains, sizeof(gains), "; from blocks of %s on node-first would be faster",
		         later.bytes);
	if (cluster->ranks_per_node == 1)
		snprintf(choice->reason, sizeof(choice->reason),
		         "each host has one %s, so there is nothing to pass round inside before "
		         "blocks cross the network", device);
	else if (hides(&best->cost))
		snprintf(choice->reason, sizeof(choice->reason),
		         "the network (%s a NIC) brings each block of a flat ring while another is "
		         "computed on%s", rate.bytes, gains);
	else
		snprintf(choice->reason, sizeof(choice->reason),
		         "going round inside hosts first takes %s, no better than the %s of a flat "
		         "ring, which needs fewer buffers%s", time_text(other->cost.seconds).bytes,
		         time_text(best->cost.seconds).bytes, gains);
}

static void why_node_first(const span_cost_cluster *cluster, span_gather_choice *choice,
                           const span_gather_candidate *best)
{
	const span_gather_candidate *ring = find(choice, SPAN_ORDER_RING);
	struct text inside = rate_text(cluster->intra_bandwidth);
	struct text out = rate_text(cluster->nic_bandwidth);
	struct text own = time_text(best->cost.seconds), flat = time_text(ring->cost.seconds);
	bool faster = cluster->intra_bandwidth > cluster->nic_bandwidth;
	char way[64] = "while the next ones cross the network", links[128] = "";

	if (cluster->nics > 1)
		snprintf(way, sizeof(way), "while the next ones cross on %d NICs at once",
		         cluster->nics);
	if (faster)
		snprintf(links, sizeof(links), "links inside a host (%s) are faster than its way out "
		         "(%s a NIC), so ", inside.bytes, out.bytes);
	snprintf(choice->reason, sizeof(choice->reason),
	         "%sblocks go round inside the host %s: %s, where a flat ring takes %s", links, way,
	         own.bytes, flat.bytes);
}

static void why_direct(const span_cost_work *work, span_gather_choice *choice,
                       const span_gather_candidate *best)
{
	const span_gather_candidate *ring = find(choice, SPAN_ORDER_RING);
	bool all = best->kind == SPAN_ORDER_ALL_GATHER;

	snprintf(choice->reason, sizeof(choice->reason),
	         "with blocks of %s %s takes %s, where a flat ring takes %s%s",
	         size_text(work->block_bytes).bytes,
	         all ? "sending all of them at once" : "fetching each straight from its owner",
	         time_text(best->cost.seconds).bytes, time_text(ring->cost.seconds).bytes,
	         all ? "; a rank then holds them all" : "");
}

void gather_reason(const span_cost_cluster *cluster, const span_cost_work *work,
                   span_gather_choice *choice, const span_gather_candidate *best,
                   const char *device)
{
	bool one_rank = cluster->nodes == 1 && cluster->ranks_per_node == 1;

	if (one_rank)
		snprintf(choice->reason, sizeof(choice->reason),
		         "there is one %s, so nothing travels", device);
	else if (best->kind == SPAN_ORDER_NODE_FIRST)
		why_node_first(cluster, choice, best);
	else if (best->kind != SPAN_ORDER_RING)
		why_direct(work, choice, best);
	else if (cluster->nodes == 1)
		why_ring_alone(cluster, choice, best, device);
	else
		why_ring_of_hosts(cluster, choice, best, device);
}

void gather_reason_unknown(int32_t missing, span_gather_choice *choice)
{
	snprintf(choice->reason, sizeof(choice->reason),
	         "%d of the ring's links have no known path, so no cost can be told, and the ring "
	         "needs the fewest buffers; say what connects them, such as NICs (nics:8 nic:50GB/s)",
	         missing);
}
