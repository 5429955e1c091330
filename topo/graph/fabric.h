/* Leaf and spine switches above hosts, as descriptions have them. Private. */
#ifndef SPAN_FABRIC_H
#define SPAN_FABRIC_H

#include "topo/graph/graph.h"

/* What the NICs of all hosts of a machine send together, bytes a second; ports without a line
 * rate count by the link to their card. */
double fabric_nic_rate(const struct machine *machine);

/* A switch's uplinks when it is oversubscribed: what is below it, times up / down. 0 (as much
 * as everything below) stays 0. */
double fabric_uplinks(double below, double down_to_up);

#endif
