/* Finding a profile. */
#define _GNU_SOURCE /* dladdr */
#include "plugin/profiles.h"

#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/file.h"
#include "topo/log.h"

#define PATH_BYTES    4096
#define NVIDIA        0x10de
#define DISPLAY_CLASS 0x03 /* of PCI: VGA and 3D controllers */
#define MOST_DEVICES  65536
static const char suffix[] = ".profile";

int span_profiles_folder(const char *object, char *folder, size_t bytes)
{
	static const char *const places[] = { "../share/span/profiles", "../../share/span/profiles",
		                              "../plugin/profiles" };
	const char *slash = strrchr(object, '/');
	int up = slash ? (int)(slash - object) : 1, n;
	DIR *opened;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		n = snprintf(folder, bytes, "%.*s/%s", up, slash ? object : ".", places[i]);
		if (n < 0 || (size_t)n >= bytes)
			return 0;
		opened = opendir(folder);
		if (opened) {
			closedir(opened);
			return 1;
		}
	}
	return 0;
}

/* The same from where this code was loaded, or from another path. */
static int find_folder(const char *object, char *folder)
{
	Dl_info info;

	if (!object && dladdr((const void *)&suffix, &info))
		object = info.dli_fname;
	return object && span_profiles_folder(object, folder, PATH_BYTES);
}

static span_status load(const char *path, span_profile **profile)
{
	FILE *file;
	span_status status = span_file_open("profile ", path, &file);

	if (status)
		return status;
	status = span_profile_load(file, path, profile);
	fclose(file);
	return status;
}

/* Whether a file is called so. */
static int is_profile(const char *name)
{
	size_t n = strlen(name);

	return n >= sizeof(suffix) && !strcmp(name + n - (sizeof(suffix) - 1), suffix);
}

span_status span_profiles_open(const char *name, span_profile **profile)
{
	char folder[PATH_BYTES], path[2 * PATH_BYTES];

	if (strchr(name, '/') || is_profile(name))
		return load(name, profile);
	if (!find_folder(NULL, folder))
		return span_fail(SPAN_EIO, "profile %.100s: none are shipped here; give a path", name);
	snprintf(path, sizeof(path), "%s/%.200s%s", folder, name, suffix);
	return load(path, profile);
}

/* --- by machine ----------------------------------------------------------------------------- */

/* A number such as 0x10de from a file of a PCI device; -1 if there is none. */
static long read_number(const char *root, const char *device, const char *name)
{
	char path[PATH_BYTES], text[32];
	long number = -1;
	FILE *file;

	if (snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/%s/%s", root, device, name) >=
	    (int)sizeof(path))
		return -1;
	file = fopen(path, "re");
	if (!file)
		return -1;
	if (fgets(text, sizeof(text), file))
		number = strtol(text, NULL, 16);
	fclose(file);
	return number;
}

int span_profiles_gpus(const char *root, int *device)
{
	char path[PATH_BYTES];
	struct dirent *entry;
	int gpus = 0, left = MOST_DEVICES;
	long id;
	DIR *folder;

	*device = 0;
	if (snprintf(path, sizeof(path), "%s/sys/bus/pci/devices", root) >= (int)sizeof(path))
		return 0;
	folder = opendir(path);
	if (!folder)
		return 0;
	while ((entry = readdir(folder)) && left-- > 0) {
		if (entry->d_name[0] == '.' || read_number(root, entry->d_name, "vendor") != NVIDIA ||
		    read_number(root, entry->d_name, "class") >> 16 != DISPLAY_CLASS)
			continue;
		id = read_number(root, entry->d_name, "device");
		if (gpus && id != *device) {
			gpus = 0;
			break;
		}
		*device = (int)id;
		gpus++;
	}
	closedir(folder);
	return gpus;
}

static int is_shipped(const struct dirent *entry)
{
	return entry->d_name[0] != '.' && is_profile(entry->d_name);
}

static int is_for(const span_profile *profile, int device, int gpus)
{
	const span_number *id = span_profile_number(profile, "machine.gpu");
	const span_number *count = span_profile_number(profile, "machine.gpus");

	return id && count && id->value == device && count->value == gpus;
}

/* By bytes: alphasort would obey the locale, which need not be that of the other ranks. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

span_status span_profiles_of_machine(const char *root, const char *object,
                                     span_profile **profile)
{
	char folder[PATH_BYTES], path[2 * PATH_BYTES];
	struct dirent **entries = NULL;
	span_status status = SPAN_OK;
	int device, gpus = span_profiles_gpus(root, &device), n;

	*profile = NULL;
	if (!gpus || !find_folder(object, folder))
		return SPAN_OK;
	n = scandir(folder, &entries, is_shipped, by_name);
	for (int i = 0; i < n; i++) {
		if (!status && !*profile) {
			snprintf(path, sizeof(path), "%s/%.255s", folder, entries[i]->d_name);
			status = load(path, profile);
			if (!status && !is_for(*profile, device, gpus)) {
				span_profile_free(*profile);
				*profile = NULL;
			}
		}
		free(entries[i]);
	}
	free(entries);
	return status;
}
