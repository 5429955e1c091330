/* Strokes and letters of the pictures. */
#include "topo/picture/svg_draw.h"

#include <stdlib.h>
#include <string.h>

#include "topo/json/json.h"

void svg_style(FILE *file)
{
	fputs("<style>\n"
	      "text{font-family:sans-serif;font-size:12px;fill:#111}\n"
	      ".title{font-size:18px;font-weight:bold}\n"
	      ".bold{font-weight:bold}\n"
	      ".small{font-size:10.5px;fill:#333}\n"
	      ".wire{font-size:10.5px}\n"
	      ".badge{font-size:11px;font-weight:bold;fill:#fff}\n"
	      "rect{stroke:#555;stroke-width:1px;fill:#fff}\n"
	      ".paper{stroke:none;fill:#fff}\n"
	      ".host{fill:#fafafa;stroke:#777}\n"
	      ".package{fill:#f0f0f0;stroke:#999;stroke-dasharray:6 3}\n"
	      ".cpu{fill:#d3deea}\n"
	      ".pci{fill:#e6e6e6}\n"
	      ".gpu{fill:#c4e0cb;stroke:#222;stroke-width:1.5px}\n"
	      ".nic{fill:#fdf3d8}\n"
	      ".nvswitch{fill:#a9cfb4;stroke:#222}\n"
	      ".fabric{fill:#e4dcec}\n"
	      "path{fill:none;stroke:#333;stroke-width:1.5px}\n"
	      ".l1{stroke:#14532d;stroke-width:4px}\n"             /* NVLink */
	      ".l2{stroke:#7c2d12;stroke-width:4px;stroke-dasharray:10 3}\n" /* xGMI */
	      ".l3{stroke:#1e3a8a;stroke-width:4px;stroke-dasharray:3 2}\n"  /* C2C */
	      ".l4{stroke:#444}\n"                                  /* PCIe */
	      ".l5{stroke:#444;stroke-width:2px;stroke-dasharray:12 3 2 3}\n" /* socket */
	      ".l6{stroke:#5b21b6;stroke-width:2px;stroke-dasharray:2 3}\n"  /* network */
	      ".ring{stroke:#b45309;stroke-width:2px}\n"
	      ".tip{fill:#b45309;stroke:none}\n"
	      "circle{fill:#b45309;stroke:#fff}\n"
	      "</style>\n", file);
}

/* --- text --------------------------------------------------------------------------------- */

static void put_escaped(FILE *file, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '&':
			fputs("&amp;", file);
			break;
		case '<':
			fputs("&lt;", file);
			break;
		case '>':
			fputs("&gt;", file);
			break;
		case '"':
			fputs("&quot;", file);
			break;
		case '\xef': /* U+FFFE and U+FFFF are no characters to XML */
			if (strncmp(text, "\xef\xbf\xbe", 3) == 0 ||
			    strncmp(text, "\xef\xbf\xbf", 3) == 0) {
				fputc('?', file);
				text += 2;
				break;
			}
			fputc(*text, file);
			break;
		default:
			fputc((unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text, file);
		}
	}
}

void svg_escape(FILE *file, const char *text)
{
	char *copy = strdup(text);

	if (copy) { /* else a label is missing, not the picture */
		json_clean_utf8(copy);
		put_escaped(file, copy);
	}
	free(copy);
}

/* Letters of a sans-serif font are about that wide, in tenths of a pixel. */
static int letter_width(const char *style)
{
	if (strcmp(style, "title") == 0)
		return 100;
	if (strcmp(style, "bold") == 0)
		return 74;
	return strcmp(style, "small") == 0 || strcmp(style, "wire") == 0 ? 58 : 66;
}

/* Cut a text to so many letters, the last two of them dots; whole UTF-8 sequences only. */
static void shorten(char *text, int letters)
{
	char *cut = NULL;
	int n = 0;

	for (char *c = text; *c; c++) {
		if (((unsigned char)*c & 0xC0) == 0x80)
			continue;
		if (n == letters - 2)
			cut = c;
		if (n++ == letters && cut) {
			memcpy(cut, "..", 3);
			return;
		}
	}
}

void svg_text(FILE *file, const char *style, int x, int y, enum svg_anchor anchor, int room,
              const char *text)
{
	static const char *const anchors[] = { "start", "middle", "end" };
	char shown[256];
	int letters = room * 10 / letter_width(style);

	snprintf(shown, sizeof(shown), "%s", text);
	json_clean_utf8(shown);
	shorten(shown, letters > 2 ? letters : 2);
	fprintf(file, "<text class=\"%s\" x=\"%d\" y=\"%d\" text-anchor=\"%s\">", style, x, y,
	        anchors[anchor]);
	put_escaped(file, shown);
	fputs("</text>\n", file);
}

/* --- shapes ------------------------------------------------------------------------------- */

void svg_box(FILE *file, const char *style, int x, int y, int width, int height)
{
	fprintf(file, "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"4\"/>\n",
	        style, x, y, width, height);
}

void svg_line(FILE *file, span_link_class link_class, const int *points, int n)
{
	fprintf(file, "<path class=\"l%d\" d=\"", (int)link_class);
	for (int i = 0; i < n; i++)
		fprintf(file, "%c%d %d", i ? 'L' : 'M', points[2 * i], points[2 * i + 1]);
	fputs("\"/>\n", file);
}

void svg_label(FILE *file, int x, int y, int room, const char *text)
{
	int width = (int)strlen(text) * letter_width("wire") / 10 + 4;

	if (width > room)
		return;
	svg_box(file, "paper", x - width / 2, y - 6, width, 12);
	svg_text(file, "wire", x, y + 4, SVG_MIDDLE, room, text);
}

void svg_fit_speed(FILE *file, int x, int y, int room, const char *word, double bandwidth,
                   span_confidence confidence)
{
	struct svg_speed speed = svg_speed(bandwidth, confidence);
	char text[96];

	snprintf(text, sizeof(text), "%s%s%s", word, *word ? " " : "", speed.text);
	if ((int)strlen(text) > room * 10 / letter_width("small"))
		text[strlen(text) - strlen(" GB/s")] = 0;
	svg_text(file, "small", x, y, SVG_START, room, text);
}

struct svg_speed svg_speed(double bandwidth, span_confidence confidence)
{
	struct svg_speed speed;
	double gbps = bandwidth / 1e9;

	if (bandwidth <= 0)
		snprintf(speed.text, sizeof(speed.text), "? GB/s");
	else
		snprintf(speed.text, sizeof(speed.text), "%s%.*g GB/s",
		         confidence < SPAN_CONFIDENCE_DECLARED ? "~" : "", gbps < 1 ? 2 : 4, gbps);
	return speed;
}

const char *svg_link_word(span_link_class link_class)
{
	static const char *const words[] = { "inside", "NVLink", "xGMI",   "C2C",
		                             "PCIe",   "socket", "network" };

	return words[link_class];
}
