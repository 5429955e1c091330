#include "plugin/options.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/plugin/cost_tables.h"
#include "tests/topo/log_capture.h"

/* A make-believe environment: pairs of name and value, NULL at the end. */
static const char *variables[16];

static const char *get(const char *name)
{
	for (int i = 0; variables[i]; i += 2)
		if (!strcmp(variables[i], name))
			return variables[i + 1];
	return NULL;
}

static span_status read_with(const char *name, const char *value, struct span_options *options)
{
	log_capture();
	variables[0] = name;
	variables[1] = value;
	variables[2] = NULL;
	return span_options_read(get, options);
}

Test(options, nothing_set_gives_the_defaults_of_the_table)
{
	struct span_options options;

	cr_assert_eq(read_with(NULL, NULL, &options), SPAN_OK);
	cr_assert(options.enable && !options.explain && !options.uniform && !options.pinned);
	cr_assert_float_eq(options.margin, 0.03, 1e-12);
	cr_assert_str_eq(options.profile, "");
	cr_assert_str_eq(options.rules, "");
}

Test(options, each_is_read_from_the_environment)
{
	struct span_options options;

	cr_assert_eq(read_with("SPAN_ENABLE", "0", &options), SPAN_OK);
	cr_assert(!options.enable);
	cr_assert_eq(read_with("SPAN_EXPLAIN", "1", &options), SPAN_OK);
	cr_assert(options.explain);
	cr_assert_eq(read_with("SPAN_UNIFORM", "1", &options), SPAN_OK);
	cr_assert(options.uniform);
	cr_assert_eq(read_with("SPAN_MARGIN", "0.25", &options), SPAN_OK);
	cr_assert_float_eq(options.margin, 0.25, 1e-12);
	cr_assert_eq(read_with("SPAN_PROFILE", "a/b", &options), SPAN_OK);
	cr_assert_str_eq(options.profile, "a/b");
	cr_assert_eq(read_with("SPAN_RULES", "c d", &options), SPAN_OK);
	cr_assert_str_eq(options.rules, "c d");
	cr_assert_eq(read_with("NCCL_ALGO", "Ring", &options), SPAN_OK);
	cr_assert(options.pinned);
	cr_assert_eq(read_with("NCCL_PROTO", "LL", &options), SPAN_OK);
	cr_assert(options.pinned);
	cr_assert_eq(read_with("NCCL_PROTO", "", &options), SPAN_OK);
	cr_assert(!options.pinned);
}

Test(options, a_value_that_is_not_accepted_is_named_with_what_is)
{
	static const struct {
		const char *name, *value, *message;
	} cases[] = {
		{ "SPAN_ENABLE", "yes",
		  "the environment: SPAN_ENABLE is \"yes\"; expected 0 or 1" },
		{ "SPAN_MARGIN", "3%",
		  "the environment: SPAN_MARGIN is \"3%\"; expected a number from 0 to 1" },
		{ "SPAN_MARGIN", "1.5",
		  "the environment: SPAN_MARGIN is \"1.5\"; expected a number from 0 to 1" },
		{ "SPAN_MARGIN", ".",
		  "the environment: SPAN_MARGIN is \".\"; expected a number from 0 to 1" },
		{ "SPAN_MARGIN", "nan",
		  "the environment: SPAN_MARGIN is \"nan\"; expected a number from 0 to 1" },
		{ "SPAN_UNIFORM", "10",
		  "the environment: SPAN_UNIFORM is \"10\"; expected 0 or 1" },
	};
	struct span_options options;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_assert_eq(read_with(cases[i].name, cases[i].value, &options), SPAN_EINVAL);
		cr_assert_str_eq(log_captured(), cases[i].message);
		cr_assert_eq(log_captured_count(), 1);
	}
}

Test(options, a_path_that_is_too_long_is_refused)
{
	static char path[SPAN_OPTION_BYTES + 1];
	struct span_options options;

	memset(path, 'x', SPAN_OPTION_BYTES);
	cr_assert_eq(read_with("SPAN_RULES", path, &options), SPAN_EINVAL);
	path[SPAN_OPTION_BYTES - 1] = '\0';
	cr_assert_eq(read_with("SPAN_RULES", path, &options), SPAN_OK);
}

Test(options, a_file_gives_them_and_the_environment_wins)
{
	struct span_options options;

	variables[0] = "SPAN_CONFIG";
	variables[1] = write_file("span.conf", "# mine\n\n SPAN_RULES = /a b/c \r\n"
					       "SPAN_MARGIN=0.5\nSPAN_EXPLAIN\t=\t1");
	variables[2] = "SPAN_MARGIN";
	variables[3] = "0.125";
	variables[4] = NULL;
	log_capture();
	cr_assert_eq(span_options_read(get, &options), SPAN_OK, "%s", log_captured());
	cr_assert_str_eq(options.rules, "/a b/c");
	cr_assert_float_eq(options.margin, 0.125, 1e-12);
	cr_assert(options.explain);
}

Test(options, what_is_wrong_in_a_file_is_named_with_line_and_column)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{ "\n  SPAN_RULE = x\n", ":2:3: \"SPAN_RULE\" is no option for a file" },
		{ "SPAN_CONFIG = x\n", ":1:1: \"SPAN_CONFIG\" is no option for a file" },
		{ "SPAN_RULES x\n", ":1:11: expected SPAN_RULES = VALUE" },
		{ "SPAN_RULES\n", ":1:11: expected SPAN_RULES = VALUE" },
		{ "SPAN_RULES x = y\n", ":1:11: expected SPAN_RULES = VALUE" },
		{ "#\nSPAN_ENABLE = on\n", ":2:15: SPAN_ENABLE is \"on\"; expected 0 or 1" },
	};
	struct span_options options;
	const char *path;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		path = write_file("span.conf", cases[i].text);
		cr_assert_lt(read_with("SPAN_CONFIG", path, &options), 0);
		cr_assert(!strncmp(log_captured(), path, strlen(path)));
		cr_assert_str_eq(log_captured() + strlen(path), cases[i].message);
	}
	cr_assert_eq(read_with("SPAN_CONFIG", "/nowhere/at/all", &options), SPAN_EIO);
	cr_assert_eq(read_with("SPAN_CONFIG", "/", &options), SPAN_EIO);
}

/* README.md shows each option as | `NAME` | meaning | default | accepted |. */
Test(options, the_readme_shows_the_table)
{
	FILE *file = fopen(SPAN_TEST_DATA "/../../plugin/README.md", "r");
	char line[512], row[512];
	int shown = 0, found;

	cr_assert(file);
	for (int i = 0; i < SPAN_OPTIONS; i++) {
		const struct span_option *option = &span_option_table[i];

		snprintf(row, sizeof(row), "| `%s` | %s | %s | %s |\n", option->name,
		         option->meaning, *option->fallback ? option->fallback : "none",
		         option->accepted);
		rewind(file);
		found = 0;
		while (fgets(line, sizeof(line), file))
			found += !strcmp(line, row);
		cr_assert_eq(found, 1, "plugin/README.md lacks: %s", row);
	}
	rewind(file);
	while (fgets(line, sizeof(line), file))
		shown += !strncmp(line, "| `SPAN_", 8);
	cr_assert_eq(shown, SPAN_OPTIONS);
	fclose(file);
}
