/* Rules of lint: what a NIC can carry. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "topo/lint/lint.h"

/* Line rates are told in Gb/s, as everybody calls them. */
static double gbps(double bytes_per_second)
{
	return bytes_per_second * 8 / 1e9;
}

/* --- nic-behind-slow-pcie ------------------------------------------------------------------- */

static bool is_above(const struct machine *machine, int32_t node, int32_t below)
{
	while (below >= 0 && below != node)
		below = machine->nodes[below].parent;
	return below == node;
}

/* The NIC whose card this is, and the others on it: their line rates together. */
static double rate_of_card(const struct machine *machine, int32_t card, int32_t *ports)
{
	double rate = 0;

	*ports = 0;
	for (int32_t i = -1; (i = lint_next(machine, i, SPAN_NODE_NIC, -1)) >= 0;)
		if (machine->nodes[i].parent == card) {
			rate += machine->nodes[i].speed;
			++*ports;
		}
	return rate;
}

/* The GPU that the ports of a card are nearest to, or -1. */
static int32_t nearest_gpu(const struct machine *machine, int32_t card)
{
	int32_t nic = -1, nearest = -1, host = machine->nodes[card].host;
	const struct graph_path *path, *best = NULL;

	while ((nic = lint_next(machine, nic, SPAN_NODE_NIC, host)) >= 0)
		if (machine->nodes[nic].parent == card)
			break;
	if (nic < 0)
		return -1;
	for (int32_t gpu = -1; (gpu = lint_next(machine, gpu, SPAN_NODE_GPU, host)) >= 0;) {
		path = lint_path(machine, nic, gpu);
		if (best && path->path_class >= best->path_class)
			continue;
		best = path;
		nearest = gpu;
	}
	return nearest;
}

/* The narrowest PCIe link from a card up to where the way to the GPU turns down, or to the
 * CPU; 0 when it has no PCIe link. */
static double narrowest_up(const struct machine *machine, int32_t card, int32_t gpu)
{
	const struct graph_link *link;
	double narrowest = 0;

	for (int32_t i = card; (link = lint_uplink(machine, i)); i = machine->nodes[i].parent) {
		if (gpu >= 0 && is_above(machine, i, gpu))
			break;
		if (narrowest == 0 || link->bandwidth < narrowest)
			narrowest = link->bandwidth;
	}
	return narrowest;
}

/* NCCL counts 24 GB/s for the Gen4 x16 link of a card of 200 Gb/s, 25 GB/s: a quarter more than
 * the link is what no maker of cards does. Judged by what NCCL believes, and by the mended
 * picture: whether it only believes so is told. */
static void nic_behind_slow_pcie(struct lint *lint)
{
	const struct machine *machine = lint->machine;

	for (int32_t i = 0; i < machine->n_nodes; i++) {
		int32_t ports = 0, gpu;
		double rate, believed, mended;

		if (machine->nodes[i].kind != SPAN_NODE_CARD && machine->nodes[i].kind != SPAN_NODE_PCI)
			continue;
		rate = rate_of_card(machine, i, &ports);
		gpu = nearest_gpu(machine, i);
		believed = ports ? narrowest_up(lint->nccl, i, gpu) : 0;
		mended = ports ? narrowest_up(machine, i, gpu) : 0;
		if (believed > 0 && rate > 1.25 * believed)
			lint_tell(lint, i, "%d port%s of %.0f Gb/s%s (%.4g GB/s) behind PCIe of %.4g "
			          "GB/s%s", ports, ports == 1 ? "" : "s", gbps(rate),
			          ports == 1 ? "" : " together", rate / 1e9,
			          believed / 1e9, rate > 1.25 * mended ? "" : ", as NCCL believes");
	}
}

/* --- nic-speeds-mixed, nic-slow, nic-shared ------------------------------------------------- */

/* The slowest and the fastest port of a host with a known rate, or -1. */
static void extremes(const struct machine *machine, int32_t host, int32_t *slowest,
                     int32_t *fastest)
{
	*slowest = *fastest = -1;
	for (int32_t i = -1; (i = lint_next(machine, i, SPAN_NODE_NIC, host)) >= 0;) {
		if (machine->nodes[i].speed <= 0)
			continue;
		if (*slowest < 0 || machine->nodes[i].speed < machine->nodes[*slowest].speed)
			*slowest = i;
		if (*fastest < 0 || machine->nodes[i].speed > machine->nodes[*fastest].speed)
			*fastest = i;
	}
}

