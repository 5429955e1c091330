/* What the machine says where the profile does not: --topology. */
#include <string.h>

#include "plugin/tune/tune.h"
#include "topo/log.h"
#include "topo/nccl/search/nccl_search.h"
#include "topo/span_topo.h"

/* Times that rest on place holders look like any others, so it is told where the source leaves
 * something out; whoever describes a machine in one line knows. */
static void tell_assumed(const char *source, const span_topo *topo)
{
	if (span_topo_notes(topo) && strncmp(source, "synthetic:", strlen("synthetic:")))
		fprintf(stderr,
		        "span-tune: %s: it leaves out what the times rest on; span-topo lint tells "
		        "what was assumed\n",
		        source);
}

span_status tune_add_machine(const char *source, span_profile *profile)
{
	span_topo_options options = { .size = sizeof(options), .as_nccl = 1 };
	span_topo *topo = NULL;
	span_status status = span_topo_load(source, &options, &topo);

	if (!status)
		status = nccl_search_into_profile(topo, profile);
	if (!status)
		tell_assumed(source, topo);
	span_topo_free(topo);
	return status;
}

span_status tune_open_profile(const struct tune *tune, const char *path, span_profile **profile)
{
	span_profile *opened = NULL;
	span_status status;

	if (path)
		status = tune_load_profile(path, &opened);
	else if (tune->topology)
		status = span_profile_create(tune->topology, &opened);
	else
		status = span_fail(SPAN_EINVAL, "%s: %s is missing, or --topology SOURCE",
		                   tune->command->name,
		                   strchr(tune->command->options, 'P') ? "--profile FILE"
		                                                       : "PROFILE");
	if (!status && tune->topology)
		status = tune_add_machine(tune->topology, opened);
	if (status)
		span_profile_free(opened);
	else
		*profile = opened;
	return status;
}
