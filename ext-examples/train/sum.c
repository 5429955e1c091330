#include "complain.h"
#include "passes.h"

/* Tiles come in the order of their positions in the tree, which needs the least memory. */
static span_status contribute_all(struct rank *rank, span_gradient *sum,
                                  tile_gradient *contribute, int layer)
{
	span_gradient_begin(sum);
	for (int64_t i = 0; i < rank->tiles; i++) {
		int64_t slot = span_gradient_order(sum, i);
		struct tile tile = rank_tile(rank, slot);
		span_status status;

		contribute(rank, layer, tile, span_gradient_slot(sum, slot));
		status = span_gradient_add(sum, slot, tile.rows);
		if (status != SPAN_OK)
			return status;
	}
	return SPAN_OK;
}

span_status sum_tiles(struct rank *rank, span_gradient *sum, tile_gradient *contribute,
                      int layer, size_t n, float *gradient)
{
	int64_t tokens = 0;
	span_status status = contribute_all(rank, sum, contribute, layer);

	if (status == SPAN_OK)
		status = span_gradient_sum(sum, rank->group_sum, &tokens);
	if (status != SPAN_OK)
		return status;
	if (tokens != rank->settings->seq) {
		complain("rank %d: a gradient counts %lld tokens, the sequence has %lld",
		         (int)rank->index, (long long)tokens, (long long)rank->settings->seq);
		return SPAN_EINTEGRITY;
	}
	for (size_t i = 0; i < n; i++)
		gradient[i] += rank->group_sum[i];
	return SPAN_OK;
}
