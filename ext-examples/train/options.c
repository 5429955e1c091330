#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "attention/span_attention.h"
#include "complain.h"
#include "options.h"

struct word {
	const char *name;
	int64_t value;
};

static const struct word layouts[] = {
	{ "contiguous", SPAN_LAYOUT_CONTIGUOUS }, { "zigzag", SPAN_LAYOUT_ZIGZAG }, { 0 }
};
static const struct word dtypes[] = {
	{ "f32", SPAN_F32 }, { "bf16", SPAN_BF16 }, { "f16", SPAN_F16 }, { 0 }
};
static const struct word classes[] = {
	{ "canonical", SPAN_NUMERICS_CANONICAL }, { "schedule", SPAN_NUMERICS_SCHEDULE }, { 0 }
};
static const struct word orders[] = {
	{ "auto", SPAN_ORDER_AUTO }, { "ring", SPAN_ORDER_RING },
	{ "node-first", SPAN_ORDER_NODE_FIRST }, { "pairwise", SPAN_ORDER_PAIRWISE },
	{ "all-gather", SPAN_ORDER_ALL_GATHER }, { 0 }
};

enum kind { NUMBER, REAL, WORD, STRING, FLAG };

/* One option: where its value goes and what it may be. */
struct entry {
	const char *name;
	enum kind kind;
	size_t place;             /* in struct options */
	int64_t least, most;      /* of a NUMBER; `least` is the value of a FLAG */
	const struct word *words;
	const char *meaning;
};

#define AT(field) offsetof(struct options, field)

/* The settings come first, in the order of their struct. */
static const struct entry table[] = {
	{ "seq", NUMBER, AT(settings.seq), 2, 1 << 24, NULL, "tokens of a sequence" },
	{ "tile", NUMBER, AT(settings.tile), 0, 4096, NULL, "tokens of a tile; 0: from --seq" },
	{ "layers", NUMBER, AT(settings.layers), 1, 64, NULL, "layers of the model" },
	{ "width", NUMBER, AT(settings.width), 8, 8192, NULL, "width of the model" },
	{ "heads", NUMBER, AT(settings.heads), 1, 256, NULL, "query heads" },
	{ "kv-heads", NUMBER, AT(settings.kv_heads), 1, 256, NULL, "key and value heads" },
	{ "batch", NUMBER, AT(settings.batch), 1, 1024, NULL, "sequences a step" },
	{ "dtype", WORD, AT(settings.dtype), 0, 0, dtypes, "of q, k, v and what attends" },
	{ "numerics", WORD, AT(settings.numerics), 0, 0, classes, "class of the attention" },
	{ "layout", WORD, AT(settings.layout), 0, 0, layouts, "who holds which tokens" },
	{ "seed", NUMBER, AT(settings.seed), 0, INT64_MAX, NULL, "of the first weights" },
	{ "lr", REAL, AT(settings.lr), 0, 0, NULL, "learning rate after warm-up" },

	{ "steps", NUMBER, AT(steps), 1, 1000000000, NULL, "steps, resumed ones counted" },
	{ "ranks", NUMBER, AT(ranks), 1, RANKS_MOST, NULL, "ranks that share a sequence" },
	{ "group", STRING, AT(group_list), 0, 0, NULL, "ranks of a pretended node, or a list: 5,3" },
	{ "topology", STRING, AT(topology), 0, 0, NULL, "pretend this machine: a rank a device" },
	{ "order", WORD, AT(order), 0, 0, orders, "in which blocks travel" },
	{ "threads", NUMBER, AT(threads), 1, 256, NULL, "threads of one rank's attention" },
	{ "text", STRING, AT(text), 0, 0, NULL, "a file, or a folder: its files by name" },
	{ "verify", FLAG, AT(verify), 1, 0, NULL, "train on 1 rank too and compare" },
	{ "no-verify", FLAG, AT(verify), 0, 0, NULL, "train on the given ranks only" },
	{ "save", STRING, AT(save), 0, 0, NULL, "write weights and optimizer at the end" },
	{ "resume", STRING, AT(resume), 0, 0, NULL, "go on from a save, on any ranks" },
	{ "svg", STRING, AT(svg), 0, 0, NULL, "where the drawing of the loss goes" },
	{ "json", STRING, AT(json), 0, 0, NULL, "write losses and figures as JSON" },
	{ "help", FLAG, AT(help), 1, 0, NULL, "say this" },
};

enum { ENTRIES = sizeof table / sizeof *table };

