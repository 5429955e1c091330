#include "topo/picture/svg.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/topo/log_capture.h"
#include "tests/topo/source_files.h"
#include "topo/read/xml.h"
#include "topo/span_ring.h"

enum { RECTS = 4096 };

/* A box of the picture, in pixels of the page. */
struct rect {
	const char *style;
	int x, y, width, height;
};

struct picture {
	char *text;
	size_t bytes;
	struct xml *xml;
	int n, width, height;
	struct rect rects[RECTS];
};

static char *draw(const span_topo *topo, const span_ring *ring, size_t *bytes)
{
	char *text = NULL;
	FILE *file = open_memstream(&text, bytes);

	cr_assert_eq(topo_write_svg(topo, ring ? span_ring_nodes(ring) : NULL,
	                            ring ? span_ring_length(ring) : 0, file), SPAN_OK);
	fclose(file);
	return text;
}

static int number(const struct xml_element *element, const char *name)
{
	const char *value = xml_value(element, name);

	cr_assert_not_null(value, "a <%s> without %s", element->name, name);
	return atoi(value);
}

/* Rectangles of an element's children, moved by the translation of the group. */
static void collect(struct picture *picture, const struct xml_element *group, int x, int y)
{
	for (const struct xml_element *e = group->first; e; e = e->next) {
		const char *move = xml_value(e, "transform");
		int dx = 0, dy = 0;

		if (strcmp(e->name, "g") == 0) {
			cr_assert(move && sscanf(move, "translate(%d %d)", &dx, &dy) == 2);
			collect(picture, e, x + dx, y + dy);
		}
		if (strcmp(e->name, "rect") != 0)
			continue;
		cr_assert_lt(picture->n, RECTS);
		picture->rects[picture->n++] = (struct rect){ xml_value(e, "class"),
			                                      x + number(e, "x"),
			                                      y + number(e, "y"),
			                                      number(e, "width"),
			                                      number(e, "height") };
	}
}

static struct picture *take_picture(const span_topo *topo, const span_ring *ring)
{
	struct picture *picture = calloc(1, sizeof(*picture));

	picture->text = draw(topo, ring, &picture->bytes);
	cr_assert_eq(xml_parse(picture->text, picture->bytes, "picture", &picture->xml), SPAN_OK,
	             "%s", log_captured());
	picture->width = number(xml_root(picture->xml), "width");
	picture->height = number(xml_root(picture->xml), "height");
	collect(picture, xml_root(picture->xml), 0, 0);
	return picture;
}

static void drop_picture(struct picture *picture)
{
	xml_free(picture->xml);
	free(picture->text);
	free(picture);
}

static span_topo *load(const char *source)
{
	span_topo *topo = NULL;

	log_capture();
	return span_topo_load(source, NULL, &topo) ? NULL : topo;
}

/* --- what every picture keeps ------------------------------------------------------------- */

static int is_device_box(const struct rect *rect)
{
	static const char *const styles[] = { "cpu", "pci", "gpu", "nic", "nvswitch" };

	for (int i = 0; i < 5; i++)
		if (strcmp(rect->style, styles[i]) == 0)
			return 1;
	return 0;
}

static int overlap(const struct rect *a, const struct rect *b)
{
	return a->x < b->x + b->width && b->x < a->x + a->width && a->y < b->y + b->height &&
	       b->y < a->y + a->height;
}

static void assert_boxes(const struct picture *picture, const char *path)
{
	for (int i = 0; i < picture->n; i++) {
		const struct rect *a = &picture->rects[i];

		cr_assert(a->x >= 0 && a->y >= 0 && a->width > 0 && a->height > 0 &&
		          a->x + a->width <= picture->width &&
		          a->y + a->height <= picture->height,
		          "%s: a %s at %d %d of %d x %d leaves the page of %d x %d", path, a->style,
		          a->x, a->y, a->width, a->height, picture->width, picture->height);
		for (int k = 0; is_device_box(a) && k < i; k++)
			cr_assert(!is_device_box(&picture->rects[k]) ||
			          !overlap(a, &picture->rects[k]),
			          "%s: a %s lies on a %s at %d %d", path, a->style,
			          picture->rects[k].style, a->x, a->y);
	}
}

static int count_style(const struct picture *picture, const char *style)
{
	int count = 0;

	for (int i = 0; i < picture->n; i++)
		count += strcmp(picture->rects[i].style, style) == 0;
	return count;
}

static int count_kind(const span_topo *topo, span_node_kind kind)
{
	int count = 0;

	for (int32_t m = 0; m < topo->n_machines && m < 16; m++)
		for (int32_t i = 0; i < topo->machines[m]->n_nodes; i++)
			count += topo->machines[m]->nodes[i].kind == kind;
	return count;
}

static int drawn;

static void judge_picture(const char *path)
{
	span_topo *topo = load(path);
	struct picture *picture;
	size_t bytes;
	char *again;

	if (!topo)
		return;
	picture = take_picture(topo, NULL);
	assert_boxes(picture, path);
	cr_assert_eq(count_style(picture, "gpu"), count_kind(topo, SPAN_NODE_GPU), "%s", path);
	cr_assert_eq(count_style(picture, "cpu"), count_kind(topo, SPAN_NODE_CPU), "%s", path);
	again = draw(topo, NULL, &bytes);
	cr_assert(bytes == picture->bytes && memcmp(again, picture->text, bytes) == 0,
	          "%s: other bytes the second time", path);
	free(again);
	drop_picture(picture);
	span_topo_free(topo);
	drawn++;
}

