/* Machine numbers out of the JSON that nvbandwidth writes. */
#include <ctype.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/tune/tune.h"
#include "topo/log.h"

enum { VALUES = 65536 };

/* A cell of a matrix: a number, or one as text; "N/A" is none. */
static bool cell_value(const json_t *cell, double *value)
{
	const char *text = json_string_value(cell);
	char *end;

	if (json_is_number(cell)) {
		*value = json_number_value(cell);
		return *value > 0;
	}
	if (!text)
		return false;
	*value = strtod(text, &end);
	return end != text && !*end && isfinite(*value) && *value > 0;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static int collect(const json_t *matrix, double *values)
{
	int n = 0;

	for (size_t i = 0; i < json_array_size(matrix); i++) {
		const json_t *row = json_array_get(matrix, i);

		for (size_t k = 0; k < json_array_size(row) && n < VALUES; k++)
			n += cell_value(json_array_get(row, k), values + n);
	}
	return n;
}

/* "Device_To_Device" to "device-to-device": what a name of a profile may hold. */
static void name_of(const char *test, char *name, size_t bytes)
{
	size_t n = (size_t)snprintf(name, bytes, "nvbandwidth.");

	for (; *test && n + 1 < bytes; test++)
		name[n++] = isalnum((unsigned char)*test) ? (char)tolower((unsigned char)*test) : '-';
	name[n] = '\0';
}

static span_status add_test(span_profile *profile, const json_t *test, int32_t source,
                            double *values, int *added)
{
	const char *title = json_string_value(json_object_get(test, "name"));
	int n = collect(json_object_get(test, "bandwidth_matrix"), values);
	span_number number = { .samples = n, .source = source };
	char name[SPAN_PROFILE_MAX_TEXT];

	if (!title || !*title || !n)
		return SPAN_OK;
	name_of(title, name, sizeof(name));
	qsort(values, (size_t)n, sizeof(*values), by_value);
	number.name = name;
	number.value = values[n / 2];
	number.spread = (values[n - 1] - values[0]) / (2 * number.value);
	++*added;
	return span_profile_set_number(profile, &number);
}

static span_status add_tests(const char *path, const json_t *tests, span_profile *profile,
                             int *added)
{
	double *values = malloc(VALUES * sizeof(*values));
	char text[SPAN_PROFILE_MAX_TEXT + 1];
	const char *slash = strrchr(path, '/');
	int32_t source;
	span_status status;

	snprintf(text, sizeof(text), "nvbandwidth: %.200s, 1e9 bytes a second",
	         slash ? slash + 1 : path);
	status = values ? span_profile_add_source(profile, text, &source)
	                : span_fail(SPAN_ENOMEM, "%s: no memory", path);
	for (size_t i = 0; i < json_array_size(tests) && !status; i++)
		status = add_test(profile, json_array_get(tests, i), source, values, added);
	free(values);
	return status;
}

span_status tune_read_nvbandwidth(const char *text, size_t bytes, const char *path,
                                  span_profile *profile)
{
	json_error_t error;
	json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error), *tests;
	span_status status = SPAN_OK;
	int added = 0;

	if (!root)
		return span_fail(SPAN_EPARSE, "%s:%d:%d: %s", path, error.line, error.column,
		                 error.text);
	tests = json_object_get(json_object_get(root, "nvbandwidth"), "testcases");
	if (json_array_size(tests))
		status = add_tests(path, tests, profile, &added);
	json_decref(root);
	if (!status && !added)
		return span_fail(SPAN_EPARSE,
		                 "%s: JSON, but neither results of nccl-tests nor test cases of "
		                 "nvbandwidth in it",
		                 path);
	return status;
}
