/* Rules of lint: hosts against each other, and the network between them. */
#include "topo/lint/lint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- what a place has ------------------------------------------------------------------ */

static const struct machine *machine_of(const span_topo *topo, int32_t place)
{
	return topo->machines[topo->places[place].machine];
}

static double nic_rate(const struct machine *machine)
{
	double rate = 0;

	for (int32_t i = -1; (i = lint_next(machine, i, SPAN_NODE_NIC, -1)) >= 0;)
		rate += machine->nodes[i].speed;
	return rate;
}

static int32_t hosts_of(const span_topo *topo, int32_t machine)
{
	int32_t hosts = 0;

	for (int32_t p = 0; p < topo->n_places; p++)
		if (topo->places[p].machine == machine)
			hosts += topo->machines[machine]->n_hosts;
	return hosts;
}

static const char *name_of(const span_topo *topo, int32_t place)
{
	const struct machine *machine = machine_of(topo, place);

	if (topo->places[place].name)
		return topo->places[place].name;
	return machine->n_hosts ? machine->host_names[0] : "";
}

/* --- hosts-uneven ---------------------------------------------------------------------- */

/* The first place whose hosts have other numbers of GPUs or other network rates than those of
 * place 0, or -1. */
static int32_t first_uneven(const span_topo *topo)
{
	const struct machine *first = machine_of(topo, 0), *other;
	int32_t gpus = lint_count(first, SPAN_NODE_GPU, -1), kind = topo->places[0].machine;
	double rate = nic_rate(first);

	for (int32_t p = 1; p < topo->n_places; p++) {
		if (topo->places[p].machine == kind)
			continue;
		kind = topo->places[p].machine;
		other = machine_of(topo, p);
		if (other->n_hosts != first->n_hosts || nic_rate(other) != rate ||
		    lint_count(other, SPAN_NODE_GPU, -1) != gpus)
			return p;
	}
	return -1;
}

static void hosts_uneven(struct lint *lint)
{
	const span_topo *topo = lint->topo;
	int32_t p = topo->n_places ? first_uneven(topo) : -1;
	span_topo_node node;

	if (p < 0)
		return;
	span_topo_node_at(topo, topo->places[p].first_node, &node);
	lint_tell_at(lint, node.id,
	             "%d host%s of %d GPUs and %.4g Gb/s of network like this one, %d of %d GPUs and "
	             "%.4g Gb/s like the first", hosts_of(topo, topo->places[p].machine),
	             hosts_of(topo, topo->places[p].machine) == 1 ? "" : "s",
	             lint_count(machine_of(topo, p), SPAN_NODE_GPU, 0),
	             nic_rate(machine_of(topo, p)) * 8 / 1e9 / machine_of(topo, p)->n_hosts,
	             hosts_of(topo, topo->places[0].machine),
	             lint_count(machine_of(topo, 0), SPAN_NODE_GPU, 0),
	             nic_rate(machine_of(topo, 0)) * 8 / 1e9 / machine_of(topo, 0)->n_hosts);
}

/* --- host-without-nic ------------------------------------------------------------------ */

static void host_without_nic(struct lint *lint)
{
	const struct machine *machine = lint->machine;

	if (span_topo_hosts(lint->topo) < 2)
		return;
	for (int32_t host = 0; host < machine->n_hosts; host++)
		if (lint_next(machine, -1, SPAN_NODE_NIC, host) < 0 &&
		    lint_next(machine, -1, SPAN_NODE_GPU, host) >= 0)
			lint_tell(lint, lint_next(machine, -1, SPAN_NODE_GPU, host),
			          "%d GPUs in a host without any NIC, and %d hosts in all",
			          lint_count(machine, SPAN_NODE_GPU, host),
			          span_topo_hosts(lint->topo));
}

/* --- leaf-missing, leaf-oversubscribed ------------------------------------------------- */

/* For each switch whether it has others below it. */
static bool *find_spines(const span_topo *topo)
{
	bool *spines = calloc((size_t)topo->n_switches + 1, sizeof(*spines));

	for (int32_t i = 0; spines && i < topo->n_switches; i++)
		if (topo->switches[i].parent >= 0)
			spines[topo->switches[i].parent] = true;
	return spines;
}

