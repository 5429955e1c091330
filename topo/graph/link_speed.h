/* How fast a link is when its source gives a generation and not a measurement. Private.
 *
 * One place for what NCCL counts with (2.28.9, src/graph/topo.h), so that every reader gives
 * the same link the same number. All results are bytes a second in one direction. */
#ifndef SPAN_LINK_SPEED_H
#define SPAN_LINK_SPEED_H

#include <stdint.h>

/* What NCCL gives a device for itself, and a link between NUMA nodes of unknown kind. */
#define LINK_SPEED_LOCAL 5000e9

/* PCIe by the rate of a lane in GT/s and the number of lanes, after encoding and protocol: Gen3
 * x16 is 12e9, and every generation doubles it. A rate between two generations counts as the
 * lower one (a tenth of a percent is forgiven); 0 when it is below Gen1 or width is below 1. */
double pcie_bandwidth(double gt_per_s, int32_t width);

/* Generation of a lane's rate: 2.5 GT/s is 1, 64 GT/s is 6; 0 when it is below 2.5. */
int32_t pcie_generation(double gt_per_s);

/* One NVLink of a GPU, by compute capability x 10: 20e9 for sm 70 and 80, 20.6e9 for sm 90;
 * what NCCL takes for an unknown one when sm is 0. */
double nvlink_bandwidth(int32_t sm);

/* Between two NUMA nodes of a host. arch and vendor are of enum cpu_arch and cpu_vendor
 * (topo/graph/graph.h), family and model as the processor gives them (model 207 is 0xcf).
 * LINK_SPEED_LOCAL when nobody knows. */
double socket_bandwidth(int32_t arch, int32_t vendor, int32_t family, int32_t model);

/* One xGMI link between two GPUs, by the name of their instruction set: "gfx90a", or the
 * number that RCCL wrote before ("910" for it, "942" for gfx942). An assumption: what RCCL
 * counts with. */
double xgmi_bandwidth(const char *gfx);

#endif
