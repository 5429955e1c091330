/* The command line. */
#ifndef TRAIN_OPTIONS_H
#define TRAIN_OPTIONS_H

#include <stdint.h>

enum { RANKS_MOST = 256, REASON_MOST = 400 };

/* What the numbers of a training depend on. A save keeps them, and a resumed training
 * takes them from there. Every field is 64 bits wide; options.c names each. */
struct settings {
	int64_t seq;
	int64_t tile;     /* 0: the library chooses from seq */
	int64_t layers;
	int64_t width;
	int64_t heads;
	int64_t kv_heads;
	int64_t batch;    /* sequences a step, one after another */
	int64_t dtype;    /* span_dtype of the attention tensors */
	int64_t numerics; /* span_numerics */
	int64_t layout;   /* span_layout_family */
	int64_t seed;
	double lr;
};

enum { SETTINGS = 12 };

/* What they do not depend on, and what to do besides training. */
struct options {
	struct settings settings;
	int given[SETTINGS];   /* settings that the command line names */
	int64_t steps;
	int64_t ranks;
	int64_t threads;       /* of one rank's attention */
	int64_t order;         /* span_order_kind */
	char reason[REASON_MOST]; /* why that one (order.c) */
	const char *topology;  /* of the machine that the ranks are said to run on */
	const char *group_list; /* as given */
	int32_t group[RANKS_MOST]; /* the pretended node of each rank */
	int64_t verify;
	const char *text;
	const char *save;
	const char *resume;
	const char *svg;
	const char *json;
	int64_t help;
};

/* Read the command line. Returns 0, or -1 once the mistake has been named: the option, its
 * value, and what is accepted. */
int options_parse(int argc, char **argv, struct options *options);

/* Whether the settings fit together; the same return. */
int settings_check(const struct settings *settings);

/* Take the settings of a save. Returns -1 when the command line names another value. */
int options_take_settings(struct options *options, const struct settings *saved,
                          const char *file);

void options_help(void);

/* The word for the value of an option, such as "zigzag". */
const char *layout_word(int64_t layout);
const char *numerics_word(int64_t numerics);

#endif
