#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "attention/span_transport.h"
#include "checkpoint.h"
#include "complain.h"

/* The header: 64-bit words in the byte order of the machine, then come weights, moment and
 * variance as f32. The last word is the digest of those before it. */
enum word {
	MAGIC,
	VERSION,
	SETTINGS_AT,
	STEP = SETTINGS_AT + SETTINGS,
	TEXT_LENGTH,
	TEXT_DIGEST,
	SIZE,
	DIGEST_WEIGHTS,
	DIGEST_MOMENT,
	DIGEST_VARIANCE,
	DIGEST_HEADER,
	WORDS
};

_Static_assert(sizeof(struct settings) == SETTINGS * sizeof(uint64_t),
               "settings are stored word by word");

/* "spantrai" where the lowest byte comes first. */
static const uint64_t magic = 0x696172746e617073u;
static const uint64_t version = 1;

int state_create(struct state *state, size_t size)
{
	*state = (struct state){
		.size = size,
		.weights = calloc(size, sizeof(float)),
		.moment = calloc(size, sizeof(float)),
		.variance = calloc(size, sizeof(float)),
	};
	if (state->weights != NULL && state->moment != NULL && state->variance != NULL)
		return 0;
	state_free(state);
	complain("out of memory for %zu weights", size);
	return -1;
}

void state_free(struct state *state)
{
	free(state->weights);
	free(state->moment);
	free(state->variance);
	*state = (struct state){ 0 };
}

static uint64_t digest_floats(const float *x, size_t n)
{
	return span_digest(x, n * sizeof *x);
}

static void fill_header(uint64_t *header, const struct settings *settings,
                        const struct text *text, const struct state *state)
{
	header[MAGIC] = magic;
	header[VERSION] = version;
	memcpy(header + SETTINGS_AT, settings, sizeof *settings);
	header[STEP] = (uint64_t)state->step;
	header[TEXT_LENGTH] = text->length;
	header[TEXT_DIGEST] = span_digest(text->bytes, text->length);
	header[SIZE] = state->size;
	header[DIGEST_WEIGHTS] = digest_floats(state->weights, state->size);
	header[DIGEST_MOMENT] = digest_floats(state->moment, state->size);
	header[DIGEST_VARIANCE] = digest_floats(state->variance, state->size);
	header[DIGEST_HEADER] = span_digest(header, DIGEST_HEADER * sizeof *header);
}

