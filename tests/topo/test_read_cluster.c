#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/topo/log_capture.h"
#include "tests/topo/text_cases.h"

#define CLUSTER SPAN_TEST_DATA "/topologies/cluster/"

static span_topo *load(const char *path)
{
	span_topo *topo = NULL;

	log_capture();
	cr_assert_eq(span_topo_load(path, NULL, &topo), SPAN_OK, "%s", log_captured());
	cr_assert_str_eq(span_topo_source_kind(topo), "cluster");
	return topo;
}

static span_topo_node node_of(const span_topo *topo, const char *id)
{
	span_topo_node node;

	span_topo_node_at(topo, text_node(topo, id), &node);
	return node;
}

/* Name of the switch above a node, "" when there is none. */
static const char *above(const span_topo *topo, const char *id)
{
	span_topo_node node = node_of(topo, id);

	if (node.parent < 0)
		return "";
	span_topo_node_at(topo, node.parent, &node);
	return node.name;
}

/* GB/s from a switch to the one above it. */
static double uplinks(const span_topo *topo, const char *name)
{
	int32_t number = text_node(topo, name);
	span_topo_node node;

	span_topo_node_at(topo, number, &node);
	for (int32_t i = 0; i < span_topo_links(topo); i++) {
		span_topo_link link;

		span_topo_link_at(topo, i, &link);
		if (link.from == number && link.to == node.parent)
			return link.bandwidth / 1e9;
	}
	return 0;
}

Test(read_cluster, kinds_of_hosts_beside_the_description)
{
	span_topo *topo = load(CLUSTER "two-kinds.txt");

	cr_assert_eq(span_topo_hosts(topo), 18);
	cr_assert_str_eq(node_of(topo, "h0").name, "node01");
	cr_assert_str_eq(node_of(topo, "h15").name, "node16");
	cr_assert_str_eq(node_of(topo, "h17").name, "old2");
	cr_assert_str_eq(above(topo, "h7"), "a");
	cr_assert_str_eq(above(topo, "h8"), "b");
	cr_assert_str_eq(above(topo, "h16"), "c");
	cr_assert_str_eq(above(topo, "a"), "top");
	cr_assert_str_eq(above(topo, "top"), "");
	cr_assert_eq(span_topo_devices(topo, SPAN_NODE_GPU, 0, NULL, 0), 4);
	cr_assert_float_eq(uplinks(topo, "a"), 8 * 6 * 50 / 2, 1e-6);
	cr_assert_float_eq(uplinks(topo, "c"), 2 * 2 * 12.5, 1e-6);
	cr_assert_float_eq(text_gbps(topo, "h16/nic0", "h17/nic0"), 12.5, 1e-6);
	cr_assert(text_note(topo, "no speeds"));
	span_topo_free(topo);
}

Test(read_cluster, a_leaf_for_every_so_many_hosts)
{
	span_topo *topo = load(CLUSTER "numbered.txt");

	cr_assert_eq(span_topo_hosts(topo), 64);
	cr_assert_str_eq(node_of(topo, "h63").name, "host63");
	cr_assert_str_eq(above(topo, "h15"), "leaf0");
	cr_assert_str_eq(above(topo, "h16"), "leaf1");
	cr_assert_str_eq(above(topo, "h63"), "leaf3");
	cr_assert_str_eq(above(topo, "leaf3"), "core");
	cr_assert_float_eq(uplinks(topo, "leaf3"), 16 * 8 * 50 / 4, 1e-6);
	span_topo_free(topo);
}

Test(read_cluster, lines_may_stand_in_any_order)
{
	span_topo *topo = load(CLUSTER "by-name.txt");

	cr_assert_str_eq(above(topo, "h0"), "left");
	cr_assert_str_eq(above(topo, "h4"), "right");
	cr_assert_str_eq(above(topo, "right"), "core");
	cr_assert_float_eq(uplinks(topo, "left"), 3 * 8 * 50 / 3, 1e-6);
	cr_assert_float_eq(uplinks(topo, "right"), 2 * 8 * 50 / 3., 1e-6);
	span_topo_free(topo);
}

