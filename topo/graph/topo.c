/* Queries of a topology, and the numbering behind them: nodes and links of the first place,
 * then of the second, and so on, then the fabric. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "topo/graph/graph.h"
#include "topo/log.h"

static const char *const node_kind_names[] = { "host", "package", "cpu",      "pci",   "gpu",
                                              "card", "nic",     "nvswitch", "fabric" };
static const char *const link_class_names[] = { "local", "nvlink", "xgmi",   "c2c",
                                               "pci",   "socket", "network" };
static const char *const path_class_names[] = { "LOC", "NVL", "NVB", "C2C", "PIX", "PXB",
                                               "P2C", "PXN", "PHB", "SYS", "NET", "DIS" };
static const char *const confidence_names[] = { "unknown", "assumed", "declared", "measured" };

const char *span_node_kind_name(span_node_kind kind)
{
	return node_kind_names[kind];
}

const char *span_link_class_name(span_link_class link_class)
{
	return link_class_names[link_class];
}

const char *span_path_class_name(span_path_class path_class)
{
	return path_class_names[path_class];
}

const char *span_confidence_name(span_confidence confidence)
{
	return confidence_names[confidence];
}

const char *span_topo_source_kind(const span_topo *topo)
{
	return topo->source_kind;
}

const char *span_topo_source_name(const span_topo *topo)
{
	return topo->source_name;
}

/* --- numbering ---------------------------------------------------------------------------- */

static const struct machine *machine_at(const span_topo *topo, const struct place *place)
{
	return topo->machines[place->machine];
}

static int32_t count_kind(const struct machine *machine, span_node_kind kind)
{
	int32_t count = 0, i;

	for (i = 0; i < machine->n_nodes; i++)
		count += machine->nodes[i].kind == kind;
	return count;
}

/* Links of a place: those of its machine, then for each NIC one to its leaf and one back. */
static int32_t links_of_place(const span_topo *topo, const struct place *place)
{
	const struct machine *machine = machine_at(topo, place);

	return machine->n_links +
	       (place->leaf < 0 ? 0 : 2 * count_kind(machine, SPAN_NODE_NIC));
}

/* Numbers of hosts, nodes and links after all places; the fabric's own follow. */
static struct place end_of_places(const span_topo *topo)
{
	struct place end = { 0 };
	const struct place *last;

	if (!topo->n_places)
		return end;
	last = &topo->places[topo->n_places - 1];
	end.first_host = last->first_host + machine_at(topo, last)->n_hosts;
	end.first_node = last->first_node + machine_at(topo, last)->n_nodes;
	end.first_link = last->first_link + links_of_place(topo, last);
	return end;
}

static span_status number_places(span_topo *topo)
{
	int64_t hosts = 0, nodes = 0, links = 0;
	int32_t i;

	for (i = 0; i < topo->n_places; i++) {
		struct place *place = &topo->places[i];

		place->first_host = (int32_t)hosts;
		place->first_node = (int32_t)nodes;
		place->first_link = (int32_t)links;
		hosts += machine_at(topo, place)->n_hosts;
		nodes += machine_at(topo, place)->n_nodes;
		links += links_of_place(topo, place);
		if (hosts + nodes + links > 1 << 30)
			return span_fail(SPAN_EPARSE, "%s: more than 2^30 devices and links; describe "
			                 "fewer hosts", topo->source_name);
	}
	return SPAN_OK;
}

span_status topo_finish(span_topo *topo)
{
	span_status status = SPAN_OK;
	int32_t i;

	if (!topo->n_places)
		return span_fail(SPAN_EPARSE, "%s: no machine in it", topo->source_name);
	for (i = 0; !status && i < topo->n_machines; i++)
		status = machine_paths(topo->machines[i], topo->as_nccl);
	return status ? status : number_places(topo);
}

