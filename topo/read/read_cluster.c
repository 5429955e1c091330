/* Reading a cluster description; the format is in cluster.h. */
#include "topo/read/cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"

/* Lines are read twice: hosts first, so that leaf and spine lines may stand before them. */
enum pass { PASS_HOSTS, PASS_LEAVES, PASS_SPINES };

/* What the end of a hosts line says. */
struct hosts_options {
	bool own_leaf;              /* "leaf" or "per-leaf" was there */
	const char *leaf;           /* its name, or NULL */
	double ratio, nic;
	int32_t per_leaf, rails;    /* or 0 */
};

/* --- the end of a hosts line ----------------------------------------------------------- */

static bool is_option(const char *word)
{
	return strcmp(word, "leaf") == 0 || strcmp(word, "per-leaf") == 0 ||
	       strcmp(word, "rails") == 0 || strcmp(word, "nic") == 0;
}

/* The number behind "rails", word i. */
static span_status parse_rails(const struct lines *lines, int32_t i, int32_t *rails)
{
	if (i < lines->n_words && text_number(lines->words[i], 1, GRAPH_MAX_RAILS, rails))
		return SPAN_OK;
	return lines_fail(lines, "\"rails\" without a number from 1 to %d", GRAPH_MAX_RAILS);
}

static span_status parse_leaf_option(const struct lines *lines, int32_t *i,
                                     struct hosts_options *options)
{
	options->own_leaf = true;
	while (*i + 1 < lines->n_words && !is_option(lines->words[*i + 1])) {
		const char *word = lines->words[++*i];

		if (text_ratio(word, &options->ratio))
			continue;
		if (options->leaf)
			return lines_fail(lines, "\"%.40s\" behind \"leaf\"; expected a name and a "
			                  "ratio such as 4:1", word);
		options->leaf = word;
	}
	return SPAN_OK;
}

static span_status parse_option(const struct lines *lines, int32_t *i,
                                struct hosts_options *options)
{
	const char *option = lines->words[*i];

	if (strcmp(option, "leaf") == 0)
		return parse_leaf_option(lines, i, options);
	if (strcmp(option, "per-leaf") == 0) {
		options->own_leaf = true;
		if (++*i < lines->n_words &&
		    text_number(lines->words[*i], 1, GRAPH_MAX_PLACES, &options->per_leaf))
			return SPAN_OK;
		return lines_fail(lines, "\"per-leaf\" without a number of hosts from 1 to %d",
		                  GRAPH_MAX_PLACES);
	}
	if (strcmp(option, "rails") == 0) {
		options->own_leaf = true;
		return parse_rails(lines, ++*i, &options->rails);
	}
	if (strcmp(option, "nic") == 0) {
		if (++*i < lines->n_words && text_bandwidth(lines->words[*i], &options->nic))
			return SPAN_OK;
		return lines_fail(lines, "\"nic\" without a line rate such as 400Gb/s or 50GB/s");
	}
	return lines_fail(lines, "\"%.40s\" behind the source; expected \"leaf\", \"per-leaf\", "
	                  "\"rails\" or \"nic\" (a source with blanks stands in quotation marks)",
	                  option);
}

static span_status parse_options(const struct lines *lines, int32_t i,
                                 struct hosts_options *options)
{
	span_status status = SPAN_OK;

	*options = (struct hosts_options){ .ratio = 1 };
	for (; !status && i < lines->n_words; i++)
		status = parse_option(lines, &i, options);
	return status;
}

/* --- hosts ----------------------------------------------------------------------------- */

/* Adding the hosts of a line, one by one. */
struct adding {
	const struct hosts_options *options;
	int32_t kind, leaf, on_leaf;   /* on_leaf: hosts that are on the current leaf */
	int32_t leaves;                /* made for this line */
};

/* The leaf that the next host is on: a new one when there is none yet, or it is full. */
static span_status next_leaf(struct cluster *cluster, struct adding *adding)
{
	const struct hosts_options *options = adding->options;
	char name[CLUSTER_NAME_BYTES + 16];
	bool full = options->per_leaf && adding->on_leaf == options->per_leaf;
	int32_t number = adding->leaves;
	span_status status;

	if (!options->own_leaf || (adding->leaf >= 0 && !full))
		return SPAN_OK;
	if (options->leaf && !options->per_leaf)
		snprintf(name, sizeof(name), "%.63s", options->leaf);
	else if (options->leaf)
		snprintf(name, sizeof(name), "%.50s%d", options->leaf, number);
	else
		for (number = cluster->n_switches;; number++) {
			snprintf(name, sizeof(name), "leaf%d", number);
			if (names_find(&cluster->switch_names, name) < 0)
				break;
		}
	status = cluster_add_switch(cluster, name, false, &adding->leaf);
	if (!status && options->ratio != 1)
		cluster->switches[adding->leaf].ratio = options->ratio;
	if (!status && options->rails)
		cluster->switches[adding->leaf].rails = options->rails;
	adding->on_leaf = 0;
	adding->leaves++;
	return status;
}

