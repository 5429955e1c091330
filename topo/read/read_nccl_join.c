/* Broadcom switches of generation 4 and 5 carry their full bandwidth between all ports, yet show
 * themselves as several: an upper and a lower level, or halves with a <pcilink> between them.
 * NCCL 2.28.9 (src/graph/topo.cc) melts them together once all links are known, and so does this,
 * in its order: a switch takes in those it has a link to, whichever of them is above, and is then
 * never taken in itself.
 *
 * NCCL holds its switches in one array, and forgets that removing one moves those behind it: when a
 * switch has taken in one that stands before it, NCCL goes on with the switch behind it. That one is
 * then never joined, and the one whose turn it was has another. NCCL's view shows that, too. */
#include "topo/read/read_nccl.h"

#include <stdlib.h>
#include <string.h>

#include "topo/log.h"

struct join {
	struct nccl_reader *reader;
	struct machine *machine;
	bool *gone;              /* [n_nodes] taken in by another */
	bool *done;              /* [n_nodes] is no such switch any more */
	bool *marked;            /* [n_nodes] has taken in others */
	bool *link_gone;         /* [n_links] */
	int32_t *order;          /* [n_order] the switches that are there, as NCCL has them */
	int32_t *wanted;         /* [n_nodes] scratch: who is about to be taken in */
	int32_t *links;          /* [n_links] scratch */
	int32_t *ways_back;      /* [n_nodes] scratch: links from what is taken in */
	int32_t *number;         /* [n_nodes] of those that stay */
	int32_t n_order, joined;
};

/* level: 0 of the switch that takes in, 1 of what it takes in; generation 4 does not tell. 0: it is
 * no such switch. */
static int generation(const struct join *join, int32_t number, uint32_t level)
{
	const struct graph_node *node = &join->machine->nodes[number];
	uint32_t kind = node->pci_subsystem & 0xf000;

	if (node->kind != SPAN_NODE_PCI || join->done[number] || node->pci_vendor != 0x1000 ||
	    node->pci_subsystem >> 16 != 0x1000)
		return 0;
	if (node->pci_device == 0xc010 && kind == 0xa000)
		return 4;
	return node->pci_device == 0xc030 && kind == level * 0x1000 ? 5 : 0;
}

/* --- links -------------------------------------------------------------------------------- */

static bool leads_up(const struct machine *machine, int32_t number)
{
	const struct graph_link *link = &machine->links[number];

	return machine->nodes[link->from].parent == link->to;
}

/* NCCL keeps the links of a node widest first, and adds the one that leads up after those that lead
 * down. Whether link `a` stands before `b`. */
static bool is_before(const struct machine *machine, int32_t a, int32_t b)
{
	double wide = machine->links[a].bandwidth, other = machine->links[b].bandwidth;

	if (wide != other)
		return wide > other;
	if (leads_up(machine, a) != leads_up(machine, b))
		return leads_up(machine, b);
	return a < b;
}

/* Fill join->links with the links from (or to) a node, in NCCL's order; returns how many. */
static int32_t list_links(struct join *join, int32_t node, bool to)
{
	const struct machine *machine = join->machine;
	int32_t n = 0;

	for (int32_t i = 0; i < machine->n_links; i++) {
		int32_t at = n;

		if (join->link_gone[i] ||
		    (to ? machine->links[i].to : machine->links[i].from) != node)
			continue;
		for (; at > 0 && is_before(machine, i, join->links[at - 1]); at--)
			join->links[at] = join->links[at - 1];
		join->links[at] = i;
		n++;
	}
	return n;
}

/* Lead the links to `from` to `into`: of each end as many, the first ones, as had a way back. The
 * others are gone with `from`. */
static void move_links_to(struct join *join, int32_t into, int32_t from)
{
	struct machine *machine = join->machine;
	int32_t n = list_links(join, from, true);

	for (int32_t i = 0; i < n; i++) {
		int32_t end = machine->links[join->links[i]].from;

		if (end == into || join->ways_back[end]-- <= 0)
			join->link_gone[join->links[i]] = true;
	}
	for (int32_t i = 0; i < n; i++)
		machine->links[join->links[i]].to = into;
}

