/* How fast the PCIe link above a device is, from what NCCL's topology XML says. */
#include "topo/read/read_nccl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "topo/graph/link_speed.h"

/* The spellings NCCL knows, compared as far as they go: "16 GT/s" of kernels up to 5.6, "16.0
 * GT/s PCIe" after. It takes anything else as Gen3. */
static const struct {
	const char *prefix;
	double gt_per_s;
} spellings[] = {
	{ "2.5 GT/s", 2.5 },   { "5 GT/s", 5 },        { "8 GT/s", 8 },
	{ "16 GT/s", 16 },     { "32 GT/s", 32 },      { "5.0 GT/s PCIe", 5 },
	{ "8.0 GT/s PCIe", 8 }, { "16.0 GT/s PCIe", 16 }, { "32.0 GT/s PCIe", 32 },
	{ "64.0 GT/s PCIe", 64 },
};

#define LANES 16       /* of a device whose link_width nobody knows */
#define MOST_LANES 32  /* of PCIe; sysfs says 255 for unknown */

struct declared {
	double gt_per_s; /* 0: missing or not understood */
	int32_t width;   /* 0: missing, 0 or impossible */
};

static double known_spelling(const char *text)
{
	size_t i;

	for (i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++)
		if (strncmp(text, spellings[i].prefix, strlen(spellings[i].prefix)) == 0)
			return spellings[i].gt_per_s;
	return 0;
}

/* As known, or another spelling that begins with a number of GT/s. */
static struct declared read_declared(const struct xml_element *pci)
{
	const char *text = nccl_text(pci, "link_speed");
	struct declared declared = { .gt_per_s = known_spelling(text) };
	char *end;

	declared.width = nccl_int(pci, "link_width", 0);
	if (declared.width < 1 || declared.width > MOST_LANES)
		declared.width = 0;
	if (declared.gt_per_s == 0) {
		double number = strtod(text, &end);

		if (end > text && strncmp(end, " GT/s", 5) == 0 && number >= 2.5 && number <= 64)
			declared.gt_per_s = number;
	}
	return declared;
}

static double declared_bandwidth(struct declared declared)
{
	return pcie_bandwidth(declared.gt_per_s, declared.width ? declared.width : LANES);
}

static void as_nccl_rate(struct nccl_reader *reader, const struct xml_element *pci,
                         struct pci_rate *rate)
{
	const char *text = nccl_text(pci, "link_speed");
	double gt_per_s = known_spelling(text);
	int32_t width = nccl_int(pci, "link_width", 0);

	if (width < 1 || width > MOST_LANES)
		nccl_odd(reader, ODD_WIDTH, pci);
	if (width == 0)
		width = LANES;
	rate->confidence = gt_per_s > 0 ? SPAN_CONFIDENCE_DECLARED : SPAN_CONFIDENCE_UNKNOWN;
	if (gt_per_s == 0) {
		nccl_odd(reader, ODD_SPEED, pci);
		gt_per_s = 8;
	}
	rate->bandwidth = pcie_bandwidth(gt_per_s, width);
	snprintf(rate->provenance, sizeof(rate->provenance), "link_speed \"%.40s\", link_width %d",
	         text, width);
}

/* --- what a device should do -------------------------------------------------------------- */

/* PCIe generation of NVIDIA's GPUs: Volta and Turing 3, Ampere and Ada 4, Hopper and later 5.
 * AMD's by RCCL's name: Vega 20 (906) and later 4, gfx94x and later 5. */
static double gpu_lane_rate(const struct xml_element *gpu)
{
	const char *gcn = nccl_text(gpu, "gcn");
	int32_t sm = nccl_int(gpu, "sm", 0);

	if (strncmp(gcn, "gfx", 3) == 0)
		gcn += 3;
	if (*gcn)
		return strncmp(gcn, "94", 2) == 0 || strncmp(gcn, "95", 2) == 0 ? 32 : 16;
	if (sm >= 90)
		return 32;
	return sm >= 80 ? 16 : 8;
}

/* The slowest PCIe x16 that carries a port. Nine tenths will do: NCCL's figures for PCIe are
 * without overhead, those for ports with it (400 Gb/s is 50e9, Gen5 x16 48e9). */
static double pcie_for_port(double speed)
{
	double gt_per_s = 8;

	while (gt_per_s < 64 && pcie_bandwidth(gt_per_s, LANES) < 0.9 * speed)
		gt_per_s *= 2;
	return pcie_bandwidth(gt_per_s, LANES);
}

/* Whether another port before this one is of the same card. */
static bool same_card_before(const struct xml_element *net)
{
	const char *guid = nccl_text(net, "guid");
	const struct xml_element *other;

	for (other = net->parent->first; other != net; other = other->next)
		if (*guid && strcmp(nccl_text(other, "guid"), guid) == 0)
			return true;
	return false;
}

/* Virtual machines put several cards under one <nic>, but no more ports than these are looked at. */
#define MOST_PORTS 64

