#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "memory.h"

enum { ALIGNMENT = 64 };

/* Stands before the memory handed out, in a cache line of its own. */
struct memory_block {
	struct memory_block *next;
};

void *memory_take(struct memory *memory, size_t count, size_t size)
{
	struct memory_block *block = NULL;
	size_t bytes = 0;

	if (!memory->failed && count <= (SIZE_MAX - 2 * ALIGNMENT) / size) {
		bytes = (count * size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
		block = aligned_alloc(ALIGNMENT, bytes + ALIGNMENT);
	}
	if (block == NULL) {
		memory->failed = 1;
		return NULL;
	}
	memset(block, 0, bytes + ALIGNMENT);
	block->next = memory->blocks;
	memory->blocks = block;
	memory->bytes += bytes;
	return (char *)block + ALIGNMENT;
}

void memory_release(struct memory *memory)
{
	while (memory->blocks != NULL) {
		struct memory_block *next = memory->blocks->next;

		free(memory->blocks);
		memory->blocks = next;
	}
	memory->bytes = 0;
}