/* Give `into` the links of `from`, in both directions. */
static void move_links(struct join *join, int32_t into, int32_t from)
{
	struct machine *machine = join->machine;
	int32_t n = list_links(join, from, false);

	memset(join->ways_back, 0, (size_t)machine->n_nodes * sizeof(*join->ways_back));
	for (int32_t i = 0; i < n; i++) {
		struct graph_link *link = &machine->links[join->links[i]];

		join->ways_back[link->to]++;
		link->from = into;
		join->link_gone[join->links[i]] = link->to == into;
	}
	move_links_to(join, into, from);
}

/* --- switches ----------------------------------------------------------------------------- */

static bool is_below(const struct machine *machine, int32_t node, int32_t other)
{
	while (node >= 0 && node != other)
		node = machine->nodes[node].parent;
	return node >= 0;
}

static void take_in(struct join *join, int32_t into, int32_t from)
{
	struct machine *machine = join->machine;
	const struct xml_element place = { .line = machine->nodes[from].line };
	int32_t kept = 0;

	move_links(join, into, from);
	if (is_below(machine, into, from))
		machine->nodes[into].parent = machine->nodes[from].parent;
	for (int32_t i = 0; i < machine->n_nodes; i++)
		if (machine->nodes[i].parent == from)
			machine->nodes[i].parent = into;
	for (int32_t i = 0; i < join->n_order; i++)
		if (join->order[i] != from)
			join->order[kept++] = join->order[i];
	join->n_order = kept;
	nccl_odd(join->reader, ODD_BROADCOM, &place);
	join->gone[from] = true;
	join->joined++;
}

/* Whom a switch takes in, in the order of its links: those of its generation. Its links to them
 * are cut. */
static int32_t find_wanted(struct join *join, int32_t into)
{
	const struct machine *machine = join->machine;
	int32_t links = list_links(join, into, false), n = 0;
	int own = generation(join, into, 0);

	for (int32_t i = 0; i < links; i++) {
		int32_t to = machine->links[join->links[i]].to, k = 0;

		if (generation(join, to, 1) != own)
			continue;
		join->link_gone[join->links[i]] = true;
		while (k < n && join->wanted[k] != to)
			k++;
		if (k == n)
			join->wanted[n++] = to;
	}
	return n;
}

/* The turn of the switch at a place of the order. */
static void join_one(struct join *join, int32_t at)
{
	bool as_nccl = join->reader->source->as_nccl, lost = false;
	int32_t into = join->order[at];
	int32_t n = find_wanted(join, into);

	join->marked[into] |= n > 0;
	for (int32_t i = 0; i < n; i++) {
		if (into == join->wanted[i])
			continue; /* NCCL gives up such a machine */
		take_in(join, into, join->wanted[i]);
		lost |= as_nccl && at >= join->n_order;
		if (as_nccl && !lost)
			into = join->order[at];
	}
	join->done[into] |= !lost;
}

static void join_all(struct join *join)
{
	const struct machine *machine = join->machine;
	int32_t i = 0;

	for (int32_t k = 0; k < machine->n_nodes; k++)
		if (machine->nodes[k].kind == SPAN_NODE_PCI)
			join->order[join->n_order++] = k;
	while (i < join->n_order) {
		int32_t joined = join->joined;

		if (generation(join, join->order[i], 0))
			join_one(join, i);
		i = join->joined > joined ? 0 : i + 1;
	}
}

/* --- what is left ------------------------------------------------------------------------- */

/* Of two links of a kind between the same two nodes, which two uplinks have become, the wider. */
static void drop_doubles(struct join *join)
{
	const struct machine *machine = join->machine;

	for (int32_t i = 0; i < machine->n_links; i++) {
		const struct graph_link *a = &machine->links[i];

		for (int32_t k = 0; k < i && !join->link_gone[i]; k++) {
			const struct graph_link *b = &machine->links[k];

			if (join->link_gone[k] || a->from != b->from || a->to != b->to ||
			    a->link_class != b->link_class)
				continue;
			join->link_gone[a->bandwidth > b->bandwidth ? k : i] = true;
		}
	}
}

