/* Between the files that compute the paths inside a machine. Private to them. */
#ifndef SPAN_PATH_H
#define SPAN_PATH_H

#include "topo/graph/graph.h"

/* Devices of a machine are ordered GPUs, NICs, CPUs: GPU g is device g, NIC n is device n_gpus
 * + n, CPU c is device n_gpus + n_nics + c. */
struct path_work {
	struct machine *machine;
	bool as_nccl;
	int32_t n_gpus, n_nics, n_cpus;
	int32_t *alias;        /* [n_devices] the first device that NCCL cannot tell from it */
	struct path_edge *edges; /* of node v: edge_start[v] to edge_start[v + 1], as NCCL orders */
	int32_t *edge_start;   /* [n_nodes + 1] */
};

/* A link as the search walks it, from the device that is searched from outwards. */
struct path_edge {
	int32_t to, order;     /* order: of the link in the machine */
	span_link_class link_class;
	double bandwidth, latency;
	span_confidence confidence;
	bool usable;           /* this view counts its class */
	bool one_way;          /* there is no link of the class back */
};

/* path_edge.c */
span_status path_make_edges(struct path_work *work);

/* path_nccl.c: NCCL leads some paths another way than the shortest. */
span_status path_reroute(struct path_work *work);

/* path_near.c: of devices first .. first + n - 1 those with the widest path from `from`, of these of
 * the best class, as numbers from 0. All of them when none is reached. */
int32_t path_nearest(const struct machine *machine, int32_t from, int32_t first, int32_t n,
                     int32_t *items);

/* Which of n equally near NICs a GPU uses on a channel: NCCL spreads GPUs by their dev, in mirrored
 * bits where n is a power of two. */
int32_t path_spread(int32_t dev, int32_t n, int32_t channel);

/* path_route.c: the nodes after device `from` up to device `to`, at most `room` of them, as numbers
 * within the machine; returns how many there are. */
int32_t path_nodes(const struct machine *machine, int32_t from, int32_t to, int32_t *nodes,
                   int32_t room);

/* path_network.c: from host to host of one machine where nothing but the network connects. */
span_status path_over_network(const struct path_work *work);

/* The NIC to which a device has the widest path, of these the nearest, of equals the one of its
 * number (modulo how many there are); outwards or inwards. A NIC
 * is its own; -1: the device reaches none. */
int32_t path_nearest_nic(const struct machine *machine, int32_t device, bool outwards);

/* The NICs that a path between devices of two places takes, outwards and inwards: the nearest ones,
 * but where nothing joins the rails of a fabric, one on the rail of the other end. */
void path_pick_nics(const span_topo *topo, const int32_t place[2], const int32_t device[2],
                    int32_t nic[2]);

/* Whether two places are below one leaf, but on different rails, which meet above it. */
bool path_changes_rail(const span_topo *topo, const int32_t place[2], const int32_t nic[2]);

/* The path from one device to another, as a reference. */
static inline struct graph_path *path_at(const struct machine *machine, int32_t from, int32_t to)
{
	return &machine->paths[(size_t)from * (size_t)machine->n_devices + (size_t)to];
}

/* Of a path with no known bandwidth while it is being searched: wider than any link, less than
 * the device itself. */
#define PATH_UNKNOWN_BANDWIDTH 4999e9

#endif
