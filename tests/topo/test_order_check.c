/* Orders made by hand, each wrong in one way; they come in through span_order_load, which has
 * no opinion on what an order does. What no file can say is written into a built order. */
#include "topo/order/order.h"

#include <criterion/criterion.h>
#include <string.h>

#include "tests/topo/log_capture.h"

/* Two ranks exchange their blocks. */
#define TWO_HEAD "span-order 1\nkind ring\nway-back direct\nranks 2\nneed 0 0 1\nneed 1 0 1\n"
#define TWO_RANK_0 "rank 0\nstep 0\ncompute 0\nreceive 1 from 1\nsend 0 to 1\nstep 1\ncompute 1\n"
#define TWO_RANK_1 "rank 1\nstep 0\ncompute 1\nreceive 0 from 0\nsend 1 to 0\nstep 1\ncompute 0\n"

/* Rank 1 gets block 0 and hands 0 and 1 to rank 2; nobody else needs anything. */
#define THREE_HEAD "span-order 1\nkind ring\nway-back direct\nranks 3\nneed 2 0 1\n"
#define THREE_RANK_0 "rank 0\nstep 0\nsend 0 to 1\n"
#define THREE_RANK_1 "rank 1\nstep 0\nreceive 0 from 0\nstep 1\nsend 0 to 2\nsend 1 to 2\n"
#define THREE_RANK_2 \
	"rank 2\nstep 0\nreceive 0 from 1\nreceive 1 from 1\nstep 1\ncompute 0\nstep 2\ncompute 1\n"

static span_status load(const char *text)
{
	FILE *file = fmemopen((void *)text, strlen(text), "r");
	span_order *order = NULL;
	span_status status;

	log_capture();
	status = span_order_load(file, "hand", &order);
	fclose(file);
	cr_assert_eq(order == NULL, status != SPAN_OK);
	span_order_free(order);
	return status;
}

static void accept(const char *text)
{
	cr_assert_eq(load(text), SPAN_OK, "%s", log_captured());
}

static void refuse(const char *text, const char *message)
{
	cr_assert_eq(load(text), SPAN_EINVAL, "accepted, or for another reason: %s (wanted: %s)",
	             log_captured(), message);
	cr_assert_str_eq(log_captured(), message);
	cr_assert_eq(log_captured_count(), 1);
}

Test(order_check, accepts_the_orders_that_the_others_spoil)
{
	accept(TWO_HEAD TWO_RANK_0 TWO_RANK_1 "end\n");
	accept(THREE_HEAD THREE_RANK_0 THREE_RANK_1 THREE_RANK_2 "end\n");
}

Test(order_check, refuses_a_block_never_computed)
{
	refuse(TWO_HEAD "rank 0\nstep 0\nreceive 1 from 1\nsend 0 to 1\nstep 1\ncompute 1\n"
	       TWO_RANK_1 "end\n",
	       "span_order_check: rank 0, step 2: block 0 is needed and never computed");
	refuse(TWO_HEAD "rank 0\nstep 0\ncompute 0\nsend 0 to 1\n"
	       "rank 1\nstep 0\ncompute 1\nreceive 0 from 0\nstep 1\ncompute 0\nend\n",
	       "span_order_check: rank 0, step 1: block 1 is needed and never computed");
}

Test(order_check, refuses_a_block_computed_twice)
{
	refuse(TWO_HEAD TWO_RANK_0 "step 2\ncompute 1\n" TWO_RANK_1 "end\n",
	       "span_order_check: rank 0, step 2: block 1 is computed twice");
}

Test(order_check, refuses_a_block_computed_and_not_needed)
{
	refuse("span-order 1\nkind ring\nway-back direct\nranks 2\nneed 0 0 1\nneed 1 1 1\n"
	       TWO_RANK_0 TWO_RANK_1 "end\n",
	       "span_order_check: rank 1, step 1: block 0 is computed and not needed");
}

