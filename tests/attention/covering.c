#include "tests/attention/covering.h"
#include <string.h>
#include "tests/attention/kernel_case.h"

enum { MOST_VALUES = 16, CANDIDATES = 12 };

/* covered[p][x][q][y]: whether value x of parameter p has met value y of q. */
typedef uint8_t coverage[COVERING_PARAMETERS][MOST_VALUES][COVERING_PARAMETERS][MOST_VALUES];

static int count_missing(int parameters, const int *values, coverage covered)
{
	int missing = 0;

	for (int p = 0; p < parameters; p++)
		for (int q = p + 1; q < parameters; q++)
			for (int x = 0; x < values[p]; x++)
				for (int y = 0; y < values[q]; y++)
					missing += !covered[p][x][q][y];
	return missing;
}

static void cover(int parameters, const int *row, coverage covered)
{
	for (int p = 0; p < parameters; p++)
		for (int q = 0; q < parameters; q++)
			covered[p][row[p]][q][row[q]] = 1;
}

/* Pairs that value x of parameter p would newly make with the values chosen so far. */
static int gain(int parameters, const int *row, int p, int x, coverage covered)
{
	int pairs = 0;

	for (int q = 0; q < parameters; q++)
		pairs += q != p && row[q] >= 0 && !covered[p][x][q][row[q]];
	return pairs;
}

static void shuffle(case_random *random, int n, int *order)
{
	for (int i = 0; i < n; i++) {
		int j = case_between(random, 0, i);

		order[i] = order[j];
		order[j] = i;
	}
}

/* Build one candidate; returns how many new pairs it has. */
static int build(case_random *random, int parameters, const int *values, coverage covered,
                 int *row)
{
	int order[COVERING_PARAMETERS], total = 0;

	shuffle(random, parameters, order);
	for (int p = 0; p < parameters; p++)
		row[p] = -1;
	for (int i = 0; i < parameters; i++) {
		int p = order[i], best = -1, chosen = 0;
		int start = case_between(random, 0, values[p] - 1);

		for (int k = 0; k < values[p]; k++) {
			int x = (start + k) % values[p];
			int pairs = gain(parameters, row, p, x, covered);

			if (pairs > best) {
				best = pairs;
				chosen = x;
			}
		}
		row[p] = chosen;
		total += best;
	}
	return total;
}

/* A candidate without a gain is possible while pairs are missing: then one of them is put in. */
static void force_pair(int parameters, const int *values, coverage covered, int *row)
{
	for (int p = 0; p < parameters; p++)
		for (int q = p + 1; q < parameters; q++)
			for (int x = 0; x < values[p]; x++)
				for (int y = 0; y < values[q]; y++)
					if (!covered[p][x][q][y]) {
						row[p] = x;
						row[q] = y;
						return;
					}
}

int covering_array(int parameters, const int *values, int row[COVERING_ROWS][COVERING_PARAMETERS])
{
	static coverage covered;
	case_random random = { 20261124 };
	int rows = 0;

	memset(covered, 0, sizeof(covered));
	while (count_missing(parameters, values, covered) > 0 && rows < COVERING_ROWS) {
		int best = 0;

		for (int i = 0; i < CANDIDATES; i++) {
			int candidate[COVERING_PARAMETERS];
			int pairs = build(&random, parameters, values, covered, candidate);

			if (i == 0 || pairs > best) {
				best = pairs;
				memcpy(row[rows], candidate, sizeof(candidate));
			}
		}
		if (best == 0)
			force_pair(parameters, values, covered, row[rows]);
		cover(parameters, row[rows++], covered);
	}
	return rows;
}

int covering_missing(int parameters, const int *values, int rows,
                     int row[COVERING_ROWS][COVERING_PARAMETERS])
{
	static coverage covered;

	memset(covered, 0, sizeof(covered));
	for (int i = 0; i < rows; i++)
		cover(parameters, row[i], covered);
	return count_missing(parameters, values, covered);
}
