/* PCIe links in hwloc's XML: its two ends, what sleeps, what is capped, what nobody knows. */
#include <criterion/criterion.h>

#include "tests/topo/hwloc_text.h"

#define GEN1_X16 "4.000000"
#define GEN3_X2 "1.969231"
#define GEN3_X8 "7.876923"
#define GEN3_X16 "15.753846"
#define GEN4_X16 "31.507692"
#define GEN5_X16 "63.015385"

/* The link between gpu0 and what it hangs from. */
static double bandwidth_of(const span_topo *topo, const char *from, const char *to)
{
	const struct graph_link *link = hwloc_text_link(topo, from, to);

	cr_assert_eq(hwloc_text_link(topo, to, from)->bandwidth, link->bandwidth);
	return link->bandwidth / 1e9;
}

/* A GPU at a port: what hwloc says at either end. */
#define LINK(port, gpu) PORT("0000:00:01.0", port, DEVICE("0000:01:00.0", A100, gpu, ""))

Test(hwloc_rate, links_have_the_bandwidth_nccl_counts)
{
	static const struct {
		const char *gpu;
		double gb_per_s;
	} cases[] = {
		{ LINK("0.25", "0.25"), 0.1875 },      { LINK("8.0", "8.0"), 6 },
		{ LINK("9.846154", "9.846154"), 6 }, { LINK(GEN3_X8, GEN3_X8), 6 },
		{ LINK(GEN3_X16, GEN3_X16), 12 },      { LINK(GEN4_X16, "31.0"), 24 },
		{ LINK(GEN5_X16, GEN5_X16), 48 },      { LINK("126.03", "121.0"), 96 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		span_topo *topo = hwloc_text_load(&(struct hwloc_text){ .first = cases[i].gpu });

		cr_assert_float_eq(bandwidth_of(topo, "gpu0", "cpu0"), cases[i].gb_per_s, 1e-9,
		                   "%s: %g", cases[i].gpu, bandwidth_of(topo, "gpu0", "cpu0"));
		cr_assert_eq(hwloc_text_link(topo, "gpu0", "cpu0")->confidence,
		             SPAN_CONFIDENCE_DECLARED);
		cr_assert_eq(topo->n_notes, 1, "%s", topo->notes[1].text); /* NVLink alone */
		span_topo_free(topo);
	}
}

static const char sleeping_port[] = LINK(GEN1_X16, GEN4_X16);

Test(hwloc_rate, a_port_asleep_counts_as_its_device_and_is_told)
{
	span_topo *topo = hwloc_text_load(&(struct hwloc_text){ .first = sleeping_port });
	const struct note *note = hwloc_text_note(topo, "asleep");

	cr_assert_float_eq(bandwidth_of(topo, "gpu0", "cpu0"), 24, 1e-9);
	cr_assert_eq(hwloc_text_link(topo, "gpu0", "cpu0")->confidence, SPAN_CONFIDENCE_ASSUMED);
	cr_assert(note && note->corrected);
	cr_assert_str_eq(note->place, "h0/gpu0");
	span_topo_free(topo);
}

Test(hwloc_rate, as_nccl_a_port_asleep_stays_slow_and_is_told)
{
	span_topo *topo =
		hwloc_text_load(&(struct hwloc_text){ .first = sleeping_port, .as_nccl = 1 });
	const struct note *note = hwloc_text_note(topo, "asleep");

	cr_assert_float_eq(bandwidth_of(topo, "gpu0", "cpu0"), 3, 1e-9);
	cr_assert(note && !note->corrected);
	span_topo_free(topo);
}

/* Two GPUs of different speed below a switch whose uplink sleeps, the slower one first or last. */
#define UPLINK(speed, below) \
	PORT("0000:00:01.0", speed, PORT("0000:01:00.0", speed, below))
#define SLOW_GPU PORT("0000:02:00.0", GEN3_X16, DEVICE("0000:03:00.0", A100, GEN3_X16, ""))
#define FAST_GPU PORT("0000:02:01.0", GEN4_X16, DEVICE("0000:04:00.0", A100, GEN4_X16, ""))
#define SWITCH(speed) UPLINK(speed, SLOW_GPU FAST_GPU)
#define SWITCH_REVERSED(speed) UPLINK(speed, FAST_GPU SLOW_GPU)

Test(hwloc_rate, a_switch_asleep_counts_as_the_fastest_device_below)
{
	span_topo *topo = hwloc_text_load(&(struct hwloc_text){ .first = SWITCH("2.000000") });
	const struct note *note = hwloc_text_note(topo, "asleep");

	cr_assert_float_eq(bandwidth_of(topo, "pci0", "cpu0"), 24, 1e-9);
	cr_assert_float_eq(bandwidth_of(topo, "gpu0", "pci0"), 12, 1e-9);
	cr_assert_float_eq(bandwidth_of(topo, "gpu1", "pci0"), 24, 1e-9);
	cr_assert(note && note->corrected);
	cr_assert_str_eq(note->place, "h0/pci0");
	span_topo_free(topo);
	topo = hwloc_text_load(&(struct hwloc_text){ .second = SWITCH_REVERSED("2.000000") });
	cr_assert_float_eq(bandwidth_of(topo, "pci0", "cpu1"), 24, 1e-9);
	span_topo_free(topo);
	topo = hwloc_text_load(&(struct hwloc_text){ .first = SWITCH("2.000000"), .as_nccl = 1 });
	cr_assert_float_eq(bandwidth_of(topo, "pci0", "cpu0"), 1.5, 1e-9);
	span_topo_free(topo);
}

Test(hwloc_rate, a_switch_of_few_lanes_stays_narrow)
{
	span_topo *topo = hwloc_text_load(&(struct hwloc_text){ .first = SWITCH(GEN3_X8) });

	cr_assert_float_eq(bandwidth_of(topo, "pci0", "cpu0"), 6, 1e-9);
	cr_assert(!hwloc_text_note(topo, "asleep"));
	span_topo_free(topo);
}

/* 1.97 GB/s are two lanes awake, 2.0 GB/s eight asleep. */
Test(hwloc_rate, a_port_of_few_lanes_stays_narrow_and_is_told)
{
	span_topo *topo = hwloc_text_load(&(struct hwloc_text){
		.first = LINK(GEN3_X2, GEN3_X16) });
	const struct note *note = hwloc_text_note(topo, "fewer lanes");

	cr_assert_float_eq(bandwidth_of(topo, "gpu0", "cpu0"), 1.5, 1e-9);
	cr_assert(note && !note->corrected);
	cr_assert(!hwloc_text_note(topo, "asleep"));
	span_topo_free(topo);
}

#define NVML_GPU                                        \
	PORT("0000:00:01.0", GEN4_X16,                  \
	     DEVICE("0000:01:00.0", A100, GEN3_X16,     \
	            OSDEV("31", "nvml0", "1", INFO("Backend", "NVML"))))

Test(hwloc_rate, what_nvml_capped_before_hwloc_2_11_counts_as_the_port)
{
	struct hwloc_text text = { .first = NVML_GPU, .infos = WRITTEN_BY("2.10.0") };
	span_topo *topo = hwloc_text_load(&text);
	const struct note *note = hwloc_text_note(topo, "hwloc 2.10.0 knows no more");

	cr_assert_float_eq(bandwidth_of(topo, "gpu0", "cpu0"), 24, 1e-9);
	cr_assert(note && note->corrected);
	span_topo_free(topo);
	text.as_nccl = 1;
	topo = hwloc_text_load(&text);
	cr_assert_float_eq(bandwidth_of(topo, "gpu0", "cpu0"), 12, 1e-9);
	span_topo_free(topo);
	text = (struct hwloc_text){ .first = NVML_GPU, .infos = WRITTEN_BY("2.11.0") };
	topo = hwloc_text_load(&text);
	cr_assert_float_eq(bandwidth_of(topo, "gpu0", "cpu0"), 12, 1e-9);
	cr_assert(!hwloc_text_note(topo, "knows no more"));
	span_topo_free(topo);
}

Test(hwloc_rate, without_nvml_nothing_is_capped)
{
	span_topo *topo = hwloc_text_load(&(struct hwloc_text){
		.infos = WRITTEN_BY("2.9.0"),
		.first = LINK(GEN4_X16, GEN3_X16) });

	cr_assert_float_eq(bandwidth_of(topo, "gpu0", "cpu0"), 12, 1e-9);
	span_topo_free(topo);
}

Test(hwloc_rate, speed_0_of_a_virtual_machine_is_a_place_holder)
{
	span_topo *topo = hwloc_text_load(&(struct hwloc_text){
		.first = DEVICE("0001:00:00.0", H100, "0.000000", "") });
	const struct graph_link *link = hwloc_text_link(topo, "gpu0", "cpu0");

	cr_assert_eq(link->bandwidth, 12e9);
	cr_assert_eq(link->confidence, SPAN_CONFIDENCE_UNKNOWN);
	cr_assert_eq(hwloc_text_node(topo, "gpu0")->speed, 0);
	cr_assert(hwloc_text_note(topo, "unknown speed"));
	span_topo_free(topo);
}

#define QEMU_PORT                                                       \
	BRIDGE("0000:00:02.0", "0604 [1b36:000c] [1b36:0000] 00", "0.25", \
	       DEVICE("0000:01:00.0", H100, GEN1_X16, ""))

Test(hwloc_rate, the_port_of_an_emulator_means_nothing)
{
	span_topo *topo = hwloc_text_load(&(struct hwloc_text){ .first = QEMU_PORT });
	const struct note *note = hwloc_text_note(topo, "QEMU");

	cr_assert_float_eq(bandwidth_of(topo, "gpu0", "cpu0"), 3, 1e-9);
	cr_assert(note && note->corrected);
	span_topo_free(topo);
	topo = hwloc_text_load(&(struct hwloc_text){ .first = QEMU_PORT, .as_nccl = 1 });
	cr_assert_float_eq(bandwidth_of(topo, "gpu0", "cpu0"), 0.1875, 1e-9);
	span_topo_free(topo);
}
