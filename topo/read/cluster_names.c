/* Names of hosts and switches: finding them, and patterns that stand for many. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"
#include "topo/read/cluster.h"

/* How many [...] a word may have: each multiplies, and each is a level of recursion. */
#define MOST_BRACKETS 4

/* --- the table ------------------------------------------------------------------------- */

static size_t slot_of(const struct names *names, const char *name)
{
	uint64_t hash = 1469598103934665603u; /* FNV-1a */
	size_t slot;

	for (const char *c = name; *c; c++)
		hash = (hash ^ (unsigned char)*c) * 1099511628211u;
	slot = (size_t)(hash ^ hash >> 32) & (names->size - 1);
	while (names->name[slot] && strcmp(names->name[slot], name) != 0)
		slot = (slot + 1) & (names->size - 1);
	return slot;
}

static span_status grow(struct names *names)
{
	struct names grown = { .size = names->size ? 2 * names->size : 64, .used = names->used };

	grown.name = calloc(grown.size, sizeof(*grown.name));
	grown.number = calloc(grown.size, sizeof(*grown.number));
	if (!grown.name || !grown.number) {
		free(grown.name);
		free(grown.number);
		return span_fail(SPAN_ENOMEM, "cluster: no memory for %zu names", grown.size);
	}
	for (size_t i = 0; i < names->size; i++) {
		if (names->name[i]) {
			size_t slot = slot_of(&grown, names->name[i]);

			grown.name[slot] = names->name[i];
			grown.number[slot] = names->number[i];
		}
	}
	free(names->name);
	free(names->number);
	*names = grown;
	return SPAN_OK;
}

span_status names_add(struct names *names, const char *name, int32_t number, bool *added)
{
	span_status status = 2 * names->used >= names->size ? grow(names) : SPAN_OK;
	size_t slot;

	if (status)
		return status;
	slot = slot_of(names, name);
	*added = !names->name[slot];
	if (!*added)
		return SPAN_OK;
	names->name[slot] = name;
	names->number[slot] = number;
	names->used++;
	return SPAN_OK;
}

int32_t names_find(const struct names *names, const char *name)
{
	size_t slot;

	if (!names->size)
		return -1;
	slot = slot_of(names, name);
	return names->name[slot] ? names->number[slot] : -1;
}

/* --- patterns -------------------------------------------------------------------------- */

struct expansion {
	struct cluster *cluster;
	const char *word;            /* for messages */
	name_function *each;
	void *user;
	char name[CLUSTER_NAME_BYTES];
	int32_t brackets, names;
};

static span_status pattern_error(const struct expansion *expansion)
{
	return lines_fail(&expansion->cluster->lines, "\"%.60s\"; expected names such as node7 or "
	                  "node[01-16,20], of letters, digits, '.', '_' and '-'",
	                  expansion->word);
}

static span_status expand(struct expansion *expansion, size_t used, const char *rest);

/* Read digits as a number below 10^9, and how many they are. */
static const char *read_digits(const char *at, int32_t *value, int *digits)
{
	*value = *digits = 0;
	while (isdigit((unsigned char)*at) && *digits < 9) {
		*value = *value * 10 + (*at++ - '0');
		++*digits;
	}
	return at;
}

/* One "01-16" or "20" of a bracket, each number of it followed by what stands behind the
 * bracket. *at moves behind it. */
static span_status expand_range(struct expansion *expansion, size_t used, const char **at,
                                const char *behind)
{
	int32_t first, last;
	int digits, digits_of_last;
	span_status status = SPAN_OK;

	*at = read_digits(*at, &first, &digits);
	last = first;
	digits_of_last = digits;
	if (digits && **at == '-')
		*at = read_digits(*at + 1, &last, &digits_of_last);
	if (!digits || !digits_of_last || last < first)
		return pattern_error(expansion);
	for (int32_t i = first; !status && i <= last; i++) {
		int n = snprintf(expansion->name + used, sizeof(expansion->name) - used, "%0*d",
		                 digits, i);

		if ((size_t)n >= sizeof(expansion->name) - used)
			return pattern_error(expansion);
		status = expand(expansion, used + (size_t)n, behind);
	}
	return status;
}

static span_status expand_bracket(struct expansion *expansion, size_t used, const char *at)
{
	const char *end = strchr(at, ']');
	span_status status;

	if (!end || ++expansion->brackets > MOST_BRACKETS)
		return pattern_error(expansion);
	do
		status = expand_range(expansion, used, &at, end + 1);
	while (!status && *at++ == ',');
	if (!status && at != end + 1)
		return pattern_error(expansion);
	expansion->brackets--;
	return status;
}

/* Expand `rest`, up to a comma or the end, behind the first `used` bytes of the name. */
static span_status expand(struct expansion *expansion, size_t used, const char *rest)
{
	for (; *rest && *rest != ',' && *rest != '['; rest++) {
		if (!isalnum((unsigned char)*rest) && !strchr("._-", *rest))
			return pattern_error(expansion);
		if (used + 1 == sizeof(expansion->name))
			return pattern_error(expansion);
		expansion->name[used++] = *rest;
	}
	if (*rest == '[')
		return expand_bracket(expansion, used, rest + 1);
	if (!used || !isalnum((unsigned char)expansion->name[0]))
		return pattern_error(expansion);
	if (expansion->names++ == GRAPH_MAX_PLACES)
		return lines_fail(&expansion->cluster->lines, "\"%.60s\" is more than %d names",
		                  expansion->word, GRAPH_MAX_PLACES);
	expansion->name[used] = '\0';
	return expansion->each(expansion->cluster, expansion->name, expansion->user);
}

/* The comma behind a name, passing over those in brackets; NULL at the end. */
static const char *next_comma(const char *at)
{
	for (bool inside = false; *at; at++) {
		if (*at == '[' || *at == ']')
			inside = *at == '[';
		else if (*at == ',' && !inside)
			return at;
	}
	return NULL;
}

span_status cluster_expand(struct cluster *cluster, const char *word, name_function *each,
                           void *user)
{
	struct expansion expansion = { .cluster = cluster, .word = word, .each = each,
		                       .user = user };
	const char *at = word;
	span_status status = SPAN_OK;

	while (!status && at) {
		const char *comma = next_comma(at);

		status = expand(&expansion, 0, at);
		at = comma ? comma + 1 : NULL;
	}
	return status;
}
