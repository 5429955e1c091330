/* Every rule of lint on a file that shows it and on its healthy twin; recorded machines. */
#include <criterion/criterion.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/topo/log_capture.h"
#include "topo/lint/lint.h"

#define FOLDER SPAN_TEST_DATA "/lint"

/* --- loading and asking --------------------------------------------------------------------- */

/* Lint a file as span-topo does: in both views. */
static struct lint_report *lint_file(const char *path)
{
	span_topo_options options = { .size = sizeof(options), .as_nccl = 1 };
	span_topo *topo = NULL, *nccl = NULL;
	struct lint_report *report = NULL;

	log_capture();
	cr_assert_eq(span_topo_load(path, NULL, &topo), SPAN_OK, "%s", log_captured());
	cr_assert_eq(span_topo_load(path, &options, &nccl), SPAN_OK, "%s", log_captured());
	cr_assert_eq(lint_run(topo, nccl, &report), SPAN_OK, "%s", path);
	span_topo_free(topo);
	span_topo_free(nccl);
	return report;
}

/* The rule whose id a file's name begins with; *rest is what follows. */
static const struct lint_rule *rule_of_file(const char *file, const char **rest)
{
	for (int32_t i = 0; i < lint_rule_count(); i++) {
		size_t n = strlen(lint_rule_at(i)->id);

		*rest = file + n;
		if (!strncmp(lint_rule_at(i)->id, file, n) && (file[n] == '-' || file[n] == '.'))
			return lint_rule_at(i);
	}
	return NULL;
}

static const struct lint_finding *find_finding(const struct lint_report *report, const char *rule)
{
	for (int32_t i = 0; i < report->n_findings; i++)
		if (!strcmp(report->findings[i].rule->id, rule))
			return &report->findings[i];
	return NULL;
}

/* The first finding above info of another rule than `but`, or NULL. */
static const struct lint_finding *find_other(const struct lint_report *report, const char *but)
{
	for (int32_t i = 0; i < report->n_findings; i++)
		if (report->findings[i].rule->severity > LINT_INFO &&
		    strcmp(report->findings[i].rule->id, but) != 0)
			return &report->findings[i];
	return NULL;
}

static void assert_no_other(const struct lint_report *report, const char *rule, const char *file)
{
	const struct lint_finding *other = find_other(report, rule);

	cr_assert_null(other, "%s: %s: %s: %s", file, other->rule->id, other->place, other->text);
}

/* --- one rule, two files -------------------------------------------------------------------- */

static bool file_of_rule(const char *rule, const char *what, char *path, size_t bytes)
{
	static const char *const ends[] = { ".xml", ".txt" };

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		snprintf(path, bytes, FOLDER "/%s%s%s", rule, what, ends[i]);
		if (!access(path, R_OK))
			return true;
	}
	return false;
}

Test(lint, every_rule_has_a_file_that_shows_it_and_a_healthy_twin)
{
	char path[4096];

	cr_assert_geq(lint_rule_count(), 15);
	for (int32_t i = 0; i < lint_rule_count(); i++) {
		const char *id = lint_rule_at(i)->id;

		cr_assert(file_of_rule(id, "", path, sizeof(path)), "%s has no file", id);
		cr_assert(file_of_rule(id, "-healthy", path, sizeof(path)), "%s has no twin", id);
	}
}

/* A file's name is its rule, then "-healthy" for the twin, then whatever tells it from others. */
static void judge_file(const char *file)
{
	const char *rest;
	const struct lint_rule *rule = rule_of_file(file, &rest);
	bool healthy = rule && !strncmp(rest, "-healthy", 8);
	struct lint_report *report;
	char path[4096];

	cr_assert(rule, "%s is named after no rule", file);
	snprintf(path, sizeof(path), FOLDER "/%s", file);
	report = lint_file(path);
	cr_assert_eq(find_finding(report, rule->id) != NULL, !healthy, "%s", file);
	assert_no_other(report, rule->id, file);
	lint_free(report);
}