/* Number a node, after those above it. */
static void number_node(struct join *join, int32_t node, int32_t *next)
{
	int32_t parent = join->machine->nodes[node].parent;

	if (join->gone[node] || join->number[node] >= 0)
		return;
	if (parent >= 0)
		number_node(join, parent, next);
	join->number[node] = (*next)++;
}

static int32_t count_before(const struct machine *machine, int32_t number)
{
	const struct graph_node *node = &machine->nodes[number];
	int32_t count = 0;

	for (int32_t i = 0; i < number; i++)
		count += machine->nodes[i].kind == node->kind && machine->nodes[i].host == node->host;
	return count;
}

static span_status drop_nodes(struct join *join)
{
	struct machine *machine = join->machine;
	struct graph_node *old = malloc((size_t)machine->n_nodes * sizeof(*old));
	int32_t n = machine->n_nodes, kept = 0;

	if (!old)
		return span_fail(SPAN_ENOMEM, "topology: no memory to join switches");
	memcpy(old, machine->nodes, (size_t)n * sizeof(*old));
	memset(join->number, 0xff, (size_t)n * sizeof(*join->number));
	for (int32_t i = 0; i < n; i++)
		number_node(join, i, &kept);
	for (int32_t i = 0; i < n; i++) {
		if (join->gone[i]) {
			free(old[i].name);
			free(old[i].bus);
			free(old[i].affinity);
			continue;
		}
		/* As NCCL marks it, so that it is not joined with more when it is written and
		 * read again. */
		if (join->marked[i])
			old[i].pci_subsystem |= 0xffff;
		old[i].last_link = -1;
		old[i].parent = old[i].parent >= 0 ? join->number[old[i].parent] : -1;
		machine->nodes[join->number[i]] = old[i];
	}
	machine->n_nodes = kept;
	for (int32_t i = 0; i < kept; i++)
		if (machine->nodes[i].kind == SPAN_NODE_PCI)
			machine->nodes[i].index = count_before(machine, i);
	free(old);
	return SPAN_OK;
}

static void drop_links(struct join *join)
{
	struct machine *machine = join->machine;
	int32_t kept = 0;

	for (int32_t i = 0; i < machine->n_links; i++) {
		struct graph_link link = machine->links[i];

		if (join->link_gone[i])
			continue;
		link.from = join->number[link.from];
		link.to = join->number[link.to];
		link.earlier = machine->nodes[link.from].last_link;
		machine->nodes[link.from].last_link = kept;
		machine->links[kept++] = link;
	}
	machine->n_links = kept;
}

span_status nccl_join_switches(struct nccl_reader *reader)
{
	struct machine *machine = reader->machine;
	size_t nodes = (size_t)machine->n_nodes + 1, links = (size_t)machine->n_links + 1;
	struct join join = { .reader = reader, .machine = machine };
	bool *flags = calloc(3 * nodes + links, sizeof(*flags));
	int32_t *numbers = calloc(4 * nodes + links, sizeof(*numbers));
	span_status status = SPAN_OK;

	if (flags && numbers) {
		join.gone = flags;
		join.done = flags + nodes;
		join.marked = flags + 2 * nodes;
		join.link_gone = flags + 3 * nodes;
		join.order = numbers;
		join.wanted = numbers + nodes;
		join.ways_back = numbers + 2 * nodes;
		join.number = numbers + 3 * nodes;
		join.links = numbers + 4 * nodes;
		join_all(&join);
	} else {
		status = span_fail(SPAN_ENOMEM, "topology: no memory to join switches");
	}
	if (join.joined) {
		drop_doubles(&join);
		status = drop_nodes(&join);
		if (!status)
			drop_links(&join);
	}
	free(flags);
	free(numbers);
	return status;
}
