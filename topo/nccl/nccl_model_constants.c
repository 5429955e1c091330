/* The constants of NCCL's cost model, and the names of what it chooses among. */
#include "topo/nccl/nccl_model.h"

#include <ctype.h>
#include <math.h>
#include <stddef.h>

/* Source: NCCL v2.28.9-1, src/graph/tuning.cc, read as numbers; facts of the released library
 * (tests/data/nccl-golden) confirm them. Rows of the caps: Volta, Ampere, Hopper, Blackwell;
 * columns: one node, two, more. LL caps of several nodes are read by kind of CPU instead: row 1
 * for AMD or mixed, else row 0. */
const span_nccl_constants span_nccl_defaults = {
	.base = {
		[SPAN_ALGO_TREE] = { 6.8, 14.0, 8.4 },
		[SPAN_ALGO_RING] = { 6.6, 14.0, 8.4 },
		[SPAN_ALGO_PAT] = { 8.0, 8.0, 8.0 },
	},
	.hw = {
		[SPAN_HW_NVLINK] = {
			[SPAN_ALGO_TREE] = { 0.6, 1.25, 4.0 },
			[SPAN_ALGO_RING] = { 0.6, 1.9, 3.4 },
			[SPAN_ALGO_COLLNET_DIRECT] = { 0, 0, 3.7 },
			[SPAN_ALGO_COLLNET_CHAIN] = { 0, 0, 2.8 },
			[SPAN_ALGO_NVLS] = { 0, 0, 25 },
			[SPAN_ALGO_NVLS_TREE] = { 0, 0, 25 },
			[SPAN_ALGO_PAT] = { 0, 0, 4.0 },
		},
		[SPAN_HW_PCI] = {
			[SPAN_ALGO_TREE] = { 1.0, 1.9, 4.0 },
			[SPAN_ALGO_RING] = { 1.0, 2.5, 5.7 },
			[SPAN_ALGO_COLLNET_DIRECT] = { 0, 0, 3.7 },
			[SPAN_ALGO_COLLNET_CHAIN] = { 0, 0, 2.8 },
			[SPAN_ALGO_PAT] = { 0, 0, 4.0 },
		},
		[SPAN_HW_NET] = {
			[SPAN_ALGO_TREE] = { 5.0, 8.5, 14 },
			[SPAN_ALGO_RING] = { 2.7, 4.0, 14.0 },
			[SPAN_ALGO_COLLNET_DIRECT] = { 0, 0, 31 },
			[SPAN_ALGO_COLLNET_CHAIN] = { 0, 0, 30 },
			[SPAN_ALGO_NVLS] = { 0, 0, 18 },
			[SPAN_ALGO_NVLS_TREE] = { 0, 0, 20.9 },
			[SPAN_ALGO_PAT] = { 0, 0, 14 },
		},
	},
	.ll_max = { { 39.0, 39.0, 20.4 }, { 87.7, 22.5, 19.0 }, { 141.0, 45.0, 35.0 },
	            { 282.0, 90.0, 70.0 } },
	.ring_ll128_max = { { 20.0, 20.0, 20.0 }, { 20.0, 20.0, 20.0 }, { 36.7, 36.7, 36.7 },
	                    { 73.4, 34.6, 73.4 } },
	.tree_ll128_max = { { 20.0, 20.0, 20.0 }, { 20.0, 20.0, 20.0 }, { 36.7, 36.7, 29.0 },
	                    { 55.6, 31.67, 20.0 } },
	.tree_max = { { 26.5, 18.5, 10.0 }, { 24.0, 23.6, 17.8 }, { 38.7, 41.4, 36.0 },
	              { 70.0, 42.8, 24.0 } },
	.nvls_tree_max = { { 26.5, 18.5, 10.0 }, { 24.0, 23.6, 17.8 }, { 0.0, 57.7, 45.5 },
	                   { 0.0, 96.0, 43.8 } },
};

bool span_nccl_constants_sane(const span_nccl_constants *constants)
{
	const double *all = (const double *)constants;

	for (size_t i = 0; i < sizeof(*constants) / sizeof(*all); i++) {
		if (!isfinite(all[i]) || all[i] < 0)
			return false;
	}
	for (int proto = 0; proto < SPAN_PROTOS; proto++) {
		if (constants->base[SPAN_ALGO_RING][proto] <= 0)
			return false;
		for (int hw = 0; hw < SPAN_HWS; hw++) {
			if (constants->hw[hw][SPAN_ALGO_RING][proto] <= 0)
				return false;
		}
	}
	for (int gpu = 0; gpu < SPAN_GPUS; gpu++) {
		for (int scale = 0; scale < SPAN_SCALES; scale++) {
			if (constants->ll_max[gpu][scale] <= 0 ||
			    constants->ring_ll128_max[gpu][scale] <= 0)
				return false;
		}
	}
	return true;
}

/* --- names -------------------------------------------------------------------------------- */

static const char *const coll_names[SPAN_COLLS] = { "Broadcast", "Reduce", "AllGather",
	                                            "ReduceScatter", "AllReduce" };
static const char *const algo_names[SPAN_ALGOS] = { "Tree", "Ring", "CollNetDirect",
	                                            "CollNetChain", "NVLS", "NVLSTree", "PAT" };
static const char *const proto_names[SPAN_PROTOS] = { "LL", "LL128", "Simple" };

static const char *name_of(const char *const *names, int n, int number)
{
	return number >= 0 && number < n ? names[number] : NULL;
}

/* Equal but for case, "_" and "-". */
static int same_name(const char *a, const char *b)
{
	for (;;) {
		a += *a == '_' || *a == '-';
		b += *b == '_' || *b == '-';
		if (tolower((unsigned char)*a) != tolower((unsigned char)*b))
			return 0;
		if (!*a)
			return 1;
		a++;
		b++;
	}
}

static int number_of(const char *const *names, int n, const char *name)
{
	for (int i = 0; i < n; i++) {
		if (same_name(names[i], name))
			return i;
	}
	return -2;
}

const char *span_coll_name(int coll)
{
	return name_of(coll_names, SPAN_COLLS, coll);
}

const char *span_algo_name(int algo)
{
	return algo == SPAN_ALGO_ANY ? "Any" : name_of(algo_names, SPAN_ALGOS, algo);
}

const char *span_proto_name(int proto)
{
	return proto == SPAN_PROTO_ANY ? "Any" : name_of(proto_names, SPAN_PROTOS, proto);
}

int span_coll_number(const char *name)
{
	return number_of(coll_names, SPAN_COLLS, name);
}

int span_algo_number(const char *name)
{
	return same_name(name, "Any") ? SPAN_ALGO_ANY : number_of(algo_names, SPAN_ALGOS, name);
}

int span_proto_number(const char *name)
{
	return same_name(name, "Any") ? SPAN_PROTO_ANY : number_of(proto_names, SPAN_PROTOS, name);
}
