/* Profiles: what a machine was measured to do, as numbers with their sources.
 *
 * One text format (topo/nccl/README.md, "Profiles as text") holds
 *   - sources: where numbers come from, a line of text each;
 *   - numbers: machine and NCCL constants by name, such as "nccl.hw.net.ring.ll";
 *   - curves: the time of one collective over bytes, for one count of ranks and nodes and one
 *     algorithm and protocol, as a handful of knots.
 * Every number and curve names its source and how far it is to be trusted: `spread`, a
 * relative deviation (0.03: within 3% two times out of three), and `samples`, how many
 * measurements stand behind it. 0 samples is a constant taken from elsewhere as it stands.
 *
 * Loading allocates; queries do not. Distinct threads may query one profile at once. Units of
 * NCCL throughout: microseconds and bytes; bandwidths are 1e9 bytes a second. */
#ifndef SPAN_PROFILE_H
#define SPAN_PROFILE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "topo/span_status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Collectives, algorithms and protocols, numbered as NCCL's plugin interfaces number them. */
typedef enum {
	SPAN_COLL_BROADCAST = 0, SPAN_COLL_REDUCE = 1, SPAN_COLL_ALL_GATHER = 2,
	SPAN_COLL_REDUCE_SCATTER = 3, SPAN_COLL_ALL_REDUCE = 4,
	SPAN_COLLS = 5
} span_coll;

typedef enum {
	SPAN_ALGO_ANY = -1, /* whatever NCCL chose; no log says which */
	SPAN_ALGO_TREE = 0, SPAN_ALGO_RING = 1,
	SPAN_ALGO_COLLNET_DIRECT = 2, SPAN_ALGO_COLLNET_CHAIN = 3,
	SPAN_ALGO_NVLS = 4, SPAN_ALGO_NVLS_TREE = 5, SPAN_ALGO_PAT = 6,
	SPAN_ALGOS = 7
} span_algo;

typedef enum {
	SPAN_PROTO_ANY = -1,
	SPAN_PROTO_LL = 0, SPAN_PROTO_LL128 = 1, SPAN_PROTO_SIMPLE = 2,
	SPAN_PROTOS = 3
} span_proto;

/* Names as NCCL prints them: "AllReduce", "NVLSTree", "LL128"; "Any" for -1; NULL for a
 * number that is none. */
SPAN_API const char *span_coll_name(int coll);
SPAN_API const char *span_algo_name(int algo);
SPAN_API const char *span_proto_name(int proto);

/* The number of a name in any case, with or without "_" and "-"; -2 for a name that is none. */
SPAN_API int span_coll_number(const char *name);
SPAN_API int span_algo_number(const char *name);
SPAN_API int span_proto_number(const char *name);

typedef struct span_profile span_profile;

/* A named number. The texts belong to the profile. */
typedef struct {
	const char *name; /* words of a-z, 0-9 and "-", joined by "." */
	double value;
	double spread;
	int32_t samples;
	int32_t source; /* index of a source */
} span_number;

/* A size that was measured, and its time. */
typedef struct {
	double bytes;
	double us;
} span_knot;

/* The time of one collective over bytes. */
typedef struct {
	int32_t coll;  /* span_coll */
	int32_t algo;  /* span_algo, or SPAN_ALGO_ANY */
	int32_t proto; /* span_proto, or SPAN_PROTO_ANY */
	int32_t ranks;
	int32_t nodes;
	double spread;
	int32_t samples;
	int32_t source; /* index of a source */
	int32_t n_knots;
	const span_knot *knots; /* by bytes, ascending; the first and last bound what is known */
} span_curve;

/* Bounds of every profile, of a file or made by calls. */
#define SPAN_PROFILE_MAX_TEXT    255       /* bytes of a name or source */
#define SPAN_PROFILE_MAX_SOURCES 4096
#define SPAN_PROFILE_MAX_NUMBERS 65536
#define SPAN_PROFILE_MAX_CURVES  65536
#define SPAN_PROFILE_MAX_KNOTS   256       /* of a curve */
#define SPAN_PROFILE_MAX_RANKS   1048576
#define SPAN_PROFILE_MAX_BYTES   1125899906842624.0 /* 2^50, of a knot */
#define SPAN_PROFILE_MIN_US      1e-6
#define SPAN_PROFILE_MAX_US      1e15

