/* Building the graph of a topology: machines, places, switches, notes. */
#include "topo/graph/graph.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"

/* Make room for one more item in a growing array, up to `limit` of them. */
static span_status make_room(void **array, int32_t used, int32_t *room, size_t item_bytes,
                             int32_t limit, const char *what)
{
	int32_t wanted = *room ? *room * 2 : 16;
	void *grown;

	if (used < *room)
		return SPAN_OK;
	if (used >= limit)
		return span_fail(SPAN_EPARSE, "topology: more than %d %s; that many are not read",
		                 limit, what);
	if (wanted > limit)
		wanted = limit;
	grown = realloc(*array, (size_t)wanted * item_bytes);
	if (!grown)
		return span_fail(SPAN_ENOMEM, "topology: no memory for %d %s", wanted, what);
	*array = grown;
	*room = wanted;
	return SPAN_OK;
}

static span_status no_memory(void)
{
	return span_fail(SPAN_ENOMEM, "topology: no memory for a text");
}

span_status topo_create(const char *source_kind, const char *source_name, bool as_nccl,
                        span_topo **topo)
{
	span_topo *made = calloc(1, sizeof(*made));

	if (!made || !(made->source_name = strdup(source_name))) {
		free(made);
		return no_memory();
	}
	made->source_kind = source_kind;
	made->as_nccl = as_nccl;
	*topo = made;
	return SPAN_OK;
}

span_status topo_add_machine(span_topo *topo, struct machine **machine)
{
	struct machine *made;
	span_status status = make_room((void **)&topo->machines, topo->n_machines,
	                               &topo->machine_room, sizeof(*topo->machines),
	                               GRAPH_MAX_PLACES, "machines");

	if (status)
		return status;
	made = calloc(1, sizeof(*made));
	if (!made)
		return span_fail(SPAN_ENOMEM, "topology: no memory for a machine");
	topo->machines[topo->n_machines++] = made;
	*machine = made;
	return SPAN_OK;
}

/* --- nodes and links -------------------------------------------------------------------- */

span_status machine_set_text(char **field, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return no_memory();
	free(*field);
	*field = copy;
	return SPAN_OK;
}

static span_status add_hosts_up_to(struct machine *machine, int32_t host)
{
	char **names;

	if (host < machine->n_hosts)
		return SPAN_OK;
	names = realloc(machine->host_names, ((size_t)host + 1) * sizeof(*names));
	if (!names)
		return no_memory();
	machine->host_names = names;
	for (; machine->n_hosts <= host; machine->n_hosts++) {
		names[machine->n_hosts] = strdup("");
		if (!names[machine->n_hosts])
			return no_memory();
	}
	return SPAN_OK;
}

span_status machine_host_name(struct machine *machine, int32_t host, const char *name)
{
	span_status status = add_hosts_up_to(machine, host);

	return status ? status : machine_set_text(&machine->host_names[host], name);
}

static int32_t count_of_kind(const struct machine *machine, span_node_kind kind, int32_t host)
{
	int32_t i;

	for (i = machine->n_nodes - 1; i >= 0; i--)
		if (machine->nodes[i].kind == kind && machine->nodes[i].host == host)
			return machine->nodes[i].index + 1;
	return 0;
}

span_status machine_add_node(struct machine *machine, span_node_kind kind, int32_t host,
                             int32_t parent, int32_t *number)
{
	struct graph_node *node;
	span_status status;

	assert(host >= 0 && parent < machine->n_nodes && kind != SPAN_NODE_FABRIC);
	status = add_hosts_up_to(machine, host);
	if (!status)
		status = make_room((void **)&machine->nodes, machine->n_nodes, &machine->node_room,
		                   sizeof(*machine->nodes), GRAPH_MAX_NODES, "devices in a machine");
	if (status)
		return status;
	node = &machine->nodes[machine->n_nodes];
	*node = (struct graph_node){ .kind = kind, .host = host, .parent = parent,
	                            .index = count_of_kind(machine, kind, host),
	                            .dev = -1, .rank = -1, .numa = -1, .gdr = -1, .model = -1,
	                            .family = -1, .port = -1, .rail = -1, .last_link = -1 };
	node->name = strdup("");
	node->bus = strdup("");
	node->affinity = strdup("");
	*number = machine->n_nodes++;
	return node->name && node->bus && node->affinity ? SPAN_OK : no_memory();
}

/* Provenances repeat from link to link, so one of the latest is kept only once. */
static const char *keep_string(struct machine *machine, const char *text)
{
	int32_t oldest = machine->n_strings < 64 ? 0 : machine->n_strings - 64, i;

	for (i = machine->n_strings - 1; i >= oldest; i--)
		if (strcmp(machine->strings[i], text) == 0)
			return machine->strings[i];
	if (make_room((void **)&machine->strings, machine->n_strings, &machine->string_room,
	              sizeof(*machine->strings), GRAPH_MAX_LINKS, "texts"))
		return NULL;
	machine->strings[machine->n_strings] = strdup(text);
	if (!machine->strings[machine->n_strings])
		return NULL;
	return machine->strings[machine->n_strings++];
}

