/* Rules of lint: numbers that have to be unique, or complete. */
#include "topo/lint/lint.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What is compared: a key of each node, made before sorting puts equals side by side. */
struct keyed {
	int32_t node, host;
	int64_t number;
	const char *text;
};

static int by_key(const void *a, const void *b)
{
	const struct keyed *x = a, *y = b;
	int order = (x->host > y->host) - (x->host < y->host);

	if (!order)
		order = (x->number > y->number) - (x->number < y->number);
	if (!order)
		order = strcmp(x->text, y->text);
	return order ? order : (x->node > y->node) - (x->node < y->node);
}

static bool same_key(const struct keyed *a, const struct keyed *b)
{
	return a->host == b->host && a->number == b->number && !strcmp(a->text, b->text);
}

/* Fill a node's key; false: it has none. */
typedef bool make_key(const struct machine *machine, int32_t node, struct keyed *key);
typedef void tell_pair(struct lint *lint, int32_t node, int32_t earlier);

static void find_equals(struct lint *lint, make_key *make, tell_pair *tell)
{
	const struct machine *machine = lint->machine;
	struct keyed *keys = malloc(((size_t)machine->n_nodes + 1) * sizeof(*keys));
	int32_t n = 0;

	if (!keys) {
		lint_no_memory(lint);
		return;
	}
	for (int32_t i = 0; i < machine->n_nodes; i++) {
		keys[n] = (struct keyed){ .node = i, .host = machine->nodes[i].host, .text = "" };
		n += make(machine, i, &keys[n]);
	}
	qsort(keys, (size_t)n, sizeof(*keys), by_key);
	for (int32_t i = 1; i < n; i++)
		if (same_key(&keys[i - 1], &keys[i]))
			tell(lint, keys[i].node, keys[i - 1].node);
	free(keys);
}

/* --- bus-duplicate -------------------------------------------------------------------------- */

static bool bus_key(const struct machine *machine, int32_t node, struct keyed *key)
{
	const struct graph_node *found = &machine->nodes[node];

	key->text = found->bus;
	return found->bus[0] && (found->kind == SPAN_NODE_GPU || found->kind == SPAN_NODE_CARD ||
	                         found->kind == SPAN_NODE_PCI);
}

/* Parts of one device share its address: one hangs from the other, or both from the same node,
 * where the source is not NCCL's, which knows its GPUs by address. */
static void tell_bus(struct lint *lint, int32_t node, int32_t earlier)
{
	const struct graph_node *a = &lint->machine->nodes[earlier];
	const struct graph_node *b = &lint->machine->nodes[node];

	if (b->parent == earlier || a->parent == node ||
	    (!lint_from_nccl(lint) && a->parent == b->parent && a->kind == b->kind))
		return;
	lint_tell(lint, node, "PCI address %s, which %s of the same host has as well", b->bus,
	          lint_name(lint->machine, earlier).text);
}

static void bus_duplicate(struct lint *lint)
{
	find_equals(lint, bus_key, tell_bus);
}

/* --- guid-duplicate ------------------------------------------------------------------------- */

/* Unique in the world, so hosts do not count. */
static bool guid_key(const struct machine *machine, int32_t node, struct keyed *key)
{
	key->host = 0;
	key->number = (int64_t)machine->nodes[node].guid;
	return machine->nodes[node].kind == SPAN_NODE_NIC && machine->nodes[node].guid;
}

static void tell_guid(struct lint *lint, int32_t node, int32_t earlier)
{
	const struct machine *machine = lint->machine;

	if (machine->nodes[node].parent != machine->nodes[earlier].parent)
		lint_tell(lint, node, "GUID 0x%" PRIx64 ", which %s at another PCI address has as well",
		          machine->nodes[node].guid, lint_name(machine, earlier).text);
}

static void guid_duplicate(struct lint *lint)
{
	find_equals(lint, guid_key, tell_guid);
}

/* --- rank-duplicate, dev-duplicate ---------------------------------------------------------- */

static bool rank_key(const struct machine *machine, int32_t node, struct keyed *key)
{
	key->host = 0; /* ranks count through all hosts */
	key->number = machine->nodes[node].rank;
	return machine->nodes[node].kind == SPAN_NODE_GPU && machine->nodes[node].rank >= 0;
}

static void tell_rank(struct lint *lint, int32_t node, int32_t earlier)
{
	lint_tell(lint, node, "rank %d, which %s%s has as well", lint->machine->nodes[node].rank,
	          lint_name(lint->machine, earlier).text,
	          lint->machine->nodes[node].host == lint->machine->nodes[earlier].host
	                  ? "" : " of another host");
}

static void rank_duplicate(struct lint *lint)
{
	find_equals(lint, rank_key, tell_rank);
}