Test(read_cluster, without_switches_the_network_is_flat)
{
	span_topo *topo = load(CLUSTER "flat.txt");

	cr_assert_str_eq(above(topo, "h0"), "");
	cr_assert_str_eq(text_class(topo, "h0/gpu0", "h2/gpu1"), "NET");
	cr_assert_float_eq(text_gbps(topo, "h0/nic0", "h2/nic0"), 50, 1e-6);
	span_topo_free(topo);
}

Test(read_cluster, hosts_without_a_leaf_are_below_the_core)
{
	span_topo *topo = text_parse("hosts 3 like synthetic:gpus:1\nleaf a host1\n", "c");

	cr_assert_str_eq(above(topo, "h0"), "core");
	cr_assert_str_eq(above(topo, "h1"), "a");
	cr_assert_str_eq(above(topo, "a"), "core");
	cr_assert_str_eq(text_class(topo, "h0/nic0", "h1/nic0"), "NET");
	span_topo_free(topo);
}

/* Ratios of spines count what their leaves send up, not what hosts do. */
Test(read_cluster, ratios_multiply_up_the_tree)
{
	span_topo *topo = text_parse("hosts 8 like \"synthetic:gpus:1 nics:1 nic:8GB/s\" per-leaf 2 "
	                             "leaf l 2:1\nspine s l[0-1] 4:1\nspine t l2,l3\n"
	                             "spine u s t\n", "c");

	cr_assert_float_eq(uplinks(topo, "l1"), 8, 1e-6);
	cr_assert_float_eq(uplinks(topo, "s"), 4, 1e-6);
	cr_assert_float_eq(uplinks(topo, "t"), 16, 1e-6);
	cr_assert_float_eq(text_gbps(topo, "h0/nic0", "h7/nic0"), 4, 1e-6);
	span_topo_free(topo);
}

Test(read_cluster, names_expand_with_their_zeros)
{
	span_topo *topo = text_parse("hosts a[08-10,3],b x[1-2]-[0-1].y like synthetic:gpus:1\n", "c");
	static const char *const names[] = { "a08", "a09", "a10", "a3", "b", "x1-0.y", "x1-1.y",
		                             "x2-0.y", "x2-1.y" };

	cr_assert_eq(span_topo_hosts(topo), 9);
	for (int i = 0; i < 9; i++) {
		char id[16];

		snprintf(id, sizeof(id), "h%d", i);
		cr_assert_str_eq(node_of(topo, id).name, names[i]);
	}
	span_topo_free(topo);
}

Test(read_cluster, two_thousand_hosts_are_one_machine)
{
	clock_t begin = clock();
	span_topo *topo = text_parse("hosts n[0001-2048] like synthetic: per-leaf 32\n", "c");

	cr_assert_eq(span_topo_hosts(topo), 2048);
	cr_assert_str_eq(node_of(topo, "h2047").name, "n2048");
	cr_assert_lt((double)(clock() - begin) / CLOCKS_PER_SEC, 1.0);
	span_topo_free(topo);
}

/* --- what stands behind "like" ---------------------------------------------------------------- */

static char folder[64];

static const char *put(const char *name, const char *text)
{
	static char path[128];
	FILE *file;

	if (!folder[0]) {
		strcpy(folder, "/tmp/span-cluster-XXXXXX");
		cr_assert(mkdtemp(folder));
	}
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "w");
	cr_assert(file);
	fputs(text, file);
	fclose(file);
	return path;
}

static void remove_folder(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	cr_assert(folder[0] && system(command) == 0);
}

Test(read_cluster, a_cluster_in_a_cluster_is_refused, .fini = remove_folder)
{
	span_topo *topo = NULL;
	char path[128];

	snprintf(path, sizeof(path), "%s", put("self.txt", "hosts 2 like self.txt\n"));
	log_capture();
	cr_assert_eq(span_topo_load(path, NULL, &topo), SPAN_EPARSE);
	cr_assert_eq(log_captured_count(), 1);
	cr_assert(strstr(log_captured(), "self.txt:1: \""), "%s", log_captured());
	cr_assert(strstr(log_captured(), "is a cluster description itself"), "%s", log_captured());
}

