/* What the library complained of while a part of the plugin ran. Private.
 *
 * The log hook is one for the process, and NCCL starts and ends communicators in several threads at
 * once, tuner and profiler of the same library. So who may cause a complaint holds a lock
 * meanwhile: from begin to end others wait. */
#ifndef SPAN_PLUGIN_CAUSE_H
#define SPAN_PLUGIN_CAUSE_H

#define SPAN_CAUSE_BYTES 640

struct span_cause {
	char text[SPAN_CAUSE_BYTES]; /* the last complaint; "" for none */
};

void span_cause_begin(struct span_cause *cause);
void span_cause_end(void);

#endif