static span_status add_host(struct cluster *cluster, const char *name, void *user)
{
	struct adding *adding = user;
	span_status status = next_leaf(cluster, adding);

	if (!status)
		status = cluster_add_host(cluster, name, adding->kind, adding->leaf);
	adding->on_leaf += cluster->kinds[adding->kind].hosts;
	return status;
}

static span_status add_number_of_hosts(struct cluster *cluster, int32_t count,
                                       struct adding *adding)
{
	int32_t each = cluster->kinds[adding->kind].hosts;
	char name[CLUSTER_NAME_BYTES];
	span_status status = SPAN_OK;

	if (count % each)
		return lines_fail(&cluster->lines, "%d hosts like a machine of %d; expected a "
		                  "multiple of that", count, each);
	for (int32_t i = 0; !status && i < count / each; i++) {
		snprintf(name, sizeof(name), "host%d", cluster->host_number);
		status = add_host(cluster, each == 1 ? name : NULL, adding);
	}
	return status;
}

static span_status add_named_hosts(struct cluster *cluster, int32_t like, struct adding *adding)
{
	span_status status = SPAN_OK;

	if (cluster->kinds[adding->kind].hosts > 1)
		return lines_fail(&cluster->lines, "names for a machine of %d hosts; expected how "
		                  "many hosts: hosts %d like ...",
		                  cluster->kinds[adding->kind].hosts,
		                  cluster->kinds[adding->kind].hosts);
	for (int32_t i = 1; !status && i < like; i++)
		status = cluster_expand(cluster, cluster->lines.words[i], add_host, adding);
	return status;
}

/* A count before "like" is one word that is no name. */
static span_status parse_count(const struct lines *lines, int32_t like, int32_t *count)
{
	const char *word = lines->words[1];

	*count = 0;
	if (like != 2 || strspn(word, "-0123456789") != strlen(word) ||
	    text_number(word, 1, GRAPH_MAX_PLACES, count))
		return SPAN_OK;
	return lines_fail(lines, "\"%.40s\" hosts; expected a number from 1 to %d", word,
	                  GRAPH_MAX_PLACES);
}

static span_status parse_hosts(struct cluster *cluster)
{
	const struct lines *lines = &cluster->lines;
	struct hosts_options options;
	struct adding adding = { .options = &options, .leaf = -1 };
	int32_t like = 1, count;
	span_status status;

	while (like < lines->n_words && !lines_is(lines, like, "like"))
		like++;
	if (like == 1 || like + 1 >= lines->n_words)
		return lines_fail(lines, "expected \"hosts 16 like FILE\" or \"hosts node[01-16] like "
		                  "FILE\"");
	status = parse_count(lines, like, &count);
	if (!status)
		status = parse_options(lines, like + 2, &options);
	if (!status)
		status = cluster_find_kind(cluster, lines->words[like + 1], options.nic,
		                           &adding.kind);
	if (status)
		return status;
	return count ? add_number_of_hosts(cluster, count, &adding)
	             : add_named_hosts(cluster, like, &adding);
}

/* --- switches -------------------------------------------------------------------------- */

static span_status put_on_leaf(struct cluster *cluster, const char *name, void *user)
{
	int32_t leaf = *(int32_t *)user, host = names_find(&cluster->host_names, name);

	if (host < 0)
		return lines_fail(&cluster->lines, "no host \"%.63s\"; a \"hosts\" line names them, "
		                  "and those it only counts are host0, host1 and so on", name);
	if (cluster->hosts[host].leaf >= 0)
		return lines_fail(&cluster->lines, "host \"%.63s\" is on leaf \"%.63s\" already", name,
		                  cluster->switches[cluster->hosts[host].leaf].name);
	cluster->hosts[host].leaf = leaf;
	return SPAN_OK;
}

static span_status put_under_spine(struct cluster *cluster, const char *name, void *user)
{
	int32_t spine = *(int32_t *)user, below = names_find(&cluster->switch_names, name);

	if (below < 0)
		return lines_fail(&cluster->lines, "no switch \"%.63s\"; \"leaf\" and \"spine\" lines "
		                  "name them", name);
	if (cluster->switches[below].parent >= 0)
		return lines_fail(&cluster->lines, "switch \"%.63s\" is under \"%.63s\" already", name,
		                  cluster->switches[cluster->switches[below].parent].name);
	cluster->switches[below].parent = spine;
	cluster->switches[below].line = cluster->lines.number;
	return SPAN_OK;
}

