/* The fabric of a cluster as an indented tree. */
#include <string.h>

#include "topo/picture/plan_fabric.h"
#include "topo/tool/text.h"

enum { LINES_MOST = 48 };

static void print_span(const char *one, const char *last, int32_t n, FILE *out)
{
	if (n == 1)
		fprintf(out, "%s", one);
	else
		fprintf(out, "%s .. %s (%d alike)", one, last, n);
}

static void print_hosts(const span_topo *topo, const struct fabric_item *item, FILE *out)
{
	char first[32], last[32];

	snprintf(first, sizeof(first), "h%d", topo->places[item->first_place].first_host);
	snprintf(last, sizeof(last), "h%d", topo->places[item->last_place].first_host);
	fprintf(out, ": %s", text_count(item->hosts, "host", "hosts").text);
	if (item->machine >= 0 && topo->n_machines > 1)
		fprintf(out, " of kind %d", item->machine + 1);
	if (item->machine < 0)
		fprintf(out, " of several kinds");
	if (item->hosts == 1 && item->alike == 1)
		fprintf(out, ", %s", first);
	else
		fprintf(out, "%s, %s .. %s", item->alike > 1 ? " each" : "", first, last);
}

/* Uplinks, and how much more could come from below than fits through them. */
static void print_up(const struct fabric_item *item, FILE *out)
{
	if (item->parent < 0)
		return;
	if (!item->up) {
		fprintf(out, "; up: as much as below");
		return;
	}
	fprintf(out, "; up %s GB/s", text_gbps(item->up, 4).text);
	if (item->below > item->up * 1.0001)
		fprintf(out, ", oversubscribed %.3g:1", item->below / item->up);
}

static void print_item(const span_topo *topo, const struct fabric_item *item, FILE *out)
{
	fprintf(out, "%*s", 2 * item->depth + 2, "");
	print_span(topo->switches[item->first].name, topo->switches[item->last].name, item->alike,
	           out);
	if (item->hosts)
		print_hosts(topo, item, out);
	else
		fprintf(out, ": %s below%s", text_count(item->hosts_below, "host", "hosts").text,
		        item->alike > 1 ? " each" : "");
	if (item->rails > 1)
		fprintf(out, ", %d rails%s", item->rails, item->alike > 1 ? " each" : "");
	print_up(item, out);
	fputc('\n', out);
}

span_status text_fabric(const span_topo *topo, FILE *out)
{
	struct fabric fabric;
	span_status status;

	if (!topo->n_switches && topo->n_places == 1)
		return SPAN_OK;
	status = fabric_create(topo, &fabric);
	if (status)
		return status;
	fprintf(out, "\nFabric\n");
	if (fabric.flat)
		fprintf(out, "  %s on one flat network: no switches are described\n",
		        text_count(fabric.flat, "host", "hosts").text);
	for (int32_t i = 0; i < fabric.n && i < LINES_MOST; i++)
		print_item(topo, &fabric.items[i], out);
	if (fabric.n > LINES_MOST)
		fprintf(out, "  and %d lines more\n", fabric.n - LINES_MOST);
	fabric_free(&fabric);
	return SPAN_OK;
}
