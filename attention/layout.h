/* The inside of a layout, for the parts that walk its tree. Private. */
#ifndef SPAN_LAYOUT_PRIVATE_H
#define SPAN_LAYOUT_PRIVATE_H

#include "attention/span_layout.h"
#include "attention/tree.h"

struct span_layout {
	int64_t tokens;
	int32_t tile;
	int32_t ranks;
	span_tree tree;
};

/* Tokens of one tile: T, or fewer for the last of the sequence. */
int32_t span_layout_tile_tokens(const span_layout *layout, int64_t tile);

#endif
