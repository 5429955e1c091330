/* The page of a ring order: the ring, the way through each kind of host, how wide it is beside the
 * bound and other orders, what gathers take, and the reason. */
#include "topo/picture/svg_order.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"
#include "topo/picture/svg_draw.h"

enum {
	TOP = 66, SECTION = 30, ROW = 20, LEGEND = 24,
	WIDTH_LEAST = 900, NAMES = 150, BAR = 260, KINDS_MOST = 8
};

struct page {
	const struct svg_order *order;
	const span_ring_report *report;
	struct snake hosts, *ways;       /* [n_ways] one for each kind of host, or of the only one */
	int32_t *places;                 /* [n_ways] the places they are drawn of */
	int32_t n_ways, kinds;
	double narrowest;                /* what is marked, 0: all hops are alike */
	int width, height;
};

/* --- what is on the page ------------------------------------------------------------------ */

static int32_t place_of(const struct page *page, int32_t i)
{
	int32_t place, local;

	topo_locate(page->order->topo, span_ring_nodes(page->order->ring)[i], &place, &local);
	return place;
}

/* The narrowest hop is marked where others are wider. */
static double find_narrowest(const struct svg_order *order)
{
	const int32_t *nodes = span_ring_nodes(order->ring);
	int32_t n = span_ring_length(order->ring);
	double low = INFINITY, high = 0;

	for (int32_t i = 0; n > 1 && i < n; i++) {
		span_topo_path path = { 0 };

		span_topo_path_between(order->topo, nodes[i], nodes[(i + 1) % n], &path);
		low = fmin(low, path.bandwidth);
		high = fmax(high, path.bandwidth);
	}
	return high > low * 1.000001 ? low * 1.000001 : 0;
}

/* The first way through each kind of host, in the order of the ring. */
static void find_ways(struct page *page, bool *seen)
{
	int32_t n = span_ring_length(page->order->ring);

	for (int32_t i = 0, end; i < n; i = end) {
		int32_t place = place_of(page, i);
		int32_t machine = page->order->topo->places[place].machine;

		for (end = i + 1; end < n && place_of(page, end) == place; end++)
			;
		if (seen[machine])
			continue;
		seen[machine] = true;
		if (page->kinds++ < KINDS_MOST) {
			page->places[page->n_ways] = place;
			snake_of_devices(page->order, i, end - i, page->narrowest,
			                 &page->ways[page->n_ways++]);
		}
	}
}

static span_status fill(struct page *page)
{
	bool *seen = calloc((size_t)page->order->topo->n_machines + 1, sizeof(*seen));
	span_status status = SPAN_OK;

	page->ways = calloc(KINDS_MOST, sizeof(*page->ways));
	page->places = calloc(KINDS_MOST, sizeof(*page->places));
	if (!seen || !page->ways || !page->places)
		status = span_fail(SPAN_ENOMEM, "picture: no memory");
	page->narrowest = find_narrowest(page->order);
	if (!status) {
		find_ways(page, seen);
		status = snake_of_hosts(page->order, page->narrowest, &page->hosts);
	}
	free(seen);
	return status;
}

/* --- words -------------------------------------------------------------------------------- */

struct words {
	char text[160];
};

static const char *device_word(const struct page *page, int32_t n)
{
	span_topo_node node;

	span_topo_node_at(page->order->topo, span_ring_nodes(page->order->ring)[0], &node);
	if (node.kind == SPAN_NODE_GPU)
		return n == 1 ? "GPU" : "GPUs";
	return n == 1 ? "NUMA node" : "NUMA nodes";
}

static struct words title_of(const struct page *page)
{
	int32_t n = span_ring_length(page->order->ring);
	int32_t hosts = span_topo_hosts(page->order->topo);
	struct words words;

	if (hosts > 1)
		snprintf(words.text, sizeof(words.text), "Ring of %d %s in %d hosts", n,
		         device_word(page, n), hosts);
	else
		snprintf(words.text, sizeof(words.text), "Ring of %d %s", n, device_word(page, n));
	return words;
}

/* How good it is, in a sentence. */
static struct words verdict_of(const struct page *page)
{
	const span_ring_report *report = page->report;
	struct words words;
	char width[64];

