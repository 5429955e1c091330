/* Options of span-tune, and words that stand for sizes and cells. */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugin/options.h"
#include "plugin/profiles.h"
#include "plugin/tune/tune.h"
#include "topo/log.h"

enum { PATH_BYTES = 4096 };

static const struct {
	struct option option;
	const char *argument;
	const char *meaning;
} all[] = {
	{ { "coll", required_argument, NULL, 'c' }, "COLL",
	  "Broadcast, Reduce, AllGather, ReduceScatter, AllReduce" },
	{ { "ranks", required_argument, NULL, 'r' }, "N", "ranks of the communicator" },
	{ { "nodes", required_argument, NULL, 'n' }, "N", "its nodes, as NCCL counts them" },
	{ { "algo", required_argument, NULL, 'a' }, "ALGO", "the algorithm that was forced" },
	{ { "proto", required_argument, NULL, 'p' }, "PROTO", "the protocol that was forced" },
	{ { "bytes", required_argument, NULL, 'b' }, "SIZE...",
	  "sizes, such as 65536 or 64K; several, or again" },
	{ { "from", required_argument, NULL, 'f' }, "SIZE",
	  "the first size shown (default: the profile's)" },
	{ { "to", required_argument, NULL, 't' }, "SIZE", "the last size shown" },
	{ { "margin", required_argument, NULL, 'm' }, "SHARE",
	  "share of time worth a change (default: the plugin's)" },
	{ { "name", required_argument, NULL, 'N' }, "TEXT", "the name of the profile" },
	{ { "base", required_argument, NULL, 'B' }, "FILE", "add to what this profile holds" },
	{ { "profile", required_argument, NULL, 'P' }, "FILE", "the profile (default: $SPAN_PROFILE)" },
	{ { "rules", required_argument, NULL, 'R' }, "FILE", "rules that come before the profile" },
	{ { "topology", required_argument, NULL, 'T' }, "SOURCE",
	  "the machine, for what the profile does not say of it" },
	{ { "output", required_argument, NULL, 'o' }, "FILE",
	  "write there instead of standard output" },
	{ { "help", no_argument, NULL, 'h' }, NULL, "say this" },
};

enum { OPTIONS = sizeof(all) / sizeof(*all) };

void tune_help(const struct tune_command *command, FILE *out)
{
	fprintf(out, "usage: span-tune %s [OPTION...] %s\n\n%s.\n\n", command->name, command->words,
	        command->summary);
	for (int i = 0; i < OPTIONS; i++) {
		char text[64];

		if (all[i].option.val != 'h' && !strchr(command->options, all[i].option.val))
			continue;
		snprintf(text, sizeof(text), "%s--%s%s%s",
		         all[i].option.val == 'o' ? "-o, " : "", all[i].option.name,
		         all[i].argument ? " " : "", all[i].argument ? all[i].argument : "");
		fprintf(out, "  %-20s %s\n", text, all[i].meaning);
	}
	fprintf(out, "\n%s", command->help);
}

/* --- values ------------------------------------------------------------------------------- */

double tune_size(const char *text)
{
	static const char units[] = "KMGT";
	double size, unit = 1;
	char *end;

	errno = 0;
	size = strtod(text, &end);
	if (end == text || errno || !(size >= 0))
		return -1;
	for (int i = 0; units[i] && *end; i++) {
		unit *= 1024;
		if ((*end & ~0x20) == units[i]) {
			end++;
			break;
		}
		if (!units[i + 1])
			return -1;
	}
	if (end[-1] >= '0' && end[-1] <= '9')
		unit = 1;
	size *= unit;
	return *end || size > SPAN_PROFILE_MAX_BYTES ? -1 : size;
}

const char *tune_size_text(double bytes, char *room)
{
	static const char *const units[] = { "", "K", "M", "G", "T" };
	int unit = 0;

	while (unit < 4 && bytes >= 1024 && fmod(bytes, 1024) == 0) {
		bytes /= 1024;
		unit++;
	}
	snprintf(room, 32, "%.0f%s", bytes, units[unit]);
	return room;
}

const char *tune_cell_text(int algo, int proto, char *room)
{
	snprintf(room, 32, "%s/%s", span_algo_name(algo), span_proto_name(proto));
	return room;
}

