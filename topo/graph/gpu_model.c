/* What a GPU's name or PCI ids say about it. */
#include "topo/graph/gpu_model.h"

#include <stddef.h>
#include <string.h>

#define VENDOR_NVIDIA 0x10de
#define VENDOR_AMD_GPU 0x1002

/* Words in names of accelerators; workstation cards go by their ids. Compute capabilities: NVIDIA's
 * "CUDA GPU Compute Capability" page. */
static const struct {
	const char *word;
	int32_t sm;
} names[] = {
	{ "GB300", 103 }, { "B300", 103 }, { "GB200", 100 }, { "B200", 100 }, { "B100", 100 },
	{ "GB10", 121 },  { "GH200", 90 }, { "H100", 90 },   { "H200", 90 },  { "H800", 90 },
	{ "H20", 90 },    { "A100", 80 },  { "A800", 80 },   { "A30", 80 },   { "L40", 89 },
	{ "L20", 89 },    { "L4", 89 },    { "A40", 86 },    { "A10", 86 },   { "A16", 86 },
	{ "T4", 75 },     { "V100", 70 },  { "P100", 60 },   { "P40", 61 },   { "P4", 61 },
	{ "M60", 52 },    { "K80", 37 },   { "K40", 35 },
};

/* NVIDIA numbers the devices of a chip from `first` to `last`. Chips and ids: the PCI ID
 * Repository (pci-ids.ucw.cz), vendor 10de. */
static const struct {
	uint32_t first, last;
	int32_t sm;
} chips[] = {
	{ 0x06c0, 0x06df, 20 },  /* GF100 */
	{ 0x1003, 0x1028, 35 },  /* GK110 */
	{ 0x1029, 0x102f, 37 },  /* GK210 */
	{ 0x13c0, 0x13ff, 52 },  /* GM204 */
	{ 0x15f0, 0x15ff, 60 },  /* GP100 */
	{ 0x1b00, 0x1d7f, 61 },  /* GP102 to GP108 */
	{ 0x1d80, 0x1dff, 70 },  /* GV100 */
	{ 0x1e00, 0x1fff, 75 },  /* TU102 to TU117 */
	{ 0x20b0, 0x20ff, 80 },  /* GA100 */
	{ 0x2180, 0x21ff, 75 },  /* TU116 */
	{ 0x2200, 0x22ff, 86 },  /* GA102 */
	{ 0x2300, 0x23ff, 90 },  /* GH100 */
	{ 0x2400, 0x25ff, 86 },  /* GA103 to GA107 */
	{ 0x2680, 0x28ff, 89 },  /* AD102 to AD107 */
	{ 0x2900, 0x29ff, 100 }, /* GB100, GB200 */
	{ 0x2b80, 0x2dff, 120 }, /* GB202 to GB207 */
	{ 0x2e00, 0x2eff, 121 }, /* GB10 */
	{ 0x2f00, 0x2fff, 120 }, /* GB205 */
	{ 0x3180, 0x31ff, 103 }, /* GB110, GB300 */
};

/* SXM modules by device, for files without names (the same source). */
static const uint32_t modules[] = {
	0x15f9,                                         /* P100 SXM2 */
	0x1db1, 0x1db5, 0x1db8,                         /* V100 SXM2, SXM3 */
	0x20b0, 0x20b2, 0x20b3, 0x20bd,                 /* A100, A800 SXM4 */
	0x2324, 0x2329, 0x2330, 0x2335, 0x2342, 0x2348, /* H800, H20, H100, H200, GH200 */
	0x2901, 0x2941, 0x3182, 0x31c2,                 /* B200, GB200, B300, GB300 */
};

/* The source of these is the same, vendor 1002; versions: AMD's "Accelerator and GPU hardware
 * specifications". */
