/* The text to learn: bytes in memory. */
#ifndef TRAIN_TEXT_H
#define TRAIN_TEXT_H

#include <stddef.h>
#include <stdint.h>

#define TEXT_MOST_BYTES (1 << 28) /* a device such as /dev/zero has no end */

struct text {
	uint8_t *bytes;
	size_t length;
	size_t room; /* of bytes, while it is read */
};

/* Read a file; or a folder: its regular files one after another, sorted by the bytes of
 * their names, links and folders left out. At most TEXT_MOST_BYTES.
 * Returns 0, or -1 with the reason said. */
int text_load(const char *path, struct text *text);
void text_free(struct text *text);

/* The byte at an index that may lie behind the end: reading goes on from the start. */
static inline uint8_t text_at(const struct text *text, uint64_t index)
{
	return text->bytes[index % text->length];
}

#endif
