/* What a profile is inside. Private. */
#ifndef SPAN_PROFILE_PRIVATE_H
#define SPAN_PROFILE_PRIVATE_H

#include "topo/span_profile.h"

#define SPAN_PROFILE_FORMAT 1

/* Numbers and curves with the line of the file they came from (0: from a call). */
struct profile_number {
	span_number number;
	char *name; /* the same as number.name, which belongs to the profile */
	int32_t line;
};

struct profile_curve {
	span_curve curve;
	span_knot *knots; /* the same as curve.knots, which belong to the profile */
	int32_t line;
};

struct span_profile {
	char *name;
	char **sources;
	struct profile_number *numbers; /* by name */
	struct profile_curve *curves;   /* by profile_compare_curves */
	int32_t n_sources, n_numbers, n_curves;
	int32_t sources_room, numbers_room, curves_room;
};

/* Why a text, a number or a curve cannot be in a profile; NULL if it can. */
const char *profile_refuse_text(const char *text);
const char *profile_refuse_number(const span_profile *profile, const span_number *number);
const char *profile_refuse_curve(const span_profile *profile, const span_curve *curve);

/* Put a checked copy at the end, unsorted. SPAN_ENOMEM; SPAN_EINVAL when there are too many. */
span_status profile_append_source(span_profile *profile, const char *text);
span_status profile_append_number(span_profile *profile, const span_number *number, int32_t line);
span_status profile_append_curve(span_profile *profile, const span_curve *curve, int32_t line);

/* Sort numbers and curves by what they are of, then by line. */
void profile_sort(span_profile *profile);

/* A number by name; NULL if it is not there. */
struct profile_number *profile_find_number(const span_profile *profile, const char *name);

/* <0, 0, >0: by collective, ranks, nodes, algorithm, protocol. */
int profile_compare_curves(const span_curve *a, const span_curve *b);

/* Read a decimal number, correctly rounded, whatever the locale. The end of what was read goes
 * to *end, which is text itself if that is no number. */
double profile_read_double(const char *text, const char **end);

/* Write the shortest decimal that reads back as the same double, whatever the locale. `room`
 * holds PROFILE_DOUBLE_BYTES. */
#define PROFILE_DOUBLE_BYTES 32
void profile_write_double(double value, char *room);

#endif
