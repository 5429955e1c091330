#include <math.h>
#include <string.h>
#include "layers.h"
#include "model.h"

/* SwiGLU has three matrices where a plain MLP of 4 * width has two: two thirds of that, in
 * whole vectors of 64. Source: Shazeer 2020, arXiv:2002.05202, section 2. */
static int hidden_size(int width)
{
	return (8 * width / 3 + 63) / 64 * 64;
}

struct shape model_shape(int layers, int width, int heads, int kv_heads)
{
	int size = width / heads;

	return (struct shape){
		.layers = layers,
		.width = width,
		.heads = heads,
		.kv_heads = kv_heads,
		.head_size = size,
		.hidden = hidden_size(width),
		.qkv = (heads + 2 * kv_heads) * size,
	};
}

struct project project_view(const struct shape *shape, float *group)
{
	return (struct project){ group, group + shape->width };
}

struct mix mix_view(const struct shape *shape, float *group)
{
	size_t width = shape->width, hidden = shape->hidden;
	struct mix view;

	view.out = group;
	view.norm = view.out + width * width;
	view.gate_up = view.norm + width;
	view.down = view.gate_up + 2 * hidden * width;
	return view;
}

struct head head_view(const struct shape *shape, float *group)
{
	size_t width = shape->width;

	return (struct head){ group, group + width, group + head_size(shape) };
}

size_t embedding_size(const struct shape *shape)
{
	return (size_t)VOCABULARY * shape->width;
}

size_t project_size(const struct shape *shape)
{
	return (size_t)shape->width * (1 + shape->qkv);
}

size_t mix_size(const struct shape *shape)
{
	return (size_t)shape->width * (shape->width + 1 + 3 * shape->hidden);
}

size_t head_size(const struct shape *shape)
{
	return (size_t)shape->width * (1 + VOCABULARY);
}

size_t model_size(const struct shape *shape)
{
	return head_start(shape) + head_size(shape);
}

size_t project_start(const struct shape *shape, int layer)
{
	return embedding_size(shape) + layer * (project_size(shape) + mix_size(shape));
}

size_t mix_start(const struct shape *shape, int layer)
{
	return project_start(shape, layer) + project_size(shape);
}

size_t head_start(const struct shape *shape)
{
	return project_start(shape, shape->layers);
}

/* Source: Steele, Lea & Flood 2014, doi:10.1145/2660193.2660195, figure 17 (SplitMix64). */
static uint64_t random_bits(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* Uniform values of a given standard deviation: exact arithmetic, no libm. */
static void fill_random(float *x, size_t n, double deviation, uint64_t *state)
{
	double reach = deviation * sqrt(3.0);

	for (size_t i = 0; i < n; i++) {
		double unit = (double)(random_bits(state) >> 11) * 0x1p-53;

		x[i] = (float)((2 * unit - 1) * reach);
	}
}

static void fill(float *x, size_t n, float value)
{
	for (size_t i = 0; i < n; i++)
		x[i] = value;
}

/* Products keep the variance of their input; what is added to the residual path is made
 * smaller by the number of additions. */
static void init_layer(const struct shape *shape, int layer, uint64_t *state, float *weights)
{
	size_t width = shape->width, hidden = shape->hidden;
	struct project project = project_view(shape, weights + project_start(shape, layer));
	struct mix mix = mix_view(shape, weights + mix_start(shape, layer));
	double residual = 1 / sqrt(2.0 * shape->layers);

	fill(project.norm, width, 1);
	fill_random(project.qkv, shape->qkv * width, 1 / sqrt(width), state);
	fill_random(mix.out, width * width, residual / sqrt(width), state);
	fill(mix.norm, width, 1);
	fill_random(mix.gate_up, 2 * hidden * width, 1 / sqrt(width), state);
	fill_random(mix.down, width * hidden, residual / sqrt(hidden), state);
}

void model_init(const struct shape *shape, uint64_t seed, float *weights)
{
	struct head head = head_view(shape, weights + head_start(shape));
	uint64_t state = seed;

	fill_random(weights, embedding_size(shape), 1, &state);
	for (int layer = 0; layer < shape->layers; layer++)
		init_layer(shape, layer, &state, weights);
	fill(head.norm, shape->width, 1);
	fill_random(head.vocabulary, embedding_size(shape), 0.02, &state);
}

void model_decays(const struct shape *shape, uint8_t *decays)
{
	size_t width = shape->width, out = width * width;

	memset(decays, 1, model_size(shape));
	for (int layer = 0; layer < shape->layers; layer++) {
		memset(decays + project_start(shape, layer), 0, width);
		memset(decays + mix_start(shape, layer) + out, 0, width);
	}
	memset(decays + head_start(shape), 0, width);
}
