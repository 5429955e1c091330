/* One rank: its own copy of the weights, and what it keeps of its own tokens.
 *
 * A step walks layer by layer, and inside a layer tile by tile. No loop and no product ever
 * spans two tiles; attention and the sums of weight gradients are the library's. That is
 * why no bit depends on how many ranks share the tiles. */
#ifndef TRAIN_RANK_H
#define TRAIN_RANK_H

#include "attention/span_attention.h"
#include "attention/span_gradient.h"
#include "memory.h"
#include "model.h"
#include "options.h"
#include "text.h"

/* What a training starts from and ends with. */
struct state {
	int64_t step;     /* steps taken */
	size_t size;      /* floats in each vector */
	float *weights;
	float *moment;    /* of AdamW: running mean of the gradient, and of its square */
	float *variance;
};

/* What one layer keeps from forward for backward; s tokens of this rank. */
struct activations {
	float *input;   /* [s][width] */
	void *qkv;      /* [s][qkv] dtype, turned by their positions */
	void *out;      /* [s][width] dtype, of attention */
	float *lse;     /* [heads][s] */
	float *middle;  /* [s][width] after attention */
	float *gate_up; /* [s][2 * hidden] */
};

/* Rows of one tile between two steps of a pass. */
struct scratch {
	float *narrow;  /* [T][width] */
	float *wide;    /* [T][qkv or 2 * hidden, the larger] */
	float *hidden;  /* [T][hidden] */
	float *logits;  /* [T][VOCABULARY] */
};

/* Sent by this rank's attention, and time it waited for messages. */
struct traffic {
	uint64_t inside, between;
	double exposed;
};

/* Bytes of a rank by purpose. */
struct footprint {
	size_t weights;     /* with gradient and optimizer */
	size_t activations;
	size_t workspace;   /* of attention */
	size_t sums;        /* of weight gradients */
};

struct rank {
	const struct settings *settings;
	const struct text *text;
	struct shape shape;
	int32_t index;
	int32_t tile;            /* T */
	int64_t tiles, tokens;   /* of this rank */
	int64_t *position;       /* [s] of each token in the sequence */
	uint8_t *token, *label;  /* [s] */
	float *cosine, *sine;    /* [s][head_size / 2] */

	struct state state;
	float *gradient;         /* [model_size + 1] sums over all tokens; last, the loss */
	uint8_t *decays;         /* [model_size] */

	struct activations *layer;
	float *last;             /* [s][width] after the last layer */
	float *dx;               /* [s][width] the gradient on its way down */
	void *dqkv, *dout;       /* as qkv and out */
	struct scratch scratch;

	span_attention *attention;
	void *workspace;
	span_gradient *embedding_sum, *project_sum, *mix_sum, *head_sum;
	float *group_sum;        /* [longest group] */

	struct traffic traffic;  /* since the last time it was read */
	struct footprint footprint;
	struct memory memory;
};

/* Set up a rank on its transport, with its own copy of a state. Every rank does so with the
 * same arguments. On failure what was set up is freed. */
span_status rank_create(struct rank *rank, const struct options *options, int threads,
                        const struct text *text, const struct state *start,
                        span_transport *transport);
void rank_free(struct rank *rank);

/* One tile of a rank, and where its rows begin among the rank's tokens. */
struct tile {
	int64_t row;
	int rows;
};

struct tile rank_tile(const struct rank *rank, int64_t slot);

#endif
