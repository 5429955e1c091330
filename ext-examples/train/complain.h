/* Saying what went wrong, on stderr, as "train: ...". */
#ifndef TRAIN_COMPLAIN_H
#define TRAIN_COMPLAIN_H

__attribute__((format(printf, 1, 2)))
void complain(const char *format, ...);

/* Let the library's messages appear the same way. */
void complain_for_library(void);

#endif
