/* A log of any kind that fit takes: which kind it is, and who reads it. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/tune/tune.h"
#include "topo/log.h"

enum { FIRST_ROOM = 1 << 16,
       JSON_BYTES = 256 << 20 }; /* every iteration of every rank can be in it (-I) */

/* By the first byte that is no blank; standard input can be looked at one byte deep only. */
static bool is_json(FILE *file)
{
	int c = getc(file);

	if (file == stdin) {
		ungetc(c, file);
		return c == '{';
	}
	while (isspace(c))
		c = getc(file);
	rewind(file);
	return c == '{';
}

/* All of a file; the caller frees *text, also after a failure. */
static span_status read_whole(FILE *file, const char *path, char **text, size_t *bytes)
{
	size_t room = 0;

	for (*bytes = 0; !feof(file) && !ferror(file);) {
		if (*bytes == room) {
			char *more;

			room = room ? 2 * room : FIRST_ROOM;
			if (room > JSON_BYTES)
				return span_fail(SPAN_EPARSE, "%s: JSON of more than %d bytes", path,
				                 JSON_BYTES);
			more = realloc(*text, room);
			if (!more)
				return span_fail(SPAN_ENOMEM, "%s: no memory for %zu bytes", path,
				                 room);
			*text = more;
		}
		*bytes += fread(*text + *bytes, 1, room - *bytes, file);
	}
	return ferror(file) ? span_fail(SPAN_EIO, "%s: %s", path, strerror(errno)) : SPAN_OK;
}

static span_status read_json(FILE *file, const char *path, const span_nccl_log_options *said,
                             span_nccl_log *log, span_profile *profile)
{
	char *text = NULL;
	size_t bytes;
	span_status status = read_whole(file, path, &text, &bytes);

	if (!status)
		status = span_nccl_log_read_json(text, bytes, path, said, log);
	if (status == SPAN_EUNSUPPORTED)
		status = tune_read_nvbandwidth(text, bytes, path, profile);
	free(text);
	return status;
}

span_status tune_read_log(const char *path, const span_nccl_log_options *said, span_nccl_log *log,
                          span_profile *profile)
{
	FILE *file = strcmp(path, "-") ? fopen(path, "re") : stdin;
	span_status status;

	memset(log, 0, sizeof(*log));
	if (!file)
		return span_fail(SPAN_EIO, "%s: %s", path, strerror(errno));
	status = is_json(file) ? read_json(file, path, said, log, profile)
	                       : span_nccl_log_read(file, path, said, log);
	if (file != stdin)
		fclose(file);
	return status;
}