static int write_all(int file, const void *data, size_t bytes)
{
	const char *next = data;

	while (bytes > 0) {
		ssize_t n = write(file, next, bytes);

		if (n < 0 && errno != EINTR)
			return -1;
		next += n > 0 ? n : 0;
		bytes -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int write_save(int file, const uint64_t *header, const struct state *state)
{
	size_t bytes = state->size * sizeof(float);

	return write_all(file, header, WORDS * sizeof *header) ||
	       write_all(file, state->weights, bytes) ||
	       write_all(file, state->moment, bytes) ||
	       write_all(file, state->variance, bytes) || fsync(file) ? -1 : 0;
}

/* A rename is on disk once its folder is. */
static int sync_folder(const char *path)
{
	char *copy = strdup(path);
	int folder = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY) : -1;
	int failed = folder < 0 || fsync(folder) != 0;

	if (folder >= 0)
		close(folder);
	free(copy);
	return failed ? -1 : 0;
}

static int replace(const char *path, const char *beside, const uint64_t *header,
                   const struct state *state)
{
	int file = open(beside, O_WRONLY | O_CREAT | O_TRUNC, 0666);
	int failed = file < 0 || write_save(file, header, state) != 0;

	if (file >= 0 && close(file) != 0)
		failed = 1;
	if (!failed && rename(beside, path) == 0 && sync_folder(path) == 0)
		return 0;
	complain("--save %s: %s", path, strerror(errno));
	if (file >= 0)
		unlink(beside);
	return -1;
}

int checkpoint_beside(const char *path, char beside[CHECKPOINT_PATH_MOST])
{
	if (snprintf(beside, CHECKPOINT_PATH_MOST, "%s.part", path) < CHECKPOINT_PATH_MOST)
		return 0;
	complain("--save: a path of at most %d bytes is accepted", CHECKPOINT_PATH_MOST - 6);
	return -1;
}

int checkpoint_save(const char *path, const struct settings *settings,
                    const struct text *text, const struct state *state)
{
	uint64_t header[WORDS];
	char beside[CHECKPOINT_PATH_MOST];

	if (checkpoint_beside(path, beside) != 0)
		return -1;
	fill_header(header, settings, text, state);
	return replace(path, beside, header, state);
}

static int refuse_header(const char *path, const uint64_t *header, size_t words)
{
	if (words < WORDS)
		complain("%s: ends within its header: not a save, or cut off", path);
	else if (header[MAGIC] != magic)
		complain("%s: not a save of this program on a machine of this byte order", path);
	else if (header[VERSION] != version)
		complain("%s: version %llu; version %llu is accepted", path,
		         (unsigned long long)header[VERSION], (unsigned long long)version);
	else if (header[DIGEST_HEADER] != span_digest(header, DIGEST_HEADER * sizeof *header))
		complain("%s: damaged: the header does not match its checksum", path);
	else
		return 0;
	return -1;
}

/* The text has to be the one of the first steps: the next window follows theirs. */
static int refuse_text(const char *path, const uint64_t *header, const struct text *text)
{
	if (header[TEXT_LENGTH] == text->length &&
	    header[TEXT_DIGEST] == span_digest(text->bytes, text->length))
		return 0;
	complain("%s: was trained on another text, of %llu bytes; this --text has %zu", path,
	         (unsigned long long)header[TEXT_LENGTH], text->length);
	return -1;
}

static int read_section(FILE *file, const char *path, const char *name, uint64_t digest,
                        float *x, size_t n)
{
	if (fread(x, sizeof *x, n, file) != n)
		complain("%s: damaged: cut off within its %s", path, name);
	else if (digest_floats(x, n) != digest)
		complain("%s: damaged: its %s does not match the checksum", path, name);
	else
		return 0;
	return -1;
}

static int read_sections(FILE *file, const char *path, const uint64_t *header,
                         struct state *state)
{
	size_t n = state->size;

	if (read_section(file, path, "weights", header[DIGEST_WEIGHTS], state->weights, n) ||
	    read_section(file, path, "moment", header[DIGEST_MOMENT], state->moment, n) ||
	    read_section(file, path, "variance", header[DIGEST_VARIANCE], state->variance, n))
		return -1;
	if (fgetc(file) != EOF) {
		complain("%s: damaged: goes on behind its end", path);
		return -1;
	}
	return 0;
}

static size_t size_for(const struct settings *set)
{
	struct shape shape = model_shape((int)set->layers, (int)set->width, (int)set->heads,
	                                 (int)set->kv_heads);

	return model_size(&shape);
}

static int load(FILE *file, const char *path, struct settings *settings,
                const struct text *text, struct state *state)
{
	uint64_t header[WORDS] = { 0 };
	size_t words = fread(header, sizeof *header, WORDS, file);

	if (refuse_header(path, header, words) || refuse_text(path, header, text))
		return -1;
	memcpy(settings, header + SETTINGS_AT, sizeof *settings);
	if (header[SIZE] != size_for(settings)) {
		complain("%s: holds %llu weights; its model has %zu", path,
		         (unsigned long long)header[SIZE], size_for(settings));
		return -1;
	}
	if (state_create(state, header[SIZE]) != 0)
		return -1;
	state->step = (int64_t)header[STEP];
	if (read_sections(file, path, header, state) == 0)
		return 0;
	state_free(state);
	return -1;
}

int checkpoint_load(const char *path, struct settings *settings, const struct text *text,
                    struct state *state)
{
	FILE *file = fopen(path, "rb");
	int failed;

	if (file == NULL) {
		complain("--resume %s: %s", path, strerror(errno));
		return -1;
	}
	failed = load(file, path, settings, text, state);
	fclose(file);
	return failed;
}