static bool dev_key(const struct machine *machine, int32_t node, struct keyed *key)
{
	const struct graph_node *found = &machine->nodes[node];

	key->number = found->dev;
	key->text = span_node_kind_name(found->kind);
	return found->dev >= 0 && (found->kind == SPAN_NODE_GPU || found->kind == SPAN_NODE_NIC);
}

static void tell_dev(struct lint *lint, int32_t node, int32_t earlier)
{
	lint_tell(lint, node, "device number %d, which %s of the same host has as well",
	          lint->machine->nodes[node].dev, lint_name(lint->machine, earlier).text);
}

static void dev_duplicate(struct lint *lint)
{
	find_equals(lint, dev_key, tell_dev);
}

/* --- rank-missing --------------------------------------------------------------------------- */

/* The ranks of one machine may be a part of the job: from r on, or every h-th. A step that
 * changes leaves one out. */
static int by_number(const void *a, const void *b)
{
	int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

	return (x > y) - (x < y);
}

static int32_t usual_step(const int32_t *ranks, int32_t n)
{
	int32_t least = INT32_MAX;

	for (int32_t i = 1; i < n; i++)
		if (ranks[i] > ranks[i - 1] && ranks[i] - ranks[i - 1] < least)
			least = ranks[i] - ranks[i - 1];
	return least;
}

static void look_for_gap(struct lint *lint, const int32_t *ranks, int32_t n, int32_t gpu)
{
	int32_t step = usual_step(ranks, n);

	for (int32_t i = 1; i < n; i++)
		if (ranks[i] > ranks[i - 1] + step) {
			lint_tell(lint, gpu, "ranks %d to %d of this host: %d follows %d", ranks[0],
			          ranks[n - 1], ranks[i], ranks[i - 1]);
			return;
		}
}

/* A GPU without a rank among ranked ones is left out by NCCL. Returns the GPUs with one. */
static int32_t collect_ranks(struct lint *lint, int32_t host, int32_t *ranks, int32_t *unranked)
{
	const struct machine *machine = lint->machine;
	int32_t n = 0;

	*unranked = -1;
	for (int32_t i = -1; (i = lint_next(machine, i, SPAN_NODE_GPU, host)) >= 0;) {
		if (machine->nodes[i].rank >= 0)
			ranks[n++] = machine->nodes[i].rank;
		else if (*unranked < 0)
			*unranked = i;
	}
	return n;
}

static void rank_missing(struct lint *lint)
{
	int32_t *ranks = malloc(((size_t)lint->machine->n_nodes + 1) * sizeof(*ranks));

	if (!ranks) {
		lint_no_memory(lint);
		return;
	}
	for (int32_t host = 0; host < lint->machine->n_hosts; host++) {
		int32_t unranked, n = collect_ranks(lint, host, ranks, &unranked);

		if (n && unranked >= 0)
			lint_tell(lint, unranked, "no rank, while %d GPUs of the host have one", n);
		if (n < 3)
			continue;
		qsort(ranks, (size_t)n, sizeof(*ranks), by_number);
		look_for_gap(lint, ranks, n, lint_next(lint->machine, -1, SPAN_NODE_GPU, host));
	}
	free(ranks);
}

const struct lint_rule lint_rules_numbers[] = {
	{ .id = "bus-duplicate", .severity = LINT_ERROR,
	  .title = "two devices of a host with the same PCI address",
	  .why = "links and ranks go to whichever comes first",
	  .remedy = "correct busid in the file; join the files of two hosts with host_hash",
	  .machine = bus_duplicate },
	{ .id = "guid-duplicate", .severity = LINT_INFO,
	  .title = "ports at different PCI addresses with one GUID",
	  .why = "NCCL takes them for one card; one with two PCIe links (Socket Direct) is that",
	  .remedy = "nothing for such a card; for two cards, correct guid in the file",
	  .machine = guid_duplicate },
	{ .id = "rank-duplicate", .severity = LINT_ERROR,
	  .title = "two GPUs with the same rank",
	  .why = "the file does not describe a job that can run",
	  .remedy = "dump the file anew (NCCL_TOPO_DUMP_FILE), or correct rank",
	  .machine = rank_duplicate },
	{ .id = "rank-missing", .severity = LINT_WARNING,
	  .title = "a GPU without rank, or a gap in the ranks of a host",
	  .why = "a GPU is left out of the job, and its links with it",
	  .remedy = "check CUDA_VISIBLE_DEVICES and how many ranks were started",
	  .machine = rank_missing },
	{ .id = "dev-duplicate", .severity = LINT_WARNING,
	  .title = "two GPUs or two ports of a host with the same device number",
	  .why = "one of them is never used",
	  .remedy = "correct dev in the file",
	  .machine = dev_duplicate },
	{ .id = NULL },
};
