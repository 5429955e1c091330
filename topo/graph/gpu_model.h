/* What a GPU's name or PCI ids say about it. Private. */
#ifndef SPAN_GPU_MODEL_H
#define SPAN_GPU_MODEL_H

#include <stdbool.h>
#include <stdint.h>

/* NVIDIA: compute capability x 10. The name counts before the ids; 0 when neither is known. */
int32_t gpu_sm(const char *name, uint32_t vendor, uint32_t device);

/* AMD: the version of its instruction set, such as "90a"; "" when it is not known. */
const char *gpu_gfx(uint32_t vendor, uint32_t device);

/* Whether every such GPU is soldered to NVLink: SXM modules and superchips. Cards with bridges
 * may have it or not. */
bool gpu_always_has_nvlink(const char *name, uint32_t vendor, uint32_t device);

/* Whether it hangs from its processor by NVLink-C2C: Grace with Hopper or Blackwell. */
bool gpu_has_c2c(const char *name);

/* A display adapter for the console of a server or virtual machine, and nothing else. */
bool gpu_is_console(uint32_t vendor, uint32_t device);

/* One NVLink in one direction as NVIDIA's data sheets count it and hwloc writes it, MB/s. */
double gpu_nvlink_wire(int32_t sm);

/* The most NVLinks of such a GPU, 0: not known. */
int32_t gpu_most_nvlinks(int32_t sm);

#endif
