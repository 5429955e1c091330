/* NVIDIA's management library, by dlopen. Names, numbers and structures: NVIDIA's NVML API
 * reference, version 12. */
#include "topo/host/nvml.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

/* Of what NVML hands out only this; it is the layout of nvmlPciInfo_t since version 3. */
struct pci_info {
	char bus_legacy[16];
	unsigned domain, bus, device, pci_device, pci_subsystem;
	char bus_text[32];
};

struct memory {
	unsigned long long total, free, used;
};

typedef void *handle;

/* A function is NULL when this library has none; only those of the first block must be there. */
struct library {
	void *file;
	int (*init)(void);
	int (*shutdown)(void);
	int (*count)(unsigned *count);
	int (*by_index)(unsigned index, handle *device);
	int (*pci)(handle device, struct pci_info *pci);

	const char *(*error)(int code);
	int (*name)(handle device, char *text, unsigned bytes);
	int (*capability)(handle device, int *major, int *minor);
	int (*memory)(handle device, struct memory *memory);
	int (*link_state)(handle device, unsigned link, unsigned *up);
	int (*link_version)(handle device, unsigned link, unsigned *version);
	int (*link_pci)(handle device, unsigned link, struct pci_info *pci);
	int (*link_type)(handle device, unsigned link, unsigned *type);
	int (*p2p)(handle a, handle b, unsigned index, int *status);
};

#define P2P_READ 0 /* NVML_P2P_CAPS_INDEX_READ; the answer is 0 when it is possible */

static bool load_functions(struct library *library)
{
	const struct {
		const char *name;
		void *place;
	} functions[] = {
		{ "nvmlInit_v2", &library->init },
		{ "nvmlShutdown", &library->shutdown },
		{ "nvmlDeviceGetCount_v2", &library->count },
		{ "nvmlDeviceGetHandleByIndex_v2", &library->by_index },
		{ "nvmlDeviceGetPciInfo_v3", &library->pci },
		{ "nvmlErrorString", &library->error },
		{ "nvmlDeviceGetName", &library->name },
		{ "nvmlDeviceGetCudaComputeCapability", &library->capability },
		{ "nvmlDeviceGetMemoryInfo", &library->memory },
		{ "nvmlDeviceGetNvLinkState", &library->link_state },
		{ "nvmlDeviceGetNvLinkVersion", &library->link_version },
		{ "nvmlDeviceGetNvLinkRemotePciInfo_v2", &library->link_pci },
		{ "nvmlDeviceGetNvLinkRemoteDeviceType", &library->link_type },
		{ "nvmlDeviceGetP2PStatus", &library->p2p },
	};
	size_t i;

	for (i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		void *found = dlsym(library->file, functions[i].name);

		memcpy(functions[i].place, &found, sizeof(found));
	}
	return library->init && library->shutdown && library->count && library->by_index &&
	       library->pci;
}

/* --- one GPU ----------------------------------------------------------------------------- */

/* Without the type (drivers before 450) the PCI class of the remote end tells; it is not in this
 * structure, but GPUs are known by their addresses. */
static enum nvml_remote remote_of(const struct library *library, handle device, unsigned number)
{
	unsigned type = 255;

	if (!library->link_type || library->link_type(device, number, &type))
		return NVML_REMOTE_GPU;
	return type == 2 ? NVML_REMOTE_SWITCH : type == 1 ? NVML_REMOTE_CPU : NVML_REMOTE_GPU;
}

static void read_links(const struct library *library, handle device, struct nvml_gpu *gpu)
{
	unsigned number, up, version;

	if (!library->link_state || !library->link_pci)
		return;
	for (number = 0; number < NVML_MAX_LINKS; number++) {
		struct nvml_link *link = &gpu->links[gpu->n_links];
		struct pci_info pci = { .domain = UINT32_MAX };

		if (library->link_state(device, number, &up) || up != 1)
			continue;
		/* In virtual machines the other end is hidden, by an error or by all ones. */
		if (library->link_pci(device, number, &pci))
			pci.domain = UINT32_MAX;
		*link = (struct nvml_link){ .remote = remote_of(library, device, number),
		                            .domain = pci.domain, .bus = pci.bus,
		                            .device = pci.device };
		if (library->link_version && !library->link_version(device, number, &version))
			link->version = version;
		gpu->n_links++;
	}
}

static void read_properties(const struct library *library, handle device, struct nvml_gpu *gpu)
{
	struct memory memory;
	int major, minor;

	if (library->name && library->name(device, gpu->name, sizeof(gpu->name)))
		gpu->name[0] = '\0';
	gpu->name[sizeof(gpu->name) - 1] = '\0';
	if (library->capability && !library->capability(device, &major, &minor) && major > 0 &&
	    major < 100 && minor >= 0 && minor < 10)
		gpu->sm = major * 10 + minor;
	if (library->memory && !library->memory(device, &memory))
		gpu->memory = (double)memory.total;
}

/* --- all of them ------------------------------------------------------------------------- */

static void read_p2p(const struct library *library, const handle *devices, struct nvml_gpus *gpus)
{
	int32_t i, j;
	int answer;

	for (i = 0; library->p2p && i < gpus->n; i++)
		for (j = 0; j < gpus->n; j++)
			if (i != j && !library->p2p(devices[i], devices[j], P2P_READ, &answer) &&
			    answer)
				gpus->gpus[i].no_p2p |= (uint64_t)1 << j;
}

static void complain(const struct library *library, struct nvml_gpus *gpus, const char *what,
                     int code)
{
	const char *words = library->error ? library->error(code) : NULL;

	snprintf(gpus->problem, sizeof(gpus->problem), "%s answers %d (%.100s)", what, code,
	         words ? words : "no words for it");
}

static void read_devices(const struct library *library, struct nvml_gpus *gpus)
{
	handle devices[NVML_MAX_GPUS];
	unsigned count = 0, i;
	int code = library->count(&count);

	if (code)
		complain(library, gpus, "nvmlDeviceGetCount", code);
	for (i = 0; !code && i < count && gpus->n < NVML_MAX_GPUS; i++) {
		struct nvml_gpu *gpu = &gpus->gpus[gpus->n];
		struct pci_info pci = { 0 };

		/* One that belongs to another container is refused. */
		if (library->by_index(i, &devices[gpus->n]) ||
		    library->pci(devices[gpus->n], &pci))
			continue;
		*gpu = (struct nvml_gpu){ .index = (int32_t)i, .domain = pci.domain,
		                          .bus = pci.bus, .device = pci.device };
		read_properties(library, devices[gpus->n], gpu);
		read_links(library, devices[gpus->n], gpu);
		gpus->n++;
	}
	read_p2p(library, devices, gpus);
}

#define NO_DRIVER 9 /* NVML_ERROR_DRIVER_NOT_LOADED: the library is there, no GPU is */

void nvml_read(const char *path, struct nvml_gpus *gpus, bool *found)
{
	struct library library = { .file = dlopen(path, RTLD_NOW | RTLD_LOCAL) };
	int code;

	*gpus = (struct nvml_gpus){ 0 };
	*found = false;
	if (!library.file)
		return;
	if (!load_functions(&library)) {
		snprintf(gpus->problem, sizeof(gpus->problem),
		         "it lacks functions that NVML has had since driver 418");
		dlclose(library.file);
		return;
	}
	code = library.init();
	if (code && code != NO_DRIVER)
		complain(&library, gpus, "nvmlInit", code);
	if (!code) {
		read_devices(&library, gpus);
		library.shutdown();
		*found = !*gpus->problem;
	}
	dlclose(library.file);
}