static bool bad(const struct tune *tune, const char *name, const char *value, const char *wanted)
{
	span_fail(SPAN_EINVAL, "%s: --%s %s: %s", tune->command->name, name, value, wanted);
	return false;
}

bool tune_whole(const char *text, int32_t *number)
{
	char *end;
	long whole;

	errno = 0;
	whole = strtol(text, &end, 10);
	if (end == text || *end || errno || whole < 1 || whole > SPAN_PROFILE_MAX_RANKS)
		return false;
	*number = (int32_t)whole;
	return true;
}

static bool take_whole(struct tune *tune, const char *name, const char *value, int32_t *number)
{
	return tune_whole(value, number) ||
	       bad(tune, name, value, "it is a whole number from 1 to 1048576");
}

/* One of n names; a wrong one is answered with all of them. */
static bool take_named(struct tune *tune, const char *option, const char *value,
                       int (*number)(const char *), const char *(*name)(int), int n, int32_t *taken)
{
	char wanted[160] = "it is one of ";

	*taken = number(value);
	for (int i = 0; i < n; i++)
		snprintf(wanted + strlen(wanted), sizeof(wanted) - strlen(wanted), "%s%s",
		         i ? ", " : "", name(i));
	return *taken >= 0 || bad(tune, option, value, wanted);
}

static bool take_size(struct tune *tune, const char *name, const char *value, double *size)
{
	*size = tune_size(value);
	return *size >= 0 || bad(tune, name, value, "it is a size, such as 65536 or 64K");
}

static bool take_bytes(struct tune *tune, const char *value)
{
	if (tune->n_bytes == TUNE_MAX_BYTES)
		return bad(tune, "bytes", value, "more than 256 sizes");
	return take_size(tune, "bytes", value, &tune->bytes[tune->n_bytes++]);
}

/* --bytes takes all the sizes that follow it. */
static bool take_sizes(struct tune *tune, int argc, char **argv)
{
	if (!take_bytes(tune, optarg))
		return false;
	while (optind < argc && tune_size(argv[optind]) >= 0) {
		if (!take_bytes(tune, argv[optind++]))
			return false;
	}
	return true;
}

static bool take_margin(struct tune *tune, const char *value)
{
	char *end;

	tune->margin = strtod(value, &end);
	if (end == value || *end || !(tune->margin >= 0 && tune->margin < 1))
		return bad(tune, "margin", value, "it is a share, from 0 to less than 1");
	return true;
}

static bool take(struct tune *tune, int letter, int argc, char **argv)
{
	switch (letter) {
	case 'c':
		return take_named(tune, "coll", optarg, span_coll_number, span_coll_name, SPAN_COLLS,
		                  &tune->said.coll);
	case 'a':
		return take_named(tune, "algo", optarg, span_algo_number, span_algo_name, SPAN_ALGOS,
		                  &tune->said.algo);
	case 'p':
		return take_named(tune, "proto", optarg, span_proto_number, span_proto_name,
		                  SPAN_PROTOS, &tune->said.proto);
	case 'r':
		return take_whole(tune, "ranks", optarg, &tune->said.ranks);
	case 'n':
		return take_whole(tune, "nodes", optarg, &tune->said.nodes);
	case 'b':
		return take_sizes(tune, argc, argv);
	case 'f':
		return take_size(tune, "from", optarg, &tune->from);
	case 't':
		return take_size(tune, "to", optarg, &tune->to);
	case 'm':
		return take_margin(tune, optarg);
	case 'N':
		tune->name = optarg;
		return true;
	case 'B':
		tune->base = optarg;
		return true;
	case 'P':
		tune->profile = optarg;
		return true;
	case 'R':
		tune->rules = optarg;
		return true;
	case 'T':
		tune->topology = optarg;
		return true;
	default:
		tune->output = optarg;
		return true;
	}
}

/* --- the command line --------------------------------------------------------------------- */

static bool count_words(struct tune *tune)
{
	const struct tune_command *command = tune->command;

	if (tune->n_words >= command->least_words && tune->n_words <= command->most_words)
		return true;
	span_fail(SPAN_EINVAL, "%s takes %s, not %d words; span-tune %s --help", command->name,
	          command->words, tune->n_words, command->name);
	return false;
}

