// The same from C++: the headers in one file, a gather order built and walked.
#include <cstdio>

#include "attention/span_attention.h"
#include "attention/span_block.h"
#include "attention/span_gradient.h"
#include "topo/span_host.h"
#include "topo/span_order.h"

int main()
{
	span_order_options options = span_order_options();
	span_order *order = nullptr;

	options.size = sizeof options;
	options.kind = SPAN_ORDER_RING;
	options.ranks = 5;
	if (span_order_create(&options, &order) != SPAN_OK)
		return 1;
	const bool whole = span_order_check(order) == SPAN_OK && span_order_steps(order, 0) == 5;
	span_order_free(order);
	std::puts(span_version_string());
	return whole && span_block_width(40) == 48 ? 0 : 1;
}
