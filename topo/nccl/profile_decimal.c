/* Doubles as decimals, there and back, independent of the locale of the process: a plugin is a
 * guest in processes that may have set any. */
#include "topo/nccl/profile.h"

#include <ctype.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A double holds these powers of ten exactly (up to 10^22), */
static const double powers[] = { 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7,
	                         1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15 };

#define EXACT_DIGITS 15 /* and whole numbers of so many digits */
#define MOST_BYTES   64 /* of a number's text */

static int is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Digits as a whole number, which overflows where there are too many to count anyway. */
static const char *read_digits(const char *c, uint64_t *number)
{
	uint64_t sum = *number;

	for (; is_digit(*c); c++)
		sum = 10 * sum + (uint64_t)(*c - '0');
	*number = sum;
	return c;
}

/* Everything else, through the C library in its own locale. */
static double read_slowly(const char *text, const char **end)
{
	size_t n = strspn(text, "+-.0123456789eE");
	locale_t plain, before;
	char copy[MOST_BYTES], *stop;
	double value = 0;

	*end = text;
	if (!n || n >= sizeof(copy))
		return 0;
	memcpy(copy, text, n);
	copy[n] = '\0';
	plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	if (!plain)
		return 0;
	before = uselocale(plain);
	value = strtod(copy, &stop);
	uselocale(before);
	freelocale(plain);
	*end = text + (stop - copy);
	return value;
}

double profile_read_double(const char *text, const char **end)
{
	const char *first = text + (*text == '-' || *text == '+'), *c, *point;
	uint64_t digits = 0;
	double value;
	long scale = 0;

	c = point = read_digits(first, &digits);
	if (*c == '.') {
		c = read_digits(c + 1, &digits);
		scale = c - point - 1;
	}
	if (c - first - (c > point) > EXACT_DIGITS || c - first == (c > point) || *c == 'e' ||
	    *c == 'E')
		return read_slowly(text, end);
	/* Both are exact, so that one division rounds once, correctly. */
	value = (double)digits;
	if (scale)
		value /= powers[scale];
	*end = c;
	return *text == '-' ? -value : value;
}

void profile_write_double(double value, char *room)
{
	locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0), before = (locale_t)0;
	/* Whole numbers in full: 90, not 9e+01. */
	int digits = fabs(value) < 1e15 && value == floor(value) ? EXACT_DIGITS : 1;

	if (plain)
		before = uselocale(plain);
	for (; digits <= 17; digits++) {
		snprintf(room, PROFILE_DOUBLE_BYTES, "%.*g", digits, value);
		if (strtod(room, NULL) == value)
			break;
	}
	if (plain) {
		uselocale(before);
		freelocale(plain);
	}
}
