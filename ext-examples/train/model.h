/* The shape of the model and where its weights stand.
 *
 * All weights are one vector. It is cut into groups, each summed over the ranks by one
 * span_gradient object, and the gradient of a group is laid out like the group: the views
 * below find a weight in the one and its gradient in the other.
 *
 *   embedding | layer 0: project, mix | layer 1: project, mix | ... | head */
#ifndef TRAIN_MODEL_H
#define TRAIN_MODEL_H

#include <stddef.h>
#include <stdint.h>

struct shape {
	int layers;
	int width;
	int heads;     /* query heads */
	int kv_heads;
	int head_size; /* width / heads */
	int hidden;    /* of the SwiGLU */
	int qkv;       /* length of a row of queries, keys and values side by side */
};

struct shape model_shape(int layers, int width, int heads, int kv_heads);

/* What stands before attention: norm [width], qkv [qkv][width]. */
struct project {
	float *norm, *qkv;
};

/* What stands after it: out [width][width], norm [width], gate_up [2 * hidden][width],
 * down [width][hidden]. */
struct mix {
	float *out, *norm, *gate_up, *down;
};

/* norm [width], vocabulary [VOCABULARY][width]. In a gradient one more float follows: the
 * loss, which is summed over the ranks along with the rest. */
struct head {
	float *norm, *vocabulary, *loss;
};

/* Views of a group that begins at `group`. */
struct project project_view(const struct shape *shape, float *group);
struct mix mix_view(const struct shape *shape, float *group);
struct head head_view(const struct shape *shape, float *group);

/* Lengths of the groups in floats, and of the whole vector; the loss not counted. */
size_t embedding_size(const struct shape *shape);
size_t project_size(const struct shape *shape);
size_t mix_size(const struct shape *shape);
size_t head_size(const struct shape *shape);
size_t model_size(const struct shape *shape);

/* Where the groups begin; the embedding does at 0. */
size_t project_start(const struct shape *shape, int layer);
size_t mix_start(const struct shape *shape, int layer);
size_t head_start(const struct shape *shape);

/* First weights from a seed, the same on every machine.
 *   weights [model_size] out */
void model_init(const struct shape *shape, uint64_t seed, float *weights);

/* Weight decay applies to matrices, not to the gains of norms.
 *   decays [model_size] out  1 or 0 */
void model_decays(const struct shape *shape, uint8_t *decays);

#endif
