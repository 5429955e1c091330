#include "topo/picture/svg_order.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/topo/log_capture.h"
#include "tests/topo/picture.h"
#include "tests/topo/source_files.h"

/* An order with what the picture tells of it; the second row is the order by number. */
struct case_of {
	span_topo *topo;
	span_ring *ring;
	span_cost_work work;
	span_gather_choice choice;
	struct svg_order_row rows[2];
};

/* False where there is no ring or no gather. */
static bool make_case(const char *source, struct case_of *made)
{
	*made = (struct case_of){ .work = { .size = sizeof(made->work), .block_bytes = 0x1p25 } };
	log_capture();
	if (span_topo_load(source, NULL, &made->topo))
		return false;
	if (span_ring_create(made->topo, &made->ring) ||
	    span_gather_choose_ring(made->ring, &made->work, &made->choice)) {
		span_ring_free(made->ring);
		span_topo_free(made->topo);
		return false;
	}
	made->rows[0] = (struct svg_order_row){ "this order",
		                                span_ring_report_of(made->ring)->best, 1 };
	made->rows[1] = (struct svg_order_row){ "by number",
		                                span_ring_report_of(made->ring)->given, 2.5 };
	return true;
}

static void free_case(struct case_of *made)
{
	span_ring_free(made->ring);
	span_topo_free(made->topo);
}

static char *draw(const struct case_of *made, size_t *bytes)
{
	struct svg_order order = { .topo = made->topo, .ring = made->ring, .rows = made->rows,
		                   .n_rows = 2, .compared_kind = SPAN_ORDER_RING,
		                   .work = &made->work, .gather = &made->choice };
	char *text = NULL;
	FILE *file = open_memstream(&text, bytes);

	cr_assert_eq(topo_write_svg_order(&order, file), SPAN_OK);
	fclose(file);
	return text;
}

static struct picture *take(const char *source, struct case_of *made)
{
	size_t bytes;
	char *text;

	cr_assert(make_case(source, made), "%s", log_captured());
	text = draw(made, &bytes);
	return picture_take(text, bytes);
}

static const char *text_of(const struct picture *picture, const char *name)
{
	return xml_child(xml_root(picture->xml), name)->text;
}

/* --- every source --------------------------------------------------------------------------- */

static int drawn;

/* A line of text takes at least 5.5 pixels a letter. */
static void assert_texts(const struct picture *picture, const char *path)
{
	for (const struct xml_element *e = xml_root(picture->xml)->first; e; e = e->next) {
		const char *anchor = xml_value(e, "text-anchor");
		int room = picture->width;

		if (strcmp(e->name, "text") != 0)
			continue;
		room -= atoi(xml_value(e, "x"));
		cr_assert(strcmp(anchor, "start") == 0 && strlen(e->text) * 5.5 <= room,
		          "%s: \"%s\" leaves the page", path, e->text);
	}
}

static void judge(const char *path)
{
	struct case_of made;
	struct picture *picture;
	size_t bytes, again_bytes;
	char *text, *again;

	if (!make_case(path, &made))
		return;
	text = draw(&made, &bytes);
	again = draw(&made, &again_bytes);
	cr_assert(bytes == again_bytes && memcmp(text, again, bytes) == 0,
	          "%s: other bytes the second time", path);
	free(again);
	picture = picture_take(text, bytes);
	picture_assert_boxes(picture, path);
	assert_texts(picture, path);
	cr_assert(picture->width <= 1400 && picture->height <= 2400 && bytes < 65536,
	          "%s: %d x %d, %zu bytes", path, picture->width, picture->height, bytes);
	picture_drop(picture);
	free_case(&made);
	drawn++;
}

Test(svg_order, stays_on_a_small_page_with_boxes_apart_and_the_same_bytes, .timeout = 60)
{
	source_files_each(0, judge);
	cr_assert_gt(drawn, 60, "only %d sources were there", drawn);
}

Test(svg_order, of_the_extra_data_stays_on_a_small_page, .timeout = 120)
{
	if (!getenv("SPAN_EXTRA_DATA"))
		cr_skip_test("SPAN_EXTRA_DATA is not set");
	source_files_each(1, judge);
	cr_assert_gt(drawn, 60, "only %d sources were there", drawn);
}

/* --- a host --------------------------------------------------------------------------------- */

/* Hops of the ring that are as narrow as the bottleneck. */
static int count_narrowest(const struct case_of *made)
{
	const int32_t *nodes = span_ring_nodes(made->ring);
	int32_t n = span_ring_length(made->ring);
	int count = 0;

	for (int32_t i = 0; i < n; i++) {
		span_topo_path path;

		span_topo_path_between(made->topo, nodes[i], nodes[(i + 1) % n], &path);
		count += path.bandwidth <= made->rows[0].figures.bottleneck * 1.000001;
	}
	return count;
}

