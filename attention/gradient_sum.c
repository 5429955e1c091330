/* Weight gradients summed along the canonical tree, between ranks.
 *
 * When all contributions are in, each rank holds the maximal nodes of its shard. All ranks walk
 * the nodes that several of them share, children first; in each the holder of the right child
 * sends to the holder of the left one, where a node is held by the owner of its first position.
 * All walk in the same order, so a rank may block in a send or a receive without deadlock. The
 * holder of the root passes the sum on down a binomial tree. */
#include "attention/gradient.h"

#include <math.h>
#include <string.h>

#include "topo/log.h"
#include "topo/span_order.h"

/* The header of a message: `owner` is the node, counted from 1 at the root, level by level. */
static span_message header_of(const span_gradient *gradient, int32_t sender, uint32_t step,
                              uint32_t owner)
{
	return (span_message){ .channel = SPAN_CHANNEL_SUM, .step = step, .owner = owner,
	                       .origin = (uint32_t)sender, .epoch = gradient->epoch,
	                       .bytes = gradient->payload };
}

static span_status post_send(span_gradient *gradient, int32_t to, span_message header,
                             const struct vector *vector, span_token *token)
{
	header.digest = span_digest(vector->value, gradient->payload);
	return gradient->transport->post_send(gradient->transport, to, &header, vector->value,
	                                      token);
}

static span_status wait_sent(span_gradient *gradient, span_token token)
{
	return gradient->transport->wait(gradient->transport, token, gradient->timeout, NULL);
}

/* Whether the message that arrived is the expected one, undamaged. */
static span_status check_message(const span_gradient *gradient, const span_message *came,
                                 const span_message *expected, const struct vector *vector)
{
	const char *wrong = NULL;

	if (came->epoch != expected->epoch)
		wrong = "epoch";
	else if (came->owner != expected->owner || came->step != expected->step)
		wrong = "node";
	else if (came->origin != expected->origin || came->channel != expected->channel)
		wrong = "sender";
	else if (came->bytes != expected->bytes)
		wrong = "size";
	else if (came->digest != span_digest(vector->value, gradient->payload))
		wrong = "digest";
	if (!wrong)
		return SPAN_OK;
	return span_fail(SPAN_EINTEGRITY, "span_gradient_sum: rank %d: node %u, step %u from rank "
	                 "%u in sum %llu: the %s is wrong (came: node %u, step %u, rank %u, sum "
	                 "%llu, %llu bytes)", gradient->rank, expected->owner, expected->step,
	                 expected->origin, (unsigned long long)expected->epoch, wrong,
	                 came->owner, came->step, came->origin, (unsigned long long)came->epoch,
	                 (unsigned long long)came->bytes);
}

static span_status receive(span_gradient *gradient, const span_message *expected,
                           struct vector *vector)
{
	span_transport *transport = gradient->transport;
	span_message came;
	span_token token;
	span_status status;

	status = transport->post_receive(transport, (int32_t)expected->origin, SPAN_CHANNEL_SUM,
	                                 vector->value, gradient->payload, &token);
	if (!status)
		status = transport->wait(transport, token, gradient->timeout, &came);
	if (!status)
		status = check_message(gradient, &came, expected, vector);
	return status;
}

static span_status send_right(span_gradient *gradient, int32_t to, const span_message *header,
                              int64_t middle)
{
	struct entry *entry = span_gradient_at(gradient, middle);
	span_token token;
	span_status status = post_send(gradient, to, *header, entry->vector, &token);

	if (!status)
		status = wait_sent(gradient, token);
	if (status)
		return status;
	span_gradient_give(gradient, entry->vector);
	entry->vector = NULL;
	return SPAN_OK;
}

static span_status receive_right(span_gradient *gradient, const span_message *expected,
                                 int64_t first)
{
	struct vector *right = span_gradient_take(gradient);
	span_status status;

	if (!right)
		return SPAN_ENOMEM;
	status = receive(gradient, expected, right);
	if (status)
		span_gradient_give(gradient, right);
	else
		span_gradient_join(gradient, span_gradient_at(gradient, first)->vector, right);
	return status;
}

static int32_t owner_at(const span_gradient *gradient, int64_t position)
{
	return span_layout_owner(gradient->layout, span_tree_tile(gradient->tree, position));
}

/* The children of a node, which start at `first` and `middle`, meet at the holder of the left
 * one. */
static span_status join(span_gradient *gradient, span_node node, int64_t first, int64_t middle)
{
	int32_t left = owner_at(gradient, first);
	int32_t right = owner_at(gradient, middle);
	uint32_t level = (uint32_t)1 << (gradient->tree->height - node.height);
	span_message header = header_of(gradient, right, (uint32_t)node.height,
	                                level | node.index);
	struct entry *entry;

	if (left == right && left == gradient->rank) {
		entry = span_gradient_at(gradient, middle);
		span_gradient_join(gradient, span_gradient_at(gradient, first)->vector, entry->vector);
		entry->vector = NULL;
		return SPAN_OK;
	}
	if (left == right)
		return SPAN_OK;
	if (left == gradient->rank)
		return receive_right(gradient, &header, first);
	if (right == gradient->rank)
		return send_right(gradient, left, &header, middle);
	return SPAN_OK;
}

