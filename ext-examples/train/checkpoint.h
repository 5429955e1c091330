/* Saves: everything that later steps depend on, in one file.
 *
 * A save is written beside its place and moved there once it is safely on disk, so that
 * the place holds either the old save or the new one. Every byte is under a checksum. */
#ifndef TRAIN_CHECKPOINT_H
#define TRAIN_CHECKPOINT_H

#include "options.h"
#include "rank.h"
#include "text.h"

/* Where the save of a path is written first. Returns 0, or -1 with the reason said. */
enum { CHECKPOINT_PATH_MOST = 4096 };
int checkpoint_beside(const char *path, char beside[CHECKPOINT_PATH_MOST]);

/* Returns 0, or -1 with the reason said. */
int checkpoint_save(const char *path, const struct settings *settings,
                    const struct text *text, const struct state *state);

/* Read a save. What is damaged, or belongs to another text, is refused by name. The state
 * belongs to the caller (state_free). Returns 0, or -1 with the reason said. */
int checkpoint_load(const char *path, struct settings *settings, const struct text *text,
                    struct state *state);

/* A state of `size` weights, all 0. Returns 0, or -1 with the reason said. */
int state_create(struct state *state, size_t size);
void state_free(struct state *state);

#endif
