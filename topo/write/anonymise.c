/* Taking out of a topology what tells whose it is. */
#include "topo/write/anonymise.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"

/* The shortest serial number or bare GUID that is taken for one. */
#define SERIAL_DIGITS 12

static span_status no_memory(void)
{
	return span_fail(SPAN_ENOMEM, "anonymise: no memory");
}

/* --- what looks like an identity -------------------------------------------------------------- */

/* Groups of hexadecimal digits of these lengths with a separator between them. */
static const struct shape {
	const char *word;
	char separator;
	bool decimal;
	int low, high;     /* digits of a group */
	int groups;
	int lengths[5];    /* of each group, when low is 0 */
} shapes[] = {
	{ "uuid", '-', false, 0, 0, 5, { 8, 4, 4, 4, 12 } },
	{ "guid", ':', false, 4, 4, 4, { 0 } },
	{ "mac", ':', false, 2, 2, 6, { 0 } },
	{ "mac", '-', false, 2, 2, 6, { 0 } },
	{ "ip", '.', true, 1, 3, 4, { 0 } },
};

static size_t digits(const char *at, bool decimal)
{
	return strspn(at, decimal ? "0123456789" : "0123456789abcdefABCDEF");
}

/* How many bytes at `at` have the shape, or 0. A GUID may be the end of an IPv6 address, a MAC
 * the beginning of a longer one: further groups go with it. */
static size_t match_shape(const struct shape *shape, const char *at)
{
	const char *c = at;
	int group;

	for (group = 0; group < 8; group++) {
		size_t n = digits(c, shape->decimal);
		size_t low = (size_t)(shape->low ? shape->low : shape->lengths[group % 5]);
		size_t high = (size_t)(shape->low ? shape->high : shape->lengths[group % 5]);

		if (n < low || n > high)
			break;
		c += n;
		if (*c != shape->separator)
			return group + 1 >= shape->groups ? (size_t)(c - at) : 0;
		c++;
	}
	return group >= shape->groups ? (size_t)(c - at) - 1 : 0;
}

static size_t match_identity(const char *at, const char **word)
{
	size_t n = digits(at, false);

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		size_t bytes = match_shape(&shapes[i], at);

		if (bytes) {
			*word = shapes[i].word;
			return bytes;
		}
	}
	*word = "serial";
	if (at[0] == '0' && at[1] == 'x')
		n = 2 + digits(at + 2, false);
	return n >= SERIAL_DIGITS ? n : 0;
}

/* --- names of hosts and of the file ----------------------------------------------------------- */

struct secrets {
	char **names;      /* sorted, each once; owned copies */
	size_t n, room;
};

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_word_byte(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.' || c == '/';
}

/* One letter is no secret: it is a word of too many sentences. */
static span_status keep_secret(struct secrets *secrets, const char *name)
{
	if (strlen(name) < 2 || (secrets->n && strcmp(secrets->names[secrets->n - 1], name) == 0))
		return SPAN_OK;
	if (secrets->n == secrets->room) {
		size_t room = secrets->room ? 2 * secrets->room : 64;
		char **grown = realloc(secrets->names, room * sizeof(*grown));

		if (!grown)
			return no_memory();
		secrets->names = grown;
		secrets->room = room;
	}
	secrets->names[secrets->n] = strdup(name);
	return secrets->names[secrets->n++] ? SPAN_OK : no_memory();
}

static span_status find_secrets(const span_topo *topo, struct secrets *secrets)
{
	span_status status = keep_secret(secrets, topo->source_name);

	for (int32_t i = 0; !status && i < topo->n_machines; i++)
		for (int32_t h = 0; !status && h < topo->machines[i]->n_hosts; h++)
			status = keep_secret(secrets, topo->machines[i]->host_names[h]);
	for (int32_t i = 0; !status && i < topo->n_places; i++)
		if (topo->places[i].name)
			status = keep_secret(secrets, topo->places[i].name);
	for (int32_t i = 0; !status && i < topo->n_switches; i++)
		status = keep_secret(secrets, topo->switches[i].name);
	if (!status && secrets->n)
		qsort(secrets->names, secrets->n, sizeof(*secrets->names), by_text);
	return status;
}

static void free_secrets(struct secrets *secrets)
{
	for (size_t i = 0; i < secrets->n; i++)
		free(secrets->names[i]);
	free(secrets->names);
}

static bool is_secret(const struct secrets *secrets, char *word, size_t bytes)
{
	char behind = word[bytes];
	bool found;

	word[bytes] = '\0';
	found = bytes && secrets->n &&
	        bsearch(&word, secrets->names, secrets->n, sizeof(*secrets->names), by_text);
	word[bytes] = behind;
	return found;
}

/* How many bytes at `at`, where a word begins, are a secret name (a full stop may end the
 * sentence with it) or an absolute path. */
static size_t match_name(const struct secrets *secrets, char *at, const char **word)
{
	size_t bytes = 0;

	while (is_word_byte(at[bytes]))
		bytes++;
	*word = bytes < 4 ? "x" : "name";
	if (bytes && at[bytes - 1] == '.' && !is_secret(secrets, at, bytes))
		bytes--;
	if (is_secret(secrets, at, bytes) || (bytes && *at == '/' && memchr(at + 1, '/', bytes - 1)))
		return bytes;
	return 0;
}

