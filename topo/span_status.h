/* What every other header of SPAN needs: status codes, the log hook, the version.
 *
 * Error convention, stated once for the whole library: a function that can fail returns
 * span_status and hands results out through its last arguments. When an argument is wrong
 * the results are untouched; after SPAN_ECOMM, SPAN_ETIMEOUT or SPAN_EINTEGRITY outputs are
 * undefined. The cause is named once, through the log hook, where it was noticed. */
#ifndef SPAN_STATUS_H
#define SPAN_STATUS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SPAN_API __attribute__((visibility("default")))
#else
#define SPAN_API
#endif

/* The version of the headers. Within one major version the library keeps its ABI; before 1.0 a
 * minor version may break it, and the soname says which one it is. Functions and enum values are
 * only added. Structs that begin with a size field grow at their end: span_topo_options,
 * span_order_options, span_cost_cluster, span_cost_work, span_attention_options,
 * span_attention_statistics, span_block and span_transport; span_mask has its room already.
 *
 * There has been one version of each so far, and exactly its size is accepted: any other is
 * SPAN_EINVAL, and the message says which argument has it (a mask of size 0 in
 * span_attention_options is a full one). Only span_transport and span_attention_statistics may be
 * larger: what the library does not know of them it leaves alone. Later versions will accept the
 * sizes of the earlier ones. A library that is older than its caller refuses options that have
 * grown, so that none is passed over.
 *
 * All other structs have no size field (span_topo_node, span_topo_link, span_topo_path,
 * span_topo_note, span_ring_figures, span_ring_report, span_ring_crossings, span_cost,
 * span_gather_candidate, span_gather_choice, span_order_transfer, span_order_step, span_number,
 * span_knot, span_curve, span_tensor, span_partial, span_message, span_token,
 * span_pass_statistics): they change with the soname alone. */
#define SPAN_VERSION_MAJOR 0
#define SPAN_VERSION_MINOR 1
#define SPAN_VERSION_PATCH 0

/* The version of the library that is running, as MAJOR * 10000 + MINOR * 100 + PATCH. */
SPAN_API int span_version(void);

/* The same as text, such as "0.1.0". */
SPAN_API const char *span_version_string(void);

/* Numbers are never reused. */
typedef enum {
	SPAN_OK = 0,
	SPAN_EINVAL = -1,        /* an argument is wrong; the message names it */
	SPAN_ENOMEM = -2,        /* memory could not be had */
	SPAN_EPARSE = -3,        /* a file is malformed; the message names the line */
	SPAN_ECOMM = -4,         /* a peer died or a transport failed */
	SPAN_EUNSUPPORTED = -5,  /* well formed, but not offered; the message says what is */
	SPAN_ETIMEOUT = -6,      /* a peer did not answer before the deadline */
	SPAN_EINTEGRITY = -7,    /* data arrived that cannot be right */
	SPAN_EIO = -8            /* the operating system refused to read or write */
} span_status;

/* A short English description of a status, never NULL. */
SPAN_API const char *span_strerror(span_status status);

/* Receives the cause of a failure: one line of text, no newline at its end. May be called
 * from any thread, several at once; the text is valid only during the call. */
typedef void span_log_function(void *user, span_status status, const char *message);

/* Install the log hook of the process. NULL (the initial state) drops messages; the library
 * itself never prints. Call it before other threads use the library. */
SPAN_API void span_set_log(span_log_function *log, void *user);

#ifdef __cplusplus
}
#endif
#endif