	snprintf(width, sizeof(width), "narrowest link %s", svg_speed(report->best.bottleneck,
	                                                           SPAN_CONFIDENCE_DECLARED).text);
	if (span_ring_length(page->order->ring) < 2)
		snprintf(words.text, sizeof(words.text), "there is nothing to go round");
	else if (report->best.missing)
		snprintf(words.text, sizeof(words.text), "between %d neighbours no path is known",
		         report->best.missing);
	else if (report->exact)
		snprintf(words.text, sizeof(words.text),
		         "%s: no ring is wider, and none as wide has a lesser sum", width);
	else if (report->best.bottleneck >= report->bound)
		snprintf(words.text, sizeof(words.text), "%s: no ring is wider", width);
	else
		snprintf(words.text, sizeof(words.text),
		         "%s: no ring is wider than %s, so this one is within %.1f%% of the best",
		         width, svg_speed(report->bound, SPAN_CONFIDENCE_DECLARED).text,
		         100 * (1 - report->best.bottleneck / report->bound));
	return words;
}

static struct words way_title(const struct page *page, int32_t way)
{
	const span_topo *topo = page->order->topo;
	int32_t place = page->places[way], like = 0;
	struct words words;

	for (int32_t i = 0; i < topo->n_places; i++)
		like += topo->places[i].machine == topo->places[place].machine;
	snprintf(words.text, sizeof(words.text), "Through h%d%s", topo->places[place].first_host,
	         like > 1 ? " and each of the hosts like it" : "");
	if (like > 1)
		snprintf(words.text + strlen(words.text), 40, " (%d in all)", like);
	return words;
}

static struct words time_of(double seconds)
{
	struct words words;

	snprintf(words.text, sizeof(words.text), "%.4g %s",
	         seconds * (seconds >= 1 ? 1 : seconds >= 1e-3 ? 1e3 : 1e6),
	         seconds >= 1 ? "s" : seconds >= 1e-3 ? "ms" : "us");
	return words;
}

static struct words candidate_name(const span_gather_candidate *candidate)
{
	struct words words;

	if (candidate->rings > 1)
		snprintf(words.text, sizeof(words.text), "%d rings", candidate->rings);
	else
		snprintf(words.text, sizeof(words.text), "%s", span_order_kind_name(candidate->kind));
	return words;
}

/* --- lines of text and bars --------------------------------------------------------------- */

/* What the sections below the ring need to draw themselves, or, with no file, to be measured. */
struct pen {
	const struct page *page;
	FILE *file;
	int y;
};

static void put_line(struct pen *pen, const char *style, const char *text)
{
	if (pen->file)
		svg_text(pen->file, style, 2 * SVG_PAD, pen->y + 14, SVG_START,
		         pen->page->width - 4 * SVG_PAD, text);
	pen->y += ROW;
}

static void put_heading(struct pen *pen, const char *text)
{
	pen->y += SECTION - ROW;
	put_line(pen, "bold", text);
}

/* A name, a bar as long as value is of most, and words beside it. */
static void put_bar(struct pen *pen, const char *name, const char *style, double value,
                    double most, const char *text)
{
	int length = most > 0 && value > 0 ? (int)(BAR * fmin(1, value / most) + 0.5) : 0;

	if (pen->file) {
		svg_text(pen->file, "small", 2 * SVG_PAD, pen->y + 14, SVG_START, NAMES - 20, name);
		svg_box(pen->file, style, NAMES, pen->y + 4, length ? length : 1, 12);
		svg_text(pen->file, "small", NAMES + BAR + 12, pen->y + 14, SVG_START,
		         pen->page->width - NAMES - BAR - 30, text);
	}
	pen->y += ROW;
}

/* A text of any length, broken between words. */
static void put_wrapped(struct pen *pen, const char *text)
{
	int most = (pen->page->width - 4 * SVG_PAD) * 10 / 58; /* letters of small text */

	while (*text) {
		char line[256];
		int n = (int)strlen(text);

		if (most > (int)sizeof(line) - 1)
			most = (int)sizeof(line) - 1;
		if (n > most) {
			for (n = most; n > 0 && text[n] != ' '; n--)
				;
			if (!n)
				n = most;
		}
		snprintf(line, sizeof(line), "%.*s", n, text);
		put_line(pen, "small", line);
		for (text += n; *text == ' '; text++)
			;
	}
}

/* --- sections ----------------------------------------------------------------------------- */

static void put_snake(struct pen *pen, const char *heading, const struct snake *snake)
{
	if (!snake->n)
		return;
	if (*heading)
		put_heading(pen, heading);
	pen->y += 12;
	if (pen->file) {
		fprintf(pen->file, "<g transform=\"translate(0 %d)\">\n", pen->y);
		snake_draw(snake, pen->file);
		fputs("</g>\n", pen->file);
	}
	pen->y += snake_height(snake);
}

