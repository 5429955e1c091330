/* The machines that a cluster is made of: each is read once, however many hosts are like it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "topo/log.h"
#include "topo/read/cluster.h"

/* --- reading a source ------------------------------------------------------------------ */

static span_status read_one_machine(struct cluster *cluster, const struct source *source,
                                    span_topo **part)
{
	span_status refused = SPAN_EPARSE;
	enum source_kind kind = source_recognise(source, &refused);

	if (kind == SOURCE_REFUSED)
		return refused;
	if (kind == SOURCE_CLUSTER)
		return lines_fail(&cluster->lines, "\"%.128s\" is a cluster description itself; "
		                  "expected a source that is one machine", source->name);
	return source_read(source, part);
}

/* Where a file is, relative to the description. */
static char *path_of(const struct cluster *cluster, const char *file)
{
	const char *slash = strrchr(cluster->source->name, '/');
	size_t folder = slash && *file != '/' ? (size_t)(slash + 1 - cluster->source->name) : 0;
	char *path = malloc(folder + strlen(file) + 1);

	if (path) {
		memcpy(path, cluster->source->name, folder);
		strcpy(path + folder, file);
	}
	return path;
}

/* Other than what a user types, a name in a file must not make us wait for a pipe or device. */
static span_status open_regular(const struct cluster *cluster, const char *path, FILE **file)
{
	struct stat facts;

	if (stat(path, &facts) != 0)
		return lines_fail(&cluster->lines, "%.128s: %s; the file behind \"like\" is looked "
		                  "for beside the description", path, strerror(errno));
	if (!S_ISREG(facts.st_mode))
		return lines_fail(&cluster->lines, "%.128s is no file", path);
	*file = fopen(path, "re");
	if (!*file)
		return lines_fail(&cluster->lines, "%.128s: %s", path, strerror(errno));
	return SPAN_OK;
}

static span_status read_file(struct cluster *cluster, const char *path, span_topo **part)
{
	struct source source = { .name = path, .as_nccl = cluster->source->as_nccl };
	char *text = NULL;
	FILE *file;
	span_status status = open_regular(cluster, path, &file);

	if (status)
		return status;
	status = source_slurp(file, path, &text, &source.bytes);
	fclose(file);
	source.text = text;
	if (!status)
		status = read_one_machine(cluster, &source, part);
	free(text);
	return status;
}

static span_status read_source(struct cluster *cluster, const char *name, span_topo **part)
{
	struct source words = { .name = name, .text = name, .bytes = strlen(name),
		                .as_nccl = cluster->source->as_nccl };
	char *path;
	span_status status;

	if (strcmp(name, "host") == 0)
		return read_host(cluster->source->as_nccl, part);
	if (strncmp(name, "synthetic:", 10) == 0)
		return read_one_machine(cluster, &words, part);
	path = path_of(cluster, name);
	if (!path)
		return span_fail(SPAN_ENOMEM, "cluster: no memory for a path");
	status = read_file(cluster, path, part);
	free(path);
	return status;
}

/* --- taking its machine ---------------------------------------------------------------- */

static span_status take_notes(struct cluster *cluster, const char *name, const span_topo *part)
{
	span_status status = SPAN_OK;
	char place[160];

	for (int32_t i = 0; !status && i < part->n_notes; i++) {
		bool whole = strcmp(part->notes[i].place, part->source_name) == 0 ||
		             strcmp(part->notes[i].place, part->source_kind) == 0;

		snprintf(place, sizeof(place), "%.96s%s%.48s", name, whole ? "" : ": ",
		         whole ? "" : part->notes[i].place);
		status = topo_note(cluster->topo, place, part->notes[i].corrected, "%s",
		                   part->notes[i].text);
	}
	return status;
}

static bool has_no_rate(const struct machine *machine, int32_t node)
{
	return machine->nodes[node].kind == SPAN_NODE_NIC && machine->nodes[node].speed == 0;
}

/* Line rates of ports that the source knows none of. */
static void set_line_rates(struct machine *machine, double rate)
{
	for (int32_t i = 0; i < machine->n_links; i++) {
		struct graph_link *link = &machine->links[i];

		if (link->link_class == SPAN_LINK_NETWORK &&
		    (has_no_rate(machine, link->from) || has_no_rate(machine, link->to))) {
			link->bandwidth = rate;
			link->confidence = SPAN_CONFIDENCE_DECLARED;
		}
	}
	for (int32_t i = 0; i < machine->n_nodes; i++)
		if (has_no_rate(machine, i))
			machine->nodes[i].speed = rate;
}

static span_status take_machine(struct cluster *cluster, const char *name, span_topo *part,
                                double nic, int32_t *hosts)
{
	struct machine *machine;
	span_status status;

	if (part->n_machines != 1 || part->n_places != 1)
		return lines_fail(&cluster->lines, "\"%.128s\" is a cluster of %d machines; expected "
		                  "a source that is one machine", name, part->n_places);
	status = topo_add_machine(cluster->topo, &machine);
	if (status)
		return status;
	*machine = *part->machines[0];
	*part->machines[0] = (struct machine){ 0 };
	*hosts = machine->n_hosts;
	if (nic > 0)
		set_line_rates(machine, nic);
	return take_notes(cluster, name, part);
}

span_status cluster_find_kind(struct cluster *cluster, const char *name, double nic,
                              int32_t *kind)
{
	struct cluster_kind *found = cluster->kinds;
	span_topo *part = NULL;
	span_status status;

	for (*kind = 0; *kind < cluster->n_kinds; ++*kind, found++)
		if (strcmp(found->source, name) == 0 && found->nic == nic)
			return SPAN_OK;
	if (*kind == CLUSTER_MAX_KINDS)
		return lines_fail(&cluster->lines, "more than %d kinds of hosts", CLUSTER_MAX_KINDS);
	status = read_source(cluster, name, &part);
	if (!status)
		status = take_machine(cluster, name, part, nic, &found->hosts);
	span_topo_free(part);
	if (status)
		return status;
	found->source = strdup(name);
	found->nic = nic;
	if (!found->source)
		return span_fail(SPAN_ENOMEM, "cluster: no memory for a name");
	cluster->n_kinds++;
	return SPAN_OK;
}
