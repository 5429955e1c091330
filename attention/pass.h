/* One pass, forward or backward, while it runs: what it counts, how it waits and sends, and
 * what happens when that fails. Private. */
#ifndef SPAN_PASS_H
#define SPAN_PASS_H

#include "attention/op.h"

/* Begin to count into `pass`; the caller's floating-point mode is kept in mode. */
void span_pass_begin(span_attention *op, span_pass_statistics *pass, span_fp_mode *mode);

/* Add up what the threads counted, restore the mode, and hold the pairs against the mask: returns
 * `status`, or SPAN_EINTEGRITY where it was SPAN_OK, which aborts the transport. `name` is used in
 * the message. */
span_status span_pass_end(span_attention *op, const span_fp_mode *mode, const char *name,
                          span_status status);

/* Count, once for all heads, what waits for a row after an arrival. */
void span_pass_count(int32_t *waiting, int64_t *most, const span_row_arrival *arrival);

/* Wait for a token; the time counts as exposed. A failure is named and aborts the transport. */
span_status span_pass_wait(span_attention *op, span_token token, span_message *message,
                           const char *what);

/* The same of a receive into `buffer` that is read once: *data is where the bytes are until
 * span_pass_release. Where the transport cannot lend them that is buffer. */
span_status span_pass_wait_in_place(span_attention *op, span_token token, span_message *message,
                                    const char *what, const void *buffer, const void **data);
void span_pass_release(span_attention *op, span_token token);

/* Send, counting bytes by tier; fills in origin and epoch. */
span_status span_pass_send(span_attention *op, int32_t to, span_message *message,
                           const void *data, span_token *token);

/* Hold the header that arrived, and the digest of its data, against what was due; `what` names
 * the tensors. */
span_status span_pass_check(span_attention *op, const span_message *got,
                            const span_message *due, uint64_t digest, const char *what);

/* Abort the transport because of status; returns it. */
span_status span_pass_give_up(span_attention *op, span_status status);

#endif
