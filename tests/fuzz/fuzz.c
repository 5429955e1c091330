#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <string.h>

#include "topo/json/json.h"
#include "topo/write/anonymise.h"
#include "topo/write/write.h"

/* Pairs of devices that are asked for their path: enough to see every kind of pair. */
#define MOST_DEVICES 24

static int messages;

static void count(void *user, span_status status, const char *message)
{
	(void)user;
	messages++;
	if (status == SPAN_OK || !*message || strchr(message, '\n'))
		__builtin_trap();
}

void fuzz_begin(void)
{
	messages = 0;
	span_set_log(count, NULL);
}

void fuzz_judge(span_status status)
{
	if (messages != (status != SPAN_OK))
		__builtin_trap();
}

static void ask_paths(const span_topo *topo, const int32_t *nodes, int32_t n, int as_nccl)
{
	int32_t route[64];

	for (int32_t i = 0; i < n; i++) {
		for (int32_t j = 0; j < n; j++) {
			span_topo_path path;

			if (span_topo_path_between(topo, nodes[i], nodes[j], &path) ||
			    !(path.bandwidth >= 0) ||
			    (i == j && !as_nccl && path.path_class != SPAN_PATH_LOC))
				__builtin_trap();
			span_topo_route(topo, nodes[i], nodes[j], route, 64);
		}
	}
}

static void ask_everything(const span_topo *topo, int as_nccl)
{
	static const span_node_kind kinds[] = { SPAN_NODE_GPU, SPAN_NODE_NIC, SPAN_NODE_CPU };
	int32_t nodes[3 * MOST_DEVICES], n = 0;

	for (int32_t i = 0; i < span_topo_nodes(topo) && i < 4096; i++) {
		span_topo_node node;

		span_topo_node_at(topo, i, &node);
		if (node.parent >= span_topo_nodes(topo) || node.host >= span_topo_hosts(topo))
			__builtin_trap();
	}
	for (int32_t i = 0; i < span_topo_links(topo) && i < 4096; i++) {
		span_topo_link link;

		span_topo_link_at(topo, i, &link);
		if (link.from < 0 || link.from >= span_topo_nodes(topo) || link.to < 0 ||
		    link.to >= span_topo_nodes(topo) || !(link.bandwidth >= 0))
			__builtin_trap();
	}
	for (int k = 0; k < 3; k++) {
		int32_t all = span_topo_devices(topo, kinds[k], -1, nodes + n, MOST_DEVICES);

		n += all < MOST_DEVICES ? all : MOST_DEVICES;
	}
	ask_paths(topo, nodes, n, as_nccl);
}

void fuzz_use(span_topo *topo, int as_nccl)
{
	static FILE *nowhere;

	if (!nowhere)
		nowhere = fopen("/dev/null", "w");
	ask_everything(topo, as_nccl);
	if (span_topo_nodes(topo) < 4096) {
		topo_write_json(topo, nowhere);
		topo_write_nccl(topo, 0, nowhere);
		topo_write_synthetic(topo, nowhere);
		if (topo_anonymise(topo))
			__builtin_trap();
		ask_everything(topo, as_nccl);
	}
	span_topo_free(topo);
}
