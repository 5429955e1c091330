/* A system in a folder. */
#define _GNU_SOURCE
#include "tests/topo/fake_system.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
	(void)info, (void)kind, (void)where;
	return remove(path);
}

void fake_system_remove(void)
{
	if (*root)
		nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	root[0] = '\0';
}

static void make_folders(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(path, 0700);
		*slash = '/';
	}
}

void fake_file(const char *path, const char *text)
{
	char full[1024];
	FILE *file;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	make_folders(full);
	file = fopen(full, "we");
	cr_assert(file, "%s", full);
	fprintf(file, "%s\n", text);
	fclose(file);
}

void fake_link(const char *path, const char *target)
{
	char full[1024];

	snprintf(full, sizeof(full), "%s/%s", root, path);
	make_folders(full);
	cr_assert_eq(symlink(target, full), 0, "%s", full);
}

static void file_at(const char *folder, const char *name, const char *text)
{
	char path[900];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fake_file(path, text);
}

static void make_processor(int number)
{
	char folder[128], text[16];

	snprintf(folder, sizeof(folder), "sys/devices/system/cpu/cpu%d/topology", number);
	snprintf(text, sizeof(text), "%d", number);
	file_at(folder, "physical_package_id", text);
	file_at(folder, "core_id", "0");
	snprintf(text, sizeof(text), "%08x", 1u << number);
	file_at(folder, "core_siblings", text);
	file_at(folder, "package_cpus", text);
	file_at(folder, "thread_siblings", text);
	file_at(folder, "core_cpus", text);
	snprintf(folder, sizeof(folder), "sys/devices/system/node/node%d", number);
	file_at(folder, "cpumap", text);
	snprintf(text, sizeof(text), "%s", number ? "20 10" : "10 20");
	file_at(folder, "distance", text);
	file_at(folder, "meminfo", number ? "Node 1 MemTotal: 1000 kB" : "Node 0 MemTotal: 1000 kB");
}

const char *fake_system(void)
{
	fake_system_remove();
	snprintf(root, sizeof(root), "/tmp/span-system-XXXXXX");
	cr_assert(mkdtemp(root));
	fake_file("sys/devices/system/cpu/online", "0-1");
	fake_file("sys/devices/system/cpu/possible", "0-1");
	fake_file("sys/devices/system/node/online", "0-1");
	fake_file("proc/cpuinfo", "processor : 0\nprocessor : 1");
	fake_file("proc/meminfo", "MemTotal: 2000 kB");
	fake_file("sys/bus/pci/devices/.keep", "");
	fake_file("sys/class/net/.keep", "");
	for (int i = 0; i < 2; i++)
		make_processor(i);
	setenv("HWLOC_FSROOT", root, 1);
	setenv("HWLOC_COMPONENTS", "linux,stop", 1);
	return root;
}

static const char *last_of(const char *chain)
{
	const char *slash = strrchr(chain, '/');

	return slash ? slash + 1 : chain;
}

static void folder_of(const char *chain, char *folder, size_t room)
{
	snprintf(folder, room, "sys/devices/pci%.7s/%s", chain, chain);
}

void fake_pci(const char *chain, const char *ids, int numa, const char *speed, const char *width)
{
	char folder[512], path[600], target[600], class[8], vendor[8], device[8], text[32];

	cr_assert_eq(sscanf(ids, "%7s %7s %7s", class, vendor, device), 3);
	folder_of(chain, folder, sizeof(folder));
	snprintf(text, sizeof(text), "0x%s", class);
	file_at(folder, "class", text);
	snprintf(text, sizeof(text), "0x%s", vendor);
	file_at(folder, "vendor", text);
	file_at(folder, "subsystem_vendor", text);
	snprintf(text, sizeof(text), "0x%s", device);
	file_at(folder, "device", text);
	file_at(folder, "subsystem_device", text);
	file_at(folder, "revision", "0x00");
	snprintf(text, sizeof(text), "%d", numa);
	file_at(folder, "numa_node", text);
	file_at(folder, "local_cpus", numa < 0 ? "00000003" : numa ? "00000002" : "00000001");
	file_at(folder, "current_link_speed", "2.5 GT/s PCIe");
	file_at(folder, "current_link_width", "1");
	if (speed)
		file_at(folder, "max_link_speed", speed);
	if (width)
		file_at(folder, "max_link_width", width);
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s", last_of(chain));
	snprintf(target, sizeof(target), "../../../%s", folder + strlen("sys/"));
	fake_link(path, target);
}

/* hwloc takes the buses behind a bridge from its configuration space: header type 1, and from byte
 * 0x18 on the bus it is on and the first and last behind it. */
void fake_bridge(const char *chain, int first_bus, int last_bus, const char *speed,
                 const char *width)
{
	unsigned char config[64] = { 0x86, 0x80, 0x30, 0x20, [0x0a] = 0x04, [0x0b] = 0x06,
	                             [0x0e] = 1, [0x19] = (unsigned char)first_bus,
	                             [0x1a] = (unsigned char)last_bus };
	char folder[512], path[1024];
	FILE *file;

	fake_pci(chain, "060400 8086 2030", 0, speed, width);
	folder_of(chain, folder, sizeof(folder));
	config[0x18] = (unsigned char)strtoul(last_of(chain) + strlen("0000:"), NULL, 16);
	snprintf(path, sizeof(path), "%s/%s/config", root, folder);
	file = fopen(path, "we");
	cr_assert(file, "%s", path);
	cr_assert_eq(fwrite(config, 1, sizeof(config), file), sizeof(config));
	fclose(file);
}

/* /sys/class/CLASS/NAME leads into the device's folder. */
static void make_class(const char *chain, const char *class, const char *name, char *folder,
                       size_t room)
{
	char device[512], path[700], target[700];

	folder_of(chain, device, sizeof(device));
	snprintf(folder, room, "%s/%s/%s", device, class, name);
	snprintf(path, sizeof(path), "sys/class/%s/%s", class, name);
	snprintf(target, sizeof(target), "../../%s", folder + strlen("sys/"));
	fake_link(path, target);
	snprintf(path, sizeof(path), "%s/device", folder);
	fake_link(path, "../..");
}

void fake_net(const char *chain, const char *name, const char *speed)
{
	char folder[640];

	make_class(chain, "net", name, folder, sizeof(folder));
	file_at(folder, "address", "00:11:22:33:44:55");
	file_at(folder, "speed", speed);
}

void fake_infiniband(const char *chain, const char *name, const char *rate)
{
	char folder[640];

	make_class(chain, "infiniband", name, folder, sizeof(folder));
	file_at(folder, "node_guid", "0002:c903:0007:9aee");
	file_at(folder, "sys_image_guid", "0002:c903:0007:9af1");
	file_at(folder, "ports/1/state", "4: ACTIVE");
	file_at(folder, "ports/1/lid", "0x1");
	file_at(folder, "ports/1/rate", rate);
}