/* Walk the nodes that several ranks share, children before parents. What lies in one rank is
 * one vector already. */
static span_status sum_node(span_gradient *gradient, span_node node)
{
	span_node left = { node.height - 1, 2 * node.index };
	span_node right = { node.height - 1, 2 * node.index + 1 };
	int64_t first, middle, end;
	span_status status;

	span_tree_range(gradient->tree, node, &first, &end);
	if (owner_at(gradient, first) == owner_at(gradient, end - 1))
		return SPAN_OK;
	span_tree_range(gradient->tree, left, &first, &middle);
	status = sum_node(gradient, left);
	if (!status)
		status = sum_node(gradient, right);
	if (!status)
		status = join(gradient, node, first, middle);
	return status;
}

/* Send the sum down a binomial tree: rank v, counted from the root, has it from v without its
 * lowest bit and passes it on to v + 2^k for all 2^k below that bit, the farthest first. */
static span_status pass_on(span_gradient *gradient, int32_t root, const struct vector *vector)
{
	int32_t ranks = span_layout_ranks(gradient->layout);
	int32_t from_root = (gradient->rank - root + ranks) % ranks;
	int32_t below = from_root ? from_root & -from_root : SPAN_ORDER_MAX_RANKS;
	uint32_t step = (uint32_t)gradient->tree->height + 1;
	span_message header = header_of(gradient, gradient->rank, step, 1);
	span_token tokens[16];
	span_status status = SPAN_OK;
	int posted = 0;

	for (below /= 2; below && !status; below /= 2)
		if (from_root + below < ranks)
			status = post_send(gradient, (gradient->rank + below) % ranks, header, vector,
			                   &tokens[posted++]);
	while (posted-- && !status)
		status = wait_sent(gradient, tokens[posted]);
	return status;
}

static span_status receive_sum(span_gradient *gradient, int32_t root, struct vector *vector)
{
	int32_t ranks = span_layout_ranks(gradient->layout);
	int32_t from_root = (gradient->rank - root + ranks) % ranks;
	int32_t parent = ((from_root & (from_root - 1)) + root) % ranks;
	uint32_t step = (uint32_t)gradient->tree->height + 1;
	span_message expected = header_of(gradient, parent, step, 1);

	return receive(gradient, &expected, vector);
}

/* Which NaN an addition keeps depends on the order of its operands in the machine's
 * instruction; one pattern stands for all. */
static void make_canonical(float *value, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (value[i] != value[i])
			value[i] = NAN;
}

/* The sum, on every rank, in a vector of its own. */
static span_status sum_all(span_gradient *gradient, struct vector **total)
{
	int32_t root = owner_at(gradient, 0);
	span_status status = sum_node(gradient, (span_node){ gradient->tree->height, 0 });

	if (status)
		return status;
	if (gradient->rank == root) {
		*total = span_gradient_at(gradient, 0)->vector;
		span_gradient_at(gradient, 0)->vector = NULL;
		make_canonical((*total)->value, gradient->n);
	} else {
		*total = span_gradient_take(gradient);
		status = *total ? receive_sum(gradient, root, *total) : SPAN_ENOMEM;
	}
	if (!status && gradient->transport)
		status = pass_on(gradient, root, *total);
	return status;
}

static span_status check_complete(const span_gradient *gradient)
{
	int64_t i;

	for (i = 0; i < span_gradient_slots(gradient); i++)
		if (!gradient->entries[i].added)
			return span_fail(SPAN_EINVAL, "span_gradient_sum: slot %lld of rank %d was not "
			                 "added", (long long)span_gradient_order(gradient, i),
			                 gradient->rank);
	return SPAN_OK;
}

span_status span_gradient_sum(span_gradient *gradient, float *sum, int64_t *tokens)
{
	struct vector *total = NULL;
	span_fp_mode mode;
	span_status status;

	if (!gradient || !sum || !tokens)
		return span_fail(SPAN_EINVAL, "span_gradient_sum: %s is NULL",
		                 !gradient ? "gradient" : !sum ? "sum" : "tokens");
	status = check_complete(gradient);
	if (status)
		return status;
	span_fp_enter(&mode);
	status = sum_all(gradient, &total);
	span_fp_leave(&mode);
	if (!status) {
		memcpy(sum, total->value, gradient->n * sizeof(float));
		*tokens = *span_gradient_tokens(gradient, total);
	} else if (gradient->transport) {
		gradient->transport->abort(gradient->transport, status);
	}
	span_gradient_give(gradient, total);
	span_gradient_begin(gradient);
	gradient->epoch++;
	return status;
}
