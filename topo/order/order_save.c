/* Writing an order as text, one fact a line; the format is in README.md of this folder. */
#include "topo/order/order.h"

#include <errno.h>
#include <string.h>

#include "topo/log.h"

/* A rank's needs as runs of neighbouring blocks. */
static void save_needs(const span_order *order, int32_t rank, FILE *file)
{
	for (int32_t first = 0; first < order->ranks; first++) {
		int32_t last = first;

		if (!span_order_needs(order, rank, first))
			continue;
		while (last + 1 < order->ranks && span_order_needs(order, rank, last + 1))
			last++;
		fprintf(file, "need %d %d %d\n", rank, first, last);
		first = last;
	}
}

static void save_step(const span_order_step *step, int32_t s, FILE *file)
{
	fprintf(file, "step %d\n", s);
	if (step->compute >= 0)
		fprintf(file, "compute %d\n", step->compute);
	for (int32_t i = 0; i < step->n_receives; i++)
		fprintf(file, "receive %d from %d\n", step->receives[i].block,
		        step->receives[i].peer);
	for (int32_t i = 0; i < step->n_sends; i++)
		fprintf(file, "send %d to %d\n", step->sends[i].block,
		        step->sends[i].peer);
}

span_status span_order_save(const span_order *order, FILE *file)
{
	if (!order || !file)
		return span_fail(SPAN_EINVAL, "span_order_save: %s is NULL", order ? "file" : "order");
	fprintf(file, "span-order %d\nkind %s\nway-back %s\nranks %d\n", SPAN_ORDER_FORMAT,
	        span_order_kind_name(order->kind), span_order_way_back_name(order->way_back),
	        order->ranks);
	for (int32_t rank = 0; rank < order->ranks; rank++)
		fprintf(file, "group %d %d\n", rank, order->group_id[rank]);
	for (int32_t rank = 0; rank < order->ranks; rank++)
		save_needs(order, rank, file);
	for (int32_t rank = 0; rank < order->ranks; rank++) {
		fprintf(file, "rank %d\n", rank);
		for (int32_t s = 0; s < span_order_steps(order, rank); s++)
			save_step(span_order_step_at(order, rank, s), s, file);
	}
	fprintf(file, "end\n");
	if (fflush(file) || ferror(file))
		return span_fail(SPAN_EIO, "span_order_save: writing failed: %s", strerror(errno));
	return SPAN_OK;
}
