/* Weight gradients summed along the canonical tree, inside a rank.
 *
 * A rank holds the vectors of tree nodes that wait for their sibling, each at the first
 * position of its node. A contribution enters as a leaf and climbs: an empty sibling is passed,
 * a waiting one is added, a missing one ends the climb. Once all are in, what waits are the
 * maximal nodes of the shard, and gradient_sum.c takes over. */
#include "attention/gradient.h"

#include <stdlib.h>
#include <string.h>

#include "attention/align.h"
#include "topo/log.h"

static const double default_timeout = 600;

/* Of one contribution: with 2^30 tiles the sum of all fits 63 bits. */
static const int64_t MOST_TOKENS = (int64_t)1 << 32;

/* Vectors. */

static size_t vector_bytes(const span_gradient *gradient)
{
	return sizeof(struct vector) + span_align(gradient->payload);
}

static struct vector *vector_make(span_gradient *gradient)
{
	struct vector *vector = aligned_alloc(64, vector_bytes(gradient));

	if (!vector) {
		span_fail(SPAN_ENOMEM, "span_gradient: no memory for a vector of %zu floats",
		          gradient->n);
		return NULL;
	}
	memset(vector, 0, vector_bytes(gradient));
	gradient->vectors++;
	return vector;
}

struct vector *span_gradient_take(span_gradient *gradient)
{
	struct vector *vector = gradient->spare;

	if (!vector)
		return vector_make(gradient);
	gradient->spare = vector->next;
	return vector;
}

void span_gradient_give(span_gradient *gradient, struct vector *vector)
{
	if (!vector)
		return;
	vector->next = gradient->spare;
	gradient->spare = vector;
}

void span_gradient_join(span_gradient *gradient, struct vector *left, struct vector *right)
{
	gradient->kernels->add(left->value, left->value, right->value, gradient->n);
	*span_gradient_tokens(gradient, left) += *span_gradient_tokens(gradient, right);
	span_gradient_give(gradient, right);
}

/* Inside a rank. */

/* The waiting vector of a node, taken; NULL when it does not wait here. */
static struct vector *take_waiting(span_gradient *gradient, span_node node, int64_t first,
                                   int64_t end)
{
	struct entry *entry;
	struct vector *vector;

	if (first < gradient->first || end > gradient->end)
		return NULL;
	entry = span_gradient_at(gradient, first);
	if (!entry->vector || entry->height != node.height)
		return NULL;
	vector = entry->vector;
	entry->vector = NULL;
	return vector;
}

/* A leaf enters the tree and climbs as far as it can. */
static void climb(span_gradient *gradient, int64_t position, struct vector *vector)
{
	span_node node = { 0, span_tree_address(gradient->tree, position) };
	int64_t start = position;

	for (; node.height < gradient->tree->height; node.height++, node.index >>= 1) {
		span_node sibling = { node.height, node.index ^ 1 };
		int64_t first, end;
		struct vector *other;

		span_tree_range(gradient->tree, sibling, &first, &end);
		if (first == end)
			continue;
		other = take_waiting(gradient, sibling, first, end);
		if (!other)
			break;
		if (first < start) {
			span_gradient_join(gradient, other, vector);
			vector = other;
			start = first;
		} else {
			span_gradient_join(gradient, vector, other);
		}
	}
	span_gradient_at(gradient, start)->vector = vector;
	span_gradient_at(gradient, start)->height = node.height;
}

static int64_t position_of(const span_gradient *gradient, int64_t slot)
{
	int64_t tile = span_layout_tile_at(gradient->layout, gradient->rank, slot);

	return span_tree_position(gradient->tree, tile);
}

static span_status check_slot(span_gradient *gradient, int64_t slot)
{
	int64_t slots = span_gradient_slots(gradient);

	if (slot < 0 || slot >= slots)
		return span_fail(SPAN_EINVAL, "span_gradient: slot is %lld; rank %d has %lld slots",
		                 (long long)slot, gradient->rank, (long long)slots);
	if (span_gradient_at(gradient, position_of(gradient, slot))->added)
		return span_fail(SPAN_EINVAL, "span_gradient: slot %lld of rank %d was already added",
		                 (long long)slot, gradient->rank);
	return SPAN_OK;
}

float *span_gradient_slot(span_gradient *gradient, int64_t slot)
{
	if (!gradient) {
		span_fail(SPAN_EINVAL, "span_gradient_slot: gradient is NULL");
		return NULL;
	}
	if (check_slot(gradient, slot))
		return NULL;
	if (!gradient->open)
		gradient->open = span_gradient_take(gradient);
	gradient->open_slot = slot;
	return gradient->open ? gradient->open->value : NULL;
}

span_status span_gradient_add(span_gradient *gradient, int64_t slot, int64_t tokens)
{
	struct vector *vector;
	span_fp_mode mode;
	int64_t position;
	span_status status;

	if (!gradient)
		return span_fail(SPAN_EINVAL, "span_gradient_add: gradient is NULL");
	status = check_slot(gradient, slot);
	if (status)
		return status;
	if (!gradient->open || gradient->open_slot != slot)
		return span_fail(SPAN_EINVAL, "span_gradient_add: slot is %lld; span_gradient_slot was "
		                 "not asked for it last", (long long)slot);
	if (tokens < 0 || tokens > MOST_TOKENS)
		return span_fail(SPAN_EINVAL, "span_gradient_add: tokens is %lld; 0 to 2^32 are "
		                 "possible", (long long)tokens);
	vector = gradient->open;
	gradient->open = NULL;
	*span_gradient_tokens(gradient, vector) = tokens;
	position = position_of(gradient, slot);
	span_gradient_at(gradient, position)->added = 1;
	span_fp_enter(&mode);
	climb(gradient, position, vector);
	span_fp_leave(&mode);
	return SPAN_OK;
}

