/* Opening a file that a job's environment names. */
#include "plugin/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "topo/log.h"

span_status span_file_open(const char *what, const char *path, FILE **file)
{
	int opened = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat status;

	*file = NULL;
	if (opened < 0)
		return span_fail(SPAN_EIO, "%s%.300s: %s", what, path, strerror(errno));
	if (fstat(opened, &status) || (!S_ISREG(status.st_mode) && !S_ISCHR(status.st_mode))) {
		close(opened);
		return span_fail(SPAN_EIO, "%s%.300s: not a regular file", what, path);
	}
	*file = fdopen(opened, "r");
	if (*file)
		return SPAN_OK;
	close(opened);
	return span_fail(SPAN_EIO, "%s%.300s: %s", what, path, strerror(errno));
}
