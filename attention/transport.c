/* What all transports share: the check of one that a caller hands in, and the digest. */
#include "attention/span_transport.h"

#include "attention/digest.h"
#include "topo/log.h"
#include "topo/span_order.h"

uint64_t span_digest(const void *data, size_t n)
{
	return span_digest_inline(data, n);
}

static span_status check_functions(const span_transport *transport)
{
	if (!transport->post_send || !transport->post_receive || !transport->test ||
	    !transport->wait || !transport->abort)
		return span_fail(SPAN_EINVAL, "transport %s: one of post_send, post_receive, test, "
		                 "wait and abort is NULL", transport->name);
	if (!transport->wait_in_place != !transport->release)
		return span_fail(SPAN_EINVAL, "transport %s: of wait_in_place and release one is "
		                 "NULL; both or neither are possible", transport->name);
	return SPAN_OK;
}

span_status span_transport_check(const span_transport *transport)
{
	if (!transport)
		return span_fail(SPAN_EINVAL, "transport is NULL");
	if (transport->size < sizeof(span_transport))
		return span_fail(SPAN_EINVAL, "transport: size is %zu; it must be sizeof "
		                 "(span_transport), %zu", transport->size, sizeof(span_transport));
	if (!transport->name)
		return span_fail(SPAN_EINVAL, "transport: name is NULL");
	if (transport->ranks < 1 || transport->ranks > SPAN_ORDER_MAX_RANKS)
		return span_fail(SPAN_EINVAL, "transport %s: ranks is %d; 1 to %d are possible",
		                 transport->name, transport->ranks, SPAN_ORDER_MAX_RANKS);
	if (transport->rank < 0 || transport->rank >= transport->ranks)
		return span_fail(SPAN_EINVAL, "transport %s: rank is %d; ranks are 0 to %d",
		                 transport->name, transport->rank, transport->ranks - 1);
	if (!transport->group)
		return span_fail(SPAN_EINVAL, "transport %s: group is NULL", transport->name);
	return check_functions(transport);
}
