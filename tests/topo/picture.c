#include "tests/topo/picture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/topo/log_capture.h"

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

struct picture *picture_take(char *text, size_t bytes)
{
	struct picture *picture = calloc(1, sizeof(*picture));

	picture->text = text;
	picture->bytes = bytes;
	cr_assert_eq(xml_parse(text, bytes, "picture", &picture->xml), SPAN_OK, "%s",
	             log_captured());
	picture->width = number(xml_root(picture->xml), "width");
	picture->height = number(xml_root(picture->xml), "height");
	collect(picture, xml_root(picture->xml), 0, 0);
	return picture;
}

void picture_drop(struct picture *picture)
{
	xml_free(picture->xml);
	free(picture->text);
	free(picture);
}

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

/* One box behind another of its stack. */
static int in_a_stack(const struct rect *a, const struct rect *b)
{
	return abs(a->x - b->x) <= 8 && a->x - b->x == a->y - b->y && a->width == b->width &&
	       strcmp(a->style, b->style) == 0 && a->x != b->x;
}

void picture_assert_boxes(const struct picture *picture, const char *path)
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
			          !overlap(a, &picture->rects[k]) ||
			          in_a_stack(a, &picture->rects[k]),
			          "%s: a %s lies on a %s at %d %d", path, a->style,
			          picture->rects[k].style, a->x, a->y);
	}
}

int picture_count_style(const struct picture *picture, const char *style)
{
	int count = 0;

	for (int i = 0; i < picture->n; i++)
		count += strcmp(picture->rects[i].style, style) == 0;
	return count;
}

int picture_count_text(const struct picture *picture, const char *piece)
{
	int count = 0;

	for (const char *c = picture->text; (c = strstr(c, piece)); c++)
		count++;
	return count;
}