int64_t span_gradient_order(const span_gradient *gradient, int64_t i)
{
	if (!gradient || i < 0 || i >= span_gradient_slots(gradient))
		return -1;
	return span_layout_slot(gradient->layout,
	                        span_tree_tile(gradient->tree, gradient->first + i));
}

void span_gradient_begin(span_gradient *gradient)
{
	int64_t i;

	if (!gradient)
		return;
	for (i = 0; i < span_gradient_slots(gradient); i++) {
		span_gradient_give(gradient, gradient->entries[i].vector);
		gradient->entries[i] = (struct entry){ .vector = NULL };
	}
	span_gradient_give(gradient, gradient->open);
	gradient->open = NULL;
}

/* Creation. */

/* The most vectors in use at once when slots come in the order of their positions: the nodes
 * that wait, and the one that is filled or received. */
static int64_t vectors_needed(const span_gradient *gradient)
{
	span_node nodes[SPAN_TREE_COVER];
	int64_t end, most = 0;
	int waiting;

	for (end = gradient->first; end <= gradient->end; end++) {
		waiting = span_tree_cover(gradient->tree, gradient->first, end, nodes);
		if (waiting > most)
			most = waiting;
	}
	return most + 1;
}

static span_status reserve(span_gradient *gradient)
{
	int64_t needed = vectors_needed(gradient);
	int64_t count = span_gradient_slots(gradient);
	struct vector *vector;

	gradient->entries = calloc((size_t)count + 1, sizeof *gradient->entries);
	if (!gradient->entries)
		return span_fail(SPAN_ENOMEM, "span_gradient_create: no memory for %lld slots",
		                 (long long)count);
	while (needed--) {
		vector = vector_make(gradient);
		if (!vector)
			return SPAN_ENOMEM;
		span_gradient_give(gradient, vector);
	}
	return SPAN_OK;
}

static span_status check_options(const span_layout *layout, const span_transport *transport,
                                 size_t n, double timeout, span_gradient *const *gradient)
{
	int32_t ranks = transport ? transport->ranks : 1;

	if (!layout || !gradient)
		return span_fail(SPAN_EINVAL, "span_gradient_create: %s is NULL",
		                 layout ? "gradient" : "layout");
	if (transport && span_transport_check(transport))
		return SPAN_EINVAL;
	if (ranks != span_layout_ranks(layout))
		return span_fail(SPAN_EINVAL, "span_gradient_create: transport has %d ranks, the "
		                 "layout %d", ranks, span_layout_ranks(layout));
	if (n < 1 || n > PTRDIFF_MAX / (2 * sizeof(float)))
		return span_fail(SPAN_EINVAL, "span_gradient_create: n is %zu; at least 1 is needed, "
		                 "and %zu is the most", n, PTRDIFF_MAX / (2 * sizeof(float)));
	if (!(timeout >= 0 && timeout <= 1e9))
		return span_fail(SPAN_EINVAL, "span_gradient_create: timeout is %g; seconds up to 1e9, "
		                 "or 0 for %g, are needed", timeout, default_timeout);
	return SPAN_OK;
}

span_status span_gradient_create(const span_layout *layout, span_transport *transport, size_t n,
                                 double timeout, span_gradient **gradient)
{
	span_status status = check_options(layout, transport, n, timeout, gradient);
	span_gradient *made;

	if (status)
		return status;
	made = calloc(1, sizeof *made);
	if (!made)
		return span_fail(SPAN_ENOMEM, "span_gradient_create: no memory");
	made->layout = layout;
	made->tree = &layout->tree;
	made->transport = transport;
	made->rank = transport ? transport->rank : 0;
	made->timeout = timeout > 0 ? timeout : default_timeout;
	made->n = n;
	made->payload = (n * sizeof(float) + 7) / 8 * 8 + sizeof(int64_t);
	span_tree_shard(made->tree, span_layout_ranks(layout), made->rank, &made->first,
	                &made->end);
	status = span_kernels_select(&made->kernels);
	if (!status)
		status = reserve(made);
	if (status) {
		span_gradient_free(made);
		return status;
	}
	*gradient = made;
	return SPAN_OK;
}

void span_gradient_free(span_gradient *gradient)
{
	struct vector *vector;

	if (!gradient)
		return;
	if (gradient->entries)
		span_gradient_begin(gradient);
	while ((vector = gradient->spare)) {
		gradient->spare = vector->next;
		free(vector);
	}
	free(gradient->entries);
	free(gradient);
}

size_t span_gradient_bytes(const span_gradient *gradient)
{
	if (!gradient)
		return 0;
	return sizeof *gradient + (size_t)span_gradient_slots(gradient) * sizeof *gradient->entries +
	       gradient->vectors * vector_bytes(gradient);
}
