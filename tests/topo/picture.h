/* A picture taken apart: its XML, its rectangles on the page. */
#ifndef TESTS_PICTURE_H
#define TESTS_PICTURE_H

#include <stddef.h>
#include "topo/read/xml.h"

enum { RECTS = 4096 };

/* A box of the picture, in pixels of the page. */
struct rect {
	const char *style;
	int x, y, width, height;
};

struct picture {
	char *text;              /* owned */
	size_t bytes;
	struct xml *xml;
	int n, width, height;
	struct rect rects[RECTS];
};

/* Takes the text over; fails the test when it is no XML. */
struct picture *picture_take(char *text, size_t bytes);
void picture_drop(struct picture *picture);

/* Every box is on the page, and those of devices lie on no other; a stack's boxes, 4 pixels
 * apart, count as one. */
void picture_assert_boxes(const struct picture *picture, const char *path);

int picture_count_style(const struct picture *picture, const char *style);

/* How often a piece of text is in it. */
int picture_count_text(const struct picture *picture, const char *piece);

#endif
