/* Boxes in rows, there and back, with an arrow from each to the next. */
#include <string.h>

#include "topo/picture/svg_draw.h"
#include "topo/picture/svg_order.h"

enum {
	EDGE = 112,              /* left and right of the rows: for turns and what stands on them */
	GAP = 74,                /* between boxes: for a label */
	HEIGHT = 48,
	ROW = 84,
	LANE = 30,               /* from a box to the line of a turn */
	OUTER = 54,              /* from there to the line back to the first */
	ROOM = 1240              /* for a row */
};

static int rows_of(const struct snake *snake)
{
	return (snake->n + snake->per_row - 1) / snake->per_row;
}

void snake_lay(struct snake *snake, int box)
{
	int most = (ROOM - 2 * EDGE + GAP) / (box + GAP), rows;

	snake->box = box;
	rows = (snake->n + most - 1) / most;
	if (snake->closed && snake->n > 2 && rows % 2)
		rows++;
	snake->per_row = rows ? (snake->n + rows - 1) / rows : 1;
}

int snake_width(const struct snake *snake)
{
	int columns = snake->n < snake->per_row ? snake->n : snake->per_row;

	return snake->n ? 2 * EDGE + columns * (snake->box + GAP) - GAP : 0;
}

int snake_height(const struct snake *snake)
{
	return snake->n ? rows_of(snake) * ROW : 0;
}

/* --- where a stop is ---------------------------------------------------------------------- */

static bool goes_back(const struct snake *snake, int stop)
{
	return stop / snake->per_row % 2;
}

static int left_of(const struct snake *snake, int stop)
{
	int column = stop % snake->per_row;

	if (goes_back(snake, stop))
		column = snake->per_row - 1 - column;
	return EDGE + column * (snake->box + GAP);
}

static int middle_of(const struct snake *snake, int stop)
{
	return stop / snake->per_row * ROW + HEIGHT / 2;
}

/* The side on which a row comes in, and the one on which it leaves a stop. */
static int out_of(const struct snake *snake, int stop)
{
	return left_of(snake, stop) + (goes_back(snake, stop) ? 0 : snake->box);
}

static int into(const struct snake *snake, int stop)
{
	return left_of(snake, stop) + (goes_back(snake, stop) ? snake->box : 0);
}

/* --- lines -------------------------------------------------------------------------------- */

static void draw_tip(FILE *file, int x, int y, bool leftwards)
{
	int back = leftwards ? 9 : -9;

	fprintf(file, "<path class=\"arrow\" d=\"M%d %dL%d %dL%d %dZ\"/>\n", x, y, x + back, y - 5,
	        x + back, y + 5);
}

/* A line with what marks it; `tip` leftwards when its last stretch runs to the left. */
static void draw_way(const struct snake_hop *hop, const int *points, int n, FILE *file)
{
	bool leftwards = points[2 * n - 2] < points[2 * n - 4];

	if (hop->narrowest) {
		fputs("<path class=\"halo\" d=\"", file);
		for (int i = 0; i < n; i++)
			fprintf(file, "%c%d %d", i ? 'L' : 'M', points[2 * i], points[2 * i + 1]);
		fputs("\"/>\n", file);
	}
	svg_line(file, hop->link_class, points, n);
	draw_tip(file, points[2 * n - 2], points[2 * n - 1], leftwards);
}

static void draw_straight(const struct snake *snake, int stop, FILE *file)
{
	const struct snake_hop *hop = &snake->hops[stop];
	int from = out_of(snake, stop), to = into(snake, stop + 1), y = middle_of(snake, stop);

	draw_way(hop, (int[]){ from, y, to, y }, 2, file);
	svg_text(file, "wire", (from + to) / 2, y - 9, SVG_MIDDLE, GAP, hop->label);
}

/* Out of the row, down (or, when it closes the ring, up), and in on the same side. */
static void draw_turn(const struct snake *snake, int stop, int next, FILE *file)
{
	const struct snake_hop *hop = &snake->hops[stop];
	int from = out_of(snake, stop), to = into(snake, next);
	int y = middle_of(snake, stop), end = middle_of(snake, next), x;
	bool right = !goes_back(snake, stop);

	x = right ? EDGE + snake->per_row * (snake->box + GAP) - GAP + LANE : EDGE - LANE;
	if (next == 0 && rows_of(snake) > 2) /* beside the turns between */
		x -= OUTER;
	draw_way(hop, (int[]){ from, y, x, y, x, end, to, end }, 4, file);
	svg_label(file, x, (y + end) / 2, 2 * EDGE, hop->label);
}

/* From the last of one row, or of two stops, back under the row to its first. */
static void draw_back_under(const struct snake *snake, FILE *file)
{
	const struct snake_hop *hop = &snake->hops[snake->n - 1];
	int from = out_of(snake, snake->n - 1), to = into(snake, 0), y = middle_of(snake, 0);
	int below = y + HEIGHT / 2 + 16;

	draw_way(hop, (int[]){ from, y, from + LANE, y, from + LANE, below, to - LANE, below,
	                       to - LANE, y, to, y }, 6, file);
	svg_label(file, (from + to) / 2, below, from - to, hop->label);
}

static void draw_hop(const struct snake *snake, int stop, FILE *file)
{
	bool last = stop == snake->n - 1;

	if (last && rows_of(snake) == 1)
		draw_back_under(snake, file);
	else if (last || stop / snake->per_row != (stop + 1) / snake->per_row)
		draw_turn(snake, stop, last ? 0 : stop + 1, file);
	else
		draw_straight(snake, stop, file);
}

/* --- boxes -------------------------------------------------------------------------------- */

static void draw_stop(const struct snake *snake, int number, FILE *file)
{
	const struct snake_stop *stop = &snake->stops[number];
	int x = left_of(snake, number), y = middle_of(snake, number) - HEIGHT / 2, line = y + 16;

	for (int behind = stop->stack; behind > 0; behind--)
		svg_box(file, stop->style, x + 4 * behind, y + 4 * behind, snake->box, HEIGHT);
	svg_box(file, stop->style, x, y, snake->box, HEIGHT);
	for (int i = 0; i < SNAKE_LINES; i++) {
		if (!*stop->line[i])
			continue;
		svg_text(file, i ? "small" : "bold", x + snake->box / 2, line, SVG_MIDDLE,
		         snake->box - 8, stop->line[i]);
		line += 14;
	}
}

void snake_draw(const struct snake *snake, FILE *file)
{
	for (int i = 0; i < snake->n - !snake->closed; i++)
		draw_hop(snake, i, file);
	for (int i = 0; i < snake->n; i++)
		draw_stop(snake, i, file);
}

/* In words, for who hears the picture. */
void snake_describe(const struct snake *snake, FILE *file)
{
	for (int i = 0; i < snake->n; i++) {
		const struct snake_stop *stop = &snake->stops[i];

		for (int k = 0; k < SNAKE_LINES; k++) {
			if (k && *stop->line[k])
				fputs(", ", file);
			svg_escape(file, stop->line[k]);
		}
		if (i < snake->n - !snake->closed)
			fprintf(file, "; then by %s%s%s", snake->hops[i].label,
			        snake->hops[i].narrowest ? ", the narrowest," : "",
			        i < snake->n - 1 ? " to" : " back to the first");
		fputs(i < snake->n - 1 ? "\n" : ".\n", file);
	}
}
