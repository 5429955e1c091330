/* Reading a machine or cluster in one line of words; the words are in synthetic.h. */
#include "topo/read/synthetic.h"

#include <stdlib.h>
#include <string.h>

#include "topo/graph/link_speed.h"
#include "topo/log.h"
#include "topo/read/lines.h"

enum value_type { VALUE_COUNT, VALUE_BANDWIDTH, VALUE_RATIO, VALUE_PCIE, VALUE_LATENCY,
	          VALUE_SWITCH };

static const struct key {
	const char *name;
	enum value_type type;
	size_t offset;
	int32_t low, high;   /* VALUE_COUNT */
	bool may_be_none;    /* VALUE_BANDWIDTH */
} keys[N_SYNTHETIC_KEYS] = {
	[KEY_NODES] = { "nodes", VALUE_COUNT, offsetof(struct synthetic, nodes), 1, 65536, 0 },
	[KEY_GPUS] = { "gpus", VALUE_COUNT, offsetof(struct synthetic, gpus), 0, 64, 0 },
	[KEY_NVLINK] = { "nvlink", VALUE_BANDWIDTH, offsetof(struct synthetic, nvlink), 0, 0, 1 },
	[KEY_NVSWITCH] = { "nvswitch", VALUE_SWITCH, offsetof(struct synthetic, mesh), 0, 0, 0 },
	[KEY_XGMI] = { "xgmi", VALUE_BANDWIDTH, offsetof(struct synthetic, xgmi), 0, 0, 1 },
	[KEY_SOCKETS] = { "sockets", VALUE_COUNT, offsetof(struct synthetic, sockets), 1, 16, 0 },
	[KEY_SOCKET] = { "socket", VALUE_BANDWIDTH, offsetof(struct synthetic, socket), 0, 0, 0 },
	[KEY_SWITCHES] = { "switches", VALUE_COUNT, offsetof(struct synthetic, switches), 0, 64, 0 },
	[KEY_PCIE] = { "pcie", VALUE_PCIE, offsetof(struct synthetic, pcie), 0, 0, 0 },
	[KEY_NICS] = { "nics", VALUE_COUNT, offsetof(struct synthetic, nics), 0, 64, 0 },
	[KEY_NIC] = { "nic", VALUE_BANDWIDTH, offsetof(struct synthetic, nic), 0, 0, 0 },
	[KEY_LATENCY] = { "latency", VALUE_LATENCY, offsetof(struct synthetic, latency), 0, 0, 0 },
	[KEY_LEAF] = { "leaf", VALUE_COUNT, offsetof(struct synthetic, leaf), 1, 65536, 0 },
	[KEY_OVERSUBSCRIPTION] = { "oversubscription", VALUE_RATIO,
	                           offsetof(struct synthetic, leaf_ratio), 0, 0, 0 },
	[KEY_POD] = { "pod", VALUE_COUNT, offsetof(struct synthetic, pod), 1, 65536, 0 },
	[KEY_POD_OVERSUBSCRIPTION] = { "pod-oversubscription", VALUE_RATIO,
	                               offsetof(struct synthetic, pod_ratio), 0, 0, 0 },
};

static void *field(struct synthetic *synthetic, const struct key *key)
{
	return (char *)synthetic + key->offset;
}

/* --- values ----------------------------------------------------------------------------------- */

/* "gen5", "gen5x8", or a bandwidth. */
static bool parse_pcie(const char *text, double *bandwidth)
{
	static const double rates[] = { 2.5, 5, 8, 16, 32, 64 };
	int32_t width = 16;

	if (strncmp(text, "gen", 3) != 0)
		return text_bandwidth(text, bandwidth);
	text += 3;
	if (*text < '1' || *text > '6' || (text[1] && text[1] != 'x'))
		return false;
	if (text[1] && (!text_number(text + 2, 1, 16, &width) || (width & (width - 1))))
		return false;
	*bandwidth = pcie_bandwidth(rates[*text - '1'], width);
	return true;
}

