/* The time of a curve; span_profile.h says why it has this form. */
#include "topo/span_profile.h"

#include <math.h>

#define LEAST_LATENCY (1.0 / 64) /* of the first time, for no bytes at all */
#define LINE_SHARE (2.0 / 3.0) /* of the line in the geometric mean; the rest is the power law */

/* The last knot at or below bytes, but never the last of all; -1 below the first. */
static int32_t segment_of(const span_curve *curve, double bytes)
{
	int32_t low = -1, high = curve->n_knots - 1;

	while (high - low > 1) {
		int32_t middle = low + (high - low) / 2;

		if (curve->knots[middle].bytes <= bytes)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* Before the first knot: down along its line, but no faster than bandwidth alone, which a noisy
 * first step could promise. */
static double before(const span_curve *curve, double bytes)
{
	const span_knot *a = curve->knots, *b = a + 1;
	double slope;

	if (curve->n_knots < 2 || b->us <= a->us)
		return a->us;
	slope = (b->us - a->us) / (b->bytes - a->bytes);
	return fmax(a->us - slope * (a->bytes - bytes),
	            a->us * fmax(bytes / a->bytes, LEAST_LATENCY));
}

/* After the last: on at the bandwidth of the last segment, but at no more than twice that of
 * all bytes so far, which a noisy last step could promise. */
static double after(const span_curve *curve, double bytes)
{
	const span_knot *b = curve->knots + curve->n_knots - 1;
	double slope = b->us / b->bytes;

	if (curve->n_knots > 1)
		slope = fmax((b->us - b[-1].us) / (b->bytes - b[-1].bytes), slope / 2);
	return b->us + slope * (bytes - b->bytes);
}

static double between(const span_knot *a, const span_knot *b, double bytes)
{
	double line = a->us + (b->us - a->us) * ((bytes - a->bytes) / (b->bytes - a->bytes));
	double share = log(bytes / a->bytes) / log(b->bytes / a->bytes);
	double log_power = log(a->us) + log(b->us / a->us) * share;

	return exp(LINE_SHARE * log(line) + (1 - LINE_SHARE) * log_power);
}

double span_curve_us(const span_curve *curve, double bytes)
{
	int32_t segment;

	if (bytes < curve->knots[0].bytes)
		return before(curve, bytes);
	if (bytes >= curve->knots[curve->n_knots - 1].bytes)
		return after(curve, bytes);
	segment = segment_of(curve, bytes);
	if (bytes == curve->knots[segment].bytes)
		return curve->knots[segment].us;
	return between(curve->knots + segment, curve->knots + segment + 1, bytes);
}
