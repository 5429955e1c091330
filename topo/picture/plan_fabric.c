/* The fabric of a cluster, folded: switches that look alike stand together. What a switch
 * looks like is a number made of its uplinks and of what is below it; children come after
 * their parents, so one walk backwards makes them all. */
#include "topo/picture/plan_fabric.h"

#include <stdlib.h>
#include <string.h>

#include "topo/log.h"

/* What is known of a switch while the fabric is folded. */
struct folded {
	uint64_t look;
	int32_t first, next;     /* child switches */
	int32_t hosts, hosts_below;
	int32_t first_place, last_place;
	int32_t machine;
	double below;
};

static uint64_t mix(uint64_t look, uint64_t value)
{
	look = (look ^ value) * 0x9e3779b97f4a7c15u; /* 2^64 / golden ratio: spreads bits */
	return look ^ look >> 29;
}

static uint64_t bits_of(double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

/* The line rates of all ports of a machine. */
static double ports_of(const struct machine *machine)
{
	double sum = 0;

	for (int32_t i = 0; i < machine->n_nodes; i++)
		if (machine->nodes[i].kind == SPAN_NODE_NIC)
			sum += machine->nodes[i].speed;
	return sum;
}

static void add_places(const span_topo *topo, struct folded *folded, struct fabric *fabric)
{
	int32_t last_machine = -1;
	double ports = 0;

	for (int32_t i = 0; i < topo->n_places; i++) {
		const struct place *place = &topo->places[i];
		struct folded *leaf;

		if (place->leaf < 0) {
			fabric->flat++;
			continue;
		}
		if (place->machine != last_machine)
			ports = ports_of(topo->machines[place->machine]);
		last_machine = place->machine;
		leaf = &folded[place->leaf];
		if (!leaf->hosts++)
			leaf->first_place = i;
		leaf->machine = leaf->hosts == 1 || leaf->machine == place->machine ? place->machine
		                                                                    : -1;
		leaf->last_place = i;
		leaf->below += ports;
		leaf->look = mix(leaf->look, (uint64_t)place->machine + 1);
	}
}

/* From the last switch to the first: each adds itself to its parent. */
static void fold_up(const span_topo *topo, struct folded *folded)
{
	for (int32_t i = topo->n_switches - 1; i >= 0; i--) {
		const struct fabric_switch *fabric = &topo->switches[i];
		struct folded *parent;

		folded[i].hosts_below += folded[i].hosts;
		folded[i].look = mix(folded[i].look, bits_of(fabric->up_bandwidth));
		folded[i].look = mix(folded[i].look, (uint64_t)fabric->rails);
		if (fabric->parent < 0)
			continue;
		parent = &folded[fabric->parent];
		parent->look = mix(parent->look, folded[i].look);
		parent->hosts_below += folded[i].hosts_below;
		parent->below += fabric->up_bandwidth ? fabric->up_bandwidth : folded[i].below;
		folded[i].next = parent->first;
		parent->first = i;
	}
}

/* One item for `first` and the neighbours that look like it; returns the one after them. */
static int32_t put_alike(const span_topo *topo, const struct folded *folded, int32_t first,
                         int32_t parent, int32_t depth, struct fabric *fabric)
{
	const struct folded *like = &folded[first];
	struct fabric_item *item = &fabric->items[fabric->n++];
	int32_t here = first;

	*item = (struct fabric_item){ .first = first, .parent = parent, .depth = depth,
		                      .hosts = like->hosts, .machine = like->machine,
		                      .first_place = like->hosts ? like->first_place : -1,
		                      .last_place = -1, .hosts_below = like->hosts_below,
		                      .up = topo->switches[first].up_bandwidth,
		                      .rails = topo->switches[first].rails,
		                      .below = like->below };
	while (here >= 0 && folded[here].look == like->look) {
		item->last = here;
		item->alike++;
		if (like->hosts)
			item->last_place = folded[here].last_place;
		here = folded[here].next;
	}
	return here;
}

/* The children of an item, and theirs: as deep as FABRIC_DEPTH. */
static void unfold(const span_topo *topo, const struct folded *folded, int32_t here,
                   int32_t parent, int32_t depth, struct fabric *fabric)
{
	while (here >= 0) {
		int32_t number = fabric->n, first = here;

		here = put_alike(topo, folded, here, parent, depth, fabric);
		if (depth + 1 < FABRIC_DEPTH)
			unfold(topo, folded, folded[first].first, number, depth + 1, fabric);
	}
}

span_status fabric_create(const span_topo *topo, struct fabric *fabric)
{
	size_t n = (size_t)topo->n_switches + 1;
	struct folded *folded = calloc(n, sizeof(*folded));
	int32_t roots = -1;

	*fabric = (struct fabric){ .items = malloc(n * sizeof(*fabric->items)) };
	if (!folded || !fabric->items) {
		free(folded);
		fabric_free(fabric);
		return span_fail(SPAN_ENOMEM, "fabric: no memory for %d switches",
		                 topo->n_switches);
	}
	for (int32_t i = 0; i < topo->n_switches; i++)
		folded[i] = (struct folded){ .first = -1, .next = -1, .machine = -1 };
	add_places(topo, folded, fabric);
	fold_up(topo, folded);
	for (int32_t i = topo->n_switches - 1; i >= 0; i--) {
		if (topo->switches[i].parent >= 0)
			continue;
		folded[i].next = roots;
		roots = i;
	}
	unfold(topo, folded, roots, -1, 0, fabric);
	free(folded);
	return SPAN_OK;
}

void fabric_free(struct fabric *fabric)
{
	free(fabric->items);
	*fabric = (struct fabric){ 0 };
}