/* first_node, first_host or first_link of a place: the field at `offset`. */
static int32_t first_of(const span_topo *topo, int32_t place, size_t offset)
{
	int32_t first;

	memcpy(&first, (const char *)&topo->places[place] + offset, sizeof(first));
	return first;
}

/* The place it would be if all were as large as the first one; most often they are. */
static int32_t guess_place(const span_topo *topo, int32_t number, size_t offset)
{
	int32_t size = first_of(topo, 1, offset), guess = size > 0 ? number / size : 0;

	return guess < topo->n_places ? guess : topo->n_places - 1;
}

/* The last place whose first node (host, link) is not above `number`. */
static int32_t find_place(const span_topo *topo, int32_t number, size_t offset)
{
	int32_t low = 0, high = topo->n_places, guess;

	if (high < 2)
		return 0;
	guess = guess_place(topo, number, offset);
	if (first_of(topo, guess, offset) <= number) {
		low = guess;
		if (guess + 1 < high && first_of(topo, guess + 1, offset) > number)
			high = guess + 1;
	}
	while (high - low > 1) {
		int32_t middle = low + (high - low) / 2;

		if (first_of(topo, middle, offset) <= number)
			low = middle;
		else
			high = middle;
	}
	return low;
}

const struct machine *topo_locate(const span_topo *topo, int32_t node, int32_t *place,
                                  int32_t *local)
{
	struct place end = end_of_places(topo);

	assert(node >= 0 && node < end.first_node + topo->n_switches);
	*place = -1;
	*local = node - end.first_node;
	if (node >= end.first_node)
		return NULL;
	*place = find_place(topo, node, offsetof(struct place, first_node));
	*local = node - topo->places[*place].first_node;
	return machine_at(topo, &topo->places[*place]);
}

int32_t span_topo_nodes(const span_topo *topo)
{
	return end_of_places(topo).first_node + topo->n_switches;
}

int32_t span_topo_hosts(const span_topo *topo)
{
	return end_of_places(topo).first_host;
}

/* --- nodes ---------------------------------------------------------------------------------- */

static void fabric_node(const span_topo *topo, int32_t number, span_topo_node *node)
{
	const struct fabric_switch *fabric = &topo->switches[number];
	int32_t first = end_of_places(topo).first_node;

	*node = (span_topo_node){ .kind = SPAN_NODE_FABRIC, .host = -1, .dev = -1, .rank = -1,
	                         .parent = fabric->parent < 0 ? -1 : first + fabric->parent,
	                         .name = fabric->name, .bus = "" };
	snprintf(node->id, sizeof(node->id), "fabric%d", number);
}

void span_topo_node_at(const span_topo *topo, int32_t index, span_topo_node *node)
{
	int32_t place_number, local;
	const struct machine *machine = topo_locate(topo, index, &place_number, &local);
	const struct graph_node *found;
	const struct place *place;
	bool host;

	if (!machine) {
		fabric_node(topo, local, node);
		return;
	}
	place = &topo->places[place_number];
	found = &machine->nodes[local];
	host = found->kind == SPAN_NODE_HOST;
	*node = (span_topo_node){ .kind = found->kind, .host = place->first_host + found->host,
	                         .parent = found->parent < 0 ? -1
	                                                     : place->first_node + found->parent,
	                         .dev = found->dev, .rank = found->rank, .name = found->name,
	                         .bus = found->bus };
	if (host && place->leaf >= 0)
		node->parent = end_of_places(topo).first_node + place->leaf;
	if (host && place->name)
		node->name = place->name;
	else if (host && machine->host_names[found->host][0])
		node->name = machine->host_names[found->host];
	if (host)
		snprintf(node->id, sizeof(node->id), "h%d", node->host);
	else
		snprintf(node->id, sizeof(node->id), "h%d/%s%d", node->host,
		         span_node_kind_name(node->kind), found->index);
}