static int32_t ports_of_speed(const struct machine *machine, int32_t host, double speed)
{
	int32_t count = 0;

	for (int32_t i = -1; (i = lint_next(machine, i, SPAN_NODE_NIC, host)) >= 0;)
		count += machine->nodes[i].speed == speed;
	return count;
}

static void nic_speeds_mixed(struct lint *lint)
{
	const struct machine *machine = lint->machine;
	int32_t slow, fast;

	for (int32_t host = 0; host < machine->n_hosts; host++) {
		extremes(machine, host, &slow, &fast);
		if (slow >= 0 && machine->nodes[slow].speed < machine->nodes[fast].speed)
			lint_tell(lint, slow, "%.4g Gb/s; %d of the host's %d ports have %.4g Gb/s",
			          gbps(machine->nodes[slow].speed),
			          ports_of_speed(machine, host, machine->nodes[fast].speed),
			          lint_count(machine, SPAN_NODE_NIC, host),
			          gbps(machine->nodes[fast].speed));
	}
}

/* Below 10 Gb/s it is the port of the management network. */
static void nic_slow(struct lint *lint)
{
	const struct machine *machine = lint->machine;
	int32_t slow, fast;

	for (int32_t host = 0; host < machine->n_hosts; host++) {
		extremes(machine, host, &slow, &fast);
		if (fast >= 0 && gbps(machine->nodes[fast].speed) < 9.5 &&
		    lint_next(machine, -1, SPAN_NODE_GPU, host) >= 0)
			lint_tell(lint, fast, "the fastest port of a host with %d GPUs has %.3g Gb/s",
			          lint_count(machine, SPAN_NODE_GPU, host),
			          gbps(machine->nodes[fast].speed));
	}
}

/* ": 12.5 GB/s for each" of so many, or "" where a port's rate is not known. */
static void share_text(const struct machine *machine, int32_t host, int32_t gpus, char *room,
                       size_t bytes)
{
	double rate = 0;

	*room = '\0';
	for (int32_t i = -1; (i = lint_next(machine, i, SPAN_NODE_NIC, host)) >= 0;) {
		if (machine->nodes[i].speed <= 0)
			return;
		rate += machine->nodes[i].speed;
	}
	snprintf(room, bytes, ": %.3g GB/s for each", rate / 1e9 / gpus);
}

static void nic_shared(struct lint *lint)
{
	const struct machine *machine = lint->machine;

	for (int32_t host = 0; host < machine->n_hosts; host++) {
		int32_t gpus = lint_count(machine, SPAN_NODE_GPU, host);
		int32_t nic = lint_next(machine, -1, SPAN_NODE_NIC, host), nics;
		char share[64];

		nics = lint_count(machine, SPAN_NODE_NIC, host);
		if (nic < 0 || gpus <= 2 * nics)
			continue;
		share_text(machine, host, gpus, share, sizeof(share));
		lint_tell(lint, nic, "%d GPUs share %d port%s%s", gpus, nics, nics == 1 ? "" : "s",
		          share);
	}
}

/* --- nic-speed-units, nic-speed-odd --------------------------------------------------------- */

/* The fastest port that exists has 1.6 Tb/s, the slowest that anybody uses 100 Mb/s; a factor
 * of 1000 leads out of that range from every rate between. */
#define RATE_LEAST 0.09
#define RATE_MOST 1700.0

static bool in_range(double rate)
{
	return rate >= RATE_LEAST && rate <= RATE_MOST;
}

/* Judged by NCCL's view, where nothing was mended yet. */
static void nic_speed_units(struct lint *lint)
{
	for (int32_t i = -1; (i = lint_next(lint->nccl, i, SPAN_NODE_NIC, -1)) >= 0;) {
		double rate = gbps(lint->nccl->nodes[i].speed);

		if (rate > 0 && !in_range(rate))
			lint_tell(lint, i, "a line rate of %.6g Gb/s; did the source mean %.4g?", rate,
			          rate > RATE_MOST ? rate / 1000 : rate * 1000);
	}
}

/* Rates of one Ethernet lane or port (IEEE 802.3), of InfiniBand lanes (SDR to XDR, as verbs
 * counts them), and how many lanes or ports are joined. */
static bool is_line_rate(double rate)
{
	static const double lanes[] = { 0.1, 1, 2.5, 5, 8, 10, 14, 25, 50, 100, 200 };
	static const int joined[] = { 1, 2, 4, 8, 12 };

	for (size_t i = 0; i < sizeof(lanes) / sizeof(lanes[0]); i++)
		for (size_t j = 0; j < sizeof(joined) / sizeof(joined[0]); j++)
			if (fabs(rate - lanes[i] * joined[j]) <= 0.005 * rate)
				return true;
	return false;
}

