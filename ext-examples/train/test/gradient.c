/* Whether the gradient that the trainer computes is the slope of the loss it computes.
 *
 * For each tensor of weights the loss is measured a little up and down along the tensor's
 * own gradient: the slope found must be the gradient's length. The step is made so that the
 * loss changes by 2 parts in 1000 to each side. The loss is a sum in f32, and carries some
 * 2^-23 of its size: that is 6e-5 of the change; the curve of the loss adds some 1e-3. A
 * gradient of the wrong length shows by its share, one of the wrong direction by the square
 * of its share: the bound of 4e-3 finds 0.4% and 6%. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../blas.h"
#include "../complain.h"
#include "../layers.h"
#include "../step.h"

static const double BOUND = 4e-3;

/* Short last tile, several query heads for each KV head, two layers. */
static const struct options options = {
	.settings = { .seq = 72, .tile = 16, .layers = 2, .width = 32, .heads = 4,
		      .kv_heads = 2, .batch = 1, .dtype = SPAN_F32,
		      .layout = SPAN_LAYOUT_ZIGZAG, .lr = 0.001 },
	.steps = 1,
	.ranks = 1,
};

static void no_hook(void *context, struct rank *rank)
{
	(void)context;
	(void)rank;
}

static double loss_of(struct rank *rank)
{
	size_t n = rank->state.size;

	memset(rank->gradient, 0, (n + 1) * sizeof *rank->gradient);
	if (sequence_gradient(rank, 0, no_hook, NULL) != SPAN_OK)
		exit(1);
	return rank->gradient[n];
}

static double loss_along(struct rank *rank, size_t first, size_t n, const float *direction,
                         double by, const float *weights)
{
	double loss;

	for (size_t i = 0; i < n; i++)
		rank->state.weights[first + i] = (float)(weights[first + i] + by * direction[i]);
	loss = loss_of(rank);
	memcpy(rank->state.weights + first, weights + first, n * sizeof *weights);
	return loss;
}

/* 0 when the slope along the gradient of n weights from `first` on is its length. */
static int check(struct rank *rank, const char *name, const float *weights,
                 const float *gradient, double loss, size_t first, size_t n)
{
	double square = 0, by, slope, error;

	for (size_t i = 0; i < n; i++)
		square += (double)gradient[first + i] * gradient[first + i];
	by = 0.002 * loss / square;
	slope = (loss_along(rank, first, n, gradient + first, by, weights) -
	         loss_along(rank, first, n, gradient + first, -by, weights)) / (2 * by * square);
	error = fabs(slope - 1);
	printf("%-18s gradient %8.3f, slope over gradient %.5f\n", name, sqrt(square), slope);
	return !(error <= BOUND);
}

static int check_layer(struct rank *rank, int layer, const float *w, const float *g,
                       double loss)
{
	const struct shape *shape = &rank->shape;
	size_t width = shape->width, hidden = shape->hidden;
	size_t project = project_start(shape, layer), mix = mix_start(shape, layer);

	return check(rank, "norm", w, g, loss, project, width) +
	       check(rank, "qkv", w, g, loss, project + width, shape->qkv * width) +
	       check(rank, "out", w, g, loss, mix, width * width) +
	       check(rank, "norm", w, g, loss, mix + width * width, width) +
	       check(rank, "gate_up", w, g, loss, mix + width * (width + 1),
	             2 * hidden * width) +
	       check(rank, "down", w, g, loss, mix + width * (width + 1 + 2 * hidden),
	             hidden * width);
}

static int check_all(struct rank *rank, const float *w, const float *g, double loss)
{
	const struct shape *shape = &rank->shape;
	size_t width = shape->width, head = head_start(shape);
	int wrong = check(rank, "embedding", w, g, loss, 0, embedding_size(shape));

	for (int layer = 0; layer < shape->layers; layer++)
		wrong += check_layer(rank, layer, w, g, loss);
	return wrong + check(rank, "norm of the head", w, g, loss, head, width) +
	       check(rank, "head", w, g, loss, head + width, VOCABULARY * width);
}

/* First weights, shaken so that no gain is 1 and the head is not small. */
static void shake(float *weights, size_t n)
{
	uint64_t state = 7;

	for (size_t i = 0; i < n; i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		weights[i] += 0.3f * ((float)(state >> 40) * 0x1p-24f - 0.5f);
	}
}

static span_status body(span_transport *transport, void *argument)
{
	static uint8_t words[] = "Colourless green ideas sleep furiously, and so do 16 tiles.";
	struct text text = { .bytes = words, .length = sizeof words - 1 };
	struct shape shape = model_shape(2, 32, 4, 2);
	size_t n = model_size(&shape);
	float *gradient;
	struct state state = { .size = n,
		               .weights = calloc(n, sizeof(float)),
		               .moment = calloc(n, sizeof(float)),
		               .variance = calloc(n, sizeof(float)) };
	struct rank rank;
	double loss;

	model_init(&shape, 1, state.weights);
	shake(state.weights, n);
	if (rank_create(&rank, &options, 1, &text, &state, transport) != SPAN_OK)
		return SPAN_EINVAL;
	loss = loss_of(&rank);
	gradient = malloc(n * sizeof *gradient);
	memcpy(gradient, rank.gradient, n * sizeof *gradient);
	*(int *)argument = check_all(&rank, state.weights, gradient, loss);
	rank_free(&rank);
	free(gradient);
	free(state.weights);
	free(state.moment);
	free(state.variance);
	return SPAN_OK;
}

int main(void)
{
	span_local *local;
	int wrong = 1;

	complain_for_library();
	blas_start();
	if (span_local_create(1, NULL, &local) != SPAN_OK ||
	    span_local_run(local, body, &wrong) != SPAN_OK)
		return 1;
	span_local_free(local);
	return wrong != 0;
}
