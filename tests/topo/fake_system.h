/* A system in a folder, as far as hwloc and sysfs readers look: processors, NUMA nodes, PCI
 * devices, network interfaces. Linux's layout. */
#ifndef TESTS_FAKE_SYSTEM_H
#define TESTS_FAKE_SYSTEM_H

/* Make one with two NUMA nodes of one processor each, and tell hwloc (HWLOC_FSROOT),
 * in place of the one before. Its path belongs to us. */
const char *fake_system(void);
void fake_system_remove(void); /* for the end of a test; without one it does nothing */

/* Write a file, or a symbolic link, below the folder; folders above it are made. */
void fake_file(const char *path, const char *text);
void fake_link(const char *path, const char *target);

/* Add a PCI device: `chain` are the addresses from the root port down, such as
 * "0000:00:01.0/0000:01:00.0", of which the last is added, of processors of NUMA node `numa` (-1: not
 * said). ids is "class vendor device" in hexadecimal: "030200 10de 2330". speed and width are those
 * of max_link_*, e.g. "16.0 GT/s PCIe"; the current ones are Gen1 x1. NULL: no such files. */
void fake_pci(const char *chain, const char *ids, int numa, const char *speed, const char *width);

/* The same for a bridge or port, with the buses behind it. */
void fake_bridge(const char *chain, int first_bus, int last_bus, const char *speed,
                 const char *width);

/* Add a network interface, or an InfiniBand device with one port, of a PCI device by its chain. */
void fake_net(const char *chain, const char *name, const char *speed);
void fake_infiniband(const char *chain, const char *name, const char *rate);

#endif
