/* Everything the library says, from any thread, for tests in which several ranks speak. */
#ifndef TESTS_MESSAGES_H
#define TESTS_MESSAGES_H

/* Collect messages from now on, and forget those before. */
void messages_collect(void);

/* How many of the messages contain `part`; "" counts all. */
int messages_with(const char *part);

/* The first message, "" when there was none: the cause, before what followed from it. Not
 * while ranks may still speak. */
const char *messages_first(void);

#endif