Test(lint, finds_in_each_file_what_its_name_says_and_nothing_else)
{
	DIR *files = opendir(FOLDER);
	int judged = 0;

	cr_assert(files);
	for (struct dirent *entry = readdir(files); entry; entry = readdir(files)) {
		if (entry->d_name[0] == '.' || !strcmp(entry->d_name, "README.md"))
			continue;
		judge_file(entry->d_name);
		judged++;
	}
	closedir(files);
	cr_assert_geq(judged, 2 * lint_rule_count());
}

/* --- figures and places --------------------------------------------------------------------- */

/* What is said, and where, in files whose answer is known by hand. */
static const struct {
	const char *file, *rule, *place, *text;
	int32_t more;
} said[] = {
	{ "nvlink-lost.xml", "nvlink-lost", "h0/gpu1",
	  "no NVLink at all, while 3 of the 4 GPUs of its model have 18; NCCL reaches it over PHB "
	  "at 48 GB/s", 0 },
	{ "nvlink-fewer.xml", "nvlink-fewer", "h0/gpu1",
	  "12 NVLinks, while 3 of the 4 GPUs of its model have 18", 0 },
	{ "nvlink-one-way.xml", "nvlink-one-way", "h0/gpu0", "12 NVLinks to gpu1, but 8 back", 0 },
	{ "nvlink-islands.xml", "nvlink-islands", "h0/gpu0",
	  "NVLinks join the GPUs in 2 groups; between those it is SYS at 22 GB/s", 0 },
	{ "gpu-links-uneven.xml", "gpu-links-uneven", "h0/gpu0",
	  "of 6 pairs of GPUs 4 are linked directly, by 4 to 8 NVLinks", 0 },
	{ "gpus-uneven.xml", "gpus-uneven", "h0/cpu1",
	  "1 GPU here, 3 below another NUMA node of the host", 0 },
	{ "pcie-degraded.xml", "pcie-degraded", "h0/gpu1",
	  "PCIe link of 24 GB/s, while 3 of the 4 devices of its model have 48", 0 },
	{ "pcie-uplink-slow.xml", "pcie-uplink-slow", "h0/pci2",
	  "uplink declared as 0.188 GB/s, above a gpu with 48 GB/s; NCCL believes it, here it "
	  "counts as 48", 0 },
	{ "pcie-impossible.xml", "pcie-impossible", "h0/gpu0",
	  "PCIe link of 24 GB/s, but V100 SXM2 has Gen3, 12 GB/s", 3 },
	{ "nic-behind-slow-pcie.xml", "nic-behind-slow-pcie", "h0/card0",
	  "1 port of 400 Gb/s (50 GB/s) behind PCIe of 12 GB/s", 3 },
	{ "nic-speeds-mixed.xml", "nic-speeds-mixed", "h0/nic3",
	  "100 Gb/s; 3 of the host's 4 ports have 400 Gb/s", 0 },
	{ "nic-shared.xml", "nic-shared", "h0/nic0", "4 GPUs share 1 port: 12.5 GB/s for each", 0 },
	{ "nic-speed-units.xml", "nic-speed-units", "h0/nic0",
	  "a line rate of 400000 Gb/s; did the source mean 400?", 3 },
	{ "nic-order.xml", "nic-order", "h0/gpu0",
	  "paired by number, 4 of 4 GPUs get a farther NIC: this one nic3 (mlx5_0) over PXN, its "
	  "nearest is nic0 (mlx5_3) over PIX", 0 },
	{ "nic-far.xml", "nic-far", "h0/gpu2",
	  "2 of 4 GPUs have no NIC on their own NUMA node; from here it is SYS at 22 GB/s", 0 },
	{ "locality-flat.xml", "locality-flat", "h0/cpu0",
	  "5 GPUs and 5 network cards, of which 10 hang from the processor itself: no socket has "
	  "lanes for that", 0 },
	{ "rank-missing.xml", "rank-missing", "h0/gpu0", "ranks 0 to 4 of this host: 4 follows 2", 0 },
	{ "rank-duplicate.xml", "rank-duplicate", "h0/gpu3", "rank 2, which gpu2 has as well", 0 },
	{ "bus-duplicate.xml", "bus-duplicate", "h0/pci3",
	  "PCI address 0000:40:00.0, which card1 of the same host has as well", 0 },
	{ "hosts-uneven.txt", "hosts-uneven", "h2",
	  "1 host of 4 GPUs and 1600 Gb/s of network like this one, 2 of 8 GPUs and 3200 Gb/s like "
	  "the first", 0 },
	{ "leaf-missing.txt", "leaf-missing", "h3",
	  "1 of 4 hosts are on no leaf switch, this one (node4) first", 0 },
	{ "leaf-oversubscribed.txt", "leaf-oversubscribed", "left",
	  "4:1: 800 GB/s below it, 200 GB/s of uplinks; 2 of 3 switches are so", 0 },
};

