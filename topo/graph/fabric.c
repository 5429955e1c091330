/* Leaf and spine switches above hosts. */
#include "topo/graph/fabric.h"

double fabric_nic_rate(const struct machine *machine)
{
	double sum = 0;

	for (int32_t i = 0; i < machine->n_nodes; i++) {
		const struct graph_node *node = &machine->nodes[i];

		if (node->kind != SPAN_NODE_NIC)
			continue;
		if (node->speed > 0)
			sum += node->speed;
		else if (node->last_link >= 0)
			sum += machine->links[node->last_link].bandwidth;
	}
	return sum;
}

double fabric_uplinks(double below, double down_to_up)
{
	return below / down_to_up;
}