static const struct options defaults = {
	.settings = {
		.seq = 4096, .layers = 2, .width = 128, .heads = 2, .kv_heads = 1, .batch = 1,
		.dtype = SPAN_F32, .numerics = SPAN_NUMERICS_CANONICAL,
		.layout = SPAN_LAYOUT_ZIGZAG, .seed = 1, .lr = 0.006,
	},
	.steps = 30, .ranks = 4, .threads = 1, .order = SPAN_ORDER_AUTO, .verify = 1,
	.text = "/usr/share/common-licenses", .svg = "loss.svg",
};

static const char *word_of(const struct word *words, int64_t value)
{
	for (; words->name != NULL; words++)
		if (words->value == value)
			return words->name;
	return "unknown";
}

const char *layout_word(int64_t layout)
{
	return word_of(layouts, layout);
}

const char *numerics_word(int64_t numerics)
{
	return word_of(classes, numerics);
}

static int parse_number(const struct entry *entry, const char *value, int64_t *place)
{
	char *end;
	long long number;

	errno = 0;
	number = strtoll(value, &end, 10);
	if (end == value || *end != 0 || errno != 0 || number < entry->least ||
	    number > entry->most) {
		complain("--%s %s: a number from %lld to %lld is accepted", entry->name, value,
		         (long long)entry->least, (long long)entry->most);
		return -1;
	}
	*place = number;
	return 0;
}

static int parse_real(const struct entry *entry, const char *value, double *place)
{
	char *end;
	double number = strtod(value, &end);

	if (end == value || *end != 0 || !(number > 0 && number <= 1)) {
		complain("--%s %s: a number above 0, at most 1, is accepted", entry->name, value);
		return -1;
	}
	*place = number;
	return 0;
}

static int parse_word(const struct entry *entry, const char *value, int64_t *place)
{
	char list[128] = "";

	for (const struct word *word = entry->words; word->name != NULL; word++) {
		if (strcmp(value, word->name) == 0) {
			*place = word->value;
			return 0;
		}
		strcat(list, list[0] ? ", " : "");
		strcat(list, word->name);
	}
	complain("--%s %s: one of %s is accepted", entry->name, value, list);
	return -1;
}

static int parse_entry(const struct entry *entry, const char *value, struct options *options)
{
	void *place = (char *)options + entry->place;

	switch (entry->kind) {
	case NUMBER:
		return parse_number(entry, value, place);
	case REAL:
		return parse_real(entry, value, place);
	case WORD:
		return parse_word(entry, value, place);
	case STRING:
		*(const char **)place = value;
		return 0;
	case FLAG:
		*(int64_t *)place = entry->least;
		return 0;
	}
	return -1;
}

/* "4": nodes of 4 ranks each, the last one of what is left. */
static int equal_groups(struct options *options, int64_t size)
{
	if (size < 1)
		return -1;
	for (int64_t rank = 0; rank < options->ranks; rank++)
		options->group[rank] = (int32_t)(rank / size);
	return 0;
}

/* "5,3": a node of 5 ranks and one of 3. */
static int listed_groups(struct options *options, const char *list)
{
	int64_t rank = 0;

	for (int32_t group = 0;; group++) {
		char *end;
		long size = strtol(list, &end, 10);

		if (end == list || size < 1 || size > options->ranks - rank)
			return -1;
		while (size-- > 0)
			options->group[rank++] = group;
		if (*end == 0)
			return rank == options->ranks ? 0 : -1;
		if (*end != ',')
			return -1;
		list = end + 1;
	}
}

static int parse_groups(struct options *options)
{
	const char *list = options->group_list;
	char *end;
	long size = list ? strtol(list, &end, 10) : options->ranks;
	int failed;

	if (list == NULL || (end != list && *end == 0))
		failed = equal_groups(options, size);
	else
		failed = listed_groups(options, list);
	if (failed)
		complain("--group %s: accepted are the ranks of a node, such as 2, or one number"
		         " for each node, such as 5,3, adding up to --ranks %lld", list,
		         (long long)options->ranks);
	return failed;
}

int settings_check(const struct settings *settings)
{
	long long width = settings->width, heads = settings->heads, kv = settings->kv_heads;

	if (settings->tile & (settings->tile - 1) || (settings->tile && settings->tile < 16)) {
		complain("--tile %lld: 0 or a power of two from 16 to 4096 is accepted",
		         (long long)settings->tile);
		return -1;
	}
	if (width % heads != 0 || width / heads % 8 != 0 || width / heads > 256) {
		complain("--heads %lld: with --width %lld a head has to be a multiple of 8 wide,"
		         " at most 256", heads, width);
		return -1;
	}
	if (heads % kv != 0) {
		complain("--kv-heads %lld: a divisor of --heads %lld is accepted", kv, heads);
		return -1;
	}
	return 0;
}

