/* span-tune: fit profiles from measurements, and see what they make NCCL do. */
#include <stdlib.h>
#include <string.h>

#include "plugin/tune/tune.h"
#include "topo/log.h"

static const struct tune_command *const commands[] = {
	&command_fit,
	&command_predict,
	&command_table,
	&command_explain,
	&command_check,
	&command_compare,
	&command_plot,
};

enum { COMMANDS = sizeof(commands) / sizeof(*commands) };

static void print_message(void *user, span_status status, const char *message)
{
	(void)user;
	(void)status;
	fprintf(stderr, "span-tune: %s\n", message);
}

static const struct tune_command *find_command(const char *name)
{
	for (int i = 0; i < COMMANDS; i++) {
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	}
	return NULL;
}

static void print_help(FILE *out)
{
	fputs("usage: span-tune COMMAND [OPTION...] [FILE...]\n\n"
	      "Fit profiles from measurements, and see what they make NCCL do.\n\n",
	      out);
	for (int i = 0; i < COMMANDS; i++)
		fprintf(out, "  %-8s %-28s %s\n", commands[i]->name, commands[i]->words,
		        commands[i]->summary);
	fputs("\n`span-tune COMMAND --help` lists the options of a command.\n\n"
	      "  --help  say this; --version  say the version\n\n"
	      "Exit status: 0 fine; 1 check has findings, compare has differences, fit passed a log\n"
	      "over; 2 bad options or input, or output that could not be written.\n\n"
	      "Examples:\n"
	      "  all_reduce_perf -b 8 -e 1G -f 2 -g 8 | tee ar.txt\n"
	      "  span-tune fit ar.txt -o mine.profile\n"
	      "  span-tune table mine.profile --coll AllReduce --ranks 8 --nodes 1\n"
	      "  span-tune explain AllReduce 64M 8 1 --profile mine.profile\n",
	      out);
}

/* Flush and close what was written: here a full disk or a closed pipe shows. */
static int close_output(FILE *file, const char *name, int code)
{
	bool failed = ferror(file) != 0;

	if (fclose(file))
		failed = true;
	if (!failed || code == EXIT_BAD) /* the cause was told */
		return code;
	span_fail(SPAN_EIO, "%s: not everything could be written", name);
	return EXIT_BAD;
}

static int run(int argc, char **argv)
{
	struct tune tune = { .command = argc > 1 ? find_command(argv[1]) : NULL };
	int code;

	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		print_help(stdout);
		return EXIT_FINE;
	}
	if (argc > 1 && !strcmp(argv[1], "--version")) {
		printf("span-tune %s\n", span_version_string());
		return EXIT_FINE;
	}
	if (!tune.command) {
		span_fail(SPAN_EINVAL, "%s%s%s; span-tune --help lists commands",
		          argc > 1 ? "\"" : "a command is missing", argc > 1 ? argv[1] : "",
		          argc > 1 ? "\" is no command" : "");
		return EXIT_BAD;
	}
	if (!tune_options(&tune, argc - 1, argv + 1, &code))
		return code;
	code = tune.command->run(&tune);
	if (tune.out && tune.out != stdout)
		code = close_output(tune.out, tune.output, code);
	return code;
}

int main(int argc, char **argv)
{
	int code;

	span_set_log(print_message, NULL);
	code = run(argc, argv);
	return close_output(stdout, "standard output", code);
}