Test(lint, says_where_and_how_much)
{
	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		const struct lint_finding *found;
		struct lint_report *report;
		char path[4096];

		snprintf(path, sizeof(path), FOLDER "/%s", said[i].file);
		report = lint_file(path);
		found = find_finding(report, said[i].rule);
		cr_assert(found, "%s", said[i].file);
		cr_expect_str_eq(found->place, said[i].place, "%s: %s", said[i].file, found->place);
		cr_expect_str_eq(found->text, said[i].text, "%s: %s", said[i].file, found->text);
		cr_expect_eq(found->more, said[i].more, "%s: %d", said[i].file, found->more);
		lint_free(report);
	}
}

/* --- the table of topo/lint/README.md ------------------------------------------------------- */

static void append(char *table, size_t bytes, const struct lint_rule *rule)
{
	size_t used = strlen(table);

	snprintf(table + used, bytes - used, "| %s | %s | %s | %s |\n", rule->id,
	         lint_severity_name(rule->severity), rule->title, rule->remedy);
}

Test(lint, the_readme_has_the_table_of_the_rules)
{
	static char text[200000], table[32000];
	FILE *file = fopen(SPAN_TEST_DATA "/../../topo/lint/README.md", "r");
	const char *found;

	cr_assert(file);
	cr_assert_lt(fread(text, 1, sizeof(text) - 1, file), sizeof(text) - 1);
	fclose(file);
	strcpy(table, "| rule | severity | looks for | remedy |\n|---|---|---|---|\n");
	for (int32_t i = 0; i < lint_rule_count(); i++)
		append(table, sizeof(table), lint_rule_at(i));
	found = strstr(text, table);
	cr_assert(found, "topo/lint/README.md lacks, or has another table than:\n%s", table);
	cr_assert_eq(found[strlen(table)], '\n', "more rows than there are rules");
}

/* --- recorded machines ---------------------------------------------------------------------- */

/* Faults of recorded files, and what has to be found in them. The first six are the reason why
 * there is a lint. */
static const struct {
	const char *file, *rule, *place;
} recorded[] = {
	{ "nccl/transcribed/gb300-1tray-fault-gpu1-DERIVED.xml", "nvlink-lost", "h0/gpu1" },
	{ "nccl/transcribed/gb300-2tray-mnnvl-rank5-missing-nvlink-DERIVED.xml", "nvlink-lost",
	  "h1/gpu1" },
	{ "nccl/transcribed/b200x8-gvisor.xml", "nic-behind-slow-pcie", "h0/card0" },
	{ "nccl/transcribed/b200x8-gvisor.xml", "nic-speeds-mixed", "h0/nic0" },
	{ "nccl/transcribed/b200x8-gvisor.xml", "nic-on-host-bridge", "h0/card0" },
	{ "nccl/transcribed/b200x8-gvisor.xml", "pcie-unknown", "h0/card0" },
	{ "nccl/transcribed/ibm-vpc-h100-vm.xml", "pcie-uplink-slow", "h0/pci0" },
	{ "nccl/transcribed/ibm-vpc-h100-vm.xml", "nic-order", "h0/gpu0" },
	{ "nccl/transcribed/h200-kvm-guest-FRAGMENT.xml", "numa-unknown", "h0/cpu0" },
	{ "nccl/transcribed/h200-kvm-guest-FRAGMENT.xml", "nic-behind-slow-pcie", "h0/card0" },
	{ "nccl/transcribed/perlmutter-a100x4-cxi.xml", "nic-order", "h0/gpu0" },
	{ "nccl/rccl/topo_4p_940.xml", "nic-speed-units", "h0/nic0" },
	{ "nccl/rccl/topo_8p1h_1.xml", "bus-duplicate", "h0/card3" },
	{ "nccl/rccl/topo_8p_rome_n2_1.xml", "nic-speeds-mixed", "h0/nic0" },
	{ "nccl/rccl/topo_8p_90a.xml", "nic-gdr-off", "h0/nic0" },
	{ "nccl/rccl/topo_8p_90a.xml", "nic-slow", "h0/nic0" },
	{ "nccl/oci/H100-topology.xml", "nic-speed-odd", "h0/nic0" },
	{ "nccl/oci/H100-topology.xml", "pcie-uplink-slow", "h0/pci0" },
};