/* Read "h12/": the number of a host; *rest is what follows. Host 0 when there is none. */
static int32_t host_of_id(const char *id, const char **rest)
{
	int host, used = 0;

	*rest = id;
	if (sscanf(id, "h%8d%n", &host, &used) == 1 && host >= 0 &&
	    (id[used] == '/' || !id[used])) {
		*rest = id + used + (id[used] == '/');
		return host;
	}
	return 0;
}

static int32_t find_in_host(const span_topo *topo, int32_t host, const char *id)
{
	int32_t number = find_place(topo, host, offsetof(struct place, first_host)), i;
	const struct place *place = &topo->places[number];
	const struct machine *machine = machine_at(topo, place);

	for (i = 0; i < machine->n_nodes; i++) {
		const struct graph_node *node = &machine->nodes[i];
		char text[32] = "";

		if (place->first_host + node->host != host)
			continue;
		if (node->kind != SPAN_NODE_HOST)
			snprintf(text, sizeof(text), "%s%d", span_node_kind_name(node->kind),
			         node->index);
		if (strcmp(text, id) == 0)
			return place->first_node + i;
	}
	return -1;
}

int32_t span_topo_find(const span_topo *topo, const char *id)
{
	const char *rest;
	int32_t host = host_of_id(id, &rest), i;
	bool named = rest != id;

	for (i = 0; !named && i < topo->n_switches; i++) {
		char text[32];

		snprintf(text, sizeof(text), "fabric%d", i);
		if (strcmp(text, id) == 0 || strcmp(topo->switches[i].name, id) == 0)
			return end_of_places(topo).first_node + i;
	}
	if (host >= span_topo_hosts(topo) || (!named && span_topo_hosts(topo) > 1) ||
	    (!named && !*id))
		return -1;
	return find_in_host(topo, host, rest);
}

int32_t span_topo_devices(const span_topo *topo, span_node_kind kind, int32_t host,
                          int32_t *nodes, int32_t room)
{
	int32_t first = 0, last = topo->n_places - 1, count = 0, p, i;

	if (host >= 0)
		first = last = find_place(topo, host, offsetof(struct place, first_host));
	for (p = first; p <= last; p++) {
		const struct place *place = &topo->places[p];
		const struct machine *machine = machine_at(topo, place);

		for (i = 0; i < machine->n_nodes; i++) {
			const struct graph_node *node = &machine->nodes[i];

			if (node->kind != kind ||
			    (host >= 0 && place->first_host + node->host != host))
				continue;
			if (count < room)
				nodes[count] = place->first_node + i;
			count++;
		}
	}
	return count;
}

/* --- links ---------------------------------------------------------------------------------- */

int32_t span_topo_links(const span_topo *topo)
{
	int32_t count = end_of_places(topo).first_link, i;

	for (i = 0; i < topo->n_switches; i++)
		count += topo->switches[i].parent >= 0 ? 2 : 0;
	return count;
}

/* The k-th link between NICs and leaf of a place. */
static void leaf_link(const span_topo *topo, const struct place *place, int32_t k,
                      span_topo_link *link)
{
	const struct machine *machine = machine_at(topo, place);
	int32_t leaf = end_of_places(topo).first_node + place->leaf, nth = k / 2, i;

	for (i = 0; i < machine->n_nodes; i++)
		if (machine->nodes[i].kind == SPAN_NODE_NIC && nth-- == 0)
			break;
	assert(i < machine->n_nodes);
	*link = (span_topo_link){ .link_class = SPAN_LINK_NETWORK,
	                         .from = k % 2 ? leaf : place->first_node + i,
	                         .to = k % 2 ? place->first_node + i : leaf,
	                         .bandwidth = machine->nodes[i].speed,
	                         .latency = machine->nodes[i].latency,
	                         .confidence = machine->nodes[i].speed ? SPAN_CONFIDENCE_DECLARED
	                                                               : SPAN_CONFIDENCE_UNKNOWN,
	                         .provenance = "line rate of the port" };
}

