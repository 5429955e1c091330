/* An order as rankfile, hostfile, SLURM_HOSTFILE or list of torchrun's ranks. */
#include "topo/ring/emit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"
#include "topo/ring/ring_fabric.h"

static const char *const format_names[] = { "rankfile", "hostfile", "slurm", "torch" };

enum { FORMATS = sizeof(format_names) / sizeof(*format_names) };

span_status emit_format_parse(const char *name, enum emit_format *format)
{
	for (int i = 0; i < FORMATS; i++) {
		if (strcmp(name, format_names[i]) == 0) {
			*format = (enum emit_format)i;
			return SPAN_OK;
		}
	}
	return span_fail(SPAN_EINVAL, "order: --emit \"%.40s\"; it is rankfile, hostfile, slurm or "
	                 "torch", name);
}

/* --- hosts -------------------------------------------------------------------------------- */

struct host {
	const char *name; /* in the topology, or own */
	char own[16];
	int32_t number;
};

static bool is_safe(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789.-_";

	return *name && *name != '-' && *name != '.' && strlen(name) <= 253 &&
	       name[strspn(name, letters)] == '\0';
}

/* A message is one line, whatever a file calls its hosts. */
static span_status refuse_name(const struct host *host)
{
	char shown[61];

	snprintf(shown, sizeof(shown), "%s", host->name);
	for (char *c = shown; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	return span_fail(SPAN_EINVAL, "order: %s is called \"%s\", which cannot stand in a list of "
	                 "hosts; a name has letters, digits, \".\", \"-\" and \"_\"", host->own,
	                 shown);
}

static span_status name_host(const span_topo *topo, const struct place *place, int32_t h,
                             struct host *host)
{
	const struct machine *machine = topo->machines[place->machine];
	const char *name = place->name ? place->name : machine->host_names[h];

	host->number = place->first_host + h;
	snprintf(host->own, sizeof(host->own), "h%d", host->number);
	host->name = *name ? name : host->own;
	return is_safe(host->name) ? SPAN_OK : refuse_name(host);
}

static int compare_hosts(const void *left, const void *right)
{
	const struct host *a = *(const struct host *const *)left;
	const struct host *b = *(const struct host *const *)right;

	return strcmp(a->name, b->name);
}

/* Two hosts of one name cannot be told apart by a launcher. */
static span_status check_twins(const struct host *hosts, int32_t n)
{
	const struct host **sorted = malloc(((size_t)n + 1) * sizeof(*sorted));
	span_status status = SPAN_OK;

	if (!sorted)
		return span_fail(SPAN_ENOMEM, "order: no memory for %d hosts", n);
	for (int32_t i = 0; i < n; i++)
		sorted[i] = &hosts[i];
	qsort(sorted, (size_t)n, sizeof(*sorted), compare_hosts);
	for (int32_t i = 1; !status && i < n; i++)
		if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
			status = span_fail(SPAN_EINVAL, "order: h%d and h%d are both called \"%.60s\"; "
			                   "give hosts names of their own in the description",
			                   sorted[i - 1]->number, sorted[i]->number,
			                   sorted[i]->name);
	free(sorted);
	return status;
}

static span_status name_hosts(const span_topo *topo, struct host *hosts)
{
	for (int32_t p = 0; p < topo->n_places; p++) {
		const struct place *place = &topo->places[p];

		for (int32_t h = 0; h < topo->machines[place->machine]->n_hosts; h++) {
			span_status status = name_host(topo, place, h,
			                               &hosts[place->first_host + h]);

			if (status)
				return status;
		}
	}
	return check_twins(hosts, span_topo_hosts(topo));
}

/* --- formats -------------------------------------------------------------------------------- */

static int32_t host_of(const span_ring *ring, int32_t node)
{
	span_topo_node device;

	span_topo_node_at(ring->topo, node, &device);
	return device.host;
}

/* The socket a device is on: its package, else its NUMA node, else the first. */
static int32_t socket_of(const span_topo *topo, int32_t node)
{
	int32_t place, local, socket = 0, steps = 0;
	const struct machine *machine = topo_locate(topo, node, &place, &local);

	for (; local >= 0 && steps < machine->n_nodes; local = machine->nodes[local].parent) {
		span_node_kind kind = machine->nodes[local].kind;

		if (kind == SPAN_NODE_CPU || kind == SPAN_NODE_PACKAGE)
			socket = machine->nodes[local].index;
		steps++;
	}
	return socket;
}

static void print_rankfile(const span_ring *ring, const int32_t *nodes, const struct host *hosts,
                           FILE *out)
{
	for (int32_t i = 0; i < ring->n; i++)
		fprintf(out, "rank %d=%s slot=%d:*\n", i, hosts[host_of(ring, nodes[i])].name,
		        socket_of(ring->topo, nodes[i]));
}

/* A host that the order comes back to stands there again: ranks are dealt out line by line. */
static void print_hostfile(const span_ring *ring, const int32_t *nodes, const struct host *hosts,
                           FILE *out)
{
	for (int32_t i = 0, end; i < ring->n; i = end) {
		int32_t host = host_of(ring, nodes[i]);

		for (end = i + 1; end < ring->n && host_of(ring, nodes[end]) == host; end++)
			;
		fprintf(out, "%s slots=%d\n", hosts[host].name, end - i);
	}
}

static void print_slurm(const span_ring *ring, const int32_t *nodes, const struct host *hosts,
                        FILE *out)
{
	for (int32_t i = 0; i < ring->n; i++)
		fprintf(out, "%s\n", hosts[host_of(ring, nodes[i])].name);
}

static span_status print_torch(const span_ring *ring, const int32_t *nodes, FILE *out)
{
	size_t room = (size_t)span_topo_nodes(ring->topo);
	int32_t *torch = malloc((size_t)ring->n * sizeof(*torch));
	int32_t *rank_of = malloc((room + 1) * sizeof(*rank_of));
	span_status status = SPAN_ENOMEM;

	if (torch && rank_of)
		status = span_ring_other(ring, SPAN_RING_BY_NAME, torch);
	else
		span_fail(status, "order: no memory for %d ranks", ring->n);
	for (int32_t i = 0; !status && i < ring->n; i++)
		rank_of[torch[i]] = i;
	for (int32_t i = 0; !status && i < ring->n; i++)
		fprintf(out, "%s%d%s", i ? ", " : "[", rank_of[nodes[i]],
		        i + 1 < ring->n ? "" : "]\n");
	free(torch);
	free(rank_of);
	return status;
}

span_status emit_order(const span_ring *ring, const int32_t *nodes, enum emit_format format,
                       FILE *out)
{
	int32_t n = span_topo_hosts(ring->topo);
	struct host *hosts = calloc((size_t)n + 1, sizeof(*hosts));
	span_status status;

	if (!hosts)
		return span_fail(SPAN_ENOMEM, "order: no memory for %d hosts", n);
	status = name_hosts(ring->topo, hosts);
	if (!status && format == EMIT_RANKFILE)
		print_rankfile(ring, nodes, hosts, out);
	else if (!status && format == EMIT_HOSTFILE)
		print_hostfile(ring, nodes, hosts, out);
	else if (!status && format == EMIT_SLURM)
		print_slurm(ring, nodes, hosts, out);
	else if (!status)
		status = print_torch(ring, nodes, out);
	free(hosts);
	if (!status && ferror(out))
		status = span_fail(SPAN_EIO, "order: writing failed: %s", strerror(errno));
	return status;
}
