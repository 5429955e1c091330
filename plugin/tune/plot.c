/* span-tune plot: measured and predicted times, and what is chosen, as SVG. Curves differ by
 * their dashes and marks, not by colour alone, so that a grey print reads as well. */
#include <math.h>
#include <stdlib.h>

#include "plugin/tune/tune.h"
#include "topo/log.h"

enum {
	WIDTH = 900,
	HEIGHT = 560,
	LEFT = 78,
	TOP = 52,
	PLOT_WIDTH = 600,
	PLOT_HEIGHT = 400,
	BAND = 18,
	MOST_CURVES = TUNE_ALGOS * TUNE_PROTOS,
	STEPS = 8 /* points an octave */
};

/* Colours of one lightness apart, from dark to light, and dashes. Source: the palette of Okabe
 * and Ito (2008), which the colour-blind tell apart. */
static const char *const colours[] = { "#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7",
	                               "#56b4e9", "#e69f00", "#666666" };
static const char *const dashes[] = { "none", "9 4", "2 3", "9 4 2 4", "14 5",
	                              "5 2", "1 4", "12 3 3 3" };

enum { STYLES = sizeof(colours) / sizeof(*colours) };

struct plot {
	FILE *out;
	const struct tune_decision *decision;
	double low, high;  /* bytes */
	double fast, slow; /* us */
	int cells[MOST_CURVES][2];
	int n;
};

static double x_of(const struct plot *plot, double bytes)
{
	return LEFT + PLOT_WIDTH * log2(bytes / plot->low) / log2(plot->high / plot->low);
}

static double y_of(const struct plot *plot, double us)
{
	return TOP + PLOT_HEIGHT * (1 - log(us / plot->fast) / log(plot->slow / plot->fast));
}

static const span_curve *curve_of(const struct plot *plot, int i)
{
	int algo = plot->cells[i][0], proto = plot->cells[i][1];

	return plot->decision->curves[algo < 0 ? SPAN_ALGOS : algo][proto < 0 ? SPAN_PROTOS : proto];
}

static double us_of(const struct plot *plot, int i, double bytes)
{
	struct tune_row row = tune_decide(plot->decision, bytes);

	return tune_row_us(&row, plot->cells[i][0], plot->cells[i][1]);
}

/* The cells that have a time. */
static void find_cells(struct plot *plot)
{
	struct tune_row row = tune_decide(plot->decision, sqrt(plot->low * plot->high));

	for (int a = 0; a < TUNE_ALGOS; a++) {
		for (int p = 0; p < TUNE_PROTOS; p++) {
			if (!row.origin[a][p])
				continue;
			plot->cells[plot->n][0] = tune_algo(a);
			plot->cells[plot->n++][1] = tune_proto(p);
		}
	}
}

static void find_times(struct plot *plot)
{
	plot->fast = HUGE_VAL;
	plot->slow = 0;
	for (int i = 0; i < plot->n; i++) {
		for (double bytes = plot->low; bytes <= plot->high * 1.001; bytes *= 2) {
			double us = us_of(plot, i, bytes);

			plot->fast = fmin(plot->fast, us);
			plot->slow = fmax(plot->slow, us);
		}
	}
	plot->fast = pow(10, floor(log10(plot->fast)));
	plot->slow = pow(10, ceil(log10(plot->slow) + 1e-9));
}

