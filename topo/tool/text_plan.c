/* The floor plan of a machine as an indented tree. */
#include <string.h>

#include "topo/picture/plan.h"
#include "topo/tool/text.h"

/* Where the columns begin: bus, way up. */
enum { BUS_COLUMN = 47, UP_COLUMN = 61 };

struct text_number text_gbps(double bandwidth, int digits)
{
	struct text_number number;
	double gbps = bandwidth / 1e9;

	if (bandwidth <= 0)
		snprintf(number.text, sizeof(number.text), "?");
	else if (gbps >= 1000)
		snprintf(number.text, sizeof(number.text), "%.0f", gbps);
	else
		snprintf(number.text, sizeof(number.text), "%.*g", gbps < 1 ? digits - 2 : digits,
		         gbps);
	return number;
}

struct text_count text_count(int64_t n, const char *one, const char *many)
{
	struct text_count count;

	snprintf(count.text, sizeof(count.text), "%lld %s", (long long)n, n == 1 ? one : many);
	return count;
}

struct text_id text_id(const span_topo *topo, int32_t number)
{
	struct text_id id;
	span_topo_node node;
	const char *local;

	span_topo_node_at(topo, number, &node);
	local = strchr(node.id, '/');
	snprintf(id.text, sizeof(id.text), "%s",
	         local && span_topo_hosts(topo) == 1 ? local + 1 : node.id);
	return id;
}

int32_t text_places(const span_topo *topo, int32_t machine, int32_t *first)
{
	int32_t count = 0;

	for (int32_t i = 0; i < topo->n_places; i++)
		if (topo->places[i].machine == machine && !count++)
			*first = i;
	return count;
}

/* --- columns ------------------------------------------------------------------------------ */

/* A line under construction; what does not fit a column ends in "..". */
struct line {
	char text[256];
	int used;
};

static void put(struct line *line, const char *text)
{
	line->used += snprintf(line->text + line->used, sizeof(line->text) - (size_t)line->used,
	                       "%s%s", line->used && line->text[line->used - 1] != ' ' ? " " : "",
	                       text);
	if (line->used >= (int)sizeof(line->text))
		line->used = sizeof(line->text) - 1;
}

/* Go on at a column. */
static void tab(struct line *line, int column)
{
	if (line->used >= column) {
		line->used = column;
		memcpy(line->text + column - 3, ".. ", 3);
	}
	while (line->used < column)
		line->text[line->used++] = ' ';
	line->text[line->used] = 0;
}

static void finish(struct line *line, FILE *out)
{
	while (line->used && line->text[line->used - 1] == ' ')
		line->used--;
	fprintf(out, "%.*s\n", line->used, line->text);
}

/* --- items -------------------------------------------------------------------------------- */

static const char *link_word(span_link_class link_class)
{
	static const char *const words[] = { "inside", "NVLink", "xGMI",   "C2C",
		                             "PCIe",   "socket", "network" };

	return words[link_class];
}

static void put_speed(struct line *line, const char *word, double bandwidth,
                      span_confidence confidence)
{
	char text[64];

	if (line->used > UP_COLUMN) /* not the first */
		line->used += snprintf(line->text + line->used, sizeof(line->text) -
		                       (size_t)line->used, ",");
	snprintf(text, sizeof(text), "%s %s GB/s%s", word, text_gbps(bandwidth, 4).text,
	         confidence >= SPAN_CONFIDENCE_DECLARED ? "" : "~");
	put(line, text);
}

static void put_cpu(struct line *line, const struct graph_node *node)
{
	static const char *const arch[] = { "", "x86", "POWER", "Arm" };
	static const char *const vendor[] = { "", "Intel", "AMD", "Zhaoxin" };
	char text[32];

	if (node->numa >= 0) {
		snprintf(text, sizeof(text), "NUMA %d", node->numa);
		put(line, text);
	}
	if (*node->name)
		put(line, node->name);
	else if (node->vendor > 0 && node->vendor < 4)
		put(line, vendor[node->vendor]);
	else if (node->arch > 0 && node->arch < 4)
		put(line, arch[node->arch]);
}

static void put_name(struct line *line, const struct machine *machine,
                     const struct plan_item *item)
{
	const struct graph_node *node = &machine->nodes[item->node];
	char text[32];

	if (node->kind == SPAN_NODE_CPU) {
		put_cpu(line, node);
		return;
	}
	if (node->kind == SPAN_NODE_HOST && !*node->name)
		put(line, machine->host_names[node->host]);
	put(line, node->name);
	if (node->rank >= 0 && node->rank != node->index) {
		snprintf(text, sizeof(text), "rank %d", node->rank);
		put(line, text);
	}
}

/* The way up, and what leaves the tree: NVLinks of a GPU, the line rate of a port. */
static void put_links(struct line *line, const struct machine *machine,
                      const struct plan_item *item)
{
	const struct graph_node *node = &machine->nodes[item->node];
	struct plan_bundle bundle = plan_bundle(machine, item->node);
	char word[32];

	if (node->kind == SPAN_NODE_NIC)
		put_speed(line, "port", node->speed, SPAN_CONFIDENCE_DECLARED);
	if (node->kind == SPAN_NODE_GPU && bundle.count) {
		snprintf(word, sizeof(word), "%d %s", bundle.count, link_word(bundle.link_class));
		put_speed(line, word, bundle.bandwidth, bundle.confidence);
	}
	if (item->up && item->up_class != SPAN_LINK_LOCAL)
		put_speed(line, link_word(item->up_class), item->up, item->confidence);
}

static void print_item(const span_topo *topo, const struct place *place, const struct plan *plan,
                       const struct plan_item *item, FILE *out)
{
	const struct graph_node *node = &plan->machine->nodes[item->node];
	struct text_id id = text_id(topo, place->first_node + item->node);
	const char *local = strchr(id.text, '/');
	struct line line = { .used = 0 };

	line.used = snprintf(line.text, sizeof(line.text), "%*s%s",
	                     2 * (item->depth < 12 ? item->depth : 12), "",
	                     local ? local + 1 : id.text);
	if (node->kind == SPAN_NODE_HOST && place->name)
		put(&line, place->name);
	else
		put_name(&line, plan->machine, item);
	if (*node->bus) { /* else its room goes to the name */
		tab(&line, BUS_COLUMN);
		put(&line, node->bus);
	}
	tab(&line, UP_COLUMN);
	put_links(&line, plan->machine, item);
	finish(&line, out);
}

/* --- between NUMA nodes ------------------------------------------------------------------- */

/* Links between sockets, those of one bandwidth on one line. */
static void print_sockets(const struct machine *machine, FILE *out)
{
	double seen = -1;

	for (int32_t i = 0; i < machine->n_links; i++) {
		const struct graph_link *link = &machine->links[i];

		if (link->link_class != SPAN_LINK_SOCKET || link->bandwidth == seen)
			continue;
		seen = link->bandwidth;
		fprintf(out, "between NUMA nodes: %s GB/s%s (%s)\n", text_gbps(seen, 4).text,
		        link->confidence >= SPAN_CONFIDENCE_DECLARED ? "" : "~", link->provenance);
	}
}

span_status text_plan(const span_topo *topo, int32_t number, FILE *out)
{
	const struct place *place = &topo->places[number];
	const struct machine *machine = topo->machines[place->machine];
	struct plan plan;
	span_status status = plan_create(machine, &plan);

	if (status)
		return status;
	for (int32_t i = 0; i < plan.n; i++)
		print_item(topo, place, &plan, &plan.items[i], out);
	print_sockets(machine, out);
	plan_free(&plan);
	return SPAN_OK;
}
