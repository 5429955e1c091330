/* Status codes as text, the log hook, and the version. */
#include "topo/span_status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "topo/log.h"

/* Room for a message with a path in it; a longer one ends in "...". */
#define MESSAGE_BYTES 512

#define TEXT_OF(x)                        #x
#define VERSION_TEXT(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

/* The log hook of the process: one of the few mutable globals, see span_set_log. */
static struct {
	span_log_function *function;
	void *user;
} hook;

int span_version(void)
{
	return SPAN_VERSION_MAJOR * 10000 + SPAN_VERSION_MINOR * 100 + SPAN_VERSION_PATCH;
}

const char *span_version_string(void)
{
	return VERSION_TEXT(SPAN_VERSION_MAJOR, SPAN_VERSION_MINOR, SPAN_VERSION_PATCH);
}

const char *span_strerror(span_status status)
{
	switch (status) {
	case SPAN_OK:
		return "success";
	case SPAN_EINVAL:
		return "invalid argument";
	case SPAN_ENOMEM:
		return "out of memory";
	case SPAN_EPARSE:
		return "malformed file";
	case SPAN_ECOMM:
		return "communication failed";
	case SPAN_EUNSUPPORTED:
		return "not supported";
	case SPAN_ETIMEOUT:
		return "deadline passed";
	case SPAN_EINTEGRITY:
		return "data is corrupt";
	case SPAN_EIO:
		return "input or output failed";
	}
	return "unknown status";
}

void span_set_log(span_log_function *log, void *user)
{
	hook.function = log;
	hook.user = user;
}

/* Make one line of what a caller's names may have brought in. */
static void flatten(char *message)
{
	for (char *c = message; *c; c++)
		if ((unsigned char)*c < ' ')
			*c = ' ';
}

span_status span_fail(span_status status, const char *format, ...)
{
	char message[MESSAGE_BYTES];
	va_list arguments;

	if (!hook.function)
		return status;
	va_start(arguments, format);
	int n = vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	if (n < 0)
		snprintf(message, sizeof(message), "%s", format);
	else if ((size_t)n >= sizeof(message))
		memcpy(message + sizeof(message) - 4, "...", 4);
	flatten(message);
	hook.function(hook.user, status, message);
	return status;
}
