/* A topology from the JSON that json_write.c makes. The parser is jansson's, which bounds the
 * depth; it keeps no lines, so messages name the place in the document: "machines[0].nodes[3]". */
#include <jansson.h>
#include <string.h>

#include "topo/json/json_value.h"
#include "topo/log.h"
#include "topo/read/reader.h"

/* --- lists -------------------------------------------------------------------------------- */

typedef span_status read_item(struct json_reader *reader, json_t *item);

/* Every item of the list `key`, which has to be there; `prefix` is for messages. */
static span_status read_list(struct json_reader *reader, json_t *object, const char *prefix,
                             const char *key, read_item *read)
{
	json_t *list = json_object_get(object, key);
	span_status status = SPAN_OK;
	char name[sizeof(reader->list)];

	snprintf(name, sizeof(name), "%.20s%s", prefix, key);
	if (!json_is_array(list)) {
		reader->list[0] = 0;
		return json_wrong(reader, "\"%s\" is to be a list", name);
	}
	for (size_t i = 0; !status && i < json_array_size(list); i++) {
		memcpy(reader->list, name, sizeof(name));
		reader->item = i;
		status = read(reader, json_array_get(list, i));
	}
	return status;
}

static span_status read_host_name(struct json_reader *reader, json_t *item)
{
	if (!json_is_string(item))
		return json_wrong(reader, "the name of a host is to be a text");
	if (reader->item >= GRAPH_MAX_NODES)
		return json_wrong(reader, "more hosts than %d", GRAPH_MAX_NODES);
	return machine_host_name(reader->machine, (int32_t)reader->item,
	                         json_string_value(item));
}

static const char *kind_name(int number)
{
	return span_node_kind_name((span_node_kind)number);
}

static const char *class_name(int number)
{
	return span_link_class_name((span_link_class)number);
}

static const char *confidence_name(int number)
{
	return span_confidence_name((span_confidence)number);
}

static span_status read_node(struct json_reader *reader, json_t *item)
{
	struct machine *machine = reader->machine;
	int32_t host, parent, number;
	int kind = 0;
	span_status status = json_read_named(reader, item, "kind", kind_name, SPAN_NODE_NVSWITCH,
	                                     &kind);

	if (!status && machine->n_hosts == 0)
		return json_wrong(reader, "a node, but no host to stand in");
	if (!status)
		status = json_read_int(reader, item, "host", 0, 0, machine->n_hosts - 1, &host);
	if (!status)
		status = json_read_int(reader, item, "parent", -1, -1, machine->n_nodes - 1, &parent);
	if (!status)
		status = machine_add_node(machine, (span_node_kind)kind, host, parent, &number);
	if (!status)
		status = json_read_fields(reader, item, &machine->nodes[number], json_node_fields);
	return status;
}

static span_status read_link(struct json_reader *reader, json_t *item)
{
	struct machine *machine = reader->machine;
	struct graph_link link = { 0 };
	int32_t last = machine->n_nodes - 1, before = machine->n_links;
	const char *provenance;
	int link_class = 0;
	span_status status = json_read_named(reader, item, "class", class_name, SPAN_LINK_NETWORK,
	                                     &link_class);

	if (!status)
		status = json_read_int(reader, item, "from", -1, 0, last, &link.from);
	if (!status)
		status = json_read_int(reader, item, "to", -1, 0, last, &link.to);
	if (!status)
		status = json_read_text(reader, item, "provenance", "", &provenance);
	if (!status)
		status = json_read_fields(reader, item, &link, json_link_fields);
	if (status)
		return status;
	if (link.from < 0 || link.to < 0)
		return json_wrong(reader, "\"from\" and \"to\" are to be numbers of nodes");
	status = machine_add_link(machine, (span_link_class)link_class, link.from, link.to,
	                          link.bandwidth, link.count, link.confidence, "%s", provenance);
	if (!status && machine->n_links == before)
		return json_wrong(reader, "a second link of one class from node %d to %d", link.from,
		                  link.to);
	if (!status)
		machine->links[before].latency = link.latency;
	return status;
}

static span_status read_machine(struct json_reader *reader, json_t *item)
{
	size_t number = reader->item;
	char prefix[32];
	span_status status = topo_add_machine(reader->topo, &reader->machine);

	snprintf(prefix, sizeof(prefix), "machines[%zu].", number);
	if (!status)
		status = read_list(reader, item, prefix, "hosts", read_host_name);
	if (!status)
		status = read_list(reader, item, prefix, "nodes", read_node);
	if (!status)
		status = read_list(reader, item, prefix, "links", read_link);
	return status;
}