static void put_rings(struct pen *pen)
{
	const struct page *page = pen->page;
	bool cluster = page->order->topo->n_places > 1;
	char text[64];

	put_snake(pen, "", &page->hosts);
	for (int32_t i = 0; i < page->n_ways; i++)
		put_snake(pen, cluster ? way_title(page, i).text : "", &page->ways[i]);
	if (page->kinds > page->n_ways) {
		snprintf(text, sizeof(text), "and %d kinds of hosts more", page->kinds - page->n_ways);
		put_line(pen, "small", text);
	}
}

/* "12 GB/s, 3 times narrower; ring takes 41.94 ms, 3 times as long" */
static struct words row_words(const struct svg_order *order, const struct svg_order_row *row)
{
	const struct svg_order_row *best = &order->rows[0];
	double narrower = row->figures.bottleneck > 0
	                          ? best->figures.bottleneck / row->figures.bottleneck : 1;
	struct words words;
	char more[32] = "", time[64] = "", longer[32] = "";

	if (narrower > 1.0005)
		snprintf(more, sizeof(more), ", %.3g times narrower", narrower);
	if (row->seconds > 0)
		snprintf(time, sizeof(time), "; %s takes %.20s",
		         span_order_kind_name(order->compared_kind), time_of(row->seconds).text);
	if (row->seconds > 1.0005 * best->seconds && best->seconds > 0)
		snprintf(longer, sizeof(longer), ", %.3g times as long", row->seconds / best->seconds);
	snprintf(words.text, sizeof(words.text), "%s%s%s%s",
	         svg_speed(row->figures.bottleneck, SPAN_CONFIDENCE_DECLARED).text, more, time, longer);
	return words;
}

static void put_widths(struct pen *pen)
{
	const struct page *page = pen->page;
	const struct svg_order *order = page->order;
	double bound = page->report->bound, most = bound;

	if (span_ring_length(order->ring) < 2)
		return;
	for (int i = 0; i < order->n_rows; i++)
		most = fmax(most, order->rows[i].figures.bottleneck);
	put_heading(pen, "Narrowest link");
	if (bound > 0)
		put_bar(pen, "no ring has more", "outline", bound, most,
		        svg_speed(bound, SPAN_CONFIDENCE_DECLARED).text);
	for (int i = 0; i < order->n_rows; i++) {
		const struct svg_order_row *row = &order->rows[i];

		put_bar(pen, row->name, i ? "pale" : "dark", row->figures.bottleneck, most,
		        row_words(order, row).text);
	}
}

static void put_candidate(struct pen *pen, const span_gather_candidate *candidate, double most)
{
	bool chosen = candidate->offered && candidate->kind == pen->page->order->gather->kind;
	char text[160];

	snprintf(text, sizeof(text), "%.20s, %.20s of it exposed%s",
	         time_of(candidate->cost.seconds).text,
	         candidate->cost.exposed > 0 ? time_of(candidate->cost.exposed).text : "nothing",
	         chosen ? ": taken" : candidate->offered ? "" : " (not offered by libspan)");
	put_bar(pen, candidate_name(candidate).text, chosen ? "dark" : "pale",
	        candidate->cost.seconds, most, text);
}

static void put_gather(struct pen *pen)
{
	const struct svg_order *order = pen->page->order;
	const span_gather_choice *gather = order->gather;
	char text[SPAN_GATHER_REASON + 64];
	double most = 0;

	for (int32_t i = 0; i < gather->n; i++)
		most = fmax(most, gather->candidate[i].cost.seconds);
	snprintf(text, sizeof(text), "Gather of blocks of %.4g MB, %s of compute on each",
	         order->work->block_bytes / 1e6,
	         order->work->compute > 0 ? time_of(order->work->compute).text : "nothing");
	put_heading(pen, text);
	for (int32_t i = 0; i < gather->n; i++)
		put_candidate(pen, &gather->candidate[i], most);
	snprintf(text, sizeof(text), "%s, because %s", span_order_kind_name(gather->kind),
	         gather->reason);
	put_wrapped(pen, text);
}

static bool uses_class(const struct snake *snake, int link_class)
{
	for (int i = 0; i < snake->n - !snake->closed; i++)
		if ((int)snake->hops[i].link_class == link_class)
			return true;
	return false;
}