#define RECORDED ((int)(sizeof(recorded) / sizeof(recorded[0])))

static const char *extra_folder(void)
{
	const char *extra = getenv("SPAN_EXTRA_DATA");

	if (!extra)
		cr_skip_test("SPAN_EXTRA_DATA is not set");
	return extra;
}

Test(lint, finds_the_faults_of_recorded_machines)
{
	const char *extra = extra_folder();

	for (int i = 0; i < RECORDED; i++) {
		const struct lint_finding *found;
		struct lint_report *report;
		char path[4096];

		snprintf(path, sizeof(path), "%s/topologies/%s", extra, recorded[i].file);
		report = lint_file(path);
		found = find_finding(report, recorded[i].rule);
		cr_assert(found, "%s: no %s", recorded[i].file, recorded[i].rule);
		cr_expect_str_eq(found->place, recorded[i].place, "%s: %s", recorded[i].file,
		                 found->place);
		lint_free(report);
	}
}

/* Whether an error of this rule is known in the file. */
static bool is_known(const char *path, const char *rule)
{
	for (int i = 0; i < RECORDED; i++)
		if (strstr(path, recorded[i].file) && !strcmp(recorded[i].rule, rule))
			return true;
	return false;
}

static void assert_no_errors(const char *path, const struct lint_report *report)
{
	for (int32_t i = 0; i < report->n_findings; i++) {
		const struct lint_finding *finding = &report->findings[i];

		cr_expect(finding->rule->severity < LINT_ERROR || is_known(path, finding->rule->id),
		          "%s: %s: %s: %s", path, finding->rule->id, finding->place, finding->text);
	}
}

/* Files that cannot be loaded are other tests' business. Returns how many could. */
static int judge_below(const char *folder)
{
	DIR *files = opendir(folder);
	int judged = 0;

	cr_assert(files, "%s", folder);
	for (struct dirent *entry = readdir(files); entry; entry = readdir(files)) {
		struct lint_report *report = NULL;
		span_topo *topo = NULL;
		char path[4096];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		if (entry->d_type == DT_DIR) {
			judged += judge_below(path);
			continue;
		}
		log_capture();
		if (span_topo_load(path, NULL, &topo))
			continue;
		cr_assert_eq(lint_run(topo, NULL, &report), SPAN_OK);
		assert_no_errors(path, report);
		lint_free(report);
		span_topo_free(topo);
		report = lint_file(path);
		assert_no_errors(path, report);
		lint_free(report);
		judged++;
	}
	closedir(files);
	return judged;
}

Test(lint, gives_no_error_on_healthy_recorded_machines, .timeout = 120)
{
	char folder[4096];

	snprintf(folder, sizeof(folder), "%s/topologies/nccl", extra_folder());
	cr_assert_geq(judge_below(folder), 51);
	snprintf(folder, sizeof(folder), "%s/topologies/matrices", getenv("SPAN_EXTRA_DATA"));
	cr_assert_geq(judge_below(folder), 10);
	snprintf(folder, sizeof(folder), "%s/topologies/hwloc", getenv("SPAN_EXTRA_DATA"));
	cr_assert_geq(judge_below(folder), 30);
}
