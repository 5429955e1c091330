/* Machines in hwloc's XML, written for one test each. */
#include "tests/topo/hwloc_text.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/topo/log_capture.h"

static const char *or_nothing(const char *text)
{
	return text ? text : "";
}

char *hwloc_text_write(const struct hwloc_text *text)
{
	static const char *const sets[] = { "0x00000003", "0x0000000c" };
	const char *inside[] = { or_nothing(text->first), or_nothing(text->second) };
	char *file = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&file, &bytes);

	cr_assert(out);
	fprintf(out, "<?xml version=\"1.0\"?>\n<topology version=\"%s\">\n"
	             "<object type=\"Machine\" os_index=\"0\" cpuset=\"0x0000000f\" "
	             "gp_index=\"1\">\n%s\n",
	        text->version ? text->version : "2.0", or_nothing(text->infos));
	for (int i = 0; i < 2; i++)
		fprintf(out, "<object type=\"Package\" os_index=\"%d\" cpuset=\"%s\" gp_index=\"%d\">\n"
		             INFO("CPUVendor", "GenuineIntel") INFO("CPUFamilyNumber", "6")
		             INFO("CPUModelNumber", "106") "\n"
		             "<object type=\"NUMANode\" os_index=\"%d\" cpuset=\"%s\" gp_index=\"%d\" "
		             "local_memory=\"1000000000\"/>\n%s\n</object>\n",
		        i, sets[i], 10 + i, i, sets[i], 20 + i, inside[i]);
	fprintf(out, "%s</object>\n%s</topology>\n", or_nothing(text->machine), or_nothing(text->tail));
	fclose(out);
	return file;
}

span_topo *hwloc_text_load(const struct hwloc_text *text)
{
	span_topo_options options = { .size = sizeof(options), .as_nccl = text->as_nccl };
	span_topo *topo = NULL;
	char *file = hwloc_text_write(text);
	span_status status;

	log_capture();
	status = span_topo_parse(file, strlen(file), "test.xml", &options, &topo);
	cr_assert_eq(status, SPAN_OK, "%s\n%s", log_captured(), file);
	free(file);
	return topo;
}

const struct graph_node *hwloc_text_node(const span_topo *topo, const char *id)
{
	int32_t node = span_topo_find(topo, id);

	cr_assert_geq(node, 0, "there is no %s", id);
	return &topo->machines[0]->nodes[node];
}

static const struct graph_link *find_link(const span_topo *topo, const char *from, const char *to)
{
	const struct machine *machine = topo->machines[0];
	int32_t a = span_topo_find(topo, from), b = span_topo_find(topo, to);

	for (int32_t i = 0; a >= 0 && b >= 0 && i < machine->n_links; i++)
		if (machine->links[i].from == a && machine->links[i].to == b)
			return &machine->links[i];
	return NULL;
}

const struct graph_link *hwloc_text_link(const span_topo *topo, const char *from, const char *to)
{
	const struct graph_link *link = find_link(topo, from, to);

	cr_assert(link, "no link from %s to %s", from, to);
	return link;
}

int hwloc_text_linked(const span_topo *topo, const char *from, const char *to)
{
	return find_link(topo, from, to) != NULL;
}

const struct note *hwloc_text_note(const span_topo *topo, const char *words)
{
	for (int32_t i = 0; i < topo->n_notes; i++)
		if (strstr(topo->notes[i].text, words))
			return &topo->notes[i];
	return NULL;
}
