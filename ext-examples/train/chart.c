#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "chart.h"
#include "complain.h"

/* The page, and the plot in it, in pixels. */
static const double WIDTH = 720, HEIGHT = 420;
static const double LEFT = 72, RIGHT = 24, TOP = 56, BOTTOM = 60;

enum { TICKS = 6 }; /* of an axis, about */

/* What one axis shows, and where: low at `from`, high at `to`. */
struct axis {
	double low, high, tick;
	double from, to;
};

static double place(const struct axis *axis, double value)
{
	return axis->from + (value - axis->low) / (axis->high - axis->low) *
	                    (axis->to - axis->from);
}

/* A round step, 1, 2 or 5 times a power of ten, that cuts a range into about TICKS. */
static double round_step(double range)
{
	double power = pow(10, floor(log10(range / TICKS))), ratio = range / TICKS / power;

	return power * (ratio <= 1 ? 1 : ratio <= 2 ? 2 : ratio <= 5 ? 5 : 10);
}

static struct axis step_axis(const struct outcome *outcome)
{
	double first = (double)outcome->first + 1, last = (double)(outcome->first + outcome->steps);
	double tick = fmax(1, round_step(fmax(last - first, 1)));

	return (struct axis){ first, fmax(last, first + 1), tick, LEFT, WIDTH - RIGHT };
}

static struct axis loss_axis(const struct outcome *outcome, int n)
{
	double low = outcome->loss[0], high = low, tick;

	for (int i = 0; i < n; i++)
		for (int64_t step = 0; step < outcome[i].steps; step++) {
			low = fmin(low, outcome[i].loss[step]);
			high = fmax(high, outcome[i].loss[step]);
		}
	tick = round_step(fmax(high - low, 0.01));
	return (struct axis){ floor(low / tick) * tick, ceil(high / tick + 1e-9) * tick, tick,
		              HEIGHT - BOTTOM, TOP };
}

static void label(FILE *file, double x, double y, const char *anchor, double value)
{
	fprintf(file, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%g</text>\n", x, y, anchor,
	        value);
}

static void draw_grid(FILE *file, const struct axis *steps, const struct axis *loss)
{
	double first = ceil(steps->low / steps->tick) * steps->tick;
	int lines = (int)lround((loss->high - loss->low) / loss->tick);

	for (int i = 0; i <= lines; i++) {
		double value = loss->low + i * loss->tick, y = place(loss, value);

		fprintf(file, "<path d=\"M%.1f %.1fH%.1f\" stroke=\"#ddd\"/>\n", LEFT, y,
		        WIDTH - RIGHT);
		label(file, LEFT - 8, y + 4, "end", round(value * 1e6) / 1e6);
	}
	label(file, LEFT, HEIGHT - BOTTOM + 20, "middle", steps->low);
	for (double step = first; step <= steps->high; step += steps->tick)
		if (step - steps->low >= steps->tick / 2)
			label(file, place(steps, step), HEIGHT - BOTTOM + 20, "middle", step);
	fprintf(file, "<path d=\"M%.1f %.1fV%.1fH%.1f\" fill=\"none\" stroke=\"#333\"/>\n", LEFT,
	        TOP, HEIGHT - BOTTOM, WIDTH - RIGHT);
}

static void draw_line(FILE *file, const struct axis *steps, const struct axis *loss,
                      const struct outcome *outcome)
{
	fprintf(file, "<polyline fill=\"none\" stroke=\"#004b87\" stroke-width=\"2\" points=\"");
	for (int64_t i = 0; i < outcome->steps; i++)
		fprintf(file, "%s%.1f,%.1f", i ? " " : "",
		        place(steps, (double)(outcome->first + i + 1)),
		        place(loss, outcome->loss[i]));
	fprintf(file, "\"/>\n");
}

static void draw_circle(FILE *file, double x, double y)
{
	fprintf(file, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4.5\" fill=\"#fff\" stroke=\"#c65d00\""
	        " stroke-width=\"1.5\"/>\n", x, y);
}

/* At most some 60 circles, so that they stay apart. */
static void draw_circles(FILE *file, const struct axis *steps, const struct axis *loss,
                         const struct outcome *outcome)
{
	int64_t stride = (outcome->steps + 59) / 60;

	for (int64_t i = 0; i < outcome->steps; i += stride)
		draw_circle(file, place(steps, (double)(outcome->first + i + 1)),
		            place(loss, outcome->loss[i]));
}

static void draw_key(FILE *file, const struct outcome *outcome, int n)
{
	double x = WIDTH - RIGHT - 110, y = TOP + 16;

	if (n > 1) {
		draw_circle(file, x, y - 4);
		fprintf(file, "<text x=\"%.1f\" y=\"%.1f\">%d rank%s</text>\n", x + 22, y,
		        outcome[0].ranks, outcome[0].ranks == 1 ? "" : "s");
	}
	y += n > 1 ? 20 : 0;
	fprintf(file, "<path d=\"M%.1f %.1fh24\" stroke=\"#004b87\" stroke-width=\"2\"/>\n",
	        x - 12, y - 4);
	fprintf(file, "<text x=\"%.1f\" y=\"%.1f\">%d rank%s</text>\n", x + 22, y,
	        outcome[n - 1].ranks, outcome[n - 1].ranks == 1 ? "" : "s");
}

static void draw_names(FILE *file, const struct outcome *outcome, int n)
{
	const struct outcome *last = &outcome[n - 1];

	fprintf(file, "<title id=\"t\">Loss of every training step</title>\n");
	fprintf(file, "<desc id=\"d\">From %.4f nats a byte at step %" PRId64 " to %.4f at step %"
	        PRId64 ", on %d rank%s%s.</desc>\n", (double)last->loss[0], last->first + 1,
	        (double)last->loss[last->steps - 1], last->first + last->steps, last->ranks,
	        last->ranks == 1 ? "" : "s", n > 1 ? " and on 1 rank" : "");
	fprintf(file, "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n");
	fprintf(file, "<text x=\"%.1f\" y=\"30\" font-size=\"17\" font-weight=\"bold\">Loss of"
	        " every training step</text>\n", LEFT);
	fprintf(file, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">step</text>\n",
	        (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 16);
	fprintf(file, "<text transform=\"translate(22 %.1f) rotate(-90)\" text-anchor=\"middle\">"
	        "loss, nats a byte</text>\n", (TOP + HEIGHT - BOTTOM) / 2);
}

static void draw(FILE *file, const struct outcome *outcome, int n)
{
	struct axis steps = step_axis(outcome), loss = loss_axis(outcome, n);

	fprintf(file, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %g %g\" width=\"%g\""
	        " height=\"%g\" role=\"img\" aria-labelledby=\"t d\" font-family=\"sans-serif\""
	        " font-size=\"13\" fill=\"#222\">\n", WIDTH, HEIGHT, WIDTH, HEIGHT);
	draw_names(file, outcome, n);
	draw_grid(file, &steps, &loss);
	draw_line(file, &steps, &loss, &outcome[n - 1]);
	if (n > 1)
		draw_circles(file, &steps, &loss, &outcome[0]);
	draw_key(file, outcome, n);
	fprintf(file, "</svg>\n");
}

int chart_write(const char *path, const struct outcome *outcome, int n)
{
	FILE *file = fopen(path, "w");
	int failed = file == NULL;

	if (!failed) {
		draw(file, outcome, n);
		failed = ferror(file);
		failed = fclose(file) != 0 || failed;
	}
	if (failed)
		complain("--svg %s: %s", path, strerror(errno));
	return failed ? -1 : 0;
}