static struct graph_link *find_link(struct machine *machine, span_link_class link_class,
                                    int32_t from, int32_t to)
{
	struct graph_link *link;
	int32_t i;

	for (i = machine->nodes[from].last_link; i >= 0; i = link->earlier) {
		link = &machine->links[i];
		if (link->link_class == link_class && link->to == to)
			return link;
	}
	return NULL;
}

span_status machine_add_link(struct machine *machine, span_link_class link_class, int32_t from,
                             int32_t to, double bandwidth, int32_t count,
                             span_confidence confidence, const char *provenance, ...)
{
	struct graph_link *link = find_link(machine, link_class, from, to);
	char text[160];
	va_list arguments;
	span_status status;

	assert(from >= 0 && from < machine->n_nodes && to >= 0 && to < machine->n_nodes);
	if (link) {
		link->bandwidth += bandwidth;
		link->count += count;
		return SPAN_OK;
	}
	status = make_room((void **)&machine->links, machine->n_links, &machine->link_room,
	                   sizeof(*machine->links), GRAPH_MAX_LINKS, "links in a machine");
	if (status)
		return status;
	va_start(arguments, provenance);
	vsnprintf(text, sizeof(text), provenance, arguments);
	va_end(arguments);
	link = &machine->links[machine->n_links];
	*link = (struct graph_link){ .link_class = link_class, .from = from, .to = to,
	                            .count = count, .bandwidth = bandwidth,
	                            .confidence = confidence,
	                            .earlier = machine->nodes[from].last_link,
	                            .provenance = keep_string(machine, text) };
	if (!link->provenance)
		return no_memory();
	machine->nodes[from].last_link = machine->n_links++;
	return SPAN_OK;
}

/* --- places, switches, notes -------------------------------------------------------------- */

span_status topo_add_place(span_topo *topo, int32_t machine, int32_t leaf, const char *name)
{
	struct place place = { .machine = machine, .leaf = leaf };
	span_status status;

	assert(machine >= 0 && machine < topo->n_machines && leaf < topo->n_switches);
	status = make_room((void **)&topo->places, topo->n_places, &topo->place_room,
	                   sizeof(*topo->places), GRAPH_MAX_PLACES, "hosts");
	if (status)
		return status;
	if (name && !(place.name = strdup(name)))
		return no_memory();
	topo->places[topo->n_places++] = place;
	return SPAN_OK;
}

span_status topo_add_switch(span_topo *topo, int32_t parent, const char *name,
                            double up_bandwidth, int32_t *number)
{
	struct fabric_switch *added;
	span_status status;

	assert(parent < topo->n_switches);
	status = make_room((void **)&topo->switches, topo->n_switches, &topo->switch_room,
	                   sizeof(*topo->switches), GRAPH_MAX_SWITCHES, "fabric switches");
	if (status)
		return status;
	added = &topo->switches[topo->n_switches];
	*added = (struct fabric_switch){ .parent = parent, .up_bandwidth = up_bandwidth, .rails = 1,
	                                .confidence = SPAN_CONFIDENCE_DECLARED, .name = strdup(name) };
	if (!added->name)
		return no_memory();
	*number = topo->n_switches++;
	return SPAN_OK;
}

span_status topo_note(span_topo *topo, const char *place, bool corrected, const char *text, ...)
{
	char sentence[512];
	struct note *note;
	va_list arguments;
	span_status status;

	if (topo->n_notes == GRAPH_MAX_NOTES)
		return SPAN_OK;
	status = make_room((void **)&topo->notes, topo->n_notes, &topo->note_room,
	                   sizeof(*topo->notes), GRAPH_MAX_NOTES, "notes");
	if (status)
		return status;
	va_start(arguments, text);
	vsnprintf(sentence, sizeof(sentence), text, arguments);
	va_end(arguments);
	note = &topo->notes[topo->n_notes];
	*note = (struct note){ .place = strdup(place), .text = strdup(sentence),
	                      .corrected = corrected };
	topo->n_notes++;
	return note->place && note->text ? SPAN_OK : no_memory();
}

/* --- taking it apart ---------------------------------------------------------------------- */

static void free_machine(struct machine *machine)
{
	int32_t i;

	for (i = 0; i < machine->n_nodes; i++) {
		free(machine->nodes[i].name);
		free(machine->nodes[i].bus);
		free(machine->nodes[i].affinity);
	}
	for (i = 0; i < machine->n_strings; i++)
		free(machine->strings[i]);
	for (i = 0; i < machine->n_hosts; i++)
		free(machine->host_names[i]);
	free(machine->nodes);
	free(machine->links);
	free(machine->strings);
	free(machine->host_names);
	free(machine->devices);
	free(machine->device_of);
	free(machine->paths);
	free(machine->route_next);
	free(machine->route_via);
	free(machine);
}

void span_topo_free(span_topo *topo)
{
	int32_t i;

	if (!topo)
		return;
	for (i = 0; i < topo->n_machines; i++)
		free_machine(topo->machines[i]);
	for (i = 0; i < topo->n_places; i++)
		free(topo->places[i].name);
	for (i = 0; i < topo->n_switches; i++)
		free(topo->switches[i].name);
	for (i = 0; i < topo->n_notes; i++) {
		free(topo->notes[i].place);
		free(topo->notes[i].text);
	}
	free(topo->machines);
	free(topo->places);
	free(topo->switches);
	free(topo->notes);
	free(topo->source_name);
	free(topo);
}
