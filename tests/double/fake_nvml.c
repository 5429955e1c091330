/* A library that answers as NVIDIA's NVML does, for machines that have none. A test builds it as a
 * shared library and loads it by path; the environment variable FAKE_NVML names the scene:
 *
 *     pair       two H100, 0000:01:00.0 and 0000:02:00.0, six NVLinks between them
 *     switch     the same GPUs, 18 NVLinks each to NVSwitches
 *     hidden     as `switch`, in a virtual machine that does not say what is at the other end
 *     power      V100, three NVLinks each to the processor
 *     no-p2p     as `pair`, and neither may read the other's memory
 *     refused    the first GPU belongs to somebody else
 *     no-driver  the library alone is installed
 *     broken     every call fails
 *
 * Numbers are those of NVIDIA's NVML API reference. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pci_info {
	char bus_legacy[16];
	unsigned domain, bus, device, pci_device, pci_subsystem;
	char bus_text[32];
};

struct memory {
	unsigned long long total, free, used;
};

enum { OK = 0, NOT_SUPPORTED = 3, NO_PERMISSION = 4, DRIVER_NOT_LOADED = 9, UNKNOWN = 999 };

static int gpus[2] = { 0, 1 };

static int scene(const char *name)
{
	const char *now = getenv("FAKE_NVML");

	return now && strcmp(now, name) == 0;
}

int nvmlInit_v2(void)
{
	return scene("no-driver") ? DRIVER_NOT_LOADED : scene("broken") ? UNKNOWN : OK;
}

int nvmlShutdown(void)
{
	return OK;
}

const char *nvmlErrorString(int code)
{
	return code == UNKNOWN ? "Unknown Error" : "Other";
}

int nvmlDeviceGetCount_v2(unsigned *count)
{
	*count = 2;
	return OK;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device)
{
	if (index == 0 && scene("refused"))
		return NO_PERMISSION;
	*device = &gpus[index];
	return OK;
}

static unsigned index_of(void *device)
{
	return (unsigned)*(int *)device;
}

int nvmlDeviceGetPciInfo_v3(void *device, struct pci_info *pci)
{
	memset(pci, 0, sizeof(*pci));
	pci->bus = 1 + index_of(device);
	pci->pci_device = 0x233010de;
	return OK;
}

int nvmlDeviceGetName(void *device, char *name, unsigned bytes)
{
	(void)device;
	snprintf(name, bytes, "%s", scene("power") ? "Tesla V100-SXM2-16GB" : "NVIDIA H100 80GB HBM3");
	return OK;
}

int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor)
{
	(void)device;
	*major = scene("power") ? 7 : 9;
	*minor = 0;
	return OK;
}

int nvmlDeviceGetMemoryInfo(void *device, struct memory *memory)
{
	(void)device;
	memory->total = 85899345920ull;
	return OK;
}

static unsigned links(void)
{
	return scene("switch") || scene("hidden") ? 18 : scene("power") ? 3 : 6;
}

int nvmlDeviceGetNvLinkState(void *device, unsigned link, unsigned *up)
{
	(void)device;
	if (link >= 18)
		return NOT_SUPPORTED;
	*up = link < links();
	return OK;
}

int nvmlDeviceGetNvLinkVersion(void *device, unsigned link, unsigned *version)
{
	(void)device, (void)link;
	*version = scene("power") ? 2 : 6;
	return OK;
}

int nvmlDeviceGetNvLinkRemotePciInfo_v2(void *device, unsigned link, struct pci_info *pci)
{
	memset(pci, 0, sizeof(*pci));
	if (scene("hidden")) {
		pci->domain = pci->bus = pci->device = 0xffffffff;
		return OK;
	}
	if (scene("switch"))
		pci->bus = 0x10 + link % 4;
	else
		pci->bus = scene("power") ? 0x20 : 2 - index_of(device);
	return OK;
}

int nvmlDeviceGetNvLinkRemoteDeviceType(void *device, unsigned link, unsigned *type)
{
	(void)device, (void)link;
	if (scene("hidden"))
		return NOT_SUPPORTED;
	*type = scene("switch") ? 2 : scene("power") ? 1 : 0;
	return OK;
}

int nvmlDeviceGetP2PStatus(void *a, void *b, unsigned index, int *status)
{
	(void)a, (void)b, (void)index;
	*status = scene("no-p2p") ? 1 : 0;
	return OK;
}