bool tune_options(struct tune *tune, int argc, char **argv, int *code)
{
	struct option list[OPTIONS + 1] = { { 0 } };
	int letter;

	for (int i = 0; i < OPTIONS; i++)
		list[i] = all[i].option;
	*code = EXIT_BAD;
	tune->said = (span_nccl_log_options){ -1, -1, -1, 0, 0 };
	tune->margin = strtod(span_option_table[SPAN_OPTION_MARGIN].fallback, NULL);
	opterr = 0;
	while ((letter = getopt_long(argc, argv, ":ho:", list, NULL)) != -1) {
		if (letter == 'h') {
			tune_help(tune->command, stdout);
			*code = EXIT_FINE;
			return false;
		}
		if (letter == ':' || letter == '?' || !strchr(tune->command->options, letter)) {
			span_fail(SPAN_EINVAL, "%s: %s %s; span-tune %s --help", tune->command->name,
			          argv[optind - 1],
			          letter == ':' ? "lacks its value" : "is no option of it",
			          tune->command->name);
			return false;
		}
		if (!take(tune, letter, argc, argv))
			return false;
	}
	tune->words = argv + optind;
	tune->n_words = argc - optind;
	return count_words(tune);
}

bool tune_need(const struct tune *tune, const char *letters)
{
	const char *missing = NULL;

	if (strchr(letters, 'c') && tune->said.coll < 0)
		missing = "--coll COLL";
	else if (strchr(letters, 'r') && !tune->said.ranks)
		missing = "--ranks N";
	else if (strchr(letters, 'n') && !tune->said.nodes)
		missing = "--nodes N";
	else if (strchr(letters, 'b') && !tune->n_bytes)
		missing = "--bytes SIZE";
	else if (strchr(letters, 'o') && !tune->output)
		missing = "--output FILE";
	if (missing)
		span_fail(SPAN_EINVAL, "%s: %s is missing", tune->command->name, missing);
	return !missing;
}

/* --- files -------------------------------------------------------------------------------- */

FILE *tune_out(struct tune *tune)
{
	if (!tune->out && (!tune->output || !strcmp(tune->output, "-")))
		tune->out = stdout;
	if (!tune->out) {
		tune->out = fopen(tune->output, "we");
		if (!tune->out)
			span_fail(SPAN_EIO, "%s: %s", tune->output, strerror(errno));
	}
	return tune->out;
}

/* The path of the shipped profile of that name; false if there is none. */
static bool find_shipped(const char *name, char *path, size_t bytes)
{
	char program[PATH_BYTES], folder[PATH_BYTES];
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
	int length;

	if (n < 0 || strchr(name, '/'))
		return false;
	program[n] = '\0';
	if (!span_profiles_folder(program, folder, sizeof(folder)))
		return false;
	length = snprintf(path, bytes, "%s/%s.profile", folder, name);
	return length > 0 && (size_t)length < bytes && !access(path, R_OK);
}

/* Of a file, or, where there is none, of a shipped profile, as SPAN_PROFILE of the plugin. */
span_status tune_load_profile(const char *path, span_profile **profile)
{
	char shipped[2 * PATH_BYTES];
	FILE *file = fopen(path, "re");
	span_status status;

	if (!file && errno == ENOENT) {
		if (find_shipped(path, shipped, sizeof(shipped))) {
			path = shipped;
			file = fopen(path, "re");
		} else {
			errno = ENOENT;
		}
	}
	if (!file)
		return span_fail(SPAN_EIO, "%s: %s", path, strerror(errno));
	status = span_profile_load(file, path, profile);
	fclose(file);
	return status;
}

span_status tune_load_rules(const struct tune *tune, struct span_rules *rules)
{
	FILE *file;
	span_status status;

	if (!tune->rules)
		return SPAN_OK;
	file = fopen(tune->rules, "re");
	if (!file)
		return span_fail(SPAN_EIO, "%s: %s", tune->rules, strerror(errno));
	status = span_rules_load(file, tune->rules, rules);
	fclose(file);
	return status;
}