Test(svg_order, shows_every_device_every_hop_and_marks_the_narrowest)
{
	struct case_of made;
	struct picture *picture = take(SPAN_TEST_DATA "/topologies/nccl/rccl/topo_16p1h.xml", &made);
	int narrowest = count_narrowest(&made);
	const int32_t *nodes = span_ring_nodes(made.ring);
	const char *at = text_of(picture, "desc");

	cr_assert_eq(picture_count_style(picture, "gpu"), 16);
	cr_assert_eq(picture_count_text(picture, "class=\"arrow\""), 16);
	cr_assert(narrowest > 0 && narrowest < 16);
	/* One more is in the legend. */
	cr_assert_eq(picture_count_text(picture, "class=\"halo\""), narrowest + 1);
	for (int i = 0; i < 16; i++) {
		char words[24];
		span_topo_node node;

		span_topo_node_at(made.topo, nodes[i], &node);
		snprintf(words, sizeof(words), "gpu%d,", atoi(strchr(node.id, '/') + 4));
		at = strstr(at, words);
		cr_assert(at, "%s is not described in its place", words);
	}
	picture_drop(picture);
	free_case(&made);
}

Test(svg_order, marks_nothing_where_all_links_are_alike)
{
	struct case_of made;
	struct picture *picture = take("synthetic:gpus:8", &made);

	cr_assert_eq(picture_count_text(picture, "class=\"halo\""), 0);
	picture_drop(picture);
	free_case(&made);
}

Test(svg_order, says_bound_and_how_much_worse_another_order_is)
{
	struct case_of made;
	struct picture *picture = take(SPAN_TEST_DATA "/topologies/nccl/rccl/topo_16p1h.xml", &made);

	cr_assert(strstr(text_of(picture, "title"),
	                 "narrowest link 36 GB/s: no ring is wider, and none as wide has a lesser"));
	cr_assert(strstr(picture->text, ">12 GB/s, 3 times narrower; ring takes 2.5 s, 2.5 times as "
	                                "long<"));
	cr_assert(strstr(text_of(picture, "desc"), made.choice.reason));
	picture_drop(picture);
	free_case(&made);
}

Test(svg_order, names_cannot_leave_their_place)
{
	static const char nasty[] = "<script>alert(\"1\")</script>&\x01\xff'";
	struct case_of made;
	struct picture *picture;
	size_t bytes;
	char *text;

	cr_assert(make_case("synthetic:nodes:2 gpus:2 nics:1 leaf:1", &made));
	for (int32_t i = 0; i < made.topo->machines[0]->n_nodes; i++)
		cr_assert_eq(machine_set_text(&made.topo->machines[0]->nodes[i].name, nasty),
		             SPAN_OK);
	text = draw(&made, &bytes);
	picture = picture_take(text, bytes);
	cr_assert_null(strstr(picture->text, "<script"));
	cr_assert(strstr(picture->text, "&lt;script&gt;"));
	picture_drop(picture);
	free_case(&made);
}

/* --- a cluster ------------------------------------------------------------------------------- */

Test(svg_order, folds_thousands_of_hosts_into_a_few_boxes)
{
	struct case_of made;
	struct picture *picture = take("synthetic:nodes:2048 gpus:8 nics:8 leaf:16 pod:8", &made);
	const char *desc = text_of(picture, "desc");

	cr_assert_eq(picture_count_style(picture, "gpu"), 8);
	cr_assert(strstr(desc, "spine0, h0 .. h127, 128 hosts"), "%s", desc);
	cr_assert(strstr(desc, "14 more alike, h128 .. h1919, 128 each"), "%s", desc);
	cr_assert(strstr(desc, "spine15, h1920 .. h2047, 128 hosts"), "%s", desc);
	cr_assert(picture->height < 900 && picture->bytes < 16384);
	picture_drop(picture);
	free_case(&made);
}

Test(svg_order, shows_by_which_port_the_ring_comes_in_and_goes_out)
{
	struct case_of made;
	struct picture *picture = take("synthetic:nodes:4 gpus:4 nics:4", &made);
	const char *desc = text_of(picture, "desc");

	cr_assert_eq(picture_count_style(picture, "nic"), 2);
	cr_assert(strstr(desc, "nic0, cpu0; then by PIX"), "%s", desc);
	cr_assert(strstr(desc, "nic3, cpu1.\n"), "%s", desc);
	picture_drop(picture);
	free_case(&made);
}

/* Hosts of two kinds by turns do not fold: the page is full after some, and says so. */
Test(svg_order, counts_what_does_not_fit)
{
	struct case_of made;
	struct picture *picture = take(SPAN_TEST_DATA "/topologies/cluster/by-turns.txt", &made);

	cr_assert(strstr(text_of(picture, "desc"), "hosts more, too uneven to be drawn"));
	picture_drop(picture);
	free_case(&made);
}
