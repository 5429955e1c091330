#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/topo/log_capture.h"
#include "tests/topo/text_cases.h"
#include "topo/read/reader.h"

static enum source_kind kind_of(const char *text, size_t bytes)
{
	struct source source = { .name = "a/file", .text = text, .bytes = bytes };
	span_status refused = SPAN_OK;
	enum source_kind kind;

	log_capture();
	kind = source_recognise(&source, &refused);
	cr_assert_eq(log_captured_count(), kind == SOURCE_REFUSED, "%s", text);
	cr_assert_eq(refused != SPAN_OK, kind == SOURCE_REFUSED, "%s", text);
	return kind;
}

static const struct {
	const char *text;
	enum source_kind kind;
} known[] = {
	{ "<topology>", SOURCE_HWLOC_XML },
	{ "<topology version=\"2.0\">", SOURCE_HWLOC_XML },
	{ "<topology version='3.0'>", SOURCE_HWLOC_XML3 },
	{ "<topology version = \"3\">", SOURCE_HWLOC_XML3 },
	{ "<?xml version=\"1.0\"?>\n<!DOCTYPE topology SYSTEM \"hwloc2.dtd\">\n<topology "
	  "version=\"2.0\">", SOURCE_HWLOC_XML },
	{ "<?xml version=\"1.0\"?><!-- <graphs> --><system version=\"1\">", SOURCE_NCCL_XML },
	{ "\xef\xbb\xbf\n\n<system version=\"1\">", SOURCE_NCCL_XML },
	{ "<system version=\"2\"><cpu><pci><gpu gcn=\"942\">", SOURCE_RCCL_XML },
	{ "<system/>", SOURCE_NCCL_XML },
	{ "synthetic:nodes:4", SOURCE_SYNTHETIC },
	{ "# two\nsynthetic: gpus:2\n", SOURCE_SYNTHETIC },
	{ "hosts 16 like x\n", SOURCE_CLUSTER },
	{ "# ours\n\n# and\n  leaf a n1\n", SOURCE_CLUSTER },
	{ "spine s a\n", SOURCE_CLUSTER },
	{ "{\"span-topo\": 1}", SOURCE_JSON },
	{ "{\"card0\": {\"(Topology) Numa Node\": \"0\"}}", SOURCE_ROCM_SMI },
	{ "=== Link Type between two GPUs ===\n", SOURCE_ROCM_SMI },
	{ "\tGPU0\tGPU1\n", SOURCE_NVIDIA_SMI },
	{ "$ nvidia-smi topo -m\n\tGPU0\tmlx5_0\tCPU Affinity\n", SOURCE_NVIDIA_SMI },
	{ "\033[4m\tGPU0\033[0m\nGPU0\t X \n", SOURCE_NVIDIA_SMI },
	{ "\tGPU0\tCPU Affinity\r\nGPU0\t X \t0-7\r\n", SOURCE_NVIDIA_SMI },
	{ "# nvidia-smi topo -m\n\tGPU0\tNIC0\n", SOURCE_NVIDIA_SMI },
};

Test(recognise, a_source_by_its_content)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		cr_assert_eq(kind_of(known[i].text, strlen(known[i].text)), known[i].kind, "%s",
		             known[i].text);
}

