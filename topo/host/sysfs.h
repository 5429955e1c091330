/* What Linux says about links in /sys. Private.
 *
 * `root` is in front of every path: "" is this system, else a folder that holds another's. */
#ifndef SPAN_SYSFS_H
#define SPAN_SYSFS_H

#include <stdbool.h>
#include <stdint.h>

/* The most a PCI device can do: GT/s of a lane and lanes; 0 where it does not say. */
void sysfs_pci_maximum(const char *root, const char *bus, double *rate, int32_t *width);

/* Line rate in bytes a second, 0: not known. Of a network interface such as "eth0", and of a port
 * of an InfiniBand or RoCE card, such as "mlx5_0" port 1. */
double sysfs_net_rate(const char *root, const char *name);
double sysfs_port_rate(const char *root, const char *name, int32_t port);

/* Number of PCI devices in domains above ffff, which hwloc leaves out unless it was built for
 * them; `first` [32] is the address of one. */
int32_t sysfs_wide_domains(const char *root, char *first);

#endif