/* The table as getopt_long wants it. */
static void fill_getopt(struct option *list)
{
	for (int i = 0; i < ENTRIES; i++)
		list[i] = (struct option){
			.name = table[i].name,
			.has_arg = table[i].kind == FLAG ? no_argument : required_argument,
		};
	list[ENTRIES] = (struct option){ 0 };
}

int options_parse(int argc, char **argv, struct options *options)
{
	struct option list[ENTRIES + 1];
	int index, found;

	*options = defaults;
	fill_getopt(list);
	opterr = 0;
	while ((found = getopt_long(argc, argv, ":", list, &index)) != -1) {
		if (found != 0) {
			complain(found == ':' ? "%s: a value is missing; --help lists the options"
			                      : "%s: no such option; --help lists them",
			         argv[optind - 1]);
			return -1;
		}
		if (parse_entry(&table[index], optarg, options) != 0)
			return -1;
		if (index < SETTINGS)
			options->given[index] = 1;
	}
	if (optind < argc) {
		complain("%s: only options are accepted; --help lists them", argv[optind]);
		return -1;
	}
	return parse_groups(options) != 0 ? -1 : settings_check(&options->settings);
}

/* A setting as it is written on the command line. */
static void print_setting(const struct entry *entry, const struct settings *settings,
                          char *text, size_t size)
{
	const char *place = (const char *)settings + entry->place - AT(settings);
	int64_t number;
	double real;

	memcpy(&number, place, sizeof number);
	memcpy(&real, place, sizeof real);
	if (entry->kind == REAL)
		snprintf(text, size, "%g", real);
	else if (entry->kind == WORD)
		snprintf(text, size, "%s", word_of(entry->words, number));
	else
		snprintf(text, size, "%lld", (long long)number);
}

int options_take_settings(struct options *options, const struct settings *saved,
                          const char *file)
{
	char asked[64], kept[64];

	for (int i = 0; i < SETTINGS; i++) {
		size_t at = table[i].place - AT(settings);

		if (!options->given[i] || memcmp((const char *)saved + at,
		                                 (const char *)&options->settings + at,
		                                 sizeof(int64_t)) == 0)
			continue;
		print_setting(&table[i], &options->settings, asked, sizeof asked);
		print_setting(&table[i], saved, kept, sizeof kept);
		complain("--%s %s: %s was trained with %s, which is what is accepted",
		         table[i].name, asked, file, kept);
		return -1;
	}
	options->settings = *saved;
	return 0;
}

static void print_default(const struct entry *entry)
{
	const char *place = (const char *)&defaults + entry->place;
	char text[64];

	if (entry->place < AT(settings) + sizeof(struct settings)) {
		print_setting(entry, &defaults.settings, text, sizeof text);
		printf(" (%s)", text);
	} else if (entry->kind == NUMBER) {
		printf(" (%lld)", (long long)*(const int64_t *)place);
	} else if (entry->kind == WORD) {
		printf(" (%s)", word_of(entry->words, *(const int64_t *)place));
	} else if (entry->kind == STRING && *(const char *const *)place != NULL) {
		printf(" (%s)", *(const char *const *)place);
	}
}

void options_help(void)
{
	printf("Train a small transformer on bytes of text, one sequence split over ranks, and\n"
	       "show that splitting it changed no bit of the loss.\n\n");
	for (int i = 0; i < ENTRIES; i++) {
		printf("  --%-10s %s", table[i].name, table[i].meaning);
		print_default(&table[i]);
		printf("\n");
		for (const struct word *word = table[i].words; word && word->name; word++)
			printf("%s%s", word == table[i].words ? "               one of " : ", ",
			       word->name);
		printf("%s", table[i].words ? "\n" : "");
	}
	printf("\nExamples\n"
	       "  span-train                            4 ranks, compared with 1\n"
	       "  span-train --ranks 8 --group 5,3      two pretended nodes, of 5 and 3 ranks\n"
	       "  span-train --dtype bf16 --order pairwise --seq 8192\n"
	       "  span-train --ranks 8 --topology 'synthetic:nodes:2 gpus:4 nics:4 nic:50GB/s'\n"
	       "  span-train --steps 20 --save half.span\n"
	       "  span-train --resume half.span --ranks 2\n"
	       "\nExit status: 0 all went well, 1 training or verification failed, or"
	       " a result\nwas not written, 2 wrong use.\n");
}