Test(read_cluster, what_is_no_file_is_refused_at_once, .fini = remove_folder, .timeout = 20)
{
	span_topo *topo = NULL;
	char path[128], pipe[128];

	snprintf(path, sizeof(path), "%s", put("c.txt", "hosts 2 like pipe\n"));
	snprintf(pipe, sizeof(pipe), "%s/pipe", folder);
	cr_assert_eq(mkfifo(pipe, 0600), 0);
	log_capture();
	cr_assert_eq(span_topo_load(path, NULL, &topo), SPAN_EPARSE);
	cr_assert(strstr(log_captured(), "c.txt:1: "), "%s", log_captured());
	cr_assert(strstr(log_captured(), "pipe is no file"), "%s", log_captured());
}

Test(read_cluster, an_error_in_the_machine_names_its_file, .fini = remove_folder)
{
	span_topo *topo = NULL;
	char path[128];

	put("m.txt", "synthetic:\ngpus:many\n");
	snprintf(path, sizeof(path), "%s", put("c.txt", "hosts 2 like m.txt\n"));
	log_capture();
	cr_assert_eq(span_topo_load(path, NULL, &topo), SPAN_EPARSE);
	cr_assert_eq(log_captured_count(), 1);
	cr_assert(strstr(log_captured(), "m.txt:2: \"gpus:many\""), "%s", log_captured());
}

/* --- malformed -------------------------------------------------------------------------------- */

#define TWO "hosts 2 like synthetic:\n"

