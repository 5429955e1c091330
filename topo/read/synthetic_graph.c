/* The graph of a machine or cluster that was described in one line of words. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "topo/graph/fabric.h"
#include "topo/read/sketch.h"
#include "topo/read/synthetic.h"

#define MOST_OF_A_KIND 64

struct drawing {
	const struct synthetic *words;
	span_topo *topo;
	struct sketch sketch;
	int32_t cpu[16], pci[MOST_OF_A_KIND], gpu[MOST_OF_A_KIND];
};

static struct sketch_link said_or_default(const struct drawing *drawing, enum synthetic_key key,
                                          double bandwidth, const char *provenance)
{
	bool said = drawing->words->said & 1u << key;

	return (struct sketch_link){ bandwidth,
		                     said ? SPAN_CONFIDENCE_DECLARED : SPAN_CONFIDENCE_ASSUMED,
		                     said ? provenance : "of a common machine" };
}

/* The i-th of n things, spread in order over m. */
static int32_t spread(int32_t i, int32_t n, int32_t m)
{
	return (int32_t)((int64_t)i * m / n);
}

static span_status add_cpus(struct drawing *drawing)
{
	span_status status = SPAN_OK;

	for (int32_t i = 0; !status && i < drawing->words->sockets; i++)
		status = sketch_cpu(&drawing->sketch, i, "", &drawing->cpu[i]);
	return status;
}

static span_status add_switches(struct drawing *drawing)
{
	const struct synthetic *words = drawing->words;
	span_status status = SPAN_OK;

	for (int32_t i = 0; !status && i < words->switches; i++)
		status = sketch_device(&drawing->sketch, SPAN_NODE_PCI,
		                       drawing->cpu[spread(i, words->switches, words->sockets)],
		                       &drawing->pci[i]);
	return status;
}

/* Where the i-th of n devices hangs. */
static int32_t parent_of(const struct drawing *drawing, int32_t i, int32_t n)
{
	if (drawing->words->switches)
		return drawing->pci[spread(i, n, drawing->words->switches)];
	return drawing->cpu[spread(i, n, drawing->words->sockets)];
}

static span_status add_gpus(struct drawing *drawing)
{
	int32_t n = drawing->words->gpus;
	span_status status = SPAN_OK;

	for (int32_t i = 0; !status && i < n; i++) {
		status = sketch_device(&drawing->sketch, SPAN_NODE_GPU, parent_of(drawing, i, n),
		                       &drawing->gpu[i]);
		if (!status)
			drawing->sketch.machine->nodes[drawing->gpu[i]].dev = i;
	}
	return status;
}

static span_status add_nics(struct drawing *drawing)
{
	const struct synthetic *words = drawing->words;
	struct sketch_link rate = said_or_default(drawing, KEY_NIC, words->nic, "nic: line rate");
	span_status status = SPAN_OK;

	for (int32_t i = 0; !status && i < words->nics; i++) {
		int32_t nic;

		status = sketch_nic(&drawing->sketch, parent_of(drawing, i, words->nics), "", &rate,
		                    &nic);
		if (status)
			break;
		drawing->sketch.machine->nodes[nic].dev = i;
		drawing->sketch.machine->nodes[nic].latency = words->latency;
	}
	return status;
}

/* A GPU shares its links evenly among the others. */
static span_status add_mesh(struct drawing *drawing, span_link_class link_class,
                            struct sketch_link link)
{
	int32_t n = drawing->words->gpus;
	span_status status = SPAN_OK;

	link.bandwidth /= n - 1;
	for (int32_t i = 0; i < n; i++)
		for (int32_t j = 0; !status && j < i; j++)
			status = sketch_join(&drawing->sketch, link_class, 1, drawing->gpu[j],
			                     drawing->gpu[i], &link);
	return status;
}

static span_status add_nvswitch(struct drawing *drawing, struct sketch_link link)
{
	int32_t nvswitch;
	span_status status = machine_add_node(drawing->sketch.machine, SPAN_NODE_NVSWITCH, 0,
	                                      drawing->sketch.host, &nvswitch);

	for (int32_t i = 0; !status && i < drawing->words->gpus; i++)
		status = sketch_join(&drawing->sketch, SPAN_LINK_NVLINK, 1, drawing->gpu[i],
		                     nvswitch, &link);
	return status;
}

static span_status join_gpus(struct drawing *drawing)
{
	const struct synthetic *words = drawing->words;
	struct sketch_link nvlink = said_or_default(drawing, KEY_NVLINK, words->nvlink,
	                                            "nvlink: of a GPU");
	struct sketch_link xgmi = said_or_default(drawing, KEY_XGMI, words->xgmi, "xgmi: of a GPU");

	if (words->gpus < 2)
		return SPAN_OK;
	if (words->xgmi > 0)
		return add_mesh(drawing, SPAN_LINK_XGMI, xgmi);
	if (words->nvlink > 0 && words->mesh)
		return add_mesh(drawing, SPAN_LINK_NVLINK, nvlink);
	return words->nvlink > 0 ? add_nvswitch(drawing, nvlink) : SPAN_OK;
}