/* --- texts ------------------------------------------------------------------------------------ */

/* Replace what a text must not tell, in place: no replacement is longer than what it is for. */
static void scrub(const struct secrets *secrets, char *text)
{
	char *at = text, *end = text;
	bool inside = false; /* a word */

	while (*at) {
		const char *word = "";
		size_t bytes = 0;

		if (!inside || !isalnum((unsigned char)at[-1]))
			bytes = match_identity(at, &word);
		if (!bytes && !inside)
			bytes = match_name(secrets, at, &word);
		if (bytes) {
			memmove(end, word, strlen(word));
			end += strlen(word);
			at += bytes;
			inside = true;
			continue;
		}
		inside = is_word_byte(*at);
		*end++ = *at++;
	}
	*end = '\0';
}

/* A place is a node, or the file with or without a line (readers cut long names). */
static span_status clean_place(const span_topo *topo, const struct secrets *secrets, char **place)
{
	size_t bytes = strnlen(topo->source_name, 128);
	char text[64];

	if (strncmp(*place, topo->source_name, bytes) == 0) {
		snprintf(text, sizeof(text), "%s%.16s", topo->source_kind, *place + bytes);
		return machine_set_text(place, text);
	}
	/* Notes about the machines of a cluster begin with their files. */
	if (strcmp(topo->source_kind, "cluster") == 0) {
		const char *node = strstr(*place, ": ");

		snprintf(text, sizeof(text), "machine%.48s", node ? node : "");
		return machine_set_text(place, text);
	}
	scrub(secrets, *place);
	return SPAN_OK;
}

static span_status number_name(char **name, const char *kind, int32_t number)
{
	char text[32];

	snprintf(text, sizeof(text), "%s%d", kind, number);
	return machine_set_text(name, text);
}

/* --- GUIDs ------------------------------------------------------------------------------------ */

static int by_value(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return left < right ? -1 : left > right;
}

/* Replace the GUIDs of all nodes by their rank among them, from 1. */
static span_status number_guids(span_topo *topo)
{
	size_t n = 0, used = 0, unique = 0;
	uint64_t *all;

	for (int32_t m = 0; m < topo->n_machines; m++)
		n += (size_t)topo->machines[m]->n_nodes;
	all = malloc((n + 1) * sizeof(*all));
	if (!all)
		return no_memory();
	for (int32_t m = 0; m < topo->n_machines; m++)
		for (int32_t i = 0; i < topo->machines[m]->n_nodes; i++)
			if (topo->machines[m]->nodes[i].guid)
				all[used++] = topo->machines[m]->nodes[i].guid;
	qsort(all, used, sizeof(*all), by_value);
	for (size_t i = 0; i < used; i++)
		if (!i || all[i] != all[i - 1])
			all[unique++] = all[i];
	for (int32_t m = 0; m < topo->n_machines; m++) {
		for (int32_t i = 0; i < topo->machines[m]->n_nodes; i++) {
			uint64_t *guid = &topo->machines[m]->nodes[i].guid, *found;

			if (!*guid)
				continue;
			found = bsearch(guid, all, unique, sizeof(*all), by_value);
			*guid = (uint64_t)(found - all) + 1;
		}
	}
	free(all);
	return SPAN_OK;
}

/* --- all of it -------------------------------------------------------------------------------- */

static span_status clean_machine(const struct secrets *secrets, struct machine *machine)
{
	span_status status = SPAN_OK;

	for (int32_t i = 0; !status && i < machine->n_hosts; i++)
		status = number_name(&machine->host_names[i], "host", i);
	for (int32_t i = 0; i < machine->n_nodes; i++)
		scrub(secrets, machine->nodes[i].name);
	for (int32_t i = 0; i < machine->n_strings; i++)
		scrub(secrets, machine->strings[i]);
	return status;
}

static span_status clean(span_topo *topo, const struct secrets *secrets)
{
	span_status status = SPAN_OK;
	int32_t host = 0;

	for (int32_t i = 0; !status && i < topo->n_machines; i++)
		status = clean_machine(secrets, topo->machines[i]);
	for (int32_t i = 0; !status && i < topo->n_places; i++) {
		int32_t hosts = topo->machines[topo->places[i].machine]->n_hosts;

		if (topo->n_places > 1 && hosts == 1)
			status = number_name(&topo->places[i].name, "host", host);
		host += hosts;
	}
	for (int32_t i = 0; !status && i < topo->n_switches; i++)
		status = number_name(&topo->switches[i].name, "switch", i);
	for (int32_t i = 0; !status && i < topo->n_notes; i++) {
		status = clean_place(topo, secrets, &topo->notes[i].place);
		scrub(secrets, topo->notes[i].text);
	}
	if (!status)
		status = number_guids(topo);
	return status ? status : machine_set_text(&topo->source_name, topo->source_kind);
}

span_status topo_anonymise(span_topo *topo)
{
	struct secrets secrets = { 0 };
	span_status status = find_secrets(topo, &secrets);

	if (!status)
		status = clean(topo, &secrets);
	free_secrets(&secrets);
	return status;
}
