#include "topo/graph/gpu_model.h"

#include <criterion/criterion.h>

Test(gpu_model, the_name_counts_and_then_the_ids)
{
	static const struct {
		const char *name;
		uint32_t device;
		int32_t sm;
	} cases[] = {
		{ "Tesla P100-SXM2-16GB", 0, 60 },   { "Tesla V100-SXM3-32GB-H", 0, 70 },
		{ "Tesla T4", 0, 75 },               { "NVIDIA A100-SXM4-80GB", 0, 80 },
		{ "NVIDIA A10G", 0, 86 },            { "NVIDIA L40S", 0, 89 },
		{ "NVIDIA H100 80GB HBM3", 0, 90 },  { "NVIDIA GH200 480GB", 0, 90 },
		{ "NVIDIA B200", 0, 100 },           { "NVIDIA GB300", 0, 103 },
		{ "NVIDIA RTX A1000", 0x25b9, 86 },  { "NVIDIA GeForce RTX 4090", 0x2684, 89 },
		{ "", 0x1db1, 70 },                  { "", 0x20b2, 80 },
		{ "", 0x2330, 90 },                  { "", 0x2941, 100 },
		{ "somebody's GPU", 0xffff, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_assert_eq(gpu_sm(cases[i].name, 0x10de, cases[i].device), cases[i].sm,
		             "%s %04x: %d", cases[i].name, cases[i].device,
		             gpu_sm(cases[i].name, 0x10de, cases[i].device));
	cr_assert_eq(gpu_sm("NVIDIA H100 80GB HBM3", 0x1002, 0x2330), 0);
}

Test(gpu_model, modules_have_nvlink_and_cards_may)
{
	cr_assert(gpu_always_has_nvlink("NVIDIA A100-SXM4-40GB", 0x10de, 0));
	cr_assert(gpu_always_has_nvlink("NVIDIA H100 80GB HBM3", 0x10de, 0));
	cr_assert(gpu_always_has_nvlink("NVIDIA GB200", 0x10de, 0));
	cr_assert(gpu_always_has_nvlink("", 0x10de, 0x1db1));
	cr_assert(!gpu_always_has_nvlink("NVIDIA A100-PCIE-40GB", 0x10de, 0x20f1));
	cr_assert(!gpu_always_has_nvlink("NVIDIA H100 NVL", 0x10de, 0x2321));
	cr_assert(!gpu_always_has_nvlink("NVIDIA L40S", 0x10de, 0x26b9));
	cr_assert(!gpu_always_has_nvlink("AMD SXM", 0x1002, 0x2330));
}

Test(gpu_model, other_facts)
{
	cr_assert_str_eq(gpu_gfx(0x1002, 0x7408), "90a");
	cr_assert_str_eq(gpu_gfx(0x1002, 0x74a1), "942");
	cr_assert_str_eq(gpu_gfx(0x10de, 0x7408), "");
	cr_assert(gpu_has_c2c("NVIDIA GH200 480GB"));
	cr_assert(!gpu_has_c2c("NVIDIA H200"));
	cr_assert(gpu_is_console(0x1a03, 0x2000));
	cr_assert(gpu_is_console(0x1002, 0x515e));
	cr_assert(!gpu_is_console(0x1002, 0x7408));
	cr_assert_eq(gpu_nvlink_wire(60), 20000);
	cr_assert_eq(gpu_nvlink_wire(90), 25000);
	cr_assert_eq(gpu_nvlink_wire(100), 50000);
	cr_assert_eq(gpu_most_nvlinks(80), 12);
	cr_assert_eq(gpu_most_nvlinks(90), 18);
}
