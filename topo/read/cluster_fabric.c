/* The hosts and switches of a cluster description, and what they are in a topology. */
#include <stdlib.h>
#include <string.h>

#include "topo/graph/fabric.h"
#include "topo/log.h"
#include "topo/read/cluster.h"

static span_status no_memory(void)
{
	return span_fail(SPAN_ENOMEM, "cluster: no memory for its hosts and switches");
}

/* Room for one more item. */
static span_status make_room(void **array, int32_t used, int32_t *room, size_t bytes)
{
	int32_t wanted = *room ? 2 * *room : 64;
	void *grown;

	if (used < *room)
		return SPAN_OK;
	grown = realloc(*array, (size_t)wanted * bytes);
	if (!grown)
		return no_memory();
	*array = grown;
	*room = wanted;
	return SPAN_OK;
}

/* A name that is used as it stands, no pattern. */
static bool is_plain(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	                              "0123456789._-";

	return *name && strlen(name) < CLUSTER_NAME_BYTES &&
	       strspn(name, letters) == strlen(name) && !strchr("._-", *name);
}

span_status cluster_add_switch(struct cluster *cluster, const char *name, bool spine,
                               int32_t *number)
{
	struct cluster_switch *added;
	bool is_new = false;
	double ratio;
	span_status status;

	if (!is_plain(name) || text_ratio(name, &ratio))
		return lines_fail(&cluster->lines, "\"%.60s\" as the name of a switch; expected "
		                  "letters, digits, '.', '_' and '-', fewer than %d", name,
		                  CLUSTER_NAME_BYTES);
	*number = names_find(&cluster->switch_names, name);
	if (*number >= 0 && !cluster->switches[*number].spine && !spine)
		return SPAN_OK; /* more hosts on it */
	if (*number >= 0)
		return lines_fail(&cluster->lines, "a second switch \"%.60s\"; the first is on line "
		                  "%d", name, cluster->switches[*number].line);
	if (cluster->n_switches == GRAPH_MAX_SWITCHES - 1)
		return lines_fail(&cluster->lines, "more than %d switches", GRAPH_MAX_SWITCHES - 1);
	status = make_room((void **)&cluster->switches, cluster->n_switches,
	                   &cluster->switch_room, sizeof(*cluster->switches));
	if (status)
		return status;
	added = &cluster->switches[cluster->n_switches];
	*added = (struct cluster_switch){ .parent = -1, .depth = -1, .ratio = 1, .spine = spine,
		                          .rails = 1,
		                          .line = cluster->lines.number, .name = strdup(name) };
	if (!added->name)
		return no_memory();
	*number = cluster->n_switches++;
	return names_add(&cluster->switch_names, added->name, *number, &is_new);
}

span_status cluster_add_host(struct cluster *cluster, const char *name, int32_t kind,
                             int32_t leaf)
{
	struct cluster_host *added;
	bool is_new = true;
	span_status status;

	if (cluster->n_hosts == GRAPH_MAX_PLACES)
		return lines_fail(&cluster->lines, "more than %d hosts", GRAPH_MAX_PLACES);
	status = make_room((void **)&cluster->hosts, cluster->n_hosts, &cluster->host_room,
	                   sizeof(*cluster->hosts));
	if (status)
		return status;
	added = &cluster->hosts[cluster->n_hosts++];
	*added = (struct cluster_host){ .kind = kind, .leaf = leaf, .line = cluster->lines.number };
	cluster->host_number += cluster->kinds[kind].hosts;
	if (!name)
		return SPAN_OK;
	added->name = strdup(name);
	if (!added->name)
		return no_memory();
	status = names_add(&cluster->host_names, added->name, cluster->n_hosts - 1, &is_new);
	if (!status && !is_new)
		return lines_fail(&cluster->lines, "a second host \"%.60s\"; the first is on line %d",
		                  name,
		                  cluster->hosts[names_find(&cluster->host_names, name)].line);
	return status;
}

/* --- the tree -------------------------------------------------------------------------- */

/* Depth of every switch below its root. A walk up that is longer than there are switches goes
 * in a circle. */
static span_status find_depths(struct cluster *cluster)
{
	for (int32_t i = 0; i < cluster->n_switches; i++) {
		int32_t steps = 0, at = i, depth;

		while (cluster->switches[at].depth < 0 && cluster->switches[at].parent >= 0 &&
		       steps++ <= cluster->n_switches)
			at = cluster->switches[at].parent;
		if (steps > cluster->n_switches)
			return span_fail(SPAN_EPARSE, "%.128s:%d: switch \"%.63s\" is above itself",
			                 cluster->source->name, cluster->switches[at].line,
			                 cluster->switches[at].name);
		if (cluster->switches[at].depth < 0)
			cluster->switches[at].depth = 0;
		depth = cluster->switches[at].depth + steps;
		for (at = i; cluster->switches[at].depth < 0; at = cluster->switches[at].parent)
			cluster->switches[at].depth = depth--;
	}
	return SPAN_OK;
}

