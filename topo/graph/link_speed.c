/* Bandwidths by generation. */
#include "topo/graph/link_speed.h"

#include <string.h>

#include "topo/graph/graph.h"

/* GT/s of a lane, Gen1 to Gen6. */
static const double lane_rates[] = { 2.5, 5, 8, 16, 32, 64 };

#define GENERATIONS ((int32_t)(sizeof(lane_rates) / sizeof(lane_rates[0])))

int32_t pcie_generation(double gt_per_s)
{
	int32_t generation = 0;

	while (generation < GENERATIONS && gt_per_s * 1.001 >= lane_rates[generation])
		generation++;
	return generation;
}

/* NCCL counts 1.5 Gb/s for a lane of Gen1 and doubles it each time; Gen3 really has 8 x
 * 128/130, of which it takes three quarters for data. */
double pcie_bandwidth(double gt_per_s, int32_t width)
{
	int32_t generation = pcie_generation(gt_per_s);

	if (!generation || width < 1)
		return 0;
	return 1.5e9 / 8 * (double)(1 << (generation - 1)) * width;
}

double nvlink_bandwidth(int32_t sm)
{
	if (sm >= 100)
		return 40.1e9;
	if (sm >= 90)
		return 20.6e9;
	if (sm == 86)
		return 12e9;
	if (sm >= 60 && sm < 70)
		return 18e9;
	return 20e9;
}

static double intel_bandwidth(int32_t family, int32_t model)
{
	if (family != 6 || model < 0x55)
		return 6e9; /* QPI up to Broadwell */
	if (model < 0x8f)
		return 10e9; /* UPI of Skylake and Ice Lake */
	return model < 0xcf ? 22e9 : 40e9; /* Sapphire Rapids; Emerald Rapids and after */
}

double socket_bandwidth(int32_t arch, int32_t vendor, int32_t family, int32_t model)
{
	if (arch == ARCH_POWER)
		return 32e9;
	if (arch == ARCH_ARM)
		return 6e9;
	if (arch != ARCH_X86)
		return LINK_SPEED_LOCAL;
	switch (vendor) {
	case VENDOR_INTEL:
		return intel_bandwidth(family, model);
	case VENDOR_AMD:
		return 16e9;
	case VENDOR_ZHAOXIN:
		return family == 7 && model == 0x5b ? 9e9 : 6e9;
	default:
		return LINK_SPEED_LOCAL;
	}
}

/* RCCL's XGMI widths (src/graph/topo.h): Vega and MI100 24, MI200 36, MI300 and later 48. */
double xgmi_bandwidth(const char *gfx)
{
	if (strncmp(gfx, "gfx", 3) == 0)
		gfx += 3;
	if (strncmp(gfx, "94", 2) == 0 || strncmp(gfx, "95", 2) == 0)
		return 48e9;
	if (strcmp(gfx, "910") == 0 || strncmp(gfx, "90a", 3) == 0)
		return 36e9;
	return 24e9;
}
