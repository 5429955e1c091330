/* NVIDIA's management library, loaded when it is there; the names we need, declared by us. Private.
 *
 * It is normal that there is none. Nothing of it outlives the call. */
#ifndef SPAN_NVML_H
#define SPAN_NVML_H

#include <stdbool.h>
#include <stdint.h>

#define NVML_MAX_GPUS 64
#define NVML_MAX_LINKS 36

/* The installed library. */
#define NVML_LIBRARY "libnvidia-ml.so.1"

enum nvml_remote { NVML_REMOTE_GPU, NVML_REMOTE_CPU, NVML_REMOTE_SWITCH };

/* An NVLink that is up. */
struct nvml_link {
	enum nvml_remote remote;
	uint32_t version;        /* NVML's number: 1 NVLink 1.0, 2 2.0, 3 2.2, 4 3.0, 5 3.1,
	                          * 6 4.0, 7 5.0; 0: not said */
	uint32_t domain, bus, device; /* of the remote end; all ones when it is hidden */
};

struct nvml_gpu {
	int32_t index;           /* NVML's number, which is NCCL's `dev` */
	uint32_t domain, bus, device;
	char name[96];
	int32_t sm;              /* compute capability x 10, 0: not said */
	double memory;           /* bytes, 0: not said */
	int32_t n_links;
	struct nvml_link links[NVML_MAX_LINKS];
	uint64_t no_p2p;         /* bit k: it cannot read the memory of gpus[k], says NVML */
};

struct nvml_gpus {
	int32_t n;
	char problem[200];       /* why the library does not answer though it is there, or "" */
	struct nvml_gpu gpus[NVML_MAX_GPUS];
};

/* Ask the library `path`. Without one gpus->n is 0; *found says whether it answered. */
void nvml_read(const char *path, struct nvml_gpus *gpus, bool *found);

#endif
