/* Options of span-topo: those of every command, those of one. */
#include <ctype.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"
#include "topo/tool/tool.h"

enum { COMMON = 5 };

/* getopt_long's values of the options without a letter; a command's own come after OWN. */
enum { AS_NCCL = 256, ANONYMISE, FORMAT, OWN };

static const struct option common[COMMON] = {
	{ "as-nccl", no_argument, NULL, AS_NCCL },
	{ "anonymise", no_argument, NULL, ANONYMISE },
	{ "output", required_argument, NULL, 'o' },
	{ "help", no_argument, NULL, 'h' },
	{ "format", required_argument, NULL, FORMAT }, /* last: not every command has it */
};

static int count_own(const struct tool_command *command)
{
	int n = 0;

	while (command->options && command->options[n].name)
		n++;
	return n < TOOL_OPTIONS ? n : TOOL_OPTIONS;
}

/* The common options and the command's own, as getopt_long wants them. */
static void fill_getopt(const struct tool_command *command, struct option *list)
{
	int n = command->formats ? COMMON : COMMON - 1, own = count_own(command);

	memcpy(list, common, (size_t)n * sizeof(*list));
	for (int i = 0; i < own; i++) {
		const struct tool_option *option = &command->options[i];

		list[n + i] = (struct option){ option->name,
			                       option->argument ? required_argument
			                                        : no_argument,
			                       NULL, OWN + i };
	}
	list[n + own] = (struct option){ 0 };
}

const char *tool_value(const struct tool *tool, const char *name)
{
	for (int i = 0; i < count_own(tool->command); i++)
		if (strcmp(tool->command->options[i].name, name) == 0)
			return tool->values[i];
	return NULL;
}

bool tool_format_is(const struct tool *tool, const char *format)
{
	return tool->format && strcmp(tool->format, format) == 0;
}

/* --- help ------------------------------------------------------------------------------- */

static void print_option(FILE *out, const char *name, const char *argument, const char *meaning)
{
	char text[64];

	snprintf(text, sizeof(text), "%s%s%s", name, argument ? " " : "",
	         argument ? argument : "");
	fprintf(out, "  %-22s %s\n", text, meaning);
}

static void print_formats(FILE *out, const char *formats)
{
	char list[64] = "";

	for (const char *c = formats; *c; c++)
		snprintf(list + strlen(list), sizeof(list) - strlen(list), *c == ' ' ? ", " : "%c",
		         *c);
	strncat(list, "; the first is the default", sizeof(list) - strlen(list) - 1);
	print_option(out, "--format", "FORMAT", list);
}

void tool_help(const struct tool_command *command, FILE *out)
{
	fprintf(out, "usage: span-topo %s [OPTION...] %s\n\n%c%s.\n\n", command->name,
	        command->words, toupper((unsigned char)command->summary[0]),
	        command->summary + 1);
	for (int i = 0; i < count_own(command); i++) {
		char name[32];

		snprintf(name, sizeof(name), "--%s", command->options[i].name);
		print_option(out, name, command->options[i].argument,
		             command->options[i].meaning);
	}
	if (command->formats)
		print_formats(out, command->formats);
	print_option(out, "--as-nccl", NULL, "exactly what NCCL would believe: nothing corrected");
	print_option(out, "--anonymise", NULL, "without host names, serials and addresses");
	print_option(out, "-o, --output", "FILE", "write there, not to standard output");
	print_option(out, "--help", NULL, "say this");
	if (command->help)
		fprintf(out, "\n%s", command->help);
}

/* --- parsing ---------------------------------------------------------------------------- */

static span_status wrong(const struct tool *tool, const char *what, const char *word,
                         const char *why)
{
	return span_fail(SPAN_EINVAL, "%s: %s \"%.60s\" %s; see span-topo %s --help",
	                 tool->command->name, what, word, why, tool->command->name);
}

/* Whether a word is among those of a list with blanks between them. */
static bool is_among(const char *list, const char *word)
{
	size_t bytes = strlen(word);

	while (bytes && *list) {
		size_t n = strcspn(list, " ");

		if (n == bytes && memcmp(list, word, n) == 0)
			return true;
		list += n + (list[n] == ' ');
	}
	return false;
}

static span_status set_format(struct tool *tool, const char *word)
{
	if (!is_among(tool->command->formats, word))
		return span_fail(SPAN_EINVAL, "%s: --format \"%.60s\"; it is one of: %s",
		                 tool->command->name, word, tool->command->formats);
	tool->format = word;
	return SPAN_OK;
}

/* After getopt's '?': optopt is 0 for a long name it does not know, the value of a flag that
 * came with an argument, or a letter it does not know, alone or among others. */
static span_status unknown_option(const struct tool *tool, char **argv)
{
	char letter[3] = { '-', (char)optopt, 0 };

	if (!optopt)
		return wrong(tool, "option", argv[optind - 1], "is not known");
	if (optopt >= AS_NCCL || strncmp(argv[optind - 1], "--", 2) == 0)
		return wrong(tool, "option", argv[optind - 1], "takes no argument");
	return wrong(tool, "option", letter, "is not known");
}

static span_status take_option(struct tool *tool, int option, char **argv)
{
	switch (option) {
	case AS_NCCL:
		tool->as_nccl = true;
		return SPAN_OK;
	case ANONYMISE:
		tool->anonymise = true;
		return SPAN_OK;
	case FORMAT:
		return set_format(tool, optarg);
	case 'o':
		tool->output = optarg;
		return SPAN_OK;
	case ':':
		return wrong(tool, "option", argv[optind - 1], "needs an argument");
	case '?':
		return unknown_option(tool, argv);
	}
	tool->values[option - OWN] = optarg ? optarg : "";
	return SPAN_OK;
}

static span_status take_words(struct tool *tool, int argc, char **argv)
{
	const struct tool_command *command = tool->command;

	if (argc > command->most_words)
		return wrong(tool, "word", argv[command->most_words], "is one too many");
	if (argc < command->least_words)
		return span_fail(SPAN_EINVAL, "%s: expected \"span-topo %s %s\"", command->name,
		                 command->name, command->words);
	for (int i = 0; i < argc; i++)
		tool->words[i] = argv[i];
	tool->n_words = argc;
	return SPAN_OK;
}

bool tool_options(struct tool *tool, int argc, char **argv, int *code)
{
	struct option list[COMMON + TOOL_OPTIONS + 1];
	span_status status = SPAN_OK;
	int option;

	fill_getopt(tool->command, list);
	if (tool->command->formats)
		tool->format = "text";
	*code = EXIT_FINE;
	opterr = 0;
	while (!status && (option = getopt_long(argc, argv, ":o:h", list, NULL)) != -1) {
		if (option == 'h') {
			tool_help(tool->command, stdout);
			return false;
		}
		status = take_option(tool, option, argv);
	}
	if (!status)
		status = take_words(tool, argc - optind, argv + optind);
	*code = status ? EXIT_BAD : EXIT_FINE;
	return !status;
}