static span_status draw_machine(struct drawing *drawing)
{
	const struct synthetic *words = drawing->words;
	span_status status = sketch_begin(&drawing->sketch, drawing->topo);

	if (status)
		return status;
	drawing->sketch.pcie = said_or_default(drawing, KEY_PCIE, words->pcie, "pcie:");
	drawing->sketch.socket = said_or_default(drawing, KEY_SOCKET, words->socket, "socket:");
	status = add_cpus(drawing);
	if (!status)
		status = add_switches(drawing);
	if (!status)
		status = add_gpus(drawing);
	if (!status)
		status = add_nics(drawing);
	return status ? status : join_gpus(drawing);
}

/* --- the network ------------------------------------------------------------------------------ */

static int32_t groups_of(int32_t n, int32_t size)
{
	return (n + size - 1) / size;
}

static span_status add_switch(struct drawing *drawing, int32_t parent, const char *kind,
                              int32_t number, double uplinks, int32_t *added)
{
	char name[32];

	snprintf(name, sizeof(name), "%s%d", kind, number);
	return topo_add_switch(drawing->topo, parent, name, uplinks, added);
}

/* One spine above all, pods below it if there are several, and the leaf switches; *first_leaf is
 * the first of those, the others follow it. */
static span_status add_fabric(struct drawing *drawing, int32_t *first_leaf)
{
	const struct synthetic *words = drawing->words;
	int32_t leaves = groups_of(words->nodes, words->leaf), top = -1, first_pod = 0, added;
	int32_t pods = words->pod ? groups_of(leaves, words->pod) : 0;
	double leaf_up = fabric_uplinks(words->leaf * fabric_nic_rate(drawing->sketch.machine),
	                                words->leaf_ratio);
	span_status status = SPAN_OK;

	if (leaves > 1)
		status = topo_add_switch(drawing->topo, -1, pods > 1 ? "core" : "spine", 0, &top);
	for (int32_t i = 0; !status && pods > 1 && i < pods; i++) {
		status = add_switch(drawing, top, "spine", i,
		                    fabric_uplinks(words->pod * leaf_up, words->pod_ratio), &added);
		first_pod = i ? first_pod : added;
	}
	for (int32_t i = 0; !status && i < leaves; i++) {
		status = add_switch(drawing, pods > 1 ? first_pod + i / words->pod : top, "leaf", i,
		                    leaves > 1 ? leaf_up : 0, &added);
		*first_leaf = i ? *first_leaf : added;
	}
	return status;
}

static span_status add_places(struct drawing *drawing)
{
	const struct synthetic *words = drawing->words;
	int32_t first_leaf = -1;
	span_status status = words->leaf ? add_fabric(drawing, &first_leaf) : SPAN_OK;

	for (int32_t i = 0; !status && i < words->nodes; i++)
		status = topo_add_place(drawing->topo, 0,
		                        words->leaf ? first_leaf + i / words->leaf : -1, NULL);
	return status;
}

/* --- what was left out ------------------------------------------------------------------------ */

struct text {
	char bytes[200];
	size_t used;
};

/* Add a word to the text, unless its key was given or it says nothing of this machine. */
__attribute__((format(printf, 5, 6)))
static void add_default(struct text *text, const struct synthetic *words, enum synthetic_key key,
                        bool matters, const char *format, ...)
{
	va_list arguments;

	if (words->said & 1u << key || !matters)
		return;
	va_start(arguments, format);
	text->used += (size_t)vsnprintf(text->bytes + text->used, sizeof(text->bytes) - text->used,
	                                format, arguments);
	va_end(arguments);
	assert(text->used < sizeof(text->bytes));
}

static span_status note_defaults(const struct drawing *drawing)
{
	const struct synthetic *words = drawing->words;
	bool several = words->gpus > 1;
	struct text text = { 0 };

	add_default(&text, words, KEY_GPUS, true, " gpus:%d", words->gpus);
	add_default(&text, words, KEY_NVLINK, several && words->nvlink > 0, " nvlink:%gGB/s",
	            words->nvlink / 1e9);
	add_default(&text, words, KEY_NVSWITCH, several && words->nvlink > 0, " nvswitch:yes");
	add_default(&text, words, KEY_SOCKETS, true, " sockets:%d", words->sockets);
	add_default(&text, words, KEY_SOCKET, words->sockets > 1, " socket:%gGB/s",
	            words->socket / 1e9);
	add_default(&text, words, KEY_SWITCHES, true, " switches:%d", words->switches);
	add_default(&text, words, KEY_PCIE, true, " pcie:gen5");
	add_default(&text, words, KEY_NICS, true, " nics:%d", words->nics);
	add_default(&text, words, KEY_NIC, words->nics > 0, " nic:%gGB/s", words->nic / 1e9);
	if (!text.used)
		return SPAN_OK;
	return topo_note(drawing->topo, "synthetic", false, "not said, so as in a common machine:%s",
	                 text.bytes);
}

span_status synthetic_graph(const struct synthetic *synthetic, span_topo *topo)
{
	struct drawing drawing = { .words = synthetic, .topo = topo };
	span_status status = draw_machine(&drawing);

	if (!status)
		status = add_places(&drawing);
	return status ? status : note_defaults(&drawing);
}
