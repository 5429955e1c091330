/* A whole training on some number of ranks, each a thread of this process. */
#ifndef TRAIN_TRAIN_H
#define TRAIN_TRAIN_H

#include "options.h"
#include "rank.h"
#include "text.h"

/* What a training is asked to do. */
struct job {
	const struct options *options;
	const struct text *text;
	const struct state *start;
	int ranks;
	int threads;          /* of one rank's attention */
	const int32_t *group; /* [ranks], or NULL: one group */
	struct state *finish; /* NULL, or filled with what rank 0 ends with */
};

/* What came of it. */
struct outcome {
	int ranks;
	int64_t first, steps;       /* steps taken before, and in this training */
	float *loss;                /* [steps] */
	float *gradient;            /* [weights] of the first step, clipped; schedule class only */
	uint64_t *digest;           /* [ranks] of the weights at the end */
	double seconds;             /* of the steps */
	int64_t tokens;             /* trained on */
	uint64_t inside, between;   /* bytes sent by all ranks to their own, to other groups */
	struct traffic attention;   /* of this, attention; exposed: mean over the ranks */
	struct footprint footprint; /* of the rank that needs most */
};

/* Train, and show how it goes. Returns 0, or -1 with the reason said; what the outcome
 * holds is freed by outcome_free in both cases. */
int train(const struct job *job, struct outcome *outcome);
void outcome_free(struct outcome *outcome);

#endif
