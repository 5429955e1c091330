/* The fabric of a cluster as a picture: a tree of boxes, alike neighbours as one stack. */
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"
#include "topo/picture/plan_fabric.h"
#include "topo/picture/svg_draw.h"

enum { COLUMN = 210, ROW = 90, BOX = 50, ITEMS_MOST = 48 };

struct svg_fabric {
	const span_topo *topo;
	struct fabric fabric;
	struct svg_spot spots[ITEMS_MOST];
	int columns, rows;
};

/* --- columns ------------------------------------------------------------------------------ */

static void place_items(struct svg_fabric *drawn)
{
	const struct fabric *fabric = &drawn->fabric;
	int next = 0;

	for (int32_t i = fabric->n - 1; i >= 0; i--) {
		struct svg_spot *spot = &drawn->spots[i];

		if (!spot->columns)
			spot->columns = 1;
		if (fabric->items[i].parent >= 0)
			drawn->spots[fabric->items[i].parent].columns += spot->columns;
		if (fabric->items[i].depth >= drawn->rows)
			drawn->rows = fabric->items[i].depth + 1;
	}
	/* In the order of reading the first child begins where its parent does. */
	for (int32_t i = 0; i < fabric->n; i++) {
		int32_t parent = fabric->items[i].parent;

		drawn->spots[i].column = parent == i - 1 && parent >= 0
		                                 ? drawn->spots[parent].column : next;
		next = drawn->spots[i].column + drawn->spots[i].columns;
		if (i + 1 < fabric->n && fabric->items[i + 1].parent == i)
			continue;
		next = drawn->spots[i].column + 1;
	}
	drawn->columns = next;
}

span_status svg_fabric_create(const span_topo *topo, struct svg_fabric **fabric)
{
	struct svg_fabric *drawn;
	span_status status;

	*fabric = NULL;
	if (topo->n_places < 2 && !topo->n_switches)
		return SPAN_OK;
	drawn = calloc(1, sizeof(*drawn));
	if (!drawn)
		return span_fail(SPAN_ENOMEM, "picture: no memory for the fabric");
	drawn->topo = topo;
	status = fabric_create(topo, &drawn->fabric);
	if (status) {
		free(drawn);
		return status;
	}
	if (drawn->fabric.n <= ITEMS_MOST)
		place_items(drawn);
	*fabric = drawn;
	return SPAN_OK;
}

void svg_fabric_free(struct svg_fabric *fabric)
{
	if (!fabric)
		return;
	fabric_free(&fabric->fabric);
	free(fabric);
}

/* One line of text instead of a tree: there is none, or too large a one. */
static bool is_text(const struct svg_fabric *fabric)
{
	return !fabric->fabric.n || fabric->fabric.n > ITEMS_MOST;
}

void svg_fabric_size(const struct svg_fabric *fabric, int *width, int *height)
{
	*width = is_text(fabric) ? 500 : fabric->columns * COLUMN + 2 * SVG_PAD;
	*height = (is_text(fabric) ? 0 : fabric->rows * ROW) +
	          (is_text(fabric) || fabric->fabric.flat ? 28 : 0);
}

/* --- drawing ------------------------------------------------------------------------------ */

static int left_of(const struct svg_fabric *fabric, int32_t item)
{
	return SVG_PAD + fabric->spots[item].column * COLUMN;
}

static int width_of(const struct svg_fabric *fabric, int32_t item)
{
	return fabric->spots[item].columns * COLUMN - 3 * SVG_PAD;
}

static void draw_up(const struct svg_fabric *fabric, int32_t number, FILE *file)
{
	const struct fabric_item *item = &fabric->fabric.items[number];
	int x = left_of(fabric, number) + 40, y = item->depth * ROW;
	char text[64];

	if (item->parent < 0)
		return;
	svg_line(file, SPAN_LINK_NETWORK, (int[]){ x, y - ROW + BOX, x, y }, 2);
	if (!item->up)
		snprintf(text, sizeof(text), "as much as below");
	else if (item->below > item->up * 1.0001)
		snprintf(text, sizeof(text), "%s up, %.3g:1",
		         svg_speed(item->up, SPAN_CONFIDENCE_DECLARED).text, item->below / item->up);
	else
		snprintf(text, sizeof(text), "%s up",
		         svg_speed(item->up, SPAN_CONFIDENCE_DECLARED).text);
	svg_text(file, "wire", x + 8, y - 14, SVG_START, COLUMN - 60, text);
}

