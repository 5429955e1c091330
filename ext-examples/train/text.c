#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "complain.h"
#include "text.h"

static int append(struct text *text, const void *bytes, size_t n)
{
	if (text->length + n > text->room) {
		size_t room = 2 * (text->length + n);
		uint8_t *longer = realloc(text->bytes, room);

		if (longer == NULL)
			return -1;
		text->bytes = longer;
		text->room = room;
	}
	memcpy(text->bytes + text->length, bytes, n);
	text->length += n;
	return 0;
}

static int append_file(const char *path, struct text *text)
{
	char buffer[65536];
	FILE *file = fopen(path, "rb");
	size_t n;
	int failed = file == NULL;

	while (!failed && (n = fread(buffer, 1, sizeof buffer, file)) > 0)
		failed = append(text, buffer, n) != 0 || text->length > TEXT_MOST_BYTES;
	failed = failed || ferror(file);
	if (text->length > TEXT_MOST_BYTES)
		complain("--text %s: more than %d MiB, and all of it is kept in memory", path,
		         TEXT_MOST_BYTES >> 20);
	else if (failed)
		complain("--text %s: %s", path, strerror(errno));
	if (file != NULL)
		fclose(file);
	return failed ? -1 : 0;
}

/* By bytes, not by locale, so that the text is the same everywhere. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int append_folder(const char *path, struct text *text)
{
	struct dirent **entries;
	int n = scandir(path, &entries, NULL, by_name), failed = 0;

	if (n < 0) {
		complain("--text %s: %s", path, strerror(errno));
		return -1;
	}
	for (int i = 0; i < n; i++) {
		char name[4096];
		struct stat status;

		snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
		if (!failed && lstat(name, &status) == 0 && S_ISREG(status.st_mode))
			failed = append_file(name, text);
		free(entries[i]);
	}
	free(entries);
	return failed;
}

int text_load(const char *path, struct text *text)
{
	struct stat status;
	int failed;

	*text = (struct text){ 0 };
	if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
		failed = append_folder(path, text);
	else
		failed = append_file(path, text);
	if (!failed && text->length < 2) {
		complain("--text %s: holds %zu bytes; a text of at least 2 is accepted", path,
		         text->length);
		failed = -1;
	}
	if (failed)
		text_free(text);
	return failed;
}

void text_free(struct text *text)
{
	free(text->bytes);
	*text = (struct text){ 0 };
}