static const struct {
	uint32_t first, last;
	const char *gfx;
} amd_chips[] = {
	{ 0x6860, 0x687f, "900" }, /* Vega 10 */
	{ 0x66a0, 0x66af, "906" }, /* Vega 20: MI50, MI60 */
	{ 0x7388, 0x738f, "908" }, /* MI100 */
	{ 0x7408, 0x7410, "90a" }, /* MI200 */
	{ 0x74a0, 0x74bf, "942" }, /* MI300 */
	{ 0x75a0, 0x75bf, "950" }, /* MI350 */
};

static bool is_word_character(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* Whether a word stands in the name and no number goes on behind it: "A10" is in "NVIDIA A10G",
 * but neither in "NVIDIA A100" nor in "NVIDIA RTXA10". */
static bool has_word(const char *name, const char *word)
{
	const char *at;
	char next;

	for (at = strstr(name, word); at; at = strstr(at + 1, word)) {
		next = at[strlen(word)];
		if ((at == name || !is_word_character(at[-1])) && !(next >= '0' && next <= '9'))
			return true;
	}
	return false;
}

int32_t gpu_sm(const char *name, uint32_t vendor, uint32_t device)
{
	size_t i;

	if (vendor != VENDOR_NVIDIA)
		return 0;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (has_word(name, names[i].word))
			return names[i].sm;
	for (i = 0; i < sizeof(chips) / sizeof(chips[0]); i++)
		if (device >= chips[i].first && device <= chips[i].last)
			return chips[i].sm;
	return 0;
}

const char *gpu_gfx(uint32_t vendor, uint32_t device)
{
	size_t i;

	for (i = 0; vendor == VENDOR_AMD_GPU && i < sizeof(amd_chips) / sizeof(amd_chips[0]); i++)
		if (device >= amd_chips[i].first && device <= amd_chips[i].last)
			return amd_chips[i].gfx;
	return "";
}

bool gpu_always_has_nvlink(const char *name, uint32_t vendor, uint32_t device)
{
	size_t i;

	if (vendor != VENDOR_NVIDIA)
		return false;
	/* "H100 80GB HBM3" is the SXM module; the card is "H100 PCIe" with HBM2e. */
	if (strstr(name, "SXM") || strstr(name, "HBM3") || has_word(name, "GB200") ||
	    has_word(name, "GB300") || has_word(name, "B200") || has_word(name, "B300"))
		return !strstr(name, "NVL"); /* a card with bridges or without */
	for (i = 0; i < sizeof(modules) / sizeof(modules[0]); i++)
		if (device == modules[i])
			return true;
	return false;
}

bool gpu_has_c2c(const char *name)
{
	return has_word(name, "GH200") || has_word(name, "GB200") || has_word(name, "GB300") ||
	       has_word(name, "GB10");
}

bool gpu_is_console(uint32_t vendor, uint32_t device)
{
	/* ASPEED, Matrox, XGI; Cirrus, Bochs, QXL, virtio, VMware, Hyper-V. */
	static const uint32_t vendors[] = { 0x1a03, 0x102b, 0x18ca, 0x1013, 0x1234,
	                                    0x1b36, 0x1af4, 0x15ad, 0x1414 };
	size_t i;

	for (i = 0; i < sizeof(vendors) / sizeof(vendors[0]); i++)
		if (vendor == vendors[i])
			return true;
	/* ATI's on server boards: ES1000, RV100, Rage XL. */
	return vendor == VENDOR_AMD_GPU &&
	       (device == 0x515e || device == 0x5159 || device == 0x4752);
}

double gpu_nvlink_wire(int32_t sm)
{
	if (sm >= 60 && sm < 70)
		return 20000;
	return sm >= 100 && sm < 120 ? 50000 : 25000;
}

int32_t gpu_most_nvlinks(int32_t sm)
{
	if (sm >= 90)
		return 18;
	if (sm >= 80)
		return sm == 80 ? 12 : 4;
	if (sm >= 70)
		return sm == 70 ? 6 : 2;
	return sm >= 60 ? 4 : 0;
}