Test(svg, boxes_stay_on_the_page_and_apart_and_bytes_are_the_same)
{
	source_files_each(0, judge_picture);
	cr_assert_gt(drawn, 60, "only %d sources were there", drawn);
}

Test(svg, boxes_of_the_extra_data_stay_on_the_page_and_apart, .timeout = 60)
{
	if (!getenv("SPAN_EXTRA_DATA"))
		cr_skip_test("SPAN_EXTRA_DATA is not set");
	source_files_each(1, judge_picture);
	cr_assert_gt(drawn, 60, "only %d sources were there", drawn);
}

/* --- single things ------------------------------------------------------------------------ */

Test(svg, has_title_description_and_role)
{
	span_topo *topo = load("synthetic:gpus:8 nics:8");
	struct picture *picture = take_picture(topo, NULL);
	const struct xml_element *root = xml_root(picture->xml);
	const struct xml_element *title = xml_child(root, "title");
	const struct xml_element *desc = xml_child(root, "desc");

	cr_assert_str_eq(xml_value(root, "role"), "img");
	cr_assert_str_eq(xml_value(root, "aria-labelledby"), "t d");
	cr_assert_str_eq(xml_value(title, "id"), "t");
	cr_assert_str_eq(xml_value(desc, "id"), "d");
	cr_assert(strstr(title->text, "8 GPUs"), "%s", title->text);
	for (int i = 0; i < 8; i++) {
		char words[32];

		snprintf(words, sizeof(words), "gpu%d ", i);
		cr_assert(strstr(desc->text, words), "%s is not described", words);
	}
	drop_picture(picture);
	span_topo_free(topo);
}

Test(svg, names_cannot_leave_their_place)
{
	static const char nasty[] = "<script>alert(\"1\")</script>&\x01\xff\xef\xbf\xbf'";
	span_topo *topo = load("synthetic:gpus:2 nics:1");
	struct machine *machine = topo->machines[0];
	struct picture *picture;

	for (int32_t i = 0; i < machine->n_nodes; i++)
		cr_assert_eq(machine_set_text(&machine->nodes[i].name, nasty), SPAN_OK);
	picture = take_picture(topo, NULL);
	cr_assert_null(strstr(picture->text, "<script"));
	cr_assert(strstr(picture->text, "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;??"));
	drop_picture(picture);
	span_topo_free(topo);
}

Test(svg, the_ring_numbers_every_gpu_and_has_an_arrow_into_each)
{
	span_topo *topo = load("synthetic:gpus:8 nics:8");
	span_ring *ring = NULL;
	struct picture *picture;
	int badges = 0, tips = 0;

	cr_assert_eq(span_ring_create(topo, &ring), SPAN_OK);
	picture = take_picture(topo, ring);
	for (const char *c = picture->text; (c = strstr(c, "<circle")); c++)
		badges++;
	for (const char *c = picture->text; (c = strstr(c, "class=\"tip\"")); c++)
		tips++;
	cr_assert_eq(badges, 8);
	cr_assert_eq(tips, 8);
	drop_picture(picture);
	span_ring_free(ring);
	span_topo_free(topo);
}

/* Every class of link that a machine has is in its legend, with a line of its style. */
Test(svg, the_legend_names_what_is_drawn)
{
	span_topo *topo = load(SPAN_TEST_DATA "/topologies/nccl/rccl/topo_8p_940.xml");
	struct picture *picture = take_picture(topo, NULL);

	cr_assert(strstr(picture->text, ">xGMI</text>"));
	cr_assert(strstr(picture->text, ">PCIe</text>"));
	cr_assert(strstr(picture->text, ">socket</text>"));
	cr_assert_null(strstr(picture->text, ">NVLink</text>"));
	drop_picture(picture);
	span_topo_free(topo);
}

/* Each pair of GPUs with links of its own has one bracket, a full mesh one bar. */
Test(svg, every_link_between_gpus_is_drawn_once)
{
	span_topo *topo = load(SPAN_TEST_DATA "/topologies/nccl/rccl/topo_16p1h.xml");
	struct machine *machine = topo->machines[0];
	struct picture *picture = take_picture(topo, NULL);
	int brackets = 0, pairs = 0;

	for (int32_t i = 0; i < machine->n_links; i++)
		pairs += machine->links[i].link_class == SPAN_LINK_XGMI;
	for (const char *c = picture->text; (c = strstr(c, "class=\"l2\"")); c++)
		brackets++;
	cr_assert_eq(brackets, pairs / 2 + 1, "%d brackets and a legend, %d pairs", brackets - 1,
	             pairs / 2);
	drop_picture(picture);
	span_topo_free(topo);
	topo = load(SPAN_TEST_DATA "/topologies/nccl/rccl/topo_8p_940.xml");
	picture = take_picture(topo, NULL);
	cr_assert(strstr(picture->text, "full mesh"));
	drop_picture(picture);
	span_topo_free(topo);
}
