#include <stdio.h>
#include <stdlib.h>
#include "attention/span_attention.h"
#include "complain.h"
#include "order.h"
#include "topo/span_gather.h"

_Static_assert(REASON_MOST >= SPAN_GATHER_REASON, "a reason of the library fits");

/* Bytes of a block: keys and values of one rank's tokens. */
static double block_bytes(const struct options *options)
{
	const struct settings *set = &options->settings;
	double tokens = (double)((set->seq + options->ranks - 1) / options->ranks);
	double head_size = (double)set->width / (double)set->heads;

	return 2 * tokens * (double)set->kv_heads * head_size *
	       (double)span_dtype_bytes((span_dtype)set->dtype);
}

/* --- a topology that the ranks are said to run on ----------------------------------------- */

static int check_size(const struct options *options, const span_ring *ring)
{
	if (options->group_list != NULL) {
		complain("--group %s: --topology says which ranks share a node; one of the two is"
		         " accepted", options->group_list);
		return -1;
	}
	if (span_ring_length(ring) == options->ranks)
		return 0;
	complain("--topology %s: it has %d devices; --ranks %lld must be as many",
	         options->topology, (int)span_ring_length(ring), (long long)options->ranks);
	return -1;
}

/* Rank i stands on device i of the ring. How long a real device would compute is not known
 * here, so nothing is taken for hidden. */
static int choose_for_ring(struct options *options, const span_ring *ring)
{
	span_cost_work work = { .size = sizeof work, .block_bytes = block_bytes(options) };
	span_gather_choice choice;

	if (check_size(options, ring) != 0)
		return -1;
	span_ring_groups(ring, options->group);
	if (options->order != SPAN_ORDER_AUTO)
		return 0;
	if (span_gather_choose_ring(ring, &work, &choice) != SPAN_OK)
		return -1;
	options->order = choice.kind;
	snprintf(options->reason, sizeof options->reason, "%s", choice.reason);
	return 0;
}

static int choose_for_topology(struct options *options)
{
	span_topo *topo = NULL;
	span_ring *ring = NULL;
	int failed = -1;

	if (span_topo_load(options->topology, NULL, &topo) == SPAN_OK &&
	    span_ring_create(topo, &ring) == SPAN_OK)
		failed = choose_for_ring(options, ring);
	span_ring_free(ring);
	span_topo_free(topo);
	return failed;
}

/* --- this machine, where all ranks share one memory ----------------------------------------- */

static int count_groups(const struct options *options, int *smallest)
{
	int size[RANKS_MOST] = { 0 }, groups = 0;

	for (int64_t rank = 0; rank < options->ranks; rank++) {
		if (size[options->group[rank]]++ == 0)
			groups++;
	}
	*smallest = size[0];
	for (int group = 1; group < groups; group++)
		if (*smallest > size[group])
			*smallest = size[group];
	return groups;
}

/* NUMA nodes of this machine; 0 when it cannot be read, which the library has said. */
static int count_numa_nodes(void)
{
	span_topo *topo = NULL;
	int nodes;

	if (span_topo_load("host", NULL, &topo) != SPAN_OK)
		return 0;
	nodes = (int)span_topo_devices(topo, SPAN_NODE_CPU, -1, NULL, 0);
	span_topo_free(topo);
	return nodes;
}

static void choose_for_one_host(struct options *options)
{
	int numa = count_numa_nodes();

	options->order = SPAN_ORDER_RING;
	if (numa > 1)
		snprintf(options->reason, sizeof options->reason,
		         "the %d ranks share %d NUMA nodes of one host: no order crosses between them"
		         " less, two buffers will do", (int)options->ranks, numa);
	else if (numa == 1)
		snprintf(options->reason, sizeof options->reason,
		         "the %d ranks share one NUMA node: all blocks are equally near, two buffers"
		         " will do", (int)options->ranks);
	else
		snprintf(options->reason, sizeof options->reason,
		         "this machine could not be read, and a ring needs two buffers");
}

static void choose_for_this_machine(struct options *options)
{
	int smallest, groups = count_groups(options, &smallest);

	if (groups == 1) {
		choose_for_one_host(options);
	} else if (groups == options->ranks) {
		options->order = SPAN_ORDER_RING;
		snprintf(options->reason, sizeof options->reason,
		         "each of the %d pretended nodes has one rank, so there is no inside to go"
		         " round first", groups);
	} else {
		options->order = SPAN_ORDER_NODE_FIRST;
		snprintf(options->reason, sizeof options->reason,
		         "%d pretended nodes: a block has a round inside one, %d step%s or more, to"
		         " cross to the next; in a ring one step", groups, smallest,
		         smallest == 1 ? "" : "s");
	}
}

int order_choose(struct options *options)
{
	snprintf(options->reason, sizeof options->reason, "as asked");
	if (options->topology != NULL)
		return choose_for_topology(options);
	if (options->order == SPAN_ORDER_AUTO)
		choose_for_this_machine(options);
	return 0;
}
