/* Which keys a query sees. */
#ifndef SPAN_MASK_H
#define SPAN_MASK_H

#include "topo/span_status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
	SPAN_MASK_FULL = 0,  /* every query sees every key */
	SPAN_MASK_CAUSAL = 1 /* query i sees keys 0 .. i + Skv - Sq */
} span_mask_kind;

/* A mask. It describes, for every query, one interval of keys: the form that sliding
 * windows, prefixes and packed documents share, so that they can be added as further kinds.
 * Their widths, lengths and lists of starts have their room already, so that nothing which
 * holds a mask grows. Zero the struct and set size and kind. */
enum { SPAN_MASK_RESERVED = 6 };

typedef struct {
	size_t size; /* sizeof(span_mask) */
	span_mask_kind kind;
	int64_t reserved[SPAN_MASK_RESERVED]; /* 0; anything else is refused */
} span_mask;

/* The keys [*first, *end) that query sees, by global index; first == end when it sees none. No
 * pointer may be NULL here or below.
 * Source of the causal alignment to the end: the convention of FlashAttention 2.1 and of
 * PyTorch's causal_lower_right. */
SPAN_API void span_mask_interval(const span_mask *mask, int64_t query, int64_t queries,
                                 int64_t keys, int64_t *first, int64_t *end);

/* The area of the mask: how many (query, key) pairs are visible. */
SPAN_API int64_t span_mask_pairs(const span_mask *mask, int64_t queries, int64_t keys);

SPAN_API const char *span_mask_name(span_mask_kind kind); /* "full", "causal" */

#ifdef __cplusplus
}
#endif
#endif