/* What the cards of a <nic> take at their line rate, and the PCIe links that carry that. */
static double network_need(const struct xml_element *nic, double *pcie)
{
	const struct xml_element *net;
	double need = 0;
	int32_t n = 0;

	*pcie = 0;
	for (net = nic->first; net && n < MOST_PORTS; net = net->next, n++)
		if (strcmp(net->name, "net") == 0 && !same_card_before(net)) {
			double speed = nccl_int(net, "speed", 0) * 125e3;

			need += speed;
			*pcie += pcie_for_port(speed);
		}
	return need;
}

/* What an endpoint is likely to do, whatever it declares; *least is what it needs at any rate. 0:
 * it is no endpoint. */
static double expected(const struct xml_element *pci, double *least)
{
	const struct xml_element *gpu = xml_child(pci, "gpu"), *nic = xml_child(pci, "nic");
	double likely = 0;

	*least = 0;
	if (gpu)
		*least = likely = pcie_bandwidth(gpu_lane_rate(gpu), LANES);
	else if (nic)
		*least = 0.9 * network_need(nic, &likely);
	return likely;
}

/* Below a bridge: the fastest endpoint as declared, and whether a GPU has a way of its own to
 * the processor, beside which the bridge may well be slow (GB300). */
struct below {
	double fastest;
	bool c2c;
};

static void look_below(const struct xml_element *pci, struct below *below)
{
	const struct xml_element *child, *gpu;

	for (child = pci->first; child; child = child->next) {
		double bandwidth;

		if (strcmp(child->name, "pci") != 0)
			continue;
		gpu = xml_child(child, "gpu");
		if (gpu || xml_child(child, "nic") || !xml_child(child, "pci")) {
			bandwidth = declared_bandwidth(read_declared(child));
			if (bandwidth > below->fastest)
				below->fastest = bandwidth;
			below->c2c |= gpu && xml_child(gpu, "c2c");
		} else {
			look_below(child, below);
		}
	}
}

/* --- the picture -------------------------------------------------------------------------- */

/* The slowest device of which a bridge at Gen1 or of one lane tells nothing: Gen3 x4. */
#define FAST_DEVICE 3e9

static void correct(struct pci_rate *rate, double bandwidth, const char *why)
{
	rate->bandwidth = bandwidth;
	rate->confidence = SPAN_CONFIDENCE_ASSUMED;
	snprintf(rate->provenance, sizeof(rate->provenance), "assumed: %s", why);
}

static void correct_endpoint(struct nccl_reader *reader, const struct xml_element *pci,
                             struct declared declared, double likely, double least,
                             struct pci_rate *rate)
{
	if (declared.gt_per_s == 0) {
		nccl_odd(reader, ODD_SPEED, pci);
		correct(rate, likely, "no link_speed; usual for the device");
	} else if (pcie_generation(declared.gt_per_s) == 1 && rate->bandwidth < least) {
		nccl_odd(reader, ODD_IDLE_DEVICE, pci);
		correct(rate, likely, "Gen1 declared; usual for the device");
	}
}

static void correct_bridge(struct nccl_reader *reader, const struct xml_element *pci,
                           struct declared declared, struct pci_rate *rate)
{
	struct below below = { 0 };

	look_below(pci, &below);
	if (declared.gt_per_s == 0) {
		nccl_odd(reader, ODD_SPEED, pci);
		rate->confidence = SPAN_CONFIDENCE_UNKNOWN;
		rate->bandwidth = pcie_bandwidth(8, LANES);
		if (below.fastest > 0)
			correct(rate, below.fastest, "no link_speed; as the fastest device below");
	} else if ((pcie_generation(declared.gt_per_s) == 1 || declared.width == 1) &&
	           below.fastest >= FAST_DEVICE && below.fastest > rate->bandwidth && !below.c2c) {
		nccl_odd(reader, ODD_IDLE_UPLINK, pci);
		correct(rate, below.fastest, "idle or virtual; as the fastest device below");
	}
}

void nccl_pci_rate(struct nccl_reader *reader, const struct xml_element *pci,
                   struct pci_rate *rate)
{
	struct declared declared = read_declared(pci);
	double least, likely = expected(pci, &least);

	if (reader->source->as_nccl) {
		as_nccl_rate(reader, pci, rate);
		return;
	}
	rate->bandwidth = declared_bandwidth(declared);
	rate->confidence = declared.width ? SPAN_CONFIDENCE_DECLARED : SPAN_CONFIDENCE_ASSUMED;
	snprintf(rate->provenance, sizeof(rate->provenance), "link_speed \"%.40s\", %s%d lanes",
	         nccl_text(pci, "link_speed"), declared.width ? "" : "assumed ",
	         declared.width ? declared.width : LANES);
	if (!declared.width)
		nccl_odd(reader, ODD_WIDTH, pci);
	if (likely > 0)
		correct_endpoint(reader, pci, declared, likely, least, rate);
	else
		correct_bridge(reader, pci, declared, rate);
}
