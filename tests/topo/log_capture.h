/* What the library last said, for tests of its messages. */
#ifndef TESTS_LOG_CAPTURE_H
#define TESTS_LOG_CAPTURE_H

#include "topo/span_status.h"

/* Catch messages from now on, and forget those before. */
void log_capture(void);

/* The last message, "" when there was none; and how many there were. */
const char *log_captured(void);
int log_captured_count(void);
span_status log_captured_status(void);

#endif
