/* Loading a topology: where the text comes from, which reader it is for. */
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"
#include "topo/read/reader.h"

static bool wants_nccl(const span_topo_options *options)
{
	return options && options->as_nccl;
}

span_status source_read(const struct source *source, span_topo **topo)
{
	span_status refused = SPAN_EPARSE;

	switch (source_recognise(source, &refused)) {
	case SOURCE_HWLOC_XML:
		return read_hwloc_xml(source, topo);
	case SOURCE_HWLOC_XML3:
		return read_hwloc_xml3(source, topo);
	case SOURCE_NCCL_XML:
	case SOURCE_RCCL_XML:
		return read_nccl_xml(source, topo);
	case SOURCE_NVIDIA_SMI:
		return read_nvidia_smi(source, topo);
	case SOURCE_ROCM_SMI:
		return read_rocm_smi(source, topo);
	case SOURCE_SYNTHETIC:
		return read_synthetic(source, topo);
	case SOURCE_CLUSTER:
		return read_cluster(source, topo);
	case SOURCE_JSON:
		return read_topo_json(source, topo);
	case SOURCE_REFUSED:
		break;
	}
	return refused;
}

static span_status finish(span_status status, span_topo *made, span_topo **topo)
{
	if (!status)
		status = topo_finish(made);
	if (status)
		span_topo_free(made);
	else
		*topo = made;
	return status;
}

static span_status parse_text(const char *text, size_t bytes, const char *name,
                              const span_topo_options *options, span_topo **topo)
{
	struct source source = { .name = name, .bytes = bytes, .as_nccl = wants_nccl(options) };
	span_topo *made = NULL;
	span_status status;
	char *copy;

	if (!text || !name || !topo)
		return span_fail(SPAN_EINVAL, "topology: text, name or topo is NULL");
	if (bytes > READER_MAX_BYTES)
		return span_fail(SPAN_EPARSE, "%s: larger than %u bytes, which no topology is", name,
		                 READER_MAX_BYTES);
	copy = malloc(bytes + 1); /* readers may look at the 0 behind the text */
	if (!copy)
		return span_fail(SPAN_ENOMEM, "%s: no memory for its text", name);
	memcpy(copy, text, bytes);
	copy[bytes] = 0;
	source.text = copy;
	status = source_read(&source, &made);
	free(copy);
	return finish(status, made, topo);
}

span_status source_slurp(FILE *file, const char *name, char **text, size_t *bytes)
{
	size_t room = 1 << 16, used = 0;
	char *buffer = malloc(room), *grown;

	while (buffer && used <= READER_MAX_BYTES) {
		size_t got = fread(buffer + used, 1, room - used, file);

		used += got;
		if (used < room)
			break;
		room *= 2;
		grown = realloc(buffer, room);
		if (!grown) {
			free(buffer);
			buffer = NULL;
		} else {
			buffer = grown;
		}
	}
	if (!buffer)
		return span_fail(SPAN_ENOMEM, "%s: no memory for its text", name);
	if (ferror(file)) {
		free(buffer);
		return span_fail(SPAN_EIO, "%s: %s; a topology source is a file that can be read",
		                 name, strerror(errno));
	}
	if (used > READER_MAX_BYTES) {
		free(buffer);
		return span_fail(SPAN_EPARSE, "%s: larger than %u bytes, which no topology is", name,
		                 READER_MAX_BYTES);
	}
	buffer[used] = '\0'; /* there is room: reading ends where some is left */
	*text = buffer;
	*bytes = used;
	return SPAN_OK;
}

static span_status load_file(const char *path, const span_topo_options *options,
                             span_topo **topo)
{
	bool standard = strcmp(path, "-") == 0;
	FILE *file = standard ? stdin : fopen(path, "re");
	const char *name = standard ? "standard input" : path;
	char *text = NULL;
	size_t bytes = 0;
	span_status status;

	if (!file)
		return span_fail(SPAN_EIO, "%s: %s; a topology source is a file, \"-\", \"host\" or "
		                 "\"synthetic:...\"", path, strerror(errno));
	status = source_slurp(file, name, &text, &bytes);
	if (!standard)
		fclose(file);
	if (!status)
		status = parse_text(text, bytes, name, options, topo);
	free(text);
	return status;
}

static span_status load_source(const char *source, const span_topo_options *options,
                               span_topo **topo)
{
	span_topo *made = NULL;
	span_status status;

	if (!topo)
		return span_fail(SPAN_EINVAL, "topology: topo is NULL");
	if (!source || strcmp(source, "host") == 0) {
		status = read_host(wants_nccl(options), &made);
		return finish(status, made, topo);
	}
	if (strncmp(source, "synthetic:", 10) == 0)
		return parse_text(source, strlen(source), source, options, topo);
	return load_file(source, options, topo);
}

static span_status check_options(const span_topo_options *options)
{
	if (!options || options->size == sizeof(*options))
		return SPAN_OK;
	return span_fail(SPAN_EINVAL,
	                 "topology: options->size is %zu; this library knows options of %zu bytes",
	                 options->size, sizeof(*options));
}

/* --- in the caller's locale ----------------------------------------------------------------- */

/* Sources have a point in their numbers, and the caller's locale may have a comma. The locale of this
 * thread alone is another one while a source is read. */
static span_status begin_plain(locale_t *plain, locale_t *before)
{
	*plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	if (!*plain)
		return span_fail(SPAN_ENOMEM, "topology: no memory for a locale");
	*before = uselocale(*plain);
	return SPAN_OK;
}

static void end_plain(locale_t plain, locale_t before)
{
	uselocale(before);
	freelocale(plain);
}

span_status span_topo_parse(const char *text, size_t bytes, const char *name,
                            const span_topo_options *options, span_topo **topo)
{
	locale_t plain, before = (locale_t)0;
	span_status status = check_options(options);

	if (!status)
		status = begin_plain(&plain, &before);
	if (status)
		return status;
	status = parse_text(text, bytes, name, options, topo);
	end_plain(plain, before);
	return status;
}

span_status span_topo_load(const char *source, const span_topo_options *options,
                           span_topo **topo)
{
	locale_t plain, before = (locale_t)0;
	span_status status = check_options(options);

	if (!status)
		status = begin_plain(&plain, &before);
	if (status)
		return status;
	status = load_source(source, options, topo);
	end_plain(plain, before);
	return status;
}
