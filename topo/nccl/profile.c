/* Profiles in memory: filling, checking, asking. */
#include "topo/nccl/profile.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"

/* --- what may be in a profile ------------------------------------------------------------- */

const char *profile_refuse_text(const char *text)
{
	size_t n;

	for (n = 0; text[n]; n++) {
		unsigned char c = (unsigned char)text[n];

		if (c < ' ' || c == 0x7f)
			return "a control character";
		if (n == SPAN_PROFILE_MAX_TEXT)
			return "longer than 255 bytes";
	}
	if (!n)
		return "empty";
	return text[0] == ' ' || text[n - 1] == ' ' ? "a blank at its end" : NULL;
}

static int is_name(const char *name)
{
	int length = 0;

	for (const char *c = name;; c++) {
		if ((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '-') {
			length++;
			continue;
		}
		if (!length || (*c && *c != '.'))
			return 0;
		if (!*c)
			return c - name <= SPAN_PROFILE_MAX_TEXT;
		length = 0;
	}
}

static const char *refuse_trust(const span_profile *profile, double spread, int32_t samples,
                                int32_t source)
{
	if (!isfinite(spread) || spread < 0)
		return "a spread that is negative or not finite";
	if (samples < 0)
		return "a negative number of samples";
	return source < 0 || source >= profile->n_sources ? "a source that is none" : NULL;
}

const char *profile_refuse_number(const span_profile *profile, const span_number *number)
{
	if (!is_name(number->name))
		return "a name that is not words of a-z, 0-9 and \"-\" joined by \".\"";
	if (!isfinite(number->value))
		return "a value that is not finite";
	return refuse_trust(profile, number->spread, number->samples, number->source);
}

static const char *refuse_knots(const span_curve *curve)
{
	double last = 0;

	if (curve->n_knots < 1 || curve->n_knots > SPAN_PROFILE_MAX_KNOTS)
		return "no knots, or more than 256";
	for (int32_t i = 0; i < curve->n_knots; i++) {
		const span_knot *knot = curve->knots + i;

		if (!(knot->bytes > last) || knot->bytes > SPAN_PROFILE_MAX_BYTES)
			return "bytes that do not ascend, or beyond 2^50";
		if (!(knot->us >= SPAN_PROFILE_MIN_US && knot->us <= SPAN_PROFILE_MAX_US))
			return "a time that is not from 1e-6 to 1e15 us";
		last = knot->bytes;
	}
	return NULL;
}

const char *profile_refuse_curve(const span_profile *profile, const span_curve *curve)
{
	const char *why;

	if (!span_coll_name(curve->coll) || !span_algo_name(curve->algo) ||
	    !span_proto_name(curve->proto))
		return "a collective, algorithm or protocol that is none";
	if (curve->ranks < 1 || curve->ranks > SPAN_PROFILE_MAX_RANKS || curve->nodes < 1 ||
	    curve->nodes > curve->ranks)
		return "ranks or nodes out of bounds";
	why = refuse_trust(profile, curve->spread, curve->samples, curve->source);
	return why ? why : refuse_knots(curve);
}

/* --- create and free ---------------------------------------------------------------------- */

span_status span_profile_create(const char *name, span_profile **profile)
{
	const char *why = name ? profile_refuse_text(name) : "NULL";
	span_profile *made;

	if (why || !profile)
		return span_fail(SPAN_EINVAL, "span_profile_create: %s is %s",
		                 why ? "name" : "profile", why ? why : "NULL");
	made = calloc(1, sizeof(*made));
	if (made)
		made->name = strdup(name);
	if (!made || !made->name) {
		free(made);
		return span_fail(SPAN_ENOMEM, "span_profile_create: no memory");
	}
	*profile = made;
	return SPAN_OK;
}

void span_profile_free(span_profile *profile)
{
	if (!profile)
		return;
	for (int32_t i = 0; i < profile->n_sources; i++)
		free(profile->sources[i]);
	for (int32_t i = 0; i < profile->n_numbers; i++)
		free(profile->numbers[i].name);
	for (int32_t i = 0; i < profile->n_curves; i++)
		free(profile->curves[i].knots);
	free(profile->sources);
	free(profile->numbers);
	free(profile->curves);
	free(profile->name);
	free(profile);
}

/* --- fill --------------------------------------------------------------------------------- */

/* Room for one more item in an array; `what` and `most` bound it. */
static span_status make_room(void *array, int32_t n, int32_t *room, size_t bytes, int32_t most,
                             const char *what)
{
	int32_t more = *room ? 2 * *room : 16;
	void *grown;

	if (n < *room)
		return SPAN_OK;
	if (n >= most)
		return span_fail(SPAN_EINVAL, "span_profile: more than %d %s", most, what);
	grown = realloc(*(void **)array, (size_t)more * bytes);
	if (!grown)
		return span_fail(SPAN_ENOMEM, "span_profile: no memory for %d %s", more, what);
	*(void **)array = grown;
	*room = more;
	return SPAN_OK;
}

span_status profile_append_source(span_profile *profile, const char *text)
{
	span_status status = make_room(&profile->sources, profile->n_sources,
	                               &profile->sources_room, sizeof(*profile->sources),
	                               SPAN_PROFILE_MAX_SOURCES, "sources");
	char *copy;

	if (status)
		return status;
	copy = strdup(text);
	if (!copy)
		return span_fail(SPAN_ENOMEM, "span_profile: no memory for a source");
	profile->sources[profile->n_sources++] = copy;
	return SPAN_OK;
}

span_status profile_append_number(span_profile *profile, const span_number *number, int32_t line)
{
	span_status status = make_room(&profile->numbers, profile->n_numbers,
	                               &profile->numbers_room, sizeof(*profile->numbers),
	                               SPAN_PROFILE_MAX_NUMBERS, "numbers");
	struct profile_number *last;
	char *name;

	if (status)
		return status;
	name = strdup(number->name);
	if (!name)
		return span_fail(SPAN_ENOMEM, "span_profile: no memory for a number");
	last = profile->numbers + profile->n_numbers++;
	last->number = *number;
	last->number.name = last->name = name;
	last->line = line;
	return SPAN_OK;
}

span_status profile_append_curve(span_profile *profile, const span_curve *curve, int32_t line)
{
	span_status status = make_room(&profile->curves, profile->n_curves, &profile->curves_room,
	                               sizeof(*profile->curves), SPAN_PROFILE_MAX_CURVES, "curves");
	size_t bytes = (size_t)curve->n_knots * sizeof(*curve->knots);
	struct profile_curve *last;
	span_knot *knots;

	if (status)
		return status;
	knots = malloc(bytes);
	if (!knots)
		return span_fail(SPAN_ENOMEM, "span_profile: no memory for a curve");
	memcpy(knots, curve->knots, bytes);
	last = profile->curves + profile->n_curves++;
	last->curve = *curve;
	last->curve.knots = last->knots = knots;
	last->line = line;
	return SPAN_OK;
}

static int compare(int64_t a, int64_t b)
{
	return a < b ? -1 : a > b;
}

int profile_compare_curves(const span_curve *a, const span_curve *b)
{
	int order = compare(a->coll, b->coll);

	if (!order)
		order = compare(a->ranks, b->ranks);
	if (!order)
		order = compare(a->nodes, b->nodes);
	if (!order)
		order = compare(a->algo, b->algo);
	return order ? order : compare(a->proto, b->proto);
}

static int by_name(const void *a, const void *b)
{
	const struct profile_number *x = a, *y = b;
	int order = strcmp(x->number.name, y->number.name);

	return order ? order : compare(x->line, y->line);
}

static int by_curve(const void *a, const void *b)
{
	const struct profile_curve *x = a, *y = b;
	int order = profile_compare_curves(&x->curve, &y->curve);

	return order ? order : compare(x->line, y->line);
}

void profile_sort(span_profile *profile)
{
	if (profile->n_numbers)
		qsort(profile->numbers, (size_t)profile->n_numbers, sizeof(*profile->numbers),
		      by_name);
	if (profile->n_curves)
		qsort(profile->curves, (size_t)profile->n_curves, sizeof(*profile->curves), by_curve);
}

span_status span_profile_add_source(span_profile *profile, const char *text, int32_t *source)
{
	const char *why = text ? profile_refuse_text(text) : "NULL";
	span_status status;

	if (!profile || !source || why)
		return span_fail(SPAN_EINVAL, "span_profile_add_source: %s is %s",
		                 !profile ? "profile" : !source ? "source"
		                                                : "text",
		                 profile && source ? why : "NULL");
	for (int32_t i = 0; i < profile->n_sources; i++) {
		if (!strcmp(profile->sources[i], text)) {
			*source = i;
			return SPAN_OK;
		}
	}
	status = profile_append_source(profile, text);
	if (!status)
		*source = profile->n_sources - 1;
	return status;
}

span_status span_profile_set_number(span_profile *profile, const span_number *number)
{
	const char *why = "NULL";
	struct profile_number *there;
	span_status status;

	if (profile && number && number->name)
		why = profile_refuse_number(profile, number);
	if (why)
		return span_fail(SPAN_EINVAL, "span_profile_set_number: %s", why);
	there = profile_find_number(profile, number->name);
	if (there) {
		there->number = *number;
		there->number.name = there->name;
		return SPAN_OK;
	}
	status = profile_append_number(profile, number, 0);
	if (!status)
		profile_sort(profile);
	return status;
}

span_status span_profile_add_curve(span_profile *profile, const span_curve *curve)
{
	const char *why = "NULL";
	span_status status;

	if (profile && curve && curve->knots)
		why = profile_refuse_curve(profile, curve);
	if (!why && span_profile_curve(profile, curve->coll, curve->algo, curve->proto,
	                               curve->ranks, curve->nodes))
		why = "a second curve of the same collective, algorithm, protocol, ranks and nodes";
	if (why)
		return span_fail(SPAN_EINVAL, "span_profile_add_curve: %s", why);
	status = profile_append_curve(profile, curve, 0);
	if (!status)
		profile_sort(profile);
	return status;
}
