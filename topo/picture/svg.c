/* The page: title, fabric, a plan of every kind of host, the ring in words, legend. */
#include "topo/picture/svg.h"

#include <stdlib.h>
#include <string.h>

#include "topo/log.h"
#include "topo/picture/svg_draw.h"

enum { TOP = 62, HEADING = 30, LEGEND = 24, WIDTH_LEAST = 640, RING_NAMED = 24, KINDS_MOST = 16 };

struct kind {
	int32_t place, places;   /* the first one, and how many */
	struct svg_plan plan;
};

struct page {
	const span_topo *topo;
	struct svg_fabric *fabric;
	struct kind *kinds;
	int32_t n_kinds, left_out;
	const int32_t *ring;
	int32_t n_ring;
	int width, height;
};

/* --- what is on the page ------------------------------------------------------------------ */

static int32_t count_places(const span_topo *topo, int32_t machine, int32_t *first)
{
	int32_t count = 0;

	for (int32_t i = 0; i < topo->n_places; i++)
		if (topo->places[i].machine == machine && !count++)
			*first = i;
	return count;
}

static span_status plan_kinds(struct page *page)
{
	const span_topo *topo = page->topo;
	span_status status = SPAN_OK;

	page->kinds = calloc(KINDS_MOST, sizeof(*page->kinds));
	if (!page->kinds)
		return span_fail(SPAN_ENOMEM, "picture: no memory");
	for (int32_t i = 0; !status && i < topo->n_machines; i++) {
		struct kind *kind = &page->kinds[page->n_kinds];
		int32_t first = 0, places = count_places(topo, i, &first);

		if (!places)
			continue;
		if (page->n_kinds == KINDS_MOST) {
			page->left_out++;
			continue;
		}
		kind->place = first;
		kind->places = places;
		status = svg_plan_create(topo, first, page->ring, page->n_ring, &kind->plan);
		if (!status)
			page->n_kinds++;
	}
	return status;
}

static bool has_headings(const struct page *page)
{
	return page->topo->n_places > 1;
}

static void measure(struct page *page)
{
	int width = WIDTH_LEAST, height = 0;

	page->height = TOP;
	page->width = WIDTH_LEAST;
	if (page->fabric) {
		svg_fabric_size(page->fabric, &width, &height);
		page->height += height;
	}
	page->width = width > page->width ? width : page->width;
	for (int32_t i = 0; i < page->n_kinds; i++) {
		const struct svg_plan *plan = &page->kinds[i].plan;

		page->height += plan->height + (has_headings(page) ? HEADING : 0);
		page->width = plan->width > page->width ? plan->width : page->width;
	}
	page->height += (page->n_ring ? LEGEND : 0) + (page->left_out ? LEGEND : 0) +
	                2 * LEGEND + SVG_PAD;
}

/* --- words -------------------------------------------------------------------------------- */

static int32_t count_kind(const struct machine *machine, span_node_kind kind)
{
	int32_t count = 0;

	for (int32_t i = 0; i < machine->n_nodes; i++)
		count += machine->nodes[i].kind == kind;
	return count;
}

/* Add "8 GPUs" to a list, if there are any. */
static void put_count(char *text, size_t bytes, int32_t n, const char *one, const char *many)
{
	size_t used = strlen(text);

	if (n)
		snprintf(text + used, bytes - used, "%s%d %s", used ? ", " : "", n,
		         n == 1 ? one : many);
}

static void describe_machine(const struct machine *machine, char *text, size_t bytes)
{
	size_t used;

	*text = 0;
	put_count(text, bytes, count_kind(machine, SPAN_NODE_CPU), "NUMA node", "NUMA nodes");
	put_count(text, bytes, count_kind(machine, SPAN_NODE_GPU), "GPU", "GPUs");
	put_count(text, bytes, count_kind(machine, SPAN_NODE_NIC), "NIC port", "NIC ports");
	used = strlen(text);
	if (count_kind(machine, SPAN_NODE_NVSWITCH))
		snprintf(text + used, bytes - used, ", NVSwitch");
}