/* The k-th link between fabric switches; where a leaf stands for several, of one of them. */
static void fabric_link(const span_topo *topo, int32_t k, span_topo_link *link)
{
	int32_t first = end_of_places(topo).first_node, nth = k / 2, i;

	for (i = 0; i < topo->n_switches; i++)
		if (topo->switches[i].parent >= 0 && nth-- == 0)
			break;
	assert(i < topo->n_switches);
	*link = (span_topo_link){ .link_class = SPAN_LINK_NETWORK,
	                         .from = first + (k % 2 ? topo->switches[i].parent : i),
	                         .to = first + (k % 2 ? i : topo->switches[i].parent),
	                         .bandwidth = topo->switches[i].up_bandwidth /
	                                      topo->switches[i].rails,
	                         .latency = topo->switches[i].latency,
	                         .confidence = topo->switches[i].confidence,
	                         .provenance = topo->switches[i].rails > 1
	                                               ? "uplinks of one rail, together"
	                                               : "uplinks of the switch, together" };
}

void span_topo_link_at(const span_topo *topo, int32_t index, span_topo_link *link)
{
	struct place end = end_of_places(topo);
	const struct graph_link *found;
	const struct machine *machine;
	const struct place *place;
	int32_t local;

	assert(index >= 0 && index < span_topo_links(topo));
	if (index >= end.first_link) {
		fabric_link(topo, index - end.first_link, link);
		return;
	}
	place = &topo->places[find_place(topo, index, offsetof(struct place, first_link))];
	machine = machine_at(topo, place);
	local = index - place->first_link;
	if (local >= machine->n_links) {
		leaf_link(topo, place, local - machine->n_links, link);
		return;
	}
	found = &machine->links[local];
	*link = (span_topo_link){ .link_class = found->link_class,
	                         .from = place->first_node + found->from,
	                         .to = place->first_node + found->to,
	                         .bandwidth = found->bandwidth, .latency = found->latency,
	                         .confidence = found->confidence,
	                         .provenance = found->provenance };
}

/* --- paths ---------------------------------------------------------------------------------- */

static span_status locate_device(const span_topo *topo, int32_t node, int32_t *place,
                                 int32_t *device)
{
	const struct machine *machine = NULL;
	int32_t local;

	if (node >= 0 && node < span_topo_nodes(topo))
		machine = topo_locate(topo, node, place, &local);
	if (!machine || machine->device_of[local] < 0)
		return span_fail(SPAN_EINVAL, "path: node %d is no GPU, NIC or CPU; "
		                 "span_topo_devices lists those", node);
	*device = machine->device_of[local];
	return SPAN_OK;
}

span_status span_topo_path_between(const span_topo *topo, int32_t from, int32_t to,
                                   span_topo_path *path)
{
	int32_t from_place, from_device, to_place, to_device;
	const struct machine *machine;
	struct graph_path found;
	span_status status = locate_device(topo, from, &from_place, &from_device);

	if (!status)
		status = locate_device(topo, to, &to_place, &to_device);
	if (status)
		return status;
	machine = machine_at(topo, &topo->places[from_place]);
	if (from_place == to_place)
		found = machine->paths[from_device * machine->n_devices + to_device];
	else
		topo_network_path(topo, from_place, from_device, to_place, to_device, &found);
	*path = (span_topo_path){ .path_class = found.path_class, .bandwidth = found.bandwidth,
	                         .latency = found.latency, .hops = found.hops,
	                         .confidence = found.confidence };
	return SPAN_OK;
}

/* --- notes ---------------------------------------------------------------------------------- */

int32_t span_topo_notes(const span_topo *topo)
{
	return topo->n_notes;
}

void span_topo_note_at(const span_topo *topo, int32_t index, span_topo_note *note)
{
	assert(index >= 0 && index < topo->n_notes);
	*note = (span_topo_note){ .place = topo->notes[index].place,
	                         .text = topo->notes[index].text,
	                         .corrected = topo->notes[index].corrected };
}