/* The names of the first and the last of an item, and how many they are. */
static void name_item(const struct svg_fabric *fabric, const struct fabric_item *item,
                      char *text, size_t bytes)
{
	const struct fabric_switch *switches = fabric->topo->switches;

	if (item->alike == 1)
		snprintf(text, bytes, "%s", switches[item->first].name);
	else
		snprintf(text, bytes, "%s .. %s", switches[item->first].name,
		         switches[item->last].name);
}

static void describe_hosts(const struct svg_fabric *fabric, const struct fabric_item *item,
                           char *text, size_t bytes)
{
	const struct place *places = fabric->topo->places;

	if (!item->hosts)
		snprintf(text, bytes, "%d host%s below%s", item->hosts_below,
		         item->hosts_below == 1 ? "" : "s", item->alike > 1 ? " each" : "");
	else
		snprintf(text, bytes, "%d host%s%s, h%d .. h%d", item->hosts,
		         item->hosts == 1 ? "" : "s", item->alike > 1 ? " each" : "",
		         places[item->first_place].first_host, places[item->last_place].first_host);
}

static void draw_item(const struct svg_fabric *fabric, int32_t number, FILE *file)
{
	const struct fabric_item *item = &fabric->fabric.items[number];
	int x = left_of(fabric, number), y = item->depth * ROW, width = width_of(fabric, number);
	char text[160], kind[48] = "";

	for (int behind = item->alike > 1 ? 2 : 0; behind > 0; behind--)
		svg_box(file, "fabric", x + 4 * behind, y + 4 * behind, width, BOX);
	svg_box(file, "fabric", x, y, width, BOX);
	name_item(fabric, item, text, sizeof(text));
	svg_text(file, "bold", x + 8, y + 16, SVG_START, width - 12, text);
	describe_hosts(fabric, item, text, sizeof(text));
	svg_text(file, "small", x + 8, y + 31, SVG_START, width - 12, text);
	if (item->alike > 1)
		snprintf(kind, sizeof(kind), "%d alike", item->alike);
	if (item->rails > 1)
		snprintf(kind + strlen(kind), sizeof(kind) - strlen(kind), "%s%d rails",
		         *kind ? ", " : "", item->rails);
	if (item->hosts && fabric->topo->n_machines > 1 && item->machine >= 0)
		snprintf(kind + strlen(kind), sizeof(kind) - strlen(kind), "%skind %d",
		         *kind ? ", " : "", item->machine + 1);
	else if (item->hosts && item->machine < 0)
		snprintf(kind + strlen(kind), sizeof(kind) - strlen(kind), "%sseveral kinds",
		         *kind ? ", " : "");
	svg_text(file, "small", x + 8, y + 44, SVG_START, width - 12, kind);
}

void svg_fabric_draw(const struct svg_fabric *fabric, FILE *file)
{
	char text[96];
	int width, height;

	svg_fabric_size(fabric, &width, &height);
	if (fabric->fabric.n > ITEMS_MOST)
		snprintf(text, sizeof(text), "a fabric of %d switches, too uneven to be drawn",
		         fabric->topo->n_switches);
	else
		snprintf(text, sizeof(text), "%d hosts on one flat network: no switches are described",
		         fabric->fabric.flat);
	if (is_text(fabric) || fabric->fabric.flat)
		svg_text(file, "small", SVG_PAD, height - 10, SVG_START, width, text);
	if (is_text(fabric))
		return;
	for (int32_t i = 0; i < fabric->fabric.n; i++)
		draw_up(fabric, i, file);
	for (int32_t i = 0; i < fabric->fabric.n; i++)
		draw_item(fabric, i, file);
}
