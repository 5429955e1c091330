/* What Linux says about links in /sys. */
#include "topo/host/sysfs.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_BYTES 4096

/* A line of /sys/FOLDER/NAME/REST; a name from a file may not lead elsewhere. */
static bool read_line(const char *root, const char *folder, const char *name, const char *rest,
                      char *line, int bytes)
{
	char path[PATH_BYTES];
	FILE *file;
	int n;

	if (!*name || *name == '.' || strchr(name, '/'))
		return false;
	n = snprintf(path, sizeof(path), "%s/sys/%s/%s/%s", root, folder, name, rest);
	if (n < 0 || n >= (int)sizeof(path))
		return false;
	file = fopen(path, "re");
	if (!file)
		return false;
	n = fgets(line, bytes, file) != NULL;
	fclose(file);
	return n;
}

/* "16.0 GT/s PCIe", "8 GT/s"; "Unknown" is 0. */
static double read_rate(const char *line)
{
	char *end;
	double rate = strtod(line, &end);

	return end > line && strncmp(end, " GT/s", 5) == 0 && rate >= 2.5 && rate < 1000 ? rate : 0;
}

void sysfs_pci_maximum(const char *root, const char *bus, double *rate, int32_t *width)
{
	char line[64];
	long lanes;

	*rate = 0;
	*width = 0;
	if (!read_line(root, "bus/pci/devices", bus, "max_link_width", line, sizeof(line)))
		return;
	lanes = strtol(line, NULL, 10);
	if (lanes < 1 || lanes > 32) /* 255 is unknown, 0 no link */
		return;
	if (!read_line(root, "bus/pci/devices", bus, "max_link_speed", line, sizeof(line)))
		return;
	*rate = read_rate(line);
	*width = *rate > 0 ? (int32_t)lanes : 0;
}

/* Mb/s; -1 when the interface is down, and reading it may fail. */
double sysfs_net_rate(const char *root, const char *name)
{
	char line[64];
	double rate;

	if (!read_line(root, "class/net", name, "speed", line, sizeof(line)))
		return 0;
	rate = strtod(line, NULL);
	/* Virtual interfaces say what they like; 4294967295 is a -1. */
	return rate > 0 && rate < 4e9 ? rate * 125e3 : 0;
}

/* "100 Gb/sec (4X EDR)". */
double sysfs_port_rate(const char *root, const char *name, int32_t port)
{
	char rest[64], line[64], *end;
	double rate;

	snprintf(rest, sizeof(rest), "ports/%d/rate", port);
	if (!read_line(root, "class/infiniband", name, rest, line, sizeof(line)))
		return 0;
	rate = strtod(line, &end);
	return end > line && strncmp(end, " Gb/sec", 7) == 0 && rate > 0 && rate < 1e5
	               ? rate * 125e6
	               : 0;
}

int32_t sysfs_wide_domains(const char *root, char *first)
{
	char path[PATH_BYTES];
	struct dirent *entry;
	int32_t count = 0;
	DIR *folder;

	*first = '\0';
	if (snprintf(path, sizeof(path), "%s/sys/bus/pci/devices", root) >= (int)sizeof(path))
		return 0;
	folder = opendir(path);
	while (folder && (entry = readdir(folder))) {
		const char *colon = strchr(entry->d_name, ':');

		if (!colon || colon - entry->d_name < 5)
			continue;
		if (!count++)
			snprintf(first, 32, "%.31s", entry->d_name);
	}
	if (folder)
		closedir(folder);
	return count;
}