static void draw_axes(const struct plot *plot)
{
	char size[32];
	int octaves = (int)lround(log2(plot->high / plot->low));
	int step = octaves > 12 ? 4 : octaves > 6 ? 2
	                                          : 1;

	fprintf(plot->out, "<rect x='%d' y='%d' width='%d' height='%d' fill='none' stroke='#000'/>\n",
	        LEFT, TOP, PLOT_WIDTH, PLOT_HEIGHT);
	for (int i = 0; i <= octaves; i += step) {
		double bytes = plot->low * exp2(i), x = x_of(plot, bytes);

		fprintf(plot->out,
		        "<line x1='%.1f' y1='%d' x2='%.1f' y2='%d' stroke='#ddd'/>\n"
		        "<text x='%.1f' y='%d' text-anchor='middle'>%s</text>\n",
		        x, TOP, x, TOP + PLOT_HEIGHT, x, TOP + PLOT_HEIGHT + BAND + 22,
		        tune_size_text(bytes, size));
	}
	for (double us = plot->fast; us <= plot->slow * 1.001; us *= 10)
		fprintf(plot->out,
		        "<line x1='%d' y1='%.1f' x2='%d' y2='%.1f' stroke='#ddd'/>\n"
		        "<text x='%d' y='%.1f' text-anchor='end'>%g</text>\n",
		        LEFT, y_of(plot, us), LEFT + PLOT_WIDTH, y_of(plot, us), LEFT - 8,
		        y_of(plot, us) + 4, us);
	fprintf(plot->out,
	        "<text x='%d' y='%d' text-anchor='middle'>bytes</text>\n"
	        "<text x='20' y='%d' text-anchor='middle' transform='rotate(-90 20 %d)'>time, us"
	        "</text>\n",
	        LEFT + PLOT_WIDTH / 2, TOP + PLOT_HEIGHT + BAND + 44, TOP + PLOT_HEIGHT / 2,
	        TOP + PLOT_HEIGHT / 2);
}

static void draw_mark(FILE *out, int style, double x, double y)
{
	switch (style % 4) {
	case 0:
		fprintf(out, "<circle cx='%.1f' cy='%.1f' r='3'", x, y);
		break;
	case 1:
		fprintf(out, "<rect x='%.1f' y='%.1f' width='6' height='6'", x - 3, y - 3);
		break;
	case 2:
		fprintf(out, "<path d='M%.1f %.1fl4 7h-8z'", x, y - 4);
		break;
	default:
		fprintf(out, "<path d='M%.1f %.1fl4 4l-4 4l-4 -4z'", x, y - 4);
	}
	fprintf(out, " fill='#fff' stroke='%s'/>\n", colours[style]);
}

static void draw_curve(const struct plot *plot, int i)
{
	const span_curve *curve = curve_of(plot, i);
	int style = i % STYLES, n = (int)ceil(STEPS * log2(plot->high / plot->low));

	fprintf(plot->out, "<polyline fill='none' stroke='%s' stroke-width='1.6' "
	                   "stroke-dasharray='%s' points='",
	        colours[style], dashes[style]);
	for (int k = 0; k <= n; k++) {
		double bytes = plot->low * pow(plot->high / plot->low, (double)k / n);

		fprintf(plot->out, "%.1f,%.1f ", x_of(plot, bytes), y_of(plot, us_of(plot, i, bytes)));
	}
	fprintf(plot->out, "'/>\n");
	for (int32_t k = 0; curve && k < curve->n_knots; k++) {
		if (curve->knots[k].bytes >= plot->low && curve->knots[k].bytes <= plot->high)
			draw_mark(plot->out, style, x_of(plot, curve->knots[k].bytes),
			          y_of(plot, curve->knots[k].us));
	}
}

static void draw_legend(const struct plot *plot)
{
	int x = LEFT + PLOT_WIDTH + 18;
	char cell[32];

	for (int i = 0; i < plot->n; i++) {
		int y = TOP + 14 + 20 * i, style = i % STYLES;

		fprintf(plot->out, "<line x1='%d' y1='%d' x2='%d' y2='%d' stroke='%s' "
		                   "stroke-width='1.6' stroke-dasharray='%s'/>\n",
		        x, y, x + 44, y, colours[style], dashes[style]);
		if (curve_of(plot, i))
			draw_mark(plot->out, style, x + 22, y);
		fprintf(plot->out, "<text x='%d' y='%d'>%s%s</text>\n", x + 52, y + 4,
		        tune_cell_text(plot->cells[i][0], plot->cells[i][1], cell),
		        curve_of(plot, i) ? "" : " (model)");
	}
	fprintf(plot->out, "<text x='%d' y='%d' fill='#444'>marks: measured</text>\n", x,
	        TOP + 26 + 20 * plot->n);
}

static int style_of(const struct plot *plot, int algo, int proto)
{
	for (int i = 0; i < plot->n; i++) {
		if (plot->cells[i][0] == algo && plot->cells[i][1] == proto)
			return i % STYLES;
	}
	return 0;
}

