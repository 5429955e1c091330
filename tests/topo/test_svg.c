#include "topo/picture/svg.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/topo/log_capture.h"
#include "tests/topo/picture.h"
#include "tests/topo/source_files.h"
#include "topo/span_ring.h"

static char *draw(const span_topo *topo, const span_ring *ring, size_t *bytes)
{
	char *text = NULL;
	FILE *file = open_memstream(&text, bytes);

	cr_assert_eq(topo_write_svg(topo, ring ? span_ring_nodes(ring) : NULL,
	                            ring ? span_ring_length(ring) : 0, file), SPAN_OK);
	fclose(file);
	return text;
}

static struct picture *take_picture(const span_topo *topo, const span_ring *ring)
{
	size_t bytes;
	char *text = draw(topo, ring, &bytes);

	return picture_take(text, bytes);
}

static span_topo *load(const char *source)
{
	span_topo *topo = NULL;

	log_capture();
	return span_topo_load(source, NULL, &topo) ? NULL : topo;
}

/* --- what every picture keeps ------------------------------------------------------------- */

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
	picture_assert_boxes(picture, path);
	cr_assert_eq(picture_count_style(picture, "gpu"), count_kind(topo, SPAN_NODE_GPU), "%s", path);
	cr_assert_eq(picture_count_style(picture, "cpu"), count_kind(topo, SPAN_NODE_CPU), "%s", path);
	again = draw(topo, NULL, &bytes);
	cr_assert(bytes == picture->bytes && memcmp(again, picture->text, bytes) == 0,
	          "%s: other bytes the second time", path);
	free(again);
	picture_drop(picture);
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
	picture_drop(picture);
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
	picture_drop(picture);
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
	picture_drop(picture);
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
	picture_drop(picture);
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
	picture_drop(picture);
	span_topo_free(topo);
	topo = load(SPAN_TEST_DATA "/topologies/nccl/rccl/topo_8p_940.xml");
	picture = take_picture(topo, NULL);
	cr_assert(strstr(picture->text, "full mesh"));
	picture_drop(picture);
	span_topo_free(topo);
}
