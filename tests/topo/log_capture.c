/* A log hook that keeps the last message. One thread at a time. */
#include "tests/topo/log_capture.h"

#include <stdio.h>

static struct {
	char message[1024];
	span_status status;
	int count;
} last;

static void keep(void *user, span_status status, const char *message)
{
	(void)user;
	snprintf(last.message, sizeof(last.message), "%s", message);
	last.status = status;
	last.count++;
}

void log_capture(void)
{
	last.message[0] = '\0';
	last.status = SPAN_OK;
	last.count = 0;
	span_set_log(keep, NULL);
}

const char *log_captured(void)
{
	return last.message;
}

int log_captured_count(void)
{
	return last.count;
}

span_status log_captured_status(void)
{
	return last.status;
}