static bool parse_latency(const char *text, double *seconds)
{
	char digits[16], *unit;
	size_t n = strspn(text, "0123456789.");
	double value;

	if (!n || n >= sizeof(digits))
		return false;
	memcpy(digits, text, n);
	digits[n] = '\0';
	value = strtod(digits, &unit);
	if (*unit)
		return false;
	if (strcmp(text + n, "us") == 0)
		*seconds = value * 1e-6;
	else if (strcmp(text + n, "ns") == 0)
		*seconds = value * 1e-9;
	else
		return false;
	return *seconds < 1;
}

static bool parse_value(const struct key *key, const char *text, void *value)
{
	switch (key->type) {
	case VALUE_COUNT:
		return text_number(text, key->low, key->high, value);
	case VALUE_BANDWIDTH:
		if (key->may_be_none && strcmp(text, "none") == 0) {
			*(double *)value = 0;
			return true;
		}
		return text_bandwidth(text, value);
	case VALUE_RATIO:
		return text_ratio(text, value);
	case VALUE_PCIE:
		return parse_pcie(text, value);
	case VALUE_LATENCY:
		return parse_latency(text, value);
	case VALUE_SWITCH:
		*(bool *)value = strcmp(text, "mesh") == 0;
		return *(bool *)value || strcmp(text, "yes") == 0;
	}
	return false;
}

static span_status value_error(const struct lines *lines, const struct key *key, const char *text)
{
	static const char *const expected[] = {
		[VALUE_BANDWIDTH] = "a bandwidth such as 450GB/s or 400Gb/s",
		[VALUE_RATIO] = "down to up, such as 4:1",
		[VALUE_PCIE] = "gen1 to gen6, gen5x8 and the like, or a bandwidth",
		[VALUE_LATENCY] = "a time below a second such as 2us or 900ns",
		[VALUE_SWITCH] = "yes or mesh",
	};

	if (key->type == VALUE_COUNT)
		return lines_fail(lines, "\"%s:%.40s\"; expected a number from %d to %d", key->name,
		                  text, key->low, key->high);
	return lines_fail(lines, "\"%s:%.40s\"; expected %s%s", key->name, text,
	                  expected[key->type], key->may_be_none ? ", or none" : "");
}

/* --- words ------------------------------------------------------------------------------------ */

static span_status unknown_word(const struct lines *lines, const char *word)
{
	char list[256] = "";

	for (int k = 0; k < N_SYNTHETIC_KEYS; k++) {
		strcat(list, k ? ", " : "");
		strcat(list, keys[k].name);
	}
	return lines_fail(lines, "\"%.40s\"; expected KEY:VALUE with one of the keys %s", word, list);
}

static span_status parse_word(const struct lines *lines, char *word, struct synthetic *synthetic)
{
	const char *colon = strchr(word, ':');
	int k;

	for (k = 0; colon && k < N_SYNTHETIC_KEYS; k++)
		if (strlen(keys[k].name) == (size_t)(colon - word) &&
		    strncmp(keys[k].name, word, (size_t)(colon - word)) == 0)
			break;
	if (!colon || k == N_SYNTHETIC_KEYS)
		return unknown_word(lines, word);
	if (synthetic->said & 1u << k)
		return lines_fail(lines, "\"%.40s\"; \"%s\" was said before", word, keys[k].name);
	synthetic->said |= 1u << k;
	if (!parse_value(&keys[k], colon + 1, field(synthetic, &keys[k])))
		return value_error(lines, &keys[k], colon + 1);
	return SPAN_OK;
}

/* "synthetic:" stands before the first word, or alone. */
static char *skip_prefix(char *word)
{
	return strncmp(word, "synthetic:", 10) == 0 ? word + 10 : word;
}