static void put_legend(struct pen *pen)
{
	const struct page *page = pen->page;
	int x = 2 * SVG_PAD;

	pen->y += 6;
	for (int c = SPAN_LINK_NVLINK; pen->file && c <= SPAN_LINK_NETWORK; c++) {
		bool used = uses_class(&page->hosts, c);

		for (int32_t i = 0; i < page->n_ways; i++)
			used |= uses_class(&page->ways[i], c);
		if (!used)
			continue;
		svg_line(pen->file, (span_link_class)c, (int[]){ x, pen->y + 10, x + 40, pen->y + 10 },
		         2);
		svg_text(pen->file, "small", x + 46, pen->y + 14, SVG_START, 60,
		         svg_link_word((span_link_class)c));
		x += 110;
	}
	if (pen->file && page->narrowest > 0) {
		fprintf(pen->file, "<path class=\"halo\" d=\"M%d %dL%d %d\"/>\n", x, pen->y + 10,
		        x + 40, pen->y + 10);
		svg_text(pen->file, "small", x + 46, pen->y + 14, SVG_START, 80, "narrowest");
	}
	pen->y += ROW;
	put_line(pen, "small", "numbers on lines: class of the path and GB/s, 10^9 bytes a second, "
	         "one direction; ~ usual for such a device, not stated");
}

static void put_sections(struct pen *pen)
{
	put_rings(pen);
	put_widths(pen);
	put_gather(pen);
	put_legend(pen);
}

/* --- the page ----------------------------------------------------------------------------- */

static void measure(struct page *page)
{
	struct pen pen = { .page = page, .y = TOP };
	int width = snake_width(&page->hosts);

	page->width = width > WIDTH_LEAST ? width : WIDTH_LEAST;
	for (int32_t i = 0; i < page->n_ways; i++) {
		width = snake_width(&page->ways[i]);
		page->width = width > page->width ? width : page->width;
	}
	put_sections(&pen);
	page->height = pen.y + SVG_PAD;
}

static void put_style(FILE *file)
{
	svg_style(file);
	fputs("<style>\n"
	      ".halo{stroke:#f3c892;stroke-width:16px}\n"
	      ".arrow{fill:#222;stroke:none}\n"
	      ".dark{fill:#334155;stroke:#111}\n"
	      ".pale{fill:#cbd5e1;stroke:#555}\n"
	      ".outline{fill:#fff;stroke:#111;stroke-dasharray:4 2}\n"
	      "</style>\n", file);
}

/* The source without the folders it lies in. */
static const char *short_name(const span_topo *topo)
{
	const char *slash = strrchr(topo->source_name, '/');

	return slash && slash[1] && strncmp(topo->source_name, "synthetic:", 10) != 0
	               ? slash + 1 : topo->source_name;
}

static void put_head(const struct page *page, FILE *file)
{
	struct words title = title_of(page), verdict = verdict_of(page);
	char text[512];

	fprintf(file, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
	        "height=\"%d\" role=\"img\" aria-labelledby=\"t d\">\n<title id=\"t\">",
	        page->width, page->height, page->width, page->height);
	svg_escape(file, short_name(page->order->topo));
	fprintf(file, ": %s, %s</title>\n<desc id=\"d\">", title.text, verdict.text);
	snake_describe(&page->hosts, file);
	for (int32_t i = 0; i < page->n_ways; i++) {
		if (page->hosts.n)
			fprintf(file, "%s:\n", way_title(page, i).text);
		snake_describe(&page->ways[i], file);
	}
	fprintf(file, "%s, because %s.</desc>\n", span_order_kind_name(page->order->gather->kind),
	        page->order->gather->reason);
	put_style(file);
	svg_box(file, "paper", 0, 0, page->width, page->height);
	svg_text(file, "title", 2 * SVG_PAD, 30, SVG_START, page->width - 4 * SVG_PAD,
	         short_name(page->order->topo));
	snprintf(text, sizeof(text), "%.160s: %.160s", title.text, verdict.text);
	svg_text(file, "small", 2 * SVG_PAD, 48, SVG_START, page->width - 4 * SVG_PAD, text);
}

span_status topo_write_svg_order(const struct svg_order *order, FILE *file)
{
	struct page page = { .order = order, .report = span_ring_report_of(order->ring) };
	struct pen pen = { .page = &page, .file = file, .y = TOP };
	span_status status = fill(&page);

	if (!status) {
		measure(&page);
		put_head(&page, file);
		put_sections(&pen);
		fputs("</svg>\n", file);
		if (ferror(file))
			status = span_fail(SPAN_EIO, "picture: not everything could be written");
	}
	free(page.ways);
	free(page.places);
	return status;
}
