#include "tests/attention/messages.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "topo/span_status.h"

enum { MOST = 512, LENGTH = 256 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char said[MOST][LENGTH];
static int count;

static void collect(void *user, span_status status, const char *message)
{
	(void)user;
	(void)status;
	pthread_mutex_lock(&lock);
	if (count < MOST)
		snprintf(said[count++], LENGTH, "%s", message);
	pthread_mutex_unlock(&lock);
}

void messages_collect(void)
{
	pthread_mutex_lock(&lock);
	count = 0;
	pthread_mutex_unlock(&lock);
	span_set_log(collect, NULL);
}

int messages_with(const char *part)
{
	int i, found = 0;

	pthread_mutex_lock(&lock);
	for (i = 0; i < count; i++)
		found += strstr(said[i], part) != NULL;
	pthread_mutex_unlock(&lock);
	return found;
}

const char *messages_first(void)
{
	return count > 0 ? said[0] : "";
}