static span_status parse_words(struct lines *lines, struct synthetic *synthetic)
{
	bool more = true, first = true;
	span_status status = lines_next_words(lines, &more);

	while (!status && more) {
		for (int32_t i = 0; !status && i < lines->n_words; i++) {
			char *word = first ? skip_prefix(lines->words[i]) : lines->words[i];

			first = false;
			if (*word)
				status = parse_word(lines, word, synthetic);
		}
		if (!status)
			status = lines_next_words(lines, &more);
	}
	return status;
}

/* --- what was left out ------------------------------------------------------------------------ */

static bool said(const struct synthetic *synthetic, enum synthetic_key key)
{
	return synthetic->said & 1u << key;
}

static void complete(struct synthetic *synthetic)
{
	if (!said(synthetic, KEY_NVLINK) && synthetic->xgmi > 0)
		synthetic->nvlink = 0;
	if (!said(synthetic, KEY_SWITCHES))
		synthetic->switches = (synthetic->gpus + 1) / 2;
	if (!said(synthetic, KEY_NICS))
		synthetic->nics = synthetic->gpus;
}

/* All but the one above all. */
static int32_t switches_of(const struct synthetic *synthetic)
{
	int32_t leaves = 0, pods = 0;

	if (synthetic->leaf)
		leaves = (synthetic->nodes + synthetic->leaf - 1) / synthetic->leaf;
	if (synthetic->pod)
		pods = (leaves + synthetic->pod - 1) / synthetic->pod;
	return leaves + pods;
}

static span_status check(const struct lines *lines, const struct synthetic *synthetic)
{
	if (synthetic->nvlink > 0 && synthetic->xgmi > 0)
		return lines_fail(lines, "both nvlink and xgmi; GPUs have one of them");
	if (said(synthetic, KEY_OVERSUBSCRIPTION) && !said(synthetic, KEY_LEAF))
		return lines_fail(lines, "oversubscription without leaf; say how many hosts are on a "
		                  "leaf switch: leaf:16");
	if (said(synthetic, KEY_POD) && !said(synthetic, KEY_LEAF))
		return lines_fail(lines, "pod without leaf; say how many hosts are on a leaf switch: "
		                  "leaf:16");
	if (switches_of(synthetic) >= GRAPH_MAX_SWITCHES)
		return lines_fail(lines, "%d leaf switches and spines; at most %d are read",
		                  switches_of(synthetic), GRAPH_MAX_SWITCHES - 1);
	if (said(synthetic, KEY_POD_OVERSUBSCRIPTION) && !said(synthetic, KEY_POD))
		return lines_fail(lines, "pod-oversubscription without pod; say how many leaf "
		                  "switches are under a spine: pod:8");
	return SPAN_OK;
}

span_status synthetic_parse(const struct source *source, struct synthetic *synthetic)
{
	struct lines *lines = malloc(sizeof(*lines));
	span_status status;

	if (!lines)
		return span_fail(SPAN_ENOMEM, "%.128s: no memory for its words", source->name);
	*synthetic = (struct synthetic){ .nodes = 1, .gpus = 8, .sockets = 2, .nvlink = 450e9,
		                         .socket = socket_bandwidth(ARCH_X86, VENDOR_INTEL, 6, 0x8f),
		                         .pcie = pcie_bandwidth(32, 16), .nic = 50e9,
		                         .leaf_ratio = 1, .pod_ratio = 1 };
	lines_begin(lines, source);
	lines->comments = true;
	status = parse_words(lines, synthetic);
	if (!status)
		complete(synthetic);
	if (!status)
		status = check(lines, synthetic);
	free(lines);
	return status;
}

span_status read_synthetic(const struct source *source, span_topo **topo)
{
	struct synthetic synthetic;
	span_status status = synthetic_parse(source, &synthetic);

	if (!status)
		status = topo_create("synthetic", source->name, source->as_nccl, topo);
	return status ? status : synthetic_graph(&synthetic, *topo);
}
