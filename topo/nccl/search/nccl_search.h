/* NCCL's graph search, as NCCL 2.28.9 does it: which rings, trees and NVSwitch graphs a host gets,
 * with how many channels, and what bandwidth each of these is thought to have. Private.
 *
 * NCCL measures nothing. It has the machine's links with bandwidths by generation (what the view
 * as_nccl of span_topo.h shows), and looks for the most channels at the most bandwidth such that
 * every channel takes its share from every link it crosses. It tries speeds from a fixed list,
 * falling, and at each speed ever farther classes of paths; every try is a walk over GPUs that
 * turns back when a link has no bandwidth left, and that ends after a fixed count of steps. So the
 * result depends on no clock, and on every order in which something is tried.
 *
 * The search is done once for one node and once for several: with several, channels begin and end
 * at a NIC. All nodes are taken to be alike, so how many there are does not matter beyond that.
 * Only where NCCL is left to its defaults, and has no CollNet (SHARP).
 *
 * Source: NVIDIA NCCL v2.28.9-1, src/graph/search.cc, paths.cc, topo.cc and connect.cc, read as
 * facts and checked against the graphs that the released library finds (tests/data/nccl-golden).
 * Floats are floats here, and are rounded, where they are there. */
#ifndef SPAN_NCCL_SEARCH_H
#define SPAN_NCCL_SEARCH_H

#include "topo/nccl/nccl_model.h"
#include "topo/span_topo.h"

/* A graph that was found. */
struct nccl_found {
	span_nccl_graph graph; /* what the cost model takes of it; channels 0: none */
	int32_t cross_nic;     /* 2: a ring leaves by another NIC than it entered by, and the next
	                        * ring takes the same two the other way round; else 0 */
	int32_t *ranks;        /* [channels][n_gpus] on the node, in the order of ring or tree; of an
	                        * NVSwitch graph the first alone counts: the GPU that heads it */
	int32_t *nics;         /* [channels][2] in which it enters and leaves a node of several:
	                        * numbers as span_topo_devices gives them; -1: one node */
};

struct nccl_graphs {
	int32_t nodes, n_gpus;
	struct nccl_found ring, tree, nvls;
	span_nccl_comm comm;   /* with these graphs and NCCL's final count of channels */
};

/* Search for the graphs of `nodes` nodes, each of which is the one machine of a topology that was
 * loaded as_nccl. `cc` is the compute capability, such as 90, of GPUs of which the source does not
 * say it; 0: nobody knows. Returns SPAN_EINVAL for nodes below 1 or another view, SPAN_EUNSUPPORTED
 * for a topology of machines that differ, one without GPUs or too large, GPUs of no known
 * capability, or several nodes without a NIC; SPAN_ENOMEM. To be freed after success. */
span_status nccl_search(const span_topo *topo, int32_t nodes, int32_t cc,
                        struct nccl_graphs *graphs);
void nccl_search_free(struct nccl_graphs *graphs);

/* Give a profile what span_nccl_from_profile needs and it does not have: the communicator's
 * numbers, and the graphs of one node and (where there is a NIC) of several, found in `topo`.
 * Numbers that are there stay as they are, and its comm.cc serves where the source tells no
 * compute capability. Returns what nccl_search returns, and SPAN_EINVAL where
 * the profile says that its machine has another number of GPUs. */
span_status nccl_search_into_profile(const span_topo *topo, span_profile *profile);

#endif