static span_status read_switch(struct json_reader *reader, json_t *item)
{
	span_topo *topo = reader->topo;
	double bandwidth = 0, latency = 0;
	int confidence = 0;
	const char *name;
	int32_t parent, number, rails;
	span_status status = json_read_text(reader, item, "name", NULL, &name);

	if (!status)
		status = json_read_int(reader, item, "parent", -1, -1, topo->n_switches - 1, &parent);
	if (!status)
		status = json_read_int(reader, item, "rails", 1, 1, GRAPH_MAX_RAILS, &rails);
	if (!status)
		status = json_read_real(reader, item, "bandwidth", &bandwidth);
	if (!status)
		status = json_read_real(reader, item, "latency", &latency);
	if (!status)
		status = json_read_named(reader, item, "confidence", confidence_name,
		                         SPAN_CONFIDENCE_MEASURED, &confidence);
	if (!status)
		status = topo_add_switch(topo, parent, name, bandwidth, &number);
	if (!status) {
		topo->switches[number].latency = latency;
		topo->switches[number].rails = rails;
		topo->switches[number].confidence = (span_confidence)confidence;
	}
	return status;
}

static span_status read_place(struct json_reader *reader, json_t *item)
{
	span_topo *topo = reader->topo;
	const char *name = NULL;
	int32_t machine, leaf;
	span_status status;

	if (topo->n_machines == 0)
		return json_wrong(reader, "a place, but no machine that could stand there");
	status = json_read_int(reader, item, "machine", 0, 0, topo->n_machines - 1, &machine);
	if (!status)
		status = json_read_int(reader, item, "leaf", -1, -1, topo->n_switches - 1, &leaf);
	if (!status && json_object_get(item, "name"))
		status = json_read_text(reader, item, "name", NULL, &name);
	return status ? status : topo_add_place(topo, machine, leaf, name);
}

static span_status read_note(struct json_reader *reader, json_t *item)
{
	const char *place, *text;
	span_status status = json_read_text(reader, item, "place", NULL, &place);

	if (!status)
		status = json_read_text(reader, item, "text", NULL, &text);
	if (status)
		return status;
	return topo_note(reader->topo, place, json_is_true(json_object_get(item, "corrected")),
	                 "%s", text);
}

/* --- the document ------------------------------------------------------------------------- */

static span_status read_document(struct json_reader *reader, json_t *root)
{
	span_status status = read_list(reader, root, "", "machines", read_machine);

	if (!status)
		status = read_list(reader, root, "", "switches", read_switch);
	if (!status)
		status = read_list(reader, root, "", "places", read_place);
	if (!status)
		status = read_list(reader, root, "", "notes", read_note);
	return status;
}

/* What the document says about itself. */
static span_status read_head(const struct source *source, json_t *root, bool *as_nccl)
{
	json_t *version = json_object_get(root, "span-topo");

	if (!json_is_integer(version) || json_integer_value(version) != TOPO_JSON_VERSION)
		return span_fail(SPAN_EPARSE, "%s:1: \"span-topo\" is to be %d, the version of the "
		                 "format; write the file again with span-topo convert --to json",
		                 source->name, TOPO_JSON_VERSION);
	*as_nccl = json_is_true(json_object_get(root, "as_nccl"));
	return SPAN_OK;
}

/* Whether NCCL would believe something else: the source was corrected, or has xgmi links. */
static bool is_corrected(const span_topo *topo)
{
	for (int32_t i = 0; i < topo->n_notes; i++)
		if (topo->notes[i].corrected)
			return true;
	for (int32_t m = 0; m < topo->n_machines; m++)
		for (int32_t i = 0; i < topo->machines[m]->n_links; i++)
			if (topo->machines[m]->links[i].link_class == SPAN_LINK_XGMI)
				return true;
	return false;
}

/* A corrected topology cannot be taken back to what NCCL would believe; the other way round,
 * it stays what it was written as. */
static span_status set_view(const struct source *source, span_topo *topo)
{
	if (!source->as_nccl || topo->as_nccl)
		return SPAN_OK;
	if (is_corrected(topo))
		return span_fail(SPAN_EUNSUPPORTED, "%s: written with its corrections; for what NCCL "
		                 "would believe, give the original, or write this file again with "
		                 "--as-nccl", source->name);
	topo->as_nccl = true;
	return SPAN_OK;
}

span_status read_topo_json(const struct source *source, span_topo **topo)
{
	struct json_reader reader = { .name = source->name };
	json_error_t error;
	json_t *root = json_loadb(source->text, source->bytes, JSON_REJECT_DUPLICATES, &error);
	bool as_nccl = false;
	span_status status;

	if (!root)
		return span_fail(SPAN_EPARSE, "%s:%d: %s; expected JSON that span-topo convert --to "
		                 "json wrote",
		                 source->name, error.line, error.text);
	status = read_head(source, root, &as_nccl);
	if (!status)
		status = topo_create("json", source->name, as_nccl, &reader.topo);
	if (!status)
		status = read_document(&reader, root);
	if (!status)
		status = set_view(source, reader.topo);
	json_decref(root);
	if (status)
		span_topo_free(reader.topo);
	else
		*topo = reader.topo;
	return status;
}
