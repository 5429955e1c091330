/* A machine or cluster in one line of words. Private.
 *
 *     synthetic:nodes:4 gpus:8 nvlink:450GB/s nics:8 nic:400Gb/s leaf:2 oversubscription:4:1
 *
 * Every word is KEY:VALUE, in any order, each key once. What is left out is as in a common
 * machine (8 GPUs on NVSwitch, 2 sockets, a PCIe switch for every 2 GPUs, a NIC for each), and
 * a note tells what that was.
 *
 *     key               value                              when left out
 *     nodes             hosts, all alike, 1 to 65536       1
 *     gpus              of a host, 0 to 64                 8
 *     nvlink            of a GPU, all links together,      450GB/s; none with xgmi
 *                       one direction; or none
 *     nvswitch          yes: all GPUs through NVSwitch;    yes
 *                       mesh: links from GPU to GPU
 *     xgmi              of a GPU, all links together, to   none
 *                       all others; or none
 *     sockets           NUMA nodes of a host, 1 to 16      2
 *     socket            between two NUMA nodes             22GB/s
 *     switches          PCIe switches of a host, 0 to 64   one for every 2 GPUs
 *     pcie              gen1 to gen6, with or without      gen5
 *                       x1 to x16, or a bandwidth
 *     nics              of a host, 0 to 64                 one for every GPU
 *     nic               line rate of one                   50GB/s
 *     latency           of one, in us or ns                0
 *     leaf              hosts on a leaf switch             no switches: one flat network
 *     oversubscription  down to up at a leaf, such as 4:1  1:1
 *     pod               leaf switches under a spine        one spine
 *     pod-oversubscription  down to up at such a spine     1:1
 *
 * A bandwidth is a decimal number with GB/s, MB/s, TB/s (bytes) or Gb/s, Mb/s, Tb/s (bits).
 * GPUs and NICs are spread over the switches in order, the switches over the NUMA nodes. */
#ifndef SPAN_SYNTHETIC_H
#define SPAN_SYNTHETIC_H

#include "topo/read/reader.h"

struct synthetic {
	int32_t nodes, gpus, sockets, switches, nics, leaf, pod;
	bool mesh;                    /* NVLink from GPU to GPU */
	double nvlink, xgmi, socket, pcie, nic; /* bytes a second, 0: none */
	double latency;               /* seconds */
	double leaf_ratio, pod_ratio; /* down to up */
	uint32_t said;                /* bit k: the key of this number was given */
};

enum synthetic_key {
	KEY_NODES, KEY_GPUS, KEY_NVLINK, KEY_NVSWITCH, KEY_XGMI, KEY_SOCKETS, KEY_SOCKET,
	KEY_SWITCHES, KEY_PCIE, KEY_NICS, KEY_NIC, KEY_LATENCY, KEY_LEAF, KEY_OVERSUBSCRIPTION,
	KEY_POD, KEY_POD_OVERSUBSCRIPTION, N_SYNTHETIC_KEYS
};

/* Read the words of a source and fill in what they leave out. */
span_status synthetic_parse(const struct source *source, struct synthetic *synthetic);

/* Add the machine, its places and the switches above them to an empty topology. */
span_status synthetic_graph(const struct synthetic *synthetic, span_topo *topo);

#endif
