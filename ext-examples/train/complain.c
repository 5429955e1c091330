#include <stdarg.h>
#include <stdio.h>
#include "complain.h"
#include "topo/span_status.h"

/* One line is one call of fprintf, so that lines of several threads do not mix. */
void complain(const char *format, ...)
{
	char line[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	fprintf(stderr, "train: %s\n", line);
}

static void library_message(void *user, span_status status, const char *message)
{
	(void)user;
	complain("%s (%s)", message, span_strerror(status));
}

void complain_for_library(void)
{
	span_set_log(library_message, NULL);
}
