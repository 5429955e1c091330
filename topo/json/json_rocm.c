/* The JSON of `rocm-smi --showtopo --json`:
 *
 *     {"system": {"(Topology) Link type between DRM devices 0 and 1": "XGMI",
 *                 "(Topology) Hops between DRM devices 0 and 1": "1", ...},
 *      "card0": {"(Topology) Numa Node": "0", ...}, ...}
 *
 * Of each pair one direction is there. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "topo/log.h"
#include "topo/read/lines.h"
#include "topo/read/rocm.h"

static span_status add_card(const struct source *source, struct rocm_topology *rocm,
                            const char *key, json_t *card)
{
	const char *numa = json_string_value(json_object_get(card, "(Topology) Numa Node"));
	int32_t gpu;

	if (strncmp(key, "card", 4) != 0 || !text_number(key + 4, 0, 9999, &gpu))
		return SPAN_OK;
	if (rocm_find(rocm, gpu) >= 0)
		return SPAN_OK;
	if (rocm->n == ROCM_MAX_GPUS)
		return span_fail(SPAN_EPARSE, "%.128s: more than %d cards", source->name,
		                 ROCM_MAX_GPUS);
	rocm->numa[rocm->n] = -1;
	if (numa && !text_number(numa, -1, INT32_MAX, &rocm->numa[rocm->n]))
		return span_fail(SPAN_EPARSE, "%.128s: the NUMA node of %.40s is \"%.40s\"; expected "
		                 "a number", source->name, key, numa);
	rocm->gpu[rocm->n++] = gpu;
	return SPAN_OK;
}

/* The places of the two GPUs at the end of a key, "... devices 0 and 1". */
static bool find_pair(const struct rocm_topology *rocm, const char *key, int32_t *a, int32_t *b)
{
	const char *devices = strstr(key, "between DRM devices ");
	int first, second, used = 0;

	if (!devices ||
	    sscanf(devices, "between DRM devices %5d and %5d%n", &first, &second, &used) != 2 ||
	    devices[used])
		return false;
	*a = rocm_find(rocm, first);
	*b = rocm_find(rocm, second);
	return *a >= 0 && *b >= 0 && *a != *b;
}

static span_status add_pair(const struct source *source, struct rocm_topology *rocm,
                            const char *key, const char *value)
{
	int32_t a, b, hops;

	if (!value || !find_pair(rocm, key, &a, &b))
		return SPAN_OK;
	if (strstr(key, "Link type")) {
		rocm->link[a][b] = rocm->link[b][a] = (uint8_t)rocm_link_of(value);
	} else if (strstr(key, "Hops")) {
		if (!text_number(value, 0, 255, &hops))
			return span_fail(SPAN_EPARSE, "%.128s: \"%.60s\" is \"%.40s\"; expected a "
			                 "number", source->name, key, value);
		rocm->hops[a][b] = rocm->hops[b][a] = (uint8_t)hops;
	}
	return SPAN_OK;
}

static span_status parse(const struct source *source, json_t *root, struct rocm_topology *rocm)
{
	json_t *system = json_object_get(root, "system"), *item;
	const char *key;
	bool any = false;
	span_status status = SPAN_OK;

	json_object_foreach(root, key, item)
	{
		status = add_card(source, rocm, key, item);
		if (status)
			return status;
	}
	json_object_foreach(system, key, item)
	{
		any |= strstr(key, "Link type") != NULL;
		status = add_pair(source, rocm, key, json_string_value(item));
		if (status)
			return status;
	}
	if (!rocm->n || (rocm->n > 1 && !any))
		return span_fail(SPAN_EPARSE, "%.128s: no cards with links between them; run "
		                 "\"rocm-smi --showtopo --json\"", source->name);
	return SPAN_OK;
}

span_status rocm_parse_json(const struct source *source, struct rocm_topology *rocm)
{
	json_error_t error;
	json_t *root = json_loadb(source->text, source->bytes, 0, &error);
	span_status status;

	if (!root)
		return span_fail(SPAN_EPARSE, "%.128s:%d: %.160s; expected the JSON of \"rocm-smi "
		                 "--showtopo --json\"", source->name, error.line, error.text);
	status = parse(source, root, rocm);
	json_decref(root);
	return status;
}
