/* NCCL's profiler interfaces, versions 1 to 6, as declarations of our own. Private.
 *
 * NCCL looks for data symbols ncclProfiler_vN (no "Plugin" in the name), newest first. Of each
 * descriptor only the events that SPAN asks for are declared; the sizes of the whole are
 * pinned by tests/plugin/test_nccl_profiler_abi.c.
 *
 * What the interfaces do not say:
 *   - stopEvent and recordEventState come without the context, so a handle must find its way.
 *   - A collective stops when it has been launched, not when it has ended: its end is that of
 *     its channels, whose events come later, from another thread, as its children.
 *   - Any handle may be NULL, but up to v4 NCCL tells nothing of a launch whose group got none.
 *   - Operations of the network may belong to another process, whose rank this one's NIC serves:
 *     then parent and context are addresses there.
 *   - Up to v3 a collective's channels are how many may run, from v4 on how many do.
 *   - The mask is one int of the process, which each init overwrites.
 *   - Texts of descriptors belong to NCCL. */
#ifndef SPAN_PLUGIN_NCCL_PROFILER_ABI_H
#define SPAN_PLUGIN_NCCL_PROFILER_ABI_H

#include <sys/types.h>

#include "plugin/nccl_abi.h"

enum nccl_event {
	NCCL_EVENT_GROUP = 1 << 0, /* a launch; comes unasked with any of the others */
	NCCL_EVENT_COLL = 1 << 1,
	NCCL_EVENT_P2P = 1 << 2,
	NCCL_EVENT_PROXY_OP = 1 << 3,
	NCCL_EVENT_KERNEL_CHANNEL = 1 << 6 /* from v3 on */
};

/* A channel's kernel has ended; from v4 on with the GPU's clock. */
enum { NCCL_STATE_KERNEL_CHANNEL_STOP = 22 };

/* The head of a descriptor: the type is 8 bits up to v4, 64 from v5 on. */
struct nccl_event_head {
	union {
		uint8_t type8;
		uint64_t type64;
	};
	void *parent;
	int rank;
};

struct nccl_coll_v1 {
	const char *comm_name;
	uint64_t comm_hash, sequence;
	uint8_t func;
	const void *send;
	void *receive;
	size_t count;
	int root;
	uint8_t datatype;
	uint32_t op;
	size_t traffic;
	uint8_t channels, warps, algo, proto;
	int collnet, nvls;
};

struct nccl_p2p_v1 {
	const char *comm_name;
	uint64_t comm_hash;
	uint8_t func;
	void *buffer;
	uint8_t datatype;
	size_t count;
	int peer;
};

/* From v2 on texts instead of numbers. */
struct nccl_coll_v2 {
	const char *comm_name;
	uint64_t comm_hash, sequence;
	const char *func;
	const void *send;
	void *receive;
	size_t count;
	int root;
	const char *datatype;
	size_t traffic;
	uint8_t channels, warps;
	const char *algo, *proto;
};

struct nccl_p2p_v2 {
	const char *comm_name;
	uint64_t comm_hash;
	const char *func;
	void *buffer;
	const char *datatype;
	size_t count;
	int peer;
};

struct nccl_coll_v3 {
	const char *comm_name;
	uint64_t comm_hash, sequence;
	const char *func;
	const void *send;
	void *receive;
	size_t count;
	int root;
	const char *datatype;
	uint8_t channels, warps;
	const char *algo, *proto;
};

/* From v4 on the communicator is named at init. */
struct nccl_coll_v4 {
	uint64_t sequence;
	const char *func;
	const void *send;
	void *receive;
	size_t count;
	int root;
	const char *datatype;
	uint8_t channels, warps;
	const char *algo, *proto;
};

struct nccl_p2p_v4 {
	const char *func;
	void *buffer;
	const char *datatype;
	size_t count;
	int peer;
	uint8_t channels;
};

struct nccl_coll_v5 {
	struct nccl_coll_v4 coll;
	void *parent_group;
};

struct nccl_p2p_v5 {
	struct nccl_p2p_v4 p2p;
	void *parent_group;
};

struct nccl_proxy_op {
	pid_t pid; /* of the process whose collective it is */
	uint8_t channel;
	int peer, steps, chunk, is_send;
};

struct nccl_kernel_channel {
	uint8_t channel;
	uint64_t clock; /* of the GPU, nanoseconds; from v4 on */
};

struct nccl_event_v1 {
	struct nccl_event_head head;
	union {
		struct nccl_coll_v1 coll;
		struct nccl_p2p_v1 p2p;
		struct nccl_proxy_op proxy;
	};
};

struct nccl_event_v2 {
	struct nccl_event_head head;
	union {
		struct nccl_coll_v2 coll;
		struct nccl_p2p_v2 p2p;
		struct nccl_proxy_op proxy;
	};
};

struct nccl_event_v3 {
	struct nccl_event_head head;
	union {
		struct nccl_coll_v3 coll;
		struct nccl_p2p_v2 p2p;
	};
};

struct nccl_event_v4 {
	struct nccl_event_head head;
	union {
		struct nccl_coll_v4 coll;
		struct nccl_p2p_v4 p2p;
		struct nccl_kernel_channel kernel;
	};
};

struct nccl_event_v5 {
	struct nccl_event_head head;
	union {
		struct nccl_coll_v5 coll;
		struct nccl_p2p_v5 p2p;
		struct nccl_kernel_channel kernel;
	};
};

/* The argument of recordEventState, as far as the state above has one. */
struct nccl_state_args {
	uint64_t clock;
};

/* 2.23 to 2.25 have v1 and v2, 2.26 v3. */
struct nccl_profiler_v1 {
	const char *name;
	int (*init)(void **context, int *mask);
	int (*start)(void *context, void **handle, void *descriptor);
	int (*stop)(void *handle);
	int (*record)(void *handle, int state, void *args);
	int (*finalize)(void *context);
};

/* 2.27. */
struct nccl_profiler_v4 {
	const char *name;
	int (*init)(void **context, int *mask, const char *comm_name, uint64_t comm_hash, int nodes,
	            int ranks, int rank, nccl_logger *logger);
	int (*start)(void *context, void **handle, void *descriptor);
	int (*stop)(void *handle);
	int (*record)(void *handle, int state, void *args);
	int (*finalize)(void *context);
};

/* 2.28; v6 (2.29 and later) has the same members. 2.31 has a v7, and takes a v6 in its stead. */
struct nccl_profiler_v5 {
	const char *name;
	int (*init)(void **context, uint64_t comm_hash, int *mask, const char *comm_name, int nodes,
	            int ranks, int rank, nccl_logger *logger);
	int (*start)(void *context, void **handle, void *descriptor);
	int (*stop)(void *handle);
	int (*record)(void *handle, int state, void *args);
	int (*finalize)(void *context);
};

extern NCCL_EXPORT const struct nccl_profiler_v1 ncclProfiler_v1;
extern NCCL_EXPORT const struct nccl_profiler_v1 ncclProfiler_v2;
extern NCCL_EXPORT const struct nccl_profiler_v1 ncclProfiler_v3;
extern NCCL_EXPORT const struct nccl_profiler_v4 ncclProfiler_v4;
extern NCCL_EXPORT const struct nccl_profiler_v5 ncclProfiler_v5;
extern NCCL_EXPORT const struct nccl_profiler_v5 ncclProfiler_v6;

#endif
