/* span-topo: see a machine or a cluster, check it, get the rank order. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "topo/log.h"
#include "topo/tool/tool.h"

static const struct tool_command *const commands[] = {
	&command_show, &command_paths, &command_order, &command_lint, &command_explain,
	&command_diff, &command_convert,
};

enum { COMMANDS = sizeof(commands) / sizeof(*commands) };

static const struct tool_command *find_command(const char *name)
{
	for (int i = 0; i < COMMANDS; i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

static void print_help(FILE *out)
{
	fputs("usage: span-topo [COMMAND] [OPTION...] [SOURCE]\n"
	      "\n"
	      "See any machine or cluster, trust the picture, get the rank order.\n"
	      "\n", out);
	for (int i = 0; i < COMMANDS; i++)
		fprintf(out, "  %-9s%-22s%s\n", commands[i]->name, commands[i]->words,
		        commands[i]->summary);
	fputs("\n"
	      "`span-topo COMMAND --help` lists the options of a command. SOURCE is a file, - for\n"
	      "standard input, \"synthetic:nodes:4 gpus:8\", or host (the default): this machine.\n"
	      "Files may be hwloc XML, NCCL or RCCL topology XML, the text of `nvidia-smi topo -m`\n"
	      "or `rocm-smi --showtopo`, a cluster description, or JSON that span-topo wrote; the\n"
	      "content tells which.\n"
	      "\n"
	      "  --help         say this; --version  say the version\n"
	      "\n"
	      "Exit status: 0 fine; 1 lint has findings, diff has differences; 2 bad options or\n"
	      "input, or output that could not be written.\n"
	      "\n"
	      "Examples:\n"
	      "  span-topo                                      this machine\n"
	      "  nvidia-smi topo -m | span-topo -               one that runs nvidia-smi\n"
	      "  span-topo show --format svg -o box.svg topo.xml\n"
	      "  span-topo explain gpu0 nic1 topo.xml           why the path is what it is\n"
	      "  span-topo \"synthetic:nodes:4 gpus:8 nics:8\"    a machine that does not exist yet\n",
	      out);
}

/* The words before a command's own: none, or --help or --version. True: *code is the end. */
static bool asks_program(int argc, char **argv, int *code)
{
	*code = EXIT_FINE;
	if (argc < 2)
		return false;
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0)
		print_help(stdout);
	else if (strcmp(argv[1], "--version") == 0)
		printf("span-topo %s\n", span_version_string());
	else
		return false;
	return true;
}

/* Flush and close what was written: here a full disk or a closed pipe shows. A run that has
 * failed already has said why. */
static int close_output(FILE *file, const char *name, int code)
{
	bool failed = ferror(file) != 0;

	if (fclose(file) != 0)
		failed = true;
	if (!failed || code == EXIT_BAD)
		return code;
	span_fail(SPAN_EIO, "%s: not everything could be written", name);
	return EXIT_BAD;
}

/* A first word that is no command is a source; one that is neither is mostly mistyped. */
static bool is_mistyped(const char *word)
{
	const size_t letters = strspn(word, "abcdefghijklmnopqrstuvwxyz");

	if (letters == 0 || word[letters] || strcmp(word, "host") == 0 || access(word, F_OK) == 0)
		return false;
	span_fail(SPAN_EINVAL, "\"%.60s\" is neither a command nor a file; see span-topo --help",
	          word);
	return true;
}

static int run(int argc, char **argv)
{
	struct tool tool = { .command = argc > 1 ? find_command(argv[1]) : NULL };
	bool named = tool.command != NULL;
	int code;

	if (!named && argc > 1 && is_mistyped(argv[1]))
		return EXIT_BAD;
	if (!named)
		tool.command = &command_show;
	if (!tool_options(&tool, argc - named, argv + named, &code))
		return code;
	code = tool.command->run(&tool);
	if (tool.out && tool.out != stdout)
		code = close_output(tool.out, tool.output, code);
	free(tool.input);
	return code;
}

int main(int argc, char **argv)
{
	int code;

	span_set_log(tool_message, NULL);
	/* hwloc prints a banner when a system contradicts itself; the notes tell of it instead. */
	setenv("HWLOC_HIDE_ERRORS", "2", 0);
	if (!asks_program(argc, argv, &code))
		code = run(argc, argv);
	return close_output(stdout, "standard output", code);
}