/* --- create and free ---------------------------------------------------------------------- */

/* An empty profile of a name: printable text, no line breaks, 1 to SPAN_PROFILE_MAX_TEXT bytes.
 * Returns SPAN_EINVAL for another name, SPAN_ENOMEM. */
SPAN_API span_status span_profile_create(const char *name, span_profile **profile);

/* Read a profile. `name` is for messages, which give file, line and column. The file is never
 * trusted: lines, counts and numbers are bounded, and memory grows only as the file does.
 * Returns SPAN_EINVAL (NULL), SPAN_EPARSE, SPAN_EIO or SPAN_ENOMEM. */
SPAN_API span_status span_profile_load(FILE *file, const char *name, span_profile **profile);

/* Write a profile: what load reads back as an equal profile, every number to the bit, and what
 * save then writes again byte for byte. Comments of a loaded file are not kept.
 * Returns SPAN_EINVAL (NULL) or SPAN_EIO. */
SPAN_API span_status span_profile_save(const span_profile *profile, FILE *file);

SPAN_API void span_profile_free(span_profile *profile);

/* --- fill --------------------------------------------------------------------------------- */

/* Add a source: printable text, no line breaks. Equal text gives the index it already has.
 * Returns SPAN_EINVAL or SPAN_ENOMEM. */
SPAN_API span_status span_profile_add_source(span_profile *profile, const char *text,
                                             int32_t *source);

/* Set a number, replacing the one of that name. It is copied.
 * Returns SPAN_EINVAL for a bad name, a value that is not finite, a spread below 0, a source
 * that is none; SPAN_ENOMEM. */
SPAN_API span_status span_profile_set_number(span_profile *profile, const span_number *number);

/* Add a curve; its knots are copied. Returns SPAN_EINVAL for knots that do not ascend, for times
 * and counts out of bounds, and for a second curve of the same
 * collective, algorithm, protocol, ranks and nodes; SPAN_ENOMEM. */
SPAN_API span_status span_profile_add_curve(span_profile *profile, const span_curve *curve);

/* --- queries ------------------------------------------------------------------------------ */

SPAN_API const char *span_profile_name(const span_profile *profile);
SPAN_API int32_t span_profile_sources(const span_profile *profile);
SPAN_API const char *span_profile_source(const span_profile *profile, int32_t source);

/* Numbers in the order of their names, and one by name (NULL if it is not there). */
SPAN_API int32_t span_profile_numbers(const span_profile *profile);
SPAN_API const span_number *span_profile_number_at(const span_profile *profile, int32_t index);
SPAN_API const span_number *span_profile_number(const span_profile *profile, const char *name);

/* Curves in the order of collective, ranks, nodes, algorithm, protocol, and one of them (NULL
 * if there is none of exactly these). */
SPAN_API int32_t span_profile_curves(const span_profile *profile);
SPAN_API const span_curve *span_profile_curve_at(const span_profile *profile, int32_t index);
SPAN_API const span_curve *span_profile_curve(const span_profile *profile, int32_t coll,
                                              int32_t algo, int32_t proto, int32_t ranks,
                                              int32_t nodes);

/* The time in microseconds of so many bytes: positive and finite for bytes from 0 to 2^50.
 * Bytes are counted as NCCL's tuners receive them: the larger of the send and the receive
 * buffer. Every knot is met. Between two knots one protocol serves and time is a line, latency
 * plus bytes over bandwidth, or NCCL changes protocols at a border that nobody measured, and a
 * power law is the best guess; the curve is their geometric mean, two parts line and one part
 * power law. Beyond the last knot the last bandwidth goes on, before the first the first
 * latency.
 * Source: held-out sizes of 38 public nccl-tests logs, 2026-11-24 (tests/topo/test_fit_figures.c):
 * the mean errs less than either, and between 0.6 and 0.8 the share does not matter. */
SPAN_API double span_curve_us(const span_curve *curve, double bytes);

/* A digest of the content: equal for equal profiles, whatever comments, blanks and order of
 * lines they were read from. */
SPAN_API uint64_t span_profile_digest(const span_profile *profile);

#ifdef __cplusplus
}
#endif
#endif
