/* 64-bit FNV-1a: whether two ranks decide by the same content. Not against malice. Private. */
#ifndef SPAN_PLUGIN_DIGEST_H
#define SPAN_PLUGIN_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define DIGEST_START 0xcbf29ce484222325u

static inline uint64_t digest_bytes(uint64_t digest, const void *data, size_t bytes)
{
	const unsigned char *c = data;

	for (size_t i = 0; i < bytes; i++)
		digest = (digest ^ c[i]) * 0x100000001b3u;
	return digest;
}

/* Of a number, whatever its width and the order of its bytes in memory. */
static inline uint64_t digest_number(uint64_t digest, uint64_t number)
{
	for (int i = 0; i < 8; i++)
		digest = (digest ^ (number >> 8 * i & 0xff)) * 0x100000001b3u;
	return digest;
}

#endif
