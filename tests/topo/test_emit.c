#include "topo/ring/emit.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/topo/log_capture.h"
#include "topo/graph/graph.h"

/* Hosts of one kind, named as given: two GPUs, one on each NUMA node. */
static span_topo *named_hosts(const char *const *names, int32_t n)
{
	struct machine *machine;
	int32_t host, cpu[2], gpu[2];
	span_topo *topo;

	cr_assert_eq(topo_create("synthetic", "test", false, &topo), SPAN_OK);
	cr_assert_eq(topo_add_machine(topo, &machine), SPAN_OK);
	cr_assert_eq(machine_add_node(machine, SPAN_NODE_HOST, 0, -1, &host), SPAN_OK);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(machine_add_node(machine, SPAN_NODE_CPU, 0, host, &cpu[i]), SPAN_OK);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(machine_add_node(machine, SPAN_NODE_GPU, 0, cpu[i], &gpu[i]),
		             SPAN_OK);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(machine_add_link(machine, SPAN_LINK_NVLINK, gpu[i], gpu[1 - i], 20e9,
		                              1, SPAN_CONFIDENCE_DECLARED, "test"), SPAN_OK);
	for (int32_t i = 0; i < n; i++)
		cr_assert_eq(topo_add_place(topo, 0, -1, names[i]), SPAN_OK);
	cr_assert_eq(topo_finish(topo), SPAN_OK);
	return topo;
}

/* What is written for a topology; the status when that is not SPAN_OK. */
static span_status emit(const span_topo *topo, enum emit_format format, char **text)
{
	size_t bytes;
	FILE *out = open_memstream(text, &bytes);
	span_status status;
	span_ring *ring;

	cr_assert_eq(span_ring_create(topo, &ring), SPAN_OK);
	status = emit_order(ring, span_ring_nodes(ring), format, out);
	fclose(out);
	span_ring_free(ring);
	return status;
}

static void assert_emits(const char *const *names, int32_t n, enum emit_format format,
                         const char *expected)
{
	span_topo *topo = named_hosts(names, n);
	char *text;

	cr_assert_eq(emit(topo, format, &text), SPAN_OK);
	cr_assert_str_eq(text, expected);
	free(text);
	span_topo_free(topo);
}

static const char *const three[] = { "node-9", "node-10", "a.example.org" };

Test(emit, rankfile_binds_each_rank_near_its_gpu)
{
	assert_emits(three, 3, EMIT_RANKFILE,
	             "rank 0=node-9 slot=0:*\nrank 1=node-9 slot=1:*\n"
	             "rank 2=node-10 slot=0:*\nrank 3=node-10 slot=1:*\n"
	             "rank 4=a.example.org slot=0:*\nrank 5=a.example.org slot=1:*\n");
}

Test(emit, hostfile_counts_slots)
{
	assert_emits(three, 3, EMIT_HOSTFILE,
	             "node-9 slots=2\nnode-10 slots=2\na.example.org slots=2\n");
}

Test(emit, slurm_names_the_host_of_each_task)
{
	assert_emits(three, 3, EMIT_SLURM,
	             "node-9\nnode-9\nnode-10\nnode-10\na.example.org\na.example.org\n");
}

/* torchrun counts a.example.org first, then node-10, then node-9. */
Test(emit, torch_lists_what_torchrun_calls_them)
{
	assert_emits(three, 3, EMIT_TORCH, "[4, 5, 2, 3, 0, 1]\n");
}

Test(emit, hosts_without_names_are_numbered)
{
	const char *const none[] = { "", "" };

	assert_emits(none, 2, EMIT_SLURM, "h0\nh0\nh1\nh1\n");
}

Test(emit, refuses_names_that_a_shell_could_take_for_something_else)
{
	static const char *const bad[] = { "a b", "a;reboot", "-oProxyCommand=x", "$(x)", "a\nb",
		                           "a=b", "a:2", ".", "`x`", "a/b" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		const char *const names[] = { "fine", bad[i] };
		span_topo *topo = named_hosts(names, 2);
		char *text, expected[96];

		log_capture();
		cr_assert_eq(emit(topo, EMIT_SLURM, &text), SPAN_EINVAL, "%s", bad[i]);
		cr_assert_str_eq(text, "");
		snprintf(expected, sizeof(expected), "order: h1 is called \"%s\", which cannot",
		         strcmp(bad[i], "a\nb") == 0 ? "a?b" : bad[i]);
		cr_assert_eq(strncmp(log_captured(), expected, strlen(expected)), 0, "%s",
		             log_captured());
		free(text);
		span_topo_free(topo);
	}
}

Test(emit, refuses_two_hosts_of_one_name)
{
	const char *const names[] = { "same", "other", "same" };
	span_topo *topo = named_hosts(names, 3);
	char *text;

	log_capture();
	cr_assert_eq(emit(topo, EMIT_RANKFILE, &text), SPAN_EINVAL);
	cr_assert(strstr(log_captured(), "are both called \"same\""), "%s", log_captured());
	free(text);
	span_topo_free(topo);
}

Test(emit, formats_have_names)
{
	enum emit_format format = EMIT_RANKFILE;

	cr_assert_eq(emit_format_parse("torch", &format), SPAN_OK);
	cr_assert_eq(format, EMIT_TORCH);
	log_capture();
	cr_assert_eq(emit_format_parse("pbs", &format), SPAN_EINVAL);
	cr_assert_str_eq(log_captured(), "order: --emit \"pbs\"; it is rankfile, hostfile, slurm or "
	                 "torch");
	cr_assert_eq(format, EMIT_TORCH);
}

Test(emit, says_that_writing_failed)
{
	span_topo *topo = named_hosts(three, 3);
	FILE *full = fopen("/dev/full", "w");
	span_ring *ring;

	cr_assert(full);
	setvbuf(full, NULL, _IONBF, 0);
	cr_assert_eq(span_ring_create(topo, &ring), SPAN_OK);
	log_capture();
	cr_assert_eq(emit_order(ring, span_ring_nodes(ring), EMIT_SLURM, full), SPAN_EIO);
	cr_assert(strstr(log_captured(), "order: writing failed: "), "%s", log_captured());
	fclose(full);
	span_ring_free(ring);
	span_topo_free(topo);
}
