/* span-tune compare: where two profiles differ by more than their noise. */
#include <math.h>
#include <stdlib.h>

#include "plugin/tune/tune.h"

/* Differences below so many spreads of both are noise. */
#define CERTAIN 2.0

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* The median of B's time over A's at A's knots that B covers; 0 if there is none. */
static double median_ratio(const span_curve *a, const span_curve *b, double *least, double *most)
{
	double ratios[SPAN_PROFILE_MAX_KNOTS];
	int n = 0;

	for (int32_t i = 0; i < a->n_knots; i++) {
		double bytes = a->knots[i].bytes;

		if (bytes >= b->knots[0].bytes && bytes <= b->knots[b->n_knots - 1].bytes)
			ratios[n++] = span_curve_us(b, bytes) / a->knots[i].us;
	}
	if (!n)
		return 0;
	qsort(ratios, (size_t)n, sizeof(*ratios), by_value);
	*least = ratios[0];
	*most = ratios[n - 1];
	return n % 2 ? ratios[n / 2] : (ratios[n / 2 - 1] + ratios[n / 2]) / 2;
}

static void print_curve(FILE *out, const span_curve *curve)
{
	char cell[32];

	fprintf(out, "%-14s %6d %6d  %-16s ", span_coll_name(curve->coll), curve->ranks, curve->nodes,
	        tune_cell_text(curve->algo, curve->proto, cell));
}

static const span_curve *same_curve(const span_profile *profile, const span_curve *curve)
{
	return span_profile_curve(profile, curve->coll, curve->algo, curve->proto, curve->ranks,
	                          curve->nodes);
}

/* Returns whether they differ. */
static int compare_curves(FILE *out, const span_curve *a, const span_curve *b)
{
	double least = 0, most = 0, ratio = median_ratio(a, b, &least, &most);
	double noise = CERTAIN * hypot(a->spread, b->spread);
	int differs = ratio > 0 && fabs(ratio - 1) > noise;

	print_curve(out, a);
	if (!ratio)
		fprintf(out, "no sizes in common\n");
	else
		fprintf(out, "%+7.1f%% (%+.1f%% to %+.1f%%)%s\n", 100 * (ratio - 1), 100 * (least - 1),
		        100 * (most - 1), differs ? "" : "  within the noise");
	return differs;
}

static int compare_all_curves(FILE *out, const span_profile *a, const span_profile *b)
{
	int differences = 0;

	for (int32_t i = 0; i < span_profile_curves(a); i++) {
		const span_curve *curve = span_profile_curve_at(a, i), *other = same_curve(b, curve);

		if (other) {
			differences += compare_curves(out, curve, other);
			continue;
		}
		print_curve(out, curve);
		fprintf(out, "only in the first\n");
		differences++;
	}
	for (int32_t i = 0; i < span_profile_curves(b); i++) {
		const span_curve *curve = span_profile_curve_at(b, i);

		if (same_curve(a, curve))
			continue;
		print_curve(out, curve);
		fprintf(out, "only in the second\n");
		differences++;
	}
	return differences;
}

static int compare_numbers(FILE *out, const span_profile *a, const span_profile *b)
{
	int differences = 0;

	for (int32_t i = 0; i < span_profile_numbers(a); i++) {
		const span_number *number = span_profile_number_at(a, i);
		const span_number *other = span_profile_number(b, number->name);

		if (other && other->value == number->value)
			continue;
		if (other)
			fprintf(out, "%s: %g, then %g\n", number->name, number->value, other->value);
		else
			fprintf(out, "%s: %g, only in the first\n", number->name, number->value);
		differences++;
	}
	for (int32_t i = 0; i < span_profile_numbers(b); i++) {
		const span_number *number = span_profile_number_at(b, i);

		if (span_profile_number(a, number->name))
			continue;
		fprintf(out, "%s: %g, only in the second\n", number->name, number->value);
		differences++;
	}
	return differences;
}

static int run(struct tune *tune)
{
	span_profile *a = NULL, *b = NULL;
	FILE *out = NULL;
	int differences = 0;

	if (!tune_load_profile(tune->words[0], &a) && !tune_load_profile(tune->words[1], &b))
		out = tune_out(tune);
	if (out) {
		fprintf(out, "%-14s %6s %6s  %-16s second against first: median (least to most)\n",
		        "collective", "ranks", "nodes", "cell");
		differences = compare_all_curves(out, a, b) + compare_numbers(out, a, b);
		fprintf(out, "%d differences\n", differences);
	}
	span_profile_free(a);
	span_profile_free(b);
	if (!out)
		return EXIT_BAD;
	return differences ? EXIT_FINDINGS : EXIT_FINE;
}

const struct tune_command command_compare = {
	.name = "compare",
	.words = "A B",
	.summary = "Where two profiles differ by more than their noise",
	.options = "o",
	.least_words = 2,
	.most_words = 2,
	.help = "Exit status: 0 alike, 1 different, 2 a file that cannot be read.\n\n"
		"Example:\n"
		"  span-tune compare before.profile after.profile\n",
	.run = run,
};
