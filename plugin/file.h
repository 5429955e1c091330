/* Opening a file that a job's environment names. Private. */
#ifndef SPAN_PLUGIN_FILE_H
#define SPAN_PLUGIN_FILE_H

#include <stdio.h>

#include "topo/span_status.h"

/* Open a file for reading, and never wait for it: a job's start would hang on a pipe nobody writes.
 * Messages begin with `what` and the path. SPAN_EIO, and *file NULL, for a file that cannot be
 * opened and for what is neither a regular file nor a device such as /dev/null. */
span_status span_file_open(const char *what, const char *path, FILE **file);

#endif