static void nic_speed_odd(struct lint *lint)
{
	const struct machine *machine = lint->nccl;
	int32_t first = -1, count = 0;

	for (int32_t i = -1; (i = lint_next(machine, i, SPAN_NODE_NIC, -1)) >= 0;) {
		double rate = gbps(machine->nodes[i].speed);

		if (rate <= 0 || !in_range(rate) || is_line_rate(rate))
			continue;
		first = first < 0 ? i : first;
		count++;
	}
	if (count)
		lint_tell(lint, first, "%.5g Gb/s here%s is no line rate of Ethernet or InfiniBand",
		          gbps(machine->nodes[first].speed),
		          count > 1 ? " and on other ports" : "");
}

/* --- nic-gdr-off ---------------------------------------------------------------------------- */

/* Devices of a kind that say no; *first is the first. RCCL's files say no of every GPU and do
 * not mean it. */
static int32_t without_gdr(const struct lint *lint, int32_t host, span_node_kind kind,
                           int32_t *first)
{
	int32_t count = 0;

	for (int32_t i = -1; (i = lint_next(lint->machine, i, kind, host)) >= 0;)
		if (lint->machine->nodes[i].gdr == 0 &&
		    (kind == SPAN_NODE_NIC || lint_is_nvidia(lint, i)) && !count++)
			*first = i;
	return count;
}

static void nic_gdr_off(struct lint *lint)
{
	const struct machine *machine = lint->machine;

	for (int32_t host = 0; host < machine->n_hosts; host++) {
		int32_t gpus = lint_count(machine, SPAN_NODE_GPU, host), first = 0;
		int32_t nics = lint_count(machine, SPAN_NODE_NIC, host), off;

		off = without_gdr(lint, host, SPAN_NODE_NIC, &first);
		if (off && gpus)
			lint_tell(lint, first, "GPUDirect RDMA is off on %d of %d ports of the host",
			          off, nics);
		off = without_gdr(lint, host, SPAN_NODE_GPU, &first);
		if (off && nics)
			lint_tell(lint, first, "GPUDirect RDMA is off on %d of %d GPUs of the host",
			          off, gpus);
	}
}

const struct lint_rule lint_rules_nic[] = {
	{ .id = "nic-behind-slow-pcie", .severity = LINT_WARNING,
	  .title = "ports whose line rate is above the PCIe path to their card",
	  .why = "the network never reaches its rate, or NCCL plans as if it could not",
	  .remedy = "check LnkSta (lspci -vv); in a guest, give NCCL the host's topology file",
	  .machine = nic_behind_slow_pcie },
	{ .id = "nic-speeds-mixed", .severity = LINT_WARNING,
	  .title = "ports of different line rates in one host",
	  .why = "NCCL may use the slow ones, and all channels wait for those",
	  .remedy = "name the ports that carry the job (NCCL_IB_HCA, NCCL_SOCKET_IFNAME)",
	  .machine = nic_speeds_mixed },
	{ .id = "nic-slow", .severity = LINT_WARNING,
	  .title = "no port of 10 Gb/s or more in a host with GPUs",
	  .why = "it is the management port: every step between hosts waits for it",
	  .remedy = "check that the fast card is there and its driver loaded",
	  .machine = nic_slow },
	{ .id = "nic-shared", .severity = LINT_INFO,
	  .title = "more than two GPUs for each port",
	  .why = "between hosts they share its rate",
	  .remedy = "prefer an order that goes inside the host first (span-topo order)",
	  .machine = nic_shared },
	{ .id = "nic-speed-units", .severity = LINT_ERROR,
	  .title = "a line rate that is off by a factor of 1000",
	  .why = "NCCL takes the network for free, or for hopeless",
	  .remedy = "write speed in Mb/s into the topology file, such as 200000",
	  .machine = nic_speed_units },
	{ .id = "nic-speed-odd", .severity = LINT_INFO,
	  .title = "a line rate that no standard has",
	  .why = "somebody set it by hand: it is a measurement or a mistake",
	  .remedy = "compare with ibstat or ethtool",
	  .machine = nic_speed_odd },
	{ .id = "nic-gdr-off", .severity = LINT_WARNING,
	  .title = "ports or GPUs without GPUDirect RDMA",
	  .why = "what they carry is copied through host memory",
	  .remedy = "load nvidia-peermem or use dma-buf; check ACS and IOMMU settings",
	  .machine = nic_gdr_off },
	{ .id = NULL },
};