/* What is refused, and words of the line that says so: what it is, and what to do. */
static const struct {
	const char *text, *what, *remedy;
} refused[] = {
	{ "", "empty", "lstopo --of xml" },
	{ " \n\t\n", "empty", "nvidia-smi topo -m" },
	{ "# only\n# comments", "nothing but comments", "synthetic" },
	{ "\x89PNG\r\n\x1a\n", "a PNG picture", "lstopo --of xml" },
	{ "\x1f\x8b\x08", "compressed (gzip)", "zcat" },
	{ "BZh91AY", "compressed (bzip2)", "bzcat" },
	{ "\xfd\x37zXZ", "compressed (xz)", "xzcat" },
	{ "PK\x03\x04", "a ZIP archive", "unpack" },
	{ "%PDF-1.4", "a PDF document", "lstopo --of xml" },
	{ "\xff\xfeG\x01", "UTF-16", "UTF-8" },
	{ "GPU0 \x01", "no text", "nvidia-smi topo -m" },
	{ "<graphs version=\"1\">", "NCCL_GRAPH_DUMP_FILE", "NCCL_TOPO_DUMP_FILE" },
	{ "<?xml?><!-- lshw --><list>", "lshw", "lstopo --of xml" },
	{ "<nvidia_smi_log>", "nvidia-smi -q -x", "nvidia-smi topo -m" },
	{ "<svg xmlns=\"x\">", "a picture (SVG)", "lstopo --of xml" },
	{ "<!DOCTYPE html><html>", "a web page", "nvidia-smi topo -m" },
	{ "<systems>", "root is <systems>", "<topology>" },
	{ "<?xml version=\"1.0\"?><!-- ", "without a root", "<topology>" },
	{ "<", "without a root", "<system>" },
	{ "{}", "JSON", "span-topo convert --to json" },
	{ "[1, 2]", "JSON", "rocm-smi --showtopo --json" },
	{ "#\n# Topology file: generated on Fri\n#\nvendid=0x2c9\n", "ibnetdiscover", "hosts node" },
	{ "vendid=0x2c9\n", "ibnetdiscover", "cluster description" },
	{ "# core\nSwitchName=s1 Nodes=n[1-4]\n", "topology.conf", "leaf NAME" },
	{ "BlockName=b1 Nodes=n[1-4]\n", "topology.conf", "leaf NAME" },
	{ "# model\nswitches:\n  core:\n", "YAML", "leaf NAME" },
	{ "blocks:\n- switch: s\n", "YAML", "leaf NAME" },
	{ "- topology: t\n", "topology.yaml", "leaf NAME" },
	{ "Machine (P#0 total=252GiB)\n", "the text of lstopo", "lstopo --of xml" },
	{ "h:1:1 [0] NCCL INFO Bootstrap\n", "a log of NCCL", "NCCL_TOPO_DUMP_FILE" },
	{ "+---+\n| NVIDIA-SMI 535 |\n", "the overview of nvidia-smi", "nvidia-smi topo -m" },
	{ "\tGPU0\tGPU1\nGPU0\tX\tOK\n\n NS  = Not supported\n", "topo -p2p", "nvidia-smi topo -m" },
	{ "LINK TYPE TABLE:\n", "amd-smi", "rocm-smi --showtopo" },
	{ "span-order 1\nkind ring\n", "an order of ranks", "hwloc XML" },
	{ "hello world\n", "no topology", "cluster description" },
};

Test(recognise, says_what_a_file_is_and_what_to_do)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		cr_assert_eq(kind_of(refused[i].text, strlen(refused[i].text)), SOURCE_REFUSED,
		             "%s", refused[i].text);
		cr_assert(strstr(log_captured(), refused[i].what), "%s: %s", refused[i].text,
		          log_captured());
		cr_assert(strstr(log_captured(), refused[i].remedy), "%s: %s", refused[i].text,
		          log_captured());
		cr_assert_eq(strncmp(log_captured(), "a/file: ", 8), 0, "%s", log_captured());
	}
}

Test(recognise, a_zero_is_no_text)
{
	static const char text[] = "hosts 2\0like x";

	cr_assert_eq(kind_of(text, sizeof(text) - 1), SOURCE_REFUSED);
	cr_assert(strstr(log_captured(), "no text"), "%s", log_captured());
}

/* The name says nothing: the same text is the same kind under any. */
Test(recognise, long_names_leave_room_for_the_remedy)
{
	char name[600];

	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	cr_assert(strstr(text_refused("<graphs>", 8, name), "NCCL_TOPO_DUMP_FILE"), "%s",
	          log_captured());
}
