#include "tests/plugin/cost_tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void must(int held)
{
	if (!held)
		abort();
}

/* Knuth's linear congruence, the upper half. */
uint32_t random_number(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 32);
}

void random_costs(uint64_t *state, float *costs, int cells)
{
	int none = random_number(state) % 7 == 0;

	for (int i = 0; i < cells; i++) {
		uint32_t kind = random_number(state) % 12;

		costs[i] = 1 + (float)(random_number(state) % 1000000) / 1000;
		if (none || kind < 4)
			costs[i] = -1;
		else if (kind == 4)
			costs[i] = 7; /* ties */
		else if (kind == 5 && random_number(state) % 16 == 0)
			costs[i] = 0;
	}
}

int nccl_takes(const float *costs, int cells)
{
	float least = 3600000000.0f;
	int taken = -1;

	for (int i = 0; i < cells; i++) {
		if (costs[i] >= 0 && costs[i] < least) {
			least = costs[i];
			taken = i;
		}
	}
	return taken;
}

void rising_costs(float *costs, int cells)
{
	for (int i = 0; i < cells; i++)
		costs[i] = (float)(i + 1);
}

span_profile *flat_profile(const char *name, int32_t ranks, int32_t nodes,
                           const struct flat_time *times, int n, double spread)
{
	span_profile *profile;
	int32_t source;

	must(!span_profile_create(name, &profile));
	must(!span_profile_add_source(profile, "made up by a test", &source));
	for (int i = 0; i < n; i++) {
		span_knot knots[] = { { 1024, times[i].us }, { 1 << 20, times[i].us } };
		span_curve curve = {
			.coll = SPAN_COLL_ALL_REDUCE,
			.algo = times[i].algo,
			.proto = times[i].proto,
			.ranks = ranks,
			.nodes = nodes,
			.spread = spread,
			.samples = 5,
			.source = source,
			.n_knots = 2,
			.knots = knots,
		};

		must(!span_profile_add_curve(profile, &curve));
	}
	return profile;
}

const char *write_file(const char *name, const char *text)
{
	static char path[256];
	char folder[] = "/tmp/span-test-XXXXXX";
	FILE *file;

	must(mkdtemp(folder) != NULL);
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "w");
	must(file != NULL);
	fputs(text, file);
	fclose(file);
	return path;
}