static const struct {
	const char *text, *message;
} malformed[] = {
	{ "hosts\n", "c:1: expected \"hosts 16 like FILE\"" },
	{ "hosts 16\n", "c:1: expected \"hosts 16 like FILE\"" },
	{ "hosts like x\n", "c:1: expected \"hosts 16 like FILE\"" },
	{ "hosts 16 like\n", "c:1: expected \"hosts 16 like FILE\"" },
	{ "hosts 0 like x\n", "c:1: \"0\" hosts; expected a number from 1 to 131072" },
	{ "hosts -1 like x\n", "c:1: \"-1\" hosts; expected a number from 1 to 131072" },
	{ "hosts 131073 like x\n", "c:1: \"131073\" hosts; expected a number from 1 to 131072" },
	{ "hosts 2 like nothing.xml\n", "c:1: nothing.xml: No such file or directory" },
	{ "hosts 2 like /dev/zero\n", "c:1: /dev/zero is no file" },
	{ "hosts 2 like \"synthetic:nodes:2\"\n", "c:1: \"synthetic:nodes:2\" is a cluster of 2" },
	{ "hosts 2 like synthetic: pony\n", "c:1: \"pony\" behind the source; expected \"leaf\"" },
	{ "hosts 2 like synthetic: leaf a b\n", "c:1: \"b\" behind \"leaf\"; expected a name" },
	{ "hosts 2 like synthetic: per-leaf\n", "c:1: \"per-leaf\" without a number" },
	{ "hosts 2 like synthetic: per-leaf 0\n", "c:1: \"per-leaf\" without a number" },
	{ "hosts 2 like synthetic: nic\n", "c:1: \"nic\" without a line rate" },
	{ "hosts 2 like synthetic: nic 9\n", "c:1: \"nic\" without a line rate" },
	{ "hosts 2 like synthetic: leaf a/b\n", "c:1: \"a/b\" as the name of a switch" },
	{ "hosts 2 like \"synthetic:\n", "c:1: a quotation mark without its second" },
	{ "hosts a,a like synthetic:\n", "c:1: a second host \"a\"; the first is on line 1" },
	{ TWO "hosts host1 like synthetic:\n", "c:2: a second host \"host1\"; the first is on line 1" },
	{ "hosts a[1-3 like synthetic:\n", "c:1: \"a[1-3\"; expected names" },
	{ "hosts a[3-1] like synthetic:\n", "c:1: \"a[3-1]\"; expected names" },
	{ "hosts a[] like synthetic:\n", "c:1: \"a[]\"; expected names" },
	{ "hosts a[1-] like synthetic:\n", "c:1: \"a[1-]\"; expected names" },
	{ "hosts a[1,] like synthetic:\n", "c:1: \"a[1,]\"; expected names" },
	{ "hosts a[1x] like synthetic:\n", "c:1: \"a[1x]\"; expected names" },
	{ "hosts a;b like synthetic:\n", "c:1: \"a;b\"; expected names" },
	{ "hosts -a like synthetic:\n", "c:1: \"-a\"; expected names" },
	{ "hosts a,,b like synthetic:\n", "c:1: \"a,,b\"; expected names" },
	{ "hosts a[1-2][1-2][1-2][1-2][1-2] like synthetic:\n", "c:1: \"a[1-2]" },
	{ "hosts a[1-400000] like synthetic:\n", "c:1: " },
	{ "leaf a host0\n", "c:1: no hosts in it" },
	{ TWO "leaf a\n", "c:2: expected \"leaf NAME HOSTS\"" },
	{ TWO "leaf a host7\n", "c:2: no host \"host7\"" },
	{ TWO "leaf a host0 host0\n", "c:2: host \"host0\" is on leaf \"a\" already" },
	{ "hosts 2 like synthetic: leaf a\nleaf b host0\n", "c:2: host \"host0\" is on leaf \"a\"" },
	{ TWO "leaf 4:1 host0\n", "c:2: \"4:1\" as the name of a switch" },
	{ TWO "leaf a host0\nspine a host1\n", "c:3: a second switch \"a\"; the first is on line 2" },
	{ TWO "leaf a host0\nspine b\n", "c:3: expected \"spine NAME LEAVES\"" },
	{ TWO "leaf a host0\nspine b c\n", "c:3: no switch \"c\"" },
	{ TWO "leaf a host0\nspine b a\nspine c a\n", "c:4: switch \"a\" is under \"b\" already" },
	{ TWO "spine b b\n", "c:2: switch \"b\" is above itself" },
	{ TWO "leaf a host0\nspine b a c\nspine c b\n", "c:4: switch \"b\" is above itself" },
	{ TWO "switch a host0\n", "c:2: \"switch\"; expected \"hosts\", \"leaf\" or \"spine\"" },
};

Test(read_cluster, names_the_line_of_what_is_malformed)
{
	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
		const char *text = malformed[i].text;

		cr_assert(strstr(text_refused(text, strlen(text), "c"), malformed[i].message), "%s: %s",
		          text, log_captured());
	}
}

Test(read_cluster, too_many_kinds_and_hosts_are_refused)
{
	char text[8192], *at = text;

	for (int i = 0; i < 65; i++)
		at += sprintf(at, "hosts 1 like \"synthetic:gpus:1 nic:%dGB/s\"\n", i + 1);
	cr_assert(strstr(text_refused(text, strlen(text), "c"), "c:65: more than 64 kinds"), "%s",
	          log_captured());
	strcpy(text, "hosts 131072 like synthetic:gpus:1\nhosts 1 like synthetic:gpus:1\n");
	cr_assert(strstr(text_refused(text, strlen(text), "c"), "c:2: more than 131072 hosts"), "%s",
	          log_captured());
}

Test(read_cluster, judges_whatever_is_cut_off_or_shuffled, .timeout = 120)
{
	static const char *const files[] = { CLUSTER "two-kinds.txt", CLUSTER "numbered.txt",
		                             CLUSTER "by-name.txt", CLUSTER "flat.txt" };

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		cr_assert_gt(text_cut_everywhere(files[i]), 20);
		text_shuffled(files[i], 50);
	}
}
