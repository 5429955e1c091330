/* The log hook, held by one thread at a time. */
#include "plugin/cause.h"

#include <pthread.h>
#include <stdio.h>

#include "topo/span_status.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void keep(void *user, span_status status, const char *message)
{
	struct span_cause *cause = user;

	(void)status;
	snprintf(cause->text, sizeof(cause->text), "%s", message);
}

void span_cause_begin(struct span_cause *cause)
{
	pthread_mutex_lock(&lock);
	cause->text[0] = '\0';
	span_set_log(keep, cause);
}

void span_cause_end(void)
{
	span_set_log(NULL, NULL);
	pthread_mutex_unlock(&lock);
}
