/* Asking a profile, and its digest. */
#include "topo/nccl/profile.h"

#include <stdlib.h>
#include <string.h>

const char *span_profile_name(const span_profile *profile)
{
	return profile->name;
}

int32_t span_profile_sources(const span_profile *profile)
{
	return profile->n_sources;
}

const char *span_profile_source(const span_profile *profile, int32_t source)
{
	return source >= 0 && source < profile->n_sources ? profile->sources[source] : NULL;
}

int32_t span_profile_numbers(const span_profile *profile)
{
	return profile->n_numbers;
}

const span_number *span_profile_number_at(const span_profile *profile, int32_t index)
{
	return index >= 0 && index < profile->n_numbers ? &profile->numbers[index].number : NULL;
}

static int find_name(const void *name, const void *item)
{
	return strcmp(name, ((const struct profile_number *)item)->number.name);
}

struct profile_number *profile_find_number(const span_profile *profile, const char *name)
{
	if (!profile->n_numbers)
		return NULL;
	return bsearch(name, profile->numbers, (size_t)profile->n_numbers,
	               sizeof(*profile->numbers), find_name);
}

const span_number *span_profile_number(const span_profile *profile, const char *name)
{
	const struct profile_number *found = profile_find_number(profile, name);

	return found ? &found->number : NULL;
}

int32_t span_profile_curves(const span_profile *profile)
{
	return profile->n_curves;
}

const span_curve *span_profile_curve_at(const span_profile *profile, int32_t index)
{
	return index >= 0 && index < profile->n_curves ? &profile->curves[index].curve : NULL;
}

static int find_curve(const void *key, const void *item)
{
	return profile_compare_curves(key, &((const struct profile_curve *)item)->curve);
}

const span_curve *span_profile_curve(const span_profile *profile, int32_t coll, int32_t algo,
                                     int32_t proto, int32_t ranks, int32_t nodes)
{
	span_curve key = { .coll = coll, .algo = algo, .proto = proto, .ranks = ranks, .nodes = nodes };
	const struct profile_curve *found = NULL;

	if (profile->n_curves)
		found = bsearch(&key, profile->curves, (size_t)profile->n_curves,
		                sizeof(*profile->curves), find_curve);
	return found ? &found->curve : NULL;
}

/* --- digest ------------------------------------------------------------------------------- */

/* FNV-1a over words of 64 bits, with the high half folded down so that every bit reaches
 * every other. Source: Fowler, Noll, Vo, draft-eastlake-fnv; the fold is that of splitmix64. */
static uint64_t mix(uint64_t digest, uint64_t word)
{
	digest = (digest ^ word) * 0x100000001b3u;
	return digest ^ digest >> 32;
}

static uint64_t mix_text(uint64_t digest, const char *text)
{
	do
		digest = mix(digest, (unsigned char)*text);
	while (*text++);
	return digest;
}

static uint64_t mix_double(uint64_t digest, double value)
{
	uint64_t bits;

	value += 0.0; /* -0 and 0 are one number */
	memcpy(&bits, &value, sizeof(bits));
	return mix(digest, bits);
}

/* The text of the source, not its index, which depends on the order of lines. */
static uint64_t mix_trust(const span_profile *profile, uint64_t digest, double spread,
                          int32_t samples, int32_t source)
{
	digest = mix_double(digest, spread);
	digest = mix(digest, (uint64_t)samples);
	return mix_text(digest, profile->sources[source]);
}

static uint64_t mix_curve(const span_profile *profile, uint64_t digest, const span_curve *curve)
{
	digest = mix(digest, (uint64_t)curve->coll << 16 | (uint64_t)(curve->algo + 1) << 8 |
	                             (uint64_t)(curve->proto + 1));
	digest = mix(digest, (uint64_t)curve->ranks << 32 | (uint64_t)curve->nodes);
	digest = mix_trust(profile, digest, curve->spread, curve->samples, curve->source);
	for (int32_t i = 0; i < curve->n_knots; i++) {
		digest = mix_double(digest, curve->knots[i].bytes);
		digest = mix_double(digest, curve->knots[i].us);
	}
	return mix(digest, (uint64_t)curve->n_knots);
}

uint64_t span_profile_digest(const span_profile *profile)
{
	uint64_t digest = mix_text(0xcbf29ce484222325u, profile->name);

	for (int32_t i = 0; i < profile->n_numbers; i++) {
		const span_number *number = &profile->numbers[i].number;

		digest = mix_text(digest, number->name);
		digest = mix_double(digest, number->value);
		digest = mix_trust(profile, digest, number->spread, number->samples,
		                   number->source);
	}
	digest = mix(digest, (uint64_t)profile->n_numbers);
	for (int32_t i = 0; i < profile->n_curves; i++)
		digest = mix_curve(profile, digest, &profile->curves[i].curve);
	return mix(digest, (uint64_t)profile->n_curves);
}
