/* How fast the PCIe link above a device is.
 *
 * hwloc gives one number, raw GB/s of the link at the time of capture. It speaks of the same
 * link at its lower end (the device) and at its upper end (the port), and the two can differ:
 * a link asleep shows Gen1 or Gen2 at one end while the driver tells the other end's maximum; a
 * link trained to fewer lanes shows them at the port. The encoding of Gen1 and Gen2 tells the
 * two apart: 2.0 GB/s are eight lanes of Gen1, 1.97 GB/s two of Gen3. On a live system sysfs
 * gives the maximum of both ends, as NCCL takes it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "topo/graph/link_speed.h"
#include "topo/read/hwloc/read_hwloc.h"

#define VENDOR_QEMU 0x1b36
#define PLACE_HOLDER_RATE 8 /* GT/s: NCCL takes Gen3 x16 when it does not know */
#define PLACE_HOLDER_WIDTH 16

#define MAXIMUM "max_link_speed of sysfs" /* begins the provenance of such a link */

/* One end of a link. */
struct end {
	double rate;   /* GT/s of a lane, 0: unknown */
	int32_t width;
};

/* --- hwloc's number ---------------------------------------------------------------------- */

/* GB/s of a lane in hwloc's files: 8b10b encoding for Gen1 and 2, of which hwloc 2.7 forgot to
 * count the latter; then 128b130b, or 242b256b for Gen6. */
static const struct {
	double rate, lane;
} lanes[] = {
	{ 2.5, 0.25 }, { 5, 0.5 }, { 5, 5 / 8.0 * 128 / 130 }, { 8, 1 * 128 / 130.0 },
	{ 16, 2 * 128 / 130.0 }, { 32, 4 * 128 / 130.0 }, { 64, 8 * 128 / 130.0 },
	{ 64, 8 * 242 / 256.0 },
};

/* The widest first: of generations that come to the same number the oldest is taken. */
static const int32_t widths[] = { 32, 16, 12, 8, 4, 2, 1 };

static struct end decode(double speed)
{
	struct end best = { 0 };
	double least = INFINITY, distance;
	size_t i, j;

	if (speed <= 0)
		return best;
	for (i = 0; i < sizeof(lanes) / sizeof(lanes[0]); i++) {
		for (j = 0; j < sizeof(widths) / sizeof(widths[0]); j++) {
			/* x32 was never built, but sums of links are written so. */
			distance = fabs(log(speed / (lanes[i].lane * widths[j])));
			if (widths[j] == 32 && lanes[i].rate < 64)
				distance += 0.01;
			if (distance < least - 1e-4) {
				least = distance;
				best = (struct end){ lanes[i].rate, widths[j] };
			}
		}
	}
	return best;
}

/* --- the two ends ------------------------------------------------------------------------ */

static double bandwidth_of(struct end end)
{
	return pcie_bandwidth(end.rate, end.width);
}

static bool is_slow(struct end end)
{
	return end.rate < 8;
}

/* What an end can do, or what it does now. */
static struct end end_of(const struct hw_object *object, bool maximum)
{
	struct end end = { object->max_rate, object->max_width };

	return maximum ? end : decode(object->link_speed);
}

/* The PCI bridge right above a device, or NULL. */
static const struct hw_object *port_above(const struct hw_reader *reader, int32_t number)
{
	int32_t parent = reader->tree->objects[number].parent;
	const struct hw_object *port = parent < 0 ? NULL : &reader->tree->objects[parent];

	return port && port->type == HW_BRIDGE && port->has_bus ? port : NULL;
}

static bool told_by_nvml(const struct hw_reader *reader, int32_t number)
{
	const struct hw_object *objects = reader->tree->objects;
	int32_t i;

	for (i = number + 1; i < objects[number].end; i++) {
		const char *backend = hw_info(objects[i].element, "Backend");

		if (objects[i].type == HW_OSDEV && backend && strcmp(backend, "NVML") == 0)
			return true;
	}
	return false;
}

static struct end narrower(struct end a, struct end b)
{
	return bandwidth_of(b) < bandwidth_of(a) ? b : a;
}

/* Which of two known ends is right, where they differ. *told: an oddity, or HW_ODD_KINDS. */
static struct end weigh(const struct hw_reader *reader, int32_t number, struct end device,
                        struct end port, enum hw_oddity *told)
{
	*told = HW_ODD_KINDS;
	if (is_slow(port) != is_slow(device)) {
		*told = HW_ODD_IDLE;
		return is_slow(port) ? device : port;
	}
	if (bandwidth_of(port) > bandwidth_of(device) && device.rate == 8 &&
	    reader->tree->version > 0 && reader->tree->version < 21100 &&
	    told_by_nvml(reader, number)) {
		*told = HW_ODD_CAPPED;
		return port;
	}
	if (device.rate == port.rate && port.width < device.width)
		*told = HW_ODD_NARROW;
	return narrower(device, port);
}