/* Below the axis, a band of what runs; its name stands where there is room. */
static void draw_choices(const struct plot *plot)
{
	int n = (int)ceil(STEPS * log2(plot->high / plot->low)), from = 0;
	struct tune_row row = tune_decide(plot->decision, plot->low);
	char cell[32];

	for (int k = 1; k <= n; k++) {
		double bytes = plot->low * pow(plot->high / plot->low, (double)k / n);
		struct tune_row next = tune_decide(plot->decision, bytes);
		double x = LEFT + (double)PLOT_WIDTH * from / n, width;

		if (k < n && next.algo == row.algo && next.proto == row.proto)
			continue;
		width = (double)PLOT_WIDTH * (k - from) / n;
		fprintf(plot->out, "<rect x='%.1f' y='%d' width='%.1f' height='%d' fill='#fff' "
		                   "stroke='%s' stroke-width='1.6'/>\n",
		        x, TOP + PLOT_HEIGHT + 1, width, BAND,
		        colours[style_of(plot, row.algo, row.proto)]);
		if (width > 78)
			fprintf(plot->out, "<text x='%.1f' y='%d' text-anchor='middle' "
			                   "font-size='11'>%s</text>\n",
			        x + width / 2, TOP + PLOT_HEIGHT + 14,
			        tune_cell_text(row.algo, row.proto, cell));
		from = k;
		row = next;
	}
}

/* Names of profiles may hold what XML does not. */
static void print_escaped(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '<' || *text == '&' || *text == '>')
			fprintf(out, "&#%d;", *text);
		else
			fputc(*text, out);
	}
}

static void draw(struct plot *plot)
{
	const struct tune_decision *decision = plot->decision;

	fprintf(plot->out,
	        "<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d' "
	        "font-family='sans-serif' font-size='12'>\n"
	        "<rect width='100%%' height='100%%' fill='#fff'/>\n"
	        "<text x='%d' y='28' font-size='16'>%s, ranks %d, nodes %d: ",
	        WIDTH, HEIGHT, LEFT, span_coll_name(decision->coll), decision->ranks,
	        decision->nodes);
	print_escaped(plot->out, span_profile_name(decision->profile));
	fprintf(plot->out, "</text>\n");
	draw_axes(plot);
	for (int i = 0; i < plot->n; i++)
		draw_curve(plot, i);
	draw_choices(plot);
	draw_legend(plot);
	fprintf(plot->out, "</svg>\n");
}

static bool prepare(struct tune *tune, const struct tune_decision *decision, struct plot *plot)
{
	double bytes[TUNE_MAX_BYTES];
	int n = tune_sizes(tune, decision, bytes);

	plot->decision = decision;
	plot->low = n ? bytes[0] : 0;
	plot->high = n ? bytes[n - 1] : 0;
	if (n < 2)
		return false;
	find_cells(plot);
	find_times(plot);
	return plot->n > 0;
}

static int run(struct tune *tune)
{
	struct tune_decision decision = { 0 };
	struct span_rules rules = { 0 };
	struct plot plot = { 0 };
	span_profile *profile = NULL;
	span_status status;

	if (!tune_need(tune, "crn"))
		return EXIT_BAD;
	status = tune_open_profile(tune, tune->n_words ? tune->words[0] : NULL, &profile);
	if (!status)
		status = tune_load_rules(tune, &rules);
	if (!status)
		status = tune_decision_create(tune, profile, &rules, &decision);
	if (!status && !prepare(tune, &decision, &plot))
		status = span_fail(SPAN_EINVAL, "plot: fewer than two sizes to show");
	if (!status)
		plot.out = tune_out(tune);
	if (plot.out)
		draw(&plot);
	tune_decision_free(&decision);
	span_rules_free(&rules);
	span_profile_free(profile);
	return plot.out ? EXIT_FINE : EXIT_BAD;
}

const struct tune_command command_plot = {
	.name = "plot",
	.words = "[PROFILE]",
	.summary = "Measured and predicted times and choices, as SVG",
	.options = "crnftmRTo",
	.least_words = 0,
	.most_words = 1,
	.help = "Example:\n"
		"  span-tune plot mine.profile --coll AllReduce --ranks 8 --nodes 1 -o mine.svg\n",
	.run = run,
};
