#include "tests/topo/source_files.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int is_source(const char *name)
{
	static const char *const others[] = { "README.md", "MANIFEST.tsv", "FACTS.md" };
	const char *end = strrchr(name, '.');

	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (strcmp(name, others[i]) == 0)
			return 0;
	return name[0] != '.' && end && strcmp(end, ".bz2") != 0 && strcmp(end, ".svg") != 0;
}

static int walk(const char *folder, void (*judge)(const char *path))
{
	struct dirent **entries;
	int n = scandir(folder, &entries, NULL, alphasort), count = 0;

	for (int i = 0; i < n; i++) {
		char path[1024];
		struct stat about;

		snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
		if (entries[i]->d_name[0] != '.' && stat(path, &about) == 0) {
			if (S_ISDIR(about.st_mode)) {
				count += walk(path, judge);
			} else if (is_source(entries[i]->d_name)) {
				judge(path);
				count++;
			}
		}
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	return count;
}

int source_files_each(int extra, void (*judge)(const char *path))
{
	static const char *const folders[] = { "topologies", "lint", "machines" };
	const char *root = extra ? getenv("SPAN_EXTRA_DATA") : SPAN_TEST_DATA;
	int count = 0;

	for (size_t i = 0; root && i < (extra ? 1 : 3); i++) {
		char folder[1024];

		snprintf(folder, sizeof(folder), "%s/%s", root, folders[i]);
		count += walk(folder, judge);
	}
	return count;
}