static bool needs_core(const struct cluster *cluster)
{
	int32_t roots = 0;

	if (!cluster->n_switches)
		return false;
	for (int32_t i = 0; i < cluster->n_switches; i++)
		roots += cluster->switches[i].parent < 0;
	for (int32_t i = 0; i < cluster->n_hosts; i++)
		if (cluster->hosts[i].leaf < 0)
			return true;
	return roots > 1;
}

/* One switch above all roots and all hosts without a leaf. */
static span_status add_core(struct cluster *cluster)
{
	char name[CLUSTER_NAME_BYTES] = "core";
	int32_t core;
	span_status status;

	if (!needs_core(cluster))
		return SPAN_OK;
	for (int32_t i = 1; names_find(&cluster->switch_names, name) >= 0; i++)
		snprintf(name, sizeof(name), "core%d", i);
	status = cluster_add_switch(cluster, name, true, &core);
	if (status)
		return status;
	for (int32_t i = 0; i < core; i++)
		if (cluster->switches[i].parent < 0)
			cluster->switches[i].parent = core;
	for (int32_t i = 0; i < cluster->n_hosts; i++)
		if (cluster->hosts[i].leaf < 0)
			cluster->hosts[i].leaf = core;
	return SPAN_OK;
}

static int by_depth(const void *a, const void *b)
{
	const struct cluster_switch *left = *(const struct cluster_switch *const *)a;
	const struct cluster_switch *right = *(const struct cluster_switch *const *)b;

	if (left->depth != right->depth)
		return left->depth < right->depth ? -1 : 1;
	return left < right ? -1 : left > right;
}

static double uplinks(const struct cluster_switch *from)
{
	return from->parent < 0 ? 0 : fabric_uplinks(from->below, from->ratio);
}

/* What every switch has below it: hosts, then the uplinks of switches, deepest first. */
static void sum_up(struct cluster *cluster, struct cluster_switch **sorted)
{
	double rate[CLUSTER_MAX_KINDS];

	for (int32_t i = 0; i < cluster->n_kinds; i++)
		rate[i] = fabric_nic_rate(cluster->topo->machines[i]);
	for (int32_t i = 0; i < cluster->n_hosts; i++)
		if (cluster->hosts[i].leaf >= 0)
			cluster->switches[cluster->hosts[i].leaf].below += rate[cluster->hosts[i].kind];
	for (int32_t i = cluster->n_switches - 1; i >= 0; i--)
		if (sorted[i]->parent >= 0)
			cluster->switches[sorted[i]->parent].below += uplinks(sorted[i]);
}

/* Add the switches, those above first; number[i] is the number of switch i in the topology. */
static span_status add_switches(struct cluster *cluster, int32_t *number)
{
	size_t n = (size_t)cluster->n_switches;
	struct cluster_switch **sorted = malloc((n + 1) * sizeof(*sorted));
	span_status status = SPAN_OK;

	if (!sorted)
		return no_memory();
	for (size_t i = 0; i < n; i++)
		sorted[i] = &cluster->switches[i];
	qsort(sorted, n, sizeof(*sorted), by_depth);
	sum_up(cluster, sorted);
	for (size_t i = 0; !status && i < n; i++) {
		int32_t *added = &number[sorted[i] - cluster->switches];

		status = topo_add_switch(cluster->topo,
		                         sorted[i]->parent < 0 ? -1 : number[sorted[i]->parent],
		                         sorted[i]->name, uplinks(sorted[i]), added);
		if (!status)
			cluster->topo->switches[*added].rails = sorted[i]->rails;
	}
	free(sorted);
	return status;
}

span_status cluster_build(struct cluster *cluster)
{
	int32_t *number;
	span_status status = add_core(cluster);

	if (!status)
		status = find_depths(cluster);
	if (status)
		return status;
	number = calloc((size_t)cluster->n_switches + 1, sizeof(*number));
	if (!number)
		return no_memory();
	status = add_switches(cluster, number);
	for (int32_t i = 0; !status && i < cluster->n_hosts; i++) {
		const struct cluster_host *host = &cluster->hosts[i];

		status = topo_add_place(cluster->topo, host->kind,
		                        host->leaf < 0 ? -1 : number[host->leaf], host->name);
	}
	free(number);
	return status;
}