Test(order_check, refuses_a_block_used_before_it_can_be_there)
{
	refuse(TWO_HEAD "rank 0\nstep 0\ncompute 1\nreceive 1 from 1\nsend 0 to 1\nstep 1\ncompute 0\n"
	       TWO_RANK_1 "end\n",
	       "span_order_check: rank 0, step 0: block 1 is used in the step that receives it");
	refuse(TWO_HEAD "rank 0\nstep 0\ncompute 1\nstep 1\ncompute 0\nreceive 1 from 1\nsend 0 to 1\n"
	       TWO_RANK_1 "end\n",
	       "span_order_check: rank 0, step 0: block 1 is used and was not received");
}

Test(order_check, refuses_to_send_what_a_rank_has_not)
{
	refuse(THREE_HEAD THREE_RANK_0
	       "rank 1\nstep 0\nsend 2 to 0\nreceive 0 from 0\nstep 1\nsend 0 to 2\nsend 1 to 2\n"
	       THREE_RANK_2 "end\n",
	       "span_order_check: rank 1, step 0: block 2 is used and was not received");
}

Test(order_check, refuses_a_block_received_twice_or_by_its_owner)
{
	refuse(TWO_HEAD "rank 0\nstep 0\ncompute 0\nreceive 1 from 1\nreceive 1 from 1\nsend 0 to 1\n"
	       "step 1\ncompute 1\n" TWO_RANK_1 "end\n",
	       "span_order_check: rank 0, step 0: block 1 is received twice");
	refuse(TWO_HEAD "rank 0\nstep 0\ncompute 0\nreceive 0 from 1\nsend 0 to 1\nstep 1\ncompute 1\n"
	       TWO_RANK_1 "end\n",
	       "span_order_check: rank 0, step 0: block 0 is received by its owner");
}

Test(order_check, refuses_a_block_received_for_nothing)
{
	refuse("span-order 1\nkind ring\nway-back direct\nranks 2\n"
	       "rank 0\nstep 0\nsend 0 to 1\nrank 1\nstep 0\nreceive 0 from 0\nend\n",
	       "span_order_check: rank 1, step 0: block 0 is received and never used");
}

Test(order_check, refuses_a_receive_without_its_send)
{
	refuse(TWO_HEAD TWO_RANK_0
	       "rank 1\nstep 0\ncompute 1\nreceive 0 from 0\nstep 1\ncompute 0\nend\n",
	       "span_order_check: rank 0, step 0: block 1 is received from rank 1, which does not "
	       "send it");
	refuse(THREE_HEAD "rank 0\n" THREE_RANK_1 THREE_RANK_2 "end\n",
	       "span_order_check: rank 1, step 0: block 0 is received from rank 0, which does not "
	       "send it");
}

Test(order_check, refuses_a_send_without_its_receive)
{
	refuse(TWO_HEAD TWO_RANK_0 TWO_RANK_1 "step 2\nsend 1 to 0\nend\n",
	       "span_order_check: rank 1, step 2: block 1 is sent to rank 0, which does not receive "
	       "it");
}

Test(order_check, refuses_receives_in_another_order_than_the_sends)
{
	refuse(THREE_HEAD THREE_RANK_0 THREE_RANK_1
	       "rank 2\nstep 0\nreceive 1 from 1\nreceive 0 from 1\nstep 1\ncompute 0\nstep 2\n"
	       "compute 1\nend\n",
	       "span_order_check: rank 2, step 0: the receive of block 1 from rank 1 meets its send "
	       "of block 0");
}

Test(order_check, refuses_ranks_that_wait_for_each_other)
{
	refuse(TWO_HEAD "rank 0\nstep 0\ncompute 0\nreceive 1 from 1\nstep 1\ncompute 1\nsend 0 to 1\n"
	       "rank 1\nstep 0\ncompute 1\nreceive 0 from 0\nstep 1\nsend 1 to 0\ncompute 0\nend\n",
	       "span_order_check: rank 0, step 1: block 1 is waited for without end");
}