/* Readers put hosts of no leaf on the switch above all, or on none. */
static void leaf_missing(struct lint *lint)
{
	const span_topo *topo = lint->topo;
	bool *spines = find_spines(topo);
	int32_t count = 0, first = -1;
	span_topo_node node;

	if (!spines)
		lint_no_memory(lint);
	for (int32_t p = topo->n_places - 1; spines && p >= 0 && topo->n_switches; p--)
		if (topo->places[p].leaf < 0 || spines[topo->places[p].leaf]) {
			first = p;
			count++;
		}
	free(spines);
	if (!count)
		return;
	span_topo_node_at(topo, topo->places[first].first_node, &node);
	lint_tell_at(lint, node.id, "%d of %d hosts are on no leaf switch, this one (%s) first",
	             count, topo->n_places, name_of(topo, first));
}

/* What everything below each switch can send up at once. */
static double *demand_of_switches(const span_topo *topo)
{
	double *demand = calloc((size_t)topo->n_switches + 1, sizeof(*demand));
	double *rates = calloc((size_t)topo->n_machines + 1, sizeof(*rates));

	for (int32_t m = 0; rates && m < topo->n_machines; m++)
		rates[m] = nic_rate(topo->machines[m]);
	for (int32_t p = 0; demand && rates && p < topo->n_places; p++)
		if (topo->places[p].leaf >= 0)
			demand[topo->places[p].leaf] += rates[topo->places[p].machine];
	for (int32_t i = 0; demand && i < topo->n_switches; i++)
		if (topo->switches[i].parent >= 0)
			demand[topo->switches[i].parent] += topo->switches[i].up_bandwidth;
	if (!rates) {
		free(demand);
		demand = NULL;
	}
	free(rates);
	return demand;
}

/* A twentieth more is rounding of figures, not a choice. */
static bool is_oversubscribed(const span_topo *topo, const double *demand, int32_t i)
{
	double up = topo->switches[i].up_bandwidth;

	return topo->switches[i].parent >= 0 && up > 0 && demand[i] > 1.05 * up;
}

static void leaf_oversubscribed(struct lint *lint)
{
	const span_topo *topo = lint->topo;
	double *demand = demand_of_switches(topo);
	int32_t count = 0, worst = -1;

	if (!demand) {
		lint_no_memory(lint);
		return;
	}
	for (int32_t i = 0; i < topo->n_switches; i++) {
		if (!is_oversubscribed(topo, demand, i))
			continue;
		count++;
		if (worst < 0 || demand[i] * topo->switches[worst].up_bandwidth >
		                         demand[worst] * topo->switches[i].up_bandwidth)
			worst = i;
	}
	if (worst >= 0)
		lint_tell_at(lint, topo->switches[worst].name,
		             "%.3g:1: %.4g GB/s below it, %.4g GB/s of uplinks; %d of %d switches are "
		             "so", demand[worst] / topo->switches[worst].up_bandwidth,
		             demand[worst] / 1e9, topo->switches[worst].up_bandwidth / 1e9, count,
		             topo->n_switches);
	free(demand);
}

const struct lint_rule lint_rules_cluster[] = {
	{ .id = "hosts-uneven", .severity = LINT_WARNING,
	  .title = "hosts with different numbers of GPUs or network rates",
	  .why = "all hosts wait for the weakest, and rails do not line up",
	  .remedy = "give a job hosts of one kind, or as many ranks on each",
	  .topology = hosts_uneven },
	{ .id = "host-without-nic", .severity = LINT_WARNING,
	  .title = "a host with GPUs and no NIC among several hosts",
	  .why = "NCCL falls back to sockets of whatever interface it finds",
	  .remedy = "describe its NICs; check that their driver is loaded (ibstat, ip link)",
	  .machine = host_without_nic },
	{ .id = "leaf-missing", .severity = LINT_WARNING,
	  .title = "hosts on no leaf switch in a cluster that has some",
	  .why = "the rank order cannot keep them together",
	  .remedy = "name the leaf of every host in the cluster description",
	  .topology = leaf_missing },
	{ .id = "leaf-oversubscribed", .severity = LINT_WARNING,
	  .title = "a switch with more bandwidth below it than in its uplinks",
	  .why = "rings that cross it at once share the uplinks",
	  .remedy = "order ranks by switch (span-topo order); keep a job below one leaf",
	  .topology = leaf_oversubscribed },
	{ .id = NULL },
};