static void describe_page(const struct page *page, char *text, size_t bytes)
{
	int32_t hosts = span_topo_hosts(page->topo);
	char parts[96];

	describe_machine(page->topo->machines[0], parts, sizeof(parts));
	if (page->topo->n_machines > 1)
		snprintf(text, bytes, "%d hosts of %d kinds", hosts, page->topo->n_machines);
	else
		snprintf(text, bytes, "%d host%s%s %s", hosts, hosts == 1 ? "" : "s",
		         page->topo->n_places > 1 ? ", each with" : " with", parts);
}

/* The source without the folders it lies in. */
static const char *short_name(const span_topo *topo)
{
	const char *slash = strrchr(topo->source_name, '/');

	return slash && slash[1] && strncmp(topo->source_name, "synthetic:", 10) != 0
	               ? slash + 1 : topo->source_name;
}

/* What hangs from what, in words: for who hears the picture. */
static void put_description(const struct svg_plan *plan, FILE *file)
{
	for (int32_t i = 0; i < plan->plan.n; i++) {
		const struct plan_item *item = &plan->plan.items[i];
		const struct graph_node *node = &plan->machine->nodes[item->node];
		struct plan_bundle bundle = plan_bundle(plan->machine, item->node);

		if (node->kind == SPAN_NODE_HOST)
			continue;
		fprintf(file, "%s%d", span_node_kind_name(node->kind), node->index);
		if (*node->name) {
			fputs(" ", file);
			svg_escape(file, node->name);
		}
		if (item->parent >= 0 && item->up) {
			const struct graph_node *up =
				&plan->machine->nodes[plan->plan.items[item->parent].node];

			fprintf(file, " on %s%d by %s, %s", span_node_kind_name(up->kind), up->index,
			        svg_link_word(item->up_class),
			        svg_speed(item->up, item->confidence).text);
		}
		if (node->kind == SPAN_NODE_GPU && bundle.count)
			fprintf(file, ", %d %s, %s", bundle.count, svg_link_word(bundle.link_class),
			        svg_speed(bundle.bandwidth, bundle.confidence).text);
		if (node->kind == SPAN_NODE_NIC && node->speed > 0)
			fprintf(file, ", line rate %s",
			        svg_speed(node->speed, SPAN_CONFIDENCE_DECLARED).text);
		fputs(".\n", file);
	}
}

static void put_head(const struct page *page, FILE *file)
{
	char text[160];

	describe_page(page, text, sizeof(text));
	fprintf(file, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
	        "height=\"%d\" role=\"img\" aria-labelledby=\"t d\">\n<title id=\"t\">",
	        page->width, page->height, page->width, page->height);
	svg_escape(file, short_name(page->topo));
	fprintf(file, ": %s</title>\n<desc id=\"d\">", text);
	for (int32_t i = 0; i < page->n_kinds; i++) {
		if (has_headings(page))
			fprintf(file, "%d hosts like h%d:\n", page->kinds[i].places,
			        page->topo->places[page->kinds[i].place].first_host);
		put_description(&page->kinds[i].plan, file);
	}
	fputs("</desc>\n", file);
	svg_style(file);
	svg_box(file, "paper", 0, 0, page->width, page->height);
	svg_text(file, "title", 2 * SVG_PAD, 30, SVG_START, page->width - 4 * SVG_PAD,
	         short_name(page->topo));
	svg_text(file, "small", 2 * SVG_PAD, 48, SVG_START, page->width - 4 * SVG_PAD, text);
}

/* --- below the plans ---------------------------------------------------------------------- */

static void put_ring(const struct page *page, int y, FILE *file)
{
	char text[512] = "Ring:";
	size_t used = strlen(text);
	int32_t shown = page->n_ring < RING_NAMED ? page->n_ring : RING_NAMED;

	for (int32_t i = 0; i < shown; i++) {
		span_topo_node node;

		span_topo_node_at(page->topo, page->ring[i], &node);
		used += (size_t)snprintf(text + used, sizeof(text) - used, " %s",
		                         span_topo_hosts(page->topo) == 1 ? strchr(node.id, '/') + 1
		                                                          : node.id);
	}
	if (shown < page->n_ring)
		snprintf(text + used, sizeof(text) - used, " and %d more", page->n_ring - shown);
	svg_text(file, "small", 2 * SVG_PAD, y, SVG_START, page->width - 4 * SVG_PAD, text);
}