Test(order_check, refuses_an_order_that_runs_out_of_buffers)
{
	/* Rank 0 cannot receive 3 before rank 1 takes 2, which it does after it has had 3. */
	refuse("span-order 1\nkind ring\nway-back direct\nranks 4\n"
	       "need 0 2 2\nneed 1 2 3\n"
	       "rank 0\nstep 0\nreceive 2 from 2\nstep 1\ncompute 2\nsend 2 to 1\n"
	       "step 2\nreceive 3 from 3\nstep 3\nsend 3 to 2\n"
	       "rank 1\nstep 0\nreceive 3 from 2\nstep 1\ncompute 3\nreceive 2 from 0\n"
	       "step 2\ncompute 2\n"
	       "rank 2\nstep 0\nsend 2 to 0\nreceive 3 from 0\nstep 1\nsend 3 to 1\n"
	       "rank 3\nstep 0\nsend 3 to 0\nend\n",
	       "span_order_check: rank 0, step 2: block 3 waits without end for a free buffer");
}

/* --- what no file can say ----------------------------------------------------------------- */

/* Five ranks need all, in groups of 3 and 2. */
static span_order *build(void)
{
	static const int32_t group[5] = { 0, 0, 0, 1, 1 };
	const span_order_options options = { .size = sizeof(options), .ranks = 5, .group = group };
	span_order *order;

	cr_assert_eq(span_order_create(&options, &order), SPAN_OK);
	cr_assert_eq(span_order_check(order), SPAN_OK);
	return order;
}

static void refuse_tampered(span_order *order, const char *message)
{
	log_capture();
	cr_assert_eq(span_order_check(order), SPAN_EINVAL);
	cr_assert_str_eq(log_captured(), message);
	span_order_free(order);
}

Test(order_check, refuses_blocks_and_ranks_that_do_not_exist)
{
	span_order *order = build();

	order->steps[0].compute = 5;
	refuse_tampered(order, "span_order_check: rank 0, step 0: block 5 does not exist");
	order = build();
	order->steps[0].compute = -2;
	refuse_tampered(order, "span_order_check: rank 0, step 0: block -2 does not exist");
	order = build();
	order->receives[0].block = -1;
	refuse_tampered(order, "span_order_check: rank 0, step 0: block -1 does not exist");
	order = build();
	order->sends[0].peer = 5;
	refuse_tampered(order, "span_order_check: rank 0, step 0: block 0 has rank 5 at its other "
	                       "end");
	order = build();
	order->sends[0].peer = 0;
	refuse_tampered(order, "span_order_check: rank 0, step 0: block 0 has rank 0 at its other "
	                       "end");
}

Test(order_check, refuses_too_few_buffers)
{
	span_order *order = build();
	int32_t block = order->steps[0].receives[0].block;
	char message[128];

	order->buffers[0] = 0;
	snprintf(message, sizeof(message),
	         "span_order_check: rank 0, step 0: block %d waits without end for a free buffer",
	         block);
	refuse_tampered(order, message);
}

Test(order_check, refuses_a_way_back_that_does_not_lead_to_the_owner)
{
	span_order *order = build();

	/* Group 1 collects block 1 at rank 4; in group 0 it has no collector. */
	cr_assert_eq(span_order_return_hop(order, 1, 3), 4);
	order->collector[0 * 5 + 1] = 2;
	order->collector[1 * 5 + 1] = 0;
	refuse_tampered(order, "span_order_check: rank 3 passes the gradient of block 1 to rank 0, "
	                       "which does not lead to its owner");
}

Test(order_check, refuses_a_collector_that_nothing_comes_to)
{
	static const int32_t group[4] = { 0, 0, 1, 1 };
	uint8_t need[16];
	const span_order_options options = { .size = sizeof(options), .ranks = 4, .group = group,
	                                     .need = need };
	span_order *order;

	memset(need, 1, sizeof(need));
	need[2 * 4 + 0] = need[3 * 4 + 0] = 0;
	cr_assert_eq(span_order_create(&options, &order), SPAN_OK);
	cr_assert_eq(span_order_return_hop(order, 0, 2), -1);
	order->collector[1 * 4 + 0] = 2;
	refuse_tampered(order,
	                "span_order_check: rank 2 passes a gradient of block 0 and has none");
}
