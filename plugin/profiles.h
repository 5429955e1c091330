/* Finding a profile: by path, by the name of a shipped one, or by the GPUs of this machine.
 *
 * `make install` puts shipped profiles into share/span/profiles below the prefix. The plugin
 * finds them from where its own file lies, so that an installation may be moved. Private. */
#ifndef SPAN_PLUGIN_PROFILES_H
#define SPAN_PLUGIN_PROFILES_H

#include <stddef.h>

#include "topo/span_profile.h"

/* The folder of shipped profiles that goes with a plugin at this path: the first there is of
 * share/span/profiles one and two folders up (lib, lib/x86_64-linux-gnu), plugin/profiles one up
 * (a build folder in the sources). 0 if there is none, or a path is too long. */
int span_profiles_folder(const char *object, char *folder, size_t bytes);

/* A name with a "/", or that ends in ".profile", is a path; any other is that of a shipped profile.
 * The name alone decides, not which files there are: another rank may see others.
 * Returns what span_profile_load returns, SPAN_EIO for a file that is not there. */
span_status span_profiles_open(const char *name, span_profile **profile);

/* The first shipped profile, by name, made for GPUs like those below `root`/sys: its numbers
 * machine.gpu (the PCI device id) and machine.gpus (how many) are equal. None is no error:
 * *profile is NULL then. object: where the plugin lies, NULL to find out. Only for SPAN_UNIFORM:
 * other nodes may have other GPUs. */
span_status span_profiles_of_machine(const char *root, const char *object,
                                     span_profile **profile);

/* What stands in `root`/sys about GPUs: how many of one NVIDIA device; 0 for none or mixed. */
int span_profiles_gpus(const char *root, int *device);

#endif
