/* The fabric of a cluster as people draw it: neighbours that are alike stand together. The
 * text and the picture of a cluster are made from it. Private. */
#ifndef SPAN_PLAN_FABRIC_H
#define SPAN_PLAN_FABRIC_H

#include "topo/graph/graph.h"

#define FABRIC_DEPTH 12  /* levels that are looked at; what lies deeper is counted only */

/* Switches next to each other under one parent that look alike: the same uplinks, the same
 * below. Numbers are those of each of them. */
struct fabric_item {
	int32_t first, last;     /* switches */
	int32_t alike;           /* how many they are */
	int32_t rails;           /* leaf switches that each stands for */
	int32_t parent;          /* items, -1: none */
	int32_t depth;
	int32_t hosts;           /* places directly on each */
	int32_t machine;         /* what stands there, -1: nothing, or several kinds */
	int32_t first_place, last_place; /* on all of them, in the order of places; -1: none */
	int32_t hosts_below;     /* places on each and under it */
	double up;               /* bandwidth to the parent of each, 0: not stated */
	double below;            /* what its ports and uplinks below have together, of each */
};

/* Items in the order of reading, from the roots of the tree. */
struct fabric {
	int32_t n;
	struct fabric_item *items;
	int32_t flat;            /* places on no switch */
};

span_status fabric_create(const span_topo *topo, struct fabric *fabric);
void fabric_free(struct fabric *fabric);

#endif
