/* A sum of weight gradients, as its two halves see it: gradient.c adds up inside a rank,
 * gradient_sum.c between ranks. Private. */
#ifndef SPAN_GRADIENT_PRIVATE_H
#define SPAN_GRADIENT_PRIVATE_H

#include "attention/kernels/kernel.h"
#include "attention/layout.h"
#include "attention/span_gradient.h"
#include "attention/tree.h"

/* A vector as it travels: n floats, zeros up to a whole int64_t, the count of tokens. */
struct vector {
	struct vector *next; /* among the spare ones */
	_Alignas(64) float value[];
};

/* What waits at a position of the shard. */
struct entry {
	struct vector *vector; /* of the node that starts here, NULL when none waits */
	int32_t height;        /* of that node */
	int32_t added;         /* the contribution of this position came */
};

struct span_gradient {
	const span_layout *layout;
	const span_tree *tree;
	const span_kernels *kernels;
	span_transport *transport; /* NULL: one rank */
	int32_t rank;
	double timeout;
	size_t n;
	size_t payload;            /* bytes of a vector as it travels */
	int64_t first;             /* positions of this rank: [first, end) */
	int64_t end;
	struct entry *entries;     /* [end - first] */
	struct vector *spare;
	size_t vectors;            /* spare and in use */
	struct vector *open;       /* handed out by span_gradient_slot, NULL when none is */
	int64_t open_slot;
	uint64_t epoch;            /* counts the sums */
};

/* What waits at a position of this rank. */
static inline struct entry *span_gradient_at(span_gradient *gradient, int64_t position)
{
	return &gradient->entries[position - gradient->first];
}

/* Slots of this rank. */
static inline int64_t span_gradient_slots(const span_gradient *gradient)
{
	return gradient->end - gradient->first;
}

/* The count of tokens that travels with a vector. */
static inline int64_t *span_gradient_tokens(const span_gradient *gradient,
                                            struct vector *vector)
{
	return (int64_t *)((char *)vector->value + gradient->payload - sizeof(int64_t));
}

/* A spare vector, a new one when there is none; NULL when memory is out, which is reported. */
struct vector *span_gradient_take(span_gradient *gradient);

/* Back among the spare ones; NULL is allowed. */
void span_gradient_give(span_gradient *gradient, struct vector *vector);

/* left += right, tokens as well; right becomes spare. */
void span_gradient_join(span_gradient *gradient, struct vector *left, struct vector *right);

#endif