static void set_uplink(struct hw_reader *reader, int32_t node, struct end end,
                       span_confidence confidence, const char *who)
{
	struct hw_uplink *uplink = &reader->uplinks[node];

	uplink->rate = end.rate;
	uplink->width = end.width;
	uplink->bandwidth = bandwidth_of(end);
	uplink->confidence = confidence;
	snprintf(uplink->provenance, sizeof(uplink->provenance), "%s: PCIe %.1f GT/s x%d", who,
	         end.rate, end.width);
}

void hw_find_uplink(struct hw_reader *reader, int32_t number, int32_t node)
{
	const struct hw_object *object = &reader->tree->objects[number];
	const struct hw_object *port = port_above(reader, number);
	bool maximum = object->max_rate > 0 || (port && port->max_rate > 0);
	const char *who = maximum ? MAXIMUM : "hwloc's link speed";
	struct end device = end_of(object, maximum), above = { 0 }, end;
	enum hw_oddity told = HW_ODD_KINDS;

	if (port)
		above = end_of(port, maximum);
	if (port && port->pci_vendor == VENDOR_QEMU && above.rate > 0) {
		hw_odd(reader, HW_ODD_VIRTUAL_PORT, node, -1);
		if (!reader->as_nccl)
			above.rate = 0;
	}
	if (above.rate <= 0 && device.rate <= 0) {
		end = (struct end){ PLACE_HOLDER_RATE, PLACE_HOLDER_WIDTH };
		hw_odd(reader, HW_ODD_NO_SPEED, node, -1);
		set_uplink(reader, node, end, SPAN_CONFIDENCE_UNKNOWN, "not known, a place holder");
		return;
	}
	if (above.rate <= 0 || device.rate <= 0) {
		end = above.rate <= 0 ? device : above;
	} else if (maximum) {
		end = narrower(device, above);
	} else {
		end = weigh(reader, number, device, above, &told);
		if (told != HW_ODD_KINDS)
			hw_odd(reader, told, node, -1);
		if (reader->as_nccl)
			end = narrower(device, above);
	}
	if (told == HW_ODD_KINDS || told == HW_ODD_NARROW || reader->as_nccl)
		set_uplink(reader, node, end, SPAN_CONFIDENCE_DECLARED, who);
	else
		set_uplink(reader, node, end, SPAN_CONFIDENCE_ASSUMED,
		           told == HW_ODD_IDLE ? "the end that was awake" : "the port's link speed");
}

/* --- switches that slept ----------------------------------------------------------------- */

/* A switch between a device and its processor that shows Gen1 or Gen2 while the device is faster:
 * asleep, unless sysfs says that it can do no more. */
static void wake_above(struct hw_reader *reader, int32_t device)
{
	const struct hw_uplink *own = &reader->uplinks[device];
	const struct graph_node *nodes = reader->machine->nodes;
	int32_t node;

	if (own->rate < 8 || own->confidence == SPAN_CONFIDENCE_UNKNOWN)
		return;
	for (node = nodes[device].parent; node >= 0 && nodes[node].kind == SPAN_NODE_PCI;
	     node = nodes[node].parent) {
		struct hw_uplink *uplink = &reader->uplinks[node];
		struct end end = { own->rate, own->width };
		bool maximum = strncmp(uplink->provenance, MAXIMUM, strlen(MAXIMUM)) == 0;

		if ((uplink->rate >= 8 && !uplink->slept) || maximum ||
		    uplink->bandwidth >= own->bandwidth)
			continue;
		if (!uplink->slept)
			hw_odd(reader, HW_ODD_IDLE, node, -1);
		uplink->slept = true;
		if (!reader->as_nccl)
			set_uplink(reader, node, end, SPAN_CONFIDENCE_ASSUMED,
			           "as the device below it");
	}
}

span_status hw_link_pci(struct hw_reader *reader)
{
	struct machine *machine = reader->machine;
	int32_t i;
	span_status status = SPAN_OK;

	for (i = 0; i < machine->n_nodes; i++)
		if (machine->nodes[i].kind == SPAN_NODE_GPU ||
		    machine->nodes[i].kind == SPAN_NODE_CARD)
			wake_above(reader, i);
	for (i = 0; !status && i < machine->n_nodes; i++) {
		const struct hw_uplink *uplink = &reader->uplinks[i];

		if (uplink->bandwidth <= 0)
			continue;
		machine->nodes[i].speed =
			uplink->confidence == SPAN_CONFIDENCE_UNKNOWN ? 0 : uplink->bandwidth;
		status = hw_link_both(reader, SPAN_LINK_PCI, i, machine->nodes[i].parent, uplink, 1);
	}
	return status;
}
