/* What several rules of lint ask about a machine. */
#include "topo/lint/lint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct lint_name lint_name(const struct machine *machine, int32_t node)
{
	const struct graph_node *found = &machine->nodes[node];
	struct lint_name name;

	if (found->kind == SPAN_NODE_NIC && found->name[0])
		snprintf(name.text, sizeof(name.text), "nic%d (%.32s)", found->index, found->name);
	else
		snprintf(name.text, sizeof(name.text), "%s%d", span_node_kind_name(found->kind),
		         found->index);
	return name;
}

/* --- walking -------------------------------------------------------------------------------- */

int32_t lint_next(const struct machine *machine, int32_t node, span_node_kind kind, int32_t host)
{
	for (node++; node < machine->n_nodes; node++)
		if (machine->nodes[node].kind == kind &&
		    (host < 0 || machine->nodes[node].host == host))
			return node;
	return -1;
}

int32_t lint_count(const struct machine *machine, span_node_kind kind, int32_t host)
{
	int32_t count = 0;

	for (int32_t i = -1; (i = lint_next(machine, i, kind, host)) >= 0;)
		count++;
	return count;
}

int32_t lint_above(const struct machine *machine, int32_t node, span_node_kind kind)
{
	while (node >= 0 && machine->nodes[node].kind != kind)
		node = machine->nodes[node].parent;
	return node;
}

/* --- links and paths ------------------------------------------------------------------------ */

const struct graph_link *lint_link(const struct machine *machine, span_link_class link_class,
                                   int32_t from, int32_t to)
{
	const struct graph_link *link;

	for (int32_t i = machine->nodes[from].last_link; i >= 0; i = link->earlier) {
		link = &machine->links[i];
		if (link->link_class == link_class && link->to == to)
			return link;
	}
	return NULL;
}

const struct graph_link *lint_uplink(const struct machine *machine, int32_t node)
{
	int32_t parent = machine->nodes[node].parent;

	return parent < 0 ? NULL : lint_link(machine, SPAN_LINK_PCI, node, parent);
}

static bool between_gpus(const struct graph_link *link)
{
	return link->link_class == SPAN_LINK_NVLINK || link->link_class == SPAN_LINK_XGMI;
}

int32_t lint_gpu_links(const struct machine *machine, int32_t gpu)
{
	int32_t count = 0;

	for (int32_t i = machine->nodes[gpu].last_link; i >= 0; i = machine->links[i].earlier)
		if (between_gpus(&machine->links[i]))
			count += machine->links[i].count;
	return count;
}

const struct graph_path *lint_path(const struct machine *machine, int32_t from, int32_t to)
{
	return &machine->paths[(size_t)machine->device_of[from] * (size_t)machine->n_devices +
	                       (size_t)machine->device_of[to]];
}

static bool is_better(const struct graph_path *path, const struct graph_path *best)
{
	if (path->path_class != best->path_class)
		return path->path_class < best->path_class;
	return path->bandwidth > best->bandwidth;
}

int32_t lint_nearest_nic(const struct machine *machine, int32_t gpu)
{
	int32_t nearest = -1, nic = -1, host = machine->nodes[gpu].host;

	while ((nic = lint_next(machine, nic, SPAN_NODE_NIC, host)) >= 0)
		if (nearest < 0 ||
		    is_better(lint_path(machine, gpu, nic), lint_path(machine, gpu, nearest)))
			nearest = nic;
	return nearest;
}

/* --- islands -------------------------------------------------------------------------------- */

static int32_t root_of(int32_t *above, int32_t node)
{
	while (above[node] != node)
		node = above[node] = above[above[node]];
	return node;
}

int32_t lint_islands(const struct machine *machine, int32_t *group)
{
	int32_t groups = 0, *above = malloc(((size_t)machine->n_nodes + 1) * sizeof(*above));

	if (!above)
		return -1;
	for (int32_t i = 0; i < machine->n_nodes; i++) {
		above[i] = i;
		group[i] = -1;
	}
	for (int32_t i = 0; i < machine->n_links; i++) {
		const struct graph_link *link = &machine->links[i];

		/* NVLink to a CPU joins no GPUs. */
		if (between_gpus(link) && machine->nodes[link->from].kind != SPAN_NODE_CPU &&
		    machine->nodes[link->to].kind != SPAN_NODE_CPU)
			above[root_of(above, link->from)] = root_of(above, link->to);
	}
	for (int32_t i = -1; (i = lint_next(machine, i, SPAN_NODE_GPU, -1)) >= 0;) {
		int32_t root = root_of(above, i);

		if (group[root] < 0)
			group[root] = groups++;
		group[i] = group[root];
	}
	for (int32_t i = 0; i < machine->n_nodes; i++)
		if (machine->nodes[i].kind != SPAN_NODE_GPU)
			group[i] = -1;
	free(above);
	return groups;
}