/* Words behind the name of a switch: what is below it, and its ratio. */
static span_status parse_below(struct cluster *cluster, int32_t number, name_function *each)
{
	const struct lines *lines = &cluster->lines;
	span_status status = SPAN_OK;

	for (int32_t i = 2; !status && i < lines->n_words; i++) {
		if (strcmp(lines->words[i], "oversubscription") == 0)
			continue;
		if (each == put_on_leaf && strcmp(lines->words[i], "rails") == 0) {
			status = parse_rails(lines, ++i, &cluster->switches[number].rails);
			continue;
		}
		if (!text_ratio(lines->words[i], &cluster->switches[number].ratio))
			status = cluster_expand(cluster, lines->words[i], each, &number);
	}
	return status;
}

static span_status parse_leaf(struct cluster *cluster)
{
	int32_t number;
	span_status status;

	if (cluster->lines.n_words < 3)
		return lines_fail(&cluster->lines, "expected \"leaf NAME HOSTS\", perhaps with a "
		                  "ratio such as 4:1");
	status = cluster_add_switch(cluster, cluster->lines.words[1], false, &number);
	return status ? status : parse_below(cluster, number, put_on_leaf);
}

static span_status parse_spine(struct cluster *cluster, enum pass pass)
{
	int32_t number;

	if (cluster->lines.n_words < 3)
		return lines_fail(&cluster->lines, "expected \"spine NAME LEAVES\", perhaps with a "
		                  "ratio such as 2:1");
	if (pass == PASS_LEAVES)
		return cluster_add_switch(cluster, cluster->lines.words[1], true, &number);
	number = names_find(&cluster->switch_names, cluster->lines.words[1]);
	return parse_below(cluster, number, put_under_spine);
}

/* --- the whole ------------------------------------------------------------------------- */

static span_status parse_line(struct cluster *cluster, enum pass pass)
{
	const struct lines *lines = &cluster->lines;

	if (lines_is(lines, 0, "hosts"))
		return pass == PASS_HOSTS ? parse_hosts(cluster) : SPAN_OK;
	if (lines_is(lines, 0, "leaf"))
		return pass == PASS_LEAVES ? parse_leaf(cluster) : SPAN_OK;
	if (lines_is(lines, 0, "spine"))
		return pass == PASS_HOSTS ? SPAN_OK : parse_spine(cluster, pass);
	return lines_fail(lines, "\"%.40s\"; expected \"hosts\", \"leaf\" or \"spine\"",
	                  lines->words[0]);
}

static span_status parse(struct cluster *cluster)
{
	span_status status = SPAN_OK;

	for (int pass = PASS_HOSTS; !status && pass <= PASS_SPINES; pass++) {
		bool more = true;

		lines_begin(&cluster->lines, cluster->source);
		cluster->lines.comments = cluster->lines.quotes = true;
		status = lines_next_words(&cluster->lines, &more);
		while (!status && more) {
			status = parse_line(cluster, (enum pass)pass);
			if (!status)
				status = lines_next_words(&cluster->lines, &more);
		}
		if (!status && !cluster->n_hosts)
			status = lines_fail(&cluster->lines, "no hosts in it; expected \"hosts 16 like "
			                    "FILE\"");
	}
	return status;
}

static void free_cluster(struct cluster *cluster)
{
	for (int32_t i = 0; i < cluster->n_kinds; i++)
		free(cluster->kinds[i].source);
	for (int32_t i = 0; i < cluster->n_hosts; i++)
		free(cluster->hosts[i].name);
	for (int32_t i = 0; i < cluster->n_switches; i++)
		free(cluster->switches[i].name);
	free(cluster->hosts);
	free(cluster->switches);
	free(cluster->host_names.name);
	free(cluster->host_names.number);
	free(cluster->switch_names.name);
	free(cluster->switch_names.number);
	free(cluster);
}

span_status read_cluster(const struct source *source, span_topo **topo)
{
	struct cluster *cluster = calloc(1, sizeof(*cluster));
	span_status status;

	if (!cluster)
		return span_fail(SPAN_ENOMEM, "%.128s: no memory for its lines", source->name);
	cluster->source = source;
	status = topo_create("cluster", source->name, source->as_nccl, topo);
	cluster->topo = *topo;
	if (!status)
		status = parse(cluster);
	if (!status)
		status = cluster_build(cluster);
	free_cluster(cluster);
	return status;
}
