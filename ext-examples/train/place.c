#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "checkpoint.h"
#include "complain.h"
#include "place.h"

static int refuse(const char *option, const char *path, const char *why)
{
	complain("--%s %s: %s", option, path[0] ? path : "''", why);
	return -1;
}

/* Files can be made in the folder of a path, and moved there. */
static int check_folder(const char *option, const char *path)
{
	char *copy = strdup(path), why[256];
	int failed = copy == NULL || access(dirname(copy), W_OK | X_OK) != 0;

	snprintf(why, sizeof why, "its folder: %s", strerror(errno));
	free(copy);
	return failed ? refuse(option, path, why) : 0;
}

/* What stands at a path may be written over: a file, a device, a FIFO; or nothing does. */
static int check_file(const char *option, const char *path)
{
	struct stat status;
	size_t length = strlen(path);

	if (length == 0)
		return refuse(option, path, "the path of a file is accepted");
	if (path[length - 1] == '/')
		return refuse(option, path, strerror(EISDIR));
	if (stat(path, &status) != 0)
		return errno == ENOENT ? check_folder(option, path)
		                       : refuse(option, path, strerror(errno));
	if (S_ISDIR(status.st_mode))
		return refuse(option, path, strerror(EISDIR));
	return access(path, W_OK) == 0 ? 0 : refuse(option, path, strerror(errno));
}

/* A save is moved to its place, which needs no right to write what stands there; but a device
 * would be gone. */
static int check_save(const char *path)
{
	char beside[CHECKPOINT_PATH_MOST];
	struct stat status;

	if (path[0] != 0 && stat(path, &status) == 0 && !S_ISDIR(status.st_mode)) {
		if (!S_ISREG(status.st_mode))
			return refuse("save", path, "a regular file is accepted");
	} else if (check_file("save", path) != 0) {
		return -1;
	}
	if (check_folder("save", path) != 0 || checkpoint_beside(path, beside) != 0)
		return -1;
	return check_file("save", beside);
}

/* Of files, what is written later would take the place of what was written before. */
static int check_apart(const char *first, const char *a, const char *second, const char *b)
{
	struct stat status;

	if (a == NULL || b == NULL || strcmp(a, b) != 0)
		return 0;
	if (stat(a, &status) == 0 && !S_ISREG(status.st_mode))
		return 0;
	complain("--%s and --%s: both are to be written to %s", first, second, a);
	return -1;
}

int places_check(const struct options *options)
{
	if (options->save != NULL && check_save(options->save) != 0)
		return -1;
	if (options->svg != NULL && check_file("svg", options->svg) != 0)
		return -1;
	if (options->json != NULL && check_file("json", options->json) != 0)
		return -1;
	if (check_apart("save", options->save, "svg", options->svg) != 0 ||
	    check_apart("save", options->save, "json", options->json) != 0)
		return -1;
	return check_apart("svg", options->svg, "json", options->json);
}