static bool uses_class(const struct page *page, int link_class)
{
	if (link_class == SPAN_LINK_NETWORK)
		return page->topo->n_switches > 0;
	for (int32_t i = 0; i < page->n_kinds; i++) {
		const struct machine *machine = page->kinds[i].plan.machine;

		for (int32_t k = 0; k < machine->n_links; k++)
			if ((int)machine->links[k].link_class == link_class)
				return true;
	}
	return false;
}

static void put_legend(const struct page *page, int y, FILE *file)
{
	int x = 2 * SVG_PAD;

	for (int link_class = SPAN_LINK_NVLINK; link_class <= SPAN_LINK_NETWORK; link_class++) {
		const char *word = svg_link_word((span_link_class)link_class);

		if (!uses_class(page, link_class))
			continue;
		svg_line(file, (span_link_class)link_class, (int[]){ x, y - 4, x + 40, y - 4 }, 2);
		svg_text(file, "small", x + 46, y, SVG_START, 60, word);
		x += 110;
	}
	if (page->n_ring) {
		fprintf(file, "<path class=\"ring\" d=\"M%d %dL%d %d\"/>\n", x, y - 4, x + 40, y - 4);
		svg_text(file, "small", x + 46, y, SVG_START, 60, "ring");
	}
	svg_text(file, "small", 2 * SVG_PAD, y + LEGEND - 4, SVG_START, page->width - 40,
	         "GB/s are 10^9 bytes a second, one direction; ~ usual for such a device, not stated");
}

/* --- the page ----------------------------------------------------------------------------- */

static int put_plans(const struct page *page, int y, FILE *file)
{
	char text[160], parts[96];

	for (int32_t i = 0; i < page->n_kinds; i++) {
		const struct kind *kind = &page->kinds[i];

		if (has_headings(page)) {
			describe_machine(kind->plan.machine, parts, sizeof(parts));
			snprintf(text, sizeof(text), "Kind %d: %d like h%d, %s",
			         page->topo->places[kind->place].machine + 1, kind->places,
			         page->topo->places[kind->place].first_host, parts);
			svg_text(file, "bold", 2 * SVG_PAD, y + 20, SVG_START, page->width - 40, text);
			y += HEADING;
		}
		fprintf(file, "<g transform=\"translate(0 %d)\">\n", y);
		svg_plan_draw(&kind->plan, file);
		fputs("</g>\n", file);
		y += kind->plan.height;
	}
	return y;
}

static void put_page(const struct page *page, FILE *file)
{
	int y = TOP, width, height;
	char text[80];

	put_head(page, file);
	if (page->fabric) {
		svg_fabric_size(page->fabric, &width, &height);
		fprintf(file, "<g transform=\"translate(%d %d)\">\n", SVG_PAD, y);
		svg_fabric_draw(page->fabric, file);
		fputs("</g>\n", file);
		y += height;
	}
	y = put_plans(page, y, file);
	if (page->left_out) {
		snprintf(text, sizeof(text), "and %d kinds of hosts more", page->left_out);
		svg_text(file, "small", 2 * SVG_PAD, y + 16, SVG_START, page->width, text);
		y += LEGEND;
	}
	if (page->n_ring) {
		put_ring(page, y + 16, file);
		y += LEGEND;
	}
	put_legend(page, y + 16, file);
	fputs("</svg>\n", file);
}

span_status topo_write_svg(const span_topo *topo, const int32_t *ring, int32_t n, FILE *file)
{
	struct page page = { .topo = topo, .ring = ring, .n_ring = n };
	span_status status = svg_fabric_create(topo, &page.fabric);

	if (!status)
		status = plan_kinds(&page);
	if (!status) {
		measure(&page);
		put_page(&page, file);
		if (ferror(file))
			status = span_fail(SPAN_EIO, "picture: not everything could be written");
	}
	for (int32_t i = 0; i < page.n_kinds; i++)
		svg_plan_free(&page.kinds[i].plan);
	free(page.kinds);
	svg_fabric_free(page.fabric);
	return status;
}
